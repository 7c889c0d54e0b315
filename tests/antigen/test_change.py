"""Planted losses and decreases are named as such; what cannot be compared never is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_antigen import CHANNEL, RULE, Cells, beads, profile

from cytoflow_car.antigen.change import compare_antigen
from cytoflow_car.model.antigen import AntigenChange, AntigenComparison, AntigenProfile

N_SPECIMENS, N_BLASTS = 200, 100
BEFORE = Cells(N_BLASTS, 8000.0, negative=0.02)
PLANTED = {
    AntigenChange.LOSS: Cells(N_BLASTS, 0.0),
    AntigenChange.DOWN: Cells(N_BLASTS, 1600.0, negative=0.02),
    AntigenChange.PARTIAL_LOSS: Cells(N_BLASTS, 8000.0, negative=0.40),
    AntigenChange.UNCHANGED: BEFORE,
    AntigenChange.GAIN: Cells(N_BLASTS, 40_000.0, negative=0.02),
}


def measured(cells: Cells, rng: np.random.Generator, *, calibrated: bool = True) -> AntigenProfile:
    """Measure a specimen of a day of its own: another gain, and other beads."""
    gain = 13.0 * 10.0 ** rng.normal(0.0, 0.1)
    own = beads(gain, rng, each=500) if calibrated else None
    return profile(cells, rng, gain=gain, calibration=own)


def compare(before: AntigenProfile, after: AntigenProfile, obstacle: str = "") -> AntigenComparison:
    return compare_antigen(before, after, RULE.cutoffs, baseline="first", obstacle=obstacle)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_change_is_named(planted: AntigenChange) -> None:
    found = []
    for number in range(N_SPECIMENS):
        rng = np.random.default_rng([number, *planted.encode()])
        found.append(compare(measured(BEFORE, rng), measured(PLANTED[planted], rng)).change)
    assert found.count(planted) >= 0.95 * N_SPECIMENS
    if planted is AntigenChange.UNCHANGED:
        assert AntigenChange.LOSS not in found


def test_the_ratio_and_its_interval_hold_the_planted_decrease() -> None:
    held = []
    for number in range(100):
        rng = np.random.default_rng([3, number])
        item = compare(measured(Cells(200, 8000.0), rng), measured(Cells(200, 1600.0), rng))
        assert item.log10_ratio == pytest.approx(np.log10(0.2), abs=0.12)
        assert item.interval is not None and item.distance is not None
        held.append(item.interval.low <= np.log10(0.2) <= item.interval.high)
        # The same shape, shifted: the distance is the shift, less what the background takes.
        assert item.distance == pytest.approx(-np.log10(0.2), abs=0.15)
    assert np.mean(held) >= 0.9


def test_other_reagents_are_never_compared() -> None:
    rng = np.random.default_rng(1)
    own = beads(13.0, rng)
    other = replace(CHANNEL, marker="CD22 APC")
    before, after = (
        profile(BEFORE, rng, calibration=own, channel=channel) for channel in (CHANNEL, other)
    )
    for one, two in ((before, after), (after, before)):
        found = compare(one, two)
        assert found.change is AntigenChange.NOT_COMPARABLE
        assert found.reason == "REAGENT of another name"
        assert found.log10_ratio is None


def test_another_detector_of_one_cytometer_is_another_reagent() -> None:
    rng = np.random.default_rng(8)
    before, after = (
        replace(profile(BEFORE, rng), detector=detector, calibrator="kit")
        for detector in ("PE-A", "APC-A")
    )
    assert compare(before, after).reason == "DETECTOR PE-A, now APC-A"
    # Another cytometer may call the detector of the same label otherwise, where a stain names it.
    elsewhere = replace(after, instrument="Other #11111111")
    assert compare(before, elsewhere).change is not AntigenChange.NOT_COMPARABLE
    unnamed = [replace(item, stain="CD22") for item in (before, elsewhere)]
    assert compare(*unnamed).reason == "DETECTOR PE-A, now APC-A"


def test_one_draw_below_background_does_not_take_the_interval() -> None:
    rng = np.random.default_rng(9)
    before, after = measured(BEFORE, rng), measured(Cells(100, 1600.0), rng)
    assert after.draws is not None
    draws = after.draws.copy()
    draws[0] = -5.0
    whole = compare(before, after).interval
    nearly = compare(before, replace(after, draws=draws)).interval
    assert whole is not None and nearly is not None
    assert nearly.low == pytest.approx(whole.low, abs=0.05)
    draws[:50] = -5.0
    assert compare(before, replace(after, draws=draws)).interval is None


def test_what_a_comparison_leaves_open_stands_in_its_reason() -> None:
    rng = np.random.default_rng(10)
    before = measured(BEFORE, rng)
    after = profile(BEFORE, rng, calibration=beads(13.0, rng), fmo=False)
    found = compare_antigen(
        before, after, RULE.cutoffs, baseline="first", caveat="inotuzumab not known of"
    )
    assert found.reason.endswith("; background by fmo, now by internal; inotuzumab not known of")


def test_other_calibrators_are_never_compared() -> None:
    rng = np.random.default_rng(2)
    own = beads(13.0, rng)
    other = replace(own, kit=replace(own.kit, name="Other beads"))
    later = replace(own, kit=replace(own.kit, lot="2"))
    before = profile(BEFORE, rng, calibration=own)
    found = compare(before, profile(BEFORE, rng, calibration=other))
    assert found.change is AntigenChange.NOT_COMPARABLE
    assert found.reason == "CALIBRATOR Planted beads, ABC, direct; now Other beads, ABC, direct"
    # Another lot has other values, which the leaflet gives.
    assert compare(before, profile(BEFORE, rng, calibration=later)).change == "UNCHANGED"


def test_an_obstacle_comes_before_any_comparison() -> None:
    rng = np.random.default_rng(3)
    found = compare(measured(BEFORE, rng), measured(Cells(100, 0.0), rng), "MASKED:inotuzumab")
    assert (found.change, found.reason) == (AntigenChange.NOT_COMPARABLE, "MASKED:inotuzumab")


def test_too_few_cells_are_never_compared() -> None:
    rng = np.random.default_rng(4)
    found = compare(measured(BEFORE, rng), measured(Cells(19, 0.0), rng))
    assert (found.change, found.reason) == ("NOT_COMPARABLE", "NO_STATUS of this specimen")


def test_without_beads_a_loss_is_seen_and_an_unchanged_density_is_not_claimed() -> None:
    rng = np.random.default_rng(5)
    before = measured(BEFORE, rng, calibrated=False)
    lost = compare(before, measured(Cells(100, 0.0), rng, calibrated=False))
    same = compare(before, measured(BEFORE, rng, calibrated=False))
    assert lost.change is AntigenChange.LOSS and lost.log10_ratio is None
    assert (same.change, same.reason) == ("NOT_COMPARABLE", "NO_CALIBRATION")
