"""Every placement method by the name that templates use."""

from __future__ import annotations

from cytoflow_car.gating.contour import DensityContour
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.gating.mixture import Mixture
from cytoflow_car.gating.ratio import Ratio
from cytoflow_car.gating.registered import Registered
from cytoflow_car.gating.shapes import (
    Boolean,
    Cut,
    FixedEllipsoid,
    FixedPolygon,
    Quadrant,
    Rectangle,
    Reference,
    Singlet,
)
from cytoflow_car.gating.thresholds import Fixed, Tail, ValleyCut

#: To add a method: a class, its line here and in `AnyGateMethod`.
METHODS = {
    "fixed": Fixed,
    "valley": ValleyCut,
    "tail": Tail,
    "internal": InternalCut,
    "control": ControlCut,
    "rectangle": Rectangle,
    "quadrant": Quadrant,
    "polygon": FixedPolygon,
    "ellipsoid": FixedEllipsoid,
    "singlet": Singlet,
    "ratio": Ratio,
    "registered": Registered,
    "mixture": Mixture,
    "density": DensityContour,
    "reference": Reference,
    "boolean": Boolean,
    "cluster": Labelled,
}

AnyGateMethod = (
    Fixed
    | ValleyCut
    | Tail
    | InternalCut
    | ControlCut
    | Rectangle
    | Quadrant
    | FixedPolygon
    | FixedEllipsoid
    | Singlet
    | Ratio
    | Registered
    | Mixture
    | DensityContour
    | Reference
    | Boolean
    | Labelled
)


def cuts_of(gate: AnyGateMethod) -> tuple[Cut, ...]:
    """Return the one-marker cuts that a gate is made of."""
    match gate:
        case Rectangle():
            return gate.sides
        case Quadrant():
            return (gate.x, gate.y)
        case Fixed() | ValleyCut() | Tail() | InternalCut() | ControlCut():
            return (gate,)
        case _:
            return ()
