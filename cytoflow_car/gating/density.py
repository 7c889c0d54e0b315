"""Peaks, valleys and the negative peak of one marker, which the placement methods share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

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
    """

    at: float
    depth: float
    surprise: float


def find_valleys(density: Density) -> list[Valley]:
    """List the minima between successive peaks, from low to high.

    Ripples are merged first: a peak that stands less than three standard deviations above the
    valley beside it is none.
    """
    counts = density.counts
    # A smoothed bin averages over about this many bins, which makes its noise smaller.
    effective = 2.0 * np.sqrt(np.pi) * density.bandwidth
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
                Valley(
                    at=_middle_of_flat(density, left, bottom, right),
                    depth=1.0 - float(counts[bottom] / min(counts[left], counts[right])),
                    surprise=rise,
                )
                for left, right, bottom, rise in zip(peaks, peaks[1:], bottoms, rises, strict=False)
            ]
        lower = weakest if counts[peaks[weakest]] < counts[peaks[weakest + 1]] else weakest + 1
        del peaks[lower]
    return []


def _surprise(peak: float, bottom: float, effective: float) -> float:
    return float((peak - bottom) * effective / np.sqrt((peak + bottom) * effective + 1.0))


def _middle_of_flat(density: Density, left: int, bottom: int, right: int) -> float:
    """Middle of the stretch that is as low as the valley within its own noise."""
    counts = density.counts
    level = counts[bottom] + 0.02 * (min(counts[left], counts[right]) - counts[bottom])
    first, last = bottom, bottom
    while first > left and counts[first - 1] <= level:
        first -= 1
    while last < right and counts[last + 1] <= level:
        last += 1
    return float((density.grid[first] + density.grid[last]) / 2.0)


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
