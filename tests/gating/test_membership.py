"""Who lies in a placed gate, against flowkit and against the definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from planted import Floats, Mask, prepare

from cytoflow_car.errors import GateError
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.model.events import Channel, CompensatedEvents, Events
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.scale import Asinh, Biexponential, Linear, Log, Logicle, Scale

N_EVENTS = 30_000
CD19, SIDE = Logicle(width=0.8), Linear()
X, Y = Dimension("CD19", CD19), Dimension("SSC-A", SIDE)


@pytest.fixture(scope="module")
def columns() -> dict[str, Floats]:
    """Return random events on a fluorescence and a scatter axis, some of them not finite."""
    rng = np.random.default_rng(19)
    cd19 = rng.normal(0, 300, N_EVENTS) + np.where(
        rng.random(N_EVENTS) < 0.5, rng.lognormal(8, 1, N_EVENTS), 0
    )
    side = rng.lognormal(10.5, 0.6, N_EVENTS)
    cd19[:3], side[3:5] = [np.nan, np.inf, -np.inf], [np.nan, np.inf]
    return {"CD19": cd19, "SSC-A": side}


SCALES: dict[str, Scale] = {"CD19": CD19, "SSC-A": SIDE}
ROWS = np.arange(N_EVENTS)


def scaled_frame(columns: dict[str, Floats]) -> pd.DataFrame:
    """Return the events on their scales, as flowkit's gates want them."""
    return pd.DataFrame({name: SCALES[name].forward(values) for name, values in columns.items()})


def flowkit_dimension(name: str, low: float | None = None, high: float | None = None) -> object:
    import flowkit

    return flowkit.Dimension(name, range_min=low, range_max=high)


def on_scale(scale: Scale, value: float) -> float:
    return float(scale.forward(np.asarray([value]))[0])


def test_rectangle_equals_flowkit(columns: dict[str, Floats]) -> None:
    import flowkit

    gate = RectangleGate((X, Y), (500.0, -np.inf), (20_000.0, 60_000.0))
    theirs = flowkit.gates.RectangleGate(
        "box",
        [
            flowkit_dimension("CD19", on_scale(CD19, 500.0), on_scale(CD19, 20_000.0)),
            flowkit_dimension("SSC-A", None, on_scale(SIDE, 60_000.0)),
        ],
    ).apply(scaled_frame(columns))
    ours = members(gate, prepare(columns, SCALES), ROWS)
    assert 0.05 < ours.mean() < 0.95
    finite = np.isfinite(np.column_stack(list(columns.values()))).all(axis=1)
    assert np.array_equal(ours[finite], theirs[finite])


def even_odd(corners: Floats, points: Floats) -> Mask:
    """Crossing-number rule, written down from its definition."""
    inside = np.zeros(len(points), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0)
        inside ^= spans & (points[:, 0] < at)
    return inside


@pytest.mark.parametrize(
    "vertices",
    [
        pytest.param(
            ((-500.0, 5e3), (30_000.0, 1e4), (5000.0, 9e4), (300.0, 5e4)), id="four corners"
        ),
        pytest.param(
            ((-300.0, 8e3), (20_000.0, 8e4), (20_000.0, 8e3), (-300.0, 8e4)), id="edges cross"
        ),
        pytest.param(
            ((100.0, 1e4), (200_000.0, 2e4), (1000.0, 3e4), (200_000.0, 9e4), (50.0, 8e4)),
            id="notched",
        ),
    ],
)
def test_polygon_equals_flowkit_and_the_even_odd_rule(
    columns: dict[str, Floats], vertices: tuple[tuple[float, float], ...]
) -> None:
    import flowkit

    ours = members(PolygonGate((X, Y), vertices), prepare(columns, SCALES), ROWS)
    corners = np.column_stack(
        [scale.forward(np.asarray(vertices)[:, k]) for k, scale in enumerate((CD19, SIDE))]
    )
    frame = scaled_frame(columns)
    theirs = flowkit.gates.PolygonGate(
        "corners", [flowkit_dimension("CD19"), flowkit_dimension("SSC-A")], corners.tolist()
    ).apply(frame)
    finite = np.isfinite(np.column_stack(list(columns.values()))).all(axis=1)
    assert 0.02 < ours.mean() < 0.95
    assert np.array_equal(ours[finite], theirs[finite])
    assert np.array_equal(ours[finite], even_odd(corners, frame.to_numpy())[finite])


def test_ellipsoid_on_logicle_equals_flowkit(columns: dict[str, Floats]) -> None:
    import flowkit

    gate = EllipsoidGate((X, Y), (2500.0, 40_000.0), ((20_000.0, 60_000.0), (1500.0, 75_000.0)))
    ends = np.column_stack(
        [scale.forward(np.asarray(gate.axis_ends)[:, k]) for k, scale in enumerate((CD19, SIDE))]
    )
    center = np.asarray([on_scale(CD19, 2500.0), on_scale(SIDE, 40_000.0)])
    half_axes = ends - center
    theirs = flowkit.gates.EllipsoidGate(
        "blob",
        [flowkit_dimension("CD19"), flowkit_dimension("SSC-A")],
        center.tolist(),
        (half_axes.T @ half_axes).tolist(),
        1.0,
    ).apply(scaled_frame(columns).fillna(1e9))
    ours = members(gate, prepare(columns, SCALES), ROWS)
    finite = np.isfinite(np.column_stack(list(columns.values()))).all(axis=1)
    assert 0.05 < ours.mean() < 0.95
    assert np.array_equal(ours[finite], np.asarray(theirs)[finite])


def test_polygon_on_log_scale_holds_events_that_sit_on_its_lower_edge() -> None:
    import flowkit

    scale = Log(decades=4.0)
    values = np.asarray([-50.0, 0.0, 10.0, 500.0, 90_000.0])
    vertices = ((1.0, -1.0), (1000.0, -1.0), (1000.0, 1.0), (1.0, 1.0))
    gate = PolygonGate((Dimension("CD19", scale), Dimension("SSC-A", SIDE)), vertices)
    prepared = prepare({"CD19": values, "SSC-A": np.zeros(5)}, {"CD19": scale, "SSC-A": SIDE})
    corners = np.column_stack(
        [scale.forward(np.asarray(vertices)[:, 0]), SIDE.forward(np.asarray(vertices)[:, 1])]
    )
    theirs = flowkit.gates.PolygonGate(
        "corners", [flowkit_dimension("CD19"), flowkit_dimension("SSC-A")], corners.tolist()
    ).apply(pd.DataFrame({"CD19": scale.forward(values), "SSC-A": np.zeros(5)}))
    ours = members(gate, prepared, np.arange(5))
    assert ours.tolist() == theirs.tolist() == [True, True, True, True, False]


def test_ends_of_an_ellipsoid_lie_on_its_surface() -> None:
    gate = EllipsoidGate((X, Y), (2500.0, 40_000.0), ((20_000.0, 60_000.0), (1500.0, 75_000.0)))

    def along(share: float) -> Mask:
        center = np.asarray([on_scale(CD19, 2500.0), on_scale(SIDE, 40_000.0)])
        ends = np.column_stack(
            [CD19.forward(np.asarray([20e3, 1500.0])), SIDE.forward(np.asarray([60e3, 75e3]))]
        )
        points = center + share * (ends - center)
        prepared = prepare(
            {"CD19": CD19.inverse(points[:, 0]), "SSC-A": SIDE.inverse(points[:, 1])}, SCALES
        )
        return members(gate, prepared, np.arange(2))

    assert along(0.9999).all()
    assert not along(1.0001).any()


def test_quadrants_equal_flowkit(columns: dict[str, Floats]) -> None:
    import flowkit

    gate = QuadrantGate((X, Y), (800.0, 40_000.0))
    dividers = [
        flowkit.QuadrantDivider("x", "CD19", "uncompensated", [on_scale(CD19, 800.0)]),
        flowkit.QuadrantDivider("y", "SSC-A", "uncompensated", [on_scale(SIDE, 40_000.0)]),
    ]
    places = {"++": (1e3, 1e3), "+-": (1e3, -1e3), "-+": (-1e3, 1e3), "--": (-1e3, -1e3)}
    quadrants = [
        flowkit.gates.Quadrant(signs, ["x", "y"], [_range(place, k) for k in (0, 1)])
        for signs, place in places.items()
    ]
    theirs = flowkit.gates.QuadrantGate("cross", dividers, quadrants).apply(scaled_frame(columns))
    ours = quadrant_signs(gate, prepare(columns, SCALES), ROWS)
    finite = np.isfinite(np.column_stack(list(columns.values()))).all(axis=1)
    for signs in places:
        assert 0.02 < ours[signs].mean() < 0.9
        assert np.array_equal(ours[signs][finite], np.asarray(theirs[signs])[finite])


def _range(place: tuple[float, float], axis: int) -> tuple[float | None, float | None]:
    divider = (on_scale(CD19, 800.0), on_scale(SIDE, 40_000.0))[axis]
    return (divider, None) if place[axis] > 0 else (None, divider)


def test_event_at_a_bound_lies_on_its_upper_side() -> None:
    prepared = prepare({"CD19": np.asarray([500.0, 1000.0]), "SSC-A": np.asarray([1.0, 1.0])})
    rows = np.arange(2)
    assert members(RectangleGate((X,), (500.0,), (1000.0,)), prepared, rows).tolist() == [
        True,
        False,
    ]
    signs = quadrant_signs(QuadrantGate((X, Y), (500.0, 1.0)), prepared, rows)
    assert signs["++"].all()


@pytest.mark.parametrize(
    "gate",
    [
        RectangleGate((X,), (-np.inf,), (np.inf,)),
        RectangleGate((X, Y), (-1e9, -np.inf), (np.inf, 1e9)),
        PolygonGate((X, Y), ((-1e5, -1e5), (1e6, -1e5), (1e6, 1e6), (-1e5, 1e6))),
        EllipsoidGate((X, Y), (0.0, 0.0), ((2e5, 0.0), (0.0, 2e6))),
    ],
)
def test_nan_lies_in_no_gate(gate: RectangleGate | PolygonGate | EllipsoidGate) -> None:
    prepared = prepare(
        {"CD19": np.asarray([np.nan, 10.0]), "SSC-A": np.asarray([10.0, 10.0])}, SCALES
    )
    assert members(gate, prepared, np.arange(2)).tolist() == [False, True]


def test_nan_lies_in_no_quadrant() -> None:
    prepared = prepare({"CD19": np.asarray([np.nan, 10.0]), "SSC-A": np.asarray([10.0, np.nan])})
    signs = quadrant_signs(QuadrantGate((X, Y), (0.0, 0.0)), prepared, np.arange(2))
    assert not any(mask.any() for mask in signs.values())


def test_quadrants_divide_finite_events_without_rest(columns: dict[str, Floats]) -> None:
    signs = quadrant_signs(QuadrantGate((X, Y), (0.0, 2e4)), prepare(columns, SCALES), ROWS)
    not_a_number = np.isnan(np.column_stack(list(columns.values()))).any(axis=1)
    assert np.array_equal(sum(mask.astype(int) for mask in signs.values()), ~not_a_number)


@pytest.mark.parametrize("scale", [Logicle(width=0.3), Logicle(width=1.4), Asinh(), Linear()])
def test_estimated_scale_moves_no_rectangle(columns: dict[str, Floats], scale: Scale) -> None:
    gate = RectangleGate((Dimension("CD19", scale),), (700.0,), (np.inf,))
    inside = members(gate, prepare(columns, {"CD19": scale, "SSC-A": SIDE}), ROWS)
    assert np.array_equal(inside, columns["CD19"] >= 700.0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [3, 11, 20])
def test_value_of_an_event_does_not_depend_on_its_neighbours(
    kind: type[np.floating], n_channels: int
) -> None:
    rng = np.random.default_rng(n_channels)
    raw: npt.NDArray[np.float32] | npt.NDArray[np.float64] = rng.normal(
        1000, 900, (20_000, n_channels)
    ).astype(kind)
    unmixing = np.linalg.inv(np.eye(n_channels) + 0.02 * rng.random((n_channels, n_channels)))
    events = CompensatedEvents(
        Events(raw, tuple(Channel(str(index)) for index in range(n_channels))), unmixing
    )
    whole = events.column(1)
    assert whole == pytest.approx(raw.astype(np.float64) @ unmixing[:, 1])
    for rows in (
        rng.permutation(20_000),
        np.sort(rng.choice(20_000, 777, replace=False)),
        np.arange(5, 20_000),
        np.asarray([12_345]),
    ):
        assert np.array_equal(events.column(1, rows), whole[rows])


def test_rows_that_are_asked_for_do_not_change_who_lies_inside(
    columns: dict[str, Floats],
) -> None:
    prepared = prepare(columns, SCALES)
    gate = PolygonGate((X, Y), ((-500.0, 5e3), (30_000.0, 1e4), (5000.0, 9e4)))
    some = np.sort(np.random.default_rng(1).choice(N_EVENTS, 999, replace=False))
    assert np.array_equal(members(gate, prepared, some), members(gate, prepared, ROWS)[some])


def test_impossible_geometry_is_refused() -> None:
    with pytest.raises(GateError, match="hold nothing"):
        RectangleGate((X,), (10.0,), (10.0,))
    with pytest.raises(GateError, match="hold nothing"):
        RectangleGate((X,), (np.nan,), (10.0,))
    with pytest.raises(GateError, match="2 vertices"):
        PolygonGate((X, Y), ((0.0, 0.0), (1.0, 1.0)))
    with pytest.raises(GateError, match="finite"):
        PolygonGate((X, Y), ((0.0, 0.0), (1.0, np.inf), (1.0, 0.0)))
    with pytest.raises(GateError, match="dimensions"):
        QuadrantGate((X, Y), (1.0,))
    with pytest.raises(GateError, match="'not' of 2"):
        BooleanGate("not", ("a", "b"))
    with pytest.raises(GateError, match="'and' of 1"):
        BooleanGate("and", ("a",))
    with pytest.raises(GateError, match="xor"):
        BooleanGate("xor", ("a", "b"))


@pytest.mark.parametrize("top", [1e5, 262144.0])
@pytest.mark.parametrize("seed", range(6))
def test_values_beyond_a_biex_scale_sit_on_its_edges(top: float, seed: int) -> None:
    from flowutils.gating import points_in_polygon

    rng = np.random.default_rng(seed)
    scale = Biexponential(top)
    values = np.where(
        rng.random((30_000, 2)) < 0.5,
        rng.normal(0.0, 400.0, (30_000, 2)),
        np.exp(rng.normal(9.0, 2.0, (30_000, 2))),
    )
    prepared = prepare({"A": values[:, 0], "B": values[:, 1]}, {"A": scale, "B": scale})
    # Corners beyond both ends of the table are drawn on its edges.
    corners = np.where(
        rng.random((5, 2)) < 0.5,
        rng.uniform(-2000.0, 2000.0, (5, 2)),
        rng.uniform(1.0, 2 * top, (5, 2)),
    )
    gate = PolygonGate(
        (Dimension("A", scale), Dimension("B", scale)), tuple(map(tuple, corners.tolist()))
    )
    expected = points_in_polygon(scale.forward(corners), scale.forward(values))
    np.testing.assert_array_equal(expected, members(gate, prepared, np.arange(30_000)))
    few = np.arange(0, 30_000, 97)
    np.testing.assert_array_equal(expected[few], members(gate, prepared, few))
