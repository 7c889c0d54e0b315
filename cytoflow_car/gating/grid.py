"""Most events lie far from every edge of a polygon: a grid tells them without any transform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Dimension, PolygonGate
from cytoflow_car.model.scale import find_ends

Estimates = npt.NDArray[np.float32]

#: Cells along an axis; the first holds what lies outside the polygon's box, the last what is not a
#: finite number.
_N_CELLS = 256
_NOT_FINITE = _N_CELLS - 1
#: Far above the rounding of a transform, far below a cell; scale units.
_MARGIN = 1e-6
#: Smaller values, in data units, are not told from 0.
_LEAST = 2.0**-12


class Side(IntEnum):
    """What a grid can say of an event."""

    OUTSIDE = 0
    INSIDE = 1
    UNCLEAR = 2


@dataclass(frozen=True, slots=True, eq=False)
class PolygonGrid:
    """Cells of a polygon's box.

    Attributes
    ----------
    cells
        Of each axis, (65536,) uint8: cell by the upper half of a float32's bits.
    table
        (256, 256) uint8: `Side` by the cells of both axes.
    """

    cells: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    table: npt.NDArray[np.uint8]

    def sides(self, estimates: tuple[Estimates, Estimates]) -> npt.NDArray[np.uint8]:
        """Tell on which side of the polygon's edges events lie, (n_rows,) of `Side`."""
        place = np.zeros(estimates[0].size, dtype=np.uint16)
        for cells, values in zip(self.cells, estimates, strict=True):
            place = place * np.uint16(_N_CELLS) + cells.take(_upper_half(values))
        return self.table.ravel().take(place)


def lay_grid(gate: PolygonGate, slacks: tuple[float, float]) -> PolygonGrid:
    """Lay a grid over a polygon.

    Parameters
    ----------
    slacks
        By how much an estimate of each axis may be off, in data units.
    """
    from flowutils.gating import points_in_polygon

    corners = np.asarray(gate.vertices)
    cells, lows, highs = [], [], []
    for dimension, ends, slack in zip(gate.dimensions, corners.T, slacks, strict=True):
        of_axis, low, high = _divide(dimension, float(ends.min()), float(ends.max()), slack)
        cells.append(of_axis)
        lows.append(low)
        highs.append(high)
    scaled = np.column_stack(
        [
            dimension.scale.forward(ends)
            for dimension, ends in zip(gate.dimensions, corners.T, strict=True)
        ]
    )
    middles = [(low + high) / 2.0 for low, high in zip(lows, highs, strict=True)]
    points = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)
    inner = points_in_polygon(scaled, points.reshape(-1, 2)).reshape(points.shape[:2])
    inner = np.where(_touched(scaled, lows, highs), Side.UNCLEAR, inner)
    table = np.full((_N_CELLS, _N_CELLS), Side.OUTSIDE, dtype=np.uint8)
    table[_NOT_FINITE, :] = table[:, _NOT_FINITE] = Side.UNCLEAR
    table[1 : 1 + inner.shape[0], 1 : 1 + inner.shape[1]] = inner
    return PolygonGrid((cells[0], cells[1]), table)


def _divide(
    dimension: Dimension, lowest: float, highest: float, slack: float
) -> tuple[npt.NDArray[np.uint8], Values, Values]:
    """Divide an axis between two values.

    Returns
    -------
    cells
        (65536,) uint8, see `PolygonGrid`.
    low, high
        (n_cells,) scale units: from where to where the exact values of a cell's events may lie.
    """
    intervals = _intervals()
    scale = dimension.scale
    # What lies beyond the end of a scale sits on its edge, where a gate may reach.
    low_end, high_end = find_ends(scale)
    if lowest <= low_end + _MARGIN * abs(low_end):
        lowest = float(intervals.ends[0])
    if highest >= high_end - _MARGIN * abs(high_end):
        highest = float(intervals.ends[-1])
    box = np.asarray([lowest, highest])
    box += np.asarray([-1.0, 1.0]) * _around(box, slack)
    first, last = np.searchsorted(intervals.ends, box)
    first = max(int(first) - 1, 0)
    ends = intervals.ends[first : last + 1]
    scaled = scale.forward(ends)
    # A polygon below the lowest decade of a logarithmic scale has no width.
    width = max(float(scaled[-1] - scaled[0]), _MARGIN)
    steps = ((scaled[:-1] - scaled[0]) / width * (_N_CELLS - 3)).astype(np.intp)
    _, begins, numbers = np.unique(steps, return_index=True, return_inverse=True)
    of_interval = np.zeros(intervals.ends.size, dtype=np.uint8)
    of_interval[first : first + numbers.size] = 1 + numbers
    of_interval[-1] = _NOT_FINITE
    borders = ends[np.append(begins, ends.size - 1)]
    return (
        of_interval[intervals.numbers],
        scale.forward(borders[:-1] - _around(borders[:-1], slack)),
        scale.forward(borders[1:] + _around(borders[1:], slack)),
    )


def _around(values: Values, slack: float) -> Values:
    """Return by how much an exact value may differ from its estimate, rounded to float32."""
    return np.asarray(slack + float(np.finfo(np.float32).eps) * np.abs(values))


def _touched(corners: Values, lows: list[Values], highs: list[Values]) -> npt.NDArray[np.bool_]:
    """Tell which cells an edge of the polygon touches, (n_cells, n_cells)."""
    touched = np.zeros((lows[0].size, lows[1].size), dtype=bool)
    left, right = lows[0] - _MARGIN, highs[0] + _MARGIN
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = sorted((tuple(start), tuple(end)))
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
        enters = y0 + slope * (np.clip(left, x0, x1) - x0)
        leaves = y0 + slope * (np.clip(right, x0, x1) - x0) if x1 > x0 else np.full_like(left, y1)
        below = np.minimum(enters, leaves) - _MARGIN
        above = np.maximum(enters, leaves) + _MARGIN
        crossed = (right >= x0) & (left <= x1)
        touched |= crossed[:, None] & (below[:, None] <= highs[1]) & (above[:, None] >= lows[1])
    return touched


def _upper_half(values: Estimates) -> npt.NDArray[np.uint32]:
    """Return sign, exponent and the first seven bits of the fraction."""
    return values.view(np.uint32) >> np.uint32(16)


@dataclass(frozen=True, slots=True, eq=False)
class _Intervals:
    """Intervals of float32 values that share the upper half of their bits.

    Attributes
    ----------
    numbers
        (65536,) number of the interval by upper half; the last number is of what is not finite.
    ends
        (n_intervals + 1,) ascending: interval i lies from end i to end i + 1.
    """

    numbers: npt.NDArray[np.intp]
    ends: Values


@cache
def _intervals() -> _Intervals:
    halves = np.arange(2**16, dtype=np.uint32)
    values = (halves << np.uint32(16)).view(np.float32)
    # Most floats lie around 0 so closely that no polygon tells them apart: they share an interval.
    positive = halves[(values >= _LEAST) & np.isfinite(values)]
    ends = np.append(values[positive].astype(np.float64), float(np.finfo(np.float32).max))
    n_positive = positive.size
    numbers = np.full(2**16, n_positive, dtype=np.intp)
    numbers[positive] = n_positive + 1 + np.arange(n_positive)
    numbers[positive | np.uint32(0x8000)] = n_positive - 1 - np.arange(n_positive)
    numbers[~np.isfinite(values)] = 2 * n_positive + 1
    return _Intervals(numbers, np.concatenate([-ends[::-1], ends]))
