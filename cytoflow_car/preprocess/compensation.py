"""Compensation."""

from __future__ import annotations

import numpy as np

from cytoflow_car.errors import SpilloverError
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Spillover, Values
from cytoflow_car.preprocess.panel import bare_detector

#: Inverting a matrix with a larger condition number would multiply noise beyond use.
LARGEST_CONDITION = 1e4

_SCATTER_OR_TIME = ("FSC", "SSC", "FS", "SS", "TIME", "EVENT", "WIDTH", "HDRT")


def compensate(events: Events, spillover: Spillover | None) -> CompensatedEvents:
    """Compensate events; columns are computed when they are asked for.

    Parameters
    ----------
    events
        Stage RAW.
    spillover
        May name only some of the channels; the others stay as they are. None leaves all as they
        are.

    Returns
    -------
    Stage COMPENSATED.

    Raises
    ------
    SpilloverError
        The matrix names a detector that the file lacks, is singular or ill-conditioned, or holds a
        value that is not a finite number.
    """
    unmixing = np.eye(len(events.channels))
    if spillover is not None:
        columns = [_find(events.channels, name, spillover) for name in spillover.detectors]
        if len(set(columns)) < len(columns):
            raise SpilloverError(
                f"a detector stands twice: {', '.join(spillover.detectors)}",
                where=spillover.source,
                expected="each detector once",
            )
        unmixing[np.ix_(columns, columns)] = _invert(spillover)
    unmixing.setflags(write=False)
    return CompensatedEvents(events, unmixing)


def fluorescence_channels(channels: tuple[Channel, ...]) -> tuple[int, ...]:
    """Return the columns that measure fluorescence areas or heights, not scatter, width or time."""
    return tuple(
        index
        for index, channel in enumerate(channels)
        if not bare_detector(channel.detector).startswith(_SCATTER_OR_TIME)
        and not channel.detector.upper().endswith("-W")
    )


def _find(channels: tuple[Channel, ...], detector: str, spillover: Spillover) -> int:
    exact = [index for index, channel in enumerate(channels) if channel.detector == detector]
    alike = exact or [
        index
        for index, channel in enumerate(channels)
        if bare_detector(channel.detector) == bare_detector(detector)
    ]
    if len(alike) != 1:
        raise SpilloverError(
            f"detector {detector!r} of the spillover fits {len(alike)} channels of the file",
            where=spillover.source,
            expected="one of " + ", ".join(channel.detector for channel in channels),
        )
    return alike[0]


def _invert(spillover: Spillover) -> Values:
    matrix = np.asarray(spillover.matrix, dtype=np.float64)
    size = len(spillover.detectors)
    if matrix.shape != (size, size) or not np.isfinite(matrix).all():
        raise SpilloverError(
            f"matrix of shape {matrix.shape} for {size} detectors, or a value that is no number",
            where=spillover.source,
            expected=f"{size} × {size} finite numbers",
        )
    condition = float(np.linalg.cond(matrix))
    if not condition <= LARGEST_CONDITION:
        raise SpilloverError(
            f"matrix has condition number {condition:.3g}: two detectors cannot be told apart",
            where=spillover.source,
            expected=f"at most {LARGEST_CONDITION:g}",
            advice="Check the single-stain controls of the two most alike columns",
        )
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
