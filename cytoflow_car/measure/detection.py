"""From a count to a status: what may be claimed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from cytoflow_car.measure.intervals import exceeds_control, exceeds_expected
from cytoflow_car.model.gate import Background, FalsePositives
from cytoflow_car.model.measurement import Status
from cytoflow_car.model.population import Population, PopulationTree

#: Statuses that say that the population is there.
CLAIMS = (Status.QUANTIFIED, Status.DETECTED_BELOW_LOQ, Status.DETECTED_UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class DetectionRule:
    """One row of a template's detection table.

    Attributes
    ----------
    assay
        Name by which measurements refer to it.
    lod_events, loq_events
        Fewest events that are detected, and that are quantified.
    least_events
        Fewest events of a population (by name) without which no share is given.
    negative_lod_percent
        A negative needs a limit of detection at least as low; None where any will do.
    alpha
        Level of the one-sided tests against background.
    background_factor
        A control's rate is multiplied by this before the test, since it varies between runs.
    blank_percent
        Share of the denominator that blanks reach (limit of blank); 0 where none was measured.
    needs_control
        Without any control nothing is called detected, without one that confirms nothing is called
        quantified.
    confirming_controls
        Kinds of control that confirm.
    interfering
        Population name to the percent of its events that end up in the measured gate.
    blank_events
        Limit of blank in events: no more than these are told from nothing.
    call_as
        What is called (``Blasts``), where the result is a call of residual disease; empty for none.
    suspect_events
        From so many events up to the limit of detection a call is SUSPECT.
    """

    assay: str
    lod_events: int
    loq_events: int
    least_events: Mapping[str, int] = field(default_factory=dict)
    negative_lod_percent: float | None = None
    alpha: float = 0.01
    background_factor: float = 2.0
    blank_percent: float = 0.0
    needs_control: bool = False
    confirming_controls: tuple[str, ...] = ("pre_infusion", "untransduced")
    interfering: Mapping[str, float] = field(default_factory=dict)
    blank_events: float = 0.0
    call_as: str = ""
    suspect_events: int = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """A status and the flags that explain it."""

    status: Status
    flags: tuple[str, ...] = ()


def judge(
    n_events: int,
    n_denominator: int,
    rule: DetectionRule,
    tree: PopulationTree,
    *,
    n_parent: int,
    background: Background | None,
) -> Judgement:
    """Say what a count of events supports.

    Parameters
    ----------
    n_events, n_denominator
        The measured count and its denominator, without events that quality control marked.
    rule
        The assay's limits.
    tree
        For the fewest events of other populations, and those that interfere.
    n_parent
        Events of the gate's own parent, which the control's rate refers to.
    background
        What the control has in the gate; None without one.
    """
    if n_denominator == 0:
        return Judgement(Status.EMPTY_PARENT)
    few = [name for name, least in rule.least_events.items() if tree[name].count < least]
    if few:
        return Judgement(Status.INSUFFICIENT, tuple(f"FEW_{name}" for name in few))
    seen = n_events > rule.blank_events
    if rule.blank_percent:
        expected = rule.blank_percent / 100.0 * n_denominator
        seen = seen and exceeds_expected(n_events, expected) < rule.alpha
    if seen and background is not None:
        chance = exceeds_control(
            n_events, n_parent, background.n_events, background.n_parent, rule.background_factor
        )
        seen = chance < rule.alpha
    if seen and exceeds_expected(n_events, interfering_events(rule, tree)) >= rule.alpha:
        return Judgement(Status.INDETERMINATE, ("INTERFERENCE",))
    if not seen:
        lod_percent = 100.0 * rule.lod_events / n_denominator
        if rule.negative_lod_percent is not None and lod_percent > rule.negative_lod_percent:
            return Judgement(Status.INDETERMINATE, ("LOD_TOO_HIGH",))
        if background is not None and _is_above_far(background, rule):
            return Judgement(Status.INDETERMINATE, ("BRIGHT_EVENTS",))
        return Judgement(Status.NOT_DETECTED)
    if rule.needs_control and background is None:
        # However many there are, nothing tells them from background.
        return Judgement(Status.INDETERMINATE, ("BACKGROUND_UNKNOWN",))
    if n_events < rule.lod_events:
        return Judgement(Status.DETECTED_BELOW_LOD)
    confirmed = background is not None and background.kind in rule.confirming_controls
    if rule.needs_control and not confirmed:
        return Judgement(Status.DETECTED_UNCONFIRMED)
    if n_events < rule.loq_events:
        return Judgement(Status.DETECTED_BELOW_LOQ)
    return Judgement(Status.QUANTIFIED)


def _is_above_far(background: Background, rule: DetectionRule) -> bool:
    """Tell whether there is more far beyond the cut than the control has.

    Few positive cells are lost among a background that may have doubled since the control, but
    they are brighter than it. What doubles it at the cut brings hardly any of it there, so that the
    control's rate is taken as it is.
    """
    far = background.beyond
    if far is None:
        return False
    return (
        exceeds_control(far.n_events, far.n_parent, far.n_control, background.n_parent, 1.0)
        < rule.alpha
    )


def rule_of_placement(
    rule: DetectionRule, population: Population, tree: PopulationTree, n_denominator: int
) -> DetectionRule:
    """Return the rule as it holds for one specimen.

    Where the method that found the population measured its own false positives, they take the
    place of the template's blank; where it did so for a population that interferes, its leak takes
    the place of the template's.
    """
    interfering = {
        name: 100.0 * found.leaked if (found := _limits(tree[name])) is not None else percent
        for name, percent in rule.interfering.items()
    }
    rule = replace(rule, interfering=interfering)
    own = _limits(population)
    if own is None:
        return rule
    lod_events = max(rule.lod_events, ceil(own.lod))
    return replace(
        rule,
        lod_events=lod_events,
        loq_events=max(rule.loq_events, lod_events),
        blank_events=own.blank,
        blank_percent=100.0 * own.expected / n_denominator if n_denominator else 0.0,
        interfering={},
    )


def false_positives_expected(population: Population) -> float | None:
    """Return how many of a population's events its method expects to be false; None if unknown."""
    own = _limits(population)
    return None if own is None else own.expected


def _limits(population: Population) -> FalsePositives | None:
    return population.placement.false_positives if population.placement is not None else None


def interfering_events(rule: DetectionRule, tree: PopulationTree) -> float:
    """Return how many events of other populations are expected in the measured gate."""
    return sum(percent / 100.0 * tree[name].count for name, percent in rule.interfering.items())
