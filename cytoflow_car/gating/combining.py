"""How sure a combination of populations is, by what its parts are unsure of."""

from __future__ import annotations

import numpy as np

from cytoflow_car.gating.confidence import (
    Mask,
    agreement_of,
    agreement_with_errors,
    confidence_with,
)
from cytoflow_car.gating.density import errors_at
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import MOST_EVENTS, Keep, Parent, References
from cytoflow_car.model.events import Rows
from cytoflow_car.model.gate import BooleanGate, ClusterGate, Placement, RectangleGate


def confidence_of_combination(
    parent: Parent, references: References, operation: str, populations: tuple[str, ...]
) -> float:
    """Return the confidence of and, or, not of populations within a parent.

    A population is unsure of some of its events. They matter where the combination hinges on it:
    for 'or' outside of the others, for 'and' inside of them. Half of them lie on either side of its
    border, and hinge as often as all events of that side do. What 'and' narrows a cut to may be
    parted worse by it than the events on which it was placed: the larger error counts.
    """
    complements = [name.startswith("!") for name in populations]
    names = [name.removeprefix("!") for name in populations]
    rows, step = _sample(parent)
    inside = [_has_rows(parent, references.rows[name])[rows] for name in names]
    signed = [mask ^ flip for mask, flip in zip(inside, complements, strict=True)]
    n_true = np.sum(signed, axis=0)
    n_needed = len(names) if operation == "and" else 1
    n_false = n_missed = 0.0
    for name, mask, own, is_complement in zip(names, inside, signed, complements, strict=True):
        placement = references.placements.get(name)
        if placement is None:
            continue
        hinges = n_true - own == n_needed - 1
        share = sum(float(np.mean(hinges[side])) for side in (mask, ~mask) if side.any())
        unsure = 1.0 - agreement_of(placement.confidence)
        errors = (unsure * int(np.count_nonzero(mask)) * share / 2.0,) * 2
        if operation == "and":
            found = _errors_here(parent, rows[hinges], placement, not is_complement)
            errors = max(errors, found, key=sum)
        n_false += step * errors[0]
        n_missed += step * errors[1]
    kept = n_true < n_needed if operation == "not" else n_true >= n_needed
    n_kept = step * int(np.count_nonzero(kept))
    expected = agreement_with_errors(n_kept, min(n_false, n_kept), n_missed)
    return confidence_with(expected, n_kept + n_missed)


def _errors_here(
    parent: Parent, rows: Rows, placement: Placement, is_kept: bool
) -> tuple[float, float]:
    """Return the events that a cut of one marker has on the wrong sides, false and missed."""
    gate = placement.gate
    if not isinstance(gate, RectangleGate) or len(gate.dimensions) != 1:
        return 0.0, 0.0
    cuts = [bound for bound in (gate.lower[0], gate.upper[0]) if np.isfinite(bound)]
    if len(cuts) != 1:
        return 0.0, 0.0
    scale = gate.dimensions[0].scale
    values = parent.prepared.values(gate.dimensions[0].marker, rows)
    scaled = scale.forward(values[np.isfinite(values)])
    at = float(scale.forward(np.asarray(cuts))[0])
    keep: Keep = "above" if np.isfinite(gate.lower[0]) == is_kept else "below"
    above, below = errors_at(scaled, at)
    return (above, below) if keep == "above" else (below, above)


def confidence_elsewhere(parent: Parent, placement: Placement) -> float:
    """Return how sure a gate can be among another parent's events, with its background there."""
    background = placement.background
    if background is None or isinstance(placement.gate, BooleanGate | ClusterGate):
        return 1.0
    rows, step = _sample(parent)
    n_kept = step * int(np.count_nonzero(members(placement.gate, parent.prepared, rows)))
    rate = background.n_events / max(background.n_parent, 1)
    n_false = min(n_kept, rate * (step * rows.size - n_kept))
    return confidence_with(agreement_with_errors(n_kept, n_false, 0.0), n_kept)


def _sample(parent: Parent) -> tuple[Rows, int]:
    """Return at most `MOST_EVENTS` of the parent's rows, evenly spaced, and their spacing."""
    step = max(1, -(-parent.rows.size // MOST_EVENTS))
    return parent.rows[::step], step


def _has_rows(parent: Parent, rows: Rows) -> Mask:
    inside = np.zeros(len(parent.prepared), dtype=np.bool_)
    inside[rows] = True
    return inside
