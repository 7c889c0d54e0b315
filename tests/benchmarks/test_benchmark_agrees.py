"""What the benchmark times is the same work: both programs gate every event alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from our_way import count_unequal_members, gate_tube, make_job
from specimen import write_tube

from cytoflow_car.pipeline import analyse_sample

N_EVENTS = 20_000
#: Percent of all events in the parents, from the root down.
PARENTS = (100, 100, 90, 60, 40, 25, 10, 6, 4, 2.5, 1.5, 1)


@pytest.fixture(scope="module")
def tube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "tube.fcs"
    write_tube(path, N_EVENTS)
    return path


def test_every_event_lies_in_the_gates_that_flowkit_puts_it_in(tube: Path) -> None:
    from flowkit_way import build_strategy, gate_with_flowkit

    tree = gate_tube(tube)
    unequal = count_unequal_members(tree, gate_with_flowkit(tube, build_strategy(tree)))
    assert dict.fromkeys(unequal, 0) == unequal and len(unequal) == len(PARENTS)


def test_the_job_that_is_timed_has_gates_of_the_stated_parents(tube: Path) -> None:
    result = analyse_sample(make_job(tube))
    counts = {population.name: population.count_before_qc for population in result.populations}
    assert {item.name: item.rows.size for item in gate_tube(tube)} == counts
    parents = [item.parent_count for item in result.populations if item.parent_count is not None]
    for percent, parent in zip(PARENTS, parents, strict=True):
        assert parent == pytest.approx(percent / 100 * N_EVENTS, rel=0.15)
    assert all(taken.value for taken in result.measurements)
