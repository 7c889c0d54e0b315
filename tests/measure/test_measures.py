"""Measurements and their status, from counts made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from planted import counted_tree, prepare

from cytoflow_car.errors import MeasurementError
from cytoflow_car.measure.context import MeasureContext, TubeFacts
from cytoflow_car.measure.counting import Concentration, Count, Percent
from cytoflow_car.measure.detection import DetectionRule, judge
from cytoflow_car.measure.intensity import Intensity
from cytoflow_car.measure.intervals import clopper_pearson, ratio_of_counts
from cytoflow_car.measure.reporting import report_value
from cytoflow_car.model.gate import Background, BeyondCut, Dimension, Placement, RectangleGate
from cytoflow_car.model.measurement import Interval, Measurement, Status
from cytoflow_car.model.population import Population, PopulationTree
from cytoflow_car.model.scale import Logicle

RULE = DetectionRule("car", lod_events=13, loq_events=50)
PRE_INFUSION = Background("pre_infusion", "P1_d0", 20, 40_000)
GATE = RectangleGate((Dimension("CAR", Logicle()),), (1000.0,), (math.inf,))


def tree_of(n_car: int, n_t: int) -> PopulationTree:
    return counted_tree(root=(None, n_t + 5), T=("root", n_t), CAR=("T", n_car))


def with_background(tree: PopulationTree, background: Background) -> PopulationTree:
    placement = Placement(GATE, "control", 1.0, "", "pre_infusion P1_d0 P99.9", (), background)
    changed = tuple(
        replace(item, placement=placement) if item.name == "CAR" else item for item in tree
    )
    return PopulationTree(changed, tree.kept)


def context(
    tree: PopulationTree, rule: DetectionRule = RULE, tube: TubeFacts = TubeFacts()
) -> MeasureContext:
    n_events = tree.kept.size
    return MeasureContext(tree, prepare({"CAR": np.zeros(n_events)}), tube, {"car": rule})


def percent(
    n_car: int,
    n_t: int,
    rule: DetectionRule = RULE,
    background: Background | None = None,
) -> Measurement:
    tree = tree_of(n_car, n_t)
    if background is not None:
        tree = with_background(tree, background)
    return Percent("percent", "car_t_percent_of_t", "CAR", "T", "car").take(context(tree, rule))


# 20 of 40,000 in the control: twice that rate is 10 of 10,000.
@pytest.mark.parametrize(
    ("n_car", "n_t", "rule", "background", "status"),
    [
        (500, 10_000, RULE, PRE_INFUSION, Status.QUANTIFIED),
        (500, 10_000, RULE, None, Status.QUANTIFIED),
        (40, 10_000, RULE, PRE_INFUSION, Status.DETECTED_BELOW_LOQ),
        (13, 10_000, RULE, None, Status.DETECTED_BELOW_LOQ),
        (12, 10_000, RULE, None, Status.DETECTED_BELOW_LOD),
        (50, 10_000, RULE, None, Status.QUANTIFIED),
        (49, 10_000, RULE, None, Status.DETECTED_BELOW_LOQ),
        (15, 10_000, RULE, PRE_INFUSION, Status.NOT_DETECTED),
        (0, 10_000, RULE, None, Status.NOT_DETECTED),
        (0, 10_000, replace(RULE, negative_lod_percent=0.05), None, Status.INDETERMINATE),
        (0, 26_000, replace(RULE, negative_lod_percent=0.05), None, Status.NOT_DETECTED),
        (30, 49, replace(RULE, least_events={"T": 50}), None, Status.INSUFFICIENT),
        (0, 0, RULE, None, Status.EMPTY_PARENT),
        (500, 10_000, replace(RULE, needs_control=True), None, Status.INDETERMINATE),
        (5, 10_000, replace(RULE, needs_control=True), None, Status.INDETERMINATE),
        (500, 10_000, replace(RULE, needs_control=True), PRE_INFUSION, Status.QUANTIFIED),
        (
            500,
            10_000,
            replace(RULE, needs_control=True),
            replace(PRE_INFUSION, kind="fmo"),
            Status.DETECTED_UNCONFIRMED,
        ),
        (60, 10_000, replace(RULE, blank_percent=0.5), None, Status.NOT_DETECTED),
        (80, 10_000, replace(RULE, blank_percent=0.5), None, Status.QUANTIFIED),
        (60, 10_000, replace(RULE, interfering={"T": 0.5}), None, Status.INDETERMINATE),
        (80, 10_000, replace(RULE, interfering={"T": 0.5}), None, Status.QUANTIFIED),
    ],
)
def test_status_of_counts(
    n_car: int,
    n_t: int,
    rule: DetectionRule,
    background: Background | None,
    status: Status,
) -> None:
    taken = percent(n_car, n_t, rule, background)
    assert taken.status == status
    assert (taken.n_events, taken.n_denominator) == (n_car, n_t)


def test_flags_say_why() -> None:
    assert percent(30, 49, replace(RULE, least_events={"T": 50})).flags == ("FEW_T",)
    assert percent(0, 99, replace(RULE, negative_lod_percent=0.05)).flags == ("LOD_TOO_HIGH",)
    assert percent(60, 10_000, replace(RULE, interfering={"T": 0.5})).flags == ("INTERFERENCE",)


@pytest.mark.parametrize(
    ("n_far", "n_of_control", "status"),
    [
        (2, 2, Status.NOT_DETECTED),
        # The control's rate in as many events would be 2 of 10,000.
        (12, 8, Status.INDETERMINATE),
        (20, 60, Status.NOT_DETECTED),
    ],
)
def test_no_negative_where_there_are_more_bright_events_than_in_the_control(
    n_far: int, n_of_control: int, status: Status
) -> None:
    # In the gate there are no more than twice the control's rate.
    background = replace(
        Background("pre_infusion", "P1_d0", 120, 40_000),
        beyond=BeyondCut(n_far, 10_000, n_of_control),
    )
    taken = percent(40, 10_000, background=background)
    assert taken.status == status
    assert ("BRIGHT_EVENTS" in taken.flags) == (status is Status.INDETERMINATE)


def test_judgement_needs_no_control_for_a_negative() -> None:
    rule = replace(RULE, needs_control=True)
    verdict = judge(0, 50_000, rule, tree_of(0, 50_000), n_parent=50_000, background=None)
    assert verdict.status == Status.NOT_DETECTED


def test_percent_with_interval_and_limits() -> None:
    taken = percent(500, 10_000)
    exact = clopper_pearson(500, 10_000)
    assert taken.value == pytest.approx(5.0)
    assert taken.interval is not None
    assert (taken.interval.low, taken.interval.high) == pytest.approx(
        (100 * exact.low, 100 * exact.high)
    )
    assert (taken.lod, taken.loq) == pytest.approx((0.13, 0.5))
    assert taken.unit == "%"


@pytest.mark.parametrize(("n_car", "n_t"), [(0, 0), (0, 49)])
def test_unknown_share_has_no_value_and_no_interval(n_car: int, n_t: int) -> None:
    taken = percent(n_car, n_t, replace(RULE, least_events={"T": 50} if n_t else {}))
    assert taken.value is None
    assert taken.interval is None
    assert taken.value_net is None
    assert taken.value_reported == "insufficient cells"


def test_none_of_many_is_zero_with_an_upper_limit() -> None:
    taken = percent(0, 40_000)
    assert taken.value == 0.0
    assert taken.interval is not None
    assert taken.interval.low == 0.0
    assert taken.interval.high == pytest.approx(100 * clopper_pearson(0, 40_000).high)
    assert taken.value_reported == "<0.0325"


def test_background_is_taken_off_with_its_own_uncertainty() -> None:
    taken = percent(500, 10_000, RULE, PRE_INFUSION)
    assert taken.background == pytest.approx(0.05)
    assert taken.value_net == pytest.approx(4.95)
    assert taken.net_interval is not None
    assert taken.interval is not None
    assert taken.net_interval.low < taken.value_net < taken.net_interval.high
    exact, control = clopper_pearson(500, 10_000), clopper_pearson(20, 40_000)
    down = math.hypot(0.05 - exact.low, control.high - 0.0005)
    assert taken.net_interval.low == pytest.approx(4.95 - 100 * down)
    # The share itself may be as low as if twice the control's highest rate were in it: the factor
    # of the test against background.
    assert taken.interval.low == pytest.approx(100 * (exact.low - 2 * control.high))
    assert taken.interval.low < taken.net_interval.low
    assert taken.interval.high == pytest.approx(100 * exact.high)


def test_background_refers_to_the_gates_parent_not_to_the_denominator() -> None:
    tree = with_background(
        counted_tree(root=(None, 40_000), T=("root", 10_000), CAR=("T", 500)), PRE_INFUSION
    )
    taken = Percent("percent", "x", "CAR", "root", "car").take(context(tree))
    assert taken.value == pytest.approx(1.25)
    # 0.05 % of 10,000 T cells are 5 events of 40,000.
    assert taken.background == pytest.approx(0.0125)
    assert taken.value_net == pytest.approx(1.2375)


def test_denominator_that_does_not_hold_the_population_is_refused() -> None:
    tree = tree_of(10, 100)
    moved = Population("B", "root/B", "root", np.arange(50, 105), 55, None)
    tree = PopulationTree((*tree.populations, moved), tree.kept)
    measure = Percent("percent", "car_t_percent_of_b", "CAR", "B", "car")
    with pytest.raises(MeasurementError, match="10 of 10 events of 'CAR' lie outside 'B'"):
        measure.take(context(tree))
    holding = replace(moved, rows=np.arange(105), count=105)
    tree = PopulationTree((*tree.populations[:3], holding), tree.kept)
    assert measure.take(context(tree)).n_denominator == 105


@pytest.mark.parametrize("flag", ["MARKER_MISSING:CAR", "NOT_GATED:nothing lies between"])
def test_population_that_was_not_gated_is_not_done(flag: str) -> None:
    tree = tree_of(0, 100)
    flagged = tuple(replace(item, flags=(flag,)) if item.name == "CAR" else item for item in tree)
    tree = PopulationTree(flagged, tree.kept)
    for measure in (
        Percent("percent", "a", "CAR", "T", "car"),
        Count("count", "b", "CAR", "car"),
        Concentration("concentration", "c", "CAR", "car", wbc_population="T"),
        Intensity("intensity", "d", "CAR", "CAR"),
    ):
        taken = measure.take(context(tree, tube=TubeFacts(wbc_10e9_per_l=5.0)))
        assert (taken.status, taken.value) == (Status.NOT_DONE, None)
        assert taken.flags == (flag,)


def test_events_that_quality_control_marked_are_told_apart() -> None:
    tree = tree_of(100, 1000)
    fewer = tuple(
        replace(item, count={"CAR": 60, "T": 800, "root": 805}[item.name]) for item in tree
    )
    taken = Percent("percent", "x", "CAR", "T", "car").take(
        context(PopulationTree(fewer, tree.kept))
    )
    assert taken.value == pytest.approx(7.5)
    assert taken.value_before_qc == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("n_car", "n_t", "status", "reported"),
    [
        (7, 1000, Status.DETECTED_BELOW_LOD, "7"),
        (0, 1000, Status.NOT_DETECTED, "0 of 1000"),
        (0, 0, Status.EMPTY_PARENT, "insufficient cells"),
    ],
)
def test_count(n_car: int, n_t: int, status: Status, reported: str) -> None:
    taken = Count("count", "car_t_count", "CAR", "car").take(context(tree_of(n_car, n_t)))
    # 0 of n is 0, 0 of 0 is unknown.
    value = n_car if n_t else None
    assert (taken.value, taken.unit, taken.status) == (value, "count", status)
    assert taken.value_reported == reported


SINGLE = TubeFacts(beads_per_tube=50_000.0, volume_ul=100.0, dilution=2.0)


def beads_tree(n_car: int, n_beads: int) -> PopulationTree:
    tree = counted_tree(root=(None, 30_000), T=("root", 10_000), CAR=("T", n_car))
    beads = Population("beads", "root/beads", "root", np.arange(n_beads) + 20_000, n_beads, None)
    return PopulationTree((*tree.populations, beads), tree.kept)


def concentration(tree: PopulationTree, tube: TubeFacts, cv: float = 0.0) -> Measurement:
    measure = Concentration(
        "concentration",
        "car_t_per_ul",
        "CAR",
        "car",
        beads="beads",
        wbc_population="root",
        alc_population="T",
        pipetting_cv=cv,
    )
    return measure.take(context(tree, tube=tube))


def test_single_platform_by_hand() -> None:
    # (400 / 2000) × (50,000 / 100 µL) × 2 = 200 cells a µL.
    taken = concentration(beads_tree(400, 2000), SINGLE)
    assert (taken.value, taken.unit, taken.platform) == (pytest.approx(200.0), "cells/uL", "single")
    # One event is 0.5 cells a µL: 13 and 50 events.
    assert (taken.lod, taken.loq) == pytest.approx((6.5, 25.0))
    exact = ratio_of_counts(400, 2000)
    assert taken.interval is not None
    assert taken.interval.low == pytest.approx(1000 * exact.low)
    assert taken.interval.high == pytest.approx(1000 * exact.high)
    assert (taken.n_events, taken.n_denominator) == (400, 2000)


def test_variation_of_concentration_adds_up() -> None:
    taken = concentration(beads_tree(400, 2000), SINGLE, cv=0.05)
    assert taken.interval is not None
    # CV² = 1/400 + 1/2000 + 0.05².
    half = 1.96 * math.sqrt(1 / 400 + 1 / 2000 + 0.05**2)
    assert math.log(taken.interval.high / 200.0) == pytest.approx(half, rel=0.03)
    assert math.log(200.0 / taken.interval.low) == pytest.approx(half, rel=0.03)


def test_none_seen_has_an_upper_limit_with_pipetting() -> None:
    counted = concentration(beads_tree(0, 2000), SINGLE, cv=0.0)
    pipetted = concentration(beads_tree(0, 2000), SINGLE, cv=0.05)
    assert counted.interval is not None
    assert pipetted.interval is not None
    assert counted.value == 0.0
    assert pipetted.interval.high == pytest.approx(
        counted.interval.high * math.exp(1.959964 * 0.05)
    )
    assert pipetted.value_reported.startswith("<")


def test_dual_platform_by_hand() -> None:
    tree = beads_tree(400, 2000)
    # 5 × 10⁹ white cells a litre are 5,000 a µL; 400 of 30,000 are CAR T cells.
    white = concentration(tree, TubeFacts(wbc_10e9_per_l=5.0, alc_10e9_per_l=1.2))
    assert white.value == pytest.approx(5000 * 400 / 30_000)
    assert (white.platform, white.denominator) == ("dual", "root")
    # 1,200 lymphocytes a µL; 400 of 10,000.
    lymphocytes = concentration(tree, TubeFacts(alc_10e9_per_l=1.2))
    assert lymphocytes.value == pytest.approx(48.0)
    assert lymphocytes.denominator == "T"


def test_few_beads_are_flagged_and_no_beads_give_no_value() -> None:
    assert "FEW_BEADS" in concentration(beads_tree(400, 999), SINGLE).flags
    assert "FEW_BEADS" not in concentration(beads_tree(400, 1000), SINGLE).flags
    none = concentration(beads_tree(400, 0), SINGLE)
    assert (none.value, none.status) == (None, Status.EMPTY_PARENT)


def test_without_count_basis_concentration_is_not_done() -> None:
    taken = concentration(beads_tree(400, 2000), TubeFacts(beads_per_tube=50_000.0))
    assert (taken.value, taken.status) == (None, Status.NOT_DONE)
    assert taken.flags == ("NO_COUNT_BASIS",)


def intensity(values: np.ndarray, statistic: str, least: int = 20) -> Measurement:
    tree = counted_tree(root=(None, values.size))
    measure = Intensity("intensity", "x_mfi", "root", "CAR", statistic, least)  # type: ignore[arg-type]
    return measure.take(MeasureContext(tree, prepare({"CAR": values}), TubeFacts()))


def test_intensity() -> None:
    values = np.random.default_rng(1).lognormal(8.0, 0.5, 1000)
    median = intensity(values, "median")
    assert (median.value, median.unit) == (pytest.approx(np.median(values)), "a.u.")
    mean = intensity(values, "geometric_mean")
    assert mean.value == pytest.approx(np.exp(np.log(values).mean()))
    for taken in (median, mean):
        assert taken.interval is not None
        assert taken.interval.low < math.exp(8.0) < taken.interval.high
        assert taken.status == Status.QUANTIFIED


def test_a_bright_intensity_is_printed_without_an_exponent() -> None:
    assert intensity(np.linspace(123_000.0, 123_900.0, 51), "median").value_reported == "123400"


def test_intensity_that_does_not_exist_has_no_value() -> None:
    negative = intensity(np.linspace(-5.0, 100.0, 50), "geometric_mean")
    assert (negative.value, negative.status) == (None, Status.INDETERMINATE)
    assert "NOT_ALL_POSITIVE" in negative.flags
    few = intensity(np.arange(1.0, 20.0), "median")
    assert (few.value, few.status) == (None, Status.INSUFFICIENT)
    nobody = intensity(np.empty(0), "median")
    assert (nobody.value, nobody.status) == (None, Status.EMPTY_PARENT)


# A quantified value rests on at least LOQ events, so it is never 0.
@pytest.mark.parametrize(
    ("status", "value"),
    [(status, 1e-7) for status in Status]
    + [(status, 0.0) for status in Status if status is not Status.QUANTIFIED],
)
def test_no_status_prints_zero_alone(status: Status, value: float) -> None:
    text = report_value(value, status, interval=Interval(0.0, 1e-4), lod=1e-3, loq=1e-2)
    assert text
    assert text.strip("<% ").rstrip("0").rstrip(".") not in ("", "0")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.QUANTIFIED, "12.3"),
        (Status.DETECTED_UNCONFIRMED, "12.3 (unconfirmed)"),
        (Status.DETECTED_BELOW_LOQ, "<0.5 (detected)"),
        (Status.DETECTED_BELOW_LOD, "<0.05 (trace)"),
        (Status.NOT_DETECTED, "<0.07"),
        (Status.INDETERMINATE, "indeterminate"),
        (Status.NOT_DONE, "not done"),
        (Status.FAILED, "failed"),
    ],
)
def test_printed_forms(status: Status, expected: str) -> None:
    printed = report_value(12.345, status, interval=Interval(0.0, 0.07), lod=0.05, loq=0.5)
    assert printed == expected


# Background of the gate: of the control's own rate, and of one that is twice as high in this run.
@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("planted", [0.0, 0.05, 2.0])
def test_interval_beside_a_control_covers_what_was_planted(planted: float, factor: float) -> None:
    rng = np.random.default_rng(round(100 * planted + factor))
    n_t, n_control, background_percent = 8000, 4000, 0.2
    covered, quantified = [], []
    for _ in range(200):
        n_car = rng.binomial(n_t, planted / 100) + rng.binomial(
            n_t, factor * background_percent / 100
        )
        of_control = int(rng.binomial(n_control, background_percent / 100))
        background = Background("pre_infusion", "P1_d0", of_control, n_control)
        taken = percent(int(n_car), n_t, RULE, background)
        assert taken.interval is not None
        covered.append(taken.interval.low <= planted <= taken.interval.high)
        quantified.append(taken.status is Status.QUANTIFIED)
    assert np.mean(covered) >= 0.95
    if planted == 0:
        assert np.mean(quantified) <= 0.01


def test_interval_of_blanks_and_of_other_populations_covers_none() -> None:
    rng = np.random.default_rng(2)
    rule = replace(RULE, blank_percent=0.1, interfering={"T": 0.5})
    covered = []
    for _ in range(200):
        n_car = int(rng.poisson(0.001 * 10_005) + rng.poisson(0.005 * 10_000))
        tree = tree_of(n_car, 10_000)
        taken = Percent("percent", "x", "CAR", "root", "car").take(context(tree, rule))
        assert taken.interval is not None
        covered.append(taken.interval.low <= 0.0)
    assert np.mean(covered) >= 0.95


def test_lower_limit_by_hand_and_the_upper_untouched() -> None:
    rule = replace(RULE, blank_percent=0.1, interfering={"T": 0.5}, background_factor=3.0)
    tree = with_background(tree_of(900, 10_000), PRE_INFUSION)
    taken = Percent("percent", "x", "CAR", "root", "car").take(context(tree, rule))
    exact, control = clopper_pearson(900, 10_005), clopper_pearson(20, 40_000)
    # Of 10,005 events: 10.005 by blanks, 50 of T, and three times the control's rate in 10,000.
    expected = 10.005 + 50 + 3 * control.high * 10_000
    assert taken.interval is not None
    assert taken.interval.low == pytest.approx(100 * (exact.low - expected / 10_005))
    assert taken.interval.high == pytest.approx(100 * exact.high)


def test_interference_gives_no_value_but_limits() -> None:
    rule = replace(RULE, interfering={"T": 0.5})
    shared = with_background(tree_of(60, 10_000), replace(PRE_INFUSION, n_events=0))
    share = Percent("percent", "x", "CAR", "T", "car").take(context(shared, rule))
    tube = TubeFacts(wbc_10e9_per_l=5.0)
    measure = Concentration("concentration", "y", "CAR", "car", wbc_population="T")
    per_ul = measure.take(context(shared, rule, tube))
    for taken in (share, per_ul):
        assert (taken.status, taken.flags) == (Status.INDETERMINATE, ("INTERFERENCE",))
        assert (taken.value, taken.value_net, taken.value_before_qc) == (None, None, None)
        assert taken.value_reported == "indeterminate"
        assert taken.n_events == 60
        assert taken.interval is not None
        assert taken.interval.low < 0.2 * taken.interval.high
    # As many again are too many to be chance.
    assert percent(120, 10_000, rule).status == Status.QUANTIFIED


@pytest.mark.parametrize("beads", [True, False])
def test_concentration_allows_for_background_as_the_share_does(beads: bool) -> None:
    background = Background("pre_infusion", "P1_d0", 80, 40_000)
    tree = with_background(beads_tree(400, 2000), background)
    tube = SINGLE if beads else TubeFacts(wbc_10e9_per_l=5.0)
    taken = concentration(tree, tube)
    plain = concentration(beads_tree(400, 2000), tube)
    assert taken.interval is not None
    assert plain.interval is not None
    assert taken.value is not None
    per_event = taken.value / 400
    # Twice the control's highest rate in 10,000 T cells.
    expected = 2 * clopper_pearson(80, 40_000).high * 10_000
    assert taken.interval.low == pytest.approx(plain.interval.low - expected * per_event)
    assert taken.interval.high == plain.interval.high
    few = concentration(with_background(beads_tree(40, 2000), background), tube)
    assert few.interval is not None
    assert few.interval.low == 0.0
