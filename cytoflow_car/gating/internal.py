"""Placement by an internal negative population: cells of the same tube that lack the marker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from scipy import stats

from cytoflow_car.gating.confidence import (
    agreement_with_errors,
    confidence_with,
    joint_agreement,
    steadiness,
)
from cytoflow_car.gating.equal_error import equal_error_cut
from cytoflow_car.gating.placing import Keep, Parent, References, Threshold, place_threshold
from cytoflow_car.gating.thresholds import OneMarker, keep_prior
from cytoflow_car.model.events import Values
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
            return keep_prior(self, parent, f"only {negatives.size} events of {self.negative}")
        values = parent.values(self.marker)
        few = negatives.size < self.least_events
        least_above = self.least_events * (1.0 - self.quantile)
        quantile = 1.0 - least_above / negatives.size if few else self.quantile
        highest = float(np.quantile(negatives, quantile))
        lower = {share: float(np.quantile(negatives, 1.0 - share)) for share in self.shares_beyond}
        at = equal_error_cut(values, lower, negatives.size, highest)
        expected, most = self._agreement(values, negatives, lower, quantile, at)
        lowered = f"; lowered from {highest:.4g} to where errors of both kinds are equal"
        return Threshold(
            at,
            confidence_with(expected, most),
            f"P{100 * quantile:.4g} of {negatives.size} events of {self.negative}"
            + (lowered if at < highest else "")
            + f"; expected agreement {expected:.3f}",
            flags=("NEGATIVES_FEW_EVENTS",) if few else (),
        )

    def _agreement(
        self,
        values: Values,
        negatives: Values,
        lower: Mapping[float, float],
        quantile: float,
        at: float,
    ) -> tuple[float, float]:
        """Return the expected agreement, and how many events the population has at most.

        Background inside, positive events missed, and noise of the quantile take from it.
        """
        background = float(np.mean(negatives >= at))
        n_false, n_missed = errors_of_cut(values, lower, negatives.size, at, background)
        kept = values >= at
        # The quantile of so many events is itself uncertain: their number above it is binomial.
        found = float(np.quantile(negatives, quantile))
        steps = [end for share in LIKELY for end in quantile_ends(negatives, quantile, share)]
        moved = (values >= at + end - found for end in (found, *steps))
        n_kept = int(np.count_nonzero(kept))
        expected = joint_agreement(
            agreement_with_errors(n_kept, n_false, n_missed), steadiness(kept, moved)
        )
        return expected, n_kept + n_missed


#: Middles of five equally likely parts of what a quantile may be: limits that hold it with
#: probability 0.8 and 0.4, and itself.
LIKELY = (0.8, 0.4)


def quantile_ends(values: Values, quantile: float, confidence: float) -> tuple[float, float]:
    """Return limits between which a quantile of what the values were drawn from lies."""
    outside = (1.0 - confidence) / 2.0
    ranks = stats.binom.ppf([outside, 1.0 - outside], values.size, quantile)
    low, high = np.quantile(values, np.clip(ranks / max(values.size - 1, 1), 0.0, 1.0))
    return float(low), float(high)


def errors_of_cut(
    values: Values, lower: Mapping[float, float], n_negative: int, at: float, background: float
) -> tuple[float, float]:
    """Return how many background events a cut is expected to hold, and positive ones to miss.

    Positive events are those that the specimen has more than a negative population above one of
    its upper quantiles, less one standard deviation of counting.

    Parameters
    ----------
    values
        (n,) the specimen's events, n >= 1.
    lower
        Cut by the share of the negative population above it.
    n_negative
        Events of the negative population.
    at
        The cut.
    background
        Share of the negative population above it.
    """
    share_inside = float(np.mean(values >= at))
    positive = max(0.0, (share_inside - background) / (1.0 - background))
    n_false = values.size * min(share_inside, background * (1.0 - positive))
    noise_of_one = (1.0 / values.size + 1.0 / n_negative) ** 0.5
    found = positive
    for expected, cut in lower.items():
        excess = (float(np.mean(values >= cut)) - expected) / (1.0 - expected)
        found = max(found, excess - noise_of_one * expected**0.5)
    return n_false, values.size * (found - positive)
