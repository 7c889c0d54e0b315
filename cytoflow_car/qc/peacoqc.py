"""The published method PeacoQC: peaks of the density in bins of the run, and bins that are odd.

Written from the paper's description alone; where it leaves a choice open, the choice is told.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_smoothing_spline
from scipy.ndimage import gaussian_filter1d

from cytoflow_car.model.events import Values

Mask = npt.NDArray[np.bool_]
_Stored = npt.NDArray[np.float32] | npt.NDArray[np.float64]

#: Bins overlap by half: at least so many events each, at most so many bins.
_LEAST_EVENTS, _MOST_BINS = 150, 500
#: A peak is as high as this part of the highest one of its bin.
_PEAK_HEIGHT = 1 / 3
#: A peak is followed that is found in this part of the bins.
_LEAST_FOUND = 0.75
#: A split of the isolation tree gains so much, as a part of the spread.
_TREE_GAIN = 0.6
#: With fewer bins there is no tree.
_TREE_BINS = 150
#: Bins further off than so many median absolute deviations are odd.
_DEVIATIONS = 6.0
#: Fewer good bins in a row between odd ones are odd.
_CONSECUTIVE = 5
_GRID = 256


def find_odd_bins(values: _Stored, columns: tuple[int, ...], cofactors: tuple[float, ...]) -> Mask:
    """Mark events by PeacoQC.

    Parameters
    ----------
    values
        (n_events, n_columns), in acquisition order.
    columns
        Channels to look at.
    cofactors
        Of each channel: values are seen on the scale ``arcsinh(value / cofactor)``. The paper
        wants compensated values on a display scale; what changes in time shows in either.

    Returns
    -------
    (n_events,) bool: events all of whose bins are odd. Every event is in one or two bins.

    References
    ----------
    Emmaneel et al., Cytometry Part A 101 (2022) 325-338.
    Liu, Ting & Zhou, IEEE International Conference on Data Mining (2008) 413-422, for the tree.
    """
    n_events = values.shape[0]
    half = max(_LEAST_EVENTS, int(np.ceil(2 * n_events / (_MOST_BINS + 1)))) // 2
    n_halves = max(2, n_events // half)
    half_of = np.minimum(np.arange(n_events) // half, n_halves - 1)
    tracks: list[Values] = []
    for column, cofactor in zip(columns, cofactors, strict=True):
        seen = np.arcsinh(np.nan_to_num(values[:, column].astype(np.float64)) / cofactor)
        if np.ptp(seen) > 0:
            tracks.extend(_track_peaks(seen, half_of, n_halves))
    if not tracks:
        return np.zeros(n_events, dtype=bool)
    peaks = np.column_stack(tracks)
    odd = np.zeros(len(peaks), dtype=bool)
    if len(peaks) >= _TREE_BINS:
        odd = _isolate(peaks)
    odd |= _far_from_median(peaks, odd)
    odd = _drop_short_runs(odd)
    # A half belongs to the bin that begins with it and to the one before.
    good = np.zeros(n_halves, dtype=bool)
    good[:-1] |= ~odd
    good[1:] |= ~odd
    return np.asarray(~good[half_of])


def _track_peaks(seen: Values, half_of: npt.NDArray[np.intp], n_halves: int) -> list[Values]:
    """Return the place of each of a channel's peaks in every bin, (n_bins,) a peak.

    The density is a histogram of 256 classes, smoothed by a bandwidth after Silverman that all bins
    share. As many peaks are followed as most bins have; their places are the medians over those
    bins, and a bin that lacks one is given the median.
    """
    low, high = np.quantile(seen, (0.0005, 0.9995))
    if low == high:
        return []
    cell = np.clip((seen - low) / (high - low) * _GRID, 0, _GRID - 1).astype(np.intp)
    halves = np.bincount(half_of * _GRID + cell, minlength=n_halves * _GRID)
    halves = halves.reshape(n_halves, _GRID).astype(np.float64)
    bins = halves[:-1] + halves[1:]
    spread = min(seen.std(), float(np.subtract(*np.quantile(seen, (0.75, 0.25)))) / 1.34)
    spread = spread or float(seen.std())
    bandwidth = 0.9 * spread * (seen.size / len(bins)) ** -0.2 * _GRID / (high - low)
    density = gaussian_filter1d(bins, max(bandwidth, 1.0), axis=1, mode="constant")
    padded = np.pad(density, ((0, 0), (1, 1)))
    is_peak = (density > padded[:, :-2]) & (density >= padded[:, 2:])
    is_peak &= density > _PEAK_HEIGHT * density.max(axis=1, keepdims=True)
    numbers = is_peak.sum(axis=1)
    usual = int(np.bincount(numbers).argmax())
    if not usual:
        return []
    bin_of, place = np.nonzero(is_peak)
    at = low + (place + 0.5) / _GRID * (high - low)
    typical = np.median(at[np.isin(bin_of, np.flatnonzero(numbers == usual))].reshape(-1, usual), 0)
    nearest = np.abs(at[:, None] - typical).argmin(axis=1)
    tracks = []
    for number, middle in enumerate(typical):
        track = np.full(len(bins), middle)
        mine = nearest == number
        # Followed in fewer bins, the medians that stand in would be most of the track.
        if np.unique(bin_of[mine]).size < _LEAST_FOUND * len(bins):
            continue
        # Of several peaks the last written would win: let it be the nearest.
        order = np.argsort(-np.abs(at[mine] - middle), kind="stable")
        track[bin_of[mine][order]] = at[mine][order]
        tracks.append(track)
    return tracks


def _isolate(peaks: Values) -> Mask:
    """Return bins outside the largest leaf of a tree that splits where the spread falls most."""
    leaves, waiting = [], [np.arange(len(peaks))]
    while waiting:
        rows = waiting.pop()
        split = _best_split(peaks[rows])
        if split is None:
            leaves.append(rows)
        else:
            waiting += [rows[split], rows[~split]]
    odd = np.ones(len(peaks), dtype=bool)
    odd[max(leaves, key=len)] = False
    return odd


def _best_split(peaks: Values) -> Mask | None:
    """Return one side of the split that gains most; None where none gains enough."""
    n_bins = len(peaks)
    best, chosen = _TREE_GAIN, None
    if n_bins < 3:
        return None
    number = np.arange(1, n_bins)
    for track in peaks.T:
        spread = track.std()
        if spread < 1e-9:
            continue
        order = np.argsort(track, kind="stable")
        ranked = track[order] - track.mean()
        sums, squares = np.cumsum(ranked)[:-1], np.cumsum(ranked**2)[:-1]
        total, total_squares = ranked.sum(), np.sum(ranked**2)
        left = squares / number - (sums / number) ** 2
        rest = n_bins - number
        right = (total_squares - squares) / rest - ((total - sums) / rest) ** 2
        mean = 0.5 * (np.sqrt(np.maximum(left, 0.0)) + np.sqrt(np.maximum(right, 0.0)))
        gain = (spread - mean) / spread
        # Equal values stay on one side.
        gain[np.diff(ranked) <= 0] = 0.0
        if gain.max() > best:
            best = float(gain.max())
            chosen = np.zeros(n_bins, dtype=bool)
            chosen[order[: int(gain.argmax()) + 1]] = True
    return chosen


def _far_from_median(peaks: Values, odd: Mask) -> Mask:
    """Return bins whose smoothed peak lies far from the median of the bins that are not odd."""
    far = np.zeros(len(peaks), dtype=bool)
    kept = np.flatnonzero(~odd)
    for track in peaks.T:
        smooth = track[kept]
        if kept.size >= 5 and np.ptp(smooth) > 0:
            # The paper smooths by a spline; how much is left to generalised cross-validation here.
            smooth = make_smoothing_spline(kept.astype(np.float64), smooth)(kept)
        middle = np.median(smooth)
        deviation = 1.4826 * np.median(np.abs(smooth - middle))
        far[kept] |= np.abs(smooth - middle) > _DEVIATIONS * max(float(deviation), 1e-9)
    return far


def _drop_short_runs(odd: Mask) -> Mask:
    """Return odd bins with those good ones that stand in too short a run between odd ones."""
    edges = np.flatnonzero(np.diff(odd.astype(np.int8), prepend=0, append=0))
    result = odd.copy()
    for end, begin in zip(edges[1:-1:2], edges[2::2], strict=True):
        if begin - end < _CONSECUTIVE:
            result[end:begin] = True
    return result
