"""Which events lie in a placed gate.

Only the gate's own dimensions are looked at, and only for the rows that are asked for. Bounds of
rectangles and quadrants are compared in data units: a scale is monotone, so it cannot change them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytoflow_car.gating.grid import Side, lay_grid
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import (
    Dimension,
    EllipsoidGate,
    GeometricGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import find_ends

Mask = npt.NDArray[np.bool_]

#: For fewer events, computing exactly costs nothing to speak of.
_WORTH_ESTIMATING = 20_000


def members(gate: GeometricGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    """Tell which of `rows` lie in `gate`; not for quadrants.

    Returns
    -------
    (n_rows,) bool. An event with NaN on a dimension lies in no gate.
    """
    match gate:
        case RectangleGate():
            return _in_rectangle(gate, prepared, rows)
        case PolygonGate():
            return _in_polygon(gate, prepared, rows)
        case EllipsoidGate():
            return _in_ellipsoid(gate, prepared, rows)
        case QuadrantGate():
            raise TypeError("a quadrant gate has no inside; use quadrant_signs")


def quadrant_signs(gate: QuadrantGate, prepared: PreparedEvents, rows: Rows) -> dict[str, Mask]:
    """Tell who lies in each quadrant (``"+-"``: above the first divider, below the second).

    Returns
    -------
    2 ** n_dimensions masks of shape (n_rows,).
    """
    patterns: dict[str, Mask] = {"": np.ones(rows.size, dtype=bool)}
    for dimension, divider in zip(gate.dimensions, gate.dividers, strict=True):
        values = prepared.values(dimension.marker, rows)
        above, below = values >= divider, values < divider
        patterns = {
            pattern + sign: mask & side
            for pattern, mask in patterns.items()
            for sign, side in (("+", above), ("-", below))
        }
    return patterns


def _in_rectangle(gate: RectangleGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)
    inside = _within(*next(sides), prepared, rows)
    for side in sides:
        # The other sides are looked up for those events only that lie within the sides before.
        left = np.flatnonzero(inside)
        inside[left] = _within(*side, prepared, rows[left])
    return inside


def _within(
    dimension: Dimension, low: float, high: float, prepared: PreparedEvents, rows: Rows
) -> Mask:
    """Tell whose value is at least `low` and below `high`."""
    if not is_large_share(rows, prepared):
        return _exactly_within(dimension, low, high, prepared, rows)
    (estimate,) = prepared.estimate([dimension.marker])
    estimates = estimate.values.take(rows)
    inside = np.ones(rows.size, dtype=bool)
    clear = ~np.isnan(estimates)
    # A bound beyond float32 leaves nothing clear.
    with np.errstate(over="ignore", invalid="ignore"):
        for bound in (low, high):
            if np.isfinite(bound):
                # Estimate and bound are rounded to float32 before they are compared.
                around = estimate.slack + 4.0 * float(np.finfo(np.float32).eps) * abs(bound)
                above = estimates > bound + around
                clear &= above | (estimates < bound - around)
                inside &= above if bound == low else ~above
    unclear = np.flatnonzero(~clear)
    inside[unclear] = _exactly_within(dimension, low, high, prepared, rows[unclear])
    return inside


def _exactly_within(
    dimension: Dimension, low: float, high: float, prepared: PreparedEvents, rows: Rows
) -> Mask:
    values = prepared.values(dimension.marker, rows)
    # An open bound lets infinity in, but not NaN.
    return (values >= low) & (values < high if high < np.inf else True)


def is_large_share(rows: Rows, prepared: PreparedEvents) -> bool:
    """Tell whether estimating all events is cheaper than fetching these singly."""
    return rows.size >= _WORTH_ESTIMATING and 8 * rows.size > len(prepared)


def _in_polygon(gate: PolygonGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    if not is_large_share(rows, prepared):
        return _exactly_in_polygon(gate, prepared, rows)
    x, y = prepared.estimate([dimension.marker for dimension in gate.dimensions])
    grid = lay_grid(gate, (x.slack, y.slack))
    sides = grid.sides((x.values.take(rows), y.values.take(rows)))
    inside: Mask = sides == Side.INSIDE
    unclear = np.flatnonzero(sides == Side.UNCLEAR)
    inside[unclear] = _exactly_in_polygon(gate, prepared, rows[unclear])
    return inside


def _exactly_in_polygon(gate: PolygonGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    from flowutils.gating import points_in_polygon

    # Transforming is most of a polygon's cost, so only events within its bounding box are brought
    # to the scale; edges are straight there, hence the box is that of the vertices.
    inside = np.ones(rows.size, dtype=bool)
    columns = [prepared.values(dimension.marker, rows) for dimension in gate.dimensions]
    corners = np.asarray(gate.vertices)
    for dimension, values, ends in zip(gate.dimensions, columns, corners.T, strict=True):
        slack = 1e-9 * max(1.0, float(np.abs(ends).max()))
        # What lies beyond the end of a scale sits on its edge, where a gate may reach.
        lowest, highest = find_ends(dimension.scale)
        if ends.max() < highest - slack:
            inside &= values <= ends.max() + slack
        if ends.min() > lowest + slack:
            inside &= values >= ends.min() - slack
    candidates = np.flatnonzero(inside)
    if candidates.size:
        points = np.column_stack(
            [
                dimension.scale.forward(values[candidates])
                for dimension, values in zip(gate.dimensions, columns, strict=True)
            ]
        )
        vertices = _scaled_points(gate.dimensions, corners)
        inside[candidates] = points_in_polygon(vertices, points)
    return inside


def _in_ellipsoid(gate: EllipsoidGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    center = _scaled_points(gate.dimensions, np.asarray([gate.center]))[0]
    half_axes = _scaled_points(gate.dimensions, np.asarray(gate.axis_ends)) - center
    points = np.column_stack(
        [
            dimension.scale.forward(prepared.values(dimension.marker, rows))
            for dimension in gate.dimensions
        ]
    )
    # In the ellipsoid's own axes its surface is the unit sphere.
    own = np.linalg.solve(half_axes.T, (points - center).T)
    with np.errstate(invalid="ignore"):
        return np.asarray((own**2).sum(axis=0) <= 1.0)


def _scaled_points(dimensions: tuple[Dimension, ...], points: Values) -> Values:
    """Bring (n_points, n_dimensions) from data units to the scale of each dimension."""
    return np.column_stack(
        [dimension.scale.forward(points[:, index]) for index, dimension in enumerate(dimensions)]
    )
