"""What a confidence means: how far a gate and the one that a person would draw are likely to agree.

Every placement method estimates the agreement (F1 of the events inside) from what it knows of its
own uncertainty, and one function turns that into the number in the tables.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

#: Agreement at which a gate is as likely to be left as to be moved; its confidence is one half.
REVIEW_AGREEMENT = 0.9

#: A population of fewer events counts as so many: nothing below is quantified.
LEAST_EVENTS = 50


def confidence_of(agreement: float) -> float:
    """Return the confidence of a gate whose expected F1 is `agreement`.

    One half at 0.9, 1 at 1, 0 at 0.8 and below; straight between.
    """
    below = 2.0 * (1.0 - REVIEW_AGREEMENT)
    return round(float(np.clip((agreement - (1.0 - below)) / below, 0.0, 1.0)), 3)


def agreement(one: Mask, other: Mask) -> float:
    """Return the F1 of two memberships of the same events; 1 where both are empty.

    Twice the common events over the sum of both.
    """
    both = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2.0 * int(np.count_nonzero(one & other)) / both if both else 1.0


def steadiness(placed: Mask, moved: Iterable[Mask]) -> float:
    """Return the mean agreement of a gate with itself, moved by its own uncertainty.

    Parameters
    ----------
    placed
        (n,) membership of the gate as it was placed.
    moved
        Memberships of the same events after each move. Differing events of a population of fewer
        than `LEAST_EVENTS` are counted against that many.
    """
    inside = int(np.count_nonzero(placed))
    found = []
    for other in moved:
        differing = int(np.count_nonzero(placed != other))
        total = max(inside + int(np.count_nonzero(other)), 2 * LEAST_EVENTS)
        found.append(1.0 - differing / total)
    return float(np.mean(found)) if found else 1.0
