"""What every way to cluster keeps, and what each is for."""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
from planted_mixture import Floats

from cytoflow_car.clustering.methods import (
    CLUSTERERS,
    NOISE,
    Clusterer,
    Hdbscan,
    Nodes,
    NormalMixture,
)
from cytoflow_car.errors import ClusteringError

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

N_GROUPS = 4


def make_groups(n_each: int = 500, n_between: int = 0) -> tuple[Floats, Numbers]:
    """Draw well-separated groups, shuffled, and events far from all of them, numbered -1."""
    rng = np.random.default_rng(5)
    centers = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=np.float32)
    numbers = np.repeat(np.arange(N_GROUPS), n_each)
    near = centers[numbers] + rng.normal(0.0, 0.05, (len(numbers), 3))
    far = rng.uniform(3.0, 30.0, (n_between, 3))
    order = rng.permutation(len(near) + n_between)
    values = np.concatenate([near, far]).astype(np.float32)[order]
    return values, np.concatenate([numbers, np.full(n_between, -1)])[order]


@pytest.mark.parametrize("name", CLUSTERERS)
class TestEveryMethod:
    """The contract of the registry."""

    def test_is_registered_under_its_own_name(self, name: str) -> None:
        assert get_args(get_type_hints(CLUSTERERS[name])["method"]) == (name,)
        assert CLUSTERERS[name] in get_args(Clusterer)

    def test_labels_every_event_from_zero_on_or_noise(self, name: str) -> None:
        values, _ = make_groups()
        before = values.copy()
        found = CLUSTERERS[name](name).cluster(values, 1)
        assert (found.labels.dtype, found.labels.shape) == (np.int32, (len(values),))
        assert set(found.labels) - {NOISE} <= set(range(found.n_clusters))
        assert found.labels.min() >= NOISE and found.n_clusters >= N_GROUPS
        assert len(found.groups) in (0, found.n_clusters)
        assert np.array_equal(before, values)

    def test_gives_the_same_labels_for_the_same_seed(self, name: str) -> None:
        values, _ = make_groups()
        one, other = (CLUSTERERS[name](name).cluster(values, 9) for _ in range(2))
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.groups, other.groups)

    @pytest.mark.parametrize("n_events", [1, 2, 7, 30])
    def test_takes_few_events(self, name: str, n_events: int) -> None:
        values, _ = make_groups()
        found = CLUSTERERS[name](name).cluster(values[:n_events], 0)
        assert found.labels.shape == (n_events,)

    def test_takes_events_that_are_all_alike(self, name: str) -> None:
        found = CLUSTERERS[name](name).cluster(np.ones((200, 3), dtype=np.float32), 0)
        assert found.n_clusters <= 1
        assert len(found.groups) in (0, found.n_clusters)

    @pytest.mark.parametrize("n_distinct", [2, 3, 7])
    def test_makes_no_more_clusters_than_there_are_distinct_events(
        self, name: str, n_distinct: int
    ) -> None:
        distinct = np.random.default_rng(0).normal(size=(n_distinct, 3)).astype(np.float32)
        found = CLUSTERERS[name](name).cluster(np.repeat(distinct, 300, axis=0), 0)
        assert found.n_clusters <= n_distinct
        assert len(found.groups) in (0, found.n_clusters)
        assert set(found.labels) - {NOISE} == set(range(found.n_clusters))

    def test_puts_no_two_planted_groups_into_one_cluster(self, name: str) -> None:
        values, numbers = make_groups()
        labels = CLUSTERERS[name](name).cluster(values, 1).labels
        for label in set(labels) - {NOISE}:
            own = np.bincount(numbers[labels == label], minlength=N_GROUPS)
            assert own.max() >= 0.99 * own.sum()


@pytest.mark.parametrize("method", [Hdbscan("hdbscan"), NormalMixture("mixture")])
def test_planted_groups_are_the_clusters(method: Clusterer) -> None:
    values, numbers = make_groups()
    found = method.cluster(values, 1)
    assert found.n_clusters == N_GROUPS
    for number in range(N_GROUPS):
        own = found.labels[numbers == number]
        assert np.mean(own == np.bincount(own[own != NOISE]).argmax()) > 0.98


def test_metaclusters_of_nodes_are_the_planted_groups() -> None:
    values, numbers = make_groups()
    found = Nodes("nodes", nodes=60, metaclusters=N_GROUPS).cluster(values, 1)
    assert found.n_clusters == 60 and set(found.groups) == set(range(N_GROUPS))
    pairs = set(zip(found.groups[found.labels].tolist(), numbers.tolist(), strict=True))
    assert len(pairs) == N_GROUPS


def test_events_far_from_all_groups_are_noise() -> None:
    values, numbers = make_groups(n_between=40)
    labels = Hdbscan("hdbscan").cluster(values, 0).labels
    assert np.all(labels[numbers < 0] == NOISE)
    assert np.mean(labels[numbers >= 0] == NOISE) < 0.05


def test_fewer_events_than_a_cluster_are_all_noise() -> None:
    values, _ = make_groups()
    found = Hdbscan("hdbscan", min_cluster_size=50).cluster(values[:49], 0)
    assert set(found.labels) == {NOISE} and found.n_clusters == 0


@pytest.mark.parametrize(
    "method",
    [Hdbscan("hdbscan", most_events=1999), NormalMixture("mixture", most_events=1999)],
)
def test_more_events_than_a_method_stands_are_refused(method: Clusterer) -> None:
    values, _ = make_groups()
    with pytest.raises(ClusteringError, match=f"2000 events for {method.method}.*at most 1999"):
        method.cluster(values, 0)


def test_as_many_events_as_a_method_stands_are_taken() -> None:
    values, _ = make_groups()
    assert Hdbscan("hdbscan", most_events=2000).cluster(values, 0).n_clusters == N_GROUPS


def test_limits_are_those_that_the_methods_stand_in_a_minute() -> None:
    assert (Hdbscan("hdbscan").most_events, NormalMixture("mixture").most_events) == (
        50_000,
        200_000,
    )
