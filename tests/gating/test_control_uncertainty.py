"""How sure a control's quantile is, which control is taken, and what happens without one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from planted import Floats, prepare, stain

from cytoflow_car.errors import GateError
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.placing import ControlSummary, Parent, References
from cytoflow_car.gating.shapes import Rectangle
from cytoflow_car.gating.summaries import quantile_limits, summarise_control
from cytoflow_car.gating.thresholds import ValleyCut
from cytoflow_car.gating.tree import PopulationRule, gate_events
from cytoflow_car.job import SampleJob
from cytoflow_car.model.gate import Placement, RectangleGate
from cytoflow_car.study.controls import ControlUse, with_controls
from cytoflow_car.study.records import SheetRow
from cytoflow_car.template import load_template

CUT = ControlCut("control", "CAR", prior=1000.0)


def control_of(values: Floats, **facts: object) -> ControlSummary:
    summary = summarise_control("live", "CAR", "fmo", "F1", values)
    return replace(summary, **facts)  # type: ignore[arg-type]


def place(method: ControlCut, values: Floats, *controls: ControlSummary) -> Placement:
    prepared = prepare({"CAR": values})
    return method.place(Parent("live", prepared, np.arange(values.size)), References(controls))


@pytest.mark.parametrize(
    ("n_events", "quantile"),
    [(600, 0.9), (1000, 0.99), (10_000, 0.999), (500, 0.5)],
)
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_limits_hold_the_true_quantile_as_often_as_they_say(
    confidence: float, n_events: int, quantile: float
) -> None:
    rng = np.random.default_rng(n_events)
    n_tries = 500
    held = 0
    for _ in range(n_tries):
        # Of uniform values the quantile is its own level, and any other distribution ranks alike.
        low, high = quantile_limits(control_of(rng.random(n_events)), quantile, confidence)
        held += low <= quantile <= high
    # Ranks are whole numbers, so the limits are a little wide; three deviations of counting below.
    noise = (confidence * (1.0 - confidence) / n_tries) ** 0.5
    assert confidence - 3.0 * noise <= held / n_tries <= confidence + 0.09


def test_limits_are_values_of_the_control_and_open_where_it_has_none() -> None:
    values = np.arange(1000.0)
    low, high = quantile_limits(control_of(values), 0.99)
    # Binomial with 1,000 events at 0.99: its 2.5 % and 97.5 % quantiles are 983 and 996, and the
    # ranks 983 and 997 are the limits.
    assert (low, high) == (982.0, 996.0)
    assert quantile_limits(control_of(np.arange(50.0)), 0.99)[1] == math.inf
    assert quantile_limits(control_of(np.arange(50.0)), 0.01)[0] == -math.inf


def test_the_reason_and_the_source_state_the_limits() -> None:
    rng = np.random.default_rng(1)
    control = control_of(stain(rng, np.zeros(50_000, dtype=bool)))
    placement = place(CUT, stain(rng, rng.random(50_000) < 0.1), control)
    low, high = quantile_limits(control, 0.999)
    assert f"95 % limits {low:.4g} to {high:.4g}" in placement.reason
    assert placement.source == f"fmo F1 P99.9 ({low:.4g} to {high:.4g})"


def test_confidence_falls_with_the_events_of_the_control() -> None:
    rng = np.random.default_rng(2)
    # Dim positive cells reach down to the cut, so that it matters where it lies.
    values = stain(rng, rng.random(40_000) < 0.02, bright=1200.0, spread=0.6)
    negative = np.zeros(100_000, dtype=bool)
    pool = stain(rng, negative)
    found = [place(CUT, values, control_of(pool[:n])).confidence for n in (600, 3000, 100_000)]
    assert found[0] < found[1] < found[2]
    assert found[0] < 0.5
    # 40 of 840 events inside are background, however well its quantile is known.
    assert found[2] > 0.7


def test_a_cut_between_far_populations_is_sure_by_a_small_control() -> None:
    rng = np.random.default_rng(3)
    values = stain(rng, rng.random(40_000) < 0.3)
    placement = place(CUT, values, control_of(stain(rng, np.zeros(2000, dtype=bool))))
    assert placement.confidence > 0.8


def test_a_control_that_could_not_be_aligned_is_less_sure() -> None:
    rng = np.random.default_rng(4)
    control = control_of(stain(rng, np.zeros(50_000, dtype=bool)))
    # Nothing negative is left to align by.
    values = stain(rng, np.ones(5000, dtype=bool), bright=1500.0, spread=0.5)
    placement = place(CUT, values[values > 1000.0], control)
    aligned = place(CUT, stain(rng, rng.random(50_000) < 0.3, bright=3000.0), control)
    assert "CONTROL_UNALIGNED" in placement.flags
    assert placement.confidence <= 0.5 < aligned.confidence


def test_the_same_batch_comes_before_more_events_but_after_a_better_kind() -> None:
    rng = np.random.default_rng(5)
    near = control_of(rng.normal(100, 200, 2000), sample_id="near", same_batch=True)
    far = control_of(rng.normal(100, 200, 20_000), sample_id="far")
    better = control_of(rng.normal(100, 200, 1000), sample_id="better", kind="untransduced")

    def chosen(*controls: ControlSummary) -> str:
        control = CUT.choose("live", References(controls))
        assert control is not None
        return control.sample_id

    assert chosen(far, near) == "near"
    assert chosen(far, near, better) == "better"
    assert chosen(far, replace(near, same_batch=False)) == "far"


def test_a_control_is_of_the_same_batch_where_both_rows_name_one() -> None:
    job = SampleJob("P1", (), load_template("car_t_pb"))
    summary = replace(control_of(np.arange(1000.0)), sample_id="fmo")

    def same(batch: str, other: str) -> bool:
        use = ControlUse(SheetRow("fmo", role="fmo", batch=other), "fmo", None)
        row, summaries = SheetRow("P1", batch=batch), {("fmo", "car_t_pb"): (summary,)}
        (found,) = with_controls(job, row, (use,), summaries).controls
        return found.same_batch

    assert same("B7", "B7")
    assert not same("B7", "B8")
    assert not same("", "")


def test_without_a_control_the_gate_is_not_placed_where_the_template_says_so() -> None:
    values = stain(np.random.default_rng(6), np.zeros(1000, dtype=bool))
    strict = replace(CUT, when_missing="not_gated")
    with pytest.raises(GateError, match="no control for CAR"):
        place(strict, values)
    rules = (
        PopulationRule("root", strict, "CAR T"),
        PopulationRule("root", Rectangle("rectangle", (strict,)), "boxed"),
        PopulationRule("root", CUT, "by prior"),
    )
    tree = gate_events(prepare({"CAR": values}), rules, np.ones(1000, dtype=bool))
    for name in ("CAR T", "boxed"):
        assert tree[name].placement is None
        assert tree[name].count == 0
        assert tree[name].flags[0].startswith("NOT_GATED:")
        assert "no control for CAR" in tree[name].flags[0]
    assert tree["by prior"].flags == ("NO_CONTROL", "PRIOR_KEPT")


def cut_of(placement: Placement) -> float:
    assert isinstance(placement.gate, RectangleGate)
    return placement.gate.lower[0]


def test_a_valley_with_an_offset_is_cut_beside_it() -> None:
    rng = np.random.default_rng(7)
    valley = ValleyCut("valley", "CD3", "above", prior=1500.0, low=300.0, high=20_000.0)
    beside = replace(valley, offset=0.03)
    prepared = prepare({"CD3": stain(rng, rng.random(20_000) < 0.4)})
    parent = Parent("live", prepared, np.arange(20_000))
    scale = prepared.scales["CD3"]
    at, moved = (cut_of(method.place(parent, References())) for method in (valley, beside))
    first, second = scale.forward(np.asarray([at, moved]))
    assert second - first == pytest.approx(0.03, abs=1e-9)
    assert "+0.03 scale units beside it" in beside.place(parent, References()).reason
    # A prior is where the valley usually lies, so it is moved too.
    alone = prepare({"CD3": stain(rng, np.zeros(20_000, dtype=bool))})
    kept = beside.place(Parent("live", alone, np.arange(20_000)), References())
    assert kept.flags == ("PRIOR_KEPT",)
    usual, stayed = scale.forward(np.asarray([1500.0, cut_of(kept)]))
    assert stayed - usual == pytest.approx(0.03, abs=1e-9)
