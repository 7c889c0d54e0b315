"""Blasts that are diluted in their own file are found and counted, and limits follow of the counts.

The specimen is simulated, with labels. To be quick it is small, a baseline may have few blasts, and
the reference has every twelfth event of the one that comes with the sample study, which is enough
for blasts that lie as far off as these.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cytoflow_car.cli import SOME_FAILED, USAGE, cli
from cytoflow_car.errors import StudyError
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.measure.limits import measured_limit_of_blank, measured_limit_of_detection
from cytoflow_car.report.detection import draw_detection
from cytoflow_car.resources import resource_folder
from cytoflow_car.simulate import simulate_cohort
from cytoflow_car.study.detection import find_limits, summarise_levels
from cytoflow_car.study.dilution import (
    DetectionStudy,
    DilutionSetting,
    LeftOut,
    Truth,
    read_truth,
    study_detection,
)
from cytoflow_car.tables.detection import BLASTS, CONTROL, DetectionLimits, DilutionRun
from cytoflow_car.tables.reference_file import read_reference, write_reference
from cytoflow_car.template import load_template

PATIENT = "P02_BM_d000_B"


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a diagnosis with labels, a torn file, a thin reference and a lenient template."""
    folder = tmp_path_factory.mktemp("dilution")
    simulate_cohort(folder, patients=2, events=24_000, seed=3, small=True, labels=True)
    whole = read_reference(resource_folder("sample_fcs") / "normal_marrow.reference.json")
    few = slice(None, None, 12)
    thin = replace(
        whole,
        events=whole.events[few],
        event_populations=whole.event_populations[few],
        event_specimens=whole.event_specimens[few],
    )
    write_reference(thin, folder / "thin.reference.json")
    text = (resource_folder("gating_templates") / "blasts_bm.toml").read_text(encoding="utf-8")
    section = "[clustering.residual]\n"
    assert section in text
    lenient = text.replace(section, f"{section}least_baseline_events = 60\n")
    (folder / "blasts_bm.toml").write_text(lenient, encoding="utf-8")
    torn = (folder / "fcs" / f"{PATIENT}.fcs").read_bytes()[:-500]
    (folder / "torn.fcs").write_bytes(torn)
    return folder


def call(folder: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli,
        [
            *("lod", str(folder / "torn.fcs"), str(folder / "fcs" / f"{PATIENT}.fcs")),
            *("--templates", str(folder), "--template", "blasts_bm"),
            *("--reference", str(folder / "thin.reference.json")),
            *("--labels", str(folder / "labels"), "--blasts", "blast", "--blasts", "dead blast"),
            *("--leave-out", "doublet *", "--out", str(out), *arguments),
        ],
    )


@pytest.fixture(scope="module")
def written(study_folder: Path) -> tuple[Path, Result]:
    """Return the tables of a short study by the command line, and how that ended."""
    out = study_folder / "out"
    levels = ("--level", "0.01", "--level", "1e-5", "--level", "0")
    return out, call(study_folder, out, *levels, "--repeats", "1", "--blanks", "2")


def test_a_torn_file_is_named_and_the_rest_go_on(written: tuple[Path, Result]) -> None:
    out, result = written
    assert result.exit_code == SOME_FAILED, result.output
    assert "left out: torn.fcs" in result.stderr
    assert "pooled: LOB" in result.stdout and "pooled" not in result.stderr
    assert set(pd.read_csv(out / "runs.csv")["sample_id"]) == {PATIENT}


def test_counts_of_runs_add_up_to_the_levels(written: tuple[Path, Result]) -> None:
    runs, levels = (pd.read_csv(written[0] / f"{name}.csv") for name in ("runs", "lod"))
    blasts = runs[runs["arm"] == BLASTS]
    assert blasts["level"].tolist() == [0.01, 0.0, 0.0]
    assert (blasts["n_true"] <= blasts[["n_spiked", "n_found"]].min(axis=1)).all()
    assert (blasts["n_found"] <= blasts["n_events"]).all()
    assert (blasts.loc[blasts["level"] == 0, "n_spiked"] == 0).all()
    rows = levels[levels["arm"] == BLASTS].set_index("level")
    run, row = blasts.iloc[0], rows.loc[0.01]
    assert row["recall_mean"] == pytest.approx(run["n_true"] / run["n_spiked"])
    assert row["precision_mean"] == pytest.approx(run["n_true"] / run["n_found"])
    assert row["f1_mean"] == pytest.approx(2 * run["n_true"] / (run["n_spiked"] + run["n_found"]))
    blanks = blasts.loc[blasts["level"] == 0, "n_found"]
    assert rows.loc[0.0, "false_mean"] == rows.loc[0.0, "found_mean"] == blanks.mean()
    assert rows.loc[0.0, "found_sd"] == pytest.approx(blanks.std())


def test_one_blast_in_a_hundred_is_found_and_normal_b_cells_are_not(
    written: tuple[Path, Result],
) -> None:
    levels = pd.read_csv(written[0] / "lod.csv").set_index(["arm", "level"])
    blasts = levels.loc[(BLASTS, 0.01)]
    assert blasts["n_spiked"] > 15
    # Of some 25 cells; a handful of false positives is what the method itself expects.
    assert blasts["recall_mean"] >= 0.9
    assert blasts["false_most"] <= 8
    control = levels.loc[(CONTROL, 0.01)]
    assert control["repeats"] == 1
    told = "BASELINE_WITHOUT_BLASTS" in control["flags"] or "CONTROL_FOUND" in control["flags"]
    assert told or control["recall_mean"] <= 0.1


def test_a_level_of_less_than_an_event_is_left_out_and_named(
    written: tuple[Path, Result],
) -> None:
    out, result = written
    levels = pd.read_csv(out / "lod.csv").set_index(["arm", "level"])
    assert levels.loc[(BLASTS, 1e-5), "repeats"] == 0
    assert levels.loc[(BLASTS, 1e-5), "flags"] == "TOO_FEW_EVENTS"
    assert f"left out: {PATIENT}, blasts, level 1e-05: TOO_FEW_EVENTS" in result.stderr


def test_the_study_says_what_it_rests_on(written: tuple[Path, Result]) -> None:
    out = written[0]
    record = json.loads((out / "lod.json").read_text(encoding="utf-8"))
    assert record["setting"]["seed"] == 0 and record["blasts"] == ["blast", "dead blast"]
    assert list(record["files_sha256"]) == [PATIENT]
    with Image.open(out / "lod.png") as picture:
        assert picture.size[0] > 1000


def test_the_same_seed_gives_the_same_runs_in_company_or_alone(
    study_folder: Path, written: tuple[Path, Result]
) -> None:
    before = pd.read_csv(written[0] / "runs.csv", keep_default_na=False).iloc[0]
    study = study_detection(
        [study_folder / "fcs" / f"{PATIENT}.fcs"],
        load_template("blasts_bm", study_folder),
        read_reference(study_folder / "thin.reference.json"),
        setting=DilutionSetting(levels=(0.01,), repeats=1),
        truth=read_truth(study_folder / "labels", ["blast", "dead blast"], ["doublet *"]),
    )
    run = study.runs[0]
    assert (run.arm, run.level, run.repeat) == (before["arm"], before["level"], before["repeat"])
    for name in ("n_events", "n_spiked", "n_found", "n_true", "expected", "lod"):
        assert getattr(run, name) == pytest.approx(float(before[name]))


def test_labels_that_no_event_has_are_refused_with_those_there_are(study_folder: Path) -> None:
    with pytest.raises(StudyError, match=r"no event labelled blst in 'nucleated'.*erythroblast"):
        study_detection(
            [study_folder / "fcs" / f"{PATIENT}.fcs"],
            load_template("blasts_bm", study_folder),
            read_reference(study_folder / "thin.reference.json"),
            truth=read_truth(study_folder / "labels", ["blst"]),
        )


def test_too_few_blasts_to_halve_are_refused(study_folder: Path) -> None:
    with pytest.raises(StudyError, match=r"in 'nucleated'; expected at least 120"):
        study_detection(
            [study_folder / "fcs" / f"{PATIENT}.fcs"],
            load_template("blasts_bm", study_folder),
            read_reference(study_folder / "thin.reference.json"),
            truth=read_truth(study_folder / "labels", ["pDC"]),
        )


def test_two_files_of_one_name_are_refused(study_folder: Path) -> None:
    with pytest.raises(StudyError, match="two files of one name"):
        study_detection(
            [study_folder / "torn.fcs", study_folder / "fcs" / "torn.fcs"],
            load_template("blasts_bm", study_folder),
            read_reference(study_folder / "thin.reference.json"),
        )


def test_a_template_without_blasts_and_half_a_truth_are_usage(
    study_folder: Path, tmp_path: Path
) -> None:
    assert call(study_folder, tmp_path / "out", "--template", "car_t_pb").exit_code == USAGE
    with pytest.raises(StudyError, match="labels without blasts"):
        read_truth(study_folder / "labels", [])
    with pytest.raises(StudyError, match="names of labels without labels"):
        read_truth(None, ["blast"])


# Limits of counts that were chosen by hand.


def test_limit_of_blank_is_mean_and_deviation_or_percentile() -> None:
    assert measured_limit_of_blank([1, 1, 7, 7]) == pytest.approx(4 + 1.645 * np.sqrt(12))
    # Counting alone spreads 16 by 4, so that four equal blanks prove no smaller spread.
    assert measured_limit_of_blank([16, 16, 16, 16]) == pytest.approx(16 + 1.645 * 4)
    # Rank 0.5 + 0.95 * 60 = 57.5 of 1 to 60.
    assert measured_limit_of_blank(range(60, 0, -1)) == pytest.approx(57.5)
    assert measured_limit_of_blank([0, 0]) == 0.0
    assert measured_limit_of_blank([5]) is None and measured_limit_of_blank([]) is None


def test_limit_of_detection_pools_deviations_by_their_degrees() -> None:
    # (2 * 4 + 1 * 2) / 3 is the pooled variance of [8, 10, 12] and [9, 11].
    assert measured_limit_of_detection(5.0, [[8, 10, 12], [9, 11], [40]]) == pytest.approx(
        5.0 + 1.645 * np.sqrt(10 / 3)
    )
    assert measured_limit_of_detection(None, [[1, 2]]) is None
    assert (
        measured_limit_of_detection(5.0, [[3]]) is None
        and measured_limit_of_detection(5.0, []) is None
    )


def make_study(
    counts: dict[tuple[str, str, float], list[int]],
    n_events: dict[str, int],
    left_out: tuple[LeftOut, ...] = (),
) -> DetectionStudy:
    """Make a study of found counts, all of them true but for blanks."""
    runs = [
        DilutionRun(
            *key,
            repeat=number,
            n_events=n_events[key[0]],
            n_spiked=round(key[2] * n_events[key[0]]),
            n_found=count,
            n_true=count if key[2] else 0,
            expected=1.0,
            blank=3.0,
            lod=7.0,
        )
        for key, found in counts.items()
        for number, count in enumerate(found, start=1)
    ]
    files = dict.fromkeys((key[0] for key in counts), "0")
    rule = DetectionRule("blast", 20, 50, call_as="Blasts")
    levels = tuple(dict.fromkeys(key[2] for key in counts))
    setting = DilutionSetting(levels)
    truth = Truth({}, ("blast",))
    return DetectionStudy(setting, rule, tuple(runs), left_out, truth, files, ())


def limits_of(study: DetectionStudy) -> dict[str, DetectionLimits]:
    return {item.sample_id: item for item in find_limits(study, summarise_levels(study))}


COUNTS = {
    ("a", BLASTS, 1e-2): [950, 1000, 1050],
    ("a", BLASTS, 1e-3): [90, 100, 110],
    ("a", BLASTS, 1e-4): [6, 10, 14],
    ("a", BLASTS, 0.0): [2, 4, 6],
    ("a", CONTROL, 1e-2): [0, 0, 0],
}


def test_limits_are_those_computed_by_hand() -> None:
    found = limits_of(make_study(COUNTS, {"a": 100_000}))
    own = found["a"]
    assert own.lob == pytest.approx(4 + 1.645 * 2)
    assert own.lod_measured == pytest.approx(4 + 1.645 * 2 + 1.645 * 4)
    # 20 events of the template are more than 13.9 measured.
    assert (own.lod, own.lod_percent) == (20.0, pytest.approx(0.02))
    # 10 of 100 are 10 %; 10 events are fewer than 50.
    assert (own.loq, own.loq_percent) == (pytest.approx(100), pytest.approx(0.1))
    assert own.flags == ()
    assert replace(own, sample_id="pooled") == found["pooled"]


def test_what_is_detected_reaches_both_limits_of_detection() -> None:
    study = make_study({("a", BLASTS, 1e-3): [19, 20, 21, 30]}, {"a": 20_000})
    # The template asks for 20, the method for 7; then the method for 20.4, that is for 21.
    assert [item.n_detected for item in summarise_levels(study)] == [3]
    runs = tuple(replace(run, lod=20.4) for run in study.runs)
    assert [item.n_detected for item in summarise_levels(replace(study, runs=runs))] == [2]


def test_more_blanks_than_the_template_has_raise_the_limit_of_detection() -> None:
    own = limits_of(make_study(COUNTS | {("a", BLASTS, 0.0): [90, 100, 110]}, {"a": 100_000}))["a"]
    assert own.lod == own.lod_measured == pytest.approx(100 + 1.645 * 10 + 1.645 * 4)
    # What is found at 1e-3 is less than the limit of detection, however well it repeats.
    assert own.loq == pytest.approx(1000)


def test_all_files_together_need_every_file() -> None:
    other = {("b", arm, level): [3 * n for n in own] for (_, arm, level), own in COUNTS.items()}
    other[("b", BLASTS, 1e-3)] = [50, 100, 150]
    found = limits_of(make_study(COUNTS | other, {"a": 100_000, "b": 300_000}))
    assert found["a"].loq_percent == pytest.approx(0.1)
    assert found["b"].loq_percent == found["pooled"].loq_percent == pytest.approx(1.0)
    blanks = np.array([2, 4, 6, 6, 12, 18])
    assert found["pooled"].lob == pytest.approx(blanks.mean() + 1.645 * blanks.std(ddof=1))
    assert "DENOMINATORS_DIFFER" in found["pooled"].flags and not found["a"].flags


def test_blanks_alone_give_no_limit_of_detection() -> None:
    own = limits_of(make_study({("a", BLASTS, 0.0): [2, 4, 6]}, {"a": 1000}))["a"]
    assert own.lob == pytest.approx(7.29)
    assert (own.lod_measured, own.lod, own.loq, own.lod_percent) == (None, None, None, None)
    assert set(own.flags) == {"NO_LOW_LEVEL", "LOQ_NOT_REACHED", "CONTROL_NOT_RUN"}


def test_without_blanks_nothing_is_known() -> None:
    few = {key: found for key, found in COUNTS.items() if key[2]} | {("a", BLASTS, 0.0): [3]}
    own = limits_of(make_study(few, {"a": 100_000}))["a"]
    assert (own.lob, own.lod, own.loq, own.lob_percent) == (None, None, None, None)
    assert set(own.flags) == {"NO_BLANKS", "LOQ_NOT_REACHED"}


def test_a_control_that_is_found_is_flagged() -> None:
    study = make_study(COUNTS | {("a", CONTROL, 1e-2): [800, 900]}, {"a": 100_000})
    levels = summarise_levels(study)
    assert [item.flags for item in levels if item.arm == CONTROL] == [("CONTROL_FOUND",)]
    assert all("CONTROL_FOUND" in item.flags for item in find_limits(study, levels))


def test_the_figure_is_the_same_for_the_same_study_and_stands_nothing() -> None:
    for counts in (COUNTS, {("a", BLASTS, 0.0): [0, 0]}):
        study = make_study(counts, {"a": 100_000})
        levels = summarise_levels(study)
        drawn = [draw_detection(study.runs, levels, find_limits(study, levels)) for _ in range(2)]
        assert drawn[0] == drawn[1]
