"""The internal cut finds planted cells by others of the same tube that lack the marker."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import Floats, Mask, f1, prepare, stain

from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.tree import Override, PopulationRule, gate_events
from cytoflow_car.model.gate import Dimension, Placement, RectangleGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import ROOT
from cytoflow_car.model.scale import Logicle

CUT = InternalCut("internal", "CD19", prior=1500.0, negative="T")


def place(
    cd19: Floats, n_negative: int, cut: InternalCut = CUT
) -> tuple[Placement, PreparedEvents, Parent]:
    """Place on all events; the first `n_negative` are T cells, the others the parent."""
    prepared = prepare({"CD19": cd19})
    rows = np.arange(cd19.size)
    parent = Parent("lymphoid", prepared, rows[n_negative:])
    return cut.place(parent, References(rows={"T": rows[:n_negative]})), prepared, parent


def found(placement: Placement, prepared: PreparedEvents, parent: Parent) -> Mask:
    assert isinstance(placement.gate, RectangleGate)
    return members(placement.gate, prepared, parent.rows)


def cut_of(placement: Placement) -> float:
    assert isinstance(placement.gate, RectangleGate)
    return placement.gate.lower[0]


@pytest.mark.parametrize("gain", [0.6, 1.0, 1.6])
@pytest.mark.parametrize("percent", [0.5, 2.0, 20.0, 60.0, 95.0])
def test_planted_cells_are_found_at_any_gain(percent: float, gain: float) -> None:
    rng = np.random.default_rng(round(10 * percent))
    positive = np.concatenate([np.zeros(10_000, dtype=bool), rng.random(30_000) < percent / 100])
    placement, prepared, parent = place(stain(rng, positive, bright=4000.0, gain=gain), 10_000)
    truth = positive[10_000:]
    inside = found(placement, prepared, parent)
    # One event in a thousand of the background lies above the cut.
    assert np.count_nonzero(inside & ~truth) <= 0.0025 * truth.size
    assert np.count_nonzero(inside & truth) >= 0.99 * np.count_nonzero(truth)
    if percent >= 2:
        assert f1(inside, truth) > (0.95 if percent < 20 else 0.99)
    assert placement.flags == ()
    # Of 30,000 events 30 are background, beside 150 positive ones in the poorest of these tubes.
    assert (placement.confidence >= 0.5) == (percent >= 2)


def test_many_dim_cells_lower_the_cut() -> None:
    rng = np.random.default_rng(5)
    positive = np.arange(40_000) >= 20_000 + 10_000
    cd19 = stain(rng, positive, bright=1200.0, spread=0.6)
    placement, prepared, parent = place(cd19, 20_000)
    assert "lowered" in placement.reason
    assert cut_of(placement) < np.quantile(cd19[:20_000], 0.999)
    assert found(placement, prepared, parent).mean() == pytest.approx(0.5, rel=0.05)


def test_a_few_carriers_among_the_negatives_do_not_move_the_cut() -> None:
    rng = np.random.default_rng(6)
    # 5 of 10,000 T cells are doublets with a B cell: half of what lies beyond the quantile.
    positive = np.arange(20_000) < 5
    cd19 = stain(rng, positive)
    placement, _, _ = place(cd19, 10_000)
    clean = cd19[5:10_000]
    assert np.quantile(clean, 0.999) <= cut_of(placement) < clean.max()
    assert placement.background is not None
    assert placement.background.n_events == 10


def test_background_is_what_the_negatives_have_inside() -> None:
    rng = np.random.default_rng(7)
    cd19 = stain(rng, np.arange(30_000) >= 25_000)
    placement, _, _ = place(cd19, 10_000)
    background = placement.background
    assert background is not None
    assert (background.kind, background.sample_id) == ("internal", "T")
    assert background.n_parent == 10_000
    # The cut was lowered for the many positive events: more than the 10 beyond P99.9 are counted.
    assert background.n_events == np.count_nonzero(cd19[:10_000] >= cut_of(placement)) > 10


@pytest.mark.parametrize(("n_negative", "kept"), [(99, True), (100, False), (1999, False)])
def test_few_negatives_are_told_and_too_few_keep_the_prior(n_negative: int, kept: bool) -> None:
    rng = np.random.default_rng(8)
    cd19 = stain(rng, np.arange(20_000) >= 19_000)
    placement, _, _ = place(cd19, n_negative)
    assert (cut_of(placement) == 1500.0) == kept
    assert placement.flags == (("PRIOR_KEPT",) if kept else ("NEGATIVES_FEW_EVENTS",))
    if kept:
        assert "only 99 events of T" in placement.reason
    else:
        # Two events of 2,000 would lie above P99.9: as many of these do.
        assert np.count_nonzero(cd19[:n_negative] >= cut_of(placement)) == 2
        # Two of 100 are known to within a factor of three, and so is the background.
        assert (placement.confidence >= 0.5) == (n_negative > 100)


def test_a_negative_population_without_events_keeps_the_prior() -> None:
    placement, _, _ = place(stain(np.random.default_rng(9), np.arange(5000) >= 4000), 0)
    assert cut_of(placement) == 1500.0
    assert placement.flags == ("PRIOR_KEPT",)
    assert placement.background is None


def test_a_moved_gate_keeps_its_background() -> None:
    rng = np.random.default_rng(10)
    t_cell = np.arange(20_000) < 12_000
    prepared = prepare({"CD3": stain(rng, t_cell), "CD19": stain(rng, ~t_cell)})
    rules = (
        PopulationRule(ROOT, Fixed("fixed", "CD3", "above", 1500.0), "T"),
        PopulationRule(ROOT, CUT, "B"),
    )
    gate = RectangleGate((Dimension("CD19", Logicle()),), (500.0,), (math.inf,))
    moved = Override("B", gate, "A", "b", "c")
    tree = gate_events(prepared, rules, np.ones(20_000, dtype=bool), overrides=(moved,))
    placement = tree["B"].placement
    assert placement is not None
    assert placement.method == "override"
    assert placement.background is not None
    t_rows = tree["T"].rows
    inside = np.count_nonzero(prepared.values("CD19", t_rows) >= 500.0)
    assert (placement.background.n_events, placement.background.n_parent) == (inside, t_rows.size)
    # The summary is of one marker: of a gate on another it says nothing.
    other = RectangleGate((Dimension("CD3", Logicle()),), (500.0,), (math.inf,))
    elsewhere = Override("B", other, "A", "b", "c")
    tree = gate_events(prepared, rules, np.ones(20_000, dtype=bool), overrides=(elsewhere,))
    placement = tree["B"].placement
    assert placement is not None
    assert placement.background is None
