"""Hazard ratios: Cox regression with fixed and with time-dependent covariates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

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
    guard_immortal_time,
    split,
    value_of,
)
from cytoflow_car.outcome.log_rank import totals_of
from cytoflow_car.outcome.partial_likelihood import Coefficient, fit, says_something
from cytoflow_car.outcome.time_dependent import RiskRow, build_rows

WALD = "Cox, Efron's ties, Wald"
FIRTH = "Cox with Firth's penalty, Efron's ties, profile penalised likelihood"

#: Whether Firth's penalty is used: where events separate the groups, in any case, or never.
Penalty = Literal["when_separated", "always", "never"]


def fit_cox(
    follow_ups: Iterable[FollowUp],
    covariates: Sequence[Covariate],
    *,
    allow_immortal_time: bool = False,
    penalty: Penalty = "when_separated",
    setting: SurvivalSetting = SurvivalSetting(),
) -> tuple[Estimate, ...]:
    """Estimate hazard ratios of what was known at the origin.

    Parameters
    ----------
    covariates
        Numbers; of a group, 0 and 1.
    allow_immortal_time
        Accept covariates that were known only later; the estimates are flagged IMMORTAL_TIME.
    penalty
        Groups without any event, or of which every patient had one, and log hazard ratios of a
        large standard error count as separated.

    Returns
    -------
    One estimate a covariate, as of `fit_cox_time_dependent`, and ARM_WITHOUT_EVENTS or
    ARM_ALL_EVENTS, ``:`` and the covariate.

    Raises
    ------
    OutcomeError
        A covariate was known only later and that is not allowed; a value is missing or no number;
        a follow-up of no length; covariates that say the same.
    """
    checked = check_follow_ups(follow_ups)
    flags: list[str] = []
    arms: list[str] = []
    for item in covariates:
        flags += guard_immortal_time(checked, item, allow_immortal_time=allow_immortal_time)
        groups, _ = split(checked, item, allow_immortal_time=True)
        if len(groups) == 2:
            totals = totals_of(groups)
            if any(total.n_events == 0 for total in totals):
                arms.append(f"ARM_WITHOUT_EVENTS:{item.name}")
            if any(total.n_events == total.n for total in totals):
                arms.append(f"ARM_ALL_EVENTS:{item.name}")
    baseline = {
        person.patient_id: {item.name: _number(item, person.patient_id) for item in covariates}
        for person in checked
    }
    if arms and penalty == "when_separated":
        penalty = "always"
    rows = build_rows(checked, baseline, ()).rows
    estimates = fit_cox_time_dependent(rows, penalty=penalty, setting=setting)
    return tuple(replace(item, flags=(*flags, *arms, *item.flags)) for item in estimates)


def fit_cox_time_dependent(
    rows: Sequence[RiskRow],
    *,
    penalty: Penalty = "when_separated",
    setting: SurvivalSetting = SurvivalSetting(),
) -> tuple[Estimate, ...]:
    """Estimate hazard ratios of what changes during follow-up.

    Ties count by Efron's approximation. Without penalty, interval and p value are Wald's; with it,
    those of the profile of the penalised likelihood.

    Parameters
    ----------
    rows
        As `build_rows` makes them.
    penalty
        A log hazard ratio of a large standard error counts as separated.

    Returns
    -------
    One estimate a covariate. Flags: FEW_EVENTS; SEPARATION (the unpenalised hazard ratio is
    infinite: with penalty ``never`` no value is given); NO_INFORMATION (no event tells the
    covariates apart); NO_INTERVAL (too few events do for a bound).

    Raises
    ------
    OutcomeError
        There is no row; a covariate does not vary, or covariates say the same.
    """
    if not rows:
        raise OutcomeError("no patient was followed", expected="at least one")
    names = list(rows[0].values)
    values = np.array([[row.values[name] for name in names] for row in rows], float)
    start = np.array([row.start for row in rows], float)
    stop = np.array([row.stop for row in rows], float)
    event = np.array([bool(row.event) for row in rows])
    _check_covariates(values, names)
    n_events = int(event.sum())
    unknown = tuple(
        Estimate(
            name=f"hazard ratio of {name}",
            value=None,
            se=None,
            interval=None,
            transform="",
            method="",
            n=len({row.patient_id for row in rows}),
            n_events=n_events,
            person_time=math.fsum(stop - start),
            flags=event_flags(n_events, setting),
        )
        for name in names
    )
    # Who was at risk at no event says nothing, and shall not stretch the scale of a covariate.
    times = np.unique(stop[event])
    at_risk = np.searchsorted(times, start, "right") < np.searchsorted(times, stop, "right")
    used = values[at_risk], start[at_risk], stop[at_risk], event[at_risk]
    if not n_events or not says_something(*used):
        return _with_flag(unknown, "NO_INFORMATION")
    if penalty != "always":
        plain = fit(*used, setting.confidence, penalised=False)
        if plain is not None and all(
            item.se * span <= setting.separation_se
            for item, span in zip(plain, _spans(used[0]), strict=True)
        ):
            return _with_coefficients(unknown, plain, "log", WALD)
        unknown = _with_flag(unknown, "SEPARATION")
        if penalty == "never":
            return unknown
    penalised = fit(*used, setting.confidence, penalised=True)
    if penalised is None:
        return _with_flag(unknown, "NO_INFORMATION")
    return _with_coefficients(unknown, penalised, "", FIRTH)


def _with_coefficients(
    estimates: Sequence[Estimate], coefficients: Sequence[Coefficient], transform: str, method: str
) -> tuple[Estimate, ...]:
    return tuple(
        replace(
            item,
            value=_exp(found.value),
            se=found.se,
            interval=None
            if found.interval is None
            else Interval(_exp(found.interval.low), _exp(found.interval.high)),
            transform=transform,
            method=method,
            p_value=found.p_value,
            flags=item.flags if found.interval else (*item.flags, "NO_INTERVAL"),
        )
        for item, found in zip(estimates, coefficients, strict=True)
    )


def _exp(logarithm: float) -> float:
    """Return the exponential, infinity where no number holds it: the covariate's unit is huge."""
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf


def _check_covariates(values: Values, names: Sequence[str]) -> None:
    for name, spread in zip(names, np.ptp(values, axis=0), strict=True):
        if not spread:
            raise OutcomeError(
                f"{name!r} does not vary", expected="patients that differ", advice="Leave it out"
            )
    off = values - values.mean(axis=0)
    if np.linalg.matrix_rank(off / off.std(axis=0)) < len(names):
        raise OutcomeError(
            f"{', '.join(names)} say the same",
            expected="covariates that no others determine",
            advice="Leave one out",
        )


def _spans(values: Values) -> list[float]:
    """Return the difference between two groups, or two standard deviations of what is no group."""
    return [
        float(np.ptp(column) if len(np.unique(column)) == 2 else 2 * column.std())
        for column in values.T
    ]


def _with_flag(estimates: Iterable[Estimate], flag: str) -> tuple[Estimate, ...]:
    return tuple(replace(item, flags=(*item.flags, flag)) for item in estimates)


def _number(covariate: Covariate, patient_id: str) -> float:
    value = value_of(covariate, patient_id)
    if isinstance(value, str):
        raise OutcomeError(
            f"{covariate.name!r} is {value!r}", where=patient_id, expected="a number"
        )
    return float(value)
