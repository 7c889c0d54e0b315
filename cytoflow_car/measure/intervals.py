"""Exact intervals and tests for counted events.

Counting alone is covered: variation between runs, stains and people comes on top.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from scipy import special

from cytoflow_car.errors import MeasurementError
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a binomial share.

    Raises
    ------
    MeasurementError
        `trials` is 0 or smaller than `successes`.

    References
    ----------
    Clopper & Pearson, Biometrika 26 (1934) 404-413.

    Examples
    --------
    >>> interval = clopper_pearson(17, 20)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.621, 0.968)
    """
    _check(successes, trials)
    tail = (1.0 - confidence) / 2.0
    low = special.betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = (
        special.betaincinv(successes + 1, trials - successes, 1.0 - tail)
        if successes < trials
        else 1.0
    )
    return Interval(float(low), float(high))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval of a binomial share.

    References
    ----------
    Wilson, Journal of the American Statistical Association 22 (1927) 209-212.
    """
    _check(successes, trials)
    z = float(special.ndtri(0.5 + confidence / 2.0))
    share = successes / trials
    center = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z
        * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
        / (1 + z * z / trials)
    )
    # At the edges both parts are equal but for rounding.
    low = center - half if successes else 0.0
    high = center + half if successes < trials else 1.0
    return Interval(low, high)


def jeffreys(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Equal-tailed interval under Jeffreys' prior; 0 and 1 are included at the edges.

    References
    ----------
    Brown, Cai & DasGupta, Statistical Science 16 (2001) 101-133.
    """
    _check(successes, trials)
    tail = (1.0 - confidence) / 2.0
    a, b = successes + 0.5, trials - successes + 0.5
    low = float(special.betaincinv(a, b, tail)) if successes else 0.0
    high = float(special.betaincinv(a, b, 1.0 - tail)) if successes < trials else 1.0
    return Interval(low, high)


def ratio_of_counts(numerator: int, denominator: int, confidence: float = 0.95) -> Interval:
    """Exact interval of the ratio of two Poisson means, given their sum; high is inf over 0."""
    share = clopper_pearson(numerator, numerator + denominator, confidence)
    high = math.inf if share.high >= 1.0 else share.high / (1.0 - share.high)
    return Interval(share.low / (1.0 - share.low), high)


def difference_of_shares(
    share: float, interval: Interval, background: float, background_interval: Interval
) -> Interval:
    """Interval of a difference from the intervals of both parts (square-and-add).

    References
    ----------
    Zou & Donner, Statistics in Medicine 27 (2008) 1693-1702.
    """
    difference = share - background
    down = math.hypot(share - interval.low, background_interval.high - background)
    up = math.hypot(interval.high - share, background - background_interval.low)
    return Interval(difference - down, difference + up)


def exceeds_control(
    n_events: int, n_parent: int, control_events: int, control_parent: int, factor: float
) -> float:
    """One-sided exact p value that a specimen's rate is above `factor` times a control's.

    Given the sum of two Poisson counts, one of them is binomial.

    References
    ----------
    Przyborowski & Wilenski, Biometrika 31 (1940) 313-323.
    """
    if n_events == 0:
        return 1.0
    share = factor * n_parent / (factor * n_parent + control_parent)
    return float(special.betainc(n_events, control_events + 1, share))


def exceeds_expected(n_events: int, expected: float) -> float:
    """One-sided exact p value that a Poisson count is above a known expectation."""
    return 1.0 if n_events == 0 else float(special.gammainc(n_events, expected))


def median_interval(values: Values, confidence: float = 0.95) -> Interval:
    """Distribution-free interval of a median from order statistics.

    Parameters
    ----------
    values
        (n,) at least one value; with fewer than 6 the interval is the range and covers less.

    References
    ----------
    Hahn & Meeker, Statistical Intervals (1991), section 5.2.
    """
    tail = (1.0 - confidence) / 2.0
    lower = bisect_right(
        range(values.size), tail, key=lambda rank: special.bdtr(rank, values.size, 0.5)
    )
    lower = max(lower - 1, 0)
    upper = values.size - 1 - lower
    ordered = np.partition(values, (lower, upper))
    return Interval(float(ordered[lower]), float(ordered[upper]))


def events_for_chance(least: int, chance: float = 0.95) -> float:
    """Return the expected number of events that gives `chance` of seeing at least `least`.

    Examples
    --------
    >>> round(events_for_chance(20), 2)
    27.88
    """
    return float(special.gammaincinv(least, chance))


def _check(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials or trials == 0:
        raise MeasurementError(
            f"{successes} of {trials} events", expected="0 to n of n events, n above 0"
        )
