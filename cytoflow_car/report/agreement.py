"""The figure of a comparison: F1 of every sample, and Bland-Altman panels."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from cytoflow_car.gating.confidence import REVIEW_AGREEMENT
from cytoflow_car.gating.panels import Axis
from cytoflow_car.model.scale import Linear
from cytoflow_car.report.pictures import REVIEW
from cytoflow_car.report.plot import CONTROL, INK, QUIET, draw_dot
from cytoflow_car.report.text import font, printable, shorten
from cytoflow_car.report.ticks import axis_ticks
from cytoflow_car.tables.agreement import PopulationAgreement, PopulationSummary

_COLUMNS = 4
_GAP = 14
_SIDE = 220
_LEFT, _TOP, _BOTTOM = 52, 44, 40
_CELL_WIDTH, _CELL_HEIGHT = _LEFT + _SIDE + 12, _TOP + _SIDE + _BOTTOM
_ROW = 26
_NAMES, _FIGURES = 250, 150
_WIDTH = _GAP + _COLUMNS * (_CELL_WIDTH + _GAP)
_LINE, _FAINT = (120, 120, 120), (225, 225, 225)


def draw_agreement(
    rows: Sequence[PopulationAgreement], summaries: Sequence[PopulationSummary]
) -> bytes:
    """Draw a line of F1 a population with a dot a sample, then a Bland-Altman panel a population.

    Dots of samples whose gates were flagged for review have the colour of review. The panels show
    the difference against the mean of both percents, with mean and limits; a population of a single
    sample has none.

    Returns
    -------
    A PNG; the same bytes for the same input. What no sample has is left out.
    """
    groups = [(item, [row for row in rows if _key(row) == _key(item)]) for item in summaries]
    lines = [(item, group) for item, group in groups if item.median_f1 is not None]
    panels = [
        (item, group)
        for item, group in groups
        if item.differences is not None and item.differences.n > 1
    ]
    top = 60
    panels_top = top + (len(lines) * _ROW + 64 if lines else 0)
    height = panels_top + math.ceil(len(panels) / _COLUMNS) * (_CELL_HEIGHT + _GAP) + _GAP
    image = Image.new("RGB", (_WIDTH, height), "white")
    n_samples = len({row.sample_id for row in rows})
    title = f"Agreement with the reference, {n_samples} sample{'' if n_samples == 1 else 's'}"
    draw = ImageDraw.Draw(image)
    draw.text((_GAP, 24), title, INK, font(20), "lm")
    _draw_legend(image)
    if lines:
        _draw_f1(image, top, lines)
    for index, (item, group) in enumerate(panels):
        row, column = divmod(index, _COLUMNS)
        x = _GAP + column * (_CELL_WIDTH + _GAP)
        _draw_panel(image, x, panels_top + row * (_CELL_HEIGHT + _GAP), item, group)
    file = io.BytesIO()
    image.save(file, "png", compress_level=4)
    return file.getvalue()


def _key(item: PopulationAgreement | PopulationSummary) -> tuple[str, str]:
    return item.template, item.population


def _draw_legend(image: Image.Image) -> None:
    draw = ImageDraw.Draw(image)
    x = _WIDTH - 330
    for text, colour in (("one sample", CONTROL), ("flagged for review", REVIEW)):
        draw_dot(image, x, 24, colour)
        draw.text((x + 10, 24), text, QUIET, font(13), "lm")
        x += 140


def _draw_f1(
    image: Image.Image,
    top: int,
    lines: Sequence[tuple[PopulationSummary, list[PopulationAgreement]]],
) -> None:
    """Draw the dots of F1 from the lowest tenth that occurs up to 1."""
    draw = ImageDraw.Draw(image)
    lowest = min(item.worst_f1 for item, _ in lines if item.worst_f1 is not None)
    low = min(math.floor(lowest * 10.0) / 10.0, 0.8)
    left, right = _GAP + _NAMES, _WIDTH - _GAP - _FIGURES
    bottom = top + 24 + len(lines) * _ROW

    def place(value: float) -> float:
        return left + (value - low) / (1.0 - low) * (right - left)

    draw.text((_GAP, top + 10), "F1 of the events inside", INK, font(14), "lm")
    draw.text((_WIDTH - _GAP, top + 10), "median   worst", QUIET, font(13), "rm")
    for step in range(round(low * 10), 11):
        x = place(step / 10.0)
        colour = _LINE if math.isclose(step / 10.0, REVIEW_AGREEMENT) else _FAINT
        draw.line([(x, top + 22), (x, bottom)], colour)
        draw.text((x, bottom + 12), f"{step / 10.0:g}", QUIET, font(12), "mm")
    for index, (item, group) in enumerate(lines):
        y = top + 24 + _ROW * index + _ROW / 2
        name = shorten(item.population, 14, _NAMES - 16)
        draw.text((_GAP, y), name, INK, font(14), "lm")
        beside = font(14).getlength(name) + 8
        if beside < _NAMES - 60:
            of = shorten(item.template, 11, _NAMES - 16 - beside)
            draw.text((_GAP + beside, y), of, QUIET, font(11), "lm")
        for row in group:
            if row.f1 is not None:
                draw_dot(image, place(row.f1), y, REVIEW if row.review else CONTROL)
        assert item.median_f1 is not None
        x = place(item.median_f1)
        draw.line([(x, y - 9), (x, y + 9)], INK, 2)
        figures = f"{item.median_f1:.3f}   {item.worst_f1:.3f}"
        draw.text((_WIDTH - _GAP, y), figures, INK, font(13), "rm")


def _draw_panel(
    image: Image.Image,
    left: int,
    top: int,
    item: PopulationSummary,
    group: Sequence[PopulationAgreement],
) -> None:
    draw = ImageDraw.Draw(image)
    assert item.differences is not None
    summary = item.differences
    points = [
        ((row.percent_ours + row.percent_theirs) / 2.0, row.difference, row.review)
        for row in group
        if row.difference is not None
        and row.percent_ours is not None
        and row.percent_theirs is not None
    ]
    heights = [abs(difference) for _, difference, _ in points]
    if summary.limits is not None:
        heights += [abs(summary.limits.low), abs(summary.limits.high)]
    reach = 1.15 * max(*heights, 0.05)
    means = [mean for mean, _, _ in points]
    around = 0.1 * max(max(means) - min(means), 1.0)
    across = Axis("", Linear(1.0), max(min(means) - around, 0.0), max(means) + around)
    up = Axis("", Linear(1.0), -reach, reach)
    x0, y0 = left + _LEFT, top + _TOP

    def place(mean: float, difference: float) -> tuple[float, float]:
        x = x0 + (mean - across.low) / (across.high - across.low) * _SIDE
        return x, y0 + (1.0 - (difference + reach) / (2.0 * reach)) * _SIDE

    title = shorten(item.population, 15, _CELL_WIDTH)
    draw.text((left, top + 10), title, INK, font(15), "lm")
    of = {row.denominator for row in group}
    below = f"% of {of.pop()}" if len(of) == 1 else "%"
    below += f", {item.template}"
    draw.text((left, top + 29), shorten(below, 12, _CELL_WIDTH), QUIET, font(12), "lm")
    draw.rectangle((x0, y0, x0 + _SIDE, y0 + _SIDE), outline=_LINE)
    y = place(across.low, 0.0)[1]
    draw.line([(x0, y), (x0 + _SIDE, y)], _FAINT)
    for mean, difference, review in points:
        draw_dot(image, *place(mean, difference), REVIEW if review else CONTROL)
    marks = [(summary.mean, INK)]
    if summary.limits is not None:
        marks += [(summary.limits.low, QUIET), (summary.limits.high, QUIET)]
    for value, colour in marks:
        y = place(across.low, value)[1]
        draw.line([(x0, y), (x0 + _SIDE, y)], colour, 2 if colour == INK else 1)
        draw.text((x0 + _SIDE - 4, y - 8), f"{value:+.2g}", colour, font(11), "rm")
    for tick in axis_ticks(across, 40 / _SIDE):
        x = x0 + tick.at * _SIDE
        draw.line([(x, y0 + _SIDE), (x, y0 + _SIDE + 5)], _LINE)
        draw.text((x, y0 + _SIDE + 13), printable(tick.label), QUIET, font(12), "mm")
    for tick in axis_ticks(up, 24 / _SIDE):
        y = y0 + (1.0 - tick.at) * _SIDE
        draw.line([(x0 - 5, y), (x0, y)], _LINE)
        draw.text((x0 - 8, y), printable(tick.label), QUIET, font(12), "rm")
    text = "mean of both; up: ours minus theirs"
    draw.text((x0 + _SIDE / 2, y0 + _SIDE + 30), text, QUIET, font(12), "mm")
