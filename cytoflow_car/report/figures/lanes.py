"""Lanes of patients on one time axis, and the infusions in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.timeline import InfusionDay, ResponseRow, TimelineRow
from cytoflow_car.report.figures.style import (
    BLACK,
    BLUE,
    DAYS_A_MONTH,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TWO_COLUMNS,
    new_figure,
    round_times,
)

#: Colour and marker of the first, second … infusion.
_INFUSIONS = ((BLUE, "v"), (ORANGE, "^"), (PURPLE, "<"), (BLACK, ">"))
DEATH: dict[str, Any] = {
    "marker": "X", "color": BLACK, "markersize": 6, "linestyle": "none", "label": "death",
}  # fmt: skip
RELAPSE: dict[str, Any] = {
    "marker": "D", "color": RED, "markeredgecolor": "black", "markersize": 5.5,
    "linestyle": "none", "label": "relapse",
}  # fmt: skip


def infusion_look(number: int) -> tuple[str, str]:
    """Return colour and marker of an infusion, 1 for the first."""
    return _INFUSIONS[min(number, len(_INFUSIONS)) - 1]


def new_lanes(
    rows: Sequence[TimelineRow] | Sequence[ResponseRow], lane: float, origin: str
) -> tuple[Figure, Axes]:
    """Return a panel in which row 0 is the uppermost lane, `lane` inches high.

    Raises
    ------
    OutcomeError
        There is no row, or a patient stands there twice.
    """
    names = [row.patient_id for row in rows]
    if not names or len(set(names)) < len(names):
        raise OutcomeError(
            f"{len(names)} rows of {len(set(names))} patients", expected="one row a patient"
        )
    figure = new_figure(TWO_COLUMNS, 1.2 + lane * len(rows))
    axes = figure.subplots()
    first = min([0.0, *(item.day for row in rows for item in row.infusions)])
    last = max(row.followed_to for row in rows)
    axes.set(
        ylim=(len(rows) - 0.4, -0.6),
        yticks=range(len(rows)),
        yticklabels=names,
        xlabel=f"Months since {origin}",
        xticks=round_times(first / DAYS_A_MONTH, last / DAYS_A_MONTH, "months", most=12),
    )
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", left=False)
    for lower in range(1, len(rows)):
        axes.axhline(lower - 0.5, color="#E6E6E6", linewidth=0.5, zorder=0)
    return figure, axes


def draw_infusions(axes: Axes, place: float, infusions: Iterable[InfusionDay]) -> None:
    """Mark infusions in a lane."""
    for item in infusions:
        colour, marker = infusion_look(item.number)
        axes.plot(
            [item.day / DAYS_A_MONTH], [place], marker=marker, color=colour, linestyle="none",
            markersize=5, markeredgecolor="black", markeredgewidth=0.5, zorder=5, clip_on=False,
            label=f"_infusion {item.number}",
        )  # fmt: skip


def infusion_keys(rows: Sequence[TimelineRow] | Sequence[ResponseRow]) -> list[Line2D]:
    """Return the legend's entries of the infusions that there are."""
    found: dict[int, set[str]] = {}
    for row in rows:
        for item in row.infusions:
            found.setdefault(item.number, set()).add(item.car_target)
    keys = []
    for number, targets in sorted(found.items()):
        colour, marker = infusion_look(number)
        told = " or ".join(sorted(filter(None, targets)))
        keys.append(
            Line2D(
                [],
                [],
                marker=marker,
                color=colour,
                linestyle="none",
                markersize=5,
                markeredgecolor="black",
                markeredgewidth=0.5,
                label=f"infusion {number}" + (f" ({told})" if told else ""),
            )
        )
    return keys


def draw_follow_up(axes: Axes, place: float, row: TimelineRow | ResponseRow) -> None:
    """Draw how long a patient was followed."""
    axes.plot(
        [0.0, row.followed_to / DAYS_A_MONTH], [place, place], color=GREY, linewidth=0.7, zorder=1,
        label="_follow-up",
    )  # fmt: skip
