"""``outcome`` of any table reads strictly, and counts the rows that are followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cytoflow_car.cli import cli
from cytoflow_car.errors import StudyError
from cytoflow_car.outcome.analysis import Finding
from cytoflow_car.study.outcome_file import ColumnsOfOutcome, OutcomeOfFile, analyse_file

OS = ("--endpoint", "OS=t:e")
BOTH = (*OS, "--endpoint", "LFS=r:d")


def analyse(
    folder: Path,
    text: str,
    *,
    lfs: bool = False,
    group: str = "",
    value: str = "",
    at: float = 0.0,
    becomes: str = "",
    name: str = "x",
    landmark: float | None = None,
) -> OutcomeOfFile:
    """Analyse OS, and LFS where wanted, of a table with patients in the column id."""
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    columns = ColumnsOfOutcome(
        "id",
        {"OS": (("t",), "e")} | ({"LFS": (("r",), "d")} if lfs else {}),
        {(group, value): at} if group else {},
        {name: becomes} if becomes else {},
    )
    return analyse_file(path, columns, landmarks=() if landmark is None else (landmark,))


def run(folder: Path, text: str, *options: str) -> Result:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    out = str(folder / "out")
    return CliRunner().invoke(cli, ["outcome", str(path), "--out", out, "--id", "id", *options])


def rows_of(found: OutcomeOfFile, endpoint: str) -> dict[str, int]:
    return dict(found.sources[endpoint].rows)


def of_kind(found: OutcomeOfFile, endpoint: str, kind: str) -> list[Finding]:
    return [item for item in found.findings if (item.endpoint, item.kind) == (endpoint, kind)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,t,e\nA,9,5,1\nB,6,0\n", "table.csv row 2: 4 cells; expected 3"),
        ("id,t,e\nA,5,1\nB,9,6,0\n", "table.csv row 3: 4 cells; expected 3"),
        ("id,t,e\nA,5,1\nB,6\n", "table.csv row 3: 2 cells; expected 3"),
        ("id;t;e\nA;5;1\n", "table.csv: it looks separated by ';'; expected commas"),
        ("id\tt\te\nA\t5\t1\n", r"table.csv: it looks separated by '\t'; expected commas"),
        ("", "table.csv: no header in the first row"),
        ('id,t,e\nA,5,"1"x\n', "table.csv: it cannot be read as a table"),
        ("id,t,e\nA,5,1\n\n\nB,-6,0\n", "table.csv row 5, column t: '-6'"),
        ("id,t,e,t\nA,5,1,50\n", "column t: stands twice; expected one column of each name"),
    ],
)
def test_a_table_is_read_strictly(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        analyse(tmp_path, text)
    assert said in str(caught.value)
