"""Peaks of beads on one channel, found without knowing how many there should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from cytoflow_car.model.calibration import BeadPeak
from cytoflow_car.model.events import Values

Labels = npt.NDArray[np.intp]

# Decades: width of a bin, and standard deviation of the smoothing, of half a narrow peak's width.
_BIN, _SMOOTH = 0.005, 4.0
# Between two peaks the density falls below this share of the lower one, and not by chance.
_VALLEY, _SIGNIFICANT = 0.6, 3.0
# What holds less than this share of a usual peak's events is debris or aggregates, no peak.
_LEAST_SHARE = 0.2
# A value that so many of a peak's events share lies at the end of the scale.
_PILE, _LEAST_PILE = 0.1, 20
# A peak that reaches this share of the range is bent, if not cut off.
_TOP = 0.9
# Robust standard deviations beyond which an event is not of its peak.
_TRIM = 3.5
# A pile holds a whole number of usual peaks, but for so much of one.
_UNEVEN = 0.3
#: So many times a usual peak's events, peaks may lie upon one another.
JOINED = 1.6


@dataclass(frozen=True, slots=True, eq=False)
class FoundPeaks:
    """Peaks of a channel.

    Attributes
    ----------
    peaks
        From the dimmest.
    labels
        (n_events,) number of the peak of each event, from 0; -1 of events between peaks.
    """

    peaks: tuple[BeadPeak, ...]
    labels: Labels

    @property
    def n_levels(self) -> int:
        """Levels that the peaks hold, those of piles counted by their events."""
        return sum(peak.n_joined for peak in self.peaks)


def bead_scale(values: Values) -> Values:
    """Bring values to decades: logarithmic, but linear around 0 where values are noise.

    How wide the linear part is comes from the values: three times the root mean square of the
    negative ones, and wide enough that stored integers do not stand apart. A gain shifts the
    result and changes nothing else.
    """
    linear = _cofactor(values)
    scaled: Values = np.arcsinh(values / linear) / np.log(10.0)
    return scaled


def _cofactor(values: Values) -> float:
    negative = values[values < 0]
    noise = 3.0 * float(np.sqrt(np.mean(negative**2))) if negative.size >= 20 else 0.0
    distinct = np.unique(values)
    steps = np.diff(distinct[: max(distinct.size // 4, 2)])
    step = 30.0 * float(np.median(steps)) if steps.size else 0.0
    highest = float(np.abs(values).max(initial=0.0)) or 1.0
    return max(noise, step, 1e-6 * highest)


def find_peaks(
    values: Values, *, top: float, others: Mapping[str, Values] | None = None, wanted: int = 0
) -> FoundPeaks:
    """Find the peaks of single beads.

    A peak is a mode of the smoothed density on `bead_scale` that falls to 60 % on both sides and
    holds at least a fifth of the events of the median peak. Its events lie between the valleys,
    within 3.5 robust standard deviations of its median.

    Dim peaks can lie upon one another. A peak with the events of several is then taken apart by
    the other channel that takes it apart furthest: beads of one level are one level on every
    channel. This is done only where fewer peaks than `wanted` were found.

    Parameters
    ----------
    values
        (n_events,) linear values of the calibrated channel.
    top
        Top of its scale.
    others
        Values of the other fluorescence channels, by name.
    wanted
        Levels of the kit; it never changes how modes are found.
    """
    modes = _label_modes(values)
    modes = _drop_small(modes)
    if others and 0 < int(modes.max(initial=-1)) + 1 < wanted:
        modes, told_by = _take_apart(modes, values, others)
    else:
        told_by = {}
    labels = np.full(values.size, -1, dtype=np.intp)
    scaled = bead_scale(values)
    peaks = []
    for number in range(int(modes.max(initial=-1)) + 1):
        rows = np.flatnonzero(modes == number)
        own = rows[_is_central(scaled[rows])]
        labels[own] = number
        flags = (f"PEAK_BY_OTHER_CHANNEL:{told_by[number]}",) if number in told_by else ()
        peaks.append(_describe(values[own], values, top, flags))
    return FoundPeaks(_count_piles(peaks), labels)


def _label_modes(values: Values) -> Labels:
    """Label each event with its mode, from the lowest; every event has one."""
    if not values.size:
        return np.zeros(0, dtype=np.intp)
    scaled = bead_scale(values)
    low = float(scaled.min()) - 20 * _BIN
    n_bins = int((float(scaled.max()) - low) / _BIN) + 21
    # From 1 to n_bins; a grid of its own, so that a gain moves it with the values.
    places = np.floor((scaled - low) / _BIN).astype(np.intp)
    density = gaussian_filter1d(
        np.bincount(places, minlength=n_bins).astype(np.float64), _SMOOTH, mode="constant"
    )
    tops = np.flatnonzero((density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])) + 1
    kept: list[int] = []
    for top in sorted(tops.tolist(), key=lambda place: -density[place]):
        if all(_is_apart(density, top, other) for other in kept):
            kept.append(top)
    kept.sort()
    cuts = [left + int(density[left:right].argmin()) for left, right in pairwise(kept)]
    modes: Labels = np.searchsorted(np.asarray(cuts, dtype=np.intp), places, side="left")
    return modes


def _is_apart(density: Values, place: int, other: int) -> bool:
    left, right = sorted((place, other))
    valley = float(density[left : right + 1].min())
    peak = float(density[place])
    # Events that the smoothing averages over.
    events = 2.0 * np.sqrt(np.pi) * _SMOOTH
    chance = np.sqrt(max((peak + valley) * events, 1.0))
    return valley <= _VALLEY * peak and (peak - valley) * events >= _SIGNIFICANT * chance


def _drop_small(modes: Labels) -> Labels:
    """Label events of modes that are too small with -1 and number the others anew."""
    sizes = np.bincount(modes[modes >= 0])
    if not sizes.size:
        return modes
    # The size above which most events are: many small modes of debris do not make peaks small.
    usual = _usual_size(sizes.tolist())
    kept = np.flatnonzero(sizes >= _LEAST_SHARE * usual)
    numbers = np.full(sizes.size + 1, -1, dtype=np.intp)
    numbers[kept] = np.arange(kept.size)
    renumbered: Labels = numbers[modes]
    return renumbered


def _usual_size(sizes: Sequence[int]) -> float:
    """Return the median size of the modes that hold at least 2 % of the events."""
    total = sum(sizes)
    return float(np.median([size for size in sizes if size >= 0.02 * total] or [0]))


def _take_apart(
    modes: Labels, values: Values, others: Mapping[str, Values]
) -> tuple[Labels, dict[int, str]]:
    """Split modes that hold the events of several by the channel that splits them furthest."""
    sizes = np.bincount(modes[modes >= 0])
    usual = float(np.median(sizes))
    parts: list[tuple[float, npt.NDArray[np.intp], str]] = []
    for number, size in enumerate(sizes):
        rows = np.flatnonzero(modes == number)
        best, channel = np.zeros(rows.size, dtype=np.intp), ""
        if size >= JOINED * usual and not _is_pile(values[rows], values):
            for name, other in others.items():
                found = _drop_small(_label_modes(other[rows]))
                if int(found.max(initial=0)) > int(best.max(initial=0)):
                    best, channel = found, name
        for part in range(int(best.max(initial=0)) + 1):
            own = rows[best == part]
            parts.append((float(np.median(values[own])), own, channel))
    parts.sort(key=lambda part: part[0])
    labels = np.full(modes.size, -1, dtype=np.intp)
    for number, (_, own, _) in enumerate(parts):
        labels[own] = number
    return labels, {number: name for number, (_, _, name) in enumerate(parts) if name}


def _is_central(scaled: Values) -> npt.NDArray[np.bool_]:
    median = float(np.median(scaled))
    # Values that are stored coarsely may nearly all be the same.
    deviation = max(1.4826 * float(np.median(np.abs(scaled - median))), 2 * _BIN)
    central: npt.NDArray[np.bool_] = np.abs(scaled - median) <= _TRIM * deviation
    return central


def _is_pile(own: Values, values: Values) -> bool:
    return any(_piled(own, end) for end in (float(values.min()), float(values.max())))


def _piled(own: Values, end: float) -> bool:
    n_piled = int(np.count_nonzero(own == end))
    return n_piled >= max(_LEAST_PILE, _PILE * own.size)


def _describe(own: Values, values: Values, top: float, flags: tuple[str, ...]) -> BeadPeak:
    added = list(flags)
    if _piled(own, float(values.max())) or np.percentile(own, 95) >= _TOP * top:
        added.append("PEAK_SATURATED")
    elif _piled(own, float(values.min())):
        added.append("PEAK_OFF_SCALE")
    if (own <= 0).any():
        # A geometric mean of what is left would be too high.
        return BeadPeak(own.size, float(np.median(own)), None, 1, (*added, "PEAK_NOT_POSITIVE"))
    logs = np.log(own)
    low, middle, high = np.percentile(own, [15.87, 50, 84.13])
    cv_percent = 100.0 * 0.5 * float(high - low) / float(middle)
    return BeadPeak(own.size, float(np.exp(logs.mean())), cv_percent, 1, tuple(added))


def _count_piles(peaks: Sequence[BeadPeak]) -> tuple[BeadPeak, ...]:
    """Count by events how many levels each pile at an end of the scale holds; 0 if unclear."""
    free = [peak.n_events for peak in peaks if not peak.is_cut]
    usual = float(np.median(free)) if free else 0.0
    counted = []
    for peak in peaks:
        share = peak.n_events / usual if usual else 0.0
        joined = round(share)
        if peak.is_cut and share >= JOINED:
            joined = joined if abs(share - joined) <= _UNEVEN else 0
            peak = replace(peak, n_joined=joined)
        counted.append(peak)
    return tuple(counted)
