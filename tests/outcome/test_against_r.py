"""Random cohorts by R's package survival, to six digits; skipped where there is no R."""

from __future__ import annotations

import csv
import math
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from cohorts import Cohort, SmallCohort, make_cohort, make_small_cohort

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.correlation import LEAST_PATIENTS, correlate
from cytoflow_car.outcome.cox import fit_cox, fit_cox_time_dependent
from cytoflow_car.outcome.curves import Transform, at_risk, cumulative_incidence, kaplan_meier
from cytoflow_car.outcome.follow_up import Estimate, SurvivalSetting
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.time_dependent import build_rows

N_COHORTS = 200
KINDS = {"": 0, "relapse": 1, "death": 2}
TIMES = (2.0, 5.0, 9.5)
TRANSFORMS: tuple[Transform, ...] = ("plain", "log", "log-log")

SHARED = """
suppressPackageStartupMessages(library(survival))
people <- read.csv("people.csv")
control <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 100)
out <- file("out.csv", "w")
tell <- function(cohort, name, values)
  cat(paste(cohort, paste(name, seq_along(values), sep = "_"), sprintf("%.15g", values), sep = ","),
      sep = "\\n", file = out)
"""

SCRIPT = """
changes <- read.csv("changes.csv")
times <- c(2, 5, 9.5)
for (k in unique(people$cohort)) {
  p <- people[people$cohort == k, ]; changed <- changes[changes$cohort == k, ]
  for (transform in c("plain", "log", "log-log")) {
    s <- summary(survfit(Surv(time, kind > 0) ~ 1, p, conf.type = transform), times, extend = TRUE)
    tell(k, paste0(transform, "_low"), s$lower); tell(k, paste0(transform, "_high"), s$upper)
  }
  tell(k, "survival", s$surv); tell(k, "survival_se", s$std.err); tell(k, "at_risk", s$n.risk)
  a <- summary(survfit(Surv(time, factor(kind, 0:2)) ~ 1, p), times, extend = TRUE)
  tell(k, "incidence", a$pstate[, 2]); tell(k, "incidence_se", a$std.err[, 2])
  tell(k, "chi2", survdiff(Surv(time, kind > 0) ~ group, p)$chisq)
  fixed <- coxph(Surv(time, kind > 0) ~ group + dose, p, ties = "efron", control = control)
  tell(k, "fixed", coef(fixed)); tell(k, "fixed_se", sqrt(diag(vcov(fixed))))
  rows <- tmerge(p[, c("id", "dose")], p, id = id, event = event(time, kind > 0))
  rows <- tmerge(rows, changed, id = id, recovered = tdc(at, value, 0))
  moving <- suppressWarnings(coxph(Surv(tstart, tstop, event) ~ recovered + dose, rows,
                                   ties = "efron", control = control))
  tell(k, "moving", coef(moving)); tell(k, "moving_se", sqrt(diag(vcov(moving))))
}
close(out)
"""

SMALL_SCRIPT = """
for (k in unique(people$cohort)) {
  p <- people[people$cohort == k, ]
  # Without two groups at risk there is an error, or a test of no degree of freedom.
  d <- tryCatch(survdiff(Surv(time, kind > 0) ~ arm, p), error = function(fault) NULL)
  degrees <- sum(d$exp > 0) - 1
  if (degrees > 0) {
    p_value <- pchisq(d$chisq, degrees, lower.tail = FALSE)
    tell(k, "log_rank", c(d$chisq, degrees, p_value))
  }
  if (nrow(p) %in% 3:9) {
    rho <- cor.test(p$dose, seq_len(nrow(p)), method = "spearman", exact = TRUE)
    tell(k, "rho", c(rho$estimate, rho$p.value))
  }
  # Where events separate the patients, R may end without a result.
  cox <- tryCatch(suppressWarnings(coxph(Surv(entry, time, kind > 0) ~ dose, p, ties = "efron",
                                         control = control)), error = function(fault) NULL)
  if (!is.null(cox)) {
    s <- summary(cox, conf.int = 0.9)
    tell(k, "cox", c(s$coefficients[1, c(1, 3, 5)], log(s$conf.int[1, 3:4])))
  }
}
close(out)
"""


@pytest.fixture(scope="module")
def cohorts() -> list[Cohort]:
    return [make_cohort(seed) for seed in range(N_COHORTS)]


@pytest.fixture(scope="module")
def small_cohorts() -> list[SmallCohort]:
    return [make_small_cohort(seed) for seed in range(N_COHORTS)]


@pytest.fixture(scope="module")
def by_r(cohorts: list[Cohort], tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("r")
    _write(
        folder / "people.csv",
        ["cohort", "id", "time", "kind", "group", "dose"],
        (
            (
                k,
                name,
                item.time,
                KINDS[item.event],
                cohort.group.values[name],
                cohort.dose.values[name],
            )
            for k, cohort in enumerate(cohorts)
            for item in cohort.follow_ups
            for name in [item.patient_id]
        ),
    )
    _write(
        folder / "changes.csv",
        ["cohort", "id", "at", "value"],
        (
            (k, item.patient_id, item.time, item.value)
            for k, cohort in enumerate(cohorts)
            for item in cohort.changes
        ),
    )
    return _run(SCRIPT, folder)


@pytest.fixture(scope="module")
def small_by_r(
    small_cohorts: list[SmallCohort], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("r")
    _write(
        folder / "people.csv",
        ["cohort", "entry", "time", "kind", "arm", "dose"],
        (
            (
                k,
                row.start,
                row.stop,
                KINDS[row.event],
                cohort.arm.values[row.patient_id],
                row.values["dose"],
            )
            for k, cohort in enumerate(small_cohorts)
            for row in cohort.rows
        ),
    )
    return _run(SMALL_SCRIPT, folder)


def _write(path: Path, header: list[str], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)


def _run(script: str, folder: Path) -> dict[str, float]:
    """Return R's numbers by cohort and name."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("no Rscript on this machine")
    has_survival = subprocess.run([rscript, "-e", "library(survival)"], capture_output=True)
    if has_survival.returncode:
        pytest.skip("R has no package survival on this machine")
    (folder / "script.R").write_text(SHARED + script)
    finished = subprocess.run(
        [rscript, "--vanilla", "script.R"], cwd=folder, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    rows = csv.reader((folder / "out.csv").read_text().splitlines())
    # NA stands where R finds nothing.
    return {f"{cohort} {name}": float(value.replace("NA", "nan")) for cohort, name, value in rows}


def assert_equal(expected: float, found: float | None) -> None:
    assert found is not None and math.isclose(expected, found, rel_tol=1e-6, abs_tol=1e-6)


def test_curves(cohorts: list[Cohort], by_r: dict[str, float]) -> None:
    compared = 0
    for k, cohort in enumerate(cohorts):
        curves = {
            transform: kaplan_meier(cohort.follow_ups, transform=transform)
            for transform in TRANSFORMS
        }
        incidence = cumulative_incidence(cohort.follow_ups, "relapse")
        for place, time in enumerate(TIMES, 1):
            assert by_r[f"{k} at_risk_{place}"] == at_risk(cohort.follow_ups, [time])[0]
            if time > curves["log"].times[-1]:
                continue
            for transform, curve in curves.items():
                estimate = curve.at(time)
                assert_equal(by_r[f"{k} survival_{place}"], estimate.value)
                if estimate.interval is not None:
                    assert_equal(by_r[f"{k} survival_se_{place}"], estimate.se)
                    assert_equal(by_r[f"{k} {transform}_low_{place}"], estimate.interval.low)
                    assert_equal(by_r[f"{k} {transform}_high_{place}"], estimate.interval.high)
                    compared += 1
            estimate = incidence.at(time)
            assert_equal(by_r[f"{k} incidence_{place}"], estimate.value)
            if estimate.se is not None:
                assert_equal(by_r[f"{k} incidence_se_{place}"], estimate.se)
    assert compared > 7 * N_COHORTS


def test_log_rank(cohorts: list[Cohort], by_r: dict[str, float]) -> None:
    for k, cohort in enumerate(cohorts):
        assert_equal(by_r[f"{k} chi2_1"], compare_groups(cohort.follow_ups, cohort.group).chi2)


def test_log_rank_where_groups_are_never_at_risk(
    small_cohorts: list[SmallCohort], small_by_r: dict[str, float]
) -> None:
    never, refused = 0, 0
    for k, cohort in enumerate(small_cohorts):
        try:
            found = compare_groups(cohort.follow_ups, cohort.arm)
        except OutcomeError:
            assert f"{k} log_rank_1" not in small_by_r
            refused += 1
            continue
        for place, number in enumerate((found.chi2, found.degrees, found.p_value), 1):
            assert_equal(small_by_r[f"{k} log_rank_{place}"], number)
        never += any(flag.startswith("NEVER_AT_RISK") for flag in found.flags)
    assert never > 30 and refused > 30


def test_exact_correlation(small_cohorts: list[SmallCohort], small_by_r: dict[str, float]) -> None:
    for k, cohort in enumerate(small_cohorts):
        doses = {name: float(value) for name, value in cohort.dose.values.items()}
        if 3 <= len(doses) < LEAST_PATIENTS:
            found = correlate(doses, {name: place for place, name in enumerate(doses)})
            assert_equal(small_by_r[f"{k} rho_1"], found.value)
            assert_equal(small_by_r[f"{k} rho_2"], found.p_value)


def test_cox_of_few_patients_who_enter_later(
    small_cohorts: list[SmallCohort], small_by_r: dict[str, float]
) -> None:
    compared = 0
    for k, cohort in enumerate(small_cohorts):
        rows = cohort.rows
        setting = SurvivalSetting(confidence=0.9)
        (found,) = fit_cox_time_dependent(rows, penalty="never", setting=setting)
        if found.value is None:
            continue
        assert found.interval is not None
        bounds = (math.log(found.interval.low), math.log(found.interval.high))
        numbers = (math.log(found.value), found.se, found.p_value, *bounds)
        for place, number in enumerate(numbers, 1):
            assert_equal(small_by_r[f"{k} cox_{place}"], number)
        compared += 1
    assert compared > 100


def test_fixed_cox(cohorts: list[Cohort], by_r: dict[str, float]) -> None:
    for k, cohort in enumerate(cohorts):
        found = fit_cox(cohort.follow_ups, [cohort.group, cohort.dose], penalty="never")
        _assert_coefficients(found, f"{k} fixed", by_r)


def test_time_dependent_cox(cohorts: list[Cohort], by_r: dict[str, float]) -> None:
    separated = 0
    for k, cohort in enumerate(cohorts):
        table = build_rows(cohort.follow_ups, cohort.baseline, cohort.changes)
        found = fit_cox_time_dependent(table.rows, penalty="never")
        if any("SEPARATION" in item.flags for item in found):
            separated += 1
            assert by_r[f"{k} moving_se_1"] > 5
        else:
            _assert_coefficients(found, f"{k} moving", by_r)
    assert separated < 20


def _assert_coefficients(found: tuple[Estimate, ...], name: str, by_r: dict[str, float]) -> None:
    for place, item in enumerate(found, 1):
        assert item.value is not None
        assert_equal(by_r[f"{name}_{place}"], float(np.log(item.value)))
        assert_equal(by_r[f"{name}_se_{place}"], item.se)
