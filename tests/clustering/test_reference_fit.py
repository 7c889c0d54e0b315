"""A reference is learned of whatever was labelled, and with little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from planted_mixture import MARKERS, NEGATIVE, Mixture, anchor_positions, draw_specimen

from cytoflow_car.clustering import components
from cytoflow_car.clustering.components import components_of
from cytoflow_car.clustering.reference_fit import (
    LabelledSpecimen,
    Naming,
    fit_reference,
    floored_density,
)
from cytoflow_car.model.reference import Reference
from cytoflow_car.model.scale import Linear


@pytest.mark.parametrize("n_distinct", [1, 2])
def test_a_population_of_events_that_are_alike_is_learned(
    mixture: Mixture, n_distinct: int
) -> None:
    """Events at the end of the scale, for example."""
    specimens = []
    for seed in range(3):
        values, labels = draw_specimen(mixture, 5000, seed)
        values[:900] = NEGATIVE - 1000.0
        values[: 900 // n_distinct] += 40.0
        labels[:900] = "stuck"
        specimens.append(LabelledSpecimen(f"specimen {seed}", values, labels))
    scales = {marker: Linear(1000.0) for marker in MARKERS}
    reference = fit_reference("stuck", scales, specimens, Naming(), parent="root")
    found = next(item for item in reference.populations if item.name == "stuck")
    assert found.n_events == 2700 and 1 <= len(found.shares) <= n_distinct


def test_density_of_many_events_takes_less_memory_than_all_their_distances(
    mixture: Mixture, reference: Reference
) -> None:
    values, _ = draw_specimen(mixture, 20_000, 0)
    positions = np.tile(anchor_positions(reference, values), (30, 1))
    whole = components_of(reference.populations, extra=1.0)
    tracemalloc.start()
    try:
        floored_density(whole, positions)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(positions) * len(whole)


def test_density_does_not_depend_on_how_many_events_are_computed_at_once(
    mixture: Mixture, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = anchor_positions(reference, draw_specimen(mixture, 5000, 0)[0])
    whole = components_of(reference.populations, extra=1.0)
    expected = floored_density(whole, positions)
    monkeypatch.setattr(components, "BLOCK", 700)
    assert expected == pytest.approx(floored_density(whole, positions))
