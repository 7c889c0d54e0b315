"""Confidence is the F1 that a gate may be expected to have, and planted events bear it out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted import Floats, f1, prepare
from truth_of_gates import GOOD, find_truth

from cytoflow_car.gating.confidence import (
    REVIEW_AGREEMENT,
    agreement_of,
    agreement_with_errors,
    confidence_of,
    confidence_with,
    joint_agreement,
)
from cytoflow_car.gating.density import errors_at
from cytoflow_car.gating.internal import errors_of_cut
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.shapes import Boolean, Rectangle
from cytoflow_car.gating.thresholds import Fixed, ValleyCut
from cytoflow_car.model.gate import Dimension, Placement, RectangleGate
from cytoflow_car.model.scale import Linear
from cytoflow_car.simulate import simulate_cohort

N = 40_000


def test_confidence_stands_for_an_agreement() -> None:
    assert confidence_of(REVIEW_AGREEMENT) == 0.5
    for agreement in (0.82, 0.9, 0.95, 1.0):
        assert agreement_of(confidence_of(agreement)) == pytest.approx(agreement)
    assert joint_agreement(0.95, 0.97) == pytest.approx(0.92)
    assert joint_agreement(0.3, 0.2) == 0.0


def test_errors_give_the_f1_that_counting_gives() -> None:
    # 100 inside of which 10 are false, 20 missed: 2 × 90 / (100 + 110).
    assert agreement_with_errors(100, 10, 20) == pytest.approx(180 / 210)
    # Of a few events each error counts as one of 50 on either side.
    assert agreement_with_errors(4, 2, 0) == pytest.approx(0.98)


def test_a_population_too_small_to_be_quantified_is_no_reason_for_review() -> None:
    assert confidence_with(0.2, 49) == 0.5
    assert confidence_with(0.2, 50) == 0.0
    assert confidence_with(0.97, 3) == confidence_of(0.97)


def two_peaks(rng: np.random.Generator, distance: float, share: float) -> tuple[Floats, Floats]:
    """Return values on a linear scale, peaks 1,000 wide, and who is positive."""
    positive = rng.random(N) < share
    return rng.normal(20_000.0, 1000.0, N) + 1000.0 * distance * positive, positive


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("distance", [3.5, 4.0, 5.0, 6.0, 8.0])
def test_a_valley_expects_the_agreement_that_it_has(distance: float, share: float) -> None:
    rng = np.random.default_rng(round(10 * distance + 100 * share))
    values, positive = two_peaks(rng, distance, share)
    middle = 20_000.0 + 500.0 * distance
    cut = ValleyCut("valley", "CD3", "above", middle, 20_500.0, 20_000.0 + 1000.0 * distance)
    prepared = prepare({"CD3": values}, {"CD3": Linear(60_000.0)})
    found = cut.threshold(Parent("all", prepared, np.arange(N)), References())
    if "PRIOR_KEPT" in found.flags:
        assert found.confidence < 0.5
        return
    true = f1(values >= found.at, positive)
    expected = float(found.reason.rpartition("expected agreement ")[2])
    assert expected == pytest.approx(true, abs=0.05)
    assert (found.confidence >= 0.5) == (true >= GOOD) or abs(true - GOOD) < 0.03


def test_overlap_at_a_cut_counts_events_on_either_wrong_side() -> None:
    rng = np.random.default_rng(5)
    values, positive = two_peaks(rng, 4.0, 0.5)
    above, below = errors_at(values, 22_000.0)
    assert above == pytest.approx(np.sum((values >= 22_000) & ~positive), rel=0.5)
    assert below == pytest.approx(np.sum((values < 22_000) & positive), rel=0.5)
    assert errors_at(values, 90_000.0) == (0.0, 0.0)
    assert errors_at(values[:49], 22_000.0) == (0.0, 0.0)
    # One event far out on a side is no peak there.
    assert errors_at(np.append(values, 90_000.0), 89_000.0) == pytest.approx((0.0, 0.0), abs=1.0)
    assert errors_at(np.append(np.linspace(0.0, 1.0, 99), 2.0), 1.5) == pytest.approx(
        (0.0, 0.0), abs=1.0
    )


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_background_and_missed_events_of_a_quantile_cut_are_counted(share: float) -> None:
    rng = np.random.default_rng(6)
    negatives = rng.normal(0.0, 1.0, N)
    positive = rng.random(N) < share
    # Dim: 16 % of the positive events lie below P99.9 of the negative ones.
    values = rng.normal(0.0, 1.0, N) + 4.5 * positive
    lower = {beyond: float(np.quantile(negatives, 1.0 - beyond)) for beyond in (0.005, 0.01)}
    at = float(np.quantile(negatives, 0.999))
    n_false, n_missed = errors_of_cut(values, lower, N, at, float(np.mean(negatives >= at)))
    assert n_false == pytest.approx(np.sum((values >= at) & ~positive), abs=25)
    # What counting noise may explain is not told: a part of those missed, never more.
    true = int(np.sum((values < at) & positive))
    assert 0.3 * true - 25 <= n_missed <= true + 25


def test_a_combination_is_unsure_of_what_hinges_on_its_parts() -> None:
    values = np.zeros(1000)
    parent = Parent("all", prepare({"X": values}), np.arange(1000))
    gate = RectangleGate((Dimension("X", Linear()), Dimension("Y", Linear())), (0, 0), (1, 1))
    sure, unsure = (Placement(gate, "fixed", confidence, "") for confidence in (1.0, 0.0))
    many, few = np.arange(600), np.arange(590, 610)

    def placed(operation: str, sure_rows: Floats, unsure_rows: Floats) -> float:
        references = References(
            placements={"sure": sure, "unsure": unsure},
            rows={"sure": sure_rows, "unsure": unsure_rows},
        )
        combined = Boolean("boolean", operation, ("sure", "unsure"))  # type: ignore[arg-type]
        return combined.place(parent, references).confidence

    # 10 unsure events are added to 600; 600 are added to 10.
    assert placed("or", many, few) > 0.9
    assert placed("or", few, many) < 0.2
    # Taken away, 20 of 600 matter little.
    assert Boolean("boolean", "and", ("sure", "!unsure")).place(
        parent,
        References(
            placements={"sure": sure, "unsure": unsure}, rows={"sure": many, "unsure": few}
        ),
    ).confidence > 0.9  # fmt: skip


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    study = tmp_path_factory.mktemp("confidence") / "study"
    simulate_cohort(study, patients=1, events=12_000, seed=2, gain_sd=0.1, labels=True)
    return find_truth(study)


def test_gates_that_agree_badly_with_planted_labels_are_flagged(gates: pd.DataFrame) -> None:
    some = gates[gates.n_planted >= 1]
    bad, good = some[some.f1 < GOOD], some[some.f1 >= GOOD]
    assert len(bad) > 20
    assert len(good) > 300
    assert bad.is_flagged.mean() >= 0.9
    assert good.is_flagged.mean() <= 0.13
    # Where enough was planted to say so, what was not flagged is not far off.
    quiet = bad[~bad.is_flagged & (bad.n_planted >= 50)]
    assert (quiet.f1 >= 0.7).all(), quiet


def test_review_is_asked_for_in_fewer_than_half_of_the_specimens(gates: pd.DataFrame) -> None:
    assert gates.groupby(["sample_id", "template"]).is_in_review.any().mean() < 0.6


def test_a_gain_that_moves_beads_under_a_fixed_cut_is_flagged() -> None:
    beads = np.full(1600, 2900.0)
    prepared = prepare({"CD19": np.concatenate([np.zeros(18_000), beads, np.full(250, 3100.0)])})
    box = Rectangle("rectangle", (Fixed("fixed", "CD19", "above", 3000.0),))
    parent = Parent("all", prepared, np.arange(len(prepared)))
    assert box.place(parent, References()).confidence < 0.5
