"""The benchmark's gates in FlowKit's own records."""

from __future__ import annotations

from pathlib import Path

import flowkit
import numpy as np
from flowkit import gates as fk_gates
from specimen import STAINS, make_spillover

from cytoflow_car.model.gate import Dimension, PolygonGate, RectangleGate
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.scale import Linear, Logicle

_MATRIX = "spillover"


def gate_with_flowkit(path: Path, strategy: flowkit.GatingStrategy) -> flowkit.GatingResults:
    """Go from file to gated events as FlowKit's documentation does."""
    return strategy.gate_sample(flowkit.Sample(path))


def build_strategy(tree: PopulationTree) -> flowkit.GatingStrategy:
    """Return the gates that were placed on a specimen, for FlowKit.

    Coordinates are brought to each gate's scale, because FlowKit's gates lie there.
    """
    strategy = flowkit.GatingStrategy()
    spillover = make_spillover()
    detectors = list(spillover.detectors)
    strategy.add_comp_matrix(_MATRIX, flowkit.Matrix(spillover.matrix, detectors))
    detector_of = dict(zip(STAINS, detectors, strict=True))
    paths: dict[str, tuple[str, ...]] = {"root": ("root",)}
    for population in tree:
        if population.parent is None or population.placement is None:
            continue
        gate = population.placement.gate
        assert isinstance(gate, RectangleGate | PolygonGate)
        for dimension in gate.dimensions:
            _add_scale(strategy, dimension)
        if isinstance(gate, PolygonGate):
            corners = np.asarray(gate.vertices)
            scaled = np.column_stack(
                [
                    dimension.scale.forward(corners[:, place])
                    for place, dimension in enumerate(gate.dimensions)
                ]
            )
            theirs = fk_gates.PolygonGate(
                population.name,
                [_dimension(dimension, detector_of) for dimension in gate.dimensions],
                scaled.tolist(),
            )
        else:
            theirs = fk_gates.RectangleGate(
                population.name,
                [
                    _dimension(dimension, detector_of, low, high)
                    for dimension, low, high in zip(
                        gate.dimensions, gate.lower, gate.upper, strict=True
                    )
                ],
            )
        strategy.add_gate(theirs, paths[population.parent])
        paths[population.name] = (*paths[population.parent], population.name)
    return strategy


def _dimension(
    dimension: Dimension,
    detector_of: dict[str, str],
    low: float = -np.inf,
    high: float = np.inf,
) -> flowkit.Dimension:
    bounds = dimension.scale.forward(np.asarray([low, high]))
    return flowkit.Dimension(
        detector_of.get(dimension.marker, dimension.marker),
        compensation_ref=_MATRIX if dimension.marker in detector_of else "uncompensated",
        transformation_ref=_name_scale(dimension),
        range_min=float(bounds[0]) if np.isfinite(low) else None,
        range_max=float(bounds[1]) if np.isfinite(high) else None,
    )


def _name_scale(dimension: Dimension) -> str:
    return f"{dimension.scale.kind} {dimension.marker}"


def _add_scale(strategy: flowkit.GatingStrategy, dimension: Dimension) -> None:
    name = _name_scale(dimension)
    if name in strategy.transformations:
        return
    match dimension.scale:
        case Linear(top):
            theirs = flowkit.transforms.LinearTransform(top, 0.0)
        case Logicle(top, width, decades, negative_decades):
            theirs = flowkit.transforms.LogicleTransform(top, width, decades, negative_decades)
        case _:
            raise TypeError(f"the benchmark has no {dimension.scale.kind} scale")
    strategy.add_transform(name, theirs)
