"""Let a reference's populations move to where they lie in one specimen, within what is usual.

A hierarchical mixture: the position of a population in a specimen is drawn from its distribution
between specimens, events are drawn around that position. Positions, shapes and shares are found by
expectation-maximisation with these distributions as priors. What lies nowhere is left to a uniform
background, so that an unknown population does not drag a known one to itself.

References
----------
Dempster, Laird & Rubin, Journal of the Royal Statistical Society B 39 (1977) 1-38. Gelman et al.,
Bayesian Data Analysis (2013), chapters 5 and 22.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from cytoflow_car.clustering.components import (
    Components,
    Floats,
    components_of,
    log_densities,
    squared_distances,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import ReferencePopulation

_ROUNDS = 12
# A component's shape counts as so many events beforehand.
_SHAPE_EVENTS = 50.0
# Standard deviations between specimens that a population may move in one marker.
_FURTHEST = 3.0
# Factors by which the variance of a component may grow and shrink in any direction.
_WIDEST, _NARROWEST = 2.0, 0.25
# Events this far out say nothing of a component's position.
_TRIMMED_TAIL = 1e-4
_BACKGROUND = 0.02


def adapt(populations: tuple[ReferencePopulation, ...], values: Floats) -> Components:
    """Return the populations' components as they lie in a specimen.

    Parameters
    ----------
    values
        (n_events, n_markers) aligned to the reference; some tens of thousands of events suffice.
    """
    start = components_of(populations)
    between = np.array([item.between for item in populations])
    roots = np.linalg.cholesky(start.covariances)
    furthest = special.chdtri(start.n_markers, _TRIMMED_TAIL)
    low, high = np.percentile(values, (0.1, 99.9), axis=0)
    log_uniform = -float(np.log(np.maximum(high - low, 1e-6)).sum())
    background = _BACKGROUND
    current = components_of(populations, extra=1.0)
    current = _reweighted(current, current.weights / current.weights.sum())
    for _ in range(_ROUNDS):
        distances = squared_distances(current, values)
        logs = np.column_stack(
            [log_densities(current, distances), np.full(len(values), log_uniform)]
        )
        logs[:, -1] += np.log(background)
        logs -= logs.max(axis=1, keepdims=True)
        shares = np.exp(logs, out=logs)
        shares /= shares.sum(axis=1, keepdims=True)
        background = max(float(shares[:, -1].mean()), 1e-4)
        mine = shares[:, :-1] * (distances < furthest)
        counts = mine.sum(axis=0, dtype=np.float64)
        sums = (mine.T @ values).astype(np.float64)
        means = _moved(start, current, between, counts, sums)
        covariances = np.array(
            [
                _reshaped(
                    start.covariances[k], roots[k], mine[:, k], values - means[k].astype(np.float32)
                )
                for k in range(len(start))
            ]
        )
        weights = (counts + 0.5) / (counts.sum() + 0.5 * len(counts)) * (1.0 - background)
        current = Components(start.owners, weights, means, covariances)
    return current


def _moved(
    start: Components, current: Components, between: Values, counts: Values, sums: Values
) -> Values:
    """Move each population as a whole: its components keep their places within it."""
    means = start.means.copy()
    precisions = np.linalg.inv(current.covariances)
    for number, spread in enumerate(between):
        own = np.flatnonzero(start.owners == number)
        precision = np.diag(1.0 / spread)
        pull = np.zeros(len(spread))
        for k in own:
            precision += counts[k] * precisions[k]
            pull += precisions[k] @ (sums[k] - counts[k] * start.means[k])
        shift = np.linalg.solve(precision, pull)
        limit = _FURTHEST * np.sqrt(spread)
        means[own] += np.clip(shift, -limit, limit)
    return means


def _reshaped(covariance: Values, root: Values, shares: Floats, deviations: Floats) -> Values:
    """Return a covariance between its own and that of the events, within limits."""
    scatter = (deviations.T @ (deviations * shares[:, None])).astype(np.float64)
    n_events = float(shares.sum())
    found = (_SHAPE_EVENTS * covariance + scatter) / (_SHAPE_EVENTS + n_events)
    inverse = np.linalg.inv(root)
    sizes, directions = np.linalg.eigh(inverse @ found @ inverse.T)
    back = root @ directions
    return (back * np.clip(sizes, _NARROWEST, _WIDEST)) @ back.T


def _reweighted(components: Components, weights: Values) -> Components:
    return Components(components.owners, weights, components.means, components.covariances)
