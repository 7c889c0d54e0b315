"""What happens to a simulated patient: CAR T expansion, B-cell aplasia, blasts, relapse.

Days are counted from infusion 1. Every function here is a deterministic curve of a patient's
parameters; `draw_patients` is the only place where chance decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

RELAPSE_KINDS = ("CD19 loss", "CD22 decrease", "CD19 positive")


@dataclass(frozen=True, slots=True)
class Expansion:
    """Course of one CAR T product.

    Attributes
    ----------
    target
        ``CD19`` or ``CD22``.
    infused_on
        Day from infusion 1.
    peak
        Share of blood T cells at the peak.
    peak_day, last_day
        Days after this infusion; after `last_day` no such cell is left anywhere.
    half_life, slow_share, slow_half_life
        Contraction in two phases, in days.
    cd4
        Share of CD4 among its cells.
    """

    target: str
    infused_on: int
    peak: float
    peak_day: float
    last_day: int
    half_life: float
    slow_share: float
    slow_half_life: float
    cd4: float

    def share_of_t(self, day: float) -> float:
        """Return its share of blood T cells (0 to 1); 0 on the infusion day, drawn before it."""
        since = day - self.infused_on
        if since <= 0 or since > self.last_day:
            return 0.0
        if since < self.peak_day:
            return float(self.peak * 2.0 ** ((since - self.peak_day) / 0.9))
        after = since - self.peak_day
        fast = (1.0 - self.slow_share) * 2.0 ** (-after / self.half_life)
        return float(self.peak * (fast + self.slow_share * 2.0 ** (-after / self.slow_half_life)))

    def activation(self, day: float) -> float:
        """Return by what its cells exceed resting ones in scatter: 1.3 around the peak."""
        since = day - self.infused_on
        return 1.0 + 0.3 * float(np.exp(-0.5 * ((since - self.peak_day) / 6.0) ** 2))


@dataclass(frozen=True, slots=True)
class Patient:
    """Parameters of one course.

    Attributes
    ----------
    number
        From 1.
    age_years, sex, disease_status, tp53, dose_per_kg
        As in the study's tables; doses one an infusion.
    burden
        Share of blasts among marrow cells at baseline.
    residual
        Share of blasts in the first marrow after infusion 1; 0 where measurable disease is gone.
    blast_copies
        Antigen to factor by which this patient's blasts differ from the class table.
    relapse_on, relapse_kind
        None and empty where there is none.
    recovery_on
        Day on which B precursors are back in the marrow; None where aplasia lasts.
    expansions
        One a product, in order of infusion.
    cd4, subsets
        CD4 share of the other T cells; coreceptor to shares of the memory subsets.
    counts
        Factor on the blood counts.
    beads
        Blood tubes hold counting beads; otherwise a blood count is known.
    fluid_blasts
        Blasts a microlitre of cerebrospinal fluid two weeks after infusion 1; 0 in most.
    """

    number: int
    age_years: int
    sex: str
    disease_status: str
    tp53: str
    dose_per_kg: tuple[float, ...]
    burden: float
    residual: float
    blast_copies: Mapping[str, float]
    relapse_on: int | None
    relapse_kind: str
    recovery_on: int | None
    expansions: tuple[Expansion, ...]
    cd4: float
    subsets: Mapping[str, tuple[float, ...]]
    counts: float
    beads: bool
    fluid_blasts: float = 0.0

    @property
    def name(self) -> str:
        """Pseudonym in the study: ``P01``, ``P02`` and so on."""
        return f"P{self.number:02d}"

    def since_infusion(self, day: float) -> float:
        """Return days since the latest infusion that was not after `day`."""
        return day - max(e.infused_on for e in self.expansions if e.infused_on <= day)

    def blast_share(self, day: float) -> float:
        """Return the share of blasts among nucleated marrow cells."""
        if self.relapse_on is not None and day >= self.relapse_on:
            return min(0.9, 0.25 + 0.6 * self.burden)
        if day <= 0:
            return self.burden
        return self.residual if day < 60 else 0.0

    def b_regeneration(self, day: float) -> float:
        """Return how far normal B cells are back, 0 (aplasia) to 1."""
        if self.recovery_on is None or day <= self.recovery_on:
            return 0.0
        return float(1.0 - np.exp(-(day - self.recovery_on) / 60.0))


def draw_patients(number: int, rng: np.random.Generator) -> list[Patient]:
    """Draw a cohort; a quarter relapses (at least one), the first of them with CD19 loss.

    Patient 1 always gets both infusions, misses no visit, and has blasts in the fluid.
    """
    relapsing = rng.permutation(number)[: max(1, round(0.25 * number))]
    kinds = {
        int(who): RELAPSE_KINDS[order % len(RELAPSE_KINDS)] for order, who in enumerate(relapsing)
    }
    patients = [_draw_patient(index, kinds.get(index, ""), rng) for index in range(number)]
    # A stream of its own: what else a patient has does not depend on the fluid.
    (fluid_rng,) = rng.spawn(1)
    return [
        replace(patient, fluid_blasts=_draw_fluid_blasts(patient.number, fluid_rng))
        for patient in patients
    ]


def _draw_patient(index: int, relapse_kind: str, rng: np.random.Generator) -> Patient:
    first = _draw_expansion("CD19", 0, rng)
    persists = index > 0 and rng.random() < 0.12
    second_on = int(np.clip(first.last_day + rng.integers(4, 12) + rng.exponential(8.0), 33, 156))
    if persists:
        expansions: tuple[Expansion, ...] = (_persisting(first),)
    elif index == 0 or rng.random() < 0.9:
        expansions = (first, _draw_expansion("CD22", second_on, rng))
    else:
        expansions = (first,)
    relapse_on = second_on + int(rng.integers(70, 290)) if relapse_kind else None
    recovery_on = int(rng.integers(120, 300)) if rng.random() < 0.35 else None
    return Patient(
        number=index + 1,
        age_years=int(rng.integers(2, 18)),
        sex=str(rng.choice(["F", "M"])),
        disease_status=str(rng.choice(["refractory", "relapsed"], p=[0.3, 0.7])),
        tp53=str(rng.choice(["mutated", "wild", "not_tested"], p=[0.15, 0.65, 0.2])),
        dose_per_kg=tuple(float(f"{rng.uniform(0.5, 5.0):.1f}e6") for _ in expansions),
        burden=float(rng.uniform(0.2, 0.9)),
        residual=float(10.0 ** rng.uniform(-3.5, -2.0)) if rng.random() < 0.15 else 0.0,
        blast_copies=_draw_blast_phenotype(rng),
        relapse_on=relapse_on,
        relapse_kind=relapse_kind,
        recovery_on=recovery_on,
        expansions=expansions,
        cd4=float(rng.beta(12, 9)),
        subsets=draw_subsets(rng),
        counts=float(rng.lognormal(0.0, 0.3)),
        beads=index % 2 == 0,
    )


def draw_subsets(rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """Draw a person's shares of the memory subsets, by coreceptor and of CAR T cells."""
    return {
        "CD4": tuple(rng.dirichlet([24, 20, 13, 3])),
        "CD8": tuple(rng.dirichlet([21, 6, 18, 15])),
        "DN": tuple(rng.dirichlet([6, 6, 30, 18])),
        "CAR": tuple(rng.dirichlet([2, 15, 38, 5])),
    }


def _draw_expansion(target: str, infused_on: int, rng: np.random.Generator) -> Expansion:
    return Expansion(
        target=target,
        infused_on=infused_on,
        peak=float(np.clip(rng.lognormal(np.log(0.22), 0.65), 0.05, 0.70)),
        peak_day=float(rng.uniform(7.0, 14.0)),
        last_day=int(np.clip(rng.normal(38.0, 8.0), 27, 120)),
        half_life=float(rng.uniform(2.0, 3.5)),
        slow_share=float(rng.uniform(0.01, 0.05)),
        slow_half_life=float(rng.uniform(6.0, 12.0)),
        cd4=float(rng.beta(8, 13)),
    )


def _persisting(expansion: Expansion) -> Expansion:
    return replace(expansion, last_day=400, slow_share=0.06, slow_half_life=80.0)


def _draw_fluid_blasts(number: int, rng: np.random.Generator) -> float:
    amount = float(np.exp(rng.uniform(np.log(5.0), np.log(20.0))))
    return amount if number == 1 or rng.random() < 1 / 3 else 0.0


def _draw_blast_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Draw deviations of one patient's blasts: dim CD45 and CD81, bright CD58, CD10 and CD34 vary.

    The factors spread about the class table, which holds the common phenotype already.
    """
    return {
        "CD45": float(rng.uniform(0.6, 1.5)),
        "CD34": 1.0 if rng.random() < 0.7 else 0.04,
        "CD10": float(rng.choice([2.2, 0.7])),
        "CD19": float(rng.lognormal(0.0, 0.25)),
        "CD22": float(rng.lognormal(0.0, 0.4)),
        "CD38": float(rng.uniform(0.5, 1.3)),
        "CD58": float(rng.uniform(0.75, 1.25)),
        "CD81": float(rng.uniform(0.7, 1.5)),
        "CD20": 5.0 if rng.random() < 0.2 else 1.0,
        "CD123": 6.0 if rng.random() < 0.3 else 1.0,
        "size": float(rng.uniform(0.88, 1.2)),
    }
