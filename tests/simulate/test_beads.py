"""Calibration beads lie where their lot, their label and the session's gain put them."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import replace
from pathlib import Path

import flowio
import numpy as np
import pytest

from cytoflow_car.simulate.beads import (
    KITS,
    Kit,
    Lot,
    draw_lot,
    run_beads,
    spell_leaflet,
    tell_calibration,
)
from cytoflow_car.simulate.cytometer import draw_session
from cytoflow_car.simulate.panels import DETECTORS, TOP_OF_RANGE
from cytoflow_car.study.calibration import calibrate_beads
from cytoflow_car.tables.kit_file import read_kit

PE, CD19 = KITS
EACH_KIT = pytest.mark.parametrize("kit", KITS, ids=[kit.name for kit in KITS])


@pytest.fixture
def sample(repository_root: Path) -> Path:
    return repository_root / "sample_fcs"


def lot_of(kit: Kit) -> Lot:
    return draw_lot(kit, np.random.default_rng(30))


@EACH_KIT
def test_peaks_are_where_lot_label_and_gain_put_them(kit: Kit) -> None:
    lot, rng = lot_of(kit), np.random.default_rng(31)
    session = draw_session(0.1, rng)
    values = run_beads(lot, session, rng).values
    gain = DETECTORS[kit.stain.detector].gain * session.gain[kit.stain.detector]
    light = values[np.abs(values[:, 0] / np.median(values[:, 0]) - 1) < 0.15, 2] / gain
    # Photo-electrons of the dye, and 2 of the plastic.
    expected = lot.means * kit.stain.brightness / 1000 + 2
    # Three standard deviations above the dim peaks, and far below the next.
    borders = 1.3 * expected[:-1] + 15
    for level, mean in enumerate(expected):
        own = light[np.searchsorted(borders, light) == level]
        assert own.size == pytest.approx(9500 / len(expected), rel=0.08)
        # 2000 beads with a CV of 6 % and noise of 7 photo-electrons: three standard errors.
        assert np.median(own) == pytest.approx(mean, rel=0.006, abs=0.8)
    brightest = np.log(light[light > borders[-1]])
    assert np.std(brightest) == pytest.approx(0.06, abs=0.02)


@EACH_KIT
def test_a_file_has_doublets_and_debris(kit: Kit) -> None:
    rng = np.random.default_rng(32)
    values = run_beads(lot_of(kit), draw_session(0.0, rng), rng).values
    assert values.shape == (10_200, 4)
    size = values[:, 0] / np.median(values[:, 0])
    assert np.mean(size > 1.6) == pytest.approx(0.05, abs=0.01)
    assert np.mean(size < 0.7) == pytest.approx(0.02, abs=0.006)
    # Of two beads one has the brightest dye more often than of one.
    brightest = np.quantile(values[:, 2], 0.9) * 0.8
    share = np.mean(values[size > 1.6, 2] > brightest)
    assert share > 1.5 * np.mean(values[size < 1.6, 2] > brightest)


@EACH_KIT
def test_a_fourfold_gain_stays_on_scale(kit: Kit) -> None:
    rng = np.random.default_rng(33)
    session = draw_session(0.0, rng)
    louder = replace(session, gain={name: 4 * gain for name, gain in session.gain.items()})
    values = run_beads(lot_of(kit), louder, rng).values
    single = values[np.abs(values[:, 0] / np.median(values[:, 0]) - 1) < 0.15, 2]
    assert single.max() < TOP_OF_RANGE - 1


def test_lots_differ_and_leaflets_err_a_little() -> None:
    lots = [draw_lot(PE, np.random.default_rng(seed)) for seed in range(300)]
    levels, means = (np.log([getattr(lot, what) for lot in lots]) for what in ("levels", "means"))
    assert np.std(means - levels) == pytest.approx(0.015, rel=0.1)
    assert np.std(levels, axis=0) == pytest.approx(0.04, rel=0.15)
    assert np.median(levels, axis=0) == pytest.approx(np.log(PE.levels), abs=0.01)
    assert draw_lot(CD19, np.random.default_rng(1)).means[0] == 0


@EACH_KIT
def test_the_leaflet_tells_levels_and_not_what_is_true(kit: Kit, tmp_path: Path) -> None:
    lot = lot_of(kit)
    path = tmp_path / "kit.toml"
    path.write_text(spell_leaflet(lot), encoding="utf-8")
    read = read_kit(path)
    (channel,) = read.channels
    assert (read.name, read.lot, read.unit) == (f"Simulated {kit.name} beads", lot.number, kit.unit)
    assert (channel.name, channel.levels) == (kit.stain.detector, lot.levels)
    assert channel.fp_ratio == kit.fp_ratio
    assert set(tomllib.loads(path.read_text(encoding="utf-8"))) == {
        "name", "lot", "unit", "indirect", "channels",
    }  # fmt: skip


@EACH_KIT
def test_every_bead_file_of_the_sample_calibrates_to_its_truth(kit: Kit, sample: Path) -> None:
    with (sample / "truth.csv").open(encoding="utf-8", newline="") as stream:
        truth = {(row["file"], row["measurement"]): row for row in csv.DictReader(stream)}
    files = sorted((sample / "fcs").glob(f"S*_beads_{kit.name}.fcs"))
    assert len(files) == 10
    for path in files:
        calibration = calibrate_beads(path, read_kit(sample / kit.file)).calibration
        assert calibration is not None
        assert len(calibration.peaks) == len(kit.levels)
        assert calibration.flags == ()
        slope, intercept = (
            float(truth[f"fcs/{path.name}", f"calibration_{what}"]["value"])
            for what in ("slope", "intercept")
        )
        # The plastic's own light bends the line at its dim end, where blasts are.
        for molecules in (3500.0, 20_000.0):
            mfi = 10 ** ((np.log10(molecules) - intercept) / slope)
            found = 10 ** (calibration.line.intercept + calibration.line.slope * np.log10(mfi))
            assert found == pytest.approx(molecules, rel=0.05)


def test_intercept_is_the_gain_of_the_session() -> None:
    session = draw_session(0.0, np.random.default_rng(34))
    doubled = replace(session, gain=session.gain | {"PE-A": 2.0})
    told = [
        {row.measurement: row.value for row in tell_calibration(lot_of(PE), run)}
        for run in (session, doubled)
    ]
    # 13 data units a photo-electron, 44 of these a thousand PE.
    assert told[0]["calibration_intercept"] == pytest.approx(-np.log10(13 * 44 / 1000))
    assert told[0]["calibration_intercept"] - told[1]["calibration_intercept"] == pytest.approx(
        np.log10(2)
    )
    assert {item["calibration_slope"] for item in told} == {1.0}


def test_beads_are_run_in_every_session_of_a_b_tube_as_its_cells(sample: Path) -> None:
    with (sample / "samples.csv").open(encoding="utf-8", newline="") as stream:
        sheet = list(csv.DictReader(stream))
    cells = {row["batch"]: row for row in sheet if row["tube"] == "B" and row["file"]}
    beads = [row for row in sheet if row["role"] == "calibration_beads"]
    assert sorted((row["batch"], row["kit"]) for row in beads) == [
        (batch, kit.file) for batch in sorted(cells) for kit in (CD19, PE)
    ]
    settings = ("cyt", "cytsn", "date", "timestep")
    for row in beads:
        assert not any(row[column] for column in ("patient_id", "specimen", "template", "tube"))
        assert (sample / row["kit"]).is_file()
        of, own = (
            flowio.FlowData(sample / item["file"], only_text=True)
            for item in (cells[row["batch"]], row)
        )
        assert [own.text[key] for key in settings] == [of.text[key] for key in settings]
        kit = next(kit for kit in KITS if kit.file == row["kit"])
        assert own.pnn_labels == ["FSC-A", "SSC-A", kit.stain.detector, "Time"]
        for number, name in enumerate(own.pnn_labels, start=1):
            there = of.pnn_labels.index(name) + 1
            for keyword in ("r", "v", "e", "g"):
                assert own.text.get(f"p{number}{keyword}") == of.text.get(f"p{there}{keyword}")
