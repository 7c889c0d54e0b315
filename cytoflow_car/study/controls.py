"""Which rows of the sheet serve a specimen as control, and what is handed to it of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cytoflow_car.gating.placing import ControlSummary
from cytoflow_car.gating.tree import control_cuts
from cytoflow_car.job import SampleJob
from cytoflow_car.model.antigen import AntigenControl
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.template import Template

#: A control under a template: (sample_id, template).
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ControlUse:
    """A row of the sheet that serves a specimen as control.

    Attributes
    ----------
    row
        The control.
    kind
        ``pre_infusion``, ``untransduced``, ``fmo`` or ``isotype``.
    markers
        Markers that it is a control for; None for all.
    """

    row: SheetRow
    kind: str
    markers: frozenset[str] | None


def find_controls(row: SheetRow, study: Study, template: Template) -> tuple[ControlUse, ...]:
    """Find the rows that serve a specimen as control for the template's gates.

    The patient's own pre-infusion specimens count where they were stained in the same tube with the
    same CAR reagent on the same panel version and instrument; of any specimen type, since
    cerebrospinal fluid and marrow before infusion hold few T cells. Other controls count where
    their `control_for` names the specimen, its batch or its patient.
    """
    own_reagent = template.car.reagent if template.car is not None else ""
    reagent = row.car_reagent or own_reagent
    cut = {cut.marker for rule in template.populations for cut in control_cuts(rule)}
    wanted = cut | {rule.marker for rule in template.antigens}
    own = [
        other
        for other in study.rows
        if cut
        and other.baseline
        and other.is_analysed
        and other.patient_id == row.patient_id
        and other.sample_id != row.sample_id
        and other.use == "report"
        and other.tube == row.tube
        and other.panel_version == row.panel_version
        and (other.car_reagent or own_reagent) == reagent
        and agree(other.instrument, row.instrument)
        and _before_infusion(other)
    ]
    uses = [ControlUse(other, "pre_infusion", None) for other in own]
    for other in study.rows:
        if other.role not in ("fmo", "isotype", "untransduced") or other.use != "report":
            continue
        markers = frozenset(other.control_markers)
        asked = cut if other.role == "untransduced" else wanted
        if markers & asked and _serves(other, row, reagent):
            uses.append(ControlUse(other, other.role, markers))
    return tuple(uses)


def _before_infusion(row: SheetRow) -> bool:
    return row.day is None or row.day < 0 or (row.day == 0 and row.timing != "post")


def agree(one: str, other: str) -> bool:
    """Tell whether two cells of the sheet may mean the same: equal, or one is empty."""
    return not one or not other or one == other


def _serves(control: SheetRow, row: SheetRow, reagent: str) -> bool:
    if not (
        agree(control.tube, row.tube)
        and agree(control.car_reagent, reagent)
        and agree(control.instrument, row.instrument)
    ):
        return False
    reach = control.control_for or ("batch",)
    if "batch" in reach:
        return bool(control.batch) and control.batch == row.batch
    if "patient" in reach:
        return bool(control.patient_id) and control.patient_id == row.patient_id
    return row.sample_id in reach


def _reach(control: SheetRow) -> int:
    """Return how far a control reaches: 0 named specimens, 1 a patient's, 2 a batch's."""
    words = {"patient": 1, "batch": 2}
    return min((words.get(item, 0) for item in control.control_for or ("batch",)), default=2)


def with_controls(
    job: SampleJob,
    row: SheetRow,
    controls: tuple[ControlUse, ...],
    summaries: Mapping[Key, tuple[ControlSummary, ...]],
    antigens: Mapping[Key, tuple[AntigenControl, ...]] = MappingProxyType({}),
) -> SampleJob:
    """Return a specimen's job with the summaries of its controls.

    A control serves several specimens in several roles, so its summaries are relabelled here, and
    told whether it was measured in the specimen's batch.

    Parameters
    ----------
    summaries, antigens
        Of controls, by (sample_id, template).
    """
    found: list[ControlSummary] = []
    of_antigens: list[AntigenControl] = []
    markers = {rule.name: rule.marker for rule in job.template.antigens}
    for control in controls:
        key = (control.row.sample_id, job.template.name)
        same_batch = bool(row.batch) and control.row.batch == row.batch
        of_patient = agree(control.row.patient_id, row.patient_id)
        found.extend(
            replace(summary, kind=control.kind, same_batch=same_batch)
            for summary in summaries.get(key, ())
            if control.markers is None or summary.marker in control.markers
        )
        if control.kind in ("fmo", "isotype") and control.markers is not None:
            of_antigens.extend(
                replace(
                    item,
                    kind=control.kind,
                    same_batch=control.row.batch == row.batch,
                    same_patient=of_patient,
                    reach=_reach(control.row),
                )
                for item in antigens.get(key, ())
                if markers[item.antigen] in control.markers
            )
    return replace(job, controls=tuple(found), antigen_controls=tuple(of_antigens))
