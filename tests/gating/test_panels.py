"""What a picture of a gate is given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from planted import prepare, stain

from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.panels import GatePanel, draw_panels
from cytoflow_car.gating.shapes import Boolean, FixedPolygon, Quadrant, Rectangle
from cytoflow_car.gating.summaries import summarise_control
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.tree import PopulationRule, gate_events
from cytoflow_car.model.population import ROOT

N_EVENTS = 5000


def cut(marker: str, at: float, keep: str = "above") -> Fixed:
    return Fixed("fixed", marker, keep, at)  # type: ignore[arg-type]


RULES = (
    PopulationRule(ROOT, cut("CD3", 1000.0), "T"),
    PopulationRule(
        "T",
        Quadrant("quadrant", cut("CD4", 1000.0), cut("CD8", 800.0)),
        quadrants={"CD4": "+-", "CD8": "-+"},
    ),
    PopulationRule("T", ControlCut("control", "CAR", prior=1500.0), "CAR T"),
    PopulationRule("T", Boolean("boolean", "not", ("CD4",)), "not CD4"),
    PopulationRule(ROOT, Rectangle("rectangle", (cut("CD3", 1000.0), cut("CD4", 900.0))), "box"),
    PopulationRule(ROOT, cut("CD3", 400.0, "below"), "low"),
    PopulationRule(ROOT, FixedPolygon("polygon", "CD3", "CD4", ((0, 0), (9e4, 0), (0, 9e4))), "p"),
)


@pytest.fixture(scope="module")
def panels() -> dict[str, GatePanel]:
    rng = np.random.default_rng(1)
    t_cell, helper = rng.random(N_EVENTS) < 0.5, rng.random(N_EVENTS) < 0.6
    prepared = prepare(
        {
            "CD3": stain(rng, t_cell),
            "CD4": stain(rng, t_cell & helper),
            "CD8": stain(rng, t_cell & ~helper),
            "CAR": stain(rng, t_cell & (rng.random(N_EVENTS) < 0.1)),
        }
    )
    control = summarise_control("T", "CAR", "fmo", "P1_F", stain(rng, np.zeros(20_000, dtype=bool)))
    tree = gate_events(prepared, RULES, np.ones(N_EVENTS, dtype=bool), controls=(control,))
    drawn = draw_panels(tree, prepared, RULES, (control,), 0.5)
    return {panel.title: panel for panel in drawn}


def test_every_gate_with_geometry_has_a_panel_in_gating_order(
    panels: dict[str, GatePanel],
) -> None:
    assert list(panels) == ["T", "CD4, CD8", "CAR T", "box", "low", "p"]


def test_every_event_of_the_parent_is_in_a_bin(panels: dict[str, GatePanel]) -> None:
    assert panels["T"].counts.sum() == panels["box"].counts.sum() == N_EVENTS
    assert panels["CD4, CD8"].counts.sum() == panels["CAR T"].counts.sum()


def test_cut_and_kept_side_are_in_scale_units(panels: dict[str, GatePanel]) -> None:
    axis = panels["T"].axes[0]
    at = axis.scale.forward(np.asarray([1000.0]))[0]
    assert panels["T"].outlines[0][0, 0] == pytest.approx(at)
    assert panels["T"].kept == pytest.approx((at, axis.high))
    low = panels["low"]
    assert low.kept == pytest.approx(
        (low.axes[0].low, low.axes[0].scale.forward(np.asarray([400.0]))[0])
    )
    assert panels["box"].kept is None


def test_labels_tell_percent_of_parent_and_corner(panels: dict[str, GatePanel]) -> None:
    panel = panels["CD4, CD8"]
    assert panel.corners == ("+-", "-+")
    shares = [float(label.split()[1]) for label in panel.labels]
    assert shares == pytest.approx([60, 40], abs=3)


def test_open_sides_of_a_box_reach_the_end_of_the_axis(panels: dict[str, GatePanel]) -> None:
    panel = panels["box"]
    corners = panel.outlines[0]
    assert corners[:, 0].max() == panel.axes[0].high
    assert corners[:, 1].max() == panel.axes[1].high
    assert np.isfinite(corners).all()


def test_control_is_drawn_with_as_many_events_as_the_panel(panels: dict[str, GatePanel]) -> None:
    panel = panels["CAR T"]
    assert panel.control is not None
    assert panel.control.sum() == pytest.approx(panel.counts.sum())
    assert panel.control_name == "fmo P1_F"
    assert panels["T"].control is None
    assert panels["T"].control_name == ""


def test_gates_are_seen_even_beside_all_events() -> None:
    prepared = prepare({"CD3": np.random.default_rng(2).normal(100, 50, 500)})
    rules = (PopulationRule(ROOT, cut("CD3", 50_000.0), "T"),)
    tree = gate_events(prepared, rules, np.ones(500, dtype=bool))
    (panel,) = draw_panels(tree, prepared, rules, (), 0.5)
    assert panel.axes[0].low < panel.outlines[0][0, 0] < panel.axes[0].high
    assert math.isclose(panel.counts.sum(), 500)
