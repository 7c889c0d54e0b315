"""A bead file and its kit, from events to the calibration and its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from cytoflow_car.calibration.fitting import calibrate
from cytoflow_car.calibration.peaks import FoundPeaks, find_peaks
from cytoflow_car.calibration.singlets import find_singlets
from cytoflow_car.errors import CalibrationError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.fcs.reader import hash_file
from cytoflow_car.model.calibration import BeadKit, Binding, CalibratedPeak, Calibration, KitChannel
from cytoflow_car.model.events import Channel, Events, Rows, Sample, Values
from cytoflow_car.report.calibration import draw_beads
from cytoflow_car.study.output_folder import refuse_results_folder
from cytoflow_car.tables.columns import BEAD_PEAKS
from cytoflow_car.tables.write import to_frame, write_csv

# Scatter and time are told by the names that cytometers give them.
_NOT_LIGHT = ("fsc", "ssc", "fs ", "ss ", "fs-", "ss-", "time", "width", "event")


@dataclass(frozen=True, slots=True, eq=False)
class BeadRun:
    """A bead file with what was found in it.

    Attributes
    ----------
    detector
        Calibrated channel.
    values
        (n_singlets,) its values of single beads.
    found
        Peaks, and to which each single bead belongs.
    calibration
        None where there is no number, and then `fault` says why.
    fault
        None where there is a calibration.
    """

    detector: str
    values: Values
    found: FoundPeaks
    calibration: Calibration | None
    fault: CalibrationError | None


def calibrate_beads(
    path: Path, kit: BeadKit, *, marker: str | None = None, detector: str | None = None
) -> BeadRun:
    """Calibrate a channel of a bead file with its kit.

    Parameters
    ----------
    path
        FCS file of beads.
    kit
        As `read_kit` returns it.
    marker, detector
        Which channel: by its stain (``CD22``, or ``CD22 PE``), or by its detector (``PE-A``). With
        neither, the only channel of the kit that the file has.

    Returns
    -------
    The run. Peaks that cannot be matched to levels are its `fault`; they can still be drawn.

    Raises
    ------
    CalibrationError
        The file has no such channel or no scatter, or the kit has no values for the channel.
    FcsError
        The file cannot be read.
    """
    sample = read_fcs(path)
    index, own = _choose(sample.events.channels, kit, marker, detector, path.name)
    return _calibrate_channel(sample, _find_single_beads(sample, path.name), index, kit, own, path)


def calibrate_every_channel(
    path: Path, kit: BeadKit, dataset: int | None = None
) -> tuple[BeadRun, ...]:
    """Calibrate every channel of a bead file that its kit has values for.

    Parameters
    ----------
    dataset
        From 1; None for the file's main one.

    Raises
    ------
    CalibrationError
        The file has none of the kit's channels, or no scatter.
    FcsError
        The file cannot be read.
    """
    sample = read_fcs(path, dataset)
    channels = sample.events.channels
    chosen = [
        _choose(channels, kit, None, item.detector, path.name)
        for item in channels
        if any(_is_of(item, own) for own in kit.channels)
    ]
    if not chosen:
        raise CalibrationError(
            f"none of its channels is one of the kit's: {', '.join(map(_names, channels))}",
            where=path.name,
            expected=f"one of {', '.join(item.name for item in kit.channels)}",
            advice="Name the channel in the kit as the file names its detector or stain",
        )
    rows = _find_single_beads(sample, path.name)
    return tuple(_calibrate_channel(sample, rows, index, kit, own, path) for index, own in chosen)


def _find_single_beads(sample: Sample, name: str) -> Rows:
    events = sample.events
    scatter = [events.column(_scatter(events, begin, name)) for begin in ("FS", "SS")]
    return np.flatnonzero(find_singlets(*scatter))


def _calibrate_channel(
    sample: Sample, rows: Rows, index: int, kit: BeadKit, own: KitChannel, path: Path
) -> BeadRun:
    events = sample.events
    channel = events.channels[index]
    values = events.column(index, rows)
    stem = _stem(channel.detector)
    others = {
        item.detector: events.column(number, rows)
        for number, item in enumerate(events.channels)
        if not item.detector.lower().startswith(_NOT_LIGHT) and _stem(item.detector) != stem
    }
    found = find_peaks(values, top=channel.range, others=others, wanted=len(own.levels))
    bound = Binding(
        channel.detector, channel.marker, channel.voltage, sample.instrument, sample.acquired_on
    )
    try:
        calibration = calibrate(
            found, kit, own, bound, n_events=len(events), n_singlets=int(rows.size)
        )
    except CalibrationError as fault:
        fault = fault.at(f"{path.name}, {channel.detector}")
        return BeadRun(channel.detector, values, found, None, fault)
    provenance = {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "beads_sha256": hash_file(path),
        "kit_sha256": kit.sha256,
    }
    calibration = replace(calibration, provenance=provenance)
    return BeadRun(channel.detector, values, found, calibration, None)


def _choose(
    channels: Sequence[Channel],
    kit: BeadKit,
    marker: str | None,
    detector: str | None,
    name: str,
) -> tuple[int, KitChannel]:
    """Return the column to calibrate, and the kit's values for it."""
    if detector is not None:
        fitting = [i for i, item in enumerate(channels) if item.detector == detector]
        asked = f"detector {detector}"
    elif marker is not None:
        fitting = [i for i, item in enumerate(channels) if _is_stain(item, marker)]
        # A bead file seldom names stains; the kit may name the detector's stain.
        asked = f"stain {marker}"
    else:
        fitting = [
            i for i, item in enumerate(channels) if any(_is_of(item, own) for own in kit.channels)
        ]
        asked = "channel of the kit"
    if len(fitting) != 1:
        has = ", ".join(
            _names(item) for item in (channels[i] for i in fitting or range(len(channels)))
        )
        raise CalibrationError(
            f"{len(fitting) or 'none'} of its channels {'are' if len(fitting) > 1 else 'is'} "
            f"the {asked}",
            where=name,
            expected=f"one of {has}",
            advice="Name one with --channel",
        )
    channel = channels[fitting[0]]
    own = [
        item
        for item in kit.channels
        if _is_of(channel, item) or (marker is not None and item.name.lower() == marker.lower())
    ]
    if len(own) != 1:
        raise CalibrationError(
            f"{len(own) or 'no'} channels of the kit are {_names(channel)}",
            where=f"kit {kit.name}",
            expected=f"one; it has {', '.join(item.name for item in kit.channels)}",
            advice="Name the channel in the kit as the detector or the stain is named in the file",
        )
    return fitting[0], own[0]


def _is_stain(channel: Channel, marker: str) -> bool:
    stain = (channel.marker or "").lower()
    return stain == marker.lower() or stain.split(" ")[0] == marker.lower()


def _is_of(channel: Channel, own: KitChannel) -> bool:
    return own.name == channel.detector or _is_stain(channel, own.name)


def _names(channel: Channel) -> str:
    return f"{channel.detector} ({channel.marker})" if channel.marker else channel.detector


def _stem(detector: str) -> str:
    """Return a detector without the ending of area, height or width."""
    head, dash, ending = detector.rpartition("-")
    return head if dash and ending in ("A", "H", "W") else detector


def _scatter(events: Events, begin: str, name: str) -> int:
    """Return the column of a scatter: its area, else the first of that name."""
    fitting = [
        index for index, item in enumerate(events.detectors) if item.upper().startswith(begin)
    ]
    if not fitting:
        raise CalibrationError(
            f"no channel begins with {begin}",
            where=name,
            expected="forward and side scatter, which tell single beads",
            advice="Acquire the beads with both scatters",
        )
    area = [index for index in fitting if events.detectors[index].upper().endswith("-A")]
    return (area or fitting)[0]


def write_calibration(run: BeadRun, out: Path) -> None:
    """Write ``beads.png``, and with a calibration ``peaks.csv`` and ``calibration.json``.

    Without a calibration, one of an earlier run is removed from the folder: it would pass for that
    of these beads.

    Raises
    ------
    StudyError
        `out` lies in a results folder.
    """
    refuse_results_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "beads.png").write_bytes(
        draw_beads(run.detector, run.values, run.found, run.calibration)
    )
    if run.calibration is None:
        for name in ("peaks.csv", "calibration.json"):
            (out / name).unlink(missing_ok=True)
        return
    rows = [peak_row(number, item) for number, item in enumerate(run.calibration.peaks, start=1)]
    write_csv(to_frame(rows, list(BEAD_PEAKS)), out / "peaks.csv")
    text = json.dumps(calibration_record(run.calibration), indent=2, allow_nan=False)
    (out / "calibration.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def peak_row(number: int, item: CalibratedPeak) -> dict[str, object]:
    """Return a row of ``peaks.csv``."""
    return {
        "peak": number,
        "level": ";".join(f"{level:g}" for level in item.levels),
        "events": item.peak.n_events,
        "mfi": item.peak.mfi,
        "cv_percent": item.peak.cv_percent,
        "fitted": "yes" if item.fitted else "no",
        "back_calculated": item.back_calculated,
        "deviation_percent": item.deviation_percent,
        "flags": ";".join(item.peak.flags),
    }


def calibration_record(calibration: Calibration) -> dict[str, Any]:
    """Return what ``calibration.json`` holds; nothing in it is from keywords that name a person."""
    low, high = calibration.mfi_range
    kit = calibration.kit
    return {
        "format": 1,
        "kit": {
            "name": kit.name,
            "lot": kit.lot,
            "unit": kit.unit,
            "indirect": kit.indirect,
            "channel": asdict(calibration.channel),
            "limits": asdict(kit.limits),
        },
        "binding": asdict(calibration.binding),
        "n_events": calibration.n_events,
        "n_singlets": calibration.n_singlets,
        "peaks": [asdict(item) for item in calibration.peaks],
        "line": asdict(calibration.line),
        "mef": None if calibration.mef is None else asdict(calibration.mef),
        "mfi_range": [low, high],
        "flags": calibration.flags,
        "provenance": dict(calibration.provenance),
    }
