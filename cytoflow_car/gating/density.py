"""Peaks, valleys and the negative peak of one marker, which the placement methods share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage, special

from cytoflow_car.model.events import Values

_BINS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Smoothed histogram.

    Attributes
    ----------
    grid
        (n_bins,) centers of the bins, ascending.
    counts
        (n_bins,) smoothed number of events a bin.
    bandwidth
        Standard deviation of the smoothing, in bins.
    """

    grid: Values
    counts: Values
    bandwidth: float


def estimate_density(scaled: Values, *, smoothing: float = 1.0) -> Density:
    """Smooth the histogram of values on a scale.

    The bandwidth follows Silverman's rule on the narrower of standard deviation and interquartile
    range, halved, since the rule over-smooths what has two peaks.

    Parameters
    ----------
    scaled
        (n,) finite values, n >= 2.
    smoothing
        Multiplies the bandwidth.

    References
    ----------
    Silverman, Density Estimation for Statistics and Data Analysis (1986), section 3.4.
    """
    low, high = np.quantile(scaled, [0.0005, 0.9995])
    margin = 0.05 * (high - low) + 1e-6
    low, high = low - margin, high + margin
    width = (high - low) / _BINS
    inside = scaled[(scaled >= low) & (scaled < high)]
    counts = np.bincount(((inside - low) / width).astype(np.intp), minlength=_BINS)[:_BINS]
    quartiles = np.quantile(scaled, [0.25, 0.75])
    spread = min(float(np.std(scaled)), float(quartiles[1] - quartiles[0]) / 1.349)
    bandwidth = smoothing * 0.5 * 0.9 * spread * scaled.size**-0.2 / width
    bandwidth = min(max(bandwidth, 2.0), _BINS / 20)
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), bandwidth, mode="constant")
    return Density(low + width * (np.arange(_BINS) + 0.5), smooth, bandwidth)


@dataclass(frozen=True, slots=True)
class Valley:
    """A minimum between two peaks.

    Attributes
    ----------
    at
        Position on the scale.
    depth
        1 − (height of the valley / height of its lower neighbouring peak): 1 is empty, 0 is none.
    surprise
        By how many standard deviations (Poisson) the lower peak stands above the valley.
    lowest, highest
        Between them the density is no higher than at the bottom by more than its noise.
    above, below
        Events of the left peak that lie above the valley, and of the right one below it, if both
        peaks are normal and have equal parts of what lies at the bottom.
    """

    at: float
    depth: float
    surprise: float
    lowest: float
    highest: float
    above: float
    below: float


def find_valleys(density: Density) -> list[Valley]:
    """List the minima between successive peaks, from low to high.

    Ripples are merged first: a peak that stands less than three standard deviations above the
    valley beside it is none.
    """
    counts = density.counts
    effective = effective_bins(density)
    peaks = _turning_points(counts, np.greater)
    while len(peaks) > 1:
        bottoms = [
            left + int(np.argmin(counts[left : right + 1])) for left, right in pairwise(peaks)
        ]
        rises = [
            _surprise(min(counts[left], counts[right]), counts[bottom], effective)
            for left, right, bottom in zip(peaks, peaks[1:], bottoms, strict=False)
        ]
        weakest = int(np.argmin(rises))
        if rises[weakest] >= 3.0:
            return [
                _describe_valley(density, left, bottom, right, rise)
                for left, right, bottom, rise in zip(peaks, peaks[1:], bottoms, rises, strict=False)
            ]
        lower = weakest if counts[peaks[weakest]] < counts[peaks[weakest + 1]] else weakest + 1
        del peaks[lower]
    return []


def _surprise(peak: float, bottom: float, effective: float) -> float:
    return float((peak - bottom) * effective / np.sqrt((peak + bottom) * effective + 1.0))


def _describe_valley(
    density: Density, left: int, bottom: int, right: int, surprise: float
) -> Valley:
    counts = density.counts
    lower = float(min(counts[left], counts[right]))
    level = float(counts[bottom]) + 0.02 * (lower - float(counts[bottom]))
    first, last = _stretch(counts, left, bottom, right, level)
    at = float((density.grid[first] + density.grid[last]) / 2.0)
    effective = effective_bins(density)
    noise = float(np.sqrt(counts[bottom] * effective + 1.0)) / effective
    lowest, highest = _stretch(
        counts, left, bottom, right, max(level, float(counts[bottom]) + noise)
    )
    # One event more than was seen: an empty valley is not known to be empty.
    height = float(counts[bottom]) + 1.0 / effective
    middle = (first + last) / 2.0
    return Valley(
        at=at,
        depth=1.0 - float(counts[bottom]) / lower,
        surprise=surprise,
        lowest=float(density.grid[lowest]),
        highest=float(density.grid[highest]),
        above=_tail_beyond(float(counts[left]), middle - left, height / 2.0),
        below=_tail_beyond(float(counts[right]), right - middle, height / 2.0),
    )


def errors_at(scaled: Values, at: float) -> tuple[float, float]:
    """Return how many events of the lower peak lie above a cut, and of the higher peak below it.

    Either peak is the highest place of its side, taken to be normal, and has half of what lies at
    the cut. With fewer than 50 events, or all on one side, none.
    """
    if scaled.size < 50 or not scaled.min() < at < scaled.max() or np.ptp(scaled) == 0:
        return 0.0, 0.0
    density = estimate_density(scaled)
    cut = int(np.searchsorted(density.grid, at))
    if not 0 < cut < density.grid.size:
        return 0.0, 0.0
    left = int(np.argmax(density.counts[:cut]))
    right = cut + int(np.argmax(density.counts[cut:]))
    height = float(density.counts[cut]) + 1.0 / effective_bins(density)
    return (
        _tail_beyond(float(density.counts[left]), cut - left, height / 2.0),
        _tail_beyond(float(density.counts[right]), right - cut, height / 2.0),
    )


def effective_bins(density: Density) -> float:
    """Return over how many bins a smoothed one averages, which makes its noise smaller."""
    return float(2.0 * np.sqrt(np.pi) * density.bandwidth)


def _tail_beyond(peak: float, distance: float, height: float) -> float:
    """Events of a normal peak that lie beyond a place where so much of its height is left."""
    if min(peak, height) <= 0.0:
        return 0.0
    height = min(height, 0.99 * peak)
    deviations = float(np.sqrt(2.0 * np.log(peak / height)))
    mills = float(np.sqrt(np.pi / 2.0) * special.erfcx(deviations / np.sqrt(2.0)))
    return height * mills * distance / deviations


def _stretch(counts: Values, left: int, bottom: int, right: int, level: float) -> tuple[int, int]:
    """Return the ends of the stretch about the bottom that is no higher than a level."""
    first, last = bottom, bottom
    while first > left and counts[first - 1] <= level:
        first -= 1
    while last < right and counts[last + 1] <= level:
        last += 1
    return first, last


def _turning_points(counts: Values, compare: np.ufunc) -> list[int]:
    inner = compare(counts[1:-1], counts[:-2]) & (compare(counts[1:-1], counts[2:]))
    # Plateaus: equal to the right neighbour counts as turning at its first bin.
    inner |= compare(counts[1:-1], counts[:-2]) & (counts[1:-1] == counts[2:])
    return [int(index) + 1 for index in np.flatnonzero(inner)]


@dataclass(frozen=True, slots=True)
class NegativePeak:
    """Center and spread of the events that do not carry a marker.

    Attributes
    ----------
    center, spread
        Mode and standard deviation of the lower half, in data units.
    n_events
        Events that the estimate rests on.
    """

    center: float
    spread: float
    n_events: int


def find_negative_peak(values: Values, below: float) -> NegativePeak | None:
    """Estimate the negative peak from the events below a value that none of them passes.

    The spread comes from the side that faces away from the positive events, so a tail of dim
    positives does not widen it.

    Parameters
    ----------
    values
        (n,) data units.
    below
        Values at or above are not looked at.

    Returns
    -------
    None where fewer than 50 events remain or they have no width.
    """
    candidates = np.sort(values[values < below])
    if candidates.size < 50:
        return None
    center = _half_sample_mode(candidates)
    left = center - candidates[candidates <= center]
    # 68.3 % of a half-normal lies within one standard deviation.
    spread = float(np.quantile(left, 0.6827)) if left.size >= 10 else 0.0
    if spread <= 0:
        return None
    return NegativePeak(center, spread, int(candidates.size))


def _half_sample_mode(ascending: Values) -> float:
    """Mode by repeated choice of the shortest half; stops at 5 % of the events against noise.

    References
    ----------
    Bickel & Frühwirth, Computational Statistics & Data Analysis 50 (2006) 3500-3530.
    """
    values = ascending
    stop = max(20, ascending.size // 20)
    while values.size > stop:
        half = values.size // 2
        widths = values[half:] - values[: values.size - half]
        first = int(np.argmin(widths))
        values = values[first : first + half + 1]
    return float(np.median(values))
