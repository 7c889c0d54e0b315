"""``labs.csv``: immunoglobulins that were measured, and those that were given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from math import floor
from pathlib import Path
from typing import Literal, cast

from cytoflow_car.errors import StudyError
from cytoflow_car.study.cells import Cells, read_table
from cytoflow_car.study.infusions import Calendar, fault_undated
from cytoflow_car.study.patients import check_alive
from cytoflow_car.study.records import ImmunoglobulinRule, LabResult, PatientFacts

COLUMNS = ("patient_id", "date", "day", "test", "value", "unit", "lower_limit")
_REQUIRED = ("patient_id", "test", "value", "unit")
#: The test that says that immunoglobulins were given.
IVIG = "IVIG"
#: Tests that have one spelling here; others are kept as they are written.
_SPELLINGS = {test.lower(): test for test in ("IgG", "IgA", "IgM", IVIG)}


def read_labs(
    path: Path,
    calendar: Calendar,
    patients: Mapping[str, PatientFacts],
    rule: ImmunoglobulinRule,
    faults: list[StudyError],
) -> tuple[LabResult, ...]:
    """Read ``labs.csv``; an absent file means that nothing was measured.

    Parameters
    ----------
    patients
        A value of a day after a patient's death is a fault.
    rule
        A value in another unit than its limit is one, too; of limits that rows give, a unit that
        changes within a patient.
    """
    table = read_table(path, COLUMNS, _REQUIRED, faults) if path.is_file() else None
    rows = table.rows if table is not None else ()
    # Days of somebody who is in no infusions.csv count from infusion 1 all the same.
    undated = calendar.undated | {
        cells.text("patient_id")
        for cells in rows
        if cells.text("day") and not calendar.of(cells.text("patient_id"))
    }
    results = []
    for cells in rows:
        result = _place_in_time(cells, _read_row(cells), calendar)
        if result.patient_id in undated and result.day is None and result.taken_on is not None:
            fault_undated(cells, "date", result.patient_id)
        check_alive(
            cells, ("date", "day"), patients.get(result.patient_id), result.day, result.taken_on
        )
        if rule.limit is not None and result.test == rule.test and result.unit != rule.unit:
            cells.fault("unit", f"{result.unit!r}", expected=f"{rule.unit}, as in study.toml")
        results.append(result)
    faults.extend(_measured_twice(results))
    if rule.limit is None:
        judged = [item for item in results if item.test == rule.test and item.unit]
        faults.extend(_units_changed(judged))
    return tuple(results)


def spell(test: str) -> str:
    """Return a test as it is spelt here: ``IgG`` for ``igg`` and ``Ig-G``."""
    return _SPELLINGS.get(re.sub(r"[\W_]", "", test).lower(), test)


def _read_row(cells: Cells) -> LabResult:
    test = cells.needed("test")
    spelling = spell(test)
    if test != spelling:
        cells.fault("test", f"{test!r}", expected=spelling)
    if not cells.text("date") and not cells.text("day"):
        cells.fault("date, day", "both empty", expected="one of them")
    value, bound = _value(cells, spelling)
    return LabResult(
        patient_id=cells.needed("patient_id"),
        line=cells.line,
        test=spelling,
        value=value,
        bound=bound,
        # The dose of IVIG may be unknown.
        unit=cells.needed("unit") if cells.text("value") else cells.text("unit"),
        lower_limit=cells.number("lower_limit", above=0),
        taken_on=cells.date("date"),
        day=cells.number("day"),
    )


def _value(cells: Cells, test: str) -> tuple[float | None, Literal["", "<", ">"]]:
    if test == IVIG:
        return cells.number("value", above=0), ""
    text = cells.needed("value")
    bound = text[:1] if text.startswith(("<", ">")) else ""
    number = replace(cells, values={"value": text.removeprefix(bound).lstrip()})
    return number.number("value", least=0), cast(Literal["", "<", ">"], bound)


def _place_in_time(cells: Cells, result: LabResult, calendar: Calendar) -> LabResult:
    """Settle day and date, each from the other where it can be."""
    origin, day, taken_on = calendar.origin(result.patient_id), result.day, result.taken_on
    if origin is None:
        return result
    if taken_on is None:
        known = None if day is None else origin + timedelta(days=floor(day))
        return replace(result, taken_on=known)
    by_date = (taken_on - origin).days
    if day is not None and floor(day) != by_date:
        cells.fault("day", f"day {day:g} from infusion 1, but {taken_on} is day {by_date}")
    return replace(result, day=float(by_date) if day is None else day)


def _units_changed(results: list[LabResult]) -> Iterator[StudyError]:
    first: dict[str, LabResult] = {}
    for result in results:
        other = first.setdefault(result.patient_id, result)
        if result.unit != other.unit:
            yield StudyError(
                f"{result.unit!r}",
                where=f"labs.csv row {result.line}, column unit",
                expected=f"{other.unit}, as {result.test} of {result.patient_id} in row "
                f"{other.line}",
                advice="Convert value and lower_limit",
            )


def _measured_twice(results: list[LabResult]) -> Iterator[StudyError]:
    seen: dict[tuple[object, ...], LabResult] = {}
    for result in results:
        when = result.taken_on if result.day is None else result.day
        # IVIG is given in several portions.
        if result.test != IVIG and when is not None:
            first = seen.setdefault((result.patient_id, result.test, when), result)
            if first is not result:
                yield StudyError(
                    f"{result.test} of {result.patient_id} on the day of row {first.line}",
                    where=f"labs.csv row {result.line}",
                    expected="one value a day",
                    advice="Keep the one that counts, or give days with a fraction",
                )
