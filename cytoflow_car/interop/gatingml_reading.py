"""Read Gating-ML 2.0."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cytoflow_car.errors import InteropError
from cytoflow_car.interop.flowkit_gates import convert_strategy
from cytoflow_car.interop.gate_set import GateSet, NamedGate, join_path, split_path
from cytoflow_car.interop.gatingml_writing import GATE_ID, NAME, PART
from cytoflow_car.interop.xml import read_xml
from cytoflow_car.model.gate import BooleanGate

#: Populations below each other.
_DEEPEST = 100
_PARENT = GATE_ID.removesuffix("}id") + "}parent_id"


def read_gatingml(path: Path) -> GateSet:
    """Read a Gating-ML 2.0 file, parsed by flowkit.

    Gates that `write_gatingml` wrote get their populations' own names back.

    Raises
    ------
    InteropError
        Not Gating-ML, or something in it that cannot be taken over.
    """
    # Takes seconds, and nobody else needs it.
    import flowkit

    try:
        content = read_xml(path)
        _refuse_deep(content, path.name)
        strategy = flowkit.parse_gating_xml(content)
    except InteropError:
        raise
    except Exception as fault:
        # flowkit raises whatever comes up inside it.
        raise InteropError(
            f"no Gating-ML that can be read: {fault}",
            where=path.name,
            expected="a Gating-ML 2.0 file",
        ) from fault
    try:
        return _with_own_names(convert_strategy(strategy), content)
    except InteropError as fault:
        raise fault.at(path.name) from fault


def _refuse_deep(content: io.BytesIO, where: str) -> None:
    """Refuse a tree whose depth flowkit would need minutes for."""
    above = {
        item.attrib[GATE_ID]: item.get(_PARENT, "")
        for item in ET.parse(content).iter()
        if item.get(GATE_ID)
    }
    content.seek(0)
    for gate in above:
        ancestor, depth = above[gate], 0
        # A gate that is its own ancestor is deep, too.
        while ancestor and depth <= _DEEPEST:
            ancestor, depth = above.get(ancestor, ""), depth + 1
        if depth > _DEEPEST:
            raise InteropError(
                f"gate {gate!r} has more than {_DEEPEST} ancestors",
                where=where,
                expected="a tree of gates that a person can draw",
            )


def _with_own_names(gates: GateSet, content: io.BytesIO) -> GateSet:
    content.seek(0)
    elements = [item for item in ET.parse(content).iter() if item.get(GATE_ID)]
    names = {item.attrib[GATE_ID]: item.attrib[NAME] for item in elements if item.get(NAME)}
    parts = {item.attrib[GATE_ID] for item in elements if item.get(PART)}
    return replace(gates, gates=tuple(_renamed(item, names, parts) for item in gates.gates))


def _renamed(item: NamedGate, names: Mapping[str, str], parts: set[str]) -> NamedGate:
    def own(path: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(name, name) for name in path)

    gate = item.gate
    if isinstance(gate, BooleanGate):
        operands = tuple(
            "!" * name.startswith("!") + join_path(own(split_path(name.removeprefix("!"))))
            for name in gate.operands
        )
        gate = replace(gate, operands=operands)
    return replace(item, path=own(item.path), gate=gate, part=item.path[-1] in parts)
