"""The letter and a foreign cohort, by the commands that the documentation gives."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from outcome_sums import differing, sums

from cytoflow_car.cli import cli

LETTER = [
    "--endpoint", "LFS=lfs_months:relapse", "--endpoint", "OS=os_months:death",
    "--group", "early_ig@12", "--becomes", "ig_recovery=ig_recovery_month",
    "--at", "12", "--at", "18", "--landmark", "6",
]  # fmt: skip
COHORT = [
    "--id", "Patient_ID", "--unit", "days", "--leave-out", "-(Rx|PB)$",
    "--endpoint", "RFS=Time to relapse+CCR:Relapse Status", "--group", "DDPR Risk=High",
    "--at", "1095",
]  # fmt: skip


def run(table: Path, out: Path, *options: str) -> tuple[str, pd.DataFrame]:
    """Run the command and return what it says and its statistics."""
    done = CliRunner().invoke(cli, ["outcome", str(table), "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    return done.output, pd.read_csv(out / "statistics.csv", keep_default_na=False)


def one(found: pd.DataFrame, **wanted: object) -> pd.Series:
    for column, value in wanted.items():
        found = found[found[column].astype(str) == str(value)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.fixture(scope="module")
def letter(
    data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, pd.DataFrame, Path]:
    out = tmp_path_factory.mktemp("letter")
    options = (*LETTER, "--allow-immortal-time")
    said, found = run(data_folder / "letter_reconstruction.csv", out, *options)
    return said, found, out


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"endpoint": "LFS", "analysis": "survival", "at": 12.0, "transform": "plain"}, ".795"),
        ({"endpoint": "LFS", "analysis": "survival", "at": 18.0, "transform": "plain"}, ".795"),
        ({"endpoint": "OS", "analysis": "survival", "at": 12.0, "transform": "plain"}, ".923"),
        ({"endpoint": "LFS", "analysis": "cox"}, "21.370 1.874 243.661"),
        ({"endpoint": "LFS", "analysis": "firth"}, "17.8 2.28 201"),
        ({"endpoint": "LFS", "analysis": "time_dependent_firth"}, "54.0 2.88 7880"),
    ],
)
def test_the_letter_is_reproduced(
    letter: tuple[str, pd.DataFrame, Path], wanted: dict[str, object], numbers: str
) -> None:
    row = one(letter[1], **wanted)
    told = [row[name] for name in ("estimate", "ci_low", "ci_high")]
    for text, number in zip(numbers.split(), told, strict=False):
        digits = len(text.replace(".", ""))
        assert float(f"{float(number):.{digits}g}") == float(text)


def test_the_letters_log_rank_and_landmark(letter: tuple[str, pd.DataFrame, Path]) -> None:
    _, found, out = letter
    test = one(found, endpoint="LFS", analysis="log_rank")
    assert round(float(test["statistic"]), 3) == 12.168
    events = found[(found["endpoint"] == "LFS") & (found["analysis"] == "landmark_events")]
    counts = {row["group"]: (int(row["n_events"]), int(row["n"])) for _, row in events.iterrows()}
    assert counts == {"0": (2, 18), "1": (1, 1)}
    landmark = pd.read_csv(out / "landmark_6.csv")
    assert len(landmark[landmark["paramcd"] == "LFS"]) == 19


def test_what_is_biased_by_immortal_time_says_so(letter: tuple[str, pd.DataFrame, Path]) -> None:
    said, found, _ = letter
    biased = set(found.loc[found["immortal_time"] == "yes", "analysis"])
    assert biased == {"events", "log_rank", "cox", "firth"}
    assert "biased by immortal time: log_rank by early_ig, cox by early_ig" in said


def test_without_the_word_for_it_no_such_estimate_is_made(
    data_folder: Path, tmp_path: Path
) -> None:
    _, found = run(data_folder / "letter_reconstruction.csv", tmp_path / "out", *LETTER)
    refused = found[found["analysis"].isin(["log_rank", "cox", "firth"])]
    assert len(refused) == 6 and (refused["estimate"] == "").all()
    assert refused["reason"].str.contains("known 12 after the origin").all()


def test_events_time_and_patients_are_the_same_in_every_table(
    letter: tuple[str, pd.DataFrame, Path],
) -> None:
    out = letter[2]
    adtte, found = pd.read_csv(out / "adtte.csv"), sums(out)
    assert (adtte["EVENT"] == (adtte["CNSR"] == 0)).all()
    assert set(found["endpoint"]) == {"LFS", "OS", "LFS after 6", "OS after 6"}
    assert (
        found["table"].nunique() == 4
        and (found.loc[found["endpoint"] == "LFS", "patients"] == 20).all()
    )
    assert differing(found) == []


def test_every_column_is_in_the_dictionary(letter: tuple[str, pd.DataFrame, Path]) -> None:
    out = letter[2]
    told = pd.read_csv(out / "dictionary.csv", keep_default_na=False)
    for path in out.glob("*.csv"):
        if path.name != "dictionary.csv":
            columns = list(pd.read_csv(path, nrows=0).columns)
            assert told.loc[told["file"] == path.name, "column"].tolist() == columns
    assert (told["meaning"] != "").all()


def test_a_foreign_cohort_is_read_as_it_is(data_folder: Path, tmp_path: Path) -> None:
    table = data_folder / "tidytof" / "inst" / "extdata" / "ddpr_metadata.csv"
    said, found = run(table, tmp_path / "out", *COHORT)
    assert "left out of RFS, without time or event: rows 52" in said
    # Counted by hand: 60 patients of 73 rows, 6 of them without follow-up.
    log_rank = one(found, analysis="log_rank")
    assert (int(log_rank["n"]), int(log_rank["n_events"])) == (54, 17)
    counts = found[found["analysis"] == "events"].set_index("group")
    assert counts["n"].astype(int).to_dict() == {"0": 35, "1": 19}
    assert float(one(found, analysis="cox")["estimate"]) > 10


def test_every_figure_of_the_letter_is_drawn(letter: tuple[str, pd.DataFrame, Path]) -> None:
    drawn = {path.name for path in (letter[2] / "figures").iterdir()}
    names = ("lfs", "os", "lfs_by_group_1", "os_by_group_1", "lfs_landmark_6_ig_recovery",
             "lfs_incidence_landmark_6_ig_recovery", "os_landmark_6_ig_recovery")  # fmt: skip
    assert drawn == {f"{name}{ending}" for name in names for ending in (".svg", ".png")}


def test_the_tables_load_in_r_as_they_are(letter: tuple[str, pd.DataFrame, Path]) -> None:
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("no Rscript on this machine")
    script = """
        library(survival)
        adtte <- read.csv("adtte.csv"); tv <- read.csv("tv.csv")
        lfs <- adtte[adtte$PARAMCD == "LFS", ]
        fit <- survfit(Surv(AVAL, EVENT) ~ 1, data = lfs)
        rows <- tv[tv$paramcd == "LFS", ]
        again <- survfit(Surv(tstart, tstop, event) ~ 1, data = rows)
        lfs$early <- as.numeric(lfs$USUBJID %in% c("P01", "P03"))
        early <- coxph(Surv(AVAL, EVENT) ~ early, data = lfs)
        cat(summary(fit, times = 12)$surv, summary(again, times = 12)$surv, exp(coef(early)))
    """
    done = subprocess.run(
        [program, "-e", script], cwd=letter[2], capture_output=True, encoding="utf-8", check=True
    )
    once, again, ratio = map(float, done.stdout.split())
    assert (round(once, 4), round(again, 4)) == (0.7953, 0.7953)
    assert round(ratio, 2) == 21.37


def test_the_tables_load_in_lifelines_as_they_are(
    letter: tuple[str, pd.DataFrame, Path],
) -> None:
    lifelines = pytest.importorskip("lifelines")
    adtte = pd.read_csv(letter[2] / "adtte.csv")
    own = adtte[adtte["PARAMCD"] == "LFS"]
    fitted = lifelines.KaplanMeierFitter().fit(own["AVAL"], own["EVENT"])
    assert fitted.predict(12.0) == pytest.approx(0.795322, abs=1e-6)
