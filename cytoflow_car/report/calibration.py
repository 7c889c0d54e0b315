"""The picture of calibration beads: a histogram with its peaks, and the line through them."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw

from cytoflow_car.calibration.peaks import FoundPeaks, bead_scale
from cytoflow_car.model.calibration import Calibration
from cytoflow_car.model.events import Values
from cytoflow_car.report.pictures import REVIEW
from cytoflow_car.report.plot import CONTROL, INK, QUIET, draw_dot
from cytoflow_car.report.text import font, printable, shorten

_WIDE, _SIDE, _LEFT, _TOP, _BOTTOM = 600, 330, 72, 84, 62
_WIDTH, _HEIGHT = _LEFT + _WIDE + _LEFT + _SIDE + 30, _TOP + _SIDE + _BOTTOM
_LINE, _BETWEEN = (120, 120, 120), (215, 215, 215)
# Neighbours are told apart by two colours and by their numbers.
_COLOURS = (CONTROL, REVIEW)
_N_BINS = 300


def draw_beads(
    detector: str, values: Values, found: FoundPeaks, calibration: Calibration | None
) -> bytes:
    """Draw the single beads, coloured by peak, and level against MFI with the line.

    Parameters
    ----------
    detector
        Calibrated channel.
    values
        (n_singlets,) its values.
    found
        Their peaks.
    calibration
        None where peaks and levels do not match; then there is no line.

    Returns
    -------
    A PNG; the same bytes for the same input.
    """
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    kit = "no calibration" if calibration is None else _kit_name(calibration)
    title = shorten(printable(f"Beads on {detector}: {kit}"), 20, _WIDTH - 28)
    draw.text((14, 24), title, INK, font(20), "lm")
    _draw_histogram(draw, values, found)
    left = _LEFT + _WIDE + _LEFT
    if calibration is None:
        draw.text((left, _TOP - 20), "peaks and levels do not match", REVIEW, font(15), "lm")
        draw.rectangle((left, _TOP, left + _SIDE, _TOP + _SIDE), outline=_LINE)
    else:
        _draw_line(image, left, calibration)
    file = io.BytesIO()
    image.save(file, "png", compress_level=4)
    return file.getvalue()


def _kit_name(calibration: Calibration) -> str:
    return f"{calibration.kit.name}, lot {calibration.kit.lot}"


def peak_counts(values: Values, found: FoundPeaks) -> tuple[Values, Values]:
    """Count the beads of each bin, by peak.

    Returns
    -------
    counts, edges
        (n_peaks + 1, n_bins) counts, those between peaks first, and the edges on `bead_scale`.
    """
    if not values.size:
        return np.zeros((1, _N_BINS)), np.linspace(0.0, 1.0, _N_BINS + 1)
    scaled = bead_scale(values)
    low, high = float(scaled.min()), float(scaled.max())
    edges = np.linspace(low - 0.05, high + 0.05, _N_BINS + 1)
    counts = [
        np.histogram(scaled[found.labels == number], edges)[0].astype(np.float64)
        for number in range(-1, len(found.peaks))
    ]
    return np.asarray(counts), edges


def _draw_histogram(draw: ImageDraw.ImageDraw, values: Values, found: FoundPeaks) -> None:
    counts, edges = peak_counts(values, found)
    bottom = _TOP + _SIDE
    total = counts.sum(axis=0)
    # Square roots: wide dim peaks are seen beside narrow bright ones.
    most = math.sqrt(max(float(total.max()), 1.0))
    step = _WIDE / _N_BINS
    for place in range(_N_BINS):
        below = 0.0
        for number, count in enumerate(counts[:, place], start=-1):
            if count:
                colour = _BETWEEN if number < 0 else _COLOURS[number % 2]
                ends = [bottom - 0.86 * _SIDE * math.sqrt(n) / most for n in (below, below + count)]
                x = _LEFT + place * step
                draw.rectangle((x, ends[1], x + step - 1, ends[0]), fill=colour)
                below += float(count)
    for number in range(len(found.peaks)):
        own = counts[number + 1]
        middle = float((own * np.arange(_N_BINS)).sum() / max(own.sum(), 1.0))
        height = 0.86 * _SIDE * math.sqrt(float(own.max())) / most
        x = _LEFT + (middle + 0.5) * step
        draw.text((x, bottom - height - 10), str(number + 1), INK, font(13), "mm")
    draw.text((_LEFT, _TOP - 20), "single beads, by peak; grey: of none", INK, font(15), "lm")
    draw.rectangle((_LEFT, _TOP, _LEFT + _WIDE, bottom), outline=_LINE)
    _mark_values(draw, values, edges)


def _mark_values(draw: ImageDraw.ImageDraw, values: Values, edges: Values) -> None:
    """Mark powers of ten and 0; where they stand comes from the beads themselves."""
    bottom = _TOP + _SIDE
    highest = float(np.abs(values).max(initial=1.0))
    powers = [10.0**power for power in range(math.floor(math.log10(highest)) + 1)]
    ordered = np.sort(values)
    scaled = bead_scale(ordered) if ordered.size else ordered
    last = math.inf
    for value in [*powers[::-1], 0.0]:
        if not ordered.size or not ordered[0] <= value <= ordered[-1]:
            continue
        at = float(np.interp(value, ordered, scaled))
        x = _LEFT + (at - edges[0]) / (edges[-1] - edges[0]) * _WIDE
        if last - x < 44:
            continue
        draw.line([(x, bottom), (x, bottom + 5)], _LINE)
        draw.text((x, bottom + 14), f"{value:,.0f}", QUIET, font(12), "mm")
        last = x
    draw.text((_LEFT + _WIDE / 2, bottom + 36), "fluorescence", QUIET, font(12), "mm")


def _draw_line(image: Image.Image, left: int, calibration: Calibration) -> None:
    draw = ImageDraw.Draw(image)
    points = [
        (math.log10(item.peak.mfi), math.log10(item.levels[0]), item.fitted)
        for item in calibration.peaks
        if item.peak.mfi > 0 and len(item.levels) == 1 and item.levels[0] > 0
    ]
    ends = [
        (min(point[axis] for point in points) - 0.2, max(point[axis] for point in points) + 0.2)
        for axis in (0, 1)
    ]
    bottom = _TOP + _SIDE

    def at(x: float, y: float) -> tuple[float, float]:
        shares = [
            (value - low) / (high - low) for value, (low, high) in zip((x, y), ends, strict=True)
        ]
        return left + shares[0] * _SIDE, bottom - shares[1] * _SIDE

    draw.rectangle((left, _TOP, left + _SIDE, bottom), outline=_LINE)
    for power in range(-2, 9):
        label = f"{10.0**power:,g}" if power < 0 else f"{10**power:,}"
        if ends[0][0] <= power <= ends[0][1]:
            x, _ = at(power, ends[1][0])
            draw.line([(x, bottom), (x, bottom + 5)], _LINE)
            draw.text((x, bottom + 14), label, QUIET, font(12), "mm")
        if ends[1][0] <= power <= ends[1][1]:
            _, y = at(ends[0][0], power)
            draw.line([(left - 5, y), (left, y)], _LINE)
            draw.text((left - 8, y), label, QUIET, font(12), "rm")
    line = calibration.line
    # The line within the frame.
    xs = np.linspace(*ends[0], 200)
    ys = line.slope * xs + line.intercept
    inside = (ys >= ends[1][0]) & (ys <= ends[1][1])
    draw.line([at(x, y) for x, y in zip(xs[inside], ys[inside], strict=True)], INK, 1)
    for x, y, fitted in points:
        place = at(x, y)
        if fitted:
            draw_dot(image, *place, CONTROL)
        else:
            box = (place[0] - 4, place[1] - 4, place[0] + 4, place[1] + 4)
            draw.rectangle(box, outline=REVIEW, width=2)
    told = f"slope {line.slope:.4f}, r2 {line.r2:.5f}; squares: not fitted"
    draw.text((left, _TOP - 20), told, INK, font(14), "lm")
    unit = calibration.kit.unit
    draw.text((left + 8, _TOP + 12), f"{unit} of the level", QUIET, font(12), "lm")
    draw.text((left + _SIDE / 2, bottom + 36), "geometric mean", QUIET, font(12), "mm")
