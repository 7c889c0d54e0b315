"""Single-stain controls of a folder: which file is which stain, and the matrix they give."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cytoflow_car.errors import SpilloverError, StudyError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.model.panel import Marker
from cytoflow_car.preprocess.compensation import fluorescence_channels
from cytoflow_car.preprocess.panel import assign_markers, bare_detector, is_compensated
from cytoflow_car.preprocess.spillover_estimation import (
    SpilloverEstimate,
    estimate_spillover,
    find_lit_detectors,
    usable_events,
)
from cytoflow_car.preprocess.stain_groups import LEAST_EVENTS, ControlEvents
from cytoflow_car.study.cells import read_table
from cytoflow_car.study.draft import find_files
from cytoflow_car.study.sheet import read_study

#: Roles in ``samples.csv`` of the files that this module reads.
STAIN_ROLES = ("single_stain", "compensation_beads")
#: What stands for a stain in a control without one.
UNSTAINED = "unstained"
SHEET = "controls.csv"

_COLUMNS = ("file", "detector")
_PULSE = re.compile(r"-[AHW]$", re.IGNORECASE)
_UNSTAINED_WORDS = {"unstained", "unst", "blank", "negative"}
#: Of top of scale; the last step of a logarithmic amplifier of 10 bits is this wide.
_TOP = 0.99


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who says what a file is: a detector or marker as written, or `UNSTAINED`."""

    detector: str
    by: str
    dataset: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SingleStains:
    """The matrix of a folder of controls.

    Attributes
    ----------
    estimate
        Matrix, standard errors, and what each control gave.
    files
        Name of the control of each detector, in the order of the matrix.
    unstained
        Name of the unstained control; empty where there is none.
    left_out
        Detectors without a control, which the matrix does not name.
    notes
        What a person said against the data, in words.
    """

    estimate: SpilloverEstimate
    files: tuple[str, ...]
    unstained: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def estimate_folder(
    folder: Path, *, unstained: Path | None = None, stains: Mapping[str, str] | None = None
) -> SingleStains:
    """Estimate spillover from a folder of single-stain controls.

    The detector of a control comes from `stains`, else from ``controls.csv`` or from the rows of
    ``samples.csv`` with a role of `STAIN_ROLES`, which then also say which files are controls, else
    from ``$PnS`` where one channel alone has a stain, and from the file's name; and from the data.
    Only `stains` may contradict the data.

    Parameters
    ----------
    unstained
        Control without a stain.
    stains
        Detector by name of the file, below `folder`.

    Raises
    ------
    SpilloverError
        A control lights no detector or another than is said, two light the same one, or one cannot
        be used.
    StudyError
        A sheet is wrong, names a file that is not there, or there are no controls.
    """
    given = {_below(folder, name): _Claim(told, "--stain") for name, told in (stains or {}).items()}
    if unstained is not None:
        given[unstained.resolve()] = _Claim(UNSTAINED, "--unstained")
    listed = _listed(folder)
    paths = sorted({*(listed or (path.resolve() for path in find_files(folder))), *given})
    if not paths:
        raise StudyError("no FCS or LMD file here", where=folder.name)
    samples = [
        read_fcs(path, listed[path].dataset if path in listed else None).events for path in paths
    ]
    detectors = choose_detectors(samples[0].channels)
    events = []
    for path, sample in zip(paths, samples, strict=True):
        try:
            events.append(take_control(sample, detectors))
        except SpilloverError as error:
            raise error.at(path.name) from None
    claims = []
    for path, sample in zip(paths, samples, strict=True):
        claim = given.get(path) or listed.get(path) or _guess(path, sample.channels, detectors)
        claims.append(claim and replace(claim, detector=_resolve(claim, sample, detectors, path)))
    dark = [index for index, claim in enumerate(claims) if claim and claim.detector == UNSTAINED]
    if len(dark) > 1:
        raise SpilloverError(
            f"{len(dark)} unstained controls: {', '.join(paths[index].name for index in dark)}",
            expected="at most one",
            advice=f"Name the one that counts in {SHEET}, with the stained ones",
        )
    stained = [index for index in range(len(paths)) if index not in dark]
    lit = find_lit_detectors(
        [events[index] for index in stained], events[dark[0]] if dark else None
    )
    found: dict[str, int] = {}
    notes = []
    for index, column in zip(stained, lit, strict=True):
        seen = None if column is None else detectors[column]
        detector, note = _settle(paths[index].name, claims[index], seen)
        if note:
            notes.append(note)
        if detector in found:
            raise SpilloverError(
                f"{paths[found[detector]].name} and {paths[index].name} are both controls of "
                f"{detector}",
                expected="one control a detector",
                advice=f"Name those that count in {SHEET}",
            )
        found[detector] = index
    if not found:
        raise StudyError("no single-stain control here", where=folder.name)
    named = [detector for detector in detectors if detector in found]
    columns = [detectors.index(detector) for detector in named]
    estimate = estimate_spillover(
        {detector: _only(events[found[detector]], columns) for detector in named},
        named,
        _only(events[dark[0]], columns) if dark else None,
        "single-stain controls",
    )
    return SingleStains(
        estimate,
        tuple(paths[found[detector]].name for detector in named),
        paths[dark[0]].name if dark else "",
        tuple(detector for detector in detectors if detector not in found),
        tuple(notes),
    )


def write_spillover(spillover: Spillover, path: Path) -> None:
    """Write a matrix as CSV: a header of detectors, then one row a detector."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(spillover.detectors)
        writer.writerows([f"{value:.6g}" for value in row] for row in spillover.matrix)


def choose_detectors(channels: Sequence[Channel]) -> tuple[str, ...]:
    """Return the fluorescence detectors, each in one pulse measure.

    Where a file has several measures, that of most detectors counts; of as many, the area.
    """
    names = [channels[index].detector for index in fluorescence_channels(tuple(channels))]
    endings = [name[-2:].upper() for name in names if _PULSE.search(name)]
    if not endings:
        return tuple(names)
    main = max(("-A", "-H"), key=endings.count)
    return tuple(name for name in names if name.upper().endswith(main))


def take_control(events: Events, detectors: Sequence[str]) -> ControlEvents:
    """Return the events of a control that can be used, in the given detectors.

    Raises
    ------
    SpilloverError
        A detector is not in the file, the file is compensated, or holds too few events.
    """
    done = [name for name in events.detectors if is_compensated(name)]
    if done:
        raise SpilloverError(
            f"channels that are compensated already: {', '.join(done)}", expected="a raw export"
        )
    by_name = {bare_detector(name): index for index, name in enumerate(events.detectors)}
    missing = [name for name in detectors if bare_detector(name) not in by_name]
    if missing:
        raise SpilloverError(
            f"no channel {', '.join(missing)}",
            expected="the detectors of the other controls",
            advice="Acquire all controls with one setup",
        )
    columns = [by_name[bare_detector(name)] for name in detectors]
    tops = _TOP * np.asarray([events.channels[index].range for index in columns])
    values = events.values[:, columns].astype(np.float64)
    scatter = events.values[:, _scatter(events.channels)].astype(np.float64)
    control = usable_events(values, scatter, tops)
    if len(control.values) < LEAST_EVENTS:
        raise SpilloverError(
            f"{len(control.values)} events that can be used", expected=f"at least {LEAST_EVENTS}"
        )
    return control


def find_detector(
    name: str, detectors: Sequence[str], channels: Sequence[Channel] = ()
) -> str | None:
    """Return the detector that a name means; None if none.

    The name is the detector's, with or without pulse ending, or that of a stain in `channels`.

    Raises
    ------
    PanelError
        Several stains fit.
    """
    wanted = bare_detector(name)
    for detector in detectors:
        if wanted in (bare_detector(detector), bare_detector(_PULSE.sub("", detector))):
            return detector
    stained = [channel for channel in channels if channel.detector in detectors]
    column = assign_markers(stained, [Marker(name, stains=(name,), optional=True)]).get(name)
    return None if column is None else stained[column].detector


def _scatter(channels: Sequence[Channel]) -> list[int]:
    """Return the columns of forward and side scatter; none where one is missing."""
    found = []
    for kind in (("FSC", "FS"), ("SSC", "SS")):
        of_kind = [
            index
            for index, channel in enumerate(channels)
            if bare_detector(channel.detector).startswith(kind)
            and not channel.detector.upper().endswith("-W")
        ]
        areas = [index for index in of_kind if channels[index].detector.upper().endswith("-A")]
        found += (areas or of_kind)[:1]
    return found if len(found) == 2 else []


def _listed(folder: Path) -> dict[Path, _Claim]:
    """Return what the folder's sheet says of its controls; empty where it has none."""
    if (folder / SHEET).is_file():
        faults: list[StudyError] = []
        table = read_table(folder / SHEET, _COLUMNS, _COLUMNS, faults)
        for cells in table.rows if table else ():
            cells.needed("file")
            cells.needed("detector")
        if faults or table is None:
            raise StudyError.of(faults)
        return {
            _below(folder, cells.text("file")): _Claim(cells.text("detector"), SHEET)
            for cells in table.rows
        }
    if not (folder / "samples.csv").is_file():
        return {}
    return {
        row.path.resolve(): _Claim(row.control_markers[0], "samples.csv", row.dataset)
        for row in read_study(folder).rows
        if row.role in STAIN_ROLES and row.path and row.control_markers and row.use == "report"
    }


def _below(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_file():
        raise StudyError(f"there is no file {name}", where=folder.name)
    return path


def _guess(path: Path, channels: Sequence[Channel], detectors: Sequence[str]) -> _Claim | None:
    """Return what the file's name and its stains say; None where they say nothing.

    Raises
    ------
    SpilloverError
        They contradict each other.
    """
    markers = {
        channel.detector: channel.marker
        for channel in channels
        if channel.detector in detectors
        and channel.marker
        and bare_detector(channel.marker) != bare_detector(channel.detector)
    }
    words = re.findall(r"[^\W_]+", path.stem)
    runs = {
        "".join(words[first:last]).upper()
        for first in range(len(words))
        for last in range(first + 1, len(words) + 1)
    }
    if _UNSTAINED_WORDS & {word.lower() for word in words}:
        return _Claim(UNSTAINED, "its name")
    # The longest name counts: a file of PE-Cy7 has the word PE too.
    named = {
        len(spelling): detector
        for detector in detectors
        for spelling in (bare_detector(_PULSE.sub("", detector)), bare_detector(detector))
        if spelling in runs
    }
    by_name = named[max(named)] if named else None
    by_stain = next(iter(markers)) if len(markers) == 1 else None
    if by_name and by_stain and by_name != by_stain:
        raise SpilloverError(
            f"its name says {by_name}, its $PnS says {by_stain}",
            where=path.name,
            advice=f"Say which with --stain or in {SHEET}",
        )
    if by_stain:
        return _Claim(by_stain, "$PnS")
    return _Claim(by_name, "its name") if by_name else None


def _resolve(claim: _Claim, sample: Events, detectors: Sequence[str], path: Path) -> str:
    if claim.detector.lower() == UNSTAINED:
        return UNSTAINED
    detector = find_detector(claim.detector, detectors, sample.channels)
    if detector is None:
        raise SpilloverError(
            f"{claim.by} says {claim.detector!r}",
            where=path.name,
            expected=f"{UNSTAINED} or one of {', '.join(detectors)}",
        )
    return detector


def _settle(name: str, claim: _Claim | None, seen: str | None) -> tuple[str, str]:
    """Return the detector of a control, and a note where a person is against the data."""
    if claim is None and seen is None:
        raise SpilloverError(
            "it lights no detector more than the others",
            where=name,
            expected="a stain that one detector sees best",
            advice=f"If it is the unstained control, name it with --unstained or in {SHEET}",
        )
    if claim is None:
        return str(seen), ""
    if seen is None or seen == claim.detector:
        return claim.detector, ""
    told = f"{claim.by} says {claim.detector}, but most of its events are brightest in {seen}"
    if claim.by == "--stain":
        return claim.detector, f"{name}: {told}"
    raise SpilloverError(
        told,
        where=name,
        advice=f"Files or tubes may be swapped; if not, --stain {name}={claim.detector} insists",
    )


def _only(control: ControlEvents, columns: Sequence[int]) -> ControlEvents:
    return ControlEvents(control.values[:, columns], control.scatter, control.saturated)
