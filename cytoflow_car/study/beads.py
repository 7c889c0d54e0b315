"""The calibration beads of a study: each bead file, and how calibrations drift."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from cytoflow_car.errors import CytoflowCarError, hide_files
from cytoflow_car.job import SampleFailure
from cytoflow_car.model.calibration import Calibration, CalibrationUse
from cytoflow_car.report.calibration import draw_beads
from cytoflow_car.study.calibration import calibrate_every_channel, peak_row
from cytoflow_car.study.records import SheetRow
from cytoflow_car.tables.kit_file import read_kit

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class BeadOutcome:
    """What came of one bead file.

    Attributes
    ----------
    calibrations
        One a channel.
    pictures
        PNG by channel, of those without a calibration too.
    failures
        Why there is none.
    crash
        Traceback of a bug.
    """

    row: SheetRow
    calibrations: tuple[Calibration, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    failures: tuple[SampleFailure, ...] = ()
    crash: str = ""

    @property
    def failure(self) -> SampleFailure | None:
        """The first failure."""
        return next(iter(self.failures), None)

    @property
    def uses(self) -> tuple[CalibrationUse, ...]:
        """The calibrations, as specimens take them."""
        return tuple(CalibrationUse(self.row.sample_id, item) for item in self.calibrations)


def calibrate_row(row: SheetRow, *, draw: bool, strict: bool) -> BeadOutcome:
    """Calibrate the channels of one bead file of the sheet.

    Errors become failures, and a bug one with its traceback, so that other files go on.
    """
    assert row.path is not None and row.kit is not None
    try:
        runs = calibrate_every_channel(row.path, read_kit(row.kit), row.dataset)
    except CytoflowCarError as error:
        return BeadOutcome(row, failures=(_failure(row, error),))
    except Exception as bug:
        if strict:
            raise
        crash_file = f"crashes/{row.sample_id}.txt"
        message = f"{row.sample_id}: {type(bug).__name__} inside cytoflow-car. Please report it"
        failure = SampleFailure(
            row.sample_id, "", "bug", f"{message} with {crash_file}", crash_file
        )
        crash = hide_files(traceback.format_exc(), _files(row))
        return BeadOutcome(row, failures=(failure,), crash=crash)
    return BeadOutcome(
        row,
        tuple(run.calibration for run in runs if run.calibration is not None),
        {
            run.detector: draw_beads(run.detector, run.values, run.found, run.calibration)
            for run in runs
            if draw
        },
        tuple(_failure(row, run.fault) for run in runs if run.fault is not None),
    )


def _failure(row: SheetRow, error: CytoflowCarError) -> SampleFailure:
    message = hide_files(str(error), _files(row))
    return SampleFailure(row.sample_id, "", error.code, f"{row.sample_id}: {message}")


def _files(row: SheetRow) -> dict[Path, str]:
    told = ((row.path, "the file"), (row.kit, "the kit file"))
    return {path: name for path, name in told if path is not None}


def calibration_rows(outcomes: list[BeadOutcome]) -> Iterator[Row]:
    """Yield the rows of ``calibrations.csv``, each beside the one before it of its channel.

    Days are counted from the study's first beads: dates of acquisition stay out of tables.
    """
    found = [(item.row.sample_id, own) for item in outcomes for own in item.calibrations]
    dates = [own.binding.acquired_on for _, own in found if own.binding.acquired_on is not None]
    first = date.fromisoformat(min(dates)) if dates else None
    before: dict[tuple[object, ...], tuple[str, Calibration]] = {}
    # Undated ones come last: nothing says what they came before.
    for sample_id, own in sorted(found, key=lambda item: item[1].binding.acquired_on or "9999"):
        bound = own.binding
        low, high = own.mfi_range
        key = (bound.instrument, bound.detector, bound.voltage, own.calibrator)
        row: Row = {
            "sample_id": sample_id,
            "kit": own.kit.name,
            "lot": own.kit.lot,
            "unit": own.converted_unit,
            "detector": bound.detector,
            "marker": bound.marker or "",
            "voltage": bound.voltage,
            "instrument": bound.instrument,
            "day": _days_since(first, bound.acquired_on),
            "n_events": own.n_events,
            "n_singlets": own.n_singlets,
            "n_peaks": len(own.peaks),
            "n_fitted": own.line.n_peaks,
            "slope": own.line.slope,
            "intercept": own.line.intercept,
            "r2": own.line.r2,
            "autofluorescence": None if own.mef is None else own.mef.autofluorescence,
            "mfi_low": low,
            "mfi_high": high,
            "kit_sha256": own.kit.sha256,
            "flags": ";".join(own.flags),
        }
        if key in before:
            earlier_id, earlier = before[key]
            row |= {
                "compared_with": earlier_id,
                "slope_change": own.line.slope - earlier.line.slope,
                "intercept_change": own.line.intercept - earlier.line.intercept,
                "drift_percent": _drift_percent(earlier, own),
            }
        before[key] = (sample_id, own)
        yield row


def bead_peak_rows(outcomes: list[BeadOutcome]) -> Iterator[Row]:
    """Yield the rows of ``bead_peaks.csv``."""
    for outcome in outcomes:
        for own in outcome.calibrations:
            facts = {"sample_id": outcome.row.sample_id, "detector": own.binding.detector}
            for number, item in enumerate(own.peaks, start=1):
                yield facts | peak_row(number, item)


def _drift_percent(before: Calibration, after: Calibration) -> float:
    """Return by how much one value means other molecules: in the middle of both ranges."""
    middle = np.exp(np.log([*before.mfi_range, *after.mfi_range]).mean(keepdims=True))
    one, other = (float(item.convert_values(middle)[0]) for item in (before, after))
    return 100.0 * (other / one - 1.0)


def _days_since(first: date | None, acquired_on: str | None) -> int | None:
    if first is None or acquired_on is None:
        return None
    return (date.fromisoformat(acquired_on) - first).days
