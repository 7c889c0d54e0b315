"""``infusions.csv``: the only source of infusions, and what turns dates into days."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

from cytoflow_car.errors import StudyError
from cytoflow_car.study.cells import Cells, nearest, read_table
from cytoflow_car.study.records import Infusion

COLUMNS = (
    "patient_id", "infusion", "product", "car_target", "infused_on", "day", "dose_per_kg",
)  # fmt: skip
#: Antigens of CARs, of several in one product too: CD19, CD44v6, BCMA, BAFF-R, EGFRvIII.
_ANTIGEN = r"(CD\d+[a-z0-9]*|(?!CD[^A-Z]|CAR|(?:ANY|UNKNOWN)\b)[A-Z]{2}[A-WYZa-wyz0-9.-]+)"
_CAR_TARGET = re.compile(rf"{_ANTIGEN}([/x+]{_ANTIGEN})*")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The infusions of a study, and the date of each patient's infusion 1 where it is known.

    Attributes
    ----------
    undated
        Patients whose infusion 1 has no date, so that no date of theirs has a day.
    """

    infusions: tuple[Infusion, ...] = ()
    first_on: Mapping[str, date] = field(default_factory=dict)
    undated: frozenset[str] = frozenset()

    def origin(self, patient_id: str) -> date | None:
        """Return the date of a patient's day 0."""
        return self.first_on.get(patient_id)

    def of(self, patient_id: str) -> tuple[Infusion, ...]:
        """Return a patient's infusions, the first one first."""
        return tuple(item for item in self.infusions if item.patient_id == patient_id)


def read_infusions(path: Path, faults: list[StudyError]) -> Calendar:
    """Read ``infusions.csv``; an absent file means that no infusion is known."""
    if not path.is_file():
        return Calendar()
    table = read_table(path, COLUMNS, ("patient_id", "infusion"), faults)
    if table is None:
        return Calendar()
    first_on: dict[str, date] = {}
    stated: dict[tuple[str, int], tuple[Cells, Infusion]] = {}
    for cells in table.rows:
        item = _read_row(cells)
        if item is None:
            continue
        key = (item.patient_id, item.number)
        if key in stated:
            cells.fault("infusion", f"stands in row {stated[key][0].line} too")
            continue
        stated[key] = (cells, item)
        if item.infused_on is not None and item.day is not None:
            origin = item.infused_on - timedelta(days=item.day)
            known = first_on.setdefault(item.patient_id, origin)
            if known != origin:
                cells.fault(
                    "infused_on, day",
                    f"day {item.day:g} on {item.infused_on} puts infusion 1 on {origin}",
                    expected=f"{known}, as in a row above",
                )
    undated = frozenset(
        patient_id
        for (patient_id, number), (cells, _) in stated.items()
        if number == 1 and patient_id not in first_on and not cells.text("infused_on")
    )
    infusions = []
    for (patient_id, number), (cells, item) in sorted(stated.items()):
        infusions.append(_complete(item, first_on.get(patient_id)))
        if patient_id in undated and item.day is None and item.infused_on is not None:
            fault_undated(cells, "infused_on", patient_id)
        if number == 1:
            continue
        if (patient_id, number - 1) not in stated:
            cells.fault("infusion", f"no infusion {number - 1} of {patient_id}")
        elif not _in_order(*infusions[-2:]):
            cells.fault("infused_on, day", f"not after infusion {number - 1} of {patient_id}")
    return Calendar(tuple(infusions), first_on, undated)


def fault_undated(cells: Cells, columns: str, patient_id: str) -> None:
    """Note dates that give no day, because infusion 1 has none."""
    cells.fault(
        columns,
        f"a date alone, but infusion 1 of {patient_id} has none to count the day from",
        advice="Give infused_on of infusion 1 in infusions.csv, or the day here",
    )


def _read_row(cells: Cells) -> Infusion | None:
    patient_id, number = cells.needed("patient_id"), cells.integer("infusion")
    infused_on, day = cells.date("infused_on"), cells.number("day")
    if not cells.text("infusion"):
        cells.fault("infusion", "empty")
    if not cells.text("infused_on") and not cells.text("day"):
        cells.fault("infused_on, day", "both empty", expected="one of them")
    if day is not None and not day.is_integer():
        cells.fault("day", f"{day:g}", expected="a whole day")
    if number == 1:
        if day:
            cells.fault("day", f"{day:g}", expected="0: days count from infusion 1")
        day = 0.0
    if not patient_id or number is None:
        return None
    return Infusion(
        patient_id=patient_id,
        number=number,
        product=cells.text("product"),
        car_target=read_car_target(cells),
        infused_on=infused_on,
        day=day,
        dose_per_kg=cells.number("dose_per_kg", above=0),
    )


def read_car_target(cells: Cells, *words: str) -> str:
    """Return the antigen of a CAR, or one of some words; results join by it letter for letter."""
    found = cells.text("car_target")
    if found and found not in words and not _CAR_TARGET.fullmatch(found):
        known = ("CD19", "CD22", *words)
        respelt = re.sub(r"[\s_-]", "", found.upper())
        near = respelt.startswith("CD") and _CAR_TARGET.fullmatch(respelt)
        cells.fault(
            "car_target",
            f"{found!r}",
            expected=f"{', '.join(known)} or another antigen in capitals, with /, x or + between "
            "several",
            advice=nearest(found, (respelt,) if near else known),
        )
    return found


def _complete(item: Infusion, origin: date | None) -> Infusion:
    if origin is None:
        return item
    if item.day is None and item.infused_on is not None:
        return replace(item, day=float((item.infused_on - origin).days))
    if item.infused_on is None and item.day is not None:
        return replace(item, infused_on=origin + timedelta(days=item.day))
    return item


def _in_order(one: Infusion, other: Infusion) -> bool:
    if one.day is not None and other.day is not None:
        return one.day < other.day
    if one.infused_on is not None and other.infused_on is not None:
        return one.infused_on < other.infused_on
    return True
