"""The dip test and the two components tell one population from two."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from cytoflow_car.antigen.heterogeneity import (
    describe_heterogeneity,
    dip_probability,
    dip_statistic,
)
from cytoflow_car.antigen.rules import AntigenCutoffs
from cytoflow_car.model.antigen import Heterogeneity
from cytoflow_car.model.events import Values
from cytoflow_car.model.scale import Logicle


def describe(values: Values) -> Heterogeneity:
    return describe_heterogeneity(
        values, Logicle(width=1.0), lambda found: found, AntigenCutoffs(), 0
    )


def test_the_dip_of_evenly_spaced_values_is_half_a_step() -> None:
    assert dip_statistic(np.arange(10.0)) == pytest.approx(0.05)


def test_the_dip_of_two_equal_piles_is_a_quarter() -> None:
    # No unimodal function is nearer than 1/4 to two far atoms of one half each.
    assert dip_statistic(np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0.25)


def test_the_dip_is_that_of_the_nearest_unimodal_function() -> None:
    """A linear programme for each mode: slow, and without the algorithm's cleverness."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = np.sort(rng.normal(0.0, 1.0, 12) + 2.0 * (rng.random(12) < 0.5))
        assert dip_statistic(x) == pytest.approx(_dip_by_programme(x), abs=1e-7)


def _dip_by_programme(x: Values) -> float:
    return min(_dip_with_mode(x, mode) for mode in range(x.size))


def _dip_with_mode(x: Values, mode: int) -> float:
    """Return the least largest distance to a function with its mode at one of the values.

    Unknown are the function just before and at each value, which differ at the mode alone, and the
    distance.
    """
    n = x.size
    before, at, distance = 2 * np.arange(n), 2 * np.arange(n) + 1, 2 * n
    terms: list[dict[int, float]] = []
    bounds: list[float] = []
    for i in range(n):
        for place, value in ((before[i], i / n), (at[i], (i + 1) / n)):
            terms += [{place: 1.0, distance: -1.0}, {place: -1.0, distance: -1.0}]
            bounds += [value, -value]
        # No step falls, and away from the mode there is none.
        terms += [{before[i]: 1.0, at[i]: -1.0}]
        bounds += [0.0]
        if i != mode:
            terms += [{before[i]: -1.0, at[i]: 1.0}]
            bounds += [0.0]
    for i in range(n - 1):
        terms += [{at[i]: 1.0, before[i + 1]: -1.0}]
        bounds += [0.0]
    for i in range(1, n - 1):
        if i != mode:
            # Steeper from interval to interval up to the mode, flatter behind it.
            sign = 1.0 if i < mode else -1.0
            first, second = sign / (x[i] - x[i - 1]), sign / (x[i + 1] - x[i])
            terms += [{at[i - 1]: -first, before[i]: first, at[i]: second, before[i + 1]: -second}]
            bounds += [0.0]
    table = np.zeros((len(terms), distance + 1))
    for row, own in enumerate(terms):
        table[row, list(own)] = list(own.values())
    cost = np.zeros(distance + 1)
    cost[distance] = 1.0
    return float(linprog(cost, A_ub=table, b_ub=bounds, bounds=[(0.0, 1.0)] * cost.size).fun)


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_one_in_twenty_uniform_samples_is_below_five_percent(n: int) -> None:
    rng = np.random.default_rng(n)
    repeats = 300
    p = [dip_probability(dip_statistic(rng.random(n)), n) for _ in range(repeats)]
    # Within three standard errors.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.038)


def test_two_groups_are_found_with_their_shares_and_medians() -> None:
    rng = np.random.default_rng(1)
    dim, bright = 300 * np.exp(rng.normal(0, 0.4, 120)), 8000 * np.exp(rng.normal(0, 0.4, 280))
    found = describe(np.concatenate([dim, bright]))
    assert found.is_bimodal and found.dip_p < 0.05 and found.bic_gain >= 10
    assert [mode.fraction for mode in found.modes] == pytest.approx([0.3, 0.7], abs=0.02)
    assert [mode.value for mode in found.modes] == pytest.approx([300, 8000], rel=0.1)


def test_one_group_is_hardly_ever_two() -> None:
    rng = np.random.default_rng(2)
    found = [describe(5000 * np.exp(rng.normal(0, 0.4, 200))) for _ in range(100)]
    assert sum(item.is_bimodal for item in found) <= 2
    assert all(item.modes == () for item in found if not item.is_bimodal)


def test_a_coarse_scale_does_not_make_two_groups() -> None:
    rng = np.random.default_rng(3)
    found = [describe(np.round(40 * np.exp(rng.normal(0, 0.3, 500)) / 8) * 8) for _ in range(50)]
    assert sum(item.is_bimodal for item in found) <= 1


def test_a_minor_group_of_less_than_a_twentieth_is_not_told() -> None:
    rng = np.random.default_rng(4)
    values = 8000 * np.exp(rng.normal(0, 0.3, 500))
    values[:15] = 200.0 * np.exp(rng.normal(0, 0.3, 15))
    assert not describe(values).is_bimodal
