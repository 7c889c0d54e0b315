"""Single stains of a folder: which file is which, what contradicts, and the check of a run."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import Floats

from cytoflow_car.errors import SpilloverError, StudyError
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.study.batch import run_study
from cytoflow_car.study.single_stains import choose_detectors, estimate_folder, write_spillover
from cytoflow_car.study.spillover import read_spillover
from cytoflow_car.template import load_template

DETECTORS = ("FITC-A", "PE-A", "PE-Cy7-A")
MATRIX = np.asarray([[1.0, 0.15, 0.01], [0.02, 1.0, 0.05], [0.004, 0.03, 1.0]])


def stained(lit: int | None, seed: int, matrix: Floats = MATRIX, n: int = 3000) -> Floats:
    """Draw raw events of a control of which two thirds bind the stain."""
    rng = np.random.default_rng(seed)
    light = np.zeros((n, len(matrix)))
    if lit is not None:
        light[: 2 * n // 3, lit] = 8000 * np.exp(rng.normal(0, 0.3, 2 * n // 3))
    raw = light @ matrix + 100
    return raw + rng.normal(0, 30, raw.shape) + np.sqrt(np.abs(raw)) * rng.normal(0, 1, raw.shape)


def write_control(
    path: Path,
    lit: int | None,
    *,
    seed: int = 0,
    detectors: tuple[str, ...] = DETECTORS,
    stain: str | None = None,
    matrix: Floats = MATRIX,
) -> None:
    values = stained(lit, seed, matrix)
    rng = np.random.default_rng(seed + 100)
    scatter = rng.normal((80_000, 40_000), (5_000, 4_000), (len(values), 2))
    channels = (
        Channel("FSC-A"),
        Channel("SSC-A"),
        *(Channel(name, stain if index == lit else None) for index, name in enumerate(detectors)),
    )
    events = Events(np.column_stack([scatter, values]).astype(np.float32), channels)
    write_fcs(path, events)


def write_folder(folder: Path) -> Path:
    """Write three controls and an unstained one with names that say nothing."""
    for number, lit in enumerate((1, 0, None, 2)):
        write_control(folder / f"tube_{number}.fcs", lit, seed=number)
    return folder


def test_the_data_tell_which_stain_is_which(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    found = estimate_folder(folder, unstained=folder / "tube_2.fcs")
    assert found.files == ("tube_1.fcs", "tube_0.fcs", "tube_3.fcs")
    assert found.unstained == "tube_2.fcs"
    assert found.estimate.spillover.detectors == DETECTORS
    assert np.abs(found.estimate.spillover.matrix - MATRIX).max() < 0.003
    assert found.left_out == found.notes == ()


def test_what_is_written_is_read_by_us_and_by_flowkit(tmp_path: Path) -> None:
    flowkit = pytest.importorskip("flowkit")
    folder = write_folder(tmp_path)
    found = estimate_folder(folder, unstained=folder / "tube_2.fcs").estimate.spillover
    write_spillover(found, tmp_path / "spill.csv")
    read = read_spillover(tmp_path / "spill.csv")
    assert read.detectors == DETECTORS
    assert read.matrix == pytest.approx(found.matrix, rel=1e-5)
    theirs = flowkit.Matrix(str(tmp_path / "spill.csv"), detectors=list(DETECTORS))
    assert np.array_equal(theirs.matrix, read.matrix)


def test_an_unstained_file_that_nobody_names_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SpilloverError, match=r"tube_2\.fcs: it lights no detector"):
        estimate_folder(write_folder(tmp_path))


def test_names_of_files_say_what_the_data_cannot(tmp_path: Path) -> None:
    for name, lit in (("PE-Cy7 beads", 2), ("x_PE", 1), ("FITC", 0), ("Unstained Control", None)):
        write_control(tmp_path / f"{name}.fcs", lit, seed=len(name))
    found = estimate_folder(tmp_path)
    assert found.files == ("FITC.fcs", "x_PE.fcs", "PE-Cy7 beads.fcs")
    assert found.unstained == "Unstained Control.fcs"


def test_swapped_tubes_are_found_in_the_data(tmp_path: Path) -> None:
    write_control(tmp_path / "FITC.fcs", 1)
    write_control(tmp_path / "PE.fcs", 0, seed=1)
    write_control(tmp_path / "unstained.fcs", None, seed=2)
    with pytest.raises(SpilloverError, match=r"FITC-A, but most .* brightest in PE-A.*--stain"):
        estimate_folder(tmp_path)


def test_name_and_stain_of_a_file_that_differ_are_told(tmp_path: Path) -> None:
    write_control(tmp_path / "PE.fcs", 0, stain="CD3 FITC")
    with pytest.raises(SpilloverError, match=r"its name says PE-A, its \$PnS says FITC-A"):
        estimate_folder(tmp_path)


def test_a_person_who_insists_is_noted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tube_0.fcs").unlink()
    found = estimate_folder(
        folder, unstained=folder / "tube_2.fcs", stains={"tube_1.fcs": "PE", "tube_3.fcs": "PE-Cy7"}
    )
    assert found.notes == (
        "tube_1.fcs: --stain says PE-A, but most of its events are brightest in FITC-A",
    )
    assert found.left_out == ("FITC-A",)


def test_two_controls_of_one_detector_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_control(folder / "tube_4.fcs", 1, seed=9)
    with pytest.raises(SpilloverError, match=r"tube_0\.fcs and tube_4\.fcs are both .* PE-A"):
        estimate_folder(folder, unstained=folder / "tube_2.fcs")


def test_a_sheet_chooses_files_and_says_what_they_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_control(folder / "tube_4.fcs", 1, seed=9)
    sheet = "file,detector\ntube_4.fcs,PE\ntube_1.fcs,FITC-A\ntube_2.fcs,unstained\n"
    (folder / "controls.csv").write_text(sheet, encoding="utf-8")
    found = estimate_folder(folder)
    assert found.files == ("tube_1.fcs", "tube_4.fcs")
    assert found.left_out == ("PE-Cy7-A",)
    (folder / "controls.csv").write_text(sheet.replace("PE", "APC"), encoding="utf-8")
    with pytest.raises(SpilloverError, match=r"controls\.csv says 'APC'; expected unstained or"):
        estimate_folder(folder)
    (folder / "controls.csv").write_text(sheet.replace("_4", "_7"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"there is no file tube_7\.fcs"):
        estimate_folder(folder)


def test_roles_of_a_study_choose_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    write_control(folder / "tube_0.fcs", 1, stain="CD19 PE")
    (folder / "samples.csv").write_text(
        "file,sample_id,patient_id,specimen,template,role,control_marker\n"
        "tube_0.fcs,s0,,,,single_stain,CD19\n"
        "tube_1.fcs,s1,,,,single_stain,FITC-A\n"
        "tube_2.fcs,s2,,,,single_stain,unstained\n",
        encoding="utf-8",
    )
    assert estimate_folder(folder).files == ("tube_1.fcs", "tube_0.fcs")


def test_a_folder_without_controls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no FCS or LMD file"):
        estimate_folder(tmp_path)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("FSC-A", "B1-A", "B1-H", "B1-W", "R1-A", "R1-H", "Time"), ("B1-A", "R1-A")),
        (("FSC-H", "FL1-H", "FL2-H", "FL1-A"), ("FL1-H", "FL2-H")),
        (("FS", "FL1", "FL2"), ("FL1", "FL2")),
    ],
)
def test_one_pulse_measure_is_taken(names: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert choose_detectors([Channel(name) for name in names]) == chosen


@pytest.mark.parametrize("fault", [0.0, 0.04])
def test_a_run_checks_its_matrices_against_the_controls_of_the_batch(
    write_study: Callable[..., Path], tmp_path: Path, fault: float
) -> None:
    folder = write_study()
    markers = load_template("car_t_pb").markers
    detectors = tuple(
        item.detectors[0]
        for item in markers
        if not item.detectors[0].startswith(("FSC", "SSC", "Time"))
    )
    planted = np.eye(len(detectors))
    planted[1, 2] = 0.12
    given = planted.copy()
    given[1, 2] -= fault
    write_spillover(Spillover(detectors, given, ""), folder / "given.csv")
    write_control(folder / "stain.fcs", 1, detectors=detectors, matrix=planted)
    with (folder / "samples.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row | {"spillover": "given.csv"} for row in csv.DictReader(stream)]
    stain = {"file": "stain.fcs", "role": "single_stain", "batch": "S1"}
    rows.append(stain | {"sample_id": "stain", "control_marker": detectors[1]})
    rows.append(stain | {"sample_id": "other", "control_marker": "nothing", "use": "superseded"})
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    run_study(folder, tmp_path / "out", jobs=1, pictures=False)
    table = pd.read_csv(tmp_path / "out" / "qc.csv", keep_default_na=False)
    found = table[table["check"] == "spillover_residual"].set_index("item")
    assert len(found) == len(detectors) - 1
    assert set(found["sample_id"]) == {"stain"}
    pair = f"{detectors[1]} in {detectors[2]}"
    assert float(found.loc[pair, "value"]) == pytest.approx(fault, abs=0.003)
    flagged = list(found.index[found["flag"] == "SPILLOVER_RESIDUAL"])
    assert flagged == ([pair] if fault else [])
