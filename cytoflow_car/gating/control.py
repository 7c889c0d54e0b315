"""Placement by a control specimen: FMO, isotype, untransduced, or the patient before infusion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.gating.confidence import (
    agreement_with_errors,
    confidence_with,
    joint_agreement,
    steadiness,
)
from cytoflow_car.gating.equal_error import equal_error_cut
from cytoflow_car.gating.internal import LIKELY, errors_of_cut
from cytoflow_car.gating.placing import (
    ControlSummary,
    Keep,
    Parent,
    References,
    Threshold,
    place_threshold,
)
from cytoflow_car.gating.summaries import control_quantile, count_above, quantile_limits
from cytoflow_car.gating.thresholds import PRIOR_KEPT, OneMarker
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Background, BeyondCut, Gate, Placement, RectangleGate

#: Negative events squeezed to a hundredth of the control's width are no drift of an instrument.
LEAST_GAIN = 0.01


@dataclass(frozen=True, slots=True)
class ControlCut(OneMarker):
    """Cut at a quantile of the same population in a control specimen.

    The control's values are first brought to the specimen by the negative events of both, since
    gain and autofluorescence drift from day to day. Where positive events are many, those that
    reach down among the control's last few outweigh the background that is kept out: the cut then
    goes down to where both errors are equal, but not below the control's P99.

    Attributes
    ----------
    prior
        Where the cut lies without a control, in data units.
    quantile
        Share of the control's events below the cut.
    least_events
        With fewer events in the control the quantile is lowered so that as many events lie above it
        as would have, and the result is flagged; a control with fewer than a twentieth of them is
        none.
    preference
        Kinds of control, best first. Of one kind, the control of the specimen's batch is taken
        before those of other batches, then the one with most events.
    when_missing
        What happens without a control: the cut stays at the prior, or the gate is not placed.
    """

    method: Literal["control"]
    marker: str
    prior: float
    quantile: float = 0.999
    least_events: int = 10_000
    preference: tuple[str, ...] = ("pre_infusion", "untransduced", "fmo", "isotype")
    when_missing: Literal["prior", "not_gated"] = "prior"
    #: Far beyond the cut is what lies so many times as far as the cut from the control's median.
    #: There is no background whose spread grew by a fifth, while positive cells are mostly there.
    times_as_far: ClassVar[float] = 1.5
    #: Shares of the control beyond which a lowered cut may lie. The far tails of two specimens of
    #: different days are less alike than their bulk, so it does not go further down.
    shares_beyond: ClassVar[tuple[float, ...]] = (0.005, 0.01)
    # A control bounds the negative events from above: the side is no choice here.
    keep: ClassVar[Keep] = "above"  # type: ignore[misc]

    def choose(self, parent: str, references: References) -> ControlSummary | None:
        """Return the control of this marker and parent: by kind, then batch, then events."""
        fitting = [
            control
            for control in references.controls
            if control.marker == self.marker
            and control.population == parent
            and control.kind in self.preference
            and control.n_events >= self.least_events / 20
        ]
        return min(
            fitting,
            key=lambda control: (
                self.preference.index(control.kind),
                not control.same_batch,
                -control.n_events,
            ),
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
        n_above = count_above(control, at)
        return Background(
            control.kind,
            control.sample_id,
            n_above,
            control.n_events,
            parent.name,
            None if drift is None else self._beyond(parent, control, drift, at),
        )

    def _beyond(
        self, parent: Parent, control: ControlSummary, drift: Drift, at: float
    ) -> BeyondCut:
        """Count what lies far beyond a cut, which is in the control's units."""
        median = control_quantile(control, 0.5)
        far = median + self.times_as_far * (at - median)
        values = parent.values(self.marker)
        n_events = int(np.count_nonzero(values >= drift.from_control(far)))
        return BeyondCut(n_events, values.size, count_above(control, far))

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Take the control's quantile, or keep the prior and say that there is no control.

        Raises
        ------
        GateError
            There is none, and the template asks for no gate then.
        """
        control = self.choose(parent.name, references)
        if control is None and self.when_missing == "not_gated":
            raise GateError(
                f"no control for {self.marker}",
                where=f"population beneath {parent.name}",
                expected=f"one of {', '.join(self.preference)}",
            )
        if control is None:
            # A prior says nothing of this reagent's background, however few events lie near it.
            return Threshold(
                self.prior,
                PRIOR_KEPT,
                f"no control for {self.marker}; prior {self.prior:g} kept",
                "no control",
                ("NO_CONTROL", "PRIOR_KEPT"),
            )
        flags: list[str] = []
        quantile = self._quantile(control)
        if quantile < self.quantile:
            flags.append("CONTROL_FEW_EVENTS")
        if control.kind == "isotype":
            flags.append("ISOTYPE_CONTROL")
        at = control_quantile(control, quantile)
        limits = quantile_limits(control, quantile)
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
        expected, most = self._agreement(parent, control, drift, at)
        between = f"{limits[0]:.4g} to {limits[1]:.4g}"
        return Threshold(
            at,
            # What an unknown drift does to the agreement cannot be told.
            round(confidence_with(expected, most) * (0.5 if drift is None else 1.0), 3),
            f"P{100 * quantile:.4g} of {control.n_events} events of {control.kind} control "
            f"(95 % limits {between}){moved}; expected agreement {expected:.3f}",
            source=f"{control.kind} {control.sample_id} P{100 * quantile:.4g} ({between})",
            flags=tuple(flags),
        )

    def _steadiness(
        self, parent: Parent, control: ControlSummary, drift: Drift | None, at: float
    ) -> float:
        """Return the agreement of the cut with itself when the quantile is off by its noise.

        A lowered cut is moved as far as the quantile from which it was lowered.
        """
        quantile = self._quantile(control)
        found = control_quantile(control, quantile)
        gain = 1.0 if drift is None else drift.gain
        limits = [
            found,
            *(end for share in LIKELY for end in quantile_limits(control, quantile, share)),
        ]
        cuts = [at + gain * (limit - found) for limit in limits]
        values = parent.values(self.marker)
        return steadiness(values >= at, (values >= cut for cut in cuts))

    def _agreement(
        self, parent: Parent, control: ControlSummary, drift: Drift | None, at: float
    ) -> tuple[float, float]:
        """Return the expected agreement, and how many events the population has at most.

        Background inside, positive events missed, and noise of the quantile take from it.
        """
        values = parent.values(self.marker)
        aligned = Drift(1.0, 0.0) if drift is None else drift
        background = count_above(control, aligned.to_control(at)) / control.n_events
        lower = {
            share: aligned.from_control(control_quantile(control, 1.0 - share))
            for share in self.shares_beyond
        }
        n_false, n_missed = errors_of_cut(values, lower, control.n_events, at, background)
        n_kept = int(np.count_nonzero(values >= at))
        expected = joint_agreement(
            agreement_with_errors(n_kept, n_false, n_missed),
            self._steadiness(parent, control, drift, at),
        )
        return expected, n_kept + n_missed

    def _equal_error(
        self, parent: Parent, control: ControlSummary, drift: Drift, highest: float
    ) -> float:
        """Lower the cut to where background events above it equal positive events below it."""
        lower = {
            share: drift.from_control(control_quantile(control, 1.0 - share))
            for share in self.shares_beyond
        }
        return equal_error_cut(parent.values(self.marker), lower, control.n_events, highest)

    def _quantile(self, control: ControlSummary) -> float:
        if control.n_events >= self.least_events:
            return self.quantile
        least_above = self.least_events * (1.0 - self.quantile)
        return max(0.5, 1.0 - least_above / control.n_events)

    def _drift(self, parent: Parent, control: ControlSummary) -> Drift | None:
        cut = control_quantile(control, self._quantile(control))
        return find_drift(parent.values(self.marker), control, cut=cut, prior=self.prior)


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
    None where either has fewer than 50 negative events, or no gain above `LEAST_GAIN` comes out.
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
        if not gain > LEAST_GAIN:
            return None
        moved = float(gain * cut + offset)
        if abs(moved - own_cut) <= 1e-6 * abs(own_cut):
            break
        own_cut = moved
    return Drift(float(gain), float(offset))
