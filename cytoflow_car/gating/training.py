"""What hand-gated files looked like, so that their gates can be brought to another specimen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cytoflow_car.model.events import Values

#: Enough to draw a density from, and few enough to keep beside a template.
N_QUANTILES = 1025


@dataclass(frozen=True, slots=True)
class TrainingDensity:
    """How one marker was distributed on one population of a hand-gated file; no events.

    Attributes
    ----------
    population
        Parent of the gates that are moved by it.
    marker
        Name in the template.
    n_events
        Events of the population in the file.
    quantiles
        Evenly spaced quantiles from 0 to 1, ascending, in data units.
    """

    population: str
    marker: str
    n_events: int
    quantiles: tuple[float, ...]


def summarise_training(population: str, marker: str, values: Values) -> TrainingDensity:
    """Summarise a population of a hand-gated file.

    Parameters
    ----------
    values
        (n,) data units, n >= 1; what is not finite is left out.
    """
    finite = values[np.isfinite(values)]
    quantiles = np.quantile(finite, np.linspace(0.0, 1.0, N_QUANTILES))
    # Six digits are more than any cytometer resolves.
    return TrainingDensity(
        population, marker, int(finite.size), tuple(float(f"{value:.6g}") for value in quantiles)
    )


def group_training(
    densities: Iterable[TrainingDensity],
) -> Mapping[tuple[str, str], tuple[TrainingDensity, ...]]:
    """Group the densities of all files by population and marker."""
    grouped: dict[tuple[str, str], tuple[TrainingDensity, ...]] = {}
    for item in densities:
        key = (item.population, item.marker)
        grouped[key] = (*grouped.get(key, ()), item)
    return grouped
