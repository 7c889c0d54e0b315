"""Bring a specimen onto the anchor scale of a reference: one straight line a marker.

Instruments, stains and autofluorescence move every population of a marker together. Populations
that are steady between the specimens of a reference are therefore anchors: where they lie tells how
the whole marker moved. Nobody labels them; they are found by the reference itself, with wide
tolerance first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cytoflow_car.clustering.components import (
    Components,
    Floats,
    components_of,
    log_densities,
    squared_distances,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import Reference, ReferencePopulation

#: Fewest events of a population that is an anchor.
LEAST_ANCHOR_EVENTS = 30

# How far a marker may move, in anchor units: standard deviations of offset and slope beforehand.
_OFFSET_SPREAD, _SLOPE_SPREAD = 0.25, 0.10
# Variance of an anchor's position that no reference can know to be smaller.
_LEAST_VARIANCE = 0.02**2
_ROUNDS = 10
# Components are this much wider in the first round, and as they are from the last but few.
_FIRST_WIDTH = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How a specimen's markers move onto the reference.

    Attributes
    ----------
    offset, slope
        (n_markers,): ``aligned = offset + slope * position``.
    anchors
        Names of the populations that it rests on.
    """

    offset: Values
    slope: Values
    anchors: tuple[str, ...] = ()

    def apply(self, positions: Floats) -> Floats:
        """Return aligned positions; the same shape."""
        return positions * self.slope.astype(np.float32) + self.offset.astype(np.float32)


def align(reference: Reference, positions: Floats) -> Alignment:
    """Find how a specimen lies on the reference.

    Parameters
    ----------
    positions
        (n_events, n_markers) in anchor units, some tens of thousands of events.
    """
    populations = reference.populations
    offset, slope = np.zeros(positions.shape[1]), np.ones(positions.shape[1])
    anchors: dict[int, Values] = {}
    for round_number in range(_ROUNDS):
        width = max(1.0, _FIRST_WIDTH - round_number)
        wide = _widened(components_of(populations, extra=1.0), width)
        aligned = Alignment(offset, slope).apply(positions)
        found = assign(wide, aligned)
        anchors = {
            number: np.median(positions[found == number], axis=0)
            for number, item in enumerate(populations)
            if not item.technical and np.count_nonzero(found == number) >= LEAST_ANCHOR_EVENTS
        }
        counts = np.bincount(found[found >= 0], minlength=len(populations))
        offset, slope = fit_lines(populations, anchors, counts)
    return Alignment(offset, slope, tuple(populations[number].name for number in anchors))


def assign(components: Components, values: Floats, tail: float = 1e-3) -> npt.NDArray[np.intp]:
    """Return the number of the likeliest population of each event; -1 where all are far."""
    distances = squared_distances(components, values)
    best = log_densities(components, distances).argmax(axis=1)
    near = distances[np.arange(len(values)), best] < special.chdtri(components.n_markers, tail)
    return np.where(near, components.owners[best], -1)


def fit_lines(
    populations: tuple[ReferencePopulation, ...],
    anchors: dict[int, Values],
    counts: npt.NDArray[np.intp],
) -> tuple[Values, Values]:
    """Fit offset and slope of every marker to its anchors, each as heavy as it is steady.

    Parameters
    ----------
    anchors
        Number of the population to its (n_markers,) position in the specimen.
    counts
        Events of each population.
    """
    n_markers = len(populations[0].between)
    precision = np.zeros((n_markers, 2, 2))
    target = np.zeros((n_markers, 2))
    precision[:, 0, 0] = _OFFSET_SPREAD**-2
    precision[:, 1, 1] = target[:, 1] = _SLOPE_SPREAD**-2
    for number, position in anchors.items():
        item = populations[number]
        within = np.einsum("k,kii->i", item.shares, item.covariances)
        weight = 1.0 / (item.between + within / counts[number] + _LEAST_VARIANCE)
        design = np.stack([np.ones(n_markers), position], axis=1)
        precision += weight[:, None, None] * design[:, :, None] * design[:, None, :]
        target += (weight * item.mean)[:, None] * design
    lines = np.linalg.solve(precision, target[:, :, None])[:, :, 0]
    return lines[:, 0].astype(np.float64), lines[:, 1].astype(np.float64)


def _widened(components: Components, width: float) -> Components:
    return Components(
        components.owners, components.weights, components.means, components.covariances * width
    )
