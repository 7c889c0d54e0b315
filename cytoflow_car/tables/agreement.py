"""How far two ways of gating agree: F1, Bland-Altman limits, concordance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cytoflow_car.gating.confidence import REVIEW_AGREEMENT
from cytoflow_car.model.measurement import Interval

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Differences between two ways of measuring, summarised.

    Attributes
    ----------
    n
        Number of pairs.
    mean
        Mean difference.
    mean_interval
        Its 95 % confidence interval; None for a single pair.
    limits
        Where 95 % of differences lie if they are normal: mean ± 1.96 standard deviations; None for
        a single pair.
    low_interval, high_interval
        95 % confidence intervals of the two limits.
    """

    n: int
    mean: float
    mean_interval: Interval | None = None
    limits: Interval | None = None
    low_interval: Interval | None = None
    high_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Concordance:
    """Lin's concordance correlation.

    Attributes
    ----------
    value
        1 where all pairs are equal; a shift or a difference in spread lowers it.
    interval
        95 % confidence interval; None where pairs are too few or do not correlate.
    """

    value: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class PopulationAgreement:
    """One population of one sample, by the program and by a person.

    Attributes
    ----------
    reference
        The person's name of the population; of several labels, joined by `` + ``.
    n_ours, n_theirs, n_both
        Events; None where only percents are known.
    f1
        Agreement of the events inside, from the root down; None where both are empty.
    f1_within
        Agreement of our gates on the events of the person's `denominator`; None where the person
        drew no hierarchy.
    denominator
        Nearest population above that both have, by our name; ``root`` for all events.
    percent_ours, percent_theirs
        Each side's share of its own denominator; None of an empty one.
    review
        Whether a gate between denominator and population was flagged for review.
    """

    sample_id: str
    template: str
    population: str
    reference: str
    n_ours: int | None
    n_theirs: int | None
    n_both: int | None
    f1: float | None
    f1_within: float | None
    denominator: str
    percent_ours: float | None
    percent_theirs: float | None
    review: bool

    @property
    def difference(self) -> float | None:
        """Ours minus theirs, in percentage points."""
        if self.percent_ours is None or self.percent_theirs is None:
            return None
        return self.percent_ours - self.percent_theirs

    @property
    def f1_of_gates(self) -> float | None:
        """What a confidence foretells: the F1 of the gates by themselves, where it is known."""
        return self.f1 if self.f1_within is None else self.f1_within


@dataclass(frozen=True, slots=True)
class PopulationSummary:
    """One population over all samples.

    Attributes
    ----------
    n
        Samples that were compared.
    median_f1, worst_f1, worst_sample, median_f1_within, worst_f1_within
        Over the samples with an F1; None or empty where there is none.
    differences
        Of percents; None where none is known.
    largest_difference
        The largest without its sign.
    concordance
        Of percents.
    n_poor, n_poor_flagged
        Samples whose gates agree to less than 0.9, and those of them that were flagged for review.
    n_good, n_good_flagged
        The others, and those of them that were flagged.
    """

    template: str
    population: str
    reference: str
    n: int
    median_f1: float | None
    worst_f1: float | None
    worst_sample: str
    median_f1_within: float | None
    worst_f1_within: float | None
    differences: BlandAltman | None
    largest_difference: float | None
    concordance: Concordance | None
    n_poor: int
    n_poor_flagged: int
    n_good: int
    n_good_flagged: int


def f1_score(n_ours: int, n_theirs: int, n_both: int) -> float | None:
    """Return twice the common events over the sum of both; None where both are empty."""
    return 2.0 * n_both / (n_ours + n_theirs) if n_ours + n_theirs else None


def percent(n_events: int, n_parent: int) -> float | None:
    """Return a share in percent; None of an empty parent."""
    return 100.0 * n_events / n_parent if n_parent else None


def bland_altman(differences: Sequence[float]) -> BlandAltman | None:
    """Summarise differences; None where there is none.

    The limits' confidence intervals are the exact ones, by the noncentral t distribution: with
    10 samples the usual approximation is too narrow on the outer side.

    References
    ----------
    Bland & Altman, Lancet 327 (1986) 307-310; Carkeet, Optometry and Vision Science 92 (2015)
    e71-e80.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = values.size
    if n == 0:
        return None
    mean = float(values.mean())
    if n == 1:
        return BlandAltman(1, mean)
    spread = float(values.std(ddof=1))
    reach = float(special.ndtri((1 + _CONFIDENCE) / 2))
    half = float(special.stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * spread / math.sqrt(n)
    inner = tolerance_factor(n, (1 - _CONFIDENCE) / 2) * spread
    outer = tolerance_factor(n, (1 + _CONFIDENCE) / 2) * spread
    return BlandAltman(
        n=n,
        mean=mean,
        mean_interval=Interval(mean - half, mean + half),
        limits=Interval(mean - reach * spread, mean + reach * spread),
        low_interval=Interval(mean - outer, mean - inner),
        high_interval=Interval(mean + inner, mean + outer),
    )


def tolerance_factor(n: int, confidence: float, share: float = 0.975) -> float:
    """Return the k for which mean + k standard deviations of `n` values is a confidence limit.

    It is the upper one-sided limit, at `confidence`, of the value below which `share` of a normal
    population lies.
    """
    noncentrality = float(special.ndtri(share)) * math.sqrt(n)
    return float(special.nctdtrit(n - 1, noncentrality, confidence)) / math.sqrt(n)


def concordance(ours: Sequence[float], theirs: Sequence[float]) -> Concordance | None:
    """Return Lin's concordance correlation of pairs.

    Returns
    -------
    None for fewer than two pairs, and where neither side differs from pair to pair: there is then
    nothing to be concordant about.

    References
    ----------
    Lin, Biometrics 45 (1989) 255-268, with the variance as corrected in Biometrics 56 (2000) 324.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (ours, theirs))
    n = x.size
    if n < 2 or not (np.ptp(x) or np.ptp(y)):
        return None
    shift = float(x.mean() - y.mean())
    spread_x, spread_y = float(x.std()), float(y.std())
    common = float(((x - x.mean()) * (y - y.mean())).mean())
    value = 2.0 * common / (spread_x**2 + spread_y**2 + shift**2)
    return Concordance(value, _concordance_interval(n, value, shift, spread_x, spread_y, common))


def _concordance_interval(
    n: int, value: float, shift: float, spread_x: float, spread_y: float, common: float
) -> Interval | None:
    """Return the confidence interval by Fisher's transformation."""
    if n < 3 or not spread_x or not spread_y or not common:
        return None
    if abs(value) > 1.0 - 1e-12:
        return Interval(value, value)
    r = common / (spread_x * spread_y)
    u2 = shift**2 / (spread_x * spread_y)
    rest = 1.0 - value**2
    variance = (
        (1.0 - r**2) * value**2 / (rest * r**2)
        + 2.0 * value**3 * (1.0 - value) * u2 / (r * rest**2)
        - value**4 * u2**2 / (2.0 * r**2 * rest**2)
    ) / (n - 2)
    half = float(special.ndtri((1 + _CONFIDENCE) / 2)) * math.sqrt(max(variance, 0.0))
    middle = math.atanh(value)
    return Interval(math.tanh(middle - half), math.tanh(middle + half))


def summarise(rows: Iterable[PopulationAgreement]) -> tuple[PopulationSummary, ...]:
    """Summarise each population over its samples, in the order of first appearance."""
    groups: dict[tuple[str, str], list[PopulationAgreement]] = {}
    for row in rows:
        groups.setdefault((row.template, row.population), []).append(row)
    return tuple(_summarise_one(group) for group in groups.values())


def _summarise_one(rows: list[PopulationAgreement]) -> PopulationSummary:
    f1 = [(row.f1, row.sample_id) for row in rows if row.f1 is not None]
    within = [row.f1_within for row in rows if row.f1_within is not None]
    pairs = [
        (row.percent_ours, row.percent_theirs)
        for row in rows
        if row.percent_ours is not None and row.percent_theirs is not None
    ]
    differences = [ours - theirs for ours, theirs in pairs]
    gates = [(row.f1_of_gates, row.review) for row in rows if row.f1_of_gates is not None]
    poor = [flagged for value, flagged in gates if value < REVIEW_AGREEMENT]
    good = [flagged for value, flagged in gates if value >= REVIEW_AGREEMENT]
    return PopulationSummary(
        template=rows[0].template,
        population=rows[0].population,
        reference="; ".join(dict.fromkeys(row.reference for row in rows)),
        n=len(rows),
        median_f1=float(np.median([value for value, _ in f1])) if f1 else None,
        worst_f1=min(f1)[0] if f1 else None,
        worst_sample=min(f1)[1] if f1 else "",
        median_f1_within=float(np.median(within)) if within else None,
        worst_f1_within=min(within, default=None),
        differences=bland_altman(differences),
        largest_difference=max(map(abs, differences), default=None),
        concordance=concordance([ours for ours, _ in pairs], [theirs for _, theirs in pairs]),
        n_poor=len(poor),
        n_poor_flagged=sum(poor),
        n_good=len(good),
        n_good_flagged=sum(good),
    )
