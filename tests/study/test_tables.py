"""The tables that people open: one row a draw, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from cytoflow_car.tables.timepoints import build_timepoints
from cytoflow_car.tables.write import write_csv

TARGETS = {("P01", 1): "CD19", ("P01", 2): "CD22"}


def measured(*rows: dict[str, object]) -> pd.DataFrame:
    common: dict[str, object] = {
        "patient_id": "P01", "specimen": "PB", "specimen_id": "P01_PB_d60", "visit": "C2 D14",
        "infusion": 2, "day": 60.0, "day_inf1": 60.0, "day_inf2": 14.0, "timing": "",
        "use": "report", "car_target": "", "status": "QUANTIFIED", "n_events": 100,
        "lod": 0.1, "loq": 0.4, "value": None, "tube": "T",
    }  # fmt: skip
    return pd.DataFrame([common | row for row in rows])


def car(sample_id: str, target: str, value: float | None, **more: object) -> dict[str, object]:
    return {
        "sample_id": sample_id,
        "measurement": "car_t_percent_of_t",
        "car_target": target,
        "value": value,
    } | more


def t_cells(sample_id: str, value: float, **more: object) -> dict[str, object]:
    return {"sample_id": sample_id, "measurement": "t_percent_of_cd45", "value": value} | more


def test_two_targets_of_one_draw_stand_side_by_side() -> None:
    frame = build_timepoints(
        measured(
            car("T", "CD19", 0.2), t_cells("T", 30.0), car("T22", "CD22", 15.0), t_cells("T22", 31)
        ),
        TARGETS,
    )
    (row,) = frame.to_dict("records")
    assert (row["car_t_percent_of_t_cd19"], row["car_t_percent_of_t_cd22"]) == (0.2, 15.0)
    # CD22 CAR T cells were infused last; what has no target comes from the same tube.
    assert (row["car_t_percent_of_t"], row["car_t_percent_of_t__car_target"]) == (15.0, "CD22")
    assert row["t_percent_of_cd45"] == 31
    assert row["car_t_percent_of_t__status"] == "QUANTIFIED"
    assert "t_percent_of_cd45__car_target" not in row


@pytest.mark.parametrize(("infusion", "expected"), [(0, 0.2), (1, 0.2), (2, 15.0)])
def test_the_plain_column_holds_the_target_infused_last(infusion: int, expected: float) -> None:
    rows = (car("T", "CD19", 0.2), car("T22", "CD22", 15.0))
    frame = build_timepoints(measured(*(row | {"infusion": infusion} for row in rows)), TARGETS)
    assert frame["car_t_percent_of_t"].tolist() == [expected]


def test_without_infusions_no_target_is_preferred_but_other_cells_are_told() -> None:
    rows = (car("T", "CD19", 0.2), t_cells("T", 30.0), car("T22", "CD22", 15.0), t_cells("T22", 31))
    frame = build_timepoints(measured(*(row | {"infusion": None} for row in rows)), {})
    assert "car_t_percent_of_t" not in frame.columns
    assert frame["car_t_percent_of_t_cd22"].tolist() == [15.0]
    assert frame["t_percent_of_cd45"].tolist() == [30.0]


def test_a_tube_that_failed_leaves_its_target_empty_and_no_nameless_column() -> None:
    frame = build_timepoints(
        measured(
            car("T", "CD19", None, status="FAILED"),
            car("T22", "CD22", 15.0),
            car("other", "", None, specimen_id="P01_PB_d90", status="NOT_DONE"),
        ),
        TARGETS,
    )
    first, second = frame.to_dict("records")
    assert pd.isna(first["car_t_percent_of_t_cd19"])
    assert first["car_t_percent_of_t_cd19__status"] == "FAILED"
    assert first["car_t_percent_of_t"] == 15.0
    assert second["car_t_percent_of_t__status"] == "NOT_DONE"
    assert [name for name in frame.columns if name.endswith("_") or "___" in name] == []


@pytest.mark.parametrize("use", ["append", "superseded", "exclude"])
def test_only_reported_rows_count(use: str) -> None:
    frame = build_timepoints(measured(t_cells("T", 30.0), t_cells("T_2", 99.0, use=use)), TARGETS)
    assert frame["t_percent_of_cd45"].tolist() == [30.0]


def test_draws_are_rows_in_the_sheets_order() -> None:
    frame = build_timepoints(
        measured(
            t_cells("b", 1.0, specimen_id="later", day=60.0),
            t_cells("a", 2.0, specimen_id="earlier", day=7.0),
            t_cells("c", 3.0, specimen_id="later", specimen="BM"),
        ),
        {},
    )
    assert frame["specimen_id"].tolist() == ["later", "earlier", "later"]
    assert frame["t_percent_of_cd45"].tolist() == [1.0, 2.0, 3.0]


def test_text_that_a_spreadsheet_would_run_is_defused(tmp_path: Path) -> None:
    dangerous = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx"]
    harmless = ["QUANTIFIED", "a=b", "<0.05", "", None, "-12.5", "+3", "a\nb"]
    path = tmp_path / "table.csv"
    write_csv(pd.DataFrame({"visit": [*dangerous, *harmless]}), path)
    with path.open(encoding="utf-8", newline="") as stream:
        cells = [row["visit"] for row in csv.DictReader(stream)]
    assert cells == [*(f"'{text}" for text in dangerous), *(text or "" for text in harmless)]


def test_a_carriage_return_does_not_tear_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_csv(pd.DataFrame({"instrument": ["one\rtwo", "\r=1+1"], "n": [1, 2]}), path)
    with path.open(encoding="utf-8", newline="") as stream:
        assert [row["n"] for row in csv.DictReader(stream)] == ["1", "2"]


def test_numbers_keep_the_digits_that_tell_them_apart(tmp_path: Path) -> None:
    values = [0.00049, -3.25, 1 / 3, 1e-12, float("nan")]
    path = tmp_path / "table.csv"
    write_csv(pd.DataFrame({"value": values, "n": pd.array([1, 2, None, 4, 5], "Int64")}), path)
    again = pd.read_csv(path)
    assert again["value"].tolist()[:4] == values[:4]
    assert again["value"].isna().tolist() == [False] * 4 + [True]
    assert "2.0" not in path.read_text(encoding="utf-8")


def test_two_tubes_of_one_target_lose_nothing() -> None:
    frame = build_timepoints(
        measured(
            car("P01_T", "CD19", 12.0, tube="T"),
            car("P01_T9", "CD19", 5.0, tube="T9"),
        ),
        {("P01", 1): "CD19"},
    )
    row = frame.iloc[0]
    assert row["car_t_percent_of_t"] == 12.0
    assert row["car_t_percent_of_t_tube_t"] == 12.0
    assert row["car_t_percent_of_t_tube_t9"] == 5.0


def test_a_column_and_what_stands_beside_it_are_of_one_tube() -> None:
    draws = (
        car("T", "CD19", 1.0, tube="T", value_net=0.9, lod=0.1),
        car("T2", "CD19", 5.0, tube="T2", value_net=None, lod=0.3),
        car("X", "CD22", 3.0, tube="X", patient_id="P02", specimen_id="P02_PB_d60"),
    )
    (row, _) = build_timepoints(measured(*draws), {("P01", 2): "CD19"}).to_dict("records")
    for name in ("car_t_percent_of_t", "car_t_percent_of_t_cd19", "car_t_percent_of_t_tube_t"):
        assert (row[name], row[f"{name}__net"], row[f"{name}__lod"]) == (1.0, 0.9, 0.1)
    second = "car_t_percent_of_t_tube_t2"
    assert (row[second], row[f"{second}__lod"]) == (5.0, 0.3)
    assert pd.isna(row.get(f"{second}__net"))


@pytest.mark.parametrize("status", ["NOT_DONE", "FAILED", "INSUFFICIENT", "INDETERMINATE"])
def test_of_several_tubes_the_first_that_says_something_counts(status: str) -> None:
    draws = (
        car("T", "CD19", None, tube="T", status=status),
        car("T2", "CD19", 5.0, tube="T2"),
        car("T3", "CD19", 7.0, tube="T3"),
        car("T22", "CD22", 0.5, tube="T22"),
    )
    (row,) = build_timepoints(measured(*draws), {("P01", 2): "CD22"}).to_dict("records")
    assert (row["car_t_percent_of_t"], row["car_t_percent_of_t_cd22"]) == (0.5, 0.5)
    assert row["car_t_percent_of_t_cd19"] == 5.0
    assert row["car_t_percent_of_t_cd19__status"] == "QUANTIFIED"
    # That there were several is told by the columns of each tube.
    tubes = [row[f"car_t_percent_of_t_tube_{tube}"] for tube in ("t", "t2", "t3")]
    assert pd.isna(tubes[0]) and tubes[1:] == [5.0, 7.0]
    assert "car_t_percent_of_t_tube_t22" not in row


def test_a_draw_without_any_result_tells_the_status_of_its_first_tube() -> None:
    draws = (
        car("T", "CD19", None, tube="T", status="FAILED"),
        car("T2", "CD19", None, tube="T2", status="NOT_DONE"),
    )
    (row,) = build_timepoints(measured(*draws), TARGETS).to_dict("records")
    assert row["car_t_percent_of_t__status"] == "FAILED"
