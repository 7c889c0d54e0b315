"""Whether two quantities of the same patients go together, such as two expansions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.stats import rankdata

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.measurement import Interval


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rank correlation.

    Attributes
    ----------
    value
        From -1 to 1; None where a quantity does not vary, or of fewer than 3 patients.
    interval, p_value
        None of fewer than 4 patients, and where both orders are the same or opposite.
    n
        Patients with both quantities.
    """

    value: float | None
    interval: Interval | None
    p_value: float | None
    n: int
    method: str = "Spearman, Bonett-Wright"


def correlate(
    first: Mapping[str, float], second: Mapping[str, float], *, confidence: float = 0.95
) -> Correlation:
    """Correlate the ranks of two quantities of the same patients.

    The interval is symmetric by Fisher's z, and the p value is that of the same standard error
    without correlation.

    Parameters
    ----------
    first, second
        By patient, the maximum after infusion 1 and after infusion 2 for example; patients with
        one of them only are passed over.

    Raises
    ------
    OutcomeError
        A value is no number.

    References
    ----------
    Bonett & Wright, Psychometrika 65 (2000) 23-28.
    """
    both = [name for name in first if name in second]
    values = np.array([[first[name], second[name]] for name in both], float).reshape(-1, 2)
    if not np.isfinite(values).all():
        raise OutcomeError("a value to correlate is no number", expected="numbers")
    ranks = rankdata(values, axis=0)
    if len(both) < 3 or not np.ptp(ranks, axis=0).all():
        return Correlation(None, None, None, len(both))
    value = min(max(float(np.corrcoef(ranks.T)[0, 1]), -1.0), 1.0)
    if len(both) < 4 or abs(value) > 1 - 1e-12:
        return Correlation(value, None, None, len(both))
    z, error = math.atanh(value), 1 / math.sqrt(len(both) - 3)
    half = float(special.ndtri(0.5 + confidence / 2)) * error * math.sqrt(1 + value**2 / 2)
    return Correlation(
        value,
        Interval(math.tanh(z - half), math.tanh(z + half)),
        float(2 * special.ndtr(-abs(z / error))),
        len(both),
    )
