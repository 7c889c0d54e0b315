"""Times to events of patients whose courses are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytoflow_car.outcome.analysis import Endpoint, Question, analyse_endpoint
from cytoflow_car.outcome.follow_up import FollowUp
from cytoflow_car.outcome.recovery import Recovery, RecoveryDefinition, RecoveryState
from cytoflow_car.study.courses import BCellCourse, CohortCourses, recoveries_of
from cytoflow_car.study.endpoints import LeftOut, becomings_of, endpoints_of
from cytoflow_car.study.records import (
    Infusion,
    PatientFacts,
    RecoveryRule,
    Study,
    StudyDefinitions,
)
from cytoflow_car.tables.outcomes import landmark_frame, tv_frame

CD19, CD22 = recoveries_of(StudyDefinitions())


def study(
    definitions: StudyDefinitions | None = None, **days: dict[str, float]
) -> tuple[Study, list[str]]:
    """Return a study of patients with infusions on days 0 and 40, and their names."""
    infusions = tuple(
        Infusion(name, number, car_target=target, day=day)
        for name in days
        for number, target, day in ((1, "CD19", 0.0), (2, "CD22", 40.0))
    )
    facts = {name: PatientFacts(name, days=own) for name, own in days.items()}
    found = Study(
        Path(), (), infusions, patients=facts, definitions=definitions or StudyDefinitions()
    )
    return found, list(days)


def known(*changes: tuple[float, bool], rule: RecoveryRule = CD19, who: str = "a") -> BCellCourse:
    first = next((day for day, back in changes if back), None)
    state = RecoveryState.APLASIA if first is None else RecoveryState.RECOVERED
    return BCellCourse(who, rule, 3, Recovery("", state, known_on=first, changes=changes))


def ends(
    cohort: tuple[Study, list[str]], *b_cells: BCellCourse
) -> tuple[dict[str, dict[str, FollowUp]], list[LeftOut]]:
    left_out: list[LeftOut] = []
    found = endpoints_of(*cohort, CohortCourses((), b_cells), left_out)
    by_code = {item.name: {own.patient_id: own for own in item.follow_ups} for item in found}
    return by_code, left_out


@pytest.mark.parametrize("rule", ["censor", "competing", "ignore"])
def test_an_event_of_the_day_of_a_transplantation_counts(rule: str) -> None:
    definitions = StudyDefinitions(transplant=rule)  # type: ignore[arg-type]
    cohort = study(
        definitions,
        a={"relapse": 100, "transplant": 100, "last_follow_up": 300},
        b={"death": 50, "transplant": 50, "last_follow_up": 50},
    )
    found, _ = ends(cohort)
    assert found["LFS"]["a"] == FollowUp("a", 100, "relapse")
    assert found["OS"]["b"] == FollowUp("b", 50, "death")


def test_what_ended_follow_up_is_told() -> None:
    cohort = study(a={"transplant": 100, "death": 200, "last_follow_up": 200})
    assert ends(cohort)[0]["OS"]["a"] == FollowUp("a", 100, ended_by="transplant")


def test_a_transplantation_up_to_the_origin_is_history() -> None:
    found, _ = ends(study(a={"transplant": 0, "last_follow_up": 100}))
    assert found["OS"]["a"] == FollowUp("a", 100)


def test_without_a_table_of_infusions_day_0_is_the_first() -> None:
    facts = {"a": PatientFacts("a", days={"last_follow_up": 100.0})}
    found, left_out = ends((Study(Path(), (), patients=facts), ["a"]))
    assert found["OS"]["a"] == FollowUp("a", 100) and not left_out


def test_an_event_on_the_day_of_the_origin_is_an_event() -> None:
    found, left_out = ends(study(a={"death": 0, "last_follow_up": 0}))
    assert found["OS"]["a"] == FollowUp("a", 0.5, "death") and not left_out


def test_who_is_left_out_and_why() -> None:
    definitions = StudyDefinitions(survival_origin=2)
    cohort = study(
        definitions,
        a={"relapse": 30, "last_follow_up": 300},
        b={},
        c={"last_follow_up": 40},
        d={"last_follow_up": 300},
    )
    whole, names = cohort
    found, left_out = ends((whole, [*names, "e"]))
    assert set(found["LFS"]) == {"d"} and set(found["OS"]) == {"a", "d"}
    assert {(item.patient_id, item.why) for item in left_out if item.endpoint == "LFS"} == {
        ("a", "relapse before infusion 2"),
        ("b", "no last follow-up in patients.csv"),
        ("c", "not followed after infusion 2"),
        ("e", "no row in patients.csv"),
    }


def test_who_was_never_infused_has_no_survival_after_infusion() -> None:
    whole, _ = study(a={"last_follow_up": 100})
    facts = {**whole.patients, "x": PatientFacts("x", days={"death": 50.0})}
    cohort = Study(Path(), (), whole.infusions, patients=facts), ["a", "x"]
    found, left_out = ends(cohort)
    assert set(found["OS"]) == {"a"}
    assert LeftOut("OS", "x", "no infusion 1") in left_out


def test_everybody_is_followed_alike_to_recovery_relapse_or_death() -> None:
    cohort = study(
        StudyDefinitions(lfs_events=("relapse",)),
        a={"last_follow_up": 300},
        b={"death": 50, "last_follow_up": 50},
        c={"relapse": 400, "last_follow_up": 500},
        d={"relapse": 90, "last_follow_up": 200},
        e={"last_follow_up": 400},
    )
    b_cells = [known((200, True)), known((90, True), who="d")]
    found, _ = ends(cohort, *b_cells)
    assert found["TTBCR"] == {
        "a": FollowUp("a", 200, "recovery"),
        # Death competes, whatever ends leukemia-free survival.
        "b": FollowUp("b", 50, "death"),
        "c": FollowUp("c", 400, "relapse"),
        # Known on the day of the relapse, it did not precede it.
        "d": FollowUp("d", 90, "relapse"),
        # Nobody looked for a recovery: followed like the others.
        "e": FollowUp("e", 400),
    }


def test_time_to_recovery_follows_one_rule_and_no_other() -> None:
    cohort = study(a={"last_follow_up": 300}, b={"last_follow_up": 300})
    found, _ = ends(cohort, known((90, True), rule=CD22))
    assert "TTBCR" not in found
    found, _ = ends(cohort, known((90, True), rule=CD22), known((200, True), who="b"))
    assert found["TTBCR"]["a"] == FollowUp("a", 300)


def test_recovery_before_the_second_infusion_is_told_alike_in_every_table() -> None:
    definitions = StudyDefinitions(survival_origin=2)
    cohort = study(
        definitions, **{name: {"last_follow_up": 340.0} for name in "abce"},
        d={"relapse": 30, "last_follow_up": 300},
    )  # fmt: skip
    b_cells = (
        known((30, True)),
        known((10, True), (30, False), (140, True), who="b"),
        known((20, True), who="d"),
        # What comes after the origin does not decide who was at risk then.
        known((30, True), (60, False), (140, True), who="e"),
    )
    found, left_out = ends(cohort, *b_cells)
    assert LeftOut("TTBCR", "a", "recovered at infusion 2") in left_out
    assert LeftOut("TTBCR", "e", "recovered at infusion 2") in left_out
    assert found["TTBCR"] == {"b": FollowUp("b", 100, "recovery"), "c": FollowUp("c", 300)}
    # Lost again, it is no longer there; who is not followed breaks nothing.
    (becoming,) = becomings_of(*cohort, CohortCourses((), b_cells))
    endpoints = [Endpoint("LFS", tuple(found["LFS"].values()))]
    name = becoming.name
    rows = tv_frame(endpoints, [becoming]).set_index("id")
    assert rows.loc[["a"], name].tolist() == [1] and rows.loc[["c"], name].tolist() == [0]
    assert rows.loc["b", ["tstart", "tstop", name]].values.tolist() == [[0, 100, 0], [100, 300, 1]]
    assert rows.loc["e", ["tstart", "tstop", name]].values.tolist() == [
        [0, 20, 1], [20, 100, 0], [100, 300, 1],
    ]  # fmt: skip
    landmark = landmark_frame(endpoints, [becoming], 50).set_index("id")
    assert landmark[name].to_dict() == {"a": 1, "b": 0, "c": 0, "e": 0}
    assert becoming.unmeasured == {"c"}


def test_a_recovery_known_on_the_last_day_counts() -> None:
    cohort = study(a={"last_follow_up": 90}, b={"last_follow_up": 90}, c={"last_follow_up": 90})
    b_cells = [known((90, True)), known((90.4, True), who="b"), known((91, True), who="c")]
    found = ends(cohort, *b_cells)[0]["TTBCR"]
    assert [item.event for item in found.values()] == ["recovery", "recovery", ""]
    assert {item.time for item in found.values()} == {90}


def test_a_recovery_known_on_the_day_of_the_origin_is_there_at_it() -> None:
    cohort = study(StudyDefinitions(survival_origin=2), a={"last_follow_up": 90})
    _, left_out = ends(cohort, known((40, True)))
    assert LeftOut("TTBCR", "a", "recovered at infusion 2") in left_out


def test_who_was_never_without_is_told_of() -> None:
    cohort = study(a={"last_follow_up": 300})
    never = BCellCourse("a", CD19, 3, Recovery("", RecoveryState.NEVER_APLASTIC))
    (becoming,) = becomings_of(*cohort, CohortCourses((), (never,)))
    assert (becoming.never_lost, becoming.unmeasured) == ({"a"}, frozenset())


def test_an_incidence_is_told_where_nobody_recovered_and_of_whom_nobody_knows() -> None:
    cohort = study(a={"last_follow_up": 300}, b={"last_follow_up": 300})
    never = BCellCourse("a", CD19, 3, Recovery("", RecoveryState.NEVER_APLASTIC))
    endpoint = endpoints_of(*cohort, CohortCourses((), (never,)), [])[-1]
    (told,) = [
        item
        for item in analyse_endpoint(endpoint, Question((100.0,)))
        if item.kind == "cumulative_incidence"
    ]
    assert (endpoint.name, told.subject) == ("TTBCR", "recovery")
    assert told.estimate is not None and told.estimate.value == 0
    assert told.estimate.flags[:2] == ("UNMEASURED:1", "NEVER_LOST:1")


def test_time_to_recovery_is_of_cd22_where_no_rule_is_of_cd19() -> None:
    own = RecoveryRule(
        RecoveryDefinition("own", "BM", "%", 2.0), "b_cell_cd22_percent_of_nucleated"
    )
    cohort = study(StudyDefinitions(recoveries=(own,)), a={"last_follow_up": 300})
    assert ends(cohort, known((90, True), rule=own))[0]["TTBCR"]["a"].event == "recovery"
