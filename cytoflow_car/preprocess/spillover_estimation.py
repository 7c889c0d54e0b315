"""Spillover from single-stain controls, and what a matrix leaves of it.

In a single-stain control all events lie on one line in every detector: unstained and stained ones,
doublets and half-stained ones. Its slope is the spillover, and autofluorescence moves the line as a
whole (Bagwell & Adams). A regression over events would be pulled towards 0 by the photon noise of
the stain's own detector, so the line goes through the robust centres of two groups of events,
negative and positive (Wald), and events far off it lose their weight from round to round.

References
----------
Bagwell & Adams, Ann. N. Y. Acad. Sci. 677 (1993) 167-184.
Wald, Ann. Math. Stat. 11 (1940) 284-300.
Roca et al., Nat. Commun. 12 (2021) 2890, for refining from round to round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.errors import SpilloverError
from cytoflow_car.model.events import Spillover, Values
from cytoflow_car.preprocess.stain_groups import (
    LEAST_EVENTS,
    ControlEvents,
    against_unstained,
    robust_spread,
    split_stain,
)

#: A residual that moves a stain of 10,000 by more than 100 units shows in a dot plot.
LARGEST_RESIDUAL = 0.01

#: Four standard errors are then as much as a matrix may be off.
_LARGEST_ERROR = 0.00125
_MOST_SATURATED = 0.05
#: A control whose lit events do not mostly agree on their brightest detector has none.
_LEAST_VOTE = 0.6
#: In robust standard deviations of unstained events.
_LIT = 5.0
#: A stain takes no light away, so a slope as far below 0 was drawn from contaminants.
_LOWEST_SLOPE = -0.02
_LEAST_LIT = 0.05
#: Two tubes of one kind of cell agree in autofluorescence no better than this. It is a guess, and
#: what it comes to is added to the standard errors where negative events are of another tube.
_AUTOFLUORESCENCE_DOUBT = 0.05
#: Tukey's constant for a biweight: 95 % efficient for normal residuals.
_BIWEIGHT = 4.685
_ROUNDS = 50


@dataclass(frozen=True, slots=True, eq=False)
class ControlEstimate:
    """What one control says of its stain.

    Attributes
    ----------
    detector
        Column of the stain's own detector.
    slopes, standard_errors
        (n_detectors,): light in each detector, relative to the own one (1, with error 0).
    n_positive, n_negative
        Events of the two groups that the line was drawn through.
    stain_index
        Distance of the groups' medians in units of twice the negative ones' spread.
    flags
        ``CONTROL_TOO_DIM``, ``CONTROL_FEW_POSITIVES``, ``CONTROL_SATURATED``,
        ``CONTROL_UNLIKE_UNSTAINED``.
    """

    detector: int
    slopes: Values
    standard_errors: Values
    n_positive: int
    n_negative: int
    stain_index: float
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SpilloverEstimate:
    """A matrix with what it rests on.

    Attributes
    ----------
    spillover
        Row = stain, column = detector; values are as estimated, and may lie a little below 0.
    standard_errors
        (n, n), 0 on the diagonal.
    controls
        One a row.
    """

    spillover: Spillover
    standard_errors: Values
    controls: tuple[ControlEstimate, ...]


def usable_events(values: Values, scatter: Values, tops: Values) -> ControlEvents:
    """Leave out events that are not finite or saturated.

    Parameters
    ----------
    values, scatter
        (n_events, n_detectors) and (n_events, n_scatter).
    tops
        (n_detectors,) the value at and above which a detector is saturated.
    """
    finite = np.isfinite(np.column_stack([values, scatter])).all(axis=1)
    at_top = np.asarray((values >= tops).any(axis=1))
    kept = finite & ~at_top
    saturated = float(np.mean(at_top[finite])) if finite.any() else 0.0
    return ControlEvents(values[kept], scatter[kept], saturated)


def find_lit_detectors(
    controls: Sequence[ControlEvents], unstained: ControlEvents | None
) -> list[int | None]:
    """Find the detector that each control lights.

    Every event that is far brighter than unstained ones votes for the detector in which it gained
    most; contaminants are outvoted. Without an unstained control the dimmest control of each
    detector serves instead.

    Returns
    -------
    Columns; None where hardly any event is lit, the votes are divided, or there is nothing to
    compare with.
    """
    references = [unstained] if unstained is not None else list(controls)
    if unstained is None and len(controls) < 2:
        return [None] * len(controls)
    centres = np.asarray([np.median(item.values, axis=0) for item in references])
    spreads = np.asarray([robust_spread(item.values) for item in references])
    dimmest = np.argmin(centres, axis=0)
    columns = np.arange(centres.shape[1])
    centre, spread = centres[dimmest, columns], spreads[dimmest, columns]
    return [_vote(control, centre, spread) for control in controls]


def _vote(control: ControlEvents, centre: Values, spread: Values) -> int | None:
    gained = control.values - centre
    lit = np.asarray((gained > _LIT * spread).any(axis=1))
    if np.count_nonzero(lit) < max(LEAST_EVENTS / 2, _LEAST_LIT * lit.size):
        return None
    votes = np.bincount(np.argmax(gained[lit], axis=1), minlength=centre.size)
    found = int(np.argmax(votes))
    return found if votes[found] >= _LEAST_VOTE * votes.sum() else None


def estimate_spillover(
    controls: Mapping[str, ControlEvents],
    detectors: Sequence[str],
    unstained: ControlEvents | None,
    source: str,
) -> SpilloverEstimate:
    """Estimate a matrix from one control a detector.

    Parameters
    ----------
    controls
        By the detector that the control lights; of each all columns of `detectors`.
    detectors
        In the order of the matrix.
    unstained
        Gives the autofluorescence; None where every control has negative events of its own.
    source
        For `Spillover.source`.

    Raises
    ------
    SpilloverError
        A control has no negative events and there is no unstained one, or no positive ones.
    """
    found = []
    for column, detector in enumerate(detectors):
        try:
            found.append(estimate_control(controls[detector], column, unstained))
            _check_slopes(found[-1], detectors)
        except SpilloverError as error:
            raise error.at(f"control of {detector}") from None
    matrix = np.asarray([item.slopes for item in found])
    errors = np.asarray([item.standard_errors for item in found])
    return SpilloverEstimate(Spillover(tuple(detectors), matrix, source), errors, tuple(found))


def _check_slopes(estimate: ControlEstimate, detectors: Sequence[str]) -> None:
    highest = estimate.slopes + 4.0 * estimate.standard_errors
    lowest = int(np.argmin(highest))
    if highest[lowest] < _LOWEST_SLOPE:
        raise SpilloverError(
            f"a spillover of {estimate.slopes[lowest]:.3f} in {detectors[lowest]}",
            expected="0 or more; events without this stain seem to carry another",
            advice="Look for carry-over between the controls, or name an unstained control",
        )


def find_residuals(
    control: ControlEvents, detector: int, unstained: ControlEvents | None, unmixing: Values
) -> ControlEstimate:
    """Return what is left of a stain in the other detectors after compensation.

    Parameters
    ----------
    unmixing
        (n_detectors, n_detectors), inverse of the spillover matrix.

    Returns
    -------
    As of `estimate_control`; `slopes` are residuals: above 0 too little was taken away.
    """

    def compensated(item: ControlEvents) -> ControlEvents:
        return replace(item, values=item.values @ unmixing)

    return estimate_control(
        compensated(control), detector, None if unstained is None else compensated(unstained)
    )


def estimate_control(
    control: ControlEvents, detector: int, unstained: ControlEvents | None
) -> ControlEstimate:
    """Draw the line of one control in every detector.

    Negative events are the control's own, below the valley of its stain and of the same scatter
    cloud: they were stained and acquired alike. Where there are few, those of `unstained` serve.

    Raises
    ------
    SpilloverError
        Too few events, or no negative or no positive ones.
    """
    if len(control.values) < LEAST_EVENTS:
        raise SpilloverError(
            f"{len(control.values)} events that can be used", expected=f"at least {LEAST_EVENTS}"
        )
    flags = []
    own = split_stain(control, detector)
    if own and unstained is not None and _lit_elsewhere(own[1], detector, unstained):
        own = None
    if own is not None:
        positive, negative = own
    elif unstained is not None:
        positive, negative, alike = against_unstained(control, detector, unstained)
        if not alike:
            flags.append("CONTROL_UNLIKE_UNSTAINED")
    else:
        raise SpilloverError(
            "no negative events of its own beside the stained ones",
            expected="an unstained control, or beads or cells of which some do not bind the stain",
            advice="Name the unstained control",
        )
    least = LEAST_EVENTS / 5
    if len(positive) < least or len(negative) < least:
        raise SpilloverError(
            f"{len(positive)} positive and {len(negative)} negative events",
            expected=f"at least {least:g} of each",
            advice="Stain beads or cells that carry the antigen; acquire more events",
        )
    distance = float(np.median(positive[:, detector]) - np.median(negative[:, detector]))
    if not distance > 0:
        raise SpilloverError("the stain is no brighter than its negative events")
    slopes, errors = _draw_lines(positive, negative, detector)
    if own is None:
        glow = np.abs(np.median(negative, axis=0))
        doubt = _AUTOFLUORESCENCE_DOUBT * np.hypot(glow, slopes * glow[detector]) / distance
        errors = np.where(np.arange(errors.size) == detector, 0.0, np.hypot(errors, doubt))
    checks = {
        "CONTROL_TOO_DIM": errors.max() > _LARGEST_ERROR,
        "CONTROL_FEW_POSITIVES": len(positive) < LEAST_EVENTS,
        "CONTROL_SATURATED": control.saturated > _MOST_SATURATED,
    }
    flags += [flag for flag, holds in checks.items() if holds]
    stain_index = distance / (2.0 * float(robust_spread(negative[:, detector])))
    return ControlEstimate(
        detector, slopes, errors, len(positive), len(negative), stain_index, tuple(flags)
    )


def _lit_elsewhere(negative: Values, detector: int, unstained: ControlEvents) -> bool:
    """Tell whether events without the stain carry another: contaminants, not negatives."""
    gained = np.median(negative, axis=0) - np.median(unstained.values, axis=0)
    far = gained > _LIT * robust_spread(unstained.values)
    return bool(np.delete(far, detector).any())


def _draw_lines(positive: Values, negative: Values, detector: int) -> tuple[Values, Values]:
    """Return slope and standard error of the lines through the robust centres of two groups.

    An event that is far off the line in one detector is a contaminant, and counts in none: a cell
    with another stain is bright in the detector of that, but may lie near the line elsewhere.
    """
    # The brighter half is a sure start even where few events are stained.
    bright = positive[positive[:, detector] >= np.median(positive[:, detector])]
    rise = np.median(bright, axis=0) - np.median(negative, axis=0)
    slopes = np.asarray(rise / rise[detector])
    errors = np.zeros(slopes.size)
    others = [column for column in range(slopes.size) if column != detector]
    for _ in range(_ROUNDS):
        before = slopes.copy()
        above = _weigh(positive - np.outer(positive[:, detector], slopes), others)
        below = _weigh(negative - np.outer(negative[:, detector], slopes), others)
        for column in others:
            weights = above[:, column], below[:, column]
            pair = [column, detector]
            high = np.average(positive[:, pair], axis=0, weights=weights[0])
            low = np.average(negative[:, pair], axis=0, weights=weights[1])
            up, run = high - low
            slopes[column] = up / run
            variance = sum(
                _variance_of_centre(group[:, column] - slopes[column] * group[:, detector], weight)
                for group, weight in zip((positive, negative), weights, strict=True)
            )
            errors[column] = float(np.sqrt(variance)) / abs(run)
        if np.abs(slopes - before).max() < 1e-7:
            break
    return slopes, errors


def _weigh(residuals: Values, others: Sequence[int]) -> Values:
    """Return Tukey's biweights of the residuals in each detector, 0 where one of them is 0."""
    weights = np.ones_like(residuals)
    for column in others:
        weights[:, column] = _biweights(residuals[:, column])
    weights[(weights == 0.0).any(axis=1)] = 0.0
    return weights


def _biweights(residuals: Values) -> Values:
    centre = float(np.median(residuals))
    scale = float(robust_spread(residuals))
    for _ in range(5):
        off = (residuals - centre) / (_BIWEIGHT * scale)
        weights = np.where(np.abs(off) < 1.0, (1.0 - off**2) ** 2, 0.0)
        centre = float(np.average(residuals, weights=weights))
    return np.asarray(weights)


def _variance_of_centre(residuals: Values, weights: Values) -> float:
    """Return the variance of a biweight centre: that of an M-estimator, by its influence."""
    centre = np.average(residuals, weights=weights)
    root = np.sqrt(weights)  # 1 - u², from which the slope of the influence follows
    slope = root * (5.0 * root - 4.0)
    return float(np.sum((weights * (residuals - centre)) ** 2) / np.sum(slope) ** 2)
