"""Whether a population falls into two by an antigen: the dip test and two normal components."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cytoflow_car.antigen.rules import AntigenCutoffs
from cytoflow_car.model.antigen import Heterogeneity, Mode
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.scale import Scale

# The test and the mixture look at no more values than this, evenly spaced by rank.
MOST_VALUES = 1000

# sqrt(n) times the dip of n uniform values is exceeded with these probabilities: from 100,000 draws
# of each n; between two n the logarithm of n interpolates.
_EXCEEDED = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)
_DIPS = {
    20: (0.2539, 0.3279, 0.3953, 0.4350, 0.4704, 0.5121, 0.5403, 0.6231),
    50: (0.2661, 0.3451, 0.4153, 0.4577, 0.4958, 0.5403, 0.5725, 0.6616),
    100: (0.2739, 0.3553, 0.4278, 0.4724, 0.5115, 0.5584, 0.5906, 0.6877),
    200: (0.2798, 0.3617, 0.4352, 0.4806, 0.5211, 0.5708, 0.6040, 0.7003),
    500: (0.2845, 0.3678, 0.4426, 0.4881, 0.5291, 0.5792, 0.6153, 0.7163),
    1000: (0.2875, 0.3712, 0.4471, 0.4931, 0.5348, 0.5847, 0.6210, 0.7288),
}


def describe_heterogeneity(
    values: Values,
    scale: Scale,
    to_unit: Callable[[Values], Values],
    cutoffs: AntigenCutoffs,
    seed: int,
) -> Heterogeneity:
    """Tell whether a population falls into two.

    Parameters
    ----------
    values
        (n,) data units, at least 20.
    scale
        Of the marker: on it both groups are nearly normal.
    to_unit
        Converts data units to the unit of the modes.
    seed
        Of the mixture's start.
    """
    # Takes a second to import, which a specimen without antigens need not wait for.
    from sklearn.mixture import GaussianMixture

    chosen = thin(np.sort(values), MOST_VALUES)
    scaled = scale.forward(_spread_ties(chosen))
    dip = dip_statistic(scaled)
    p = dip_probability(dip, scaled.size)
    column = scaled[:, None]
    one = GaussianMixture(1).fit(column)
    two = GaussianMixture(2, n_init=3, random_state=seed).fit(column)
    gain = float(one.bic(column) - two.bic(column))
    labels = two.predict(column)
    modes = []
    for part in np.argsort(two.means_[:, 0]):
        own = chosen[labels == part]
        value = float(to_unit(np.array([np.median(own)]))[0]) if own.size else math.nan
        fraction = own.size / chosen.size
        modes.append(Mode(fraction, None if math.isnan(value) else value))
    minor = 100.0 * min(mode.fraction for mode in modes)
    bimodal = p < cutoffs.dip_p and gain >= cutoffs.bic_gain and minor >= cutoffs.minor_percent
    return Heterogeneity(dip, p, gain, tuple(modes) if bimodal else (), bimodal)


def thin(ordered: Values, most: int) -> Values:
    """Return at most so many of some ordered values, evenly spaced by rank."""
    if ordered.size <= most:
        return ordered
    ranks = np.round(np.linspace(0, ordered.size - 1, most)).astype(np.intp)
    thinned: Values = ordered[ranks]
    return thinned


def _spread_ties(ordered: Values) -> Values:
    """Spread equal values up to the next one: a coarse number stands for what lies between."""
    distinct, counts = np.unique(ordered, return_counts=True)
    if distinct.size in (1, ordered.size):
        return ordered
    steps = np.append(np.diff(distinct), np.diff(distinct)[-1])
    within = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    spread: Values = np.repeat(distinct, counts) + within * np.repeat(steps, counts)
    return spread


def dip_probability(dip: float, n: int) -> float:
    """Return how probable so large a dip is without two modes; at least .001, at most 1."""
    sizes = np.log(np.array(list(_DIPS)))
    at = np.clip(np.log(n), sizes[0], sizes[-1])
    quantiles = [
        float(np.interp(at, sizes, column)) for column in zip(*_DIPS.values(), strict=True)
    ]
    scaled = dip * math.sqrt(n)
    if scaled < quantiles[0]:
        return 1.0
    return float(np.exp(np.interp(scaled, quantiles, np.log(_EXCEEDED))))


def dip_statistic(values: Values) -> float:
    """Return Hartigan's dip: the largest distance to the nearest unimodal distribution function.

    Parameters
    ----------
    values
        (n,) in any order, at least 2.

    Notes
    -----
    A unimodal distribution function is convex up to its mode and concave beyond it. The greatest
    convex minorant and the least concave majorant of the empirical function are drawn over an
    interval that shrinks to where they are furthest apart, until what lies outside departs more.

    References
    ----------
    Hartigan & Hartigan, Ann Stat 13 (1985) 70-84.
    """
    x, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    # In counts: the tops and the feet of the steps of the empirical function.
    tops = np.cumsum(counts).astype(np.float64)
    feet = tops - counts
    n = float(tops[-1])
    dip = 1.0
    low, high = 0, x.size - 1
    while low < high:
        span = np.arange(low, high + 1)
        convex = _hull(x, feet, span, -1.0)
        concave = _hull(x, tops, span, 1.0)
        minorant = np.interp(x[span], x[convex], feet[convex])
        majorant = np.interp(x[span], x[concave], tops[concave])
        at = np.union1d(convex, concave)
        gap = (majorant - minorant)[at - low]
        widest, place = float(gap.max()), int(at[np.argmax(gap)])
        if widest <= dip:
            break
        left, right = int(convex[convex <= place].max()), int(concave[concave >= place].min())
        outside = (
            (tops[span] - minorant)[span <= left].max(initial=0.0),
            (majorant - feet[span])[span >= right].max(initial=0.0),
        )
        dip = max(dip, *map(float, outside))
        if widest <= dip or (left, right) == (low, high):
            break
        low, high = left, right
    return dip / (2.0 * n)


def _hull(x: Values, y: Values, span: Rows, sign: float) -> Rows:
    """Return the vertices of the concave (sign 1) or convex (-1) hull of points over a span."""
    kept: list[int] = []
    for i in span.tolist():
        while len(kept) >= 2:
            a, b = kept[-2], kept[-1]
            # b is no vertex where it lies on the inner side of the chord from a to i.
            if sign * ((y[b] - y[a]) * (x[i] - x[b]) - (y[i] - y[b]) * (x[b] - x[a])) > 0:
                break
            kept.pop()
        kept.append(i)
    return np.asarray(kept, dtype=np.intp)
