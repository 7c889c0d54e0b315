"""References of normal specimens as files: JSON of plain numbers, looked over when read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from cytoflow_car.errors import ReferenceError
from cytoflow_car.model.reference import LEVELS, AnchorScale, Reference, ReferencePopulation
from cytoflow_car.model.scale import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle, Scale

#: Ending of a reference's file, after its name.
ENDING = ".reference.json"
_FORMAT = 1
_SCALES: dict[str, type[Scale]] = {
    cls.kind: cls for cls in (Linear, Log, Asinh, Logicle, Hyperlog, Biexponential)
}
#: Positions of events are kept in thousandths of the way from 0 to 1.
_STEP = 1000.0


@dataclass(frozen=True, slots=True)
class _Marker:
    marker: str
    scale: dict[str, Any]
    zero: float
    one: float


@dataclass(frozen=True, slots=True)
class _Population:
    name: str
    lineage: str
    stage: int
    technical: bool
    shares: list[float]
    means: list[list[float]]
    covariances: list[list[list[float]]]
    between: list[float]
    levels: list[Literal["negative", "dim", "positive"]]
    fraction: float
    highest_fraction: float
    n_events: int
    n_specimens: int


@dataclass(frozen=True, slots=True)
class _File:
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    format: Literal[1]
    name: str
    parent: str
    simulated: bool
    provenance: dict[str, Any]
    markers: list[_Marker]
    populations: list[_Population]
    fit: list[float]
    event_populations: list[int]
    event_specimens: list[int]
    events: list[list[int]]


def write_reference(reference: Reference, path: Path) -> None:
    """Write a reference; the file is text, and numbers come back the same to six digits."""
    plain = {
        "format": _FORMAT,
        "name": reference.name,
        "parent": reference.parent,
        "simulated": reference.simulated,
        "provenance": dict(reference.provenance),
        "markers": [
            {
                "marker": item.marker,
                "scale": {"kind": item.scale.kind, **asdict(item.scale)},
                "zero": item.zero,
                "one": item.one,
            }
            for item in reference.markers
        ],
        "populations": [_plain_population(item) for item in reference.populations],
        "fit": _rounded(np.asarray(reference.fit)),
        "event_populations": reference.event_populations.tolist(),
        "event_specimens": reference.event_specimens.tolist(),
        "events": np.rint(reference.events * _STEP).astype(int).tolist(),
    }
    path.write_text(json.dumps(plain, separators=(",", ":")) + "\n", encoding="utf-8", newline="\n")


def read_reference(path: Path) -> Reference:
    """Read a reference.

    Raises
    ------
    ReferenceError
        No such file, or it is not one that `write_reference` wrote.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = path.read_bytes()
    except OSError as fault:
        raise ReferenceError(f"it cannot be opened ({fault.strerror})", where=path.name) from fault
    try:
        plain = TypeAdapter(_File).validate_json(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = " ".join(str(step) for step in first["loc"])
        raise ReferenceError(
            f"{first['msg'][:1].lower()}{first['msg'][1:]}",
            where=f"{path.name}, {place}" if place else path.name,
            expected="a file that 'cytoflow-car reference fit' wrote",
        ) from None
    reference = Reference(
        name=plain.name,
        markers=tuple(_marker(item, path) for item in plain.markers),
        populations=tuple(_population(item) for item in plain.populations),
        parent=plain.parent,
        events=_array(plain.events, len(plain.markers)),
        event_populations=np.asarray(plain.event_populations, dtype=np.intp),
        event_specimens=np.asarray(plain.event_specimens, dtype=np.intp),
        fit=tuple(plain.fit),
        simulated=plain.simulated,
        provenance=plain.provenance,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    _refuse_inconsistent(reference, path)
    return reference


def _plain_population(item: ReferencePopulation) -> dict[str, Any]:
    return {
        "name": item.name,
        "lineage": item.lineage,
        "stage": item.stage,
        "technical": item.technical,
        "shares": _rounded(item.shares),
        "means": _rounded(item.means),
        "covariances": _rounded(item.covariances),
        "between": _rounded(item.between),
        "levels": list(item.levels),
        "fraction": item.fraction,
        "highest_fraction": item.highest_fraction,
        "n_events": item.n_events,
        "n_specimens": item.n_specimens,
    }


def _rounded(values: Any) -> Any:
    """Return nested lists of numbers with six digits: more say nothing and double the file."""
    if np.ndim(values) == 0:
        return float(f"{float(values):.6g}")
    return [_rounded(item) for item in values]


def _marker(item: _Marker, path: Path) -> AnchorScale:
    fields = dict(item.scale)
    kind = fields.pop("kind", None)
    try:
        return AnchorScale(item.marker, _SCALES[str(kind)](**fields), item.zero, item.one)
    except (KeyError, TypeError) as fault:
        raise ReferenceError(
            f"scale {item.scale!r}", where=f"{path.name}, marker {item.marker}",
            expected=f"one of {', '.join(_SCALES)}, with its parameters",
        ) from fault  # fmt: skip


def _population(item: _Population) -> ReferencePopulation:
    fields = asdict(item)
    for name in ("shares", "means", "covariances", "between"):
        try:
            fields[name] = np.asarray(fields[name], dtype=np.float64)
        except ValueError:
            # Rows of unequal length fit nothing, and are refused with whatever else does not.
            fields[name] = np.empty(0)
    fields["levels"] = tuple(fields["levels"])
    return ReferencePopulation(**fields)


def _array(events: list[list[int]], n_markers: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    if not events:
        return np.empty((0, n_markers), dtype=np.float32)
    try:
        return (np.asarray(events, dtype=np.float64) / _STEP).astype(np.float32)
    except ValueError:
        return np.empty((0, 0), dtype=np.float32)


def _refuse_inconsistent(reference: Reference, path: Path) -> None:
    """Refuse arrays that do not fit each other, and covariances that are none."""
    n_markers = len(reference.markers)
    sizes_fit = (
        n_markers > 0
        and len(reference.populations) > 0
        and reference.events.shape == (len(reference.event_populations), n_markers)
        and len(reference.event_specimens) == len(reference.events)
        and reference.event_populations.min(initial=0) >= 0
        and reference.event_populations.max(initial=0) < len(reference.populations)
        and reference.event_specimens.min(initial=0) >= 0
        and len(reference.fit) > 0
    )
    for item in reference.populations:
        n_components = len(item.shares)
        sizes_fit = (
            sizes_fit
            and n_components > 0
            and item.means.shape == (n_components, n_markers)
            and item.covariances.shape == (n_components, n_markers, n_markers)
            and item.between.shape == (n_markers,)
            and len(item.levels) == n_markers
            and bool((item.between > 0).all())
            and bool((np.linalg.eigvalsh(item.covariances) > 0).all())
            and set(item.levels) <= set(LEVELS)
        )
        if not sizes_fit:
            break
    if not sizes_fit:
        raise ReferenceError(
            "its arrays do not fit each other",
            where=path.name,
            expected="a file that 'cytoflow-car reference fit' wrote",
            advice="Fit it again",
        )
