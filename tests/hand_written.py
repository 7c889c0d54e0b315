"""Rows of the measurements of a run, written by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cytoflow_car.tables.columns import MEASUREMENTS

_NUMBERS = (
    "value", "value_net", "ci_low", "ci_high", "lod", "loq", "day", "infusion", "n_denominator",
)  # fmt: skip


def row(patient: str, day: float, measurement: str, value: float | None, **more: object) -> dict:
    """Return a row of the measurements of a run."""
    status = "NOT_DONE" if value is None else "QUANTIFIED" if value else "NOT_DETECTED"
    return {
        "sample_id": f"{patient}_{measurement}_{day:g}_{more.get('car_target', '')}",
        "specimen_id": f"{patient}_{day:g}",
        "patient_id": patient,
        "specimen": "PB",
        "day": float(day),
        "use": "report",
        "template": "car_t_pb",
        "template_version": "1.0.0",
        "panel_version": "T-1",
        "measurement": measurement,
        "value": value,
        "unit": "%",
        "lod": 0.01,
        "loq": 0.05,
        "status": status,
        **more,
    }


def car(patient: str, day: float, value: float | None, **more: object) -> dict:
    more = {"car_target": "CD19", "car_reagent": "CD19-Fc", **more}
    return row(patient, day, "car_t_percent_of_t", value, **more)


def b_cell(patient: str, day: float, value: float) -> dict:
    return row(
        patient, day, "b_cell_cd19_percent_of_nucleated", value, specimen="BM", loq=0.5, lod=0.1
    )


def frame(rows: Iterable[dict]) -> pd.DataFrame:
    """Return the measurements of a run; the infusion of a result is not told unless stated."""
    table = pd.DataFrame(list(rows)).reindex(columns=list(MEASUREMENTS))
    for name in table.columns:
        table[name] = pd.to_numeric(table[name]) if name in _NUMBERS else table[name].fillna("")
    return table
