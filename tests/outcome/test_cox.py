"""Hazard ratios by independent ways, and what is said where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from cohorts import make_cohort
from scipy.optimize import minimize, minimize_scalar

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome import partial_likelihood
from cytoflow_car.outcome.cox import FIRTH, WALD, Penalty, fit_cox, fit_cox_time_dependent
from cytoflow_car.outcome.follow_up import Covariate, Estimate, FollowUp, SurvivalSetting
from cytoflow_car.outcome.time_dependent import RiskRow, build_rows

Likelihood = Callable[[Sequence[float]], float]


def likelihood_of(rows: Sequence[RiskRow], *, penalised: bool = False) -> Likelihood:
    """Return Efron's log partial likelihood as it is defined, Firth's penalty added if asked."""
    covariates = np.array([list(row.values.values()) for row in rows], float)
    start, stop = (np.array([getattr(row, name) for row in rows]) for name in ("start", "stop"))
    event = np.array([bool(row.event) for row in rows])

    def likelihood(beta: Sequence[float]) -> float:
        scores = covariates @ np.asarray(beta)
        total, information = 0.0, 0.0
        for time in set(stop[event]):
            at_risk = (start < time) & (time <= stop)
            tied = event & (stop == time)
            for k, own in enumerate(scores[tied]):
                hazards = np.where(tied, 1 - k / tied.sum(), 1.0) * at_risk * np.exp(scores)
                total += own - math.log(sum(hazards))
                information += np.cov(covariates.T, aweights=hazards, ddof=0)
        if penalised:
            total += math.log(np.linalg.det(information)) / 2
        return total

    return likelihood


def highest(likelihood: Likelihood, size: int) -> tuple[np.ndarray, float]:
    options = {"xatol": 1e-7, "fatol": 1e-12}
    found = minimize(
        lambda beta: -likelihood(beta), np.zeros(size), method="Nelder-Mead", options=options
    )
    return found.x, -found.fun


def small_cohort(seed: int) -> tuple[RiskRow, ...]:
    cohort = make_cohort(seed)
    follow_ups = cohort.follow_ups[:15]
    kept = {item.patient_id for item in follow_ups}
    changes = [change for change in cohort.changes if change.patient_id in kept]
    return build_rows(follow_ups, cohort.baseline, changes).rows


def logarithms(found: Sequence[Estimate]) -> list[float]:
    return [math.log(item.value) for item in found if item.value is not None]


@pytest.mark.parametrize("seed", range(6))
def test_plain_coefficients_by_brute_force(seed: int) -> None:
    rows = small_cohort(seed)
    found = fit_cox_time_dependent(rows, penalty="never")
    best, top = highest(likelihood_of(rows), 2)
    if "SEPARATION" in found[0].flags:
        assert np.abs(best).max() > 5
        return
    np.testing.assert_allclose(best, logarithms(found), atol=1e-5)
    assert likelihood_of(rows)(logarithms(found)) >= top - 1e-10


@pytest.mark.parametrize("seed", range(6))
def test_penalised_coefficients_by_brute_force(seed: int) -> None:
    rows = small_cohort(seed)
    found = fit_cox_time_dependent(rows, penalty="always")
    likelihood = likelihood_of(rows, penalised=True)
    best, top = highest(likelihood, 2)
    np.testing.assert_allclose(best, logarithms(found), atol=1e-4)
    # At both ends of its interval, the likelihood that is left to the other is lower by 1.92.
    interval = found[0].interval
    assert interval is not None
    for end in (interval.low, interval.high):
        profile = minimize_scalar(
            lambda other, end=end: -likelihood([math.log(end), other]), bracket=(-1.0, 1.0)
        )
        assert 2 * (top + profile.fun) == pytest.approx(3.841459, abs=1e-3)


def test_an_oracle_of_fixed_covariates() -> None:
    lifelines = pytest.importorskip("lifelines")
    pandas = pytest.importorskip("pandas")
    cohort = make_cohort(3)
    found = fit_cox(cohort.follow_ups, [cohort.group, cohort.dose], penalty="never")
    frame = pandas.DataFrame(
        {
            "time": [item.time for item in cohort.follow_ups],
            "event": [bool(item.event) for item in cohort.follow_ups],
            "group": list(cohort.group.values.values()),
            "dose": list(cohort.dose.values.values()),
        }
    )
    fitter = lifelines.CoxPHFitter().fit(
        frame, "time", "event", fit_options={"precision": 1e-14, "r_precision": 1e-16}
    )
    np.testing.assert_allclose(fitter.params_, logarithms(found), atol=1e-6)
    np.testing.assert_allclose(fitter.standard_errors_, [item.se for item in found], atol=1e-6)
    np.testing.assert_allclose(fitter.summary["p"], [item.p_value for item in found], rtol=1e-5)


def test_units_of_a_covariate_do_not_matter() -> None:
    cohort = make_cohort(4)
    thousandfold = Covariate(
        "dose", {name: 1e3 * float(value) for name, value in cohort.dose.values.items()}, 0.0
    )
    for penalty in ("never", "always"):
        (one,) = fit_cox(cohort.follow_ups, [cohort.dose], penalty=penalty)
        (other,) = fit_cox(cohort.follow_ups, [thousandfold], penalty=penalty)
        assert one.value is not None and other.value is not None
        assert math.log(one.value) == pytest.approx(1e3 * math.log(other.value), rel=1e-9)
        assert one.p_value == pytest.approx(other.p_value, rel=1e-6)


def test_covariates_that_say_almost_the_same_are_climbed_to_the_top() -> None:
    cohort = make_cohort(4)
    follow_ups = cohort.follow_ups[:12]
    noise = np.random.default_rng(0).normal(size=len(follow_ups))
    names = [item.patient_id for item in follow_ups]
    doses = np.array([float(cohort.dose.values[name]) for name in names])

    def test_of(values: np.ndarray) -> Estimate:
        other = Covariate("other", dict(zip(names, values.tolist(), strict=True)), 0.0)
        return fit_cox(follow_ups, [cohort.dose, other], penalty="always")[1]

    # Beside the dose, what differs from it by the noise tells as much as the noise.
    expected, found = test_of(noise), test_of(doses + noise / 1e3)
    assert expected.p_value == pytest.approx(found.p_value, rel=1e-3)


def followed(*times: float) -> list[FollowUp]:
    """Make patients; a negative time is one of an event."""
    return [
        FollowUp(f"P{k}", abs(time), "relapse" if time < 0 else "") for k, time in enumerate(times)
    ]


def group(*values: float | str, known_at: float = 0.0) -> Covariate:
    return Covariate("group", {f"P{k}": value for k, value in enumerate(values)}, known_at)


def test_a_group_without_events_has_a_finite_hazard_ratio() -> None:
    (found,) = fit_cox(followed(-1, -2, 4, 5, 6, 7), [group(1, 1, 1, 0, 0, 0)])
    assert FIRTH == found.method and "ARM_WITHOUT_EVENTS:group" in found.flags
    assert found.value is not None and 1 < found.value < 1e3
    (infinite,) = fit_cox(followed(-1, -2, 4, 5, 6, 7), [group(1, 1, 1, 0, 0, 0)], penalty="never")
    assert infinite.value is None and "SEPARATION" in infinite.flags


def test_covariates_that_separate_together_are_penalised() -> None:
    # Neither alone orders the events, their difference does.
    first = Covariate("first", {f"P{k}": float(v) for k, v in enumerate((9, 5, 7, 3, 1))}, 0.0)
    second = Covariate("second", {f"P{k}": float(v) for k, v in enumerate((4, 1, 4, 1, 0))}, 0.0)
    found = fit_cox(followed(-1, -2, -3, -4, 5), [first, second])
    assert all(FIRTH == item.method and "SEPARATION" in item.flags for item in found)
    assert all(item.value is not None and math.isfinite(item.value) for item in found)


def test_a_profile_that_does_not_come_down_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    follow_ups, arms = followed(-1, -2, 4, 5, 6, 7), [group(1, 1, 1, 0, 0, 0)]
    (bounded,) = fit_cox(follow_ups, arms)
    monkeypatch.setattr(partial_likelihood, "_MOST_DOUBLINGS", 1)
    (found,) = fit_cox(follow_ups, arms)
    assert bounded.interval is not None and found.interval is None
    assert "NO_INTERVAL" in found.flags and bounded.p_value == found.p_value


def test_few_events_are_flagged() -> None:
    cohort = make_cohort(5)
    (found,) = fit_cox(cohort.follow_ups, [cohort.group])
    assert WALD == found.method and "FEW_EVENTS" not in found.flags
    strict = SurvivalSetting(least_events=found.n_events + 1)
    (flagged,) = fit_cox(cohort.follow_ups, [cohort.group], setting=strict)
    assert replace(found, flags=(*found.flags, "FEW_EVENTS")) == flagged


def test_without_events_nothing_is_estimated() -> None:
    (found,) = fit_cox(followed(1, 2, 3), [group(0, 1, 1)])
    assert found.value is None and "NO_INFORMATION" in found.flags


@pytest.mark.parametrize("penalty", ["never", "when_separated", "always"])
@pytest.mark.parametrize(
    ("follow_ups", "values"),
    [
        # The only event happens when nobody else is followed.
        (followed(1, 2, -3), (0, 1, 1)),
        # One group was censored before the first event.
        (followed(-5, 6, -7, 1, 2), (0, 0, 0, 1, 1)),
        (followed(-5, 6, -7, 1, 2), (0.1, 0.1, 0.1, 0.7, 0.9)),
    ],
)
def test_who_is_never_at_risk_with_others_tells_nothing(
    follow_ups: list[FollowUp], values: tuple[float, ...], penalty: Penalty
) -> None:
    (found,) = fit_cox(follow_ups, [group(*values)], penalty=penalty)
    assert found.value is None and "NO_INFORMATION" in found.flags
    assert "SEPARATION" not in found.flags


@pytest.mark.parametrize("penalty", ["never", "always"])
def test_who_is_censored_before_the_first_event_does_not_matter(penalty: Penalty) -> None:
    times, values = (-2, -3, 4, -5, 6, -7), (1.2, 0.3, 0.8, 0.4, 1.1, 0.9)
    (expected,) = fit_cox(followed(*times), [group(*values)], penalty=penalty)
    (found,) = fit_cox(followed(*times, 1), [group(*values, 1e6)], penalty=penalty)
    assert expected == replace(found, n=6, person_time=expected.person_time)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ([group(1, 1, 1)], "'group' does not vary"),
        ([group(0.1, 0.1, 0.1)], "'group' does not vary"),
        ([group(0, 1, 1), replace(group(1, 0, 0), name="other")], "say the same"),
        ([group(0, 1)], "P2: no value of 'group'"),
        ([group(0, 1, math.nan)], "P2: no value of 'group'"),
        ([group("low", "high", "low")], "P0: 'group' is 'low'; expected a number"),
        ([Covariate("group", {"P0": 0, "P1": 1, "P2": 0}, {"P0": 0.0})], "not said when 'group'"),
        ([Covariate("group", {"P0": 0, "P1": 1, "P2": 0}, math.nan)], "known nan after"),
    ],
)
def test_covariates_that_answer_nothing_are_errors(
    covariates: list[Covariate], message: str
) -> None:
    with pytest.raises(OutcomeError, match=message):
        fit_cox(followed(-1, -2, 3), covariates)


@pytest.mark.parametrize(
    ("follow_ups", "message"),
    [
        ([], "no patient was followed"),
        (followed(0, -1), "a row of no length"),
        ([FollowUp("P0", 1.0), FollowUp("P0", 2.0)], "P0: followed twice"),
        ([FollowUp("P0", -1.0)], "a follow-up of -1"),
        ([FollowUp("P0", math.nan)], "a follow-up of nan"),
    ],
)
def test_follow_ups_that_are_none_are_errors(follow_ups: list[FollowUp], message: str) -> None:
    with pytest.raises(OutcomeError, match=message):
        fit_cox(follow_ups, [group(0, 1)])
