"""Nodes: many small clusters of any number of events."""

from __future__ import annotations

import numpy as np
import pytest
from planted_mixture import Floats, Mixture, draw_specimen

from cytoflow_car.clustering.nodes import NodeSet, join_nodes, place_nodes


@pytest.fixture(scope="module")
def values(mixture: Mixture) -> Floats:
    return draw_specimen(mixture, 40_000, 0)[0] / 1000.0


def test_the_same_seed_gives_the_same_nodes(values: Floats) -> None:
    one, other = place_nodes(values, 100, 3), place_nodes(values, 100, 3)
    assert np.array_equal(one.centers, other.centers)
    assert not np.array_equal(one.centers, place_nodes(values, 100, 4).centers)


@pytest.mark.parametrize(
    ("n_events", "wanted", "expected"),
    [(40_000, 100, 100), (1000, 400, 100), (100, 400, 10), (9, 400, 1), (1, 400, 1)],
)
def test_there_are_as_many_nodes_as_wanted_but_ten_events_for_each(
    values: Floats, n_events: int, wanted: int, expected: int
) -> None:
    nodes = place_nodes(values[:n_events], wanted, 0)
    assert len(nodes) == expected
    assert nodes.centers.dtype == np.float32
    assert set(np.unique(nodes.assign(values[:n_events]))) <= set(range(expected))


def test_events_go_to_the_nearest_node_whatever_their_order(values: Floats) -> None:
    nodes = place_nodes(values, 60, 0)
    found = nodes.assign(values)
    distances = np.linalg.norm(values[:500, None] - nodes.centers, axis=2)
    assert np.array_equal(distances.argmin(axis=1), found[:500])
    order = np.random.default_rng(0).permutation(len(values))
    assert np.array_equal(found[order], nodes.assign(values[order]))


def test_nodes_are_placed_alike_whatever_the_unit(values: Floats) -> None:
    labels = place_nodes(values, 60, 0).assign(values)
    larger = values * np.float32(8.0)
    assert np.mean(labels == place_nodes(larger, 60, 0).assign(larger)) > 0.99


def test_a_node_holds_one_planted_population(mixture: Mixture) -> None:
    values, labels = draw_specimen(mixture, 40_000, 1)
    found = place_nodes(values / 1000.0, 200, 0).assign(values / 1000.0)
    numbers = np.searchsorted(mixture.names, labels)
    table = np.zeros((200, len(mixture.names)), dtype=int)
    np.add.at(table, (found, numbers), 1)
    assert table.max(axis=1).sum() > 0.97 * len(values)


def test_near_nodes_are_joined_and_no_more_than_wanted() -> None:
    corners = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], dtype=np.float32)
    centers = np.concatenate([corners, corners + 0.5, corners - 0.5]).astype(np.float32)
    found = join_nodes(NodeSet(centers), 3)
    assert len(set(found)) == 3
    assert np.array_equal(found[:3], found[3:6]) and np.array_equal(found[:3], found[6:])
    assert np.array_equal(np.arange(9), join_nodes(NodeSet(centers), 9))
