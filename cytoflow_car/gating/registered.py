"""Placement by registration: a hand-drawn gate is moved to where this specimen's events lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from cytoflow_car.gating.alignment import Alignment, align
from cytoflow_car.gating.confidence import Mask, confidence_of, steadiness
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.gating.moving import AxisMove, move_gate
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.shapes import FixedEllipsoid, FixedPolygon, Quadrant, Rectangle
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.training import describe_scale
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import BooleanGate, ClusterGate, GeometricGate, Placement, QuadrantGate

Drawn = Fixed | Rectangle | Quadrant | FixedPolygon | FixedEllipsoid

#: With fewer events nothing is moved.
LEAST_EVENTS = 50
#: More events, evenly spaced, move no gate any further.
_ALIGNED_EVENTS = 4_000
_STEADY_EVENTS = 5_000
#: Populations move less alike than the regression of their places takes them to. With three times
#: its uncertainty, about 5 of 8 placements whose F1 with an expert's labels is below 0.9 are
#: doubted, and 1 of 12 of the others (docs/explanation/gating.md).
_LESS_SURE = 3.0


@dataclass(frozen=True, slots=True)
class Registered:
    """A drawn gate, moved along each axis so that this specimen's events fit those of training.

    Attributes
    ----------
    population
        Under which name the template's training densities are kept: the gate's first population.
    drawn
        The gate as it was drawn, by a method whose geometry is fixed: one for all hand-gated files,
        or one for each in their order.
    agreement
        Mean F1 that registration reached in learning, times that of the drawn gate with what it
        stands for where it was drawn from labels.
    most_shift
        Farthest that an axis is moved, in scale units.
    most_stretch
        Farthest that an axis is stretched or squeezed, as a share of 1.
    """

    method: Literal["registered"]
    population: str
    drawn: tuple[Drawn, ...]
    agreement: float = 1.0
    most_shift: float = 0.12
    most_stretch: float = 0.2

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers of the drawn gate."""
        return tuple(dict.fromkeys(self.drawn[0].markers))

    def place(self, parent: Parent, references: References) -> Placement:
        """Move the gate of the hand-gated file that this specimen is most like.

        The drawn gate stays, and says so, where there are too few events or nothing to compare
        them with.
        """
        training = references.training.get(self.population, ())
        first = _geometry(self.drawn[0], parent, references)
        scales = tuple(describe_scale(parent.prepared.scales[name]) for name in self.markers)
        if not training:
            return self._keep(first, "no training densities")
        if any(item.markers != self.markers or item.scales != scales for item in training):
            return self._keep(first, f"training was on other scales than {', '.join(scales)}")
        points = self._points(parent)
        if len(points) < LEAST_EVENTS:
            return self._keep(first, f"only {len(points)} events")
        found = [
            align(item, points, most_shift=self.most_shift, most_stretch=self.most_stretch)
            for item in training
        ]
        best = int(np.argmax([item.likelihood for item in found]))
        alignment, density = found[best], training[best]
        drawn = self.drawn[density.file - 1] if len(self.drawn) > 1 else self.drawn[0]
        gate = move_gate(
            _geometry(drawn, parent, references),
            dict(zip(self.markers, alignment.moves, strict=True)),
        )
        steady = self.agreement * self._steadiness(gate, parent, alignment)
        moves = ", ".join(
            f"{name} {move.shift:+.3f} × {move.stretch:.3f}"
            for name, move in zip(self.markers, alignment.moves, strict=True)
        )
        return Placement(
            gate,
            self.method,
            confidence_of(min(steady, alignment.goodness)),
            f"drawn gate of file {density.file} moved by {moves} (scale units); expected "
            f"agreement {steady:.3f}, goodness of fit {alignment.goodness:.3f}",
        )

    def _keep(self, gate: GeometricGate, why: str) -> Placement:
        return Placement(gate, self.method, 0.0, f"{why}; drawn gate kept", flags=("PRIOR_KEPT",))

    def _points(self, parent: Parent) -> Values:
        """Return parent events on the gate's scales, (n_events, n_markers)."""
        rows = parent.rows[:: max(1, parent.rows.size // _ALIGNED_EVENTS)]
        points = np.column_stack(
            [
                parent.prepared.scales[name].forward(parent.prepared.values(name, rows))
                for name in self.markers
            ]
        )
        return points[np.isfinite(points).all(axis=1)]

    def _steadiness(self, gate: GeometricGate, parent: Parent, alignment: Alignment) -> float:
        """Return the agreement of the gate with itself when each axis is off by its uncertainty."""
        rows = parent.rows[:: max(1, parent.rows.size // _STEADY_EVENTS)]
        placed = _sides(gate, parent, rows)
        off = [
            dict(zip(self.markers, map(AxisMove, shifts), strict=True))
            for shifts in product(
                *((-_LESS_SURE * item, _LESS_SURE * item) for item in alignment.uncertainty)
            )
        ]
        moved = [_sides(move_gate(gate, moves), parent, rows) for moves in off]
        return min(
            steadiness(side, (other[name] for other in moved)) for name, side in placed.items()
        )


def _geometry(drawn: Drawn, parent: Parent, references: References) -> GeometricGate:
    gate = drawn.place(parent, references).gate
    if isinstance(gate, BooleanGate | ClusterGate):
        raise TypeError("a boolean gate has no place of its own")
    return gate


def _sides(gate: GeometricGate, parent: Parent, rows: Rows) -> dict[str, Mask]:
    if isinstance(gate, QuadrantGate):
        return quadrant_signs(gate, parent.prepared, rows)
    return {"": members(gate, parent.prepared, rows)}
