"""Ends of persistence and of aplasia, as intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.persistence import Persistence, persistence, persistence_by_cibmtr
from cytoflow_car.outcome.recovery import (
    DEFINITIONS,
    Recovery,
    RecoveryDefinition,
    RecoveryState,
    find_recovery,
)
from cytoflow_car.outcome.series import SeriesPoint

_STATUS = {
    "+": Status.QUANTIFIED,
    "q": Status.DETECTED_BELOW_LOQ,
    "u": Status.DETECTED_UNCONFIRMED,
    "t": Status.DETECTED_BELOW_LOD,
    "-": Status.NOT_DETECTED,
    "i": Status.INDETERMINATE,
    "n": Status.NOT_DONE,
}


def results(text: str) -> list[SeriesPoint]:
    """Make results on days 10, 20 …, a letter each."""
    return [
        SeriesPoint(10.0 * k, _STATUS[letter], 1.0 if letter in "+u" else None)
        for k, letter in enumerate(text, 1)
    ]


@pytest.mark.parametrize(
    ("text", "after", "by", "flags"),
    [
        ("++--", 20, 30, ()),
        ("++-", 20, 30, ("NEGATIVE_ONCE",)),
        ("+q--", 20, 30, ()),
        ("+u--", 20, 30, ()),
        ("+-+--", 30, 40, ("INTERMITTENT",)),
        ("+-+", 30, None, ("INTERMITTENT",)),
        ("+t--", 10, 30, ()),
        ("+t", 10, None, ()),
        ("+i--", 10, 30, ()),
        ("+nn", 10, None, ()),
        ("--", None, 10, ("NEVER_DETECTED",)),
        ("in", None, None, ("NO_RESULTS",)),
        ("++--t", 20, 30, ("TRACE_AFTER",)),
        # Before the cells expand it is no gap.
        ("-++--", 30, 40, ()),
    ],
)
def test_persistence_ends_between_results(
    text: str, after: float | None, by: float | None, flags: tuple[str, ...]
) -> None:
    assert Persistence("interval", after, by, flags) == persistence(results(text))


def test_a_negative_by_another_reagent_is_told() -> None:
    reagents = ("CD19-Fc", "CD19-Fc", "anti-FMC63")
    points = [
        replace(point, car_reagent=reagent)
        for point, reagent in zip(results("++-"), reagents, strict=True)
    ]
    assert persistence(points).flags == ("NEGATIVE_ONCE", "SERIES_BREAK:car_reagent")


def test_a_second_negative_may_be_asked_for() -> None:
    expected = Persistence("interval", 20, None, ("NEGATIVE_UNCONFIRMED",))
    assert expected == persistence(results("++-"), negatives_needed=2)
    assert 30 == persistence(results("++--"), negatives_needed=2).by


@pytest.mark.parametrize(
    ("text", "by"), [("--", 10), ("++--", 20), ("+-+--", 30), ("++", None), ("+-+", None)]
)
def test_registries_date_the_end_otherwise(text: str, by: float | None) -> None:
    assert by == persistence_by_cibmtr(results(text)).by


def test_results_before_the_infusion_say_nothing_of_persistence() -> None:
    before = [SeriesPoint(-3, Status.NOT_DETECTED), SeriesPoint(0, Status.NOT_DETECTED)]
    assert 10 == persistence([*before, *results("--")]).by


PERCENT = RecoveryDefinition("test", "PB", "%", 3.0)


def aplasia(*values: float | None, definition: RecoveryDefinition = PERCENT) -> Recovery:
    points = [
        SeriesPoint(10.0 * k, Status.NOT_DONE if value is None else Status.QUANTIFIED, value)
        for k, value in enumerate(values, 1)
    ]
    return find_recovery(points, definition)


@pytest.mark.parametrize(
    ("values", "state", "after", "by", "known_on", "flags"),
    [
        ((0.1, 0.2, 5, 6), RecoveryState.RECOVERED, 20, 30, 40, ()),
        ((0.1, 5, None, 6), RecoveryState.RECOVERED, 10, 20, 40, ()),
        ((0.1, 5, 0.1, 6, 7), RecoveryState.RECOVERED, 30, 40, 50, ("TRANSIENT",)),
        ((0.1, 5, 6, 0.1), RecoveryState.RECOVERED, 10, 20, 30, ("LOST_AGAIN",)),
        ((0.1, 5), RecoveryState.UNCONFIRMED, 10, 20, None, ()),
        ((0.1, 5, 0.1), RecoveryState.APLASIA, 30, None, None, ("TRANSIENT",)),
        ((0.1, None), RecoveryState.APLASIA, 10, None, None, ()),
        # What was never lost cannot come back, and what is there before it is lost is no recovery.
        ((5, 6), RecoveryState.NEVER_APLASTIC, None, None, None, ()),
        ((6, 5, 0.1, 0.1, 5, 6), RecoveryState.RECOVERED, 40, 50, 60, ()),
        ((None,), RecoveryState.UNKNOWN, None, None, None, ()),
    ],
)
def test_recovery_is_known_when_a_second_result_confirms_it(
    values: tuple[float | None, ...],
    state: RecoveryState,
    after: float | None,
    by: float | None,
    known_on: float | None,
    flags: tuple[str, ...],
) -> None:
    found = aplasia(*values)
    assert Recovery("test", state, after, by, known_on, flags, found.changes) == found


def test_a_recovery_may_be_lost_and_come_again() -> None:
    found = aplasia(0.1, 5, 6, 0.1, 7, 0.2, 8, 9)
    assert found.changes == ((30, True), (40, False), (80, True))
    assert (found.after, found.by, found.known_on, found.flags) == (10, 20, 30, ("LOST_AGAIN",))


def test_what_was_drawn_on_day_0_is_no_aplasia() -> None:
    points = [SeriesPoint(0, Status.QUANTIFIED, 0.1)]
    points += [SeriesPoint(day, Status.QUANTIFIED, 6.0) for day in (30.0, 60.0)]
    assert find_recovery(points, PERCENT).state is RecoveryState.NEVER_APLASTIC


def test_a_change_of_the_panel_within_an_interval_is_told() -> None:
    values = (0.1, 0.1, 5, 6)
    points = [
        SeriesPoint(10.0 * k, Status.QUANTIFIED, value, panel_version="B-1" if k < 4 else "B-2")
        for k, value in enumerate(values, 1)
    ]
    # The result that confirms it is one of the other panel.
    assert find_recovery(points, PERCENT).flags == ("SERIES_BREAK:panel_version",)


@pytest.mark.parametrize(
    ("name", "aplastic", "recovered"),
    [
        ("bm_2_percent", 2.0, 2.01),
        ("pb_3_percent_of_lymphocytes", 2.99, 3.0),
        ("pb_50_per_ul", 49.9, 50.0),
    ],
)
def test_definitions_at_their_thresholds(name: str, aplastic: float, recovered: float) -> None:
    definition = DEFINITIONS[name]
    assert RecoveryState.APLASIA is aplasia(aplastic, definition=definition).state
    assert RecoveryState.UNCONFIRMED is aplasia(aplastic, recovered, definition=definition).state


def test_an_insensitive_negative_tells_nothing_of_aplasia() -> None:
    negative = SeriesPoint(10, Status.NOT_DETECTED, loq=5.0)
    assert RecoveryState.UNKNOWN is find_recovery([negative], PERCENT).state
    sensitive = SeriesPoint(10, Status.DETECTED_BELOW_LOQ, loq=1.0)
    assert RecoveryState.APLASIA is find_recovery([sensitive], PERCENT).state
