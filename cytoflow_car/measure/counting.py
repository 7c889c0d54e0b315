"""Measures that count events: percent of a denominator, count, cells per microlitre."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from scipy import special

from cytoflow_car.measure.calls import with_call
from cytoflow_car.measure.context import MeasureContext, without_value
from cytoflow_car.measure.detection import (
    DetectionRule,
    Judgement,
    false_positives_expected,
    interfering_events,
    judge,
)
from cytoflow_car.measure.intervals import (
    clopper_pearson,
    difference_of_shares,
    ratio_of_counts,
)
from cytoflow_car.measure.reporting import report_value
from cytoflow_car.model.measurement import Interval, Measurement, Status
from cytoflow_car.model.population import Population

#: Statuses whose value would mislead, so that none is given; the counts stay.
_NO_VALUE = (Status.INSUFFICIENT, Status.EMPTY_PARENT)


@dataclass(frozen=True, slots=True)
class Percent:
    """Share of a denominator, in percent, with its exact interval.

    Attributes
    ----------
    name
        ``<what>_percent_of_<denominator>``.
    population, denominator
        Names in the gate tree; the denominator must hold the population.
    assay
        Row of the detection table.
    requires
        Assay that must find the denominator; else the status is INDETERMINATE without a value.
    compare_with
        Population of another method that should hold the same cells; empty for none.
    most_difference
        The flag ``METHODS_DISAGREE`` where the counts differ by more than this share of the larger,
        by more than chance, and by more than blanks of the assay hold.
    """

    measure: Literal["percent"]
    name: str
    population: str
    denominator: str
    assay: str
    requires: str = ""
    compare_with: str = ""
    most_difference: float = 0.25

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that the measurement needs."""
        named = (self.population, self.denominator, self.compare_with)
        return tuple(name for name in named if name)

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        measurement = self._take(context)
        if self.compare_with and measurement.value is not None:
            flags = (*measurement.flags, *self._disagreement(context))
            measurement = replace(measurement, flags=tuple(dict.fromkeys(flags)))
        rule = context.rule(self.assay, self.population, measurement.n_denominator or 0)
        return with_call(measurement, rule, context.confidence)

    def _disagreement(self, context: MeasureContext) -> tuple[str, ...]:
        """Return the flag of another population that should hold the same cells and does not."""
        if context.not_gated(self.compare_with):
            return ()
        mine = context.tree[self.population].count
        theirs = context.tree[self.compare_with].count
        # Counting alone lets two readings of the same cells differ by little, and a gate in which
        # blanks have as many events says nothing of so few.
        chance = 2.0 * math.sqrt(mine + theirs)
        limit = self.most_difference * max(mine, theirs)
        blank = context.detection[self.assay].blank_percent
        n_blank = blank / 100.0 * context.tree[self.denominator].count
        differ = abs(mine - theirs) > max(limit, chance, n_blank)
        return ("METHODS_DISAGREE",) if differ else ()

    def _take(self, context: MeasureContext) -> Measurement:
        missing = context.not_gated(self.population, self.denominator)
        if missing:
            return without_value(
                self.name, self.population, self.denominator, "%", Status.NOT_DONE, missing
            )
        n_events, n_denominator = context.count_within(self.population, self.denominator)
        rule = context.rule(self.assay, self.population, n_denominator)
        population, whole = context.tree[self.population], context.tree[self.denominator]
        background, n_parent = context.background(population)
        verdict = judge(
            n_events, n_denominator, rule, context.tree, n_parent=n_parent, background=background
        )
        measurement = Measurement(
            name=self.name,
            population=self.population,
            denominator=self.denominator,
            value=None,
            unit="%",
            status=verdict.status,
            n_events=n_events,
            n_denominator=n_denominator,
            flags=tuple(dict.fromkeys((*population.flags, *whole.flags, *verdict.flags))),
            threshold_source=population.placement.source if population.placement else "",
            false_positives_expected=false_positives_expected(population),
        )
        if verdict.status in _NO_VALUE:
            return replace(
                measurement,
                value_reported=report_value(
                    None, verdict.status, interval=None, lod=None, loq=None
                ),
            )
        if not context.is_claimed(self.denominator, self.requires):
            return replace(
                measurement,
                status=Status.INDETERMINATE,
                flags=(*measurement.flags, "POPULATION_NOT_DETECTED"),
                value_reported="indeterminate",
            )
        value = 100.0 * n_events / n_denominator
        lod, loq = (100.0 * events / n_denominator for events in (rule.lod_events, rule.loq_events))
        exact = _times(clopper_pearson(n_events, n_denominator, context.confidence), 100.0)
        expected = _expected_background(context, rule, population, n_denominator)
        interval = Interval(max(0.0, exact.low - 100.0 * expected / n_denominator), exact.high)
        verdict = _not_within_background(verdict, interval)
        measurement = replace(
            measurement,
            status=verdict.status,
            flags=tuple(dict.fromkeys((*measurement.flags, *verdict.flags))),
            interval=interval,
            exact_interval=exact,
            lod=lod,
            loq=loq,
            value_reported=report_value(value, verdict.status, interval=interval, lod=lod, loq=loq),
        )
        # Events that may all belong to another population are no estimate of this one.
        if "INTERFERENCE" in verdict.flags:
            return measurement
        if background is not None:
            # The control's rate is of the gate's parent; here it is of this denominator.
            weight = 100.0 * n_parent / n_denominator
            rate = weight * background.n_events / background.n_parent
            rate_interval = _times(
                clopper_pearson(background.n_events, background.n_parent, context.confidence),
                weight,
            )
            net = difference_of_shares(value, exact, rate, rate_interval)
            measurement = replace(
                measurement, background=rate, value_net=value - rate, net_interval=net
            )
        return replace(
            measurement,
            value=value,
            value_before_qc=(
                100.0 * population.count_unmasked / whole.count_unmasked
                if whole.count_unmasked
                else None
            ),
        )


@dataclass(frozen=True, slots=True)
class Count:
    """Number of events of a population.

    Attributes
    ----------
    assay
        Row of the detection table.
    """

    measure: Literal["count"]
    name: str
    population: str
    assay: str

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that the measurement needs."""
        return (self.population,)

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        missing = context.not_gated(self.population)
        if missing:
            return without_value(self.name, self.population, "", "count", Status.NOT_DONE, missing)
        population = context.tree[self.population]
        background, n_parent = context.background(population)
        rule = context.rule(self.assay, self.population, n_parent)
        # A count needs no denominator; a rule's fewest events guard shares only.
        verdict = judge(
            population.count,
            n_parent,
            replace(rule, least_events={}),
            context.tree,
            n_parent=n_parent,
            background=background,
        )
        empty = verdict.status in _NO_VALUE
        return Measurement(
            name=self.name,
            population=self.population,
            denominator="",
            value=None if empty else float(population.count),
            unit="count",
            status=verdict.status,
            value_before_qc=None if empty else float(population.count_unmasked),
            value_reported=_report_count(population.count, n_parent, verdict.status),
            n_events=population.count,
            lod=float(rule.lod_events),
            loq=float(rule.loq_events),
            flags=tuple(dict.fromkeys((*population.flags, *verdict.flags))),
            threshold_source=population.placement.source if population.placement else "",
            false_positives_expected=false_positives_expected(population),
        )


@dataclass(frozen=True, slots=True)
class Concentration:
    """Cells per microlitre: by counting beads in the tube, else by the blood count.

    Attributes
    ----------
    beads
        Population of singlet beads.
    wbc_population, alc_population
        What the blood count's white cells and lymphocytes are in the gate tree.
    least_beads
        With fewer the result is flagged ``FEW_BEADS``.
    pipetting_cv
        Coefficient of variation of pipetted volumes; widens the interval by counting beads.
    """

    measure: Literal["concentration"]
    name: str
    population: str
    assay: str
    beads: str | None = None
    wbc_population: str | None = None
    alc_population: str | None = None
    least_beads: int = 1000
    pipetting_cv: float = 0.05

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that the measurement needs."""
        named = (self.population, self.beads, self.wbc_population, self.alc_population)
        return tuple(name for name in named if name is not None)

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        basis = self._basis(context)
        missing = context.not_gated(self.population, *(basis[:1] if basis else ()))
        if basis is None or missing:
            why = missing or ("NO_COUNT_BASIS",)
            return without_value(self.name, self.population, "", "cells/uL", Status.NOT_DONE, why)
        denominator, per_event_of_denominator, platform = basis
        population, whole = context.tree[self.population], context.tree[denominator]
        background, n_parent = context.background(population)
        rule = context.rule(self.assay, self.population, n_parent)
        # Fewest cells guard shares only; a negative must have been able to see as little as one of
        # the gate's parent, whatever the cells are counted against.
        verdict = judge(
            population.count,
            n_parent if whole.count else 0,
            replace(rule, least_events={}),
            context.tree,
            n_parent=n_parent,
            background=background,
        )
        few_beads = platform == "single" and whole.count < self.least_beads
        doubts: tuple[str, ...] = ("FEW_BEADS",) if few_beads else ()
        if platform == "dual":
            doubts = context.tube.count_doubts
        flags = [*population.flags, *whole.flags, *verdict.flags, *doubts]
        measurement = Measurement(
            name=self.name,
            population=self.population,
            denominator=denominator,
            value=None,
            unit="cells/uL",
            status=verdict.status,
            n_events=population.count,
            n_denominator=whole.count,
            flags=tuple(dict.fromkeys(flags)),
            platform=platform,
            threshold_source=population.placement.source if population.placement else "",
        )
        if verdict.status in _NO_VALUE:
            return replace(
                measurement,
                value_reported=report_value(
                    None, verdict.status, interval=None, lod=None, loq=None
                ),
            )
        per_event = per_event_of_denominator / whole.count
        value = population.count * per_event
        counted = ratio_of_counts(population.count, whole.count, context.confidence)
        widened = _times(counted, per_event_of_denominator)
        if platform == "single":
            widened = self._widen(value, widened, context.confidence)
        # Blanks are a share of cells, which beads are not.
        cells = self.wbc_population or self.alc_population or population.parent or population.name
        expected = _expected_background(context, rule, population, context.tree[cells].count)
        interval = Interval(max(0.0, widened.low - expected * per_event), widened.high)
        verdict = _not_within_background(verdict, interval)
        lod, loq = rule.lod_events * per_event, rule.loq_events * per_event
        interferes = "INTERFERENCE" in verdict.flags
        return replace(
            measurement,
            status=verdict.status,
            flags=tuple(dict.fromkeys((*flags, *verdict.flags))),
            value=None if interferes else value,
            value_before_qc=(
                None
                if interferes
                else population.count_unmasked / whole.count_unmasked * per_event_of_denominator
            ),
            interval=interval,
            lod=lod,
            loq=loq,
            value_reported=report_value(value, verdict.status, interval=interval, lod=lod, loq=loq),
        )

    def _basis(self, context: MeasureContext) -> tuple[str, float, str] | None:
        """Return the population that is counted against, its cells per µL, and the platform."""
        tube = context.tube
        if self.beads and tube.beads_per_tube and tube.volume_ul:
            return self.beads, tube.beads_per_tube / tube.volume_ul * tube.dilution, "single"
        if self.wbc_population and tube.wbc_10e9_per_l is not None:
            return self.wbc_population, 1000.0 * tube.wbc_10e9_per_l, "dual"
        if self.alc_population and tube.alc_10e9_per_l is not None:
            return self.alc_population, 1000.0 * tube.alc_10e9_per_l, "dual"
        return None

    def _widen(self, value: float, interval: Interval, confidence: float) -> Interval:
        pipetting = float(special.ndtri(0.5 + confidence / 2.0)) * self.pipetting_cv
        if value == 0:
            return Interval(0.0, interval.high * math.exp(pipetting))
        down = math.hypot(math.log(value / interval.low), pipetting)
        up = math.hypot(math.log(interval.high / value), pipetting)
        return Interval(value * math.exp(-down), value * math.exp(up))


def _not_within_background(verdict: Judgement, interval: Interval) -> Judgement:
    """Return the verdict; indeterminate where the interval leaves room for background alone."""
    # What is unconfirmed claims nothing beyond its events.
    claims = (Status.QUANTIFIED, Status.DETECTED_BELOW_LOQ)
    if verdict.status in claims and interval.low <= 0:
        return Judgement(Status.INDETERMINATE, (*verdict.flags, "WITHIN_BACKGROUND"))
    return verdict


def _expected_background(
    context: MeasureContext, rule: DetectionRule, population: Population, n_cells: int
) -> float:
    """Return how many events in a gate background may account for.

    The exact interval is of what lies in the gate. True cells may be as few as if all the
    background that blanks, other populations and the control lead one to expect were there; as in
    the test against background, the control's rate may be larger in this run.

    Parameters
    ----------
    n_cells
        What the blanks' share is of.
    """
    expected = rule.blank_percent / 100.0 * n_cells + interfering_events(rule, context.tree)
    background, n_parent = context.background(population)
    if background is None and rule.needs_control:
        # Nothing is known of the background, so all of the gate may be.
        return float(population.count)
    if background is not None:
        rate = clopper_pearson(background.n_events, background.n_parent, context.confidence)
        expected += rule.background_factor * rate.high * n_parent
    return expected


def _report_count(n_events: int, n_parent: int, status: Status) -> str:
    if n_parent == 0:
        return "insufficient cells"
    if n_events == 0:
        return f"0 of {n_parent}"
    doubt = {
        Status.NOT_DETECTED: " (not above background)",
        Status.INDETERMINATE: " (indeterminate)",
        Status.DETECTED_UNCONFIRMED: " (unconfirmed)",
    }
    return f"{n_events}{doubt.get(status, '')}"


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.high * factor)
