"""Planted copies come back in molecules, whatever the gain, with intervals that hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_antigen import CHANNEL, RULE, Cells, beads, profile
from scipy import stats

from cytoflow_car.model.antigen import AntigenStatus

GAINS = (6.5, 9.2, 13.0, 18.4, 26.0)


@pytest.mark.parametrize("copies", [1000, 3500, 15_000, 50_000])
def test_density_does_not_move_with_the_gain(copies: int) -> None:
    found = []
    for number, gain in enumerate(GAINS):
        rng = np.random.default_rng([copies, number])
        item = profile(Cells(2000, copies), rng, gain=gain, calibration=beads(gain, rng))
        assert item.net is not None and item.unit == "ABC"
        found.append(item.net)
    assert found == pytest.approx([copies] * len(GAINS), rel=0.07)


def test_density_near_the_background_is_nearly_unbiased() -> None:
    # The median of a sum of two skewed values is not the sum of their medians.
    found = []
    for number in range(20):
        rng = np.random.default_rng([500, number])
        item = profile(Cells(2000, 500), rng, calibration=beads(13.0, rng))
        assert item.net is not None
        found.append(item.net)
    assert np.mean(found) == pytest.approx(500, rel=0.07)


def test_intervals_hold_what_was_planted() -> None:
    held = []
    for number in range(300):
        rng = np.random.default_rng([9, number])
        copies = float(np.exp(rng.uniform(np.log(500), np.log(50_000))))
        n_events = int(np.exp(rng.uniform(np.log(50), np.log(2000))))
        gain = float(rng.choice(GAINS))
        item = profile(Cells(n_events, copies), rng, gain=gain, calibration=beads(gain, rng))
        assert item.net_interval is not None
        held.append(item.net_interval.low <= copies <= item.net_interval.high)
    # 95 % of 300, within three standard errors on either side.
    assert 0.91 <= np.mean(held) <= 0.99


def test_the_calibration_widens_the_interval() -> None:
    def width(leaflet_sd: float) -> float:
        rng = np.random.default_rng(4)
        own = beads(13.0, rng, leaflet_sd=leaflet_sd)
        interval = profile(Cells(5000, 5000), rng, calibration=own).net_interval
        assert interval is not None
        return interval.high - interval.low

    assert width(0.05) > 2 * width(0.005)


def test_the_calibration_errs_as_much_as_so_few_peaks_allow() -> None:
    """Of two degrees of freedom: 4.3 standard errors on either side, not 1.96."""
    rng = np.random.default_rng(18)
    own = beads(13.0, rng)
    item = profile(Cells(50_000, 10_000), rng, calibration=own)
    assert item.interval is not None
    found = np.log10(item.interval.high / item.interval.low)
    line = own.line
    away = np.log10(13.0 * (0.05 * 10_000 + 25.0)) - line.mean_log_mfi
    error = np.hypot(line.mean_error, line.slope_error * away)
    assert found == pytest.approx(2 * stats.t(2).ppf(0.975) * error, rel=0.25)


def test_a_thinned_control_counts_as_all_its_events() -> None:
    def width(most: int) -> float:
        interval = profile(
            Cells(20_000, 500), np.random.default_rng(19), most_control=most
        ).net_interval
        assert interval is not None
        return interval.high - interval.low

    assert width(200) == pytest.approx(width(20_000), rel=0.15)


def test_blasts_and_normal_cells_are_related_without_background() -> None:
    rng = np.random.default_rng(20)
    item = profile(Cells(5000, 1000), rng, normal=Cells(5000, 2000), calibration=beads(13.0, rng))
    assert item.reference_net == pytest.approx(2000, rel=0.07)
    assert item.relative == pytest.approx(0.5, rel=0.07)


def test_what_is_at_background_has_no_density() -> None:
    rng = np.random.default_rng(3)
    found = [profile(Cells(200, 0.0), rng, calibration=beads(13.0, rng)) for _ in range(20)]
    assert {item.status for item in found} == {AntigenStatus.NEG}
    assert sum(item.net is None for item in found) >= 4
    above = [item.net_interval for item in found if item.net_interval is not None]
    # Of two-sided intervals one in forty lies above by chance.
    assert sum(interval.low > 0 for interval in above) <= 2


def test_an_fmo_is_preferred_to_cells_of_the_tube_and_told() -> None:
    rng = np.random.default_rng(1)
    own = beads(13.0, rng)
    with_fmo = profile(Cells(500, 5000), rng, calibration=own)
    without = profile(Cells(500, 5000), rng, calibration=own, fmo=False)
    assert with_fmo.background is not None and with_fmo.background.kind == "fmo"
    assert without.background is not None and without.background.kind == "internal"
    assert "INTERNAL_NEGATIVE" in without.flags and "INTERNAL_NEGATIVE" not in with_fmo.flags


def test_an_fmo_of_another_voltage_is_no_control() -> None:
    rng = np.random.default_rng(1)
    item = profile(Cells(500, 5000), rng, channel=replace(CHANNEL, voltage=480.0))
    assert item.background is not None and item.background.kind == "internal"
    assert "CONTROL_OF_OTHER_SETTINGS:fmo" in item.flags


def test_an_indirect_assay_prefers_the_isotype() -> None:
    """The second antibody sticks, too, which an FMO without it does not show."""
    rng = np.random.default_rng(12)
    direct = beads(13.0, rng)
    indirect = replace(direct, kit=replace(direct.kit, indirect=True))
    found = {}
    for name, own in (("direct", direct), ("indirect", indirect)):
        item = profile(Cells(500, 5000), rng, calibration=own, isotype=True)
        assert item.background is not None
        found[name] = item.background.kind, "ISOTYPE_ONLY" in item.flags
    assert found == {"direct": ("fmo", False), "indirect": ("isotype", False)}
    alone = profile(Cells(500, 5000), rng, calibration=direct, fmo=False, isotype=True)
    assert "ISOTYPE_ONLY" in alone.flags


def test_outside_the_beads_a_density_is_flagged() -> None:
    rng = np.random.default_rng(2)
    own = beads(13.0, rng)
    dim, bright = (profile(Cells(500, copies), rng, calibration=own) for copies in (0.0, 200_000.0))
    assert "EXTRAPOLATED" in bright.flags
    # 25 photo-electrons of a cell without antigen are as many as 500 molecules make: within the
    # beads, but no density.
    assert dim.status is AntigenStatus.NEG and "EXTRAPOLATED" not in dim.flags


def test_without_beads_there_are_ratios_and_no_molecules() -> None:
    rng = np.random.default_rng(5)
    item = profile(Cells(1000, 5000), rng, normal=Cells(1000, 10_000))
    assert item.unit == "a.u." and item.calibrator == "" and "NO_CALIBRATION" in item.flags
    assert item.ratio_to_reference is not None and item.ratio_to_negative is not None
    value, interval = item.ratio_to_reference
    # Of medians with what cells shine by themselves: (250 + 25) / (500 + 25).
    assert value == pytest.approx(275 / 525, rel=0.1)
    assert interval.low < value < interval.high
    assert item.ratio_to_negative[0] == pytest.approx(275 / 25, rel=0.1)
    assert item.relative == pytest.approx(0.5, rel=0.1)


def test_few_cells_have_no_status() -> None:
    rng = np.random.default_rng(6)
    own = beads(13.0, rng)
    assert profile(Cells(19, 5000), rng, calibration=own).status is None
    few = profile(Cells(20, 5000), rng, calibration=own)
    assert few.status is not None and "QUALITATIVE" in few.flags
    enough = profile(Cells(50, 5000), rng, calibration=own)
    assert "QUALITATIVE" not in enough.flags


def test_dim_needs_normal_cells_or_a_density_with_its_source() -> None:
    rng = np.random.default_rng(7)
    own = beads(13.0, rng)
    without = profile(Cells(500, 2500), rng, calibration=own)
    assert without.status is AntigenStatus.NO_REFERENCE
    few = profile(Cells(500, 2500), rng, normal=Cells(49, 20_000), calibration=own)
    assert few.status is AntigenStatus.NO_REFERENCE
    beside = profile(Cells(500, 2500), rng, normal=Cells(50, 20_000), calibration=own)
    assert beside.status is AntigenStatus.DIM and beside.reference_source == "same tube"
    told = replace(RULE, reference_density=20_000.0, reference_source="20 healthy donors")
    by_number = profile(Cells(500, 2500), rng, calibration=own, rule=told)
    assert by_number.status is AntigenStatus.DIM
    assert by_number.reference_source == "20 healthy donors"
    uncalibrated = profile(Cells(500, 2500), rng, rule=told)
    assert uncalibrated.status is AntigenStatus.NO_REFERENCE


def test_histograms_hold_every_event() -> None:
    rng = np.random.default_rng(8)
    item = profile(Cells(500, 3000), rng, normal=Cells(80, 9000), calibration=beads(13.0, rng))
    counted = {(own.population, own.source): sum(own.counts) for own in item.histograms}
    assert counted == {
        ("blasts", ""): 500,
        ("normal B", ""): 80,
        ("T", ""): 2000,
        ("fmo", "fmo"): 1000,
    }
    for own in item.histograms:
        assert own.scale == "ABC" and len(own.edges) == len(own.counts) + 1
        assert list(own.edges) == sorted(own.edges)


def test_percentiles_mean_and_spread_are_those_of_the_planted_cells() -> None:
    rng = np.random.default_rng(14)
    item = profile(Cells(20_000, 10_000, spread=0.4), rng, calibration=beads(13.0, rng))
    # Of a log-normal population, with 500 molecules' worth of light in every cell.
    planted = [10_000 * np.exp(0.4 * z) + 500 for z in (-1.645, -0.6745, 0.6745, 1.645)]
    assert item.percentiles == pytest.approx(planted, rel=0.07)
    assert item.geometric_mean == pytest.approx(10_500, rel=0.07)
    spread = 100 * 0.7413 * (planted[2] - planted[1]) / 10_500
    assert item.robust_cv_percent == pytest.approx(spread, rel=0.1)


def test_two_groups_are_told_without_their_background() -> None:
    rng = np.random.default_rng(15)
    item = profile(Cells(1000, 8000, negative=0.4), rng, calibration=beads(13.0, rng))
    assert item.heterogeneity is not None and item.heterogeneity.is_bimodal
    dim, bright = item.heterogeneity.modes
    assert (dim.fraction, bright.fraction) == pytest.approx((0.4, 0.6), abs=0.02)
    assert bright.value == pytest.approx(8000, rel=0.1)
    assert dim.value is None or dim.value < 100


def test_a_density_of_another_unit_is_no_reference() -> None:
    rng = np.random.default_rng(16)
    own = beads(13.0, rng)
    without = replace(own, channel=replace(own.channel, fp_ratio=None))
    told = replace(RULE, reference_density=20_000.0, reference_source="20 healthy donors")
    item = profile(Cells(500, 2500), rng, calibration=without, rule=told)
    assert item.unit == "PE" and item.status is AntigenStatus.NO_REFERENCE


def test_an_unknown_voltage_of_a_control_is_told() -> None:
    rng = np.random.default_rng(17)
    unknown = replace(CHANNEL, voltage=None)
    item = profile(Cells(500, 5000), rng, channel=unknown, voltage=None)
    assert item.background is not None and item.background.kind == "fmo"
    assert "CONTROL_UNBOUND" in item.flags
