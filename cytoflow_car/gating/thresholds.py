"""Placement methods that cut one marker by the specimen alone: fixed, valley, tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np

from cytoflow_car.gating.density import (
    Valley,
    estimate_density,
    find_negative_peak,
    find_valleys,
)
from cytoflow_car.gating.placing import (
    Keep,
    Parent,
    References,
    Threshold,
    place_threshold,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Placement

#: Confidence of a gate that stays at its prior because the data did not say where to put it.
PRIOR_KEPT = 0.2

#: A valley less deep than this share of its lower peak is not believed.
LEAST_DEPTH = 0.3


class OneMarker:
    """What the one-marker methods share."""

    __slots__ = ()
    method: str
    marker: str
    keep: Keep

    @property
    def markers(self) -> tuple[str, ...]:
        """The one marker."""
        return (self.marker,)

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the cut; each method its own way."""
        raise NotImplementedError

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the cut as a one-dimensional rectangle."""
        return place_threshold(self.method, self, parent, references)


@dataclass(frozen=True, slots=True)
class Fixed(OneMarker):
    """Cut where the template says.

    Attributes
    ----------
    at
        Data units.
    """

    method: Literal["fixed"]
    marker: str
    keep: Keep
    at: float

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Return the template's value."""
        return Threshold(self.at, 1.0, f"fixed at {self.at:g} by the template")


@dataclass(frozen=True, slots=True)
class ValleyCut(OneMarker):
    """Cut at the valley between two peaks of the parent's density.

    Where several valleys lie between `low` and `high`, the one nearest to `prior` on the scale is
    taken among those that are at least half as deep as the deepest. Without a valley the prior
    stays.

    Attributes
    ----------
    prior
        Where the cut usually lies, in data units.
    low, high
        Where it may lie.
    least_depth
        Valleys less deep than this (0 to 1, share of the lower peak) are not believed.
    smoothing
        Multiplies the bandwidth of the density.
    """

    method: Literal["valley"]
    marker: str
    keep: Keep
    prior: float
    low: float
    high: float
    least_depth: float = LEAST_DEPTH
    smoothing: float = 1.0
    least_events: ClassVar[int] = 50

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the valley, or keep the prior and say why."""
        values = parent.values(self.marker)
        if values.size < self.least_events:
            return keep_prior(self, values, f"only {values.size} events")
        scale = parent.prepared.scales[self.marker]
        scaled = scale.forward(values)
        if np.ptp(scaled) == 0:
            return keep_prior(self, values, "all values are equal")
        valleys = find_valleys(estimate_density(scaled, smoothing=self.smoothing))
        low, prior, high = scale.forward(np.asarray([self.low, self.prior, self.high]))
        usable = [
            valley
            for valley in valleys
            if low <= valley.at <= high and valley.depth >= self.least_depth
        ]
        if not usable:
            return keep_prior(self, values, f"no valley between {self.low:g} and {self.high:g}")
        deepest = max(valley.depth for valley in usable)
        best = min(
            (valley for valley in usable if valley.depth >= 0.5 * deepest),
            key=lambda valley: abs(valley.at - prior),
        )
        at = float(scale.inverse(np.asarray([best.at]))[0])
        return Threshold(
            at,
            max(valley_confidence(best), insensitivity(values, at, self.keep)),
            f"valley at {at:.4g}, {best.depth:.0%} deep, "
            f"{best.surprise:.0f} deviations beyond counting noise",
        )


def valley_confidence(valley: Valley) -> float:
    """Return the confidence of a cut in a valley."""
    # Full confidence needs a deep valley and peaks that stand clear of their own counting noise.
    return round(float(valley.depth * min(1.0, valley.surprise / 10.0)), 3)


@dataclass(frozen=True, slots=True)
class Tail(OneMarker):
    """Cut a number of standard deviations beside the negative peak of the parent.

    For markers whose positive events may be few or absent, so that no valley can be counted on.

    Attributes
    ----------
    prior
        Where the cut usually lies, in data units; the negative peak is sought below it.
    deviations
        Distance from the center of the negative peak, in its standard deviations.
    """

    method: Literal["tail"]
    marker: str
    keep: Keep
    prior: float
    deviations: float

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the negative peak, or keep the prior and say why."""
        values = parent.values(self.marker)
        peak = find_negative_peak(values, self.prior)
        if peak is None:
            return keep_prior(self, values, f"too few events below {self.prior:g}")
        at = peak.center + self.deviations * peak.spread
        return Threshold(
            at,
            round(min(1.0, (peak.n_events / 1000.0) ** 0.5), 3),
            f"{self.deviations:g} standard deviations above the negative peak "
            f"({peak.center:.4g}, {peak.spread:.4g}; {peak.n_events} events)",
        )


class _HasPrior(Protocol):
    @property
    def prior(self) -> float: ...

    @property
    def keep(self) -> Keep: ...


def keep_prior(
    method: _HasPrior, values: Values, why: str, *flags: str, source: str = ""
) -> Threshold:
    """Return the template's prior, flagged, because the data did not say where to cut.

    Parameters
    ----------
    values
        (n,) the parent's events: the prior is as sure as few of them lie close to it.
    """
    return Threshold(
        method.prior,
        max(PRIOR_KEPT, insensitivity(values, method.prior, method.keep)),
        f"{why}; prior {method.prior:g} kept",
        source,
        (*flags, "PRIOR_KEPT"),
    )


def insensitivity(values: Values, at: float, keep: Keep) -> float:
    """Tell how little a cut's exact place matters: 0 to 0.9.

    Moving it by a quarter either way must change what is kept by far less than a fifth; a
    population of fewer than 50 events counts as 50, since nothing below that is quantified. Of a
    cut at or below 0 a quarter says nothing, so it is 0.
    """
    if at <= 0:
        return 0.0
    near = np.count_nonzero((values >= at / 1.25) & (values < at * 1.25))
    kept = int(np.count_nonzero(values >= at if keep == "above" else values < at))
    return round(float(np.clip(1.0 - 5.0 * near / max(kept, 50), 0.0, 0.9)), 3)
