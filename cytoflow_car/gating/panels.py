"""What a picture of a gate needs: binned events and the gate's outline, no events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.gating.placing import ControlSummary
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import (
    BooleanGate,
    ClusterGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GeometricGate,
    Placement,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.scale import Scale

_BINS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of a panel.

    Attributes
    ----------
    marker
        Name in the template.
    scale
        How the axis is drawn.
    low, high
        Its ends, in scale units.
    """

    marker: str
    scale: Scale
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class GatePanel:
    """One gate on its parent's events.

    Attributes
    ----------
    title
        Population names.
    parent
        Name of the parent population.
    axes
        One axis (histogram) or two (density).
    counts
        (n_bins,) or (n_bins, n_bins) events a bin, first axis first.
    outlines
        Polylines in scale units, each (n_points, n_axes); for one axis (n, 1) positions of cuts.
    labels
        For each population: name and percent of parent.
    control
        (n_bins,) curve of the control, scaled to the panel's events; None without one.
    caption
        Method, reason and confidence of the placement.
    sure
        False where the specimen goes to review for this gate.
    corners
        For a quadrant, where each label's population lies (``"+-"``: right, below); else empty.
    kept
        For one axis, the stretch that the gate keeps, in scale units; open ends reach the end of
        the axis.
    control_name
        Kind and sample of the control whose curve is drawn; empty without one.
    """

    title: str
    parent: str
    axes: tuple[Axis, ...]
    counts: npt.NDArray[np.int64]
    outlines: tuple[Values, ...]
    labels: tuple[str, ...]
    control: Values | None
    caption: str
    sure: bool
    corners: tuple[str, ...] = ()
    kept: tuple[float, float] | None = None
    control_name: str = ""


def draw_panels(
    tree: PopulationTree,
    prepared: PreparedEvents,
    rules: tuple[PopulationRule, ...],
    controls: tuple[ControlSummary, ...],
    review_below: float,
) -> tuple[GatePanel, ...]:
    """Bin the parent's events of every gate that has geometry.

    A box of more than two dimensions is drawn side by side. Boolean gates have no geometry and
    ellipsoids of more than two dimensions no flat picture; both are left out.
    """
    panels = []
    for rule in rules:
        placement = tree[rule.names[0]].placement
        if placement is None:
            continue
        if isinstance(rule.gate, Labelled):
            if len(rule.gate.axes) == 2 and isinstance(placement.gate, ClusterGate):
                panels.append(_draw_labels(tree, prepared, rule, placement, review_below))
            continue
        for face in _faces(placement.gate):
            panels.append(
                _draw_panel(tree, prepared, rule, placement, face, controls, review_below)
            )
    return tuple(panels)


def _faces(gate: Gate) -> tuple[GeometricGate, ...]:
    """Return what is drawn of a gate: itself, or each side of a box of more than two dimensions."""
    match gate:
        case BooleanGate() | ClusterGate():
            return ()
        case RectangleGate() if len(gate.dimensions) > 2:
            return tuple(
                RectangleGate((dimension,), (low,), (high,))
                for dimension, low, high in zip(
                    gate.dimensions, gate.lower, gate.upper, strict=True
                )
            )
        case _:
            return (gate,) if len(gate.dimensions) <= 2 else ()


def _draw_panel(
    tree: PopulationTree,
    prepared: PreparedEvents,
    rule: PopulationRule,
    placement: Placement,
    face: GeometricGate,
    controls: tuple[ControlSummary, ...],
    review_below: float,
) -> GatePanel:
    rows = tree.kept_rows(rule.parent)
    axes, binned = [], []
    for dimension in face.dimensions:
        scaled = dimension.scale.forward(prepared.values(dimension.marker, rows))
        axis = _axis(dimension, scaled, face)
        axes.append(axis)
        binned.append(_bin(scaled, axis))
    flat = binned[0] if len(axes) == 1 else binned[0] * _BINS + binned[1]
    counts = np.bincount(flat, minlength=_BINS ** len(axes)).reshape((_BINS,) * len(axes))
    parent_count = max(tree[rule.parent].count, 1)
    control = _control_drawn(placement.source, controls, axes)
    return GatePanel(
        title=", ".join(rule.names),
        parent=rule.parent,
        axes=tuple(axes),
        counts=counts,
        outlines=_outlines(face, axes),
        labels=tuple(
            f"{name} {100 * tree[name].count / parent_count:.3g} %" for name in rule.names
        ),
        control=_control_curve(control, axes[0], rows.size) if control else None,
        caption=f"{placement.method}: {placement.reason}; confidence {placement.confidence:.2g}",
        sure=not placement.is_unsure(review_below),
        corners=tuple((rule.quadrants or {}).values()),
        kept=_kept(face, axes),
        control_name=f"{control.kind} {control.sample_id}" if control else "",
    )


def _draw_labels(
    tree: PopulationTree,
    prepared: PreparedEvents,
    rule: PopulationRule,
    placement: Placement,
    review_below: float,
) -> GatePanel:
    """Draw where labelled events lie: an ellipse about nine tenths of them, on their parent."""
    assert isinstance(rule.gate, Labelled)
    name, rows = rule.names[0], tree.kept_rows(rule.parent)
    own = tree.kept_rows(name)
    axes, binned, inside = [], [], []
    for marker in rule.gate.axes:
        scale = prepared.scales[marker]
        scaled = scale.forward(prepared.values(marker, rows))
        finite = scaled[np.isfinite(scaled)]
        low, high = np.quantile(finite, [0.0005, 0.9995]) if finite.size else (0.0, 1.0)
        axes.append(Axis(marker, scale, float(low - 0.02), float(high + 0.02)))
        binned.append(_bin(scaled, axes[-1]))
        inside.append(scale.forward(prepared.values(marker, own)) if own.size else np.empty(0))
    counts = np.bincount(binned[0] * _BINS + binned[1], minlength=_BINS**2).reshape(_BINS, _BINS)
    share = 100 * tree[name].count / max(tree[rule.parent].count, 1)
    return GatePanel(
        title=name,
        parent=rule.parent,
        axes=tuple(axes),
        counts=counts,
        outlines=(_ellipse(np.column_stack(inside)),) if own.size > 2 else (),
        labels=(f"{name} {share:.3g} %",),
        control=None,
        caption=f"cluster: {', '.join(rule.gate.labels)}; confidence {placement.confidence:.2g}",
        sure=not placement.is_unsure(review_below),
    )


#: Radius that holds nine tenths of a normal distribution in two dimensions.
_NINE_TENTHS = 2.146


def _ellipse(points: Values) -> Values:
    """Return the ellipse about nine tenths of a cloud of points, (73, 2)."""
    sizes, directions = np.linalg.eigh(np.cov(points.T) + 1e-9 * np.eye(2))
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    circle = np.column_stack([np.cos(angle), np.sin(angle)]) * np.sqrt(sizes) * _NINE_TENTHS
    return np.asarray(np.median(points, axis=0) + circle @ directions.T)


def _axis(dimension: Dimension, scaled: Values, gate: Gate) -> Axis:
    finite = scaled[np.isfinite(scaled)]
    low, high = np.quantile(finite, [0.0005, 0.9995]) if finite.size else (0.0, 1.0)
    cuts = [value for value in _coordinates(gate, dimension.marker) if np.isfinite(value)]
    # A gate that lies beside all events must still be seen; a band of singlets runs far beyond.
    if cuts and not isinstance(gate, PolygonGate):
        edges = dimension.scale.forward(np.asarray(cuts))
        low, high = min(low, edges.min()), max(high, edges.max())
    margin = 0.04 * (high - low) + 1e-6
    return Axis(dimension.marker, dimension.scale, float(low - margin), float(high + margin))


def _coordinates(gate: Gate, marker: str) -> list[float]:
    match gate:
        case RectangleGate():
            index = [dimension.marker for dimension in gate.dimensions].index(marker)
            return [gate.lower[index], gate.upper[index]]
        case QuadrantGate():
            index = [dimension.marker for dimension in gate.dimensions].index(marker)
            return [gate.dividers[index]]
        case _:
            return []


def _bin(scaled: Values, axis: Axis) -> npt.NDArray[np.int64]:
    position = (scaled - axis.low) / (axis.high - axis.low) * _BINS
    position = np.nan_to_num(position, nan=0.0)
    return np.clip(position, 0, _BINS - 1).astype(np.int64)


def _outlines(gate: Gate, axes: list[Axis]) -> tuple[Values, ...]:
    match gate:
        case RectangleGate() if len(axes) == 1:
            cuts = [value for value in (gate.lower[0], gate.upper[0]) if np.isfinite(value)]
            return tuple(axes[0].scale.forward(np.asarray([[cut]])) for cut in cuts)
        case RectangleGate():
            (x0, y0), (x1, y1) = (
                [
                    axis.scale.forward(np.asarray([value]))[0] if np.isfinite(value) else open_end
                    for axis, value, open_end in zip(
                        axes, bounds, [getattr(axis, end) for axis in axes], strict=True
                    )
                ]
                for bounds, end in ((gate.lower, "low"), (gate.upper, "high"))
            )
            return (np.asarray([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]),)
        case QuadrantGate():
            x, y = (
                axis.scale.forward(np.asarray([value]))[0]
                for axis, value in zip(axes, gate.dividers, strict=True)
            )
            return (
                np.asarray([[x, axes[1].low], [x, axes[1].high]]),
                np.asarray([[axes[0].low, y], [axes[0].high, y]]),
            )
        case PolygonGate():
            corners = np.asarray([*gate.vertices, gate.vertices[0]])
            return (_on_scales(corners, axes),)
        case EllipsoidGate():
            center = _on_scales(np.asarray([gate.center]), axes)[0]
            half_axes = _on_scales(np.asarray(gate.axis_ends), axes) - center
            angle = np.linspace(0.0, 2.0 * np.pi, 73)
            circle = np.column_stack([np.cos(angle), np.sin(angle)])
            return (center + circle @ half_axes,)
        case _:
            return ()


def _on_scales(points: Values, axes: list[Axis]) -> Values:
    return np.column_stack(
        [axis.scale.forward(points[:, index]) for index, axis in enumerate(axes)]
    )


def _kept(gate: Gate, axes: list[Axis]) -> tuple[float, float] | None:
    if len(axes) != 1 or not isinstance(gate, RectangleGate):
        return None
    axis = axes[0]
    low, high = (
        float(axis.scale.forward(np.asarray([bound]))[0]) if np.isfinite(bound) else open_end
        for bound, open_end in ((gate.lower[0], axis.low), (gate.upper[0], axis.high))
    )
    return low, high


def _control_drawn(
    source: str, controls: tuple[ControlSummary, ...], axes: list[Axis]
) -> ControlSummary | None:
    """Return the control that a gate of one marker names as its source."""
    if len(axes) != 1:
        return None
    named = source.split()
    fitting = (
        control
        for control in controls
        if control.sample_id in named and control.marker == axes[0].marker and control.quantiles
    )
    return next(fitting, None)


def _control_curve(control: ControlSummary, axis: Axis, n_events: int) -> Values:
    """Histogram of a control, with as many events in all as the panel has."""
    scaled = axis.scale.forward(np.asarray(control.quantiles))
    counts = np.bincount(_bin(scaled, axis), minlength=_BINS).astype(np.float64)
    return np.asarray(counts * (n_events / counts.sum()))
