"""Clogs, jumps and bubbles are found, and a steady run is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from disturbances import FAINT_JUMPS, PLANTS, Plant, plant

from cytoflow_car.fcs import read_fcs
from cytoflow_car.model.events import Channel, Events, Sample
from cytoflow_car.qc.acquisition import AcquisitionReport, AcquisitionSetting, check_acquisition
from cytoflow_car.simulate import simulate_cohort

#: Real runs of cells on six instruments. Beads and water are left out: a factor on the gain of a
#: detector that sees nothing changes nothing.
REAL = (
    "CytoPy/cytopy/tests/assets/test.FCS",
    "FlowCal/test/Data001.fcs",
    "FlowCal/test/Data003.fcs",
    "FlowCal/examples/FCFiles/sample006.fcs",
    "FlowKit/gate_ref/data1.fcs",
    "fcsparser/fcsparser/tests/data/FlowCytometers/Cytek_xP5/Cytek_xP5.fcs",
    "fcsparser/fcsparser/tests/data/FlowCytometers/FACS_Diva/facs_diva_test.fcs",
)
KINDS = ("clog", "jump", "bubble")


def check(
    events: Events, time_channel: int | None, setting: AcquisitionSetting | None = None
) -> AcquisitionReport:
    others = tuple(
        number
        for number in range(len(events.channels))
        if number != time_channel and np.ptp(events.values[:, number]) > 0
    )
    return check_acquisition(
        events,
        time_channel=time_channel,
        columns=others,
        scatter=(),
        signals=others,
        setting=setting or AcquisitionSetting(),
    )


def measure(
    samples: list[Sample], plants: tuple[Plant, ...], setting: AcquisitionSetting | None = None
) -> tuple[float, float]:
    """Return the share of bad events that are marked, and of the others; means over runs."""
    found, false = [], []
    for sample in samples:
        assert sample.time_channel is not None
        clean = check(sample.events, sample.time_channel, setting).kept
        for number, what in enumerate(plants):
            rng = np.random.default_rng([number, len(sample.events)])
            events, bad, origin = plant(sample.events, sample.time_channel, what, rng)
            marked = ~check(events, sample.time_channel, setting).kept
            # What was marked before is no false mark of the planted run.
            counted = ~bad & clean[origin]
            found.append(marked[bad].mean())
            false.append(marked[counted].mean())
    return float(np.mean(found)), float(np.mean(false))


def of_kind(kind: str) -> tuple[Plant, ...]:
    return tuple(what for what in PLANTS if what.kind == kind)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Return clean runs of four panels, 20,000 events and more."""
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder, patients=1, events=20_000, seed=5, small=True)
    samples = [read_fcs(path) for path in sorted((folder / "fcs").glob("*.fcs"))]
    return [item for item in samples if len(item.events) >= 20_000 and not clogged(item)][:8]


def clogged(sample: Sample) -> bool:
    """Tell whether the simulation disturbed the run: it slows it fourfold, which Time shows."""
    assert sample.time_channel is not None
    time = sample.events.column(sample.time_channel)
    waits = np.diff(time[:: max(1, len(time) // 100)])
    return bool(waits.max() > 2.5 * np.median(waits))


@pytest.fixture(scope="module")
def real(data_folder: Path) -> list[Sample]:
    return [read_fcs(data_folder / name) for name in REAL]


@pytest.mark.parametrize("kind", KINDS)
def test_planted_disturbances_of_simulated_runs_are_found(
    simulated: list[Sample], kind: str
) -> None:
    found, false = measure(simulated, of_kind(kind))
    assert found >= 0.98
    assert false <= 0.02


def test_a_gain_off_by_a_fifth_is_found_in_20000_events(simulated: list[Sample]) -> None:
    found, false = measure(simulated, FAINT_JUMPS)
    assert found >= 0.95
    assert false <= 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_planted_disturbances_of_short_runs_are_found(repository_root: Path, kind: str) -> None:
    paths = sorted((repository_root / "sample_fcs" / "fcs").glob("*.fcs"))
    samples = [item for item in map(read_fcs, paths) if len(item.events) >= 5000]
    found, false = measure([item for item in samples if not clogged(item)], of_kind(kind))
    assert found >= 0.95
    assert false <= 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_planted_disturbances_of_real_runs_are_found(real: list[Sample], kind: str) -> None:
    found, false = measure(real, of_kind(kind))
    assert found >= 0.95
    assert false <= 0.03


def test_clean_runs_are_kept(repository_root: Path, simulated: list[Sample]) -> None:
    paths = sorted((repository_root / "sample_fcs" / "fcs").glob("*.fcs"))
    clean = [item for item in (*map(read_fcs, paths), *simulated) if not clogged(item)]
    assert len(clean) > 35
    lost = [1 - check(item.events, item.time_channel).kept.mean() for item in clean]
    assert max(lost) <= 0.001


def test_steady_real_runs_are_kept(real: list[Sample]) -> None:
    lost = [1 - check(item.events, item.time_channel).kept.mean() for item in real]
    assert max(lost) <= 0.001


def drifting(n_events: int, factor: float) -> Events:
    """Return FSC, four colours of two populations, and Time; gain falls evenly to `factor`."""
    rng = np.random.default_rng(3)
    lit = rng.random((n_events, 4)) < 0.4
    colours = np.where(lit, 8000 * np.exp(rng.normal(0, 0.4, lit.shape)), 0.0)
    colours += rng.normal(100, 150, lit.shape)
    colours *= np.linspace(1.0, factor, n_events)[:, None]
    scatter = rng.normal(60_000, 9000, n_events)
    time = np.sort(rng.uniform(0, n_events / 3000, n_events))
    values = np.column_stack([scatter, colours, time]).astype(np.float32)
    names = ("FSC-A", "B1-A", "B2-A", "B3-A", "B4-A", "Time")
    return Events(values, tuple(Channel(name) for name in names))


@pytest.mark.parametrize("n_events", [20_000, 200_000])
def test_slow_drift_is_flagged_and_not_marked(n_events: int) -> None:
    report = check(drifting(n_events, 0.6), 5)
    assert np.mean(~report.kept) <= 0.01
    assert "SIGNAL_DRIFT" in {item.flag for item in report.checks}


@pytest.mark.parametrize("n_events", [1000, 5000, 20_000, 200_000, 1_000_000])
def test_steady_run_of_any_length_is_kept(n_events: int) -> None:
    report = check(drifting(n_events, 1.0), 5)
    assert np.mean(~report.kept) <= 0.001
    assert {item.flag for item in report.checks} == {""}


def test_the_order_of_columns_and_the_unit_of_values_do_not_matter() -> None:
    events, bad, _ = plant(drifting(20_000, 1.0), 5, PLANTS[3], np.random.default_rng(1))
    swapped = Events(events.values[:, [4, 3, 2, 1, 0, 5]] * np.float32(2.0), events.channels)
    assert np.array_equal(check(events, 5).kept, check(swapped, 5).kept)
    assert not check(events, 5).kept[bad].any()


def test_unsorted_time_is_not_taken_for_the_order_of_acquisition() -> None:
    events = drifting(5000, 1.0)
    mixed = Events(np.random.default_rng(1).permutation(events.values), events.channels)
    report = check(mixed, 5)
    assert report.kept.all()
    assert "FLOW_NOT_CHECKED" in {item.flag for item in report.checks}


def test_without_a_method_signals_are_not_looked_at() -> None:
    events, bad, _ = plant(drifting(20_000, 1.0), 5, PLANTS[3], np.random.default_rng(1))
    assert check(events, 5, AcquisitionSetting(method="none")).kept[bad].all()


CLEAR = (Plant("jump", 0.1, 0.5), Plant("bubble", 0.05, 8.0))


@pytest.mark.parametrize("what", CLEAR, ids=str)
def test_peacoqc_finds_clear_disturbances(what: Plant) -> None:
    setting = AcquisitionSetting(method="peacoqc")
    steady = drifting(100_000, 1.0)
    assert np.mean(~check(steady, 5, setting).kept) <= 0.01
    events, bad, _ = plant(steady, 5, what, np.random.default_rng(1))
    kept = check(events, 5, setting).kept
    assert np.mean(~kept[bad]) >= 0.9
    assert np.mean(~kept[~bad]) <= 0.05
