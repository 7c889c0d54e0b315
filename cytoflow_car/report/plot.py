"""The plot of one gate: density or histogram, the gate's outline, and what it holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cytoflow_car.gating.panels import GatePanel
from cytoflow_car.model.events import Values
from cytoflow_car.report.text import font, printable, shorten

#: Width and height of a plot in pixels: two for each of the 128 bins of a panel.
SIZE = 256
#: Share of the height that a histogram's highest bin takes; above it stand bar and label.
HISTOGRAM_TOP = 0.80

INK = (25, 25, 25)
QUIET = (95, 95, 95)
GATE = (205, 0, 95)
CONTROL = (0, 95, 200)
#: Dots are drawn so many times as large and brought down, which smooths their edges.
_FINE = 4
_OUTSIDE_GATE = (205, 205, 205)
_INSIDE_GATE = (150, 150, 150)
_WHITE = (255, 255, 255)

# Anchors of equal steps in lightness (OKLab), from few events to many. Few are dark, so that a
# single event is seen on white.
_RAMP = np.asarray(
    [
        (50, 15, 113),
        (30, 54, 143),
        (1, 90, 141),
        (0, 118, 145),
        (1, 146, 150),
        (14, 175, 145),
        (90, 200, 124),
        (169, 216, 104),
        (237, 227, 97),
    ],
    dtype=np.float64,
)
#: (256, 3) colours from one event to the fullest bin.
COLOURS = np.column_stack(
    [np.interp(np.linspace(0, 8, 256), np.arange(9), channel) for channel in _RAMP.T]
).astype(np.uint8)


def draw_dot(image: Image.Image, x: float, y: float, colour: tuple[int, int, int]) -> None:
    """Draw a dot with smooth edges; where dots lie upon each other it is darker."""
    size = 10
    corner = (math.floor(x - size / 2), math.floor(y - size / 2))
    center_x, center_y = (x - corner[0]) * _FINE, (y - corner[1]) * _FINE
    mask = Image.new("L", ((size + 1) * _FINE, (size + 1) * _FINE))
    radius = 3.6 * _FINE
    box = (center_x - radius, center_y - radius, center_x + radius, center_y + radius)
    ImageDraw.Draw(mask).ellipse(box, 190)
    image.paste(colour, corner, mask.reduce(_FINE))


def draw_plot(panel: GatePanel) -> Image.Image:
    """Draw events, control and gate of one panel; `SIZE` × `SIZE` pixels, without axes.

    Parameters
    ----------
    panel
        As `widen_bins` returned it.
    """
    flat = len(panel.axes) == 1
    image = _histogram(panel) if flat else _density(panel.counts)
    if not panel.counts.any():
        ImageDraw.Draw(image).text((SIZE / 2, SIZE / 2), "no events", QUIET, font(14), anchor="mm")
    _outline(image, panel)
    if flat:
        _label_bar(image, panel)
        if panel.control is not None:
            _name_control(image, panel)
    elif panel.corners:
        _label_quadrants(image, panel)
    else:
        _label_corner(image, panel)
    return image


def widen_bins(panel: GatePanel) -> GatePanel:
    """Join neighbouring bins where events are few, so that single events do not look like peaks."""
    n_events = int(panel.counts.sum())
    joined = next(n for n, most in ((4, 500), (2, 3000), (1, math.inf)) if n_events <= most)
    if len(panel.axes) == 2:
        joined = min(joined, 2)
    counts, control = panel.counts, panel.control
    for axis in range(counts.ndim):
        counts = np.add.reduceat(counts, np.arange(0, counts.shape[axis], joined), axis=axis)
    if control is not None:
        control = np.add.reduceat(control, np.arange(0, control.size, joined))
    return replace(panel, counts=counts, control=control)


def _density(counts: npt.NDArray[np.int64]) -> Image.Image:
    level = np.log(np.maximum(counts, 1)) / np.log(max(int(counts.max(initial=0)), 2))
    pixels = COLOURS[(level * 255).astype(np.intp)]
    pixels[counts == 0] = _WHITE
    # Rows of an image run down, the second axis of a panel runs up.
    upright = np.ascontiguousarray(pixels.transpose(1, 0, 2)[::-1])
    return Image.fromarray(upright).resize((SIZE, SIZE), Image.Resampling.NEAREST)


def histogram_heights(panel: GatePanel) -> tuple[Values, Values | None, float]:
    """Return heights (0 to 1) of the events and of the control, and the count of height 1.

    Heights go with the square root of the counts: a few positive events beside many negative ones
    are still seen.
    """
    control = panel.control if panel.control is not None else np.zeros(1)
    most = max(float(panel.counts.max(initial=0)), float(control.max(initial=0)), 1.0)
    heights = np.sqrt(panel.counts / most)
    return heights, None if panel.control is None else np.sqrt(panel.control / most), most


def _histogram(panel: GatePanel) -> Image.Image:
    heights, control, _ = histogram_heights(panel)
    tops = SIZE - np.rint(heights * HISTOGRAM_TOP * SIZE)
    # One column of pixels at a time: the bin that it shows, and whether the gate keeps it.
    columns = np.arange(SIZE) * heights.size // SIZE
    filled = np.arange(SIZE)[:, None] >= tops[columns][None, :]
    axis = panel.axes[0]
    at = axis.low + (np.arange(SIZE) + 0.5) / SIZE * (axis.high - axis.low)
    low, high = panel.kept or (np.inf, np.inf)
    pixels = np.full((SIZE, SIZE, 3), 255, dtype=np.uint8)
    pixels[filled] = _OUTSIDE_GATE
    pixels[filled & ((at >= low) & (at < high))[None, :]] = _INSIDE_GATE
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    _steps(draw, heights, QUIET, 1)
    if control is not None:
        _steps(draw, control, CONTROL, 2)
    return image


def _steps(
    draw: ImageDraw.ImageDraw, heights: Values, colour: tuple[int, int, int], width: int
) -> None:
    edges = np.repeat(np.linspace(0, SIZE, heights.size + 1), 2)[1:-1]
    tops = np.repeat(SIZE - heights * HISTOGRAM_TOP * SIZE, 2)
    draw.line(np.column_stack([edges, tops]).ravel().tolist(), colour, width)


def _outline(image: Image.Image, panel: GatePanel) -> None:
    """Draw the gate in its colour on a white seam, smooth-edged, within the plot."""
    lines = [_pixels(points, panel) for points in panel.outlines]
    for width, colour in ((4.5, _WHITE), (2.0, GATE)):
        mask = Image.new("L", (2 * SIZE, 2 * SIZE))
        draw = ImageDraw.Draw(mask)
        for line in lines:
            draw.line((2 * line).ravel().tolist(), 255, round(2 * width), joint="curve")
        image.paste(colour, mask=mask.reduce(2))


def _pixels(points: Values, panel: GatePanel) -> Values:
    """Bring an outline from scale units to pixels; a cut of one axis becomes an upright line."""
    shares = np.column_stack(
        [
            (points[:, index] - axis.low) / (axis.high - axis.low)
            for index, axis in enumerate(panel.axes)
        ]
    )
    if len(panel.axes) == 1:
        x = float(shares[0, 0]) * SIZE
        return np.asarray([[x, 0.0], [x, SIZE]])
    return np.column_stack([shares[:, 0] * SIZE, (1.0 - shares[:, 1]) * SIZE])


def _label_bar(image: Image.Image, panel: GatePanel) -> None:
    """Mark the kept stretch by a bar with its label above, as cytometry programs do."""
    text = shorten("  ".join(panel.labels), 13, SIZE - 8)
    axis = panel.axes[0]
    low, high = panel.kept or (axis.low, axis.high)
    left, right = (
        min(max((end - axis.low) / (axis.high - axis.low) * SIZE, 0), SIZE - 1)
        for end in (low, high)
    )
    if panel.kept is not None:
        draw = ImageDraw.Draw(image)
        draw.line([(left, 30), (right, 30)], GATE, 2)
        for x in (left, right):
            draw.line([(x, 26), (x, 34)], GATE, 2)
    half = font(13).getlength(text) / 2
    center = min(max((left + right) / 2, half + 4), SIZE - half - 4)
    _text(image, (center, 15), text, 13, "mm")


def _name_control(image: Image.Image, panel: GatePanel) -> None:
    name = shorten(f"control: {panel.control_name}", 11, SIZE - 40)
    half = panel.counts.size // 2
    left_is_fuller = panel.counts[:half].sum() > panel.counts[half:].sum()
    x = SIZE - 28 - font(11).getlength(name) if left_is_fuller else 6
    _text(image, (x + 21, 46), name, 11, "lm", CONTROL)
    ImageDraw.Draw(image).line([(x, 46), (x + 16, 46)], CONTROL, 2)


def _label_quadrants(image: Image.Image, panel: GatePanel) -> None:
    for label, corner in zip(panel.labels, panel.corners, strict=True):
        right, top = corner[0] == "+", corner[1] == "+"
        x, y = (SIZE - 6 if right else 6), (12 if top else SIZE - 12)
        name, _, percent = label.removesuffix(" %").rpartition(" ")
        room = SIZE / 2 - 12 - font(12).getlength(f" {percent} %")
        text = f"{shorten(name, 12, room)} {percent} %"
        _text(image, (x, y), text, 12, "rm" if right else "lm")


def _label_corner(image: Image.Image, panel: GatePanel) -> None:
    """Write the labels into the emptiest corner."""
    half = panel.counts.shape[0] // 2
    filled = panel.counts > 0
    quarter = filled.shape[0] // 6
    strips = {
        (False, True): filled[:half, -quarter:],
        (True, True): filled[half:, -quarter:],
        (False, False): filled[:half, :quarter],
        (True, False): filled[half:, :quarter],
    }
    right, top = min(strips, key=lambda corner: int(strips[corner].sum()))
    for row, label in enumerate(panel.labels if top else panel.labels[::-1]):
        offset = 14 + 17 * row
        place = (SIZE - 7 if right else 7, offset if top else SIZE - offset)
        _text(image, place, shorten(label, 13, SIZE - 14), 13, "rm" if right else "lm")


def _text(
    image: Image.Image,
    place: tuple[float, float],
    text: str,
    size: int,
    anchor: str,
    colour: tuple[int, int, int] = INK,
) -> None:
    """Write on events: a pale ground keeps the letters apart from what lies under them."""
    draw = ImageDraw.Draw(image)
    text = printable(text)
    left, top, right, bottom = draw.textbbox(place, text, font(size), anchor)
    ground = Image.new("L", (math.ceil(right - left) + 6, math.ceil(bottom - top) + 6), 215)
    image.paste(_WHITE, (math.floor(left) - 3, math.floor(top) - 3), ground)
    draw.text(place, text, colour, font(size), anchor)
