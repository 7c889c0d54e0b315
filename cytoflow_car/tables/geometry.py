"""Gates as JSON text, for ``gates.csv`` and ``overrides.csv``; the round trip is exact."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from cytoflow_car.errors import GateError, ScaleError
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
from cytoflow_car.model.scale import (
    Asinh,
    Biexponential,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Scale,
)

T = TypeVar("T")

_SCALES: dict[str, type[Scale]] = {
    cls.kind: cls for cls in (Linear, Log, Asinh, Logicle, Hyperlog, Biexponential)
}


def gate_to_json(gate: Gate) -> str:
    """Return a gate as one line of JSON: its kind, then its fields as the records name them.

    Numbers have as many digits as they need to come back the same; an open bound is null.
    """
    plain: dict[str, Any] = {"kind": type(gate).__name__}
    match gate:
        case ClusterGate(labels):
            plain |= {"labels": labels}
        case BooleanGate(operation, operands):
            plain |= {"operation": operation, "operands": operands}
        case RectangleGate(dimensions, lower, upper):
            plain |= {
                "dimensions": _plain_dimensions(dimensions),
                "lower": [_plain_bound(value) for value in lower],
                "upper": [_plain_bound(value) for value in upper],
            }
        case PolygonGate(dimensions, vertices):
            plain |= {"dimensions": _plain_dimensions(dimensions), "vertices": vertices}
        case EllipsoidGate(dimensions, center, axis_ends):
            plain |= {
                "dimensions": _plain_dimensions(dimensions),
                "center": center,
                "axis_ends": axis_ends,
            }
        case QuadrantGate(dimensions, dividers):
            plain |= {"dimensions": _plain_dimensions(dimensions), "dividers": dividers}
    return json.dumps(plain, allow_nan=False)


def gate_from_json(text: str) -> Gate:
    """Read what `gate_to_json` writes, and nothing else.

    Raises
    ------
    GateError
        Not JSON, a field that is unknown, missing, doubled or of the wrong kind, or a gate or
        scale that cannot exist.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_single, parse_constant=_no_constant)
    except (ValueError, RecursionError) as fault:
        raise GateError(f"geometry is not JSON: {fault}") from None
    try:
        return _gate(plain)
    except ScaleError as fault:
        raise GateError(fault.problem, expected=fault.expected) from None


def _plain_dimensions(dimensions: tuple[Dimension, ...]) -> list[dict[str, Any]]:
    return [
        {
            "marker": dimension.marker,
            "scale": {"kind": dimension.scale.kind, **dataclasses.asdict(dimension.scale)},
        }
        for dimension in dimensions
    ]


def _plain_bound(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gate(plain: Any) -> Gate:
    kind = plain.get("kind") if isinstance(plain, dict) else None
    match kind:
        case "BooleanGate":
            parts = _fields(plain, "kind", "operation", "operands")
            return BooleanGate(_text(parts["operation"]), _several(parts["operands"], _text))
        case "ClusterGate":
            return ClusterGate(_several(_fields(plain, "kind", "labels")["labels"], _text))
        case "RectangleGate":
            parts = _fields(plain, "kind", "dimensions", "lower", "upper")
            return RectangleGate(
                _dimensions(parts),
                _several(parts["lower"], lambda value: _bound(value, -math.inf)),
                _several(parts["upper"], lambda value: _bound(value, math.inf)),
            )
        case "PolygonGate":
            parts = _fields(plain, "kind", "dimensions", "vertices")
            dimensions = _dimensions(parts)
            if len(dimensions) != 2:
                _refuse("dimensions", f"{len(dimensions)}", "2 of a polygon")
            return PolygonGate((dimensions[0], dimensions[1]), _several(parts["vertices"], _vertex))
        case "EllipsoidGate":
            parts = _fields(plain, "kind", "dimensions", "center", "axis_ends")
            return EllipsoidGate(
                _dimensions(parts),
                _several(parts["center"], _number),
                _several(parts["axis_ends"], lambda end: _several(end, _number)),
            )
        case "QuadrantGate":
            parts = _fields(plain, "kind", "dimensions", "dividers")
            return QuadrantGate(_dimensions(parts), _several(parts["dividers"], _number))
        case _:
            _refuse("kind", repr(kind), "RectangleGate, PolygonGate, EllipsoidGate, QuadrantGate, "
                    "BooleanGate or ClusterGate")  # fmt: skip


def _dimensions(parts: dict[str, Any]) -> tuple[Dimension, ...]:
    return _several(parts["dimensions"], _dimension)


def _dimension(plain: Any) -> Dimension:
    parts = _fields(plain, "marker", "scale")
    scale = parts["scale"]
    kind = scale.get("kind") if isinstance(scale, dict) else None
    if not isinstance(kind, str) or kind not in _SCALES:
        _refuse("scale", repr(kind), f"one of {', '.join(_SCALES)}")
    cls = _SCALES[kind]
    names = [field.name for field in dataclasses.fields(cls)]
    settings = _fields(scale, "kind", *names)
    built = cls(**{name: _number(settings[name]) for name in names})
    return Dimension(_text(parts["marker"]), built)


def _vertex(plain: Any) -> tuple[float, float]:
    values = _several(plain, _number)
    if len(values) != 2:
        _refuse("vertices", f"{len(values)} numbers", "2 a vertex")
    return values[0], values[1]


def _fields(plain: Any, *names: str) -> dict[str, Any]:
    found = sorted(plain) if isinstance(plain, dict) else []
    if found != sorted(names):
        _refuse("fields", ", ".join(found) or "none", ", ".join(names))
    fields: dict[str, Any] = plain
    return fields


def _several(plain: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    if not isinstance(plain, list):
        _refuse("value", repr(plain), "a list")
    return tuple(read(item) for item in plain)


def _bound(plain: Any, open_end: float) -> float:
    return open_end if plain is None else _number(plain)


def _number(plain: Any) -> float:
    # bool is an int in Python, and a number too large for a float arrives as inf or overflows.
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        try:
            value = float(plain)
        except OverflowError:
            value = math.inf
        if math.isfinite(value):
            return value
    _refuse("value", repr(plain)[:40], "a finite number")


def _text(plain: Any) -> str:
    if not isinstance(plain, str) or not plain:
        _refuse("value", repr(plain)[:40], "a name")
    text: str = plain
    return text


def _refuse(what: str, found: str, expected: str) -> NoReturn:
    raise GateError(f"geometry: {what} {found}", expected=expected)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) < len(pairs):
        raise ValueError("a field stands twice")
    return plain


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number; an open bound is null")
