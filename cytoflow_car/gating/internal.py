"""Placement by an internal negative population: cells of the same tube that lack the marker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from cytoflow_car.gating.equal_error import equal_error_cut
from cytoflow_car.gating.placing import Keep, Parent, References, Threshold, place_threshold
from cytoflow_car.gating.thresholds import OneMarker, insensitivity, keep_prior
from cytoflow_car.model.gate import Background, Gate, Placement, RectangleGate


@dataclass(frozen=True, slots=True)
class InternalCut(OneMarker):
    """Cut at a quantile of a population of the same tube that lacks the marker.

    T cells serve so for a B-cell marker. Gain and stain are the same, so nothing needs aligning.
    Where positive events are many, the cut goes down to where as many of them lie below it as
    negative events above.

    Attributes
    ----------
    prior
        Where the cut lies when the negative population is too small, in data units.
    negative
        The population, gated earlier.
    quantile
        Share of its events below the cut.
    least_events
        With fewer negative events the quantile is lowered so that as many lie above it as would
        have, and the result is flagged; with fewer than a twentieth of them the prior stays.
    """

    method: Literal["internal"]
    marker: str
    prior: float
    negative: str
    quantile: float = 0.999
    least_events: int = 2000
    #: Shares of the negative population beyond which a lowered cut may lie.
    shares_beyond: ClassVar[tuple[float, ...]] = (0.005, 0.01, 0.02, 0.05, 0.15)
    # A negative population bounds from above: the side is no choice here.
    keep: ClassVar[Keep] = "above"  # type: ignore[misc]

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the cut, with what the negative population has above it."""
        placement = place_threshold(self.method, self, parent, references)
        return replace(placement, background=self.background(parent, references, placement.gate))

    def background(self, parent: Parent, references: References, gate: Gate) -> Background | None:
        """Return what the negative population has inside a gate; None for other geometry.

        Also for a gate that a reviewer moved. Only a gate of this one marker can be counted.
        """
        rows = references.rows[self.negative]
        if not rows.size or not isinstance(gate, RectangleGate):
            return None
        if [item.marker for item in gate.dimensions] != [self.marker]:
            return None
        values = parent.prepared.values(self.marker, rows)
        inside = np.count_nonzero((values >= gate.lower[0]) & (values < gate.upper[0]))
        return Background("internal", self.negative, int(inside), int(rows.size), parent.name)

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Take the quantile, or keep the prior and say why."""
        source = Parent(self.negative, parent.prepared, references.rows[self.negative])
        negatives = source.values(self.marker)
        if negatives.size < self.least_events / 20:
            values = parent.values(self.marker)
            return keep_prior(self, values, f"only {negatives.size} events of {self.negative}")
        few = negatives.size < self.least_events
        least_above = self.least_events * (1.0 - self.quantile)
        quantile = 1.0 - least_above / negatives.size if few else self.quantile
        highest = float(np.quantile(negatives, quantile))
        lower = {share: float(np.quantile(negatives, 1.0 - share)) for share in self.shares_beyond}
        at = equal_error_cut(parent.values(self.marker), lower, negatives.size, highest)
        lowered = f"; lowered from {highest:.4g} to where errors of both kinds are equal"
        return Threshold(
            at,
            max(
                round(min(1.0, negatives.size / self.least_events) ** 0.5, 3),
                insensitivity(parent.values(self.marker), at, self.keep),
            ),
            f"P{100 * quantile:.4g} of {negatives.size} events of {self.negative}"
            + (lowered if at < highest else ""),
            flags=("NEGATIVES_FEW_EVENTS",) if few else (),
        )
