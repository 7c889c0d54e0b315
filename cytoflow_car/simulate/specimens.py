"""Composition of a draw of blood, cerebrospinal fluid or marrow, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.course import Patient, draw_subsets

Rates = npt.NDArray[np.float64]

# Cells a microlitre of blood against days since the latest infusion: emptied by lymphodepletion,
# then slow regeneration.
_DAYS = (0, 4, 7, 11, 14, 21, 28, 60, 180)
_BLOOD = {
    "T": (260, 70, 130, 320, 480, 520, 560, 750, 1300),
    "NK": (60, 25, 30, 70, 110, 140, 150, 180, 220),
    "monocyte": (150, 30, 60, 160, 260, 320, 350, 380, 400),
    "neutrophil": (1100, 700, 400, 500, 900, 1500, 2000, 2700, 3300),
    "eosinophil": (20, 10, 8, 15, 30, 50, 60, 90, 120),
    "basophil": (8, 4, 4, 6, 9, 14, 18, 25, 30),
    "pDC": (2, 1, 1, 2, 3, 4, 5, 7, 8),
}

# Shares of nucleated marrow cells without blasts and normal B cells.
_MARROW = {
    "T": 0.12,
    "NK": 0.025,
    "monocyte": 0.07,
    "neutrophil": 0.20,
    "immature granulocyte": 0.32,
    "eosinophil": 0.025,
    "basophil": 0.004,
    "pDC": 0.004,
    "CD34+ myeloid": 0.012,
    "CD34+CD22+ progenitor": 0.001,
    "plasma cell": 0.003,
    "erythroblast": 0.20,
}

# Shares of the stages among normal B cells of the marrow: of one at rest, and of one in which B
# cells come back, the youngest first.
_RESTING = (0.05, 0.15, 0.25, 0.15, 0.40)
_REGENERATING = (0.06, 0.22, 0.42, 0.18, 0.12)

_FLUID_B_PER_UL = 0.02

_PARTICLES = {
    # Relative to the cells: lysed blood keeps red cells and platelets.
    "PB": {"red cell": 0.06, "platelet": 0.05, "debris": 0.06},
    "BM": {"red cell": 0.03, "platelet": 0.02, "debris": 0.09},
    "CSF": {"red cell": 0.15, "platelet": 0.01, "debris": 0.30},
}


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One specimen before it is stained.

    Attributes
    ----------
    rates
        (n_classes,) live single cells and particles: a microlitre of blood or fluid; of marrow,
        relative to all nucleated cells. No beads.
    dead, doublets
        Dead cells relative to live ones; doublets relative to all events.
    activation
        CAR target to the factor on its cells' scatter.
    blast_copies
        Antigen to factor on the blasts' copies.
    """

    specimen: str
    rates: Rates
    dead: float
    doublets: float
    activation: dict[str, float]
    blast_copies: dict[str, float]

    @property
    def cd45_per_ul(self) -> float:
        """Live leukocytes a microlitre, what a blood count calls WBC."""
        return float(self.rates[cells.CD45].sum())

    @property
    def lymphocytes_per_ul(self) -> float:
        """Live lymphocytes a microlitre."""
        return float(self.rates[cells.LYMPHOCYTES].sum())


def draw_blood(patient: Patient, day: float, rng: np.random.Generator) -> Draw:
    """Draw peripheral blood; on an infusion day it is taken before the infusion."""
    since = patient.since_infusion(day)
    rates = np.zeros(len(cells.CLASSES))
    for name, curve in _BLOOD.items():
        count = float(np.exp(np.interp(since, _DAYS, np.log(curve)))) * patient.counts
        count *= rng.lognormal(0.0, 0.2)
        if name == "T":
            shares = [expansion.share_of_t(day) for expansion in patient.expansions]
            _add_t(rates, count / (1.0 - sum(shares)), shares, patient)
        elif name == "NK":
            _add_nk(rates, count)
        else:
            rates[cells.INDEX[name]] = count
    _add_blood_b(rates, patient, day)
    if patient.blast_share(day) > 0.55:  # a packed marrow spills over into the blood
        _add_blasts(rates, 40.0 * rng.lognormal(0.0, 0.7), patient, day)
    return _finish("PB", rates, patient, day, rng)


def draw_marrow(patient: Patient, day: float, rng: np.random.Generator) -> Draw:
    """Draw a marrow aspirate; rates are relative to nucleated cells."""
    rates = np.zeros(len(cells.CLASSES))
    for name, share in _MARROW.items():
        amount = share * rng.lognormal(0.0, 0.2)
        if name == "T":
            factor = rng.lognormal(np.log(0.6), 0.3)
            shares = [min(0.4, factor * e.share_of_t(day)) for e in patient.expansions]
            _add_t(rates, amount, shares, patient)
        elif name == "NK":
            _add_nk(rates, amount)
        else:
            rates[cells.INDEX[name]] = amount
    if day <= 0:
        _add_b_stages(rates, 0.02 * rng.lognormal(0.0, 0.6), _RESTING)
    back = patient.b_regeneration(day)
    if back > 0:
        # Regeneration begins with the youngest stages; the mature pool fills last.
        stages = np.array(_REGENERATING) * np.array([1, 1, 1, 1, 2 * back])
        _add_b_stages(rates, 0.09 * back * rng.lognormal(0.0, 0.3), stages / stages.sum())
    blasts = patient.blast_share(day)
    rates /= rates.sum()
    rates *= 1.0 - blasts
    _add_blasts(rates, blasts, patient, day)
    return _finish("BM", rates, patient, day, rng)


def draw_normal_marrow(rng: np.random.Generator, *, regenerating: bool | None = None) -> Draw:
    """Draw the marrow of a person without leukemia; rates are relative to nucleated cells.

    Normal B cells are 1 to 40 % of these, evenly on a log scale. They regenerate, or are at rest;
    with None chance decides.
    """
    rates = np.zeros(len(cells.CLASSES))
    subsets, cd4 = draw_subsets(rng), float(rng.beta(12, 9))
    for name, share in _MARROW.items():
        amount = share * rng.lognormal(0.0, 0.2)
        if name == "T":
            _add_t_of(rates, amount, cd4, 0.03, subsets)
        elif name == "NK":
            _add_nk(rates, amount)
        else:
            rates[cells.INDEX[name]] = amount
    b_cells = float(np.exp(rng.uniform(np.log(0.01), np.log(0.40))))
    rates *= (1.0 - b_cells) / rates.sum()
    by_chance = rng.random() < 0.5
    back = by_chance if regenerating is None else regenerating
    stages = np.array(_REGENERATING if back else _RESTING)
    stages *= rng.lognormal(0.0, 0.3, stages.size)
    _add_b_stages(rates, b_cells, stages / stages.sum())
    _add_particles(rates, "BM", rng)
    return Draw("BM", rates, _draw_dead(rng), float(rng.uniform(0.015, 0.04)), {}, {})


def draw_fluid(patient: Patient, day: float, rng: np.random.Generator) -> Draw:
    """Draw cerebrospinal fluid: few cells, nearly all T; CAR T come some days after the blood."""
    rates = np.zeros(len(cells.CLASSES))
    shares = [min(0.8, 1.2 * e.share_of_t(day - 3.0)) for e in patient.expansions]
    if sum(shares) > 0.8:
        shares = [0.8 * share / sum(shares) for share in shares]
    _add_t(rates, rng.lognormal(np.log(2.5), 0.5) / (1.0 - sum(shares)), shares, patient)
    _add_nk(rates, 0.1 * rng.lognormal(0.0, 0.4))
    rates[cells.INDEX["monocyte"]] = 0.6 * rng.lognormal(0.0, 0.5)
    rates[cells.INDEX["neutrophil"]] = 0.05 * rng.lognormal(0.0, 1.0)
    return _finish("CSF", rates, patient, day, rng)


def add_fluid_b_lineage(fluid: Draw, patient: Patient) -> Draw:
    """Return the fluid with the patient's blasts and a few mature B cells, for its B tube.

    The T tube is stained from the fluid as it was drawn, without them.
    """
    rates = fluid.rates.copy()
    rates[cells.INDEX["blast"]] = patient.fluid_blasts
    rates[cells.INDEX["mature B"]] = _FLUID_B_PER_UL
    return replace(fluid, rates=rates)


def draw_donor(rng: np.random.Generator) -> Draw:
    """Draw blood of a healthy adult, for controls."""
    rates = np.zeros(len(cells.CLASSES))
    subsets = ((0.42, 0.32, 0.22, 0.04), (0.36, 0.10, 0.29, 0.25), (0.1, 0.1, 0.5, 0.3))
    cd4 = rng.uniform(0.55, 0.70)
    for coreceptor, share, memory in zip(
        ("CD4", "CD8", "DN"), (0.97 * cd4, 0.97 * (1 - cd4), 0.03), subsets, strict=True
    ):
        for subset, part in zip(cells.T_SUBSETS, memory, strict=True):
            rates[cells.INDEX[cells.t_name(coreceptor, subset, "")]] = 1400 * share * part
    _add_nk(rates, 250)
    for name, count in {"mature B": 200, "monocyte": 400, "neutrophil": 3500, "eosinophil": 150,
                        "basophil": 40, "pDC": 9}.items():  # fmt: skip
        rates[cells.INDEX[name]] = count * rng.lognormal(0.0, 0.2)
    _add_particles(rates, "PB", rng)
    return Draw("PB", rates, float(rng.uniform(0.01, 0.04)), 0.02, {}, {})


def _add_t(rates: Rates, total: float, car_shares: list[float], patient: Patient) -> None:
    _add_t_of(rates, total * (1.0 - sum(car_shares)), patient.cd4, 0.03, patient.subsets)
    for expansion, share in zip(patient.expansions, car_shares, strict=True):
        _add_t_of(rates, total * share, expansion.cd4, 0.02, patient.subsets, car=expansion.target)


def _add_t_of(
    rates: Rates,
    amount: float,
    cd4: float,
    double_negative: float,
    subsets: Mapping[str, tuple[float, ...]],
    *,
    car: str = "",
) -> None:
    for coreceptor, share in (
        ("CD4", cd4 * (1 - double_negative)),
        ("CD8", (1 - cd4) * (1 - double_negative)),
        ("DN", double_negative),
    ):
        memory = subsets["CAR" if car else coreceptor]
        for subset, part in zip(cells.T_SUBSETS, memory, strict=True):
            rates[cells.INDEX[cells.t_name(coreceptor, subset, car)]] += amount * share * part


def _add_nk(rates: Rates, total: float) -> None:
    rates[cells.INDEX["NK"]] = 0.65 * total
    rates[cells.INDEX["NK CD8dim"]] = 0.35 * total


def _add_blood_b(rates: Rates, patient: Patient, day: float) -> None:
    residual = 40.0 * patient.counts * 2.0 ** (-day / 0.8) if day <= 8 else 0.0
    # Blood follows the marrow by about a month.
    back = 250.0 * patient.counts * patient.b_regeneration(day - 30.0)
    rates[cells.INDEX["mature B"]] = residual + 0.7 * back
    rates[cells.INDEX["immature B"]] = 0.3 * back


def _add_b_stages(rates: Rates, total: float, shares: tuple[float, ...] | Rates) -> None:
    for name, share in zip(cells.B_STAGES, shares, strict=True):
        rates[cells.INDEX[name]] = total * share


def _add_blasts(rates: Rates, total: float, patient: Patient, day: float) -> None:
    relapsed = patient.relapse_on is not None and day >= patient.relapse_on
    lost = 0.97 if relapsed and patient.relapse_kind == "CD19 loss" else 0.0
    rates[cells.INDEX["blast"]] = total * (1.0 - lost)
    rates[cells.INDEX["blast CD19-"]] = total * lost


def _add_particles(rates: Rates, specimen: str, rng: np.random.Generator) -> None:
    total = rates[cells.CELLS].sum()
    for name, share in _PARTICLES[specimen].items():
        rates[cells.INDEX[name]] = total * share * rng.lognormal(0.0, 0.5)


def _finish(
    specimen: str, rates: Rates, patient: Patient, day: float, rng: np.random.Generator
) -> Draw:
    _add_particles(rates, specimen, rng)
    copies = dict(patient.blast_copies)
    if patient.relapse_on is not None and day >= patient.relapse_on:
        if patient.relapse_kind == "CD22 decrease":
            copies["CD22"] *= 0.15
        # A relapse is never quite the disease of the diagnosis.
        copies["CD10"] *= float(rng.lognormal(0.0, 0.3))
        copies["CD38"] *= float(rng.lognormal(0.0, 0.2))
    return Draw(
        specimen=specimen,
        rates=rates,
        dead=_draw_dead(rng),
        doublets=float(rng.uniform(0.015, 0.04)),
        activation={e.target: e.activation(day) for e in patient.expansions},
        blast_copies=copies,
    )


def _draw_dead(rng: np.random.Generator) -> float:
    return float(np.clip(rng.lognormal(np.log(0.03), 0.6), 0.01, 0.08))
