"""Laboratory values arrive with unit, day and bound; what cannot be is told with its place."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.study.records import LabResult
from cytoflow_car.study.sheet import read_study

Row = dict[str, str]
SPECIMEN = {"file": "a.fcs", "patient_id": "P01", "specimen": "PB", "template": "t", "day": "7"}
INFUSION = {"patient_id": "P01", "infusion": "1", "infused_on": "2024-03-01"}
VALUE = {
    "patient_id": "P01",
    "day": "30",
    "test": "IgG",
    "value": "3.9",
    "unit": "g/L",
    "lower_limit": "6",
}


def write_table(path: Path, rows: tuple[Row, ...]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def labs_of(
    folder: Path, *rows: Row, infusion: Row | None = INFUSION, patient: Row | None = None
) -> tuple[LabResult, ...]:
    write_table(folder / "samples.csv", (SPECIMEN,))
    write_table(folder / "labs.csv", rows)
    if infusion:
        write_table(folder / "infusions.csv", (infusion,))
    if patient:
        write_table(folder / "patients.csv", ({"patient_id": "P01"} | patient,))
    return read_study(folder).labs


def faults_of(
    folder: Path, *rows: Row, infusion: Row | None = INFUSION, patient: Row | None = None
) -> list[str]:
    with pytest.raises(StudyError) as caught:
        labs_of(folder, *rows, infusion=infusion, patient=patient)
    return [str(problem) for problem in caught.value.problems]


def test_a_value_arrives_with_unit_and_day(tmp_path: Path) -> None:
    assert labs_of(tmp_path, VALUE | {"x_ward": "4B"}) == (
        LabResult("P01", 2, "IgG", 3.9, "", "g/L", 6.0, date(2024, 3, 31), 30.0),
    )


def test_a_study_without_the_table_has_no_values(tmp_path: Path) -> None:
    write_table(tmp_path / "samples.csv", (SPECIMEN,))
    assert read_study(tmp_path).labs == ()


@pytest.mark.parametrize(
    ("when", "infusion", "taken_on", "day"),
    [
        ({"day": "", "date": "2024-03-31"}, INFUSION, date(2024, 3, 31), 30.0),
        ({"day": "30.5"}, INFUSION, date(2024, 3, 31), 30.5),
        ({"day": "30.5", "date": "2024-03-31"}, INFUSION, date(2024, 3, 31), 30.5),
        ({"day": "-3"}, INFUSION, date(2024, 2, 27), -3.0),
        ({"day": "30"}, None, None, 30.0),
        ({"day": "", "date": "2024-03-31"}, None, date(2024, 3, 31), None),
    ],
)
def test_days_and_dates_come_from_each_other(
    tmp_path: Path, when: Row, infusion: Row | None, taken_on: date | None, day: float | None
) -> None:
    (result,) = labs_of(tmp_path, VALUE | when, infusion=infusion)
    assert (result.taken_on, result.day) == (taken_on, day)


@pytest.mark.parametrize(
    ("text", "value", "bound"),
    [("<0.07", 0.07, "<"), ("< 0.07", 0.07, "<"), (">20", 20.0, ">"), ("0", 0.0, "")],
)
def test_a_laboratory_may_give_a_bound_alone(
    tmp_path: Path, text: str, value: float, bound: str
) -> None:
    (result,) = labs_of(tmp_path, VALUE | {"value": text})
    assert (result.value, result.bound) == (value, bound)


def test_of_given_immunoglobulins_the_dose_may_be_unknown(tmp_path: Path) -> None:
    given = VALUE | {"test": "IVIG", "value": "", "unit": "", "lower_limit": ""}
    known = given | {"value": "0.4", "unit": "g/kg"}
    assert [(item.value, item.unit) for item in labs_of(tmp_path, given, known)] == [
        (None, ""),
        (0.4, "g/kg"),
    ]


def test_other_tests_are_kept(tmp_path: Path) -> None:
    assert labs_of(tmp_path, VALUE | {"test": "IgG1"})[0].test == "IgG1"


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"patient_id": ""}, ", column patient_id: empty"),
        ({"test": ""}, ", column test: empty"),
        ({"test": "igg"}, ", column test: 'igg'; expected IgG"),
        ({"test": "Ig-A"}, ", column test: 'Ig-A'; expected IgA"),
        ({"test": "IVIg"}, ", column test: 'IVIg'; expected IVIG"),
        ({"value": ""}, ", column value: empty"),
        ({"value": "3,9"}, ", column value: '3,9' is not a number. Write 3.9"),
        (
            {"value": "low"},
            ", column value: 'low' is not a number. Write digits with a decimal point, without "
            "unit",
        ),
        ({"value": "-1"}, ", column value: '-1'; expected a number of at least 0"),
        (
            {"test": "IVIG", "value": "0"},
            ", column value: '0'; expected a number above 0",
        ),
        ({"unit": ""}, ", column unit: empty"),
        ({"lower_limit": "0"}, ", column lower_limit: '0'; expected a number above 0"),
        ({"day": ""}, ", column date, day: both empty; expected one of them"),
        (
            {"date": "31.3.2024"},
            ", column date: '31.3.2024' is not a date; expected year-month-day as in 2024-03-31",
        ),
        ({"date": "2024-04-02"}, ", column day: day 30 from infusion 1, but 2024-04-02 is day 32"),
    ],
)
def test_a_wrong_cell_is_told_with_its_place(tmp_path: Path, cells: Row, fault: str) -> None:
    assert faults_of(tmp_path, VALUE | cells) == [f"labs.csv row 2{fault}"]


def test_an_unknown_column_is_told_with_the_nearest(tmp_path: Path) -> None:
    assert faults_of(tmp_path, VALUE | {"upper_limit": "16"}) == [
        "labs.csv, column upper_limit: unknown column. Did you mean lower_limit?"
    ]


@pytest.mark.parametrize("infusion", [INFUSION | {"infused_on": "", "day": "0"}, None])
def test_a_date_that_gives_no_day_is_told(tmp_path: Path, infusion: Row | None) -> None:
    given = VALUE | {"day": "", "date": "2024-03-20", "test": "IVIG"}
    assert faults_of(tmp_path, VALUE, given, infusion=infusion) == [
        "labs.csv row 3, column date: a date alone, but infusion 1 of P01 has none to count the "
        "day from. Give infused_on of infusion 1 in infusions.csv, or the day here"
    ]
    # Dates alone are all there is of somebody who was not infused.
    assert labs_of(tmp_path, given | {"patient_id": "P09"}, infusion=infusion)[0].day is None


@pytest.mark.parametrize("when", [{"day": "30"}, {"day": "", "date": "2024-03-31"}])
def test_one_test_has_one_value_a_day(tmp_path: Path, when: Row) -> None:
    rows = (VALUE, VALUE | {"test": "IgA"}, VALUE | {"day": "30.5"}, VALUE | when)
    assert faults_of(tmp_path, *rows) == [
        "labs.csv row 5: IgG of P01 on the day of row 2; expected one value a day. Keep the one "
        "that counts, or give days with a fraction"
    ]


def test_a_unit_does_not_change_within_a_patient(tmp_path: Path) -> None:
    other = VALUE | {"day": "90", "value": "250", "unit": "mg/dL"}
    rows = (VALUE, other | {"patient_id": "P02"}, other | {"test": "IgA"}, other)
    assert faults_of(tmp_path, *rows) == [
        "labs.csv row 5, column unit: 'mg/dL'; expected g/L, as IgG of P01 in row 2. Convert value "
        "and lower_limit"
    ]


@pytest.mark.parametrize("when", [{"day": "30"}, {"day": "", "date": "2024-03-31"}])
@pytest.mark.parametrize("death", [{"death_day": "29"}, {"death_on": "2024-03-30"}])
def test_nothing_is_measured_after_death(tmp_path: Path, when: Row, death: Row) -> None:
    column = "date" if "date" in when else "day"
    assert faults_of(tmp_path, VALUE | when, patient=death) == [
        f"labs.csv row 2, column {column}: day 30, after the death of P01 on day 29. Correct it, "
        "or death in patients.csv"
    ]
    assert len(labs_of(tmp_path, VALUE | when, patient={"death_day": "30"})) == 1
