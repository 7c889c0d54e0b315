"""Gates that flowkit has parsed, in our own records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cytoflow_car.errors import CytoflowCarError, GateError, InteropError
from cytoflow_car.interop.flowkit_scales import (
    bound,
    data_units,
    lower_bound,
    scale_of,
    with_room,
)
from cytoflow_car.interop.gate_set import (
    FILE,
    UNCOMPENSATED,
    GateColumn,
    GateSet,
    NamedGate,
    Path,
    join_path,
)
from cytoflow_car.model.events import Spillover, Values
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)


def convert_strategy(strategy: Any, sample_name: str | None = None) -> GateSet:
    """Return a flowkit ``GatingStrategy`` as a gate set.

    Parameters
    ----------
    sample_name
        Whose gates are meant where the strategy has some for single samples.

    Notes
    -----
    Bounds come as positions on a scale. They are brought to data units so that no event changes
    sides: the bound is the smallest number that flowkit's own transform puts at or above it.
    """
    return _Conversion(strategy, sample_name).convert()


class _Conversion:
    """One strategy on its way; collects the columns that gates turn out to look at."""

    def __init__(self, strategy: Any, sample_name: str | None) -> None:
        self._strategy = strategy
        self._sample_name = sample_name
        self._columns: dict[str, GateColumn] = {}
        self._quadrants: set[Path] = set()
        self._notes: list[str] = []

    def convert(self) -> GateSet:
        from flowkit import gates
        from flowkit.exceptions import QuadrantReferenceError

        named: list[NamedGate] = []
        for name, above in self._strategy.get_gate_ids():
            try:
                theirs = self._strategy.get_gate(name, above, sample_id=self._sample_name)
            except QuadrantReferenceError:
                continue  # told by its quadrant gate
            if isinstance(theirs, gates.QuadrantGate):
                self._quadrants.add((*above, name))
            named.extend(self._gates(theirs, (*above, name)))
        matrices = {
            key: Spillover(tuple(item.detectors), np.asarray(item.matrix), key)
            for key, item in self._strategy.comp_matrices.items()
            if np.shape(item.matrix)[0] == np.shape(item.matrix)[1]
        }
        lacking = {
            column.compensation
            for column in self._columns.values()
            if column.compensation not in (UNCOMPENSATED, FILE, *matrices)
        }
        if lacking:
            raise InteropError(
                f"compensation {', '.join(sorted(lacking))} is missing or not square",
                expected="a square spillover matrix",
            )
        return GateSet(tuple(self._columns.values()), tuple(named), matrices, tuple(self._notes))

    def _path(self, full: Path) -> Path:
        """Return a path without the root and without quadrant gates, which are no populations."""
        return tuple(
            name
            for depth, name in enumerate(full)
            if depth > 0 and full[: depth + 1] not in self._quadrants
        )

    def _gates(self, theirs: Any, full: Path) -> list[NamedGate]:
        from flowkit import gates

        path = self._path(full)
        complement = bool(getattr(theirs, "use_complement", False))
        try:
            match theirs:
                case gates.BooleanGate():
                    return [NamedGate(path, self._boolean(theirs))]
                case gates.QuadrantGate():
                    return self._quadrant_gates(theirs, full)
                case gates.RectangleGate():
                    return [NamedGate(path, self._rectangle(theirs), complement=complement)]
                case gates.PolygonGate():
                    return [NamedGate(path, self._polygon(theirs), complement=complement)]
                case gates.EllipsoidGate():
                    return [NamedGate(path, self._ellipsoid(theirs), complement=complement)]
                case _:
                    raise InteropError(f"a {type(theirs).__name__} cannot be taken over")
        except KeyError as fault:
            raise InteropError(
                f"gate {'/'.join(path)!r} refers to {fault}, which is not there"
            ) from fault
        except (CytoflowCarError, ArithmeticError, ValueError) as fault:
            # flowkit lets parameters pass that no scale can have.
            raise InteropError(f"gate {'/'.join(path)!r}: {fault}") from fault

    def _dimension(self, theirs: Any) -> tuple[Dimension, Any]:
        """Return our dimension and flowkit's transform (None for none)."""
        compensation = theirs.compensation_ref or UNCOMPENSATED
        reference = getattr(theirs, "ratio_ref", None)
        if reference is not None:
            ratio = self._strategy.transformations[reference]
            # As flowkit does: a ratio is of values as acquired.
            column = GateColumn(
                f"{reference} (ratio)",
                ratio.dimensions[0],
                UNCOMPENSATED,
                ratio.dimensions[1],
                float(ratio.param_a),
                float(ratio.param_b),
                float(ratio.param_c),
            )
        else:
            detector = getattr(theirs, "dimension_ref", None) or theirs.id
            detector = self._detector(detector, compensation)
            name = detector if compensation == UNCOMPENSATED else f"{compensation}:{detector}"
            column = GateColumn(name, detector, compensation)
        self._columns[column.name] = column
        transform = (
            None
            if theirs.transformation_ref is None
            else self._strategy.transformations[theirs.transformation_ref]
        )
        return Dimension(column.name, scale_of(transform)), transform

    def _detector(self, name: str, compensation: str) -> str:
        """Return the detector where a gate names the fluorochrome of a matrix."""
        matrix = self._strategy.comp_matrices.get(compensation)
        if matrix is None or name in matrix.detectors:
            return name
        fluorochromes = list(matrix.fluorochromes or ())
        found = fluorochromes.index(name) if name in fluorochromes else None
        return name if found is None else str(matrix.detectors[found])

    def _rectangle(self, theirs: Any) -> RectangleGate:
        sides = [
            (*self._dimension(item), getattr(item, "min", None), getattr(item, "max", None))
            for item in theirs.dimensions
        ]
        return RectangleGate(
            tuple(side[0] for side in sides),
            tuple(lower_bound(side[1], side[2], side[3]) for side in sides),
            tuple(bound(side[1], side[3], math.inf) for side in sides),
        )

    def _polygon(self, theirs: Any) -> PolygonGate:
        (x, x_transform), (y, y_transform) = map(self._dimension, theirs.dimensions)
        corners = np.asarray(theirs.vertices, dtype=np.float64)
        vertices = zip(
            data_units(x_transform, corners[:, 0]).tolist(),
            data_units(y_transform, corners[:, 1]).tolist(),
            strict=True,
        )
        dimensions = tuple(
            with_room(dimension, transform, corners[:, axis])
            for axis, (dimension, transform) in enumerate(((x, x_transform), (y, y_transform)))
        )
        return PolygonGate((dimensions[0], dimensions[1]), tuple(vertices))

    def _ellipsoid(self, theirs: Any) -> EllipsoidGate:
        found = [self._dimension(item) for item in theirs.dimensions]
        center = np.asarray(theirs.coordinates, dtype=np.float64)
        covariance = np.asarray(theirs.covariance_matrix, dtype=np.float64)
        spread, directions = np.linalg.eigh(covariance)
        if not np.array_equal(covariance, covariance.T) or not (spread > 0).all():
            raise GateError(
                "its covariance matrix is no ellipsoid's",
                expected="symmetric, with eigenvalues above 0",
            )
        half = np.sqrt(spread * float(theirs.distance_square))
        ends = center + (directions * half).T

        def in_data_units(point: Values) -> tuple[float, ...]:
            return tuple(
                float(data_units(transform, np.asarray([value]))[0])
                for (_, transform), value in zip(found, point, strict=True)
            )

        reach = np.sqrt(np.diagonal(covariance) * float(theirs.distance_square))
        dimensions = tuple(
            with_room(dimension, transform, center[axis] + np.asarray([-1.0, 1.0]) * reach[axis])
            for axis, (dimension, transform) in enumerate(found)
        )
        return EllipsoidGate(dimensions, in_data_units(center), tuple(map(in_data_units, ends)))

    def _quadrant_gates(self, theirs: Any, full: Path) -> list[NamedGate]:
        dividers = {item.id: item for item in theirs.dimensions}
        above = self._path(full)
        plain = all(len(item.values) == 1 for item in dividers.values()) and len(
            {item.dimension_ref for item in dividers.values()}
        ) == len(dividers)
        found: list[NamedGate] = []
        placed = {key: self._dimension(item) for key, item in dividers.items()}
        for name, quadrant in theirs.quadrants.items():
            ranges = {key: quadrant.get_divider_range(key) for key in quadrant.divider_refs}
            path = (*above, name)
            if plain and set(ranges) == set(dividers):
                gate: QuadrantGate | RectangleGate = QuadrantGate(
                    tuple(placed[key][0] for key in dividers),
                    tuple(
                        bound(placed[key][1], dividers[key].values[0], math.inf) for key in dividers
                    ),
                )
                pattern = "".join("-" if ranges[key][0] is None else "+" for key in dividers)
                found.append(NamedGate(path, gate, pattern))
            else:
                gate = RectangleGate(
                    tuple(placed[key][0] for key in ranges),
                    tuple(lower_bound(placed[key][1], *ranges[key]) for key in ranges),
                    tuple(bound(placed[key][1], ranges[key][1], math.inf) for key in ranges),
                )
                found.append(NamedGate(path, gate))
        return found

    def _boolean(self, theirs: Any) -> BooleanGate:
        operands = tuple(
            ("!" if item["complement"] else "")
            + join_path(self._path((*item["path"], item["ref"])))
            for item in theirs.gate_refs
        )
        # A combination of one gate is that gate.
        if theirs.type != "not" and len(operands) == 1:
            operands = operands * 2
        return BooleanGate(theirs.type, operands)
