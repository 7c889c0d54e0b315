"""Gates that are placed once for several specimens: of a batch, or of a patient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.gating.methods import AnyGateMethod, cuts_of
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.ratio import Ratio
from cytoflow_car.gating.shapes import Boolean, Reference
from cytoflow_car.gating.training import TrainingDensity, group_training
from cytoflow_car.gating.tree import PopulationRule, control_cuts
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Values
from cytoflow_car.model.gate import Placement
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.scale import Scale

#: A specimen gives no more events than this, so that none outweighs the others.
MOST_EVENTS_A_SPECIMEN = 5000


@dataclass(frozen=True, slots=True, eq=False)
class ParentSample:
    """Some events of a specimen's population, for a gate that is placed for its group.

    Attributes
    ----------
    sample_id
        The specimen.
    population
        First population of the rule whose gate is placed.
    values
        (n, n_markers) float64, n >= 1: events of the rule's parent in data units, evenly spaced in
        acquisition order.
    markers, channels, scales
        One a column.
    n_events
        Events of the parent, of which `values` holds a part.
    """

    sample_id: str
    population: str
    values: Values
    markers: tuple[str, ...]
    channels: tuple[Channel, ...]
    scales: tuple[Scale, ...]
    n_events: int


def gates_used(gate: AnyGateMethod) -> tuple[str, ...]:
    """Return the populations whose gates a gate repeats or combines."""
    match gate:
        case Reference():
            return (gate.population,)
        case Boolean():
            return gate.populations
        case Labelled() if gate.otherwise:
            return (gate.otherwise,)
        case _:
            return ()


def populations_used(gate: AnyGateMethod) -> tuple[str, ...]:
    """Return the populations that a gate leans on beside its parent."""
    if isinstance(gate, Ratio):
        return (gate.relative_to,)
    negatives = (cut.negative for cut in cuts_of(gate) if isinstance(cut, InternalCut))
    return (*gates_used(gate), *negatives)


def rules_above(
    rule: PopulationRule, rules: tuple[PopulationRule, ...]
) -> tuple[PopulationRule, ...]:
    """Return the rules without which a rule's parent is not gated, parents before children."""
    by_name = {name: item for item in rules for name in item.names}
    waiting, needed = [rule.parent], set[str]()
    while waiting:
        above = by_name.get(waiting.pop())
        if above is not None and above.names[0] not in needed:
            needed.add(above.names[0])
            used = (name.removeprefix("!") for name in populations_used(above.gate))
            waiting.extend((above.parent, *used))
    return tuple(item for item in rules if item.names[0] in needed)


def sharing_rounds(rules: tuple[PopulationRule, ...]) -> tuple[tuple[PopulationRule, ...], ...]:
    """Return the rules that are placed for a group: those above others in an earlier round."""
    depth: dict[str, int] = {}
    for rule in rules:
        if rule.placed_for != "specimen":
            above = (depth.get(item.names[0], -1) for item in rules_above(rule, rules))
            depth[rule.names[0]] = 1 + max(above, default=-1)
    return tuple(
        tuple(rule for rule in rules if depth.get(rule.names[0]) == number)
        for number in range(1 + max(depth.values(), default=-1))
    )


def why_not_shared(rule: PopulationRule, rules: tuple[PopulationRule, ...]) -> str:
    """Return why a gate cannot be placed for a group of specimens; empty where it can.

    A gate that rests on more of the specimen's own tube than the parent cannot: on a control, on
    another population, or on other gates.
    """
    if rule.placed_for == "specimen":
        return ""
    for part in (rule.gate, *cuts_of(rule.gate)):
        if isinstance(part, Reference | Boolean | Ratio | ControlCut | InternalCut | Labelled):
            return f"placed_for {rule.placed_for} is not possible for method {part.method}"
    for above in rules_above(rule, rules):
        if control_cuts(above):
            return (
                f"placed_for {rule.placed_for} is not possible beneath {above.names[0]!r}, whose "
                "gate is placed by a control"
            )
    return ""


def sample_parent(
    rule: PopulationRule, sample_id: str, tree: PopulationTree, prepared: PreparedEvents
) -> ParentSample | None:
    """Take evenly spaced events of a rule's parent; None where it has none, or lacks a marker."""
    rows = tree.kept_rows(rule.parent)
    markers = tuple(dict.fromkeys(rule.gate.markers))
    if not rows.size or any(marker not in prepared.columns for marker in markers):
        return None
    n_taken = min(int(rows.size), MOST_EVENTS_A_SPECIMEN)
    taken = rows[np.arange(n_taken) * rows.size // n_taken]
    return ParentSample(
        sample_id,
        rule.names[0],
        np.column_stack([prepared.values(marker, taken) for marker in markers]),
        markers,
        tuple(prepared.events.channels[prepared.columns[marker]] for marker in markers),
        tuple(prepared.scales[marker] for marker in markers),
        int(rows.size),
    )


def place_shared(
    rule: PopulationRule,
    samples: Iterable[ParentSample],
    group: str,
    training: tuple[TrainingDensity, ...] = (),
) -> Placement:
    """Place a gate once on the events of several specimens together.

    Every event counts once, so a specimen weighs as much as it has events, up to
    `MOST_EVENTS_A_SPECIMEN`. Edges are straight on the scales of the specimen with most events of
    the parent. The order of `samples` does not matter.

    Parameters
    ----------
    samples
        At least one.
    group
        What they share, in words (``"batch B7"``), for the reason.
    training
        As in `gating.tree.gate_events`.

    Raises
    ------
    GateError
        The method cannot place a gate on these events.
    """
    ordered = sorted(samples, key=lambda sample: sample.sample_id)
    most = max(ordered, key=lambda sample: sample.n_events)
    values = np.concatenate([sample.values for sample in ordered])
    values.setflags(write=False)
    prepared = PreparedEvents(
        CompensatedEvents(Events(values, most.channels), np.eye(len(most.markers))),
        {marker: column for column, marker in enumerate(most.markers)},
        dict(zip(most.markers, most.scales, strict=True)),
    )
    rows = np.arange(len(values), dtype=np.intp)
    references = References(rows={rule.parent: rows}, training=group_training(training))
    placement = rule.gate.place(Parent(rule.parent, prepared, rows), references)
    specimens = f"{len(ordered)} specimen{'s' if len(ordered) > 1 else ''}"
    return replace(
        placement,
        reason=f"placed on {len(values)} events of {specimens} of {group}, scales of "
        f"{most.sample_id}: {placement.reason}",
    )
