"""A made-up tube for the benchmark, and the one gating strategy that both programs apply to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.template import Template, parse_template

Floats = npt.NDArray[np.float64]

TOP = 262144.0
SCATTER = ("FSC-A", "SSC-A")
STAINS = (
    "CD45",
    "Viability",
    "CD3",
    "CD19",
    "CD4",
    "CD8",
    "CAR",
    "CD45RA",
    "CCR7",
    "PD-1",
    "TIM-3",
    "LAG-3",
    "CD14",
    "CD56",
)
DETECTORS = tuple(f"B{number}-A" for number in range(1, len(STAINS) + 1))

#: Share of all events in each kind of event, in the order of their numbers below.
SHARES = {
    "debris": 0.10,
    "dead": 0.30,
    "myeloid": 0.20,
    "B": 0.15,
    "CD4 T": 0.15,
    "CD8 CAR-": 0.04,
    "CD8 CAR+": 0.06,
}

#: Which kinds carry which stain brightly; a stain that is not named is on no event.
BRIGHT = {
    "CD45": ("dead", "myeloid", "B", "CD4 T", "CD8 CAR-", "CD8 CAR+"),
    "Viability": ("debris", "dead"),
    "CD3": ("CD4 T", "CD8 CAR-", "CD8 CAR+"),
    "CD19": ("B",),
    "CD4": ("CD4 T",),
    "CD8": ("CD8 CAR-", "CD8 CAR+"),
    "CAR": ("CD8 CAR+",),
    "CD45RA": ("B", "CD8 CAR-"),
    "CCR7": ("CD4 T",),
    "PD-1": ("CD8 CAR+",),
    "CD14": ("myeloid",),
}

#: Twelve gates: two of all events, then two each of 90, 60, 40, 25 and 10 % of them. Both
#: polygons have an axis in common with another gate; one of them is of compensated logicle axes.
TEMPLATE = """
name = "benchmark"
version = "1"
description = "Twelve fixed gates"
specimens = ["PB"]
scatter = ["FSC-A", "SSC-A"]

[scales.default]
kind = "logicle"
width = 0.5
[scales.FSC-A]
kind = "linear"
[scales.SSC-A]
kind = "linear"

[[populations]]
name = "leukocytes"
parent = "root"
gate = { method = "polygon", x = "FSC-A", y = "SSC-A", vertices = [
    [40000, 0], [90000, -20000], [250000, 20000], [250000, 230000], [90000, 230000], [40000, 90000],
] }
[[populations]]
name = "CD45+"
parent = "root"
gate = { method = "fixed", marker = "CD45", at = 1500, keep = "above" }

[[populations]]
name = "live"
parent = "leukocytes"
gate = { method = "fixed", marker = "Viability", at = 1500, keep = "below" }
[[populations]]
name = "dead"
parent = "leukocytes"
gate = { method = "fixed", marker = "Viability", at = 1500, keep = "above" }

[[populations]]
name = "lymphocytes"
parent = "live"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD14", at = 1500, keep = "below" },
    { method = "fixed", marker = "SSC-A", at = 200000, keep = "below" },
] }
[[populations]]
name = "monocytes"
parent = "live"
gate = { method = "fixed", marker = "CD14", at = 1500, keep = "above" }

[[populations]]
name = "T"
parent = "lymphocytes"
gate = { method = "polygon", x = "CD19", y = "CD3", vertices = [
    [-2000, 1500], [400, 1500], [1500, 3000], [1500, 250000], [-2000, 250000],
] }
[[populations]]
name = "B"
parent = "lymphocytes"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD19", at = 1500, keep = "above" },
    { method = "fixed", marker = "CD3", at = 1500, keep = "below" },
] }

[[populations]]
name = "CD8"
parent = "T"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD8", at = 1500, keep = "above" },
    { method = "fixed", marker = "CD4", at = 1500, keep = "below" },
] }
[[populations]]
name = "CD4"
parent = "T"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD4", at = 1500, keep = "above" },
    { method = "fixed", marker = "CD8", at = 1500, keep = "below" },
] }

[[populations]]
name = "CAR T CD8"
parent = "CD8"
gate = { method = "fixed", marker = "CAR", at = 1500, keep = "above" }
[[populations]]
name = "naive CD8"
parent = "CD8"
gate = { method = "fixed", marker = "CD45RA", at = 1500, keep = "above" }

[[detection]]
assay = "any"
lod_events = 20
loq_events = 50

[[measurements]]
measure = "percent"
name = "t_percent_of_lymphocytes"
population = "T"
denominator = "lymphocytes"
assay = "any"
[[measurements]]
measure = "percent"
name = "b_percent_of_lymphocytes"
population = "B"
denominator = "lymphocytes"
assay = "any"
[[measurements]]
measure = "percent"
name = "car_t_cd8_percent_of_cd8"
population = "CAR T CD8"
denominator = "CD8"
assay = "any"
[[measurements]]
measure = "percent"
name = "car_t_cd8_percent_of_t"
population = "CAR T CD8"
denominator = "T"
assay = "any"
[[measurements]]
measure = "intensity"
name = "car_t_cd8_car_mfi"
population = "CAR T CD8"
marker = "CAR"
[[measurements]]
measure = "intensity"
name = "b_cd19_mfi"
population = "B"
marker = "CD19"
"""


def make_template() -> Template:
    """Return the template of the benchmark."""
    markers = "".join(
        f'[[markers]]\nname = "{name}"\n{field} = ["{name}"]\n'
        for names, field in ((SCATTER, "detectors"), (STAINS, "stains"))
        for name in names
    )
    return parse_template(TEMPLATE + markers, where="benchmark")


def make_spillover() -> Spillover:
    """Return a full 14 x 14 spillover: neighbours share up to 12 % of their light."""
    rng = np.random.default_rng(14)
    places = np.arange(len(DETECTORS))
    distance = np.abs(places[:, None] - places[None, :])
    matrix = rng.uniform(0.5, 1.0, distance.shape) * 0.12 * 0.5 ** (distance - 1.0)
    matrix[distance == 0] = 1.0
    return Spillover(DETECTORS, np.round(matrix, 6), "$SPILLOVER")


def write_tube(path: Path, n_events: int) -> None:
    """Write a tube of 16 float32 channels whose gates hold the shares that `SHARES` states."""
    rng = np.random.default_rng(2024)
    kind = rng.choice(np.asarray(list(SHARES)), n_events, p=list(SHARES.values()))
    debris = kind == "debris"
    scatter = np.column_stack(
        [
            np.where(debris, rng.normal(15_000, 5_000, n_events), rng.normal(120e3, 15e3, n_events)),
            np.where(debris, rng.normal(10_000, 4_000, n_events), rng.normal(60e3, 12e3, n_events)),
        ]
    )
    light = rng.normal(0.0, 120.0, (n_events, len(STAINS)))
    for column, stain in enumerate(STAINS):
        bright = np.isin(kind, BRIGHT.get(stain, ()))
        light[bright, column] += rng.lognormal(np.log(15_000.0), 0.45, np.count_nonzero(bright))
    spillover = make_spillover()
    values = np.column_stack([scatter, light @ spillover.matrix]).astype(np.float32)
    channels = (
        *(Channel(name, None, TOP) for name in SCATTER),
        *(Channel(name, stain, TOP) for name, stain in zip(DETECTORS, STAINS, strict=True)),
    )
    write_fcs(path, Events(values, channels), spillover=spillover)
