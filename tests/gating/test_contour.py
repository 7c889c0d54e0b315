"""Outlines of density hold planted populations, and the prior where there is no peak."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Floats, Mask, f1, prepare

from cytoflow_car.gating.contour import DensityContour
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.model.gate import BooleanGate, Placement, PolygonGate
from cytoflow_car.model.scale import Linear, Logicle

LINEAR, LOGICLE = Linear(), Logicle(width=1.0)
SQUARE = np.asarray([[0.5, 0.5], [0.7, 0.5], [0.7, 0.7], [0.5, 0.7]])


def to_data(scaled: Floats) -> dict[str, Floats]:
    return {"SSC-A": LINEAR.inverse(scaled[:, 0]), "CD45": LOGICLE.inverse(scaled[:, 1])}


def outline(fraction: float | None, corners: Floats = SQUARE) -> DensityContour:
    vertices = tuple((float(x), float(y)) for x, y in zip(*to_data(corners).values(), strict=True))
    return DensityContour("density", "SSC-A", "CD45", vertices, fraction)


def place(method: DensityContour, scaled: Floats) -> tuple[Placement, Mask]:
    prepared = prepare(to_data(scaled), {"SSC-A": LINEAR, "CD45": LOGICLE})
    rows = np.arange(len(prepared))
    placement = method.place(Parent("live", prepared, rows), References())
    assert not isinstance(placement.gate, BooleanGate)
    return placement, members(placement.gate, prepared, rows)


def plant(
    rng: np.random.Generator, n_events: int, share: float, *, apart: float = 0.3
) -> tuple[Floats, Mask]:
    """Draw a population at (0.6, 0.6), and another to its lower left."""
    wanted = rng.random(n_events) < share
    center = np.where(wanted[:, None], 0.6, 0.6 - apart)
    return center + rng.normal(size=(n_events, 2)) * [0.03, 0.04], wanted


@pytest.mark.parametrize("fraction", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_outline_holds_the_fraction_and_is_round(share: float, fraction: float) -> None:
    scaled, wanted = plant(np.random.default_rng(1), 40_000, share)
    placement, found = place(outline(fraction), scaled)
    assert np.mean(found[wanted]) == pytest.approx(fraction, abs=0.03)
    away = (scaled - 0.6) / [0.03, 0.04]
    truth = (away**2).sum(axis=1) <= -2.0 * np.log(1.0 - fraction)
    # The line of equal density of a few events is rough where it is low.
    assert f1(found, truth) > (0.93 if share < 0.1 else 0.96)
    assert placement.flags == ()
    assert placement.confidence > 0.5


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_region_above_the_saddle_is_the_population(share: float) -> None:
    scaled, wanted = plant(np.random.default_rng(2), 40_000, share)
    placement, found = place(outline(None), scaled)
    assert f1(found, wanted) > 0.96
    assert placement.confidence > 0.5


@pytest.mark.parametrize("shift", [(-0.06, 0.05), (0.08, 0.0)])
def test_the_outline_follows_drift(shift: tuple[float, float]) -> None:
    scaled, wanted = plant(np.random.default_rng(3), 40_000, 0.3)
    _, found = place(outline(None), scaled + shift)
    assert f1(found, wanted) > 0.96


def test_a_saddle_that_is_high_is_unsure() -> None:
    scaled, _ = plant(np.random.default_rng(4), 40_000, 0.4, apart=0.08)
    placement, _ = place(outline(None), scaled)
    assert "saddle at" in placement.reason
    assert placement.confidence < 0.5


def test_one_round_population_has_one_peak() -> None:
    for seed in range(20):
        scaled = 0.6 + np.random.default_rng(seed).normal(size=(3000, 2)) * 0.04
        placement, found = place(outline(None), scaled)
        assert "saddle at 0%" in placement.reason
        assert found.mean() > 0.95


def test_a_ring_is_filled() -> None:
    rng = np.random.default_rng(5)
    angle, radius = rng.uniform(0, 2 * np.pi, 30_000), rng.normal(0.1, 0.01, 30_000)
    # One side is denser, so that the ring has one peak.
    angle = np.where(rng.random(30_000) < 0.5, rng.normal(0.0, 0.5, 30_000), angle)
    scaled = 0.6 + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    corners = SQUARE + np.asarray([0.1, 0.0])
    placement, _ = place(outline(0.9, corners), scaled)
    assert isinstance(placement.gate, PolygonGate)
    assert 3 <= len(placement.gate.vertices) <= 60


def test_without_a_peak_near_the_prior_it_stays_and_says_so() -> None:
    rng = np.random.default_rng(6)
    scaled = np.asarray([0.3, 0.3]) + rng.normal(size=(5000, 2)) * 0.03
    for method in (outline(None), outline(0.9)):
        placement, found = place(method, scaled)
        assert placement.flags == ("PRIOR_KEPT",)
        assert "no peak near the prior" in placement.reason
        assert isinstance(placement.gate, PolygonGate)
        assert placement.gate.vertices == method.vertices
        assert not found.any()
    for few, why in ((scaled[:49], "49 events"), (np.full((100, 2), 0.3), "equal")):
        placement, _ = place(outline(None), few)
        assert placement.flags == ("PRIOR_KEPT",)
        assert why in placement.reason


def test_two_peaks_about_the_prior_are_unsure() -> None:
    rng = np.random.default_rng(7)
    side = np.where(rng.random(20_000) < 0.5, -0.06, 0.06)[:, None]
    scaled = 0.6 + side + rng.normal(size=(20_000, 2)) * 0.02
    placement, _ = place(outline(0.9), scaled)
    assert placement.confidence < 0.5


def test_order_of_events_matters_little_and_none_is_random() -> None:
    scaled, _ = plant(np.random.default_rng(8), 20_000, 0.3)
    assert place(outline(0.9), scaled)[0] == place(outline(0.9), scaled)[0]
    _, found = place(outline(0.9), scaled)
    _, reversed_found = place(outline(0.9), scaled[::-1])
    assert np.array_equal(found, reversed_found[::-1])
