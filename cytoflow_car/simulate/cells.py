"""Classes of cells and particles: antigen copies, scatter, autofluorescence, lineage.

Copies are medians in thousands a cell. They follow the published order of magnitude (CD19 on
mature B cells about 20,000, CD22 on blasts about 3,500) and the known sequence of B maturation;
the rest is general knowledge of stained blood and marrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class CellClass:
    """One kind of event before it meets the cytometer.

    Attributes
    ----------
    name
        Unique name.
    lineage
        ``T``, ``B``, ``NK``, ``monocyte``, ``granulocyte``, ``basophil``, ``pDC``, ``progenitor``,
        ``plasma``, ``erythroid``, ``blast``; ``particle`` for what is no nucleated cell.
    forward, side
        Median FSC-A and SSC-A, in data units.
    copies
        Antigen to thousands of copies; what is not named is `BACKGROUND`.
    spread
        Standard deviation of ln copies between cells, where it differs from `SPREAD`.
    autofluorescence
        Relative to a resting lymphocyte.
    fragility
        How often it is found dead, relative to a lymphocyte.
    coreceptor, car
        Of T cells: ``CD4``, ``CD8`` or neither; the target (``CD19``, ``CD22``) of its CAR.
    """

    name: str
    lineage: str
    forward: float
    side: float
    copies: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    forward_spread: float = 0.11
    side_spread: float = 0.20
    autofluorescence: float = 1.0
    fragility: float = 1.0
    coreceptor: str = ""
    car: str = ""


#: Thousands of copies that a live cell without the antigen seems to have (non-specific binding).
BACKGROUND = {
    "CD45": 0.8,
    "CD3": 0.6,
    "CD4": 0.4,
    "CD8": 1.0,
    "CD45RA": 2.0,
    "CCR7": 0.4,
    "CD14+CD235a": 0.5,
    "CAR19": 0.20,
    "CAR22": 0.32,
    "CD19": 0.25,
    "CD22": 0.22,
    "CD10": 0.5,
    "CD20": 1.2,
    "CD34": 0.6,
    "CD38": 1.2,
    "CD58": 0.8,
    "CD81": 2.0,
    "CD24": 1.0,
    "CD66b": 0.8,
    "CD123": 0.5,
    "viability": 7.0,
}

#: Standard deviation of ln copies between cells of a class that carries the antigen.
SPREAD = {
    "CD45": 0.24,
    "CD3": 0.24,
    "CD4": 0.20,
    "CD8": 0.30,
    "CD45RA": 0.45,
    "CCR7": 0.55,
    "CD14+CD235a": 0.40,
    "CAR19": 0.42,
    "CAR22": 0.42,
    "CD19": 0.30,
    "CD22": 0.38,
    "CD10": 0.45,
    "CD20": 0.40,
    "CD34": 0.42,
    "CD38": 0.38,
    "CD58": 0.35,
    "CD81": 0.35,
    "CD24": 0.40,
    "CD66b": 0.35,
    "CD123": 0.38,
    "viability": 0.35,
}
BACKGROUND_SPREAD = 0.50

#: Signal of the viability dye on a dead cell, in the unit of `BACKGROUND`.
DEAD_VIABILITY = 480.0

T_SUBSETS = ("naive", "CM", "EM", "EMRA")
_MEMORY = {
    "naive": {"CD45RA": 60.0, "CCR7": 7.0, "CD58": 4.0},
    "CM": {"CD45RA": 4.0, "CCR7": 5.5, "CD58": 9.0},
    "EM": {"CD45RA": 4.0, "CD58": 10.0},
    "EMRA": {"CD45RA": 48.0, "CD58": 9.0},
}
_CORECEPTORS = {"CD4": {"CD4": 60.0}, "CD8": {"CD8": 160.0}, "DN": {}}


def t_name(coreceptor: str, subset: str, car: str) -> str:
    """Return the name of a T-cell class; `car` is empty for a cell without one."""
    return " ".join(part for part in ("T", coreceptor, subset, car and f"CAR {car}") if part)


def _t_class(coreceptor: str, subset: str, car: str) -> CellClass:
    copies = {"CD45": 200.0, "CD3": 100.0, "CD38": 4.0, "CD81": 30.0}
    copies |= _MEMORY[subset] | _CORECEPTORS[coreceptor]
    if car:
        # An activated cell loses a part of its CD3 and gains CD38.
        copies |= {f"CAR{car[2:]}": 6.0, "CD3": 85.0, "CD38": 18.0}
    return CellClass(
        t_name(coreceptor, subset, car),
        "T",
        60e3,
        17e3,
        copies,
        coreceptor="" if coreceptor == "DN" else coreceptor,
        car=car,
    )


def _stage(name: str, forward: float, side: float, copies: Mapping[str, float]) -> CellClass:
    # CD20 appears cell by cell among pre-B cells.
    spread = {"CD20": 1.0} if name == "pre-B" else {}
    return CellClass(name, "B", forward, side, copies, spread)


_B_STAGES = (
    _stage("early pro-B", 56e3, 16e3,
           {"CD45": 32, "CD34": 28, "CD10": 2, "CD19": 5, "CD22": 2.5, "CD38": 50, "CD24": 18,
            "CD81": 105, "CD58": 5}),
    _stage("pro-B", 53e3, 15e3,
           {"CD45": 36, "CD34": 22, "CD10": 28, "CD19": 8, "CD22": 2.8, "CD38": 62, "CD24": 48,
            "CD81": 125, "CD58": 4.5}),
    _stage("pre-B", 46e3, 13.5e3,
           {"CD45": 52, "CD10": 14, "CD19": 12, "CD22": 3.6, "CD20": 5, "CD38": 60, "CD24": 58,
            "CD81": 130, "CD58": 3.5}),
    _stage("immature B", 50e3, 14.5e3,
           {"CD45": 95, "CD10": 4, "CD19": 16, "CD22": 6.5, "CD20": 70, "CD38": 46, "CD24": 50,
            "CD81": 85, "CD58": 3.2, "CD45RA": 50}),
    _stage("mature B", 57e3, 16.5e3,
           {"CD45": 180, "CD19": 20, "CD22": 8.5, "CD20": 100, "CD38": 7, "CD24": 24, "CD81": 40,
            "CD58": 4, "CD45RA": 60, "CCR7": 4, "CAR19": 0.5, "CAR22": 0.5}),
)  # fmt: skip
B_STAGES = tuple(stage.name for stage in _B_STAGES)

# A blast's table is that of a common precursor; each patient's deviations are laid over it.
_BLAST = {"CD45": 34.0, "CD34": 18.0, "CD10": 40.0, "CD19": 13.0, "CD22": 3.5, "CD38": 22.0,
          "CD58": 15.0, "CD81": 22.0, "CD24": 55.0}  # fmt: skip
_GRANULOCYTE = {"CD66b": 60.0, "CD24": 50.0, "CD58": 7.0, "CD38": 3.0, "CD14+CD235a": 3.0,
                "CAR19": 0.5, "CAR22": 0.5}  # fmt: skip

_OTHERS = (
    CellClass("NK", "NK", 66e3, 20e3,
              {"CD45": 215, "CD45RA": 45, "CD38": 14, "CD58": 7, "CD81": 50, "CAR19": 0.35,
               "CAR22": 0.5}),
    CellClass("NK CD8dim", "NK", 66e3, 20e3,
              {"CD45": 215, "CD45RA": 45, "CD38": 14, "CD58": 7, "CD81": 50, "CD8": 32,
               "CAR19": 0.35, "CAR22": 0.5}, {"CD8": 0.5}),
    CellClass("monocyte", "monocyte", 104e3, 47e3,
              {"CD45": 155, "CD14+CD235a": 90, "CD4": 8, "CD38": 15, "CD58": 14, "CD81": 26,
               "CD123": 3, "CAR19": 0.8, "CAR22": 0.9}, side_spread=0.22, autofluorescence=2.2),
    CellClass("neutrophil", "granulocyte", 114e3, 110e3,
              _GRANULOCYTE | {"CD45": 68, "CD10": 7}, side_spread=0.24,
              autofluorescence=1.9, fragility=2.0),
    CellClass("immature granulocyte", "granulocyte", 120e3, 92e3,
              _GRANULOCYTE | {"CD45": 48, "CD24": 30, "CD66b": 70, "CD38": 8}, side_spread=0.33,
              forward_spread=0.14, autofluorescence=2.0, fragility=2.0),
    CellClass("eosinophil", "granulocyte", 98e3, 165e3,
              {"CD45": 95, "CD66b": 38, "CD24": 24, "CD58": 8, "CD81": 16, "CD123": 1.5,
               "CAR19": 0.5, "CAR22": 0.5}, side_spread=0.16, autofluorescence=4.5),
    CellClass("basophil", "basophil", 62e3, 26e3,
              {"CD45": 108, "CD123": 26, "CD22": 2.2, "CD38": 16, "CD58": 9, "CD81": 20},
              autofluorescence=1.2),
    CellClass("pDC", "pDC", 70e3, 24e3,
              {"CD45": 118, "CD123": 60, "CD22": 0.8, "CD38": 22, "CD58": 8, "CD81": 45, "CD4": 22,
               "CD45RA": 50}, autofluorescence=1.3),
    CellClass("CD34+ myeloid", "progenitor", 86e3, 30e3,
              {"CD45": 58, "CD34": 30, "CD38": 26, "CD58": 12, "CD81": 70, "CD123": 4,
               "CD45RA": 20}, {"CD38": 0.6}, 0.15, 0.28, 1.5),
    CellClass("CD34+CD22+ progenitor", "progenitor", 62e3, 18e3,
              {"CD45": 45, "CD34": 30, "CD22": 2.2, "CD38": 40, "CD58": 8, "CD81": 90},
              autofluorescence=1.2),
    CellClass("plasma cell", "plasma", 86e3, 34e3,
              {"CD45": 30, "CD19": 6, "CD38": 320, "CD81": 65, "CD58": 10}, {"CD45": 0.6}, 0.15,
              0.28, 1.9),
    CellClass("erythroblast", "erythroid", 38e3, 14e3,
              {"CD14+CD235a": 180, "CD58": 5, "CD81": 7, "CD38": 2}, {"CD14+CD235a": 0.8}, 0.2,
              0.3, 0.7),
    CellClass("blast", "blast", 65e3, 17e3, _BLAST, forward_spread=0.15, side_spread=0.25,
              autofluorescence=1.2, fragility=1.5),
    CellClass("blast CD19-", "blast", 65e3, 17e3,
              {antigen: value for antigen, value in _BLAST.items() if antigen != "CD19"},
              forward_spread=0.15, side_spread=0.25, autofluorescence=1.2, fragility=1.5),
    CellClass("red cell", "particle", 20e3, 6.5e3, {"CD14+CD235a": 320, "CD58": 5}, {}, 0.38, 0.45,
              0.35),
    CellClass("platelet", "particle", 8e3, 5e3, {"CD58": 1.5}, {}, 0.45, 0.5, 0.3),
    CellClass("debris", "particle", 14e3, 13e3, {"CD45": 8, "CD58": 1.5},
              {"CD45": 1.3, "CD58": 0.8}, 0.62, 0.75, 0.7),
    CellClass("bead", "particle", 24e3, 190e3, {}, {}, 0.035, 0.05),
)  # fmt: skip

CLASSES: tuple[CellClass, ...] = (
    *(
        _t_class(coreceptor, subset, car)
        for coreceptor, subset, car in product(_CORECEPTORS, T_SUBSETS, ("", "CD19", "CD22"))
    ),
    *_B_STAGES,
    *_OTHERS,
)
INDEX = {cell.name: number for number, cell in enumerate(CLASSES)}
BEAD = INDEX["bead"]

Members = npt.NDArray[np.bool_]


def members(*lineages: str) -> Members:
    """Return which classes belong to the lineages, (n_classes,) bool."""
    return np.array([cell.lineage in lineages for cell in CLASSES])


T = members("T")
NORMAL_B = members("B")
BLASTS = members("blast")
GRANULOCYTES = members("granulocyte")
LYMPHOCYTES = members("T", "B", "NK")
CELLS = ~members("particle")
CD45 = CELLS & ~members("erythroid")
MONONUCLEAR = CD45 & ~GRANULOCYTES
CD4 = np.array([cell.coreceptor == "CD4" for cell in CLASSES])
CD8 = np.array([cell.coreceptor == "CD8" for cell in CLASSES])
CAR = {target: np.array([cell.car == target for cell in CLASSES]) for target in ("CD19", "CD22")}
FRAGILITY = np.where(CELLS, [cell.fragility for cell in CLASSES], 0.0)
