"""Dilute a patient's own blasts, and see from how many on the method finds them.

Blasts and other events of one file are halved at random. One half is the baseline that teaches, of
the other some blasts are mixed into the other events and looked for, as a run would. Everything
comes from one tube, so that no difference between tubes can help. A patient's normal B cells,
diluted likewise in the place of blasts, show what is found for any other reason than leukemia.

References
----------
CLSI EP17-A2 (2012) for blanks and low levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.settings import ClusteringSetting, ResidualSetting
from cytoflow_car.clustering.specimen import label_events, place_specimen, summarise_baseline
from cytoflow_car.errors import ClusteringError, CytoflowCarError, StudyError
from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.job import SampleJob, SpilloverChoice
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.model.clusters import BLAST, BaselineBlasts
from cytoflow_car.model.events import Rows
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.reference import Reference
from cytoflow_car.pipeline import gate_specimen
from cytoflow_car.study.hand_gates import choose_labels
from cytoflow_car.study.reference_fitting import job_of_file
from cytoflow_car.study.reference_reading import Labels, read_reference
from cytoflow_car.study.threads import one_thread
from cytoflow_car.tables.detection import BLASTS, CONTROL, DilutionRun
from cytoflow_car.template import Template, gated_before_clustering

Progress = Callable[[int, int, str], None]

#: Levels of a study where none are given.
LEVELS = (1e-2, 1e-3, 1e-4, 0.0)


@dataclass(frozen=True, slots=True)
class DilutionSetting:
    """What is diluted how often.

    Attributes
    ----------
    levels
        Shares of the clustered population; 0 for blanks.
    repeats, blanks
        Runs of each level, and of level 0.
    n_events
        Events of a run; None for as many as there are.
    most_cv_percent
        Coefficient of variation that a quantified count may have.
    seed
        Decides every draw.
    """

    levels: tuple[float, ...] = LEVELS
    repeats: int = 5
    blanks: int = 20
    n_events: int | None = None
    most_cv_percent: float = 30.0
    seed: int = 0

    def runs_of(self, level: float) -> int:
        """Return how often a level is run."""
        return self.repeats if level else self.blanks


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What people called the events of the files.

    Attributes
    ----------
    labels
        By name of the file, (n_events,); None where gates say which events are blasts.
    blasts, left_out
        Which labels are blasts, and which are neither blasts nor surely anything else, such as
        doublets; ``*`` for any text.
    """

    labels: Mapping[str, Labels] | None = None
    blasts: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_truth(labels: Path | None, blasts: Sequence[str], left_out: Sequence[str] = ()) -> Truth:
    """Read what people called the events, in the form of `hand_gates.find_labelled`.

    Raises
    ------
    StudyError
        Labels without blasts, or blasts without labels; the labels cannot be read.
    """
    if (labels is None) != (not blasts) or (left_out and not blasts):
        raise StudyError(
            "labels without blasts" if labels is not None else "names of labels without labels",
            expected="both, or neither",
            advice="Give --labels, and with --blasts those of them that are blasts",
        )
    known = read_reference(labels).labels if labels is not None else None
    return Truth(known, tuple(blasts), tuple(left_out))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A level of one arm that was not run, and the flag that says why."""

    sample_id: str
    arm: str
    level: float
    flag: str


@dataclass(frozen=True, slots=True)
class DetectionStudy:
    """All runs of a study of detection.

    Attributes
    ----------
    setting
        As given.
    rule
        The template's limits for blasts.
    runs, left_out
        In the order of the files.
    truth
        As given; without labels gates said which events are blasts.
    file_hashes
        sample_id to sha256 of the files that could be used.
    faults
        Of files that could not.
    """

    setting: DilutionSetting
    rule: DetectionRule
    runs: tuple[DilutionRun, ...]
    left_out: tuple[LeftOut, ...]
    truth: Truth
    file_hashes: Mapping[str, str]
    faults: tuple[CytoflowCarError, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Method:
    """What a run looks for blasts by.

    Attributes
    ----------
    counted_in
        Population whose events count where they are called blasts.
    """

    setting: ClusteringSetting
    residual: ResidualSetting
    counted_in: str
    reference: Reference


@dataclass(frozen=True, slots=True, eq=False)
class _Mixable:
    """Events of one file that are mixed.

    Attributes
    ----------
    tree
        The arm's cells are the baseline population.
    diluted, others
        Rows of the cells that are diluted, and of those that they are diluted in.
    """

    sample_id: str
    sha256: str
    arm: str
    prepared: PreparedEvents
    tree: PopulationTree
    diluted: Rows
    others: Rows

    def take(self, rows: Rows) -> tuple[PreparedEvents, PopulationTree]:
        return self.prepared.take(rows), self.tree.take(rows)


def study_detection(
    files: Sequence[Path],
    template: Template,
    reference: Reference,
    *,
    setting: DilutionSetting | None = None,
    truth: Truth | None = None,
    spillover: SpilloverChoice = "file",
    progress: Progress | None = None,
) -> DetectionStudy:
    """Dilute the blasts of each file in the file's other events, and look for them.

    Parameters
    ----------
    files
        FCS files with blasts, each of one patient.
    template
        One that looks for residual blasts.
    reference
        Of normal specimens, none of them of these files.
    truth
        Which events are blasts; None where the template's gates say it. Blasts that they miss then
        count as false positives.
    progress
        Called as ``progress(done, total, sample_id)`` after each run.

    Raises
    ------
    StudyError
        The template calls no residual blasts, a level is no share, two files have one name, or no
        file could be used.
    """
    setting, truth = setting or DilutionSetting(), truth or Truth()
    method, rule = _method_of(template, reference)
    for level in setting.levels:
        if not 0.0 <= level < 1.0:
            raise StudyError(f"level {level:g}", expected="a share from 0 to below 1")
    if len({file.stem for file in files}) < len(files):
        raise StudyError(
            "two files of one name",
            where="lod",
            expected="names that differ before their endings",
            advice="Rename one of them",
        )
    most_runs = sum(
        setting.runs_of(level) for arm in (BLASTS, CONTROL) for level in _levels(arm, setting)
    )
    runs: list[DilutionRun] = []
    left_out: list[LeftOut] = []
    faults: list[CytoflowCarError] = []
    hashes: dict[str, str] = {}
    for number, file in enumerate(files):
        with one_thread():
            job = job_of_file(file, template, spillover, setting.seed)
            try:
                arms = _read_arms(job, method, truth)
            except CytoflowCarError as fault:
                faults.append(fault.at(file.name))
                continue
            hashes[job.sample_id] = job.sources[0].sha256
            found = (item for arm in arms for item in _dilute(arm, method, setting))
            for done, item in enumerate(found, start=number * most_runs + 1):
                if isinstance(item, LeftOut):
                    left_out.append(item)
                else:
                    runs.append(item)
                if progress is not None:
                    progress(done, len(files) * most_runs, job.sample_id)
    if not hashes:
        raise StudyError(
            "none of the files could be used: " + "; ".join(map(str, faults)), where="lod"
        )
    return DetectionStudy(setting, rule, tuple(runs), tuple(left_out), truth, hashes, tuple(faults))


def _method_of(template: Template, reference: Reference) -> tuple[_Method, DetectionRule]:
    setting = template.clustering
    counted = [
        rule.parent
        for rule in template.populations
        if isinstance(rule.gate, Labelled) and rule.gate.labels == (BLAST,)
    ]
    rules = [rule for rule in template.detection if rule.call_as]
    if setting is None or setting.residual is None or not counted or not rules:
        raise StudyError(
            f"template {template.name} calls no residual blasts",
            expected="[clustering.residual], a population of the label blast, and call_as in its "
            "detection",
            advice="Name a template such as blasts_bm",
        )
    return _Method(setting, setting.residual, counted[0], reference), rules[0]


def _levels(arm: str, setting: DilutionSetting) -> tuple[float, ...]:
    """Return the levels of an arm; without any of its cells the control has nothing to say."""
    return tuple(level for level in dict.fromkeys(setting.levels) if level or arm == BLASTS)


def _read_arms(job: SampleJob, method: _Method, truth: Truth) -> tuple[_Mixable, _Mixable]:
    """Gate a file, and return what is diluted: its blasts, and its normal B cells instead.

    Raises
    ------
    CytoflowCarError
        The file cannot be gated, has no such labels or too few blasts, or its normal events cannot
        be placed on the reference.
    """
    gated = gate_specimen(job, gated_before_clustering(job.template), with_labels=False)
    prepared, tree = gated.prepared, gated.tree
    within, place = tree.kept_rows(method.setting.parent), method.residual.baseline_population
    if truth.labels is None:
        is_blast = np.isin(within, tree[place].rows)
    else:
        file = job.sources[0].path
        given = choose_labels(truth.labels, file, len(prepared), where="labels")[within]
        sure = ~_is_any(given, truth.left_out)
        within, given = within[sure], given[sure]
        is_blast = _is_any(given, truth.blasts)
        if not is_blast.any():
            raise StudyError(
                f"no event labelled {' or '.join(truth.blasts)} in {method.setting.parent!r}",
                where="labels",
                expected=f"one of {', '.join(np.unique(given.astype(str)).tolist())}",
                advice="Name with --blasts what the file's labels call them",
            )
    cells, normal = within[is_blast], within[~is_blast]
    least = 2 * method.residual.least_baseline_events
    if len(cells) < least:
        raise StudyError(
            f"{len(cells)} blasts in {method.setting.parent!r}",
            expected=f"at least {least}, of which half teach",
            advice="Give a specimen with more blasts, such as the diagnosis",
        )
    # The reference names the normal B cells, without the blasts, which would pull it off its scale.
    alone = tree.with_rows(place, cells[:0]).take(normal)
    reference, setting = method.reference, method.setting
    placed = place_specimen(prepared.take(normal), alone, setting, reference, job.seed)
    lineages = np.array([*(item.lineage for item in reference.populations), ""])
    is_b = lineages[placed.names.populations] == "B"

    def mixable(arm: str, diluted: Rows, others: Rows) -> _Mixable:
        sha256, own = job.sources[0].sha256, tree.with_rows(place, diluted)
        return _Mixable(job.sample_id, sha256, arm, prepared, own, diluted, others)

    return mixable(BLASTS, cells, normal), mixable(CONTROL, normal[is_b], normal[~is_b])


def _is_any(labels: Labels, patterns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Tell which labels fit one of the patterns, (n_events,)."""
    names, numbers = np.unique(labels.astype(str), return_inverse=True)
    fits = [any(fnmatchcase(name, pattern) for pattern in patterns) for name in names.tolist()]
    return np.array([*fits, False], dtype=bool)[numbers]


def _n_events(arm: _Mixable, setting: DilutionSetting) -> int:
    """Return the events of a run: drawn from the half that does not teach, none of them twice."""
    there = len(arm.others) - len(arm.others) // 2
    return min(setting.n_events or there, there)


def _why_not(arm: _Mixable, level: float, method: _Method, setting: DilutionSetting) -> str:
    """Return why a level cannot be run; empty where it can."""
    if len(arm.diluted) // 2 < method.residual.least_baseline_events:
        return "NO_NORMAL_CELLS"
    expected = level * _n_events(arm, setting)
    if level and expected < 1.0:
        return "TOO_FEW_EVENTS"
    # A draw of more than there are would be cut short.
    if expected + 4.0 * expected**0.5 > len(arm.diluted) - len(arm.diluted) // 2:
        return "TOO_FEW_BLASTS" if arm.arm == BLASTS else "NO_NORMAL_CELLS"
    return ""


def _dilute(
    arm: _Mixable, method: _Method, setting: DilutionSetting
) -> Iterator[DilutionRun | LeftOut]:
    """Run the levels of one arm; each repeat is a split of its own, with a baseline of its own."""
    levels = []
    for level in _levels(arm.arm, setting):
        if flag := _why_not(arm, level, method, setting):
            yield LeftOut(arm.sample_id, arm.arm, level, flag)
        else:
            levels.append(level)
    n_events = _n_events(arm, setting)
    for repeat in range(max(map(setting.runs_of, levels), default=0)):
        # The file's content, not its place among the others, decides its draws.
        rng = np.random.default_rng(
            [setting.seed, int(arm.sha256[:8], 16), int(arm.arm == CONTROL), repeat]
        )
        taught_cells, cells = _halves(arm.diluted, rng)
        taught_others, others = _halves(arm.others, rng)
        baseline = _teach(arm, np.union1d(taught_cells, taught_others), method, setting.seed)
        for level in levels:
            if repeat < setting.runs_of(level):
                # A specimen with this share holds so many by chance; counting is thus included.
                n_cells = min(int(rng.binomial(n_events, level)), len(cells))
                chosen = np.union1d(
                    rng.choice(cells, n_cells, replace=False),
                    rng.choice(others, n_events - n_cells, replace=False),
                )
                yield _look(arm, chosen, level, repeat, baseline, method, setting.seed + repeat)


def _halves(rows: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Split at random; the second half is the larger of an odd number."""
    shuffled = rng.permutation(rows)
    return shuffled[: len(rows) // 2], shuffled[len(rows) // 2 :]


def _teach(arm: _Mixable, rows: Rows, method: _Method, seed: int) -> BaselineBlasts | str:
    """Summarise the half that teaches, as a run does with a baseline; or return why it cannot."""
    prepared, tree = arm.take(rows)
    try:
        placed = place_specimen(prepared, tree, method.setting, method.reference, seed)
    except ClusteringError as fault:
        return fault.flag
    return summarise_baseline(
        placed,
        tree,
        method.residual,
        method.reference,
        sample_id=arm.sample_id,
        file_sha256=arm.sha256,
        seed=seed,
    )


def _look(
    arm: _Mixable,
    rows: Rows,
    level: float,
    repeat: int,
    baseline: BaselineBlasts | str,
    method: _Method,
    seed: int,
) -> DilutionRun:
    """Look for the cells in one mixture, as a run does in a specimen."""
    is_cell = np.isin(rows, arm.diluted)
    run = DilutionRun(
        arm.sample_id, arm.arm, level, repeat + 1, len(rows), int(np.count_nonzero(is_cell))
    )
    if isinstance(baseline, str):
        return replace(run, flags=(baseline,))
    prepared, tree = arm.take(rows)
    try:
        placed = place_specimen(
            prepared, tree, method.setting, method.reference, seed, baseline=baseline
        )
        labels = label_events(
            placed, prepared, tree, method.setting, method.reference, baseline, seed
        )
    except ClusteringError as fault:
        return replace(run, flags=(fault.flag,))
    if BLAST in labels.missing:
        return replace(run, flags=(*labels.flags, labels.missing[BLAST]))
    found = np.intersect1d(labels.rows((BLAST,)), tree[method.counted_in].rows)
    own = labels.false_positives[BLAST]
    return replace(
        run,
        n_found=len(found),
        n_true=int(np.count_nonzero(is_cell[found])),
        expected=own.expected,
        blank=own.blank,
        lod=own.lod,
        flags=labels.flags,
    )
