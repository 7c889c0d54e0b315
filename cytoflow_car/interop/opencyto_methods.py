"""The counterparts of openCyto's gating methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from cytoflow_car.errors import InteropError
from cytoflow_car.gating.mixture import Mixture
from cytoflow_car.gating.placing import Keep
from cytoflow_car.gating.shapes import Cut, Rectangle, Singlet
from cytoflow_car.gating.thresholds import Fixed, Tail, ValleyCut
from cytoflow_car.interop.opencyto import CUT_METHODS, OpenCytoStep
from cytoflow_car.model.events import Channel
from cytoflow_car.model.panel import Marker

#: Where a cut is sought and where it begins, as shares of the channel's range.
_SCATTER, _FLUORESCENCE = (0.02, 0.2, 0.8), (0.0004, 0.004, 0.2)
_DEVIATIONS = 5.0
#: Half-axes of a mixture's prior, as a share of its center.
_HALF_AXIS = 0.3
_SINGLETS = ("singletGate", "gate_singlet")
_MIXTURES = ("flowClust", "flowClust.2d", "gate_flowclust_2d")


def is_linear(detector: str) -> bool:
    """Tell whether openCyto's numbers are data units: scatter and time are not transformed."""
    return detector.upper().startswith(("FSC", "SSC", "TIME"))


def translate_cut(
    function: str, step: OpenCytoStep, marker: Marker, channel: Channel, keep: Keep
) -> tuple[Cut, set[str]]:
    """Return the counterpart of a cut in one channel, and the arguments that it took over.

    Parameters
    ----------
    function
        The method of the cut itself; a quadrant's is in its arguments.

    Raises
    ------
    InteropError
        There is none.
    """
    low, prior, high = (
        share * max(channel.range, 1.0)
        for share in (_SCATTER if is_linear(channel.detector) else _FLUORESCENCE)
    )
    match CUT_METHODS[function]:
        case "valley":
            if function == "rangeGate" and step.arguments.get("alpha", "min") != "min":
                raise InteropError("a rangeGate whose alpha is not 'min' has no counterpart")
            used = {"gFunc", "alpha", "adjust"}
            if is_linear(channel.detector):
                low, high = _numbers(step, "gate_range", (low, high))
                used.add("gate_range")
                if len(step.dims) == 1:
                    (low,), (high,) = _numbers(step, "min", (low,)), _numbers(step, "max", (high,))
                    used |= {"min", "max"}
            if not -math.inf < low < high < math.inf:
                raise InteropError(f"a cut between {low:g} and {high:g}")
            prior = prior if low < prior < high else (low + high) / 2.0
            (smoothing,) = _numbers(step, "adjust", (1.0,))
            if not 0 < smoothing < math.inf:
                raise InteropError(f"adjust {smoothing:g}", expected="above 0")
            gate = ValleyCut("valley", marker.name, keep, prior, low, high, smoothing=smoothing)
            return gate, used
        case "tail":
            if step.arguments.get("side", "right") != "right":
                raise InteropError("a tail on the left has no counterpart")
            return Tail("tail", marker.name, keep, prior, _DEVIATIONS), {"gFunc", "side"}
        case _:
            (share,) = _numbers(step, "probs", (0.999,))
            if not 0.5 < share < 1.0:
                raise InteropError(f"a quantile of {share:g} has no counterpart")
            # Where next to all of the parent is negative, and normal.
            deviations = round(NormalDist().inv_cdf(share), 3)
            return Tail("tail", marker.name, keep, prior, deviations), {"gFunc", "probs"}


def translate_region(
    step: OpenCytoStep, found: Sequence[tuple[Marker, Channel]]
) -> tuple[Rectangle | Singlet | Mixture, set[str]]:
    """Return the counterpart of a gate that is no cut, and the arguments that it took over.

    Parameters
    ----------
    found
        Marker and channel of each dimension.

    Raises
    ------
    InteropError
        There is none.
    """
    if step.method not in (*_SINGLETS, *_MIXTURES, "boundary"):
        raise InteropError(f"{step.method or 'an empty gating_method'} has no counterpart")
    names = tuple(marker.name for marker, _ in found)
    if len(set(names)) != len(names) or not 1 <= len(names) <= 2:
        raise InteropError(f"dims {', '.join(step.dims)!r}", expected="one or two channels")
    if step.method in _SINGLETS:
        measures = {channel.detector[-1:].upper(): marker.name for marker, channel in found}
        if set(measures) != {"A", "H"}:
            raise InteropError("singlets are told by area and height only")
        return Singlet("singlet", measures["A"], measures["H"]), set()
    if not all(is_linear(channel.detector) for _, channel in found):
        raise InteropError("its numbers stand on a scale that the table does not tell")
    if step.method == "boundary":
        return _boundary(step, names), {"min", "max"}
    return _mixture(step, names), {"K", "target", "quantile"}


def _boundary(step: OpenCytoStep, names: tuple[str, ...]) -> Rectangle:
    ends: tuple[tuple[str, Keep], ...] = (("min", "above"), ("max", "below"))
    sides = tuple(
        Fixed("fixed", marker, keep, at)
        for key, keep in ends
        for marker, at in zip(names, _numbers(step, key, (math.inf,) * len(names)), strict=True)
        if math.isfinite(at)
    )
    if not sides:
        raise InteropError("a boundary without min and max")
    return Rectangle("rectangle", sides)


def _mixture(step: OpenCytoStep, names: tuple[str, ...]) -> Mixture:
    if len(names) != 2 or "target" not in step.arguments:
        raise InteropError("a mixture needs two dims and a target, near which its gate lies")
    x, y = _numbers(step, "target", (0.0, 0.0))
    (fraction,) = _numbers(step, "quantile", (0.9,))
    (number,) = _numbers(step, "K", (math.nan,))
    if not (0 < x < math.inf and 0 < y < math.inf and 0 < fraction < 1):
        raise InteropError(f"target ({x:g}, {y:g}) and quantile {fraction:g}")
    if not math.isnan(number) and number not in range(1, 100):
        raise InteropError(f"{number:g} components")
    return Mixture(
        "mixture",
        names,
        (x, y),
        ((x * (1.0 + _HALF_AXIS), y), (x, y * (1.0 + _HALF_AXIS))),
        fraction,
        components=None if math.isnan(number) else int(number),
    )


def _numbers(step: OpenCytoStep, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Return as many numbers as the default has."""
    given = step.arguments.get(name, default)
    if isinstance(given, str) or len(given) != len(default):
        raise InteropError(f"{name} {given!r}", expected=f"{len(default)} numbers")
    return given
