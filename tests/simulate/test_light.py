"""The simulated cytometer keeps to its own physics: light, spillover, noise, order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.course import draw_patients
from cytoflow_car.simulate.cytometer import (
    DEAD,
    DOUBLET,
    LIVE,
    Acquisition,
    acquire,
    draw_session,
)
from cytoflow_car.simulate.panels import B_PANEL, DETECTORS, PANELS, T_PANEL, Panel
from cytoflow_car.simulate.specimens import Draw, draw_blood, draw_donor, draw_marrow

EVENTS = 100_000
TYPICAL_BLAST = {"size": 1.0}


def compensated(acquisition: Acquisition) -> np.ndarray:
    """Return the fluorescence values after the file's own spillover is undone."""
    values = acquisition.events.values[:, 3:-1].astype(float)
    restored: np.ndarray = values @ np.linalg.inv(acquisition.spillover.matrix)
    return restored


def live(acquisition: Acquisition, *prefixes: str) -> np.ndarray:
    """Return which events are live single cells whose class begins with a prefix."""
    wanted = [i for i, cell in enumerate(cells.CLASSES) if cell.name.startswith(prefixes)]
    rows: np.ndarray = (acquisition.kinds == LIVE) & np.isin(acquisition.labels, wanted)
    return rows


def flat(draw: Draw, names: dict[str, float]) -> Draw:
    """Return the draw with given classes at given shares, so that rare cells are many."""
    rates = draw.rates.copy()
    for name, rate in names.items():
        rates[cells.INDEX[name]] = rate
    return Draw(draw.specimen, rates, 0.03, 0.02, draw.activation, TYPICAL_BLAST)


@pytest.fixture(scope="module")
def blood() -> Acquisition:
    rng = np.random.default_rng(11)
    patient = draw_patients(1, rng)[0]
    draw = draw_blood(patient, patient.expansions[0].peak_day, rng)
    return acquire(draw, T_PANEL, draw_session(0.0, rng), EVENTS, rng)


@pytest.fixture(scope="module")
def marrow() -> Acquisition:
    rng = np.random.default_rng(12)
    patient = draw_patients(1, rng)[0]
    shares = dict.fromkeys(
        (*cells.B_STAGES, "blast", "CD34+ myeloid", "basophil", "pDC", "erythroblast"),
        0.08,
    )
    draw = flat(draw_marrow(patient, 0, rng), shares)
    return acquire(draw, B_PANEL, draw_session(0.0, rng), EVENTS, rng)


@pytest.mark.parametrize(
    ("antigen", "positive", "negative"),
    [
        ("CD3", ("T CD4", "T CD8"), ("NK",)),
        ("CD4", ("T CD4",), ("T CD8",)),
        ("CD8", ("T CD8",), ("T CD4",)),
        ("CD45RA", ("T CD8 naive",), ("T CD8 CM",)),
        ("CCR7", ("T CD4 naive",), ("T CD4 EM",)),
        ("CD14+CD235a", ("monocyte",), ("T CD4",)),
        ("CD45", ("neutrophil",), ("red cell", "platelet")),
    ],
)
def test_stain_indices_of_the_t_panel_are_those_of_real_stains(
    blood: Acquisition,
    antigen: str,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
) -> None:
    assert 3 <= stain_index(blood, T_PANEL, antigen, positive, negative) <= 30


@pytest.mark.parametrize(
    ("antigen", "positive", "negative"),
    [
        ("CD19", ("mature B",), ("T ",)),
        ("CD22", ("mature B",), ("T ",)),
        ("CD10", ("pro-B",), ("T ",)),
        ("CD34", ("CD34+ myeloid",), ("T ",)),
        ("CD38", ("pre-B",), ("mature B",)),
        ("CD58", ("blast",), ("pre-B",)),
        ("CD81", ("pre-B",), ("blast",)),
        ("CD20", ("mature B",), ("T ",)),
        ("CD45", ("mature B",), ("erythroblast",)),
        ("CD66b", ("neutrophil",), ("T ",)),
        ("CD24", ("pre-B",), ("T ",)),
        ("CD123", ("basophil",), ("T ",)),
    ],
)
def test_stain_indices_of_the_b_panel_are_those_of_real_stains(
    marrow: Acquisition,
    antigen: str,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
) -> None:
    assert 3 <= stain_index(marrow, B_PANEL, antigen, positive, negative) <= 30


def stain_index(
    acquisition: Acquisition,
    panel: Panel,
    antigen: str,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
) -> float:
    """Return (median positive - median negative) / (2 SD of the negative)."""
    values = compensated(acquisition)[:, panel.antigens.index(antigen)]
    dim = values[live(acquisition, *negative)]
    bright = values[live(acquisition, *positive)]
    assert min(dim.size, bright.size) > 200
    return float((np.median(bright) - np.median(dim)) / (2 * np.std(dim)))


def test_car_t_overlap_their_negatives_a_little(blood: Acquisition) -> None:
    values = compensated(blood)[:, T_PANEL.antigens.index("CAR19")]
    car = np.isin(blood.labels, np.flatnonzero(cells.CAR["CD19"])) & (blood.kinds == LIVE)
    others = np.isin(blood.labels, np.flatnonzero(cells.T & ~cells.CAR["CD19"]))
    others &= blood.kinds == LIVE
    index = (np.median(values[car]) - np.median(values[others])) / (2 * np.std(values[others]))
    missed = np.mean(values[car] < np.quantile(values[others], 0.999))
    assert 8 <= index <= 14
    assert 0.002 < missed < 0.10


def test_viability_dyes_mark_dead_cells(blood: Acquisition, marrow: Acquisition) -> None:
    for acquisition, panel in ((blood, T_PANEL), (marrow, B_PANEL)):
        values = compensated(acquisition)[:, panel.antigens.index("viability")]
        dead, alive = values[acquisition.kinds == DEAD], values[live(acquisition, "T ")]
        index = (np.median(dead) - np.median(alive)) / (2 * np.std(alive))
        assert 10 <= index <= 30


def test_compensation_with_the_files_spillover_restores_each_label(
    marrow: Acquisition,
) -> None:
    """CD19 light of a class depends on its CD19 alone, whatever its other labels spill.

    Autofluorescence is in no spillover matrix, so a few photo-electrons remain: the tolerance is
    4 % of the value plus 30 photo-electrons, against spilled light of hundreds.
    """
    values = compensated(marrow)
    for name in ("mature B", "CD34+ myeloid", "basophil", "neutrophil", "blast"):
        rows = live(marrow, name)
        cell = cells.CLASSES[cells.INDEX[name]]
        for column, stain in enumerate(B_PANEL.stains):
            if name == "mature B" or cell.spread.get(stain.antigen):
                continue  # stages blend into each other
            binding = cells.BACKGROUND[stain.antigen] * min(cell.autofluorescence, 2.0)
            copies = max(cell.copies.get(stain.antigen, 0.0), binding)
            detector = DETECTORS[stain.detector]
            glow = cell.autofluorescence * detector.autofluorescence
            expected = (copies * stain.brightness + glow) * detector.gain
            found = np.median(values[rows, column])
            # Staining, pipetting and biology vary by their own stated SDs (ln 0.1 together).
            assert found == pytest.approx(expected, rel=0.33, abs=30 * detector.gain)


def test_spilled_light_is_gone_after_compensation(blood: Acquisition) -> None:
    """CD4 spills into the CAR detector; compensated, CD4 and CD8 T cells agree there."""
    raw = blood.events.values[:, 4].astype(float)
    values = compensated(blood)[:, 1]
    cd4, cd8 = live(blood, "T CD4 EM"), live(blood, "T CD8 EM")
    car = np.isin(blood.labels, np.flatnonzero(cells.CAR["CD19"]))
    before = np.median(raw[cd4 & ~car]) - np.median(raw[cd8 & ~car])
    after = np.median(values[cd4 & ~car]) - np.median(values[cd8 & ~car])
    assert before > 100
    assert abs(after) < 0.25 * before


def test_dim_values_go_below_zero(blood: Acquisition) -> None:
    values = compensated(blood)[:, T_PANEL.antigens.index("CD3")]
    assert 0.02 < np.mean(values[live(blood, "NK")] < 0) < 0.5
    assert np.mean(blood.events.values[:, 3:-1] < 0) > 0.001


def test_doublets_are_wide_for_their_height(blood: Acquisition) -> None:
    ratio = blood.events.values[:, 1] / blood.events.values[:, 0]
    singles = ratio[live(blood, "T ", "neutrophil")]
    doublets = ratio[blood.kinds == DOUBLET]
    assert 0.025 < np.std(singles) / np.mean(singles) < 0.045
    assert np.median(doublets) < 0.85 * np.median(singles)


def test_order_of_events_says_nothing_of_their_class(
    blood: Acquisition, marrow: Acquisition
) -> None:
    for acquisition in (blood, marrow):
        stretch = np.arange(EVENTS) * 20 // EVENTS
        kind = acquisition.kinds.astype(int) * len(cells.CLASSES) + acquisition.labels
        common = np.flatnonzero(np.bincount(kind) > 400)
        table = [[np.sum((kind == k) & (stretch == s)) for s in range(20)] for k in common]
        assert stats.chi2_contingency(table).pvalue > 1e-4
        same = np.mean(kind[1:] == kind[:-1])
        chance = np.sum((np.bincount(kind) / EVENTS) ** 2)
        assert same == pytest.approx(chance, abs=5 * np.sqrt(chance / EVENTS))


def test_time_runs_forward_in_whole_ticks(blood: Acquisition) -> None:
    time = blood.events.values[:, -1].astype(float)
    assert np.all(np.diff(time) >= 0)
    assert np.allclose(time / 0.01, np.rint(time / 0.01), atol=0.01)
    assert 1000 < EVENTS / time[-1] < 6000


def test_a_clog_slows_the_run_and_shifts_values() -> None:
    rng = np.random.default_rng(5)
    draw, session = draw_donor(rng), draw_session(0.0, rng)
    runs = (acquire(draw, T_PANEL, session, 20_000, rng) for _ in range(200))
    clogged = next(run for run in runs if run.clogged.stop)
    time = clogged.events.values[:, -1]
    inside = clogged.clogged
    share = (inside.stop - inside.start) / 20_000
    assert 0.02 <= share <= 0.06
    assert (time[inside.stop - 1] - time[inside.start]) / time[-1] > 2 * share
    values = clogged.events.values
    ratio = np.median(values[inside], axis=0) / np.median(values, axis=0)
    assert np.sum(ratio[3:-1] < 0.9) >= 3


def test_an_fmo_lacks_its_reagent_only() -> None:
    rng = np.random.default_rng(6)
    draw, session = draw_donor(rng), draw_session(0.0, rng)
    full = acquire(draw, T_PANEL, session, 20_000, np.random.default_rng(1))
    fmo = acquire(draw, T_PANEL, session, 20_000, np.random.default_rng(1), omitted="CAR19")
    car, cd3 = T_PANEL.antigens.index("CAR19"), T_PANEL.antigens.index("CD3")
    t = live(full, "T ")
    assert np.array_equal(full.labels, fmo.labels)
    assert np.median(compensated(fmo)[t, car]) < 0.85 * np.median(compensated(full)[t, car])
    assert np.median(compensated(fmo)[t, cd3]) == pytest.approx(
        np.median(compensated(full)[t, cd3]), rel=0.02
    )


@pytest.mark.parametrize("antigen", ["CD19", "CD22"])
def test_an_fmo_of_marrow_lacks_its_reagent_in_maturing_b_cells_too(
    marrow: Acquisition, antigen: str
) -> None:
    rng = np.random.default_rng(9)
    draw = flat(draw_marrow(draw_patients(1, rng)[0], 0, rng), dict.fromkeys(cells.B_STAGES, 0.2))
    session = draw_session(0.0, rng)
    fmo = acquire(draw, B_PANEL, session, 20_000, rng, omitted=antigen)
    assert np.all(np.isfinite(fmo.events.values))
    column = B_PANEL.antigens.index(antigen)
    glow = 3 * DETECTORS[B_PANEL.detectors[column]].autofluorescence
    for name in cells.B_STAGES:
        dark, stained = (
            np.median(compensated(run)[live(run, name), column]) for run in (fmo, marrow)
        )
        assert abs(dark) < glow * DETECTORS[B_PANEL.detectors[column]].gain < stained


def test_beads_are_few_bright_and_compact() -> None:
    rng = np.random.default_rng(7)
    draw = draw_donor(rng)
    acquired = acquire(draw, T_PANEL, draw_session(0.0, rng), 50_000, rng, beads_per_ul=250.0)
    beads = live(acquired, "bead")
    expected = 50_000 * 250.0 / (draw.rates.sum() + 250.0)
    assert beads.sum() == pytest.approx(expected, rel=0.1)
    light = acquired.events.values[beads][:, 3:-1]
    assert np.all(np.median(light, axis=0) > 8_000)
    scatter = acquired.events.values[beads][:, [0, 2]]
    assert np.all(np.std(scatter, axis=0) / np.mean(scatter, axis=0) < 0.08)


def test_gains_drift_between_sessions_as_asked() -> None:
    rng = np.random.default_rng(8)
    gains = [draw_session(0.06, rng).gain["PE-A"] for _ in range(400)]
    assert np.std(np.log10(gains)) == pytest.approx(0.06, rel=0.15)
    assert set(draw_session(0.0, rng).gain.values()) == {1.0}


def test_every_stain_has_a_detector_and_an_antigen() -> None:
    for panel in PANELS.values():
        assert set(panel.detectors) <= set(DETECTORS)
        assert set(panel.antigens) <= set(cells.BACKGROUND)
        assert len(set(panel.detectors)) == len(panel.stains)
    named = {antigen for cell in cells.CLASSES for antigen in cell.copies}
    assert named <= set(cells.BACKGROUND)
