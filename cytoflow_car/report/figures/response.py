"""Responses of patients at a glance: infusions, residual blasts over time, relapse."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.timeline import ResponseRow
from cytoflow_car.report.figures.lanes import (
    DEATH,
    RELAPSE,
    draw_follow_up,
    draw_infusions,
    infusion_keys,
    new_lanes,
)
from cytoflow_car.report.figures.style import (
    BLACK,
    DAYS_A_MONTH,
    GREY,
    SMALL,
    in_print,
    write_below,
)

#: By call: what it means in a legend, and how it looks; fuller is more disease.
MRD_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "NEG": ("MRD negative", {"marker": "o", "markerfacecolor": "white"}),
    "SUSPECT": ("MRD suspected", {"marker": "o", "fillstyle": "bottom"}),
    "POS_BELOW_LOQ": ("MRD positive, below the LOQ", {"marker": "o", "fillstyle": "left"}),
    "POS_QUANT": ("MRD positive", {"marker": "o"}),
    "INDETERMINATE": ("MRD indeterminate", {"marker": "x", "color": GREY}),
}
_HEADING = "Best response"
#: Where the words begin, right of the panel, and how wide a letter is, in points.
_RESPONSE_AT, _LETTER = 8.0, 4.4
#: Letters of a line of words, and inches of a lane and of a line.
_LETTERS, _LANE, _LINE = 22, 0.2, 0.12


@in_print
def draw_response(rows: Sequence[ResponseRow], *, origin: str = "infusion 1") -> Figure:
    """Draw one lane a patient, in the order given, from the top.

    Best response and kind of relapse stand in words at the right, in several lines where they are
    long.

    Raises
    ------
    OutcomeError
        There is no row, a patient stands there twice, or a call of MRD does not exist.
    """
    words = {
        row.patient_id: [
            textwrap.wrap(text, _LETTERS) for text in (row.best_response, row.relapse_kind)
        ]
        for row in rows
    }
    most = max((len(lines) for both in words.values() for lines in both), default=1)
    figure, axes = new_lanes(rows, max(_LANE, _LINE * most + 0.06), origin)
    responses = [line for both in words.values() for line in both[0]]
    longest = max(map(len, [_HEADING, *responses]))
    kind_at = _RESPONSE_AT + _LETTER * (longest + 2)
    for lane, row in enumerate(rows):
        draw_follow_up(axes, lane, row)
        for result in row.mrd:
            if result.call not in MRD_LOOKS:
                raise OutcomeError(
                    f"MRD {result.call!r}", where=row.patient_id,
                    expected=f"one of {', '.join(MRD_LOOKS)}",
                )  # fmt: skip
            axes.plot(
                [result.day / DAYS_A_MONTH], [lane], **_mrd(result.call), label="_MRD", zorder=4
            )
        # Above the line, since a marrow is often drawn on the same day.
        draw_infusions(axes, lane - 0.3, row.infusions)
        if row.relapse is not None:
            look = {**RELAPSE, "label": "_relapse"}
            axes.plot([row.relapse / DAYS_A_MONTH], [lane], **look, zorder=6)
        if row.death is not None:
            look = {**DEATH, "label": "_death"}
            axes.plot([row.death / DAYS_A_MONTH], [lane], **look, zorder=6)
        response, kind = words[row.patient_id]
        _write(axes, _RESPONSE_AT, lane, "\n".join(response))
        _write(axes, kind_at, lane, "\n".join(kind))
    _write(axes, _RESPONSE_AT, -0.6, _HEADING, 8.0)
    if any(row.relapse_kind for row in rows):
        _write(axes, kind_at, -0.6, "Relapse", 8.0)
    write_below(figure, _keys(rows), 4)
    return figure


def _mrd(call: str) -> dict[str, Any]:
    return {
        "linestyle": "none", "color": BLACK, "markersize": 5, "markerfacecoloralt": "white",
        **MRD_LOOKS[call][1],
    }  # fmt: skip


def _write(axes: Axes, points: float, lane: float, text: str, above: float = 0.0) -> None:
    axes.annotate(
        text, (1.0, lane), (points, above), axes.get_yaxis_transform(), "offset points",
        va="center", fontsize=SMALL, annotation_clip=False,
    )  # fmt: skip


def _keys(rows: Sequence[ResponseRow]) -> list[Line2D]:
    """Return the legend's entries of what is drawn."""
    calls = {result.call for row in rows for result in row.mrd}
    keys = infusion_keys(rows)
    keys += [
        Line2D([], [], **_mrd(call), label=label)
        for call, (label, _) in MRD_LOOKS.items()
        if call in calls
    ]
    if any(row.relapse is not None for row in rows):
        keys.append(Line2D([], [], **RELAPSE))
    if any(row.death is not None for row in rows):
        keys.append(Line2D([], [], **DEATH))
    return keys
