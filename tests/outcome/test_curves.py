"""Survival and cumulative incidence where they can be told by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cohorts import make_cohort

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.curves import at_risk, cumulative_incidence, kaplan_meier
from cytoflow_car.outcome.follow_up import Covariate, FollowUp
from cytoflow_car.outcome.log_rank import compare_groups

FOLLOW_UPS = [
    FollowUp("P1", 2.0, "relapse"),
    FollowUp("P2", 2.0),
    FollowUp("P3", 3.0, "death"),
    FollowUp("P4", 4.0, "relapse"),
]


def test_survival_by_hand() -> None:
    curve = kaplan_meier(FOLLOW_UPS)
    assert [2, 3, 4] == curve.times.tolist()
    assert [4, 2, 1] == curve.at_risk.tolist()
    assert [1, 0, 0] == curve.censored.tolist()
    np.testing.assert_allclose([0.75, 0.375, 0.0], curve.values)
    assert (4, 3, 11.0) == (curve.n, curve.n_events, curve.person_time)
    assert curve.at(2).se == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert curve.at(2).value == curve.at(2.9).value


def test_patients_at_risk_are_those_of_the_follow_ups() -> None:
    cohort = make_cohort(3)
    times = [0.0, 0.25, *{item.time for item in cohort.follow_ups}, 1000.0]
    expected = at_risk(cohort.follow_ups, times)
    assert expected == kaplan_meier(cohort.follow_ups).at_risk_at(times)
    assert expected == cumulative_incidence(cohort.follow_ups, "relapse").at_risk_at(times)


def test_before_the_first_event_and_beyond_the_last_follow_up() -> None:
    curve = kaplan_meier(FOLLOW_UPS)
    before = curve.at(1)
    assert 1.0 == before.value and before.interval is None
    assert ("FEW_EVENTS", "NO_EVENTS_YET") == before.flags
    # At 0 survival has come to its end, and nothing is beyond it.
    assert 0.0 == curve.at(100).value and curve.at(100).interval is None
    censored = kaplan_meier([*FOLLOW_UPS, FollowUp("P5", 5.0)])
    assert censored.at(5).value is not None
    assert censored.at(5.1).value is None and "BEYOND_FOLLOW_UP" in censored.at(5.1).flags


def test_an_incidence_is_final_where_everybody_had_an_event() -> None:
    relapse = cumulative_incidence(FOLLOW_UPS, "relapse")
    last, later = relapse.at(4), relapse.at(100)
    assert (0.625, last.se, last.interval) == (later.value, later.se, later.interval)
    assert last.interval is not None and ("FEW_EVENTS",) == later.flags
    # Nobody is left to die, and death has come to its end before.
    assert 0.375 == pytest.approx(cumulative_incidence(FOLLOW_UPS, "death").at(100).value)
    censored = cumulative_incidence([*FOLLOW_UPS, FollowUp("P5", 4.0)], "relapse").at(4.1)
    assert censored.value is None and "BEYOND_FOLLOW_UP" in censored.flags


@pytest.mark.parametrize("n", [3, 11, 20])
def test_an_incidence_of_everybody_is_one(n: int) -> None:
    everybody = [FollowUp(f"P{k}", k + 1.0, "relapse") for k in range(n)]
    curve = cumulative_incidence(everybody, "relapse")
    assert 1.0 == curve.at(n).value and 1.0 == curve.at(n + 1).value
    assert curve.at(n).interval is None and math.isnan(curve.high[-1])


def test_incidence_by_hand() -> None:
    relapse = cumulative_incidence(FOLLOW_UPS, "relapse")
    np.testing.assert_allclose([0.25, 0.25, 0.625], relapse.values)
    death = cumulative_incidence(FOLLOW_UPS, "death")
    np.testing.assert_allclose([0.0, 0.375, 0.375], death.values)
    assert (2, 1) == (relapse.n_events, death.n_events)


@pytest.mark.parametrize("seed", range(5))
def test_incidences_and_survival_add_up(seed: int) -> None:
    follow_ups = make_cohort(seed).follow_ups
    total = kaplan_meier(follow_ups).values + sum(
        cumulative_incidence(follow_ups, event).values for event in ("relapse", "death")
    )
    np.testing.assert_allclose(np.ones_like(total), total)


@pytest.mark.parametrize("seed", range(5))
def test_incidence_without_other_events_is_one_less_survival(seed: int) -> None:
    follow_ups = [
        FollowUp(item.patient_id, item.time, "relapse" if item.event else "")
        for item in make_cohort(seed).follow_ups
    ]
    survival, incidence = kaplan_meier(follow_ups), cumulative_incidence(follow_ups, "relapse")
    np.testing.assert_allclose(1 - survival.values, incidence.values)
    inside = (survival.values > 0) & (survival.values < 1)
    np.testing.assert_allclose(survival.se[inside], incidence.se[inside])
    np.testing.assert_allclose(1 - survival.high[inside], incidence.low[inside])


def test_patients_at_risk_are_followed_up_to_the_time() -> None:
    assert (4, 4, 2, 1, 0) == at_risk(FOLLOW_UPS, [0, 2, 2.5, 4, 4.5])


def test_groups_are_texts_or_numbers_and_need_an_event() -> None:
    arms = dict(zip(("P1", "P2", "P3", "P4"), ("mutated", "wild", "wild", "wild"), strict=True))
    found = compare_groups(FOLLOW_UPS, Covariate("tp53", arms, known_at=0.0))
    assert ["mutated", "wild"] == [item.label for item in found.groups]
    with pytest.raises(OutcomeError, match="1 groups of 'tp53'"):
        compare_groups(FOLLOW_UPS, Covariate("tp53", dict.fromkeys(arms, "wild"), known_at=0.0))


def test_groups_that_were_never_at_risk_have_no_degree_of_freedom() -> None:
    times = {"P1": 5.0, "P2": 6.0, "P3": 7.0, "P4": 8.0, "P5": 9.0, "P6": 10.0}
    follow_ups = [FollowUp(name, time, "relapse") for name, time in times.items()]
    arms = dict(zip(times, (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), strict=True))
    expected = compare_groups(follow_ups, Covariate("arm", arms, known_at=0.0))
    early = [FollowUp("P7", 1.0), FollowUp("P8", 2.0)]
    arms |= {"P7": 2.0, "P8": 2.0}
    found = compare_groups([*follow_ups, *early], Covariate("arm", arms, known_at=0.0))
    assert (1, expected.chi2, expected.p_value) == (found.degrees, found.chi2, found.p_value)
    assert ("NEVER_AT_RISK:2", "FEW_EVENTS") == found.flags and 3 == len(found.groups)
    arms = dict.fromkeys(times, "later") | {"P7": "early", "P8": "early"}
    with pytest.raises(OutcomeError, match="6 events, at which 1 of 2 groups"):
        compare_groups([*follow_ups, *early], Covariate("arm", arms, known_at=0.0))


def test_groups_of_whom_all_have_their_event_at_once_are_not_compared() -> None:
    follow_ups = [FollowUp("P1", 2.0, "relapse"), FollowUp("P2", 2.0, "relapse")]
    with pytest.raises(OutcomeError, match="everybody at risk had an event at 2"):
        compare_groups(follow_ups, Covariate("arm", {"P1": 0.0, "P2": 1.0}, known_at=0.0))
