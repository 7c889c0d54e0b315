"""Beads that others measured: every peak that the detector can see, and FlowCal's own fit."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytoflow_car.fcs import read_fcs
from cytoflow_car.model.calibration import BeadKit, Calibration, KitChannel
from cytoflow_car.study.calibration import BeadRun, calibrate_beads

#: Bead files of FlowCal with the values of their lots for FL1 (sheet Beads of experiment.xlsx).
LOTS = {
    "sample001.fcs": (0, 792, 2079, 6588, 16471, 47497, 137049, 271647),
    "min/sample001.fcs": (0, 771, 2106, 6262, 15183, 45292, 136258, 291042),
}
#: Detectors of flowBeads' files and the columns of the maker's values for them.
DAKO = {"Alexa-488-A": "FITC", "PE-A": "PE", "APC-A": "APC", "PE-Cy7-A": "PE.CY5"}


def run(path: Path, detector: str, levels: tuple[float, ...]) -> BeadRun:
    kit = BeadKit("beads", "lot", "MESF", False, (KitChannel(detector, levels),))
    return calibrate_beads(path, kit, detector=detector)


def calibrated(path: Path, detector: str, levels: tuple[float, ...]) -> Calibration:
    found = run(path, detector, levels)
    assert found.calibration is not None, found.fault
    return found.calibration


def makers_values(folder: Path, name: str, column: str) -> tuple[float, ...]:
    table = pd.read_csv(folder / f"{name}.csv", sep=";")
    return (0.0, *(float(value) for value in table[column].dropna()))


@pytest.fixture
def flowcal(data_folder: Path) -> Path:
    return data_folder / "FlowCal" / "examples" / "FCFiles"


@pytest.fixture
def flowbeads(data_folder: Path) -> Path:
    return data_folder / "flowBeads" / "inst" / "extdata"


@pytest.mark.parametrize("file", LOTS)
def test_all_eight_peaks_are_found_and_the_brightest_is_bent(flowcal: Path, file: str) -> None:
    levels = LOTS[file]
    found = calibrated(flowcal / file, "FL1", levels)
    assert [item.levels[0] for item in found.peaks] == list(levels)
    assert all(3300 < item.peak.n_events < 3700 for item in found.peaks)
    # The three dimmest lie upon one another on FL1, and apart on FL2.
    assert ["PEAK_BY_OTHER_CHANNEL:FL2" in item.peak.flags for item in found.peaks] == (
        [True] * 3 + [False] * 5
    )
    # The brightest lies at the top of the scale, where light adds less than it should.
    assert [item.fitted for item in found.peaks] == [False] + [True] * 6 + [False]
    mfi = [item.peak.mfi for item in found.peaks]
    assert mfi[7] > 0.9 * 10000
    assert mfi[7] / mfi[6] < 0.7 * levels[7] / levels[6]
    # These beads shine without fluorophore, so that no straight line fits, which is said.
    assert {flag.partition(":")[0] for flag in found.flags} == {
        "POOR_FIT",
        "SLOPE_OUTSIDE",
        "BACK_CALCULATED",
        "PEAK_SATURATED",
    }


@pytest.mark.parametrize("file", LOTS)
def test_fitted_values_are_those_of_flowcal(flowcal: Path, file: str) -> None:
    flowcal_package = pytest.importorskip("FlowCal")
    levels = LOTS[file]
    found = calibrated(flowcal / file, "FL1", levels)
    with warnings.catch_warnings():
        # FlowCal's own, of libraries that have moved on since.
        warnings.simplefilter("ignore")
        beads = flowcal_package.io.FCSData(str(flowcal / file))
        beads = flowcal_package.transform.to_rfi(beads)
        beads = flowcal_package.gate.start_end(beads, num_start=250, num_end=100)
        beads = flowcal_package.gate.high_low(beads, ["FSC", "SSC"])
        beads = flowcal_package.gate.density2d(beads, ["FSC", "SSC"], gate_fraction=0.85)
        theirs = flowcal_package.mef.get_transform_fxn(
            beads, [list(levels)], ["FL1"], clustering_channels=["FL1", "FL2", "FL3"],
            full_output=True,
        )  # fmt: skip
        standard = theirs.fitting["std_crv"][0]
    assert found.mef is not None
    assert found.mef.autofluorescence == pytest.approx(
        theirs.fitting["beads_params"][0][2], rel=0.05
    )
    for mfi in np.geomspace(100, 9000, 25):
        (ours,) = found.convert_values(np.array([mfi]), "mef")
        assert ours == pytest.approx(standard(mfi), rel=0.05)
    for item in found.peaks[1:7]:
        (ours,) = found.convert_values(np.array([item.peak.mfi]), "mef")
        # Its model of beads takes their own fluorescence off, its curve for cells does not.
        ours -= found.mef.autofluorescence
        theirs_of_beads = theirs.fitting["beads_model"][0](item.peak.mfi)
        assert ours == pytest.approx(theirs_of_beads, rel=0.05)


@pytest.mark.parametrize(("file", "n_seen"), [("sample001.fcs", 6), ("min/sample001.fcs", 6)])
@pytest.mark.parametrize("detector", ["FL2", "FL3"])
def test_two_peaks_off_scale_are_no_peaks_that_can_be_seen(
    flowcal: Path, file: str, n_seen: int, detector: str
) -> None:
    found = run(flowcal / file, detector, LOTS[file])
    assert found.calibration is not None
    assert len(found.found.peaks) == n_seen + 1
    pile = found.found.peaks[-1]
    assert pile.n_joined == 2 and "PEAK_SATURATED" in pile.flags
    # More than half of the beads of both are at the one highest value that there is.
    sample = read_fcs(flowcal / file)
    own = sample.events.column(sample.events.detectors.index(detector))
    assert np.count_nonzero(own == own.max()) > 0.55 * pile.n_events


@pytest.mark.parametrize("file", ["beads1.fcs", "beads2.fcs"])
@pytest.mark.parametrize("detector", ["Alexa-488-A", "PE-A", "APC-A"])
def test_all_six_peaks_of_flowbeads_are_found(flowbeads: Path, file: str, detector: str) -> None:
    levels = makers_values(flowbeads, "dakomef", DAKO[detector])
    found = calibrated(flowbeads / file, detector, levels)
    assert found.flags == ()
    assert [item.fitted for item in found.peaks] == [False] + [True] * 5
    assert found.line.r2 > 0.998
    assert 0.95 < found.line.slope < 1.04
    for item in found.peaks[1:]:
        assert abs(item.deviation_percent or 100.0) < 8.0


@pytest.mark.parametrize("file", ["beads1.fcs", "beads2.fcs"])
def test_dim_peaks_in_the_noise_are_told_by_another_channel_and_not_fitted(
    flowbeads: Path, file: str
) -> None:
    found = calibrated(flowbeads / file, "PE-Cy7-A", makers_values(flowbeads, "dakomef", "PE.CY5"))
    assert [item.fitted for item in found.peaks] == [False] * 3 + [True] * 3
    # Beads of these levels have values of 0 and less, so that they are in the detector's noise.
    assert [item.peak.cv_percent is None for item in found.peaks] == [True] * 3 + [False] * 3
    assert {flag.partition(":")[0] for flag in found.flags} == {"PEAK_NOT_POSITIVE"}


@pytest.mark.parametrize("file", ["beads1.fcs", "beads2.fcs"])
def test_values_of_another_maker_are_told(flowbeads: Path, file: str) -> None:
    found = calibrated(flowbeads / file, "PE-A", makers_values(flowbeads, "cytocalmef", "PE"))
    assert any(flag.startswith("BACK_CALCULATED") for flag in found.flags)
