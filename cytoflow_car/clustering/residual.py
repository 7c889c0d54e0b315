"""Residual blasts against the patient's own baseline: a density ratio, and its false positives.

A classifier that tells the baseline's blasts from normal events estimates the logarithm of the
ratio of their densities. It is kernel logistic regression on a subset of kernels; both classes are
blurred by how far populations move between specimens, so that it does not lean on positions that
the next specimen will not repeat. It is trained twice, with and without the antigens that treatment
aims at, so that their loss hides nothing; an event counts where either ratio passes its threshold.

The thresholds rest on normal events of specimens that the classifier did not see. Their share above
a threshold, times the normal events of the same kind in the specimen, is what false positives are
to be expected. The lowest threshold is taken that keeps the limit of detection where the assay
wants it.

References
----------
Sugiyama, Suzuki & Kanamori, Density Ratio Estimation in Machine Learning (2012), chapter 4, for the
ratio. Williams & Seeger, Advances in Neural Information Processing Systems 13 (2001), for the
subset of kernels. CLSI EP17-A2 (2012) for the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cytoflow_car.clustering.components import Floats, blocks
from cytoflow_car.model.clusters import BaselineBlasts, FalsePositives
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import Reference

_N_KERNELS = 300
_KERNEL_WIDTH = 0.25
_PENALTY = 30.0
# Both classes are blurred by this share of the usual standard deviation between specimens.
_BLUR = 0.7
# Held-out specimens are judged by classifiers of the others; so many groups of specimens.
_GROUPS = 4
# The tail of a population's held-out scores is extrapolated from its highest so many events, and no
# more than this part of them.
_TAIL_EVENTS, _TAIL_PART = 20, 10
# Standard deviation of ln of the false positives between specimens that is assumed at least.
_LEAST_VARIATION = 0.5
# Numbers of allowed false positives that are tried.
_THRESHOLDS = 60
#: Normal precursors that may be taken for something between normal and blast.
_AMBIGUOUS_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class DensityRatio:
    """Log ratio of the density of blasts to that of normal events.

    Attributes
    ----------
    markers
        Columns that it looks at.
    center, spread
        (n_markers,) what each is standardised by.
    kernels
        (n_kernels, n_markers) centers, standardised.
    weights, constant
        Of the kernels.
    """

    markers: npt.NDArray[np.intp]
    center: Floats
    spread: Floats
    kernels: Floats
    weights: Floats
    constant: float

    def score(self, values: Floats) -> Floats:
        """Return the log ratio of each event, (n_events,); `values` are aligned, all markers."""
        scores: Floats = np.empty(len(values), dtype=np.float32)
        for rows in blocks(len(values)):
            near = _kernel(self._standardised(values[rows]), self.kernels)
            scores[rows] = near @ self.weights + np.float32(self.constant)
        return scores

    def _standardised(self, values: Floats) -> Floats:
        return np.asarray((values[:, self.markers] - self.center) / self.spread, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ResidualScores:
    """The ratios of one patient, before a specimen is known.

    Attributes
    ----------
    ratios
        With all markers, and without the targeted antigens.
    held_out
        (n_reference_events, n_ratios) of each reference event by classifiers that did not see its
        specimen.
    held_out_blasts
        (n_blasts, n_ratios) of the baseline's blasts, judged likewise.
    """

    ratios: tuple[DensityRatio, ...]
    held_out: Floats
    held_out_blasts: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Blasts of one specimen.

    Attributes
    ----------
    blasts, ambiguous
        (n_events,) bool: above a threshold; below it, but too near for a normal cell.
    false_positives
        What the thresholds let through.
    """

    blasts: npt.NDArray[np.bool_]
    ambiguous: npt.NDArray[np.bool_]
    false_positives: FalsePositives


def fit_ratio(
    normal: Floats, blasts: Floats, markers: npt.NDArray[np.intp], blur: Values, seed: int
) -> DensityRatio:
    """Learn the log ratio of two samples of events.

    Parameters
    ----------
    normal, blasts
        (n, n_markers) aligned.
    markers
        Columns to look at.
    blur
        (n_markers,) standard deviation of the noise that is laid over both samples.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    both = np.concatenate([normal, blasts])
    noise = rng.standard_normal(both.shape, dtype=np.float32) * blur.astype(np.float32)
    both = (both + noise)[:, markers]
    is_blast = np.arange(len(both)) >= len(normal)
    center = both.mean(axis=0)
    spread = np.maximum(both.std(axis=0), 1e-6)
    standard = np.asarray((both - center) / spread, dtype=np.float32)
    # As many kernels on blasts as on normal events: where they meet is where it matters.
    halves = [
        rng.permutation(np.flatnonzero(own))[: _N_KERNELS // 2] for own in (is_blast, ~is_blast)
    ]
    kernels = standard[np.concatenate(halves)]
    whitening = _inverse_root(_kernel(kernels, kernels))
    fit = LogisticRegression(C=_PENALTY, max_iter=300).fit(
        _kernel(standard, kernels) @ whitening, is_blast
    )
    weights = (whitening @ fit.coef_[0].astype(np.float32)).astype(np.float32)
    return DensityRatio(
        markers,
        center.astype(np.float32),
        spread.astype(np.float32),
        kernels,
        weights,
        float(fit.intercept_[0]),
    )


def learn_residual(
    reference: Reference, baseline: BaselineBlasts, antigens: Sequence[str], seed: int
) -> ResidualScores:
    """Learn the ratios of a patient from the reference and the patient's own baseline.

    Parameters
    ----------
    antigens
        Markers that treatment aims at; one ratio leaves them out.
    """
    everything = np.arange(len(reference.markers))
    targeted = [reference.index(name) for name in antigens if name in reference.marker_names]
    sets = [everything, np.delete(everything, targeted)] if targeted else [everything]
    blur = _BLUR * np.sqrt(np.median([item.between for item in reference.populations], axis=0))
    normal = np.concatenate([reference.events, baseline.normal_events])
    # The patient's own normal cells help to learn, but no threshold rests on them.
    of_group = reference.event_specimens % _GROUPS
    own = np.full(len(baseline.normal_events), -1)
    normal_group = np.concatenate([of_group, own])
    blast_group = np.arange(len(baseline.events)) % _GROUPS
    ratios, held_out, held_out_blasts = [], [], []
    for markers in sets:
        scores = np.empty(len(reference.events), dtype=np.float32)
        blast_scores = np.empty(len(baseline.events), dtype=np.float32)
        for group in range(_GROUPS):
            ratio = fit_ratio(
                normal[normal_group != group],
                baseline.events[blast_group != group],
                markers,
                blur,
                seed,
            )
            scores[of_group == group] = ratio.score(reference.events[of_group == group])
            blast_scores[blast_group == group] = ratio.score(baseline.events[blast_group == group])
        ratios.append(fit_ratio(normal, baseline.events, markers, blur, seed))
        held_out.append(scores)
        held_out_blasts.append(blast_scores)
    return ResidualScores(
        tuple(ratios), np.column_stack(held_out), np.column_stack(held_out_blasts)
    )


def find_residual(
    scores: ResidualScores,
    reference: Reference,
    values: Floats,
    counts: npt.NDArray[np.int64],
    lod_events: int,
) -> Residual:
    """Find a specimen's blasts, and what false positives are to be expected among them.

    Parameters
    ----------
    values
        (n_events, n_markers) aligned.
    counts
        (n_populations,) events of the specimen that look like each population of the reference.
    lod_events
        Events that the assay wants to detect; thresholds are as low as this allows.
    """
    seen = np.column_stack([ratio.score(values) for ratio in scores.ratios])
    tails = [
        _Tail.of(scores.held_out[:, number], counts, reference)
        for number in range(len(scores.ratios))
    ]
    best = min(
        (_judge(tails, scores.held_out_blasts, expected) for expected in _budgets()),
        key=lambda found: max(found[1].lod, lod_events) / max(1.0 - found[1].missed, 1e-3),
    )
    thresholds, limits = best
    blasts = (seen >= thresholds).any(axis=1)
    too_near = np.minimum(_ambiguous_from(scores, reference), thresholds)
    ambiguous = (seen >= too_near).any(axis=1) & ~blasts
    leaked = float(np.mean((scores.held_out_blasts < too_near).all(axis=1)))
    return Residual(np.asarray(blasts), np.asarray(ambiguous), replace(limits, leaked=leaked))


def _budgets() -> Values:
    """Numbers of expected false positives that are tried."""
    return np.geomspace(0.05, 200.0, _THRESHOLDS)


def _judge(
    tails: Sequence[_Tail], held_out_blasts: Floats, expected: float
) -> tuple[Values, FalsePositives]:
    """Return the thresholds for so many expected false positives, and what follows of them."""
    thresholds = np.array([tail.threshold(expected / len(tails)) for tail in tails])
    variation = max(tail.variation for tail in tails)
    missed = float(np.mean(~(held_out_blasts >= thresholds).any(axis=1)))
    blank = predicted_limit_of_blank(expected, variation)
    return thresholds, FalsePositives(
        expected=float(expected),
        blank=blank,
        lod=predicted_limit_of_detection(blank),
        missed=missed,
        leaked=missed,
        n_held_out=tails[0].n_events,
    )


def predicted_limit_of_blank(expected: float, variation: float) -> float:
    """Count that blanks exceed in 5 % of specimens.

    Parameters
    ----------
    expected
        Mean count of blanks.
    variation
        Standard deviation of its logarithm between specimens; the counts are then negative
        binomial, with that variance beyond Poisson's.
    """
    if expected <= 0:
        return 0.0
    shape = 1.0 / max(float(np.expm1(variation**2)), 1e-9)
    share = shape / (shape + expected)
    low, high = 0, int(10 + 20 * expected + 20 * np.sqrt(expected))
    while low < high:
        middle = (low + high) // 2
        # Cumulative negative binomial.
        if special.betainc(shape, middle + 1, share) >= 0.95:
            high = middle
        else:
            low = middle + 1
    return float(low)


def predicted_limit_of_detection(blank: float) -> float:
    """Count that a specimen must hold so that 95 % of such specimens exceed the limit of blank."""
    # n - 1.645 sqrt(n) = blank, solved for n.
    return float(((1.645 + np.sqrt(1.645**2 + 4.0 * blank)) / 2.0) ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """How many normal events of a specimen lie above a score.

    Each population has an exponential tail of its own, since those with the most events are not
    those that come nearest to blasts.

    Attributes
    ----------
    start, above_start, scale
        (n_populations,) score where the tail begins, events of the specimen above it, and the mean
        excess over it.
    variation
        Standard deviation of ln of the number between specimens.
    n_events
        Held-out events that it rests on.
    """

    start: Values
    above_start: Values
    scale: Values
    variation: float
    n_events: int

    @classmethod
    def of(cls, held_out: Floats, counts: npt.NDArray[np.int64], reference: Reference) -> _Tail:
        """Describe the tails of held-out scores, in a specimen with so many events of each kind."""
        start, above, scale = (np.zeros(len(counts)) for _ in range(3))
        in_tail = np.zeros(len(held_out), dtype=bool)
        for number, count in enumerate(counts):
            own = np.flatnonzero(reference.event_populations == number)
            n_tail = min(_TAIL_EVENTS, len(own) // _TAIL_PART)
            if not n_tail:
                continue
            order = own[np.argsort(-held_out[own])]
            top = held_out[order[:n_tail]].astype(np.float64)
            start[number] = held_out[order[n_tail]]
            # A mean of few events may be too short by chance.
            scale[number] = (top - start[number]).mean() * (1.0 + 1.0 / np.sqrt(n_tail))
            above[number] = count * n_tail / len(own)
            in_tail[order[:n_tail]] = True
        specimens = reference.event_specimens
        per_specimen = np.bincount(specimens[in_tail], minlength=int(specimens.max()) + 1)
        return cls(start, above, np.maximum(scale, 1e-3), _variation(per_specimen), len(held_out))

    def exceeding(self, score: float) -> float:
        """Return how many normal events of the specimen are expected above a score."""
        beyond = np.maximum(score - self.start, 0.0)
        return float(self.above_start @ np.exp(-beyond / self.scale))

    def threshold(self, expected: float) -> float:
        """Return the score that so many normal events of the specimen exceed."""
        low, high = float(self.start.min()), float(self.start.max())
        while self.exceeding(high) > expected:
            high += 1.0 + high - low
        if self.exceeding(low) <= expected:
            return low
        return float(optimize.brentq(lambda score: self.exceeding(score) - expected, low, high))


def _variation(counts: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation of ln of a rate between specimens, beyond counting."""
    mean = float(counts.mean())
    if mean <= 0 or len(counts) < 2:
        return _LEAST_VARIATION
    beyond = max(float(counts.var(ddof=1)) - mean, 0.0) / mean**2
    return max(float(np.sqrt(np.log1p(beyond))), _LEAST_VARIATION)


def _ambiguous_from(scores: ResidualScores, reference: Reference) -> Values:
    """Scores from which an event is too near to blasts to count as a normal precursor."""
    maturing = np.array([item.stage > 0 for item in reference.populations])
    rows = maturing[reference.event_populations]
    own = scores.held_out[rows] if rows.any() else scores.held_out
    share = _AMBIGUOUS_SHARE / len(scores.ratios)
    return np.quantile(own, 1.0 - share, axis=0)


def _kernel(values: Floats, centers: Floats) -> Floats:
    """Gaussian kernels of standardised events, (n_events, n_kernels)."""
    width = np.float32(_KERNEL_WIDTH / values.shape[1])
    squares, centers_squares = (np.einsum("ij,ij->i", own, own) for own in (values, centers))
    # One product gives the exponents: 2 x c - x x - c c, times the width.
    left = np.column_stack([values, squares, np.ones_like(squares)])
    right = np.column_stack([2.0 * centers, -np.ones_like(centers_squares), -centers_squares])
    exponents = left @ (width * right).T
    return np.exp(exponents, out=exponents)


def _inverse_root(gram: Floats) -> Floats:
    sizes, directions = np.linalg.eigh(gram.astype(np.float64))
    return ((directions / np.sqrt(np.maximum(sizes, 1e-6))) @ directions.T).astype(np.float32)
