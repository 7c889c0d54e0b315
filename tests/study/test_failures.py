"""A failure says what to do, and neither it nor any table tells a patient's name."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cytoflow_car.study.batch
from cytoflow_car.fcs import write_fcs
from cytoflow_car.job import SampleJob, SampleResult
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.study.batch import run_study

WriteStudy = Callable[..., Path]
WriteFile = Callable[..., None]

#: The panel files of these tests carry Jane Doe in their keywords, too.
TELLING = "fcs/Doe_Jane_1990-03-08.fcs"


def write_telling(write_study: WriteStudy) -> Path:
    """Write the sound study with a telling name for the file of the later specimen."""
    folder = write_study({}, {"file": TELLING})
    (folder / "fcs" / "b.fcs").rename(folder / TELLING)
    return folder


def break_not_fcs(path: Path, write: WriteFile) -> None:
    path.write_bytes(b"Doe, Jane: no FCS file")


def break_torn(path: Path, write: WriteFile) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def break_header(path: Path, write: WriteFile) -> None:
    path.write_bytes(path.read_bytes()[:100])


def break_panel(path: Path, write: WriteFile) -> None:
    write(path, seed=5, without="CD3")


def break_spillover(path: Path, write: WriteFile) -> None:
    write(path, seed=5, spilled=False)


def break_empty(path: Path, write: WriteFile) -> None:
    write(path, seed=5, n_events=0)


def break_missing(path: Path, write: WriteFile) -> None:
    path.unlink()


def break_nothing(path: Path, write: WriteFile) -> None:
    """Leave the file as it is."""


def tables(out: Path) -> dict[str, str]:
    """Return the text of every result but the one table that has paths."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes().decode("utf-8", errors="replace")
        for path in out.rglob("*")
        if path.is_file() and path.name != "files.csv"
    }


def assert_nobody_is_named(out: Path) -> None:
    for name, text in tables(out).items():
        for word in ("doe", "jane", "1990-03-08", ".fcs", str(out.parent)):
            assert word not in (name + text).lower(), f"{word} in {name}"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (break_not_fcs, "fcs_not_fcs"),
        (break_torn, "fcs_data"),
        (break_header, "fcs_text"),
        (break_panel, "panel"),
        (break_spillover, "spillover"),
        (break_empty, "fcs_data"),
        (break_missing, "file_missing"),
        (break_nothing, ""),
    ],
)
def test_no_result_tells_the_name_of_a_file(
    write_study: WriteStudy,
    write_panel_file: WriteFile,
    tmp_path: Path,
    broken: Callable[[Path, WriteFile], None],
    code: str,
) -> None:
    folder = write_telling(write_study)
    broken(folder / TELLING, write_panel_file)
    out = tmp_path / "results"
    summary = run_study(folder, out, jobs=1)
    assert [failure.code for failure in summary.failures] == ([code] if code else [])
    for failure in summary.failures:
        assert failure.sample_id == "b"
        assert "b" in failure.message.replace(":", " ").replace(",", " ").split()
    assert_nobody_is_named(out)
    # The other specimen has its results, and of this one every measurement has its row.
    with (out / "measurements.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    of_b = [row for row in rows if row["sample_id"] == "b"]
    assert len(of_b) == len(rows) / 2
    assert {row["status"] == "FAILED" for row in of_b} == {bool(code)}
    # What was looked for is known without a result.
    car = [row for row in of_b if row["measurement"].startswith("car_t_")]
    assert {(row["car_target"], row["car_reagent"]) for row in car} == {("CD19", "CD19-Fc")}


def test_no_failure_tells_the_name_of_a_spillover_table(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    folder = write_study({}, {"spillover": "Doe_Jane.csv"})
    out = tmp_path / "results"
    for text, n_failed in (("PE-A,FITC-A,APC-A\n1,0,0\n", 1), ("PE-A,FITC-A\n1,0\n0.1,1\n", 0)):
        (folder / "Doe_Jane.csv").write_text(text, encoding="utf-8")
        summary = run_study(folder, out, jobs=1, pictures=False)
        assert [item.sample_id for item in summary.failures] == ["b"] * n_failed
        for failure in summary.failures:
            assert "b, samples.csv row 3, column spillover: 1 rows under 3" in failure.message
        assert_nobody_is_named(out)
    assert "CSV " in (out / "qc.csv").read_text(encoding="utf-8")


def test_no_failure_tells_the_name_of_an_appended_file(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    appended = {
        "file": TELLING, "role": "specimen", "patient_id": "P01", "day": "7", "use": "append",
        "control_marker": "", "control_for": "",
    }  # fmt: skip
    folder = write_study({}, {}, appended)
    events = Events(np.ones((50, 1), dtype=np.float32), (Channel("PE-A", "CAR"),))
    write_fcs(folder / TELLING, events)
    summary = run_study(folder, tmp_path / "results", jobs=1, pictures=False)
    (failure,) = summary.failures
    assert failure.sample_id == "b"
    assert "acquisition 2: channels PE-A; expected those of acquisition 1" in failure.message
    assert_nobody_is_named(tmp_path / "results")


def test_no_crash_file_tells_the_name_of_a_file(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyse = cytoflow_car.study.batch.analyse_sample

    def break_one(job: SampleJob) -> SampleResult:
        if job.sample_id == "b":
            raise RuntimeError(f"cannot do {job.sources[0].path} or {job.sources[0].path.name}")
        return analyse(job)

    monkeypatch.setattr(cytoflow_car.study.batch, "analyse_sample", break_one)
    folder = write_telling(write_study)
    summary = run_study(folder, tmp_path / "results", jobs=1, pictures=False)
    assert summary.exit_code == 70
    assert_nobody_is_named(tmp_path / "results")
    crash = tmp_path / "results" / summary.failures[0].crash_file
    assert "cannot do the file or the file" in crash.read_text(encoding="utf-8")
