"""Placement methods of more than one dimension, and those that build on other gates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.gating.combining import confidence_elsewhere, confidence_of_combination
from cytoflow_car.gating.confidence import (
    agreement_of,
    confidence_of,
    confidence_with,
    joint_agreement,
    steadiness,
)
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.placing import (
    Parent,
    References,
    Threshold,
    ThresholdMethod,
    rectangle,
)
from cytoflow_car.gating.thresholds import (
    PRIOR_KEPT,
    Fixed,
    Tail,
    ValleyCut,
    cut_at,
    fixed_confidences,
)
from cytoflow_car.model.gate import (
    Background,
    BooleanGate,
    EllipsoidGate,
    Placement,
    PolygonGate,
    QuadrantGate,
)

Cut = Fixed | ValleyCut | Tail | InternalCut | ControlCut


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Box of several cuts, each placed by its own method; two cuts of one marker make a band."""

    method: Literal["rectangle"]
    sides: tuple[Cut, ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers of the sides."""
        return tuple(dict.fromkeys(side.marker for side in self.sides))

    def place(self, parent: Parent, references: References) -> Placement:
        """Place every side; what one is unsure of adds to what the others are."""
        cuts = [side.threshold(parent, references) for side in self.sides]
        fixed = [number for number, side in enumerate(self.sides) if isinstance(side, Fixed)]
        if fixed and len(self.sides) > 1:
            bounds = [side for side in self.sides if isinstance(side, Fixed)]
            rows = parent.rows
            for side, cut in zip(self.sides, cuts, strict=True):
                if not isinstance(side, Fixed):
                    rows = rows[
                        cut_at(parent.prepared.values(side.marker, rows), cut.at, side.keep)
                    ]
            among = Parent(parent.name, parent.prepared, rows)
            for number, confidence in zip(fixed, fixed_confidences(among, bounds), strict=True):
                cuts[number] = replace(cuts[number], confidence=confidence)
        return _joined(
            Placement(rectangle(parent, list(self.sides), cuts), self.method, 1.0, ""),
            list(self.sides),
            cuts,
            parent.rows.size,
        )


@dataclass(frozen=True, slots=True)
class Quadrant:
    """Two cuts that divide the parent into four; one placement serves all four populations."""

    method: Literal["quadrant"]
    x: Cut
    y: Cut

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers of both dividers."""
        return (self.x.marker, self.y.marker)

    def place(self, parent: Parent, references: References) -> Placement:
        """Place both dividers."""
        sides: list[ThresholdMethod] = [self.x, self.y]
        cuts = [side.threshold(parent, references) for side in sides]
        gate = QuadrantGate(
            tuple(parent.dimension(side.marker) for side in sides), tuple(cut.at for cut in cuts)
        )
        return _joined(Placement(gate, self.method, 1.0, ""), sides, cuts, parent.rows.size)


def _joined(
    placement: Placement, sides: list[ThresholdMethod], cuts: list[Threshold], n_parent: int
) -> Placement:
    """Give a placement the confidence, reasons, sources and flags of its cuts."""
    expected = joint_agreement(*(agreement_of(cut.confidence) for cut in cuts))
    return replace(
        placement,
        confidence=confidence_with(expected, n_parent),
        reason="; ".join(
            f"{side.marker}: {cut.reason}" for side, cut in zip(sides, cuts, strict=True)
        ),
        source="; ".join(cut.source for cut in cuts if cut.source),
        flags=tuple(dict.fromkeys(flag for cut in cuts for flag in cut.flags)),
    )


@dataclass(frozen=True, slots=True)
class FixedPolygon:
    """Polygon where the template draws it, vertices in data units."""

    method: Literal["polygon"]
    x: str
    y: str
    vertices: tuple[tuple[float, float], ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """Both axes."""
        return (self.x, self.y)

    def place(self, parent: Parent, references: References) -> Placement:
        """Return the template's polygon."""
        gate = PolygonGate((parent.dimension(self.x), parent.dimension(self.y)), self.vertices)
        return Placement(gate, self.method, 1.0, "polygon fixed by the template")


@dataclass(frozen=True, slots=True)
class FixedEllipsoid:
    """Ellipsoid where the template draws it: center and end of each half-axis in data units."""

    method: Literal["ellipsoid"]
    axes: tuple[str, ...]
    center: tuple[float, ...]
    axis_ends: tuple[tuple[float, ...], ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """One marker a dimension."""
        return self.axes

    def place(self, parent: Parent, references: References) -> Placement:
        """Return the template's ellipsoid."""
        dimensions = tuple(parent.dimension(marker) for marker in self.axes)
        gate = EllipsoidGate(dimensions, self.center, self.axis_ends)
        return Placement(gate, self.method, 1.0, "ellipsoid fixed by the template")


@dataclass(frozen=True, slots=True)
class Singlet:
    """Band around the commonest ratio of pulse height to pulse area.

    A doublet has up to twice the area at little more height, so its ratio is lower.

    Attributes
    ----------
    area, height
        Names of the two scatter markers.
    deviations
        Half-width of the band in standard deviations of the singlets' ratio.
    prior
        Lowest and highest ratio where the data do not say.
    """

    method: Literal["singlet"]
    area: str
    height: str
    deviations: float = 5.0
    prior: tuple[float, float] = (0.6, 1.4)

    @property
    def markers(self) -> tuple[str, ...]:
        """Area and height."""
        return (self.area, self.height)

    def place(self, parent: Parent, references: References) -> Placement:
        """Find the ratio's peak and width, or keep the prior and say why."""
        step = max(1, parent.rows.size // 100_000)
        rows = parent.rows[::step]
        area, height = (parent.prepared.values(marker, rows) for marker in self.markers)
        usable = np.isfinite(area) & np.isfinite(height) & (area > 0) & (height > 0)
        ratio = np.sort(height[usable] / area[usable])
        if ratio.size < 100:
            low, high = self.prior
            return self._band(
                parent, low, high, PRIOR_KEPT, f"only {ratio.size} events; prior kept", True
            )
        # The shortest half lies in the singlets even when a third of the events are doublets.
        half = ratio.size // 2
        first = int(np.argmin(ratio[half:] - ratio[: ratio.size - half]))
        shortest = ratio[first : first + half]
        center = float(np.median(shortest))
        # Half of a normal distribution lies within 0.6745 standard deviations.
        spread = float(shortest[-1] - shortest[0]) / (2 * 0.6745)
        if spread <= 0:
            low, high = self.prior
            return self._band(
                parent, low, high, PRIOR_KEPT, "the ratio has no width; prior kept", True
            )
        low, high = center - self.deviations * spread, center + self.deviations * spread
        kept = (ratio >= low) & (ratio <= high)
        # Who draws the band by hand draws it a standard deviation wider or narrower.
        widths = (low - spread, high + spread), (low + spread, high - spread)
        expected = steadiness(kept, ((ratio >= a) & (ratio <= b) for a, b in widths))
        return self._band(
            parent,
            max(low, 0.0),
            high,
            confidence_of(expected),
            f"ratio {center:.3g} ± {self.deviations:g} × {spread:.2g}, "
            f"holds {np.mean(kept):.1%}; expected agreement {expected:.3f}",
            False,
        )

    def _band(
        self, parent: Parent, low: float, high: float, confidence: float, reason: str, prior: bool
    ) -> Placement:
        dimensions = (parent.dimension(self.area), parent.dimension(self.height))
        top = 2.0 * max(
            parent.prepared.events.channels[parent.prepared.columns[marker]].range
            for marker in self.markers
        )
        gate = PolygonGate(dimensions, ((0.0, 0.0), (top, low * top), (top, high * top)))
        flags = ("PRIOR_KEPT",) if prior else ()
        return Placement(gate, self.method, confidence, reason, flags=flags)


@dataclass(frozen=True, slots=True)
class Reference:
    """The same geometry as another population's gate.

    Attributes
    ----------
    population
        Placed earlier in the same template.
    """

    method: Literal["reference"]
    population: str

    @property
    def markers(self) -> tuple[str, ...]:
        """None of its own."""
        return ()

    def place(self, parent: Parent, references: References) -> Placement:
        """Return the other gate as it was placed, with its confidence, source and background."""
        placement = references.placements.get(self.population)
        if placement is None:
            raise GateError(
                f"the gate of {self.population!r} could not be placed on this specimen",
                where=f"population beneath {parent.name}",
            )
        background = placement.background
        return replace(
            placement,
            method=self.method,
            confidence=min(placement.confidence, confidence_elsewhere(parent, placement)),
            reason=f"as {self.population}: {placement.reason}",
            # The rate is taken to be the same in this parent: T cells for T-cell subsets. What
            # lies far beyond the cut was counted in the other one.
            background=None
            if background is None
            else replace(background, parent=parent.name, beyond=None),
        )


@dataclass(frozen=True, slots=True)
class Boolean:
    """And, or, not of populations of the same tree, within the parent.

    Attributes
    ----------
    operation
        ``and``, ``or``, ``not``.
    populations
        Gated earlier in the same template; a leading ``!`` means the complement.
    """

    method: Literal["boolean"]
    operation: Literal["and", "or", "not"]
    populations: tuple[str, ...]

    @property
    def markers(self) -> tuple[str, ...]:
        """None of its own."""
        return ()

    def place(self, parent: Parent, references: References) -> Placement:
        """Return the combination; it is as unsure as what hinges on unsure populations."""
        used = [
            references.placements[name.removeprefix("!")]
            for name in self.populations
            if name.removeprefix("!") in references.placements
        ]
        return Placement(
            BooleanGate(self.operation, self.populations),
            self.method,
            confidence_of_combination(parent, references, self.operation, self.populations),
            f"{self.operation} of {', '.join(self.populations)}",
            source="; ".join(dict.fromkeys(item.source for item in used if item.source)),
            flags=tuple(dict.fromkeys(flag for item in used for flag in item.flags)),
            background=self._background(references),
        )

    def _background(self, references: References) -> Background | None:
        """Return the background of the one population that an 'and' narrows, if it has one.

        Narrowing takes background away too, so it is an upper limit.
        """
        if self.operation != "and":
            return None
        kept = [name for name in self.populations if not name.startswith("!")]
        found = [
            replace(placement.background, beyond=None)
            for name in kept
            if (placement := references.placements.get(name)) is not None
            and placement.background is not None
        ]
        return found[0] if len(found) == 1 else None
