"""Courses and outcome tables of a run whose measurements are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hand_written import b_cell, car, frame, row
from outcome_sums import differing, sums

from cytoflow_car.cli import cli
from cytoflow_car.errors import StudyError
from cytoflow_car.study.cohort_outcome import CohortOutcome, summarise_cohort, write_cohort

# The worked example of the kinetics: days and percents.
DAYS, PERCENTS = (0, 3, 7, 10, 14, 21, 28), (0, 2, 80, 120, 60, 15, 3)

ROWS = [
    *(car("P1", day, value) for day, value in zip(DAYS, PERCENTS, strict=True)),
    # What says nothing of one product, or was not done, is in no series.
    car("P1", 12, 90.0, car_target="ANY"),
    car("P1", 13, 90.0, use="superseded"),
    car("P1", 17, None),
    car("P2", 7, 10.0), car("P2", 14, 30.0), car("P2", 20, 0.0), car("P2", 28, 0.0),
    car("P2", 40, 5.0, car_target="CD22", car_reagent="CD22-Fc"),
    b_cell("P1", 30, 0.0), b_cell("P1", 90, 3.0), b_cell("P1", 180, 5.0),
    b_cell("P2", 30, 0.0), b_cell("P2", 200, 4.0),
]  # fmt: skip
SHEET = """file,patient_id,specimen,template,day,timing,tube
fcs/a.fcs,P1,PB,car_t_pb,1,,T
fcs/b.fcs,P2,PB,car_t_pb,1,,T
fcs/c.fcs,P3,PB,car_t_pb,1,,T
"""
PATIENTS = """patient_id,age_years,tp53,relapse_day,death_day,last_follow_up_day
P1,5,wild,,,400
P2,7,mutated,200,260,260
"""
INFUSIONS = """patient_id,infusion,car_target,day,dose_per_kg
P1,1,CD19,0,1000000
P2,1,CD19,0,2000000
P2,2,CD22,30,3000000
"""


def write_run(folder: Path, rows: Sequence[dict] = ROWS) -> tuple[Path, Path]:
    """Write a study folder, and the results of a run of it."""
    study, results = folder / "study", folder / "results"
    study.mkdir()
    results.mkdir()
    (study / "samples.csv").write_text(SHEET, encoding="utf-8")
    (study / "patients.csv").write_text(PATIENTS, encoding="utf-8")
    (study / "infusions.csv").write_text(INFUSIONS, encoding="utf-8")
    frame(rows).to_parquet(results / "measurements.parquet")
    files = "sample_id,role,use,path,dataset,sha256,from_results\n"
    files += "P1_PB_d1_T,specimen,report,fcs/a.fcs,,,../study/fcs/a.fcs\n"
    (results / "files.csv").write_text(files, encoding="utf-8")
    return study, results


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> CohortOutcome:
    _, results = write_run(tmp_path_factory.mktemp("run"))
    return summarise_cohort(results, times=(365,), landmarks=(100, 190))


def test_the_worked_example_of_the_kinetics(found: CohortOutcome) -> None:
    courses = found.frames["courses.csv"][0].set_index(["USUBJID", "INFSEQ"])
    own = courses.loc[("P1", 1)]
    assert (own["cmax"], own["tmax"], own["tlast"]) == (120, 10, 28)
    assert (own["auc_name"], round(own["auc"], 3)) == ("AUC0-28", 1092.663)
    assert round(own["half_life"], 3) == 3.239


def test_a_course_counts_without_the_background_that_a_control_tells(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    table = pd.read_parquet(results / "measurements.parquet")
    known = (table["measurement"] == "car_t_percent_of_t") & (table["status"] == "QUANTIFIED")
    table.loc[known, "value_net"] = table.loc[known, "value"] - 0.5
    table.to_parquet(results / "measurements.parquet")
    courses = summarise_cohort(results, study).frames["courses.csv"][0]
    assert courses.set_index(["USUBJID", "INFSEQ"]).loc[("P1", 1), "cmax"] == 119.5


def test_an_infusion_begins_a_series_of_its_own(found: CohortOutcome) -> None:
    courses = found.frames["courses.csv"][0].set_index(["USUBJID", "INFSEQ"])
    first, second = courses.loc[("P2", 1)], courses.loc[("P2", 2)]
    assert (first["cmax"], first["persists_after"], first["persists_until"]) == (30, 14, 20)
    assert (second["CAR_TARGET"], second["cmax"], second["tmax"]) == ("CD22", 5, 10)


def test_recovery_is_an_interval_and_known_when_confirmed(found: CohortOutcome) -> None:
    recoveries = found.frames["recoveries.csv"][0].set_index("USUBJID")
    assert recoveries.loc["P1", ["state", "after", "by", "known_on"]].tolist() == [
        "RECOVERED", 30, 90, 180,
    ]  # fmt: skip
    assert recoveries.loc["P2", "state"] == "UNCONFIRMED"
    tv = found.frames["tv.csv"][0]
    name = "recovered_b_cell_cd19_percent_of_nucleated_bm_2_percent"
    own = tv[(tv["id"] == "P1") & (tv["paramcd"] == "LFS")]
    assert own[["tstart", "tstop", name]].values.tolist() == [[0, 180, 0], [180, 400, 1]]
    by_landmark = {
        at: found.frames[f"landmark_{at}.csv"][0].set_index(["id", "paramcd"]) for at in (100, 190)
    }
    assert by_landmark[100].loc[("P1", "LFS"), name] == 0
    assert by_landmark[190].loc[("P1", "LFS"), name] == 1


def test_events_time_and_patients_are_the_same_in_every_table(
    found: CohortOutcome, tmp_path: Path
) -> None:
    write_cohort(found, tmp_path / "outcome")
    added = sums(tmp_path / "outcome")
    assert differing(added) == []
    for code, events, time in (("LFS", 1, 600.0), ("OS", 1, 660.0)):
        own = added[added["endpoint"] == code]
        assert set(own["table"]) == {"adtte.csv", "tv.csv", "statistics.csv survival"}
        assert (own[["patients", "events", "time"]] == (2, events, time)).all(axis=None)


def test_recovery_competes_with_relapse(found: CohortOutcome) -> None:
    adtte = found.frames["adtte.csv"][0]
    own = adtte[adtte["PARAMCD"] == "TTBCR"].set_index("USUBJID")
    # Known on the day of the second positive result; one before the relapse confirms nothing.
    assert own.loc["P1", ["AVAL", "CNSR", "EVNTDESC"]].tolist() == [180, 0, "recovery"]
    assert own.loc["P2", ["AVAL", "CNSR", "EVNTDESC"]].tolist() == [200, 2, "relapse"]
    statistics = found.frames["statistics.csv"][0]
    kinds = set(statistics.loc[statistics["endpoint"] == "TTBCR", "analysis"])
    assert kinds == {"cumulative_incidence"}


def test_peaks_of_both_infusions_are_correlated_where_both_are_known(found: CohortOutcome) -> None:
    statistics = found.frames["statistics.csv"][0]
    row = statistics[statistics["analysis"] == "correlation"].iloc[0]
    # Of one patient there is no correlation, and none is made up.
    assert row["n"] == 1 and pd.isna(row["estimate"])


def test_a_patient_without_follow_up_is_told_and_stays_in_the_summary(
    found: CohortOutcome,
) -> None:
    assert {(item.endpoint, item.patient_id, item.why) for item in found.left_out} == {
        (code, "P3", "no row in patients.csv") for code in ("LFS", "OS", "TTBCR")
    }
    summary = found.frames["patients_summary.csv"][0]
    assert summary["USUBJID"].tolist() == ["P1", "P2", "P3"]


def test_baseline_facts_hold_nothing_of_later(found: CohortOutcome) -> None:
    adsl = found.frames["adsl.csv"][0].set_index("USUBJID")
    assert adsl.loc["P2", ["AGE", "TP53", "DOSE19", "DOSE22", "INF2DY"]].tolist() == [
        7, "mutated", 2e6, 3e6, 30,
    ]  # fmt: skip
    assert not {"RESPONSE", "RELAPSE"} & set(adsl.columns)
    summary = found.frames["patients_summary.csv"][0].set_index("USUBJID")
    # What was measured later is no baseline, though it be the first that there is.
    assert (summary["cd19_baseline"] == "").all()


def test_results_have_no_day_0_as_cdisc_counts(found: CohortOutcome, tmp_path: Path) -> None:
    adcp = found.frames["adcp.csv"][0]
    assert (adcp["ADY"] == adcp["DAY"] + 1).all()
    # Rows that are not reported are in no table.
    assert len(adcp) == len(ROWS) - 1
    half_days = [car("P1", -0.5, 1.0), car("P1", 14.5, 1.0)]
    study, results = write_run(tmp_path, half_days)
    adcp = summarise_cohort(results, study).frames["adcp.csv"][0]
    assert adcp["ADY"].tolist() == [-1, 15]


def test_a_result_is_told_its_day_after_its_own_infusion(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    table = pd.read_parquet(results / "measurements.parquet")
    after_second = (table["patient_id"] == "P2") & (table["day"] == 40)
    table.loc[after_second, "infusion"] = 2
    table.to_parquet(results / "measurements.parquet")
    adcp = summarise_cohort(results, study).frames["adcp.csv"][0]
    own = adcp[(adcp["USUBJID"] == "P2") & (adcp["DAY"] == 40)]
    assert own[["INFSEQ", "INFDAY"]].values.tolist() == [[2, 10]]
    # Of a result whose infusion nobody stated there is no such day.
    assert adcp.loc[adcp["INFSEQ"].isna(), "INFDAY"].isna().all()


def test_residual_disease_is_first_negative_after_an_infusion(tmp_path: Path) -> None:
    calls = {-5: "NEG", 0: "NEG", 30: "POS_QUANT", 60: "NEG", 90: "NEG", 120: ""}
    blasts = [
        row("P1", day, "blast_percent_of_nucleated", 1.0, specimen="BM", call=call)
        for day, call in calls.items()
    ]
    # A call of a day that nobody knows is not the last; of two of a day the worst counts.
    nowhen = row("P1", 0, "blast_percent_of_nucleated", 1.0, specimen="BM", call="POS_QUANT")
    twice = [
        row("P2", 30, "blast_percent_of_nucleated", 1.0, specimen="BM", call=call)
        for call in ("POS_BELOW_LOQ", "NEG")
    ]
    rows = [*ROWS, *blasts, {**nowhen, "day": None}, *twice]
    study, results = write_run(tmp_path, rows)
    summary = summarise_cohort(results, study).frames["patients_summary.csv"][0]
    own = summary.set_index("USUBJID").loc["P1"]
    assert (own["mrd_first_negative"], own["mrd_last_call"], own["mrd_last_day"]) == (60, "NEG", 90)
    other = summary.set_index("USUBJID").loc["P2"]
    assert other["mrd_last_call"] == "POS_BELOW_LOQ" and pd.isna(other["mrd_first_negative"])
    assert "DOUBLE_RESULT of residual disease" in other["flags"]


def fluid(patient: str, day: float, status: str) -> dict:
    return car(patient, day, 1.0, specimen="CSF", status=status)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([fluid("P1", 14, "NOT_DONE"), fluid("P1", 28, "INSUFFICIENT")], ""),
        ([fluid("P1", 14, "NOT_DETECTED"), fluid("P1", 28, "FAILED")], "no"),
        ([fluid("P1", 14, "NOT_DETECTED"), fluid("P1", 28, "DETECTED_BELOW_LOD")], "trace"),
        ([fluid("P1", 14, "NOT_DETECTED"), fluid("P1", 28, "DETECTED_BELOW_LOQ")], "yes"),
        # Before the infusion there was nothing to find.
        ([fluid("P1", -2, "NOT_DETECTED"), fluid("P1", 0, "NOT_DETECTED")], ""),
    ],
)
def test_cells_in_fluid_are_missing_only_where_a_result_could_tell(
    tmp_path: Path, rows: list[dict], told: str
) -> None:
    study, results = write_run(tmp_path, [*ROWS, *rows])
    summary = summarise_cohort(results, study).frames["patients_summary.csv"][0]
    assert summary.set_index("USUBJID").loc["P1", "csf_car_t"] == told


def test_the_summary_follows_the_convention_of_persistence_in_force(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    told = []
    for text in ("", 'persistence = "cibmtr"', "persistence_negatives = 3"):
        (study / "study.toml").write_text(f"[definitions]\n{text}\n", encoding="utf-8")
        summary = summarise_cohort(results, study).frames["patients_summary.csv"][0]
        told.append(summary.set_index("USUBJID").loc["P2", "persists_until_1"])
    assert told[:2] == [20, 14] and pd.isna(told[2])


def test_dates_are_told_where_they_are_known(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    (study / "infusions.csv").write_text(
        "patient_id,infusion,car_target,infused_on\nP1,1,CD19,2024-01-01\nP2,1,CD19,2024-02-01\n",
        encoding="utf-8",
    )
    adtte = summarise_cohort(results, study).frames["adtte.csv"][0]
    own = adtte[adtte["PARAMCD"] == "LFS"].set_index("USUBJID")
    assert own.loc["P2", ["STARTDT", "ADT"]].tolist() == ["2024-02-01", "2024-08-19"]
    assert own.loc["P1", ["STARTDT", "ADT"]].tolist() == ["2024-01-01", "2025-02-04"]


def test_a_result_is_told_the_window_that_its_day_lies_in(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    (study / "study.toml").write_text(
        "[windows.D7]\nday = 7\nlow = 5\nhigh = 12\n"
        "[windows.D14]\nday = 14\nlow = 12\nhigh = 17\n"
        '[windows."C2 D10"]\nday = 10\nlow = 8\nhigh = 12\ninfusion = 2\n',
        encoding="utf-8",
    )
    adcp = summarise_cohort(results, study).frames["adcp.csv"][0]
    told = adcp.set_index(["USUBJID", "DAY"])["AVISIT"]
    assert [told[("P1", day)] for day in (7, 14, 21)] == ["D7", "D14", ""]
    # Both windows hold day 12; 14 is nearer.
    assert told[("P1", 12)] == "D14"
    # Day 40 of infusion 1 is day 10 of infusion 2.
    assert told[("P2", 40)] == "C2 D10"


def test_results_that_are_in_no_course_are_told(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    found = summarise_cohort(results, study)
    assert found.without_course == (
        "P1, results of CAR target ANY in no course: 1 (infused: CD19)",
    )
    both = INFUSIONS.replace("P1,1,CD19", "P1,1,CD19/CD22")
    (study / "infusions.csv").write_text(both, encoding="utf-8")
    told = summarise_cohort(results, study).without_course
    assert "P1, results of CAR target CD19 in no course: 8 (infused: CD19/CD22)" in told


def test_a_group_that_no_followed_patient_has_ends_nothing(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    (study / "patients.csv").write_text(
        "patient_id,tp53,last_follow_up_day\nP1,mutated,\nP2,wild,\nP3,not_tested,400\n",
        encoding="utf-8",
    )
    (study / "infusions.csv").write_text(INFUSIONS + "P3,1,CD19,0,1000000\n", encoding="utf-8")
    statistics = summarise_cohort(results, study).frames["statistics.csv"][0]
    own = statistics[statistics["subject"] == "tp53=mutated"]
    assert set(own["reason"]) == {"no patient has a value"}


def labs_of(patient: str, *told: tuple[float, float]) -> str:
    return "".join(f"{patient},{day},IgG,{value},g/L,5\n" for day, value in told)


@pytest.mark.parametrize(
    ("told", "early"),
    [
        (((30, 3), (200, 6)), "yes"),
        (((30, 3), (390, 6)), "no"),
        (((30, 3), (390, 4)), "no"),
        # Nobody looked so long; or nothing was lost.
        (((30, 3), (200, 4)), ""),
        (((30, 9), (390, 9)), ""),
    ],
)
def test_immunoglobulins_recover_early_only_where_that_was_seen_out(
    tmp_path: Path, told: tuple[tuple[float, float], ...], early: str
) -> None:
    study, results = write_run(tmp_path)
    head = "patient_id,day,test,value,unit,lower_limit\n"
    (study / "labs.csv").write_text(head + labs_of("P1", *told), encoding="utf-8")
    summary = summarise_cohort(results, study).frames["patients_summary.csv"][0]
    assert summary.set_index("USUBJID").loc["P1", "recovery_ig_early"] == early


def test_columns_of_the_sheet_pass_through(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    sheet = SHEET.replace("tube\n", "tube,x_arm\n").replace(",T\n", ",T,one\n")
    (study / "samples.csv").write_text(sheet, encoding="utf-8")
    table = pd.read_parquet(results / "measurements.parquet").assign(x_arm="one")
    table.to_parquet(results / "measurements.parquet")
    patients = (
        PATIENTS.replace("day\n", "day,x_site\n")
        .replace("400\n", "400,A\n")
        .replace("260\n", "260,B\n")
    )
    (study / "patients.csv").write_text(patients, encoding="utf-8")
    found = summarise_cohort(results, study)
    assert (found.frames["adcp.csv"][0]["x_arm"] == "one").all()
    # What it says may have been known only later: it is no baseline fact.
    assert found.frames["patients_summary.csv"][0]["x_site"].tolist()[:2] == ["A", "B"]
    assert "x_site" not in found.frames["adsl.csv"][0]


def test_results_of_another_version_are_named(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    table = pd.read_parquet(results / "measurements.parquet").drop(columns="value_net")
    table.to_parquet(results / "measurements.parquet")
    with pytest.raises(StudyError, match="no column value_net"):
        summarise_cohort(results, study)
    (results / "files.csv").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match=r"no files\.csv"):
        summarise_cohort(results)


def test_every_column_is_in_the_dictionary(found: CohortOutcome, tmp_path: Path) -> None:
    write_cohort(found, tmp_path / "out")
    told = pd.read_csv(tmp_path / "out" / "dictionary.csv", keep_default_na=False)
    for path in (tmp_path / "out").glob("*.csv"):
        if path.name != "dictionary.csv":
            columns = list(pd.read_csv(path, nrows=0).columns)
            assert told.loc[told["file"] == path.name, "column"].tolist() == columns


def test_the_command_finds_the_study_and_refuses_the_results_folder(tmp_path: Path) -> None:
    study, results = write_run(tmp_path)
    (results / "run.json").write_text("{}", encoding="utf-8")
    runner = CliRunner()
    asked = ["outcome", str(results), "--out"]
    done = runner.invoke(cli, [*asked, str(tmp_path / "o"), "--at", "365"])
    assert done.exit_code == 0, done.output
    assert "left out of LFS, OS, TTBCR: P3 (no row in patients.csv)" in done.output
    inside = runner.invoke(cli, [*asked, str(results / "outcome")])
    assert inside.exit_code == 2 and "results folder" in inside.output
    study.rename(tmp_path / "moved")
    lost = runner.invoke(cli, [*asked, str(tmp_path / "p")])
    assert lost.exit_code == 2 and "--study" in lost.output
    named = [*asked, str(tmp_path / "p"), "--study", str(tmp_path / "moved")]
    assert runner.invoke(cli, named).exit_code == 0
