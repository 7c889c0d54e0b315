"""Gates of FlowCytometryTools count the same events here, and here the same there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cytoflow_car.errors import GateError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.interop.flowcytometrytools import (
    PopulationGate,
    gate_to_flowcytometrytools,
    gates_from_flowcytometrytools,
)
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle
from cytoflow_car.preprocess.compensation import compensate

Mask = npt.NDArray[np.bool_]
#: Makes a gate from the package and its bundled events, (10000, 16) by channel.
Draw = Callable[[Any, Any], Any]

X, Y = "Y2-A", "B1-A"
TRIANGLE = [(-500.0, -300.0), (9000.0, 200.0), (400.0, 6000.0)]
STAR = [(0.0, 4000.0), (6000.0, 3500.0), (500.0, 0.0), (3000.0, 6000.0), (5000.0, -200.0)]


@pytest.fixture(scope="module")
def measurement(theirs: ModuleType, well_file: Path) -> Any:
    """Return the bundled measurement, linear."""
    return theirs.FCMeasurement("A3", datafile=well_file)


@pytest.fixture(scope="module")
def prepared(well_file: Path) -> PreparedEvents:
    """Return the same events as this package reads them."""
    events = compensate(read_fcs(well_file).events, None)
    names = [channel.detector for channel in events.channels]
    return PreparedEvents(
        events,
        {name: index for index, name in enumerate(names)},
        dict.fromkeys(names, Linear()),
    )


def inside(steps: tuple[PopulationGate, ...], prepared: PreparedEvents) -> Mask:
    """Tell who lies in the last of some gates."""
    rows = np.arange(len(prepared))
    found: dict[str, Mask] = {}
    for step in steps:
        match step.gate:
            case BooleanGate(operation, names):
                masks = [found[name.removeprefix("!")] ^ name.startswith("!") for name in names]
                combine = {"and": np.all, "or": np.any}.get(operation)
                found[step.population] = combine(masks, axis=0) if combine else ~masks[0]
            case QuadrantGate():
                signs = quadrant_signs(step.gate, prepared, rows)
                found[step.population] = signs[step.quadrant]
            case _:
                found[step.population] = members(step.gate, prepared, rows)
    return found[steps[-1].population]


@contextmanager
def its_own_warnings_off() -> Iterator[None]:
    """Let tlog take the logarithm of negative numbers, which it then leaves out."""
    with np.errstate(all="ignore"):
        yield


def between(data: Any, channel: str, first: float, second: float) -> tuple[float, float]:
    """Return values that events have, so that edges decide: quantiles of a channel."""
    ends = np.quantile(data[channel], [first, second], method="nearest")
    return float(ends[0]), float(ends[1])


def threshold(region: str) -> Draw:
    return lambda kinds, data: kinds.ThresholdGate(between(data, X, 0.3, 1)[0], X, region)


def interval(region: str) -> Draw:
    return lambda kinds, data: kinds.IntervalGate(between(data, X, 0.3, 0.8), X, region)


def quadrant(region: str) -> Draw:
    return lambda kinds, data: kinds.QuadGate(
        (between(data, X, 0.4, 1)[0], between(data, Y, 0.6, 1)[0]), [X, Y], region
    )


def polygon(region: str, corners: list[tuple[float, float]] = TRIANGLE) -> Draw:
    return lambda kinds, data: kinds.PolyGate(corners, [X, Y], region)


def composite(how: str) -> Draw:
    def draw(kinds: Any, data: Any) -> Any:
        operands = threshold("above")(kinds, data), polygon("out")(kinds, data)
        return kinds.CompositeGate(operands[0], how, None if how == "invert" else operands[1])

    return draw


def nested(kinds: Any, data: Any) -> Any:
    first, second = threshold("above")(kinds, data), interval("out")(kinds, data)
    third = quadrant("top left")(kinds, data)
    return ~((first ^ second) & ~third) | (first & first)


GATES: dict[str, Draw] = {
    **{f"threshold {region}": threshold(region) for region in ("above", "below")},
    **{f"interval {region}": interval(region) for region in ("in", "out")},
    **{
        f"quadrant {region}": quadrant(region)
        for region in ("top left", "top right", "bottom left", "bottom right")
    },
    **{f"polygon {region}": polygon(region) for region in ("in", "out")},
    "polygon that crosses itself": polygon("in", STAR),
    **{f"composite {how}": composite(how) for how in ("and", "or", "xor", "invert")},
    "composite of composites": nested,
}


@pytest.mark.parametrize("name", GATES)
def test_same_events_as_there(
    name: str, theirs: ModuleType, measurement: Any, prepared: PreparedEvents
) -> None:
    gate = GATES[name](theirs.core.gates, measurement.data)
    expected = gate._identify(measurement.data)
    found = inside(gates_from_flowcytometrytools(gate), prepared)
    assert measurement.gate(gate).counts == np.count_nonzero(found)
    assert 100 < np.count_nonzero(found) < 9900
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", GATES)
def test_same_events_after_a_way_there_and_back(
    name: str, theirs: ModuleType, measurement: Any, prepared: PreparedEvents
) -> None:
    gate = GATES[name](theirs.core.gates, measurement.data)
    steps = gates_from_flowcytometrytools(gate)
    again = gate_to_flowcytometrytools(steps)
    np.testing.assert_array_equal(
        again._identify(measurement.data), gate._identify(measurement.data)
    )
    np.testing.assert_array_equal(
        inside(gates_from_flowcytometrytools(again), prepared), inside(steps, prepared)
    )


LINEAR = (Dimension(X, Logicle()), Dimension(Y, Linear()))


@pytest.mark.parametrize(
    ("lower", "upper"),
    list(product([(-math.inf, -math.inf), (300.0, -100.0)], [(math.inf, math.inf), (9e3, 1200.0)])),
)
def test_rectangles_of_ours_hold_the_same_events_there(
    lower: tuple[float, float],
    upper: tuple[float, float],
    measurement: Any,
    prepared: PreparedEvents,
) -> None:
    steps = (PopulationGate("box", RectangleGate(LINEAR, lower, upper)),)
    found = gate_to_flowcytometrytools(steps)._identify(measurement.data)
    np.testing.assert_array_equal(found, inside(steps, prepared))


def test_an_upper_bound_that_an_event_has_is_excluded_in_both(
    measurement: Any, prepared: PreparedEvents
) -> None:
    low, high = between(measurement.data, X, 0.3, 0.8)
    steps = (PopulationGate("band", RectangleGate((LINEAR[0],), (low,), (high,))),)
    found = gate_to_flowcytometrytools(steps)._identify(measurement.data)
    assert not found[measurement.data[X] == high].any()
    np.testing.assert_array_equal(found, inside(steps, prepared))


def test_booleans_of_ours_hold_the_same_events_there(
    measurement: Any, prepared: PreparedEvents
) -> None:
    steps = (
        PopulationGate("bright", RectangleGate((LINEAR[0],), (1000.0,), (math.inf,))),
        PopulationGate("side", QuadrantGate(LINEAR, (500.0, 200.0)), "+-"),
        PopulationGate("neither", BooleanGate("and", ("!bright", "!side"))),
        PopulationGate("any", BooleanGate("or", ("bright", "side", "!neither"))),
        PopulationGate("rest", BooleanGate("not", ("any",))),
    )
    for last in range(1, 6):
        found = gate_to_flowcytometrytools(steps[:last])._identify(measurement.data)
        np.testing.assert_array_equal(found, inside(steps[:last], prepared))


#: Named transformations with their parameters, and the scale of the same straight lines.
TRANSFORMATIONS: dict[str, tuple[dict[str, float], object]] = {
    "linear": ({"old_range": 262144.0, "new_range": 1000.0}, Linear()),
    "tlog": ({"th": 2.0, "r": 1000.0, "d": 5.0}, Log(1e5, math.log10(5e4))),
    "glog": ({"l": 10_000.0}, Asinh(cofactor=100.0)),
}


@pytest.mark.parametrize("name", [*TRANSFORMATIONS, "hlog", "logicle"])
@pytest.mark.parametrize("kind", ["threshold above", "quadrant top left", "interval in"])
def test_thresholds_on_transformed_data_count_the_same(
    name: str, kind: str, theirs: ModuleType, measurement: Any, prepared: PreparedEvents
) -> None:
    transformation = transform(theirs, name)
    with its_own_warnings_off():
        data = measurement.transform(transformation, channels=[X, Y], use_spln=False).data
    # Where no event is, so that rounding decides nothing.
    gate = GATES[kind](theirs.core.gates, data)
    gate.vert = np.asarray(gate.vert) * 1.0000003
    steps = gates_from_flowcytometrytools(gate, {X: transformation, Y: transformation})
    np.testing.assert_array_equal(inside(steps, prepared), gate._identify(data))
    again = gate_to_flowcytometrytools(steps, {X: transformation, Y: transformation})
    np.testing.assert_array_equal(again._identify(data), gate._identify(data))


@pytest.mark.parametrize("name", [*TRANSFORMATIONS, "logicle"])
def test_polygons_on_transformed_data_count_the_same(
    name: str, theirs: ModuleType, measurement: Any, prepared: PreparedEvents
) -> None:
    transformation = transform(theirs, name)
    both = {X: transformation, Y: transformation}
    with its_own_warnings_off():
        data = measurement.transform(transformation, channels=[X, Y], use_spln=False).data
    low, middle, high = np.quantile(data[X], [0.3, 0.6, 0.97])
    corners = [(low, low), (high, middle), (middle, high)]
    gate = theirs.PolyGate(corners, [X, Y])
    steps = gates_from_flowcytometrytools(gate, both)
    if name in TRANSFORMATIONS:
        assert steps[0].gate.dimensions[0].scale == TRANSFORMATIONS[name][1]
    found = inside(steps, prepared)
    assert 100 < np.count_nonzero(found) < 9900
    np.testing.assert_array_equal(found, gate._identify(data))
    again = gate_to_flowcytometrytools(steps, both)
    np.testing.assert_allclose(again.vert, corners, rtol=1e-9)


def test_a_spline_that_the_data_went_through_is_taken(
    theirs: ModuleType, measurement: Any, prepared: PreparedEvents
) -> None:
    hyperlog = theirs.core.transforms.Transformation("hlog", b=500.0)
    data = measurement.transform(hyperlog, channels=[X]).data
    assert hyperlog.spln is not None
    gate = theirs.ThresholdGate(1000.0, X, "above")
    steps = gates_from_flowcytometrytools(gate, {X: hyperlog})
    assert np.count_nonzero(inside(steps, prepared)) == 4433
    np.testing.assert_array_equal(inside(steps, prepared), gate._identify(data))
    for out_of_reach in (-1e6, 1e6):
        gate = theirs.ThresholdGate(out_of_reach, X, "above")
        with pytest.raises(GateError, match="cannot be undone"):
            gates_from_flowcytometrytools(gate, {X: hyperlog})


def transform(theirs: ModuleType, name: str) -> Any:
    make = theirs.core.transforms.Transformation
    if name == "logicle":
        return make(Logicle(width=0.8).forward)
    parameters = {"hlog": {"b": 300.0, "d": 5.0}} | {
        key: value for key, (value, _) in TRANSFORMATIONS.items()
    }
    return make(name, **parameters[name])


def test_what_has_no_counterpart_is_refused(theirs: ModuleType) -> None:
    make = theirs.core.transforms.Transformation
    polygon_gate = theirs.PolyGate(TRIANGLE, [X, Y])
    above = theirs.ThresholdGate(0.0, X, "above")
    lasso = type("LassoGate", (theirs.core.gates.Gate,), {"__init__": lambda self: None})()
    lasso.channels = [X]
    for gate, transformations, problem in (
        (polygon_gate, {X: make("hlog")}, "straight"),
        (above, {X: make(np.arcsinh)}, "cannot be undone"),
        (above, {X: make("hlog", "inverse")}, "cannot be undone"),
        (above, {X: make("tlog")}, "cannot be undone"),  # where everything up to th lies
        (above, {X: make("linear", old_range=1.0, new_range=-1.0)}, "around"),
        (theirs.ThresholdGate(25_000.0, X, "above"), {X: make("hlog")}, "cannot be undone"),
        (theirs.core.gates.CompositeGate(above, "xor"), {}, "xor"),
        (theirs.ThresholdGate(1.0, X, "above", name="CD4/CD8"), {}, "cannot name"),
        (theirs.ThresholdGate(1.0, X, "above", name="!CD4"), {}, "cannot name"),
        (lasso, {}, "LassoGate"),
    ):
        with pytest.raises(GateError, match=problem):
            gates_from_flowcytometrytools(gate, transformations)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (
            [PopulationGate("p", PolygonGate((LINEAR[0], LINEAR[1]), ((0, 0), (1, 0), (0, 1))))],
            "logicle",
        ),
        (
            [PopulationGate("e", EllipsoidGate(LINEAR, (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0))))],
            "ellipsoid",
        ),
        ([PopulationGate("n", BooleanGate("not", ("lymphocytes",)))], "lymphocytes"),
        ([PopulationGate("q", QuadrantGate(LINEAR, (0.0, 0.0)))], "quadrant"),
    ],
)
def test_what_it_cannot_hold_is_refused(
    theirs: ModuleType, steps: list[PopulationGate], problem: str
) -> None:
    with pytest.raises(GateError, match=problem):
        gate_to_flowcytometrytools(steps)


def test_equal_names_become_different_populations(theirs: ModuleType) -> None:
    first = theirs.ThresholdGate(1.0, X, "above", name="live")
    second = theirs.ThresholdGate(2.0, Y, "above", name="live")
    steps = gates_from_flowcytometrytools(first & second)
    assert [step.population for step in steps] == ["live", "live (2)", "live and live"]
    assert steps[-1].gate == BooleanGate("and", ("live", "live (2)"))


def test_where_the_edges_differ(theirs: ModuleType) -> None:
    """As docs/how-to/flowcytometrytools.md tells it."""
    unknown = np.array([(np.nan, 1), (np.nan, 9)], dtype=np.float32)
    for gate in (
        theirs.ThresholdGate(2.0, X, "below"),
        theirs.QuadGate((2.0, 20.0), [X, Y], "bottom left"),
    ):
        assert not inside(gates_from_flowcytometrytools(gate), lay(unknown)).any()
        assert gate._identify(pd.DataFrame(unknown, columns=[X, Y])).all()

    below_a_threshold = np.array([(0.7, 0)], dtype=np.float32)  # 0.69999999 as float32
    gate = theirs.ThresholdGate(0.7, X, "above")
    assert not inside(gates_from_flowcytometrytools(gate), lay(below_a_threshold)).any()
    assert gate._identify(pd.DataFrame(below_a_threshold, columns=[X, Y])).all()


def lay(values: npt.NDArray[np.float32]) -> PreparedEvents:
    """Lay values onto the two channels."""
    events = compensate(Events(values, (Channel(X), Channel(Y))), None)
    return PreparedEvents(events, {X: 0, Y: 1}, dict.fromkeys((X, Y), Linear()))
