"""Placement methods that cut one marker: fixed, valley, tail, control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from cytoflow_car.gating.density import (
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

#: A valley less deep than this share of its lower peak is not believed.
LEAST_DEPTH = 0.3

#: Shares of a negative population beyond which a lowered cut may lie, the largest first.
SHARES_BEYOND = (0.01, 0.005)

#: Counting noise of background, as a fraction of the positive events, up to which a cut is lowered.
LARGEST_NOISE = 0.05


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
    least_depth: float = LEAST_DEPTH
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
            at,
            valley_confidence(best),
            f"valley at {at:.4g}, {best.depth:.0%} deep, "
            f"{best.surprise:.0f} deviations beyond counting noise",
        )

    def _prior(self, why: str) -> Threshold:
        return Threshold(
            self.prior, PRIOR_KEPT, f"{why}; prior {self.prior:g} kept", flags=("PRIOR_KEPT",)
        )


def valley_confidence(valley: Valley) -> float:
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
    negative
        A population that does not carry the marker, gated earlier, in which the peak is sought (T
        cells for a B-cell marker); empty for the parent itself. What it has beyond the cut is the
        background of the gate.
    """

    method: Literal["tail"]
    marker: str
    keep: Keep
    prior: float
    deviations: float
    negative: str = ""
    #: As `SHARES_BEYOND`, but the negative events are of the same tube, so more of them may count.
    shares_beyond: ClassVar[tuple[float, ...]] = (0.05, 0.02, 0.01, 0.005)

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the cut, with what the internal negative population has beyond it."""
        placement = place_threshold(self.method, self, parent, references)
        return replace(placement, background=self.background(parent, references, placement.gate))

    def background(self, parent: Parent, references: References, gate: Gate) -> Background | None:
        """Return what the internal negative population has inside a gate of this one marker."""
        if not self.negative or not isinstance(gate, RectangleGate) or len(gate.dimensions) != 1:
            return None
        rows = references.rows[self.negative]
        if not rows.size:
            return None
        values = parent.prepared.values(self.marker, rows)
        inside = np.count_nonzero((values >= gate.lower[0]) & (values < gate.upper[0]))
        return Background("internal", self.negative, int(inside), int(rows.size))

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the negative peak, or keep the prior and say why."""
        source = parent
        if self.negative:
            source = Parent(self.negative, parent.prepared, references.rows[self.negative])
        peak = find_negative_peak(source.values(self.marker), self.prior)
        if peak is None:
            return Threshold(
                self.prior,
                PRIOR_KEPT,
                f"too few events of {source.name} below {self.prior:g}; prior kept",
                flags=("PRIOR_KEPT",),
            )
        at = peak.center + self.deviations * peak.spread
        lowered = self._equal_error(parent, source, at) if self.negative else at
        return Threshold(
            lowered,
            round(min(1.0, (peak.n_events / 1000.0) ** 0.5), 3),
            f"{self.deviations:g} standard deviations above the negative peak of {source.name} "
            f"({peak.center:.4g}, {peak.spread:.4g}; {peak.n_events} events)"
            + ("" if lowered == at else f"; lowered from {at:.4g} to where errors are equal"),
        )

    def _equal_error(self, parent: Parent, source: Parent, highest: float) -> float:
        """Lower the cut to where background events above it equal positive events below it."""
        negatives = source.values(self.marker)
        lowest = {share: float(np.quantile(negatives, 1.0 - share)) for share in self.shares_beyond}
        return equal_error_cut(
            parent.values(self.marker), lowest, negatives.size, highest, LARGEST_NOISE
        )


@dataclass(frozen=True, slots=True)
class ControlCut(_OneMarker):
    """Cut at a quantile of the same population in a control specimen.

    The control's values are first brought to the specimen by the negative events of both, since
    gain and autofluorescence drift from day to day.

    Attributes
    ----------
    prior
        Where the cut lies without a control, in data units.
    quantile
        Share of the control's events below the cut.
    least_events
        With fewer events in the control the quantile is lowered so that as many events lie above it
        as would have, and the result is flagged.
    largest_noise
        Where positive events are many, those that reach down among the control's last few outweigh
        the background that is kept out; the cut then goes down to where both errors are equal, as
        far as counting noise stays below this fraction of the positive events. 0 keeps the
        quantile.
    preference
        Kinds of control, best first.
    """

    method: Literal["control"]
    marker: str
    prior: float
    quantile: float = 0.999
    largest_noise: float = LARGEST_NOISE
    least_events: int = 10_000
    preference: tuple[str, ...] = ("pre_infusion", "untransduced", "fmo", "isotype")
    # A control bounds the negative events from above: the side is no choice here.
    keep: ClassVar[Keep] = "above"  # type: ignore[misc]

    def choose(self, parent: str, references: References) -> ControlSummary | None:
        """Return the control of this marker and parent: the best kind, then the most events."""
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
        if control is None or not isinstance(gate, RectangleGate):
            return None
        if [item.marker for item in gate.dimensions] != [self.marker] or gate.upper[0] < np.inf:
            return None
        drift = self._drift(parent, control)
        at = gate.lower[0] if drift is None else drift.to_control(gate.lower[0])
        return Background(
            control.kind, control.sample_id, count_above(control, at), control.n_events
        )

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
        quantile = self._quantile(control)
        if quantile < self.quantile:
            flags.append("CONTROL_FEW_EVENTS")
        if control.kind == "isotype":
            flags.append("ISOTYPE_CONTROL")
        at = control_quantile(control, quantile)
        drift = self._drift(parent, control)
        moved = ""
        if drift is None:
            flags.append("CONTROL_UNALIGNED")
        else:
            highest = drift.from_control(at)
            at = self._equal_error(parent, control, drift, highest)
            moved = f", {drift}"
            if at < highest:
                moved += f"; lowered from {highest:.4g} to where errors of both kinds are equal"
        confidence = min(1.0, control.n_events / self.least_events)
        return Threshold(
            at,
            round(confidence * (0.5 if drift is None else 1.0), 3),
            f"P{100 * quantile:.4g} of {control.n_events} events of {control.kind} control{moved}",
            source=f"{control.kind} {control.sample_id} P{100 * quantile:.4g}",
            flags=tuple(flags),
        )

    def _equal_error(
        self, parent: Parent, control: ControlSummary, drift: Drift, highest: float
    ) -> float:
        """Lower the cut to where background events above it equal positive events below it."""
        lowest = {
            share: drift.from_control(control_quantile(control, 1.0 - share))
            for share in SHARES_BEYOND
        }
        return equal_error_cut(
            parent.values(self.marker), lowest, control.n_events, highest, self.largest_noise
        )

    def _quantile(self, control: ControlSummary) -> float:
        if control.n_events >= self.least_events:
            return self.quantile
        least_above = self.least_events * (1.0 - self.quantile)
        return max(0.5, 1.0 - least_above / control.n_events)

    def _drift(self, parent: Parent, control: ControlSummary) -> Drift | None:
        cut = control_quantile(control, self._quantile(control))
        return find_drift(parent.values(self.marker), control, cut=cut, prior=self.prior)


def equal_error_cut(
    values: Values,
    lowest: Mapping[float, float],
    n_negative: int,
    highest: float,
    largest_noise: float,
) -> float:
    """Return the cut above which as many background events lie as positive events below.

    The share of positive events follows from what the specimen has more than a negative population
    above one of its upper quantiles: the lowest at which the counting noise of both stays small
    beside that share. The cut is where exactly that share lies above.

    Parameters
    ----------
    values
        (n,) the specimen's events, n >= 1, data units.
    lowest
        Cut by the share of the negative population above it, the largest share first.
    n_negative
        Events of the negative population.
    highest
        The cut where positive events are few or none.
    largest_noise
        Counting noise that is allowed, as a fraction of the positive share.
    """
    noise_of_one = (1.0 / values.size + 1.0 / n_negative) ** 0.5
    for expected, cut in lowest.items():
        share = (float(np.mean(values >= cut)) - expected) / (1.0 - expected)
        if noise_of_one * expected**0.5 <= largest_noise * share:
            return min(max(float(np.quantile(values, 1.0 - share)), cut), highest)
    return highest


@dataclass(frozen=True, slots=True)
class Drift:
    """How a specimen's negative events lie against a control's: gain and offset.

    Attributes
    ----------
    gain, offset
        specimen = gain × control + offset, in data units.
    """

    gain: float
    offset: float

    def __str__(self) -> str:
        return f"times {self.gain:.3g} {self.offset:+.3g} by the negative events of both"

    def from_control(self, value: float) -> float:
        """Return a control's value in the specimen's units."""
        return self.gain * value + self.offset

    def to_control(self, value: float) -> float:
        """Return a specimen's value in the control's units."""
        return (value - self.offset) / self.gain


def find_drift(
    values: Values, control: ControlSummary, *, cut: float, prior: float
) -> Drift | None:
    """Find gain and offset that bring a control's negative events onto a specimen's.

    The lower three quarters of the negative events are compared quantile by quantile. Which part
    of the specimen is negative follows from the cut itself, so both are found in turn.

    Parameters
    ----------
    values
        (n,) the specimen's events of the population, data units.
    cut
        The control's own cut.
    prior
        First guess of the specimen's cut.

    Returns
    -------
    None where either has fewer than 50 negative events, or no positive gain comes out.
    """
    if control.n_events < 50:
        return None
    levels = np.linspace(0.05, 0.75, 141)
    theirs = np.quantile(np.asarray(control.quantiles), levels)
    ascending = np.sort(values)
    own_cut, gain, offset = prior, 1.0, 0.0
    for _ in range(20):
        negative = ascending[: int(np.searchsorted(ascending, own_cut))]
        if negative.size < 50:
            return None
        gain, offset = np.polyfit(theirs, np.quantile(negative, levels), 1)
        if not gain > 0:
            return None
        moved = float(gain * cut + offset)
        if abs(moved - own_cut) <= 1e-6 * abs(own_cut):
            break
        own_cut = moved
    return Drift(float(gain), float(offset))


def control_quantile(control: ControlSummary, quantile: float) -> float:
    """Return a quantile of a control's events, by linear interpolation.

    Equals ``numpy.quantile`` of all events as far as the kept highest values reach down; below, it
    comes from the evenly spaced quantiles.
    """
    tail = np.asarray(control.tail)
    position = quantile * (control.n_events - 1) - (control.n_events - tail.size)
    if position >= 0:
        return float(np.interp(position, np.arange(tail.size), tail))
    grid = np.asarray(control.quantiles)
    return float(np.interp(quantile, np.linspace(0.0, 1.0, grid.size), grid))


def count_above(control: ControlSummary, at: float) -> int:
    """Count a control's events at or above a value; below its kept tail from the quantiles."""
    if control.tail and at >= control.tail[0]:
        return int(np.count_nonzero(np.asarray(control.tail) >= at))
    levels = np.linspace(0.0, 1.0, len(control.quantiles))
    return round(control.n_events * float(1.0 - np.interp(at, control.quantiles, levels)))


def summarise_control(
    population: str, marker: str, kind: str, sample_id: str, values: Values
) -> ControlSummary:
    """Summarise a control's events of one population on one marker.

    Parameters
    ----------
    values
        (n,) data units of all its events of the population.
    """
    finite = np.sort(values[np.isfinite(values)])
    kept = max(2000, finite.size // 50)
    return ControlSummary(
        population,
        marker,
        kind,
        sample_id,
        int(finite.size),
        tuple(finite[-kept:].tolist()),
        tuple(np.quantile(finite, np.linspace(0.0, 1.0, 2001)).tolist()) if finite.size else (),
    )
