"""How well specimens lie on a reference is told with little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from planted_mixture import Mixture, anchor_positions, draw_specimen

from cytoflow_car.clustering import components
from cytoflow_car.clustering.components import components_of
from cytoflow_car.clustering.reference_fit import typical_density
from cytoflow_car.model.reference import Reference


def test_density_of_many_events_takes_less_memory_than_all_their_distances(
    mixture: Mixture, reference: Reference
) -> None:
    values, _ = draw_specimen(mixture, 20_000, 0)
    positions = np.tile(anchor_positions(reference, values), (30, 1))
    whole = components_of(reference.populations, extra=1.0)
    tracemalloc.start()
    try:
        typical_density(whole, reference.populations, positions)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(positions) * len(whole)


def test_density_does_not_depend_on_how_many_events_are_computed_at_once(
    mixture: Mixture, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = anchor_positions(reference, draw_specimen(mixture, 5000, 0)[0])
    whole = components_of(reference.populations, extra=1.0)
    expected = typical_density(whole, reference.populations, positions)
    monkeypatch.setattr(components, "BLOCK", 700)
    assert expected == pytest.approx(typical_density(whole, reference.populations, positions))
