"""Gates of FlowCytometryTools as gates of this package, and back.

A gate there holds numbers in whatever units the measurement then has, linear or transformed. Here
coordinates are in data units and edges are straight on a scale. So a gate of transformed data needs
the transformation: its numbers are brought to data units by it, and a polygon needs a scale on
which its edges are as straight as they were.

Edges: an event on a threshold is "above" in both programs, and to the right or top of a quadrant.
An interval there includes both ends; here its upper bound is the next number above. An event just
on the edge of a polygon may lie on either side in both. An event with NaN lies in no threshold or
quadrant here, but there in "below", "left" and "bottom". FlowCytometryTools rounds a threshold to
the precision of the data, mostly float32, before it compares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import numpy as np

from cytoflow_car.errors import GateError, InteropError
from cytoflow_car.interop.flowcytometrytools_axes import Axis, have_same_straight_lines, lay_axis
from cytoflow_car.interop.flowcytometrytools_loading import load
from cytoflow_car.model.gate import (
    BooleanGate,
    ClusterGate,
    Dimension,
    Gate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.scale import Linear

if TYPE_CHECKING:
    from FlowCytometryTools.core import gates as theirs
    from FlowCytometryTools.core.transforms import Transformation

#: Region of a ``QuadGate``, and the signs of that quadrant here.
_SIGNS = {"top right": "++", "bottom right": "+-", "top left": "-+", "bottom left": "--"}


@dataclass(frozen=True, slots=True)
class PopulationGate:
    """The gate of one population, as a step of a gate tree.

    Attributes
    ----------
    population
        Its name. A boolean gate names populations of steps before it.
    gate
        The geometry; `Dimension.marker` is the name of the channel in the measurement.
    quadrant
        Signs of the quadrant that is meant (``"+-"``: above the first divider, below the second);
        empty where `gate` is no `QuadrantGate`.
    """

    population: str
    gate: Gate
    quadrant: str = ""


def gates_from_flowcytometrytools(
    gate: theirs.Gate | theirs.CompositeGate,
    transformations: Mapping[str, Transformation] | None = None,
) -> tuple[PopulationGate, ...]:
    """Bring over a gate of FlowCytometryTools.

    Parameters
    ----------
    gate
        Threshold, interval, quadrant, polygon or composite, of any region.
    transformations
        By channel: the ``Transformation`` of the data that the gate was drawn on, with the
        parameters that it had. Channels left out were linear.

    Returns
    -------
    At least one step, the gate itself last; the steps before it are what it is composed of.

    Raises
    ------
    GateError
        A polygon on data transformed by ``hlog``, which has no scale here; a number that its
        transformation never reaches; a name that no population can have; a gate of another kind.
    InteropError
        FlowCytometryTools cannot be loaded.
    """
    steps: list[PopulationGate] = []
    _bring(gate, transformations or {}, steps)
    return tuple(steps)


def gate_to_flowcytometrytools(
    steps: Sequence[PopulationGate],
    transformations: Mapping[str, Transformation] | None = None,
) -> theirs.Gate | theirs.CompositeGate:
    """Hand the last of some gates to FlowCytometryTools.

    Parameters
    ----------
    steps
        The gate last, before it the populations that it is composed of. Parents are not looked at:
        join them by ``and``, or gate one after the other.
    transformations
        By channel: the ``Transformation`` of the data that it will be applied to.
        ``Transformation(scale.forward)`` is one for a scale of this package. Channels left out are
        linear.

    Raises
    ------
    GateError
        An ellipsoid; a polygon whose edges are not straight in the data it will be applied to;
        a number where the transformation cannot be undone; an operand that is not among the steps.
    InteropError
        FlowCytometryTools cannot be loaded.
    """
    made: dict[str, theirs.Gate | theirs.CompositeGate] = {}
    for step in steps:
        made[step.population] = _hand_over(step, transformations or {}, made)
    return made[steps[-1].population]


def _bring(
    gate: theirs.Gate | theirs.CompositeGate,
    transformations: Mapping[str, Transformation],
    steps: list[PopulationGate],
) -> str:
    """Append the steps of a gate, and return the name of its population."""
    kinds = load().core.gates
    if isinstance(gate, kinds.CompositeGate):
        operands = [_bring(operand, transformations, steps) for operand in gate.gates]
        return _add_composite(gate, operands, steps)
    axes = [lay_axis(channel, transformations.get(channel)) for channel in gate.channels]
    dimensions = tuple(Dimension(axis.channel, axis.scale or Linear()) for axis in axes)
    match gate:
        case kinds.ThresholdGate():
            bound = axes[0].data_units(gate.vert)
            lower, upper = (bound, math.inf) if gate.region == "above" else (-math.inf, bound)
            return _add(steps, gate.name, RectangleGate(dimensions, (lower,), (upper,)))
        case kinds.QuadGate():
            dividers = tuple(axis.data_units(x) for axis, x in zip(axes, gate.vert, strict=True))
            quadrant = QuadrantGate(dimensions, dividers)
            return _add(steps, gate.name, quadrant, _SIGNS[gate.region])
        case kinds.IntervalGate():
            lower, upper = (axes[0].data_units(bound) for bound in gate.vert)
            inside: Gate = RectangleGate(dimensions, (lower,), (math.nextafter(upper, math.inf),))
        case kinds.PolyGate():
            inside = _bring_polygon(gate, axes)
        case _:
            raise GateError(
                f"a {type(gate).__name__} of FlowCytometryTools",
                expected="a threshold, interval, quadrant, polygon or composite",
            )
    if gate.region == "in":
        return _add(steps, gate.name, inside)
    return _add(steps, gate.name, BooleanGate("not", (_add(steps, f"inside {gate.name}", inside),)))


def _bring_polygon(gate: theirs.PolyGate, axes: Sequence[Axis]) -> PolygonGate:
    x, y = axes
    for axis in axes:
        if axis.scale is None:
            raise GateError(
                f"the edges of {gate.name!r} are straight only as {axis.channel} was transformed",
                expected="data that are linear or transformed by tlog, glog or a scale's forward",
                advice="Draw the polygon on such data.",
            )
    assert x.scale is not None and y.scale is not None
    dimensions = (Dimension(x.channel, x.scale), Dimension(y.channel, y.scale))
    return PolygonGate(
        dimensions,
        tuple((x.data_units(vertex[0]), y.data_units(vertex[1])) for vertex in gate.vert),
    )


def _add_composite(
    gate: theirs.CompositeGate, operands: list[str], steps: list[PopulationGate]
) -> str:
    if gate.how == "invert":
        return _add(steps, gate.name, BooleanGate("not", tuple(operands)))
    if gate.how != "xor" or len(operands) != 2:
        return _add(steps, gate.name, BooleanGate(gate.how, tuple(operands)))
    first, second = operands
    only = [
        _add(steps, f"{first} without {second}", BooleanGate("and", (first, f"!{second}"))),
        _add(steps, f"{second} without {first}", BooleanGate("and", (second, f"!{first}"))),
    ]
    return _add(steps, gate.name, BooleanGate("or", tuple(only)))


def _add(steps: list[PopulationGate], wanted: str, gate: Gate, quadrant: str = "") -> str:
    """Append a step under a name that no other has, and return the name."""
    if not wanted or wanted.startswith("!") or "/" in wanted:
        raise GateError(
            f"{wanted!r} cannot name a population",
            expected="a name without / and without ! at its beginning",
            advice="Give the gate another name.",
        )
    taken = {step.population for step in steps}
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    steps.append(PopulationGate(name, gate, quadrant))
    return name


def _hand_over(
    step: PopulationGate,
    transformations: Mapping[str, Transformation],
    made: Mapping[str, theirs.Gate | theirs.CompositeGate],
) -> theirs.Gate | theirs.CompositeGate:
    gate, name = step.gate, step.population
    if isinstance(gate, BooleanGate):
        return _combine(gate, made)
    if isinstance(gate, ClusterGate):
        raise InteropError(f"{name}: membership by label has no geometry")
    axes = [
        lay_axis(dimension.marker, transformations.get(dimension.marker))
        for dimension in gate.dimensions
    ]
    kinds = load().core.gates
    match gate:
        case RectangleGate():
            sides = [
                side
                for axis, low, high in zip(axes, gate.lower, gate.upper, strict=True)
                for side in _sides(axis, low, high, name)
            ]
            everything = kinds.ThresholdGate(-math.inf, axes[0].channel, "above", name)
            return reduce(and_, sides) if sides else everything
        case QuadrantGate():
            dividers = [axis.measured(x) for axis, x in zip(axes, gate.dividers, strict=True)]
            regions = {signs: region for region, signs in _SIGNS.items()}
            if step.quadrant not in regions or len(axes) != 2:
                raise GateError(
                    f"quadrant {step.quadrant!r} of {len(axes)} dimensions",
                    where=name,
                    expected="one of ++, +-, -+, -- of two dimensions",
                )
            channels = [axis.channel for axis in axes]
            return kinds.QuadGate(dividers, channels, regions[step.quadrant], name)
        case PolygonGate():
            for axis, dimension in zip(axes, gate.dimensions, strict=True):
                if axis.scale is None or not have_same_straight_lines(axis.scale, dimension.scale):
                    raise GateError(
                        f"its edges are straight on the {dimension.scale.kind} scale of "
                        f"{axis.channel}, not in the measurement's values",
                        where=name,
                        expected="data transformed by that scale's forward",
                        advice="Transform the measurement so, and give that Transformation.",
                    )
            x, y = axes
            corners = [(x.measured(vertex[0]), y.measured(vertex[1])) for vertex in gate.vertices]
            return kinds.PolyGate(corners, [x.channel, y.channel], "in", name)
        case _:
            raise GateError(
                "FlowCytometryTools has no ellipsoids",
                where=name,
                expected="a rectangle, polygon, quadrant or boolean gate",
            )


def _sides(axis: Axis, low: float, high: float, name: str) -> list[theirs.Gate]:
    """Return what bounds one dimension of a rectangle, upper bound excluded."""
    kinds = load().core.gates
    last = math.nextafter(high, -math.inf)
    with np.errstate(over="ignore"):
        is_interval = math.isfinite(low) and low < last and last == float(np.float32(last))
    # The bound of an interval that came from there: as a threshold it would be rounded to `last`.
    if is_interval:
        return [
            kinds.IntervalGate((axis.measured(low), axis.measured(last)), axis.channel, "in", name)
        ]
    sides = []
    if low > -math.inf:
        sides.append(kinds.ThresholdGate(axis.measured(low), axis.channel, "above", name))
    if high < math.inf:
        sides.append(kinds.ThresholdGate(axis.measured(high), axis.channel, "below", name))
    return sides


def _combine(
    gate: BooleanGate, made: Mapping[str, theirs.Gate | theirs.CompositeGate]
) -> theirs.CompositeGate:
    unknown = [name for name in gate.operands if name.removeprefix("!") not in made]
    if unknown:
        raise GateError(
            f"no step {', '.join(unknown)}",
            expected=f"one of {', '.join(made) or 'the steps before'}",
        )
    operands = [~made[name[1:]] if name.startswith("!") else made[name] for name in gate.operands]
    if gate.operation == "not":
        return ~operands[0]
    return reduce(and_ if gate.operation == "and" else or_, operands)
