"""Courses over days as a line chart in SVG, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from cytoflow_car.report.contents import InfusionMark
from cytoflow_car.report.html import element
from cytoflow_car.tables.cells import Line

_WIDTH, _HEIGHT = 700, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 46, 62
#: What tells series apart: shape and dashes, and colour on top of it.
_LOOKS = (
    ("circle", "", "#0b4f9e"),
    ("square", "6 3", "#9a3400"),
    ("triangle", "2 3", "#2d6a2d"),
    ("diamond", "8 3 2 3", "#6a2d6a"),
    ("cross", "1 2", "#444444"),
)


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A result on a day.

    Attributes
    ----------
    value
        None where there is no number: it is marked at the foot.
    quantified
        Filled; else open.
    limit
        The value is an upper limit of what was not seen.
    told
        What stands there when the point is pointed at.
    line
        The row that it is from.
    """

    day: float
    value: float | None
    quantified: bool
    limit: bool
    told: str
    line: Line


@dataclass(frozen=True, slots=True)
class Series:
    """Results of one kind, by day."""

    name: str
    points: tuple[ChartPoint, ...]


def draw_course(
    title: str, unit: str, series: Sequence[Series], infusions: Sequence[InfusionMark]
) -> Element:
    """Draw courses with infusions as vertical lines.

    Filled points are quantified, open ones are not; a stroke down from a point says that it is an
    upper limit, × at the foot that there is no number.
    """
    days = [point.day for own in series for point in own.points]
    days += [item.day for item in infusions if item.day is not None]
    first, last = min([*days, 0.0]), max([*days, 1.0])
    values = [
        point.value
        for own in series
        for point in own.points
        if point.value is not None and point.value > 0
    ]
    low = math.floor(math.log10(min(values))) if values else -1
    high = math.ceil(math.log10(max(values))) if values else 1
    if low == high:
        low -= 1
    plot = _Plot(first, last, low, high)
    children = [
        element("title", title),
        element(
            "desc",
            "Values by day from infusion 1 on a logarithmic scale; the table that follows has "
            "every number.",
        ),
        *plot.axes(unit),
    ]
    for item in infusions:
        if item.day is not None:
            children += plot.infusion(item)
    for number, own in enumerate(series):
        look = _LOOKS[number % len(_LOOKS)]
        children += plot.series(own, *look)
        x = _LEFT + 8 + number * 160
        children += [_shape(look[0], x, _HEIGHT - 12, look[2], look[2])]
        children += [element("text", own.name, x=f"{x + 11}", y=f"{_HEIGHT - 8}")]
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=f"{_WIDTH}",
        height=f"{_HEIGHT}",
        role="img",
        aria_label=title,
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """Days and decades that the axes span."""

    first: float
    last: float
    low: int
    high: int

    def x(self, day: float) -> float:
        width = _WIDTH - _LEFT - _RIGHT - 12
        return _LEFT + 6 + (day - self.first) / (self.last - self.first) * width

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.foot - 14 - share * (self.foot - 14 - _TOP)

    @property
    def foot(self) -> float:
        return float(_HEIGHT - _BOTTOM)

    def axes(self, unit: str) -> list[Element]:
        right = f"{_WIDTH - _RIGHT}"
        made = [_line(f"{_LEFT}", f"{self.foot}", right, f"{self.foot}", "#1a1a1a")]
        for decade in range(self.low, self.high + 1):
            y = self.y(10.0**decade)
            made.append(_line(f"{_LEFT}", f"{y:.1f}", right, f"{y:.1f}", "#d5d5d5"))
            label = (
                f"{10.0**decade:.10f}".rstrip("0").rstrip(".") if decade < 0 else f"{10**decade}"
            )
            made.append(_text(label, _LEFT - 6, y + 4, "end"))
        made.append(_text(f"{unit}, log", 4, 14, "start"))
        step = _step((self.last - self.first) / 8)
        for index in range(math.ceil(self.first / step), math.floor(self.last / step) + 1):
            x = self.x(index * step)
            made.append(
                _line(f"{x:.1f}", f"{self.foot}", f"{x:.1f}", f"{self.foot + 5}", "#1a1a1a")
            )
            made.append(_text(f"{index * step:g}", x, self.foot + 18, "middle"))
        made.append(_text("days from infusion 1", _WIDTH - _RIGHT, self.foot + 34, "end"))
        return made

    def infusion(self, item: InfusionMark) -> list[Element]:
        assert item.day is not None
        x = self.x(item.day)
        line = _line(f"{x:.1f}", f"{_TOP - 8}", f"{x:.1f}", f"{self.foot}", "#1a1a1a", "5 4")
        target = f" ({item.car_target})" if item.car_target else ""
        late = x > _WIDTH - 120
        # Every second label is higher, so that two close infusions can be read.
        y = _TOP - 12 - (0 if item.number % 2 else 14)
        return [line, _text(f"infusion {item.number}{target}", x, y, "end" if late else "start")]

    def series(self, own: Series, shape: str, dashes: str, colour: str) -> list[Element]:
        valued = [(point, point.value) for point in own.points if point.value and point.value > 0]
        way = " ".join(f"{self.x(point.day):.1f},{self.y(value):.1f}" for point, value in valued)
        made: list[Element] = []
        if len(valued) > 1:
            style = {"stroke_dasharray": dashes} if dashes else {}
            made.append(
                element(
                    "polyline", points=way, fill="none", stroke=colour, stroke_width="1.5", **style
                )
            )
        for point in own.points:
            x = self.x(point.day)
            if not point.value or point.value <= 0:
                mark = [_shape("cross", x, self.foot - 7, colour, colour)]
            else:
                y = self.y(point.value)
                fill = colour if point.quantified else "#ffffff"
                mark = [_shape(shape, x, y, colour, fill)]
                if point.limit:
                    mark.append(
                        _line(f"{x:.1f}", f"{y + 5:.1f}", f"{x:.1f}", f"{y + 15:.1f}", colour)
                    )
            line = point.line
            made.append(
                element(
                    "g",
                    element("title", f"{own.name}, day {point.day:g}: {point.told}"),
                    *mark,
                    class_="point",
                    data_sample=line["sample_id"],
                    data_measurement=line["measurement"],
                    data_told=point.told,
                )
            )
        return made


def _shape(shape: str, x: float, y: float, colour: str, fill: str) -> Element:
    look = {"stroke": colour, "stroke_width": "2", "fill": fill}
    match shape:
        case "circle":
            return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="5", **look)
        case "square":
            return element(
                "rect", x=f"{x - 4.5:.1f}", y=f"{y - 4.5:.1f}", width="9", height="9", **look
            )
        case "triangle":
            corners: tuple[tuple[int, int], ...] = ((0, -6), (6, 5), (-6, 5))
        case "diamond":
            corners = ((0, -6), (6, 0), (0, 6), (-6, 0))
        case _:
            d = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            return element("path", d=d, **look | {"fill": "none"})
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return element("polygon", points=points, **look)


def _line(x1: str, y1: str, x2: str, y2: str, colour: str, dashes: str = "") -> Element:
    style = {"stroke_dasharray": dashes} if dashes else {}
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, **style)


def _text(text: str, x: float, y: float, anchor: str) -> Element:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _step(least: float) -> float:
    """Return the lowest of 1, 2, 5 times a power of ten, or a week or two, that is not below."""
    unit = 10.0 ** math.floor(math.log10(max(least, 1.0)))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least)
