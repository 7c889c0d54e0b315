"""Where Gating-ML has no word for what we mean, and where other programs' exports go wrong."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoflow_car.gating.membership import members
from cytoflow_car.interop.gatingml_writing import WrittenPopulation, write_gatingml
from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    GeometricGate,
    PolygonGate,
    RectangleGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle, Scale
from cytoflow_car.preprocess.compensation import compensate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flowkit

DETECTORS = {"A": "A-A", "B": "B-A", "C": "C-A"}
NUMBERS = (-500, -100, 0, 1, 20, 26, 27, 100, 500, 1000, 2000, 99_999, 250_000, 300_000)


def scales(top: float) -> tuple[Scale, ...]:
    return (
        Linear(top),
        Log(top, 4.0),
        Asinh(top, 150.0),
        Logicle(top),
        Hyperlog(top),
        Biexponential(top),
    )


def whole_numbers() -> Events:
    """Make events of whole numbers, many of them on the edges of the gates below."""
    rng = np.random.default_rng(0)
    values = np.vstack(
        [
            np.asarray(list(product(NUMBERS, NUMBERS, (0, 100, 1000)))),
            rng.integers(-300, 3000, (2000, 3)),
        ]
    )
    return Events(values.astype(np.float32), tuple(map(Channel, DETECTORS.values())))


EVENTS = whole_numbers()


def by_flowkit(text: bytes, events: Events = EVENTS) -> Mapping[str, np.ndarray]:
    strategy = flowkit.parse_gating_xml(io.BytesIO(text))
    sample = flowkit.Sample(
        np.asarray(events.values, dtype=np.float64),
        sample_id="made",
        channel_labels=list(events.detectors),
    )
    with np.errstate(all="ignore"):
        results = strategy.gate_sample(sample)
    return {name: results.get_gate_membership(name, path) for name, path in strategy.get_gate_ids()}


def by_ourselves(
    gate: GeometricGate, spillover: Spillover | None = None, events: Events = EVENTS
) -> np.ndarray:
    columns = {name: index for index, name in enumerate(DETECTORS)}
    prepared = PreparedEvents(compensate(events, spillover), columns, {})
    return members(gate, prepared, np.arange(len(events)))


def n_differing(gate: GeometricGate, events: Events = EVENTS) -> int:
    text = write_gatingml([WrittenPopulation("cells", "root", gate)], DETECTORS, None)
    theirs = by_flowkit(text, events)["cells"]
    return int(np.count_nonzero(by_ourselves(gate, events=events) != theirs))


POLYGONS = (
    ((1.0, 100.0), (1000.0, 100.0), (1000.0, 500.0), (1.0, 500.0)),
    ((20.0, 20.0), (500.0, 20.0), (500.0, 1000.0), (20.0, 1000.0)),
    ((0.0, 0.0), (1000.0, 0.0), (1000.0, 100.0), (500.0, 500.0), (0.0, 500.0)),
    # Around both ends of every scale; and an outline that crosses itself.
    ((-9e4, -9e4), (9e5, -9e4), (9e5, 2000.0), (-9e4, 500.0)),
    ((-9e4, 0.0), (2000.0, 1000.0), (-9e4, 1000.0), (2000.0, 0.0)),
)


@pytest.mark.parametrize("x", scales(1e5), ids=lambda scale: scale.kind)
def test_whole_numbers_on_the_edges_of_polygons(x: Scale) -> None:
    for y, corners in product(scales(262144.0), POLYGONS):
        gate = PolygonGate((Dimension("A", x), Dimension("B", y)), corners)
        assert n_differing(gate) == 0, (y.kind, corners)


@pytest.mark.parametrize("x", scales(1e5), ids=lambda scale: scale.kind)
def test_ellipses_that_reach_the_ends_of_a_scale(x: Scale) -> None:
    for y in scales(1e5):
        dimensions = (Dimension("A", x), Dimension("B", y))
        gate = EllipsoidGate(dimensions, (100.0, 100.0), ((90_000.0, 200.0), (50.0, 5.0)))
        assert by_ourselves(gate).any()
        assert n_differing(gate) == 0, y.kind


def test_ellipsoids_of_three_dimensions_on_clipped_logarithms() -> None:
    for kinds in product((Linear(1e4), Log(1e5, 4.0), Logicle(1e5)), repeat=3):
        dimensions = tuple(Dimension(name, kind) for name, kind in zip("ABC", kinds, strict=True))
        ends = ((900.0, 150.0, 100.0), (60.0, 800.0, 120.0), (100.0, 100.0, 900.0))
        gate = EllipsoidGate(dimensions, (100.0, 100.0, 100.0), ends)
        assert n_differing(gate) == 0, [kind.kind for kind in kinds]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kinds=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    center=st.tuples(st.floats(-500.0, 5e4), st.floats(-500.0, 5e4)),
    reach=st.tuples(st.floats(1.05, 30.0), st.floats(-0.8, 0.8), st.floats(1.05, 30.0)),
)
def test_any_ellipse(
    kinds: tuple[int, int],
    center: tuple[float, float],
    reach: tuple[float, float, float],
) -> None:
    x, y = (scales(262144.0)[kind] for kind in kinds)
    size = max(abs(value) for value in center) + 100.0
    across = (center[0] + size / reach[0], center[1] + reach[1] * size / 40.0)
    upwards = (center[0], center[1] + size / reach[2])
    gate = EllipsoidGate((Dimension("A", x), Dimension("B", y)), center, (across, upwards))
    with np.errstate(all="ignore"):
        half = np.asarray(
            [
                [
                    d.scale.forward(np.asarray([v, c]))
                    for d, v, c in zip(gate.dimensions, end, center, strict=True)
                ]
                for end in gate.axis_ends
            ]
        )
    if np.linalg.cond(half[..., 0] - half[..., 1]) > 1e6:
        return  # flat: both ends of an axis sit on one end of the scale
    assert n_differing(gate) == 0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from(NUMBERS)),
            st.one_of(st.none(), st.sampled_from(NUMBERS)),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_rectangle(sides: list[tuple[int | None, int | None]]) -> None:
    lower = [-np.inf if low is None else float(low) for low, _ in sides]
    upper = [np.inf if high is None else float(high) for _, high in sides]
    if not all(low < high for low, high in zip(lower, upper, strict=True)):
        return
    dimensions = tuple(Dimension(name, Logicle()) for name, _ in zip("ABC", sides, strict=False))
    assert n_differing(RectangleGate(dimensions, tuple(lower), tuple(upper))) == 0


def test_values_that_are_no_numbers_lie_in_no_gate() -> None:
    values = np.asarray([[np.nan, 5.0, 5.0], [5.0, np.nan, 5.0], [np.inf, 5.0, 5.0], [5.0] * 3])
    events = Events(values, EVENTS.channels)
    for scale in scales(1e5):
        dimensions = (Dimension("A", scale), Dimension("B", scale))
        box = ((-50.0, -50.0), (500.0, -50.0), (500.0, 500.0), (-50.0, 500.0))
        assert n_differing(PolygonGate(dimensions, box), events) == 0, scale.kind
    dimensions = (Dimension("A", Linear()), Dimension("B", Linear()))
    for bounds in ((-np.inf, np.inf), (0.0, np.inf), (-np.inf, 10.0)):
        gate = RectangleGate(dimensions, (bounds[0], -np.inf), (bounds[1], np.inf))
        assert n_differing(gate, events) == 0, bounds


def test_a_matrix_that_spells_detectors_otherwise_than_the_file() -> None:
    gate = RectangleGate((Dimension("A", Linear()),), (100.0,), (np.inf,))
    spillover = Spillover(("Comp-A-A", "b-a"), np.asarray([[1.0, 0.3], [0.4, 1.0]]), "CSV")
    text = write_gatingml([WrittenPopulation("cells", "root", gate)], DETECTORS, spillover)
    inside = by_ourselves(gate, spillover)
    assert not np.array_equal(inside, by_ourselves(gate))
    assert np.array_equal(inside, by_flowkit(text)["cells"])


def test_a_matrix_of_one_detector() -> None:
    gate = RectangleGate((Dimension("A", Linear()),), (100.0,), (np.inf,))
    spillover = Spillover(("A-A",), np.asarray([[1.0]]), "SPILLOVER")
    text = write_gatingml([WrittenPopulation("cells", "root", gate)], DETECTORS, spillover)
    assert np.array_equal(by_ourselves(gate, spillover), by_flowkit(text)["cells"])


@pytest.mark.parametrize("name", ["root", "\x00\ud800", "]]>", "T: part 1", "Ünïcode β", "a\nb"])
def test_names_that_xml_or_flowkit_cannot_take(name: str) -> None:
    whole = RectangleGate((Dimension("A", Log()),), (100.0,), (np.inf,))
    clipped = PolygonGate((Dimension("A", Log(1e5, 4.0)), Dimension("B", Linear())), POLYGONS[0])
    text = write_gatingml(
        [WrittenPopulation("T", "root", clipped), WrittenPopulation(name, "T", whole)]
        if name != "root"
        else [WrittenPopulation("Root", "root", whole)],
        DETECTORS,
        None,
    )
    assert any(mask.any() for mask in by_flowkit(text).values())


def test_the_same_text_from_every_process() -> None:
    gate = BooleanGate("or", ("second", "first", "third"))
    whole = RectangleGate((Dimension("A", Linear()),), (100.0,), (np.inf,))
    text = write_gatingml(
        [WrittenPopulation("T", "root", whole), WrittenPopulation("any", "T", gate)],
        DETECTORS,
        None,
    ).decode()
    assert text.index('part="first"') < text.index('part="second"') < text.index('part="third"')


def test_what_gating_ml_cannot_hold_is_named_and_the_rest_is_written() -> None:
    scale = Biexponential()
    ends = ((900.0, 100.0, 100.0), (100.0, 900.0, 100.0), (100.0, 100.0, 900.0))
    gate = EllipsoidGate(
        (Dimension("A", scale), Dimension("B", scale), Dimension("C", scale)), (100.0,) * 3, ends
    )
    whole = RectangleGate((Dimension("A", Linear()),), (100.0,), (np.inf,))
    text = write_gatingml(
        [
            WrittenPopulation("T", "root", gate),
            WrittenPopulation("beneath", "T", whole),
            WrittenPopulation("without", "root", BooleanGate("not", ("beneath",))),
            WrittenPopulation("kept", "root", whole),
        ],
        DETECTORS,
        None,
    )
    assert set(by_flowkit(text)) == {"kept"}
    assert all(f"left out: {name}:" in text.decode() for name in ("T", "beneath", "without"))
