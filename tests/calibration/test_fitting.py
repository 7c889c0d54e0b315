"""Fits give the worked example of the protocols, and hold only for what the beads were run on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_beads import kit

from cytoflow_car.calibration.convert import convert
from cytoflow_car.calibration.fitting import calibrate, fit_line, fit_mef
from cytoflow_car.calibration.peaks import FoundPeaks
from cytoflow_car.errors import CalibrationError
from cytoflow_car.model.calibration import BeadPeak, Binding, Calibration
from cytoflow_car.model.events import Channel

PE, MFI = (474, 5359, 23843, 62336), (760, 8400, 37500, 97000)
CHANNEL = Channel("PE-A", "CD22 PE", voltage=500.0)


def example(fp_ratio: float | None = 1.0) -> Calibration:
    peaks = tuple(BeadPeak(2500, float(mfi), 5.0) for mfi in MFI)
    own = kit(PE, fp_ratio)
    bound = Binding("PE-A", "CD22 PE", 500.0, "Fortessa #1a2b3c4d", "2024-03-01")
    found = FoundPeaks(peaks, np.zeros(0, dtype=np.intp))
    return calibrate(found, own, own.channels[0], bound, n_events=11000, n_singlets=10000)


def test_the_worked_example_is_reproduced() -> None:
    line = fit_line(MFI, PE)
    assert f"{line.slope:.5f} {line.intercept:.5f} {line.r2:.6f}" == "1.00555 -0.21994 0.999994"
    bound = example()
    stained, background = (
        convert(bound, mfi, channel=CHANNEL, instrument="Fortessa #1a2b3c4d")
        for mfi in (5000.0, 250.0)
    )
    assert stained.value is not None and background.value is not None
    assert round(stained.value, 1) == 3159.1 and stained.flags == ()
    assert round(background.value, 1) == 155.3 and background.flags == ("EXTRAPOLATED",)
    assert round(stained.value - background.value, 1) == 3003.7
    assert stained.unit == "ABC"
    assert bound.flags == ()


def test_molecules_are_divided_by_the_fp_ratio() -> None:
    two, none = (
        convert(example(ratio), 5000.0, channel=CHANNEL, instrument="Fortessa #1a2b3c4d")
        for ratio in (2.0, None)
    )
    assert two.value == pytest.approx(3159.1 / 2, abs=0.05) and two.unit == "ABC"
    assert none.value == pytest.approx(3159.1, abs=0.05) and none.unit == "PE"


@pytest.mark.parametrize(
    ("channel", "instrument", "found", "expected"),
    [
        (replace(CHANNEL, voltage=480.0), "Fortessa #1a2b3c4d", "voltage 480", "500, as the beads"),
        (CHANNEL, "Fortessa #ffffffff", "instrument Fortessa #ffffffff", "#1a2b3c4d, as the beads"),
        (replace(CHANNEL, detector="APC-A"), "Fortessa #1a2b3c4d", "detector APC-A", "PE-A, as"),
    ],
)
def test_other_settings_are_refused(
    channel: Channel, instrument: str, found: str, expected: str
) -> None:
    with pytest.raises(CalibrationError, match=found) as caught:
        convert(example(), 5000.0, channel=channel, instrument=instrument)
    assert expected in caught.value.expected


def test_what_a_file_does_not_state_is_told() -> None:
    channel = replace(CHANNEL, voltage=None)
    found = convert(example(), 5000.0, channel=channel, instrument="")
    assert found.flags == ("UNBOUND:voltage", "UNBOUND:instrument")


@pytest.mark.parametrize("mfi", [0.0, -3.0])
def test_what_is_not_positive_has_no_number(mfi: float) -> None:
    found = convert(example(), mfi, channel=CHANNEL, instrument="Fortessa #1a2b3c4d")
    assert found.value is None and found.flags == ("EXTRAPOLATED",)


def test_the_form_with_autofluorescence_is_recovered() -> None:
    slope, intercept, auto = 0.92, 1.2, 112.69
    levels = np.asarray([0, 792, 2079, 6588, 16471, 47497, 137049, 271647.0])
    mfi = np.exp((np.log(levels + auto) - intercept) / slope)
    fit = fit_mef(mfi.tolist(), levels.tolist())
    assert fit is not None
    assert (fit.slope, fit.intercept, fit.autofluorescence) == pytest.approx(
        (slope, intercept, auto), rel=1e-5
    )


def test_without_a_blank_there_is_no_autofluorescence() -> None:
    assert fit_mef(MFI, PE) is None
    with pytest.raises(CalibrationError, match="autofluorescence is missing"):
        example().convert_values(np.array([5000.0]), "mef")


def test_two_peaks_are_no_line() -> None:
    with pytest.raises(CalibrationError, match="there are 2"):
        fit_line(MFI[:2], PE[:2])
