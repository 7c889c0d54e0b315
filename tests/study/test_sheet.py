"""Every fault of a sheet is told in words, with its row and column; a sound sheet is read right."""

from __future__ import annotations

import csv
import pickle
from datetime import date, datetime
from pathlib import Path

import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.study.sheet import read_study

SOUND = {
    "file": "fcs/a.fcs",
    "patient_id": "P01",
    "specimen": "PB",
    "tube": "T",
    "day": "7",
    "template": "car_t_pb",
}
FIRST_INFUSION = {"patient_id": "P01", "infusion": "1", "infused_on": "2024-03-01"}


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def study_of(
    folder: Path, *rows: dict[str, str], infusions: tuple[dict[str, str], ...] = ()
) -> Study:
    write_table(folder / "samples.csv", list(rows))
    if infusions:
        write_table(folder / "infusions.csv", list(infusions))
    return read_study(folder)


def row_of(folder: Path, *infusions: dict[str, str], **cells: str) -> SheetRow:
    return study_of(folder, SOUND | cells, infusions=infusions).rows[0]


def faults_of(
    folder: Path, *rows: dict[str, str], infusions: tuple[dict[str, str], ...] = ()
) -> list[str]:
    with pytest.raises(StudyError) as caught:
        study_of(folder, *rows, infusions=infusions)
    return [str(problem) for problem in caught.value.problems]


def test_cells_arrive_with_their_types(tmp_path: Path) -> None:
    row = row_of(
        tmp_path,
        FIRST_INFUSION,
        dataset="2",
        template="car_t_pb; b_cells_pb",
        control_for="batch",
        batch=" S1 ",
        baseline="yes",
        timing="pre",
        wbc_10e9_per_l="1.5e0",
        dilution="2",
        volume_ul="100",
        cbc_at="2024-03-08",
        collected_at="2024-03-08 08:30",
        x_ward="4B",
    )
    assert row.path == tmp_path / "fcs" / "a.fcs"
    assert (row.file, row.dataset, row.line) == ("fcs/a.fcs", 2, 2)
    assert row.templates == ("car_t_pb", "b_cells_pb")
    assert (row.batch, row.control_for, row.baseline) == ("S1", ("batch",), True)
    assert (row.wbc_10e9_per_l, row.alc_10e9_per_l) == (1.5, None)
    assert (row.dilution, row.volume_ul) == (2.0, 100.0)
    assert row.cbc_at == date(2024, 3, 8)
    assert row.collected_at == datetime(2024, 3, 8, 8, 30)
    assert row.collected_on == date(2024, 3, 8)
    assert row.extra == {"x_ward": "4B"}


def test_a_study_travels_between_processes(tmp_path: Path) -> None:
    study = study_of(tmp_path, SOUND | {"x_ward": "4B"}, infusions=(FIRST_INFUSION,))
    assert pickle.loads(pickle.dumps(study)) == study
    assert study.extra_columns == ("x_ward",)


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    row = row_of(tmp_path)
    assert (row.sample_id, row.specimen_id) == ("P01_PB_d7_T", "P01_PB_d7")
    assert (row.role, row.use, row.spillover, row.dilution) == ("specimen", "report", "file", 1.0)


@pytest.mark.parametrize(
    ("cells", "sample_id"),
    [
        ({"day": "-7"}, "P01_PB_d-7_T"),
        ({"day": "0", "timing": "pre"}, "P01_PB_d0_pre_T"),
        ({"acquisition": "2"}, "P01_PB_d7_T_2"),
        ({"tube": ""}, "P01_PB_d7"),
        ({"sample_id": "mine"}, "mine"),
        (
            {"role": "fmo", "control_marker": "CAR", "patient_id": "", "day": "", "batch": "S1"},
            "S1_PB_T_fmo_CAR",
        ),
    ],
)
def test_a_name_is_built_from_what_is_known(
    tmp_path: Path, cells: dict[str, str], sample_id: str
) -> None:
    assert row_of(tmp_path, **cells).sample_id == sample_id


def test_byte_order_mark_and_empty_right_columns_are_understood(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_bytes(
        b"\xef\xbb\xbffile,patient_id,specimen,template,day,,\r\na.fcs,P\xc3\xa4r,PB,t,7,,\r\n,,,,,,\r\n"
        b'b.fcs,P2,BM,t,"7",,\r\n'
    )
    with pytest.raises(StudyError, match="'Pär_PB_d7' cannot be a file name"):
        read_study(tmp_path)
    text = (tmp_path / "samples.csv").read_bytes().replace(b"P\xc3\xa4r", b"P1")
    (tmp_path / "samples.csv").write_bytes(text)
    assert [(row.patient_id, row.line) for row in read_study(tmp_path).rows] == [
        ("P1", 2),
        ("P2", 4),
    ]


# -- days ----------------------------------------------------------------------------------------


SECOND_BY_DATE = {"patient_id": "P01", "infusion": "2", "infused_on": "2024-04-10"}
SECOND_BY_DAY = {"patient_id": "P01", "infusion": "2", "day": "40"}


def test_a_day_comes_from_the_date(tmp_path: Path) -> None:
    row = row_of(tmp_path, FIRST_INFUSION, day="", collected_on="2024-02-27")
    assert (row.day, row.sample_id) == (-3.0, "P01_PB_d-3_T")


def test_a_date_comes_from_the_day(tmp_path: Path) -> None:
    assert row_of(tmp_path, FIRST_INFUSION).collected_on == date(2024, 3, 8)


@pytest.mark.parametrize("second", [SECOND_BY_DATE, SECOND_BY_DAY])
def test_days_count_from_each_infusion(tmp_path: Path, second: dict[str, str]) -> None:
    study = study_of(
        tmp_path,
        SOUND | {"day": "11", "day_origin": "infusion 2"},
        SOUND | {"day": "40", "timing": "pre"},
        SOUND | {"day": "40", "timing": "post"},
        infusions=(FIRST_INFUSION, second),
    )
    assert [study.day_from_infusion(row, 1) for row in study.rows] == [51.0, 40.0, 40.0]
    assert [study.day_from_infusion(row, 2) for row in study.rows] == [11.0, 0.0, 0.0]
    assert [study.day_from_infusion(row, 3) for row in study.rows] == [None, None, None]
    last = [study.last_infusion(row) for row in study.rows]
    assert [infusion.number for infusion in last if infusion] == [2, 1, 2]
    assert study.infusions[1].infused_on == date(2024, 4, 10)


def test_infusion_one_is_dated_by_a_later_one(tmp_path: Path) -> None:
    infusions = (
        {"patient_id": "P01", "infusion": "1", "infused_on": "", "day": "0"},
        {"patient_id": "P01", "infusion": "2", "infused_on": "2024-04-10", "day": "40"},
    )
    assert row_of(tmp_path, *infusions, day="", collected_on="2024-03-08").day == 7.0


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (
            {"specimen": "bone marow"},
            "samples.csv row 2, column specimen: 'bone marow' is not one of PB, CSF, BM",
        ),
        (
            {"specimen": "pb"},
            "samples.csv row 2, column specimen: 'pb' is not one of PB, CSF, BM. Did you mean PB?",
        ),
        ({"specimen": ""}, "samples.csv row 2, column specimen: empty"),
        ({"patient_id": ""}, "samples.csv row 2, column patient_id: empty"),
        ({"template": ""}, "samples.csv row 2, column template: empty"),
        (
            {"template": "../other.toml"},
            "samples.csv row 2, column template: '../other.toml' is not a template's name; "
            "expected small letters, digits and _, with ';' between several",
        ),
        (
            {"template": "car_t_pb;car_t_pb"},
            "samples.csv row 2, column template: 'car_t_pb;car_t_pb' has an empty or repeated "
            "name; expected names with ';' between them",
        ),
        (
            {"file": ""},
            "samples.csv row 2, column file: empty; expected a file, or the reason in "
            "not_done_reason",
        ),
        (
            {"not_done_reason": "clotted"},
            "samples.csv row 2, column not_done_reason: given although there is a file; expected "
            "one of them",
        ),
        (
            {"day": ""},
            "samples.csv row 2, column collected_on, day: both empty; expected one of them",
        ),
        (
            {"day": "", "collected_on": "31.03.2024"},
            "samples.csv row 2, column collected_on: '31.03.2024' is not a date; expected "
            "year-month-day as in 2024-03-31",
        ),
        (
            {"collected_on": "2024-02-30"},
            "samples.csv row 2, column collected_on: '2024-02-30' is not a date; expected "
            "year-month-day as in 2024-03-31",
        ),
        (
            {"collected_on": "20240301"},
            "samples.csv row 2, column collected_on: '20240301' is not a date; expected "
            "year-month-day as in 2024-03-31",
        ),
        (
            {"cbc_at": "08:30"},
            "samples.csv row 2, column cbc_at: '08:30' is not a date and time; expected local date "
            "and time as in 2024-03-31T08:30, or a date",
        ),
        (
            {"wbc_10e9_per_l": "1,5"},
            "samples.csv row 2, column wbc_10e9_per_l: '1,5' is not a number. Write 1.5",
        ),
        (
            {"wbc_10e9_per_l": "nan"},
            "samples.csv row 2, column wbc_10e9_per_l: 'nan' is not a number. Write digits with a "
            "decimal point, without unit",
        ),
        (
            {"volume_ul": "1e999"},
            "samples.csv row 2, column volume_ul: '1e999' is not a number. Write digits with a "
            "decimal point, without unit",
        ),
        (
            {"wbc_10e9_per_l": "-1"},
            "samples.csv row 2, column wbc_10e9_per_l: '-1'; expected a number of at least 0",
        ),
        (
            {"volume_ul": "0"},
            "samples.csv row 2, column volume_ul: '0'; expected a number above 0",
        ),
        ({"dataset": "1.0"}, "samples.csv row 2, column dataset: '1.0' is not one of 1, 2, 3 …"),
        ({"timing": "Pre"}, "samples.csv row 2, column timing: 'Pre' is not one of pre, post. Did "
                            "you mean pre?"),
        (
            {"day": "0"},
            "samples.csv row 2, column timing: empty on day 0, an infusion day; expected pre or "
            "post",
        ),
        (
            {"day_origin": "relapse"},
            "samples.csv row 2, column day_origin: 'relapse'; expected infusion 1, infusion 2 …",
        ),
        (
            {"day_origin": "infusion 2"},
            "samples.csv row 2, column day_origin: the day of infusion 2 of P01 is not known. Give "
            "its day, or the dates of it and of infusion 1, in infusions.csv",
        ),
        (
            {"day": "", "collected_on": "2024-03-08"},
            "samples.csv row 2, column sample_id: empty, and cannot be built without the day from "
            "infusion 1 (of a control: without patient_id or batch). Give a sample_id, or "
            "infused_on of infusion 1 in infusions.csv",
        ),
        (
            {"collected_on": "2024-03-08", "collected_at": "2024-03-09T10:00"},
            "samples.csv row 2, column collected_at: 2024-03-09, but collected_on is 2024-03-08",
        ),
        (
            {"role": "fmo"},
            "samples.csv row 2, column control_marker: empty for a control of role fmo",
        ),
        (
            {"use": "exclude"},
            "samples.csv row 2, column exclude_reason: empty although use is exclude",
        ),
        (
            {"use": "append"},
            "samples.csv row 2, column use: append, but no row of use report has this patient, "
            "specimen, day, timing, tube and template",
        ),
        (
            {"spillover": "matrix.xlsx"},
            "samples.csv row 2, column spillover: 'matrix.xlsx' is not one of file, applied, none "
            "or a CSV's name",
        ),
        (
            {"control_for": "batch"},
            "samples.csv row 2, column control_for: 'batch' needs a batch and stands alone",
        ),
        (
            {"control_for": "P01_PB_d8_T"},
            "samples.csv row 2, column control_for: no sample 'P01_PB_d8_T' in samples.csv; "
            "expected batch, patient, or sample_ids with ';' between them. Did you mean "
            "P01_PB_d7_T?",
        ),
        ({"x_note": "a\nb"}, "samples.csv row 2, column x_note: a line break or control character"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_told_with_its_place(
    tmp_path: Path, cells: dict[str, str], fault: str
) -> None:
    assert faults_of(tmp_path, SOUND | cells) == [fault]


@pytest.mark.parametrize(
    "file", ["/data/a.fcs", "C:/data/a.fcs", "fcs\\a.fcs", "\\\\server\\a.fcs"]
)
def test_a_path_is_relative_with_forward_slashes(tmp_path: Path, file: str) -> None:
    assert faults_of(tmp_path, SOUND | {"file": file}) == [
        f"samples.csv row 2, column file: {file!r}; expected a path relative to samples.csv, with "
        "forward slashes"
    ]


def test_a_path_may_lead_out_of_the_folder(tmp_path: Path) -> None:
    assert row_of(tmp_path, file="../raw/a.fcs").path == tmp_path.parent / "raw" / "a.fcs"


@pytest.mark.parametrize(
    "sample_id",
    ["../a", ".hidden", "a/b", "a b", "-a", "a.", "ä", "NUL", "com1.x", "a" * 121, "=a"],
)
def test_a_sample_id_is_a_file_name_everywhere(tmp_path: Path, sample_id: str) -> None:
    assert faults_of(tmp_path, SOUND | {"sample_id": sample_id}) == [
        f"samples.csv row 2, column sample_id: {sample_id!r} cannot be a file name everywhere; "
        "expected at most 120 letters, digits, '.', '_' or '-', the first a letter, digit or '_'"
    ]


def test_names_that_differ_in_case_alone_are_one_name(tmp_path: Path) -> None:
    rows = [SOUND | {"sample_id": "a"}, SOUND | {"sample_id": "A", "day": "8"}]
    assert faults_of(tmp_path, *rows) == [
        "samples.csv row 3, column sample_id: 'A' stands in row 2 too. Give each row its own; "
        "capital and small letters count as the same"
    ]


def test_one_measurement_from_two_rows_names_both(tmp_path: Path) -> None:
    rows = [SOUND | {"sample_id": "a"}, SOUND | {"sample_id": "b", "file": "fcs/b.fcs"}]
    assert faults_of(tmp_path, *rows) == [
        "samples.csv row 3: same patient, specimen, day, timing, tube and template as row 2 (a and "
        "b). Set use of one to append (same tube acquired again), superseded or exclude, or "
        "correct it"
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"use": "append"},
        {"use": "superseded"},
        {"use": "exclude", "exclude_reason": "clotted"},
        {"tube": "T22"},
        {"day": "8"},
        {"timing": "post"},
        {"template": "b_cells_pb"},
        {"role": "fmo", "control_marker": "CAR"},
    ],
)
def test_what_tells_two_rows_apart(tmp_path: Path, other: dict[str, str]) -> None:
    rows = [SOUND | {"sample_id": "a"}, SOUND | {"sample_id": "b"} | other]
    assert len(study_of(tmp_path, *rows).rows) == 2


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    rows = [SOUND | {"specimen": "blood"}, SOUND, SOUND | {"day": "seven"}]
    with pytest.raises(StudyError) as caught:
        study_of(tmp_path, *rows, infusions=({"patient_id": "", "infusion": "0", "day": "x"},))
    assert len(caught.value.problems) == 5
    assert str(caught.value).startswith("5 faults in the study folder\n  infusions.csv row 2")


@pytest.mark.parametrize(
    ("infusions", "fault"),
    [
        (
            ({"patient_id": "P01", "infusion": "1", "infused_on": "1.3.2024"},),
            "infusions.csv row 2, column infused_on: '1.3.2024' is not a date; expected "
            "year-month-day as in 2024-03-31",
        ),
        (
            ({"patient_id": "P01", "infusion": "1", "day": "3"},),
            "infusions.csv row 2, column day: 3; expected 0: days count from infusion 1",
        ),
        (
            (FIRST_INFUSION, FIRST_INFUSION),
            "infusions.csv row 3, column infusion: stands in row 2 too",
        ),
        (
            (SECOND_BY_DAY,),
            "infusions.csv row 2, column infusion: no infusion 1 of P01",
        ),
        (
            (FIRST_INFUSION, SECOND_BY_DATE | {"infused_on": "2024-02-01"}),
            "infusions.csv row 3, column infused_on, day: not after infusion 1 of P01",
        ),
        (
            (FIRST_INFUSION, SECOND_BY_DATE | {"day": "39"}),
            "infusions.csv row 3, column infused_on, day: day 39 on 2024-04-10 puts infusion 1 on "
            "2024-03-02; expected 2024-03-01, as in a row above",
        ),
        (
            (FIRST_INFUSION | {"dose_per_kg": "3 million"},),
            "infusions.csv row 2, column dose_per_kg: '3 million' is not a number. Write digits "
            "with a decimal point, without unit",
        ),
        (
            ({"patient_id": "P01", "infusion": "1", "infused_on": "", "day": "0"}, SECOND_BY_DATE),
            "infusions.csv row 3, column infused_on: a date alone, but infusion 1 of P01 has none "
            "to count the day from. Give infused_on of infusion 1 in infusions.csv, or the day "
            "here",
        ),
        (
            ({"patient_id": "P01", "infusion": "1"},),
            "infusions.csv row 2, column infused_on, day: both empty; expected one of them",
        ),
    ],
)
def test_a_wrong_infusion_is_told(
    tmp_path: Path, infusions: tuple[dict[str, str], ...], fault: str
) -> None:
    assert faults_of(tmp_path, SOUND, infusions=infusions) == [fault]


@pytest.mark.parametrize(
    "target", ["CD19", "CD1a", "BCMA", "BAFF-R", "CD19/CD22", "CD19xCD22", "CD19+BCMA", ""]
)
def test_an_antigen_of_a_car_arrives_as_it_is_written(tmp_path: Path, target: str) -> None:
    infusion = FIRST_INFUSION | {"car_target": target}
    study = study_of(tmp_path, SOUND | {"car_target": target}, infusions=(infusion,))
    assert (study.infusions[0].car_target, study.rows[0].car_target) == (target, target)


@pytest.mark.parametrize("target", ["ANY", "unknown"])
def test_a_tube_may_look_for_any_car_but_no_infusion_is_of_any(tmp_path: Path, target: str) -> None:
    assert row_of(tmp_path, car_target=target).car_target == target
    infusion = FIRST_INFUSION | {"car_target": target}
    (fault,) = faults_of(tmp_path, SOUND, infusions=(infusion,))
    assert fault.startswith(f"infusions.csv row 2, column car_target: {target!r}; expected CD19")


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("cd19", ". Did you mean CD19?"),
        ("CD-20", ". Did you mean CD20?"),
        ("cd19/cd22", ". Did you mean CD19/CD22?"),
        ("CAR19", ". Did you mean CD19?"),
        ("Any", ". Did you mean ANY?"),
        ("ANY/CD19", ". Did you mean CD19?"),
        ("protein L", ""),
        ("CD19 and CD22", ""),
    ],
)
def test_another_spelling_of_an_antigen_is_told(tmp_path: Path, target: str, advice: str) -> None:
    assert faults_of(tmp_path, SOUND | {"car_target": target}) == [
        f"samples.csv row 2, column car_target: {target!r}; expected CD19, CD22, ANY, unknown or "
        f"another antigen in capitals, with /, x or + between several{advice}"
    ]


def test_day_and_date_must_agree(tmp_path: Path) -> None:
    row = SOUND | {"collected_on": "2024-03-10"}
    assert faults_of(tmp_path, row, infusions=(FIRST_INFUSION,)) == [
        "samples.csv row 2, column day: day 7 from infusion 1, but 2024-03-10 is day 9. Correct "
        "day, collected_on, or infused_on in infusions.csv"
    ]


# -- the file itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "samples.csv: no header in the first row; expected file, patient_id, specimen, "
              "template …"),
        (
            b"file;patient_id;specimen;template\na;b;c;d\n",
            "samples.csv: columns are separated by semicolons; expected commas. Save it as 'CSV "
            "UTF-8 (comma delimited)'",
        ),
        (
            b"file\tpatient_id\n",
            "samples.csv: columns are separated by tabs; expected commas. Save it as 'CSV UTF-8 "
            "(comma delimited)'",
        ),
        (
            b"file,patient_id,specimen,template\n\xe4,P,PB,t\n",
            "samples.csv: not UTF-8 (byte 35). Save it as 'CSV UTF-8'",
        ),
        (
            b"file,patient_id,specimen,template,tubes\n",
            "samples.csv, column tubes: unknown column. Did you mean tube?",
        ),
        (
            b"file,patient_id,specimen,template,qqq\n",
            "samples.csv, column qqq: unknown column. A column of your own begins with x_",
        ),
        (
            b"file,patient_id,specimen,template,file\n",
            "samples.csv, column file: stands twice",
        ),
        (b"file,patient_id,,specimen,template\n", "samples.csv: column 3 has no name"),
        (b"file,patient_id,specimen\n", "samples.csv: no column template"),
        (
            b"file,patient_id,specimen,template\na.fcs,P1,PB\n",
            "samples.csv row 2: 3 cells; expected 4, one a column of the header",
        ),
        (
            b'file,patient_id,specimen,template\n"a"b,P1,PB,t\n',
            "samples.csv: not a CSV table: ',' expected after '\"'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "samples.csv").write_bytes(content)
    with pytest.raises(StudyError) as caught:
        read_study(tmp_path)
    assert [str(problem) for problem in caught.value.problems] == [fault]


def test_a_folder_without_sheet_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"'cytoflow-car sheet .*' writes a first one"):
        read_study(tmp_path)


def test_a_missing_fcs_file_is_no_fault_of_the_sheet(tmp_path: Path) -> None:
    path = row_of(tmp_path).path
    assert path is not None
    assert not path.exists()
