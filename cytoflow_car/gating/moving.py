"""Move a placed gate along its axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import (
    Dimension,
    EllipsoidGate,
    GeometricGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)


@dataclass(frozen=True, slots=True)
class AxisMove:
    """How one axis is moved, in scale units: ``pivot + stretch * (x - pivot) + shift``."""

    shift: float = 0.0
    stretch: float = 1.0
    pivot: float = 0.0

    def forward(self, scaled: Values) -> Values:
        """Return where positions on the scale come to lie."""
        return self.pivot + self.stretch * (scaled - self.pivot) + self.shift

    def then_shifted(self, shift: float) -> AxisMove:
        """Return the same move, and a further shift."""
        return replace(self, shift=self.shift + shift)


def move_gate(gate: GeometricGate, moves: Mapping[str, AxisMove]) -> GeometricGate:
    """Return a gate with every coordinate moved on its own scale.

    Parameters
    ----------
    moves
        By marker; an axis without one stays. An open bound stays open.
    """
    match gate:
        case RectangleGate():
            return replace(
                gate,
                lower=_moved(gate.dimensions, gate.lower, moves),
                upper=_moved(gate.dimensions, gate.upper, moves),
            )
        case PolygonGate():
            first, second = zip(*gate.vertices, strict=True)
            x = _moved_axis(gate.dimensions[0], np.asarray(first), moves)
            y = _moved_axis(gate.dimensions[1], np.asarray(second), moves)
            return replace(gate, vertices=tuple(zip(x.tolist(), y.tolist(), strict=True)))
        case EllipsoidGate():
            return replace(
                gate,
                center=_moved(gate.dimensions, gate.center, moves),
                axis_ends=tuple(_moved(gate.dimensions, end, moves) for end in gate.axis_ends),
            )
        case QuadrantGate():
            return replace(gate, dividers=_moved(gate.dimensions, gate.dividers, moves))


def _moved(
    dimensions: tuple[Dimension, ...], point: tuple[float, ...], moves: Mapping[str, AxisMove]
) -> tuple[float, ...]:
    return tuple(
        float(_moved_axis(dimension, np.asarray([value]), moves)[0])
        for dimension, value in zip(dimensions, point, strict=True)
    )


def _moved_axis(dimension: Dimension, values: Values, moves: Mapping[str, AxisMove]) -> Values:
    move = moves.get(dimension.marker)
    if move is None:
        return values
    moved = dimension.scale.inverse(move.forward(dimension.scale.forward(values)))
    return np.where(np.isfinite(values), moved, values)
