"""Check a study before it is run: sheet, templates and files' headers, without their events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import FileHeader, hash_file, is_repair, read_header
from cytoflow_car.gating.tree import control_cuts
from cytoflow_car.preprocess.compensation import fluorescence_channels
from cytoflow_car.preprocess.panel import assign_markers
from cytoflow_car.study.blood_count import find_count_doubts
from cytoflow_car.study.cells import nearest
from cytoflow_car.study.controls import find_controls
from cytoflow_car.study.records import CONTROL_ROLES, SheetRow, Study
from cytoflow_car.study.spillover import read_spillover
from cytoflow_car.tables.kit_file import read_kit
from cytoflow_car.template import Template, list_templates, load_template

Headers = Mapping[str, FileHeader]
Templates = Mapping[str, Template]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at before a run.

    Attributes
    ----------
    level
        ``error`` where a run would fail or refuse, else ``warning``.
    where
        Row or file.
    """

    level: Literal["error", "warning"]
    where: str
    message: str


def check_study(study: Study, templates_folder: Path | None = None) -> tuple[Finding, ...]:
    """Check a study that was read: templates, headers of all files, controls, blood counts.

    Parameters
    ----------
    templates_folder
        A laboratory's own templates, which come before those built in.

    Returns
    -------
    Errors before warnings, each in the sheet's order; nothing where all is well.
    """
    findings: list[Finding] = []
    templates = _load_templates(study, templates_folder, findings)
    rows = [row for row in study.rows if row.use != "exclude"]
    headers = _read_headers(rows, findings)
    for row in rows:
        if row.sample_id in headers:
            findings.extend(_check_file(row, headers[row.sample_id], templates))
        findings.extend(_check_blood_count(row))
        findings.extend(_check_kit(row))
        findings.extend(_check_templates_of(row, study, templates))
    findings.extend(_check_content(rows, headers))
    findings.extend(_check_baselines(study))
    findings.extend(find_patients_without_specimen(study))
    findings.extend(_check_follow_up(study))
    findings.extend(_check_visits(rows, study))
    findings.extend(_check_definitions(study, templates, templates_folder))
    findings.extend(_check_overrides(study, templates))
    if all(name in templates for row in study.rows for name in row.templates):
        from cytoflow_car.study.plan import find_measured_twice

        findings.extend(
            Finding("error", fault.where, str(fault.problem))
            for fault in find_measured_twice(study, templates)
        )
    return tuple(sorted(findings, key=lambda finding: finding.level))


def _load_templates(
    study: Study, folder: Path | None, findings: list[Finding]
) -> dict[str, Template]:
    users: dict[str, SheetRow] = {}
    for row in study.rows:
        for name in row.templates:
            users.setdefault(name, row)
    templates = {}
    for name, row in users.items():
        try:
            templates[name] = load_template(name, folder)
        except CytoflowCarError as error:
            findings.append(Finding("error", f"{row.where}, column template", str(error)))
    return templates


def _read_headers(rows: list[SheetRow], findings: list[Finding]) -> dict[str, FileHeader]:
    headers = {}
    for row in rows:
        if row.path is None:
            continue
        if not row.path.is_file():
            findings.append(_error(row, f"there is no file {row.file}", "file"))
            continue
        try:
            headers[row.sample_id] = read_header(row.path, row.dataset)
        except (CytoflowCarError, OSError) as error:
            findings.append(_error(row, str(error), "file"))
    return headers


def _check_file(row: SheetRow, header: FileHeader, templates: Templates) -> Iterator[Finding]:
    if header.n_events == 0:
        yield _error(row, "the file has no events", "file")
    for flag in header.flags:
        yield _warning(row, f"{'repaired' if is_repair(flag) else 'note'}: {flag}", "file")
    if row.role not in ("specimen", *CONTROL_ROLES):
        return
    for name in row.templates:
        if name in templates:
            try:
                assign_markers(header.channels, templates[name].markers)
            except CytoflowCarError as error:
                yield _error(row, f"template {name} does not fit the file: {error}", "template")
    if isinstance(row.spillover, Path):
        try:
            read_spillover(row.spillover)
        except CytoflowCarError as error:
            yield _error(row, str(error), "spillover")
    elif (
        row.spillover == "file"
        and header.spillover is None
        and len(fluorescence_channels(header.channels)) > 1
    ):
        yield _error(
            row,
            "the file has several colours and no spillover; give a CSV, or 'applied' where its "
            "values are compensated already, or 'none'",
            "spillover",
        )


def _check_blood_count(row: SheetRow) -> Iterator[Finding]:
    for doubt in find_count_doubts(row):
        yield _warning(row, doubt.message, doubt.column)


def _check_kit(row: SheetRow) -> Iterator[Finding]:
    if row.role == "calibration_beads" and row.kit is not None:
        try:
            read_kit(row.kit)
        except CytoflowCarError as error:
            yield _error(row, str(error), "kit")


def _check_templates_of(row: SheetRow, study: Study, templates: Templates) -> Iterator[Finding]:
    if row.role != "specimen" or row.not_done_reason:
        return
    measured: dict[str, str] = {}
    for name in row.templates:
        template = templates.get(name)
        if template is None:
            continue
        if row.specimen not in template.specimens:
            yield _warning(
                row,
                f"template {name} is meant for {', '.join(template.specimens)}, not for "
                f"{row.specimen}",
                "template",
            )
        cuts = [cut.marker for rule in template.populations for cut in control_cuts(rule)]
        if cuts and not row.baseline and not find_controls(row, study, template):
            yield _warning(
                row,
                f"no control for {', '.join(dict.fromkeys(cuts))} of template {name}: what it "
                "measures stays unconfirmed",
            )
        for measure in template.measurements:
            if measured.setdefault(measure.name, name) != name:
                yield _error(
                    row,
                    f"templates {measured[measure.name]} and {name} both measure {measure.name}",
                    "template",
                )


def _check_content(rows: list[SheetRow], headers: Headers) -> Iterator[Finding]:
    """Find two rows whose events would be counted twice."""
    by_size: dict[int, list[SheetRow]] = {}
    for row in rows:
        if row.sample_id in headers and row.path is not None and row.use in ("report", "append"):
            by_size.setdefault(row.path.stat().st_size, []).append(row)
    for alike in by_size.values():
        # Files of unlike size differ, so most need not be read.
        if len(alike) < 2:
            continue
        seen: dict[tuple[str, int], SheetRow] = {}
        for row in alike:
            assert row.path is not None
            first = seen.setdefault((hash_file(row.path), headers[row.sample_id].dataset), row)
            if first is not row:
                yield _error(
                    row,
                    f"{row.file} has the same content as {first.file} of row {first.line} "
                    f"({first.sample_id})",
                    "file",
                )


def _specimens(study: Study) -> list[SheetRow]:
    return [row for row in study.rows if row.role == "specimen" and row.use != "exclude"]


def _check_baselines(study: Study) -> Iterator[Finding]:
    specimens = _specimens(study)
    for patient in dict.fromkeys(row.patient_id for row in specimens):
        if not any(row.baseline for row in specimens if row.patient_id == patient):
            yield Finding("warning", "samples.csv, column baseline", f"{patient} has no baseline")


def find_patients_without_specimen(study: Study) -> Iterator[Finding]:
    """Find patients whom another table names and ``samples.csv`` does not: misspelt, perhaps."""
    patients = dict.fromkeys(row.patient_id for row in _specimens(study))
    for table, named in (
        ("infusions.csv", [item.patient_id for item in study.infusions]),
        ("patients.csv", list(study.patients)),
        ("labs.csv", [item.patient_id for item in study.labs]),
    ):
        for patient in dict.fromkeys(named):
            if patient not in patients:
                message = f"{patient} has no specimen. {nearest(patient, list(patients))}"
                yield Finding("warning", f"{table}, column patient_id", message.rstrip(". "))


def _check_follow_up(study: Study) -> Iterator[Finding]:
    """Find what `patients.csv` leaves out, where there is one."""
    if not study.patients:
        return
    known = list(study.patients)
    named = (
        *(row.patient_id for row in _specimens(study)),
        *(item.patient_id for item in study.infusions),
        *(item.patient_id for item in study.labs),
    )
    for patient in dict.fromkeys(named):
        if patient not in study.patients:
            message = f"{patient} is not there. {nearest(patient, known)}".rstrip(". ")
            yield Finding("warning", "patients.csv, column patient_id", message)


def _check_visits(rows: list[SheetRow], study: Study) -> Iterator[Finding]:
    """Find specimens outside of the window of their visit, and visits that have none."""
    windows = {window.visit: window for window in study.definitions.windows}
    without = set()
    for row in rows if windows else ():
        if row.role != "specimen" or row.visit in ("", "UNSCHEDULED"):
            continue
        window = windows.get(row.visit)
        if window is None:
            if row.visit not in without:
                message = f"visit {row.visit!r} has no window in study.toml. "
                yield _warning(
                    row, (message + nearest(row.visit, list(windows))).rstrip(". "), "visit"
                )
            without.add(row.visit)
            continue
        day = study.day_from_infusion(row, window.infusion)
        if day is not None and not window.low <= math.floor(day) <= window.high:
            yield _warning(
                row,
                f"day {day:g} from infusion {window.infusion}, but {row.visit} is day "
                f"{window.low:g} to {window.high:g}",
                "visit",
            )


def _check_definitions(
    study: Study, templates: Templates, folder: Path | None
) -> Iterator[Finding]:
    """Find definitions that no result can meet."""
    definitions = study.definitions
    asked = [
        *(rule.measurement for rule in definitions.recoveries),
        definitions.residual_measurement,
        *(name for names in definitions.car_t_measurements.values() for name in names),
    ]
    measured = {item.name for template in templates.values() for item in template.measurements}
    if not measured.issuperset(asked):
        for name in set(list_templates(folder)) - set(templates):
            # A faulty template that the study does not use is no matter of the study.
            with suppress(CytoflowCarError):
                measured.update(item.name for item in load_template(name, folder).measurements)
    for name in dict.fromkeys(asked):
        if name not in measured:
            message = f"no template measures {name!r}. {nearest(name, sorted(measured))}"
            yield Finding("warning", "study.toml", message.rstrip(". "))
    if definitions.detection:
        message = "kept for the record; a run takes the limits of the templates"
        yield Finding("warning", "study.toml, [detection]", message)
    rule = definitions.immunoglobulin
    values = [item for item in study.labs if item.test == rule.test]
    if study.labs and not values:
        message = f"no value of {rule.test}, which definition {rule.name} needs"
        yield Finding("warning", "labs.csv, column test", message)
    if rule.limit is None:
        lines = [str(item.line) for item in values if item.lower_limit is None]
        if lines:
            message = f"empty, but definition {rule.name} needs it: rows {', '.join(lines)}"
            yield Finding("warning", "labs.csv, column lower_limit", message)


def _check_overrides(study: Study, templates: Templates) -> Iterator[Finding]:
    for row in study.rows:
        if not all(name in templates for name in row.templates):
            continue
        known = [
            population for name in row.templates for population in templates[name].population_names
        ]
        for override in study.overrides.get(row.sample_id, ()):
            if override.population not in known:
                message = (
                    f"no population {override.population!r} in the templates of "
                    f"{row.sample_id}. {nearest(override.population, known)}"
                )
                yield Finding("error", "overrides.csv, column population", message.rstrip(". "))


def _error(row: SheetRow, message: str, column: str = "") -> Finding:
    return Finding("error", _place(row, column), message)


def _warning(row: SheetRow, message: str, column: str = "") -> Finding:
    return Finding("warning", _place(row, column), message)


def _place(row: SheetRow, column: str) -> str:
    return f"{row.where} ({row.sample_id})" + (f", column {column}" if column else "")
