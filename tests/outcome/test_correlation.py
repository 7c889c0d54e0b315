"""Rank correlation of planted pairs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from cytoflow_car.outcome.correlation import correlate


def by_patient(values: np.ndarray) -> dict[str, float]:
    return {f"P{k}": float(value) for k, value in enumerate(values)}


def test_the_value_is_spearmans_and_units_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=18).round(1)
    second = (first + rng.normal(size=18)).round(1)
    found = correlate(by_patient(first), by_patient(np.exp(second)))
    assert found.value == pytest.approx(spearmanr(first, second).statistic)
    assert found.interval is not None and found.interval.low < found.value < found.interval.high


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    rho = 0.6
    # Spearman's correlation of two normal quantities with Pearson's correlation rho.
    truth, covered = 6 / np.pi * np.arcsin(rho / 2), 0
    for _ in range(1000):
        pairs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=20)
        interval = correlate(by_patient(pairs[:, 0]), by_patient(pairs[:, 1])).interval
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 1000 <= 0.98


def test_little_gives_no_interval() -> None:
    assert correlate({"a": 1, "b": 2}, {"a": 1, "b": 2}).value is None
    three = correlate({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 2, "d": 9})
    assert 0.5 == pytest.approx(three.value) and three.interval is None and 3 == three.n
    assert ("FEW_PATIENTS",) == three.flags
    same = correlate(by_patient(np.arange(5)), by_patient(np.arange(5)))
    assert 1 == pytest.approx(same.value) and same.interval is None
    # Two of 120 pairings, the same order and the opposite one.
    assert 2 / 120 == pytest.approx(same.p_value)
    many = correlate(by_patient(np.arange(10)), by_patient(-np.arange(10)))
    assert -1 == pytest.approx(many.value) and many.p_value is None and () == many.flags
    assert correlate(by_patient(np.zeros(9)), by_patient(np.arange(9))).value is None
    assert 0 == correlate({}, {}).n


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_p_values_of_few_patients_count_all_pairings(n: int) -> None:
    rng = np.random.default_rng(n)
    for decimals in (0, 3):  # with ties, and hardly any
        first, second = rng.normal(size=(2, n)).round(decimals)
        if not np.ptp(first) or not np.ptp(second):
            continue
        found = correlate(by_patient(first), by_patient(second))
        values = [spearmanr(first, order).statistic for order in permutations(second)]
        as_far = np.abs(values) > abs(values[0]) - 1e-9
        assert as_far.mean() == pytest.approx(found.p_value)


def test_p_values_of_more_patients_are_students() -> None:
    first, second = np.random.default_rng(3).normal(size=(2, 10))
    found = correlate(by_patient(first), by_patient(second))
    assert spearmanr(first, second).pvalue == pytest.approx(found.p_value)
    assert "Spearman, P by Student's t, Bonett-Wright" == found.method
