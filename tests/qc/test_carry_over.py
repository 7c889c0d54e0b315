"""Carry-over follows the order of runs; nothing else of a file depends on its neighbours."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cytoflow_car.fcs import write_fcs
from cytoflow_car.job import FcsSource, SampleJob, SampleResult
from cytoflow_car.measure.context import TubeFacts
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.model.measurement import Measurement, Status
from cytoflow_car.qc.acquisition import Check
from cytoflow_car.study.batch import run_study
from cytoflow_car.study.carry_over import find_carry_over
from cytoflow_car.study.plan import PlannedSample, StudyPlan
from cytoflow_car.template import load_template

PERCENT = "car_t_percent_of_t"


def run(
    folder: Path, runs: dict[str, tuple[str, str, float | None]], **setting: Any
) -> dict[str, Check]:
    """Check samples given as name to ($DATE, $BTIM, percent)."""
    template = load_template("car_t_pb")
    template = replace(template, acquisition=replace(template.acquisition, **setting))
    samples, results = [], []
    for name, (date, clock, percent) in runs.items():
        path = folder / f"{name}.fcs"
        keywords = {"$DATE": date, "$BTIM": clock, "$CYT": "A"}
        write_fcs(path, Events(np.ones((5, 1), np.float32), (Channel("FSC-A"),)), keywords=keywords)
        job = SampleJob(name, (FcsSource(path, None, ""),), template, tube=TubeFacts())
        row: Any = None
        samples.append(PlannedSample(row, job, ()))
        taken = Measurement(PERCENT, "CAR T", "T", percent, "%", Status.QUANTIFIED)
        results.append(SampleResult(name, template.name, (taken,), (), (), {}))
    study: Any = None
    plan = StudyPlan(study, {template.name: template}, tuple(samples), {}, (), {})
    return {key[0]: check for key, check in find_carry_over(plan, results).items()}


RUNS = {
    "third": ("08-MAR-2024", "10:30:00", 0.1),
    "first": ("08-MAR-2024", "9:10:00", 25.0),
    "second": ("08-MAR-2024", "10:05:00", 9.0),
    "next_day": ("09-MAR-2024", "08:00:00", 1.0),
}


def test_a_run_after_one_full_of_the_target_is_flagged(tmp_path: Path) -> None:
    found = run(tmp_path, RUNS, carry_over=(PERCENT,))
    assert {name: (check.value, check.flag) for name, check in found.items()} == {
        "second": (25.0, "CARRY_OVER"),
        "third": (9.0, ""),
    }
    assert "first" in found["second"].limit


def test_the_limit_is_the_templates(tmp_path: Path) -> None:
    found = run(tmp_path, RUNS, carry_over=(PERCENT,), carry_over_percent=8.0)
    assert [check.flag for check in found.values()] == ["CARRY_OVER", "CARRY_OVER"]


def test_nothing_is_checked_unless_the_template_asks(tmp_path: Path) -> None:
    assert run(tmp_path, RUNS) == {}


def test_times_of_day_never_reach_the_finding(tmp_path: Path) -> None:
    for check in run(tmp_path, RUNS, carry_over=(PERCENT,)).values():
        assert "MAR" not in check.limit and ":" not in check.limit


@pytest.fixture
def marrow(repository_root: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a study of one marrow and a study of it among others."""
    source = repository_root / "sample_fcs"
    folders = (tmp_path / "alone", tmp_path / "batch")
    names = ("P01_BM_d030_B", "P01_BM_d000_B", "P02_BM_d030_B")
    # A specimen is compared with its own baseline, which belongs to it.
    for folder, kept in zip(folders, (names[:2], names), strict=True):
        (folder / "fcs").mkdir(parents=True)
        for name in kept:
            shutil.copy(source / "fcs" / f"{name}.fcs", folder / "fcs")
        for table in ("infusions.csv", "study.toml"):
            shutil.copy(source / table, folder)
        with (source / "samples.csv").open(encoding="utf-8", newline="") as read:
            rows = list(csv.DictReader(read))
        with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as written:
            writer = csv.DictWriter(written, rows[0].keys())
            writer.writeheader()
            writer.writerows(row for row in rows if row["sample_id"] in kept)
    return folders


def test_a_file_alone_and_among_others_gives_the_same(
    marrow: tuple[Path, Path], tmp_path: Path
) -> None:
    tables: dict[str, list[pd.DataFrame]] = {"qc": [], "gates": [], "measurements": []}
    for folder in marrow:
        out = tmp_path / f"{folder.name}-results"
        assert run_study(folder, out, jobs=1, pictures=False).exit_code == 0
        for name, found in tables.items():
            table = pd.read_csv(out / f"{name}.csv", dtype=str, keep_default_na=False)
            table = table[table["sample_id"] == "P01_BM_d030_B"]
            # Drift is a comparison of specimens, and the template asks for it.
            if name == "qc":
                table = table[table["check"] != "drift"]
            found.append(table.reset_index(drop=True))
    for alone, among in tables.values():
        assert len(alone)
        pd.testing.assert_frame_equal(alone, among)
