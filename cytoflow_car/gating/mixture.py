"""Placement by a mixture: the ellipse of the component that lies nearest to a prior ellipse."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from cytoflow_car.gating.around_prior import (
    LEAST_EVENTS,
    chance_of_choice,
    keep_gate,
    scaled_points,
)
from cytoflow_car.gating.confidence import Mask, confidence_of, steadiness
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Dimension, EllipsoidGate, Placement, RectangleGate

Labels = npt.NDArray[np.intp]

#: More events, evenly spaced, move no component any further.
_MOST_EVENTS = 5_000
#: A component of fewer events is none.
_LEAST_OF_COMPONENT = 20.0
#: Degrees of freedom of the t components: few, so that events far out hardly count.
_FREEDOM = 4.0
#: No component is narrower than this, in scale units.
_NARROWEST = 1e-3
_ROUNDS = 500
#: The fit has settled when the mean log-likelihood of an event rises by less.
_SETTLED = 1e-4
#: Standard deviation of a population's displacement, as a share of the prior ellipse's half-axes.
_USUAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Mixture:
    """Ellipse of one component of a normal or t mixture, fitted to the parent's events.

    The component is the one whose center lies nearest to the center of the prior ellipse, measured
    by that ellipse (Mahalanobis distance). Without one the prior ellipse stays.

    Attributes
    ----------
    axes
        One to three markers. The gate on one is an interval.
    center, axis_ends
        The prior ellipse, in data units, as in `FixedEllipsoid`.
    fraction
        Share of the component's events that the ellipse holds.
    tails
        ``t`` for components with far outliers, ``normal`` for those without.
    components
        Their number; None to choose it by the Bayesian information criterion.
    most_components
        As many at most, where the number is chosen.
    start
        Where the fit begins: at the prior and at random events far from each other (k-means++), or
        at equal parts of the parent along its widest axis.
    reach
        How far the component's center may lie from the prior's, in half-axes of the prior ellipse.
    seed
        Of the random start.
    """

    method: Literal["mixture"]
    axes: tuple[str, ...]
    center: tuple[float, ...]
    axis_ends: tuple[tuple[float, ...], ...]
    fraction: float = 0.9
    tails: Literal["normal", "t"] = "t"
    components: int | None = None
    most_components: int = 4
    start: Literal["k-means++", "quantiles"] = "k-means++"
    reach: float = 1.5
    seed: int = 0

    @property
    def markers(self) -> tuple[str, ...]:
        """One marker a dimension."""
        return self.axes

    def place(self, parent: Parent, references: References) -> Placement:
        """Fit the mixture and take the component nearest to the prior, or keep the prior."""
        dimensions = tuple(parent.dimension(marker) for marker in self.axes)
        prior = _Ellipse(
            _to_scale(dimensions, self.center),
            np.stack([_to_scale(dimensions, end) for end in self.axis_ends])
            - _to_scale(dimensions, self.center),
        )
        kept = _gate(dimensions, prior)
        points = scaled_points(parent, self.axes, _MOST_EVENTS)
        if len(points) < LEAST_EVENTS:
            return keep_gate(self.method, kept, parent, f"only {len(points)} events")
        numbers = (
            range(1, self.most_components + 1) if self.components is None else (self.components,)
        )
        fits = [self._fit(points, number, prior) for number in numbers]
        settled = [fit for fit in fits if fit.settled]
        if not settled:
            return keep_gate(self.method, kept, parent, "the mixture did not settle")
        fit = min(settled, key=lambda item: item.criterion)
        distances = self._distances(fit, prior)
        nearest = int(np.argmin(distances))
        if not distances[nearest] <= self.reach:
            return keep_gate(
                self.method, kept, parent, f"none of {fit.weights.size} components near the prior"
            )
        ellipse = self._ellipse(fit, nearest)
        if not _is_on_scales(dimensions, ellipse):
            return keep_gate(self.method, kept, parent, "the ellipse leaves its scales")
        inside = ellipse.holds(points)
        # The share of the events inside that are the component's own: a person leaves out the rest.
        own = float(fit.shares[inside, nearest].mean()) if inside.any() else 1.0
        # A half of the events differs from all of them by as much as all differ from the truth.
        halves = (self._refit(half, fit, prior, points) for half in (points[::2], points[1::2]))
        chance = chance_of_choice(distances[np.isfinite(distances)] / _USUAL_SHARE)
        expected = chance * 2.0 * own / (1.0 + own) * steadiness(inside, halves)
        return Placement(
            _gate(dimensions, ellipse),
            self.method,
            confidence_of(expected),
            f"ellipse of {self.fraction:.0%} of one of {fit.weights.size} {self.tails} components, "
            f"{fit.weights[nearest]:.1%} of the parent, {distances[nearest]:.2f} half-axes off the "
            f"prior; {own:.1%} of what it holds is its own; expected agreement {expected:.3f}",
        )

    def _fit(self, points: Values, number: int, prior: _Ellipse) -> _Fit:
        labels = (
            _nearest_start(points, number, prior, self.seed)
            if self.start == "k-means++"
            else _quantile_start(points, number)
        )
        begin = np.zeros((len(points), number))
        begin[np.arange(len(points)), labels] = 1.0
        return fit_normal(points, begin) if self.tails == "normal" else fit_t(points, begin)

    def _refit(self, half: Values, fit: _Fit, prior: _Ellipse, points: Values) -> Mask:
        """Tell which of `points` the ellipse holds that half of them give; none without one."""
        other = self._fit(half, fit.weights.size, prior)
        distances = self._distances(other, prior)
        nearest = int(np.argmin(distances))
        if not distances[nearest] <= self.reach:
            return np.zeros(len(points), dtype=bool)
        return self._ellipse(other, nearest).holds(points)

    def _distances(self, fit: _Fit, prior: _Ellipse) -> Values:
        """Return how far components lie from the prior, in its half-axes; inf for tiny ones."""
        enough = fit.weights * len(fit.shares) >= _LEAST_OF_COMPONENT
        return np.where(enough, prior.distances(fit.means), math.inf)

    def _ellipse(self, fit: _Fit, component: int) -> _Ellipse:
        n_axes = len(self.axes)
        radius = math.sqrt(
            stats.chi2.ppf(self.fraction, n_axes)
            if self.tails == "normal"
            else n_axes * stats.f.ppf(self.fraction, n_axes, _FREEDOM)
        )
        variances, directions = np.linalg.eigh(fit.covariances[component])
        # The sign of an axis is arbitrary: its end points upwards.
        upwards = directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
        return _Ellipse(fit.means[component], radius * np.sqrt(variances)[:, None] * upwards.T)


@dataclass(frozen=True, slots=True, eq=False)
class _Ellipse:
    """In scale units: center (n_axes,) and one half-axis a row, (n_axes, n_axes)."""

    center: Values
    half_axes: Values

    def distances(self, points: Values) -> Values:
        """Return how far points lie from the center; 1 on the surface."""
        own = np.linalg.solve(self.half_axes.T, (points - self.center).T)
        return np.asarray(np.sqrt((own**2).sum(axis=0)))

    def holds(self, points: Values) -> Mask:
        """Tell which points lie inside."""
        return self.distances(points) <= 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A fitted mixture.

    Attributes
    ----------
    weights, means, covariances
        (n_components, ...); of t components the scale matrix stands for the covariance.
    shares
        (n_events, n_components) probability that an event belongs to a component.
    criterion
        Bayesian information criterion; the lower, the better.
    settled
        Whether the fit came to rest.
    """

    weights: Values
    means: Values
    covariances: Values
    shares: Values
    criterion: float
    settled: bool


def fit_normal(points: Values, begin: Values) -> _Fit:
    """Fit a normal mixture by EM.

    Parameters
    ----------
    points
        (n_events, n_axes) in scale units, finite.
    begin
        (n_events, n_components) first shares of the components.

    References
    ----------
    McLachlan & Peel, Finite Mixture Models (2000); fitted by scikit-learn.
    """
    # Takes a second, and few templates need it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    weights, means, covariances = _moments(points, begin, np.ones_like(begin))
    model = GaussianMixture(
        begin.shape[1],
        weights_init=weights,
        means_init=means,
        precisions_init=np.linalg.inv(covariances),
        reg_covar=_NARROWEST**2,
        tol=_SETTLED,
        max_iter=_ROUNDS,
    )
    with warnings.catch_warnings():
        # It is told by `settled`.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points)
    return _Fit(
        model.weights_,
        model.means_,
        model.covariances_,
        model.predict_proba(points),
        float(model.bic(points)),
        bool(model.converged_),
    )


def fit_t(points: Values, begin: Values) -> _Fit:
    """Fit a mixture of t distributions with 4 degrees of freedom by EM.

    An event far from a component has little weight in its center and width, so outliers widen
    nothing.

    Parameters
    ----------
    points, begin
        As in `fit_normal`.

    References
    ----------
    Peel & McLachlan, Statistics and Computing 10 (2000) 339-348; Lo, Brinkman & Gottardo,
    Cytometry A 73 (2008) 321-332, for cytometry.
    """
    n_events, n_axes = points.shape
    n_components = begin.shape[1]
    shares, nearness = begin, np.ones_like(begin)
    likelihood, settled = -math.inf, False
    for _ in range(_ROUNDS):
        weights, means, covariances = _moments(points, shares, nearness)
        logs, squared = _log_t(points, means, covariances)
        logs += np.log(weights)
        total = special.logsumexp(logs, axis=1)
        shares = np.exp(logs - total[:, None])
        nearness = (_FREEDOM + n_axes) / (_FREEDOM + squared)
        before, likelihood = likelihood, float(total.mean())
        if abs(likelihood - before) < _SETTLED:
            settled = True
            break
    n_free = n_components * (1 + n_axes + n_axes * (n_axes + 1) // 2) - 1
    criterion = n_free * math.log(n_events) - 2.0 * n_events * likelihood
    return _Fit(weights, means, covariances, shares, criterion, settled)


def _moments(points: Values, shares: Values, nearness: Values) -> tuple[Values, Values, Values]:
    """Return weights, centers and covariances of components from shares of events."""
    sizes = np.maximum(shares.sum(axis=0), 1e-10)
    counted = shares * nearness
    means = (counted.T @ points) / np.maximum(counted.sum(axis=0), 1e-10)[:, None]
    away = points[:, None] - means
    covariances = np.einsum("nk,nki,nkj->kij", counted, away, away, optimize=True)
    covariances = covariances / sizes[:, None, None] + _NARROWEST**2 * np.eye(points.shape[1])
    return sizes / sizes.sum(), means, covariances


def _log_t(points: Values, means: Values, covariances: Values) -> tuple[Values, Values]:
    """Return logarithms of the t densities and squared distances, both (n_events, n_components)."""
    n_axes = points.shape[1]
    factors = np.linalg.cholesky(covariances)
    own = np.linalg.solve(factors, (points[None] - means[:, None]).transpose(0, 2, 1))
    squared = (own**2).sum(axis=1).T
    widths = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constant = (
        special.gammaln((_FREEDOM + n_axes) / 2.0)
        - special.gammaln(_FREEDOM / 2.0)
        - n_axes / 2.0 * math.log(_FREEDOM * math.pi)
    )
    tails = (_FREEDOM + n_axes) / 2.0 * np.log1p(squared / _FREEDOM)
    return constant - widths - tails, squared


def _nearest_start(points: Values, number: int, prior: _Ellipse, seed: int) -> Labels:
    """Label events by the nearest of the prior's center and of events drawn far from each other.

    References
    ----------
    Arthur & Vassilvitskii, Proceedings of SODA 2007, 1027-1035 (k-means++).
    """
    generator = np.random.default_rng(seed)
    spread = np.maximum(points.std(axis=0), _NARROWEST)
    squared = (((points - prior.center) / spread) ** 2).sum(axis=1)[:, None]
    for _ in range(number - 1):
        least = squared.min(axis=1)
        if not least.any():
            break
        drawn = points[generator.choice(len(points), p=least / least.sum())]
        further = (((points - drawn) / spread) ** 2).sum(axis=1)
        squared = np.column_stack([squared, further])
    return np.asarray(squared.argmin(axis=1), dtype=np.intp)


def _quantile_start(points: Values, number: int) -> Labels:
    """Label events by equal parts along the axis on which they are spread most."""
    widest = points[:, int(np.argmax(points.std(axis=0)))]
    order = np.argsort(np.argsort(widest, kind="stable"), kind="stable")
    return np.asarray(order * number // len(points), dtype=np.intp)


def _to_scale(dimensions: tuple[Dimension, ...], point: tuple[float, ...]) -> Values:
    return np.asarray(
        [
            float(item.scale.forward(np.asarray([value]))[0])
            for item, value in zip(dimensions, point, strict=True)
        ]
    )


def _to_data(dimensions: tuple[Dimension, ...], point: Values) -> tuple[float, ...]:
    return tuple(
        float(item.scale.inverse(np.asarray([value]))[0])
        for item, value in zip(dimensions, point, strict=True)
    )


def _is_on_scales(dimensions: tuple[Dimension, ...], ellipse: _Ellipse) -> bool:
    """Tell whether center and ends of axes can be given in data units: some scales have an end."""
    for point in (ellipse.center, *(ellipse.center + ellipse.half_axes)):
        back = _to_scale(dimensions, _to_data(dimensions, point))
        if not np.allclose(back, point, rtol=0.0, atol=1e-6):
            return False
    return True


def _gate(dimensions: tuple[Dimension, ...], ellipse: _Ellipse) -> EllipsoidGate | RectangleGate:
    center, ends = ellipse.center, ellipse.center + ellipse.half_axes
    if len(dimensions) == 1:
        # An ellipsoid of one dimension is an interval; Gating-ML has no other word for it.
        half = abs(float(ellipse.half_axes[0, 0]))
        low, high = (_to_data(dimensions, center + sign * half) for sign in (-1.0, 1.0))
        return RectangleGate(dimensions, low, high)
    return EllipsoidGate(
        dimensions,
        _to_data(dimensions, center),
        tuple(_to_data(dimensions, end) for end in ends),
    )
