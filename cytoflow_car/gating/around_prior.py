"""What the methods share that look for a population around a prior on several markers."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from cytoflow_car.gating.confidence import MOST_SURE_OF_PRIOR, confidence_of, steadiness
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.moving import AxisMove, move_gate
from cytoflow_car.gating.placing import Parent
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import GeometricGate, Placement

#: With fewer events nothing is sought.
LEAST_EVENTS = 50
#: How far a population usually lies from its prior, one standard deviation of an axis, in scale
#: units.
USUAL_SHIFT = 0.04
#: That the population was not seen is as likely as that it lies so many standard deviations away.
_UNSEEN = 3.0
#: More events, evenly spaced, tell no more of how sure a prior is.
_STEADY_EVENTS = 5_000


def scaled_points(parent: Parent, markers: tuple[str, ...], most_events: int) -> Values:
    """Return evenly spaced parent events on their scales, (n_events, n_markers), all finite."""
    n_taken = min(int(parent.rows.size), most_events)
    rows = parent.rows[np.arange(n_taken) * parent.rows.size // max(n_taken, 1)]
    points = np.column_stack(
        [
            parent.prepared.scales[name].forward(parent.prepared.values(name, rows))
            for name in markers
        ]
    )
    return points[np.isfinite(points).all(axis=1)]


def chance_of_choice(distances: Values) -> float:
    """Return how likely the nearest of several populations is the one that is meant.

    It may also be one that was not seen at all.

    Parameters
    ----------
    distances
        (n,) of each population from the prior, in standard deviations of the usual displacement,
        which is taken to be normal and the same for all.
    """
    odds = np.exp(-0.5 * distances**2)
    return float(odds.max() / (odds.sum() + math.exp(-0.5 * _UNSEEN**2)))


def keep_gate(method: str, gate: GeometricGate, parent: Parent, why: str) -> Placement:
    """Return the template's prior gate, flagged, because the data did not say where it belongs.

    It is as sure as few events lie where its edges would be after the usual shift of each axis.
    """
    rows = parent.rows[:: max(1, parent.rows.size // _STEADY_EVENTS)]
    names = [item.marker for item in gate.dimensions]
    signs = product((-USUAL_SHIFT, USUAL_SHIFT), repeat=len(names))
    moves = [dict(zip(names, map(AxisMove, shifts), strict=True)) for shifts in signs]
    expected = steadiness(
        members(gate, parent.prepared, rows),
        (members(move_gate(gate, item), parent.prepared, rows) for item in moves),
    )
    return Placement(
        gate,
        method,
        min(MOST_SURE_OF_PRIOR, confidence_of(expected)),
        f"{why}; prior kept",
        flags=("PRIOR_KEPT",),
    )
