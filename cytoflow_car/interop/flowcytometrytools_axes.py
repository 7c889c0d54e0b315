"""From the values of a FlowCytometryTools measurement to data units and back, on one channel."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.model.events import Values
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle, Scale

if TYPE_CHECKING:
    from FlowCytometryTools.core.transforms import Transformation
    from scipy.interpolate import InterpolatedUnivariateSpline


@dataclass(frozen=True, slots=True)
class Axis:
    """One channel of a measurement, transformed or not.

    Attributes
    ----------
    channel
        Its name in the measurement.
    scale
        A scale on which lines are straight that are straight in the measurement; None where there
        is none.
    forward, inverse
        From data units to the measurement's values, and back (NaN where they never come).
    above, up_to
        Data units between which the transformation can be undone, the first not included.
    """

    channel: str
    scale: Scale | None
    forward: Callable[[float], float] = float
    inverse: Callable[[float], float] = float
    above: float = -math.inf
    up_to: float = math.inf

    def data_units(self, value: float) -> float:
        """Return a value of the measurement in data units.

        Raises
        ------
        GateError
            The transformation never reaches it, or not from one place only.
        """
        found = self.inverse(value)
        self._require_within(found, f"{value:g} in the measurement's values")
        return found

    def measured(self, value: float) -> float:
        """Return data units as the measurement's value; errors as in `data_units`."""
        self._require_within(value, f"{value:g}")
        return self.forward(value)

    def _require_within(self, value: float, found: str) -> None:
        if not self.above < value <= self.up_to:
            raise GateError(
                f"{found} lies where the transformation of {self.channel} cannot be undone",
                expected=f"above {self.above:g} and up to {self.up_to:g} in data units",
                advice="Draw the gate within that range.",
            )


def lay_axis(channel: str, transformation: Transformation | None) -> Axis:
    """Describe a channel by the transformation of its data, which is None where they are linear.

    Raises
    ------
    GateError
        The transformation is a function that cannot be undone here.
    """
    if transformation is None:
        return Axis(channel, Linear())
    function, name = transformation.tfun, transformation.tname
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Linear | Log | Asinh | Logicle) and function == owner.forward:
        above = owner.lowest if isinstance(owner, Log) else -math.inf
        axis = Axis(channel, owner, _of_one(owner.forward), _of_one(owner.inverse), above)
    elif name is not None and transformation.direction == "forward":
        given = inspect.signature(function).bind(0.0, *transformation.args, **transformation.kwargs)
        given.apply_defaults()
        axis = _lay_named(channel, transformation, given.arguments)
    elif transformation.spln is not None:
        axis = Axis(channel, None)
    else:
        raise GateError(
            f"{channel} was transformed by a function that cannot be undone",
            expected="linear, tlog, glog, hlog, the forward of a scale, or one with a spline",
        )
    return axis if transformation.spln is None else _along_spline(axis, transformation.spln)


def have_same_straight_lines(first: Scale, second: Scale) -> bool:
    """Tell whether lines that are straight on one scale are so on the other."""
    match first, second:
        case Linear(), Linear():
            return True
        case Log(), Log():
            return math.isclose(first.lowest, second.lowest)
        case Asinh(), Asinh():
            return math.isclose(first.cofactor, second.cofactor)
    return first == second


def _lay_named(channel: str, transformation: Transformation, given: dict[str, float]) -> Axis:
    if transformation.tname == "linear":
        # Its own inverse multiplies once more.
        ratio = float(given["new_range"] / given["old_range"])
        if not ratio > 0:
            raise GateError(f"linear turns {channel} around", expected="two ranges of one sign")
        return Axis(channel, Linear(), lambda x: x * ratio, lambda y: y / ratio)
    forward, inverse = _of_one(transformation), _of_one(transformation.inverse)
    match transformation.tname:
        case "tlog":
            # log10 with everything up to th on one value: affine to `Log`.
            th, top = given["th"], 10.0 ** given["d"]
            log = Log(top, math.log10(top / th)) if top > th else None
            return Axis(channel, log, forward, inverse, above=th)
        case "glog":
            # ln(x + sqrt(x² + l)) = asinh(x / sqrt(l)) + ln(sqrt(l)): affine to `Asinh`.
            asinh = Asinh(cofactor=math.sqrt(given["l"])) if given["l"] > 0 else None
            return Axis(channel, asinh, forward, inverse)
        case _:
            # Hyperlog: no scale has its straight lines, and it looks no further than to 2 r.
            reach = inverse(2.0 * given["r"])
            return Axis(channel, None, forward, inverse, -reach, reach)


def _along_spline(axis: Axis, spline: InterpolatedUnivariateSpline) -> Axis:
    """Take the spline that the data went through in the place of what it approximates."""
    from scipy.optimize import brentq

    knots = spline.get_knots()
    first, last = float(knots[0]), float(knots[-1])
    forward = _of_one(spline)

    def inverse(value: float) -> float:
        if not forward(first) <= value <= forward(last):
            return math.nan
        return float(brentq(lambda x: forward(x) - value, first, last, xtol=1e-12))

    return Axis(axis.channel, axis.scale, forward, inverse, max(axis.above, first), last)


def _of_one(function: Callable[[Values], Values]) -> Callable[[float], float]:
    """Return a function of arrays as one of a number."""

    def of_one(value: float) -> float:
        # tlog takes logarithms of negative numbers before it leaves them out.
        with np.errstate(all="ignore"):
            return float(function(np.array([value]))[0])

    return of_one
