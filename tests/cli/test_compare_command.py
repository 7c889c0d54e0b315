"""``compare`` shows what it found on stdout and keeps its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cytoflow_car.cli import cli


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a results folder of two specimens with 200 events, 50 of them T in both."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    (folder / "files.csv").write_text(
        "sample_id,role,use,path,dataset,sha256,from_results\n"
        "a,specimen,report,fcs/a.fcs,,00,\nb,specimen,report,fcs/b.fcs,,01,\n"
    )
    (folder / "gates.csv").write_text(
        "sample_id,template,path,count,count_before_qc,review\n"
        "a,t,root,200,200,\na,t,root/T,50,50,yes\na,t,root/T/CD4 T,20,20,\n"
        "b,t,root,200,200,\nb,t,root/T,50,50,\nb,t,root/T/CD4 T,30,30,\n"
    )
    return folder


@pytest.fixture
def percents(tmp_path: Path) -> Path:
    """Return a reference in which T are 24 % of both."""
    path = tmp_path / "hand.csv"
    path.write_text("sample_id,population,percent\na,T,24\nb,T,24\na,NK,3\n")
    return path


def test_it_shows_figures_and_what_has_no_counterpart(results: Path, percents: Path) -> None:
    shown = call(results, percents)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert "  T: 2, - / -, +1.00 [+1.00, +1.00]" in lines
    assert lines[-5:] == [
        "populations without a counterpart, ours: 1",
        "  CD4 T",
        "populations without a counterpart, theirs: 1",
        "  NK",
        f"tables: {results.parent / 'results-agreement'}",
    ]
    assert {path.name for path in (results.parent / "results-agreement").iterdir()} == {
        "agreement.csv", "agreement_summary.csv", "agreement.png",
    }  # fmt: skip


def test_a_limit_that_is_not_kept_ends_with_1(
    results: Path, percents: Path, tmp_path: Path
) -> None:
    kept = call(results, percents, "--most-difference", "1", "--out", tmp_path / "out")
    assert kept.exit_code == 0
    outside = call(results, percents, "--most-difference", "0.5", "--least-f1", "0.9")
    assert outside.exit_code == 1
    assert "outside: T [t]: largest difference 1 is above 0.5 percentage points" in outside.stdout
    assert "outside: T [t]: median F1 unknown is below 0.9" in outside.stdout


def test_a_sample_that_could_not_be_compared_ends_with_1(results: Path, percents: Path) -> None:
    percents.write_text("sample_id,population,percent\na,T,24\nz,T,24\n")
    shown = call(results, percents)
    assert shown.exit_code == 1
    assert "not compared: 1\n  z: no such sample in the results" in shown.stdout
    assert "not in the reference: 1\n  b" in shown.stdout


def test_nothing_to_compare_is_a_usage_error(results: Path, percents: Path) -> None:
    percents.write_text("sample_id,population,percent\na,lymphs,24\n")
    shown = call(results, percents)
    assert shown.exit_code == 2
    assert "ours: CD4 T, T; theirs: lymphs" in shown.stderr
    assert "--match" in shown.stderr
    assert not (results.parent / "results-agreement").exists()
    assert call(results, percents, "--match", "T=lymphs").exit_code == 0


def test_out_inside_the_results_is_a_usage_error(results: Path, percents: Path) -> None:
    shown = call(results, percents, "--out", results / "agreement")
    assert shown.exit_code == 2
    assert "lies in a results folder" in shown.stderr
