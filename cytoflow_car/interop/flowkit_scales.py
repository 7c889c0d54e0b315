"""Axes of other programs, as flowkit has parsed them: their scales, and positions on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cytoflow_car.errors import InteropError
from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import Dimension
from cytoflow_car.model.scale import (
    Asinh,
    Biexponential,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Scale,
)

#: Largest value that is looked at in search of a bound.
_FARTHEST = 1e15


def scale_of(transform: Any) -> Scale:
    """Return our scale on which edges are straight where they are on flowkit's.

    Straightness is the same after an axis is shifted or stretched, so parameters that do no more
    are left out.
    """
    from flowkit import transforms

    match transform:
        case None:
            return Linear(1.0)
        case transforms.LinearTransform():
            return Linear(float(transform.param_t) if transform.param_t > 0 else 1.0)
        case transforms.LogTransform():
            return Log(float(transform.param_t), float(transform.param_m))
        case transforms.AsinhTransform():
            cofactor = transform.param_t / math.sinh(transform.param_m * math.log(10.0))
            return Asinh(float(transform.param_t), float(cofactor))
        case transforms.LogicleTransform():
            return Logicle(*_parameters(transform))
        case transforms.HyperlogTransform():
            return Hyperlog(*_parameters(transform))
        case transforms.WSPBiexTransform():
            return Biexponential(
                float(transform.max_value),
                float(transform.width),
                float(transform.positive),
                float(transform.negative),
            )
        case transforms.WSPLogTransform():
            decades = float(transform.decades)
            return Log(float(transform.offset) * 10.0**decades, decades)
        case _:
            raise InteropError(f"a {type(transform).__name__} cannot be taken over")


def _parameters(transform: Any) -> tuple[float, float, float, float]:
    return (
        float(transform.param_t),
        float(transform.param_w),
        float(transform.param_m),
        float(transform.param_a),
    )


def with_room(dimension: Dimension, transform: Any, scaled: Values) -> Dimension:
    """Let a logarithm go on below a gate.

    Gating-ML's has no lowest decade; ours would put what lies beneath onto the gate's edge.
    """
    from flowkit import transforms

    scale = dimension.scale
    if not isinstance(transform, transforms.LogTransform) or not isinstance(scale, Log):
        return dimension
    below = max(0.0, -float(np.min(scaled))) * scale.decades
    return Dimension(dimension.marker, Log(scale.top, scale.decades + below + 1.0))


def _apply(transform: Any) -> Callable[[float], float]:
    def forward(value: float) -> float:
        with np.errstate(all="ignore"):
            return float(np.ravel(transform.apply(np.asarray([[value]], dtype=np.float64)))[0])

    return forward


def data_units(transform: Any, scaled: Values) -> Values:
    """Return data units for positions on a scale, (n,)."""
    if transform is None:
        return scaled
    with np.errstate(all="ignore"):
        found = transform.inverse(np.ascontiguousarray(scaled, dtype=np.float64).reshape(-1, 1))
    return np.ravel(np.asarray(found))


def bound(transform: Any, position: float | None, open_end: float) -> float:
    """Return the smallest number that a transform puts at or above a position."""
    if position is None:
        return open_end
    if transform is None:
        return float(position)
    forward = _apply(transform)
    return first_above(
        lambda value: forward(value) >= position,
        near=_near(transform, position),
        farthest=_farthest(forward),
    )


def lower_bound(transform: Any, low: float | None, high: float | None) -> float:
    """Return a lower bound; where there is none, the smallest number that has a position at all."""
    if low is not None or transform is None:
        return bound(transform, low, -math.inf)
    forward = _apply(transform)
    if not math.isnan(forward(-_FARTHEST)):
        return -math.inf
    return first_above(lambda value: not math.isnan(forward(value)), near=_near(transform, high))


def _farthest(forward: Callable[[float], float]) -> float:
    """Return up to where a transform rises: far beyond their top some fail and return -1."""
    farthest = _FARTHEST
    while farthest > 1.0 and (
        forward(farthest) < forward(farthest / 1e3) or forward(-farthest) > forward(-farthest / 1e3)
    ):
        farthest /= 1e3
    return farthest


def _near(transform: Any, position: float | None) -> float:
    if position is None:
        return 0.0
    found = float(data_units(transform, np.asarray([position]))[0])
    return found if math.isfinite(found) else 0.0


def first_above(
    holds: Callable[[float], bool], *, near: float, farthest: float = _FARTHEST
) -> float:
    """Return the smallest number for which a rising condition holds, found from near it.

    Returns
    -------
    -inf where it holds for all numbers, and a number beyond every event where for none.
    """
    if holds(-farthest):
        return -math.inf
    if not holds(farthest):
        return farthest
    # The order of floats is that of their bits, so halving goes over every number in between.
    low, high = _order(-farthest), _order(farthest)
    middle, step = _order(near), 1
    while step < high - low:
        below, above = max(middle - step, low), min(middle + step, high)
        if not holds(_number(below)) and holds(_number(above)):
            low, high = below, above
            break
        step *= 16
    while high - low > 1:
        middle = (low + high) // 2
        if holds(_number(middle)):
            high = middle
        else:
            low = middle
    return _number(high)


def _order(value: float) -> int:
    bits = int(np.float64(value).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _number(order: int) -> float:
    bits = order if order >= 0 else -order | -0x8000_0000_0000_0000
    return float(np.int64(bits).view(np.float64))
