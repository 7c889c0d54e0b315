"""Estimates and grids save work and decide nothing: membership is that of the exact values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cytoflow_car.gating.grid import Side, lay_grid
from cytoflow_car.gating.membership import members
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Rows
from cytoflow_car.model.gate import Dimension, GeometricGate, PolygonGate, RectangleGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle, Scale

N_EVENTS = 50_000
#: Fewer events than are worth estimating: they are computed exactly.
FEW = 4_000
ALL = np.arange(N_EVENTS)
NAMES = ("SSC-A", "CD19", "CD3", "CD4", "CD8")
Y = Dimension("CD3", Logicle(width=0.6))


def make_events(storage: type[np.floating], *, torn: bool) -> CompensatedEvents:
    rng = np.random.default_rng(7)
    light = rng.normal(0.0, 150.0, (N_EVENTS, 5)) + 12_000.0 * rng.random((N_EVENTS, 5)) ** 8
    light[:, 0] = rng.lognormal(10.5, 0.6, N_EVENTS)
    spillover = np.eye(5)
    spillover[1:, 1:] += rng.uniform(0.0, 0.2, (4, 4)) * (1.0 - np.eye(4))
    values = (light @ spillover).astype(storage)
    if torn:
        values[[11, 29_000], 1], values[13, 2], values[17, 0] = np.nan, np.inf, -np.inf
    return CompensatedEvents(
        Events(values, tuple(Channel(name) for name in NAMES)), np.linalg.inv(spillover)
    )


def prepare(events: CompensatedEvents) -> PreparedEvents:
    return PreparedEvents(events, {name: index for index, name in enumerate(NAMES)}, {})


def in_small_parts(
    gate: GeometricGate, prepared: PreparedEvents, rows: Rows
) -> npt.NDArray[np.bool_]:
    parts = np.array_split(rows, rows.size // FEW + 1)
    return np.concatenate([members(gate, prepared, part) for part in parts])


@pytest.fixture(params=[(np.float32, False), (np.float32, True), (np.float64, True)])
def prepared(request: pytest.FixtureRequest) -> PreparedEvents:
    storage, torn = request.param
    return prepare(make_events(storage, torn=torn))


@pytest.mark.parametrize("marker", ["SSC-A", "CD19"])
@pytest.mark.parametrize("is_band", [False, True])
def test_bounds_at_events_hold_whom_exact_values_say(
    prepared: PreparedEvents, marker: str, is_band: bool
) -> None:
    values = prepared.values(marker)
    for low in values[100:110]:
        high = low + 700.0 if is_band else np.inf
        gate = RectangleGate((Dimension(marker, Linear()),), (low,), (high,))
        expected = (values >= low) & (values < high if is_band else ~np.isnan(values))
        assert np.array_equal(members(gate, prepared, ALL), expected)
        assert np.array_equal(members(gate, prepared, ALL[::2]), expected[::2])


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(Logicle(width=0.5), id="logicle"),
        pytest.param(Asinh(), id="asinh"),
        pytest.param(Log(decades=4.0), id="log"),
        pytest.param(Linear(), id="linear"),
    ],
)
def test_an_event_is_in_a_polygon_whoever_else_is_asked_for(
    prepared: PreparedEvents, scale: Scale
) -> None:
    rng = np.random.default_rng(3)
    x, y = prepared.values("CD19"), prepared.values("CD3")
    for n_corners in (3, 4, 6, 9):
        # Corners at events put those events exactly onto an edge; edges may cross.
        corners = rng.choice(np.flatnonzero(np.isfinite(x) & np.isfinite(y)), n_corners, False)
        vertices = tuple((float(x[corner]), float(y[corner])) for corner in corners)
        gate = PolygonGate((Dimension("CD19", scale), Y), vertices)
        inside = members(gate, prepared, ALL)
        assert np.array_equal(inside, in_small_parts(gate, prepared, ALL))
        shuffled = rng.permutation(N_EVENTS)
        assert np.array_equal(members(gate, prepared, shuffled), inside[shuffled])


@pytest.mark.parametrize("upright", [True, False])
def test_a_box_drawn_as_a_polygon_holds_whom_the_box_holds(upright: bool) -> None:
    prepared = prepare(make_events(np.float32, torn=False))
    x, y = prepared.values("CD19"), prepared.values("CD3")
    corners = ((500.0, -200.0), (9000.0, -200.0), (9000.0, 4000.0), (500.0, 4000.0))
    gate = PolygonGate((Dimension("CD19", Logicle()), Y), corners if upright else corners[::-1])
    expected = (x >= 500.0) & (x < 9000.0) & (y >= -200.0) & (y < 4000.0)
    assert 0.1 < expected.mean() < 0.9
    assert np.array_equal(members(gate, prepared, ALL), expected)


def test_a_grid_leaves_few_events_unclear() -> None:
    events = make_events(np.float32, torn=False)
    corners = ((300.0, -500.0), (9000.0, -500.0), (7000.0, 8000.0), (1500.0, 6000.0))
    x, y = events.estimate([1, 2])
    (x, x_slack), (y, y_slack) = (x.values, x.slack), (y.values, y.slack)
    grid = lay_grid(
        PolygonGate((Dimension("CD19", Logicle(width=0.5)), Y), corners), (x_slack, y_slack)
    )
    sides = grid.sides((x, y))
    assert np.mean(sides == Side.INSIDE) > 0.2 and np.mean(sides == Side.UNCLEAR) < 0.03


@pytest.mark.parametrize("channel", range(len(NAMES)))
def test_an_estimate_is_as_close_as_it_says(prepared: PreparedEvents, channel: int) -> None:
    (found,) = prepared.events.estimate([channel])
    estimates, slack = found.values, found.slack
    exact = prepared.events.column(channel)
    known = ~np.isnan(estimates)
    assert np.isfinite(exact[known]).all() and known.mean() > 0.3
    off = np.abs(estimates[known] - exact[known])
    assert (off <= slack + np.finfo(np.float32).eps * np.abs(exact[known])).all()
    assert slack < 1.0
