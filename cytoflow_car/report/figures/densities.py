"""Density of antigens: histograms of blasts over their control and normal B cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.antigen import Histogram
from cytoflow_car.report.antigens import shown_heights
from cytoflow_car.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    SMALL,
    TWO_COLUMNS,
    in_print,
    log_scale,
    new_figure,
    write_below,
)

_COLUMNS = (
    "sample_id", "antigen", "population", "control", "marker", "scale", "bin_low", "bin_high",
    "count",
)  # fmt: skip
#: By kind of background, its words and its look.
_BACKGROUNDS: dict[str, tuple[str, dict[str, Any]]] = {
    "fmo": (
        "control without the antibody (FMO)",
        {"color": BLUE, "linewidth": 1.2, "linestyle": (0, (1, 1))},
    ),
    "isotype": (
        "isotype control", {"color": PURPLE, "linewidth": 1.2, "linestyle": (0, (4, 1, 1, 1))},
    ),
    "internal": (
        "negative cells of the same tube",
        {"color": GREEN, "linewidth": 1.2, "linestyle": (0, (2, 1, 1, 1, 1, 1))},
    ),
}  # fmt: skip
_NORMAL: dict[str, Any] = {"color": ORANGE, "linewidth": 1.4, "linestyle": (0, (5, 2))}
_MARGIN_BINS = 4
#: Lower edge of the first bin, which holds what lies below it too.
_LOWEST = 10.0


@in_print
def draw_densities(
    histograms: pd.DataFrame,
    specimens: Mapping[str, str],
    *,
    population: str = "blasts",
    reference: str = "normal B",
) -> Figure:
    """Draw histograms of a population over its background and normal cells of the same tube.

    A column an antigen, a row a specimen; panels of a column share their axis of molecules a cell.
    Each histogram is smoothed over five bins and drawn to its own highest; grey is the population,
    a dotted line the FMO or isotype control, and where there is none the negative population of
    the same tube; a dashed line the reference.

    Parameters
    ----------
    histograms
        As in ``histograms.parquet``.
    specimens
        Names to be written, by sample_id, the first at the top: ``{"P03_BM_d000_B": "baseline"}``.
    population, reference
        As in the column ``population``.

    Raises
    ------
    OutcomeError
        A column is missing; a specimen has no histogram of the population; the axis is not one of
        molecules, or not the same for all.
    """
    missing = [name for name in _COLUMNS if name not in histograms]
    if missing:
        raise OutcomeError(f"no column {missing[0]!r}", expected=", ".join(_COLUMNS))
    of_blasts = histograms[histograms["population"] == population]
    antigens = [
        name for name in histograms["antigen"].unique() if (of_blasts["antigen"] == name).any()
    ]
    shown = histograms[
        histograms["sample_id"].isin(list(specimens)) & histograms["antigen"].isin(antigens)
    ]
    for sample_id in specimens:
        if not ((of_blasts["sample_id"] == sample_id).any()):
            raise OutcomeError(f"no histogram of {population!r}", where=sample_id)
    units = sorted(shown["scale"].unique())
    if len(units) > 1 or "a.u." in units:
        raise OutcomeError(
            f"densities in {', '.join(units)}",
            expected="molecules a cell, of one kind",
            advice="Calibrate with beads",
        )
    figure = new_figure(TWO_COLUMNS, 0.9 + 1.1 * len(specimens))
    panels = figure.subplots(len(specimens), len(antigens), sharex="col", squeeze=False)
    backgrounds: set[tuple[str, str]] = set()
    for column, antigen in enumerate(antigens):
        rows = shown[shown["antigen"] == antigen]
        edges = _edges(rows)
        for axes, (sample_id, name) in zip(panels[:, column], specimens.items(), strict=True):
            of_panel = rows[rows["sample_id"] == sample_id]
            backgrounds |= _draw_panel(axes, of_panel, edges, population, reference)
            if column == 0:
                axes.set_ylabel(name)
        marker = rows["marker"].iloc[0]
        label = "antibodies bound per cell (ABC)" if units == ["ABC"] else f"{units[0]} per cell"
        panels[0, column].set_title(str(marker))
        panels[-1, column].set_xlabel(f"{marker}, {label}")
    keys = [
        Patch(facecolor=PALE, edgecolor=BLACK, linewidth=0.8, label=population),
        *(
            Line2D([], [], **_BACKGROUNDS[kind][1], label=_BACKGROUNDS[kind][0] + name)
            for kind, name in sorted(backgrounds)
        ),
    ]
    if (shown["population"] == reference).any():
        keys.append(Line2D([], [], **_NORMAL, label=f"{reference} of the same tube"))
    notes = ["Each curve is smoothed, and drawn to its own highest."]
    notes += ["Below 10 all cells lie in one bin."] if shown["bin_low"].min() <= _LOWEST else []
    write_below(figure, keys, 3 if len(keys) < 4 else 2, notes)
    return figure


def _edges(rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the edges of all bins of a column: empty ones are not among the rows."""
    low, high = float(rows["bin_low"].min()), float(rows["bin_high"].max())
    step = float(np.median(np.log(rows["bin_high"] / rows["bin_low"])))
    n_bins = round(math.log(high / low) / step)
    before = _MARGIN_BINS * step
    return np.exp(math.log(low) - before + step * np.arange(n_bins + 2 * _MARGIN_BINS + 1))


def _draw_panel(
    axes: Axes,
    rows: pd.DataFrame,
    edges: np.ndarray[Any, np.dtype[np.float64]],
    population: str,
    reference: str,
) -> set[tuple[str, str]]:
    """Draw one antigen of one specimen, and return kind and name of each background."""
    middles = np.sqrt(edges[1:] * edges[:-1])
    of_control = rows["control"].fillna("") != ""
    own, of_tube = rows["population"] == population, rows["population"] == reference
    drawn = {
        "population": rows[~of_control & own], "reference": rows[~of_control & of_tube],
    }  # fmt: skip
    # A control is preferred to the negative cells of the tube.
    background = rows[of_control] if of_control.any() else rows[~own & ~of_tube]
    told = set()
    for name, chosen in background.groupby("population", sort=True):
        kind = str(name) if of_control.any() else "internal"
        drawn[kind] = chosen
        told.add((kind, f" ({name})" if kind == "internal" else ""))
    for kind, chosen in drawn.items():
        if chosen.empty:
            continue
        places = np.rint(np.interp(np.log(chosen["bin_low"]), np.log(edges), np.arange(edges.size)))
        counts = np.bincount(places.astype(int), weights=chosen["count"], minlength=edges.size - 1)
        unit = str(chosen["scale"].iloc[0])
        heights = shown_heights(
            Histogram(kind, "", unit, tuple(edges.tolist()), tuple(counts.astype(int).tolist()))
        )
        name = f"_{kind}"
        if kind == "population":
            axes.fill_between(middles, heights, color=PALE, linewidth=0)
            axes.plot(middles, heights, color=BLACK, linewidth=0.8, label=name)
        else:
            look = _NORMAL if kind == "reference" else _BACKGROUNDS[kind][1]
            axes.plot(middles, heights, label=name, **look)
    log_scale(axes, "x")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.1), yticks=[])
    axes.spines["left"].set_visible(False)
    counted = rows[~of_control & (rows["population"] == population)]["count"].sum()
    axes.annotate(
        f"n = {counted:,}", (0, 1), (2, -2), "axes fraction", "offset points", va="top",
        fontsize=SMALL,
    )  # fmt: skip
    return told
