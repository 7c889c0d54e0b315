"""``overrides.csv``: gates that a reviewer moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

from cytoflow_car.errors import GateError, StudyError
from cytoflow_car.gating.tree import Override
from cytoflow_car.model.gate import Gate
from cytoflow_car.study.cells import Cells, nearest, read_table
from cytoflow_car.tables.geometry import gate_from_json

COLUMNS = ("sample_id", "population", "geometry", "who", "why", "at")


def read_overrides(
    path: Path, sample_ids: Collection[str], faults: list[StudyError]
) -> Mapping[str, tuple[Override, ...]]:
    """Read ``overrides.csv``; an absent file means that no gate was moved.

    Parameters
    ----------
    sample_ids
        Those of the sheet; another one is a fault.

    Returns
    -------
    By sample_id, in the file's order. Whether a template has the population is not looked at here.
    """
    table = read_table(path, COLUMNS, COLUMNS, faults) if path.is_file() else None
    moved: dict[str, tuple[Override, ...]] = {}
    for cells in table.rows if table is not None else ():
        sample_id = cells.needed("sample_id")
        if sample_id and sample_id not in sample_ids:
            cells.fault(
                "sample_id",
                f"no sample {sample_id!r} in samples.csv",
                advice=nearest(sample_id, list(sample_ids)),
            )
        gate = _gate(cells)
        population = cells.needed("population")
        who, why, at = cells.needed("who"), cells.needed("why"), _time(cells)
        before = moved.get(sample_id, ())
        if any(override.population == population for override in before):
            cells.fault(
                "population", f"{population!r} of {sample_id} is moved twice", expected="one row"
            )
        if gate is not None:
            moved[sample_id] = (*before, Override(population, gate, who, why, at))
    return moved


def _gate(cells: Cells) -> Gate | None:
    text = cells.needed("geometry")
    if not text:
        return None
    try:
        return gate_from_json(text)
    except GateError as error:
        cells.fault(
            "geometry",
            error.problem,
            expected=error.expected,
            advice="Copy the gate's geometry from gates.csv and change its numbers",
        )
        return None


def _time(cells: Cells) -> str:
    """Return when a gate was moved, as written; any ISO time, since a log may state its zone."""
    text = cells.needed("at")
    if text:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            cells.fault(
                "at", f"{text!r} is not a date and time", expected="one as in 2024-03-31T08:30"
            )
    return text
