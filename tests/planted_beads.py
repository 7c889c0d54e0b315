"""Bead files with planted peaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.calibration import BeadKit, KitChannel
from cytoflow_car.model.events import Channel, Events, Values

QUANTIBRITE = (474.0, 5359.0, 23843.0, 62336.0)
RAINBOW = (0.0, 792.0, 2079.0, 6588.0, 16471.0, 47497.0, 137049.0, 271647.0)
TOP = 262144.0


def kit(levels: Sequence[float] = QUANTIBRITE, fp_ratio: float | None = None) -> BeadKit:
    channel = KitChannel("PE-A", tuple(levels), fp_ratio)
    return BeadKit("Planted beads", "1", "PE", False, (channel,))


def fluorescence(
    levels: Sequence[float],
    *,
    gain: float = 1.0,
    each: int | Sequence[int] = 2500,
    cv: float = 0.06,
    noise: float = 25.0,
    seed: int = 0,
) -> tuple[Values, Values]:
    """Return values of beads (1.5 a molecule at gain 1), and which level each is, shuffled."""
    rng = np.random.default_rng(seed)
    sizes = [each] * len(levels) if isinstance(each, int) else list(each)
    which = np.repeat(np.arange(len(levels)), sizes)
    light = 1.5 * np.asarray(levels)[which] * np.exp(rng.normal(0, cv, which.size))
    values = gain * (light + rng.normal(0, noise, which.size))
    order = rng.permutation(which.size)
    return values[order], which[order].astype(np.float64)


def events_of(values: Values, *, top: float = TOP, voltage: float = 500.0, seed: int = 1) -> Events:
    """Return events with scatter; every tenth is a doublet that shines twice as bright."""
    rng = np.random.default_rng(seed)
    forward = rng.normal(60000, 1500, values.size)
    side = rng.normal(30000, 1500, values.size)
    light = values.copy()
    doublets = np.arange(values.size) % 10 == 0
    forward[doublets] *= 1.8
    side[doublets] *= 1.9
    light[doublets] += rng.permutation(values)[doublets]
    channels = (
        Channel("FSC-A"),
        Channel("SSC-A"),
        Channel("PE-A", "CD22 PE", range=top, voltage=voltage),
    )
    table = np.column_stack([forward, side, np.minimum(light, top - 1)])
    return Events(table.astype(np.float32), channels)


def write_beads(path: Path, values: Values, **keywords: float) -> Path:
    events = events_of(values, **keywords)  # type: ignore[arg-type]
    write_fcs(
        path, events, keywords={"$CYT": "Planted", "$CYTSN": "serial", "$DATE": "01-MAR-2024"}
    )
    return path
