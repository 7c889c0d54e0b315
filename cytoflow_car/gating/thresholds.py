"""Placement methods that cut one marker by the specimen alone: fixed, valley, tail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

import numpy as np

from cytoflow_car.gating.around_prior import USUAL_SHIFT
from cytoflow_car.gating.confidence import (
    LEAST_EVENTS,
    MOST_SURE_OF_PRIOR,
    Mask,
    agreement,
    agreement_with_errors,
    confidence_of,
    confidence_with,
    joint_agreement,
    steadiness,
)
from cytoflow_car.gating.density import (
    Valley,
    errors_at,
    estimate_density,
    find_negative_peak,
    find_valleys,
)
from cytoflow_car.gating.placing import (
    MOST_EVENTS,
    Keep,
    Parent,
    References,
    Threshold,
    place_threshold,
)
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Placement
from cytoflow_car.model.scale import Scale

#: Confidence of a gate that stays at its prior because the data did not say where to put it.
PRIOR_KEPT = 0.2

#: A gain that is a quarter higher or lower, as it comes about from day to day, on a scale.
USUAL_DRIFT = 0.02

#: So many events tell how sure a fixed cut is, if enough of them lie inside.
_FEW_LOOKED_AT = 1_000

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
        """Return the template's value, as sure as few events lie within its usual shift."""
        (confidence,) = fixed_confidences(parent, (self,))
        return Threshold(self.at, confidence, f"fixed at {self.at:g} by the template")


def fixed_confidences(parent: Parent, cuts: Sequence[Fixed]) -> list[float]:
    """Return the confidence of each of the cuts that bound a box together.

    A cut is moved by a usual drift of gain either way, and matters for those events only that the
    others keep. A small sample tells, unless the box holds too few of it.
    """
    found: list[float] = []
    for most in (_FEW_LOOKED_AT, MOST_EVENTS // 5):
        step = max(1, -(-parent.rows.size // most))
        rows = parent.rows[::step]
        values = [parent.prepared.values(cut.marker, rows) for cut in cuts]
        kept = [cut_at(own, cut.at, cut.keep) for cut, own in zip(cuts, values, strict=True)]
        inside = np.logical_and.reduce(kept)
        found = []
        for number, (cut, own) in enumerate(zip(cuts, values, strict=True)):
            scale = parent.prepared.scales[cut.marker]
            at = scale.forward(np.asarray([cut.at]))
            ends = scale.inverse(np.concatenate([at - USUAL_DRIFT, at + USUAL_DRIFT]))
            others = np.logical_and.reduce(
                [mask for other, mask in enumerate(kept) if other != number]
                or [np.ones(rows.size, dtype=bool)]
            )
            moved = [others & cut_at(own, float(end), cut.keep) for end in ends]
            most_inside = max(int(np.count_nonzero(mask)) for mask in (inside, *moved))
            expected = steadiness(inside, moved, step=step)
            found.append(confidence_with(expected, step * most_inside))
        if step == 1 or np.count_nonzero(inside) >= LEAST_EVENTS:
            break
    return found


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
    offset
        How far beside the valley the cut lies, in scale units: people do not always cut at valleys.
        `prior`, `low` and `high` are about the valley; a prior that stays is moved as well.
    """

    method: Literal["valley"]
    marker: str
    keep: Keep
    prior: float
    low: float
    high: float
    least_depth: float = LEAST_DEPTH
    smoothing: float = 1.0
    offset: float = 0.0
    least_events: ClassVar[int] = 50

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the valley, or keep the prior and say why."""
        values = parent.values(self.marker)
        scale = parent.prepared.scales[self.marker]
        kept = replace(self, prior=self._beside(self.prior, scale))
        if values.size < self.least_events:
            return keep_prior(kept, parent, f"only {values.size} events")
        scaled = scale.forward(values)
        if np.ptp(scaled) == 0:
            return keep_prior(kept, parent, "all values are equal")
        valleys = find_valleys(estimate_density(scaled, smoothing=self.smoothing))
        low, prior, high = scale.forward(np.asarray([self.low, self.prior, self.high]))
        usable = [
            valley
            for valley in valleys
            if low <= valley.at <= high and valley.depth >= self.least_depth
        ]
        if not usable:
            return keep_prior(kept, parent, f"no valley between {self.low:g} and {self.high:g}")
        deepest = max(valley.depth for valley in usable)
        usable = [valley for valley in usable if valley.depth >= 0.5 * deepest]
        best = min(usable, key=lambda valley: abs(valley.at - prior))
        bottom = float(scale.inverse(np.asarray([best.at]))[0])
        at = self._beside(bottom, scale)
        expected = valley_agreement(scaled, best, usable, prior, self.keep, offset=self.offset)
        return Threshold(
            at,
            confidence_of(expected),
            f"valley at {bottom:.4g}, {best.depth:.0%} deep, "
            f"{best.surprise:.0f} deviations beyond counting noise; "
            f"expected agreement {expected:.3f}"
            + (f"; cut {self.offset:+.3g} scale units beside it" if self.offset else ""),
        )

    def _beside(self, valley: float, scale: Scale) -> float:
        """Return where the cut of a valley lies, both in data units."""
        if not self.offset:
            return valley
        return float(scale.inverse(scale.forward(np.asarray([valley])) + self.offset)[0])


def valley_agreement(
    scaled: Values,
    best: Valley,
    usable: list[Valley],
    prior: float,
    keep: Keep,
    *,
    offset: float = 0.0,
) -> float:
    """Return the expected agreement of a cut in a valley.

    Three things take from it: where the peaks overlap, events are on the wrong side; within its
    counting noise the valley may lie elsewhere; and another valley may be the one that is meant.

    Parameters
    ----------
    scaled
        (n,) the parent's events, on the scale on which the valley was found.
    best, usable
        The valley that was taken, and all among which it was.
    prior
        Where it was looked for, on that scale.
    offset
        How far beside the valley the cut lies.
    """
    kept = cut_at(scaled, best.at + offset, keep)
    n_kept = int(np.count_nonzero(kept))
    n_false, n_missed = (best.above, best.below) if keep == "above" else (best.below, best.above)
    ends = (cut_at(scaled, end + offset, keep) for end in (best.lowest, best.highest))
    # Each is as likely to be meant as a usual shift of the prior would bring it there.
    away = (np.asarray([valley.at for valley in usable]) - prior) / USUAL_SHIFT
    chances = np.exp(-0.5 * (away**2 - (best.at - prior) ** 2 / USUAL_SHIFT**2))
    chosen = np.average(
        [agreement(kept, cut_at(scaled, valley.at + offset, keep)) for valley in usable],
        weights=chances,
    )
    return joint_agreement(
        agreement_with_errors(n_kept, min(n_false, n_kept), n_missed),
        steadiness(kept, ends),
        float(chosen),
    )


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
            return keep_prior(self, parent, f"too few events below {self.prior:g}")
        at = peak.center + self.deviations * peak.spread
        moved = [cut_at(values, at + side * peak.spread, self.keep) for side in (-1.0, 1.0)]
        expected = steadiness(cut_at(values, at, self.keep), moved)
        most = max(int(np.count_nonzero(mask)) for mask in moved)
        return Threshold(
            at,
            confidence_with(expected, most),
            f"{self.deviations:g} standard deviations above the negative peak "
            f"({peak.center:.4g}, {peak.spread:.4g}; {peak.n_events} events); "
            f"expected agreement {expected:.3f}",
        )


class _HasPrior(Protocol):
    @property
    def marker(self) -> str: ...

    @property
    def prior(self) -> float: ...

    @property
    def keep(self) -> Keep: ...


def keep_prior(
    method: _HasPrior, parent: Parent, why: str, *flags: str, source: str = ""
) -> Threshold:
    """Return the template's prior, flagged, because the data did not say where to cut."""
    scale = parent.prepared.scales[method.marker]
    scaled = scale.forward(parent.values(method.marker))
    at = float(scale.forward(np.asarray([method.prior]))[0])
    return Threshold(
        method.prior,
        prior_confidence(scaled, at, method.keep),
        f"{why}; prior {method.prior:g} kept",
        source,
        (*flags, "PRIOR_KEPT"),
    )


def prior_confidence(scaled: Values, at: float, keep: Keep) -> float:
    """Return the confidence of a cut that stays at its prior; parameters as `shift_confidence`."""
    return min(MOST_SURE_OF_PRIOR, shift_confidence(scaled, at, keep))


def shift_confidence(scaled: Values, at: float, keep: Keep) -> float:
    """Return the confidence of a cut that follows no data: the fewer events near it, the more.

    Parameters
    ----------
    scaled
        (n,) the parent's events on the marker's scale.
    at
        The cut on that scale. It is moved by a usual drift of gain either way, and what overlaps
        at it is on the wrong side.
    """
    kept = cut_at(scaled, at, keep)
    moved = [cut_at(scaled, at + shift, keep) for shift in (-USUAL_DRIFT, USUAL_DRIFT)]
    n_above, n_below = errors_at(scaled, at)
    n_false, n_missed = (n_above, n_below) if keep == "above" else (n_below, n_above)
    n_kept = int(np.count_nonzero(kept))
    expected = joint_agreement(
        steadiness(kept, moved), agreement_with_errors(n_kept, min(n_false, n_kept), n_missed)
    )
    most = max(int(np.count_nonzero(mask)) for mask in (kept, *moved))
    return confidence_with(expected, most)


def cut_at(values: Values, at: float, keep: Keep) -> Mask:
    """Return which values lie on the side of a cut that is kept."""
    return values >= at if keep == "above" else values < at
