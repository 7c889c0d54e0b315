"""Pictures of an antigen: a patient's specimens below each other, over control and normal cells."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cytoflow_car.model.antigen import AntigenProfile, Histogram
from cytoflow_car.model.events import Values
from cytoflow_car.report.plot import CONTROL, INK, QUIET
from cytoflow_car.report.text import font, printable, shorten

_LEFT, _WIDE, _GAP, _SAID = 20, 560, 24, 330
_TOP, _HIGH, _AXIS = 92, 120, 46
_WIDTH = _LEFT + _WIDE + _GAP + _SAID
_FRAME = (150, 150, 150)
_FILL, _EDGE = (205, 205, 205), (110, 110, 110)
#: Normal cells, by colour and by a dashed line.
_NORMAL = (190, 90, 0)
# Of neighbouring bins, since a bin of few cells is mostly chance.
_SMOOTH = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0
_MARGIN = 3
_DASH, _DASH_GAP = 7.0, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class AntigenStrip:
    """One specimen of a picture.

    Attributes
    ----------
    name
        For example ``P03_BM_d218_B, day 218``.
    profile
        Its antigen.
    change
        Since the baseline; empty for the baseline itself.
    """

    name: str
    profile: AntigenProfile
    change: str = ""


def draw_antigen(title: str, strips: Sequence[AntigenStrip]) -> bytes:
    """Draw the histograms of an antigen on several specimens of one patient.

    Each is drawn to its own highest bin: grey is the population, a solid line the control or the
    negative population, a dashed line normal cells of the same tube. Strips in molecules share
    their axis.

    Parameters
    ----------
    title
        For example the patient and the antigen.
    strips
        The baseline first; each with at least one histogram.

    Returns
    -------
    A PNG; the same bytes for the same input.
    """
    image = Image.new("RGB", (_WIDTH, _TOP + len(strips) * (_HIGH + _AXIS) + 10), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 24), shorten(printable(title), 20, _WIDTH - 2 * _LEFT), INK, font(20), "lm")
    _draw_key(draw)
    shared = {
        unit: _shown_range([item for item in strips if item.profile.unit == unit])
        for unit in {item.profile.unit for item in strips}
    }
    for number, strip in enumerate(strips):
        top = _TOP + number * (_HIGH + _AXIS)
        # Without molecules every specimen has a scale of its own.
        own = strip.profile.unit == "a.u."
        _draw_strip(draw, top, strip, _shown_range([strip]) if own else shared[strip.profile.unit])
        _say(draw, top, strip)
    file = io.BytesIO()
    image.save(file, "png", compress_level=4)
    return file.getvalue()


def shown_heights(histogram: Histogram) -> Values:
    """Return the drawn height of each bin: smoothed, as a share of the highest."""
    counts = np.convolve(np.asarray(histogram.counts, dtype=np.float64), _SMOOTH, mode="same")
    heights: Values = counts / max(float(counts.max()), 1e-12)
    return heights


def _shown_range(strips: Sequence[AntigenStrip]) -> tuple[int, int]:
    """Return the first and last bin that any strip has events in."""
    histograms = [item for strip in strips for item in strip.profile.histograms]
    found = np.concatenate([np.flatnonzero(item.counts) for item in histograms])
    low, high = int(found.min()) - _MARGIN, int(found.max()) + _MARGIN
    return max(low, 0), min(high, len(histograms[0].counts) - 1)


def _draw_key(draw: ImageDraw.ImageDraw) -> None:
    y, x = 58, _LEFT
    draw.rectangle((x, y - 6, x + 22, y + 6), fill=_FILL, outline=_EDGE)
    draw.text((x + 30, y), "population", INK, font(14), "lm")
    draw.line([(x + 140, y), (x + 166, y)], CONTROL, 2)
    draw.text((x + 174, y), "control, or negative cells of the tube", INK, font(14), "lm")
    for start in range(x + 450, x + 476, 9):
        draw.line([(start, y), (start + 5, y)], _NORMAL, 2)
    draw.text((x + 484, y), "normal cells of the tube", INK, font(14), "lm")


def _draw_strip(
    draw: ImageDraw.ImageDraw, top: int, strip: AntigenStrip, shown: tuple[int, int]
) -> None:
    profile = strip.profile
    bottom = top + _HIGH
    for histogram in profile.histograms:
        points = _outline(shown_heights(histogram), shown, bottom)
        if histogram.population == profile.population:
            draw.polygon([*points, (points[-1][0], bottom), (points[0][0], bottom)], _FILL)
            draw.line(points, _EDGE, 1)
    background = profile.background
    for histogram in profile.histograms:
        points = _outline(shown_heights(histogram), shown, bottom)
        internal = background is not None and background.kind == "internal"
        if histogram.source or (internal and histogram.population == background.source):  # type: ignore[union-attr]
            draw.line(points, CONTROL, 2)
        elif histogram.population == profile.reference_population:
            _draw_dashes(draw, points)
    draw.rectangle((_LEFT, top, _LEFT + _WIDE, bottom), outline=_FRAME)
    _draw_axis(draw, bottom, profile.histograms[0], profile.unit, shown)


def _draw_dashes(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]]) -> None:
    """Draw a dashed line of which every dash is as long as the others."""
    x, y = np.asarray(points).T
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    for start in np.arange(0.0, way[-1], _DASH + _DASH_GAP):
        along = np.linspace(start, min(start + _DASH, way[-1]), 4)
        dash = np.column_stack([np.interp(along, way, x), np.interp(along, way, y)])
        draw.line([tuple(point) for point in dash.tolist()], _NORMAL, 2)


def _outline(heights: Values, shown: tuple[int, int], bottom: int) -> list[tuple[float, float]]:
    low, high = shown
    step = _WIDE / (high - low + 1)
    return [
        (_LEFT + (place - low + 0.5) * step, bottom - 0.9 * _HIGH * float(heights[place]))
        for place in range(low, high + 1)
    ]


def _draw_axis(
    draw: ImageDraw.ImageDraw, bottom: int, histogram: Histogram, unit: str, shown: tuple[int, int]
) -> None:
    low, high = shown
    edges = np.asarray(histogram.edges)
    lowest, highest = edges[low], edges[high + 1]
    decades = [10.0**power for power in range(1, 8)]
    ticks = [0.0, *decades] if lowest < 0 else decades
    for value in ticks:
        if not lowest <= value <= highest:
            continue
        place = float(np.interp(value, edges, np.arange(edges.size)))
        x = _LEFT + (place - low) / (high - low + 1) * _WIDE
        draw.line([(x, bottom), (x, bottom + 5)], _FRAME)
        # The first bin holds what lies below it, too.
        told = f"<{value:,.0f}" if low == 0 and value == edges[0] else f"{value:,.0f}"
        draw.text((x, bottom + 14), told, QUIET, font(12), "mm")
    label = "antibodies bound per cell (ABC)" if unit == "ABC" else unit
    draw.text((_LEFT + _WIDE / 2, bottom + 30), label, QUIET, font(12), "mm")


def _say(draw: ImageDraw.ImageDraw, top: int, strip: AntigenStrip) -> None:
    profile, x = strip.profile, _LEFT + _WIDE + _GAP
    lines = [strip.name, f"{profile.n_events:,} events of {profile.population}"]
    interval = profile.net_interval
    if profile.net is not None and interval is not None:
        ends = f"{_short(interval.low)} to {_short(interval.high)}"
        lines.append(f"net {_short(profile.net)} {profile.unit} ({ends})")
    elif profile.background is not None and profile.median is not None:
        lines.append(f"not above background ({profile.unit})")
    if profile.positive_percent is not None:
        lines.append(f"{profile.positive_percent:.1f} % above background")
    if profile.status is not None:
        lines.append(f"status {profile.status}")
    if strip.change:
        lines.append(f"change {strip.change}")
    if profile.background is not None:
        lines.append(f"background: {profile.background.kind} {profile.background.source}")
    for number, line in enumerate(lines):
        size = 15 if number == 0 else 13
        text = shorten(printable(line), size, _SAID - 12)
        draw.text((x, top + 8 + 18 * number), text, INK, font(size), "lm")


def _short(number: float) -> str:
    """Return three digits that count, with separators."""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{round(number, 2 - math.floor(math.log10(abs(number)))):,.{digits}f}"
