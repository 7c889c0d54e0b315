"""Placement by registration: a hand-drawn gate is moved to where this specimen's events lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from scipy import ndimage

from cytoflow_car.gating.confidence import confidence_of, steadiness
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.gating.moving import AxisMove, move_gate
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.shapes import FixedEllipsoid, FixedPolygon, Quadrant, Rectangle
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.training import TrainingDensity
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import BooleanGate, GeometricGate, Placement, QuadrantGate
from cytoflow_car.model.scale import Scale

Prior = Fixed | Rectangle | Quadrant | FixedPolygon | FixedEllipsoid

_BINS = 512
_STRETCHES = 17
#: With fewer events nothing is moved.
_LEAST_EVENTS = 50
#: Densities and steadiness are looked at on no more events than this, evenly spaced.
_MOST_EVENTS = 20_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A drawn gate, moved along each axis so that this specimen's events fit those of training.

    Attributes
    ----------
    prior
        The gate as it was drawn: a method whose geometry is fixed.
    most_shift
        Farthest that an axis is moved, in scale units.
    most_stretch
        Farthest that an axis is stretched or squeezed, as a factor above 1.
    """

    method: Literal["registered"]
    prior: Prior
    most_shift: float = 0.12
    most_stretch: float = 1.2

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers of the drawn gate."""
        return self.prior.markers

    def place(self, parent: Parent, references: References) -> Placement:
        """Move the drawn gate, or keep it and say why."""
        drawn = self.prior.place(parent, references).gate
        if isinstance(drawn, BooleanGate):
            raise TypeError("a boolean gate has no place of its own")
        assert not isinstance(drawn, tuple)
        fits = {
            marker: self._fit(marker, parent, references) for marker in dict.fromkeys(self.markers)
        }
        unfit = [f"{marker}: {fit}" for marker, fit in fits.items() if isinstance(fit, str)]
        found = {marker: fit for marker, fit in fits.items() if isinstance(fit, AxisFit)}
        gate = move_gate(drawn, {marker: fit.move for marker, fit in found.items()})
        if unfit:
            return Placement(
                drawn,
                self.method,
                0.0,
                f"{'; '.join(unfit)}; drawn gate kept",
                flags=("PRIOR_KEPT",),
            )
        steady = _steadiness(gate, parent, found)
        goodness = min(fit.goodness for fit in found.values())
        return Placement(
            gate,
            self.method,
            confidence_of(steady),
            "; ".join(f"{marker} {fit}" for marker, fit in found.items())
            + f"; expected agreement {steady:.2f}, fit {goodness:.2f}",
        )

    def _fit(self, marker: str, parent: Parent, references: References) -> AxisFit | str:
        """Return how an axis is moved, or why it cannot be told."""
        training = references.training.get((parent.name, marker), ())
        if not training:
            return "no training density"
        values = parent.values(marker)
        if values.size < _LEAST_EVENTS:
            return f"only {values.size} events"
        step = max(1, values.size // _MOST_EVENTS)
        scale = parent.prepared.scales[marker]
        return fit_axis(
            values[::step],
            training,
            scale,
            most_shift=self.most_shift,
            most_stretch=self.most_stretch,
        )


@dataclass(frozen=True, slots=True)
class AxisFit:
    """How well and how one axis of training lies on a specimen.

    Attributes
    ----------
    move
        From training to the specimen.
    goodness
        Overlap of both densities after the move, 0 to 1 (Bhattacharyya).
    before
        The same without any move.
    uncertainty
        Standard deviation of the shift, scale units.
    """

    move: AxisMove
    goodness: float
    before: float
    uncertainty: float

    def __str__(self) -> str:
        return f"moved by {self.move.shift:+.3f}, stretched by {self.move.stretch:.3f}"


def fit_axis(
    values: Values,
    training: tuple[TrainingDensity, ...],
    scale: Scale,
    *,
    most_shift: float,
    most_stretch: float,
) -> AxisFit:
    """Find shift and stretch that bring training onto a specimen, on a scale.

    The overlap of the square roots of both densities is made as large as possible, less a small
    penalty on moving, so that two moves that fit alike are told apart by the smaller.

    Parameters
    ----------
    values
        (n,) the specimen's parent events, data units.
    training
        The same population of every hand-gated file; their mean density is fitted.

    References
    ----------
    Bhattacharyya, Bulletin of the Calcutta Mathematical Society 35 (1943) 99-109, for the overlap.
    """
    own = scale.forward(values)
    theirs = [scale.forward(np.asarray(item.quantiles)) for item in training]
    ends = np.quantile(np.concatenate([own, *theirs]), [0.0005, 0.9995])
    low, high = float(ends[0]) - most_shift - 0.02, float(ends[1]) + most_shift + 0.02
    width = (high - low) / _BINS
    grid = low + width * (np.arange(_BINS) + 0.5)
    bandwidth = max(2.0, 0.012 * (ends[1] - ends[0]) / width)
    specimen = np.sqrt(_density(own, low, width, bandwidth))
    trained = np.mean([_density(item, low, width, bandwidth) for item in theirs], axis=0)
    pivot = float(np.median(np.concatenate(theirs)))
    most_bins = max(1, int(most_shift / width))
    shifts = width * np.arange(-most_bins, most_bins + 1)
    stretches = np.exp(np.linspace(-np.log(most_stretch), np.log(most_stretch), _STRETCHES))
    overlaps = np.empty((_STRETCHES, shifts.size))
    for row, stretch in enumerate(stretches):
        warped = np.interp(pivot + (grid - pivot) / stretch, grid, trained, left=0.0, right=0.0)
        warped = np.sqrt(warped / max(float(warped.sum()), 1e-300))
        full = np.correlate(specimen, np.pad(warped, most_bins), mode="valid")
        overlaps[row] = full
    penalty = 0.01 * (
        (np.log(stretches)[:, None] / np.log(most_stretch)) ** 2 + (shifts / most_shift) ** 2
    )
    score = overlaps - penalty
    best_row, best_column = np.unravel_index(int(np.argmax(score)), score.shape)
    goodness = float(overlaps[best_row, best_column])
    ridge = overlaps.max(axis=0)
    near = shifts[ridge >= goodness - 0.1 * (1.0 - goodness) - 0.002]
    return AxisFit(
        AxisMove(float(shifts[best_column]), float(stretches[best_row]), pivot),
        goodness,
        float(overlaps[_STRETCHES // 2, most_bins]),
        float(max(np.ptp(near) / 2.0, width)),
    )


def _density(scaled: Values, low: float, width: float, bandwidth: float) -> Values:
    bins = np.clip(((scaled - low) / width).astype(np.intp), 0, _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS).astype(np.float64)
    smooth = ndimage.gaussian_filter1d(counts, bandwidth, mode="constant")
    return np.asarray(smooth / smooth.sum())


def _steadiness(gate: GeometricGate, parent: Parent, fits: dict[str, AxisFit]) -> float:
    """Return the agreement of a gate with itself when each axis is off by its uncertainty."""
    rows = parent.rows[:: max(1, parent.rows.size // _MOST_EVENTS)]
    shifts = [(-fit.uncertainty, 0.0, fit.uncertainty) for fit in fits.values()]
    moved = (
        move_gate(
            gate,
            {name: AxisMove(shift) for name, shift in zip(fits, chosen, strict=True) if shift},
        )
        for chosen in product(*shifts)
        if any(chosen)
    )
    sides = _sides(gate, parent, rows)
    others = [_sides(item, parent, rows) for item in moved]
    return min(steadiness(side, (other[name] for other in others)) for name, side in sides.items())


def _sides(gate: GeometricGate, parent: Parent, rows: Rows) -> dict[str, np.ndarray]:
    if isinstance(gate, QuadrantGate):
        return quadrant_signs(gate, parent.prepared, rows)
    return {"": members(gate, parent.prepared, rows)}
