"""Gates that a template places for a batch or a patient, placed before specimens are analysed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from cytoflow_car.errors import GateError
from cytoflow_car.gating.shared import ParentSample, place_shared, sharing_rounds
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.job import SampleJob
from cytoflow_car.model.gate import Placement
from cytoflow_car.study.plan import StudyPlan
from cytoflow_car.study.records import SheetRow

#: sample_id and name of the template.
Key = tuple[str, str]
TakeSamples = Callable[[list[SampleJob]], Mapping[Key, tuple[ParentSample, ...]]]

#: On results of a specimen that should have shared a gate and did not.
ALONE = "PLACED_ALONE"


@dataclass(frozen=True, slots=True)
class Group:
    """Specimens that share their placements.

    Attributes
    ----------
    kind, name
        ``batch`` or ``patient``, and which.
    instrument, panel_version
        As the sheet gives them: other detectors or stains are not comparable.
    """

    kind: str
    name: str
    instrument: str
    panel_version: str

    def __str__(self) -> str:
        # The patient stands in the row already.
        return f"batch {self.name}" if self.kind == "batch" else "the patient"


#: Name of the template, group, and first population of the rule.
Shared = tuple[str, Group, str]


def group_of(row: SheetRow, kind: str) -> Group | None:
    """Return the group of a row; None where the sheet names none."""
    name = row.batch if kind == "batch" else row.patient_id
    return Group(kind, name, row.instrument, row.panel_version) if name else None


def count_sampling(plan: StudyPlan) -> int:
    """Return how often specimens will be read for the gates of their groups."""
    return sum(len(_jobs_of(plan, number)) for number in range(_n_rounds(plan)))


def place_for_groups(plan: StudyPlan, take: TakeSamples) -> StudyPlan:
    """Place the shared gates of a plan and put them into its jobs.

    One round a depth of the tree: a gate that lies beneath another shared gate is placed after it.
    Specimens to be reported place the gates; superseded ones and controls of the group only get
    them. A specimen of which no events come back takes no part and spoils nothing.

    Parameters
    ----------
    take
        Takes the events that jobs ask for, in any order and process.

    Returns
    -------
    The plan, its jobs with `placements`, and with the flag ``PLACED_ALONE`` where a shared gate has
    to be placed on the specimen alone.
    """
    rows = {row.sample_id: row for row in plan.study.rows}
    placed: dict[Shared, Placement] = {}
    for number in range(_n_rounds(plan)):
        jobs = _jobs_of(plan, number)
        samples = take([_with_placements(job, rows, placed) for job in jobs])
        given: dict[Shared, list[ParentSample]] = {}
        rules: dict[Shared, tuple[PopulationRule, SampleJob]] = {}
        for job in jobs:
            asked = {rule.names[0]: rule for rule in _shared(job)}
            for sample in samples.get((job.sample_id, job.template.name), ()):
                rule = asked[sample.population]
                group = group_of(rows[job.sample_id], rule.placed_for)
                assert group is not None
                shared = (job.template.name, group, sample.population)
                given.setdefault(shared, []).append(sample)
                rules[shared] = (rule, job)
        for shared, (rule, job) in rules.items():
            # A group whose gate cannot be placed is flagged, specimen by specimen.
            with suppress(GateError):
                placed[shared] = place_shared(
                    rule, given[shared], str(shared[1]), job.template.training
                )
    return replace(
        plan,
        samples=tuple(
            replace(sample, job=_flagged(_with_placements(sample.job, rows, placed)))
            for sample in plan.samples
        ),
        control_jobs={
            key: _flagged(_with_placements(job, rows, placed))
            for key, job in plan.control_jobs.items()
        },
    )


def _shared(job: SampleJob) -> tuple[PopulationRule, ...]:
    return tuple(rule for rule in job.template.populations if rule.placed_for != "specimen")


def _n_rounds(plan: StudyPlan) -> int:
    templates = {sample.job.template.name: sample.job.template for sample in plan.samples}
    rounds = (len(sharing_rounds(template.populations)) for template in templates.values())
    return max(rounds, default=0)


def _jobs_of(plan: StudyPlan, number: int) -> list[SampleJob]:
    """Return the jobs that ask for the parents of one round's gates."""
    jobs = []
    for sample in plan.samples:
        wanted = tuple(
            rule.names[0]
            for rules in sharing_rounds(sample.job.template.populations)[number : number + 1]
            for rule in rules
            if group_of(sample.row, rule.placed_for) is not None
        )
        if wanted and sample.row.use == "report":
            jobs.append(replace(sample.job, wanted=wanted, draw=False))
    return jobs


def _with_placements(
    job: SampleJob, rows: Mapping[str, SheetRow], placed: Mapping[Shared, Placement]
) -> SampleJob:
    row = rows[job.sample_id]
    found = {}
    for rule in _shared(job):
        own = group_of(row, rule.placed_for)
        fitting = [
            placement
            for (template, group, population), placement in placed.items()
            if own is not None
            and (template, population) == (job.template.name, rule.names[0])
            and (group == own or (row.role != "specimen" and _may_be(own, group)))
        ]
        if len(fitting) == 1:
            found[rule.names[0]] = fitting[0]
    return replace(job, placements=found)


def _may_be(one: Group, other: Group) -> bool:
    """Tell whether groups may be the same: a control's row often leaves cells empty."""
    return (
        (one.kind, one.name) == (other.kind, other.name)
        and one.instrument in ("", other.instrument)
        and one.panel_version in ("", other.panel_version)
    )


def _flagged(job: SampleJob) -> SampleJob:
    alone = any(rule.names[0] not in job.placements for rule in _shared(job))
    return replace(job, doubts=(*job.doubts, ALONE)) if alone else job
