"""Normal mixtures with as many components as the events bear."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cytoflow_car.clustering.components import Floats
from cytoflow_car.model.events import Values

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


def fit_mixture(
    values: Floats | Values, most_components: int, least_variance: float, seed: int
) -> GaussianMixture:
    """Fit one to `most_components` normal components, and return the fit with the lowest BIC.

    Parameters
    ----------
    values
        (n_events, n_markers), at least two events.
    most_components
        No more are tried than there are events that differ.
    least_variance
        Added to each variance; events that differ by less than its root are alike.
    """
    from sklearn.mixture import GaussianMixture

    alike = np.unique(np.round(values / math.sqrt(least_variance)), axis=0)
    fits = [
        GaussianMixture(number, reg_covar=least_variance, random_state=seed).fit(values)
        for number in range(1, min(most_components, len(alike)) + 1)
    ]
    return min(fits, key=lambda fit: float(fit.bic(values)))
