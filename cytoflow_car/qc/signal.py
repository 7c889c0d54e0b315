"""Signal in time: stretches of the run whose values are not spread as in the rest of the file.

Each channel is cut at five of its own quantiles. How many events of a stretch fall between two
cuts is a matter of counting, whatever the channel's distribution, so that the noise of every
stretch is known beforehand, and what goes beyond it is no chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from cytoflow_car.model.events import Values

Mask = npt.NDArray[np.bool_]
_Stored = npt.NDArray[np.float32] | npt.NDArray[np.float64]
_Ints = npt.NDArray[np.intp]

#: A channel is cut at these quantiles, of no more than so many events, evenly spaced.
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_QUANTILE_EVENTS = 20_000
#: Events are looked at in blocks that stay in the processor's cache; whole cells of any size.
_BLOCK_EVENTS = 16_384
#: Events are counted by cells of a run of events; the smallest, and the most of them.
_CELL_EVENTS, _MOST_CELLS = 32, 8192
#: A stretch that is judged by itself has at least so many events; a smaller one says too little.
_LEAST_EVENTS = 128
#: The longest is this part of the file. How stretches vary is told up to a sixteenth of it, so
#: that most stretches of a length are good ones.
_LONGEST_PART, _PARTS = 4, 16
#: Quantile of the statistic that is taken for typical: below the median, since some are bad.
_TYPICAL = 0.35
#: Chance of one false stretch in a steady file.
_FALSE_ALARM = 3e-4
#: The edge of a stretch is sought until the evidence has fallen by so much (natural logarithm).
_DROP = 12.0
#: A stretch begins and ends with a step of this part of its height; a drift has no step.
_EDGE = 0.5
_PASSES = 12


@dataclass(frozen=True, slots=True, eq=False)
class SignalFinding:
    """What was found of the signal in time.

    Attributes
    ----------
    marked
        (n_events,) bool.
    drift
        (n_channels,): largest difference between the first and the last fifth of the run in the
        share of events below a cut, marked events left out.
    """

    marked: Mask
    drift: Values


def find_unstable_signal(
    values: _Stored, columns: tuple[int, ...], least_shift: float
) -> SignalFinding:
    """Mark stretches of a run in which a channel's values are spread otherwise than usual.

    Stretches of 128 events up to a sixteenth of the file are compared with the median of the file
    by Pearson's statistic. A stretch is marked where that is beyond chance, also beyond how
    stretches of its length vary in this file, and where at least `least_shift` of its events lie
    on another side of a cut. So a slow drift marks nothing, and of a file that changes halfway
    nothing is marked, since none can say which half is right; both show in `drift`.

    Parameters
    ----------
    values
        (n_events, n_columns), in acquisition order; at least 1000 events.
    columns
        Channels to look at.
    least_shift
        Smallest difference that is marked, as a share of a stretch's events (Kolmogorov's
        distance at the cuts).

    References
    ----------
    Kovács, Bühlmann, Li & Munk, Biometrika 110 (2023) 249-256, for the choice of stretches.
    Altschul et al., Nucleic Acids Research 25 (1997) 3389-3402, for edges sought until the
    evidence drops.
    """
    n_events = values.shape[0]
    size = _CELL_EVENTS
    while n_events // size > _MOST_CELLS:
        size *= 2
    counts = count_between_cuts(values, columns, size)
    bad = np.zeros(len(counts), dtype=bool)
    for _ in range(_PASSES):
        found = list(_find_stretches(counts, bad, size, least_shift))
        for begin, end in found:
            bad[begin:end] = True
        if not found:
            break
    # An edge lies somewhere within its cell.
    wider = bad.copy()
    wider[1:] |= bad[:-1]
    wider[:-1] |= bad[1:]
    marked = np.repeat(wider, size)
    # What is left over at the end is too little to be judged by itself.
    rest = np.full(n_events - marked.size, wider[-1])
    return SignalFinding(np.concatenate([marked, rest]), _measure_drift(counts, wider))


def count_between_cuts(
    values: _Stored, columns: tuple[int, ...], size: int
) -> npt.NDArray[np.int16]:
    """Count the events of each cell between a channel's cuts.

    Returns
    -------
    (n_cells, n_channels, n_cuts + 1), each cell `size` events; events that are left over at the
    end are not counted.
    """
    n_cells = len(values) // size
    step = max(1, len(values) // _QUANTILE_EVENTS)
    sample = values[::step][:, columns]
    sample = sample[np.isfinite(sample).all(axis=1)]
    cuts = np.quantile(sample, _QUANTILES, axis=0, method="inverted_cdf").T.astype(values.dtype)
    above = np.zeros((n_cells, len(columns), len(_QUANTILES) + 2), dtype=np.int16)
    above[:, :, 0] = size
    for begin in range(0, n_cells * size, _BLOCK_EVENTS):
        end = min(begin + _BLOCK_EVENTS, n_cells * size)
        cells = slice(begin // size, end // size)
        for number, column in enumerate(columns):
            channel = np.array(values[begin:end, column])
            for level, cut in enumerate(cuts[number], start=1):
                with np.errstate(invalid="ignore"):
                    words = np.packbits(channel > cut).view(np.uint32)
                ones = np.bitwise_count(words).reshape(-1, size // 32)
                above[cells, number, level] = ones.sum(axis=1, dtype=np.int16)
    return above[:, :, :-1] - above[:, :, 1:]


def _find_stretches(
    counts: npt.NDArray[np.int16], bad: Mask, size: int, least_shift: float
) -> Iterator[tuple[int, int]]:
    """Yield runs of cells that differ from the others, the clearest first, none twice."""
    good = counts.astype(np.float64)
    good[bad] = 0.0
    n_events = np.concatenate([[0.0], np.cumsum(np.where(bad, 0.0, size))])
    sums = np.concatenate([np.zeros((1, *good.shape[1:])), np.cumsum(good, axis=0)])
    usual = _usual_shares(sums, n_events)
    clear: list[tuple[float, int, int]] = []
    windows = list(_windows(len(counts), size))
    n_tests = sum(len(begins) for begins, _ in windows) * counts.shape[1]
    degrees = np.maximum((usual > 0).sum(axis=1) - 1, 1)
    limit = chi2.isf(_FALSE_ALARM / n_tests, degrees)
    varies = np.ones(counts.shape[1])
    for begins, length in windows:
        ends = begins + length
        inside = n_events[ends] - n_events[begins]
        judged = inside >= max(_LEAST_EVENTS, 0.5 * length * size)
        if not judged.any():
            continue
        begins, ends, inside = begins[judged], ends[judged], inside[judged, None, None]
        expected = inside * usual
        excess = sums[ends] - sums[begins] - expected
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(expected > 0, excess**2 / expected, 0.0)
        statistic = terms.sum(axis=2)
        shift = np.abs(np.cumsum(excess, axis=2) / inside).max(axis=2)
        # Slow changes weigh on a stretch in proportion to its length.
        varies = 1.0 + 2.0 * (varies - 1.0)
        if length * _PARTS <= len(counts) or length * size <= _LEAST_EVENTS:
            typical = np.quantile(statistic, _TYPICAL, axis=0)
            varies = np.maximum(1.0, typical / chi2.ppf(_TYPICAL, degrees))
        ratio = np.where(shift >= least_shift, statistic / (varies * limit), 0.0).max(axis=1)
        clear.extend(
            (float(ratio[number]), int(begins[number]), int(ends[number]))
            for number in np.flatnonzero(ratio > 1.0)
        )
    taken = bad.copy()
    no_edge: dict[int, Mask] = {}
    for _, begin, end in sorted(clear, key=lambda item: -item[0]):
        seen = no_edge.setdefault(end - begin, np.zeros_like(bad))
        if (taken & ~bad)[begin:end].any() or seen[begin:end].all():
            continue
        evidence, core = _weigh(good, sums, n_events, usual, (begin, end))
        first, last = core - _reach(evidence[:core][::-1]), core + 1 + _reach(evidence[core + 1 :])
        if (taken & ~bad)[first:last].any():
            continue
        if _has_edges(evidence, bad, first, last):
            taken[first:last] = True
            yield first, last
        else:
            seen[min(first, begin) : max(last, end)] = True


def _windows(n_cells: int, size: int) -> Iterator[tuple[_Ints, int]]:
    """Yield (begins, length) of stretches in cells: lengths double, steps are a quarter of them."""
    length = max(1, _LEAST_EVENTS // size)
    while length <= max(n_cells // _LONGEST_PART, _LEAST_EVENTS // size):
        yield np.arange(0, n_cells - length + 1, max(1, length // 4)), length
        length *= 2


def _usual_shares(sums: Values, n_events: Values) -> Values:
    """Return the median share of events between cuts, over sixteenths of what is not marked."""
    at = np.searchsorted(n_events, np.linspace(0, n_events[-1], _PARTS + 1))
    parts = np.diff(sums[at], axis=0) / np.maximum(np.diff(n_events[at]), 1.0)[:, None, None]
    below = np.median(np.cumsum(parts, axis=2), axis=0)
    shares = np.diff(below, axis=1, prepend=0.0)
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12))


def _weigh(
    good: Values, sums: Values, n_events: Values, usual: Values, window: tuple[int, int]
) -> tuple[Values, int]:
    """Weigh each cell's evidence for the window's shares against the usual ones.

    Returns
    -------
    evidence
        (n_cells,) logarithm of the likelihood ratio; 0 where the cell is marked already.
    core
        The cell of the window with most evidence.
    """
    begin, end = window
    inside = n_events[end] - n_events[begin]
    shares = (sums[end] - sums[begin] + usual) / (inside + 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.where((usual > 0) & (shares > 0), np.log(shares / usual), 0.0)
    # Channels that stay as they are would only add noise.
    gain = (shares * weights).sum(axis=1)
    weights[gain < 0.25 * gain.max()] = 0.0
    evidence = np.tensordot(good, weights, 2)
    return evidence, begin + int(np.argmax(evidence[begin:end]))


def _has_edges(evidence: Values, bad: Mask, begin: int, end: int) -> bool:
    """Tell whether a stretch sets itself off from what is beside it, as no slow drift does."""
    reach = int(np.clip(end - begin, 1, max(1, len(evidence) // _PARTS)))
    rest = ~bad
    rest[begin:end] = False
    usual = evidence[rest].mean() if rest.any() else 0.0
    height = evidence[begin:end][~bad[begin:end]].mean() - usual
    edges = []
    for inside, outside in (
        (slice(begin, begin + reach), slice(max(0, begin - reach), begin)),
        (slice(end - reach, end), slice(end, end + reach)),
    ):
        inner, outer = evidence[inside][~bad[inside]], evidence[outside][~bad[outside]]
        if inner.size and outer.size:
            edges.append(inner.mean() - outer.mean())
    return bool(edges) and float(np.mean(edges)) >= _EDGE * height


def _reach(evidence: Values) -> int:
    """Return how many cells outwards raise the evidence most, before it first drops far."""
    if not evidence.size:
        return 0
    total = np.cumsum(evidence)
    highest = np.maximum.accumulate(np.maximum(total, 0.0))
    dropped = np.flatnonzero(total < highest - _DROP)
    total = total[: dropped[0]] if dropped.size else total
    if not total.size or total.max() <= 0:
        return 0
    return int(np.argmax(total)) + 1


def _measure_drift(counts: npt.NDArray[np.int16], bad: Mask) -> Values:
    kept = counts[~bad]
    fifth = len(kept) // 5
    if not fifth:
        return np.zeros(counts.shape[1])
    ends = [part.sum(axis=0, dtype=np.float64) for part in (kept[:fifth], kept[-fifth:])]
    first, last = (np.cumsum(part, axis=1) / part.sum(axis=1, keepdims=True) for part in ends)
    return np.asarray(np.abs(first - last).max(axis=1))
