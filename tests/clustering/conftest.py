"""A planted mixture and the reference that is learned of it."""

from __future__ import annotations

import pytest
from planted_mixture import Mixture, learn_reference, make_mixture

from cytoflow_car.model.reference import Reference


@pytest.fixture(scope="session")
def mixture() -> Mixture:
    """Return 25 populations in 10 markers."""
    return make_mixture()


@pytest.fixture(scope="session")
def reference(mixture: Mixture) -> Reference:
    """Return the reference learned of six labelled specimens."""
    return learn_reference(mixture)
