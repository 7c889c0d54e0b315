"""Limits of an assay from repeated blanks and dilutions.

References
----------
CLSI EP17-A2, Evaluation of Detection Capability for Clinical Laboratory Measurement Procedures
(2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: From so many blanks on their 95th percentile is taken.
PERCENTILE_BLANKS = 60
# Quantile of the normal distribution that 5 % exceed.
_ONE_SIDED = 1.645


def measured_limit_of_blank(blanks: Sequence[float]) -> float | None:
    """Return the count that blanks exceed in 5 % of cases.

    Mean + 1.645 SD; of at least 60 blanks the 95th percentile, by rank 0.5 + 0.95 n. The standard
    deviation counts as no less than that of counting (the root of the mean): blanks that are drawn
    from one specimen share events, and differ less than specimens do.

    Parameters
    ----------
    blanks
        Counts of specimens without the cells in question.

    Returns
    -------
    None of fewer than two blanks.

    Examples
    --------
    >>> measured_limit_of_blank([2, 4, 6])
    7.29
    >>> measured_limit_of_blank([3]) is None
    True
    """
    counts = np.sort(np.asarray(blanks, dtype=np.float64))
    if len(counts) < 2:
        return None
    if len(counts) >= PERCENTILE_BLANKS:
        ranks = np.arange(1, len(counts) + 1)
        return float(np.interp(0.5 + 0.95 * len(counts), ranks, counts))
    mean = float(counts.mean())
    return mean + _ONE_SIDED * max(float(counts.std(ddof=1)), float(np.sqrt(mean)))


def measured_limit_of_detection(
    blank: float | None, low: Sequence[Sequence[float]]
) -> float | None:
    """Return the count from which 95 % of specimens with few of the cells exceed the blank.

    Parameters
    ----------
    blank
        The limit of blank; None where it is unknown.
    low
        Repeated counts of specimens with few of the cells, a list a specimen; their standard
        deviations are pooled.

    Returns
    -------
    Limit of blank + 1.645 SD. None where the blank is unknown or nothing was repeated.

    Examples
    --------
    >>> round(measured_limit_of_detection(7.29, [[8, 10, 12], [18, 20, 22]]), 2)
    10.58
    >>> measured_limit_of_detection(7.29, [[8], [20]]) is None
    True
    """
    repeated = [np.asarray(counts, dtype=np.float64) for counts in low if len(counts) > 1]
    if blank is None or not repeated:
        return None
    squares = sum(float(((counts - counts.mean()) ** 2).sum()) for counts in repeated)
    degrees = sum(len(counts) - 1 for counts in repeated)
    return blank + _ONE_SIDED * float(np.sqrt(squares / degrees))
