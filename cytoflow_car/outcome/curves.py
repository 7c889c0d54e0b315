"""Survival and cumulative incidence over time, with patients at risk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np
from scipy import special

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval
from cytoflow_car.outcome.follow_up import (
    Covariate,
    Estimate,
    FollowUp,
    SurvivalSetting,
    check_follow_ups,
    event_flags,
    split,
)

Transform = Literal["log-log", "log", "plain"]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A step function of time.

    Attributes
    ----------
    name
        ``survival``, or ``cumulative incidence of`` and the event.
    times
        (k,) every time of an event or censoring, rising.
    at_risk
        (k,) patients followed up to just before each time.
    events, censored
        (k,) at each time; of a cumulative incidence, the event in question.
    values, se
        (k,) from each time on, until the next; the standard error is NaN where it is unknown.
    low, high
        (k,) bounds; NaN where none can be given: before the first event, and at survival 0.
    transform
        Scale on which the bounds are symmetric, of survival or of 1 - incidence.
    confidence
        Of the bounds, two-sided.
    is_final
        Whether nobody is left without an event, of any kind: nothing changes after the last time.
    """

    name: str
    method: str
    times: Values
    at_risk: Values
    events: Values
    censored: Values
    values: Values
    se: Values
    low: Values
    high: Values
    transform: Transform
    n: int
    n_events: int
    person_time: float
    confidence: float
    is_final: bool
    flags: tuple[str, ...]

    def at(self, time: float) -> Estimate:
        """Return the estimate at one time.

        Flags: BEYOND_FOLLOW_UP, where nobody was followed so long and the curve is not final;
        NO_EVENTS_YET.
        """
        estimate = Estimate(
            name=f"{self.name} at {time:g}",
            value=None,
            se=None,
            interval=None,
            transform=self.transform,
            method=self.method,
            n=self.n,
            n_events=self.n_events,
            person_time=self.person_time,
            flags=self.flags,
        )
        start = 1.0 if self.name == "survival" else 0.0
        place = int(np.searchsorted(self.times, time, side="right")) - 1
        value = float(self.values[place]) if place >= 0 else start
        if time > self.times[-1] and not self.is_final:
            return replace(estimate, flags=(*self.flags, "BEYOND_FOLLOW_UP"))
        if value == start:
            return replace(estimate, value=value, flags=(*self.flags, "NO_EVENTS_YET"))
        if math.isnan(self.low[place]):
            return replace(estimate, value=value)
        interval = Interval(float(self.low[place]), float(self.high[place]))
        return replace(estimate, value=value, se=float(self.se[place]), interval=interval)

    def at_risk_at(self, times: Sequence[float]) -> tuple[int, ...]:
        """Count the patients who were followed up to each time, the time itself included."""
        places = np.searchsorted(self.times, times)
        return tuple(int(count) for count in np.append(self.at_risk, 0.0)[places])


def kaplan_meier(
    follow_ups: Iterable[FollowUp],
    *,
    transform: Transform = "log-log",
    setting: SurvivalSetting = SurvivalSetting(),
) -> Curve:
    """Estimate the share without any event over time.

    Parameters
    ----------
    transform
        Scale of the intervals, from Greenwood's variance; bounds are cut at 0 and 1.

    Raises
    ------
    OutcomeError
        Nobody was followed, somebody twice, or a time is negative.

    References
    ----------
    Kaplan & Meier, Journal of the American Statistical Association 53 (1958) 457-481.
    Borgan & Liestøl, Scandinavian Journal of Statistics 17 (1990) 35-41: transforms.
    """
    checked = check_follow_ups(follow_ups)
    steps = _steps_of(checked)
    left = steps.at_risk - steps.events
    greenwood = np.full(left.shape, np.nan)
    np.divide(steps.events, steps.at_risk * left, out=greenwood, where=left > 0)
    se = steps.survival * np.sqrt(np.cumsum(greenwood))
    low, high = _bounds(steps.survival, se, transform, setting.confidence)
    return Curve(
        name="survival",
        method="Kaplan-Meier, Greenwood",
        times=steps.times,
        at_risk=steps.at_risk,
        events=steps.events,
        censored=steps.censored,
        values=steps.survival,
        se=se,
        low=low,
        high=high,
        transform=transform,
        **_totals(checked, steps, int(steps.events.sum()), setting),
    )


def kaplan_meier_by(
    follow_ups: Iterable[FollowUp],
    group: Covariate,
    *,
    allow_immortal_time: bool = False,
    transform: Transform = "log-log",
    setting: SurvivalSetting = SurvivalSetting(),
) -> dict[float | str, Curve]:
    """Estimate the share without any event of each group.

    Parameters
    ----------
    group
        Known at the origin.
    allow_immortal_time
        Accept a group that was known only later; the curves are flagged IMMORTAL_TIME.

    Raises
    ------
    OutcomeError
        The group was known only later and that is not allowed, or a patient has no value.
    """
    groups, flags = split(follow_ups, group, allow_immortal_time=allow_immortal_time)
    curves = {
        label: kaplan_meier(items, transform=transform, setting=setting)
        for label, items in groups.items()
    }
    return {label: replace(curve, flags=(*flags, *curve.flags)) for label, curve in curves.items()}


def cumulative_incidence(
    follow_ups: Iterable[FollowUp],
    event: str,
    *,
    transform: Transform = "log-log",
    setting: SurvivalSetting = SurvivalSetting(),
) -> Curve:
    """Estimate the share with one event over time, where other events may come first.

    Every other event competes: who had it can no longer have this one, and is not censored.

    Parameters
    ----------
    transform
        Scale of the intervals of 1 - incidence; bounds are cut at 0 and 1.

    Returns
    -------
    Curve
        The variance is the binomial one of each step, carried along with its covariance with
        survival; without other events it is Greenwood's.

    Raises
    ------
    OutcomeError
        Nobody was followed, somebody twice, or a time is negative.

    References
    ----------
    Aalen & Johansen, Scandinavian Journal of Statistics 5 (1978) 141-150.
    Allignol, Schumacher & Beyersmann, Biometrical Journal 52 (2010) 126-137: variance.
    """
    checked = check_follow_ups(follow_ups)
    steps = _steps_of(checked)
    own = [item.time for item in checked if item.event == event]
    events = np.array([own.count(time) for time in steps.times], float)
    incidence, survival, covariance = 0.0, 1.0, np.zeros((2, 2))
    values, variances = [], []
    for at_risk, any_event, this in zip(steps.at_risk, steps.events, events, strict=True):
        # How (survival, incidence) moves with itself, and how the step's two shares vary.
        leaving, having = any_event / at_risk, this / at_risk
        carried = np.array([[1 - leaving, 0.0], [having, 1.0]])
        both = -having * (1 - leaving)
        of_step = np.array([[leaving * (1 - leaving), both], [both, having * (1 - having)]])
        covariance = carried @ covariance @ carried.T + survival**2 / at_risk * of_step
        incidence += survival * having
        survival *= 1 - leaving
        values.append(incidence)
        variances.append(covariance[1, 1])
    # Sums of thirds miss 1 by rounding, and the bounds of what is all but 1 are none.
    others = np.cumsum(steps.events - events)
    incidences = np.where(others > 0, np.array(values), 1 - steps.survival)
    se = np.sqrt(np.clip(variances, 0, None))
    low, high = _bounds(1 - incidences, se, transform, setting.confidence)
    return Curve(
        name=f"cumulative incidence of {event}",
        method="Aalen-Johansen",
        times=steps.times,
        at_risk=steps.at_risk,
        events=events,
        censored=steps.censored,
        values=incidences,
        se=se,
        low=1 - high,
        high=1 - low,
        transform=transform,
        **_totals(checked, steps, len(own), setting),
    )


def at_risk(follow_ups: Iterable[FollowUp], times: Sequence[float]) -> tuple[int, ...]:
    """Count the patients who were followed up to each time, the time itself included.

    Raises
    ------
    OutcomeError
        Nobody was followed, somebody twice, or a time is negative.
    """
    checked = check_follow_ups(follow_ups)
    return tuple(sum(item.time >= time for item in checked) for time in times)


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Times at which somebody left, patients at risk before, and who left; (k,) each."""

    times: Values
    at_risk: Values
    events: Values
    censored: Values
    survival: Values


def _steps_of(follow_ups: Sequence[FollowUp]) -> _Steps:
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit(
        [item.time for item in follow_ups], [bool(item.event) for item in follow_ups]
    )
    table = fitter.event_table.assign(survival=fitter.survival_function_.iloc[:, 0])
    # The origin has a row even where nobody leaves.
    table = table[table["removed"] > 0]
    columns = ("at_risk", "observed", "censored", "survival")
    return _Steps(table.index.to_numpy(float), *(table[name].to_numpy(float) for name in columns))


def _bounds(
    survival: Values, se: Values, transform: Transform, confidence: float
) -> tuple[Values, Values]:
    """Return bounds of survival, NaN at 0 and 1."""
    z = float(special.ndtri(0.5 + confidence / 2))
    low, high = np.full_like(survival, np.nan), np.full_like(survival, np.nan)
    inside = (survival > 0) & (survival < 1)
    s, d = survival[inside], z * se[inside]
    match transform:
        case "plain":
            low[inside], high[inside] = s - d, s + d
        case "log":
            low[inside], high[inside] = s * np.exp(-d / s), s * np.exp(d / s)
        case "log-log":
            # The larger power of a share gives the lower bound.
            factor = np.exp(-d / (s * np.log(s)))
            low[inside], high[inside] = s**factor, s ** (1 / factor)
        case _:
            raise OutcomeError(
                f"no transform {transform!r}", expected="one of log-log, log and plain"
            )
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


class _Totals(TypedDict):
    n: int
    n_events: int
    person_time: float
    confidence: float
    is_final: bool
    flags: tuple[str, ...]


def _totals(
    follow_ups: Sequence[FollowUp], steps: _Steps, n_events: int, setting: SurvivalSetting
) -> _Totals:
    return {
        "n": len(follow_ups),
        "n_events": n_events,
        "person_time": math.fsum(item.time for item in follow_ups),
        "confidence": setting.confidence,
        "is_final": not steps.survival[-1],
        "flags": event_flags(n_events, setting),
    }
