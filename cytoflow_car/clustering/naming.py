"""Name events by a reference: which population, how surely, and which are none that it knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cytoflow_car.clustering.components import (
    Components,
    Floats,
    blocks,
    log_densities,
    squared_distances,
)
from cytoflow_car.clustering.nodes import NodeSet
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import Reference, ReferencePopulation

#: Number of an event that belongs to no population of the reference.
UNASSIGNED = -1

_DRAWN = 200_000
# By what factor a population may exceed its largest share in the reference before its nodes count
# as those of something unknown: cells come and go with treatment, debris and doublets do not.
_GROWTH, _TECHNICAL_GROWTH = 5.0, 3.0


@dataclass(frozen=True, slots=True)
class NamingSetting:
    """When a name is sure enough.

    Attributes
    ----------
    least_posterior
        An event whose best name is less probable than this is unassigned.
    least_tail
        Or one further out of its population than this share of the population (χ²).
    most_excess
        Or one in a node that holds more than so many times the events that the reference's
        populations together lead one to expect there.
    """

    least_posterior: float = 0.5
    least_tail: float = 1e-3
    most_excess: float = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What each event is.

    Attributes
    ----------
    populations
        (n_events,) number of the reference's population, or `UNASSIGNED`.
    likeliest
        The same without doubts: never `UNASSIGNED`.
    posterior, margin
        (n_events,) probability of the likeliest population; its lead over the second.
    tail
        (n_events,) share of that population that lies further out (χ²).
    """

    populations: npt.NDArray[np.int16]
    likeliest: npt.NDArray[np.int16]
    posterior: Floats
    margin: Floats
    tail: Floats


def name_events(
    reference: Reference,
    components: Components,
    values: Floats,
    node_of: npt.NDArray[np.int32],
    nodes: NodeSet,
    setting: NamingSetting,
    seed: int,
) -> Names:
    """Name all events of a specimen.

    Parameters
    ----------
    components
        The reference's populations as they lie in this specimen (`adapt`).
    values
        (n_events, n_markers) aligned.
    node_of, nodes
        The node of each event; nodes serve to find what the reference does not know.
    """
    n_events = len(values)
    owners = _ownership(components, len(reference.populations))
    likeliest = np.empty(n_events, dtype=np.int16)
    posterior, margin, tail = (np.empty(n_events, dtype=np.float32) for _ in range(3))
    for rows in blocks(n_events):
        distances = squared_distances(components, values[rows])
        logs = log_densities(components, distances)
        logs -= logs.max(axis=1, keepdims=True)
        weights = np.exp(logs)
        weights /= weights.sum(axis=1, keepdims=True)
        shares = weights @ owners
        best = shares.argmax(axis=1)
        at = np.arange(len(best))
        posterior[rows] = highest = shares[at, best]
        shares[at, best] = 0.0
        margin[rows] = highest - shares.max(axis=1)
        likeliest[rows] = best
        own = owners[:, best].T > 0
        nearest = np.where(own, distances, np.inf).min(axis=1)
        tail[rows] = special.chdtrc(components.n_markers, nearest)
    unknown = find_unknown(reference.populations, components, node_of, nodes, setting, seed)
    sure = (posterior >= setting.least_posterior) & (tail >= setting.least_tail)
    sure &= ~unknown[node_of]
    names = np.where(sure, likeliest, UNASSIGNED).astype(np.int16)
    return Names(names, likeliest, posterior, margin, tail)


def find_unknown(
    populations: tuple[ReferencePopulation, ...],
    components: Components,
    node_of: npt.NDArray[np.int32],
    nodes: NodeSet,
    setting: NamingSetting,
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Tell which nodes hold far more events than the reference's populations explain.

    Returns
    -------
    (n_nodes,) bool.
    """
    weights = components.weights.copy()
    for number, item in enumerate(populations):
        own = components.owners == number
        growth = _TECHNICAL_GROWTH if item.technical else _GROWTH
        most = growth * item.highest_fraction
        if weights[own].sum() > most:
            weights[own] *= most / weights[own].sum()
    seen = np.bincount(node_of, minlength=len(nodes))
    drawn = draw(components, weights, _DRAWN, np.random.default_rng(seed))
    expected = np.bincount(nodes.assign(drawn), minlength=len(nodes)) / len(drawn)
    expected = expected * weights.sum() * len(node_of)
    # Three more than expected may be chance in any node.
    return np.asarray(seen > setting.most_excess * (expected + 3.0))


def draw(
    components: Components, weights: Values, n_events: int, rng: np.random.Generator
) -> Floats:
    """Draw events of a mixture, (about n_events, n_markers)."""
    counts = rng.multinomial(n_events, weights / weights.sum())
    parts = []
    for mean, covariance, count in zip(
        components.means, components.covariances, counts, strict=True
    ):
        noise = rng.standard_normal((count, len(mean)), dtype=np.float32)
        parts.append(noise @ np.linalg.cholesky(covariance).T.astype(np.float32))
        parts[-1] += mean.astype(np.float32)
    return np.concatenate(parts)


def _ownership(components: Components, n_populations: int) -> Floats:
    """(n_components, n_populations): 1 where the component belongs to the population."""
    owners = np.zeros((len(components), n_populations), dtype=np.float32)
    owners[np.arange(len(components)), components.owners] = 1.0
    return owners
