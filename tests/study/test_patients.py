"""What happened to a patient cannot contradict itself, nor what other tables say of the patient."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.study.records import Study
from cytoflow_car.study.sheet import read_study

SPECIMEN = {
    "file": "a.fcs",
    "sample_id": "a",
    "patient_id": "P01",
    "specimen": "PB",
    "template": "car_t_pb",
    "day": "7",
}
INFUSIONS = (
    {"patient_id": "P01", "infusion": "1", "infused_on": "2024-03-01"},
    {"patient_id": "P01", "infusion": "2", "infused_on": "2024-04-10"},
)


def write_table(path: Path, rows: tuple[dict[str, str], ...]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def study_of(
    folder: Path,
    happened: dict[str, str],
    *,
    specimen: dict[str, str] | None = None,
    infusions: tuple[dict[str, str], ...] = INFUSIONS,
) -> Study:
    write_table(folder / "samples.csv", (SPECIMEN | (specimen or {}),))
    write_table(folder / "patients.csv", ({"patient_id": "P01"} | happened,))
    if infusions:
        write_table(folder / "infusions.csv", infusions)
    return read_study(folder)


def faults_of(folder: Path, happened: dict[str, str], **tables: object) -> list[str]:
    with pytest.raises(StudyError) as caught:
        study_of(folder, happened, **tables)  # type: ignore[arg-type]
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("ending", ["on", "day"])
def test_days_and_dates_come_from_each_other(tmp_path: Path, ending: str) -> None:
    stated = {"on": "2024-06-09", "day": "100"}[ending]
    facts = study_of(tmp_path, {f"relapse_{ending}": stated}).patients["P01"]
    assert (facts.days, facts.dates) == ({"relapse": 100.0}, {"relapse": date(2024, 6, 9)})


def test_a_date_without_infusion_one_stays_a_date(tmp_path: Path) -> None:
    facts = study_of(tmp_path, {"relapse_on": "2024-06-09"}, infusions=()).patients["P01"]
    assert (facts.days, facts.dates) == ({}, {"relapse": date(2024, 6, 9)})
    assert facts.when("relapse") == "2024-06-09"


def test_dates_that_give_no_day_are_told(tmp_path: Path) -> None:
    happened = {"death_on": "2024-08-01", "last_follow_up_on": "2024-08-01"}
    both = {"relapse_on": "2024-06-09", "relapse_day": "100"}
    by_day = ({"patient_id": "P01", "infusion": "1", "day": "0"},)
    assert faults_of(tmp_path, happened | both, infusions=by_day) == [
        "patients.csv row 2, column death_on, last_follow_up_on: a date alone, but infusion 1 of "
        "P01 has none to count the day from. Give infused_on of infusion 1 in infusions.csv, or "
        "the day here"
    ]
    # Who was not infused has dates alone.
    study_of(tmp_path, happened, infusions=({"patient_id": "P02", "infusion": "1", "day": "0"},))


@pytest.mark.parametrize(
    ("happened", "fault"),
    [
        (
            {"relapse_day": "90", "death_day": "80"},
            "relapse_day: day 90, after death on day 80",
        ),
        (
            {"relapse_on": "2024-05-30", "death_day": "80"},
            "relapse_on: day 90, after death on day 80",
        ),
        (
            {"transplant_day": "90", "death_day": "80"},
            "transplant_day: day 90, after death on day 80",
        ),
        (
            {"last_follow_up_day": "90", "death_day": "80"},
            "last_follow_up_day: day 90, after death on day 80",
        ),
        (
            {"prior_inotuzumab_day": "90", "death_day": "80"},
            "prior_inotuzumab_day: day 90, after death on day 80",
        ),
        (
            {"last_follow_up_day": "70", "death_day": "80"},
            "last_follow_up_day: day 70, before death on day 80",
        ),
        (
            {"last_follow_up_day": "70", "relapse_day": "80"},
            "last_follow_up_day: day 70, before relapse on day 80",
        ),
        (
            {"last_follow_up_day": "70", "transplant_day": "80"},
            "last_follow_up_day: day 70, before transplant on day 80",
        ),
        (
            {"last_follow_up_day": "70", "prior_rituximab_day": "80"},
            "last_follow_up_day: day 70, before rituximab on day 80",
        ),
        ({"death_on": "2024-02-28"}, "death_on: day -2, before infusion 1"),
        ({"death_day": "39"}, "death_day: day 39, before infusion 2"),
        ({"last_follow_up_day": "39"}, "last_follow_up_day: day 39, before infusion 2"),
        (
            {"relapse_day": "-1"},
            "relapse_day: day -1, before infusion 1. Give the first relapse after it",
        ),
        ({"last_follow_up_day": "-1"}, "last_follow_up_day: day -1, before infusion 1"),
    ],
)
def test_an_impossible_order_is_told(tmp_path: Path, happened: dict[str, str], fault: str) -> None:
    # One infusion where the second would be a fault of its own, and a specimen before all of it.
    infusions = INFUSIONS if "infusion 2" in fault else INFUSIONS[:1]
    found = faults_of(tmp_path, happened, specimen={"day": "-20"}, infusions=infusions)
    assert found == [f"patients.csv row 2, column {fault}"]


def test_dates_are_compared_where_days_are_not_known(tmp_path: Path) -> None:
    happened = {"relapse_on": "2024-06-09", "death_on": "2024-06-08"}
    assert faults_of(tmp_path, happened, infusions=()) == [
        "patients.csv row 2, column relapse_on: 2024-06-09, after death on 2024-06-08"
    ]


@pytest.mark.parametrize(
    "happened",
    [
        {"relapse_day": "80", "death_day": "80", "last_follow_up_day": "80"},
        {"response_day": "-20", "transplant_day": "-300", "prior_blinatumomab_day": "-60"},
        {"last_follow_up_day": "0"},
    ],
)
def test_a_possible_order_is_none(tmp_path: Path, happened: dict[str, str]) -> None:
    study_of(tmp_path, happened, specimen={"day": "-20"}, infusions=INFUSIONS[:1])


def test_a_day_and_a_date_without_infusion_one_are_not_compared(tmp_path: Path) -> None:
    study_of(tmp_path, {"relapse_day": "90", "death_on": "2024-03-02"}, infusions=())


@pytest.mark.parametrize(
    ("specimen", "fault"),
    [
        ({"day": "81"}, "day: day 81, after the death of P01 on day 80"),
        (
            {"day": "", "collected_on": "2024-05-21"},
            "collected_on: day 81, after the death of P01 on day 80",
        ),
        (
            {"day": "41", "day_origin": "infusion 2"},
            "day: day 81, after the death of P01 on day 80",
        ),
    ],
)
def test_no_specimen_is_of_a_day_after_death(
    tmp_path: Path, specimen: dict[str, str], fault: str
) -> None:
    assert faults_of(tmp_path, {"death_day": "80"}, specimen=specimen) == [
        f"samples.csv row 2, column {fault}. Correct it, or death in patients.csv"
    ]


def test_who_was_seen_was_followed(tmp_path: Path) -> None:
    end = {"last_follow_up_on": "2024-03-06"}
    told = (
        "patients.csv row 2, column last_follow_up_on: day 5, before {} on day {}. Give the last "
        "day on which the patient was seen"
    )
    assert faults_of(tmp_path, end, infusions=INFUSIONS[:1]) == [
        told.format("samples.csv row 2", 7)
    ]
    labs = (
        {"patient_id": "P01", "day": day, "test": "IVIG", "value": "", "unit": ""}
        for day in ("9", "12", "3")
    )
    write_table(tmp_path / "labs.csv", tuple(labs))
    assert faults_of(tmp_path, end, infusions=INFUSIONS[:1]) == [told.format("labs.csv row 3", 12)]
    study_of(tmp_path, {"last_follow_up_day": "12"}, infusions=INFUSIONS[:1])


@pytest.mark.parametrize(
    "specimen",
    [
        {"day": "80.5"},
        {"day": "90", "file": "", "not_done_reason": "died"},
        {"day": "90", "use": "exclude", "exclude_reason": "date is wrong"},
    ],
)
def test_what_may_stand_after_death(tmp_path: Path, specimen: dict[str, str]) -> None:
    study_of(tmp_path, {"death_day": "80", "last_follow_up_day": "80"}, specimen=specimen)
