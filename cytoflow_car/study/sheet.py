"""Read a study folder: every cell, then what must hold between cells and between rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from math import floor
from pathlib import Path
from typing import Literal, cast

from cytoflow_car.errors import StudyError
from cytoflow_car.study.cells import OWN_COLUMN, Cells, nearest, read_table
from cytoflow_car.study.definitions import read_definitions
from cytoflow_car.study.infusions import Calendar, fault_undated, read_car_target, read_infusions
from cytoflow_car.study.labs import read_labs
from cytoflow_car.study.overrides import read_overrides
from cytoflow_car.study.patients import Contact, check_alive, check_followed, read_patients
from cytoflow_car.study.records import (
    CONTROL_ROLES,
    ROLE_WORDS,
    ROLES,
    SPECIMENS,
    TIMINGS,
    USES,
    SheetRow,
    Study,
)

COLUMNS = (
    "file", "dataset", "sample_id", "patient_id", "specimen", "specimen_id", "tube",
    "acquisition", "collected_on", "day", "day_origin", "timing", "visit", "template", "role",
    "baseline", "control_marker", "control_for", "batch", "instrument", "panel_version", "prep",
    "use", "exclude_reason", "not_done_reason", "car_target", "car_reagent", "spillover",
    "wbc_10e9_per_l", "alc_10e9_per_l", "cbc_at", "beads_per_tube", "bead_lot", "volume_ul",
    "dilution", "kit", "pull_number", "collected_at", "acquired_at",
)  # fmt: skip
_REQUIRED = ("file", "patient_id", "specimen", "template")
#: What says when a specimen was drawn.
_WHEN = ("collected_on", "day", "collected_at")

_TEMPLATE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SAMPLE_ID = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?")
_LONGEST_SAMPLE_ID = 120
#: Names that Windows keeps for devices, with any ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_DAY_ORIGIN = re.compile(r"infusion (\d{1,3})")


def read_study(folder: Path) -> Study:
    """Read ``samples.csv`` of a study folder, the other tables and ``study.toml`` beside it.

    Whether FCS files exist and templates are right is not looked at: a missing file costs its own
    row, not the study.

    Raises
    ------
    StudyError
        With every fault of these tables in `problems`.
    """
    folder = Path(folder).resolve()
    sheet = folder / "samples.csv"
    if not sheet.is_file():
        raise StudyError(
            "there is no samples.csv",
            where=folder.name,
            advice=f"'cytoflow-car sheet {folder.name}' writes a first one from the files there",
        )
    faults: list[StudyError] = []
    table = read_table(sheet, COLUMNS, _REQUIRED, faults)
    calendar = read_infusions(folder / "infusions.csv", faults)
    patient_rows = read_patients(folder / "patients.csv", calendar, faults)
    patients = {name: row.facts for name, row in patient_rows.items()}
    definitions = read_definitions(folder / "study.toml", faults)
    rule = definitions.immunoglobulin
    labs = read_labs(folder / "labs.csv", calendar, patients, rule, faults)
    if table is None:
        raise StudyError.of(faults)
    rows: list[SheetRow] = []
    contacts = [
        Contact(lab.patient_id, f"labs.csv row {lab.line}", lab.day, lab.taken_on) for lab in labs
    ]
    for cells in table.rows:
        before = len(faults)
        row = _place_in_time(cells, _read_row(cells, folder), calendar)
        _check_row(cells, row, calendar)
        # A specimen that was not done may say that death is why.
        if row.role == "specimen" and row.file and row.use != "exclude":
            facts = patients.get(row.patient_id)
            check_alive(cells, _WHEN, facts, row.day, row.collected_on)
            contacts.append(Contact(row.patient_id, row.where, row.day, row.collected_on))
        row = _name(row)
        # What keeps a name from being built has mostly been told already.
        if row.sample_id or len(faults) == before:
            _check_sample_id(cells, row.sample_id)
        rows.append(row)
    check_followed(patient_rows, contacts)
    faults.extend(_faults_between(rows))
    overrides = read_overrides(folder / "overrides.csv", {row.sample_id for row in rows}, faults)
    if faults:
        raise StudyError.of(faults)
    extra = tuple(column for column in table.columns if column.startswith(OWN_COLUMN))
    return Study(
        folder, tuple(rows), calendar.infusions, overrides, extra, patients, labs, definitions
    )


def _read_row(cells: Cells, folder: Path) -> SheetRow:
    file = cells.text("file")
    return SheetRow(
        sample_id=cells.text("sample_id"),
        line=cells.line,
        file=file,
        path=_path(cells, "file", folder) if file else None,
        dataset=cells.integer("dataset"),
        patient_id=cells.text("patient_id"),
        specimen=cells.choice("specimen", SPECIMENS),
        specimen_id=cells.text("specimen_id"),
        tube=cells.text("tube"),
        acquisition=cells.integer("acquisition"),
        collected_on=cells.date("collected_on"),
        day=cells.number("day"),
        day_origin=_day_origin(cells),
        timing=cells.choice("timing", TIMINGS),
        visit=cells.text("visit"),
        templates=_templates(cells),
        role=_role(cells),
        baseline=cells.choice("baseline", ("yes", "no")) == "yes",
        control_markers=cells.several("control_marker"),
        control_for=cells.several("control_for"),
        batch=cells.text("batch"),
        instrument=cells.text("instrument"),
        panel_version=cells.text("panel_version"),
        prep=cells.text("prep"),
        use=cells.choice("use", USES, "report"),
        exclude_reason=cells.text("exclude_reason"),
        not_done_reason=cells.text("not_done_reason"),
        car_target=read_car_target(cells, "ANY", "unknown"),
        car_reagent=cells.text("car_reagent"),
        spillover=_spillover(cells, folder),
        wbc_10e9_per_l=cells.number("wbc_10e9_per_l", least=0),
        alc_10e9_per_l=cells.number("alc_10e9_per_l", least=0),
        cbc_at=cells.moment("cbc_at"),
        beads_per_tube=cells.number("beads_per_tube", above=0),
        bead_lot=cells.text("bead_lot"),
        volume_ul=cells.number("volume_ul", above=0),
        dilution=cells.number("dilution", above=0) or 1.0,
        kit=_path(cells, "kit", folder) if cells.text("kit") else None,
        pull_number=cells.integer("pull_number"),
        collected_at=cells.moment("collected_at"),
        acquired_at=cells.moment("acquired_at"),
        extra=cells.own,
    )


def _role(cells: Cells) -> str:
    found = cells.choice("role", (*ROLES, *ROLE_WORDS), "specimen")
    return ROLE_WORDS.get(found, found)


def _path(cells: Cells, column: str, folder: Path) -> Path | None:
    found = cells.text(column)
    if "\\" in found or found.startswith("/") or re.match(r"[A-Za-z]:", found):
        cells.fault(
            column,
            f"{found!r}",
            expected="a path relative to samples.csv, with forward slashes",
        )
        return None
    return (folder / found).resolve()


def _spillover(cells: Cells, folder: Path) -> Literal["file", "applied", "none"] | Path:
    found = cells.text("spillover") or "file"
    if found in ("file", "applied", "none"):
        return cast(Literal["file", "applied", "none"], found)
    if not found.lower().endswith(".csv"):
        cells.fault("spillover", f"{found!r} is not one of file, applied, none or a CSV's name")
        return "file"
    return _path(cells, "spillover", folder) or "file"


def _day_origin(cells: Cells) -> int:
    found = cells.text("day_origin")
    origin = _DAY_ORIGIN.fullmatch(found)
    if found and (origin is None or int(origin[1]) < 1):
        cells.fault("day_origin", f"{found!r}", expected="infusion 1, infusion 2 …")
        return 1
    return int(origin[1]) if origin else 1


def _templates(cells: Cells) -> tuple[str, ...]:
    names = cells.several("template")
    for name in names:
        if not _TEMPLATE_NAME.fullmatch(name):
            cells.fault(
                "template",
                f"{name!r} is not a template's name",
                expected="small letters, digits and _, with ';' between several",
            )
    return names


def _place_in_time(cells: Cells, row: SheetRow, calendar: Calendar) -> SheetRow:
    """Settle day from infusion 1 and date of collection, each from the other where it can be."""
    collected_on = row.collected_on
    if row.collected_at is not None:
        at = row.collected_at.date() if isinstance(row.collected_at, datetime) else row.collected_at
        if collected_on is not None and collected_on != at:
            cells.fault("collected_at", f"{at}, but collected_on is {collected_on}")
        collected_on = at
    day = row.day
    if day is not None and row.day_origin > 1:
        start = _day_of(row, calendar)
        if start is None:
            cells.fault(
                "day_origin",
                f"the day of infusion {row.day_origin} of {row.patient_id or 'no patient'} "
                "is not known",
                advice="Give its day, or the dates of it and of infusion 1, in infusions.csv",
            )
        day = None if start is None else day + start
    origin = calendar.origin(row.patient_id)
    if origin is not None and collected_on is not None:
        by_date = (collected_on - origin).days
        if day is not None and floor(day) != by_date:
            cells.fault(
                "day",
                f"day {day:g} from infusion 1, but {collected_on} is day {by_date}",
                advice="Correct day, collected_on, or infused_on in infusions.csv",
            )
        day = float(by_date) if day is None else day
    elif origin is not None and day is not None:
        collected_on = origin + timedelta(days=floor(day))
    elif (
        (row.role, day) == ("specimen", None)
        and row.use != "exclude"
        and collected_on is not None
        and row.patient_id in calendar.undated
    ):
        fault_undated(cells, "collected_on", row.patient_id)
    return replace(row, day=day, collected_on=collected_on)


def _day_of(row: SheetRow, calendar: Calendar) -> float | None:
    for infusion in calendar.of(row.patient_id):
        if infusion.number == row.day_origin:
            return infusion.day
    return None


def _check_row(cells: Cells, row: SheetRow, calendar: Calendar) -> None:
    """Note what must not be empty, and what cannot stand together."""
    if row.file and row.not_done_reason:
        cells.fault("not_done_reason", "given although there is a file", expected="one of them")
    if not row.file and not row.not_done_reason:
        cells.fault("file", "empty", expected="a file, or the reason in not_done_reason")
    if row.role == "specimen":
        for column in ("patient_id", "specimen", "template"):
            cells.needed(column)
        if not any(map(cells.text, _WHEN)):
            cells.fault("collected_on, day", "both empty", expected="one of them")
    if row.role in CONTROL_ROLES and not row.control_markers:
        cells.fault("control_marker", f"empty for a control of role {row.role}")
    if row.role == "calibration_beads" and not cells.text("kit"):
        cells.fault("kit", "empty for calibration beads", expected="the file of the lot's values")
    if row.baseline and row.role != "specimen":
        cells.fault("baseline", f"yes for a control of role {row.role}")
    if row.use == "exclude" and not row.exclude_reason:
        cells.fault("exclude_reason", "empty although use is exclude")
    if row.role == "specimen" and not cells.text("timing") and _is_infusion_day(row, calendar):
        day = "of an infusion" if row.day is None else f"{row.day:g}, an infusion day"
        cells.fault("timing", f"empty on day {day}", expected="pre or post")
    for word, column in (("batch", "batch"), ("patient", "patient_id")):
        if word in row.control_for and (len(row.control_for) > 1 or not cells.text(column)):
            cells.fault("control_for", f"{word!r} needs a {column} and stands alone")


def _is_infusion_day(row: SheetRow, calendar: Calendar) -> bool:
    infusions = calendar.of(row.patient_id)
    if row.day is None:
        return any(item.infused_on == row.collected_on is not None for item in infusions)
    return floor(row.day) in {0, *(item.day for item in infusions if item.day is not None)}


def _name(row: SheetRow) -> SheetRow:
    """Fill in specimen_id and sample_id where the sheet leaves them to us; empty if unknown."""
    day = "" if row.day is None else f"d{row.day:g}"
    if row.role == "specimen":
        draw = (row.patient_id, row.specimen, day, row.timing)
        known = bool(row.patient_id and row.specimen and day)
        parts: tuple[str, ...] = (*draw, row.tube, str(row.acquisition or ""))
    else:
        draw = (row.patient_id or row.batch, row.specimen, day, row.timing)
        known = bool(row.patient_id or row.batch)
        parts = (
            *draw, row.tube, row.role, *row.control_markers, str(row.acquisition or ""),
        )  # fmt: skip
    specimen_id = row.specimen_id or ("_".join(filter(None, draw)) if known else "")
    sample_id = row.sample_id or ("_".join(filter(None, parts)) if known else "")
    return replace(row, specimen_id=specimen_id, sample_id=sample_id)


def _check_sample_id(cells: Cells, sample_id: str) -> None:
    if not sample_id:
        cells.fault(
            "sample_id",
            "empty, and cannot be built without the day from infusion 1 (of a control: without "
            "patient_id or batch)",
            advice="Give a sample_id, or infused_on of infusion 1 in infusions.csv",
        )
    elif (
        not _SAMPLE_ID.fullmatch(sample_id)
        or len(sample_id) > _LONGEST_SAMPLE_ID
        or _DEVICE.fullmatch(sample_id)
    ):
        cells.fault(
            "sample_id",
            f"{sample_id!r} cannot be a file name everywhere",
            expected=f"at most {_LONGEST_SAMPLE_ID} letters, digits, '.', '_' or '-', "
            "the first a letter, digit or '_'",
        )


def _faults_between(rows: list[SheetRow]) -> Iterator[StudyError]:
    """Yield what rows say against each other."""
    by_id: dict[str, SheetRow] = {}
    measured: dict[tuple[object, ...], SheetRow] = {}
    for row in rows:
        first = by_id.setdefault(row.sample_id.lower(), row)
        if row.sample_id and first is not row:
            yield StudyError(
                f"{row.sample_id!r} stands in row {first.line} too",
                where=f"{row.where}, column sample_id",
                advice="Give each row its own; capital and small letters count as the same",
            )
        if row.role == "specimen" and row.use == "report":
            for template in row.templates:
                first = measured.setdefault((*row.tube_key, template), row)
                if first is not row:
                    yield StudyError(
                        f"same patient, specimen, day, timing, tube and template as row "
                        f"{first.line} ({first.sample_id} and {row.sample_id})",
                        where=row.where,
                        advice="Set use of one to append (same tube acquired again), superseded "
                        "or exclude, or correct it",
                    )
    for row in rows:
        if row.use == "append" and not any(
            (*row.tube_key, template) in measured for template in row.templates
        ):
            yield StudyError(
                "append, but no row of use report has this patient, specimen, day, timing, tube "
                "and template",
                where=f"{row.where}, column use",
            )
        for sample_id in row.control_for:
            if sample_id not in ("batch", "patient") and not any(
                sample_id == other.sample_id for other in rows
            ):
                yield StudyError(
                    f"no sample {sample_id!r} in samples.csv",
                    where=f"{row.where}, column control_for",
                    expected="batch, patient, or sample_ids with ';' between them",
                    advice=nearest(sample_id, [other.sample_id for other in rows]),
                )
