"""Timelines of patients: how long CAR T cells stayed, what recovered, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import ScaledTranslation

from cytoflow_car.outcome.recovery import Recovery
from cytoflow_car.outcome.timeline import InfusionDay, Stay, TimelineRow
from cytoflow_car.report.figures.lanes import (
    DEATH,
    RELAPSE,
    draw_follow_up,
    draw_infusions,
    infusion_keys,
    infusion_look,
    new_lanes,
)
from cytoflow_car.report.figures.style import (
    DAYS_A_MONTH,
    GREEN,
    GREY,
    PURPLE,
    SKY,
    in_print,
    write_below,
)

#: Colour and marker of the first, second … thing that recovers.
_RECOVERIES = ((GREEN, "o"), (PURPLE, "s"), (SKY, "h"), (GREY, "*"))
_EVENTS: dict[str, dict[str, Any]] = {
    "relapse": RELAPSE,
    "transplant": {
        "marker": "P", "color": "white", "markeredgecolor": "black", "markersize": 6,
        "linestyle": "none", "label": "transplant",
    },
    "death": DEATH,
}  # fmt: skip
_ALIVE: dict[str, Any] = {
    "marker": ">", "color": GREY, "markersize": 4, "linestyle": "none",
    "label": "alive at last contact",
}  # fmt: skip
_STILL: dict[str, Any] = {
    "marker": "4", "markersize": 7, "markeredgewidth": 1.2, "linestyle": "none",
}  # fmt: skip
_NO_RESULT: dict[str, Any] = {
    "marker": "x", "color": GREY, "markersize": 4, "markeredgewidth": 1.0, "linestyle": "none",
}  # fmt: skip
#: Inches: of a row of one infusion, of follow-up, of one recovery, and between lanes.
_STAY, _LINE, _RECOVERY, _GAP = 0.12, 0.14, 0.08, 0.07


@in_print
def draw_timeline(rows: Sequence[TimelineRow], *, origin: str = "infusion 1") -> Figure:
    """Draw one lane a patient, in the order given, from the top.

    A lane has a row for each infusion, with its CAR T cells: a full bar to the last result that
    detects them, and an open one to the result by which they had vanished; an arrow where that is
    not known, and a cross where no result says anything. Beneath are follow-up with what happened,
    and what recovered: a bracket between the last result without and the first with recovery, and a
    filled marker on the day on which that was known; a recovery that nothing confirmed has an open
    marker on its only day.

    Raises
    ------
    OutcomeError
        There is no row, or a patient stands there twice.
    """
    names = sorted({name for row in rows for name in row.recoveries})
    numbers = sorted({item.number for row in rows for item in row.infusions})
    high = 2 * _GAP + _STAY * len(numbers) + _LINE + _RECOVERY * len(names)
    figure, axes = new_lanes(rows, high, origin)
    has_stays = any(row.stays for row in rows)
    for lane, row in enumerate(rows):
        top = lane - 0.5 + _GAP / high
        followed = {item.infusion.number: item for item in row.stays}
        for infusion in row.infusions:
            place = top + (numbers.index(infusion.number) + 0.5) * _STAY / high
            if infusion.number in followed:
                _draw_stay(axes, place, 0.8 * _STAY / high, followed[infusion.number])
            elif has_stays:
                _mark_no_result(axes, place, infusion)
            draw_infusions(axes, place, [infusion])
        middle = top + (len(numbers) * _STAY + 0.5 * _LINE) / high
        draw_follow_up(axes, middle, row)
        for name, recovery in row.recoveries.items():
            place = middle + (0.5 * _LINE + (names.index(name) + 0.5) * _RECOVERY) / high
            _draw_recovery(axes, place, recovery, _look(names.index(name)), name)
        for event, look in _EVENTS.items():
            day = getattr(row, event)
            if day is not None:
                axes.plot(
                    [day / DAYS_A_MONTH], [middle], **{**look, "label": f"_{event}"}, zorder=6
                )
        if row.death is None:
            end = {**_ALIVE, "label": "_alive"}
            axes.plot([row.followed_to / DAYS_A_MONTH], [middle], **end, zorder=2)
    note = "Recovery lies within the bracket; the filled marker is the day on which it was known."
    write_below(figure, _keys(rows, names), 4, [note] if names else [])
    return figure


def _look(place: int) -> tuple[str, str]:
    return _RECOVERIES[min(place, len(_RECOVERIES) - 1)]


def _draw_stay(axes: Axes, place: float, high: float, stay: Stay) -> None:
    colour, _ = infusion_look(stay.infusion.number)
    start = stay.infusion.day
    seen = start if stay.seen_to is None else stay.seen_to
    bars = [(start, seen, colour, "detected")]
    if stay.gone_by is not None:
        bars.append((seen, stay.gone_by, "white", "vanishing"))
    for begin, end, fill, what in bars:
        axes.add_patch(
            Rectangle(
                (begin / DAYS_A_MONTH, place - high / 2),
                (end - begin) / DAYS_A_MONTH,
                high,
                facecolor=fill,
                edgecolor=colour,
                linewidth=0.7,
                label=f"_{what} after infusion {stay.infusion.number}",
            )
        )
    if stay.gone_by is None:
        look = {**_STILL, "color": colour, "label": "_still detected"}
        axes.plot([seen / DAYS_A_MONTH], [place], **look)


def _mark_no_result(axes: Axes, place: float, infusion: InfusionDay) -> None:
    """Say beside an infusion that nothing is known of its cells."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    beside = axes.transData + ScaledTranslation(8 / 72, 0.0, figure.dpi_scale_trans)
    at = infusion.day / DAYS_A_MONTH
    axes.plot([at], [place], transform=beside, **_NO_RESULT, label="_no result")


def _draw_recovery(
    axes: Axes, place: float, recovery: Recovery, look: tuple[str, str], name: str
) -> None:
    colour, marker = look
    if recovery.by is None:
        return
    after = recovery.by if recovery.after is None else recovery.after
    axes.plot(
        [after / DAYS_A_MONTH, recovery.by / DAYS_A_MONTH], [place, place], color=colour,
        linewidth=1.2, marker="|", markersize=4, markeredgewidth=1.2, label=f"_{name} between",
    )  # fmt: skip
    known = recovery.known_on
    axes.plot(
        [(recovery.by if known is None else known) / DAYS_A_MONTH], [place], marker=marker,
        color=colour, markerfacecolor="white" if known is None else colour, markersize=4,
        linestyle="none", label=f"_{name} " + ("unconfirmed" if known is None else "known"),
    )  # fmt: skip


def _keys(rows: Sequence[TimelineRow], names: list[str]) -> list[Line2D | Patch]:
    """Return the legend's entries of what is drawn."""
    keys: list[Line2D | Patch] = [*infusion_keys(rows)]
    stays = [stay for row in rows for stay in row.stays]
    if stays:
        keys += [
            Patch(facecolor=GREY, edgecolor=GREY, label="CAR T cells detected"),
            Patch(facecolor="white", edgecolor=GREY, label="vanished in this time"),
        ]
    if any(stay.gone_by is None for stay in stays):
        keys.append(Line2D([], [], **_STILL, color=GREY, label="not seen to vanish"))
    if stays and len(stays) < sum(len(row.infusions) for row in rows):
        keys.append(Line2D([], [], **_NO_RESULT, label="no result of CAR T cells"))
    for place, name in enumerate(names):
        colour, marker = _look(place)
        keys.append(
            Line2D(
                [],
                [],
                color=colour,
                marker=marker,
                markersize=4,
                linewidth=1.2,
                label=f"{name} recovered",
            )
        )
    keys += [
        Line2D([], [], **look)
        for event, look in _EVENTS.items()
        if any(getattr(row, event) is not None for row in rows)
    ]
    if any(row.death is None for row in rows):
        keys.append(Line2D([], [], **_ALIVE))
    return keys
