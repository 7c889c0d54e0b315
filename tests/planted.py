"""Specimens whose populations are known, for tests of the science floor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Channel, CompensatedEvents, Events
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import Population, PopulationTree
from cytoflow_car.model.scale import Logicle, Scale

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def prepare(
    columns: Mapping[str, Floats], scales: Mapping[str, Scale] | None = None
) -> PreparedEvents:
    """Make events of compensated values by marker; the scale is logicle unless given."""
    values = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()])
    channels = tuple(Channel(f"{name}-A", name) for name in columns)
    given = scales or {}
    return PreparedEvents(
        CompensatedEvents(Events(values, channels), np.eye(len(channels))),
        {name: index for index, name in enumerate(columns)},
        {name: given.get(name, Logicle(width=1.0)) for name in columns},
    )


def stain(
    rng: np.random.Generator,
    positive: Mask,
    *,
    bright: float = 8000.0,
    gain: float = 1.0,
    spread: float = 0.3,
) -> Floats:
    """Draw one marker: background of about 100 ± 200 units, and light on the positive events."""
    n_events = positive.size
    light = np.where(positive, bright * np.exp(rng.normal(0.0, spread, n_events)), 0.0)
    return gain * (light + rng.normal(100.0, 200.0, n_events))


def f1(found: Mask, truth: Mask) -> float:
    """Harmonic mean of precision and recall."""
    return float(2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum()))


def counted_tree(**populations: tuple[str | None, int]) -> PopulationTree:
    """Make a tree of given parents and counts; a population holds its parent's first rows."""
    total = max(count for _, count in populations.values())
    made: dict[str, Population] = {}
    for name, (parent, count) in populations.items():
        path = f"{made[parent].path}/{name}" if parent else name
        made[name] = Population(name, path, parent, np.arange(count), count, None)
    return PopulationTree(tuple(made.values()), np.ones(total, dtype=bool))
