"""Geometry of placed gates, in Gating-ML 2.0 words, with every coordinate in data units.

Edges are straight on the scale of each dimension; that scale is kept with the gate, so that a
placed gate is complete by itself. A gate says nothing of events: `gating.membership` applies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cytoflow_car.errors import GateError
from cytoflow_car.model.scale import Scale


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of a gate: a marker of the template and the scale on which edges are straight."""

    marker: str
    scale: Scale


@dataclass(frozen=True, slots=True)
class RectangleGate:
    """Box with lower bounds included and upper bounds excluded; an infinite bound is open.

    Attributes
    ----------
    lower, upper
        One bound a dimension, in data units.
    """

    dimensions: tuple[Dimension, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        _same_length(self.dimensions, self.lower, self.upper)
        for dimension, low, high in zip(self.dimensions, self.lower, self.upper, strict=True):
            if not low < high:  # also catches NaN
                raise GateError(
                    f"bounds {low:g} to {high:g} of {dimension.marker} hold nothing",
                    expected="a lower bound below the upper bound",
                )


@dataclass(frozen=True, slots=True)
class PolygonGate:
    """Polygon of at least three vertices; even-odd rule where edges cross.

    Left and lower edges belong to it, right and upper ones do not, so that an event on a line that
    two polygons share lies in one of them.
    """

    dimensions: tuple[Dimension, Dimension]
    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.dimensions) != 2 or len(self.vertices) < 3:
            raise GateError(
                f"polygon of {len(self.vertices)} vertices in {len(self.dimensions)} dimensions",
                expected="at least 3 vertices in 2 dimensions",
            )
        _finite([value for vertex in self.vertices for value in vertex])


@dataclass(frozen=True, slots=True)
class EllipsoidGate:
    """Ellipsoid, surface included.

    Attributes
    ----------
    center
        In data units, one value a dimension.
    axis_ends
        The end of each half-axis, in data units: n points of n values. They are brought to the
        scale before the ellipsoid is formed, as every other coordinate is.
    """

    dimensions: tuple[Dimension, ...]
    center: tuple[float, ...]
    axis_ends: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        _same_length(self.dimensions, self.center, self.axis_ends)
        for end in self.axis_ends:
            _same_length(self.dimensions, end)
        _finite([*self.center, *(value for end in self.axis_ends for value in end)])


@dataclass(frozen=True, slots=True)
class QuadrantGate:
    """Dividers on each dimension; an event at a divider lies on its upper side."""

    dimensions: tuple[Dimension, ...]
    dividers: tuple[float, ...]

    def __post_init__(self) -> None:
        _same_length(self.dimensions, self.dividers)
        _finite(self.dividers)


@dataclass(frozen=True, slots=True)
class BooleanGate:
    """And, or, not of populations of the same tree.

    Attributes
    ----------
    operation
        ``"and"``, ``"or"`` or ``"not"``.
    operands
        Population names; a leading ``!`` means its complement.
    """

    operation: str
    operands: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.operation not in ("and", "or", "not"):
            raise GateError(f"operation {self.operation!r}", expected="and, or, not")
        if not self.operands or (self.operation == "not") != (len(self.operands) == 1):
            raise GateError(
                f"{self.operation!r} of {len(self.operands)} populations",
                expected="one for not, at least two for and, or",
            )


@dataclass(frozen=True, slots=True)
class ClusterGate:
    """Membership by label: what clustering called the events. It has no geometry.

    Attributes
    ----------
    labels
        An event with any of them lies inside.
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise GateError("a cluster gate without labels", expected="at least one")


GeometricGate = RectangleGate | PolygonGate | EllipsoidGate | QuadrantGate
Gate = GeometricGate | BooleanGate | ClusterGate


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """What a method finds in a specimen that holds none of what it looks for.

    Attributes
    ----------
    expected
        Mean number of events.
    blank
        Limit of blank: exceeded by 5 % of such specimens, in events.
    lod
        Limit of detection that follows of it, in events.
    missed
        Share of true events that the method leaves out.
    leaked
        Share of true events that it takes for normal cells.
    n_held_out
        Normal events that this rests on.
    """

    expected: float
    blank: float
    lod: float
    missed: float
    leaked: float
    n_held_out: int


@dataclass(frozen=True, slots=True)
class BeyondCut:
    """Events far beyond a cut, where the control that placed it has hardly any.

    Attributes
    ----------
    n_events, n_parent
        Of the specimen: there, and of the gate's parent.
    n_control
        Of the control there.
    """

    n_events: int
    n_parent: int
    n_control: int


@dataclass(frozen=True, slots=True)
class Background:
    """How many events of a control lie in a gate that was placed by it.

    Attributes
    ----------
    kind, sample_id
        Kind of control (``pre_infusion``, ``untransduced``, ``fmo``, ``isotype``) and which; or
        ``internal`` and the negative population of the same tube.
    n_events
        Events of the control inside the gate.
    n_parent
        Events of the control in the gate's parent.
    parent
        The specimen's population that the rate refers to: the parent of the gate that was placed,
        also where another gate narrows it. Empty for the population's own parent.
    beyond
        What lies far beyond the cut; None where that was not looked at.
    """

    kind: str
    sample_id: str
    n_events: int
    n_parent: int
    parent: str = ""
    beyond: BeyondCut | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A gate as it was placed on one specimen, and how sure its method is.

    Attributes
    ----------
    gate
        The geometry.
    method
        Name of the placement method, or ``"override"``.
    confidence
        0 to 1; below the template's review line the specimen goes to review.
    reason
        Why there, in words.
    source
        What an outside threshold rests on (``"patient's pre-infusion sample P1_PB_d0_T"``);
        empty where only the specimen itself was looked at.
    flags
        Doubts that go onto every measurement beneath the gate.
    background
        What a control has inside the gate; None where the gate rests on none.
    false_positives
        What the method itself lets through; None where it was not measured.
    reviewed
        Whether an unsure gate sends the specimen to review; False for one that only serves others.
    """

    gate: Gate
    method: str
    confidence: float
    reason: str
    source: str = ""
    flags: tuple[str, ...] = ()
    background: Background | None = None
    false_positives: FalsePositives | None = None
    reviewed: bool = True

    def is_unsure(self, review_below: float) -> bool:
        """Tell whether a person should look at the gate."""
        return self.reviewed and self.confidence < review_below


def _same_length(*fields: tuple[object, ...]) -> None:
    if len({len(values) for values in fields}) != 1 or not fields[0]:
        raise GateError(
            f"coordinates for {[len(values) for values in fields]} dimensions",
            expected="the same number of coordinates for each dimension, at least one",
        )


def _finite(values: list[float] | tuple[float, ...]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise GateError("a coordinate that is not a finite number")
