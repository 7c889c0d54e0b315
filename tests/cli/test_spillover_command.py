"""``spillover`` writes a matrix, tells each pair, and puts doubts on standard error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cytoflow_car.cli import USAGE, cli
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.study.spillover import read_spillover


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["spillover", *map(str, arguments)])


@pytest.fixture
def controls(tmp_path: Path) -> Path:
    folder = tmp_path / "controls"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for name, spill in {"a": (1.0, 0.2, 0.0), "b": (0.1, 1.0, 0.0), "none": (0, 0, 0)}.items():
        light = np.where(rng.random(2000) < 0.5, 9000.0, 0.0)
        values = np.outer(light, spill) + rng.normal(100, 20, (2000, 3))
        channels = tuple(Channel(detector) for detector in ("FITC-A", "PE-A", "APC-A"))
        write_fcs(folder / f"{name}.fcs", Events(values.astype(np.float32), channels))
    return folder


def test_a_matrix_is_written_and_told(controls: Path, tmp_path: Path) -> None:
    out = tmp_path / "spill.csv"
    done = call(controls, "--out", out, "--unstained", controls / "none.fcs")
    assert done.exit_code == 0, done.output
    read = read_spillover(out)
    assert read.detectors == ("FITC-A", "PE-A")
    assert read.matrix == pytest.approx(np.asarray([[1, 0.2], [0.1, 1]]), abs=0.001)
    assert "FITC-A  a.fcs: " in done.stdout and "in PE-A  0.2" in done.stdout
    assert "not in the matrix: APC-A" in done.stderr


def test_a_stain_that_a_person_gives_counts(controls: Path, tmp_path: Path) -> None:
    arguments = ("--out", tmp_path / "s.csv", "--unstained", controls / "none.fcs")
    done = call(controls, *arguments, "--stain", "a.fcs=PE", "--stain", "b.fcs=FITC")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("but most of its events are brightest in") == 2


@pytest.mark.parametrize("stain", ["a.fcs", "=PE", "a.fcs="])
def test_a_stain_without_file_or_detector_is_refused(
    controls: Path, tmp_path: Path, stain: str
) -> None:
    done = call(controls, "--out", tmp_path / "s.csv", "--stain", stain)
    assert done.exit_code == USAGE
    assert "FILE=DETECTOR" in done.stderr


def test_nothing_is_overwritten_and_nothing_half_written(controls: Path, tmp_path: Path) -> None:
    out = tmp_path / "spill.csv"
    assert call(controls, "--out", out).exit_code == USAGE  # the unstained file is not named
    assert not out.exists()
    out.write_text("mine", encoding="utf-8")
    done = call(controls, "--out", out, "--unstained", controls / "none.fcs")
    assert done.exit_code == USAGE
    assert out.read_text(encoding="utf-8") == "mine"
