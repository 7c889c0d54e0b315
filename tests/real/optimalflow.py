"""optimalFlowData as a study folder, and gated populations beside its expert's labels.

Run as a program it prints the tables of ``docs/explanation/real-events.md``.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoflow_car import gate_events, load_template, run_study, write_fcs
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.model.population import ROOT, PopulationTree
from cytoflow_car.pipeline import prepare
from cytoflow_car.preprocess.compensation import compensate
from cytoflow_car.preprocess.panel import assign_markers
from cytoflow_car.fcs import read_fcs

Mask = npt.NDArray[np.bool_]

TEMPLATES = Path(__file__).resolve().parent
TEMPLATE = "euroflow_lymphoid"

#: The two files that are compared; the template's priors were read off Cytometry4.
FILES = ("Cytometry3", "Cytometry5")

_T_AB = ("CD4+CD8-", "CD8+CD4-", "CD4+CD8dim", "TCRgd-")
_T = (*_T_AB, "TCRgd+")
_B = ("Mature SIg Kappa", "Mature SIg Lambda")
_NK = ("CD56dim", "CD56bright")

#: Population of the template to the expert's labels that it means.
LABELS: Mapping[str, tuple[str, ...]] = {
    "T": _T,
    "T ab": _T_AB,
    "T gd": ("TCRgd+",),
    "CD4 T": ("CD4+CD8-",),
    "CD8 T": ("CD8+CD4-",),
    "CD4+CD8+ T": ("CD4+CD8dim",),
    "CD4-CD8- T": ("TCRgd-",),
    "B": _B,
    "B kappa": _B[:1],
    "B lambda": _B[1:],
    "NK": _NK,
    "lymphocytes": (*_T, *_B, *_NK),
}
_NO_LEUKOCYTES = ("debris", "doublets", "other type of")


@dataclass(frozen=True, slots=True)
class Row:
    """One percent beside the expert's.

    Attributes
    ----------
    measurement, population, denominator
        As in ``measurements.csv``.
    ours, experts
        Percent of the denominator, by the gates and by the labels.
    f1
        Of the population's events: 2 × common / (ours + the expert's).
    """

    measurement: str
    population: str
    denominator: str
    ours: float
    experts: float
    f1: float
