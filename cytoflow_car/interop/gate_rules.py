"""A template's rules from the gates that a person drew in another program."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from cytoflow_car.gating.placing import Keep
from cytoflow_car.gating.registered import Drawn
from cytoflow_car.gating.shapes import Boolean, FixedEllipsoid, FixedPolygon, Quadrant, Rectangle
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.interop.gate_set import (
    GateColumn,
    GateSet,
    NamedGate,
    Path,
    name_populations,
    split_path,
)
from cytoflow_car.model.events import Channel
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.panel import Marker
from cytoflow_car.model.population import ROOT
from cytoflow_car.model.scale import Linear, Scale

Operation = Literal["and", "or", "not"]

#: Points that stand for an edge where a polygon was drawn on another scale than its marker has.
_POINTS_OF_EDGE = 16


@dataclass(frozen=True, slots=True)
class DrawnRules:
    """What the hand-drawn gates of one or several files say.

    Attributes
    ----------
    markers
        By column of the gate sets.
    rules
        Parents before children, each with the geometry of the first file that has it.
    drawn
        For each file, by first population of a rule: its geometry. Boolean gates are left out.
    names
        The template's name of each hand-gated population.
    notes
        What could not be taken over, in words.
    """

    markers: Mapping[str, Marker]
    rules: tuple[PopulationRule, ...]
    drawn: tuple[Mapping[str, Drawn], ...]
    names: Mapping[Path, str]
    notes: tuple[str, ...]


def name_markers(columns: Iterable[GateColumn], channels: Sequence[Channel]) -> dict[str, Marker]:
    """Name a marker for each column, after the stain where the file tells one.

    Returns
    -------
    By the column's name. Ratios have none.
    """
    by_detector = {channel.detector: channel for channel in channels}
    named: dict[str, Marker] = {}
    taken: dict[str, str] = {}
    for column in columns:
        if column.divided_by or column.detector not in by_detector:
            continue
        stain = by_detector[column.detector].marker or ""
        if "".join(stain.split()) == "".join(column.detector.split()):
            stain = ""
        name = next(
            name
            for name in (*stain.split()[:1], stain, column.detector)
            if name and taken.get(name, column.detector) == column.detector
        )
        taken[name] = column.detector
        named[column.name] = Marker(name, (stain,) if stain else (), (column.detector,))
    return named


def choose_scales(gate_sets: Iterable[GateSet], markers: Mapping[str, Marker]) -> dict[str, Scale]:
    """Return the scale of each marker on which most polygons and ellipsoids were drawn.

    Boxes and dividers are the same on any scale; they only count where nothing else does.
    """
    votes: dict[str, Counter[Scale]] = {}
    for gate_set in gate_sets:
        for item in gate_set.gates:
            if isinstance(item.gate, BooleanGate):
                continue
            drawn = isinstance(item.gate, PolygonGate | EllipsoidGate)
            for dimension in item.gate.dimensions:
                if dimension.marker in markers:
                    name = markers[dimension.marker].name
                    votes.setdefault(name, Counter())[dimension.scale] += 1000 if drawn else 1
    return {name: counter.most_common(1)[0][0] for name, counter in votes.items()}


def draw_rules(
    gate_sets: Sequence[GateSet], markers: Mapping[str, Marker], scales: Mapping[str, Scale]
) -> DrawnRules:
    """Bring the gates of one or several files into a template's rules.

    Parameters
    ----------
    gate_sets
        One a file. The first that has a population says where it stands in the tree.
    markers
        By column, from `name_markers`.
    scales
        Of each marker, by its name; a polygon that was drawn on another gets more vertices.
    """
    first: dict[Path, NamedGate] = {}
    for gate_set in gate_sets:
        for item in gate_set.gates:
            first.setdefault(item.path, item)
    names = name_populations(first)
    rules: list[PopulationRule] = []
    notes = [note for gate_set in gate_sets for note in gate_set.notes]
    ratios = {each.name for item in gate_sets for each in item.columns if each.divided_by}
    left_out = _left_out(first.values(), markers, ratios)
    notes.extend(f"{'/'.join(path)}: {why}" for path, why in left_out.items())
    done: dict[tuple[Path, QuadrantGate], int] = {}
    for path, item in first.items():
        if path in left_out:
            continue
        if _bends(item.gate, markers, scales):
            notes.append(f"{'/'.join(path)}: drawn on another scale than its markers have")
        parent = names[item.parent] if item.parent else ROOT
        if isinstance(item.gate, QuadrantGate) and item.pattern and not item.complement:
            key = (item.parent, item.gate)
            if key in done:
                rule = rules[done[key]]
                quadrants = {**(rule.quadrants or {}), names[path]: item.pattern}
                rules[done[key]] = replace(rule, quadrants=quadrants)
            else:
                done[key] = len(rules)
                gate = _drawn(item, markers, scales)
                rules.append(PopulationRule(parent, gate, quadrants={names[path]: item.pattern}))
        elif isinstance(item.gate, BooleanGate):
            rules.extend(_combined(item, names, parent))
        elif item.complement:
            inner = f"{names[path]} (inside)"
            rules.append(PopulationRule(parent, _drawn(item, markers, scales), inner))
            rules.append(PopulationRule(parent, Boolean("boolean", "not", (inner,)), names[path]))
        else:
            rules.append(PopulationRule(parent, _drawn(item, markers, scales), names[path]))
    drawn = tuple(_drawn_by_rule(gate_set, rules, names, markers, scales) for gate_set in gate_sets)
    return DrawnRules(markers, _operands_first(rules), drawn, names, tuple(dict.fromkeys(notes)))


def _operands_first(rules: list[PopulationRule]) -> tuple[PopulationRule, ...]:
    """Sort rules so that what a rule stands on or combines comes before it."""
    known, waiting, ordered = {ROOT}, list(rules), []
    while waiting:
        ready = [rule for rule in waiting if _needs(rule) <= known]
        # A circle of combinations is refused where the template is read.
        for rule in ready or waiting:
            ordered.append(rule)
            known.update(rule.names)
        waiting = [rule for rule in waiting if rule not in ordered]
    return tuple(ordered)


def _needs(rule: PopulationRule) -> set[str]:
    used = rule.gate.populations if isinstance(rule.gate, Boolean) else ()
    return {rule.parent, *(name.removeprefix("!") for name in used)}


def _left_out(
    items: Iterable[NamedGate], markers: Mapping[str, Marker], ratios: Set[str]
) -> dict[Path, str]:
    """Return why gates have no place in a template, by path, in the order of the gates."""
    items = list(items)
    found: dict[Path, str] = {}
    n_known = -1
    # What a gate combines may come after it.
    while len(found) > n_known:
        n_known = len(found)
        for item in items:
            why = _why_not(item, markers, ratios, found.keys())
            if why:
                found.setdefault(item.path, why)
    return {item.path: found[item.path] for item in items if item.path in found}


def _why_not(
    item: NamedGate, markers: Mapping[str, Marker], ratios: Set[str], left_out: Set[Path]
) -> str:
    """Return why a gate has no place in a template; empty where it has."""
    if item.parent in left_out:
        return "its parent could not be taken over"
    if isinstance(item.gate, BooleanGate):
        operands = {split_path(name.removeprefix("!")) for name in item.gate.operands}
        return "it combines what could not be taken over" if operands & left_out else ""
    unknown = [each.marker for each in item.gate.dimensions if each.marker not in markers]
    if any(name in ratios for name in unknown):
        return f"{', '.join(unknown)} is a ratio, which no template has"
    if unknown:
        return f"{', '.join(unknown)} is compensated as most gates are not, or no channel"
    used = [markers[each.marker].name for each in item.gate.dimensions]
    return "two of its axes are one marker" if len(set(used)) < len(used) else ""


def _bends(gate: Gate, markers: Mapping[str, Marker], scales: Mapping[str, Scale]) -> bool:
    """Tell whether a gate's edges are others on the scales of its markers."""
    return isinstance(gate, PolygonGate | EllipsoidGate) and not all(
        _alike(each.scale, scales[markers[each.marker].name]) for each in gate.dimensions
    )


def _drawn_by_rule(
    gate_set: GateSet,
    rules: list[PopulationRule],
    names: Mapping[Path, str],
    markers: Mapping[str, Marker],
    scales: Mapping[str, Scale],
) -> dict[str, Drawn]:
    heads = {name: rule.names[0] for rule in rules for name in rule.names}
    found: dict[str, Drawn] = {}
    for item in gate_set.gates:
        name = names[item.path] + (" (inside)" if item.complement else "")
        if name in heads and not isinstance(item.gate, BooleanGate):
            found.setdefault(heads[name], _drawn(item, markers, scales))
    return found


def _combined(item: NamedGate, names: Mapping[Path, str], parent: str) -> Iterable[PopulationRule]:
    gate = item.gate
    assert isinstance(gate, BooleanGate)
    used = tuple(
        ("!" if name.startswith("!") else "") + names[split_path(name.removeprefix("!"))]
        for name in gate.operands
    )
    name = names[item.path]
    operation = gate.operation
    if operation == "not" and used[0].startswith("!"):
        # Not of a complement is the population itself, which only 'and' can say.
        operation, used = "and", (used[0][1:], used[0][1:])
    if not item.complement:
        yield PopulationRule(parent, Boolean("boolean", cast(Operation, operation), used), name)
        return
    inner = f"{name} (inside)"
    yield PopulationRule(parent, Boolean("boolean", cast(Operation, operation), used), inner)
    yield PopulationRule(parent, Boolean("boolean", "not", (inner,)), name)


def _drawn(item: NamedGate, markers: Mapping[str, Marker], scales: Mapping[str, Scale]) -> Drawn:
    gate = item.gate
    match gate:
        case QuadrantGate() if item.pattern and len(gate.dimensions) == 2:
            x, y = (
                Fixed("fixed", markers[each.marker].name, "above", at)
                for each, at in zip(gate.dimensions, gate.dividers, strict=True)
            )
            return Quadrant("quadrant", x, y)
        case QuadrantGate():
            return _box(
                markers,
                gate.dimensions,
                tuple(
                    at if sign == "+" else -math.inf
                    for at, sign in zip(gate.dividers, item.pattern, strict=True)
                ),
                tuple(
                    at if sign == "-" else math.inf
                    for at, sign in zip(gate.dividers, item.pattern, strict=True)
                ),
            )
        case RectangleGate():
            return _box(markers, gate.dimensions, gate.lower, gate.upper)
        case PolygonGate():
            x_name, y_name = (markers[each.marker].name for each in gate.dimensions)
            vertices = _redrawn(gate, (scales[x_name], scales[y_name]))
            return FixedPolygon("polygon", x_name, y_name, vertices)
        case EllipsoidGate():
            axes = tuple(markers[each.marker].name for each in gate.dimensions)
            return FixedEllipsoid("ellipsoid", axes, gate.center, gate.axis_ends)
        case BooleanGate():
            raise TypeError("a boolean gate is not drawn")


def _box(
    markers: Mapping[str, Marker],
    dimensions: tuple[Dimension, ...],
    lower: tuple[float, ...],
    upper: tuple[float, ...],
) -> Fixed | Rectangle:
    ends: tuple[tuple[Keep, tuple[float, ...]], ...] = (("above", lower), ("below", upper))
    sides = tuple(
        Fixed("fixed", markers[each.marker].name, keep, bounds[axis])
        for axis, each in enumerate(dimensions)
        for keep, bounds in ends
        if math.isfinite(bounds[axis])
    )
    # A box that is open on every side holds whatever is a number.
    everything = Fixed(
        "fixed", markers[dimensions[0].marker].name, "above", -float(np.finfo(np.float32).max)
    )
    return sides[0] if len(sides) == 1 else Rectangle("rectangle", sides or (everything,))


def _redrawn(gate: PolygonGate, scales: tuple[Scale, Scale]) -> tuple[tuple[float, float], ...]:
    """Return the vertices in data units, with more of them where edges would bend."""
    drawn_on = tuple(each.scale for each in gate.dimensions)
    if all(_alike(one, other) for one, other in zip(drawn_on, scales, strict=True)):
        return gate.vertices
    corners = np.asarray(gate.vertices)
    scaled = np.column_stack([scale.forward(corners[:, i]) for i, scale in enumerate(drawn_on)])
    parts = np.linspace(0.0, 1.0, _POINTS_OF_EDGE, endpoint=False)[:, None]
    edges = [a + parts * (b - a) for a, b in zip(scaled, np.roll(scaled, -1, axis=0), strict=True)]
    points = np.concatenate(edges)
    x, y = (scale.inverse(points[:, i]).tolist() for i, scale in enumerate(drawn_on))
    return tuple(zip(x, y, strict=True))


def _alike(one: Scale, other: Scale) -> bool:
    """Tell whether a line is straight on both scales."""
    return one == other or (isinstance(one, Linear) and isinstance(other, Linear))
