"""Write the gates of a specimen as a FlowJo 10 workspace, through flowkit, as far as it can."""

from __future__ import annotations

import copy
import io
import math
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cytoflow_car.interop.gate_set import (
    UNCOMPENSATED,
    GateColumn,
    GateSet,
    NamedGate,
    Path,
    join_path,
    split_path,
)
from cytoflow_car.model.gate import BooleanGate, Dimension, Gate, PolygonGate, RectangleGate
from cytoflow_car.model.scale import Linear, Logicle, Scale

_SPACE = "http://www.isac-net.org/std/Gating-ML/v2.0/"
_GATING, _DATA = f"{{{_SPACE}gating}}", f"{{{_SPACE}datatypes}}"
#: Detectors whose values flowkit writes as uncompensated; it calls all others compensated.
_PLAIN = ("FSC-", "SSC-", "Time")
_MATRIX = "spillover"


@dataclass(frozen=True, slots=True)
class WrittenWorkspace:
    """A workspace of one specimen.

    Attributes
    ----------
    root
        Of the ``.wsp`` file.
    left_out
        Why a population is not in it, by path.
    """

    root: ET.Element
    left_out: Mapping[Path, str]


def write_workspace(file_name: str, detectors: Sequence[str], gates: GateSet) -> WrittenWorkspace:
    """Make a FlowJo 10 workspace with the gates of one specimen.

    Parameters
    ----------
    file_name
        Of the FCS file; FlowJo finds it by this name.
    detectors
        ``$PnN`` of the file. No other keyword of it is written.
    gates
        As `read_gatingml` gives them.
    """
    # Takes seconds, and nobody else needs it.
    import flowkit

    columns = {column.name: column for column in gates.columns}
    matrices = {item.compensation for item in columns.values()} - {UNCOMPENSATED}
    items = list(_without_complements(gates.gates))
    scales = _choose_scales(items, columns)
    left_out: dict[Path, str] = {}
    n_known = -1
    # What a gate combines may come after it.
    while len(left_out) > n_known:
        n_known = len(left_out)
        for item in items:
            why = _why_not(item, columns, scales, matrices, left_out)
            if why:
                left_out.setdefault(item.path, why)
    strategy = flowkit.GatingStrategy()
    for name in sorted(matrices & gates.matrices.keys())[:1]:
        matrix = gates.matrices[name]
        strategy.add_comp_matrix(_MATRIX, flowkit.Matrix(matrix.matrix, list(matrix.detectors)))
    for detector, scale in scales.items():
        strategy.add_transform(detector, _transform(scale))
    written = {item.path: item.gate for item in items if item.path not in left_out}
    for path, gate in written.items():
        theirs = _theirs(path, gate, columns, detectors[0], scales)
        strategy.add_gate(theirs, ("root", *path[:-1]))
    parts = {item.path for item in items if item.part}
    session = flowkit.Session(gating_strategy=strategy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty = np.zeros((1, len(detectors)))
        session.add_samples(
            flowkit.Sample(empty, sample_id=file_name, channel_labels=list(detectors))
        )
    stream = io.BytesIO()
    session.export_wsp(stream, "All Samples")
    return WrittenWorkspace(
        _with_exact_numbers(stream.getvalue(), written),
        {path: why for path, why in left_out.items() if path not in parts},
    )


def join_workspaces(workspaces: Sequence[WrittenWorkspace]) -> bytes:
    """Return one ``.wsp`` file of several specimens, at least one."""
    whole = workspaces[0].root
    for number, item in enumerate(workspaces, start=1):
        for element in item.root.iter():
            if "sampleID" in element.attrib:
                element.set("sampleID", str(number))
            for word in (f"{_GATING}id", f"{_GATING}parent_id"):
                if word in element.attrib:
                    element.set(word, f"ID{number:03}{element.attrib[word].removeprefix('ID'):0>6}")
        if number > 1:
            for place in ("Matrices", "SampleList", "Groups/GroupNode/Group/SampleRefs"):
                found, more = whole.find(place), item.root.find(place)
                assert found is not None and more is not None
                found.extend(more)
    for prefix, name in (
        ("gating", "gating"),
        ("transforms", "transformations"),
        ("data-type", "datatypes"),
    ):
        ET.register_namespace(prefix, _SPACE + name)
    text: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _without_complements(gates: Iterable[NamedGate]) -> Iterator[NamedGate]:
    """Yield gates with one more for each complement that a combination names."""
    made: set[Path] = set()
    for item in gates:
        gate = item.gate
        if not isinstance(gate, BooleanGate) or gate.operation == "not":
            yield item
            continue
        operands = []
        for name in gate.operands:
            if name.startswith("!"):
                path = (*item.parent, f"not {split_path(name[1:])[-1]}")
                if path not in made:
                    made.add(path)
                    yield NamedGate(path, BooleanGate("not", (name[1:],)), part=True)
                name = join_path(path)
            operands.append(name)
        yield replace(item, gate=BooleanGate(gate.operation, tuple(operands)))


def _choose_scales(
    gates: Iterable[NamedGate], columns: Mapping[str, GateColumn]
) -> dict[str, Scale]:
    """Return the one scale that FlowJo may have for each detector: that of its first polygon."""
    found: dict[str, Scale] = {}
    boxes: dict[str, Scale] = {}
    for item in gates:
        if not isinstance(item.gate, RectangleGate | PolygonGate):
            continue
        for each in item.gate.dimensions:
            detector = columns[each.marker].detector
            boxes.setdefault(detector, Linear())
            if isinstance(item.gate, PolygonGate) and isinstance(each.scale, Linear | Logicle):
                found.setdefault(detector, each.scale)
    return {**boxes, **found}


def _why_not(
    item: NamedGate,
    columns: Mapping[str, GateColumn],
    scales: Mapping[str, Scale],
    matrices: set[str],
    left_out: Mapping[Path, str],
) -> str:
    """Return why flowkit cannot write a gate; empty where it can."""
    gate = item.gate
    if item.parent in left_out:
        return "its parent is left out"
    if isinstance(gate, BooleanGate) and not item.complement:
        if any(name.startswith("!") for name in gate.operands):
            return "FlowJo has no complement of a complement"
        reasons = [left_out.get(split_path(name), "") for name in gate.operands]
        reason = next(filter(None, reasons), "")
        return f"it combines what is left out: {reason}" if reason else ""
    if not isinstance(gate, RectangleGate | PolygonGate) or item.complement:
        return "it is neither a box nor a polygon"
    for each in gate.dimensions:
        column = columns[each.marker]
        if column.divided_by:
            return "it looks at a ratio"
        plain = not matrices or column.detector.startswith(_PLAIN)
        if plain != (column.compensation == UNCOMPENSATED):
            return f"flowkit would write {column.detector} as {'un' * plain}compensated"
        if isinstance(gate, PolygonGate) and not _alike(each.scale, scales[column.detector]):
            return f"it was drawn on another scale than FlowJo would have for {column.detector}"
    return ""


def _alike(one: Scale, other: Scale) -> bool:
    return one == other or (isinstance(one, Linear) and isinstance(other, Linear))


def _transform(scale: Scale) -> Any:
    from flowkit import transforms

    if isinstance(scale, Logicle):
        return transforms.LogicleTransform(
            scale.top, scale.width, scale.decades, scale.negative_decades
        )
    return transforms.LinearTransform(scale.top, 0.0)


def _theirs(
    path: Path,
    gate: Gate,
    columns: Mapping[str, GateColumn],
    any_detector: str,
    scales: Mapping[str, Scale],
) -> Any:
    """Return flowkit's gate; its numbers only hold the place of the exact ones.

    A box holds the place of a combination, which flowkit reads but does not write.
    """
    from flowkit import Dimension as Theirs
    from flowkit import gates

    def dimension(each: Dimension, low: float, high: float) -> Any:
        column = columns[each.marker]
        compensation = column.compensation if column.compensation == UNCOMPENSATED else _MATRIX
        return Theirs(
            column.detector,
            compensation,
            column.detector,
            None if math.isinf(low) else 0.0,
            None if math.isinf(high) else 1.0,
        )

    if isinstance(gate, RectangleGate):
        sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)
        return gates.RectangleGate(path[-1], [dimension(*side) for side in sides])
    if isinstance(gate, PolygonGate):
        dimensions = [dimension(each, -math.inf, math.inf) for each in gate.dimensions]
        return gates.PolygonGate(path[-1], dimensions, [(0.5, 0.5)] * len(gate.vertices))
    scale = any_detector if any_detector in scales else None
    place = Theirs(any_detector, UNCOMPENSATED, scale, 0.0, 1.0)
    return gates.RectangleGate(path[-1], [place])


def _with_exact_numbers(content: bytes, written: Mapping[Path, Gate]) -> ET.Element:
    """Put combinations in, and bounds and vertices as they are: a scale and back rounds them."""
    root = ET.fromstring(content)

    def fill(parent: ET.Element, above: Path) -> None:
        for population in parent.findall("Subpopulations/Population"):
            path = (*above, population.attrib["name"])
            gate = written[path]
            element = population.find("Gate")
            assert element is not None
            if isinstance(gate, BooleanGate):
                population.tag = f"{gate.operation.capitalize()}Node"
                population.remove(element)
                dependents = ET.Element("Dependents")
                for name in gate.operands:
                    ET.SubElement(dependents, "Dependent", name="/".join(split_path(name)))
                population.insert(0, dependents)
            elif isinstance(gate, RectangleGate):
                sides = zip(
                    element.iter(f"{_GATING}dimension"), gate.lower, gate.upper, strict=True
                )
                for dimension, low, high in sides:
                    for word, value in (("min", low), ("max", high)):
                        if math.isfinite(value):
                            dimension.set(f"{_GATING}{word}", repr(float(value)))
            elif isinstance(gate, PolygonGate):
                numbers = (number for vertex in gate.vertices for number in vertex)
                for place, number in zip(
                    element.iter(f"{_GATING}coordinate"), numbers, strict=True
                ):
                    place.set(f"{_DATA}value", repr(float(number)))
            fill(population, path)

    for node in root.iter("SampleNode"):
        fill(node, ())
    # FlowJo keeps the matrix with the sample, where flowkit looks for it too.
    for sample in root.iter("Sample"):
        for matrix in root.findall("Matrices/*"):
            sample.insert(1, copy.deepcopy(matrix))
    return root
