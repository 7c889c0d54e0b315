"""Expansion of CAR T cells after each infusion, patient by patient."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from cytoflow_car.report.figures.series import (
    check_results,
    draw_lines,
    hidden_note,
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
    as well as in colour, up to 28 of them; more are drawn alike.

    Parameters
    ----------
    adcp
        Results of one parameter in one kind of specimen: columns USUBJID, SPEC, INFSEQ, CAR_TARGET,
        DAY (from that infusion), PARAMCD, PARAM, AVAL, AVALU, LOQ and STATUS.

    Raises
    ------
    OutcomeError
        A column is missing; several parameters, specimens or units; two results of a patient on
        the same day after the same infusion; no results.
    """
    check_results(adcp, ("INFSEQ", "CAR_TARGET"))
    the_only(adcp, "SPEC")
    the_only(adcp, "PARAMCD")
    quantity, unit = the_only(adcp, "PARAM"), the_only(adcp, "AVALU")
    panels = list(adcp.groupby(["INFSEQ", "CAR_TARGET"], sort=True))
    patients = sorted(adcp["USUBJID"].astype(str).unique())
    looks = looks_of(patients)
    figure = new_figure(TWO_COLUMNS, 3.1)
    hidden = 0
    all_axes = panels_in_a_row(figure, len(panels))
    for axes, ((infusion, target), rows) in zip(all_axes, panels, strict=True):
        hidden += draw_lines(axes, rows, looks)
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
    write_below(figure, keys, columns, [*notes, *hidden_note(hidden)])
    return figure
