"""Intervals and tests of counted events against published and computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cytoflow_car.errors import MeasurementError
from cytoflow_car.measure.intervals import (
    clopper_pearson,
    difference_of_shares,
    events_for_chance,
    exceeds_control,
    exceeds_expected,
    jeffreys,
    median_interval,
    ratio_of_counts,
    wilson,
)
from cytoflow_car.model.measurement import Interval

#: Two-sided 95 %, to the digits given: x, N, Clopper-Pearson, Wilson, Jeffreys.
VECTORS = [
    (0, 10**6, ("0", "3.69e-06"), ("0", "3.84e-06"), ("0", "2.51e-06")),
    (3, 500, (".00124", ".01743"), (".00204", ".01749"), (".00169", ".01592")),
    (
        22,
        44_000,
        ("3.13e-04", "7.57e-04"),
        ("3.30e-04", "7.57e-04"),
        ("3.22e-04", "7.43e-04"),
    ),
    (17, 20, (".621", ".968"), (".640", ".948"), (".651", ".956")),
    (20, 20, (".832", "1"), (".839", "1"), (".883", "1")),
]


def to_the_digits_of(text: str, value: float) -> str:
    """Write a number with as many digits as `text` has."""
    if "e" in text:
        return f"{value:.2e}"
    decimals = len(text.partition(".")[2])
    return f"{value:.{decimals}f}".removeprefix("0") if decimals else f"{value:.12g}"


@pytest.mark.parametrize(("successes", "trials", "exact", "score", "bayes"), VECTORS)
def test_intervals_equal_the_vectors_to_the_printed_digits(
    successes: int,
    trials: int,
    exact: tuple[str, str],
    score: tuple[str, str],
    bayes: tuple[str, str],
) -> None:
    for method, expected in ((clopper_pearson, exact), (wilson, score), (jeffreys, bayes)):
        interval = method(successes, trials)
        ends = zip(expected, (interval.low, interval.high), strict=True)
        assert expected == tuple(to_the_digits_of(text, value) for text, value in ends)


def test_one_sided_limit_of_none_in_a_million() -> None:
    assert f"{clopper_pearson(0, 10**6, 0.90).high:.2e}" == "3.00e-06"


@pytest.mark.parametrize(
    ("least", "expected"), [(1, 3.00), (10, 15.71), (20, 27.88), (30, 39.54), (50, 62.17)]
)
def test_expected_events_for_a_95_percent_chance(least: int, expected: float) -> None:
    mean = events_for_chance(least)
    assert round(mean, 2) == expected
    assert stats.poisson.sf(least - 1, mean) == pytest.approx(0.95)


@given(trials=st.integers(1, 10**7), share=st.floats(0, 1))
def test_interval_holds_the_observed_share(trials: int, share: float) -> None:
    successes = round(share * trials)
    for method in (clopper_pearson, wilson, jeffreys):
        interval = method(successes, trials)
        assert 0 <= interval.low <= successes / trials + 1e-12
        assert successes / trials - 1e-12 <= interval.high <= 1


@given(trials=st.integers(1, 500), share=st.floats(0, 1))
def test_intervals_mirror(trials: int, share: float) -> None:
    successes = round(share * trials)
    for method in (clopper_pearson, wilson, jeffreys):
        one, other = method(successes, trials), method(trials - successes, trials)
        assert one.low == pytest.approx(1 - other.high, abs=1e-9)


@given(trials=st.integers(1, 120), share=st.floats(0.001, 0.999))
def test_exact_interval_covers_at_least_what_it_states(trials: int, share: float) -> None:
    counts = np.arange(trials + 1)
    intervals = [clopper_pearson(int(count), trials) for count in counts]
    covers = np.asarray([interval.low <= share <= interval.high for interval in intervals])
    assert stats.binom.pmf(counts, trials, share)[covers].sum() >= 0.95 - 1e-9


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_score_and_bayes_intervals_cover_95_percent_on_average(share: float) -> None:
    counts = np.arange(2001)
    chances = stats.binom.pmf(counts, 2000, share)
    for method in (wilson, jeffreys):
        likely = np.flatnonzero(chances > 1e-9)
        covers = [method(int(n), 2000).low <= share <= method(int(n), 2000).high for n in likely]
        assert chances[likely][covers].sum() == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    for method in (clopper_pearson, wilson, jeffreys):
        with pytest.raises(MeasurementError):
            method(successes, trials)


def test_ratio_of_counts_covers_the_ratio_of_means() -> None:
    rng = np.random.default_rng(1)
    pairs = zip(rng.poisson(30, 2000).tolist(), rng.poisson(1000, 2000).tolist(), strict=True)
    intervals = [ratio_of_counts(a, b) for a, b in pairs]
    covers = np.mean([interval.low <= 0.03 <= interval.high for interval in intervals])
    assert covers >= 0.94


def test_ratio_over_nothing_has_no_upper_end() -> None:
    assert ratio_of_counts(5, 0).high == math.inf


def test_difference_of_shares_by_hand() -> None:
    # Down: 0.10 - 0.07 and 0.04 - 0.02, up: 0.14 - 0.10 and 0.02 - 0.01.
    interval = difference_of_shares(0.10, Interval(0.07, 0.14), 0.02, Interval(0.01, 0.04))
    assert interval.low == pytest.approx(0.08 - math.hypot(0.03, 0.02))
    assert interval.high == pytest.approx(0.08 + math.hypot(0.04, 0.01))


@given(
    n=st.integers(0, 60),
    parent=st.integers(60, 50_000),
    control=st.integers(0, 60),
    control_parent=st.integers(60, 50_000),
    factor=st.floats(1, 4),
)
def test_comparison_with_a_control_is_the_binomial_tail(
    n: int, parent: int, control: int, control_parent: int, factor: float
) -> None:
    share = factor * parent / (factor * parent + control_parent)
    expected = stats.binom.sf(n - 1, n + control, share) if n else 1.0
    found = exceeds_control(n, parent, control, control_parent, factor)
    assert expected == pytest.approx(found, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("n_events", "expected"), [(0, 2.0), (3, 0.7), (12, 5.0), (20, 40.0)])
def test_comparison_with_an_expectation_is_the_poisson_tail(n_events: int, expected: float) -> None:
    found = exceeds_expected(n_events, expected)
    assert stats.poisson.sf(n_events - 1, expected) == pytest.approx(found)


def test_false_alarms_against_a_control_keep_their_level() -> None:
    rng = np.random.default_rng(2)
    pairs = zip(rng.poisson(20, 4000).tolist(), rng.poisson(10, 4000).tolist(), strict=True)
    # The specimen's rate is exactly twice the control's, which is what the factor allows.
    chances = [exceeds_control(a, 10_000, b, 10_000, 2.0) for a, b in pairs]
    assert np.mean(np.asarray(chances) < 0.01) <= 0.01


@pytest.mark.parametrize("n_events", [20, 101, 1000])
def test_interval_of_a_median_covers_it(n_events: int) -> None:
    rng = np.random.default_rng(n_events)
    intervals = [median_interval(rng.lognormal(8, 1, n_events)) for _ in range(1000)]
    covers = np.mean([interval.low <= math.exp(8) <= interval.high for interval in intervals])
    assert 0.935 <= covers <= 0.995


def test_interval_of_a_median_of_ten_is_the_second_and_ninth_value() -> None:
    # Binomial (10, 1/2): two-sided 97.9 % between the 2nd and the 9th of ten.
    assert median_interval(np.arange(1.0, 11.0)) == Interval(2.0, 9.0)
