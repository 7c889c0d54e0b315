"""Scales: given by the template, or estimated from the specimen and written to the results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cytoflow_car.model.events import Channel, Values
from cytoflow_car.model.scale import (
    Asinh,
    Biexponential,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Scale,
)

#: Fewer negative values than this say nothing of the negative peak's width.
LEAST_NEGATIVES = 20


@dataclass(frozen=True, slots=True)
class ScaleSetting:
    """How a template wants one marker scaled.

    Attributes
    ----------
    kind
        ``linear``, ``log``, ``asinh``, ``logicle``, ``hyperlog`` or ``biex`` (FlowJo's).
    top
        Top of scale in data units; None for the channel's ``$PnR``.
    width
        W of a logicle or hyperlog; None to estimate it from the negative values. Of ``biex`` the
        width basis, below 0; None for -10.
    decades, negative_decades
        M and A of a logicle or hyperlog; positive and negative decades of ``biex``; `decades` also
        serves ``log``.
    cofactor
        Of an asinh.
    """

    kind: Literal["linear", "log", "asinh", "logicle", "hyperlog", "biex"] = "logicle"
    top: float | None = None
    width: float | None = None
    decades: float = 4.5
    negative_decades: float = 0.0
    cofactor: float = 150.0


def resolve_scale(setting: ScaleSetting, channel: Channel, values: Values | None) -> Scale:
    """Return a scale with every parameter settled.

    Parameters
    ----------
    setting
        From the template.
    channel
        Gives the top of the scale where the template does not.
    values
        (n,) compensated values from which the logicle's width is estimated; only needed where
        `needs_values` says so.

    Raises
    ------
    ScaleError
        The parameters contradict each other.
    """
    top = channel.range if setting.top is None else setting.top
    match setting.kind:
        case "linear":
            return Linear(top)
        case "log":
            return Log(top, setting.decades)
        case "asinh":
            return Asinh(top, setting.cofactor)
        case "biex":
            basis = -10.0 if setting.width is None else setting.width
            return Biexponential(top, basis, setting.decades, setting.negative_decades)
        case "logicle" | "hyperlog":
            width = setting.width
            if width is None:
                width = estimate_width(
                    np.empty(0) if values is None else values, top, setting.decades
                )
            of_kind = Logicle if setting.kind == "logicle" else Hyperlog
            return of_kind(top, width, setting.decades, setting.negative_decades)


def needs_values(setting: ScaleSetting) -> bool:
    """Tell whether the scale is estimated from events."""
    return setting.kind in ("logicle", "hyperlog") and setting.width is None


def estimate_width(values: Values, top: float, decades: float) -> float:
    """Estimate W of a logicle from the 5th percentile of the negative values.

    Parameters
    ----------
    values
        (n,) data units. With fewer than `LEAST_NEGATIVES` negative values W is 0.5, the usual
        default of desktop programs.

    Returns
    -------
    W, held within 0 to M/2.

    References
    ----------
    Parks, Roederer & Moore, Cytometry A 69 (2006) 541-551.
    """
    negatives = values[(values < 0) & np.isfinite(values)]
    if negatives.size < LEAST_NEGATIVES:
        return 0.5
    reference = float(np.quantile(negatives, 0.05))
    width = (decades - math.log10(top / abs(reference))) / 2.0
    return min(max(width, 0.0), decades / 2.0)
