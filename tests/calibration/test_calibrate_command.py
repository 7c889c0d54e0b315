"""``calibrate`` shows and writes a calibration, or says why there is none and draws the beads."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from planted_beads import QUANTIBRITE, events_of, fluorescence, write_beads

from cytoflow_car.cli import SOME_FAILED, USAGE, cli
from cytoflow_car.errors import CalibrationError
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Events
from cytoflow_car.report.calibration import draw_beads, peak_counts
from cytoflow_car.study.calibration import calibrate_beads
from cytoflow_car.tables.columns import BEAD_PEAKS
from cytoflow_car.tables.kit_file import read_kit

KIT = """\
name = "Planted beads"
lot = "1"
unit = "PE"
indirect = false

[channels.{channel}]
levels = {levels}
fp_ratio = 1.0
"""


@pytest.fixture
def beads(tmp_path: Path) -> Path:
    return write_beads(tmp_path / "beads.fcs", fluorescence(QUANTIBRITE)[0])


def kit(folder: Path, channel: str = "PE-A", levels: tuple[float, ...] = QUANTIBRITE) -> Path:
    path = folder / "kit.toml"
    path.write_text(KIT.format(channel=channel, levels=list(levels)), encoding="utf-8")
    return path


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["calibrate", *map(str, arguments)])


def test_a_calibration_is_shown_and_written(beads: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call(beads, "--beads", kit(tmp_path), "--out", out)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Planted beads, lot 1: PE on PE-A, 500 V, Planted #")
    assert lines[2].split()[:4] == ["peak", "level", "events", "mfi"]
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["1", "474"],
        ["2", "5359"],
        ["3", "23843"],
        ["4", "62336"],
    ]
    assert lines[7].startswith("log10(PE) = ") and "r2 1.000" in lines[7]
    table = pd.read_csv(out / "peaks.csv")
    assert list(table.columns) == list(BEAD_PEAKS)
    assert table.level.tolist() == list(QUANTIBRITE)
    assert table.back_calculated.tolist() == pytest.approx(QUANTIBRITE, rel=0.02)
    text = (out / "calibration.json").read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["line"]["slope"] == pytest.approx(1.0, abs=0.01)
    bound = record["binding"]
    assert (bound["detector"], bound["voltage"], bound["acquired_on"]) == (
        "PE-A",
        500.0,
        "2024-03-01",
    )
    # The serial number itself stays out.
    assert "serial" not in text and bound["instrument"].startswith("Planted #")
    assert str(tmp_path) not in text and "beads.fcs" not in text
    assert sorted(path.name for path in out.iterdir()) == [
        "beads.png",
        "calibration.json",
        "peaks.csv",
    ]


@pytest.mark.parametrize("arguments", [("--marker", "CD22"), ("--channel", "PE-A")])
def test_a_channel_is_named_by_stain_or_detector(
    beads: Path, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    done = call(beads, "--beads", kit(tmp_path, "CD22"), *arguments)
    assert done.exit_code == 0, done.output


def test_a_failed_check_is_a_flag_and_exit_code_1(beads: Path, tmp_path: Path) -> None:
    done = call(beads, "--beads", kit(tmp_path, levels=(474, 9000, 14000, 62336)))
    assert done.exit_code == SOME_FAILED
    assert "flag: BACK_CALCULATED:level 9000" in done.stdout


def test_without_a_match_there_is_a_picture_and_no_number(beads: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(beads, "--beads", kit(tmp_path), "--out", out).exit_code == 0
    done = call(beads, "--beads", kit(tmp_path, levels=(474, 5359, 62336)), "--out", out)
    assert done.exit_code == USAGE
    assert done.stdout == ""
    assert "beads.fcs, PE-A: 4 peaks were found, at " in done.stderr
    # Nor does one of an earlier run stay behind.
    assert [path.name for path in out.iterdir()] == ["beads.png"]


@pytest.mark.parametrize(
    ("channel", "arguments", "message"),
    [
        ("PE-A", ("--marker", "CD19"), "beads.fcs: none of its channels is the stain CD19"),
        ("PE-A", ("--channel", "APC-A"), "beads.fcs: none of its channels is the detector APC-A"),
        ("APC-A", (), "beads.fcs: none of its channels is the channel of the kit"),
        ("APC-A", ("--channel", "PE-A"), "kit Planted beads: no channels of the kit are PE-A"),
        ("PE-A", ("--channel", "PE-A", "--marker", "CD22"), "both name a channel"),
    ],
)
def test_another_channel_is_refused(
    beads: Path, tmp_path: Path, channel: str, arguments: tuple[str, ...], message: str
) -> None:
    done = call(beads, "--beads", kit(tmp_path, channel), *arguments)
    assert done.exit_code == USAGE
    assert message in done.stderr


def test_a_file_without_scatter_is_refused(tmp_path: Path) -> None:
    events = events_of(fluorescence(QUANTIBRITE)[0])
    channels = tuple(
        replace(item, detector=item.detector.replace("SSC", "FITC")) for item in events.channels
    )
    path = tmp_path / "beads.fcs"
    write_fcs(path, Events(events.values, channels))
    with pytest.raises(CalibrationError, match="no channel begins with SS"):
        calibrate_beads(path, read_kit(kit(tmp_path)))


def test_the_picture_shows_the_beads_of_each_peak(beads: Path, tmp_path: Path) -> None:
    run = calibrate_beads(beads, read_kit(kit(tmp_path)))
    assert run.calibration is not None
    counts, _ = peak_counts(run.values, run.found)
    assert counts.sum(axis=1)[1:].tolist() == [peak.n_events for peak in run.found.peaks]
    assert counts.sum() == run.values.size
    with_line, without = (
        draw_beads(run.detector, run.values, run.found, item) for item in (run.calibration, None)
    )
    assert with_line == draw_beads(run.detector, run.values, run.found, run.calibration)
    right = [
        np.asarray(Image.open(io.BytesIO(png)))[90:410, 750:1070] for png in (with_line, without)
    ]
    # The line and four points against an empty frame.
    assert (right[0] != right[1]).any(axis=2).sum() > 400
