"""Where a cut makes as many errors of one kind as of the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cytoflow_car.model.events import Values

#: Counting noise of background, as a fraction of the positive events, up to which a cut is lowered.
LARGEST_NOISE = 0.05


def equal_error_cut(
    values: Values, lower: Mapping[float, float], n_negative: int, highest: float
) -> float:
    """Return the cut above which as many background events lie as positive events below.

    The share of positive events follows from what the specimen has more than a negative population
    above one of its upper quantiles. A lower quantile misses fewer dim positive events but counts
    more background; one is taken after the other as long as it finds more positive events than
    counting noise explains. The cut is where exactly that share lies above.

    Parameters
    ----------
    values
        (n,) the specimen's events, n >= 1, data units.
    lower
        Cut by the share of the negative population above it, the smallest share first.
    n_negative
        Events of the negative population.
    highest
        The cut where dim positive events are few or none.
    """
    noise_of_one = (1.0 / values.size + 1.0 / n_negative) ** 0.5
    share, at = float(np.mean(values >= highest)), highest
    for expected, cut in lower.items():
        found = (float(np.mean(values >= cut)) - expected) / (1.0 - expected)
        noise = noise_of_one * expected**0.5
        if noise > LARGEST_NOISE * found:
            break
        if found > share + noise:
            share = found
            at = min(max(float(np.quantile(values, 1.0 - share)), cut), highest)
    return at
