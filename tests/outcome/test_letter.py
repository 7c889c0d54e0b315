"""Numbers of a published letter, from a synthetic cohort made to give them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.cox import FIRTH, WALD, Penalty, fit_cox, fit_cox_time_dependent
from cytoflow_car.outcome.curves import kaplan_meier, kaplan_meier_by
from cytoflow_car.outcome.follow_up import Covariate, Estimate, FollowUp
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.time_dependent import Change, RiskRow, build_rows, take_landmark

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows(data_folder: Path) -> Rows:
    path = data_folder / "letter_reconstruction.csv"
    if not path.is_file():
        pytest.skip("letter_reconstruction.csv is not among the data")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def lfs(rows: Rows) -> list[FollowUp]:
    return [
        FollowUp(row["USUBJID"], float(row["lfs_months"]), "relapse" * int(row["relapse"]))
        for row in rows
    ]


@pytest.fixture(scope="module")
def early(rows: Rows) -> Covariate:
    values = {row["USUBJID"]: int(row["early_ig"]) for row in rows}
    return Covariate("early_ig", values, known_at=12.0)


@pytest.fixture(scope="module")
def recoveries(rows: Rows) -> list[Change]:
    return [
        Change(row["USUBJID"], "ig", float(row["ig_recovery_month"]), 1.0)
        for row in rows
        if row["ig_recovery_month"]
    ]


def assert_hazard_ratio(
    found: Estimate, value: float, low: float, high: float, *, digits: int
) -> None:
    assert found.value is not None and found.interval is not None
    shown = [
        f"{item:.{digits}g}" for item in (found.value, found.interval.low, found.interval.high)
    ]
    assert [f"{item:.{digits}g}" for item in (value, low, high)] == shown


def test_leukemia_free_survival(lfs: list[FollowUp]) -> None:
    curve = kaplan_meier(lfs)
    assert curve.at(12).value == pytest.approx(0.79532, abs=5e-6)
    assert curve.at(12).value == curve.at(18).value
    log_log, plain = curve.at(12).interval, kaplan_meier(lfs, transform="plain").at(12).interval
    assert log_log is not None and plain is not None
    assert (0.463, 0.934) == (round(log_log.low, 3), round(log_log.high, 3))
    assert (0.574, 1.0) == (round(plain.low, 3), plain.high)


def test_overall_survival(rows: Rows) -> None:
    follow_ups = [
        FollowUp(row["USUBJID"], float(row["os_months"]), "death" * int(row["death"]))
        for row in rows
    ]
    assert kaplan_meier(follow_ups).at(12).value == pytest.approx(12 / 13)


def test_a_group_known_later_is_refused(lfs: list[FollowUp], early: Covariate) -> None:
    for analysis in (
        lambda: fit_cox(lfs, [early]),
        lambda: compare_groups(lfs, early),
        lambda: kaplan_meier_by(lfs, early),
    ):
        with pytest.raises(OutcomeError, match="'early_ig' was known 12 after the origin"):
            analysis()


def test_the_letters_own_numbers_have_immortal_time(lfs: list[FollowUp], early: Covariate) -> None:
    (found,) = fit_cox(lfs, [early], allow_immortal_time=True, penalty="never")
    assert_hazard_ratio(found, 21.3702, 1.8743, 243.6613, digits=5)
    assert WALD == found.method
    assert ("IMMORTAL_TIME:early_ig", "ARM_ALL_EVENTS:early_ig", "FEW_EVENTS") == found.flags
    log_rank = compare_groups(lfs, early, allow_immortal_time=True)
    assert log_rank.chi2 == pytest.approx(12.168, abs=5e-4)
    assert log_rank.p_value == pytest.approx(0.000486, abs=5e-7)
    assert ("IMMORTAL_TIME:early_ig", "FEW_EVENTS") == log_rank.flags
    assert [(0, 18, 1), (1, 2, 2)] == [
        (item.label, item.n, item.n_events) for item in log_rank.groups
    ]
    curves = kaplan_meier_by(lfs, early, allow_immortal_time=True)
    assert [0, 1] == list(curves) and "IMMORTAL_TIME:early_ig" in curves[1].at(6).flags


@pytest.mark.parametrize("penalty", ["when_separated", "always"])
def test_a_group_of_nothing_but_events_is_penalised(
    lfs: list[FollowUp], early: Covariate, penalty: Penalty
) -> None:
    (found,) = fit_cox(lfs, [early], allow_immortal_time=True, penalty=penalty)
    assert_hazard_ratio(found, 17.8, 2.28, 201, digits=3)
    assert FIRTH == found.method


def test_time_dependent_recovery_separates(lfs: list[FollowUp], recoveries: list[Change]) -> None:
    table = build_rows(lfs, {item.patient_id: {"ig": 0.0} for item in lfs}, recoveries)
    # Recovery on the day of relapse did not precede it.
    assert ["P03"] == [item.patient_id for item in table.unused]
    (found,) = fit_cox_time_dependent(table.rows)
    assert_hazard_ratio(found, 54.0, 2.88, 7880, digits=3)
    assert found.p_value == pytest.approx(0.010, abs=5e-4)
    assert ("FEW_EVENTS", "SEPARATION") == found.flags
    assert (20, 3) == (found.n, found.n_events)
    assert found.person_time == pytest.approx(sum(item.time for item in lfs))
    (infinite,) = fit_cox_time_dependent(table.rows, penalty="never")
    assert infinite.value is None and infinite.interval is None
    # Had it counted on that day, the last moment before the relapse would have been exposed.
    same_day = [row for row in table.rows if row.patient_id != "P03"] + [
        RiskRow("P03", 0.0, 11.3, "", {"ig": 0.0}),
        RiskRow("P03", 11.3, 11.4, "relapse", {"ig": 1.0}),
    ]
    (found,) = fit_cox_time_dependent(same_day)
    assert_hazard_ratio(found, 65.7, 4.97, 9234, digits=3)


def test_a_landmark_leaves_one_recovered_patient(
    lfs: list[FollowUp], recoveries: list[Change]
) -> None:
    landmark = take_landmark(lfs, {item.patient_id: 0.0 for item in lfs}, recoveries, "ig", at=6.0)
    assert ("P04",) == landmark.left_out
    compared = compare_groups(landmark.follow_ups, landmark.covariate)
    assert [(0, 18, 2), (1, 1, 1)] == [
        (item.label, item.n, item.n_events) for item in compared.groups
    ]
