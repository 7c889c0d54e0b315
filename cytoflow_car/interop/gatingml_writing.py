"""Write the placed gates of a specimen as Gating-ML 2.0.

What is written holds the same events when another program reads it: every bound that can be is
written in data units, quadrants as boxes, and what Gating-ML has no word for (a logarithm that is
clipped at its lowest decade, FlowJo's "biex") is put together from what it has.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cytoflow_car.errors import InteropError
from cytoflow_car.interop.gatingml_shapes import (
    Ellipsoid,
    Outline,
    Shape,
    asinh_decades,
    in_standard_shapes,
)
from cytoflow_car.model.events import Spillover
from cytoflow_car.model.gate import (
    BooleanGate,
    ClusterGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.population import ROOT
from cytoflow_car.model.scale import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle, Scale
from cytoflow_car.preprocess.panel import bare_detector

_SPACE = "http://www.isac-net.org/std/Gating-ML/v2.0/"
_GATING, _TRANSFORMS, _DATA = (
    f"{{{_SPACE}{name}}}" for name in ("gating", "transformations", "datatypes")
)
_MATRIX = "spillover"
#: Attributes of ours on a gate: the population's own name, and a gate that only others use.
NAME, PART = "name", "part"
GATE_ID = f"{_GATING}id"
#: No event lies above.
_BEYOND = 1e300
_NO_XML_SIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_ID_SIGN = re.compile(r"[^0-9A-Za-z_.-]")


@dataclass(frozen=True, slots=True)
class WrittenPopulation:
    """A population as it is to be written.

    Attributes
    ----------
    name
        Unique.
    parent
        Name of the parent population; ``root`` for none.
    gate
        Its geometry; operands of a boolean gate are names.
    pattern
        Which quadrant it is; empty for every other gate.
    """

    name: str
    parent: str
    gate: Gate
    pattern: str = ""


def write_gatingml(
    populations: Sequence[WrittenPopulation],
    detectors: Mapping[str, str],
    spillover: Spillover | None,
) -> bytes:
    """Return a Gating-ML 2.0 file.

    Parameters
    ----------
    populations
        Parents before children.
    detectors
        ``$PnN`` of each marker.
    spillover
        Written into the file, and applied to the detectors that it names; None where values stay
        as they are.

    Returns
    -------
    The file. Ids are made of the names; the names themselves stand in the attribute ``name`` of
    each gate. Gates that only serve to put another together carry the attribute ``part``. A
    population that Gating-ML cannot hold (an ellipsoid of three or more dimensions on "biex") is
    left out with those that rest on it, and each is named in a ``custom_info``.
    """
    return _Writer(detectors, spillover).write(populations)


class _Writer:
    def __init__(self, detectors: Mapping[str, str], spillover: Spillover | None) -> None:
        self._detectors = detectors
        # Gating-ML knows no matrix of one detector; there is nothing in it anyway.
        alone = spillover is not None and len(spillover.detectors) == 1
        self._spillover = None if alone else spillover
        self._root = ET.Element(f"{_GATING}Gating-ML")
        self._scales: dict[Scale, str] = {}
        self._ids: dict[str, str] = {}
        self._written: set[str] = set()
        self._left_out: set[str] = set()

    def write(self, populations: Sequence[WrittenPopulation]) -> bytes:
        if self._spillover is not None:
            self._add_matrix(self._spillover)
        for item in populations:
            self._id(item.name)
        for item in populations:
            try:
                self._refuse_without_base(item)
                self._add_population(item)
            except InteropError as fault:
                self._left_out.add(item.name)
                note = ET.SubElement(self._root, f"{_DATA}custom_info")
                note.text = _text(f"left out: {item.name}: {fault}")
        for name in sorted(self._ids.keys() - self._written - self._left_out):
            self._add_nobody(name)
        ET.indent(self._root)
        for prefix, name in (
            ("gating", "gating"),
            ("transforms", "transformations"),
            ("data-type", "datatypes"),
        ):
            ET.register_namespace(prefix, _SPACE + name)
        text: bytes = ET.tostring(self._root, encoding="utf-8", xml_declaration=True)
        return text + b"\n"

    def _id(self, name: str) -> str:
        """Return the id of a name: readable, an XML name, and no other population's."""
        if name not in self._ids:
            words = name.replace("+", "_pos").replace(" ", "_")
            words = re.sub(r"-(?=$|[^0-9A-Za-z])", "_neg", words)
            made = _NO_ID_SIGN.sub("_", words)
            if not made or not (made[0].isalpha() or made[0] == "_"):
                made = f"_{made}"
            taken = {ROOT, _MATRIX, *self._ids.values(), *self._scales.values()}
            free, number = made, 2
            while free in taken:
                free, number = f"{made}_{number}", number + 1
            self._ids[name] = free
        return self._ids[name]

    def _add_matrix(self, spillover: Spillover) -> None:
        # A matrix may spell detectors otherwise than the file, and readers go by the file.
        spelled = {bare_detector(name): name for name in self._detectors.values()}
        matrix = ET.SubElement(self._root, f"{_TRANSFORMS}spectrumMatrix")
        matrix.set(f"{_TRANSFORMS}id", _MATRIX)
        for list_name in ("fluorochromes", "detectors"):
            names = ET.SubElement(matrix, f"{_TRANSFORMS}{list_name}")
            for detector in spillover.detectors:
                item = ET.SubElement(names, f"{_DATA}fcs-dimension")
                item.set(f"{_DATA}name", _text(spelled.get(bare_detector(detector), detector)))
        for row in np.asarray(spillover.matrix).tolist():
            spectrum = ET.SubElement(matrix, f"{_TRANSFORMS}spectrum")
            for value in row:
                item = ET.SubElement(spectrum, f"{_TRANSFORMS}coefficient")
                item.set(f"{_TRANSFORMS}value", _number(value))

    def _scale_id(self, scale: Scale) -> str:
        if scale not in self._scales:
            made = f"scale_{len(self._scales) + 1}"
            while made in self._ids.values():
                made += "_"
            self._scales[scale] = made
            transformation = ET.SubElement(self._root, f"{_TRANSFORMS}transformation")
            transformation.set(f"{_TRANSFORMS}id", made)
            word, parameters = _in_standard_words(scale)
            item = ET.SubElement(transformation, f"{_TRANSFORMS}{word}")
            for name, value in parameters.items():
                item.set(f"{_TRANSFORMS}{name}", _number(value))
        return self._scales[scale]

    def _refuse_without_base(self, item: WrittenPopulation) -> None:
        operands = item.gate.operands if isinstance(item.gate, BooleanGate) else ()
        for name in (item.parent, *(operand.removeprefix("!") for operand in operands)):
            if name in self._left_out:
                raise InteropError(f"it rests on {name}, which is left out")

    def _add_population(self, item: WrittenPopulation) -> None:
        match item.gate:
            case ClusterGate(labels):
                raise InteropError(f"membership by label ({', '.join(labels)}) has no geometry")
            case BooleanGate(operation, operands):
                self._add_boolean(item.name, item.parent, operation, operands)
            case RectangleGate():
                self._add_rectangle(item.name, item.parent, item.gate)
            case QuadrantGate():
                self._add_rectangle(item.name, item.parent, _quadrant(item.gate, item.pattern))
            case PolygonGate() | EllipsoidGate():
                self._add_shapes(item.name, item.parent, in_standard_shapes(item.gate))

    def _gate(self, kind: str, name: str, parent: str, *, part: bool = False) -> ET.Element:
        gate = ET.SubElement(self._root, f"{_GATING}{kind}")
        gate.set(f"{_GATING}id", self._id(name))
        if parent != ROOT:
            gate.set(f"{_GATING}parent_id", self._id(parent))
        gate.set(PART if part else NAME, _text(name))
        self._written.add(name)
        return gate

    def _add_nobody(self, name: str) -> None:
        """Write a gate without events for a population that others combine but that has no gate."""
        dimension = Dimension(next(iter(self._detectors)), Linear())
        gate = RectangleGate((dimension,), (_BEYOND,), (math.inf,))
        self._add_rectangle(name, ROOT, gate, part=True)

    def _dimension(self, gate: ET.Element, dimension: Dimension, scale: Scale | None) -> ET.Element:
        detector = self._detectors[dimension.marker]
        compensated = self._spillover is not None and bare_detector(detector) in {
            bare_detector(name) for name in self._spillover.detectors
        }
        item = ET.SubElement(gate, f"{_GATING}dimension")
        item.set(f"{_GATING}compensation-ref", _MATRIX if compensated else "uncompensated")
        if scale is not None:
            item.set(f"{_GATING}transformation-ref", self._scale_id(scale))
        channel = ET.SubElement(item, f"{_DATA}fcs-dimension")
        channel.set(f"{_DATA}name", _text(detector))
        return item

    def _add_rectangle(
        self, name: str, parent: str, gate: RectangleGate, *, part: bool = False
    ) -> None:
        made = self._gate("RectangleGate", name, parent, part=part)
        for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
            item = self._dimension(made, dimension, None)
            # What is not a number lies in no gate of ours, not even in an open one.
            if np.isfinite(low) or not np.isfinite(high):
                item.set(f"{_GATING}min", _number(low))
            if np.isfinite(high):
                item.set(f"{_GATING}max", _number(high))

    def _add_boolean(
        self,
        name: str,
        parent: str,
        operation: str,
        operands: Iterable[str],
        *,
        part: bool = False,
    ) -> None:
        operands = [
            operand.replace(parent, self._again(parent))
            if operand.removeprefix("!") == parent
            else operand
            for operand in operands
        ]
        made = self._gate("BooleanGate", name, parent, part=part)
        combination = ET.SubElement(made, f"{_GATING}{operation}")
        for operand in operands:
            reference = ET.SubElement(combination, f"{_GATING}gateReference")
            reference.set(f"{_GATING}ref", self._id(operand.removeprefix("!")))
            if operand.startswith("!"):
                reference.set(f"{_GATING}use-as-complement", "true")

    def _again(self, name: str) -> str:
        """Return another name for a population, for a gate that combines its own parent.

        flowkit takes such a reference for the place in the tree, and then finds none.
        """
        again = f"{name}/again"
        if again not in self._ids:
            self._add_boolean(again, ROOT, "and", [name, name], part=True)
        return again

    def _add_shapes(self, name: str, parent: str, either: Sequence[Sequence[Shape]]) -> None:
        """Write a population of the events in all shapes of any one sequence."""
        if len(either) == 1:
            self._add_all(name, parent, either[0])
            return
        # No population's name has a slash.
        parts = [f"{name}/part {number}" for number in range(1, len(either) + 1)]
        for part, shapes in zip(parts, either, strict=True):
            self._add_all(part, parent, shapes, part=True)
        self._add_boolean(name, parent, "or", parts)

    def _add_all(
        self, name: str, parent: str, shapes: Sequence[Shape], *, part: bool = False
    ) -> None:
        if len(shapes) == 1:
            self._add_shape(name, parent, shapes[0], part=part)
            return
        inner = [f"{name}/shape {number}" for number in range(1, len(shapes) + 1)]
        for each, shape in zip(inner, shapes, strict=True):
            self._add_shape(each, parent, shape, part=True)
        self._add_boolean(name, parent, "and", inner, part=part)

    def _add_shape(self, name: str, parent: str, shape: Shape, *, part: bool) -> None:
        match shape:
            case RectangleGate():
                self._add_rectangle(name, parent, shape, part=part)
            case Outline(dimensions, vertices):
                made = self._gate("PolygonGate", name, parent, part=part)
                self._add_scaled(made, dimensions)
                for point in vertices.tolist():
                    self._add_values(ET.SubElement(made, f"{_GATING}vertex"), "coordinate", point)
            case Ellipsoid(dimensions, center, covariance):
                made = self._gate("EllipsoidGate", name, parent, part=part)
                self._add_scaled(made, dimensions)
                mean = ET.SubElement(made, f"{_GATING}mean")
                self._add_values(mean, "coordinate", center.tolist())
                matrix = ET.SubElement(made, f"{_GATING}covarianceMatrix")
                for row in covariance.tolist():
                    self._add_values(ET.SubElement(matrix, f"{_GATING}row"), "entry", row)
                self._add_values(made, "distanceSquare", [1.0])

    def _add_scaled(self, made: ET.Element, dimensions: tuple[Dimension, ...]) -> None:
        for dimension in dimensions:
            self._dimension(made, dimension, dimension.scale)

    def _add_values(self, parent: ET.Element, word: str, values: Sequence[float]) -> None:
        for value in values:
            ET.SubElement(parent, f"{_GATING}{word}").set(f"{_DATA}value", _number(value))


def _text(name: str) -> str:
    """Return a name without the signs that XML cannot hold."""
    return _NO_XML_SIGN.sub("\ufffd", name)


def _number(value: float) -> str:
    """Return a number with as many digits as it needs to come back the same."""
    if math.isinf(value):
        return "INF" if value > 0 else "-INF"
    return repr(float(value))


def _in_standard_words(scale: Scale) -> tuple[str, dict[str, float]]:
    match scale:
        case Linear(top):
            return "flin", {"T": top, "A": 0.0}
        case Log(top, decades):
            return "flog", {"T": top, "M": decades}
        case Asinh(top):
            return "fasinh", {"T": top, "M": asinh_decades(scale), "A": 0.0}
        case Logicle() | Hyperlog():
            return scale.kind, {
                "T": scale.top,
                "W": scale.width,
                "M": scale.decades,
                "A": scale.negative_decades,
            }
        case Biexponential():
            raise TypeError("biex is written on a linear scale")


def _quadrant(gate: QuadrantGate, pattern: str) -> RectangleGate:
    """Return a quadrant as a box.

    Programs differ in what they make of a quadrant gate's dividers, at and below 0 above all.
    """
    signs = list(zip(pattern, gate.dividers, strict=True))
    return RectangleGate(
        gate.dimensions,
        tuple(divider if sign == "+" else -math.inf for sign, divider in signs),
        tuple(math.inf if sign == "+" else divider for sign, divider in signs),
    )
