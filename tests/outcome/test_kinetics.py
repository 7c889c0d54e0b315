"""Peak, exposure and half-life of planted courses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.kinetics import Course, KineticsSetting, follow_course
from cytoflow_car.outcome.series import SeriesBreak, SeriesPoint

DAYS = (0, 3, 7, 10, 14, 21, 28)
VALUES = (0, 2, 80, 120, 60, 15, 3)


def series(days: Sequence[float], values: Sequence[float | None]) -> list[SeriesPoint]:
    """Make a series; 0 is below an LOQ of 0.5, None was not done."""
    return [
        SeriesPoint(day, Status.NOT_DONE)
        if value is None
        else SeriesPoint(day, Status.QUANTIFIED if value else Status.NOT_DETECTED, value, loq=0.5)
        for day, value in zip(days, values, strict=True)
    ]


def course(
    values: Sequence[float | None], days: Sequence[float] = DAYS, **options: float
) -> Course:
    return follow_course(series(days, values), unit="%", **options)


def test_numbers_of_a_worked_course() -> None:
    found = course(VALUES)
    assert ("AUC0-28", "% d", ()) == (found.auc.name, found.auc.unit, found.auc.flags)
    assert found.auc.value == pytest.approx(1092.663, abs=5e-4)
    assert (120, 10, 3, 28) == (
        found.cmax.value, found.tmax.value, found.clast.value, found.tlast.value,
    )  # fmt: skip
    assert found.terminal is not None and found.terminal.n_points == 3
    assert found.half_life.value == pytest.approx(3.239, abs=5e-4)
    linear = follow_course(
        series(DAYS, VALUES), unit="%", setting=KineticsSetting(auc_rule="linear")
    )
    assert linear.auc.value == pytest.approx(1152.5, abs=1e-9)


def test_the_end_of_the_window_is_interpolated_by_the_rule_of_its_step() -> None:
    falling = course((0, 80, 40, 20), (0, 7, 14, 35))
    at_28 = 40 * 0.5 ** (14 / 21)
    expected = 280 + 7 * 40 / math.log(2) + 14 * (40 - at_28) / math.log(40 / at_28)
    assert falling.auc.value == pytest.approx(expected)
    assert (28, ()) == (falling.auc_to, falling.auc.flags)
    rising = course((0, 10, 20, 40), (0, 7, 21, 35))
    assert rising.auc.value == pytest.approx(35 + 210 + 7 * (20 + 30) / 2)


@given(st.lists(st.floats(0.5, 1e4), min_size=3, max_size=7), st.floats(1, 27))
def test_exposure_up_to_a_day_does_not_depend_on_a_result_of_that_day_on_the_curve(
    values: list[float], window: float
) -> None:
    days = [4.0 * k for k in range(1, len(values) + 1)]
    setting = KineticsSetting(auc_days=window, least_quantified=1)
    expected = follow_course(series(days, values), unit="%", setting=setting).auc
    at = _on_the_curve([0, *days], [0, *values], window)
    if window in days or at is None or not at:
        return
    points = [*series(days, values), SeriesPoint(window, Status.QUANTIFIED, at)]
    found = follow_course(points, unit="%", setting=setting).auc
    assert found.value == pytest.approx(expected.value)


def _on_the_curve(days: Sequence[float], values: Sequence[float], at: float) -> float | None:
    """Return a linear-up log-down curve's value, None beyond its end."""
    for k in range(1, len(days)):
        if days[k - 1] <= at <= days[k]:
            share = (at - days[k - 1]) / (days[k] - days[k - 1])
            before, after = values[k - 1], values[k]
            if before > after > 0:
                return math.exp((1 - share) * math.log(before) + share * math.log(after))
            return (1 - share) * before + share * after
    return None


def test_below_the_loq_is_zero_before_missing_between_and_missing_after() -> None:
    found = course((0, 0, 80, 0, 60, 15, 0))
    expected = 4 * 80 / 2 + 7 * 20 / math.log(80 / 60) + 7 * 45 / math.log(60 / 15)
    assert found.auc.value == pytest.approx(expected)
    flags = ("AUC_TO_TLAST", "EMBEDDED_BLQ")
    assert ("AUClast", 21, flags) == (found.auc.name, found.auc_to, found.auc.flags)
    assert 21 == found.tlast.value
    half = follow_course(
        series(DAYS, (0, 0, 80, 0, 60, 15, 0)),
        unit="%",
        setting=KineticsSetting(embedded_blq="half_loq"),
    )
    assert half.auc.value is not None and half.auc.value < expected


def test_what_was_not_measured_is_not_below_the_loq() -> None:
    # Not done on day 0: zero is assumed, and said; not done at the end: incomplete.
    found = course((None, 2, 80, 120, 60, 15, None))
    assert ("AUC_START_ASSUMED", "AUC_INCOMPLETE") == found.auc.flags
    assert "AUClast" == found.auc.name
    for status in (Status.INDETERMINATE, Status.FAILED, Status.INSUFFICIENT, Status.EMPTY_PARENT):
        points = series(DAYS, VALUES)
        points[0] = SeriesPoint(0, status, 50.0)
        assert ("AUC_START_ASSUMED",) == follow_course(points, unit="%").auc.flags


def test_an_infusion_within_the_window_ends_the_exposure() -> None:
    found = course(VALUES, next_infusion=21)
    assert ("AUClast", 21, ("AUC_TRUNCATED_BY_INFUSION",)) == (
        found.auc.name, found.auc_to, found.auc.flags,
    )  # fmt: skip
    assert 5 == found.n_quantified
    assert () == course(VALUES, next_infusion=33).auc.flags


def test_too_few_results_give_no_exposure_and_no_half_life() -> None:
    found = course((0, None, 80, None, 60, None, 0))
    assert found.auc.value is None and "AUC_TOO_FEW" in found.auc.flags
    assert found.half_life.value is None and ("HALF_LIFE_TOO_FEW",) == found.half_life.flags
    assert (80, 7) == (found.cmax.value, found.tmax.value)
    never = course((0,) * 7)
    assert never.cmax.value is None and ("NEVER_QUANTIFIED",) == never.cmax.flags
    assert ("NO_RESULTS",) == course((None,) * 7).auc.flags


def test_a_half_life_needs_a_line_and_a_span() -> None:
    scattered = course((0, 2, 80, 120, 20, 60, 18))
    assert scattered.half_life.value is None
    assert "HALF_LIFE_R2" in scattered.half_life.flags
    short = course((0, 2, 80, 120, 60, 50, 42))
    assert short.half_life.value is None and short.terminal is not None
    assert ("HALF_LIFE_SPAN",) == short.half_life.flags
    lenient = KineticsSetting(least_half_lives=0.5)
    kept = follow_course(series(DAYS, (0, 2, 80, 120, 60, 50, 42)), unit="%", setting=lenient)
    assert kept.half_life.value == short.terminal.half_life


def test_equally_good_slopes_take_the_longest() -> None:
    days = (0, 2, 4, 8, 12, 16)
    found = course((0, 64, *(32 * 0.5 ** (day / 2) for day in days[2:])), days)
    assert found.terminal is not None and 4 == found.terminal.n_points
    assert found.half_life.value == pytest.approx(2)


@pytest.mark.parametrize("what", ["car_reagent", "panel_version", "instrument", "denominator"])
def test_a_change_of_method_is_told_where_it_matters(what: str) -> None:
    points = [
        replace(point, **{what: "b" if point.day >= 21 else "a"}) for point in series(DAYS, VALUES)
    ]
    found = follow_course(points, unit="%")
    flag = f"SERIES_BREAK:{what}"
    assert (SeriesBreak(21, what),) == found.breaks
    assert (flag,) == found.cmax.flags == found.auc.flags == found.half_life.flags
    # Whoever does not know the reagent has not changed it.
    points[2] = replace(points[2], **{what: ""})
    assert (SeriesBreak(21, what),) == follow_course(points, unit="%").breaks
    later = [*points[:-2], replace(points[-2], **{what: "a"}), replace(points[-1], day=40.0)]
    later.insert(-1, replace(points[-3], day=28.0, value=3.0))
    assert (flag,) == follow_course(later, unit="%").cmax.flags
    assert () == follow_course(later, unit="%").auc.flags


def test_unconfirmed_values_count_with_a_flag_from_the_loq_on() -> None:
    points = series(DAYS, VALUES)
    points[3] = replace(points[3], status=Status.DETECTED_UNCONFIRMED)
    found = follow_course(points, unit="%")
    assert 120 == found.cmax.value and ("UNCONFIRMED",) == found.cmax.flags == found.auc.flags
    points[3] = replace(points[3], loq=200.0)
    assert 80 == follow_course(points, unit="%").cmax.value


def test_two_results_on_one_day_are_an_error() -> None:
    with pytest.raises(OutcomeError, match="two results on day 3"):
        follow_course(series((0, 3, 3), (0, 1, 2)), unit="%")
    with pytest.raises(OutcomeError, match="QUANTIFIED with value None"):
        follow_course([SeriesPoint(1, Status.QUANTIFIED)], unit="%")


def test_what_was_drawn_before_an_infusion_is_no_peak_after_it() -> None:
    days, values = (0, 7, 14, 28), (90, 20, 10, 5)
    first, *later = series(days, values)
    found = follow_course([replace(first, timing="pre"), *later], unit="%")
    assert (found.cmax.value, found.tmax.value, found.n_quantified) == (20, 7, 3)
    # But the curve begins there.
    assert found.auc.value == course(values, days).auc.value
    both = [replace(first, timing="pre"), replace(first, value=30.0, timing="post"), *later]
    assert follow_course(both, unit="%").cmax.value == 30
    # Of the next infusion's day, what was drawn before it still belongs here.
    last = [
        replace(later[2], timing=timing, value=value)
        for timing, value in (("pre", 40.0), ("post", 80.0))
    ]
    assert follow_course([*later[:2], *last], unit="%", next_infusion=28).cmax.value == 40


def test_what_was_there_before_an_infusion_makes_no_negative_missing() -> None:
    days, values = (0, 3, 7, 10, 14, 21, 28), (0.8, 0, 80, 120, 60, 15, 3)
    first, *later = series(days, values)
    found = follow_course([replace(first, timing="pre"), *later], unit="%")
    # The linear way from 0.8 to 0 on day 3, and then as without it; days 0 to 7 otherwise differ.
    assert found.auc.value == pytest.approx(
        1092.663 - (3 * 2 / 2 + 4 * 82 / 2) + 3 * 0.8 / 2 + 4 * 80 / 2, abs=1e-3
    )
    few = follow_course([replace(first, timing="pre"), *later[1:3]], unit="%")
    assert (few.n_quantified, few.auc.value) == (2, None)


def test_results_after_the_window_alone_give_no_exposure() -> None:
    found = course((0, 0, 0, 5, 4), (0, 14, 28, 35, 42))
    assert found.auc.value is None and "AUC_TOO_FEW" in found.auc.flags


def test_order_does_not_matter() -> None:
    points = series(DAYS, VALUES)
    assert follow_course(points, unit="%") == follow_course(points[::-1], unit="%")
