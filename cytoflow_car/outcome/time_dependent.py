"""What changes during follow-up: rows of time in which every covariate is constant, or a landmark.

References
----------
Dafni, Circulation: Cardiovascular Quality and Outcomes 4 (2011) 363-371: landmark analysis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.follow_up import Covariate, FollowUp, check_follow_ups


@dataclass(frozen=True, slots=True)
class Change:
    """A covariate's new value, and when it was known.

    Attributes
    ----------
    time
        From the analysis' origin, in its unit of time. Of a recovery that a second result
        confirmed, the time of that result.
    """

    patient_id: str
    name: str
    time: float
    value: float


@dataclass(frozen=True, slots=True)
class RiskRow:
    """Time of one patient without a change: after `start`, and `stop` included.

    Attributes
    ----------
    event
        What happened at `stop`; empty on all rows of a patient but the last.
    values
        Covariates as they were known at `start`.
    """

    patient_id: str
    start: float
    stop: float
    event: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RiskTable:
    """Rows of all patients, and what changed too late to matter."""

    rows: tuple[RiskRow, ...]
    unused: tuple[Change, ...]


def build_rows(
    follow_ups: Iterable[FollowUp],
    baseline: Mapping[str, Mapping[str, float]],
    changes: Iterable[Change],
) -> RiskTable:
    """Cut follow-up where a covariate changes.

    A value counts only after the time at which it was known: what is found on the day of an event
    did not precede it. Changes at or before the origin overrule the baseline; several at one time
    make one cut; those that change nothing make none.

    Parameters
    ----------
    baseline
        By patient, the value of every covariate at the origin.

    Returns
    -------
    RiskTable
        The rows hold the same patients, events and time as the follow-ups.

    Raises
    ------
    OutcomeError
        A follow-up of no length; a change of an unknown patient or covariate; two values of one
        covariate at one time; covariates that only some patients have.
    """
    checked = check_follow_ups(follow_ups)
    by_patient = _by_patient(checked, changes)
    names = set(baseline.get(checked[0].patient_id, {}))
    rows, unused = [], []
    for item in checked:
        if item.time <= 0:
            raise OutcomeError(
                f"a follow-up of {item.time:g} makes a row of no length",
                where=item.patient_id,
                expected="more than 0",
                advice="Count the day of the origin as half a day, or leave the patient out",
            )
        values = dict(baseline.get(item.patient_id, {}))
        if set(values) != names:
            raise OutcomeError(
                f"covariates {sorted(values)}", where=item.patient_id, expected=f"{sorted(names)}"
            )
        start = 0.0
        for time, new in by_patient[item.patient_id].items():
            if unknown := set(new) - names:
                raise OutcomeError(
                    f"a change of {sorted(unknown)}",
                    where=item.patient_id,
                    expected="covariates of the baseline",
                )
            if time >= item.time:
                unused += [
                    Change(item.patient_id, name, time, value) for name, value in new.items()
                ]
                continue
            changed = {**values, **new}
            if time > start and changed != values:
                rows.append(RiskRow(item.patient_id, start, time, "", values))
                start = time
            values = changed
        rows.append(RiskRow(item.patient_id, start, item.time, item.event, values))
    _assert_preserved(checked, rows)
    return RiskTable(tuple(rows), tuple(unused))


@dataclass(frozen=True, slots=True)
class Landmark:
    """Who was still followed at a time, by what was known then.

    Attributes
    ----------
    at
        The time, from the analysis' origin.
    follow_ups
        From the landmark on.
    covariate
        Known at the landmark, which is the origin now.
    left_out
        Patients whose event or censoring came at the landmark or before.
    """

    at: float
    follow_ups: tuple[FollowUp, ...]
    covariate: Covariate
    left_out: tuple[str, ...]


def take_landmark(
    follow_ups: Iterable[FollowUp],
    baseline: Mapping[str, float],
    changes: Iterable[Change],
    name: str,
    at: float,
) -> Landmark:
    """Start the clock anew at a time, with one covariate as it was known up to then.

    Parameters
    ----------
    baseline
        The covariate at the origin, by patient.
    changes
        Those of other covariates and those after the landmark are passed over.

    Raises
    ------
    OutcomeError
        A change of an unknown patient, two values at one time, or nobody is left.
    """
    checked = check_follow_ups(follow_ups)
    by_patient = _by_patient(checked, (item for item in changes if item.name == name))
    values = dict(baseline)
    for patient_id, new in by_patient.items():
        known = [changed[name] for time, changed in new.items() if time <= at]
        if known:
            values[patient_id] = known[-1]
    left = tuple(
        FollowUp(item.patient_id, item.time - at, item.event) for item in checked if item.time > at
    )
    check_follow_ups(left)
    return Landmark(
        at=at,
        follow_ups=left,
        covariate=Covariate(f"{name} by {at:g}", values, known_at=0.0),
        left_out=tuple(item.patient_id for item in checked if item.time <= at),
    )


def _by_patient(
    follow_ups: Iterable[FollowUp], changes: Iterable[Change]
) -> dict[str, dict[float, dict[str, float]]]:
    """Return new values by patient and time, times rising."""
    found: dict[str, dict[float, dict[str, float]]] = {item.patient_id: {} for item in follow_ups}
    for change in sorted(changes, key=lambda item: item.time):
        if change.patient_id not in found:
            raise OutcomeError(
                f"a change of {change.name!r} without follow-up", where=change.patient_id
            )
        if not (math.isfinite(change.time) and math.isfinite(change.value)):
            raise OutcomeError(
                f"{change.name!r} changes to {change.value} at {change.time}",
                where=change.patient_id,
                expected="numbers",
            )
        at_time = found[change.patient_id].setdefault(change.time, {})
        if at_time.setdefault(change.name, change.value) != change.value:
            raise OutcomeError(
                f"{change.name!r} is {at_time[change.name]:g} and {change.value:g} at "
                f"{change.time:g}",
                where=change.patient_id,
                expected="one value at a time",
            )
    return found


def _assert_preserved(follow_ups: tuple[FollowUp, ...], rows: list[RiskRow]) -> None:
    """Hold that cutting lost nothing."""
    ends = {row.patient_id: row for row in rows}
    assert [item.patient_id for item in follow_ups] == list(ends)
    assert all(row.start < row.stop for row in rows)
    assert sum(bool(item.event) for item in follow_ups) == sum(bool(row.event) for row in rows)
    assert all(item.event == ends[item.patient_id].event for item in follow_ups)
    total = math.fsum(item.time for item in follow_ups)
    assert math.isclose(total, math.fsum(row.stop - row.start for row in rows), rel_tol=1e-9)
