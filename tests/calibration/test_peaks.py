"""Peaks of planted beads are found, whatever the gain; what cannot be matched gives no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_beads import QUANTIBRITE, RAINBOW, TOP, events_of, fluorescence, kit

from cytoflow_car.calibration.fitting import calibrate
from cytoflow_car.calibration.peaks import find_peaks
from cytoflow_car.calibration.singlets import find_singlets
from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import BeadKit, Binding, Calibration
from cytoflow_car.model.events import Events, Values

BOUND = Binding("PE-A", None, 500.0, "Planted", None)


def calibrated(values: Values, bead_kit: BeadKit, top: float = TOP) -> Calibration:
    return calibrated_events(events_of(values, top=top), bead_kit)


def calibrated_events(events: Events, bead_kit: BeadKit) -> Calibration:
    rows = np.flatnonzero(find_singlets(events.column(0), events.column(1)))
    channel = bead_kit.channels[0]
    found = find_peaks(
        events.column(2, rows), top=events.channels[2].range, wanted=len(channel.levels)
    )
    return calibrate(
        found, bead_kit, channel, BOUND, n_events=len(events), n_singlets=int(rows.size)
    )


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_four_peaks_are_found_at_every_gain(gain: float, seed: int) -> None:
    values, _ = fluorescence(QUANTIBRITE, gain=gain, seed=seed)
    found = calibrated(values, kit())
    assert found.flags == ()
    assert [item.peak.mfi for item in found.peaks] == pytest.approx(
        [1.5 * gain * level for level in QUANTIBRITE], rel=0.01
    )
    assert found.line.slope == pytest.approx(1.0, abs=0.005)
    assert found.line.r2 > 0.9999
    # A tenth are doublets.
    assert all(2000 < item.peak.n_events < 2300 for item in found.peaks)


@pytest.mark.parametrize("gain", [0.12, 0.25, 0.5])
def test_eight_peaks_with_a_blank_are_found_at_every_gain(gain: float) -> None:
    values, _ = fluorescence(RAINBOW, gain=gain, each=1200)
    found = calibrated(values, kit(RAINBOW))
    assert found.flags == ()
    assert [item.fitted for item in found.peaks] == [False] + [True] * 7
    assert [item.peak.mfi for item in found.peaks[1:]] == pytest.approx(
        [1.5 * gain * level for level in RAINBOW[1:]], rel=0.015
    )
    # Noise around 0 has no geometric mean: the median stands for it, and is told.
    assert found.peaks[0].peak.flags == ("PEAK_NOT_POSITIVE",)
    assert abs(found.peaks[0].peak.mfi) < 10 * gain


def test_a_gain_does_not_change_what_is_calibrated() -> None:
    values, _ = fluorescence(RAINBOW, gain=0.2)
    events = events_of(values)
    # A power of two, which rounds nothing.
    table = np.asarray(events.values) * np.asarray([1, 1, 4], dtype=np.float32)
    channel = replace(events.channels[2], range=4 * TOP)
    more = Events(table, (*events.channels[:2], channel))
    low, high = calibrated_events(events, kit(RAINBOW)), calibrated_events(more, kit(RAINBOW))
    mfi = np.array([100.0, 3000.0, 40000.0])
    assert high.convert_values(4 * mfi) == pytest.approx(low.convert_values(mfi), rel=1e-9)
    assert [item.peak.n_events for item in high.peaks] == [item.peak.n_events for item in low.peaks]


def test_the_order_of_events_does_not_matter() -> None:
    values, _ = fluorescence(RAINBOW, gain=0.2)
    events = events_of(values)
    order = np.random.default_rng(5).permutation(len(events))
    other = Events(np.asarray(events.values)[order], events.channels)
    one, two = calibrated_events(events, kit(RAINBOW)), calibrated_events(other, kit(RAINBOW))
    assert two.line.slope == pytest.approx(one.line.slope, rel=1e-12)
    assert two.flags == one.flags
    assert [a.peak.n_events for a in two.peaks] == [b.peak.n_events for b in one.peaks]


def test_a_saturated_peak_is_not_fitted_and_told() -> None:
    values, _ = fluorescence(QUANTIBRITE, gain=3.0)
    found = calibrated(values, kit())
    assert found.flags == ("PEAK_SATURATED:level 62336",)
    assert [item.fitted for item in found.peaks] == [True, True, True, False]
    assert found.line.slope == pytest.approx(1.0, abs=0.01)


def test_two_saturated_peaks_are_counted_by_their_events() -> None:
    values, _ = fluorescence(RAINBOW, gain=1.5)
    found = calibrated(values, kit(RAINBOW))
    assert found.peaks[-1].levels == (137049.0, 271647.0)
    assert found.flags == ("PEAK_SATURATED:level 137049 and 271647",)


def test_a_missing_peak_gives_no_number() -> None:
    values, which = fluorescence(QUANTIBRITE)
    with pytest.raises(CalibrationError, match=r"3 peaks were found.*expected 4") as caught:
        calibrated(values[which != 2], kit())
    assert "No level is guessed" in caught.value.advice


def test_a_missing_peak_beside_a_saturated_one_gives_no_number() -> None:
    values, which = fluorescence(RAINBOW, gain=0.8)
    with pytest.raises(CalibrationError, match="7 peaks were found"):
        calibrated(values[which != 3], kit(RAINBOW))


def test_a_doubled_peak_gives_no_number() -> None:
    values, _ = fluorescence((474, 5359, 11000, 23843, 62336))
    with pytest.raises(CalibrationError, match=r"5 peaks were found.*expected 4"):
        calibrated(values, kit())


def test_a_kit_with_other_numbers_of_levels_gives_no_number() -> None:
    values, _ = fluorescence(QUANTIBRITE)
    with pytest.raises(CalibrationError, match=r"4 peaks were found.*expected 8"):
        calibrated(values, kit(RAINBOW))


def test_values_of_another_lot_are_told_peak_by_peak() -> None:
    values, _ = fluorescence(QUANTIBRITE)
    flags = calibrated(values, kit((474.0, 9000.0, 14000.0, 62336.0))).flags
    assert {flag.partition(":")[0] for flag in flags} == {"POOR_FIT", "BACK_CALCULATED"}
    assert sum(flag.startswith("BACK_CALCULATED:level") for flag in flags) >= 2


def test_a_kit_of_another_width_is_told_by_its_slope() -> None:
    values, _ = fluorescence(QUANTIBRITE)
    flags = calibrated(values, kit(tuple(level**1.2 for level in QUANTIBRITE))).flags
    assert flags == ("SLOPE_OUTSIDE:1.199, 0.9 to 1.1",)


@pytest.mark.parametrize("seed", range(5))
def test_a_tenth_of_debris_and_strays_is_no_peak(seed: int) -> None:
    values, _ = fluorescence(QUANTIBRITE, seed=seed)
    rng = np.random.default_rng(seed)
    strays = np.exp(rng.uniform(np.log(50), np.log(200000), values.size // 10))
    found = calibrated(rng.permutation(np.concatenate([values, strays])), kit())
    assert found.flags == ()
    assert found.line.slope == pytest.approx(1.0, abs=0.01)


def test_a_peak_with_the_events_of_two_is_told() -> None:
    values, _ = fluorescence(QUANTIBRITE, each=(2500, 2500, 5000, 2500))
    flags = calibrated(values, kit()).flags
    assert flags == ("PEAK_UNEVEN:level 23843 2.0 times the events of the median peak",)


def test_few_beads_of_a_peak_are_told() -> None:
    values, _ = fluorescence(QUANTIBRITE, each=80)
    flags = calibrated(values, kit()).flags
    assert [flag.partition(":")[0] for flag in flags] == ["FEW_BEADS"] * 4
    assert flags[0].startswith("FEW_BEADS:level 474 ")


@pytest.mark.parametrize("each", [0, 1, 3])
def test_hardly_any_beads_give_no_number(each: int) -> None:
    values, _ = fluorescence(QUANTIBRITE, each=each)
    with pytest.raises(CalibrationError):
        calibrated(values, kit())


def test_peaks_that_noise_joins_are_taken_apart_by_another_channel() -> None:
    values, which = fluorescence((0, 20, 60, 2000, 8000, 30000, 100000), noise=25)
    other = fluorescence((0, 2000, 6000, 20000, 60000, 120000, 170000), noise=25)[1]
    assert np.array_equal(other, which)
    light = np.asarray((0, 2000, 6000, 20000, 60000, 120000, 170000))[which.astype(int)]
    light = light * np.random.default_rng(3).lognormal(0, 0.05, light.size)
    alone = find_peaks(values, top=TOP, wanted=7)
    found = find_peaks(values, top=TOP, others={"APC-A": light}, wanted=7)
    assert len(alone.peaks) < 7
    assert len(found.peaks) == 7
    told = [peak for peak in found.peaks if "PEAK_BY_OTHER_CHANNEL:APC-A" in peak.flags]
    assert [peak.mfi for peak in told] == pytest.approx([0, 30, 90], abs=4)
    for number in range(7):
        assert set(which[found.labels == number]) == {number}
