"""A gate that was written as JSON comes back the same; anything else is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoflow_car.errors import GateError
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle
from cytoflow_car.tables.geometry import gate_from_json, gate_to_json

numbers = st.floats(allow_nan=False, allow_infinity=False)
above_0 = st.floats(min_value=1e-300, max_value=1e300)
names = st.text(min_size=1, max_size=8)
scales = st.one_of(
    st.builds(Linear, above_0),
    st.builds(Log, above_0, above_0),
    st.builds(Asinh, above_0, above_0),
    st.builds(Logicle, above_0, st.floats(0, 2), st.floats(4, 6), st.floats(0, 0)),
)
dimensions = st.lists(st.builds(Dimension, names, scales), min_size=1, max_size=4).map(tuple)


def values(number: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[numbers] * number)


@st.composite
def rectangles(draw: st.DrawFn) -> RectangleGate:
    on = draw(dimensions)
    bounds = [sorted(draw(st.tuples(_ends, _ends).filter(lambda ends: ends[0] != ends[1])))
              for _ in on]  # fmt: skip
    return RectangleGate(on, tuple(low for low, _ in bounds), tuple(high for _, high in bounds))


_ends = st.one_of(numbers, st.sampled_from([math.inf, -math.inf]))
gates: st.SearchStrategy[Gate] = st.one_of(
    rectangles(),
    st.builds(
        PolygonGate,
        st.tuples(*[st.builds(Dimension, names, scales)] * 2),
        st.lists(values(2), min_size=3, max_size=9).map(tuple),
    ),
    dimensions.flatmap(
        lambda on: st.builds(
            EllipsoidGate, st.just(on), values(len(on)), st.tuples(*[values(len(on))] * len(on))
        )
    ),
    dimensions.flatmap(lambda on: st.builds(QuadrantGate, st.just(on), values(len(on)))),
    st.builds(BooleanGate, st.just("not"), st.tuples(names)),
    st.builds(BooleanGate, st.sampled_from(["and", "or"]), st.tuples(names, names)),
)


@given(gates)
def test_a_gate_comes_back_the_same(gate: Gate) -> None:
    text = gate_to_json(gate)
    assert gate_from_json(text) == gate
    assert gate_to_json(gate_from_json(text)) == text  # -0.0 keeps its sign
    assert "\n" not in text


def test_the_form_is_what_people_edit() -> None:
    gate = RectangleGate((Dimension("CD3", Linear(262144.0)),), (1500.5,), (math.inf,))
    assert json.loads(gate_to_json(gate)) == {
        "kind": "RectangleGate",
        "dimensions": [{"marker": "CD3", "scale": {"kind": "linear", "top": 262144.0}}],
        "lower": [1500.5],
        "upper": [None],
    }


RECTANGLE = gate_to_json(RectangleGate((Dimension("CD3", Log()),), (1.0,), (2.0,)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("}", "", "not JSON"),
        ('"RectangleGate"', '"Rectangle"', "geometry: kind 'Rectangle'"),
        ('"RectangleGate"', "[]", "geometry: kind"),
        ('"lower"', '"lowest"', "geometry: fields dimensions, kind, lowest, upper"),
        ('"lower": [1.0]', '"lower": [1.0], "lower": [1.0]', "a field stands twice"),
        ('"lower": [1.0], ', "", "geometry: fields dimensions, kind, upper"),
        ("[1.0]", "[1.0, 2.0]", "coordinates for"),
        ("[1.0]", "[3.0]", "hold nothing"),
        ("[1.0]", "1.0", "geometry: value 1.0; expected a list"),
        ("[1.0]", "[true]", "geometry: value True; expected a finite number"),
        ("[1.0]", '["1"]', "geometry: value '1'; expected a finite number"),
        ("[1.0]", "[NaN]", "NaN is not a number"),
        ("[1.0]", "[-Infinity]", "-Infinity is not a number"),
        ("[1.0]", "[-1e999]", "expected a finite number"),
        ("[1.0]", f"[{'9' * 400}]", "expected a finite number"),
        ("[1.0]", f"[{'9' * 5000}]", "not JSON"),
        ("[1.0]", "[" * 100_000, "not JSON"),
        ('"log"', '"bilog"', "geometry: scale 'bilog'"),
        ('"decades": 4.5', '"decades": null', "expected a finite number"),
        ('"decades": 4.5', '"decades": -1', "-1 decades"),
        ('"CD3"', '""', "geometry: value ''; expected a name"),
    ],
)
def test_anything_else_is_refused(old: str, new: str, said: str) -> None:
    assert old in RECTANGLE
    with pytest.raises(GateError) as caught:
        gate_from_json(RECTANGLE.replace(old, new, 1))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"kind": "BooleanGate", "operation": "xor", "operands": ["a", "b"]}',
        '{"kind": "BooleanGate", "operation": "not", "operands": "a"}',
        '{"kind": "PolygonGate", "dimensions": [], "vertices": []}',
        '{"kind": "QuadrantGate", "dimensions": [], "dividers": []}',
        '{"kind": "QuadrantGate", "dimensions": [{}], "dividers": [1]}',
    ],
)
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(GateError):
        gate_from_json(text)
