"""Numbers from gated populations, each with what it rests on."""

from __future__ import annotations

from cytoflow_car.measure.counting import Concentration, Count, Percent
from cytoflow_car.measure.density import Density, DensityRatio
from cytoflow_car.measure.intensity import Intensity

#: Measures by the name that templates use. To add one: a class and its line here and in `Measure`.
MEASURES = {
    "percent": Percent,
    "count": Count,
    "concentration": Concentration,
    "intensity": Intensity,
    "density": Density,
    "density_ratio": DensityRatio,
}

#: Unit of each measure.
UNITS = {
    "percent": "%",
    "count": "count",
    "concentration": "cells/uL",
    "intensity": "a.u.",
    "density": "ABC",
    "density_ratio": "ratio",
}

Measure = Percent | Count | Concentration | Intensity | Density | DensityRatio
