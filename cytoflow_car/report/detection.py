"""The figure of a study of detection: found against mixed in, recall and precision by level."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from cytoflow_car.report.pictures import REVIEW
from cytoflow_car.report.plot import CONTROL as BLUE
from cytoflow_car.report.plot import INK, QUIET, draw_dot
from cytoflow_car.report.text import font
from cytoflow_car.tables.detection import (
    BLASTS,
    CONTROL,
    POOLED,
    DetectionLimits,
    DilutionRun,
    LevelSummary,
)

_SIDE, _LEFT, _TOP, _BOTTOM = 330, 62, 92, 62
_WIDTH, _HEIGHT = 3 * (_LEFT + _SIDE) + 30, _TOP + _SIDE + _BOTTOM
_LINE, _FAINT = (120, 120, 120), (225, 225, 225)
_COLOURS = {BLASTS: BLUE, CONTROL: REVIEW}
_NAMES = {BLASTS: "blasts", CONTROL: "normal B cells (control)"}
# A count of 0 stands where this would on a logarithmic axis.
_ZERO = 0.3


def draw_detection(
    runs: Sequence[DilutionRun],
    levels: Sequence[LevelSummary],
    limits: Sequence[DetectionLimits],
) -> bytes:
    """Draw a dot a run, found against mixed in, then recall and precision of every file and level.

    The limits are those of all files together. Control runs are squares, so that they are told
    without colour, too.

    Returns
    -------
    A PNG; the same bytes for the same input.
    """
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    n_files = len({item.sample_id for item in levels})
    title = f"Detection of blasts diluted in their own file, {n_files} file{'s'[: n_files != 1]}"
    draw.text((14, 24), title, INK, font(20), "lm")
    x = _WIDTH - 320
    for arm, name in _NAMES.items():
        _mark(image, x, 24, arm)
        draw.text((x + 10, 24), name, QUIET, font(13), "lm")
        x += 90
    _draw_counts(image, runs, next(item for item in limits if item.sample_id == POOLED))
    for number, (name, value) in enumerate(
        (
            ("recall", lambda item: item.recall_mean),
            ("precision", lambda item: item.precision_mean),
        ),
        start=1,
    ):
        _draw_shares(image, number * (_LEFT + _SIDE) + _LEFT, name, levels, value)
    file = io.BytesIO()
    image.save(file, "png", compress_level=4)
    return file.getvalue()


def _draw_counts(image: Image.Image, runs: Sequence[DilutionRun], limits: DetectionLimits) -> None:
    draw = ImageDraw.Draw(image)
    called = [run for run in runs if run.n_found is not None]
    marks = (limits.lob, limits.lod, limits.loq)
    most = max([10.0, *(max(run.n_spiked, run.n_found or 0) for run in called)])
    most = 1.3 * max([most, *(value for value in marks if value is not None)])
    low, high = math.log10(_ZERO / 1.3), math.log10(most)

    def at(count: float) -> float:
        return (math.log10(max(count, _ZERO)) - low) / (high - low) * _SIDE

    _frame(draw, _LEFT, "events found against events mixed in")
    bottom = _TOP + _SIDE
    for value in (0, *(10**power for power in range(math.floor(high) + 1))):
        here, label = at(value), f"{value:,}"
        draw.line([(_LEFT + here, bottom), (_LEFT + here, bottom + 5)], _LINE)
        draw.text((_LEFT + here, bottom + 14), label, QUIET, font(12), "mm")
        draw.line([(_LEFT - 5, bottom - here), (_LEFT, bottom - here)], _LINE)
        draw.text((_LEFT - 8, bottom - here), label, QUIET, font(12), "rm")
    draw.line([(_LEFT + at(1), bottom - at(1)), (_LEFT + at(most), bottom - at(most))], _FAINT)
    for name, value, row in zip(("LOB", "LOD", "LOQ"), marks, range(3), strict=True):
        if value is not None:
            y = bottom - at(value)
            draw.line([(_LEFT, y), (_LEFT + _SIDE, y)], INK)
            # Labels of lines that lie upon one another stand side by side.
            place = (_LEFT + _SIDE - 4 - 80 * row, y - 8)
            draw.text(place, f"{name} {value:.3g}", INK, font(12), "rm")
    for run in called:
        place_x, place_y = _LEFT + at(run.n_spiked), bottom - at(run.n_found or 0)
        _mark(image, place_x, place_y, run.arm)
    draw.text((_LEFT + _SIDE / 2, bottom + 36), "events mixed in", QUIET, font(12), "mm")


def _draw_shares(
    image: Image.Image,
    left: int,
    name: str,
    levels: Sequence[LevelSummary],
    value: Callable[[LevelSummary], float | None],
) -> None:
    """Draw a mark a file at each level, and a line at the mean of the files."""
    draw = ImageDraw.Draw(image)
    _frame(draw, left, f"{name}, a mark a file")
    bottom = _TOP + _SIDE
    for tenth in range(0, 11, 2):
        y = bottom - (0.04 + 0.092 * tenth) * _SIDE
        draw.line([(left, y), (left + _SIDE, y)], _FAINT)
        draw.text((left - 8, y), f"{tenth / 10:g}", QUIET, font(12), "rm")
    steps = sorted({item.level for item in levels if item.level}, reverse=True)
    files = list(dict.fromkeys(item.sample_id for item in levels))
    for number, level in enumerate(steps):
        width = _SIDE / len(steps)
        middle = left + (number + 0.5) * width
        draw.text((middle, bottom + 14), f"{level:g}", QUIET, font(12), "mm")
        for side, arm in enumerate((BLASTS, CONTROL)):
            begin = middle - 0.42 * width + 0.44 * width * side
            step = 0.4 * width / (len(files) + 1)
            found = [
                (files.index(item.sample_id), share)
                for item in levels
                if (item.arm, item.level) == (arm, level) and (share := value(item)) is not None
            ]
            for index, share in found:
                y = bottom - (0.04 + 0.92 * share) * _SIDE
                _mark(image, begin + (index + 1) * step, y, arm)
            if found:
                mean = sum(share for _, share in found) / len(found)
                y = bottom - (0.04 + 0.92 * mean) * _SIDE
                draw.line([(begin, y), (begin + 0.4 * width, y)], _COLOURS[arm], 2)
    draw.text((left + _SIDE / 2, bottom + 36), "level", QUIET, font(12), "mm")


def _frame(draw: ImageDraw.ImageDraw, left: int, title: str) -> None:
    draw.text((left, _TOP - 22), title, INK, font(15), "lm")
    draw.rectangle((left, _TOP, left + _SIDE, _TOP + _SIDE), outline=_LINE)


def _mark(image: Image.Image, x: float, y: float, arm: str) -> None:
    if arm == BLASTS:
        draw_dot(image, x, y, _COLOURS[arm])
    else:
        box = (round(x) - 4, round(y) - 4, round(x) + 4, round(y) + 4)
        ImageDraw.Draw(image).rectangle(box, outline=_COLOURS[arm], width=2)
