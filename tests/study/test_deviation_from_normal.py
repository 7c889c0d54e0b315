"""Leukemia that no baseline knows, or that changed, is flagged and never counted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cytoflow_car.simulate import simulate_cohort
from cytoflow_car.study.batch import run_study

FLAG = "DEVIATES_FROM_NORMAL"
#: Percent of blasts among the events: what is surely seen, and where nothing is there to be seen.
SEEN, NOTHING = 3.0, 0.0


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Return what each marrow holds, by sample_id, and the results of a study without baselines."""
    folder = tmp_path_factory.mktemp("without")
    study = folder / "study"
    simulate_cohort(study, patients=2, events=10_000, seed=4)
    told = pd.read_csv(study / "truth.csv")
    sheet = pd.read_csv(study / "samples.csv", dtype=str)
    sheet = sheet[(sheet["specimen"] == "BM") & (sheet["tube"] == "B") & sheet["file"].notna()]
    sheet.assign(baseline="", template="blasts_bm").to_csv(study / "samples.csv", index=False)
    run_study(study, folder / "results", jobs=1, pictures=False)
    blasts = told[told["measurement"] == "blast_percent_of_nucleated"].merge(sheet, on="file")
    return blasts.set_index("sample_id"), folder / "results"


def test_marrows_with_leukemia_are_flagged_and_normal_ones_are_not(
    results: tuple[pd.DataFrame, Path],
) -> None:
    told, folder = results
    measured = pd.read_csv(folder / "measurements.csv", keep_default_na=False)
    rows = measured[measured["measurement"] == "blast_percent_of_nucleated"].set_index("sample_id")
    flagged = rows["flags"].str.contains(FLAG).reindex(told.index)
    leukemic, normal = told["value"] >= SEEN, told["value"] == NOTHING
    assert leukemic.sum() >= 2
    assert normal.sum() >= 3
    assert flagged[leukemic].all()
    assert not flagged[normal].any()
    assert (rows.loc[flagged[flagged].index, "review_status"] == "TO_REVIEW").all()
    # The gates count; the flag says that nothing else did.
    assert rows["flags"].str.contains("NO_BASELINE").all()


def test_quality_control_tells_how_the_specimens_lie_on_the_reference(
    results: tuple[pd.DataFrame, Path],
) -> None:
    told, folder = results
    checks = pd.read_csv(folder / "qc.csv", keep_default_na=False)
    unassigned = checks[checks["check"] == "unassigned"].set_index("sample_id")
    share = unassigned["value"].astype(float).reindex(told.index)
    # Blasts are what the reference does not know.
    leukemic = told["value"] >= SEEN
    assert (share[leukemic] >= 0.5 * told.loc[leukemic, "value"]).all()
    assert (share[~leukemic] < 1.0 + told.loc[~leukemic, "value"]).all()
    assert (unassigned["flag"].str.len() > 0).equals(unassigned["value"].astype(float) > 1.0)
    anchors = checks[checks["check"] == "anchors"]
    assert set(anchors["sample_id"]) == set(told.index)
    assert anchors["value"].astype(float).min() >= 5


def test_leukemia_unlike_the_baseline_is_flagged(tmp_path: Path) -> None:
    # Another person's leukemia stands for one that changed: a part of it is not found.
    simulate_cohort(tmp_path, patients=3, events=10_000, seed=4)
    told = pd.read_csv(tmp_path / "truth.csv")
    sheet = pd.read_csv(tmp_path / "samples.csv", dtype=str, keep_default_na=False)
    wanted = {"P01_BM_d000_B": "yes", "P03_BM_d000_B": "", "P01_BM_d030_B": "", "P03_BM_d030_B": ""}
    sheet = sheet[sheet["sample_id"].isin(wanted)]
    sheet["baseline"] = sheet["sample_id"].map(wanted)
    sheet["day"] = [str(number) for number in range(len(sheet))]
    sheet.assign(patient_id="P01", template="blasts_bm").to_csv(
        tmp_path / "samples.csv", index=False
    )
    run_study(tmp_path, tmp_path / "results", jobs=1, pictures=False)
    measured = pd.read_csv(tmp_path / "results" / "measurements.csv", keep_default_na=False)
    rows = measured[measured["measurement"] == "blast_percent_of_nucleated"].set_index("sample_id")
    flagged = rows["flags"].str.contains(FLAG)
    blasts = told[told["measurement"] == "blast_percent_of_nucleated"].merge(sheet, on="file")
    planted = blasts.set_index("sample_id")["value"]
    missed = planted - rows["value"].astype(float)
    assert missed["P03_BM_d000_B"] > SEEN
    assert flagged["P03_BM_d000_B"]
    assert not flagged[["P01_BM_d000_B", "P01_BM_d030_B", "P03_BM_d030_B"]].any()
