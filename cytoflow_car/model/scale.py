"""Scales: where the edges of a gate are straight, and how an axis is drawn.

A scale holds its parameters and knows its own transform, because gates, clusters and pictures all
need it and none of them may import another. Gate coordinates stay in data units everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from scipy import optimize

from cytoflow_car.errors import ScaleError
from cytoflow_car.model.events import Values


@dataclass(frozen=True, slots=True)
class Linear:
    """Data units divided by the top of the scale."""

    kind: ClassVar[str] = "linear"
    top: float = 262144.0

    def __post_init__(self) -> None:
        _require(self.top > 0, f"top of scale {self.top:g}", "a number above 0")

    def forward(self, values: Values) -> Values:
        """Return scale units for data units; the same shape."""
        return np.asarray(values, dtype=np.float64) / self.top

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units; the same shape."""
        return np.asarray(scaled, dtype=np.float64) * self.top


@dataclass(frozen=True, slots=True)
class Log:
    """Decades below the top of the scale; values below the lowest decade sit on its edge."""

    kind: ClassVar[str] = "log"
    top: float = 262144.0
    decades: float = 4.5

    def __post_init__(self) -> None:
        _require(self.top > 0, f"top of scale {self.top:g}", "a number above 0")
        _require(self.decades > 0, f"{self.decades:g} decades", "a number above 0")

    @property
    def lowest(self) -> float:
        """Data units at the lower edge."""
        return float(self.top * 10.0**-self.decades)

    def forward(self, values: Values) -> Values:
        """Return scale units (0 at the lowest decade, 1 at the top) for data units."""
        clipped = np.maximum(np.asarray(values, dtype=np.float64), self.lowest)
        return np.asarray(np.log10(clipped / self.top) / self.decades + 1.0)

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units."""
        return self.top * 10.0 ** ((np.asarray(scaled, dtype=np.float64) - 1.0) * self.decades)


@dataclass(frozen=True, slots=True)
class Asinh:
    """Inverse hyperbolic sine with a cofactor, 1 at the top of the scale."""

    kind: ClassVar[str] = "asinh"
    top: float = 262144.0
    cofactor: float = 150.0

    def __post_init__(self) -> None:
        _require(self.top > 0, f"top of scale {self.top:g}", "a number above 0")
        _require(self.cofactor > 0, f"cofactor {self.cofactor:g}", "a number above 0")

    def forward(self, values: Values) -> Values:
        """Return scale units for data units."""
        scaled = np.arcsinh(np.asarray(values, dtype=np.float64) / self.cofactor)
        return scaled / math.asinh(self.top / self.cofactor)

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units."""
        unit = math.asinh(self.top / self.cofactor)
        return self.cofactor * np.sinh(np.asarray(scaled, dtype=np.float64) * unit)


@dataclass(frozen=True, slots=True)
class Logicle:
    """Logicle of Gating-ML 2.0, 1 at the top of the scale.

    Attributes
    ----------
    top, width, decades, negative_decades
        T, W, M and A of the standard.

    References
    ----------
    Moore & Parks, Cytometry A 81 (2012) 273-277.
    """

    kind: ClassVar[str] = "logicle"
    top: float = 262144.0
    width: float = 0.5
    decades: float = 4.5
    negative_decades: float = 0.0

    def __post_init__(self) -> None:
        _require_standard(self)

    def forward(self, values: Values) -> Values:
        """Return scale units for data units."""
        # flowutils takes milliseconds to import and most commands transform nothing.
        from flowutils import transforms

        return _transform(transforms.logicle, values, self)

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units."""
        from flowutils import transforms

        return _transform(transforms.logicle_inverse, scaled, self)


@dataclass(frozen=True, slots=True)
class Hyperlog:
    """Hyperlog of Gating-ML 2.0, 1 at the top of the scale.

    Attributes
    ----------
    top, width, decades, negative_decades
        T, W, M and A of the standard.

    References
    ----------
    Bagwell, Cytometry A 64 (2005) 34-42.
    """

    kind: ClassVar[str] = "hyperlog"
    top: float = 262144.0
    width: float = 0.5
    decades: float = 4.5
    negative_decades: float = 0.0

    def __post_init__(self) -> None:
        _require_standard(self)
        _require(self.width > 0, "width W = 0", "above 0")

    def forward(self, values: Values) -> Values:
        """Return scale units for data units."""
        from flowutils import transforms

        return _transform(transforms.hyperlog, values, self)

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units."""
        from flowutils import transforms

        return _transform(transforms.hyperlog_inverse, scaled, self)


@dataclass(frozen=True, slots=True)
class Biexponential:
    """FlowJo 10's "biex": straight lines between the entries of a table; clipped at its ends.

    Attributes
    ----------
    top
        Highest value of the table, in data units.
    width
        FlowJo's "width basis", below 0: -1 to -1000.
    positive, negative
        FlowJo's positive and extra negative decades.

    References
    ----------
    Parks, Roederer & Moore, Cytometry A 69 (2006) 541-551, for the function; that the table has
    4097 entries, evenly spaced on the scale, was measured on values that FlowJo had exported.
    """

    kind: ClassVar[str] = "biex"
    top: float = 262144.0
    width: float = -10.0
    positive: float = 4.418540
    negative: float = 0.0

    def __post_init__(self) -> None:
        _require(self.top > 0, f"top of scale {self.top:g}", "a number above 0")
        _require(self.width <= -1, f"width {self.width:g}", "-1 or less")
        _require(
            self.positive > math.log10(-self.width) / 2,
            f"{self.positive:g} positive decades",
            "more than half of the decades of the width",
        )
        _require(self.negative >= 0, f"{self.negative:g} negative decades", "0 or more")

    def forward(self, values: Values) -> Values:
        """Return scale units (0 to 1) for data units."""
        entries = _biexponential_table(self)
        positions = np.interp(values, entries, np.arange(entries.size, dtype=np.float64))
        return np.asarray(positions / (entries.size - 1))

    def inverse(self, scaled: Values) -> Values:
        """Return data units for scale units."""
        entries = _biexponential_table(self)
        positions = np.asarray(scaled, dtype=np.float64) * (entries.size - 1)
        return np.interp(positions, np.arange(entries.size), entries)

    @property
    def entries(self) -> Values:
        """Data units at which the scale bends, ascending."""
        return _biexponential_table(self)


@cache
def _biexponential_table(scale: Biexponential) -> Values:
    """Return the data units of 4097 evenly spaced scale units, (4097,) ascending."""
    n_steps = 4096
    width = math.log10(-scale.width)
    decades = scale.positive - width / 2.0
    below = scale.negative + width / 2.0
    zero = min(int(below * n_steps / (below + decades)), n_steps // 2)
    if zero > 0:
        decades = below * n_steps / zero
    linear = width / (2.0 * decades)
    rise = math.log(10.0) * decades
    fall = _falling_exponent(rise, linear)
    # The exponents are those of one step more than the table has.
    steps = np.arange(n_steps + 1) / (n_steps + 1.0)
    weight = math.exp((rise + fall) * (linear + below / decades))
    curve = np.exp(rise * steps) - weight * np.exp(-fall * steps)
    entries = scale.top * math.exp(-rise) * (curve - curve[zero])
    # The function is odd about zero.
    entries[:zero] = -entries[2 * zero : zero : -1]
    entries.setflags(write=False)
    return np.asarray(entries)


def _falling_exponent(rise: float, linear: float) -> float:
    """Solve 2 ln(fall / rise) + linear * (rise + fall) = 0: zero is then an inflection point."""
    if linear == 0.0:
        return rise
    return float(
        optimize.brentq(
            lambda fall: 2.0 * math.log(fall / rise) + linear * (rise + fall),
            1e-300,
            rise,
            xtol=1e-14,
            rtol=1e-15,
        )
    )


Scale = Linear | Log | Asinh | Logicle | Hyperlog | Biexponential


def find_ends(scale: Scale) -> tuple[float, float]:
    """Return the data units beyond which a scale puts every value onto its edge.

    Infinite where it has no edge.
    """
    match scale:
        case Log():
            return scale.lowest, math.inf
        case Biexponential():
            return float(scale.entries[0]), float(scale.entries[-1])
        case _:
            return -math.inf, math.inf


def _require(holds: bool, found: str, expected: str) -> None:
    if not holds:
        raise ScaleError(found, expected=expected)


def _require_standard(scale: Logicle | Hyperlog) -> None:
    """Refuse parameters of which Gating-ML makes no scale."""
    _require(scale.top > 0, f"top of scale T = {scale.top:g}", "a number above 0")
    _require(scale.decades > 0, f"M = {scale.decades:g}", "a number above 0")
    _require(
        0 <= scale.width <= scale.decades / 2,
        f"width W = {scale.width:g}",
        f"0 to M/2 = {scale.decades / 2:g}",
    )
    _require(
        -scale.width <= scale.negative_decades <= scale.decades - 2 * scale.width,
        f"A = {scale.negative_decades:g}",
        "-W to M - 2W",
    )


def _transform(
    transform: Callable[..., Values], values: Values, scale: Logicle | Hyperlog
) -> Values:
    """Apply a transform of flowutils, which takes columns, to values of any shape."""
    column = np.ascontiguousarray(values, dtype=np.float64).reshape(-1, 1)
    found = transform(column, [0], scale.top, scale.decades, scale.width, scale.negative_decades)
    return np.asarray(found).reshape(np.shape(values))
