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

#: A prior that stays is never as sure as a place that was found.
MOST_SURE_OF_PRIOR = 0.9


def confidence_of(agreement: float) -> float:
    """Return the confidence of a gate whose expected F1 is `agreement`.

    One half at 0.9, 1 at 1, 0 at 0.8 and below; straight between.
    """
    below = 2.0 * (1.0 - REVIEW_AGREEMENT)
    return round(float(np.clip((agreement - (1.0 - below)) / below, 0.0, 1.0)), 3)


def confidence_with(agreement: float, n_events: float) -> float:
    """Return the confidence of a gate whose expected F1 is `agreement`, for a population this size.

    Of a population of fewer than `LEAST_EVENTS` nothing is quantified but that it is so small, and
    which events belong to it cannot be told: its gate is no reason for review, one half at least.

    Parameters
    ----------
    n_events
        The most events that the population may have: those inside and those that may be missed.
    """
    least = 0.5 if n_events < LEAST_EVENTS else 0.0
    return max(least, confidence_of(agreement))


def agreement_of(confidence: float) -> float:
    """Return the agreement that a confidence stands for; 0.8 at most where it is 0."""
    return 1.0 - 2.0 * (1.0 - REVIEW_AGREEMENT) * (1.0 - confidence)


def agreement_with_errors(n_kept: float, n_false: float, n_missed: float) -> float:
    """Return the F1 of a gate that holds events that it should not, and lacks others.

    Parameters
    ----------
    n_kept
        Events inside. A population of fewer than `LEAST_EVENTS` counts as that many.
    n_false, n_missed
        How many of them are expected not to belong there, and how many that do lie outside.
    """
    total = max(2.0 * n_kept - n_false + n_missed, 2.0 * LEAST_EVENTS)
    return max(0.0, 1.0 - (n_false + n_missed) / total)


def joint_agreement(*agreements: float) -> float:
    """Return the agreement that is left where errors of several kinds come together; they add."""
    return max(0.0, 1.0 - sum(1.0 - item for item in agreements))


def agreement(one: Mask, other: Mask) -> float:
    """Return the F1 of two memberships of the same events; 1 where both are empty.

    Twice the common events over the sum of both.
    """
    both = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2.0 * int(np.count_nonzero(one & other)) / both if both else 1.0


def steadiness(placed: Mask, moved: Iterable[Mask], *, step: int = 1) -> float:
    """Return the mean agreement of a gate with itself, moved by its own uncertainty.

    Parameters
    ----------
    placed
        (n,) membership of the gate as it was placed.
    moved
        Memberships of the same events after each move. Differing events of a population of fewer
        than `LEAST_EVENTS` are counted against that many.
    step
        Of how many events each that is looked at stands for.
    """
    inside = int(np.count_nonzero(placed))
    found = []
    for other in moved:
        differing = int(np.count_nonzero(placed != other))
        total = max(inside + int(np.count_nonzero(other)), 2 * LEAST_EVENTS / step)
        found.append(1.0 - differing / total)
    return float(np.mean(found)) if found else 1.0
