"""From a study folder to jobs: which files under which template, with which controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cytoflow_car.errors import FcsError, SpilloverError, StudyError
from cytoflow_car.fcs import hash_file
from cytoflow_car.job import FcsSource, SampleFailure, SampleJob, SpilloverChoice
from cytoflow_car.measure.context import TubeFacts
from cytoflow_car.model.calibration import CalibrationUse
from cytoflow_car.model.clusters import IS_BASELINE, BaselineBlasts
from cytoflow_car.study.blood_count import find_count_doubts
from cytoflow_car.study.car_reagents import car_target_of
from cytoflow_car.study.controls import ControlUse, agree, find_controls
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.study.references import find_baseline, find_references, without_baseline
from cytoflow_car.study.spillover import read_spillover
from cytoflow_car.template import Template, load_template

#: A row of calibration beads and what they gave.
Beads = tuple[SheetRow, tuple[CalibrationUse, ...]]


@dataclass(frozen=True, slots=True)
class PlannedSample:
    """A specimen under one template: its job without the controls, and which controls it wants.

    Attributes
    ----------
    row
        The sheet's row.
    job
        Complete but for the controls' summaries.
    controls
        In no particular order; the template states its preference.
    baseline
        The patient's baseline that its blasts are compared with; None where there is none.
    """

    row: SheetRow
    job: SampleJob
    controls: tuple[ControlUse, ...]
    baseline: SheetRow | None = None


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Everything that a run will do.

    Attributes
    ----------
    study
        The folder as read.
    templates
        By the name that the sheet uses.
    samples
        One a specimen and template.
    control_jobs
        By (sample_id of the control, template name).
    failures
        Rows that cannot be run, each with the reason.
    hashes
        sha256 of every file that is there, by sample_id.
    baseline_jobs
        Of patients' baselines, by (sample_id, template name).
    bead_rows
        Calibration beads, where a template measures antigens.
    """

    study: Study
    templates: Mapping[str, Template]
    samples: tuple[PlannedSample, ...]
    control_jobs: Mapping[tuple[str, str], SampleJob]
    failures: tuple[SampleFailure, ...]
    hashes: Mapping[str, str]
    baseline_jobs: Mapping[tuple[str, str], SampleJob] = field(default_factory=dict)
    bead_rows: tuple[SheetRow, ...] = ()


def plan_study(
    study: Study,
    templates_folder: Path | None = None,
    *,
    seed: int = 0,
    draw: bool = True,
    reference: Path | None = None,
) -> StudyPlan:
    """Plan a run: load templates and references, hash files, find controls, make jobs.

    Parameters
    ----------
    reference
        File of the reference for all templates that ask for one; None for those of the study, of
        the laboratory or, in simulated studies, of the package.

    Raises
    ------
    ReferenceError
        A reference that was found cannot be used.
    TemplateError
        A template that the sheet names is missing or wrong.
    StudyError
        Two templates of one row give the same measurement.
    """
    templates = {
        name: load_template(name, templates_folder)
        for name in dict.fromkeys(name for row in study.rows for name in row.templates)
    }
    _refuse_shared_measurements(study, templates)
    _refuse_unknown_overrides(study, templates)
    references = find_references(templates, study, templates_folder, reference)
    hashes, failures = _hash_files(study)
    planned: list[PlannedSample] = []
    for row in study.rows:
        if not row.is_analysed or row.use == "append" or row.sample_id not in hashes:
            continue
        for name in row.templates:
            made = _plan_sample(row, templates[name], study, hashes, seed=seed, draw=draw)
            if isinstance(made, SampleFailure):
                failures.append(made)
                continue
            setting = templates[name].clustering
            if setting is not None and setting.reference in references:
                job = replace(made.job, reference=references[setting.reference])
                made = replace(made, job=job, baseline=find_baseline(row, study, templates[name]))
            planned.append(made)
    control_jobs: dict[tuple[str, str], SampleJob] = {}
    for sample in planned:
        for control in sample.controls:
            key = (control.row.sample_id, sample.job.template.name)
            if key in control_jobs or control.row.sample_id not in hashes:
                continue
            try:
                control_jobs[key] = _control_job(
                    control.row, control.kind, sample.job.template, study, hashes, seed
                )
            except SpilloverError as error:
                failures.append(_failure(control.row, sample.job.template.name, error))
    baseline_jobs: dict[tuple[str, str], SampleJob] = {}
    for sample in planned:
        template, reference_used = sample.job.template, sample.job.reference
        baseline = sample.row if _is_compared_with(sample) else sample.baseline
        if baseline is None or reference_used is None or baseline.sample_id not in hashes:
            continue
        key = (baseline.sample_id, template.name)
        if key not in baseline_jobs:
            try:
                job = _control_job(baseline, "baseline", template, study, hashes, seed)
            except SpilloverError as error:
                failures.append(_failure(baseline, template.name, error))
            else:
                baseline_jobs[key] = replace(job, reference=reference_used)
    return StudyPlan(
        study,
        templates,
        tuple(planned),
        control_jobs,
        tuple(failures),
        hashes,
        baseline_jobs,
        _bead_rows(study, templates, hashes),
    )


def _bead_rows(
    study: Study, templates: Mapping[str, Template], hashes: Mapping[str, str]
) -> tuple[SheetRow, ...]:
    if not any(template.antigens for template in templates.values()):
        return ()
    return tuple(
        row
        for row in study.rows
        if row.role == "calibration_beads" and row.use == "report" and row.sample_id in hashes
    )


def with_calibrations(sample: PlannedSample, job: SampleJob, beads: Sequence[Beads]) -> SampleJob:
    """Return a specimen's job with the calibrations of its cytometer, told which are of its batch.

    What they hold for is looked at where the specimen's file is open.
    """
    if not job.template.antigens:
        return job
    batch = sample.row.batch
    return replace(
        job,
        calibrations=tuple(
            replace(use, same_batch=bool(batch) and row.batch == batch)
            for row, uses in beads
            if agree(row.instrument, sample.row.instrument)
            for use in uses
        ),
    )


def _is_compared_with(sample: PlannedSample) -> bool:
    """Tell whether a sample is a baseline whose blasts are looked for in others."""
    setting = sample.job.template.clustering
    return sample.row.baseline and setting is not None and setting.residual is not None


def with_baseline(
    sample: PlannedSample, job: SampleJob, found: Mapping[tuple[str, str], BaselineBlasts]
) -> SampleJob:
    """Return a specimen's job with the blasts of the patient's baseline, or why there are none."""
    if job.reference is None:
        return job
    if sample.row.baseline:
        # Its own blasts must not pass for normal cells, but it is compared with nothing.
        own = found.get((sample.row.sample_id, job.template.name))
        if own is None or own.missing:
            own = without_baseline(sample.row, IS_BASELINE)
        return replace(job, baseline=replace(own, missing=IS_BASELINE))
    if sample.baseline is None:
        return replace(job, baseline=without_baseline(sample.row, "NO_BASELINE"))
    key = (sample.baseline.sample_id, job.template.name)
    failed = without_baseline(sample.baseline, "BASELINE_FAILED")
    return replace(job, baseline=found.get(key, failed))


def _plan_sample(
    row: SheetRow,
    template: Template,
    study: Study,
    hashes: Mapping[str, str],
    *,
    seed: int,
    draw: bool,
) -> PlannedSample | SampleFailure:
    appended = [
        other
        for other in study.rows
        if row.use == "report"
        and other.use == "append"
        and other.is_analysed
        and other.tube_key == row.tube_key
        if not other.templates or template.name in other.templates
    ]
    missing = [other.sample_id for other in appended if other.sample_id not in hashes]
    if missing:
        return SampleFailure(
            row.sample_id,
            template.name,
            "file_missing",
            f"{row.sample_id}: its appended acquisition {', '.join(missing)} could not be used",
        )
    other_stain = [other.sample_id for other in appended if not _stained_alike(other, row)]
    if other_stain:
        return SampleFailure(
            row.sample_id,
            template.name,
            "append_differs",
            f"{row.sample_id}: {', '.join(other_stain)} is appended, but its spillover, car_target "
            "or car_reagent differ. Give both the same, or make it a tube of its own",
        )
    try:
        spillover = _spillover(row)
    except SpilloverError as error:
        return _failure(row, template.name, error)
    car_target = car_target_of(row, template, study)
    own = row.car_target or (template.car.target if template.car is not None else "")
    doubts = {"LATER_PULL": (row.pull_number or 1) > 1, "GENERIC_REAGENT": car_target != own}
    job = SampleJob(
        sample_id=row.sample_id,
        sources=tuple(_source(other, hashes) for other in (row, *appended)),
        template=template,
        spillover=spillover,
        tube=_tube_facts(row),
        car_target=car_target,
        car_reagent=row.car_reagent,
        overrides=tuple(
            override
            for override in study.overrides.get(row.sample_id, ())
            if override.population in template.population_names
        ),
        doubts=tuple(flag for flag, holds in doubts.items() if holds),
        seed=seed,
        draw=draw,
    )
    return PlannedSample(row, job, find_controls(row, study, template))


def _stained_alike(one: SheetRow, other: SheetRow) -> bool:
    return (
        one.spillover == other.spillover
        and agree(one.car_target, other.car_target)
        and agree(one.car_reagent, other.car_reagent)
    )


def _control_job(
    row: SheetRow,
    kind: str,
    template: Template,
    study: Study,
    hashes: Mapping[str, str],
    seed: int,
) -> SampleJob:
    return SampleJob(
        sample_id=row.sample_id,
        sources=(_source(row, hashes),),
        template=template,
        spillover=_spillover(row),
        overrides=tuple(
            override
            for override in study.overrides.get(row.sample_id, ())
            if override.population in template.population_names
        ),
        control_kind=kind,
        seed=seed,
        draw=False,
    )


def _source(row: SheetRow, hashes: Mapping[str, str]) -> FcsSource:
    assert row.path is not None
    return FcsSource(row.path, row.dataset, hashes[row.sample_id])


def _tube_facts(row: SheetRow) -> TubeFacts:
    return TubeFacts(
        wbc_10e9_per_l=row.wbc_10e9_per_l,
        alc_10e9_per_l=row.alc_10e9_per_l,
        beads_per_tube=row.beads_per_tube,
        volume_ul=row.volume_ul,
        dilution=row.dilution,
        count_doubts=tuple(doubt.flag for doubt in find_count_doubts(row)),
    )


def _spillover(row: SheetRow) -> SpilloverChoice:
    return read_spillover(row.spillover) if isinstance(row.spillover, Path) else row.spillover


def _hash_files(study: Study) -> tuple[dict[str, str], list[SampleFailure]]:
    """Hash every file; a missing one, and content that stands under two rows, are failures."""
    hashes: dict[str, str] = {}
    failures: list[SampleFailure] = []
    for row in study.rows:
        if row.path is None or row.use == "exclude":
            continue
        try:
            hashes[row.sample_id] = hash_file(row.path)
        except (OSError, FcsError) as fault:
            for template in row.templates or ("",):
                failures.append(
                    SampleFailure(
                        row.sample_id,
                        template,
                        "file_missing",
                        f"{row.where}, column file: the file of {row.sample_id} cannot be opened "
                        f"({_why(fault)}). Copy it there or correct the name",
                    )
                )
    for one, other in list(_same_content(study, hashes)):
        for row, twin in ((one, other), (other, one)):
            for template in row.templates or ("",):
                failures.append(
                    SampleFailure(
                        row.sample_id,
                        template,
                        "duplicate_file",
                        f"samples.csv rows {one.line} and {other.line} ({one.sample_id}, "
                        f"{other.sample_id}) have the same content, so one of them is not what "
                        f"its row says. Export {twin.sample_id} and this file again, or set "
                        "use to exclude",
                    )
                )
            hashes.pop(row.sample_id, None)
    return hashes, failures


def _why(fault: OSError | FcsError) -> str:
    return fault.problem if isinstance(fault, FcsError) else str(fault.strerror)


def _same_content(study: Study, hashes: Mapping[str, str]) -> Iterator[tuple[SheetRow, SheetRow]]:
    seen: list[SheetRow] = []
    for row in study.rows:
        if row.use not in ("report", "append") or row.sample_id not in hashes:
            continue
        for other in seen:
            # The main data set, which an empty cell means, may be any of them.
            same_set = row.dataset == other.dataset or None in (row.dataset, other.dataset)
            if same_set and hashes[row.sample_id] == hashes[other.sample_id]:
                yield other, row
                break
        seen.append(row)


def find_measured_twice(study: Study, templates: Mapping[str, Template]) -> Iterator[StudyError]:
    """Yield every measurement that two rows give for one tube, and draws that are no draw.

    A draw (`specimen_id`) has one patient, specimen type and day.
    """
    draws: dict[str, SheetRow] = {}
    tubes: dict[tuple[object, ...], SheetRow] = {}
    for row in study.rows:
        if row.role != "specimen" or row.use != "report":
            continue
        first = draws.setdefault(row.specimen_id, row)
        if first.draw_key != row.draw_key:
            yield StudyError(
                f"{row.specimen_id!r} is the draw of row {first.line} ({first.sample_id}), of "
                "another patient, specimen or day",
                where=f"{row.where}, column specimen_id",
                expected="one draw",
            )
        names = {item.name for name in row.templates for item in templates[name].measurements}
        for name in sorted(names):
            other = tubes.setdefault((*row.draw_key, row.tube, name), row)
            if other is not row:
                yield StudyError(
                    f"{name} is given by row {other.line} too ({other.sample_id} and "
                    f"{row.sample_id}), for the same patient, specimen, day and tube",
                    where=row.where,
                    advice="Set use of one to append, superseded or exclude, or correct it",
                )
                break


def _refuse_shared_measurements(study: Study, templates: Mapping[str, Template]) -> None:
    twice = list(find_measured_twice(study, templates))
    if twice:
        raise StudyError.of(twice)
    for row in study.rows:
        named: dict[str, str] = {}
        for template in row.templates:
            for measure in templates[template].measurements:
                if measure.name in named:
                    raise StudyError(
                        f"templates {named[measure.name]} and {template} both measure "
                        f"{measure.name}",
                        where=f"{row.where}, column template",
                        expected="each measurement from one template",
                    )
                named[measure.name] = template


def _refuse_unknown_overrides(study: Study, templates: Mapping[str, Template]) -> None:
    used = {row.sample_id: row.templates for row in study.rows}
    for sample_id, overrides in study.overrides.items():
        # A control is gated by the templates of the specimens that it serves.
        known = {
            name
            for template in used.get(sample_id) or templates
            for name in templates[template].population_names
        }
        for override in overrides:
            if override.population not in known:
                raise StudyError(
                    f"no population {override.population!r} in the templates of {sample_id}",
                    where="overrides.csv",
                    expected=", ".join(sorted(known)),
                )


def _failure(row: SheetRow, template: str, error: SpilloverError) -> SampleFailure:
    # The row and not the table's name, which may tell of a patient.
    told = SpilloverError(
        error.problem,
        where=f"{row.sample_id}, {row.where}, column spillover",
        expected=error.expected,
        advice=error.advice,
    )
    return SampleFailure(row.sample_id, template, error.code, str(told))
