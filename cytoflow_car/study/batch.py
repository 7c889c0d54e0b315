"""Run a study in processes: shared gates, controls, then every specimen; then the tables."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing import get_context, parent_process
from pathlib import Path

from cytoflow_car.errors import CytoflowCarError, StudyError, hide_files
from cytoflow_car.gating.shared import ParentSample
from cytoflow_car.job import SampleFailure, SampleJob, SampleResult
from cytoflow_car.model.clusters import BaselineBlasts
from cytoflow_car.pipeline import analyse_sample, sample_parents, summarise_patient_baseline
from cytoflow_car.report.pictures import draw_gates
from cytoflow_car.study.antigens import antigen_pictures, compare_with_baselines
from cytoflow_car.study.beads import BeadOutcome, calibrate_row
from cytoflow_car.study.controls import with_controls
from cytoflow_car.study.gates_export import export_gates
from cytoflow_car.study.plan import StudyPlan, plan_study, with_baseline, with_calibrations
from cytoflow_car.study.results import write_results
from cytoflow_car.study.shared_placements import Key, count_sampling, place_for_groups
from cytoflow_car.study.sheet import read_study
from cytoflow_car.study.threads import one_thread
from cytoflow_car.template import template_hash

#: Endings of the files that stand in a results folder.
_WRITTEN = (".csv", ".parquet", ".json")

Progress = Callable[[int, int, str], None]

#: Exit codes of a run.
DONE, SOME_FAILED, NOTHING_TO_DO, BUG = 0, 1, 3, 70


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    Attributes
    ----------
    n_done
        Specimens (under a template) with results.
    failures
        Those without, and controls that could not be used.
    review
        Reasons to look at the gates, by sample_id.
    out
        Results folder.
    exit_code
        0 all done, 1 some failed, 3 nothing to do, 70 a bug.
    """

    n_done: int
    failures: tuple[SampleFailure, ...]
    review: Mapping[str, tuple[str, ...]]
    out: Path
    exit_code: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One job's end: a result with its picture, events asked for, or a failure."""

    job: SampleJob
    result: SampleResult | None
    parents: tuple[ParentSample, ...] = ()
    baseline: BaselineBlasts | None = None
    picture: bytes = b""
    failure: SampleFailure | None = None
    crash: str = ""


def run_study(
    folder: str | Path,
    out: str | Path,
    *,
    templates: str | Path | None = None,
    jobs: int | None = None,
    seed: int = 0,
    strict: bool = False,
    pictures: bool = True,
    progress: Progress | None = None,
    reference: str | Path | None = None,
    labels: bool = False,
) -> RunSummary:
    """Analyse every specimen of a study folder and write the results folder.

    Parameters
    ----------
    folder
        Study folder with ``samples.csv``.
    out
        Results folder; replaced as a whole, and only if it is empty or holds earlier results.
    templates
        Folder with a laboratory's own templates, which come before those built in.
    jobs
        Processes; None for one a core.
    seed
        For methods that draw at random; lands in ``run.json``.
    strict
        Stop at the first bug instead of writing a crash file and going on.
    pictures
        Whether pictures of the gates are drawn.
    progress
        Called as ``progress(done, total, sample_id)`` after each file.
    reference
        File of a reference of normal specimens, for all templates that ask for one.
    labels
        Whether the label of every event is written, for templates that cluster.

    Raises
    ------
    StudyError, TemplateError
        The folder, its sheet or a template is wrong; nothing was written.
    """
    if parent_process() is not None:
        raise StudyError(
            "run_study was called again by one of its own processes",
            advice='In a script, put the call under if __name__ == "__main__":',
        )
    began = datetime.now(UTC)
    out = Path(out).resolve()
    _refuse_foreign_folder(out)
    plan = plan_study(
        read_study(Path(folder)),
        Path(templates) if templates is not None else None,
        seed=seed,
        draw=pictures,
        reference=Path(reference) if reference is not None else None,
    )
    n_processes = jobs or os.cpu_count() or 1
    total = count_sampling(plan) + len(plan.control_jobs) + len(plan.samples)
    total += len(plan.baseline_jobs) + len(plan.bead_rows)
    done = 0

    def tell(sample_id: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, sample_id)

    def note(outcome: _Outcome) -> _Outcome:
        tell(outcome.job.sample_id)
        return outcome

    beads = []
    # Some seconds for many files, so that one process will do.
    for row in plan.bead_rows:
        beads.append(calibrate_row(row, draw=pictures, strict=strict))
        tell(row.sample_id)
    summaries, antigen_controls = {}, {}
    outcomes: list[_Outcome] = []
    failed_before: list[_Outcome] = []
    with _Workers(n_processes, strict) as workers:

        def take(asking: list[SampleJob]) -> dict[Key, tuple[ParentSample, ...]]:
            found = list(map(note, workers.run(asking)))
            failed_before.extend(item for item in found if item.failure is not None)
            return {(item.job.sample_id, item.job.template.name): item.parents for item in found}

        plan = place_for_groups(plan, take)
        for outcome in map(note, workers.run(plan.control_jobs.values())):
            key = (outcome.job.sample_id, outcome.job.template.name)
            if outcome.result is not None:
                summaries[key] = outcome.result.control_summaries
                antigen_controls[key] = outcome.result.antigen_controls
            else:
                failed_before.append(outcome)
        baselines = {}
        for outcome in map(note, workers.run(plan.baseline_jobs.values())):
            key = (outcome.job.sample_id, outcome.job.template.name)
            if outcome.baseline is not None:
                baselines[key] = outcome.baseline
            elif outcome.crash:
                failed_before.append(outcome)
        given = [(item.row, item.uses) for item in beads]
        complete = []
        for sample in plan.samples:
            job = with_controls(
                sample.job, sample.row, sample.controls, summaries, antigen_controls
            )
            job = with_calibrations(sample, with_baseline(sample, job, baselines), given)
            complete.append(replace(job, keep_labels=labels))
        outcomes.extend(map(note, workers.run(complete)))
    by_key = {(item.job.sample_id, item.job.template.name): item for item in outcomes}
    ordered = [by_key[sample.job.sample_id, sample.job.template.name] for sample in plan.samples]
    failures = _all_failures(plan, ordered, failed_before, beads)
    crashed: list[_Outcome | BeadOutcome] = [*ordered, *failed_before, *beads]
    _write(plan, ordered, failures, beads, crashed, out, began, seed)
    return RunSummary(
        n_done=sum(item.result is not None for item in ordered),
        failures=failures,
        review={
            item.result.sample_id: item.result.review
            for item in ordered
            if item.result is not None and item.result.review
        },
        out=out,
        exit_code=_exit_code(plan, failures),
    )


class _Workers:
    """Maps jobs over processes; one process means this one."""

    def __init__(self, n_processes: int, strict: bool) -> None:
        self._n_processes = n_processes
        self._strict = strict
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, jobs: Iterable[SampleJob]) -> Iterator[_Outcome]:
        """Yield outcomes as they come; their order is of no account."""
        waiting = list(jobs)
        if self._n_processes == 1 or len(waiting) < 2:
            for job in waiting:
                yield _work(job, self._strict)
            return
        lost: list[SampleJob] = []
        n_ended = 0
        if self._pool is None:
            # Windows waits for no more than 61 processes; they start as they are needed.
            self._pool = _new_pool(min(self._n_processes, 61))
        futures = {self._pool.submit(_work, job, self._strict): job for job in waiting}
        for future in as_completed(futures):
            try:
                yield future.result()
                n_ended += 1
            except BrokenProcessPool:
                lost.append(futures[future])
        if lost:
            self._pool = None
            if not n_ended:
                raise StudyError(
                    "no process could be started",
                    advice='In a script, call run_study under if __name__ == "__main__": since '
                    "every process reads the script again; or give jobs=1",
                )
        # A process that was killed takes its neighbours' jobs with it: each gets one of its own.
        for job in lost:
            yield _work_alone(job, self._strict)


def _new_pool(n_processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))


def _work_alone(job: SampleJob, strict: bool) -> _Outcome:
    with _new_pool(1) as pool:
        try:
            return pool.submit(_work, job, strict).result()
        except BrokenProcessPool:
            message = (
                f"{job.sample_id}: the process that analysed it was ended from outside, "
                "most often for want of memory. Run again with fewer --jobs"
            )
            failure = SampleFailure(job.sample_id, job.template.name, "process_ended", message)
            return _Outcome(job, None, failure=failure)


def _work(job: SampleJob, strict: bool) -> _Outcome:
    """Do one job on one core, as there is a process for each."""
    with one_thread():
        return _work_unlimited(job, strict)


def _work_unlimited(job: SampleJob, strict: bool) -> _Outcome:
    try:
        if job.wanted:
            return _Outcome(job, None, sample_parents(job))
        if job.control_kind == "baseline":
            return _Outcome(job, None, baseline=summarise_patient_baseline(job))
        result = analyse_sample(job)
        picture = b""
        if job.draw and not job.control_kind:
            title = f"{job.sample_id} · {job.template.name} {job.template.version}"
            picture = draw_gates(title, result.panels, notes=result.repairs)
        return _Outcome(job, replace(result, panels=()), picture=picture)
    except CytoflowCarError as error:
        failure = SampleFailure(job.sample_id, job.template.name, error.code, str(error))
        return _Outcome(job, None, failure=failure)
    except Exception as bug:
        if strict:
            raise
        crash_file = f"crashes/{job.sample_id}.{job.template.name}.txt"
        failure = SampleFailure(
            job.sample_id,
            job.template.name,
            "bug",
            f"{job.sample_id}: {type(bug).__name__} inside cytoflow-car. "
            f"Please report it with {crash_file}",
            crash_file,
        )
        files = dict.fromkeys((source.path for source in job.sources), "the file")
        return _Outcome(job, None, failure=failure, crash=hide_files(traceback.format_exc(), files))


def _all_failures(
    plan: StudyPlan,
    outcomes: list[_Outcome],
    failed_before: list[_Outcome],
    beads: list[BeadOutcome],
) -> tuple[SampleFailure, ...]:
    found = [
        *plan.failures,
        *(failure for item in beads for failure in item.failures),
        *(item.failure for item in (*failed_before, *outcomes) if item.failure is not None),
    ]
    # A baseline is both a specimen and a control, and fails in both for one reason.
    unique = {(item.sample_id, item.template, item.code, item.message): item for item in found}
    return tuple(unique.values())


def _exit_code(plan: StudyPlan, failures: tuple[SampleFailure, ...]) -> int:
    if any(failure.code == "bug" for failure in failures):
        return BUG
    if failures:
        return SOME_FAILED
    return DONE if plan.samples else NOTHING_TO_DO


def _refuse_foreign_folder(out: Path) -> None:
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or _holds_results(out))):
        raise StudyError(
            "the results folder exists and holds something other than results",
            where=f"--out {out.name}",
            expected="a new or empty folder, or one with earlier results",
        )
    if not _first_existing(out).is_dir():
        raise StudyError(
            f"{_first_existing(out).name} is a file, not a folder", where=f"--out {out.name}"
        )


def _holds_results(out: Path) -> bool:
    """Tell whether a folder was written by a run: by its record and by its names."""
    try:
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    ours = isinstance(record, dict) and "cytoflow_car" in record and "templates" in record
    return ours and all(
        path.name in ("pictures", "gatingml", "labels", "crashes")
        if path.is_dir()
        else path.suffix in _WRITTEN
        for path in out.iterdir()
    )


def _first_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _write(
    plan: StudyPlan,
    outcomes: list[_Outcome],
    failures: tuple[SampleFailure, ...],
    beads: list[BeadOutcome],
    with_crashes: list[_Outcome | BeadOutcome],
    out: Path,
    began: datetime,
    seed: int,
) -> None:
    """Write everything beside the results folder, then put it in its place in one step."""
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f"{out.name}."))
    partial = beside / "new"
    partial.mkdir()
    results = [item.result for item in outcomes if item.result is not None]
    compared = compare_with_baselines(plan.study, plan.templates, results)
    write_results(plan, results, failures, compared, beads, partial, out)
    if any(item.job.draw for item in outcomes):
        for name, picture in antigen_pictures(plan.study, plan.templates, results, compared):
            _write_bytes(partial / "pictures" / "antigens" / f"{name}.png", picture)
    for file in beads:
        for number, (detector, picture) in enumerate(file.pictures.items()):
            # A detector's name may not be a file's.
            channel = re.sub(r"[^A-Za-z0-9-]", "_", detector)
            name = f"{file.row.sample_id}.{channel}" if number else file.row.sample_id
            _write_bytes(partial / "pictures" / f"{name}.png", picture)
    # One picture a sample: the templates of a tube below each other would hide what failed.
    for item in outcomes:
        first = item.job.template.name == _templates_of(plan, item.job.sample_id)[0]
        name = item.job.sample_id if first else f"{item.job.sample_id}.{item.job.template.name}"
        if item.picture:
            _write_bytes(partial / "pictures" / f"{name}.png", item.picture)
        if item.result is not None:
            if item.result.event_labels is not None:
                # An event outside the parent has quotes, since many readers skip empty lines.
                told = (label or '""' for label in item.result.event_labels)
                listed = "\n".join(["label", *told])
                _write_bytes(partial / "labels" / f"{name}.csv", f"{listed}\n".encode())
            gates = export_gates(item.result, item.job.template)
            _write_bytes(partial / "gatingml" / f"{name}.xml", gates)
    for ended in with_crashes:
        if ended.crash and ended.failure is not None:
            _write_bytes(partial / ended.failure.crash_file, ended.crash.encode())
    (partial / "run.json").write_text(
        json.dumps(_run_record(plan, outcomes, failures, began, seed), indent=2) + "\n",
        encoding="utf-8",
    )
    if out.exists():
        out.rename(beside / "old")
    partial.rename(out)
    shutil.rmtree(beside)


def _templates_of(plan: StudyPlan, sample_id: str) -> tuple[str, ...]:
    return next(row.templates for row in plan.study.rows if row.sample_id == sample_id)


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _run_record(
    plan: StudyPlan,
    outcomes: list[_Outcome],
    failures: tuple[SampleFailure, ...],
    began: datetime,
    seed: int,
) -> dict[str, object]:
    return {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "python": platform.python_version(),
        "libraries": {
            name: metadata.version(name)
            for name in (
                *("numpy", "scipy", "scikit-learn", "hdbscan", "pandas"),
                *("flowio", "flowutils", "pydantic", "pillow"),
            )
        },
        "platform": platform.system(),
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "templates": {
            template.name: {"version": template.version, "sha256": template_hash(template)}
            for template in plan.templates.values()
        },
        "n_files": len(plan.hashes),
        "n_results": sum(item.result is not None for item in outcomes),
        "n_failures": len(failures),
    }
