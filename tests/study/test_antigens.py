"""Beads, controls and baselines reach the densities of a run; what is wrong with them is told.

The study is that of one simulated patient of ``sample_fcs/`` with a relapse that lost CD19.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytoflow_car.fcs import read_fcs, write_fcs
from cytoflow_car.model.events import Events
from cytoflow_car.study.batch import DONE, SOME_FAILED, run_study

SAMPLE = Path(__file__).parent.parent.parent / "sample_fcs"
BASELINE, RELAPSE = "P03_BM_d000_B", "P03_BM_d218_B"
KIT = "kits/simulated_pe.toml"


@dataclass(frozen=True)
class Run:
    """A run and its tables."""

    exit_code: int
    out: Path

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.out / f"{name}.csv", keep_default_na=False)

    def antigen(self, sample_id: str, name: str) -> pd.Series:
        found = self.table("antigens").set_index(["sample_id", "antigen"])
        return found.loc[(sample_id, name)]

    def measurement(self, sample_id: str, name: str) -> pd.Series:
        found = self.table("measurements").set_index(["sample_id", "measurement"])
        return found.loc[(sample_id, name)]


def write_study(
    folder: Path, *, session: str = "", change: Callable[[dict[str, str]], None] = lambda row: None
) -> Path:
    """Copy the patient's marrows with their FMOs and beads; a session alone where it is named."""
    with (SAMPLE / "samples.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    chosen = []
    for row in rows:
        of_session = not session or row["batch"] == session
        beads = row["role"] == "calibration_beads" and row["batch"] in ("S007", "S009")
        marrow = row["sample_id"].startswith(("P03_BM_d000", "P03_BM_d218"))
        if of_session and (beads or marrow):
            if row["template"]:
                row["template"] = "blasts_bm"
            change(row)
            if row["file"]:
                chosen.append(row)
    for row in chosen:
        target = folder / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SAMPLE / row["file"], target)
    shutil.copytree(SAMPLE / "kits", folder / "kits")
    for name in ("study.toml", "patients.csv", "infusions.csv"):
        shutil.copyfile(SAMPLE / name, folder / name)
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, tuple(rows[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return folder


def run(study: Path, *, pictures: bool = False, jobs: int = 1) -> Run:
    out = study.parent / f"{study.name}_out"
    return Run(run_study(study, out, jobs=jobs, pictures=pictures).exit_code, out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of the patient's two marrows, in two processes as on a laboratory's computer."""
    return run(write_study(tmp_path_factory.mktemp("whole") / "study"), pictures=True, jobs=2)


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Return what was planted, by sample_id and measurement."""
    sheet = pd.read_csv(SAMPLE / "samples.csv")[["file", "sample_id"]]
    told = pd.read_csv(SAMPLE / "truth.csv").merge(sheet, on="file")
    return told.set_index(["sample_id", "measurement"])


@pytest.mark.parametrize("sample_id", [BASELINE, RELAPSE])
@pytest.mark.parametrize("antigen", ["blast_cd19", "blast_cd22"])
def test_a_run_finds_the_planted_density(
    whole: Run, truth: pd.DataFrame, sample_id: str, antigen: str
) -> None:
    planted = float(truth.loc[(sample_id, f"{antigen}_abc"), "value"])
    row = whole.measurement(sample_id, f"{antigen}_abc")
    assert row["unit"] == "ABC"
    assert float(row["value_net"]) == pytest.approx(planted, rel=0.07)
    assert float(row["value"]) - float(row["background"]) == pytest.approx(float(row["value_net"]))


def test_a_run_names_what_the_relapse_lost(whole: Run) -> None:
    lost, kept = (whole.measurement(RELAPSE, f"blast_{name}_abc") for name in ("cd19", "cd22"))
    assert (lost["antigen_status"], lost["antigen_change"]) == ("NEG", "LOSS")
    assert (kept["antigen_status"], kept["antigen_change"]) == ("NO_REFERENCE", "UNCHANGED")
    assert whole.measurement(BASELINE, "blast_cd19_abc")["antigen_change"] == ""
    points = whole.table("timepoints").set_index("specimen_id")
    assert points.loc["P03_BM_d218", "blast_cd19_abc__antigen_change"] == "LOSS"
    assert float(points.loc["P03_BM_d218", "blast_cd22_abc__net"]) == pytest.approx(
        float(kept["value_net"])
    )


def test_every_session_has_its_own_calibration(whole: Run) -> None:
    assert whole.exit_code == DONE
    found = whole.table("calibrations")
    assert sorted(found["sample_id"]) == [
        "S007_beads_CD19", "S007_beads_PE", "S009_beads_CD19", "S009_beads_PE",
    ]  # fmt: skip
    assert whole.antigen(BASELINE, "blast_cd22")["calibration"] == "S007_beads_PE"
    assert whole.antigen(RELAPSE, "blast_cd22")["calibration"] == "S009_beads_PE"
    later = found.set_index("sample_id").loc["S009_beads_PE"]
    assert later["compared_with"] == "S007_beads_PE"
    first = found.set_index("sample_id").loc["S007_beads_PE"]
    assert float(later["intercept_change"]) == pytest.approx(
        float(later["intercept"]) - float(first["intercept"])
    )
    assert len(whole.table("bead_peaks")) == 4 * 2 + 5 * 2


def test_a_run_draws_beads_and_antigens(whole: Run) -> None:
    drawn = {
        path.relative_to(whole.out / "pictures").as_posix() for path in whole.out.rglob("*.png")
    }
    assert "S007_beads_PE.png" in drawn
    assert f"antigens/{BASELINE}.blasts_bm.blast_cd19.png" in drawn


def test_histograms_hold_the_events_of_the_table(whole: Run) -> None:
    bins = pd.read_parquet(whole.out / "histograms.parquet")
    own = bins[(bins["antigen"] == "blast_cd22") & (bins["population"] == "blasts")]
    for sample_id, counts in own.groupby("sample_id")["count"]:
        assert counts.sum() == int(whole.antigen(str(sample_id), "blast_cd22")["n_events"])
    assert set(own["scale"]) == {"ABC"} and (own["bin_low"] < own["bin_high"]).all()


def leaflet(study: Path, levels: str) -> None:
    kit = study / KIT
    lines = kit.read_text(encoding="utf-8").splitlines()
    changed = [f"levels = {levels}" if line.startswith("levels") else line for line in lines]
    kit.write_text("\n".join(changed) + "\n", encoding="utf-8")


def change_beads(study: Path, change: Callable[[Events], Events]) -> None:
    """Write the session's PE beads anew, with other events or settings."""
    path = study / "fcs" / "S007_beads_PE.fcs"
    sample = read_fcs(path)
    keywords = {"$CYT": "Simulated cytometer", "$CYTSN": "SIM-0001", "$TIMESTEP": "0.01"}
    keywords |= _settings(path)
    write_fcs(path, change(sample.events), keywords=keywords)


def _settings(path: Path) -> dict[str, str]:
    """Return the keywords by which a cytometer and a day are known."""
    import flowio

    text = flowio.FlowData(str(path), only_text=True).text
    return {f"${name.upper()}": text[name] for name in ("cyt", "cytsn", "date", "btim", "etim")}


def without_brightest(events: Events) -> Events:
    values = np.asarray(events.values)
    return Events(values[values[:, 2] < 20_000], events.channels)


def saturated(events: Events) -> Events:
    values = np.array(events.values)
    values[:, 2] = np.minimum(values[:, 2] * 10, 262_143)
    return Events(values, events.channels)


def of_another_voltage(events: Events) -> Events:
    channels = tuple(
        replace(item, voltage=400.0) if item.detector == "PE-A" else item
        for item in events.channels
    )
    return Events(np.asarray(events.values), channels)


FAULTS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # Without a number: the flag of the density, and the failure of the beads (none where they are
    # sound, but do not fit).
    "a kit of more levels": (
        lambda study: leaflet(study, "[0, 500, 5000, 23000, 61000]"), "NO_CALIBRATION",
        "calibration: 4 peaks",
    ),
    "shuffled lot values": (
        lambda study: leaflet(study, "[504, 23488, 5392, 61395]"), "NO_CALIBRATION",
        "calibration: levels [504.0, 23488.0, 5392.0, 61395.0] do not ascend",
    ),
    "three peaks of four": (
        lambda study: change_beads(study, without_brightest), "NO_CALIBRATION",
        "calibration: 3 peaks",
    ),
    "beads of another voltage": (
        lambda study: change_beads(study, of_another_voltage),
        "CALIBRATION_OF_OTHER_SETTINGS:voltage 510 not 400", "",
    ),
    "a kit file that is not there": (
        lambda study: (study / KIT).unlink(), "NO_CALIBRATION",
        "calibration: it cannot be opened",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_beads_without_a_calibration_give_no_number(tmp_path: Path, fault: str) -> None:
    make, flag, failure = FAULTS[fault]
    study = write_study(tmp_path / "study", session="S007")
    make(study)
    found = run(study)
    row = found.measurement(BASELINE, "blast_cd22_abc")
    assert (row["status"], row["value"], row["value_net"]) == ("NOT_DONE", "", "")
    assert flag in row["flags"].split(";")
    # The ratio to cells of the tube and the other antigen are as they were.
    assert found.measurement(BASELINE, "blast_cd22_ratio_to_t")["value"] != ""
    assert found.measurement(BASELINE, "blast_cd19_abc")["value_net"] != ""
    failed = found.table("failures")
    if not failure:
        assert found.exit_code == DONE and failed.empty
        return
    assert found.exit_code == SOME_FAILED
    code, _, said = failure.partition(": ")
    assert failed["sample_id"].tolist() == ["S007_beads_PE"]
    assert failed["code"].tolist() == [code] and said in failed["message"][0]
    assert ".fcs" not in failed["message"][0]


FLAGGED = {
    "levels of another kit": (
        lambda study: leaflet(study, "[300, 1200, 60000, 61395]"),
        {"CALIBRATION_CHECK:POOR_FIT", "CALIBRATION_CHECK:BACK_CALCULATED"},
    ),
    "a saturated top peak": (
        lambda study: change_beads(study, saturated), {"CALIBRATION_CHECK:PEAK_SATURATED"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FLAGGED)
def test_a_doubtful_calibration_is_told_on_every_number(tmp_path: Path, fault: str) -> None:
    make, flags = FLAGGED[fault]
    study = write_study(tmp_path / "study", session="S007")
    make(study)
    found = run(study)
    row = found.measurement(BASELINE, "blast_cd22_abc")
    assert row["value"] != ""
    assert flags <= set(row["flags"].split(";"))


def test_without_beads_nothing_is_in_molecules(tmp_path: Path) -> None:
    def drop(row: dict[str, str]) -> None:
        if row["role"] == "calibration_beads":
            row["file"] = ""

    found = run(write_study(tmp_path / "study", session="S007", change=drop))
    assert found.exit_code == DONE
    measured = found.table("measurements")
    assert measured.loc[measured["unit"] == "ABC", "value"].eq("").all()
    assert measured.loc[measured["unit"] == "ratio", "value"].ne("").any()
    assert set(found.table("antigens")["unit"]) == {"a.u."}


def test_old_beads_are_flagged(tmp_path: Path) -> None:
    def keep(row: dict[str, str]) -> None:
        # The relapse has only the beads of the first day.
        if row["sample_id"].startswith("S009"):
            row["file"] = ""

    found = run(write_study(tmp_path / "study", change=keep))
    row = found.antigen(RELAPSE, "blast_cd22")
    assert row["calibration"] == "S007_beads_PE"
    assert any(flag.startswith("CALIBRATION_OLD:2") for flag in row["flags"].split(";"))


def test_a_drug_that_hides_an_antigen_makes_it_incomparable(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    patients = pd.read_csv(study / "patients.csv", dtype=str)
    patients.loc[patients["patient_id"] == "P03", "prior_blinatumomab_day"] = "100"
    patients.to_csv(study / "patients.csv", index=False)
    found = run(study)
    hidden, free = (found.antigen(RELAPSE, f"blast_{name}") for name in ("cd19", "cd22"))
    assert (hidden["antigen_change"], hidden["change_reason"]) == (
        "NOT_COMPARABLE", "MASKED:blinatumomab on day 100",
    )  # fmt: skip
    assert free["antigen_change"] == "UNCHANGED"


@pytest.mark.parametrize("day", ["-60", "300"])
def test_a_drug_before_both_specimens_or_after_them_hides_nothing(tmp_path: Path, day: str) -> None:
    study = write_study(tmp_path / "study")
    patients = pd.read_csv(study / "patients.csv", dtype=str)
    patients.loc[patients["patient_id"] == "P03", "prior_blinatumomab_day"] = day
    patients.to_csv(study / "patients.csv", index=False)
    assert run(study).antigen(RELAPSE, "blast_cd19")["antigen_change"] == "LOSS"


def test_another_panel_version_without_a_named_reagent_is_incomparable(tmp_path: Path) -> None:
    def change(row: dict[str, str]) -> None:
        if row["sample_id"].startswith("P03_BM_d218"):
            row["panel_version"] = "B-2"

    found = run(write_study(tmp_path / "study", change=change))
    row = found.antigen(RELAPSE, "blast_cd22")
    assert row["antigen_change"] == "NOT_COMPARABLE"
    assert row["change_reason"] == "PANEL_VERSION B-1, now B-2"
