"""Bring the normal mixture of a hand-gated file onto a specimen's events.

Populations differ in size from specimen to specimen far more than in place. So the sizes of the
components are free, and only their places are compared: each component that the specimen has says
how far it was moved, and the axis follows them by a shift and a stretch. A small component has as
much to say as a large one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytoflow_car.gating.moving import AxisMove
from cytoflow_car.gating.training import TrainingDensity
from cytoflow_car.model.events import Values

#: Scatter of a population's own place from day to day, beside the axis's, in scale units.
_OWN_SCATTER = 0.02
#: What a shift and a stretch usually are, from day to day.
_USUAL_SHIFT, _USUAL_STRETCH = 0.04, 0.04
#: Components inside the drawn gate say this much more of where it belongs.
_INSIDE_COUNTS = 3.0
#: Share of events that belong to no component, at first.
_NOISE = 0.05
#: Events by which training holds the sizes of components, so that none dies out at once.
_HELD_BY = 20.0
_LEAST_EVENTS_OF_COMPONENT = 5.0
_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the axes of a hand-gated file come to lie on a specimen.

    Attributes
    ----------
    moves
        One an axis.
    uncertainty
        Standard deviation of each axis's shift, scale units.
    goodness
        Share of the specimen's events that a component of training explains after the moves.
    likelihood
        Mean logarithm of the density of the specimen's events; the higher, the more alike.
    """

    moves: tuple[AxisMove, ...]
    uncertainty: tuple[float, ...]
    goodness: float
    likelihood: float


def align(
    density: TrainingDensity, points: Values, *, most_shift: float, most_stretch: float
) -> Alignment:
    """Fit shift and stretch of each axis, and the sizes of the components, by EM.

    Parameters
    ----------
    points
        (n_events, n_markers) in scale units, finite.
    most_shift, most_stretch
        Limits, as in `Registered`.

    References
    ----------
    Dempster, Laird & Rubin, Journal of the Royal Statistical Society B 39 (1977) 1-38, for EM;
    Leggetter & Woodland, Computer Speech & Language 9 (1995) 171-185, for moving all components of
    a mixture by one transformation.
    """
    means = np.asarray(density.means)
    covariances = np.asarray(density.covariances)
    n_axes = means.shape[1]
    trained = np.append(np.asarray(density.weights) * (1.0 - _NOISE), _NOISE)
    pivot = np.asarray(density.weights) @ means
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    component = _Components(covariances + _OWN_SCATTER**2 * np.eye(n_axes), points)
    more = 1.0 + (_INSIDE_COUNTS - 1.0) * np.asarray(density.inside)
    shift, stretch = np.zeros(n_axes), np.ones(n_axes)
    spread = np.full(n_axes, _USUAL_SHIFT)
    weights = trained
    likelihood = 0.0
    shares = np.zeros((trained.size, len(points)))
    for _ in range(_ROUNDS):
        shares, likelihood = component.shares(pivot + stretch * (means - pivot) + shift, weights)
        sizes = shares.sum(axis=1)
        weights = (sizes + _HELD_BY * trained) / (len(points) + _HELD_BY)
        own = sizes[:-1, None]
        places = (shares[:-1] @ points) / np.maximum(own, 1e-12)
        says = more[:, None] / (_OWN_SCATTER**2 + variances / np.maximum(own, 1e-12))
        says[own[:, 0] < _LEAST_EVENTS_OF_COMPONENT] = 0.0
        for axis in range(n_axes):
            found = _follow(means[:, axis] - pivot[axis], (places - means)[:, axis], says[:, axis])
            shift[axis] = np.clip(found[0], -most_shift, most_shift)
            stretch[axis] = 1.0 + np.clip(found[1], -most_stretch, most_stretch)
            spread[axis] = found[2]
    return Alignment(
        tuple(
            AxisMove(float(a), float(b), float(c))
            for a, b, c in zip(shift, stretch, pivot, strict=True)
        ),
        tuple(spread.tolist()),
        1.0 - float(shares[-1].mean()),
        likelihood,
    )


def _follow(positions: Values, moved_by: Values, says: Values) -> tuple[float, float, float]:
    """Regress displacements of components on their positions, held by what is usual.

    Components that went another way than the others (a population that changed by itself) count
    less (Huber).

    Returns
    -------
    Shift, stretch minus 1, and the standard deviation of the shift.
    """
    weight = says
    for _ in range(3):
        normal = np.asarray(
            [
                [weight.sum() + _USUAL_SHIFT**-2, weight @ positions],
                [weight @ positions, weight @ positions**2 + _USUAL_STRETCH**-2],
            ]
        )
        inverse = np.linalg.inv(normal)
        shift, stretch = inverse @ [weight @ moved_by, weight @ (positions * moved_by)]
        left = np.abs(moved_by - shift - stretch * positions)
        weight = says * np.minimum(1.0, 1.5 * _OWN_SCATTER / np.maximum(left, 1e-12))
    return float(shift), float(stretch), float(np.sqrt(inverse[0, 0]))


class _Components:
    """Normal components of fixed shape over fixed points; only their places change."""

    def __init__(self, covariances: Values, points: Values) -> None:
        factors = np.linalg.cholesky(covariances)
        self._whiten = np.linalg.inv(factors)
        n_axes = points.shape[1]
        self._height = -np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(
            axis=1
        ) - 0.5 * n_axes * np.log(2.0 * np.pi)
        self._points = np.einsum("kij,nj->kni", self._whiten, points)
        # What belongs to no component may lie anywhere in the box.
        self._noise = -float(np.log(np.maximum(np.ptp(points, axis=0), 0.05)).sum())

    def shares(self, means: Values, weights: Values) -> tuple[Values, float]:
        """Return each component's share of each event, the noise last, and the mean likelihood."""
        centers = np.einsum("kij,kj->ki", self._whiten, means)
        logs = np.empty((len(weights), self._points.shape[1]))
        distances = self._points - centers[:, None]
        logs[:-1] = self._height[:, None] - 0.5 * np.einsum("kni,kni->kn", distances, distances)
        logs[-1] = self._noise
        logs += np.log(np.maximum(weights, 1e-300))[:, None]
        highest = logs.max(axis=0)
        shares = np.exp(logs - highest)
        total = shares.sum(axis=0)
        return shares / total, float(np.mean(highest + np.log(total)))
