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
N_CHANNELS = len(SCATTER) + len(STAINS)

#: Each event has a place from 0 to 1, evenly drawn; a stain is bright between two places. So the
#: gates below, each within the last, hold 90, 60, 40, 25, 10, 6 … % of all events.
BRIGHT = {
    "CD45": (0.0, 0.9),
    "Viability": (0.6, 1.0),
    "CD14": (0.4, 0.6),
    "CD19": (0.25, 0.4),
    "CD3": (0.0, 0.25),
    "CD4": (0.1, 0.25),
    "CD8": (0.0, 0.1),
    "CAR": (0.0, 0.06),
    "CD45RA": (0.0, 0.04),
    "PD-1": (0.0, 0.025),
    "TIM-3": (0.0, 0.015),
    "LAG-3": (0.0, 0.01),
    "CCR7": (0.0, 0.005),
}
_DEBRIS = 0.9

#: Twelve gates, two of them polygons: two of all events, then one each of 90, 60, 40, 25, 10, 6, 4,
#: 2.5, 1.5 and 1 % of them.
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
name = "CD45+"
parent = "root"
gate = { method = "fixed", marker = "CD45", at = 1500, keep = "above" }
[[populations]]
name = "leukocytes"
parent = "root"
gate = { method = "polygon", x = "FSC-A", y = "SSC-A", vertices = [
    [40000, 0], [90000, -20000], [250000, 20000], [250000, 230000], [90000, 230000], [40000, 90000],
] }
[[populations]]
name = "live"
parent = "leukocytes"
gate = { method = "fixed", marker = "Viability", at = 1500, keep = "below" }
[[populations]]
name = "lymphocytes"
parent = "live"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD14", at = 1500, keep = "below" },
    { method = "fixed", marker = "SSC-A", at = 200000, keep = "below" },
] }
[[populations]]
name = "T"
parent = "lymphocytes"
gate = { method = "polygon", x = "CD19", y = "CD3", vertices = [
    [-2000, 1500], [400, 1500], [1500, 3000], [1500, 250000], [-2000, 250000],
] }
[[populations]]
name = "CD8"
parent = "T"
gate = { method = "rectangle", sides = [
    { method = "fixed", marker = "CD8", at = 1500, keep = "above" },
    { method = "fixed", marker = "CD4", at = 1500, keep = "below" },
] }
"""

#: The gates beneath CD8: each is the part of the one before that carries one more stain.
_NARROWING = ("CAR", "CD45RA", "PD-1", "TIM-3", "LAG-3", "CCR7")

#: Further gates, as a functional panel has them: on each of these populations in turn, eight.
_SUBSETS = ("T", "CD8", "CAR+", "CD45RA+", "PD-1+", "TIM-3+")
_ON_EACH = (
    "CD45RA",
    "CCR7",
    "PD-1",
    "TIM-3",
    "LAG-3",
    "CD56",
    ("CCR7", "CD45RA"),
    ("PD-1", "CD56"),
)
N_GATES = 12
MOST_GATES = N_GATES + len(_SUBSETS) * len(_ON_EACH)

_MEASUREMENTS = """
[[detection]]
assay = "any"
lod_events = 20
loq_events = 50

[[measurements]]
measure = "percent"
name = "car_t_percent_of_t"
population = "CAR+"
denominator = "T"
assay = "any"
[[measurements]]
measure = "percent"
name = "car_t_cd8_percent_of_cd8"
population = "CAR+"
denominator = "CD8"
assay = "any"
[[measurements]]
measure = "percent"
name = "t_percent_of_lymphocytes"
population = "T"
denominator = "lymphocytes"
assay = "any"
[[measurements]]
measure = "count"
name = "car_t_count"
population = "CAR+"
assay = "any"
[[measurements]]
measure = "intensity"
name = "t_cd3_mfi"
population = "T"
marker = "CD3"
[[measurements]]
measure = "intensity"
name = "car_t_car_mfi"
population = "CAR+"
marker = "CAR"
"""


def make_template(n_gates: int = N_GATES) -> Template:
    """Return the template of the benchmark, with 12 to 60 gates."""
    further = [_further_gate(subset, looks) for subset in _SUBSETS for looks in _ON_EACH]
    markers = "".join(
        f'[[markers]]\nname = "{name}"\n{field} = ["{name}"]\n'
        for names, field in ((SCATTER, "detectors"), (STAINS, "stains"))
        for name in names
    )
    narrowing = "".join(
        f'[[populations]]\nname = "{marker}+"\nparent = "{parent}"\n'
        f'gate = {{ method = "fixed", marker = "{marker}", at = 1500, keep = "above" }}\n'
        for parent, marker in zip(
            ("CD8", *(f"{marker}+" for marker in _NARROWING)), _NARROWING, strict=False
        )
    )
    populations = TEMPLATE + narrowing + "".join(further[: n_gates - N_GATES])
    return parse_template(populations + _MEASUREMENTS + markers, where="benchmark")


def _further_gate(parent: str, looks: str | tuple[str, str]) -> str:
    if isinstance(looks, str):
        name = f"{parent} {looks}"
        gate = f'{{ method = "fixed", marker = "{looks}", at = 1500, keep = "above" }}'
    else:
        name = f"{parent} {' '.join(looks)}"
        corners = "[-2000, 1500], [400, 1200], [1500, 3000], [90000, 90000], [-2000, 250000]"
        gate = (
            f'{{ method = "polygon", x = "{looks[0]}", y = "{looks[1]}", vertices = [{corners}] }}'
        )
    return f'[[populations]]\nname = "{name}"\nparent = "{parent}"\ngate = {gate}\n'


def make_spillover() -> Spillover:
    """Return a full 14 x 14 spillover: neighbours share up to 12 % of their light."""
    rng = np.random.default_rng(14)
    places = np.arange(len(DETECTORS))
    distance = np.abs(places[:, None] - places[None, :])
    matrix = rng.uniform(0.5, 1.0, distance.shape) * 0.12 * 0.5 ** (distance - 1.0)
    matrix[distance == 0] = 1.0
    return Spillover(DETECTORS, np.round(matrix, 6), "$SPILLOVER")


def write_tube(
    path: Path, n_events: int, *, seed: int = 2024, gain: float = 1.0, n_more: int = 0
) -> None:
    """Write a tube of 16 float32 channels whose gates hold the shares that `BRIGHT` states.

    Parameters
    ----------
    gain
        Each stain is multiplied or divided by it, at random.
    n_more
        Further channels without any stain.
    """
    rng = np.random.default_rng(seed)
    place = rng.random(n_events)
    debris = place >= _DEBRIS
    forward, side = rng.normal(120e3, 15e3, n_events), rng.normal(60e3, 12e3, n_events)
    forward[debris], side[debris] = forward[debris] / 8.0, side[debris] / 6.0
    light = rng.normal(0.0, 120.0, (n_events, len(STAINS)))
    for column, stain in enumerate(STAINS):
        low, high = BRIGHT.get(stain, (0.0, 0.0))
        bright = (place >= low) & (place < high)
        light[bright, column] += rng.lognormal(np.log(15_000.0), 0.45, np.count_nonzero(bright))
    light *= gain ** rng.choice([-1.0, 1.0], len(STAINS))
    spillover = make_spillover()
    more = rng.normal(0.0, 120.0, (n_events, n_more))
    values = np.column_stack([forward, side, light @ spillover.matrix, more]).astype(np.float32)
    channels = (
        *(Channel(name, None, TOP) for name in SCATTER),
        *(Channel(name, stain, TOP) for name, stain in zip(DETECTORS, STAINS, strict=True)),
        *(Channel(f"V{number}-A", None, TOP) for number in range(1, n_more + 1)),
    )
    write_fcs(path, Events(values, channels), spillover=spillover)
