"""The matrices of a run against the single-stain controls of its batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.job import SampleResult
from cytoflow_car.model.events import Events, Spillover
from cytoflow_car.preprocess.spillover_estimation import (
    LARGEST_RESIDUAL,
    find_residuals,
)
from cytoflow_car.study.plan import StudyPlan
from cytoflow_car.study.records import SheetRow
from cytoflow_car.study.single_stains import STAIN_ROLES, UNSTAINED, find_detector, take_control

Row = dict[str, object]


def spillover_rows(plan: StudyPlan, results: Sequence[SampleResult]) -> Iterator[Row]:
    """Yield the rows of ``qc.csv`` that tell what the run's matrices leave of each single stain.

    A control serves the specimens of its batch unless `control_for` says otherwise. Each matrix
    that these were compensated with is checked once; a control that cannot be used is told in the
    column flag.
    """
    rows = {row.sample_id: row for row in plan.study.rows}
    controls = [
        row
        for row in plan.study.rows
        if row.role in STAIN_ROLES and row.use == "report" and row.sample_id in plan.hashes
    ]
    for control in controls:
        if _is_unstained(control):
            continue
        checked: list[tuple[str, Spillover]] = []
        for result in results:
            matrix = result.spillover
            if matrix is None or not _serves(control, rows[result.sample_id]):
                continue
            if any(name == result.template and _alike(matrix, old) for name, old in checked):
                continue
            checked.append((result.template, matrix))
            facts: Row = {
                "sample_id": control.sample_id,
                "template": result.template,
                "check": "spillover_residual",
                "batch": control.batch,
            }
            dark = next(
                (
                    other
                    for other in controls
                    if _is_unstained(other)
                    and other.role == control.role
                    and _serves(other, rows[result.sample_id])
                ),
                None,
            )
            try:
                yield from (facts | row for row in _residuals(control, dark, result, matrix))
            except (CytoflowCarError, OSError) as error:
                # Without its place: that may be a file's name, which tables never hold.
                told = error.problem if isinstance(error, CytoflowCarError) else error.strerror
                yield facts | {"value": told, "flag": "SPILLOVER_NOT_CHECKED"}


def _residuals(
    control: SheetRow, dark: SheetRow | None, result: SampleResult, matrix: Spillover
) -> Iterator[Row]:
    events = _read(control)
    marker = control.control_markers[0] if control.control_markers else ""
    detector = find_detector(
        result.detectors.get(marker, marker), matrix.detectors, events.channels
    )
    if detector is None:
        yield {
            "value": f"the matrix has no detector for control_marker {marker!r}",
            "flag": "SPILLOVER_NOT_CHECKED",
        }
        return
    found = find_residuals(
        take_control(events, matrix.detectors),
        matrix.detectors.index(detector),
        None if dark is None else take_control(_read(dark), matrix.detectors),
        np.asarray(np.linalg.inv(matrix.matrix), dtype=np.float64),
    )
    for other, residual in zip(matrix.detectors, found.slopes, strict=True):
        if other != detector:
            beyond = abs(residual) > LARGEST_RESIDUAL
            flags = (*(("SPILLOVER_RESIDUAL",) if beyond else ()), *found.flags)
            yield {
                "item": f"{detector} in {other}",
                "value": float(residual),
                "unit": "ratio",
                "limit": f"at most {LARGEST_RESIDUAL:g} on either side of 0",
                "flag": ";".join(flags),
            }


def _read(row: SheetRow) -> Events:
    assert row.path is not None  # it has a hash
    return read_fcs(row.path, row.dataset).events


def _is_unstained(row: SheetRow) -> bool:
    return tuple(marker.lower() for marker in row.control_markers) == (UNSTAINED,)


def _serves(control: SheetRow, row: SheetRow) -> bool:
    reach = control.control_for or ("batch",)
    if "batch" in reach:
        return bool(control.batch) and control.batch == row.batch
    if "patient" in reach:
        return bool(control.patient_id) and control.patient_id == row.patient_id
    return row.sample_id in reach


def _alike(one: Spillover, other: Spillover) -> bool:
    return one.detectors == other.detectors and np.array_equal(one.matrix, other.matrix)
