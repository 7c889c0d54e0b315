"""The tree of populations: laws that hold whatever the data are."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import Mask, prepare, stain

from cytoflow_car.errors import GateError
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.shapes import (
    Boolean,
    FixedEllipsoid,
    FixedPolygon,
    Quadrant,
    Rectangle,
    Reference,
    Singlet,
)
from cytoflow_car.gating.summaries import summarise_control
from cytoflow_car.gating.thresholds import Fixed, Tail, ValleyCut
from cytoflow_car.gating.tree import (
    Override,
    PopulationRule,
    gate_events,
    summarise_controls,
)
from cytoflow_car.model.gate import Dimension, QuadrantGate, RectangleGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import ROOT, PopulationTree
from cytoflow_car.model.scale import Linear, Logicle

N_EVENTS = 30_000
ALL = np.ones(N_EVENTS, dtype=bool)


def valley(marker: str) -> ValleyCut:
    return ValleyCut("valley", marker, "above", prior=1500.0, low=300.0, high=20_000.0)


RULES = (
    PopulationRule(ROOT, Singlet("singlet", "FSC-A", "FSC-H"), "singlets"),
    PopulationRule("singlets", valley("CD3"), "T"),
    PopulationRule(
        "T",
        Quadrant("quadrant", valley("CD4"), valley("CD8")),
        quadrants={"CD4": "+-", "CD8": "-+", "neither": "--", "both": "++"},
    ),
    PopulationRule("T", ControlCut("control", "CAR", prior=1500.0), "CAR T"),
    PopulationRule("CD4", Reference("reference", "CAR T"), "CAR T CD4"),
    PopulationRule("singlets", Tail("tail", "CAR", "above", 1500.0, 5.0), "CAR any"),
    PopulationRule(
        "singlets",
        FixedEllipsoid("ellipsoid", ("CD3", "CD4"), (9e3, 9e3), ((4e4, 9e3), (9e3, 4e4))),
        "blob",
    ),
    PopulationRule(
        "singlets", FixedPolygon("polygon", "CD3", "CD8", ((900, 0), (9e4, 0), (9e4, 9e4))), "wedge"
    ),
    PopulationRule("singlets", Boolean("boolean", "and", ("T", "!CD8")), "T not CD8"),
    PopulationRule("singlets", Boolean("boolean", "or", ("CD4", "CD8")), "CD4 or CD8"),
    PopulationRule("T", Boolean("boolean", "not", ("CD4",)), "T without CD4"),
)


def specimen(seed: int = 1, n_events: int = N_EVENTS) -> PreparedEvents:
    rng = np.random.default_rng(seed)
    t_cell, helper = rng.random(n_events) < 0.4, rng.random(n_events) < 0.6
    car = t_cell & (rng.random(n_events) < 0.05)
    size = rng.lognormal(11.0, 0.2, n_events)
    double = rng.random(n_events) < 0.05
    return prepare(
        {
            "FSC-A": size * np.where(double, 1.9, 1.0),
            "FSC-H": size * rng.normal(0.9, 0.02, n_events),
            "CD3": stain(rng, t_cell),
            "CD4": stain(rng, t_cell & helper),
            "CD8": stain(rng, t_cell & ~helper),
            "CAR": stain(rng, car, bright=4000.0),
        },
        {"FSC-A": Linear(), "FSC-H": Linear()},
    )


def reordered(prepared: PreparedEvents, order: npt.NDArray[np.intp]) -> PreparedEvents:
    raw = prepared.events.raw
    return replace(
        prepared, events=replace(prepared.events, raw=replace(raw, values=raw.values[order]))
    )


def mask(tree: PopulationTree, name: str) -> Mask:
    inside = np.zeros(tree.kept.size, dtype=bool)
    inside[tree[name].rows] = True
    return inside


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_order_of_events_does_not_matter(seed: int) -> None:
    prepared = specimen(seed)
    order = np.random.default_rng(seed).permutation(N_EVENTS)
    straight = gate_events(prepared, RULES, ALL)
    shuffled = gate_events(reordered(prepared, order), RULES, ALL)
    for population in straight:
        assert np.array_equal(
            mask(straight, population.name)[order], mask(shuffled, population.name)
        )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n_events=st.integers(1, 800), loss=st.floats(0, 1))
def test_child_never_exceeds_its_parent(seed: int, n_events: int, loss: float) -> None:
    kept = np.random.default_rng(seed).random(n_events) >= loss
    tree = gate_events(specimen(seed, n_events), RULES, kept)
    for population in tree:
        assert population.count <= population.count_unmasked
        assert (np.diff(population.rows) > 0).all()
        if population.parent is not None:
            parent = tree[population.parent]
            assert population.count <= parent.count
            assert np.isin(population.rows, parent.rows).all()
            assert population.path == f"{parent.path}/{population.name}"


def test_planted_counts_are_recovered() -> None:
    prepared = specimen()
    tree = gate_events(prepared, RULES, ALL)
    assert tree["T"].count == pytest.approx(0.4 * 0.95 * N_EVENTS, rel=0.03)
    assert tree["CD4"].count == pytest.approx(0.6 * tree["T"].count, rel=0.03)
    assert tree["CAR any"].count == pytest.approx(0.05 * tree["T"].count, rel=0.1)


def test_quadrants_fill_their_parent() -> None:
    tree = gate_events(specimen(), RULES, ALL)
    four = [tree[name].count for name in ("CD4", "CD8", "neither", "both")]
    assert sum(four) == tree["T"].count
    for one, other in itertools.combinations(("CD4", "CD8", "neither", "both"), 2):
        assert not (mask(tree, one) & mask(tree, other)).any()


def test_booleans_follow_their_definition() -> None:
    tree = gate_events(specimen(), RULES, ALL)
    assert np.array_equal(mask(tree, "T not CD8"), mask(tree, "T") & ~mask(tree, "CD8"))
    assert np.array_equal(mask(tree, "CD4 or CD8"), mask(tree, "CD4") | mask(tree, "CD8"))
    assert np.array_equal(mask(tree, "T without CD4"), mask(tree, "T") & ~mask(tree, "CD4"))


def test_reference_uses_the_other_gate() -> None:
    tree = gate_events(specimen(), RULES, ALL)
    original, borrowed = tree["CAR T"].placement, tree["CAR T CD4"].placement
    assert original is not None
    assert borrowed is not None
    assert borrowed.gate == original.gate
    assert "CAR T" in borrowed.reason
    assert np.array_equal(mask(tree, "CAR T CD4"), mask(tree, "CAR T") & mask(tree, "CD4"))


def test_marked_events_place_no_gate_but_are_counted() -> None:
    prepared = specimen()
    kept = np.random.default_rng(3).random(N_EVENTS) < 0.7
    tree = gate_events(prepared, RULES, kept)
    alone = gate_events(
        reordered(prepared, np.flatnonzero(kept)), RULES, np.ones(int(kept.sum()), dtype=bool)
    )
    for population in tree:
        assert population.count == np.count_nonzero(kept[population.rows])
        assert population.count == alone[population.name].count
        assert population.placement == alone[population.name].placement
    assert tree["T"].count_unmasked > tree["T"].count
    assert np.array_equal(tree.kept_rows("T"), np.flatnonzero(mask(tree, "T") & kept))


def test_missing_optional_marker_leaves_its_branch_ungated_and_says_so() -> None:
    full = specimen()
    columns = {name: index for name, index in full.columns.items() if name != "CD4"}
    tree = gate_events(replace(full, columns=columns), RULES[:5], ALL)
    for name in ("CD4", "CD8", "CAR T CD4"):
        assert tree[name].count == 0
        assert tree[name].placement is None
        assert "MARKER_MISSING:CD4" in tree[name].flags
    assert tree["CAR T"].flags == ("NO_CONTROL", "PRIOR_KEPT")


@pytest.mark.parametrize("operation", ["and", "or", "not"])
def test_combination_with_an_ungated_population_is_unknown(operation: str) -> None:
    full = specimen()
    columns = {name: index for name, index in full.columns.items() if name != "CD8"}
    names = ("!blasts",) if operation == "not" else ("T", "!blasts")
    rules = (
        PopulationRule(ROOT, valley("CD3"), "T"),
        PopulationRule(ROOT, valley("CD8"), "blasts"),
        PopulationRule(ROOT, Boolean("boolean", operation, names), "normal"),  # type: ignore[arg-type]
    )
    tree = gate_events(replace(full, columns=columns), rules, ALL)
    assert (tree["normal"].count, tree["normal"].placement) == (0, None)
    assert "MARKER_MISSING:CD8" in tree["normal"].flags


def test_empty_parent_is_said_and_nothing_breaks() -> None:
    rules = (
        PopulationRule(ROOT, Fixed("fixed", "CD3", "above", 1e9), "nobody"),
        *(replace(rule, parent="nobody") for rule in RULES[1:4]),
    )
    tree = gate_events(specimen(), rules, ALL)
    assert tree["nobody"].count == 0
    for name in ("T", "CD4", "CAR T"):
        assert (tree[name].count, tree[name].placement) == (0, None)
        assert "EMPTY_PARENT" in tree[name].flags


def test_specimen_without_events_or_with_all_marked() -> None:
    empty = gate_events(specimen(1, 0), RULES, np.ones(0, dtype=bool))
    marked = gate_events(specimen(), RULES, ~ALL)
    for tree in (empty, marked):
        assert all(population.count == 0 for population in tree)
        assert all("EMPTY_PARENT" in tree[name].flags for name in ("singlets", "CAR T", "blob"))


def test_override_moves_the_gate_and_is_recorded() -> None:
    prepared = specimen()
    gate = RectangleGate((Dimension("CD3", Logicle()),), (5000.0,), (math.inf,))
    override = Override("T", gate, who="A. Nurse", why="dim CD3", at="2024-05-01T10:00:00Z")
    tree = gate_events(prepared, RULES, ALL, overrides=(override,))
    expected = mask(tree, "singlets") & (prepared.values("CD3") >= 5000.0)
    placement = tree["T"].placement
    assert np.array_equal(mask(tree, "T"), expected)
    assert placement is not None
    assert placement.method == "override"
    assert "A. Nurse" in placement.reason
    assert "dim CD3" in placement.reason


def test_a_placement_made_before_is_taken_as_it_is() -> None:
    prepared = specimen()
    before = gate_events(prepared, RULES, ALL)["T"].placement
    assert before is not None
    tree = gate_events(specimen(2), RULES, ALL, placed={"T": before})
    assert tree["T"].placement == before
    moved = RectangleGate((Dimension("CD3", Logicle()),), (5000.0,), (math.inf,))
    override = Override("T", moved, "A", "b", "c")
    tree = gate_events(prepared, RULES, ALL, placed={"T": before}, overrides=(override,))
    placement = tree["T"].placement
    assert placement is not None
    assert placement.gate == moved


def test_two_cuts_that_cross_leave_their_branch_ungated_and_say_so() -> None:
    crossed = Rectangle(
        "rectangle",
        (Fixed("fixed", "CD3", "above", 900.0), Fixed("fixed", "CD3", "below", 500.0)),
    )
    rules = (
        PopulationRule(ROOT, crossed, "band"),
        PopulationRule("band", valley("CD4"), "CD4 band"),
        PopulationRule(ROOT, valley("CD3"), "T"),
    )
    tree = gate_events(specimen(), rules, ALL)
    for name in ("band", "CD4 band"):
        assert (tree[name].count, tree[name].placement) == (0, None)
        (flag,) = tree[name].flags
        assert flag.startswith("NOT_GATED:population beneath root: CD3 is cut above 900")
        assert ";" not in flag
    assert tree["T"].count > 10_000


def test_override_of_one_quadrant_moves_all_four() -> None:
    dimensions = (Dimension("CD4", Logicle()), Dimension("CD8", Logicle()))
    override = Override("CD8", QuadrantGate(dimensions, (700.0, 900.0)), "A", "b", "c")
    tree = gate_events(specimen(), RULES, ALL, overrides=(override,))
    for name in ("CD4", "CD8", "neither", "both"):
        placement = tree[name].placement
        assert placement is not None
        assert placement.gate == override.gate
    wrong = RectangleGate(dimensions[:1], (700.0,), (math.inf,))
    with pytest.raises(GateError, match="RectangleGate for 'CD8'"):
        gate_events(specimen(), RULES, ALL, overrides=(replace(override, gate=wrong),))


def test_override_of_a_control_gate_keeps_its_background() -> None:
    rng = np.random.default_rng(21)
    before = stain(rng, np.zeros(50_000, dtype=bool))
    control = summarise_control("T", "CAR", "pre_infusion", "P1_d0", before)
    gate = RectangleGate((Dimension("CAR", Logicle()),), (600.0,), (math.inf,))
    override = Override("CAR T", gate, "A", "b", "c")
    tree = gate_events(specimen(), RULES, ALL, controls=(control,), overrides=(override,))
    placement = tree["CAR T"].placement
    assert placement is not None
    assert placement.background is not None
    assert placement.background.n_events == pytest.approx(np.sum(before >= 600.0), rel=0.15)


def test_control_says_nothing_of_a_gate_on_another_marker() -> None:
    control = summarise_control("T", "CAR", "fmo", "F1", np.linspace(-100.0, 500.0, 20_000))
    gate = RectangleGate((Dimension("CD8", Logicle()),), (600.0,), (math.inf,))
    override = Override("CAR T", gate, "A", "b", "c")
    tree = gate_events(specimen(), RULES, ALL, controls=(control,), overrides=(override,))
    placement = tree["CAR T"].placement
    assert placement is not None
    assert placement.background is None


def test_controls_are_summarised_for_gates_that_a_control_places() -> None:
    prepared = specimen()
    tree = gate_events(prepared, RULES, ALL)
    (summary,) = summarise_controls(
        tree, prepared, RULES, kind="fmo", sample_id="F1", file_sha256="abc"
    )
    assert summary.file_sha256 == "abc"
    assert (summary.population, summary.marker, summary.kind) == ("T", "CAR", "fmo")
    assert summary.n_events == tree["T"].count
    assert summary.tail[-1] == prepared.values("CAR", tree["T"].rows).max()


def test_unknown_population_is_named() -> None:
    tree = gate_events(specimen(), RULES, ALL)
    with pytest.raises(GateError, match="no population 'CD5'"):
        tree["CD5"]
