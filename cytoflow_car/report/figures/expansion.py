"""Expansion of CAR T cells after each infusion, patient by patient."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from cytoflow_car.report.figures.series import (
    DrawnSeries,
    check_results,
    draw_lines,
    notes_of,
    the_only,
)
from cytoflow_car.report.figures.style import (
    LOOKS,
    TWO_COLUMNS,
    in_print,
    log_scale,
    looks_of,
    new_figure,
    panels_in_a_row,
    round_times,
    write_below,
)


@in_print
def draw_expansion(adcp: pd.DataFrame) -> Figure:
    """Draw CAR T cells against the day since the infusion, one line a patient.

    Each infusion and target has a panel; panels share their axes, of which the vertical one is
    logarithmic. Only quantified results are joined. A result below the LOQ is an open marker at
    LOQ/2; one that was not done, or says nothing, leaves a gap. Patients differ in line and marker
    as well as in colour, up to 28 of them; more are drawn alike. Of several results of a patient on
    a day one is drawn, and a note says so.

    Parameters
    ----------
    adcp
        Results of one parameter in one kind of specimen: columns USUBJID, SPEC, INFSEQ, CAR_TARGET,
        DAY (from that infusion), PARAMCD, PARAM, AVAL, AVALU, LOQ and STATUS; NET, if it is there,
        is AVAL without background, and is drawn of quantified results where it is above 0.

    Raises
    ------
    OutcomeError
        A column is missing; several parameters, specimens or units; no results.
    """
    check_results(adcp, ("INFSEQ", "CAR_TARGET"))
    the_only(adcp, "SPEC")
    the_only(adcp, "PARAMCD")
    quantity, unit = the_only(adcp, "PARAM"), the_only(adcp, "AVALU")
    panels = list(adcp.groupby(["INFSEQ", "CAR_TARGET"], sort=True))
    patients = sorted(adcp["USUBJID"].astype(str).unique())
    looks = looks_of(patients)
    figure = new_figure(TWO_COLUMNS, 3.1)
    drawn: list[DrawnSeries] = []
    all_axes = panels_in_a_row(figure, len(panels))
    for axes, ((infusion, target), rows) in zip(all_axes, panels, strict=True):
        drawn += draw_lines(axes, rows, looks)
        log_scale(axes, "y")
        n = rows["USUBJID"].nunique()
        # A column with gaps holds 1.0 for 1.
        number = f"{float(str(infusion)):g}"
        axes.set_title(f"Infusion {number}, {target} CAR (n = {n})")
        axes.set_xlabel(f"Days since infusion {number}")
    all_axes[0].set_xticks(round_times(adcp["DAY"].min(), adcp["DAY"].max(), "days"))
    all_axes[0].set_ylabel(f"{quantity} ({unit})")
    handles = {
        line.get_label(): line
        for axes in all_axes
        for line in axes.get_lines()
        if len(patients) <= len(LOOKS) and line.get_label() in looks
    }
    keys = [handles[name] for name in patients if name in handles]
    columns = max(1, int(TWO_COLUMNS * 72 / (46 + 4.5 * max(map(len, patients)))))
    figure.set_figheight(3.1 + 0.15 * math.ceil(len(keys) / columns))
    notes = ["One line a patient. Open markers: below the LOQ, drawn at LOQ/2."]
    write_below(figure, keys, columns, [*notes, *notes_of(drawn)])
    return figure
