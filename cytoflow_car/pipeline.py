"""The whole way of one specimen, from file to measurements; the package's table of contents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cytoflow_car.antigen.profile import (
    AntigenContext,
    profile_antigen,
    summarise_antigen_control,
)
from cytoflow_car.calibration.choice import choose_calibration
from cytoflow_car.clustering.specimen import (
    cluster_without_names,
    label_events,
    place_specimen,
    summarise_baseline,
)
from cytoflow_car.errors import (
    ClusteringError,
    CytoflowCarError,
    FcsDataError,
    SpilloverError,
    hide_files,
)
from cytoflow_car.fcs import read_fcs
from cytoflow_car.gating.panels import draw_panels
from cytoflow_car.gating.shared import ParentSample, rules_above, sample_parent
from cytoflow_car.gating.tree import PopulationRule, gate_events, summarise_controls
from cytoflow_car.job import (
    FcsSource,
    GatedPopulation,
    PopulationMedian,
    SampleJob,
    SampleResult,
)
from cytoflow_car.measure.context import MeasureContext
from cytoflow_car.model.antigen import AntigenControl, AntigenProfile
from cytoflow_car.model.clusters import DEVIATES_FROM_NORMAL, BaselineBlasts, ClusterLabels
from cytoflow_car.model.events import CompensatedEvents, Events, Sample, Spillover
from cytoflow_car.model.measurement import Measurement
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.preprocess.compensation import compensate, fluorescence_channels
from cytoflow_car.preprocess.panel import assign_markers, is_compensated
from cytoflow_car.preprocess.scales import needs_values, resolve_scale
from cytoflow_car.qc.acquisition import AcquisitionReport, check_acquisition, check_populations
from cytoflow_car.qc.drift import DriftSetting
from cytoflow_car.qc.naming import check_naming
from cytoflow_car.template import Template, gated_before_clustering

#: Findings of quality control that go onto every measurement of the specimen.
_DOUBTS = ("QC_LOSS", "FEW_EVENTS", "FLOW_NOT_CHECKED")

#: The width of a logicle is estimated from no more events than this, evenly spaced.
_SCALE_EVENTS = 20_000


def analyse_sample(job: SampleJob) -> SampleResult:
    """Analyse one specimen under one template.

    Pure but for reading the job's files: the same job gives the same result, in any process.

    Raises
    ------
    CytoflowCarError
        Of the kind that fits, with the sample and the file in its place.
    """
    try:
        gated = gate_specimen(job, job.template.populations)
        tree, prepared = gated.tree, gated.prepared
        checks = (*gated.quality.checks, *check_populations(tree, job.template.acquisition))
        setting = job.template.clustering
        if setting is not None and gated.labels is not None:
            checks = (*checks, *check_naming(gated.labels, setting.most_unassigned_percent))
        antigens = () if job.control_kind else profile_antigens(job, gated)
        measurements = () if job.control_kind else measure(job, gated, antigens)
        clusters = gated.labels.clusters if gated.labels is not None else ()
    except CytoflowCarError as error:
        raise _without_path(error, job).at(job.sample_id) from error
    sample, spillover = gated.sample, gated.spillover
    rules = job.template.populations
    return SampleResult(
        sample_id=job.sample_id,
        template=job.template.name,
        measurements=measurements,
        populations=tuple(_without_events(tree)),
        checks=checks,
        scales=prepared.scales,
        panels=draw_panels(tree, prepared, rules, job.controls, job.template.review_below)
        if job.draw
        else (),
        instrument=sample.instrument,
        detectors={
            name: sample.events.channels[column].detector
            for name, column in prepared.columns.items()
        },
        spillover=spillover,
        spillover_source=spillover.source if spillover is not None else str(job.spillover),
        repairs=sample.flags,
        control_summaries=summarise_controls(
            tree,
            prepared,
            rules,
            kind=job.control_kind,
            sample_id=job.sample_id,
            file_sha256=job.sources[0].sha256,
        )
        if job.control_kind
        else (),
        antigen_controls=tuple(_summarise_antigen_controls(job, gated)) if job.control_kind else (),
        antigens=antigens,
        review=(
            *_reasons_for_review(tree, job.template.review_below),
            *_doubts_of_normality(gated.labels),
        ),
        medians=tuple(_medians(tree, prepared, job.template.drift)),
        clusters=clusters,
        event_labels=_event_labels(gated.labels) if job.keep_labels else None,
    )


def summarise_patient_baseline(job: SampleJob) -> BaselineBlasts:
    """Summarise the blasts of a patient's baseline specimen, for the patient's later specimens.

    Raises
    ------
    CytoflowCarError
        As `analyse_sample` does; or the specimen cannot be placed on the reference.
    """
    setting = job.template.clustering
    assert setting is not None and setting.residual is not None and job.reference is not None
    try:
        gated = gate_specimen(job, gated_before_clustering(job.template), with_labels=False)
        placed = place_specimen(gated.prepared, gated.tree, setting, job.reference, job.seed)
        return summarise_baseline(
            placed,
            gated.tree,
            setting.residual,
            job.reference,
            sample_id=job.sample_id,
            file_sha256=job.sources[0].sha256,
            seed=job.seed,
        )
    except CytoflowCarError as error:
        raise _without_path(error, job).at(job.sample_id) from error


def sample_parents(job: SampleJob) -> tuple[ParentSample, ...]:
    """Take events of one specimen for the gates in `job.wanted`, which its group places together.

    Nothing is gated but what lies above those gates; a population without events gives none.

    Raises
    ------
    CytoflowCarError
        As `analyse_sample` does.
    """
    rules = job.template.populations
    asking = [rule for rule in rules if rule.names[0] in job.wanted]
    above = {item.names[0] for rule in asking for item in rules_above(rule, rules)}
    try:
        gated = gate_specimen(job, tuple(rule for rule in rules if rule.names[0] in above))
    except CytoflowCarError as error:
        raise _without_path(error, job).at(job.sample_id) from error
    found = (sample_parent(rule, job.sample_id, gated.tree, gated.prepared) for rule in asking)
    return tuple(sample for sample in found if sample is not None)


@dataclass(frozen=True, slots=True, eq=False)
class GatedSpecimen:
    """One specimen with its events, read, checked and gated; it never leaves its process."""

    sample: Sample
    spillover: Spillover | None
    prepared: PreparedEvents
    quality: AcquisitionReport
    tree: PopulationTree
    labels: ClusterLabels | None = None


def gate_specimen(
    job: SampleJob, rules: tuple[PopulationRule, ...], *, with_labels: bool = True
) -> GatedSpecimen:
    """Read, compensate, check, gate and cluster one specimen.

    Parameters
    ----------
    rules
        Some or all of the template's.
    with_labels
        Whether events are clustered where a rule asks for labels.
    """
    sample = read_sources(job.sources)
    if not len(sample.events):
        raise FcsDataError("no events", advice="Acquire the tube again, or give not_done_reason")
    columns = assign_markers(sample.events.channels, job.template.markers)
    spillover = choose_spillover(job, sample)
    prepared = prepare(compensate(sample.events, spillover), columns, job.template)
    quality = check_acquisition(
        sample.events,
        time_channel=sample.time_channel,
        # All of them, since compensation spreads a value that is no number.
        columns=tuple(range(len(sample.events.channels))),
        scatter=tuple(columns[name] for name in job.template.scatter if name in columns),
        signals=tuple(sorted(set(columns.values()))),
        setting=job.template.acquisition,
    )
    doubts = (check.flag for check in quality.checks if check.flag in _DOUBTS)
    gate = partial(
        gate_events,
        prepared,
        kept=quality.kept,
        controls=job.controls,
        overrides=job.overrides,
        training=job.template.training,
        doubts=(*job.doubts, *doubts),
    )
    if job.template.clustering is None or not with_labels or job.control_kind:
        tree = gate(rules, placed=job.placements)
        return GatedSpecimen(sample, spillover, prepared, quality, tree)
    tree = gate(gated_before_clustering(job.template), placed=job.placements)
    labels = cluster(job, prepared, tree)
    # What was placed before is kept, so that gates without labels are the same in both trees.
    placed = {item.name: item.placement for item in tree if item.placement is not None}
    if isinstance(labels, str):
        tree = gate(rules, placed=placed, clusters_missing=labels)
        return GatedSpecimen(sample, spillover, prepared, quality, tree)
    tree = gate(rules, placed=placed, clusters=labels)
    return GatedSpecimen(sample, spillover, prepared, quality, tree, labels)


def cluster(job: SampleJob, prepared: PreparedEvents, tree: PopulationTree) -> ClusterLabels | str:
    """Label a specimen's events by the template's clustering; or return the flag of why not."""
    setting = job.template.clustering
    assert setting is not None
    try:
        if not setting.reference:
            return cluster_without_names(prepared, tree, setting, job.seed)
        if job.reference is None:
            return "NO_REFERENCE"
        placed = place_specimen(
            prepared, tree, setting, job.reference, job.seed, baseline=job.baseline
        )
        return label_events(placed, prepared, tree, setting, job.reference, job.baseline, job.seed)
    except ClusteringError as fault:
        # The gates still count, so clustering does not end the specimen.
        return fault.flag


def read_sources(sources: tuple[FcsSource, ...]) -> Sample:
    """Read a tube's file, and those appended to it as if they had been acquired in one go.

    Raises
    ------
    FcsDataError
        An appended file has other channels.
    """
    samples = [read_fcs(source.path, source.dataset) for source in sources]
    first = samples[0]
    if len(samples) == 1:
        return first
    for number, sample in enumerate(samples[1:], start=2):
        found = f"channels {', '.join(sample.events.detectors)}"
        if sample.events.detectors == first.events.detectors:
            found = "the same channels with other stains, ranges, voltages or spillover"
        if sample.events.channels != first.events.channels or not _alike(
            sample.spillover, first.spillover
        ):
            raise FcsDataError(
                found,
                where=f"acquisition {number}",
                expected=f"those of acquisition 1: {', '.join(first.events.detectors)}",
                advice="Only acquisitions of one tube with one panel can be appended",
            )
    values = np.concatenate([sample.events.values for sample in samples])
    if first.time_channel is not None:
        _chain_time(values[:, first.time_channel], [len(sample.events) for sample in samples])
    values.setflags(write=False)
    flags = tuple(flag for sample in samples for flag in sample.flags)
    return replace(first, events=Events(values, first.events.channels), flags=flags)


def _without_path(error: CytoflowCarError, job: SampleJob) -> CytoflowCarError:
    """Return the error without file names: they may identify a patient, and tables never do."""
    files = dict.fromkeys((source.path for source in job.sources), "the file")
    parts = (error.problem, error.where, error.expected, error.advice)
    problem, where, expected, advice = (hide_files(part, files) for part in parts)
    return type(error)(problem, where=where, expected=expected, advice=advice)


def _alike(one: Spillover | None, other: Spillover | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.detectors == other.detectors and np.array_equal(one.matrix, other.matrix)


def choose_spillover(job: SampleJob, sample: Sample) -> Spillover | None:
    """Return the spillover that the sheet asks for; None where values stay as they are.

    Raises
    ------
    SpilloverError
        The file states none, measures several colours, and the sheet does not say why; or its
        channels say that they are compensated already.
    """
    if isinstance(job.spillover, Spillover):
        return job.spillover
    if job.spillover != "file":
        return None
    done = [name for name in sample.events.detectors if is_compensated(name)]
    if done:
        raise SpilloverError(
            f"channels that are compensated already: {', '.join(done)}",
            advice="Give 'applied' in the column spillover of samples.csv",
        )
    if sample.spillover is None and len(fluorescence_channels(sample.events.channels)) > 1:
        raise SpilloverError(
            "no $SPILLOVER, $SPILL or SPILL in a file of several colours",
            advice="Give a matrix (CSV) in the column spillover of samples.csv, or 'applied' where "
            "the values are compensated already, or 'none'",
        )
    return sample.spillover


def prepare(
    events: CompensatedEvents, columns: dict[str, int], template: Template
) -> PreparedEvents:
    """Resolve the scale of every marker once."""
    step = max(1, len(events) // _SCALE_EVENTS)
    rows = np.arange(0, len(events), step, dtype=np.intp)
    scales = {}
    for marker, column in columns.items():
        setting = template.scale_of(marker)
        values = events.column(column, rows) if needs_values(setting) else None
        scales[marker] = resolve_scale(setting, events.channels[column], values)
    return PreparedEvents(events, columns, scales)


def profile_antigens(job: SampleJob, gated: GatedSpecimen) -> tuple[AntigenProfile, ...]:
    """Measure every antigen of the template."""
    context = _antigen_context(job, gated)
    claims = _measure_context(job, gated)
    profiles = []
    for rule in job.template.antigens:
        profile = profile_antigen(rule, context)
        if profile.n_events and not claims.is_claimed(rule.population, rule.requires):
            # What may all be background has no antigen of its own.
            flags = (*profile.flags, "POPULATION_NOT_DETECTED")
            profile = replace(profile, status=None, flags=flags)
        profiles.append(profile)
    return tuple(profiles)


def _summarise_antigen_controls(job: SampleJob, gated: GatedSpecimen) -> Iterator[AntigenControl]:
    context = _antigen_context(job, gated)
    for rule in job.template.antigens:
        found = summarise_antigen_control(
            rule, context, kind=job.control_kind, sample_id=job.sample_id
        )
        if found is not None:
            yield found


def _antigen_context(job: SampleJob, gated: GatedSpecimen) -> AntigenContext:
    sample, prepared = gated.sample, gated.prepared
    rule = job.template.calibration
    markers = {rule.marker for rule in job.template.antigens if rule.marker in prepared.columns}
    calibrations = {
        marker: choose_calibration(
            job.calibrations,
            prepared.events.channels[prepared.columns[marker]],
            sample.instrument,
            sample.acquired_on,
            rule,
        )
        for marker in markers
    }
    return AntigenContext(
        job.sample_id,
        gated.tree,
        prepared,
        sample.instrument,
        calibrations,
        job.antigen_controls,
        rule,
        job.template.confidence,
        job.seed,
    )


def _measure_context(
    job: SampleJob, gated: GatedSpecimen, antigens: tuple[AntigenProfile, ...] = ()
) -> MeasureContext:
    template = job.template
    return MeasureContext(
        gated.tree,
        gated.prepared,
        job.tube,
        {rule.assay: rule for rule in template.detection},
        template.confidence,
        {item.antigen: item for item in antigens},
    )


def measure(
    job: SampleJob, gated: GatedSpecimen, antigens: tuple[AntigenProfile, ...]
) -> tuple[Measurement, ...]:
    """Take every measurement of the template."""
    template = job.template
    context = _measure_context(job, gated, antigens)
    car = template.car
    return tuple(
        replace(
            taken,
            car_target=job.car_target or car.target,
            car_reagent=job.car_reagent or car.reagent,
        )
        if car is not None and template.looks_at(taken.population, car.marker)
        else taken
        for taken in (item.take(context) for item in template.measurements)
    )


def _without_events(tree: PopulationTree) -> list[GatedPopulation]:
    return [
        GatedPopulation(
            name=item.name,
            path=item.path,
            count=item.count,
            count_before_qc=item.count_unmasked,
            parent_count=None if item.parent is None else tree[item.parent].count,
            placement=item.placement,
            flags=item.flags,
        )
        for item in tree
    ]


def _event_labels(labels: ClusterLabels | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    return tuple(np.array([*labels.names, ""], dtype=object)[labels.codes].tolist())


def _medians(
    tree: PopulationTree, prepared: PreparedEvents, setting: DriftSetting
) -> Iterator[PopulationMedian]:
    for name, markers in setting.populations.items():
        if tree[name].count < setting.least_events:
            continue
        rows = tree.kept_rows(name)
        for marker in markers:
            if marker in prepared.columns:
                median = float(np.median(prepared.values(marker, rows)))
                yield PopulationMedian(name, marker, median)


def _reasons_for_review(tree: PopulationTree, below: float) -> tuple[str, ...]:
    """Return why a person should look; gates made of others add nothing of their own."""
    reasons = (
        f"{item.name}: {item.placement.reason}"
        for item in tree
        if item.placement is not None
        and item.placement.is_unsure(below)
        # Labels are counted one by one, and their limits stand on the measurements.
        and item.placement.method not in ("boolean", "reference", "cluster")
    )
    return tuple(dict.fromkeys(reasons))


def _doubts_of_normality(labels: ClusterLabels | None) -> Iterator[str]:
    if labels is not None and labels.fit is not None and DEVIATES_FROM_NORMAL in labels.flags:
        share = labels.fit.unassigned_percent
        yield f"{labels.parent}: {share:.2g} % of the events fit no population of the reference"


def _chain_time(time: np.ndarray, lengths: list[int]) -> None:
    """Let each acquisition's clock begin where the one before it ended; in place."""
    start = lengths[0]
    for length in lengths[1:]:
        if start and length:
            time[start : start + length] += time[start - 1] - time[start]
        start += length
