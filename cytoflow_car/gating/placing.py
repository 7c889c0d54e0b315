"""What a placement method sees, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.gating.training import TrainingDensity
from cytoflow_car.model.clusters import ClusterLabels
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import Dimension, Placement, RectangleGate
from cytoflow_car.model.panel import PreparedEvents

Keep = Literal["above", "below"]

#: Placement looks at no more events than this, evenly spaced in acquisition order: a valley or a
#: mode does not move with more, and the time to find it would.
MOST_EVENTS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class ControlSummary:
    """What a control specimen says of one marker on one population; no events.

    Attributes
    ----------
    population, marker
        The parent population whose events were looked at, and the marker.
    kind
        ``pre_infusion``, ``untransduced``, ``fmo`` or ``isotype``.
    sample_id
        The control.
    n_events
        Events of the population in the control.
    tail
        The highest values, ascending, in data units; enough of them for the quantiles in use.
    quantiles
        Evenly spaced quantiles from 0 to 1, for aligning and drawing.
    file_sha256
        Content of the control's file.
    same_batch
        Whether it was measured in the batch of the specimen that it serves.
    """

    population: str
    marker: str
    kind: str
    sample_id: str
    n_events: int
    tail: tuple[float, ...]
    quantiles: tuple[float, ...]
    file_sha256: str = ""
    same_batch: bool = False


@dataclass(frozen=True, slots=True)
class References:
    """What placement may lean on beside the specimen itself.

    Attributes
    ----------
    controls
        Summaries of this specimen's controls.
    placements
        What was placed so far on this specimen, by population.
    rows
        Kept rows of every population gated so far.
    training
        Of hand-gated files, by the gate's first population.
    clusters, clusters_missing
        Labels of this specimen's events; or the flag that says why there are none.
    """

    controls: tuple[ControlSummary, ...] = ()
    placements: Mapping[str, Placement] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    training: Mapping[str, tuple[TrainingDensity, ...]] = field(default_factory=dict)
    clusters: ClusterLabels | None = None
    clusters_missing: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """The parent's events as a placement method sees them.

    Attributes
    ----------
    name
        The parent population.
    prepared
        All events of the specimen.
    rows
        The parent's rows, without events that quality control marked.
    """

    name: str
    prepared: PreparedEvents
    rows: Rows

    def values(self, marker: str) -> Values:
        """Return finite values of a marker in data units; at most `MOST_EVENTS`, evenly spaced."""
        step = max(1, math.ceil(self.rows.size / MOST_EVENTS))
        values = self.prepared.values(marker, self.rows[::step])
        return values[np.isfinite(values)]

    def dimension(self, marker: str) -> Dimension:
        """Return the gate dimension of a marker."""
        return Dimension(marker, self.prepared.scales[marker])


class GateMethod(Protocol):
    """Parameters plus one verb: places geometry on a specimen's events, never a mask."""

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers that the method looks at."""
        ...

    def place(self, parent: Parent, references: References) -> Placement:
        """Place the gate on `parent`, which has at least one event."""
        ...


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where one marker is cut, and why.

    Attributes
    ----------
    at
        Data units.
    confidence, reason, source, flags
        As in `Placement`.
    """

    at: float
    confidence: float
    reason: str
    source: str = ""
    flags: tuple[str, ...] = ()


class ThresholdMethod(GateMethod, Protocol):
    """A gate method that cuts one marker; rectangles and quadrants are built of them."""

    @property
    def marker(self) -> str:
        """The marker that is cut."""
        ...

    @property
    def keep(self) -> Keep:
        """The side that is kept."""
        ...

    def threshold(self, parent: Parent, references: References) -> Threshold:
        """Find the cut."""
        ...


def place_threshold(
    name: str, method: ThresholdMethod, parent: Parent, references: References
) -> Placement:
    """Turn a cut into a one-dimensional rectangle."""
    found = method.threshold(parent, references)
    return Placement(
        gate=rectangle(parent, [method], [found]),
        method=name,
        confidence=found.confidence,
        reason=found.reason,
        source=found.source,
        flags=found.flags,
    )


def rectangle(
    parent: Parent, methods: list[ThresholdMethod], cuts: list[Threshold]
) -> RectangleGate:
    """Build the box of several cuts; two cuts of one marker make a band."""
    bounds: dict[str, list[float]] = {}
    for method, cut in zip(methods, cuts, strict=True):
        low_high = bounds.setdefault(method.marker, [-math.inf, math.inf])
        if method.keep == "above":
            low_high[0] = max(low_high[0], cut.at)
        else:
            low_high[1] = min(low_high[1], cut.at)
    for marker, (low, high) in bounds.items():
        if not low < high:
            raise GateError(
                f"{marker} is cut above {low:g} and below {high:g}: nothing lies between",
                where=f"population beneath {parent.name}",
                advice="Look at the picture; give one of the cuts a fixed value or an override",
            )
    return RectangleGate(
        dimensions=tuple(parent.dimension(marker) for marker in bounds),
        lower=tuple(low for low, _ in bounds.values()),
        upper=tuple(high for _, high in bounds.values()),
    )
