"""Positive and negative events of a single-stain control, of one scatter cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cytoflow_car.model.events import Values

Mask = npt.NDArray[np.bool_]

#: Fewer negative events may be debris or of another kind.
_LEAST_OWN_NEGATIVES = 0.1
#: Share of lit events below which only they stand for the stain.
_FEW_LIT = 0.2
#: Density of the scatter cloud, relative to its peak, at which it ends.
_CLOUD_EDGE = 0.1
_CLOUD_BINS = 64
LEAST_EVENTS = 100


@dataclass(frozen=True, slots=True, eq=False)
class ControlEvents:
    """Events of a single-stain or unstained control that can be used.

    Attributes
    ----------
    values
        (n_events, n_detectors), linear, uncompensated.
    scatter
        (n_events, n_scatter): forward and side scatter; without columns where the file has none.
    saturated
        Share of the file's events that were left out because a detector was at its top.
    """

    values: Values
    scatter: Values
    saturated: float = 0.0


def against_unstained(
    control: ControlEvents, detector: int, unstained: ControlEvents
) -> tuple[Values, Values, bool]:
    """Return positive and negative events, and whether both come from one scatter cloud."""
    own, dark = control.values[:, detector], unstained.values[:, detector]
    inside, also = _in_cloud(control.scatter, _brightest(own - np.median(dark)), unstained.scatter)
    alike = int(np.count_nonzero(also)) >= LEAST_EVENTS
    if not alike:
        _, also = _in_cloud(unstained.scatter, np.ones(len(dark), dtype=bool), unstained.scatter)
    lit = own > float(np.median(dark) + 4.0 * robust_spread(dark))
    # All events of the cloud together lie on the line, the unstained ones among them too, and are
    # a mixture of cells like that of the unstained file. A threshold would change the mixture, and
    # cut through a dim stain, so it is used only where few events are stained.
    few = np.count_nonzero(inside & lit) < _FEW_LIT * np.count_nonzero(inside)
    positive = inside & lit if few else inside
    return control.values[positive], unstained.values[also], bool(alike)


def split_stain(control: ControlEvents, detector: int) -> tuple[Values, Values] | None:
    """Return a control's own positive and negative events; None where one kind is scarce."""
    own = control.values[:, detector]
    bright = _brightest(own - np.quantile(own, 0.02))
    inside, _ = _in_cloud(control.scatter, bright, control.scatter)
    threshold = _valley(own[inside])
    if threshold is None:
        return None
    positive = control.values[inside & (own > threshold)]
    negative = control.values[inside & (own <= threshold)]
    scarce = max(LEAST_EVENTS, _LEAST_OWN_NEGATIVES * np.count_nonzero(inside))
    return (positive, negative) if len(negative) >= scarce else None


def _brightest(gained: Values) -> Mask:
    """Tell which events are about as bright as the brightest; non-specific stain is not."""
    return np.asarray(gained > 0.25 * np.quantile(gained, 0.99))


def _valley(values: Values) -> float | None:
    """Return the valley between the two main modes; None where there is one mode.

    On an asinh scale that is linear as far as the lower tail reaches.
    """
    low, middle = np.quantile(values, [0.02, 0.16])
    width = max(float(middle - low), 1e-3 * float(np.quantile(values, 0.99) - low), 1e-9)
    scaled = np.arcsinh((values - low) / (3.0 * width))
    first, last = np.quantile(scaled, [0.0005, 0.9995])
    edges = np.linspace(first, last, 201)
    counts = np.histogram(scaled, edges)[0]
    density = ndimage.gaussian_filter1d(counts.astype(float), 4.0)
    best: tuple[float, int] | None = None
    for at in range(10, 191):
        left, right = density[:at].max(), density[at:].max()
        # Each side must be more than a tail: hold events, and rise well above the valley.
        depth = min(left, right) / max(density[at], 1e-9 * left)
        enough = min(counts[:at].sum(), counts[at:].sum()) >= LEAST_EVENTS / 5
        if enough and depth > 2.0 and (best is None or density[at] < density[best[1]]):
            best = (float(depth), at)
    if best is None:
        return None
    centre = 0.5 * (edges[best[1]] + edges[best[1] + 1])
    return float(low + 3.0 * width * np.sinh(centre))


def _in_cloud(scatter: Values, chosen: Mask, others: Values) -> tuple[Mask, Mask]:
    """Tell which events, and which of `others`, lie in the main scatter cloud of the chosen ones.

    The cloud is the connected region of the densest point of log forward and side scatter. Without
    two columns of scatter, or with few chosen events, every event lies in it.
    """
    if scatter.shape[1] < 2 or np.count_nonzero(chosen) < LEAST_EVENTS:
        return np.ones(len(scatter), dtype=bool), np.ones(len(others), dtype=bool)

    def on_scale(values: Values) -> Values:
        return np.asarray(np.log(np.maximum(values[:, :2], 1.0)))

    points = on_scale(scatter)
    edges = [
        np.linspace(low - 0.5, high + 0.5, _CLOUD_BINS + 1)
        for low, high in np.quantile(points[chosen], [0.01, 0.99], axis=0).T
    ]
    chosen_points = points[chosen]
    counts = np.histogram2d(chosen_points[:, 0], chosen_points[:, 1], bins=edges)[0]
    density = ndimage.gaussian_filter(counts, 1.5)
    regions, _ = ndimage.label(density > _CLOUD_EDGE * density.max())
    region = regions == regions[np.unravel_index(np.argmax(density), density.shape)]

    def inside(values: Values) -> Mask:
        bins = [
            np.searchsorted(edge, column, side="right") - 1
            for edge, column in zip(edges, on_scale(values).T, strict=True)
        ]
        within = np.all([(index >= 0) & (index < _CLOUD_BINS) for index in bins], axis=0)
        clipped = tuple(np.clip(index, 0, _CLOUD_BINS - 1) for index in bins)
        return np.asarray(within & region[clipped])

    return inside(scatter), inside(others)


def robust_spread(values: Values) -> Values:
    """Return the robust standard deviation of each column; never 0."""
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    return np.asarray(np.maximum(spread, 1e-6))
