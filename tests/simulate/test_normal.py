"""Marrows without leukemia: known event by event, spread over what is normal, and beside a study.

They change nothing of the study that they are written with.
"""

from __future__ import annotations

from pathlib import Path

import flowio
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cytoflow_car.errors import StudyError
from cytoflow_car.simulate import cells, simulate_cohort
from cytoflow_car.simulate.panels import B_PANEL
from cytoflow_car.simulate.specimens import draw_normal_marrow

EVENTS = 3000
PERSONS = 6


def contents(folder: Path) -> dict[str, bytes]:
    """Return relative path to content for every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("with_normal") / "study"
    simulate_cohort(out, patients=1, events=EVENTS, seed=5, small=True, normal=PERSONS)
    return out


def test_the_study_beside_them_has_the_same_bytes(study: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=1, events=EVENTS, seed=5, small=True)
    with_normal = contents(study)
    names = {name for name in with_normal if name.startswith("normal/")}
    assert names == {
        name
        for number in range(1, PERSONS + 1)
        for name in (f"normal/N{number:02d}_BM_B.fcs", f"normal/labels/N{number:02d}_BM_B.csv")
    }
    rest = {name: content for name, content in with_normal.items() if name not in names}
    assert contents(tmp_path) == rest
    for table in ("samples.csv", "truth.csv"):
        assert b"N01" not in rest[table]


def test_a_person_does_not_depend_on_how_many_there_are(study: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=2, events=EVENTS, seed=5, small=True, normal=2)
    few, many = contents(tmp_path / "normal"), contents(study / "normal")
    assert len(few) == 4
    assert few == {name: many[name] for name in few}


def test_each_event_of_the_b_tube_has_its_label(study: Path) -> None:
    for number in range(1, PERSONS + 1):
        name = f"N{number:02d}_BM_B"
        data = flowio.FlowData(study / "normal" / f"{name}.fcs")
        assert data.pnn_labels == ["FSC-A", "FSC-H", "SSC-A", *B_PANEL.detectors, "Time"]
        labels = pd.read_csv(study / "normal" / "labels" / f"{name}.csv").fillna("")
        assert list(labels.columns) == ["population", "carries"]
        assert len(labels) == data.event_count == EVENTS
        assert not labels["population"].str.contains(r"\bblast\b").any()
        # The row of a label is that of its event: only granulocytes scatter so much to the side.
        side = np.reshape(data.events, (EVENTS, -1))[:, 2]
        granular = np.median(side[labels["population"] == "neutrophil"])
        assert granular > 3 * np.median(side[labels["population"].str.startswith("T ")])


def test_each_person_has_a_session(study: Path) -> None:
    files = sorted((study / "normal").glob("*.fcs"))
    texts = [flowio.FlowData(path, only_text=True).text for path in files]
    assert len({text["spillover"] for text in texts}) == PERSONS
    assert len({text["date"] for text in texts}) == PERSONS


def test_no_drift_is_asked_for_and_none_is_in_them(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=1, events=100, seed=5, small=True, gain_sd=0.0, normal=3)
    files = sorted((tmp_path / "normal").glob("*.fcs"))
    texts = [flowio.FlowData(path, only_text=True).text for path in files]
    assert len({text["spillover"] for text in texts}) == 1


def test_normal_b_cells_span_what_is_normal_and_there_is_no_blast() -> None:
    rng = np.random.default_rng(3)
    draws = [draw_normal_marrow(rng) for _ in range(400)]
    b_shares = np.array([draw.rates[cells.NORMAL_B].sum() for draw in draws])
    assert all(draw.rates[cells.CELLS].sum() == pytest.approx(1.0) for draw in draws)
    assert all(draw.rates[cells.BLASTS].sum() == 0 for draw in draws)
    uniform = stats.uniform(np.log(0.01), np.log(0.40 / 0.01))
    assert stats.kstest(np.log(b_shares), uniform.cdf).pvalue > 1e-3
    assert b_shares.min() < 0.012
    assert b_shares.max() > 0.35


def test_in_half_of_the_persons_b_cells_regenerate() -> None:
    rng = np.random.default_rng(4)
    stages = [cells.INDEX[name] for name in cells.B_STAGES]
    rates = np.array([draw_normal_marrow(rng).rates[stages] for _ in range(400)])
    # Expected 0.42 : 0.12 of pre-B to mature B where they regenerate and 0.25 : 0.40 at rest, each
    # with an SD of ln 0.42: the middle between the two medians parts 98 %.
    middle = np.sqrt((0.42 / 0.12) * (0.25 / 0.40))
    regenerate = rates[:, 2] / rates[:, 4] > middle
    assert 0.42 < regenerate.mean() < 0.58
    shares = rates / rates.sum(axis=1, keepdims=True)
    for rows, expected in (
        (regenerate, (0.06, 0.22, 0.42, 0.18, 0.12)),
        (~regenerate, (0.05, 0.15, 0.25, 0.15, 0.40)),
    ):
        assert np.median(shares[rows], axis=0) == pytest.approx(expected, rel=0.12)


def test_realised_shares_are_those_drawn(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=1, events=40_000, seed=8, small=True, normal=1)
    labels = pd.read_csv(tmp_path / "normal" / "labels" / "N01_BM_B.csv")["population"]
    names = {cell.name for cell in cells.CLASSES if cell.lineage != "particle"}
    nucleated = int(labels.isin(names).sum())
    b_cells = int(labels.isin(cells.B_STAGES).sum())
    seed = np.random.SeedSequence(8).spawn(5)[4].spawn(1)[0]
    planted = draw_normal_marrow(np.random.default_rng(seed)).rates[cells.NORMAL_B].sum()
    interval = stats.binomtest(b_cells, nucleated).proportion_ci(0.9999)
    assert interval.low < planted < interval.high
    assert nucleated > 30_000


def test_marrows_of_another_study_are_not_mixed_in(tmp_path: Path) -> None:
    (tmp_path / "normal").mkdir()
    with pytest.raises(StudyError, match="holds a study already"):
        simulate_cohort(tmp_path, patients=1, events=100, seed=1, normal=1)
