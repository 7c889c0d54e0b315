"""Courses of patients, from results that were written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hand_written import b_cell, car, frame, row

from cytoflow_car.outcome.recovery import RecoveryState
from cytoflow_car.study.courses import CarCourse, CohortCourses, follow_courses
from cytoflow_car.study.records import (
    ImmunoglobulinRule,
    Infusion,
    LabResult,
    Study,
    StudyDefinitions,
)

FIRST, SECOND = Infusion("P1", 1, car_target="CD19", day=0.0), Infusion("P1", 2, "", "CD22", day=60)
AGAIN = Infusion("P1", 2, car_target="CD19", day=90.0)


def follow(
    *rows: dict, infusions: tuple[Infusion, ...] = (FIRST,), **study: object
) -> CohortCourses:
    return follow_courses(frame(rows), Study(Path(), (), infusions, **study))  # type: ignore[arg-type]


def first(found: CohortCourses, infusion: int = 1) -> CarCourse:
    course = found.car("P1", infusion, "PB", "car_t_percent_of_t")
    assert course is not None
    return course


def values(**by_day: float) -> list[dict]:
    return [car("P1", float(day[1:]), value) for day, value in by_day.items()]


def test_persistence_ends_where_more_of_the_same_is_given() -> None:
    rows = values(d7=10, d21=5, d28=0.0, d56=0.0, d100=50, d120=20, d150=0.0)
    found = first(follow(*rows, infusions=(FIRST, AGAIN)))
    assert (found.persistence.after, found.persistence.by) == (21, 28)
    assert first(follow(*rows, infusions=(FIRST, AGAIN)), 2).persistence.after == 30
    # The cells of another product do not end these, which are still looked for.
    other = first(follow(*rows, infusions=(FIRST, SECOND)))
    assert (other.persistence.after, other.persistence.by) == (120, 150)


def test_what_nobody_knows_the_reagent_of_is_in_no_series() -> None:
    found = first(follow(*values(d7=10, d28=1), car("P1", 14, 90, car_reagent="unknown")))
    assert (found.course.cmax.value, found.n_results) == (10, 2)


def test_days_are_told_as_they_are_whatever_the_timing() -> None:
    later = [{**item, "timing": "post"} for item in values(d7=80, d14=40, d28=10)]
    found = first(follow(*later)).course
    assert (found.tmax.value, found.tlast.value) == (7, 28)


def test_before_and_after_an_infusion_of_the_same_day() -> None:
    rows = [
        car("P1", 7, 10),
        # Drawn in the morning of infusion 2: of cycle 1, whatever the hour.
        {**car("P1", 90.3, 30), "timing": "pre"},
        {**car("P1", 90, 25), "timing": "post"},
        car("P1", 97, 20),
    ]
    found = follow(*rows, infusions=(FIRST, AGAIN))
    assert (first(found).course.cmax.value, first(found).course.tmax.value) == (30, 90)
    assert (first(found, 2).course.cmax.value, first(found, 2).course.tmax.value) == (25, 0)
    # What is there after infusion 2 is none of infusion 1's.
    assert first(found).persistence.after == 90
    only_after = [car("P1", 7, 10), car("P1", 28, 0.0), rows[2]]
    assert first(follow(*only_after, infusions=(FIRST, AGAIN))).persistence.by == 28
    # It says nothing of how long the cells of infusion 2 persist.
    assert first(found, 2).persistence.after == 7


def test_marrow_before_the_infusion_is_no_recovery() -> None:
    rows = [{**b_cell("P1", 0.3, 9.0), "timing": "pre"}, b_cell("P1", 14, 9.0)]
    (found, *_) = follow(*rows).b_cells
    assert (found.recovery.state, found.recovery.known_on) == (RecoveryState.NEVER_APLASTIC, None)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_results_of_a_day_that_which_detects_counts(order: int) -> None:
    blood = [car("P1", 60, 0.0, n_denominator=9e4), car("P1", 60, 3.0, n_denominator=3e4)]
    found = first(follow(*values(d7=10, d90=0.0), *blood[::order]))
    assert (found.persistence.after, found.flags) == (60, ("DOUBLE_RESULT",))
    # Of two that detect, the one with more cells.
    marrow = [
        {**b_cell("P1", 60, 1.0), "n_denominator": 9e4},
        {**b_cell("P1", 60, 7.0), "n_denominator": 3e4},
    ]
    rows = [b_cell("P1", 30, 0.0), *marrow[::order], b_cell("P1", 90, 5.0)]
    (b_cells, *_) = follow(*rows).b_cells
    assert b_cells.recovery.after == 60 and b_cells.recovery.flags == ("DOUBLE_RESULT",)


def test_a_negative_in_between_counts_as_missing_and_its_weight_is_told() -> None:
    found = first(follow(*values(d0=0.0, d7=40, d14=20, d21=16, d28=0.0, d60=5)))
    assert found.course.auc.name == "AUC0-28" and "EMBEDDED_BLQ" in found.course.auc.flags
    assert found.course.auc.value is not None and found.auc_half_loq is not None
    assert found.auc_half_loq < found.course.auc.value - 20


def labs(*told: tuple[float, float, str], test: str = "IgG") -> tuple[LabResult, ...]:
    return tuple(
        LabResult("P1", line, test, value, bound, "g/L", 5.0, day=day)  # type: ignore[arg-type]
        for line, (day, value, bound) in enumerate(told, 2)
    )


@pytest.mark.parametrize(
    ("told", "known_on"),
    [
        (((30, 3, ""), (100, 6, "")), 100),
        # What is below a bound that is below the limit is below the limit.
        (((30, 0.3, "<"), (100, 0.3, "<"), (400, 6, "")), 400),
        (((30, 8, "<"), (400, 6, "")), None),
        (((30, 3, ""), (100, 20, ">"), (200, 6, "")), 100),
        (((30, 3, ""), (100, 4, ">"), (200, 6, "")), 200),
        # Lost before the infusion, back after it; but not what had come back by then.
        (((-20, 3, ""), (60, 6, "")), 60),
        (((-20, 3, ""), (-5, 6, ""), (60, 6, "")), None),
        (((-5, 6, ""), (-20, 3, ""), (60, 6, "")), None),
        (((30, 6, ""), (60, 6, "")), None),
    ],
)
def test_immunoglobulins_recover_where_they_were_below_the_limit(
    told: tuple[tuple[float, float, str], ...], known_on: float | None
) -> None:
    found = follow(car("P1", 7, 1.0), labs=labs(*told)).globulins
    assert (found["P1"].known_on if found else None) == known_on


def test_a_value_after_given_immunoglobulins_is_no_recovery() -> None:
    definitions = StudyDefinitions(immunoglobulin=ImmunoglobulinRule(months_without_ivig=3.0))
    told = (*labs((30, 3, ""), (100, 6, ""), (300, 6, "")), *labs((90, 10, ""), test="IVIG"))
    found = follow(car("P1", 7, 1.0), labs=told, definitions=definitions).globulins["P1"]
    assert (found.after, found.by, found.known_on) == (30, 300, 300)
    # What is given after a value does not hide it; what was low before the infusion was low then.
    told = (*labs((-20, 3, ""), (100, 6, "")), *labs((110, 10, ""), test="IVIG"))
    found = follow(car("P1", 7, 1.0), labs=told, definitions=definitions).globulins["P1"]
    assert (found.after, found.by) == (-20, 100)


def test_a_series_takes_its_unit_from_what_was_done() -> None:
    undone = {**row("P1", 3, "car_t_percent_of_t", None, car_target="CD19"), "unit": ""}
    assert first(follow(undone, *values(d7=10))).unit == "%"
