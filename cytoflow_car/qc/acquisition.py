"""Mark badly acquired events: at the edge of the scale, or while the flow was disturbed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Events

Mask = npt.NDArray[np.bool_]

#: Events are looked at in blocks that stay in the processor's cache. A file's numbers may lie at
#: odd addresses, where each look is slow: then a block is copied first.
_BLOCK_EVENTS = 16_384

#: With fewer events there are too few stretches of time to compare.
_LEAST_FOR_FLOW = 1000


@dataclass(frozen=True, slots=True)
class AcquisitionSetting:
    """Limits of the acquisition checks.

    Attributes
    ----------
    slowest, fastest
        Flow rate of a stretch as a multiple of the file's median rate; outside, it is marked.
    most_marked_percent
        A file that loses more is flagged ``QC_LOSS``.
    least_events
        A file with fewer is flagged ``FEW_EVENTS``.
    """

    slowest: float = 0.25
    fastest: float = 4.0
    most_marked_percent: float = 5.0
    least_events: int = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of quality control.

    Attributes
    ----------
    name
        ``margin``, ``flow_rate``, ``not_finite``, ``events`` …
    value, unit
        What was found.
    limit
        What the template allows, in words.
    flag
        Empty where the finding is within the limit.
    """

    name: str
    value: float
    unit: str
    limit: str
    flag: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class AcquisitionReport:
    """Which events are kept, and why the others are not.

    Attributes
    ----------
    kept
        (n_events,) bool.
    checks
        One finding a check.
    """

    kept: Mask
    checks: tuple[Check, ...]


def check_acquisition(
    events: Events,
    *,
    time_channel: int | None,
    columns: tuple[int, ...],
    scatter: tuple[int, ...],
    setting: AcquisitionSetting,
) -> AcquisitionReport:
    """Check one file's acquisition.

    Parameters
    ----------
    events
        Stage RAW, in acquisition order.
    time_channel
        Column of Time; None where the file has none, and the flow rate is then not checked.
    columns
        An event that is not finite in one of them is marked.
    scatter
        Those of scatter: an event at the top of one of them is marked.
    setting
        Limits.
    """
    n_events = len(events)
    not_finite = np.zeros(n_events, dtype=bool)
    margin = np.zeros(n_events, dtype=bool)
    for begin in range(0, n_events, _BLOCK_EVENTS):
        block = np.require(events.values[begin : begin + _BLOCK_EVENTS], requirements="A")
        # NaN and infinity show in the extremes, so that nearly every block is done in one look.
        if not np.isfinite([block.min(), block.max()]).all():
            not_finite[begin : begin + _BLOCK_EVENTS] = ~np.isfinite(block[:, columns]).all(axis=1)
        for column in scatter:
            at_top = block[:, column] >= _top(events.channels[column].range)
            margin[begin : begin + _BLOCK_EVENTS] |= at_top
    disturbed = np.zeros(n_events, dtype=bool)
    unchecked = "NO_TIME"
    if time_channel is not None:
        time = events.column(time_channel)
        runs = n_events >= _LEAST_FOR_FLOW and bool(np.isfinite(time).all()) and np.ptp(time) > 0
        unchecked = "" if runs else "FLOW_NOT_CHECKED"
        if runs:
            disturbed = _disturbed_flow(time, setting)
    marked = not_finite | margin | disturbed
    limit = f"at most {setting.most_marked_percent:g} % of events marked in all"
    checks = [
        Check(
            "events",
            n_events,
            "count",
            f"at least {setting.least_events}",
            "FEW_EVENTS" if n_events < setting.least_events else "",
        ),
        Check("not_finite", _percent(not_finite), "%", limit),
        Check("margin", _percent(margin), "%", limit),
        Check("flow_rate", _percent(disturbed), "%", limit, unchecked),
        Check(
            "marked",
            _percent(marked),
            "%",
            limit,
            "QC_LOSS" if _percent(marked) > setting.most_marked_percent else "",
        ),
    ]
    return AcquisitionReport(~marked, tuple(checks))


def _top(value_range: float) -> float:
    """Return the highest value that a detector can give.

    A digitiser's is one step below ``$PnR``; a range of a few units is no digitiser's.
    """
    return value_range - 1.0 if value_range >= 256.0 else value_range


def _percent(mask: Mask) -> float:
    return 100.0 * float(np.mean(mask)) if mask.size else 0.0


def _disturbed_flow(time: npt.NDArray[np.float64], setting: AcquisitionSetting) -> Mask:
    """Mark events in stretches of time whose rate is far from the median rate."""
    # About 200 events a stretch: counting noise is then 7 %, far within the limits.
    n_stretches = int(np.clip(time.size // 200, 5, 500))
    stretch = ((time - time.min()) / np.ptp(time) * n_stretches).astype(np.intp)
    stretch = np.minimum(stretch, n_stretches - 1)
    counts = np.bincount(stretch, minlength=n_stretches)
    usual = np.median(counts[counts > 0])
    bad = (counts < setting.slowest * usual) | (counts > setting.fastest * usual)
    # The last stretch ends with the file, not with the flow.
    bad[-1] = False
    return np.asarray(bad[stretch])
