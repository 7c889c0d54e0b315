"""One row a patient, specimen type and collection: the measurements of its tubes side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cytoflow_car.model.measurement import Status
from cytoflow_car.tables.columns import BESIDE, BESIDE_WHERE_KNOWN, TIMEPOINTS

# What a density may be in where the conjugate has no F:P ratio.
_KIT_UNITS = ("PE", "MESF", "ERF")
#: Results that say nothing of their specimen; another tube of the draw may.
_SILENT = (
    Status.INDETERMINATE, Status.INSUFFICIENT, Status.EMPTY_PARENT, Status.NOT_DONE, Status.FAILED,
)  # fmt: skip
_BESIDE_SOURCE = {"n": "n_events", "net": "value_net"}


def build_timepoints(
    measurements: pd.DataFrame, target_of_infusion: Mapping[tuple[str, int], str]
) -> pd.DataFrame:
    """Turn long measurements into one row a collection.

    Rows with ``use`` other than ``report`` stay out. Where tubes of one study look for different
    CAR targets, each target has columns of its own (``car_t_percent_of_t_cd22``), and the plain
    column holds the target that was infused last. What several tubes of a draw measure without a
    target comes from the tube of that target too, so that the columns of a row belong together;
    without such a tube, from the first of the sheet. Where several tubes of a draw measure the
    same, a column and what stands beside it are of the first that says something, and each tube
    also has columns of its own (``car_t_percent_of_t_tube_t2``).

    Parameters
    ----------
    measurements
        Long table, one row a sample and measurement.
    target_of_infusion
        CAR target by patient and number of infusion.

    Returns
    -------
    Columns of `TIMEPOINTS`, then for each measurement its value and beside it
    ``__status, __n, __lod, __loq``, and where it has them ``__net``, ``__car_target``,
    ``__antigen_status`` and ``__antigen_change``.
    """
    reported = measurements[measurements["use"] == "report"]
    keys = ["patient_id", "specimen", "specimen_id"]
    rows: list[dict[str, object]] = []
    columns: dict[str, None] = {}
    targets = _targets_by_measurement(reported)
    for _, group in reported.groupby(keys, sort=False, dropna=False):
        row: dict[str, object] = {name: group.iloc[0][name] for name in TIMEPOINTS}
        infused = _target_infused_last(group.iloc[0], target_of_infusion)
        tubes_of_target = group.loc[group["car_target"] == infused, "sample_id"] if infused else ()
        for name, same in group.groupby("measurement", sort=False):
            several = len(targets[str(name)]) > 1
            for target, alike in same.groupby("car_target", sort=False):
                if several and target:
                    _put(row, columns, f"{name}_{str(target).lower()}", _telling(alike))
            of_target = same[same["sample_id"].isin(tubes_of_target)]
            chosen = of_target if len(of_target) else same
            # Of several targets none is preferred unless one was infused last.
            if chosen["car_target"].nunique() == 1:
                _put(row, columns, str(name), _telling(chosen))
            # What has a target is of interest in any tube, the rest in those of the target alone.
            shown = same if same["car_target"].any() else chosen
            for _, item in shown[shown.duplicated("car_target", keep=False)].iterrows():
                _put(row, columns, f"{name}_tube_{str(item['tube']).lower() or 'unnamed'}", item)
        rows.append(row)
    frame = pd.DataFrame.from_records(rows, columns=[*TIMEPOINTS, *columns])
    return frame.astype({name: "Int64" for name in columns if name.endswith("__n")})


def _telling(results: pd.DataFrame) -> pd.Series:
    """Return the first result that says something; the first where none does."""
    return results.iloc[int(results["status"].isin(_SILENT).argmin())]


def _target_infused_last(item: pd.Series, target_of_infusion: Mapping[tuple[str, int], str]) -> str:
    infusion = item["infusion"]
    number = 1 if pd.isna(infusion) else max(int(infusion), 1)
    return target_of_infusion.get((str(item["patient_id"]), number), "")


def _targets_by_measurement(reported: pd.DataFrame) -> dict[str, set[str]]:
    return {
        str(name): {target for target in same["car_target"] if target}
        for name, same in reported.groupby("measurement", sort=False)
    }


def _put(row: dict[str, object], columns: dict[str, None], name: str, item: pd.Series) -> None:
    row[name] = item["value"]
    columns[name] = None
    for suffix in BESIDE:
        row[f"{name}__{suffix}"] = item[_BESIDE_SOURCE.get(suffix, suffix)]
        columns[f"{name}__{suffix}"] = None
    for suffix in BESIDE_WHERE_KNOWN:
        known = item.get(_BESIDE_SOURCE.get(suffix, suffix))
        if suffix == "unit" and known not in _KIT_UNITS:
            continue
        if known and not pd.isna(known):
            row[f"{name}__{suffix}"] = known
            columns[f"{name}__{suffix}"] = None
