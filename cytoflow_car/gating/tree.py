"""Gate one specimen: place each gate on its parent's events and list who lies inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import GateError
from cytoflow_car.gating.confidence import confidence_of
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.gating.membership import is_large_share, members, quadrant_signs
from cytoflow_car.gating.methods import AnyGateMethod, cuts_of
from cytoflow_car.gating.placing import ControlSummary, Parent, References
from cytoflow_car.gating.shapes import Boolean, FixedEllipsoid, FixedPolygon
from cytoflow_car.gating.summaries import summarise_control
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.training import TrainingDensity, group_training
from cytoflow_car.model.clusters import ClusterLabels
from cytoflow_car.model.events import Rows
from cytoflow_car.model.gate import (
    BooleanGate,
    ClusterGate,
    Gate,
    Placement,
    QuadrantGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import ROOT, Population, PopulationTree

#: Where so many gates look at the same events, and these are so few of all, they are copied first.
_GATES_WORTH_A_COPY, _SHARE_WORTH_A_COPY = 3, 0.5
#: Markers of this gate and the next that are estimated in one pass over all events.
_MARKERS_AHEAD = 6


@dataclass(frozen=True, slots=True)
class PopulationRule:
    """One step of a gating template.

    Attributes
    ----------
    parent
        Name of the parent population, or ``root``.
    gate
        The placement method with its parameters.
    name
        The population; empty for a quadrant, whose populations are named in `quadrants`.
    quadrants
        Population name to sign pattern (``{"CD4": "+-"}``); patterns left out are not kept.
    description
        What a reader should know of it.
    placed_for
        Whose events the gate is placed on: this specimen's, or those of all specimens of its batch
        or patient together, once for all of them.
    review
        Whether an unsure gate sends the specimen to review; False for a population that only
        serves others, which few wrong events do not harm.
    agreement
        Mean F1 with the drawn gate that the method reached in learning; None where nothing was
        learned. No placement is surer, and a gate that stays where it was drawn is as sure.
    """

    parent: str
    gate: AnyGateMethod
    name: str = ""
    quadrants: Mapping[str, str] | None = None
    description: str = ""
    placed_for: Literal["specimen", "batch", "patient"] = "specimen"
    review: bool = True
    agreement: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The populations that this step makes."""
        return tuple(self.quadrants) if self.quadrants else (self.name,)


@dataclass(frozen=True, slots=True)
class Override:
    """A gate that a reviewer moved.

    Attributes
    ----------
    population
        Any population of the gate (one of the four of a quadrant moves all).
    gate
        Its new geometry.
    who, why, at
        Name, reason, and time of the change.
    """

    population: str
    gate: Gate
    who: str
    why: str
    at: str


def gate_events(
    prepared: PreparedEvents,
    rules: tuple[PopulationRule, ...],
    kept: npt.NDArray[np.bool_],
    *,
    controls: tuple[ControlSummary, ...] = (),
    overrides: tuple[Override, ...] = (),
    placed: Mapping[str, Placement] | None = None,
    training: tuple[TrainingDensity, ...] = (),
    doubts: tuple[str, ...] = (),
    clusters: ClusterLabels | None = None,
    clusters_missing: str = "",
) -> PopulationTree:
    """Gate all events of a specimen by the rules of a template.

    Parameters
    ----------
    prepared
        Events with markers and scales.
    rules
        Parents before children.
    kept
        (n_events,) bool, False where quality control marked the event. Gates are placed on kept
        events; membership is told for all.
    controls
        Summaries of the specimen's controls.
    overrides
        Moved gates; they replace the placement, not the rule.
    placed
        Placements that were made before, for a batch or a patient, by population; they are taken
        instead of placing on this specimen.
    training
        What the hand-gated files of a learned template looked like.
    doubts
        Flags of the whole specimen, which every population inherits.
    clusters, clusters_missing
        Labels of the events, for gates by label; or the flag that says why there are none. Every
        label that some event has becomes a population beneath the one that was clustered.

    Returns
    -------
    A tree with every population of the rules. A population that could not be gated has no events,
    no placement, and a flag that says why: ``EMPTY_PARENT``, ``MARKER_MISSING`` or ``NOT_GATED``.
    """
    rows = np.arange(len(prepared), dtype=np.intp)
    root = Population(ROOT, ROOT, None, rows, int(np.count_nonzero(kept)), None, doubts)
    done: dict[str, Population] = {ROOT: root}
    placements: dict[str, Placement] = {}
    kept_rows: dict[str, Rows] = {}
    moved = {override.population: override for override in overrides}
    trained = group_training(training)
    members_of = _Members(prepared, rules)
    for rule in rules:
        above = done[rule.parent]
        why_not = _why_not(rule, above, prepared, done)
        if why_not:
            _add(done, rule, dict.fromkeys(rule.names, _NO_ROWS), kept, None, (why_not,))
            continue
        for name in done.keys() - kept_rows.keys():
            kept_rows[name] = done[name].kept_rows(kept)
        parent = Parent(above.name, prepared, kept_rows[above.name])
        references = References(
            controls, placements, kept_rows, trained, clusters, clusters_missing
        )
        override = next((moved[name] for name in rule.names if name in moved), None)
        if override is not None:
            placement = _overridden(rule, override, parent, references)
        elif placed is not None and rule.names[0] in placed:
            placement = placed[rule.names[0]]
        else:
            try:
                placement = rule.gate.place(parent, references)
            except GateError as error:
                # The other branches of the tree still count, so one gate does not end the specimen.
                why_not = f"NOT_GATED:{str(error).replace(';', ',')}"
                _add(done, rule, dict.fromkeys(rule.names, _NO_ROWS), kept, None, (why_not,))
                continue
        if placement.method != "override":
            placement = replace(_as_learned(rule, placement), reviewed=rule.review)
        for name in rule.names:
            placements[name] = placement
        inside = _rows_inside(rule, placement.gate, members_of, above, done, clusters)
        _add(done, rule, inside, kept, placement, ())
    if clusters is not None and clusters.parent in done:
        _add_labels(done, clusters, kept)
    return PopulationTree(tuple(done.values()), kept)


def summarise_controls(
    tree: PopulationTree,
    prepared: PreparedEvents,
    rules: tuple[PopulationRule, ...],
    *,
    kind: str,
    sample_id: str,
    file_sha256: str,
) -> tuple[ControlSummary, ...]:
    """Summarise a gated control for every gate of the rules that is placed by a control.

    Parameters
    ----------
    tree, prepared
        The control, gated by the same rules.
    kind, sample_id, file_sha256
        What it is, as in `ControlSummary`.
    """
    summaries = []
    for rule in rules:
        for method in control_cuts(rule):
            if rule.parent not in tree:
                continue
            rows = tree.kept_rows(rule.parent)
            if rows.size and method.marker in prepared.columns:
                values = prepared.values(method.marker, rows)
                summaries.append(
                    summarise_control(
                        rule.parent, method.marker, kind, sample_id, values, file_sha256
                    )
                )
    return tuple(summaries)


def control_cuts(rule: PopulationRule) -> tuple[ControlCut, ...]:
    """Return the cuts of a rule that a control places."""
    return tuple(cut for cut in cuts_of(rule.gate) if isinstance(cut, ControlCut))


_NO_ROWS: Rows = np.empty(0, dtype=np.intp)


def _why_not(
    rule: PopulationRule,
    above: Population,
    prepared: PreparedEvents,
    done: Mapping[str, Population],
) -> str:
    """Return the flag of a population that cannot be gated; empty where it can."""
    # A combination is only known where each of its populations is: without blasts gated, "not
    # blasts" is not everybody.
    used = rule.gate.populations if isinstance(rule.gate, Boolean) else ()
    for population in (above, *(done[name.removeprefix("!")] for name in used)):
        for flag in population.flags:
            if flag.startswith(("MARKER_MISSING", "NOT_GATED")):
                return flag
    missing = [marker for marker in rule.gate.markers if marker not in prepared.columns]
    if missing:
        return f"MARKER_MISSING:{','.join(missing)}"
    if above.count == 0:
        return "EMPTY_PARENT"
    if isinstance(rule.gate, Labelled) and rule.gate.otherwise:
        for flag in done[rule.gate.otherwise].flags:
            if flag.startswith(("MARKER_MISSING", "NOT_GATED")):
                return flag
    if rule.gate.method == "reference" and done[rule.gate.population].placement is None:
        return "NOT_GATED"
    return ""


def _as_learned(rule: PopulationRule, placement: Placement) -> Placement:
    """Let a learned gate be no surer than learning found it."""
    if rule.agreement is None:
        return placement
    learned = confidence_of(rule.agreement)
    cuts = cuts_of(rule.gate) or (rule.gate,)
    stays = all(isinstance(cut, Fixed | FixedPolygon | FixedEllipsoid) for cut in cuts)
    return replace(placement, confidence=learned if stays else min(placement.confidence, learned))


def _overridden(
    rule: PopulationRule, override: Override, parent: Parent, references: References
) -> Placement:
    is_quadrant = isinstance(override.gate, QuadrantGate)
    if is_quadrant != (rule.quadrants is not None):
        raise GateError(
            f"{type(override.gate).__name__} for {override.population!r}",
            where="overrides.csv",
            expected="a QuadrantGate" if rule.quadrants else "a gate with an inside",
        )
    _refuse_other_markers(rule, override, parent, references)
    placement = Placement(
        override.gate, "override", 1.0, f"moved by {override.who}: {override.why}"
    )
    if isinstance(rule.gate, InternalCut | ControlCut):
        background = rule.gate.background(parent, references, override.gate)
        placement = replace(placement, background=background)
    if isinstance(rule.gate, ControlCut):
        control = rule.gate.choose(parent.name, references)
        placement = replace(
            placement,
            source=f"override, control {control.sample_id}" if control else "override, no control",
            flags=() if control else ("NO_CONTROL",),
        )
    return placement


def _refuse_other_markers(
    rule: PopulationRule, override: Override, parent: Parent, references: References
) -> None:
    """Refuse a moved gate that cannot be applied, or that would swap a quadrant's populations."""
    known = parent.prepared.columns
    if isinstance(override.gate, ClusterGate):
        unknown = list(override.gate.labels)
    elif isinstance(override.gate, BooleanGate):
        unknown = [
            name for name in override.gate.operands if name.removeprefix("!") not in references.rows
        ]
    else:
        unknown = [item.marker for item in override.gate.dimensions if item.marker not in known]
    if unknown:
        raise GateError(
            f"{', '.join(unknown)} in the gate of {override.population!r}",
            where="overrides.csv",
            expected="markers of the file, or populations gated before",
        )
    if isinstance(override.gate, QuadrantGate):
        found = tuple(item.marker for item in override.gate.dimensions)
        if found != rule.gate.markers:
            raise GateError(
                f"dividers on {', '.join(found)} for {override.population!r}",
                where="overrides.csv",
                expected=f"on {', '.join(rule.gate.markers)}, in this order",
            )


class _Members:
    """Tells who lies in a gate; events that several gates look at are copied once."""

    def __init__(self, prepared: PreparedEvents, rules: tuple[PopulationRule, ...]) -> None:
        self._prepared = prepared
        self._rules = rules
        self._n_gates = Counter(rule.parent for rule in rules if not isinstance(rule.gate, Boolean))
        self._copied: dict[str, PreparedEvents] = {}

    def __len__(self) -> int:
        return len(self._prepared)

    def look_at(self, above: Population, rule: PopulationRule) -> tuple[PreparedEvents, Rows]:
        """Return where a population's events stand, and their rows there."""
        few = 0 < above.rows.size <= _SHARE_WORTH_A_COPY * len(self._prepared)
        if self._n_gates[above.name] < _GATES_WORTH_A_COPY or not few:
            if is_large_share(above.rows, self._prepared):
                self._estimate_ahead(rule)
            return self._prepared, above.rows
        if above.name not in self._copied:
            self._copied[above.name] = self._copy(above)
        return self._copied[above.name], np.arange(above.rows.size, dtype=np.intp)

    def _copy(self, above: Population) -> PreparedEvents:
        """Copy a population's events; where they are many, estimate what its gates look at."""
        copied = self._prepared.take(above.rows)
        if not is_large_share(np.arange(above.rows.size), copied):
            return copied
        return copied.with_estimates(
            [
                marker
                for rule in self._rules
                if rule.parent == above.name
                for marker in rule.gate.markers
                if marker in copied.columns
            ]
        )

    def _estimate_ahead(self, rule: PopulationRule) -> None:
        """Estimate what this gate looks at, and the next ones, in one pass over all events."""
        known = self._prepared.columns
        if all(known[marker] in self._prepared.estimates for marker in rule.gate.markers):
            return
        coming = self._rules[self._rules.index(rule) :]
        markers = dict.fromkeys(
            marker for item in coming for marker in item.gate.markers if marker in known
        )
        n_wanted = max(_MARKERS_AHEAD, len(set(rule.gate.markers)))
        self._prepared = self._prepared.with_estimates(list(markers)[:n_wanted])


def _rows_inside(
    rule: PopulationRule,
    gate: Gate,
    members_of: _Members,
    above: Population,
    done: Mapping[str, Population],
    clusters: ClusterLabels | None,
) -> dict[str, Rows]:
    rows = above.rows
    match gate:
        case QuadrantGate():
            signs = quadrant_signs(gate, *members_of.look_at(above, rule))
            assert rule.quadrants is not None
            return {name: rows[signs[pattern]] for name, pattern in rule.quadrants.items()}
        case BooleanGate():
            return {rule.name: rows[_combine(gate, rows, len(members_of), done)]}
        case ClusterGate():
            assert clusters is not None
            return {rule.name: np.intersect1d(rows, clusters.rows(gate.labels), assume_unique=True)}
        case _:
            # Several times as fast as indexing by the mask.
            return {rule.name: rows.compress(members(gate, *members_of.look_at(above, rule)))}


def _add_labels(
    done: dict[str, Population], clusters: ClusterLabels, kept: npt.NDArray[np.bool_]
) -> None:
    """Add every label as a population beneath the one that was clustered."""
    for label in clusters.names:
        if label in clusters.missing:
            continue
        placement = Placement(
            ClusterGate((label,)),
            "cluster",
            clusters.confidence[label],
            clusters.reason,
            source=clusters.source,
            flags=clusters.flags,
            false_positives=clusters.false_positives.get(label),
        )
        rule = PopulationRule(
            clusters.parent, Labelled("cluster", (label,)), name=label_population(label)
        )
        _add(done, rule, {rule.name: clusters.rows((label,))}, kept, placement, ())


def label_population(label: str) -> str:
    """Return the name of the population that holds the events of a label."""
    return f"label: {label}"


def _combine(
    gate: BooleanGate, rows: Rows, n_events: int, done: Mapping[str, Population]
) -> npt.NDArray[np.bool_]:
    masks = []
    for operand in gate.operands:
        inside = np.zeros(n_events, dtype=bool)
        inside[done[operand.removeprefix("!")].rows] = True
        masks.append(inside[rows] ^ operand.startswith("!"))
    if gate.operation == "not":
        return ~masks[0]
    combine = np.logical_and if gate.operation == "and" else np.logical_or
    return np.asarray(combine.reduce(masks), dtype=bool)


def _add(
    done: dict[str, Population],
    rule: PopulationRule,
    inside: Mapping[str, Rows],
    kept: npt.NDArray[np.bool_],
    placement: Placement | None,
    flags: tuple[str, ...],
) -> None:
    above = done[rule.parent]
    own = placement.flags if placement is not None else ()
    for name in rule.names:
        rows = inside[name]
        done[name] = Population(
            name=name,
            path=f"{above.path}/{name}",
            parent=above.name,
            rows=rows,
            count=int(np.count_nonzero(kept[rows])),
            placement=placement,
            flags=tuple(dict.fromkeys((*above.flags, *own, *flags))),
        )
