"""Normal components, and how likely events are under them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import ReferencePopulation

Floats = npt.NDArray[np.float32]

#: Events computed at once: few enough that they and their distances stay in the processor's cache.
BLOCK = 1 << 12
# Log density below which it does not matter how far out an event lies.
_FLOOR = -25.0


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """A mixture of normal distributions whose components belong to populations.

    Attributes
    ----------
    owners
        (n_components,) number of the population.
    weights
        (n_components,) share of all events.
    means, covariances
        (n_components, n_markers) and (n_components, n_markers, n_markers).
    """

    owners: npt.NDArray[np.intp]
    weights: Values
    means: Values
    covariances: Values

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def n_markers(self) -> int:
        """Dimensions of each component."""
        return int(self.means.shape[1])

    def marginal(self, markers: npt.NDArray[np.intp]) -> Components:
        """Return the same mixture of fewer markers."""
        covariances = self.covariances[:, markers][:, :, markers]
        return Components(self.owners, self.weights, self.means[:, markers], covariances)


def components_of(populations: tuple[ReferencePopulation, ...], extra: float = 0.0) -> Components:
    """Return the components of reference populations, weighted by their mean fractions.

    Parameters
    ----------
    extra
        How much of the variance between specimens is added to each component: 1 for a specimen
        that has not been looked at, 0 for one whose positions are known.
    """
    parts = [(number, item) for number, item in enumerate(populations)]
    return Components(
        np.concatenate([np.full(len(item.shares), number, np.intp) for number, item in parts]),
        np.concatenate([max(item.fraction, 1e-5) * item.shares for _, item in parts]),
        np.concatenate([item.means for _, item in parts]),
        np.concatenate([item.covariances + extra * np.diag(item.between) for _, item in parts]),
    )


def squared_distances(components: Components, values: Floats) -> Floats:
    """Squared Mahalanobis distance of each event from each component, (n_events, n_components)."""
    distances: Floats = np.empty((len(values), len(components)), dtype=np.float32)
    for number, (mean, whitening) in enumerate(_whitened(components)):
        centered = values - mean
        white = centered @ whitening
        np.einsum("ij,ij->i", white, white, out=distances[:, number])
    return distances


def log_densities(components: Components, distances: Floats) -> Floats:
    """Log of weight times density of each component, (n_events, n_components)."""
    _, log_determinants = np.linalg.slogdet(components.covariances)
    constant = components.n_markers * math.log(2.0 * math.pi)
    with np.errstate(divide="ignore"):
        weights = np.log(components.weights)
    offsets = weights - 0.5 * (log_determinants + constant)
    return distances * np.float32(-0.5) + offsets.astype(np.float32)


def log_density(components: Components, values: Floats) -> Floats:
    """Log density of the whole mixture at each event, (n_events,)."""
    out: Floats = np.empty(len(values), dtype=np.float32)
    for rows in blocks(len(values)):
        logs = log_densities(components, squared_distances(components, values[rows]))
        out[rows] = log_sum(logs)
    return out


def floored_density(mixture: Components, aligned: Floats) -> Floats:
    """Log density of each event, (n_events,), down to a floor, so that outliers do not decide."""
    return np.maximum(log_density(mixture, aligned), np.float32(_FLOOR))


def log_sum(logs: Floats) -> Floats:
    """Log of the sum of exponentials along the last axis."""
    highest = logs.max(axis=-1, keepdims=True)
    total = np.exp(logs - highest).sum(axis=-1)
    return np.asarray(np.log(total) + highest[..., 0], dtype=np.float32)


def blocks(n_rows: int) -> Iterator[slice]:
    """Yield the stretches of rows that are computed at once."""
    for begin in range(0, n_rows, BLOCK):
        yield slice(begin, min(begin + BLOCK, n_rows))


def _whitened(components: Components) -> Iterator[tuple[Floats, Floats]]:
    """Yield each component's mean, and the matrix that makes its covariance the unit matrix."""
    for mean, covariance in zip(components.means, components.covariances, strict=True):
        lower = np.linalg.cholesky(covariance)
        whitening = np.linalg.solve(lower, np.eye(len(mean))).T
        yield mean.astype(np.float32), np.ascontiguousarray(whitening, dtype=np.float32)
