"""Events that were acquired badly are marked, counted, and never deleted."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Floats

from cytoflow_car.errors import GateError
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.model.gate import Dimension, Placement, RectangleGate
from cytoflow_car.model.population import Population, PopulationTree
from cytoflow_car.model.scale import Linear
from cytoflow_car.qc.acquisition import (
    AcquisitionReport,
    AcquisitionSetting,
    check_acquisition,
    check_populations,
)

N_EVENTS = 20_000


def steady(n_events: int = N_EVENTS) -> Floats:
    """Return FSC-A, PE-A and Time of a steady run of 100 s."""
    rng = np.random.default_rng(1)
    time = np.sort(rng.uniform(0, 100, n_events))
    return np.column_stack(
        [rng.normal(60_000, 9000, n_events), rng.normal(100, 200, n_events), time]
    )


def check(
    values: Floats, setting: AcquisitionSetting | None = None, *, time: int | None = 2
) -> AcquisitionReport:
    channels = (Channel("FSC-A"), Channel("PE-A"), Channel("Time"))
    return check_acquisition(
        Events(values, channels),
        time_channel=time,
        columns=(0, 1),
        scatter=(0,),
        signals=(0, 1),
        setting=setting or AcquisitionSetting(),
    )


def flags(report: AcquisitionReport) -> set[str]:
    return {item.flag for item in report.checks} - {""}


def test_steady_run_is_kept_whole() -> None:
    report = check(steady())
    assert report.kept.all()
    assert flags(report) == set()


def test_events_at_the_top_of_scatter_are_marked_but_not_of_fluorescence() -> None:
    values = steady()
    # Here and there: many in a row would be a disturbance of the run.
    values[::200, 0] = 262143.0
    values[1::100, 1] = 262143.0
    report = check(values)
    assert np.flatnonzero(~report.kept).tolist() == list(range(0, N_EVENTS, 200))
    found = {item.name: item.value for item in report.checks}
    assert found["margin"] == found["marked"] == pytest.approx(0.5)


def test_events_at_the_bottom_of_scatter_are_marked_and_those_below_are_not() -> None:
    values = steady()
    values[::200, 0] = 0.0
    values[1::200, 0] = -3.0
    assert np.flatnonzero(~check(values).kept).tolist() == list(range(0, N_EVENTS, 200))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_events_that_are_not_finite_are_marked(value: float) -> None:
    values = steady()
    values[[5, 7], 1] = value
    report = check(values)
    assert np.flatnonzero(~report.kept).tolist() == [5, 7]


def test_clog_and_burst_are_marked() -> None:
    values = steady()
    time = values[:, 2]
    # From 40 s to 50 s a tenth of the events arrive; at 70 s 3,000 events within half a second.
    arrive = ~((time > 40) & (time < 50)) | (np.arange(time.size) % 10 == 0)
    burst = steady(3000)
    burst[:, 2] = np.linspace(70.0, 70.5, 3000)
    disturbed = np.concatenate([values[arrive], burst])
    disturbed = disturbed[np.argsort(disturbed[:, 2])]
    report = check(disturbed)
    seconds = disturbed[:, 2]
    clog = (seconds > 41.5) & (seconds < 48.5)
    assert (~report.kept[clog]).all()
    assert np.mean(~report.kept[(seconds >= 70) & (seconds <= 70.5)]) > 0.95
    assert report.kept[(seconds < 38.5) | (seconds > 72)].all()
    assert "QC_LOSS" in flags(report)


def test_loss_within_the_limit_is_not_flagged() -> None:
    values = steady()
    values[::200, 0] = 262143.0
    assert flags(check(values, AcquisitionSetting(most_marked_percent=0.4))) == {"QC_LOSS"}
    assert flags(check(values, AcquisitionSetting(most_marked_percent=0.6))) == set()


def test_few_events_and_missing_time_are_flagged() -> None:
    assert flags(check(steady(500))) == {"FEW_EVENTS", "FLOW_NOT_CHECKED"}
    assert flags(check(steady(), time=None)) == {"NO_TIME"}


def test_file_without_events() -> None:
    report = check(np.empty((0, 3)))
    assert report.kept.shape == (0,)
    assert flags(report) == {"FEW_EVENTS", "FLOW_NOT_CHECKED"}


def gated(**counts: int) -> PopulationTree:
    """Make a tree of 1000 events whose populations lie in each other."""
    gate = RectangleGate((Dimension("FSC-A", Linear()),), (0.0,), (1.0,))
    populations = [Population("root", "root", None, np.arange(1000), 1000, None)]
    for name, count in counts.items():
        above = populations[-1]
        populations.append(
            Population(
                name,
                f"{above.path}/{name}",
                above.name,
                np.arange(count),
                count,
                Placement(gate, "fixed", 1.0, ""),
            )
        )
    return PopulationTree(tuple(populations), np.ones(1000, dtype=bool))


def test_doublets_and_dead_cells_are_told_in_percent_of_their_parent() -> None:
    doublets, dead = check_populations(gated(singlets=700, live=350), AcquisitionSetting())
    assert (doublets.name, doublets.value, doublets.flag) == (
        "doublets",
        pytest.approx(30.0),
        "DOUBLETS",
    )
    assert (dead.name, dead.value, dead.flag) == ("dead_cells", pytest.approx(50.0), "DEAD_CELLS")
    within = check_populations(gated(singlets=900, live=800), AcquisitionSetting())
    assert [item.flag for item in within] == ["", ""]


def test_populations_that_a_template_lacks_are_not_told_unless_it_names_them() -> None:
    assert list(check_populations(gated(T=700), AcquisitionSetting())) == []
    with pytest.raises(GateError, match="singels"):
        list(check_populations(gated(singlets=700), AcquisitionSetting(singlets="singels")))
