"""Folders and sheets to plates and back; every file finds its well, or the error says why not."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cytoflow_car.errors import InteropError, StudyError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowcytometrytools import (
    plate_from_folder,
    plate_from_samples,
    plate_from_sheet,
    samples_from_plate,
    write_plate,
)
from cytoflow_car.model.events import Channel, Events, Sample


def made(level: float = 1.0) -> Sample:
    values = np.full((3, 2), level, dtype=np.float32)
    return Sample(Events(values, (Channel("FITC-A", "CD19"), Channel("Time"))), "FCS3.1")


def test_a_folder_gives_the_wells_that_it_finds_itself(theirs: ModuleType, bundled: Path) -> None:
    its_own = theirs.FCPlate.from_dir("P", bundled / "Plate01", parser="name")
    plate = plate_from_folder(bundled / "Plate01", "P")
    assert isinstance(plate, theirs.FCPlate)
    assert plate.get_positions() == its_own.get_positions()
    assert plate.shape == (8, 12)
    gate = theirs.ThresholdGate(1000.0, "Y2-A", "above")
    assert plate.gate(gate).counts(output_format="dict") == its_own.gate(gate).counts(
        output_format="dict"
    )


def test_its_own_plate_of_files_gives_their_samples(theirs: ModuleType, bundled: Path) -> None:
    plate = theirs.FCPlate.from_dir("P", bundled / "Plate01", parser="name")
    samples = samples_from_plate(plate)
    assert list(samples) == ["A3", "A4", "A6", "A7", "B3", "B4", "C7"]
    assert list(samples_from_plate(plate.filter_by_key(["B4", "B3"]))) == ["B3", "B4"]
    expected = read_fcs(bundled / "Plate01" / "YFP_Well_C7.fcs")
    np.testing.assert_array_equal(samples["C7"].events.values, expected.events.values)


def test_a_plate_written_is_read_again(theirs: ModuleType, bundled: Path, tmp_path: Path) -> None:
    plate = plate_from_folder(bundled / "Plate01", "P")
    folder = tmp_path / "new" / "plate"
    sheet = write_plate(plate, folder)
    before = samples_from_plate(plate)
    for again in (
        plate_from_folder(folder, "P"),
        plate_from_sheet(sheet, "P"),
        theirs.FCPlate.from_dir("P", folder, parser="name"),
    ):
        after = samples_from_plate(again)
        assert list(after) == list(before)
        for well, sample in after.items():
            np.testing.assert_array_equal(sample.events.values, before[well].events.values)
            assert sample.flags == before[well].flags
    with open(sheet, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "file": "Well_A3.fcs",
        "sample_id": "A3",
        "patient_id": "",
        "specimen": "",
        "template": "",
        "x_well": "A3",
    }
    with pytest.raises(StudyError, match="already"):
        write_plate(plate, folder)


def test_time_in_seconds_stays_in_seconds(theirs: ModuleType, tmp_path: Path) -> None:
    plate = plate_from_samples({"H12": made(2.5)}, "P")
    write_plate(plate, tmp_path)
    again = read_fcs(tmp_path / "Well_H12.fcs")
    assert again.flags == ()
    np.testing.assert_array_equal(again.events.values, made(2.5).events.values)


def test_gated_wells_are_written_as_they_are_left(theirs: ModuleType, bundled: Path) -> None:
    plate = plate_from_folder(bundled / "Plate01", "P").dropna()
    gated = plate.gate(theirs.ThresholdGate(1000.0, "Y2-A", "above"))
    samples = samples_from_plate(gated)
    assert {well: len(sample.events) for well, sample in samples.items()} == gated.counts(
        output_format="dict"
    )


def test_an_error_names_its_well(theirs: ModuleType) -> None:
    plate = plate_from_samples({"A1": made(), "B2": made()}, "P")
    plate["B2"] = plate["B2"].transform("glog", channels=["FITC-A"], l=1.0, use_spln=False)
    with pytest.raises(InteropError, match="well B2"):
        samples_from_plate(plate)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "no FCS file"),
        (["CAR_CD4_D13.fcs"], "no well"),
        (["CAR_A1.fcs", "B7_H4.fcs"], "wells B7 and H4"),
        (["CAR_A1.fcs", "CD19_A01.001.fcs"], "well A1 is taken by CAR_A1.fcs"),
    ],
)
def test_a_file_without_its_own_well_is_told(
    theirs: ModuleType, tmp_path: Path, well_file: Path, names: list[str], problem: str
) -> None:
    for name in names:
        shutil.copy(well_file, tmp_path / name)
    with pytest.raises(StudyError, match=problem):
        plate_from_folder(tmp_path, "P")


def test_a_well_that_its_name_says_twice_is_one(
    theirs: ModuleType, tmp_path: Path, well_file: Path
) -> None:
    shutil.copy(well_file, tmp_path / "Mixed_Specimen_001_D6_D06.fcs")
    assert list(plate_from_folder(tmp_path, "P")) == ["D6"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("file,patient_id\nw.fcs,P1\n", "no column x_well"),
        ("file,x_well\nw.fcs,\n", "row 2, column x_well: no well"),
        ("file,x_well\nw.fcs,A13\n", "row 2, column x_well: 'A13' is no well"),
        ("file,x_well\nw.fcs,A1\n,\nw.fcs,a01\n", "row 4.*taken by samples.csv row 2"),
        ("file,x_well,dataset\nw.fcs,A1,one\n", "column dataset: 'one'"),
        ('file,x_well\n"w.fcs,A1\n', "cannot be read"),
    ],
)
def test_a_sheet_that_gives_no_plate_is_told(
    theirs: ModuleType, tmp_path: Path, well_file: Path, table: str, problem: str
) -> None:
    shutil.copy(well_file, tmp_path / "w.fcs")
    sheet = tmp_path / "samples.csv"
    sheet.write_text(table, encoding="utf-8")
    with pytest.raises(StudyError, match=problem):
        plate_from_sheet(sheet, "P")


def test_a_sheet_may_have_other_columns_and_rows_without_a_file(
    theirs: ModuleType, tmp_path: Path, well_file: Path
) -> None:
    (tmp_path / "fcs").mkdir()
    shutil.copy(well_file, tmp_path / "fcs" / "w.fcs")
    sheet = tmp_path / "samples.csv"
    sheet.write_text(
        "\ufefffile,dataset,patient_id,x_well\nfcs/w.fcs,1,P1,B02\n,,P2,\n", encoding="utf-8"
    )
    plate = plate_from_sheet(sheet, "P")
    assert plate.counts(output_format="dict") == {"B2": 10_000}


def test_a_well_outside_of_a_96_well_plate_is_told(theirs: ModuleType) -> None:
    with pytest.raises(StudyError, match="A1 to H12"):
        plate_from_samples({"I1": made()}, "P")
