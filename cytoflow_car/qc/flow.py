"""Flow rate: stretches of time in which far fewer or far more events arrive than usual."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Values

Mask = npt.NDArray[np.bool_]

#: Usual events in a stretch of time: counting noise is then 8 %, far within the limits.
_EVENTS_A_STRETCH = 150
_FEWEST_STRETCHES = 10

#: The clock may wrap, and events that come at once may change places; a file whose Time runs
#: backwards more often than this does not lie in the order of acquisition.
_MOST_BACKWARD = 0.01


def runs_forward(time: Values) -> bool:
    """Tell whether Time runs, so that the order of events is that of acquisition."""
    if not time.size or not np.isfinite(time).all():
        return False
    steps = np.diff(time)
    backward = int(np.count_nonzero(steps < -1e-3 * np.ptp(time)))
    return bool(np.ptp(time) > 0) and backward <= max(2.0, _MOST_BACKWARD * time.size)


def find_disturbed_flow(time: Values, slowest: float, fastest: float) -> Mask:
    """Mark events in stretches of time whose rate is far from the median rate.

    A stretch is whole steps of the clock long and usually holds 150 events. Where one is beyond a
    limit, its neighbours are marked as far as they are beyond the limit's square root.

    Parameters
    ----------
    time
        (n_events,), as it runs; the unit is of no account.
    slowest, fastest
        Limits as multiples of the median rate.

    Returns
    -------
    (n_events,) bool; nothing is marked where the clock's steps are too long for ten stretches.
    """
    length = np.ptp(time)
    steps = np.diff(time)
    tick = float(np.min(steps[steps > 1e-9 * length], initial=length))
    width = tick * max(1.0, np.ceil(_EVENTS_A_STRETCH / time.size * length / tick))
    if length < _FEWEST_STRETCHES * width:
        return np.zeros(time.size, dtype=bool)
    # Long pauses make many empty stretches; beyond this they would only cost memory.
    width = max(width, length / (4 * time.size))
    # Half a step keeps events off the stretches' edges, where rounding would choose their side.
    stretch = ((time - time.min() + 0.5 * min(tick, width)) / width).astype(np.intp)
    counts = np.bincount(stretch).astype(np.float64)
    # The rate at which a typical event came, so that pauses are not the usual rate.
    usual = float(np.median(counts[counts > 0]))
    # The last stretch ends with the file, not with the flow.
    counts[-1] = max(counts[-1], usual)
    slow = _spread(counts < slowest * usual, counts < np.sqrt(slowest) * usual)
    fast = _spread(counts > fastest * usual, counts > np.sqrt(fastest) * usual)
    return np.asarray((slow | fast)[stretch])


def _spread(surely: Mask, perhaps: Mask) -> Mask:
    """Return the runs of `perhaps` that hold one of `surely`."""
    edges = np.diff(perhaps.astype(np.int8), prepend=0)
    run = np.cumsum(edges == 1) * perhaps
    chosen = np.zeros(int(run.max(initial=0)) + 1, dtype=bool)
    chosen[run[surely]] = True
    chosen[0] = False
    return np.asarray(chosen[run])
