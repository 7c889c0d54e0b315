"""Moved gates are read with who, why and when; a row that is not sure of them is a fault."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.gating.tree import Override
from cytoflow_car.model.gate import Dimension, RectangleGate
from cytoflow_car.model.scale import Linear
from cytoflow_car.study.sheet import read_study
from cytoflow_car.tables.geometry import gate_to_json

GATE = RectangleGate((Dimension("CAR", Linear()),), (1200.0,), (float("inf"),))
MOVED = {
    "sample_id": "P01_PB_d7_T",
    "population": "CAR T",
    "geometry": gate_to_json(GATE),
    "who": "A. Reviewer",
    "why": "smear into the gate",
    "at": "2024-05-01T12:00:00Z",
}


def read(folder: Path, *rows: dict[str, str]) -> dict[str, tuple[Override, ...]]:
    (folder / "samples.csv").write_text(
        "file,patient_id,specimen,tube,day,template\na.fcs,P01,PB,T,7,car_t_pb\n", encoding="utf-8"
    )
    with (folder / "overrides.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(MOVED))
        writer.writeheader()
        writer.writerows(rows)
    return dict(read_study(folder).overrides)


def test_a_moved_gate_is_read(tmp_path: Path) -> None:
    expected = Override("CAR T", GATE, MOVED["who"], MOVED["why"], MOVED["at"])
    assert read(tmp_path, MOVED) == {"P01_PB_d7_T": (expected,)}


def test_no_file_means_no_moved_gate(tmp_path: Path) -> None:
    read(tmp_path, MOVED)
    (tmp_path / "overrides.csv").unlink()
    assert read_study(tmp_path).overrides == {}


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (
            {"sample_id": "P01_PB_d8_T"},
            "overrides.csv row 2, column sample_id: no sample 'P01_PB_d8_T' in samples.csv. Did "
            "you mean P01_PB_d7_T?",
        ),
        ({"who": ""}, "overrides.csv row 2, column who: empty"),
        ({"why": ""}, "overrides.csv row 2, column why: empty"),
        ({"at": ""}, "overrides.csv row 2, column at: empty"),
        ({"population": ""}, "overrides.csv row 2, column population: empty"),
        ({"geometry": ""}, "overrides.csv row 2, column geometry: empty"),
        (
            {"at": "yesterday"},
            "overrides.csv row 2, column at: 'yesterday' is not a date and time; expected one as "
            "in 2024-03-31T08:30",
        ),
        (
            {"geometry": MOVED["geometry"].replace("1200.0", '"x"')},
            "overrides.csv row 2, column geometry: geometry: value 'x'; expected a finite number. "
            "Copy the gate's geometry from gates.csv and change its numbers",
        ),
    ],
)
def test_a_wrong_row_is_told(tmp_path: Path, cells: dict[str, str], fault: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, MOVED | cells)
    assert [str(problem) for problem in caught.value.problems] == [fault]


def test_one_gate_is_not_moved_twice(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"row 3.*'CAR T' of P01_PB_d7_T is moved twice"):
        read(tmp_path, MOVED, MOVED)
