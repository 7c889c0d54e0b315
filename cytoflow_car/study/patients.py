"""``patients.csv``: who the patients are, and what happened to them on which day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cytoflow_car.errors import StudyError
from cytoflow_car.study.cells import Cells, read_table
from cytoflow_car.study.infusions import Calendar
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


def read_patients(
    path: Path, calendar: Calendar, faults: list[StudyError]
) -> Mapping[str, PatientFacts]:
    """Read ``patients.csv`` by patient; an absent file means that nothing is known."""
    if not path.is_file():
        return {}
    table = read_table(path, COLUMNS, ("patient_id",), faults)
    if table is None:
        return {}
    found: dict[str, PatientFacts] = {}
    lines: dict[str, int] = {}
    for cells in table.rows:
        facts = _read_row(cells, calendar)
        if not facts.patient_id:
            continue
        if facts.patient_id in found:
            cells.fault("patient_id", f"stands in row {lines[facts.patient_id]} too")
        lines.setdefault(facts.patient_id, cells.line)
        found.setdefault(facts.patient_id, facts)
    return found


def _read_row(cells: Cells, calendar: Calendar) -> PatientFacts:
    patient_id = cells.needed("patient_id")
    origin = calendar.origin(patient_id)
    days: dict[str, float] = {}
    undated = set()
    for event in EVENTS:
        on, day = cells.date(f"{event}_on"), cells.number(f"{event}_day")
        by_date = None if on is None or origin is None else float((on - origin).days)
        if day is not None and by_date is not None and day != by_date:
            cells.fault(f"{event}_day", f"day {day:g}, but {on} is day {by_date:g}")
        known = by_date if day is None else day
        if known is not None:
            days[event] = known
        elif on is not None:
            undated.add(event)
    return PatientFacts(
        patient_id,
        cells.number("age_years", least=0),
        cells.text("sex"),
        cells.text("disease_status"),
        cells.choice("tp53", _TP53),
        cells.text("response"),
        cells.text("relapse_site"),
        days,
        frozenset(undated),
    )
