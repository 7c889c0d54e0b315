"""Compare the gates of a run with a person's: which events, which percents, how far apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.interop.gate_set import Path
from cytoflow_car.study.population_matching import describe_sides, split_match
from cytoflow_car.study.reference_reading import Reference, read_reference
from cytoflow_car.study.results_reading import Analysed, FcsFinder, Results, read_results
from cytoflow_car.study.specimen_agreement import compare_specimen
from cytoflow_car.tables.agreement import PopulationAgreement, PopulationSummary, summarise

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison came to.

    Attributes
    ----------
    rows
        One a sample and population.
    summaries
        One a population, over its samples.
    not_compared
        Samples that both sides should have but that could not be compared, each with the reason.
    not_in_reference
        Specimens with results that the reference does not have.
    not_asked
        Samples of the reference that the run analysed as controls or left out on purpose.
    unmatched_ours, unmatched_theirs
        Populations without a counterpart in any sample that was compared.
    notes
        What the reference holds that could not be taken over.
    """

    rows: tuple[PopulationAgreement, ...]
    summaries: tuple[PopulationSummary, ...]
    not_compared: tuple[str, ...]
    not_in_reference: tuple[str, ...]
    not_asked: tuple[str, ...]
    unmatched_ours: tuple[str, ...]
    unmatched_theirs: tuple[str, ...]
    notes: tuple[str, ...]


def compare_results(
    results: str | FilePath,
    reference: str | FilePath,
    *,
    fcs: Sequence[str | FilePath] = (),
    match: Sequence[str] = (),
    populations: Sequence[str] = (),
    label_channel: str = "",
    progress: Progress | None = None,
) -> Comparison:
    """Compare a results folder with what a person gated.

    Parameters
    ----------
    results
        Folder that `run_study` wrote.
    reference
        Workspace, Gating-ML, labels or percents; see `read_reference`.
    fcs
        Folders with the FCS files, looked at after where they were; they are known by content.
    match
        ``"OURS=THEIRS"`` where names differ; ``"OURS=ONE+OTHER"`` for the union of labels.
    populations
        Ours to compare; all that have a counterpart where none is given.
    label_channel
        ``$PnN`` of the channel that holds labels where `reference` is FCS files.
    progress
        Called as ``progress(done, total, sample_id)``.

    Raises
    ------
    StudyError
        A side cannot be read, or no sample or population is found on both.
    """
    run = read_results(FilePath(results))
    reference = FilePath(reference)
    names = [name for file in run.files for name in (file.sample_id, FilePath(file.name).stem)]
    hand = read_reference(reference, names, label_channel=label_channel)
    given = _read_matches(match, run, hand)
    _refuse_unknown(populations, run)
    beside = reference if reference.is_dir() else reference.parent
    finder = FcsFinder(run.folder, (*map(FilePath, fcs), beside))
    named, not_compared, not_asked = _find_samples(run, hand)
    names_of = {
        (item.sample_id, item.template): named.get((item.sample_id, item.template))
        or named.get((item.sample_id, ""), "")
        for item in run.specimens
    }
    chosen = [
        item
        for item in run.specimens
        if hand.for_all is not None or names_of[item.sample_id, item.template]
    ]
    rows: list[PopulationAgreement] = []
    seen: set[Path] = set()
    # Samples that have rows, or are told of.
    settled: set[str] = set()
    for done, item in enumerate(chosen, start=1):
        try:
            name = names_of[item.sample_id, item.template]
            found, theirs = compare_specimen(item, name, hand, given, finder)
        except CytoflowCarError as error:
            not_compared.append(f"{item.sample_id} [{item.template}]: {error}")
            settled.add(item.sample_id)
        else:
            settled.update(row.sample_id for row in found)
            rows += (row for row in found if not populations or row.population in populations)
            seen |= theirs
        if progress is not None:
            progress(done, len(chosen), item.sample_id)
    if not rows:
        raise _nothing_compared(run, hand, chosen, not_compared)
    not_compared += (
        f"{sample_id}: no population is in both results and reference"
        for sample_id in dict.fromkeys(sample_id for sample_id, _ in named)
        if sample_id not in settled
    )
    settled.update(sample_id for sample_id, _ in named)
    paired = {row.population for row in rows}
    sets = [*hand.gates.values(), *([hand.for_all] if hand.for_all is not None else [])]
    return Comparison(
        rows=tuple(rows),
        summaries=summarise(rows),
        not_compared=tuple(not_compared),
        not_in_reference=tuple(
            dict.fromkeys(item.sample_id for item in run.specimens if item.sample_id not in settled)
        ),
        not_asked=tuple(not_asked),
        unmatched_ours=tuple(
            dict.fromkeys(
                path[-1]
                for item in chosen
                for path in item.paths
                if path[-1] not in paired and (not populations or path[-1] in populations)
            )
        ),
        unmatched_theirs=tuple("/".join(path) for path in hand.populations if path not in seen),
        notes=tuple(dict.fromkeys(note for item in sets for note in item.notes)),
    )


def _read_matches(
    match: Sequence[str], run: Results, hand: Reference
) -> dict[str, tuple[str, ...]]:
    ours = [path for item in run.specimens for path in item.paths]
    theirs = hand.populations
    given: dict[str, tuple[str, ...]] = {}
    for text in match:
        name, wanted = split_match(text, ours, theirs)
        if name in given:
            raise StudyError(f"--match for {name!r} was given twice")
        if len(wanted) > 1 and not hand.labels:
            raise StudyError(
                f"--match {text!r} joins populations",
                expected="one population; labels can be joined",
            )
        given[name] = wanted
    return given


def _refuse_unknown(populations: Sequence[str], run: Results) -> None:
    known = {path[-1] for item in run.specimens for path in item.paths}
    lacking = [name for name in populations if name not in known]
    if lacking:
        raise StudyError(
            f"no population {', '.join(lacking)} in the results",
            expected=", ".join(sorted(known)),
        )


def _find_samples(
    run: Results, hand: Reference
) -> tuple[dict[tuple[str, str], str], list[str], list[str]]:
    """Return the reference's names, what is missing, and what the run was never asked for.

    Names are by sample_id and template; the template is empty where a name is for all of them.
    """
    with_results = {item.sample_id for item in run.specimens}
    of_template = {
        f"{item.sample_id}.{item.template}".casefold(): (item.sample_id, item.template)
        for item in run.specimens
    }
    named: dict[tuple[str, str], str] = {}
    missing = list(hand.faults)
    not_asked: list[str] = []
    for name in hand.sample_names:
        try:
            file = run.find_file(name)
        except StudyError as error:
            missing.append(str(error))
            continue
        # A run names the gates of a tube's further templates so.
        key = of_template.get(name.casefold()) if file is None else (file.sample_id, "")
        if key is None:
            missing.append(f"{name}: no such sample in the results")
        elif key in named:
            missing.append(f"{name}: {named[key]} is the same sample")
        elif key[0] in with_results:
            named[key] = name
        elif file is not None and (file.role != "specimen" or file.use in ("append", "exclude")):
            why = file.use if file.role == "specimen" else file.role
            not_asked.append(f"{file.sample_id}: {why}")
        else:
            missing.append(f"{key[0]}: the run has no result of it, see failures.csv")
    return named, missing, not_asked


def _nothing_compared(
    run: Results, hand: Reference, chosen: Sequence[Analysed], not_compared: Sequence[str]
) -> StudyError:
    if not chosen:
        ours = (file.name for file in run.files)
        return StudyError(
            "no sample is in both results and reference",
            expected=describe_sides(ours, hand.sample_names),
            advice="; ".join(not_compared),
        )
    if not_compared:
        return StudyError("no sample could be compared: " + "; ".join(not_compared))
    return StudyError(
        "no population is in both results and reference",
        expected=describe_sides(
            (path[-1] for item in run.specimens for path in item.paths),
            ("/".join(path) for path in hand.populations),
        ),
        advice='Say which is which with --match "OURS=THEIRS"',
    )
