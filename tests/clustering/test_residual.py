"""Residual blasts: what is planted is found, and blanks stay below the limits that are told."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from planted_mixture import Mixture, anchor_positions, draw_specimen
from scipy import stats

from cytoflow_car.clustering.alignment import align
from cytoflow_car.clustering.components import Floats
from cytoflow_car.clustering.residual import (
    ResidualScores,
    find_residual,
    learn_residual,
    predicted_limit_of_blank,
    predicted_limit_of_detection,
)
from cytoflow_car.model.clusters import BaselineBlasts
from cytoflow_car.model.reference import Reference

#: Blasts look like this population, but for two markers, by so much in anchor units.
LIKE, SHIFTED, SHIFT = 4, ("CD38", "CD45"), 0.5
ANTIGEN = "CD19"


def draw_blasts(reference: Reference, n_events: int, seed: int, *, lost: bool = False) -> Floats:
    """Draw blasts in anchor units; `lost` puts the antigen where negative populations lie."""
    item = reference.populations[LIKE]
    mean = item.mean.copy()
    for name in SHIFTED:
        mean[reference.index(name)] += SHIFT if mean[reference.index(name)] < 0.5 else -SHIFT
    if lost:
        mean[reference.index(ANTIGEN)] = 0.0
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(mean, item.covariances[0], n_events).astype(np.float32)


def draw_normal(
    mixture: Mixture, reference: Reference, n_events: int, seed: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Draw a specimen without blasts, aligned, and count its populations."""
    values, labels = draw_specimen(mixture, n_events, seed)
    positions = anchor_positions(reference, values)
    aligned = align(reference, positions[:20_000]).apply(positions)
    return aligned, np.array([np.count_nonzero(labels == name) for name in reference.names])


@pytest.fixture(scope="module")
def learned(reference: Reference) -> ResidualScores:
    blasts = draw_blasts(reference, 3000, 1)
    baseline = BaselineBlasts("baseline", "", blasts, blasts[:0])
    return learn_residual(reference, baseline, (ANTIGEN,), 0)


@pytest.mark.parametrize("n_events", [30_000, 300_000])
def test_blanks_exceed_their_limit_no_more_often_than_it_says(
    mixture: Mixture, reference: Reference, learned: ResidualScores, n_events: int
) -> None:
    exceeded, found, expected = [], 0, 0.0
    for seed in range(500, 510):
        values, counts = draw_normal(mixture, reference, n_events, seed)
        result = find_residual(learned, reference, values, counts, 20)
        n_found = int(np.count_nonzero(result.blasts))
        exceeded.append(n_found > result.false_positives.blank)
        found += n_found
        expected += result.false_positives.expected
    # One in twenty is told.
    assert sum(exceeded) <= 2
    assert found <= expected


@pytest.mark.parametrize("lost", [False, True])
def test_planted_blasts_are_found_whether_or_not_they_lost_the_antigen(
    mixture: Mixture, reference: Reference, learned: ResidualScores, lost: bool
) -> None:
    values, counts = draw_normal(mixture, reference, 100_000, 600)
    blasts = draw_blasts(reference, 100, 2, lost=lost)
    result = find_residual(learned, reference, np.concatenate([values, blasts]), counts, 20)
    assert np.count_nonzero(result.blasts[-100:]) >= 90
    assert np.count_nonzero(result.blasts[:-100]) <= result.false_positives.blank


def test_a_larger_specimen_has_higher_thresholds(
    reference: Reference, mixture: Mixture, learned: ResidualScores
) -> None:
    values, counts = draw_normal(mixture, reference, 20_000, 601)
    blasts = draw_blasts(reference, 20_000, 3)
    few, many = (
        np.count_nonzero(
            find_residual(
                learned, reference, np.concatenate([values, blasts]), factor * counts, 20
            ).blasts
        )
        for factor in (1, 1000)
    )
    assert many < few


def test_blasts_that_look_normal_have_a_high_limit_and_are_not_found(
    mixture: Mixture, reference: Reference
) -> None:
    item = reference.populations[LIKE]
    alike = np.random.default_rng(4).multivariate_normal(item.mean, item.covariances[0], 3000)
    baseline = BaselineBlasts("baseline", "", alike.astype(np.float32), np.empty((0, 10)))
    scores = learn_residual(reference, baseline, (ANTIGEN,), 0)
    values, counts = draw_normal(mixture, reference, 100_000, 602)
    result = find_residual(scores, reference, values, counts, 20)
    # Few are found by intention; that most would be missed is told.
    assert result.false_positives.missed > 0.8
    assert np.count_nonzero(result.blasts) <= result.false_positives.blank


@pytest.mark.parametrize("expected", [0.3, 5.0, 60.0])
@pytest.mark.parametrize("variation", [0.1, 0.5, 1.0])
def test_limit_of_blank_is_the_95th_percentile_of_a_negative_binomial(
    expected: float, variation: float
) -> None:
    shape = 1.0 / np.expm1(variation**2)
    reference = stats.nbinom(shape, shape / (shape + expected)).ppf(0.95)
    assert predicted_limit_of_blank(expected, variation) == reference


def test_nothing_expected_is_a_blank_of_nothing() -> None:
    assert predicted_limit_of_blank(0.0, 0.5) == 0.0


@pytest.mark.parametrize("blank", [0.0, 3.0, 12.0, 100.0])
def test_specimens_at_the_limit_of_detection_exceed_the_blank_in_95_percent(blank: float) -> None:
    assert stats.norm.sf(blank, *_moments(predicted_limit_of_detection(blank))) == pytest.approx(
        0.95, abs=2e-4
    )


def _moments(count: float) -> tuple[float, float]:
    return count, float(np.sqrt(count))
