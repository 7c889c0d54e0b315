"""Whether two quantities of the same patients go together, such as two expansions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, permutations

import numpy as np
from scipy import special
from scipy.stats import rankdata, spearmanr

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval

#: Of fewer patients a correlation is hardly an indication: 9 must correlate by 0.7 to be
#: distinguished from none. Student's t calls too much significant there, and all pairings are few
#: enough to be counted.
LEAST_PATIENTS = 10


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rank correlation.

    Attributes
    ----------
    value
        From -1 to 1; None where a quantity does not vary, or of fewer than 3 patients.
    interval
        None of fewer than 4 patients, and where both orders are the same or opposite.
    p_value
        Two-sided; None of fewer than 3 patients, and of 10 or more where both orders are the same
        or opposite: Student's t is infinite.
    n
        Patients with both quantities.
    method
        How value, p value and interval were found.
    flags
        FEW_PATIENTS: fewer than 10.
    """

    value: float | None
    interval: Interval | None
    p_value: float | None
    n: int
    method: str
    flags: tuple[str, ...]


def correlate(
    first: Mapping[str, float], second: Mapping[str, float], *, confidence: float = 0.95
) -> Correlation:
    """Correlate the ranks of two quantities of the same patients.

    The interval is symmetric by Fisher's z. Of fewer than 10 patients the p value is the share of
    all pairings whose correlation is as far from 0, else that of Student's t.

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
    n = len(both)
    is_small = n < LEAST_PATIENTS
    value, interval, p_value = None, None, None
    if n >= 3 and np.ptp(ranks, axis=0).all():
        value, p_value = (float(item) for item in spearmanr(*ranks.T))
        one_order = abs(value) > 1 - 1e-12
        if is_small:
            p_value = _exact_p_value(ranks)
        elif one_order:
            p_value = None
        if n >= 4 and not one_order:
            error = math.sqrt((1 + value**2 / 2) / (n - 3))
            z, half = math.atanh(value), float(special.ndtri(0.5 + confidence / 2)) * error
            interval = Interval(math.tanh(z - half), math.tanh(z + half))
    test = "all pairings" if is_small else "Student's t"
    return Correlation(
        value,
        interval,
        p_value,
        n,
        method=f"Spearman, P by {test}, Bonett-Wright",
        flags=("FEW_PATIENTS",) if is_small else (),
    )


def _exact_p_value(ranks: Values) -> float:
    """Return the share of pairings of (n, 2) ranks that correlate as far from 0 or farther."""
    # Doubled, tied ranks are integers, and equal correlations are equal.
    first, second = (2 * ranks).astype(int).T
    n = len(ranks)
    orders = np.fromiter(chain.from_iterable(permutations(range(n))), np.int8).reshape(-1, n)
    off = np.abs(n * (second[orders] @ first) - first.sum() * second.sum())
    # The first order is that of the patients.
    return float(np.mean(off >= off[0]))
