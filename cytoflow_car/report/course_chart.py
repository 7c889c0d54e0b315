"""Courses over days as a line chart in SVG, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from xml.etree.ElementTree import Element

from cytoflow_car.report.contents import Threshold
from cytoflow_car.report.html import element
from cytoflow_car.tables.cells import Line

_WIDTH, _BODY = 700, 222
_LEFT, _RIGHT, _AXIS = 62, 16, 44
#: Of a row of labels above and of keys below, and of a letter at the most.
_ROW, _LETTER = 16, 7.2
_INK, _EVENT = "#1a1a1a", "#9a0000"
_THRESHOLD = "9 3"


class SeriesLook(NamedTuple):
    """Shape of the points, dashes of the line, and colour; × stands for no number, never here."""

    shape: str
    dashes: str
    colour: str


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A result on a day.

    Attributes
    ----------
    value
        Above 0; None where there is no number: it is marked at the foot.
    quantified
        Filled and joined to its neighbours; else open, and the line breaks.
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
    look: SeriesLook
    points: tuple[ChartPoint, ...]

    @property
    def has_numbers(self) -> bool:
        """Whether anything can be drawn but × at the foot."""
        return any(point.value for point in self.points)


@dataclass(frozen=True, slots=True)
class DayMark:
    """What happened on a day: an infusion, or a relapse or death."""

    day: float
    words: str
    is_event: bool = False


def draw_course(
    title: str,
    unit: str,
    series: Sequence[Series],
    marks: Iterable[DayMark],
    threshold: Threshold | None = None,
) -> Element:
    """Draw courses with what happened as vertical lines.

    Filled points are quantified, open ones are not; a stroke down from a point says that it is an
    upper limit, × at the foot that there is no number. Only quantified points without another
    result between them are joined.
    """
    marks = sorted(marks, key=lambda mark: mark.day)
    days = [point.day for own in series for point in own.points] + [mark.day for mark in marks]
    first, last = min([*days, 0.0]), max([*days, 1.0])
    values = [point.value for own in series for point in own.points if point.value]
    values += [threshold.value] if threshold is not None else []
    low = math.floor(math.log10(min(values))) if values else -1
    high = math.ceil(math.log10(max(values))) if values else 1
    if low == high:
        low -= 1
    plot = _Plot(first, last, low, high)
    labels = list(plot.labels(marks))
    plot = replace(plot, top=32.0 + _ROW * max((row for *_, row in labels), default=0))
    keys = [_Key(own.name, own.look) for own in series]
    children = [
        element("title", title),
        element(
            "desc",
            "Values by day from infusion 1 on a logarithmic scale; the table that follows has "
            "every number.",
        ),
        *plot.axes(unit),
    ]
    for mark, x, anchor, row in labels:
        children += plot.mark(mark, x, anchor, row)
    if threshold is not None:
        y = f"{plot.y(threshold.value):.1f}"
        right = f"{_WIDTH - _RIGHT}"
        children.append(_line(f"{_LEFT}", y, right, y, _INK, _THRESHOLD, class_="threshold"))
        keys.append(_Key(threshold.words, None))
    for own in series:
        children += plot.series(own)
    placed, bottom = _place_keys(keys, plot.foot + _AXIS + 6)
    children += placed
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {_WIDTH} {bottom:g}",
        width=f"{_WIDTH}",
        height=f"{bottom:g}",
        role="img",
        aria_label=title,
    )


class _Key(NamedTuple):
    """An entry of the legend; without a look it is the threshold."""

    name: str
    look: SeriesLook | None


def _place_keys(keys: Sequence[_Key], y: float) -> tuple[list[Element], float]:
    """Return the legend, in as many rows as it needs, and where it ends."""
    made: list[Element] = []
    x = float(_LEFT)
    for key in keys:
        wide = 34 + _LETTER * len(key.name)
        if x > _LEFT and x + wide > _WIDTH - _RIGHT:
            x, y = float(_LEFT), y + _ROW + 4
        dashes, colour = (_THRESHOLD, _INK) if key.look is None else key.look[1:]
        made.append(_line(f"{x:.1f}", f"{y:.1f}", f"{x + 24:.1f}", f"{y:.1f}", colour, dashes))
        if key.look is not None:
            made.append(_shape(key.look.shape, x + 12, y, colour, colour))
        made.append(element("text", key.name, x=f"{x + 30:.1f}", y=f"{y + 4:.1f}", class_="key"))
        x += wide + 14
    return made, y + 12


@dataclass(frozen=True, slots=True)
class _Plot:
    """Days and decades that the axes span, and where they begin at the top."""

    first: float
    last: float
    low: int
    high: int
    top: float = 0.0

    def x(self, day: float) -> float:
        width = _WIDTH - _LEFT - _RIGHT - 12
        return _LEFT + 6 + (day - self.first) / (self.last - self.first) * width

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.foot - 14 - share * (self.foot - 14 - self.top)

    @property
    def foot(self) -> float:
        return self.top + _BODY

    def labels(self, marks: Iterable[DayMark]) -> Iterator[tuple[DayMark, float, str, int]]:
        """Yield each mark with the place, side and row of its words, which never run together."""
        ends: list[float] = []
        for mark in marks:
            x, wide = self.x(mark.day), _LETTER * len(mark.words)
            late = x + wide > _WIDTH
            start = x - wide if late else x
            row = next((n for n, end in enumerate(ends) if end < start), len(ends))
            ends[row : row + 1] = [start + wide + 6]
            yield mark, x, "end" if late else "start", row

    def axes(self, unit: str) -> list[Element]:
        right = f"{_WIDTH - _RIGHT}"
        made = [_line(f"{_LEFT}", f"{self.foot}", right, f"{self.foot}", _INK)]
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
            made.append(_line(f"{x:.1f}", f"{self.foot}", f"{x:.1f}", f"{self.foot + 5}", _INK))
            made.append(_text(f"{index * step:g}", x, self.foot + 18, "middle"))
        made.append(_text("days from infusion 1", _WIDTH - _RIGHT, self.foot + 34, "end"))
        return made

    def mark(self, mark: DayMark, x: float, anchor: str, row: int) -> list[Element]:
        y = self.top - 12 - _ROW * row
        colour, dashes = (_EVENT, "2 3") if mark.is_event else (_INK, "5 4")
        top, foot = f"{y + 4:.1f}", f"{self.foot:.1f}"
        line = _line(f"{x:.1f}", top, f"{x:.1f}", foot, colour, dashes, class_="mark")
        return [line, _text(mark.words, x, y, anchor)]

    def series(self, own: Series) -> list[Element]:
        shape, dashes, colour = own.look
        made = [
            element(
                "polyline",
                points=" ".join(way),
                fill="none",
                stroke=colour,
                stroke_width="1.5",
                **({"stroke_dasharray": dashes} if dashes else {}),
            )
            for way in self._ways(own.points)
            if len(way) > 1
        ]
        for point in own.points:
            x = self.x(point.day)
            if not point.value:
                mark = [_shape("cross", x, self.foot - 7, colour, "none")]
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
                    data_told=line["value_reported"],
                )
            )
        return made

    def _ways(self, points: Iterable[ChartPoint]) -> Iterator[list[str]]:
        """Yield corners of lines: one ends wherever a point is not quantified."""
        way: list[str] = []
        for point in points:
            if point.quantified and point.value:
                way.append(f"{self.x(point.day):.1f},{self.y(point.value):.1f}")
            else:
                yield way
                way = []
        yield way


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
            return element("path", d=d, **look)
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return element("polygon", points=points, **look)


def _line(
    x1: str, y1: str, x2: str, y2: str, colour: str, dashes: str = "", class_: str = ""
) -> Element:
    more = {"stroke_dasharray": dashes} if dashes else {}
    more |= {"class_": class_} if class_ else {}
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, **more)


def _text(text: str, x: float, y: float, anchor: str) -> Element:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _step(least: float) -> float:
    """Return the lowest of 1, 2, 5 times a power of ten, or a week or two, that is not below."""
    unit = 10.0 ** math.floor(math.log10(max(least, 1.0)))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least)
