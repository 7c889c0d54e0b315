"""How publication figures look: sizes in print, and styles that stay apart in grey and to all eyes.

References
----------
Okabe & Ito, Color Universal Design (2008): colours that colour-blind readers tell apart.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, NamedTuple

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.typing import LineStyleType

#: Widths in inches of one and of two columns of a journal: 89 and 183 mm.
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2
#: Points in print; nothing is smaller than `SMALL`.
SMALL, NORMAL = 7, 8

#: Okabe and Ito's, but for yellow, which is too light for lines on white.
BLACK, BLUE, RED, GREEN, ORANGE, SKY, PURPLE = (
    "#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7",
)  # fmt: skip
GREY, PALE = "#6E6E6E", "#C8C8C8"

DAYS_A_MONTH = 30.4375

#: What a figure is drawn and saved with, whatever the reader's own settings are.
PRINT = {
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.titlesize": NORMAL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "axes.unicode_minus": True,
    # What stands between two $ in the name of a patient is no formula.
    "text.parse_math": False,
    # Text stays text, and names of parts are the same every time.
    "svg.fonttype": "none",
    "svg.hashsalt": "cytoflow-car",
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}
in_print = style.context(["default", PRINT])


class Look(NamedTuple):
    """Colour, line and marker of one patient or group; the width is in points."""

    colour: str
    line: LineStyleType
    marker: str
    width: float = 1.0


_PATIENT_COLOURS = (BLUE, RED, BLACK, GREEN, ORANGE, PURPLE, SKY)
_PATIENT_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES: tuple[LineStyleType, ...] = (
    "solid", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)),
)  # fmt: skip
#: Looks that differ in line and marker alone, and so in grey.
LOOKS = tuple(
    Look(colour, line, marker)
    for line, (colour, marker) in product(
        _LINES, zip(_PATIENT_COLOURS, _PATIENT_MARKERS, strict=True)
    )
)


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Give every name its look; where there are too many, all have the same."""
    known = list(names)
    if len(known) > len(LOOKS):
        return dict.fromkeys(known, Look(GREY, "solid", "o"))
    return dict(zip(known, LOOKS, strict=False))


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, as it is printed; pyplot knows nothing of it."""
    return Figure(figsize=(width, height), layout="constrained")


def panels_in_a_row(figure: Figure, n: int) -> Sequence[Axes]:
    """Return panels that share their axes."""
    drawn = figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)
    return list(drawn[0])


def plain_number(value: float) -> str:
    """Return a number as people write it: ``0.01``, ``1,000``."""
    return f"{value:,.10g}"


def p_value_text(value: float) -> str:
    """Return a P value as journals print it."""
    if value < 0.001:
        return "P < 0.001"
    # What lies beside 0.05 is not rounded onto it.
    digits = next(n for n in range(2, 18) if value == 0.05 or float(f"{value:.{n}g}") != 0.05)
    return f"P = {value:.{digits}g}"


def log_scale(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers; after drawing, since its reach decides."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    axis.set_minor_formatter(NullFormatter())


_WEEKS = (1.0, 7.0, 14.0, 28.0, 56.0, 84.0, 182.0, 364.0, 728.0, 1456.0)
_ROUND = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 60.0, 120.0)


def round_times(first: float, last: float, unit: str, *, most: int = 8) -> list[float]:
    """Return multiples of a round step between two times; of days, whole weeks."""
    sizes = _WEEKS if unit == "days" else _ROUND
    step = next((size for size in sizes if (last - first) / size < most), sizes[-1])
    while (last - first) / step >= most:
        step *= 2
    start, stop = math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9)
    return [number * step for number in range(start, stop + 1)]


def write_below(
    figure: Figure, keys: Sequence[Artist], columns: int, notes: Iterable[str] = ()
) -> None:
    """Write the legend beneath the panels, and beneath it what a reader must know."""
    width, height = figure.get_size_inches()
    lines = [line for note in notes for line in textwrap.wrap(note, int(width * 17))]
    points = 72 * height
    below_legend = (len(lines) * 1.35 * SMALL + 6) / points
    rows = math.ceil(len(keys) / columns)
    below_panels = below_legend + (rows * 1.6 + 0.8) * SMALL * bool(rows) / points
    figure.set_layout_engine("constrained", rect=(0.0, below_panels, 1.0, 1.0 - below_panels))
    figure.text(
        0.01,
        3 / points,
        "\n".join(lines),
        va="bottom",
        fontsize=SMALL,
        color=GREY,
        linespacing=1.25,
    )
    if keys:
        # Not one of the places "outside": those do not leave room for what is said beneath.
        figure.legend(
            handles=keys,
            loc="lower center",
            bbox_to_anchor=(0.5, below_legend),
            borderaxespad=0.0,
            ncols=columns,
        )
