"""Compare the gates of one specimen with a person's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import StudyError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.gate_evaluation import evaluate_gates, evaluate_within
from cytoflow_car.interop.gate_set import GateSet, Path, split_path
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.model.events import Rows, Sample
from cytoflow_car.model.gate import BooleanGate
from cytoflow_car.model.population import ROOT
from cytoflow_car.study.population_matching import Match, match_populations
from cytoflow_car.study.reference_reading import (
    GivenPercents,
    Labels,
    Reference,
    denominators,
)
from cytoflow_car.study.results_reading import Analysed, FcsFinder
from cytoflow_car.tables.agreement import PopulationAgreement, f1_score, percent

Mask = npt.NDArray[np.bool_]
Masks = Mapping[Path, Mask]


def compare_specimen(
    item: Analysed,
    name: str,
    hand: Reference,
    given: Mapping[str, Sequence[str]],
    finder: FcsFinder,
) -> tuple[list[PopulationAgreement], set[Path]]:
    """Compare one specimen under one template.

    Parameters
    ----------
    name
        What the reference calls the sample; empty where its gates are for all.
    given
        Pairs that were given, by our name.

    Returns
    -------
    A row a population that both sides have, and the person's populations that were used.

    Raises
    ------
    StudyError
        Without the FCS file or its gates, or where they are not those of the run.
    """
    if name in hand.percents:
        return _compare_percents(item, hand.percents[name], given)
    if not item.gatingml.is_file():
        raise StudyError(
            f"no {item.gatingml.name} in gatingml/", advice="Run again with this version"
        )
    ours_set = read_gatingml(item.gatingml)
    sample = read_fcs(finder.find(item.file), item.file.dataset)
    ours = _with_empty(item, evaluate_gates(ours_set, sample), len(sample.events))
    _refuse_other_counts(item, ours)
    if name in hand.labels:
        labels = hand.labels[name]
        if labels.size != len(sample.events):
            raise StudyError(
                f"{labels.size} labels", expected=f"one for each of {len(sample.events)} events"
            )
        matches = match_populations(item.paths, hand.populations, given)
        rows = list(_compare_labels(item, matches, ours, labels))
    else:
        theirs_set = hand.for_all if hand.for_all is not None else hand.gates[name]
        theirs = evaluate_gates(theirs_set, sample)
        populations = [gate.path for gate in theirs_set.gates if not gate.part]
        matches = match_populations(item.paths, populations, given)
        rows = list(_compare_gates(item, matches, ours, theirs, ours_set, sample))
    return rows, {path for match in matches for path in match.theirs}


def _with_empty(item: Analysed, ours: Masks, n_events: int) -> Masks:
    """Add populations without events, whose gate may not have been placed for want of them."""
    empty = [path for path in item.paths if path not in ours]
    return {
        **ours,
        **{
            path: np.zeros(n_events, dtype=bool)
            for path in empty
            if not item.populations[path].count_before_qc
        },
    }


def _refuse_other_counts(item: Analysed, ours: Masks) -> None:
    """Refuse gates that do not give the counts of the run, so that nothing else is compared."""
    for path, population in item.populations.items():
        if path and (path not in ours or ours[path].sum() != population.count_before_qc):
            found = ours[path].sum() if path in ours else "no"
            raise StudyError(
                f"{found} events in {path[-1]}",
                expected=f"{population.count_before_qc}, as the run counted",
                advice="Files that were joined (use = append) cannot be compared by event",
            )


def _compare_labels(
    item: Analysed, matches: Sequence[Match], ours: Masks, labels: Labels
) -> Iterator[PopulationAgreement]:
    for match in matches:
        theirs = np.isin(labels, [path[0] for path in match.theirs])
        yield _row(
            item,
            match,
            ours[match.ours],
            theirs,
            above=(),
            n_above=(labels.size, labels.size),
            f1_within=None,
        )


def _compare_gates(
    item: Analysed,
    matches: Sequence[Match],
    ours: Masks,
    theirs: Masks,
    ours_set: GateSet,
    sample: Sample,
) -> Iterator[PopulationAgreement]:
    by_theirs = {match.theirs[0]: match.ours for match in matches}
    n_events = len(sample.events)
    for match in matches:
        path = match.theirs[0]
        above_ours, above_theirs = _shared_above(match.ours, path, by_theirs)
        parent = theirs[above_theirs] if above_theirs else np.ones(n_events, dtype=bool)
        rows = np.flatnonzero(parent)
        inside = _gate_within(ours_set, sample, match.ours, len(above_ours), rows)
        f1_within = None
        if inside is not None:
            n_theirs = int(theirs[path].sum())
            f1_within = f1_score(inside.size, n_theirs, int(theirs[path][inside].sum()))
        yield _row(
            item,
            match,
            ours[match.ours],
            theirs[path],
            above=above_ours,
            n_above=(
                int(ours[above_ours].sum()) if above_ours else n_events,
                rows.size,
            ),
            f1_within=f1_within,
        )


def _shared_above(ours: Path, theirs: Path, by_theirs: Mapping[Path, Path]) -> tuple[Path, Path]:
    """Return the nearest population above both that both sides have; empty paths for the root."""
    for depth in range(len(theirs) - 1, 0, -1):
        above = by_theirs.get(theirs[:depth])
        if above is not None and len(above) < len(ours) and ours[: len(above)] == above:
            return above, theirs[:depth]
    return (), ()


def _gate_within(
    gate_set: GateSet, sample: Sample, path: Path, depth: int, rows: Rows
) -> Rows | None:
    """Return those of `rows` that lie in the gates of `path` below `depth`.

    None where one of the gates was not placed.
    """
    placed = {item.path for item in gate_set.gates}
    if path not in placed:
        return None
    for end in range(depth + 1, len(path) + 1):
        rows = rows[_find_within(gate_set, sample, path[:end], rows)]
    return rows


def _find_within(gate_set: GateSet, sample: Sample, path: Path, rows: Rows) -> Mask:
    """Tell which of given events lie in one gate, whatever its parent holds.

    A boolean gate of its own siblings is judged on those events, too; one that combines other
    branches takes their events as they are.
    """
    item = next(gate for gate in gate_set.gates if gate.path == path)
    gate = item.gate
    if not isinstance(gate, BooleanGate):
        return evaluate_within(gate_set, sample, path, rows)
    operands = [split_path(operand.removeprefix("!")) for operand in gate.operands]
    if any(operand[:-1] != item.parent for operand in operands):
        return evaluate_within(gate_set, sample, path, rows)
    masks = [
        _find_within(gate_set, sample, operand, rows) ^ text.startswith("!")
        for operand, text in zip(operands, gate.operands, strict=True)
    ]
    if gate.operation == "not":
        inside = ~masks[0]
    else:
        combine = np.logical_and if gate.operation == "and" else np.logical_or
        inside = np.asarray(combine.reduce(masks), dtype=bool)
    return inside ^ item.complement


def _row(
    item: Analysed,
    match: Match,
    ours: Mask,
    theirs: Mask,
    *,
    above: Path,
    n_above: tuple[int, int],
    f1_within: float | None,
) -> PopulationAgreement:
    n_ours, n_theirs = int(ours.sum()), int(theirs.sum())
    n_both = int((ours & theirs).sum())
    return PopulationAgreement(
        sample_id=item.sample_id,
        template=item.template,
        population=match.ours[-1],
        reference=" + ".join("/".join(path) for path in match.theirs),
        n_ours=n_ours,
        n_theirs=n_theirs,
        n_both=n_both,
        f1=f1_score(n_ours, n_theirs, n_both),
        f1_within=f1_within,
        denominator=above[-1] if above else ROOT,
        percent_ours=percent(n_ours, n_above[0]),
        percent_theirs=percent(n_theirs, n_above[1]),
        review=_flagged(item, match.ours, above),
    )


def _flagged(item: Analysed, path: Path, above: Path) -> bool:
    """Tell whether a gate on the way from `above` to `path` was flagged for review."""
    begin = len(above) if path[: len(above)] == above else 0
    ways = (path[:end] for end in range(begin + 1, len(path) + 1))
    return any(item.populations[way].review for way in ways)


def _compare_percents(
    item: Analysed, given_percents: GivenPercents, given: Mapping[str, Sequence[str]]
) -> tuple[list[PopulationAgreement], set[Path]]:
    theirs = dict.fromkeys([*given_percents, *denominators(given_percents)])
    matches = match_populations(item.paths, theirs, given)
    ours_of = {path: match.ours for match in matches for path in match.theirs}
    rows = []
    for match in matches:
        path = match.theirs[0]
        if path not in given_percents:
            continue
        value = given_percents[path]
        above = match.ours[:-1]
        if value.denominator.casefold() == ROOT:
            above = ()
        elif value.denominator:
            of = tuple(value.denominator.split("/"))
            if of not in ours_of:
                raise StudyError(
                    f"denominator {value.denominator} of {'/'.join(path)}",
                    expected=f"{ROOT}, {', '.join(own[-1] for own in item.paths)}",
                    advice='Say which it is with --match "OURS=THEIRS"',
                )
            above = ours_of[of]
        n_ours = item.populations[match.ours].count
        rows.append(
            PopulationAgreement(
                sample_id=item.sample_id,
                template=item.template,
                population=match.ours[-1],
                reference="/".join(path),
                n_ours=n_ours,
                n_theirs=None,
                n_both=None,
                f1=None,
                f1_within=None,
                denominator=above[-1] if above else ROOT,
                percent_ours=percent(n_ours, item.populations[above].count),
                percent_theirs=value.percent,
                review=_flagged(item, match.ours, above),
            )
        )
    return rows, set(ours_of)
