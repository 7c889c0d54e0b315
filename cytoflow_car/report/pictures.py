"""Pictures of gates: one sheet a specimen, one panel a gate, in the order of gating."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cytoflow_car.gating.panels import GatePanel
from cytoflow_car.report.plot import (
    COLOURS,
    HISTOGRAM_TOP,
    INK,
    QUIET,
    SIZE,
    draw_plot,
    histogram_heights,
    widen_bins,
)
from cytoflow_car.report.text import font, printable, shorten, wrap
from cytoflow_car.report.ticks import Tick, axis_ticks

_COLUMNS = 4
_GAP = 12
_LEFT, _TOP, _BOTTOM, _RIGHT = 66, 50, 46, 16
_CAPTION_LINES = 3
_CELL_WIDTH = _LEFT + SIZE + _RIGHT
_CELL_HEIGHT = _TOP + SIZE + _BOTTOM + 15 * _CAPTION_LINES + 6
_LINE = (120, 120, 120)
_CELL_LINE = (210, 210, 210)
#: Frame of what a person must look at.
REVIEW = (190, 60, 0)


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where on the sheet a panel stands: its upper left corner."""

    x: int
    y: int


def draw_gates(title: str, panels: tuple[GatePanel, ...], *, notes: tuple[str, ...] = ()) -> bytes:
    """Draw every gate of one specimen on its parent's events.

    Density is coloured by the logarithm of the events in a bin, empty bins are white; heights of
    histograms go with the square root. The part of a histogram that the gate keeps is darker. A
    panel that is not `sure` has a thick frame and the word REVIEW.

    Parameters
    ----------
    title
        For example the sample's name and its template.
    panels
        In the order of gating.
    notes
        Lines beneath the title, for example the findings of quality control.

    Returns
    -------
    A PNG; the same bytes for the same input.
    """
    # Two columns at least, so that the title has room.
    n_columns = min(_COLUMNS, max(2, len(panels)))
    n_rows = math.ceil(len(panels) / n_columns)
    width = _GAP + n_columns * (_CELL_WIDTH + _GAP)
    lines = [line for note in notes for line in wrap(note, 13, width - 2 * _GAP, 3)]
    top = 48 + 18 * len(lines)
    image = Image.new("RGB", (width, top + max(n_rows * (_CELL_HEIGHT + _GAP), 40)), "white")
    draw = ImageDraw.Draw(image)
    unsure = sum(not panel.sure for panel in panels)
    room = width - 2 * _GAP - (230 if unsure else 0)
    if any(len(panel.axes) == 2 for panel in panels):
        room -= _draw_ramp(image, draw, width - _GAP - (230 if unsure else 0))
    draw.text((_GAP, 24), shorten(title, 20, room), INK, font(20), "lm")
    if unsure:
        text = f"REVIEW {unsure} of {len(panels)} gates"
        draw.rectangle((width - _GAP - 215, 10, width - _GAP, 37), REVIEW)
        draw.text((width - _GAP - 107, 24), text, "white", font(16), "mm")
    for row, line in enumerate(lines):
        draw.text((_GAP, 52 + 18 * row), line, INK, font(13), "lm")
    if not panels:
        draw.text((_GAP, top + 16), "no gate could be drawn", QUIET, font(14), "lm")
    for index, panel in enumerate(map(widen_bins, panels)):
        row, column = divmod(index, n_columns)
        cell = _Cell(_GAP + column * (_CELL_WIDTH + _GAP), top + row * (_CELL_HEIGHT + _GAP))
        _draw_cell(image, draw, cell, panel)
    file = io.BytesIO()
    image.save(file, "png", compress_level=4)
    return file.getvalue()


def _draw_ramp(image: Image.Image, draw: ImageDraw.ImageDraw, right: int) -> int:
    """Draw the legend of the density's colours, ending at `right`; return its width."""
    strip = Image.fromarray(np.ascontiguousarray(np.broadcast_to(COLOURS[::2], (10, 128, 3))))
    x = right - 130 - 100
    draw.text((x + 134, 24), "fullest bin (log)", QUIET, font(12), "lm")
    image.paste(strip, (x, 19))
    draw.text((x - 6, 24), "1 event", QUIET, font(12), "rm")
    return 300


def _draw_cell(
    image: Image.Image, draw: ImageDraw.ImageDraw, cell: _Cell, panel: GatePanel
) -> None:
    plot_x, plot_y = cell.x + _LEFT, cell.y + _TOP
    border = (cell.x, cell.y, cell.x + _CELL_WIDTH - 1, cell.y + _CELL_HEIGHT - 1)
    room = _CELL_WIDTH - 20
    if panel.sure:
        draw.rectangle(border, outline=_CELL_LINE)
    else:
        draw.rectangle(border, outline=REVIEW, width=4)
        draw.rectangle((border[2] - 82, cell.y, border[2], cell.y + 25), REVIEW)
        draw.text((border[2] - 41, cell.y + 13), "REVIEW", "white", font(15), "mm")
        room -= 80
    draw.text((cell.x + 10, cell.y + 17), shorten(panel.title, 16, room), INK, font(16), "lm")
    n_events = int(panel.counts.sum())
    of = f"of {panel.parent}, {n_events:,} event{'' if n_events == 1 else 's'}"
    draw.text((cell.x + 10, cell.y + 37), shorten(of, 13, _CELL_WIDTH - 20), QUIET, font(13), "lm")
    image.paste(draw_plot(panel), (plot_x, plot_y))
    draw.rectangle((plot_x - 1, plot_y - 1, plot_x + SIZE, plot_y + SIZE), outline=_LINE)
    _draw_x_axis(draw, plot_x, plot_y + SIZE, panel)
    _draw_y_axis(image, draw, cell, plot_x, plot_y, panel)
    caption = wrap(panel.caption, 12, _CELL_WIDTH - 20, _CAPTION_LINES)
    for row, line in enumerate(caption):
        place = (cell.x + 10, plot_y + SIZE + _BOTTOM + 6 + 15 * row)
        draw.text(place, line, INK, font(12), "lm")


def _draw_x_axis(draw: ImageDraw.ImageDraw, left: int, y: int, panel: GatePanel) -> None:
    axis = panel.axes[0]
    for tick in axis_ticks(axis, 38 / SIZE):
        x = left + round(tick.at * (SIZE - 1))
        draw.line([(x, y + 1), (x, y + (6 if tick.label else 3))], _LINE)
        _draw_tick_label(draw, x, y + 15, tick, centered=True)
    name = shorten(axis.marker, 13, SIZE)
    draw.text((left + SIZE / 2, y + 34), name, INK, font(13), "mm")


def _draw_y_axis(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: _Cell,
    left: int,
    top: int,
    panel: GatePanel,
) -> None:
    if len(panel.axes) == 2:
        name, ticks = panel.axes[1].marker, axis_ticks(panel.axes[1], 16 / SIZE)
    else:
        name, ticks = "events a bin (square root)", _count_ticks(histogram_heights(panel)[2])
    for tick in ticks:
        y = top + SIZE - 1 - round(tick.at * (SIZE - 1))
        draw.line([(left - 2, y), (left - (7 if tick.label else 4), y)], _LINE)
        _draw_tick_label(draw, left - 9, y, tick, centered=False)
    upright = Image.new("L", (SIZE, 18))
    ImageDraw.Draw(upright).text((SIZE / 2, 9), shorten(name, 13, SIZE), 255, font(13), "mm")
    image.paste(INK, (cell.x + 6, top), upright.transpose(Image.Transpose.ROTATE_90))


def _count_ticks(most: float) -> list[Tick]:
    """Mark the heights of a histogram at 0 and at powers of ten, the highest first."""
    counts = [10**exponent for exponent in range(math.floor(math.log10(most)), -1, -1)]
    ticks = [Tick(0.0, "0")]
    for count in (round(most), *counts):
        at = math.sqrt(count / most) * HISTOGRAM_TOP
        if all(abs(at - tick.at) >= 18 / SIZE for tick in ticks):
            label = f"{count / 1000:.3g}K" if count >= 1000 else f"{count}"
            ticks.append(Tick(at, label))
    return ticks


def _draw_tick_label(
    draw: ImageDraw.ImageDraw, x: float, y: float, tick: Tick, *, centered: bool
) -> None:
    """Write a tick's label centered on `x`, or ending there; the exponent stands high."""
    label, exponent = printable(tick.label), tick.exponent
    width = font(12).getlength(label) + font(9).getlength(exponent)
    start = x - width / 2 if centered else x - width
    draw.text((start, y), label, QUIET, font(12), "lm")
    if exponent:
        place = (start + font(12).getlength(label), y - 5)
        draw.text(place, exponent, QUIET, font(9), "lm")
