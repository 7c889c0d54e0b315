"""Gates of another program for one specimen, in our own records, and who lies inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cytoflow_car.model.events import Spillover
from cytoflow_car.model.gate import BooleanGate, GeometricGate

#: Names from the first population below the root down to a gate's own.
Path = tuple[str, ...]

#: A control character, which no program lets a person type.
_BETWEEN = "\x1f"

#: Compensation of a column: values as acquired, or the file's own spillover. Anything else is a
#: matrix of the gate set.
UNCOMPENSATED, FILE = "uncompensated", "FCS"


@dataclass(frozen=True, slots=True)
class GateColumn:
    """A value of each event that imported gates look at.

    Attributes
    ----------
    name
        What `Dimension.marker` of the gates calls it; unique in the gate set.
    detector
        ``$PnN``; of a ratio, the numerator's.
    compensation
        ``"uncompensated"``, ``"FCS"`` or a name in `GateSet.matrices`.
    divided_by
        ``$PnN`` of a ratio's denominator; empty for a channel's own value.
    factor, offset, divisor_offset
        A, B and C of Gating-ML's ratio: ``A * (x - B) / (y - C)``.
    """

    name: str
    detector: str
    compensation: str = UNCOMPENSATED
    divided_by: str = ""
    factor: float = 1.0
    offset: float = 0.0
    divisor_offset: float = 0.0


@dataclass(frozen=True, slots=True)
class NamedGate:
    """One gate of a gate set.

    Attributes
    ----------
    path
        Of the population that the gate makes.
    gate
        Its geometry. The dimensions' markers are columns of the gate set; operands of a boolean
        gate are paths as `join_path` writes them, with a leading ``!`` for the complement.
    pattern
        Which quadrant is meant (``"+-"``); empty for every other gate.
    complement
        Whether the events outside are meant.
    part
        Whether it is no population of its own, but only serves to put others together.
    """

    path: Path
    gate: GeometricGate | BooleanGate
    pattern: str = ""
    complement: bool = False
    part: bool = False

    @property
    def parent(self) -> Path:
        """Path of the parent population; empty for the root."""
        return self.path[:-1]


@dataclass(frozen=True, slots=True, eq=False)
class GateSet:
    """All gates of one specimen.

    Attributes
    ----------
    columns
        What the gates look at.
    gates
        Parents before children.
    matrices
        Compensation by name.
    notes
        What the other program's file says that could not be taken over, in words.
    """

    columns: tuple[GateColumn, ...]
    gates: tuple[NamedGate, ...]
    matrices: Mapping[str, Spillover] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def join_path(path: Path) -> str:
    """Return a path as one text; names may hold any sign that a person can type."""
    return _BETWEEN.join(path)


def split_path(text: str) -> Path:
    """Return the path that `join_path` wrote."""
    return tuple(text.split(_BETWEEN))


def name_populations(paths: Iterable[Path]) -> dict[Path, str]:
    """Give each population a name that no other has: its own, with its parents' where needed.

    ``CD4+`` beneath both ``Live`` and ``Dead`` becomes ``CD4+ (Live)`` and ``CD4+ (Dead)``. Signs
    that a template's names cannot have become spaces.
    """
    paths = list(paths)
    names = {path: _usable(path[-1]) for path in paths}
    depth = 1
    while doubled := [path for path, n in _counted(names).items() if n > 1 and len(path) > depth]:
        for path in doubled:
            above = " > ".join(_usable(part) for part in path[-1 - depth : -1])
            names[path] = f"{_usable(path[-1])} ({above})"
        depth += 1
    return names


def _counted(names: Mapping[Path, str]) -> dict[Path, int]:
    counts = Counter(names.values())
    return {path: counts[name] for path, name in names.items()}


def _usable(name: str) -> str:
    return " ".join(name.replace("/", " ").lstrip("!").split()) or "unnamed"
