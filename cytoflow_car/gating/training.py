"""What hand-gated files looked like, so that their gates can be brought to another specimen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from cytoflow_car.model.scale import Scale


@dataclass(frozen=True, slots=True)
class TrainingDensity:
    """Parent events of one gate in one hand-gated file, as a normal mixture; no events.

    Attributes
    ----------
    population
        First population of the gate.
    file
        Number of the hand-gated file, from 1; says which of several drawn gates goes with it.
    markers
        Axes of the gate.
    scales
        The scale of each axis, as `describe_scale` words it: everything below is in its units.
    n_events
        Events of the parent in the file.
    weights
        (n_components,) sum 1.
    means
        (n_components, n_markers).
    covariances
        (n_components, n_markers, n_markers).
    inside
        (n_components,) share of each component's events that the drawn gate holds.
    """

    population: str
    file: int
    markers: tuple[str, ...]
    scales: tuple[str, ...]
    n_events: int
    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    covariances: tuple[tuple[tuple[float, ...], ...], ...]
    inside: tuple[float, ...]


def describe_scale(scale: Scale) -> str:
    """Return kind and parameters of a scale in one word; scales of equal words are equal."""
    parameters = (getattr(scale, field.name) for field in fields(scale))
    return f"{scale.kind}({', '.join(f'{value:.10g}' for value in parameters)})"


def group_training(
    densities: Iterable[TrainingDensity],
) -> Mapping[str, tuple[TrainingDensity, ...]]:
    """Group the densities of all files by population, in the order of the files."""
    grouped: dict[str, tuple[TrainingDensity, ...]] = {}
    for item in sorted(densities, key=lambda item: item.file):
        grouped[item.population] = (*grouped.get(item.population, ()), item)
    return grouped
