"""Mark badly acquired events: at the edge of the scale, or while flow or signal were disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Channel, Events, Values
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.qc.flow import find_disturbed_flow, runs_forward
from cytoflow_car.qc.peacoqc import find_odd_bins
from cytoflow_car.qc.signal import find_unstable_signal

Mask = npt.NDArray[np.bool_]

#: Events are looked at in blocks that stay in the processor's cache. A file's numbers may lie at
#: odd addresses, where each look is slow: then a block is copied first.
_BLOCK_EVENTS = 16_384

#: With fewer events there are too few stretches of time to compare.
_LEAST_FOR_FLOW = 1000

#: The cofactor of PeacoQC's scale for the usual top of 262144; in proportion for others.
_COFACTOR = 150.0


@dataclass(frozen=True, slots=True)
class AcquisitionSetting:
    """Limits of the acquisition checks.

    Attributes
    ----------
    method
        How signals are looked at in time: ``stretches`` (this program's own), ``peacoqc`` (the
        published method), or ``none``.
    slowest, fastest
        Flow rate of a stretch as a multiple of the file's median rate; outside, it is marked.
    least_shift
        A stretch is marked by ``stretches`` where at least this share of its events lies elsewhere.
    most_drift
        A file is flagged ``SIGNAL_DRIFT`` where a larger share moved between beginning and end.
    most_marked_percent
        A file that loses more is flagged ``QC_LOSS``.
    least_events
        A file with fewer is flagged ``FEW_EVENTS``.
    singlets, live
        Populations of single and of live cells; empty for those named ``singlets`` and ``live``,
        where the template has them.
    most_doublets_percent, most_dead_percent
        A file with more outside of them, of their parent, is flagged ``DOUBLETS``, ``DEAD_CELLS``.
    carry_over
        Measurements in percent: a specimen that is run directly after one in which one of them
        reaches `carry_over_percent` is flagged ``CARRY_OVER``.
    carry_over_percent
        The limit for them.
    """

    method: Literal["stretches", "peacoqc", "none"] = "stretches"
    slowest: float = 0.33
    fastest: float = 3.0
    least_shift: float = 0.1
    most_drift: float = 0.15
    most_marked_percent: float = 5.0
    least_events: int = 1000
    singlets: str = ""
    live: str = ""
    most_doublets_percent: float = 20.0
    most_dead_percent: float = 40.0
    carry_over: tuple[str, ...] = ()
    carry_over_percent: float = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of quality control.

    Attributes
    ----------
    name
        ``margin``, ``flow_rate``, ``signal``, ``not_finite``, ``events`` …
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
    signals: tuple[int, ...] = (),
    setting: AcquisitionSetting,
) -> AcquisitionReport:
    """Check one file's acquisition.

    Parameters
    ----------
    events
        Stage RAW, in acquisition order.
    time_channel
        Column of Time; None where the file has none: neither flow nor signals are then checked,
        since nothing says that events lie in the order of acquisition.
    columns
        An event that is not finite in one of them is marked.
    scatter
        Those of scatter: an event at either end of one of them is marked.
    signals
        Those that are looked at in time; none unless given.
    setting
        Limits.
    """
    not_finite, margin = _look_at_values(events, columns, scatter)
    disturbed = unstable = np.zeros(len(events), dtype=bool)
    unchecked = "NO_TIME"
    drift: tuple[Check, ...] = ()
    if time_channel is not None:
        time = events.column(time_channel)
        enough = len(events) >= _LEAST_FOR_FLOW and bool(not_finite.mean() < 0.5)
        unchecked = "" if enough and runs_forward(time) else "FLOW_NOT_CHECKED"
        if not unchecked:
            disturbed = find_disturbed_flow(time, setting.slowest, setting.fastest)
            looked_at = tuple(column for column in signals if column != time_channel)
            if looked_at:
                unstable, drift = _look_at_signals(events, looked_at, setting)
    marked = not_finite | margin | disturbed | unstable
    limit = f"at most {setting.most_marked_percent:g} % of events marked in all"
    checks = [
        Check(
            "events",
            len(events),
            "count",
            f"at least {setting.least_events}",
            "FEW_EVENTS" if len(events) < setting.least_events else "",
        ),
        Check("not_finite", _percent(not_finite), "%", limit),
        Check("margin", _percent(margin), "%", limit),
        Check("flow_rate", _percent(disturbed), "%", limit, unchecked),
        Check("signal", _percent(unstable), "%", limit, unchecked),
        *drift,
        Check(
            "marked",
            _percent(marked),
            "%",
            limit,
            "QC_LOSS" if _percent(marked) > setting.most_marked_percent else "",
        ),
    ]
    return AcquisitionReport(~marked, tuple(checks))


def check_populations(tree: PopulationTree, setting: AcquisitionSetting) -> Iterator[Check]:
    """Yield the percent of doublets and of dead cells, where the template tells of them.

    Raises
    ------
    GateError
        A population that the setting names is not in the tree.
    """
    for name, given, usual, most, flag in (
        ("doublets", setting.singlets, "singlets", setting.most_doublets_percent, "DOUBLETS"),
        ("dead_cells", setting.live, "live", setting.most_dead_percent, "DEAD_CELLS"),
    ):
        if not given and usual not in tree:
            continue
        inside = tree[given or usual]
        around = tree[inside.parent] if inside.parent is not None else inside
        if inside.placement is None or not around.count:
            continue
        outside = 100.0 * (1.0 - inside.count / around.count)
        limit = f"at most {most:g} % of {around.name} outside of {inside.name}"
        yield Check(name, outside, "%", limit, flag if outside > most else "")


def _look_at_values(
    events: Events, columns: tuple[int, ...], scatter: tuple[int, ...]
) -> tuple[Mask, Mask]:
    """Return which events are not finite, and which lie at an end of a scatter channel."""
    not_finite = np.zeros(len(events), dtype=bool)
    margin = np.zeros(len(events), dtype=bool)
    for begin in range(0, len(events), _BLOCK_EVENTS):
        block = np.require(events.values[begin : begin + _BLOCK_EVENTS], requirements="A")
        # NaN and infinity show in the extremes, so that nearly every block is done in one look.
        if not np.isfinite([block.min(), block.max()]).all():
            not_finite[begin : begin + _BLOCK_EVENTS] = ~np.isfinite(block[:, columns]).all(axis=1)
        for column in scatter:
            values, channel = block[:, column], events.channels[column]
            at_end = (values >= _top(channel.range)) | (values == _bottom(channel))
            margin[begin : begin + _BLOCK_EVENTS] |= at_end
    return not_finite, margin


def _look_at_signals(
    events: Events, looked_at: tuple[int, ...], setting: AcquisitionSetting
) -> tuple[Mask, tuple[Check, ...]]:
    match setting.method:
        case "none":
            return np.zeros(len(events), dtype=bool), ()
        case "peacoqc":
            tops = [events.channels[column].range for column in looked_at]
            cofactors = tuple(_COFACTOR * top / 262144.0 if top > 0 else _COFACTOR for top in tops)
            return find_odd_bins(events.values, looked_at, cofactors), ()
        case "stretches":
            found = find_unstable_signal(events.values, looked_at, setting.least_shift)
            detectors = [events.detectors[column] for column in looked_at]
            return found.marked, (_judge_drift(found.drift, detectors, len(events), setting),)


def _judge_drift(
    drift: Values, detectors: list[str], n_events: int, setting: AcquisitionSetting
) -> Check:
    # Four standard deviations of the difference of two shares of a fifth of the events each.
    limit = max(setting.most_drift, 4.0 * float(np.sqrt(2.5 / n_events)))
    most = int(np.argmax(drift))
    return Check(
        "signal_drift",
        float(drift[most]),
        "share",
        f"at most {limit:.2g} between first and last fifth; most in {detectors[most]}",
        "SIGNAL_DRIFT" if drift[most] > limit else "",
    )


def _top(value_range: float) -> float:
    """Return the highest value that a detector can give.

    A digitiser's is one step below ``$PnR``; a range of a few units is no digitiser's.
    """
    return value_range - 1.0 if value_range >= 256.0 else value_range


def _bottom(channel: Channel) -> float:
    """Return the lowest value that a digitiser can give; below 0 the scale goes on."""
    return (channel.offset or 1.0) if channel.decades else 0.0


def _percent(mask: Mask) -> float:
    return 100.0 * float(np.mean(mask)) if mask.size else 0.0
