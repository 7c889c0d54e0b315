"""``patients.csv``: who the patients are, and what happened to them on which day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor, inf
from pathlib import Path

from cytoflow_car.errors import StudyError
from cytoflow_car.study.cells import Cells, read_table
from cytoflow_car.study.infusions import Calendar, fault_undated
from cytoflow_car.study.records import PatientFacts

#: What may have a date (``_on``) or a day from infusion 1 (``_day``).
EVENTS = (
    "response", "relapse", "death", "last_follow_up", "transplant",
    "prior_blinatumomab", "prior_inotuzumab", "prior_rituximab",
)  # fmt: skip
COLUMNS = (
    "patient_id", "age_years", "sex", "disease_status", "tp53", "response", "relapse_site",
    *(f"{event}{ending}" for event in EVENTS for ending in ("_on", "_day")),
)  # fmt: skip
_TP53 = ("mutated", "wild", "not_tested")


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A row of ``patients.csv``: what it says, and its cells for faults that others show."""

    facts: PatientFacts
    cells: Cells


@dataclass(frozen=True, slots=True)
class Contact:
    """A row of another table by which its patient was followed on a day; known by day or date."""

    patient_id: str
    where: str
    day: float | None
    on: date | None

    @property
    def when(self) -> str:
        """The day, or the date where the day is not known, for messages."""
        return f"{self.on}" if self.day is None else f"day {self.day:g}"


def read_patients(
    path: Path, calendar: Calendar, faults: list[StudyError]
) -> Mapping[str, PatientRow]:
    """Read ``patients.csv`` by patient; an absent file means that nothing is known."""
    if not path.is_file():
        return {}
    table = read_table(path, COLUMNS, ("patient_id",), faults)
    if table is None:
        return {}
    found: dict[str, PatientRow] = {}
    for cells in table.rows:
        facts = _read_row(cells, calendar)
        if facts.patient_id in calendar.undated and (dated := facts.dates.keys() - facts.days):
            columns = ", ".join(f"{event}_on" for event in EVENTS if event in dated)
            fault_undated(cells, columns, facts.patient_id)
        _check_order(cells, facts, calendar)
        if not facts.patient_id:
            continue
        if facts.patient_id in found:
            cells.fault("patient_id", f"stands in row {found[facts.patient_id].cells.line} too")
        found.setdefault(facts.patient_id, PatientRow(facts, cells))
    return found


def _read_row(cells: Cells, calendar: Calendar) -> PatientFacts:
    patient_id = cells.needed("patient_id")
    origin = calendar.origin(patient_id)
    days: dict[str, float] = {}
    dates: dict[str, date] = {}
    for event in EVENTS:
        on, day = cells.date(f"{event}_on"), cells.number(f"{event}_day")
        by_date = None if on is None or origin is None else float((on - origin).days)
        if day is not None and by_date is not None and day != by_date:
            cells.fault(f"{event}_day", f"day {day:g}, but {on} is day {by_date:g}")
        day = by_date if day is None else day
        if day is not None:
            days[event] = day
            if on is None and origin is not None:
                on = origin + timedelta(days=floor(day))
        if on is not None:
            dates[event] = on
    return PatientFacts(
        patient_id,
        cells.number("age_years", least=0),
        cells.text("sex"),
        cells.text("disease_status"),
        cells.choice("tp53", _TP53),
        cells.text("response"),
        cells.text("relapse_site"),
        days,
        dates,
        cells.own,
    )


def _check_order(cells: Cells, facts: PatientFacts, calendar: Calendar) -> None:
    """Note what cannot have happened in this order.

    A response, an antibody and a transplantation may lie before infusion 1: they are then of what
    was given before.
    """
    first_on = calendar.origin(facts.patient_id)
    for event in ("relapse", "death", "last_follow_up"):
        if facts.is_before(event, 0.0, first_on):
            advice = "Give the first relapse after it" if event == "relapse" else ""
            _fault(cells, facts, event, "before infusion 1", advice)
    for infusion in calendar.of(facts.patient_id)[1:]:
        for event in ("death", "last_follow_up"):
            if facts.is_before(event, infusion.day, infusion.infused_on):
                _fault(cells, facts, event, f"before infusion {infusion.number}")
    for event in EVENTS:
        day, on = facts.days.get(event), facts.dates.get(event)
        if facts.is_before("death", day, on):
            _fault(cells, facts, event, f"after death on {facts.when('death')}")
        elif facts.is_before("last_follow_up", day, on):
            what = event.removeprefix("prior_")
            _fault(cells, facts, "last_follow_up", f"before {what} on {facts.when(event)}")


def _fault(cells: Cells, facts: PatientFacts, event: str, problem: str, advice: str = "") -> None:
    column = f"{event}_day" if cells.text(f"{event}_day") else f"{event}_on"
    cells.fault(column, f"{facts.when(event)}, {problem}", advice=advice)


def check_followed(patients: Mapping[str, PatientRow], contacts: Iterable[Contact]) -> None:
    """Note patients who were seen after their last follow-up, each once, with the latest row.

    What lies after death is at fault itself.
    """
    latest: dict[str, Contact] = {}
    for contact in sorted(contacts, key=_time):
        known = patients.get(contact.patient_id)
        if (
            known is not None
            and known.facts.is_before("last_follow_up", contact.day, contact.on)
            and not known.facts.is_before("death", contact.day, contact.on)
        ):
            latest[contact.patient_id] = contact
    for name, contact in latest.items():
        _fault(
            patients[name].cells,
            patients[name].facts,
            "last_follow_up",
            f"before {contact.where} on {contact.when}",
            "Give the last day on which the patient was seen",
        )


def _time(contact: Contact) -> tuple[date, float]:
    return contact.on or date.min, -inf if contact.day is None else contact.day


def check_alive(
    cells: Cells,
    columns: tuple[str, ...],
    facts: PatientFacts | None,
    day: float | None,
    on: date | None,
) -> None:
    """Note that a row of another table is of a day after the patient's death.

    Parameters
    ----------
    columns
        Those that may say when; the first that is not empty is at fault.
    facts
        Of the row's patient; None where ``patients.csv`` has none.
    """
    if facts is not None and facts.is_before("death", day, on):
        column = next((column for column in columns if cells.text(column)), columns[0])
        when = f"{on}" if day is None else f"day {day:g}"
        cells.fault(
            column,
            f"{when}, after the death of {facts.patient_id} on {facts.when('death')}",
            advice="Correct it, or death in patients.csv",
        )
