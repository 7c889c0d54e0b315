"""Placement methods find planted populations, and say so when they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Floats, Mask, f1, prepare, stain

from cytoflow_car.gating.confidence import confidence_of
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import ControlSummary, GateMethod, Parent, References
from cytoflow_car.gating.shapes import Quadrant, Rectangle, Singlet
from cytoflow_car.gating.summaries import control_quantile, count_above, summarise_control
from cytoflow_car.gating.thresholds import USUAL_DRIFT, Fixed, Tail, ValleyCut, prior_confidence
from cytoflow_car.model.gate import BooleanGate, Placement, PolygonGate, QuadrantGate, RectangleGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Linear, Scale

VALLEY = ValleyCut("valley", "CD3", "above", prior=1500.0, low=300.0, high=20_000.0)


def parent_of(columns: dict[str, Floats], scales: dict[str, Scale] | None = None) -> Parent:
    prepared = prepare(columns, scales)
    return Parent("live", prepared, np.arange(len(prepared)))


def place(
    method: GateMethod, columns: dict[str, Floats], *controls: ControlSummary
) -> tuple[Placement, PreparedEvents]:
    parent = parent_of(columns)
    return method.place(parent, References(controls)), parent.prepared


def inside(placement: Placement, prepared: PreparedEvents) -> Mask:
    assert not isinstance(placement.gate, BooleanGate)
    return members(placement.gate, prepared, np.arange(len(prepared)))


def cut_of(placement: Placement) -> float:
    """Return the one finite bound of a placed cut."""
    assert isinstance(placement.gate, RectangleGate)
    (cut,) = (value for value in (*placement.gate.lower, *placement.gate.upper) if abs(value) < 1e9)
    return cut


@pytest.mark.parametrize("gain", [0.8, 1.0, 1.26])
@pytest.mark.parametrize("percent", [0.5, 2.0, 30.0, 70.0, 95.0, 99.0])
def test_valley_parts_two_populations(percent: float, gain: float) -> None:
    rng = np.random.default_rng(round(10 * percent))
    positive = rng.random(40_000) < percent / 100
    placement, prepared = place(VALLEY, {"CD3": stain(rng, positive, gain=gain)})
    found = inside(placement, prepared)
    assert f1(found, positive) > 0.99
    assert placement.flags == ()
    assert placement.confidence >= 0.5
    assert "valley" in placement.reason


def test_valley_below_keeps_the_other_side() -> None:
    rng = np.random.default_rng(4)
    dead = rng.random(20_000) < 0.1
    below = ValleyCut("valley", "CD3", "below", prior=1500.0, low=300.0, high=20_000.0)
    placement, prepared = place(below, {"CD3": stain(rng, dead)})
    assert f1(inside(placement, prepared), ~dead) > 0.995


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_valley_without_second_peak_keeps_the_prior_and_says_so(share: float) -> None:
    rng = np.random.default_rng(5)
    placement, _ = place(VALLEY, {"CD3": stain(rng, rng.random(30_000) < share)})
    assert cut_of(placement) == 1500.0
    assert placement.flags == ("PRIOR_KEPT",)
    # No event lies near the prior, so it might as well lie elsewhere.
    assert placement.confidence == 0.9
    assert "no valley" in placement.reason


@pytest.mark.parametrize("method", [VALLEY, Tail("tail", "CD3", "above", 1500.0, 5.0)])
def test_prior_amid_the_events_is_unsure(method: GateMethod) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(1700.0, 200.0, 30_000)
    placement, _ = place(
        method, {"CD3": values[values > 1500.0] if method is not VALLEY else values}
    )
    assert cut_of(placement) == 1500.0
    assert placement.flags == ("PRIOR_KEPT",)
    assert placement.confidence < 0.5


@pytest.mark.parametrize(
    ("values", "why"),
    [(np.full(1000, 7.0), "equal"), (np.arange(30.0), "only 30 events")],
)
def test_valley_on_little_or_constant_data_keeps_the_prior(values: Floats, why: str) -> None:
    placement, _ = place(VALLEY, {"CD3": values})
    assert cut_of(placement) == 1500.0
    assert placement.flags == ("PRIOR_KEPT",)
    assert why in placement.reason


def test_valley_outside_its_bounds_is_not_taken() -> None:
    rng = np.random.default_rng(6)
    narrow = ValleyCut("valley", "CD3", "above", prior=8000.0, low=7000.0, high=9000.0)
    placement, _ = place(narrow, {"CD3": stain(rng, rng.random(20_000) < 0.5)})
    assert cut_of(placement) == 8000.0
    assert placement.flags == ("PRIOR_KEPT",)


@pytest.mark.parametrize("gain", [0.8, 1.0, 1.26])
@pytest.mark.parametrize("percent", [0.0, 0.1, 1.0, 20.0])
def test_tail_cuts_its_deviations_above_the_negative_peak(percent: float, gain: float) -> None:
    rng = np.random.default_rng(7)
    positive = rng.random(50_000) < percent / 100
    method = Tail("tail", "CD3", "above", prior=1500.0, deviations=5.0)
    placement, _ = place(method, {"CD3": stain(rng, positive, gain=gain)})
    # Planted: center 100, standard deviation 200, both times the gain.
    assert cut_of(placement) == pytest.approx(gain * (100 + 5 * 200), rel=0.1)
    assert placement.flags == ()


def test_tail_without_negative_events_keeps_the_prior_and_says_so() -> None:
    method = Tail("tail", "CD3", "above", prior=1500.0, deviations=5.0)
    placement, _ = place(method, {"CD3": np.full(500, 9000.0)})
    assert cut_of(placement) == 1500.0
    assert placement.flags == ("PRIOR_KEPT",)
    assert placement.confidence == 0.9


def test_a_prior_is_as_sure_as_few_events_lie_within_its_usual_shift() -> None:
    # 1,000 kept. Of 120 events between the prior and a usual shift below it, moving the cut there
    # adds all, and is one of two moves; what overlaps at the prior takes more.
    far = np.concatenate([np.zeros(1000), np.full(1000, 0.9)])
    assert prior_confidence(far, 0.5, "above") == 0.9
    near = np.concatenate([far, np.full(120, 0.5 - 0.9 * USUAL_DRIFT)])
    assert 0.5 < prior_confidence(near, 0.5, "above") <= confidence_of(1.0 - 120 / 2120 / 2)
    beyond = np.concatenate([far, np.full(800, 0.3)])
    assert prior_confidence(beyond, 0.5, "above") == 0.9
    # Below the cut, the other side is what is kept: the same events are lost.
    assert 0.5 < prior_confidence(near, 0.5, "below") <= confidence_of(1.0 - 120 / 2120 / 2)
    many = np.concatenate([far, np.full(1000, 0.5 - 0.9 * USUAL_DRIFT)])
    assert prior_confidence(many, 0.5, "above") < 0.5
    # Of fewer than 50 events it cannot be told which belong to the population.
    assert prior_confidence(np.full(49, 0.5 + 0.9 * USUAL_DRIFT), 0.5, "above") >= 0.5
    assert prior_confidence(np.full(50, 0.5 + 0.9 * USUAL_DRIFT), 0.5, "above") < 0.5
    assert prior_confidence(np.empty(0), 0.5, "above") == 0.9


def test_a_few_events_far_from_any_place_that_the_cut_may_take_are_sure() -> None:
    rng = np.random.default_rng(20)
    positive = np.arange(20_000) < 60
    placement, prepared = place(VALLEY, {"CD3": stain(rng, positive)})
    assert np.array_equal(inside(placement, prepared), positive)
    assert placement.confidence >= 0.9


@pytest.mark.parametrize("doublets", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("gain", [0.6, 1.0, 1.1])
def test_singlet_band_holds_singlets_and_leaves_doublets(doublets: float, gain: float) -> None:
    rng = np.random.default_rng(8)
    size = rng.lognormal(11.0, 0.25, 30_000)
    double = rng.random(30_000) < doublets
    area = size * np.where(double, rng.uniform(1.75, 2.0, 30_000), 1.0)
    height = gain * size * rng.normal(1.0, 0.03, 30_000)
    scales: dict[str, Scale] = {"FSC-A": Linear(1e7), "FSC-H": Linear(1e7)}
    parent = parent_of({"FSC-A": area, "FSC-H": height}, scales)
    placement = Singlet("singlet", "FSC-A", "FSC-H").place(parent, References())
    found = inside(placement, parent.prepared)
    small = (area < 2 * 262144) & (height < 2 * 262144)
    assert found[~double & small].mean() > 0.999
    assert found[double].sum() == 0
    assert placement.confidence >= 0.5


def test_singlet_on_few_events_keeps_the_prior_and_says_so() -> None:
    rng = np.random.default_rng(9)
    size = rng.lognormal(11.0, 0.2, 60)
    placement, _ = place(Singlet("singlet", "A", "H", prior=(0.7, 1.3)), {"A": size, "H": size})
    assert placement.flags == ("PRIOR_KEPT",)
    assert isinstance(placement.gate, PolygonGate)
    ratios = [y / x for x, y in placement.gate.vertices if x]
    assert ratios == pytest.approx([0.7, 1.3])


CONTROL = ControlCut("control", "CAR", prior=1500.0)


def control_of(values: Floats, kind: str = "pre_infusion", name: str = "P1_d0") -> ControlSummary:
    return summarise_control("live", "CAR", kind, name, values)


@pytest.mark.parametrize("n_events", [500, 10_000, 250_000])
@pytest.mark.parametrize("quantile", [0.99, 0.995, 0.999])
def test_control_quantile_equals_that_of_all_events(n_events: int, quantile: float) -> None:
    values = np.random.default_rng(10).normal(100, 200, n_events)
    summary = control_of(values)
    assert control_quantile(summary, quantile) == pytest.approx(
        np.quantile(values, quantile), rel=1e-12
    )


@pytest.mark.parametrize("at", [-1000.0, 0.0, 150.0, 620.0, 9000.0])
def test_events_of_a_control_above_a_cut(at: float) -> None:
    values = np.random.default_rng(20).normal(100, 200, 100_000)
    # Exact within the kept tail; the evenly spaced quantiles are 50 events apart.
    assert count_above(control_of(values), at) == pytest.approx(np.sum(values >= at), abs=50)
    if at > 600:
        assert count_above(control_of(values), at) == np.sum(values >= at)


def test_control_of_the_same_run_cuts_at_its_own_quantile() -> None:
    rng = np.random.default_rng(11)
    before = stain(rng, np.zeros(200_000, dtype=bool))
    after = stain(rng, rng.random(200_000) < 0.02)
    placement, _ = place(CONTROL, {"CAR": after}, control_of(before))
    assert cut_of(placement) == pytest.approx(np.quantile(before, 0.999), rel=0.03)
    assert placement.flags == ()
    # 200 of the 4,200 events inside are background: an agreement of 0.976.
    assert 0.8 < placement.confidence < 0.9
    assert placement.source.split()[:2] == ["pre_infusion", "P1_d0"]


@pytest.mark.parametrize(("gain", "offset"), [(1.26, 0.0), (0.8, 60.0), (1.1, -150.0)])
def test_alignment_restores_a_control_of_other_gain_and_offset(gain: float, offset: float) -> None:
    rng = np.random.default_rng(12)
    before = stain(rng, np.zeros(100_000, dtype=bool))
    after = gain * stain(rng, rng.random(100_000) < 0.01) + offset
    placement, _ = place(CONTROL, {"CAR": after}, control_of(before))
    expected = gain * np.quantile(before, 0.999) + offset
    # Center and spread of the negative events are known to some hundredths of a deviation.
    assert cut_of(placement) == pytest.approx(expected, abs=0.25 * 200 * gain)


def test_many_dim_positive_events_lower_the_cut_to_equal_errors() -> None:
    rng = np.random.default_rng(18)
    before = stain(rng, np.zeros(100_000, dtype=bool))
    positive = rng.random(100_000) < 0.3
    after = stain(rng, positive, bright=1500.0, spread=0.6)
    placement, prepared = place(CONTROL, {"CAR": after}, control_of(before))
    # Both were acquired alike, so the control's own P99.9 is the cut that was lowered.
    highest = np.quantile(before, 0.999)
    assert np.quantile(before, 0.985) < cut_of(placement) < 0.98 * highest
    assert "lowered" in placement.reason
    found, strict = inside(placement, prepared), after >= highest
    # Positive events below the control's P99 stay unseen, so the share remains a little low.
    assert strict.mean() < found.mean() < positive.mean()
    assert found.mean() == pytest.approx(positive.mean(), rel=0.07)
    assert f1(found, positive) > f1(strict, positive)


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_few_positive_events_leave_the_cut_at_the_quantile(share: float) -> None:
    rng = np.random.default_rng(19)
    before = stain(rng, np.zeros(100_000, dtype=bool))
    after = stain(rng, rng.random(100_000) < share, bright=1500.0, spread=0.6)
    placement, _ = place(CONTROL, {"CAR": after}, control_of(before))
    assert "lowered" not in placement.reason
    assert cut_of(placement) == pytest.approx(np.quantile(before, 0.999), rel=0.03)


def test_background_counts_the_controls_own_events_above_the_cut() -> None:
    rng = np.random.default_rng(13)
    before = stain(rng, np.zeros(100_000, dtype=bool))
    after = stain(rng, rng.random(100_000) < 0.05)
    placement, _ = place(CONTROL, {"CAR": after}, control_of(before))
    background = placement.background
    assert background is not None
    assert background.n_parent == 100_000
    # 0.1 % of the control lies above its P99.9.
    assert background.n_events == pytest.approx(100, abs=2)
    assert (background.kind, background.sample_id) == ("pre_infusion", "P1_d0")


def test_best_kind_of_control_is_taken_then_the_largest() -> None:
    rng = np.random.default_rng(14)
    values = rng.normal(100, 200, 40_000)
    controls = (
        control_of(values, "isotype", "I1"),
        control_of(values[:20_000], "fmo", "F1"),
        control_of(values, "fmo", "F2"),
    )
    placement, _ = place(CONTROL, {"CAR": values}, *controls)
    assert placement.source.split()[:2] == ["fmo", "F2"]
    placement, _ = place(CONTROL, {"CAR": values}, controls[0])
    assert "ISOTYPE_CONTROL" in placement.flags


def test_control_of_few_events_lowers_the_quantile_and_says_so() -> None:
    rng = np.random.default_rng(15)
    before, after = rng.normal(100, 200, 1000), rng.normal(100, 200, 20_000)
    placement, _ = place(CONTROL, {"CAR": after}, control_of(before))
    assert "CONTROL_FEW_EVENTS" in placement.flags
    # 10 events of 10,000 lie above P99.9; of 1,000 as many lie above P99.
    assert "P99 of 1000" in placement.reason
    assert placement.confidence < 0.5


def test_without_control_the_prior_stays_and_says_so() -> None:
    values = np.random.default_rng(16).normal(100, 200, 20_000)
    elsewhere = summarise_control("other parent", "CAR", "fmo", "F1", values)
    placement, _ = place(CONTROL, {"CAR": values}, elsewhere)
    assert cut_of(placement) == 1500.0
    assert set(placement.flags) == {"NO_CONTROL", "PRIOR_KEPT"}
    assert placement.background is None
    assert placement.confidence < 0.5


def test_box_and_quadrant_are_as_sure_as_their_least_sure_side() -> None:
    rng = np.random.default_rng(17)
    columns = {
        "CD3": stain(rng, rng.random(20_000) < 0.4),
        # Its one peak lies at the prior, where the cut matters most.
        "CD4": stain(rng, np.zeros(20_000, dtype=bool)) + 1100.0,
    }
    unsure = ValleyCut("valley", "CD4", "above", prior=1200.0, low=500.0, high=20_000.0)
    box, _ = place(Rectangle("rectangle", (VALLEY, unsure)), columns)
    cross, _ = place(Quadrant("quadrant", VALLEY, unsure), columns)
    for placement in (box, cross):
        assert placement.confidence < 0.5
        assert placement.flags == ("PRIOR_KEPT",)
    assert isinstance(box.gate, RectangleGate)
    assert isinstance(cross.gate, QuadrantGate)
    assert cross.gate.dividers[1] == box.gate.lower[1] == 1200.0


def test_two_cuts_of_one_marker_make_a_band() -> None:
    sides = (Fixed("fixed", "CD3", "above", 500.0), Fixed("fixed", "CD3", "below", 900.0))
    placement, _ = place(Rectangle("rectangle", sides), {"CD3": np.arange(2000.0)})
    assert isinstance(placement.gate, RectangleGate)
    assert (placement.gate.lower, placement.gate.upper) == ((500.0,), (900.0,))
