"""One row a patient, specimen type and collection: the measurements of its tubes side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cytoflow_car.tables.columns import BESIDE, TIMEPOINTS

_BESIDE_SOURCE = {"status": "status", "n": "n_events", "lod": "lod", "loq": "loq"}


def build_timepoints(
    measurements: pd.DataFrame, target_of_infusion: Mapping[tuple[object, int], str]
) -> pd.DataFrame:
    """Turn long measurements into one row a collection.

    Rows with ``use`` other than ``report`` stay out. Where tubes of one draw look for different CAR
    targets, each target has columns of its own (``car_t_percent_of_t_cd22``), and the plain column
    holds the target that was infused last.

    Parameters
    ----------
    measurements
        Long table, one row a sample and measurement.
    target_of_infusion
        CAR target by patient and number of infusion.

    Returns
    -------
    Columns of `TIMEPOINTS`, then for each measurement its value and beside it
    ``__status, __n, __lod, __loq``, and ``__car_target`` where it has one.
    """
    reported = measurements[measurements["use"] == "report"]
    keys = ["patient_id", "specimen", "specimen_id"]
    rows: list[dict[str, object]] = []
    columns: dict[str, None] = {}
    targets = _targets_by_measurement(reported)
    for _, group in reported.groupby(keys, sort=False, dropna=False):
        row: dict[str, object] = {name: group.iloc[0][name] for name in TIMEPOINTS}
        last = 1 if pd.isna(row["infusion"]) else max(int(row["infusion"]), 1)
        infused = target_of_infusion.get((row["patient_id"], last), "")
        for name, same in group.groupby("measurement", sort=False):
            if len(targets[str(name)]) > 1:
                for _, item in same.iterrows():
                    _put(row, columns, f"{name}_{str(item['car_target']).lower()}", item)
            chosen = same if len(same) == 1 else same[same["car_target"] == infused]
            if len(chosen) == 1:
                _put(row, columns, str(name), chosen.iloc[0])
        rows.append(row)
    return pd.DataFrame.from_records(rows, columns=[*TIMEPOINTS, *columns])


def _targets_by_measurement(reported: pd.DataFrame) -> dict[str, set[str]]:
    return {
        str(name): {target for target in same["car_target"] if target}
        for name, same in reported.groupby("measurement", sort=False)
    }


def _put(
    row: dict[str, object], columns: dict[str, None], name: str, item: pd.Series
) -> None:
    row[name] = item["value"]
    columns[name] = None
    for suffix in BESIDE:
        row[f"{name}__{suffix}"] = item[_BESIDE_SOURCE[suffix]]
        columns[f"{name}__{suffix}"] = None
    if item["car_target"]:
        row[f"{name}__car_target"] = item["car_target"]
        columns[f"{name}__car_target"] = None
