"""Figures of agreement equal published ones, and others computed on another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cytoflow_car.tables.agreement import (
    PopulationAgreement,
    bland_altman,
    concordance,
    f1_score,
    percent,
    summarise,
    tolerance_factor,
)

# Peak expiratory flow by two meters, first readings: Bland & Altman, Lancet 327 (1986) 307-310.
WRIGHT = (494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
MINI = (512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)


def test_f1_counts_common_events_twice() -> None:
    assert f1_score(30, 20, 15) == pytest.approx(0.6)
    assert f1_score(30, 0, 0) == 0.0
    assert f1_score(0, 0, 0) is None


def test_percent_of_nothing_is_unknown() -> None:
    assert percent(1, 8) == 12.5
    assert percent(0, 0) is None


def test_bland_altman_equals_the_published_example() -> None:
    found = bland_altman(np.subtract(WRIGHT, MINI))
    assert found is not None and found.limits is not None and found.mean_interval is not None
    assert found.n == 17
    assert found.mean == pytest.approx(-2.1, abs=0.05)
    spread = (found.limits.high - found.limits.low) / (2 * 1.959964)
    assert spread == pytest.approx(38.8, abs=0.05)
    assert found.mean_interval.low == pytest.approx(-22.0, abs=0.2)
    assert found.mean_interval.high == pytest.approx(17.8, abs=0.2)


def test_limits_of_bland_altman_hold_what_they_promise() -> None:
    # Standard normal differences: the true limits are -1.96 and 1.96.
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(2000):
        found = bland_altman(rng.normal(size=6))
        assert found is not None and found.high_interval is not None
        held += found.high_interval.low <= 1.959964 <= found.high_interval.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_two_limits_are_mirror_images() -> None:
    one, other = bland_altman([1.0, 2.0, 4.0]), bland_altman([-1.0, -2.0, -4.0])
    assert one is not None and other is not None
    assert one.low_interval is not None and other.high_interval is not None
    assert one.low_interval.low == pytest.approx(-other.high_interval.high)
    assert one.low_interval.high == pytest.approx(-other.high_interval.low)


@pytest.mark.parametrize(("n", "factor"), [(5, 4.203), (10, 2.911), (20, 2.396), (30, 2.220)])
def test_tolerance_factors_equal_published_tables(n: int, factor: float) -> None:
    # One-sided, 95 % of the population at 95 % confidence.
    assert tolerance_factor(n, 0.95, 0.95) == pytest.approx(factor, abs=6e-4)


def test_one_pair_has_no_limits_and_none_no_summary() -> None:
    one = bland_altman([3.0])
    assert one is not None and one.mean == 3.0 and one.limits is None
    assert bland_altman([]) is None


def test_concordance_by_hand() -> None:
    # Means 2 and 3, variances and covariance 2/3: (4/3) / (2/3 + 2/3 + 1).
    found = concordance([1, 2, 3], [2, 3, 4])
    assert found is not None and found.value == pytest.approx(4 / 7)


def test_concordance_of_equal_pairs_is_one() -> None:
    found = concordance([1.0, 2.0, 5.0], [1.0, 2.0, 5.0])
    assert found is not None and found.value == pytest.approx(1.0)
    assert found.interval is not None and found.interval.low == pytest.approx(1.0)


def test_concordance_of_the_two_meters() -> None:
    found = concordance(WRIGHT, MINI)
    assert found is not None and found.interval is not None
    # By moments with n in the denominator, written out.
    x, y = np.asarray(WRIGHT, float), np.asarray(MINI, float)
    covariance = np.cov(x, y, bias=True)
    value = 2 * covariance[0, 1] / (np.trace(covariance) + (x.mean() - y.mean()) ** 2)
    assert found.value == pytest.approx(value)
    assert found.interval.low < value < found.interval.high


def test_interval_of_concordance_without_shift_is_that_of_correlation() -> None:
    # Equal means and spreads: concordance is Pearson's r, whose Fisher interval has n - 3; Lin's
    # variance then is 1 / (n - 2).
    x = np.asarray([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    y = np.asarray([2.0, 1.0, 3.0, 4.0, 6.0, 5.0])
    found = concordance(x, y)
    r = stats.pearsonr(x, y).statistic
    assert found is not None and found.interval is not None
    assert found.value == pytest.approx(r)
    assert found.interval.low == pytest.approx(math.tanh(math.atanh(r) - 1.959964 / 2), abs=1e-6)


def test_interval_of_concordance_holds_what_it_promises() -> None:
    # Shift 0.5, spreads 1 and 1.5, correlation 0.8: concordance 2.4 / (1 + 2.25 + 0.25).
    rng = np.random.default_rng(8)
    truth = 2 * 0.8 * 1.5 / (1 + 2.25 + 0.25)
    held = 0
    for _ in range(1000):
        x = rng.normal(size=60)
        y = 1.5 * (0.8 * x + 0.6 * rng.normal(size=60)) + 0.5
        found = concordance(x, y)
        assert found is not None and found.interval is not None
        held += found.interval.low <= truth <= found.interval.high
    assert held / 1000 == pytest.approx(0.95, abs=0.025)


def test_concordance_of_what_never_varies_is_unknown() -> None:
    assert concordance([1, 1, 1], [1, 1, 1]) is None
    assert concordance([1], [2]) is None
    constant = concordance([1, 1, 1], [1, 2, 3])
    assert constant is not None and constant.value == 0.0 and constant.interval is None


def agreement(sample: str, f1: float | None, *, review: bool = False) -> PopulationAgreement:
    return PopulationAgreement(
        sample, "t", "T", "T", 1, 1, 1, f1, None, "root", 10.0, 12.0, review=review
    )


def test_a_summary_names_the_worst_and_counts_the_flagged() -> None:
    rows = [
        agreement("a", 0.95),
        agreement("b", 0.85, review=True),
        agreement("c", 0.99, review=True),
        agreement("d", 0.70),
        agreement("e", None),
    ]
    (found,) = summarise(rows)
    assert (found.n, found.median_f1, found.worst_f1, found.worst_sample) == (
        5,
        pytest.approx(0.9),
        0.7,
        "d",
    )
    assert (found.n_poor, found.n_poor_flagged, found.n_good, found.n_good_flagged) == (2, 1, 2, 1)
    assert found.differences is not None and found.differences.mean == -2.0
    assert found.largest_difference == 2.0
    assert found.concordance is None
