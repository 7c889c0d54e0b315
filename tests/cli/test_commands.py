"""Every command has help, keeps its exit codes, and puts results on stdout."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import cytoflow_car.study.batch
from cytoflow_car.cli import COMMANDS, cli
from cytoflow_car.cli.progress import show_progress
from cytoflow_car.errors import MeasurementError
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.simulate import simulate_cohort
from cytoflow_car.template import load_template

HEAVY = (
    "numpy", "scipy", "pandas", "pydantic", "flowkit", "flowio", "pyarrow", "PIL",
    "matplotlib", "rich",
)  # fmt: skip


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


@pytest.mark.parametrize("path", list(walk(cli)), ids=" ".join)
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    shown = call(*path, "--help")
    assert shown.exit_code == 0
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.name}"


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(COMMANDS) == {
        "run", "check", "inspect", "sheet", "templates", "simulate", "learn", "spillover",
        "compare", "export", "reference", "lod", "calibrate", "outcome", "report",
    }  # fmt: skip
    assert {path[1] for path in walk(cli) if path[:1] == ("templates",) and len(path) == 2} == {
        "list", "show", "check", "schema", "new",
    }  # fmt: skip


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cytoflow_car.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(cli, ['run', '--help']).exit_code == 0\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cytoflow_car", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "No such command 'nothing'" in done.stderr
    assert done.stdout == ""


def test_a_sign_that_the_console_lacks_ends_nothing() -> None:
    code = (
        "import sys, click; from cytoflow_car import cli\n"
        "cli.cli.add_command(click.Command('say', callback=lambda: click.echo('10⁹')))\n"
        "cli._Commands.get_command = click.Group.get_command\n"
        "sys.argv = ['cytoflow-car', 'say']; cli.main()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, b"10\\u2079"), done.stderr


def test_version() -> None:
    shown = call("--version")
    assert (shown.exit_code, shown.output) == (0, f"cytoflow-car {cytoflow_car.__version__}\n")


# -- run -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "study"
    simulate_cohort(out, patients=1, events=2000, seed=3, small=True)
    return out


def only(study: Path, folder: Path, *sample_ids: str) -> Path:
    """Copy those rows of a sheet, with paths that lead to the study's files."""
    with (study / "samples.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["sample_id"] in sample_ids]
    folder.mkdir()
    for row in rows:
        row["file"] = f"../{study.name}/{row['file']}"
    (folder.parent / study.name).symlink_to(study)
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


PAIR = ("P01_PB_d000_T", "P01_PB_d007_T")


def test_run_ends_with_0_when_all_is_done(simulated: Path, tmp_path: Path) -> None:
    study = only(simulated, tmp_path / "pair", *PAIR)
    done = call("run", study, "--out", tmp_path / "results", "--jobs", "1", "--no-pictures")
    assert done.exit_code == 0, done.output
    shown = done.stdout.splitlines()
    assert shown[:2] == ["done: 2", "failed: 0"]
    assert shown[-1] == f"tables: {tmp_path / 'results'}"
    # A baseline is analysed as control first, then as specimen.
    assert sorted(line.split()[1] for line in done.stderr.splitlines()) == [
        "P01_PB_d000_T", *PAIR,
    ]  # fmt: skip
    assert done.stderr.splitlines()[0].startswith("1/3 ")
    assert (tmp_path / "results" / "measurements.csv").is_file()


def test_run_ends_with_1_when_a_file_fails(simulated: Path, tmp_path: Path) -> None:
    study = only(simulated, tmp_path / "pair", *PAIR)
    text = (study / "samples.csv").read_text(encoding="utf-8")
    (study / "samples.csv").write_text(
        text.replace("P01_PB_d007_T.fcs", "gone.fcs"), encoding="utf-8"
    )
    done = call("run", study, "--out", tmp_path / "results", "--jobs", "1", "--no-pictures")
    assert done.exit_code == 1, done.output
    assert "done: 1\nfailed: 1\n  P01_PB_d007_T [car_t_pb]: " in done.stdout


def test_run_ends_with_2_when_the_sheet_is_wrong(simulated: Path, tmp_path: Path) -> None:
    study = only(simulated, tmp_path / "pair", *PAIR)
    text = (study / "samples.csv").read_text(encoding="utf-8")
    (study / "samples.csv").write_text(text.replace(",PB,", ",blood,"), encoding="utf-8")
    done = call("run", study, "--out", tmp_path / "results")
    assert done.exit_code == 2
    assert "samples.csv row 2, column specimen: 'blood' is not one of PB, CSF, BM" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


def test_run_ends_with_2_when_a_template_is_missing(simulated: Path, tmp_path: Path) -> None:
    study = only(simulated, tmp_path / "pair", *PAIR)
    text = (study / "samples.csv").read_text(encoding="utf-8")
    (study / "samples.csv").write_text(text.replace("car_t_pb", "car_t_bp"), encoding="utf-8")
    done = call("run", study, "--out", tmp_path / "results")
    assert done.exit_code == 2
    assert "no template 'car_t_bp'" in done.stderr


def test_run_ends_with_3_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("file,patient_id,specimen,template\n", encoding="utf-8")
    done = call("run", tmp_path, "--out", tmp_path / "results")
    assert done.exit_code == 3, done.output


def test_run_ends_with_70_on_a_bug_of_one_file(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = cytoflow_car.study.batch.analyse_sample

    def break_one(job: object) -> object:
        if getattr(job, "sample_id", "") == PAIR[1]:
            raise ZeroDivisionError("inside")
        return analyse(job)  # type: ignore[arg-type]

    monkeypatch.setattr(cytoflow_car.study.batch, "analyse_sample", break_one)
    study = only(simulated, tmp_path / "pair", *PAIR)
    out = tmp_path / "results"
    done = call("run", study, "--out", out, "--jobs", "1", "--no-pictures")
    assert done.exit_code == 70, done.output
    assert "done: 1\nfailed: 1\n" in done.stdout
    (crash,) = (out / "crashes").iterdir()
    assert "ZeroDivisionError: inside" in crash.read_text(encoding="utf-8")
    strict = call("run", study, "--out", out, "--jobs", "1", "--no-pictures", "--strict")
    assert strict.exit_code == 70
    assert "This is a bug in cytoflow-car" in strict.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MeasurementError("no such population"), 2),
        (PermissionError(13, "Permission denied", "results"), 2),
        (ZeroDivisionError(), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_outside_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cytoflow_car.study.batch, "run_study", fail)
    done = call("run", tmp_path, "--out", tmp_path / "results")
    assert done.exit_code == code
    assert ("Traceback" in done.stderr) == (code == 70)
    assert done.stdout == ""


def test_progress_on_a_terminal_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with show_progress() as progress:
        progress(1, 2, "P01 [not markup]")
        progress(2, 2, "P02")
    caught = capsys.readouterr()
    assert "2/2" in caught.err
    assert caught.out == ""


# -- check ---------------------------------------------------------------------------------------


def test_check_of_a_sound_study(simulated: Path) -> None:
    done = call("check", simulated)
    assert done.exit_code == 0, done.output
    assert "errors: 0" in done.stdout.splitlines()[-1]


def test_check_of_a_study_with_a_missing_file(simulated: Path, tmp_path: Path) -> None:
    study = only(simulated, tmp_path / "pair", *PAIR)
    text = (study / "samples.csv").read_text(encoding="utf-8")
    (study / "samples.csv").write_text(text.replace("d007_T.fcs", "gone.fcs"), encoding="utf-8")
    done = call("check", study)
    assert done.exit_code == 2
    assert "error: samples.csv row 3 (P01_PB_d007_T), column file: there is no file" in done.stdout


def test_check_of_an_empty_sheet(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("file,patient_id,specimen,template\n", encoding="utf-8")
    assert call("check", tmp_path).exit_code == 3


# -- inspect, sheet ------------------------------------------------------------------------------


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    path = tmp_path / "raw" / "P01_PB_d7_T.fcs"
    path.parent.mkdir()
    channels = (
        Channel("FSC-A"), Channel("PE-A", "CD19 PE"), Channel("PE-H", "CD19 PE"),
        Channel("APC-A", "CD3"), Channel("Time"),
    )  # fmt: skip
    events = Events(np.arange(15, dtype=np.float32).reshape(3, 5), channels)
    write_fcs(path, events, keywords={"PATIENT NAME": "Jane Doe", "$SRC": "Jane Doe"})
    return path


def test_inspect_shows_the_panel_and_no_person(one_file: Path) -> None:
    done = call("inspect", one_file)
    assert done.exit_code == 0, done.output
    assert "events      3" in done.stdout
    assert any(line.split()[:3] == ["PE-A", "CD19", "PE"] for line in done.stdout.splitlines())
    assert "Jane" not in done.output


def test_inspect_tells_repairs_and_faults_and_keeps_keywords_of_persons(one_file: Path) -> None:
    content = bytearray(one_file.read_bytes())
    # The end of DATA by HEADER, one byte further than by TEXT; and an event of infinity.
    content[34:42] = b"%8d" % (int(content[34:42]) + 1)
    content[-4:] = np.float32(np.inf).tobytes()
    one_file.write_bytes(content)
    done = call("inspect", one_file, "--keywords")
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("repaired data_offsets_differ: HEADER states") for line in lines)
    assert "note not_finite: 1 events hold what is no number; no gate takes them" in lines
    assert "$P2S CD19 PE" in lines
    assert lines[-1] == "not shown, could name a person or a day: $SRC, 1 of other programs"
    assert "Jane" not in done.output


def test_inspect_of_a_folder_goes_on_after_a_torn_file(one_file: Path) -> None:
    (one_file.parent / "a.fcs").write_bytes(b"torn")
    (one_file.parent / "notes.txt").write_text("no FCS file", encoding="utf-8")
    # CellQuest names its files so.
    one_file.with_name("tube.001").write_bytes(one_file.read_bytes())
    done = call("inspect", one_file.parent)
    assert done.exit_code == 1
    assert [line.partition(",")[0] for line in done.stderr.splitlines()] == ["a.fcs"]
    assert call("inspect", one_file.parent, "--keywords").exit_code == 2
    head, *lines = done.stdout.splitlines()
    assert head.split()[0] == "file"
    assert [line.split()[:2] for line in lines] == [
        ["P01_PB_d7_T.fcs", "FCS3.1"],
        ["tube.001", "FCS3.1"],
    ]


def test_inspect_does_not_steer_the_terminal(one_file: Path) -> None:
    one_file.write_bytes(one_file.read_bytes().replace(b"CD19 PE", b"CD19\x1b[2"))
    done = call("inspect", one_file)
    assert "CD19?[2" in done.stdout
    assert "\x1b" not in done.output


def test_inspect_of_a_torn_file_or_an_empty_folder(tmp_path: Path) -> None:
    assert call("inspect", tmp_path).exit_code == 3
    (tmp_path / "a.fcs").write_bytes(b"torn")
    assert call("inspect", tmp_path / "a.fcs").exit_code == 1


def test_sheet_is_written_once(one_file: Path) -> None:
    folder = one_file.parent
    assert call("sheet", folder).exit_code == 0
    written = (folder / "samples.csv").read_text(encoding="utf-8")
    assert "P01_PB_d7_T.fcs,,P01,PB,T,7," in written
    again = call("sheet", folder)
    assert again.exit_code == 2
    assert "is there already and is not overwritten" in again.stderr
    assert (folder / "samples.csv").read_text(encoding="utf-8") == written


def test_sheet_may_lie_elsewhere(one_file: Path, tmp_path: Path) -> None:
    assert call("sheet", one_file.parent, "--out", tmp_path / "s.csv").exit_code == 0
    assert "\nraw/P01_PB_d7_T.fcs," in (tmp_path / "s.csv").read_text(encoding="utf-8")


def test_sheet_of_an_empty_folder(tmp_path: Path) -> None:
    assert call("sheet", tmp_path).exit_code == 3
    assert list(tmp_path.iterdir()) == []


# -- templates, simulate -------------------------------------------------------------------------


def test_templates_are_listed_shown_and_checked(tmp_path: Path) -> None:
    listed = call("templates", "list")
    assert listed.exit_code == 0
    assert "car_t_pb" in listed.stdout
    shown = call("templates", "show", "car_t_pb")
    assert 'name = "car_t_pb"' in shown.stdout
    (tmp_path / "mine.toml").write_text(shown.stdout, encoding="utf-8")
    checked = call("templates", "check", tmp_path / "mine.toml")
    assert checked.exit_code == 0
    assert checked.stdout.startswith("car_t_pb ")


def test_a_faulty_template_is_told_and_the_others_listed(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nversion = 1\n', encoding="utf-8")
    checked = call("templates", "check", tmp_path / "mine.toml")
    assert checked.exit_code == 2
    assert "mine.toml, " in checked.stderr
    listed = call("templates", "list", "--templates", tmp_path)
    assert listed.exit_code == 2
    assert "car_t_pb" in listed.stdout
    assert listed.stderr.startswith("mine: ")


def test_an_unknown_template_is_told_the_nearest() -> None:
    shown = call("templates", "show", "car_t_bp")
    assert shown.exit_code == 2
    assert "Did you mean car_t_" in shown.stderr


def test_the_schema_is_json() -> None:
    assert "populations" in json.loads(call("templates", "schema").stdout)["properties"]


def test_a_new_template_carries_the_files_panel(one_file: Path, tmp_path: Path) -> None:
    done = call("templates", "new", "mine", "--from", one_file, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    template = load_template("mine", tmp_path)
    assert [(marker.name, marker.stains, marker.detectors) for marker in template.markers] == [
        ("FSC-A", (), ("FSC-A",)),
        ("CD19", ("CD19 PE",), ("PE-A",)),
        ("CD3", ("CD3",), ("APC-A",)),
    ]
    again = call("templates", "new", "mine", "--from", one_file, "--out", tmp_path)
    assert again.exit_code == 2


def test_a_new_template_like_another_notes_the_files_channels(
    one_file: Path, tmp_path: Path
) -> None:
    done = call(
        "templates", "new", "mine", "--from", one_file, "--like", "car_t_pb", "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    assert '# In the file: APC-A (CD3)\n[[markers]]\nname = "CD3"' in text
    assert '# In the file: no channel\n[[markers]]\nname = "CD8"' in text
    template, model = load_template("mine", tmp_path), load_template("car_t_pb")
    assert template.name == "mine"
    assert template.populations == model.populations
    assert template.markers == model.markers


def test_a_new_template_needs_a_name_that_sheets_can_use(one_file: Path, tmp_path: Path) -> None:
    done = call("templates", "new", "My Panel", "--from", one_file, "--out", tmp_path)
    assert done.exit_code == 2
    assert "small letters, digits and _" in done.stderr
    assert list(tmp_path.glob("*.toml")) == []


def test_simulate_writes_a_study(tmp_path: Path) -> None:
    done = call(
        "simulate", tmp_path / "s", "--patients", "1", "--events", "100", "--seed", "0",
        "--gain-sd", "0", "--small",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "s" / "truth.csv").is_file()
