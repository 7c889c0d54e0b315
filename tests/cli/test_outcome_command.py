"""``outcome`` tells what is wrong with its table by row and column."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cytoflow_car.cli import cli

TABLE = "USUBJID,months,died,arm\nP1,5,1,0\nP2,8,0,1\nP3,9,1,1\n"


def run(folder: Path, table: str, *options: str) -> Result:
    path = folder / "table.csv"
    path.write_text(table, encoding="utf-8")
    asked = options or ("--endpoint", "OS=months:died")
    return CliRunner().invoke(cli, ["outcome", str(path), "--out", str(folder / "out"), *asked])


def test_a_sound_table_gives_its_tables(tmp_path: Path) -> None:
    done = run(tmp_path, TABLE, "--endpoint", "OS=months:died", "--group", "arm", "--at", "6")
    assert done.exit_code == 0
    drawn = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert drawn == {"os.svg", "os.png", "os_by_group_1.svg", "os_by_group_1.png"}
    assert "OS survival all at 6 months: 66.7 %" in done.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        "statistics.csv", "adtte.csv", "tv.csv", "dictionary.csv", "outcome.json", "figures",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.replace("months", "month"), "no column 'months'"),
        (TABLE.replace("P2,8", "P2,soon"), "row 3, column months: 'soon'"),
        (TABLE.replace("P2,8", "P2,-1"), "row 3, column months: '-1'"),
        (TABLE.replace("P3,9,1", "P3,9,maybe"), "row 4, column died: 'maybe'"),
        (TABLE.replace("P3", "P2"), "P2: followed twice"),
        (TABLE.replace("P2,8", ",8"), "row 3, column USUBJID: ''"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, table: str, said: str) -> None:
    done = run(tmp_path, table)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["OS", "OS=months", "=months:died", "OS=:died"])
def test_an_endpoint_that_cannot_be_read_is_a_fault_of_usage(tmp_path: Path, option: str) -> None:
    done = run(tmp_path, TABLE, "--endpoint", option)
    assert done.exit_code == 2
    assert "is not CODE=TIME[+TIME]:EVENT" in done.output
