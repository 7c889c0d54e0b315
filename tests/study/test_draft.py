"""A draft sheet says what file names tell, and nothing that names a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cytoflow_car.study.draft import COLUMNS, draft_sheet

WriteFile = Callable[..., None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P01_PB_d007_T", {"patient_id": "P01", "specimen": "PB", "day": "7", "tube": "T"}),
        ("Pt3 BM day 28 B", {"patient_id": "Pt3", "specimen": "BM", "day": "28", "tube": "B"}),
        ("UPN7-CSF-D14", {"patient_id": "UPN7", "specimen": "CSF", "day": "14"}),
        (
            "patient-12 marrow D+28 tube 2",
            {"patient_id": "patient-12", "specimen": "BM", "day": "28", "tube": "tube2"},
        ),
        (
            "P02_PB_C2D11_T22",
            {"patient_id": "P02", "specimen": "PB", "day_origin": "infusion 2", "day": "11",
             "tube": "T22"},
        ),
        (
            "P01_blood_d-7_pre_T",
            {"patient_id": "P01", "specimen": "PB", "day": "-7", "timing": "pre", "tube": "T"},
        ),
        ("S001_FMO_T", {"role": "fmo", "tube": "T"}),
        ("Specimen_001_A1_A01", {}),
    ],
)  # fmt: skip
def test_what_a_file_name_tells(tmp_path: Path, name: str, expected: dict[str, str]) -> None:
    (tmp_path / f"{name}.fcs").write_bytes(b"torn")
    (row,) = draft_sheet(tmp_path)
    assert {column: value for column, value in row.items() if value} == {
        "file": f"{name}.fcs",
        **expected,
    }


def test_files_are_found_below_the_folder(tmp_path: Path, write_panel_file: WriteFile) -> None:
    write_panel_file(tmp_path / "run 1" / "b.FCS")
    (tmp_path / "a.lmd").write_bytes(b"torn")
    (tmp_path / "notes.txt").write_bytes(b"")
    assert [row["file"] for row in draft_sheet(tmp_path)] == ["a.lmd", "run 1/b.FCS"]
    (tmp_path / "study").mkdir()
    assert draft_sheet(tmp_path, tmp_path / "study")[0]["file"] == "../a.lmd"


def test_of_the_keywords_only_the_date_is_used(tmp_path: Path, write_panel_file: WriteFile) -> None:
    write_panel_file(tmp_path / "x.fcs")
    (row,) = draft_sheet(tmp_path)
    assert list(row) == list(COLUMNS)
    assert {value for value in row.values() if value} == {"x.fcs", "2024-03-08"}


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    (tmp_path / "=1+1.fcs").write_bytes(b"torn")
    assert draft_sheet(tmp_path)[0]["file"] == "./=1+1.fcs"
