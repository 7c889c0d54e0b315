"""Polygons and ellipsoids of ours, put together from the shapes that Gating-ML has.

Two scales of ours put values beyond an end onto that end: a logarithm below its lowest decade, and
FlowJo's "biex" outside its table. Gating-ML's scales have no end, and it has no "biex". What lies
at an end is therefore written as boxes in data units, and "biex" as lines on a linear scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np

from cytoflow_car.errors import InteropError
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Dimension, EllipsoidGate, PolygonGate, RectangleGate
from cytoflow_car.model.scale import Asinh, Biexponential, Linear, Log, Scale

#: Corners of an ellipse on "biex": it lies within 3e-7 of its own size of the true one.
_CORNERS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Polygon; `vertices` are (n, 2) positions as Gating-ML's own scales compute them."""

    dimensions: tuple[Dimension, Dimension]
    vertices: Values


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """Ellipsoid of Mahalanobis distance 1, in positions on the scales."""

    dimensions: tuple[Dimension, ...]
    center: Values
    covariance: Values


Shape = RectangleGate | Outline | Ellipsoid


@dataclass(frozen=True, slots=True)
class _End:
    """Values of at least `low` and below `high` sit at one position of a scale."""

    position: float
    low: float
    high: float


def in_standard_shapes(gate: PolygonGate | EllipsoidGate) -> tuple[tuple[Shape, ...], ...]:
    """Return what holds the same events: those in all shapes of any one of the tuples.

    Raises
    ------
    InteropError
        An ellipsoid of more than two dimensions, "biex" among them.
    """
    if isinstance(gate, EllipsoidGate):
        return tuple(_ellipsoid_shapes(gate))
    corners = np.asarray(gate.vertices)
    on_scale = np.column_stack(
        [
            np.clip(corners[:, axis], *_range(item.scale))
            for axis, item in enumerate(gate.dimensions)
        ]
    )
    outline = _outline(gate.dimensions, _scaled(gate.dimensions, corners), on_scale)
    return ((outline,), *((box,) for box in _boxes_at_lower_ends(gate)))


def asinh_decades(scale: Asinh) -> float:
    """Return M of Gating-ML's fasinh for a cofactor."""
    return math.asinh(scale.top / scale.cofactor) / math.log(10.0)


def _positions(scale: Scale, values: Values) -> Values:
    """Return positions as Gating-ML's formulas round them, so that edges stay on whole numbers."""
    from flowutils import transforms

    match scale:
        case Log(top, decades):
            return np.asarray(transforms.log(values, None, t=top, m=decades))
        case Asinh(top):
            return np.asarray(transforms.asinh(values, None, t=top, m=asinh_decades(scale), a=0.0))
        case _:
            return scale.forward(values)


def _ends(scale: Scale) -> tuple[_End, ...]:
    match scale:
        case Log():
            return (_End(_forward(scale, scale.lowest), -math.inf, scale.lowest),)
        case Biexponential():
            low, high = _range(scale)
            return _End(0.0, -math.inf, low), _End(1.0, high, math.inf)
        case _:
            return ()


def _range(scale: Scale) -> tuple[float, float]:
    """Return the data units between a scale's ends."""
    match scale:
        case Log():
            return scale.lowest, math.inf
        case Biexponential():
            return float(scale.entries[0]), float(scale.entries[-1])
        case _:
            return -math.inf, math.inf


def _forward(scale: Scale, value: float) -> float:
    return float(scale.forward(np.asarray([value]))[0])


def _inverse(scale: Scale, positions: Values) -> Values:
    if not isinstance(scale, Biexponential):
        return scale.inverse(positions)
    # Lines of an ellipse go on beyond the table; what lies there is told by boxes.
    entries = scale.entries
    last = entries.size - 1
    steps = positions * last
    below, above = np.minimum(steps, 0.0), np.maximum(steps - last, 0.0)
    return np.asarray(
        np.interp(steps, np.arange(entries.size), entries)
        + below * (entries[1] - entries[0])
        + above * (entries[-1] - entries[-2])
    )


def _scaled(dimensions: tuple[Dimension, ...], points: Values) -> Values:
    return np.column_stack(
        [item.scale.forward(points[:, axis]) for axis, item in enumerate(dimensions)]
    )


def _outline(dimensions: tuple[Dimension, Dimension], scaled: Values, corners: Values) -> Outline:
    """Return a polygon with its "biex" axes linear.

    Between two entries of its table that scale is straight in data units, so an edge is a line that
    bends where it passes an entry, on either axis.

    Parameters
    ----------
    scaled, corners
        (n, 2) the same corners in positions of our scales and in data units.
    """
    stretches = []
    for start, end, corner in zip(scaled, np.roll(scaled, -1, axis=0), corners, strict=True):
        parts = _bends(dimensions, start, end)
        stretch = np.column_stack(
            [
                # An edge along an axis stays on its number.
                np.full(parts.size, corner[axis])
                if start[axis] == end[axis]
                else _inverse(item.scale, start[axis] + parts * (end[axis] - start[axis]))
                for axis, item in enumerate(dimensions)
            ]
        )
        stretch[0] = corner
        stretches.append(stretch)
    path = np.concatenate(stretches)
    x, y = (
        replace(item, scale=Linear(item.scale.top))
        if isinstance(item.scale, Biexponential)
        else item
        for item in dimensions
    )
    positions = [_positions(item.scale, path[:, axis]) for axis, item in enumerate((x, y))]
    return Outline((x, y), np.column_stack(positions))


def _bends(dimensions: tuple[Dimension, Dimension], start: Values, end: Values) -> Values:
    """Return where an edge bends, as parts of its way; its beginning first."""
    parts = [np.zeros(1)]
    for axis, item in enumerate(dimensions):
        if isinstance(item.scale, Biexponential) and start[axis] != end[axis]:
            n_steps = item.scale.entries.size - 1
            low, high = sorted((start[axis], end[axis]))
            entries = np.arange(math.ceil(low * n_steps), math.floor(high * n_steps) + 1) / n_steps
            parts.append((entries - start[axis]) / (end[axis] - start[axis]))
    found = np.unique(np.concatenate(parts))
    return np.asarray(found[(found >= 0.0) & (found < 1.0)])


def _boxes_at_lower_ends(gate: PolygonGate) -> Iterator[RectangleGate]:
    """Yield boxes of what sits at a lower end of a scale, inside the polygon.

    At an upper end nothing is inside: the right and the upper edge of a polygon are not.
    """
    from flowutils.gating import points_in_polygon

    corners = np.asarray(gate.vertices)
    scaled = _scaled(gate.dimensions, corners)
    for axis in (0, 1):
        other = gate.dimensions[1 - axis].scale
        for end in _ends(gate.dimensions[axis].scale)[:1]:

            def holds(value: float, axis: int = axis, end: _End = end) -> bool:
                point = [end.position, end.position]
                point[1 - axis] = _forward(gate.dimensions[1 - axis].scale, value)
                return bool(points_in_polygon(scaled, np.asarray([point]))[0])

            for low, high in _stretches(
                holds, _marks(_crossings(scaled, axis, end), other, corners[:, 1 - axis])
            ):
                lower, upper = [end.low, end.low], [end.high, end.high]
                lower[1 - axis], upper[1 - axis] = low, high
                yield RectangleGate(gate.dimensions, tuple(lower), tuple(upper))


def _crossings(scaled: Values, axis: int, end: _End) -> list[float]:
    """Return where the outline meets an end of one axis, as positions of the other, ascending."""
    found: set[float] = set()
    for one, two in zip(scaled, np.roll(scaled, -1, axis=0), strict=True):
        if one[axis] == two[axis] == end.position:
            found.update((float(one[1 - axis]), float(two[1 - axis])))
        elif min(one[axis], two[axis]) <= end.position <= max(one[axis], two[axis]):
            part = (end.position - one[axis]) / (two[axis] - one[axis])
            found.add(float(one[1 - axis] + part * (two[1 - axis] - one[1 - axis])))
    return sorted(found)


def _marks(crossings: list[float], scale: Scale, corners: Values) -> list[float]:
    """Return data units before, between and after some positions, and those of corners.

    A corner may lie inside alone, when its neighbours on both sides do not.
    """
    if not crossings:
        return []
    middles = [(low + high) / 2.0 for low, high in pairwise(crossings)]
    around = [crossings[0] - 1.0, *middles, crossings[-1] + 1.0]
    marks = _inverse(scale, np.asarray(around))
    within = corners[(corners > marks[0]) & (corners < marks[-1])]
    return sorted({*marks.tolist(), *within.tolist()})


def _stretches(holds: Callable[[float], bool], marks: list[float]) -> Iterator[tuple[float, float]]:
    """Yield the stretches, lower end included, in which a condition holds.

    Between two marks it changes once at most.
    """
    begin = -math.inf if marks and holds(marks[0]) else None
    for low, high in pairwise(marks):
        if holds(low) == holds(high):
            continue
        bound = _change(holds, low, high)
        if begin is None:
            begin = bound
        else:
            yield begin, bound
            begin = None


def _change(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the number nearest to `low` at which a condition is as at `high`."""
    as_low = holds(low)
    while low != (middle := (low + high) / 2.0) != high:
        low, high = (middle, high) if holds(middle) == as_low else (low, middle)
    return high


def _ellipsoid_shapes(gate: EllipsoidGate) -> Iterator[tuple[Shape, ...]]:
    """Yield what lies between the ends of all scales, then what sits at one or several ends."""
    center = _scaled(gate.dimensions, np.asarray([gate.center]))[0]
    half_axes = _scaled(gate.dimensions, np.asarray(gate.axis_ends)) - center
    spread = half_axes.T @ half_axes
    precision = np.linalg.inv(spread)
    for at in product(*([None, *_ends(item.scale)] for item in gate.dimensions)):
        fixed = np.asarray([end is not None for end in at])
        free = ~fixed
        position = np.asarray([0.0 if end is None else end.position for end in at])
        sides = [
            _range(item.scale) if end is None else (end.low, end.high)
            for item, end in zip(gate.dimensions, at, strict=True)
        ]
        if not free.any():
            if _distance(half_axes, position - center) <= 1.0:
                yield (_box(gate.dimensions, sides),)
            continue
        # The slice of an ellipsoid is one of fewer dimensions.
        away = (position - center)[fixed]
        inner = np.linalg.inv(precision[np.ix_(free, free)]) if fixed.any() else spread
        middle = center[free] - inner @ precision[np.ix_(free, fixed)] @ away
        position[free] = middle
        left = 1.0 - _distance(half_axes, position - center)
        if left <= 0.0:
            continue
        reach = np.sqrt(np.diagonal(inner) * left)
        rest = tuple(item for item, is_free in zip(gate.dimensions, free, strict=True) if is_free)
        if len(rest) == 1:
            axis = int(np.flatnonzero(free)[0])

            def holds(value: float, axis: int = axis, point: Values = position.copy()) -> bool:  # noqa: B008
                point[axis] = _forward(gate.dimensions[axis].scale, value)
                return _distance(half_axes, point - center) <= 1.0

            marks = _inverse(rest[0].scale, middle + np.asarray([-1.0, 0.0, 1.0]) * (reach + 1e-3))
            low, high = sides[axis]
            marks = np.clip(marks, low, np.nextafter(high, low))
            sides[axis] = _held(holds, sorted(marks.tolist()), sides[axis])
            if sides[axis][0] < sides[axis][1]:
                yield (_box(gate.dimensions, sides),)
            continue
        shape: Shape = (
            _dense_outline(rest, middle, inner * left)
            if any(isinstance(item.scale, Biexponential) for item in rest)
            # Readers refuse a covariance that is not symmetric to the last digit.
            else Ellipsoid(rest, middle, (inner + inner.T) * (left / 2.0))
        )
        # A plain ellipsoid needs no box around it.
        plain = not fixed.any() and not any(
            value - far <= end.position <= value + far
            for item, value, far in zip(rest, middle, reach, strict=True)
            for end in _ends(item.scale)
        )
        yield (shape,) if plain else (shape, _box(gate.dimensions, sides))


def _distance(half_axes: Values, away: Values) -> float:
    """Return the square of how many half-axes a point is away from the center."""
    return float((np.linalg.solve(half_axes.T, away) ** 2).sum())


def _held(
    holds: Callable[[float], bool], marks: list[float], side: tuple[float, float]
) -> tuple[float, float]:
    """Return the one stretch within `side` in which a condition holds; (0, 0) where none."""
    low, middle, high = marks
    if not holds(middle):
        return 0.0, 0.0
    return (
        side[0] if holds(low) else _change(holds, low, middle),
        side[1] if holds(high) else _change(holds, middle, high),
    )


def _box(dimensions: tuple[Dimension, ...], sides: list[tuple[float, float]]) -> RectangleGate:
    closed = [
        (item, *side)
        for item, side in zip(dimensions, sides, strict=True)
        if side != (-math.inf, math.inf)
    ]
    names, lower, upper = zip(*closed, strict=True)
    return RectangleGate(names, lower, upper)


def _dense_outline(rest: tuple[Dimension, ...], center: Values, covariance: Values) -> Outline:
    """Return an ellipse as a polygon: on a linear scale, one of "biex" is none."""
    if len(rest) != 2:
        raise InteropError(
            f"an ellipsoid of {len(rest)} dimensions on FlowJo's biex scale",
            expected="at most two dimensions, or another scale",
        )
    angles = np.arange(_CORNERS) * (2.0 * math.pi / _CORNERS)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    scaled = center + (np.linalg.cholesky(covariance) @ circle).T
    corners = [_inverse(item.scale, scaled[:, axis]) for axis, item in enumerate(rest)]
    return _outline((rest[0], rest[1]), scaled, np.column_stack(corners))
