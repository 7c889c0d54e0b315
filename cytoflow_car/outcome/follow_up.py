"""Times to events, what patients are grouped by, and what is told of an estimate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.measurement import Interval


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How long one patient was followed, and what ended it.

    Attributes
    ----------
    time
        From the analysis' origin, in its unit of time; 0 or more.
    event
        What happened at `time` (``relapse``); empty where the patient was censored.
    ended_by
        What censored the patient (``transplant``); empty for the end of observation.
    """

    patient_id: str
    time: float
    event: str = ""
    ended_by: str = ""


@dataclass(frozen=True, slots=True)
class Covariate:
    """What patients are compared by, fixed from the origin on.

    Attributes
    ----------
    values
        By patient; numbers where a model is to be fitted.
    known_at
        Time from the origin at which the value was known, of all patients or by patient; 0 or less
        at the origin.
    """

    name: str
    values: Mapping[str, float | str]
    known_at: float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SurvivalSetting:
    """What holds for every estimate.

    Attributes
    ----------
    confidence
        Of two-sided intervals.
    least_events
        With fewer events an estimate is flagged FEW_EVENTS.
    separation_se
        A log hazard ratio of a larger standard error is taken for infinite. It is that between two
        groups, or over two standard deviations of what is no group.
    """

    confidence: float = 0.95
    least_events: int = 10
    separation_se: float = 5.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of an analysis of times to events, with what it rests on.

    Attributes
    ----------
    value
        A probability, or a hazard ratio; None where it cannot be estimated, and a flag says why.
    se
        Standard error: of a probability, or of the logarithm of a hazard ratio.
    interval
        None where none can be given.
    transform
        Scale on which the interval is symmetric; empty where it is on none.
    method
        How value and interval were found.
    n, n_events, person_time
        Patients, events, and the time in which they were followed.
    p_value
        None where nothing is tested.
    """

    name: str
    value: float | None
    se: float | None
    interval: Interval | None
    transform: str
    method: str
    n: int
    n_events: int
    person_time: float
    p_value: float | None = None
    flags: tuple[str, ...] = ()


def check_follow_ups(follow_ups: Iterable[FollowUp]) -> tuple[FollowUp, ...]:
    """Return the follow-ups as they were given.

    Raises
    ------
    OutcomeError
        There is none, a patient stands there twice, or a time is negative or no number.
    """
    checked = tuple(follow_ups)
    if not checked:
        raise OutcomeError("no patient was followed", expected="at least one")
    seen = set()
    for item in checked:
        if not (math.isfinite(item.time) and item.time >= 0):
            raise OutcomeError(
                f"a follow-up of {item.time:g}", where=item.patient_id, expected="0 or more"
            )
        if item.patient_id in seen:
            raise OutcomeError("followed twice", where=item.patient_id, expected="one follow-up")
        seen.add(item.patient_id)
    return checked


def split(
    follow_ups: Iterable[FollowUp], group: Covariate, *, allow_immortal_time: bool
) -> tuple[dict[float | str, tuple[FollowUp, ...]], tuple[str, ...]]:
    """Return the follow-ups of each group, and the flags of having been grouped so.

    Raises
    ------
    OutcomeError
        A patient has no value, or see `guard_immortal_time`.
    """
    checked = check_follow_ups(follow_ups)
    flags = guard_immortal_time(checked, group, allow_immortal_time=allow_immortal_time)
    groups: dict[float | str, list[FollowUp]] = {}
    for item in checked:
        groups.setdefault(value_of(group, item.patient_id), []).append(item)
    return {label: tuple(groups[label]) for label in sorted(groups, key=_order)}, flags


def guard_immortal_time(
    follow_ups: Sequence[FollowUp], covariate: Covariate, *, allow_immortal_time: bool
) -> tuple[str, ...]:
    """Refuse what was known only after the origin, or return the flag of having allowed it.

    Whoever is to be grouped by what happens later cannot have the event before it: time without
    risk is counted, and the groups differ even where nothing distinguishes them.

    Raises
    ------
    OutcomeError
        A value was known only later and that is not allowed, or it is not said when it was known.

    References
    ----------
    Suissa, American Journal of Epidemiology 167 (2008) 492-499.
    """
    for item in follow_ups:
        if isinstance(covariate.known_at, Mapping):
            known_at = covariate.known_at.get(item.patient_id)
        else:
            known_at = covariate.known_at
        if known_at is None:
            raise OutcomeError(
                f"it is not said when {covariate.name!r} was known",
                where=item.patient_id,
                expected="a time from the origin, 0 for the baseline",
            )
        if not known_at <= 0:
            if allow_immortal_time:
                return (f"IMMORTAL_TIME:{covariate.name}",)
            raise OutcomeError(
                f"{covariate.name!r} was known {known_at:g} after the origin",
                where=item.patient_id,
                expected="what is known at the origin",
                advice="Use time-dependent rows or a landmark, or state allow_immortal_time=True",
            )
    return ()


def value_of(covariate: Covariate, patient_id: str) -> float | str:
    """Return a patient's value.

    Raises
    ------
    OutcomeError
        There is none, or it is no number.
    """
    value = covariate.values.get(patient_id)
    if value is None or value != value:
        raise OutcomeError(
            f"no value of {covariate.name!r}",
            where=patient_id,
            expected="a value of every patient",
            advice="Leave the patient out, or make a group of those without",
        )
    return value


def event_flags(n_events: int, setting: SurvivalSetting) -> tuple[str, ...]:
    """Return the flag of too few events."""
    return ("FEW_EVENTS",) if n_events < setting.least_events else ()


def _order(label: float | str) -> tuple[bool, float, str]:
    """Return a key that sorts numbers by size and before texts."""
    return (True, 0.0, label) if isinstance(label, str) else (False, label, "")
