"""Placement method of a diagonal: the ratio of two markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.gating.confidence import confidence_of
from cytoflow_car.gating.density import estimate_density, find_valleys
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.thresholds import (
    LEAST_DEPTH,
    prior_confidence,
    valley_agreement,
)
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import Dimension, Placement, PolygonGate
from cytoflow_car.model.scale import Log


@dataclass(frozen=True, slots=True)
class Ratio:
    """Events whose ratio of two markers lies above a cut: a diagonal on two logarithmic axes.

    Ratios are taken relative to the median ratio of a population of the same tube, so that the
    gain of neither detector matters. The cut is the valley nearest to the prior, or the prior.

    Attributes
    ----------
    numerator, denominator
        The two markers.
    relative_to
        Population gated earlier, whose median ratio counts as 1.
    prior, low, high
        Where the cut usually lies, and where it may lie, as relative ratios.
    """

    method: Literal["ratio"]
    numerator: str
    denominator: str
    relative_to: str
    prior: float
    low: float
    high: float
    #: Decades below the top of the scale that the logarithmic axes show.
    decades: ClassVar[float] = 4.0

    @property
    def markers(self) -> tuple[str, ...]:
        """Both markers."""
        return (self.denominator, self.numerator)

    def place(self, parent: Parent, references: References) -> Placement:
        """Find the valley of the ratio, or keep the prior and say why."""
        dimensions = tuple(
            Dimension(
                marker,
                Log(
                    parent.prepared.events.channels[parent.prepared.columns[marker]].range,
                    self.decades,
                ),
            )
            for marker in self.markers
        )
        usual_rows = references.rows[self.relative_to]
        if usual_rows.size < 50:
            raise GateError(
                f"only {usual_rows.size} events of {self.relative_to!r} to compare with",
                where=f"population beneath {parent.name}",
                expected="at least 50",
            )
        usual = float(np.median(self._log_ratio(parent, dimensions, usual_rows)))
        relative = self._log_ratio(parent, dimensions, parent.rows) - usual
        low, prior, high = np.log10([self.low, self.prior, self.high])
        at, reason = prior, "no valley"
        confidence = prior_confidence(relative / self.decades, prior / self.decades, "above")
        valleys = find_valleys(estimate_density(relative)) if relative.size >= 50 else []
        usable = [item for item in valleys if low <= item.at <= high and item.depth >= LEAST_DEPTH]
        if usable:
            best = min(usable, key=lambda item: abs(item.at - prior))
            expected = valley_agreement(relative, best, usable, prior, "above")
            at, confidence = best.at, confidence_of(expected)
            reason = f"valley, {best.depth:.0%} deep; expected agreement {expected:.3f}"
        gate = self._half_plane(dimensions, at + usual)
        return Placement(
            gate,
            self.method,
            confidence,
            f"{self.numerator}/{self.denominator} above {10**at:.3g} of {self.relative_to} "
            f"({reason}{'' if usable else '; prior kept'})",
            flags=() if usable else ("PRIOR_KEPT",),
        )

    def _log_ratio(self, parent: Parent, dimensions: tuple[Dimension, ...], rows: Rows) -> Values:
        x, y = (
            item.scale.forward(parent.prepared.values(item.marker, rows)) * self.decades
            for item in dimensions
        )
        return y - x

    def _half_plane(self, dimensions: tuple[Dimension, ...], log_ratio: float) -> PolygonGate:
        """Return what lies above the diagonal, as a polygon that holds every event there."""
        rise, right = log_ratio / self.decades, 1.5
        # Both axes end at the lowest decade, where everything below it sits: a line that comes
        # from beneath follows that edge first, or it would be bent.
        foot = [(0.0, rise)] if rise >= 0 else [(0.0, 0.0), (min(-rise, right), 0.0)]
        top = max(2.0, right + rise + 0.5)
        corners = [*foot, (right, max(right + rise, 0.0)), (right, top), (0.0, top)]
        x, y = (
            item.scale.inverse(np.asarray([corner[axis] for corner in corners]))
            for axis, item in enumerate(dimensions)
        )
        vertices = tuple((float(a), float(b)) for a, b in zip(x, y, strict=True))
        return PolygonGate((dimensions[0], dimensions[1]), vertices)
