"""Rows of time: what they keep, and when a value begins to count."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from cohorts import make_cohort
from hypothesis import given
from hypothesis import strategies as st

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.follow_up import FollowUp
from cytoflow_car.outcome.time_dependent import (
    Change,
    RiskRow,
    RiskTable,
    build_rows,
    take_landmark,
)


def rows_of(*changes: tuple[float, str, float], time: float = 10.0) -> RiskTable:
    return build_rows(
        [FollowUp("P1", time, "relapse")],
        {"P1": {"a": 0.0, "b": 0.0}},
        [Change("P1", name, at, value) for at, name, value in changes],
    )


def test_a_value_counts_after_the_time_at_which_it_was_known() -> None:
    table = rows_of((4, "a", 1), (6, "b", 2))
    assert table.rows == (
        RiskRow("P1", 0.0, 4, "", {"a": 0, "b": 0}),
        RiskRow("P1", 4, 6, "", {"a": 1, "b": 0}),
        RiskRow("P1", 6, 10.0, "relapse", {"a": 1, "b": 2}),
    )


def test_changes_at_one_time_make_one_cut_and_changes_of_nothing_none() -> None:
    assert 2 == len(rows_of((4, "a", 1), (4, "b", 2)).rows)
    assert 1 == len(rows_of((4, "a", 0)).rows)
    assert 2 == len(rows_of((4, "a", 1), (4, "a", 1)).rows)


def test_changes_up_to_the_origin_are_the_baseline() -> None:
    (row,) = rows_of((-3, "a", 1), (-1, "a", 2), (0, "b", 5)).rows
    assert {"a": 2, "b": 5} == row.values


@pytest.mark.parametrize("at", [10.0, 11.0])
def test_changes_from_the_event_on_are_told_and_not_used(at: float) -> None:
    table = rows_of((at, "a", 1))
    assert 1 == len(table.rows) and {"a": 0, "b": 0} == table.rows[0].values
    assert (Change("P1", "a", at, 1),) == table.unused


@pytest.mark.parametrize("seed", range(20))
def test_patients_events_and_time_are_kept(seed: int) -> None:
    cohort = make_cohort(seed)
    rows = build_rows(cohort.follow_ups, cohort.baseline, cohort.changes).rows
    assert {item.patient_id for item in cohort.follow_ups} == {row.patient_id for row in rows}
    by_patient: dict[str, list[RiskRow]] = {}
    for row in rows:
        by_patient.setdefault(row.patient_id, []).append(row)
    for item in cohort.follow_ups:
        own = by_patient[item.patient_id]
        assert 0 == own[0].start and item.time == own[-1].stop
        assert item.event == own[-1].event and not any(row.event for row in own[:-1])
        assert all(row.start < row.stop for row in own)
        assert all(one.stop == other.start for one, other in pairwise(own))


@given(st.lists(st.tuples(st.floats(-5, 15), st.floats(0, 3)), max_size=6), st.floats(0.001, 10))
def test_at_every_time_the_last_value_known_before_it_holds(
    changes: list[tuple[float, float]], at: float
) -> None:
    by_time = dict(changes)
    table = rows_of(*((time, "a", value) for time, value in by_time.items()))
    (row,) = [row for row in table.rows if row.start < at <= row.stop]
    # At the origin a value of that day is the baseline.
    known = [time for time in by_time if time < at or time <= 0]
    assert row.values["a"] == (by_time[max(known)] if known else 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("P2", "a", 1, 1), "P2: a change of 'a' without follow-up"),
        (Change("P1", "c", 1, 1), r"a change of \['c'\]"),
        (Change("P1", "a", 4, 2), "'a' is 1 and 2 at 4"),
        (Change("P1", "a", math.nan, 2), "expected numbers"),
    ],
)
def test_changes_that_contradict_are_errors(change: Change, message: str) -> None:
    changes = [Change("P1", "a", 4, 1), change]
    with pytest.raises(OutcomeError, match=message):
        build_rows([FollowUp("P1", 10.0)], {"P1": {"a": 0.0}}, changes)


def test_every_patient_has_the_same_covariates() -> None:
    follow_ups = [FollowUp("P1", 10.0), FollowUp("P2", 10.0)]
    with pytest.raises(OutcomeError, match=r"P2: covariates \[\]; expected \['a'\]"):
        build_rows(follow_ups, {"P1": {"a": 0.0}}, [])


def test_a_landmark_takes_what_was_known_up_to_it() -> None:
    follow_ups = [
        FollowUp("early", 6.0, "relapse"),
        FollowUp("on the day", 9.0, "relapse"),
        FollowUp("later", 20.0),
    ]
    changes = [
        Change("on the day", "a", 6.0, 1.0),
        Change("later", "a", 6.5, 1.0),
        Change("later", "b", 1.0, 7.0),
    ]
    landmark = take_landmark(
        follow_ups, dict.fromkeys(("on the day", "later"), 0.0), changes, "a", 6
    )
    assert ("early",) == landmark.left_out
    assert (FollowUp("on the day", 3.0, "relapse"), FollowUp("later", 14.0)) == landmark.follow_ups
    assert {"on the day": 1.0, "later": 0.0} == landmark.covariate.values
    assert 0 == landmark.covariate.known_at
    with pytest.raises(OutcomeError, match="no patient was followed"):
        take_landmark(follow_ups, {}, [], "a", 20)
