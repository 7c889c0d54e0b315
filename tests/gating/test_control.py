"""What a control is brought to a specimen by, and where background and dim positives balance."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Floats, prepare, stain

from cytoflow_car.gating.control import ControlCut, Drift, find_drift
from cytoflow_car.gating.equal_error import equal_error_cut
from cytoflow_car.gating.placing import ControlSummary, Parent, References
from cytoflow_car.gating.summaries import control_quantile, summarise_control
from cytoflow_car.measure.intervals import exceeds_control

#: Standard deviation of the background that `stain` draws.
SD = 200.0


def control_of(values: Floats) -> ControlSummary:
    return summarise_control("T", "CAR", "pre_infusion", "P1_d0", values)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("gain", "offset"), [(1.0, 0.0), (1.26, 0.0), (0.8, 60.0), (1.1, -150.0), (1.5, 100.0)]
)
def test_drift_brings_a_control_back_whatever_share_is_positive(
    share: float, gain: float, offset: float
) -> None:
    rng = np.random.default_rng(round(100 * (gain + share)))
    before = stain(rng, np.zeros(50_000, dtype=bool))
    after = gain * stain(rng, rng.random(50_000) < share) + offset
    cut = control_quantile(control_of(before), 0.999)
    drift = find_drift(after, control_of(before), cut=cut, prior=1000.0)
    assert drift is not None
    # Within a tenth of the background's standard deviation, over three of them above its center.
    assert drift.from_control(cut) == pytest.approx(gain * cut + offset, abs=0.1 * SD * gain)


def test_drift_of_a_specimen_like_its_control_is_none() -> None:
    rng = np.random.default_rng(3)
    before = stain(rng, np.zeros(50_000, dtype=bool))
    control = control_of(before)
    drift = find_drift(before, control, cut=control_quantile(control, 0.999), prior=1000.0)
    assert drift is not None
    assert drift.gain == pytest.approx(1.0, abs=0.005)
    assert drift.offset == pytest.approx(0.0, abs=0.005 * SD)


def test_drift_goes_both_ways() -> None:
    drift = Drift(1.3, -40.0)
    assert drift.from_control(700.0) == pytest.approx(870.0)
    assert drift.to_control(drift.from_control(700.0)) == pytest.approx(700.0)


@pytest.mark.parametrize(
    ("values", "control"),
    [
        # 49 negative events in the specimen; then in the control.
        (np.concatenate([np.linspace(0, 100, 49), np.full(900, 9e3)]), np.linspace(0, 100, 5000)),
        (np.linspace(0, 100, 5000), np.linspace(0, 100, 49)),
        # No gain turns constant events into a distribution.
        (np.full(5000, 50.0), np.linspace(0, 100, 5000)),
    ],
)
def test_drift_that_cannot_be_seen_is_none(values: Floats, control: Floats) -> None:
    assert find_drift(values, control_of(control), cut=99.0, prior=1000.0) is None


def lowered(values: Floats, negative: Floats) -> tuple[float, float]:
    """Return the cut of equal errors, and the one that it starts from."""
    highest = float(np.quantile(negative, 0.999))
    shares = (0.005, 0.01, 0.02, 0.05, 0.15)
    lower = {share: float(np.quantile(negative, 1 - share)) for share in shares}
    return equal_error_cut(values, lower, negative.size, highest), highest


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.001, 0.01])
def test_few_positive_events_leave_the_cut_where_it_is(share: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        negative = stain(rng, np.zeros(20_000, dtype=bool))
        values = stain(rng, rng.random(40_000) < share, bright=1500.0, spread=0.6)
        at, highest = lowered(values, negative)
        assert at == highest


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.7])
def test_many_dim_positive_events_are_counted_without_bias(share: float) -> None:
    errors, strict = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        negative = stain(rng, np.zeros(20_000, dtype=bool))
        positive = rng.random(40_000) < share
        values = stain(rng, positive, bright=1500.0, spread=0.6)
        at, highest = lowered(values, negative)
        n_positive = np.count_nonzero(positive)
        errors.append(np.count_nonzero(values >= at) / n_positive - 1)
        strict.append(np.count_nonzero(values >= highest) / n_positive - 1)
    # A cut at P99.9 loses seven in a hundred; of the mean over ten, 1 % is its own noise at 5 %.
    assert np.mean(strict) < -0.06
    assert abs(np.mean(errors)) < 0.015
    # The allowance of noise: at most a twentieth of the positive events, one standard deviation.
    assert np.std(errors) < 0.05


def test_the_lowered_cut_stays_above_the_last_share_that_was_asked() -> None:
    rng = np.random.default_rng(1)
    negative = stain(rng, np.zeros(50_000, dtype=bool))
    # Half of the events are so dim that no cut tells them from background.
    values = np.concatenate(
        [stain(rng, np.zeros(20_000, dtype=bool)), rng.normal(400, 250, 20_000)]
    )
    at, highest = lowered(values, negative)
    assert np.quantile(negative, 0.85) <= at < highest


def test_a_control_of_a_few_cells_is_none() -> None:
    rng = np.random.default_rng(5)
    few = summarise_control("T", "CAR", "pre_infusion", "few", rng.normal(200.0, 100.0, 400))
    many = summarise_control("T", "CAR", "untransduced", "many", rng.normal(200.0, 100.0, 20_000))
    method = ControlCut("control", "CAR", prior=1000.0)
    chosen = method.choose("T", References((few, many)))
    assert chosen is not None
    assert chosen.sample_id == "many"
    assert method.choose("T", References((few,))) is None


def chance_far(
    n_positive: int, seed: int, widened: float = 1.0, bright: float = 1500.0, offset: float = 0.0
) -> float:
    """Return how likely so much is far beyond the cut where nothing but background is.

    Of 40,000 events so many are dim positive ones. `widened` is by what the background's upper
    tail grew since the control, which the lower three quarters do not tell.
    """
    rng = np.random.default_rng(seed)
    control = control_of(stain(rng, np.zeros(25_000, dtype=bool)) + offset)
    negative = stain(rng, np.zeros(40_000 - n_positive, dtype=bool))
    tail = negative > 400.0
    negative[tail] = 400.0 + widened * (negative[tail] - 400.0)
    positive = stain(rng, np.ones(n_positive, dtype=bool), bright=bright)
    prepared = prepare({"CAR": np.concatenate([negative, positive]) + offset})
    parent = Parent("T", prepared, np.arange(40_000))
    method = ControlCut("control", "CAR", prior=700.0 + offset)
    found = method.place(parent, References((control,))).background
    assert found is not None and found.beyond is not None
    far = found.beyond
    assert far.n_parent == 40_000 and far.n_control <= 1
    return exceeds_control(far.n_events, far.n_parent, far.n_control, found.n_parent, 1.0)


def test_few_positive_events_are_seen_far_beyond_the_cut() -> None:
    # 0.1 % of the events, as many as there are of background above the cut.
    assert sum(chance_far(40, seed) < 0.01 for seed in range(40)) >= 38


def test_far_beyond_is_counted_from_the_background_not_from_zero() -> None:
    near = [chance_far(40, seed, bright=1200.0, offset=2000.0) < 0.01 for seed in range(20)]
    assert sum(near) >= 18


@pytest.mark.parametrize("widened", [1.0, 1.2])
def test_a_negative_is_not_seen_far_beyond_the_cut(widened: float) -> None:
    assert sum(chance_far(0, seed, widened) < 0.01 for seed in range(40)) <= 3
