"""``outcome`` of any table reads strictly, and counts the rows that are followed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
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


def test_a_row_that_is_left_out_says_nothing_of_its_patient(tmp_path: Path) -> None:
    text = "id,t,e,g,m\nA,5,1,1,2\nA,,,0,4\nB,6,0,0,\nC,7,1,0,\n"
    found = analyse(tmp_path, text, group="g", becomes="m")
    assert rows_of(found, "OS") == {"A": 2, "B": 4, "C": 5}
    assert found.left_out == {"OS": (3,)}
    assert found.question.groups[0].values == {"A": 1.0, "B": 0.0, "C": 0.0}
    assert [(item.patient_id, item.time) for item in found.becomings[0].changes] == [("A", 2.0)]


# Of patient A one row is followed for OS, the other one for LFS.
TWO_ROWS = "id,t,e,r,d,g,m\nA,5,1,,,{},{}\nA,,,4,1,{},{}\nB,6,0,6,0,0,\n"


@pytest.mark.parametrize("cells", [("1", "2", "", ""), ("", "", "1", "2"), ("1", "2", "1.0", "2")])
def test_a_value_is_taken_from_any_row_that_is_followed(
    tmp_path: Path, cells: tuple[str, ...]
) -> None:
    text = TWO_ROWS.format(*cells)
    found = analyse(tmp_path, text, lfs=True, group="g", becomes="m")
    assert found.question.groups[0].values == {"A": 1.0, "B": 0.0}
    assert [(item.patient_id, item.time) for item in found.becomings[0].changes] == [("A", 2.0)]
    assert (rows_of(found, "OS")["A"], rows_of(found, "LFS")["A"]) == (2, 3)


def test_rows_of_a_patient_that_contradict_each_other_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        analyse(tmp_path, TWO_ROWS.format(1, 2, 0, 3), lfs=True, group="g", becomes="m")
    assert [str(fault) for fault in caught.value.problems] == [
        "table.csv rows 2 and 3, column g: '1' and '0' of one patient; expected one value. "
        "Leave one of the rows out",
        "table.csv rows 2 and 3, column m: '2' and '3' of one patient; expected one value. "
        "Leave one of the rows out",
    ]


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
        ("id,t,e\nA,1_0,1\n", "table.csv row 2, column t: '1_0'"),
        ("id,t,e,t\nA,5,1,50\n", "column t: stands twice; expected one column of each name"),
        ("id,t,e\nNA,5,1\n", "table.csv row 2, column id: ''; expected a patient"),
    ],
)
def test_a_table_is_read_strictly(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        analyse(tmp_path, text)
    assert said in str(caught.value)


def test_rows_are_counted_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    # What spreadsheets and R leave behind is passed over: blank rows and cells, row names.
    text = '"",id,t,e,,\n1,A,5,1,,\n\n,,,,,\n2,B,6,0,,\n3,C,6,,,\n'
    found = analyse(tmp_path, text)
    assert rows_of(found, "OS") == {"A": 2, "B": 5}
    assert found.left_out == {"OS": (6,)}


def test_an_empty_event_is_unknown(tmp_path: Path) -> None:
    found = analyse(tmp_path, "id,t,e\nA,5,1\nB,6,\nC,7,0\nD,,1\nE,3,NA\n")
    assert [(own.patient_id, own.event) for own in found.endpoints[0].follow_ups] == [
        ("A", "e"),
        ("C", ""),
    ]
    assert found.left_out == {"OS": (3, 5, 6)}


def test_where_every_row_that_counts_has_the_event_it_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "id,t,e\nA,5,1\nB,6,\nC,7,\n", *OS)
    assert done.exit_code == 0
    assert "left out of OS, without time or event: rows 3, 4" in done.output
    assert "every other row has the event: write 0 for none, empty is unknown" in done.output


@pytest.mark.parametrize(
    ("told", "event"),
    [("1.0", "e"), ("1", "e"), ("TRUE", "e"), ("Yes", "e"), ("0.0", ""), ("0", ""), ("no", "")],
)
def test_an_event_may_be_a_number_or_a_word(tmp_path: Path, told: str, event: str) -> None:
    found = analyse(tmp_path, f"id,t,e\nA,5,{told}\n")
    assert found.endpoints[0].follow_ups[0].event == event


@pytest.mark.parametrize(
    ("cell", "value"), [("1e-3", 0.001), (".5", 0.5), ("5.", 5), ("-2E1", -20)]
)
def test_a_group_of_numbers_stays_one(tmp_path: Path, cell: str, value: float) -> None:
    found = analyse(tmp_path, f"id,t,e,g\nA,5,1,{cell}\nB,6,0,2\n", group="g")
    assert found.question.groups[0].values == {"A": value, "B": 2.0}


def test_digits_with_a_line_between_are_a_text(tmp_path: Path) -> None:
    found = analyse(tmp_path, "id,t,e,g\nA,5,1,1_0\nB,6,0,2\n", group="g")
    assert found.question.groups[0].values == {"A": "1_0", "B": "2"}


def test_a_value_that_no_row_has_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        analyse(tmp_path, "id,t,e,g\nA,5,1,high\nB,6,0,low\n", group="g", value="High")
    assert str(caught.value) == (
        "table.csv, column g: no row that counts has 'High'; expected one of high, low. "
        "Did you mean high?"
    )


def test_a_value_may_be_written_as_another_number(tmp_path: Path) -> None:
    found = analyse(tmp_path, "id,t,e,g\nA,5,1,1.0\nB,6,0,0.0\n", group="g", value="1")
    assert found.question.groups[0].values == {"A": 1.0, "B": 0.0}


@pytest.mark.parametrize("name", ["id", "paramcd", "tstart", "tstop", "event", "time"])
def test_what_patients_become_is_not_named_as_a_column_of_the_tables(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(StudyError, match=f"--becomes {name}: a column of the tables"):
        analyse(tmp_path, "id,t,e,m\nA,5,1,2\nB,6,0,\n", becomes="m", name=name)


@pytest.mark.parametrize("group", ["m", "t", "e"])
def test_a_group_of_what_is_known_only_later_is_refused(tmp_path: Path, group: str) -> None:
    with pytest.raises(StudyError, match=f"column {group}: no group at the origin"):
        analyse(tmp_path, "id,t,e,m\nA,5,1,2\nB,6,0,\n", group=group, becomes="m")


def test_with_its_time_such_a_group_meets_the_usual_guard(tmp_path: Path) -> None:
    text = "id,t,e,m\nA,5,1,2\nB,6,0,3\n"
    (refused,) = of_kind(analyse(tmp_path, text, group="m", becomes="m", at=12), "OS", "log_rank")
    assert "known 12 after the origin" in refused.reason


def test_what_became_of_a_patient_whose_row_is_left_out_is_not_used(tmp_path: Path) -> None:
    text = "id,t,e,m\nA,5,1,2\nB,6,1,\nC,,1,3\n"
    found = analyse(tmp_path, text, becomes="m", landmark=3)
    assert [(item.patient_id, item.time) for item in found.becomings[0].changes] == [("A", 2.0)]
    assert not any(item.reason for item in found.findings)


def test_endpoints_may_follow_other_patients(tmp_path: Path) -> None:
    # D is in neither endpoint, B in OS only.
    text = "id,t,e,r,d,m\nA,5,1,4,1,2\nB,6,1,,,1\nC,7,0,7,0,\nD,,1,,,3\n"
    done = run(tmp_path, text, *BOTH, "--becomes", "x=m", "--landmark", "3", "--landmark", "6.5")
    assert done.exit_code == 0, done.output
    tables = {path.name: pd.read_csv(path) for path in (tmp_path / "out").glob("*.csv")}
    became = tables["tv.csv"].query("x == 1")
    assert list(zip(became["paramcd"], became["id"], strict=True)) == [
        ("OS", "A"),
        ("OS", "B"),
        ("LFS", "A"),
    ]
    landmark = tables["landmark_3.csv"]
    assert landmark[landmark["paramcd"] == "LFS"].set_index("id")["x"].to_dict() == {"A": 1, "C": 0}
    assert list(tables["landmark_6.5.csv"]["id"]) == ["C", "C"]
    reasons = tables["statistics.csv"]["reason"].dropna()
    assert not reasons.str.contains("without follow-up").any()


def test_a_group_without_any_value_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = "id,t,e,r,d,g\nA,5,1,,,1\nB,6,0,,,0\nC,7,1,7,1,NA\nD,8,0,8,0,\n"
    found = analyse(tmp_path, text, lfs=True, group="g")
    (of_os,), (of_lfs,) = (of_kind(found, name, "log_rank") for name in ("OS", "LFS"))
    assert of_os.estimate is not None and of_os.estimate.n == 2
    assert of_lfs.reason == "no patient has a value"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--leave-out", "("), "'(' is not a regular expression"),
        (("--at", "nan"), "nan is not a time above 0"),
        (("--at", "-3"), "-3 is not a time above 0"),
        (("--at", "inf"), "inf is not a time above 0"),
        (("--landmark", "-1"), "-1 is not a time above 0"),
        (("--landmark", "0"), "0 is not a time above 0"),
        (("--endpoint", "OS=t:g"), "--endpoint 'OS=t:g': what it names is given twice"),
        (("--group", "g@12", "--group", "g@0"), "--group 'g@0': what it names is given twice"),
        (("--becomes", "x=m", "--becomes", "x=g"), "--becomes 'x=g': what it names is given twice"),
        (("--group", "g=1", "--group", "g=0@5"), "column g: groups of it are known at two times"),
        (("--group", "g@nan"), "--group 'g@nan' is not COLUMN[=VALUE][@TIME]"),
        (("--study", "."), "--study is for a run"),
    ],
)
def test_options_that_cannot_be_meant_are_faults_of_usage(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = run(tmp_path, "id,t,e,g,m\nA,5,1,0,2\nB,6,0,1,\n", *OS, *options)
    assert done.exit_code == 2
    assert said in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--id", "id"),
        ("--unit", "days"),
        ("--endpoint", "OS=t:e"),
        ("--group", "g"),
        ("--becomes", "x=m"),
        ("--leave-out", "A"),
        ("--allow-immortal-time",),
    ],
)
def test_an_option_for_tables_is_no_option_for_a_run(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    done = CliRunner().invoke(
        cli, ["outcome", str(tmp_path), "--out", str(tmp_path / "out"), *option]
    )
    assert done.exit_code == 2
    assert f"{option[0]} is for a table" in done.output


def test_landmarks_of_an_earlier_command_do_not_stay(tmp_path: Path) -> None:
    text = "id,t,e,m\nA,5,1,2\nB,6,1,\nC,9,0,1\n"
    asked = (*OS, "--becomes", "x=m", "--landmark")
    assert run(tmp_path, text, *asked, "3").exit_code == 0
    out = tmp_path / "out"
    assert (out / "landmark_3.csv").is_file()
    (out / "landmark_notes.csv").write_text("mine\n", encoding="utf-8")
    figure = out / "figures" / "os_landmark_3_x.svg"
    figure.touch()
    assert run(tmp_path, text, *asked, "2.5").exit_code == 0
    assert {path.name for path in out.glob("landmark_*")} == {
        "landmark_2.5.csv",
        "landmark_notes.csv",
    }
    assert not figure.exists()


def test_times_are_told_with_their_unit(tmp_path: Path) -> None:
    done = run(tmp_path, "id,t,e\nA,5,1\nB,6,0\n", *OS, "--at", "5.5", "--unit", "days")
    assert "OS survival all at 5.5 days:" in done.output
    dictionary = pd.read_csv(tmp_path / "out" / "dictionary.csv").set_index(["file", "column"])
    assert dictionary.loc[("statistics.csv", "at"), "unit"] == "days"
