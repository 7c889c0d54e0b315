"""Planted populations get their names, and one that the reference does not know gets none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from planted import f1
from planted_mixture import Floats, Labels, Mixture, anchor_positions, draw_specimen

from cytoflow_car.clustering.adaptation import adapt
from cytoflow_car.clustering.alignment import align
from cytoflow_car.clustering.components import Components
from cytoflow_car.clustering.naming import UNASSIGNED, Names, NamingSetting, draw, name_events
from cytoflow_car.clustering.nodes import place_nodes
from cytoflow_car.clustering.reference_fit import without_population
from cytoflow_car.model.reference import Reference

N_EVENTS = 60_000
N_NODES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A specimen with its names, and its labels as planted."""

    values: Floats
    labels: Labels
    components: Components
    names: Names
    reference: Reference

    def scores(self) -> Mapping[str, float]:
        """F1 of each population."""
        return {
            name: f1(self.names.populations == number, self.labels == name)
            for number, name in enumerate(self.reference.names)
        }


def name_specimen(
    reference: Reference, values: Floats, labels: Labels, setting: NamingSetting | None = None
) -> Named:
    positions = anchor_positions(reference, values)
    taken = slice(None, None, max(1, len(values) // 20_000))
    aligned = align(reference, positions[taken]).apply(positions)
    components = adapt(reference.populations, aligned[taken])
    nodes = place_nodes(aligned, N_NODES, 0)
    node_of, chosen = nodes.assign(aligned), setting or NamingSetting()
    names = name_events(reference, components, aligned, node_of, nodes, chosen, 0)
    return Named(aligned, labels, components, names, reference)


@pytest.fixture(scope="module")
def specimen(mixture: Mixture) -> tuple[Floats, Labels]:
    return draw_specimen(mixture, N_EVENTS, 0)


@pytest.fixture(scope="module")
def named(reference: Reference, specimen: tuple[Floats, Labels]) -> Named:
    return name_specimen(reference, *specimen)


def test_every_planted_population_is_named(named: Named) -> None:
    assert {name for name, score in named.scores().items() if score < 0.95} == set()
    assert np.mean(named.names.populations == UNASSIGNED) <= 0.01


@pytest.mark.parametrize("seed", [1, 2])
def test_so_it_is_in_other_specimens_with_other_light(
    mixture: Mixture, reference: Reference, seed: int
) -> None:
    values, labels = draw_specimen(mixture, N_EVENTS, seed)
    rng = np.random.default_rng(seed)
    gains = rng.normal(1.0, 0.06, values.shape[1])
    offsets = rng.normal(0.0, 60.0, values.shape[1])
    moved = (values * gains + offsets).astype(np.float32)
    found = name_specimen(reference, moved, labels)
    assert min(found.scores().values()) >= 0.95


@pytest.mark.parametrize("left_out", [0, 3, 10, 20, 24])
def test_a_population_that_the_reference_does_not_know_is_unassigned(
    mixture: Mixture, reference: Reference, specimen: tuple[Floats, Labels], left_out: int
) -> None:
    name = mixture.names[left_out]
    values, labels = specimen
    found = name_specimen(without_population(reference, name), values, labels)
    unassigned = found.names.populations == UNASSIGNED
    assert np.mean(unassigned[labels == name]) >= 0.6
    assert np.mean(unassigned[labels != name]) <= 0.05


def test_a_known_population_that_grew_keeps_its_name(
    mixture: Mixture, reference: Reference, specimen: tuple[Floats, Labels]
) -> None:
    values, labels = specimen
    grown = mixture.names[12]
    own = np.flatnonzero(labels == grown)
    rows = np.concatenate([np.arange(len(values)), own, own])
    found = name_specimen(reference, values[rows], labels[rows])
    assert found.scores()[grown] >= 0.95


def test_a_known_population_that_is_absent_is_given_to_nobody(
    mixture: Mixture, reference: Reference, specimen: tuple[Floats, Labels]
) -> None:
    values, labels = specimen
    rows = labels != mixture.names[5]
    found = name_specimen(reference, values[rows], labels[rows])
    assert np.mean(found.names.populations == 5) < 1e-3


def test_posterior_margin_and_tail_are_shares(named: Named) -> None:
    names = named.names
    for values in (names.posterior, names.margin, names.tail):
        assert values.shape == (N_EVENTS,)
        assert values.min() >= 0.0 and values.max() <= 1.0 + 1e-5
    assert np.all(names.margin <= names.posterior + 1e-5)
    # The second has at most what the first leaves.
    assert np.all(names.margin >= 2.0 * names.posterior - 1.0 - 1e-5)
    assert names.likeliest.min() >= 0
    sure = names.populations != UNASSIGNED
    assert np.array_equal(names.populations[sure], names.likeliest[sure])


def test_the_tail_of_named_events_is_even(named: Named) -> None:
    # Of events of a normal population, one in ten lies beyond its tenth.
    for share in (0.05, 0.1, 0.5):
        assert np.mean(named.names.tail < share) == pytest.approx(share, rel=0.2)


def test_a_stricter_setting_names_fewer_events(
    reference: Reference, specimen: tuple[Floats, Labels], named: Named
) -> None:
    strict = NamingSetting(least_posterior=0.99, least_tail=0.05)
    found = name_specimen(reference, *specimen, strict)
    lost = (found.names.populations == UNASSIGNED) & (named.names.populations != UNASSIGNED)
    gained = (found.names.populations != UNASSIGNED) & (named.names.populations == UNASSIGNED)
    assert np.mean(lost) == pytest.approx(0.05, abs=0.02) and not gained.any()


def test_names_do_not_depend_on_the_order_of_events(
    reference: Reference, specimen: tuple[Floats, Labels], named: Named
) -> None:
    values, labels = specimen
    order = np.random.default_rng(1).permutation(len(values))
    found = name_specimen(reference, values[order], labels[order])
    assert np.mean(found.names.populations == named.names.populations[order]) > 0.998


def test_the_same_seed_gives_the_same_names(
    reference: Reference, specimen: tuple[Floats, Labels], named: Named
) -> None:
    again = name_specimen(reference, *specimen)
    assert np.array_equal(again.names.populations, named.names.populations)
    assert np.array_equal(again.names.tail, named.names.tail)


def test_drawn_events_have_the_moments_of_the_mixture(named: Named) -> None:
    components = named.components
    drawn = draw(components, components.weights, 50_000, np.random.default_rng(0))
    assert len(drawn) == 50_000
    shares = components.weights / components.weights.sum()
    mean = shares @ components.means
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.02)
    within = np.einsum("k,kii->i", shares, components.covariances)
    variance = within + shares @ (components.means - mean) ** 2
    assert drawn.var(axis=0) == pytest.approx(variance, rel=0.05)


def test_adapted_weights_are_the_planted_shares(named: Named) -> None:
    weights = np.bincount(named.components.owners, weights=named.components.weights)
    planted = np.array([np.mean(named.labels == name) for name in named.reference.names])
    assert weights == pytest.approx(planted, rel=0.1, abs=1e-3)
