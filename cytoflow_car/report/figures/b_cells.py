"""Normal B cells of the marrow over time, with relapses."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytoflow_car.report.figures.series import (
    DrawnSeries,
    below_key,
    check_results,
    draw_lines,
    notes_of,
    the_only,
)
from cytoflow_car.report.figures.style import (
    DAYS_A_MONTH,
    GREY,
    ONE_COLUMN,
    RED,
    SMALL,
    TWO_COLUMNS,
    Look,
    in_print,
    log_scale,
    new_figure,
    panels_in_a_row,
    plain_number,
    round_times,
    write_below,
)

_REMISSION, _RELAPSED = Look(GREY, "solid", "o", 0.7), Look(RED, "solid", "s", 1.5)
_THRESHOLD: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 2))}
_RELAPSE: dict[str, Any] = {
    "linestyle": "none", "color": RED, "marker": "D", "markersize": 6.5,
    "markeredgecolor": "black", "markeredgewidth": 0.8, "zorder": 4,
}  # fmt: skip


@in_print
def draw_b_cells(
    adcp: pd.DataFrame,
    relapses: Mapping[str, float],
    *,
    threshold: float = 2.0,
    threshold_is_aplasia: bool = True,
    definition: str = "aplasia",
    origin: str = "infusion 1",
) -> Figure:
    """Draw B cells against the month, one line a patient, those of relapsed patients red.

    Each parameter has a panel, such as CD19+ and CD22+ cells. The line of a relapsed patient ends
    at the relapse, with a diamond on the result of that day, white where it lies below the LOQ;
    later results are not drawn. Where no result is of that day, the diamond lies on the axis, also
    of a patient without any result. Results below the LOQ are open markers at LOQ/2, and not
    joined.

    Parameters
    ----------
    adcp
        As for `draw_expansion`, but several parameters, and no INFSEQ and CAR_TARGET are needed;
        DAY counts from one origin for all.
    relapses
        Day of the relapse of every patient who had one, from the same origin.
    threshold
        In the unit of the results.
    threshold_is_aplasia
        The threshold itself still is aplasia, too.
    definition
        What lies up to the threshold, or below it, as the legend names it.
    origin
        What DAY counts from, in words.

    Raises
    ------
    OutcomeError
        A column is missing; several specimens or units; no results.
    """
    check_results(adcp)
    adcp = adcp.reset_index(drop=True)
    specimen, unit = the_only(adcp, "SPEC"), the_only(adcp, "AVALU")
    ends = adcp["USUBJID"].astype(str).map(dict(relapses)).astype(float)
    is_shown = ~(adcp["DAY"] > ends)
    looks = {
        str(name): _RELAPSED if str(name) in relapses else _REMISSION
        for name in adcp["USUBJID"].unique()
    }
    panels = list(adcp.groupby("PARAMCD", sort=True))
    figure = new_figure(ONE_COLUMN if len(panels) == 1 else TWO_COLUMNS, 3.2)
    all_axes = panels_in_a_row(figure, len(panels))
    drawn: list[DrawnSeries] = []
    on_axis = False
    for axes, (_, rows) in zip(all_axes, panels, strict=True):
        of_panel = draw_lines(axes, rows[is_shown[rows.index]], looks, DAYS_A_MONTH)
        axes.axhline(threshold, **_THRESHOLD)
        found = {series.patient: series for series in of_panel}
        for patient, day in relapses.items():
            on_axis |= not _mark_relapse(axes, patient, day, found.get(patient))
        log_scale(axes, "y")
        axes.set_title(textwrap.fill(the_only(rows, "PARAM"), 44))
        axes.set_xlabel(f"Months since {origin}")
        drawn += of_panel
    days = [*adcp.loc[is_shown, "DAY"], *relapses.values()]
    first, last = min([0.0, *days]) / DAYS_A_MONTH, max([0.0, *days]) / DAYS_A_MONTH
    all_axes[0].set_xticks(round_times(first, last, "months"))
    all_axes[0].set_ylabel(f"B cells in {specimen} ({unit})")
    keys = [
        Line2D([], [], color=look.colour, marker=look.marker, linewidth=look.width, label=label)
        for look, label in ((_REMISSION, "no relapse"), (_RELAPSED, "relapsed"))
    ]
    keys += [Line2D([], [], **_RELAPSE, label="relapse"), below_key()]
    until = "up to" if threshold_is_aplasia else "below"
    told = f"{definition}, {until} {plain_number(threshold)} {unit}"
    keys.append(Line2D([], [], **_THRESHOLD, label=told))
    notes = ["Diamond on the axis: no result of that day."] if on_axis else []
    without = sorted(set(relapses) - {series.patient for series in drawn})
    if without:
        notes.append(f"Relapsed without a result before: {', '.join(without)}.")
    write_below(figure, keys, 3 if len(panels) > 1 else 2, [*notes, *notes_of(drawn)])
    return figure


def _mark_relapse(axes: Axes, patient: str, day: float, series: DrawnSeries | None) -> bool:
    """Put a diamond on the result of the day of the relapse, or on the axis; tell which."""
    month, look = day / DAYS_A_MONTH, dict(_RELAPSE)
    place, level, is_found = axes.get_xaxis_transform(), 0.0, False
    for results, is_below in ((series.joined, False), (series.below, True)) if series else ():
        of_that_day = results[np.isclose(results[:, 0], day)]
        if of_that_day.size:
            place, level, is_found = axes.transData, float(of_that_day[0, 1]), True
            if is_below:
                look |= {"markerfacecolor": "white", "markeredgecolor": RED, "markeredgewidth": 1.2}
    axes.plot([month], [level], transform=place, clip_on=False, label=f"_{patient} relapse", **look)
    axes.annotate(patient, (month, level), (4, 4), place, "offset points", fontsize=SMALL)
    return is_found
