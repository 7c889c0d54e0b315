"""Gates: where they are placed, and who lies inside."""

from __future__ import annotations

from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.ratio import Ratio
from cytoflow_car.gating.shapes import (
    Boolean,
    FixedEllipsoid,
    FixedPolygon,
    Quadrant,
    Rectangle,
    Reference,
    Singlet,
)
from cytoflow_car.gating.thresholds import Fixed, Tail, ValleyCut

#: Placement methods by the name that templates use. To add one: a class, its line here and in
#: `shapes.AnyGateMethod`.
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
    "reference": Reference,
    "boolean": Boolean,
}
