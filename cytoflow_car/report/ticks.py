"""Where an axis is marked, in data units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cytoflow_car.gating.panels import Axis
from cytoflow_car.model.scale import Linear


@dataclass(frozen=True, slots=True)
class Tick:
    """One mark of an axis.

    Attributes
    ----------
    at
        0 at the lower end of the axis, 1 at the upper.
    label, exponent
        What stands beside it (``10`` with its exponent set high); both empty for a small mark.
    """

    at: float
    label: str = ""
    exponent: str = ""


def axis_ticks(axis: Axis, closest: float) -> list[Tick]:
    """Mark an axis: powers of ten with their multiples between, or round numbers if it is linear.

    Parameters
    ----------
    closest
        Least distance between two labels, as a share of the axis.

    Returns
    -------
    Ticks in no special order; labels never overlap, the highest power and 0 are labelled first.
    """
    if isinstance(axis.scale, Linear):
        return _round_numbers(axis, closest)
    ticks = _powers(axis, closest)
    # An axis that spans less than a decade shows no two powers to read it by.
    return ticks if sum(bool(tick.label) for tick in ticks) > 1 else _round_numbers(axis, closest)


def _powers(axis: Axis, closest: float) -> list[Tick]:
    low, high = axis.scale.inverse(np.asarray([axis.low, axis.high]))
    highest = math.floor(math.log10(max(abs(low), abs(high), 1e-3)))
    exponents = range(highest, highest - 7, -1)
    candidates = [
        *((0.0, "0", "") for _ in (0,) if low <= 0 <= high),
        *((10.0**exponent, "10", str(exponent)) for exponent in exponents),
        *((-(10.0**exponent), "-10", str(exponent)) for exponent in exponents),
    ]
    labelled: list[Tick] = []
    for value, label, exponent in candidates:
        at = _position(axis, value)
        if _fits(at, labelled, closest) and low <= value <= high:
            labelled.append(Tick(at, label, exponent))
    # Around 0 a logicle presses its decades together; marks there would run into one another.
    between = [
        sign * multiple * 10.0**exponent
        for sign in (1, -1)
        for exponent in exponents
        if abs(_position(axis, 10.0 ** (exponent + 1)) - _position(axis, 10.0**exponent)) > 0.08
        for multiple in range(1, 10)
    ]
    return labelled + [Tick(_position(axis, value)) for value in between if low <= value <= high]


def _round_numbers(axis: Axis, closest: float) -> list[Tick]:
    low, high = axis.scale.inverse(np.asarray([axis.low, axis.high]))
    least_step = (high - low) * max(closest, 0.2)
    unit = 10.0 ** math.floor(math.log10(least_step))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least_step)
    values = step * np.arange(math.ceil(low / step), math.floor(high / step) + 1)
    ticks: list[Tick] = []
    for value in values:
        at = _position(axis, float(value))
        if _fits(at, ticks, closest):
            ticks.append(Tick(at, _short(float(value), step)))
    return ticks


def _position(axis: Axis, value: float) -> float:
    scaled = axis.scale.forward(np.asarray([value]))[0]
    return float((scaled - axis.low) / (axis.high - axis.low))


def _fits(at: float, ticks: list[Tick], closest: float) -> bool:
    return 0 <= at <= 1 and all(abs(at - tick.at) >= closest for tick in ticks)


def _short(value: float, step: float) -> str:
    """Write thousands as K, as cytometers do."""
    return f"{value / 1000:.4g}K" if step >= 1000 and value else f"{value:.6g}"
