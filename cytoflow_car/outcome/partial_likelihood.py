"""The likelihood that Cox regression maximises, plain and with Firth's penalty.

With the penalty the partial likelihood L is multiplied by the root of the determinant of its
information I, so that its logarithm is l + log det I / 2: finite, and with a highest point, where
events separate the groups. Rows are left open and right closed, tied events count by Efron's
approximation.

lifelines is not used here: it has no such penalty, and its regression on rows of time takes Newton
steps that overshoot where few events meet few exposed patients, and ends without a result.

References
----------
Cox, Journal of the Royal Statistical Society B 34 (1972) 187-220.
Efron, Journal of the American Statistical Association 72 (1977) 557-565: ties.
Heinze & Schemper, Biometrics 57 (2001) 114-119: the penalty in Cox regression, and its profile.
Heinze & Dunkler, Statistics in Medicine 27 (2008) 6455-6469: with time-dependent covariates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval

# Of a log likelihood: within 1e-9 standard errors of the top there is less to be gained.
_LEAST_RISE = 1e-18
# By which a log hazard may change: farther off the information is another one. Coefficients may
# have to go far, where covariates say almost the same.
_LONGEST_STEP = 5.0
# Of a covariate with standard deviation 1; less is rounding.
_LEAST_INFORMATION = 1e-9
_SAME_DEVIANCE = 1e-4
_MOST_STEPS = 100
# Of a standard error, from the highest point of a profile until it has come down enough.
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A log hazard ratio with its standard error, interval (None where it has none) and p value."""

    value: float
    se: float
    interval: Interval | None
    p_value: float


class PartialLikelihood:
    """Partial likelihood of rows of time.

    Parameters
    ----------
    covariates
        (n_rows, n_covariates)
    start, stop
        (n_rows,)
    event
        (n_rows,) whether one happened at `stop`.
    penalised
        With Firth's penalty.
    """

    def __init__(
        self,
        covariates: Values,
        start: Values,
        stop: Values,
        event: npt.NDArray[np.bool_],
        *,
        penalised: bool,
    ) -> None:
        spread = covariates.std(axis=0)
        self.scale = np.where(spread > 0, spread, 1.0)
        self.origin = np.zeros_like(spread)
        self._covariates = (covariates - covariates.mean(axis=0)) / self.scale
        self._of_events = self._covariates[event].sum(axis=0)
        self._penalised = penalised
        # One risk set an event: its rows, and what each weighs. Of d tied events the k-th leaves
        # out k/d of every one of them.
        self._risk_sets = []
        for time in np.unique(stop[event]):
            rows = np.flatnonzero((start < time) & (stop >= time))
            tied = event[rows] & (stop[rows] == time)
            n_tied = int(tied.sum())
            self._risk_sets += [(rows, 1 - tied * (k / n_tied)) for k in range(n_tied)]

    def at(self, beta: Values) -> tuple[float, Values, Values]:
        """Return the log likelihood, its gradient, and the information, by scaled coefficients.

        The penalised likelihood is -inf where the information is singular.
        """
        n_covariates = beta.size
        predictor = self._covariates @ beta
        likelihood = float(self._of_events @ beta)
        gradient = self._of_events.copy()
        information = np.zeros((n_covariates, n_covariates))
        derivative = np.zeros((n_covariates, n_covariates, n_covariates))
        for rows, weights in self._risk_sets:
            highest = predictor[rows].max()
            hazards = weights * np.exp(predictor[rows] - highest)
            total = hazards.sum()
            shares = hazards / total
            mean = shares @ self._covariates[rows]
            off = self._covariates[rows] - mean
            weighted = shares[:, None] * off
            likelihood -= math.log(total) + highest
            gradient -= mean
            information += off.T @ weighted
            if self._penalised:
                derivative += np.einsum("ia,ib,ic->abc", weighted, off, off)
        if self._penalised:
            with np.errstate(divide="ignore"):
                sign, log_determinant = np.linalg.slogdet(information)
            if sign <= 0:
                return -math.inf, gradient, information
            likelihood += float(log_determinant) / 2
            gradient += np.einsum("ab,abc->c", np.linalg.inv(information), derivative) / 2
        return likelihood, gradient, information

    def covariance(self, beta: Values) -> Values | None:
        """Return that of scaled coefficients; None where the events say nothing of one."""
        information = self.at(beta)[2]
        if np.linalg.matrix_rank(information, tol=_LEAST_INFORMATION, hermitian=True) < beta.size:
            return None
        return np.asarray(np.linalg.inv(information), float)

    def maximise(self, start: Values, *, held: int | None = None) -> tuple[float, Values]:
        """Climb from `start` by Newton's steps, one coefficient held if asked.

        Returns
        -------
        The likelihood and the coefficients; without a highest point, somewhere far up.
        """
        beta = start.copy()
        value, gradient, information = self.at(beta)
        free = np.flatnonzero(np.arange(beta.size) != held)
        step = np.zeros_like(beta)
        for _ in range(_MOST_STEPS if free.size else 0):
            try:
                step[free] = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
            except np.linalg.LinAlgError:
                break
            step /= max(1.0, np.abs(self._covariates @ step).max() / _LONGEST_STEP)
            rise = step @ gradient
            while rise > _LEAST_RISE:
                reached = self.at(beta + step)
                rise_there = step @ reached[1]
                if not reached[0] >= value - 1e-12 * abs(value):
                    step, rise = step / 2, rise / 2
                elif rise_there < -rise / 10:
                    # Beyond the top: the penalty bends the likelihood more than I tells.
                    share = rise / (rise - rise_there)
                    step, rise = step * share, rise * share
                else:
                    break
            else:
                break
            beta = beta + step
            value, gradient, information = reached
        return value, beta


def says_something(
    covariates: Values, start: Values, stop: Values, event: npt.NDArray[np.bool_]
) -> bool:
    """Return whether the events tell all covariates apart; their order does not matter."""
    likelihood = PartialLikelihood(covariates, start, stop, event, penalised=False)
    return likelihood.covariance(likelihood.origin) is not None


def fit(
    covariates: Values,
    start: Values,
    stop: Values,
    event: npt.NDArray[np.bool_],
    confidence: float,
    *,
    penalised: bool,
) -> list[Coefficient] | None:
    """Find the highest point of the likelihood.

    Without penalty, intervals and tests are of the standard errors, with it of the profile.

    Returns
    -------
    One coefficient a covariate; None where the likelihood has no highest point.
    """
    likelihood = PartialLikelihood(covariates, start, stop, event, penalised=penalised)
    best, beta = likelihood.maximise(likelihood.origin)
    covariance = likelihood.covariance(beta)
    if covariance is None:
        return None
    z = float(special.ndtri(0.5 + confidence / 2))
    found = []
    for place, (value, scale) in enumerate(
        zip(beta.tolist(), likelihood.scale.tolist(), strict=True)
    ):
        error = math.sqrt(covariance[place, place])
        if penalised:
            bounds, p_value = _profile(likelihood, best, beta, covariance, place, z**2)
        else:
            bounds = [value - z * error, value + z * error]
            p_value = float(2 * special.ndtr(-abs(value / error)))
        found.append(
            Coefficient(
                value=value / scale,
                se=error / scale,
                interval=Interval(*(bound / scale for bound in bounds))
                if len(bounds) == 2
                else None,
                p_value=p_value,
            )
        )
    return found


def _profile(
    likelihood: PartialLikelihood,
    best: float,
    beta: Values,
    covariance: Values,
    place: int,
    allowed: float,
) -> tuple[list[float], float]:
    """Return where the deviance of one coefficient is what is allowed, and the p value of 0."""
    value, error = float(beta[place]), math.sqrt(covariance[place, place])
    # Where the others go when this one is moved, were the likelihood a normal one.
    direction = covariance[place] / covariance[place, place]

    def deviance(at: float) -> float:
        moved = beta + (at - value) * direction
        return 2 * (best - likelihood.maximise(moved, held=place)[0])

    bounds = []
    for step in (-error, error):
        ends = (value + step * 2**k for k in range(_MOST_DOUBLINGS))
        end = next((end for end in ends if deviance(end) >= allowed), None)
        if end is None:
            continue
        bound = optimize.brentq(lambda at: deviance(at) - allowed, value, end, xtol=1e-10)
        # Where hardly any event tells several covariates apart, the profile may jump.
        if abs(deviance(bound) - allowed) < _SAME_DEVIANCE:
            bounds.append(bound)
    return bounds, float(special.chdtrc(1, max(deviance(0.0), 0.0)))
