"""Placement by density: an outline around the peak that lies nearest to a prior polygon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cytoflow_car.gating.around_prior import (
    LEAST_EVENTS,
    USUAL_SHIFT,
    chance_of_choice,
    keep_gate,
    scaled_points,
)
from cytoflow_car.gating.confidence import Mask, confidence_of, steadiness
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Dimension, Placement, PolygonGate

_BINS = 128
_MOST_EVENTS = 50_000
_MOST_VERTICES = 60
#: A peak must stand so many standard deviations of counting noise above the saddle beside it: more
#: than in one dimension, since there are many more places for noise to rise.
_CLEAR = 4.0
#: A region ends at this share of its peak where no saddle ends it before: 99 % of a normal one.
_EDGE = 0.01
#: Of two normal populations whose saddle has the height r of the lower peak, about r / 10 of its
#: events lie beyond the saddle, and as many come from there.
_BEYOND_SADDLE = 0.1
#: Bins as one number each: row times `_BINS` plus column.
Bins = npt.NDArray[np.intp]

_TOUCHING = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, slots=True)
class DensityContour:
    """Polygon along a line of equal density around one peak of two markers.

    The peak is the one that lies nearest to the center of the prior polygon. Without one the prior
    polygon stays.

    Attributes
    ----------
    x, y
        Markers of the axes.
    vertices
        The prior polygon, in data units.
    fraction
        Share of the peak's events that the outline holds; an event belongs to the peak to which the
        density rises from it. None for the whole region above the saddle to the next peak.
    most_shift
        How far the peak may lie from the prior's center along each axis, in scale units.
    smoothing
        Multiplies the bandwidth of the density.
    """

    method: Literal["density"]
    x: str
    y: str
    vertices: tuple[tuple[float, float], ...]
    fraction: float | None = None
    most_shift: float = 0.12
    smoothing: float = 1.0

    @property
    def markers(self) -> tuple[str, ...]:
        """Both axes."""
        return (self.x, self.y)

    def place(self, parent: Parent, references: References) -> Placement:
        """Outline the peak nearest to the prior, or keep the prior."""
        dimensions = (parent.dimension(self.x), parent.dimension(self.y))
        prior = PolygonGate(dimensions, self.vertices)
        points = scaled_points(parent, self.markers, _MOST_EVENTS)
        if len(points) < LEAST_EVENTS:
            return keep_gate(self.method, prior, parent, f"only {len(points)} events")
        if not np.ptp(points, axis=0).all():
            return keep_gate(self.method, prior, parent, "all values of an axis are equal")
        center = _center(prior)
        grid = _lay_grid(points, self.smoothing)
        bins = grid.bins(points)
        found = self._find(grid, bins, center)
        if found is None:
            return keep_gate(self.method, prior, parent, "no peak near the prior")
        outline = _outline(grid, found)
        if outline is None:
            return keep_gate(self.method, prior, parent, "no outline around the peak")
        inside = found.region.ravel()[bins]
        # A half of the events differs from all of them by as much as all differ from the truth.
        halves = [self._find(grid, half, center) for half in (bins[::2], bins[1::2])]
        steady = steadiness(
            inside,
            (
                np.zeros_like(inside) if half is None else half.region.ravel()[bins]
                for half in halves
            ),
        )
        expected = steady * found.chance * (1.0 - _BEYOND_SADDLE * found.saddle)
        n_inside = int(np.count_nonzero(inside))
        if self.fraction is None:
            # A person would draw the border in the valley, not at the height of its saddle.
            expected *= 2.0 * n_inside / (n_inside + found.n_events)
        held = n_inside / max(found.n_events, 1)
        return Placement(
            PolygonGate(dimensions, _vertices(outline, dimensions)),
            self.method,
            confidence_of(expected),
            f"outline of {held:.1%} of the {found.n_events} events of the peak nearest to the "
            f"prior, {found.distance:.3f} scale units off; saddle at {found.saddle:.0%} of the "
            f"peak; expected agreement {expected:.3f}",
        )

    def _find(self, grid: _Grid, bins: Bins, center: Values) -> _Found | None:
        """Find the region; None without a peak near the prior."""
        surface = grid.smooth(bins)
        basins, saddles = _find_peaks(surface, grid.averaged)
        peaks = np.asarray(sorted(saddles))
        if not peaks.size:
            return None
        away = np.abs(grid.position(peaks) - center)
        distances = np.sqrt((away**2).sum(axis=1))
        near = (away <= self.most_shift).all(axis=1)
        if not near.any():
            return None
        chosen = int(np.argmin(np.where(near, distances, math.inf)))
        peak = int(peaks[chosen])
        height, saddle = float(surface.ravel()[peak]), saddles[peak]
        basin = (basins == peak).reshape(surface.shape)
        counts = np.bincount(bins, minlength=surface.size).reshape(surface.shape)
        n_events = int(counts[basin].sum())
        if self.fraction is None:
            level = max(saddle, _EDGE * height)
        else:
            level = _level_holding(self.fraction * n_events, surface, counts, basin, peak)
        return _Found(
            region=_connected((surface > level) & basin, peak),
            surface=surface,
            level=level,
            n_events=n_events,
            saddle=saddle / height,
            distance=float(distances[chosen]),
            chance=chance_of_choice(distances / USUAL_SHIFT),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The region around one peak.

    Attributes
    ----------
    region
        (n_bins, n_bins) bool.
    surface, level
        The density, and where the region ends.
    n_events
        Events that belong to the peak.
    saddle
        Height of the highest saddle beside the peak, as a share of the peak; 0 without one.
    distance
        From the prior's center, in scale units.
    chance
        How likely this peak is the one that is meant.
    """

    region: Mask
    surface: Values
    level: float
    n_events: int
    saddle: float
    distance: float
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Bins over most of the events; a border of bins stays empty."""

    low: Values
    step: Values
    bandwidth: Values

    @property
    def averaged(self) -> float:
        """Number of bins that a smoothed one averages over."""
        return float(4.0 * math.pi * self.bandwidth.prod())

    def bins(self, points: Values) -> Bins:
        """Return the bin of each point; 0, an empty one, for those off the grid."""
        cells = np.floor((points - self.low) / self.step)
        on_grid = np.all((cells >= 0) & (cells < _BINS - 2), axis=1, keepdims=True)
        x, y = np.where(on_grid, cells + 1, 0).astype(np.intp).T
        return np.asarray(x * _BINS + y)

    def position(self, bins: Bins) -> Values:
        """Return the middle of bins, (n, 2), in scale units."""
        return self.low + (np.column_stack(np.divmod(bins, _BINS)) - 0.5) * self.step

    def smooth(self, bins: Bins) -> Values:
        """Return the smoothed number of events a bin, (n_bins, n_bins); its border is 0."""
        counts = np.bincount(bins, minlength=_BINS**2).astype(np.float64).reshape(_BINS, _BINS)
        counts[0, 0] = 0.0
        surface = np.asarray(ndimage.gaussian_filter(counts, self.bandwidth, mode="constant"))
        surface[[0, -1]] = 0.0
        surface[:, [0, -1]] = 0.0
        return surface


def _lay_grid(points: Values, smoothing: float) -> _Grid:
    """Lay bins over the points; the bandwidth follows Silverman's rule for two axes, halved.

    References
    ----------
    Silverman, Density Estimation for Statistics and Data Analysis (1986), section 4.3.2.
    """
    low, high = np.quantile(points, [0.0005, 0.9995], axis=0)
    margin = 0.05 * (high - low) + 1e-6
    low, step = low - margin, (high - low + 2.0 * margin) / (_BINS - 2)
    quartiles = np.quantile(points, [0.25, 0.75], axis=0)
    spread = np.minimum(points.std(axis=0), (quartiles[1] - quartiles[0]) / 1.349)
    bandwidth = smoothing * 0.5 * spread * len(points) ** (-1.0 / 6.0) / step
    return _Grid(low, step, np.clip(bandwidth, 1.5, _BINS / 20))


def _find_peaks(surface: Values, averaged: float) -> tuple[Bins, dict[int, float]]:
    """Divide a surface into the basins of its peaks.

    Bins are gone through from the highest to the lowest; each belongs to the peak of its highest
    neighbour. Where two peaks meet, one that does not stand clear of counting noise becomes a part
    of the higher.

    Returns
    -------
    The peak of each bin (flat, -1 for empty ones), and by peak the height of its highest saddle.

    References
    ----------
    Edelsbrunner, Letscher & Zomorodian, Discrete & Computational Geometry 28 (2002) 511-533, for
    peaks by their persistence.
    """
    heights = surface.ravel()
    order = np.argsort(-heights, kind="stable")
    # A twentieth of an event tells of no population, and such bins are most of them.
    order = order[heights[order] * averaged > 0.05]
    rows = surface.shape[1]
    around = (-rows - 1, -rows, -rows + 1, -1, 1, rows - 1, rows, rows + 1)
    height = heights.tolist()
    owner = [-1] * heights.size
    part_of: dict[int, int] = {}
    saddles: dict[int, float] = {}

    def peak_of(place: int) -> int:
        while part_of[place] != place:
            place = part_of[place]
        return place

    for place in order.tolist():
        higher = [place + step for step in around if owner[place + step] >= 0]
        if not higher:
            owner[place] = part_of[place] = place
            saddles[place] = 0.0
            continue
        owner[place] = owner[max(higher, key=height.__getitem__)]
        meeting = sorted(
            {peak_of(owner[other]) for other in higher}, key=lambda peak: -height[peak]
        )
        for lower in meeting[1:]:
            rise = (height[lower] - height[place]) * averaged
            noise = math.sqrt((height[lower] + height[place]) * averaged + 1.0)
            if rise < _CLEAR * noise:
                part_of[lower] = meeting[0]
                saddles[meeting[0]] = max(saddles[meeting[0]], saddles.pop(lower))
            else:
                for peak in (meeting[0], lower):
                    saddles[peak] = max(saddles[peak], height[place])
    basins = np.asarray([peak_of(item) if item >= 0 else -1 for item in owner], dtype=np.intp)
    return basins, saddles


def _connected(mask: Mask, peak: int) -> Mask:
    """Return the part of a mask that hangs together with the peak."""
    parts, _ = ndimage.label(mask, structure=_TOUCHING)
    return np.asarray((parts == parts.ravel()[peak]) & mask)


def _level_holding(wanted: float, surface: Values, counts: Bins, basin: Mask, peak: int) -> float:
    """Return the highest level whose region around the peak holds so many events, by bisection."""
    low, high = 0.0, float(surface.ravel()[peak])
    for _ in range(30):
        level = 0.5 * (low + high)
        if counts[_connected((surface > level) & basin, peak)].sum() >= wanted:
            low = level
        else:
            high = level
    return low


def _outline(grid: _Grid, found: _Found) -> Values | None:
    """Return the outer border of a region, (n_vertices, 2) in scale units; None without one."""
    # Takes time to import, and few templates need it.
    import contourpy

    # What is as dense but belongs to another peak is lowered to the level.
    outside = np.minimum(found.surface, found.level * (1.0 - 1e-6))
    heights = np.where(found.region, found.surface, outside)
    lines = contourpy.contour_generator(z=heights.T, line_type="Separate").lines(found.level)
    closed = [np.asarray(line) for line in lines if len(line) > 3]
    if not closed:
        return None
    border = max(closed, key=_area)[:-1]
    corners = border[
        np.arange(min(len(border), _MOST_VERTICES))
        * len(border)
        // min(len(border), _MOST_VERTICES)
    ]
    return grid.low + (corners - 0.5) * grid.step


def _area(line: Values) -> float:
    x, y = line.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2.0


def _center(polygon: PolygonGate) -> Values:
    """Return the center of gravity of a polygon, in scale units."""
    columns = zip(*polygon.vertices, strict=True)
    x, y = (
        item.scale.forward(np.asarray(column))
        for item, column in zip(polygon.dimensions, columns, strict=True)
    )
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if not abs(cross.sum()) > 1e-12:
        return np.asarray([x.mean(), y.mean()])
    sums = [((axis + np.roll(axis, -1)) * cross).sum() for axis in (x, y)]
    return np.asarray([total / (3.0 * cross.sum()) for total in sums])


def _vertices(
    scaled: Values, dimensions: tuple[Dimension, Dimension]
) -> tuple[tuple[float, float], ...]:
    columns = [item.scale.inverse(scaled[:, axis]).tolist() for axis, item in enumerate(dimensions)]
    return tuple(zip(*columns, strict=True))
