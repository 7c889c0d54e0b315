"""Placement methods that cut one marker: fixed, valley, tail, control."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from cytoflow_car.gating.density import (
    NegativePeak,
    Valley,
    estimate_density,
    find_negative_peak,
    find_valleys,
)
from cytoflow_car.gating.placing import (
    ControlSummary,
    Keep,
    Parent,
    References,
    Threshold,
    place_threshold,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Background, Gate, Placement, RectangleGate

#: Confidence of a gate that stays at its prior because the data did not say where to put it.
PRIOR_KEPT = 0.2


class _OneMarker:
    """What the one-marker methods share."""

    __slots__ = ()
    method: str
    marker: str
    keep: Keep

    @property
    def markers(self) -> tuple[str, ...]:
        return (self.marker,)

    def threshold(self, parent: Parent, references: References) -> Threshold:
        raise NotImplementedError

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the cut as a one-dimensional rectangle."""
        return place_threshold(self.method, self, parent, references)


@dataclass(frozen=True, slots=True)
class Fixed(_OneMarker):
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
class ValleyCut(_OneMarker):
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
    least_depth: float = 0.3
    smoothing: float = 1.0
    least_events: ClassVar[int] = 50

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the valley, or keep the prior and say why."""
        values = parent.values(self.marker)
        if values.size < self.least_events:
            return self._prior(f"only {values.size} events")
        scale = parent.prepared.scales[self.marker]
        scaled = scale.forward(values)
        if np.ptp(scaled) == 0:
            return self._prior("all values are equal")
        valleys = find_valleys(estimate_density(scaled, smoothing=self.smoothing))
        low, prior, high = scale.forward(np.asarray([self.low, self.prior, self.high]))
        usable = [
            valley
            for valley in valleys
            if low <= valley.at <= high and valley.depth >= self.least_depth
        ]
        if not usable:
            return self._prior(f"no valley between {self.low:g} and {self.high:g}")
        deepest = max(valley.depth for valley in usable)
        best = min(
            (valley for valley in usable if valley.depth >= 0.5 * deepest),
            key=lambda valley: abs(valley.at - prior),
        )
        at = float(scale.inverse(np.asarray([best.at]))[0])
        return Threshold(
            at, _valley_confidence(best), f"valley at {at:.4g}, {best.depth:.0%} deep"
        )

    def _prior(self, why: str) -> Threshold:
        return Threshold(
            self.prior, PRIOR_KEPT, f"{why}; prior {self.prior:g} kept", flags=("PRIOR_KEPT",)
        )


def _valley_confidence(valley: Valley) -> float:
    # Full confidence needs a deep valley and peaks that stand clear of their own counting noise.
    return round(float(valley.depth * min(1.0, valley.surprise / 10.0)), 3)


@dataclass(frozen=True, slots=True)
class Tail(_OneMarker):
    """Cut a number of standard deviations beside the negative peak.

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
        peak = find_negative_peak(parent.values(self.marker), self.prior)
        if peak is None:
            return Threshold(
                self.prior,
                PRIOR_KEPT,
                f"too few events below {self.prior:g}; prior kept",
                flags=("PRIOR_KEPT",),
            )
        at = peak.center + self.deviations * peak.spread
        return Threshold(
            at,
            round(min(1.0, (peak.n_events / 1000.0) ** 0.5), 3),
            f"{self.deviations:g} standard deviations above the negative peak "
            f"({peak.center:.4g}, {peak.spread:.4g}; {peak.n_events} events)",
        )


@dataclass(frozen=True, slots=True)
class ControlCut(_OneMarker):
    """Cut at a quantile of the same population in a control specimen.

    The control's values are first brought to the specimen by center and spread of both negative
    peaks, since gain and autofluorescence drift from day to day.

    Attributes
    ----------
    prior
        Where the cut lies without a control, in data units; also bounds the negative peak.
    quantile
        Share of the control's events below the cut.
    least_events
        With fewer events in the control the quantile is lowered so that as many events lie above it
        as would have, and the result is flagged.
    preference
        Kinds of control, best first.
    """

    method: Literal["control"]
    marker: str
    prior: float
    quantile: float = 0.999
    least_events: int = 10_000
    preference: tuple[str, ...] = ("pre_infusion", "untransduced", "fmo", "isotype")
    keep: ClassVar[Keep] = "above"

    def choose(self, parent: str, references: References) -> ControlSummary | None:
        """Return the control that is used for this marker on this parent: best kind, most events."""
        fitting = [
            control
            for control in references.controls
            if control.marker == self.marker
            and control.population == parent
            and control.kind in self.preference
            and control.n_events > 0
        ]
        return min(
            fitting,
            key=lambda control: (self.preference.index(control.kind), -control.n_events),
            default=None,
        )

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the cut, with what the control itself has above it."""
        placement = place_threshold(self.method, self, parent, references)
        return replace(placement, background=self.background(parent, references, placement.gate))

    def background(self, parent: Parent, references: References, gate: Gate) -> Background | None:
        """Return what the control has inside a gate; None without a control.

        Also for a gate that a reviewer moved. Only a cut of this one marker can be counted in a
        summary; for any other geometry the background is unknown.
        """
        control = self.choose(parent.name, references)
        is_cut = isinstance(gate, RectangleGate) and len(gate.dimensions) == 1
        if control is None or not is_cut or gate.upper[0] < np.inf:
            return None
        own = find_negative_peak(parent.values(self.marker), self.prior)
        return count_background(control, own, gate.lower[0])

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Take the control's quantile, or keep the prior and say that there is no control."""
        control = self.choose(parent.name, references)
        if control is None:
            return Threshold(
                self.prior,
                PRIOR_KEPT,
                f"no control for {self.marker}; prior {self.prior:g} kept",
                source="no control",
                flags=("NO_CONTROL", "PRIOR_KEPT"),
            )
        flags: list[str] = []
        least_above = self.least_events * (1.0 - self.quantile)
        quantile = self.quantile
        if control.n_events < self.least_events:
            quantile = max(0.5, 1.0 - least_above / control.n_events)
            flags.append("CONTROL_FEW_EVENTS")
        if control.kind == "isotype":
            flags.append("ISOTYPE_CONTROL")
        at = upper_quantile(control.tail, control.n_events, quantile)
        own = find_negative_peak(parent.values(self.marker), self.prior)
        moved = ""
        if own is not None and control.negative is not None:
            at = bring_to(own, control.negative, at)
            moved = ", brought to this specimen's negative peak"
        else:
            flags.append("CONTROL_UNALIGNED")
        confidence = min(1.0, control.n_events / self.least_events) * (1.0 if moved else 0.5)
        return Threshold(
            at,
            round(confidence, 3),
            f"P{100 * quantile:g} of {control.n_events} events of {control.kind} control{moved}",
            source=f"{control.kind} {control.sample_id} P{100 * quantile:g}",
            flags=tuple(flags),
        )


def count_background(
    control: ControlSummary, own: NegativePeak | None, at: float
) -> Background:
    """Count the control's events above a cut that was placed on a specimen.

    Parameters
    ----------
    own
        The specimen's negative peak; None where the control is compared unaligned.
    at
        The cut, in the specimen's data units.
    """
    if own is not None and control.negative is not None:
        at = bring_to(control.negative, own, at)
    above = int(np.count_nonzero(np.asarray(control.tail) >= at))
    return Background(control.kind, control.sample_id, above, control.n_events)


def bring_to(own: NegativePeak, other: NegativePeak, value: float) -> float:
    """Move a value from another specimen's scale to one's own by their negative peaks."""
    return own.center + (value - other.center) * own.spread / other.spread


def upper_quantile(tail: tuple[float, ...], n_events: int, quantile: float) -> float:
    """Return a quantile from the highest values of `n_events`, by linear interpolation.

    Equals ``numpy.quantile`` of all events as far as the tail reaches down; below that the lowest
    kept value.
    """
    position = quantile * (n_events - 1) - (n_events - len(tail))
    return float(np.interp(position, np.arange(len(tail)), np.asarray(tail)))


def summarise_control(
    population: str, marker: str, kind: str, sample_id: str, values: Values, below: float
) -> ControlSummary:
    """Summarise a control's events of one population on one marker.

    Parameters
    ----------
    values
        (n,) data units of all its events of the population.
    below
        The method's prior: bound of the negative peak.
    """
    finite = np.sort(values[np.isfinite(values)])
    kept = max(2000, finite.size // 50)
    return ControlSummary(
        population,
        marker,
        kind,
        sample_id,
        int(finite.size),
        find_negative_peak(finite, below),
        tuple(finite[-kept:].tolist()),
        tuple(np.quantile(finite, np.linspace(0.0, 1.0, 2001)).tolist()) if finite.size else (),
    )
