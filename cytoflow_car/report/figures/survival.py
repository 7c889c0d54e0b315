"""Survival and cumulative incidence as steps, with limits, censorings and patients at risk."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from matplotlib.typing import LineStyleType

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.events import Values
from cytoflow_car.outcome.curves import Curve
from cytoflow_car.outcome.log_rank import LogRank
from cytoflow_car.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ONE_COLUMN,
    PURPLE,
    RED,
    SMALL,
    Look,
    in_print,
    new_figure,
    p_value_text,
    round_times,
    write_below,
)

# Even dashes are those of the limits, and thin lines those of what competes.
_LOOKS = (
    Look(BLUE, "solid", "|", 1.6),
    Look(RED, (0, (9, 1.5, 1.5, 1.5)), "|", 1.6),
    Look(GREEN, (0, (9, 1.5, 1.5, 1.5, 1.5, 1.5)), "|", 1.6),
    Look(PURPLE, (0, (1.2, 0.8)), "|", 1.6),
)
_LIMIT: dict[str, Any] = {"linestyle": (0, (3, 2)), "linewidth": 0.7}
_COMPETING: tuple[LineStyleType, ...] = ("solid", (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (9, 3)))
#: At the steps of what competes, by group: in grey, lines of one event look the same.
_STEP_MARKERS = ("o", "s", "^", "D")
#: Letters of a line of the legend.
_KEY_WIDTH = 44
_CENSORED: dict[str, Any] = {
    "linestyle": "none", "marker": "|", "markersize": 7, "markeredgewidth": 0.9,
}  # fmt: skip
_IMMORTAL = "Groups were known only after the origin: part of their time is immortal."

#: What the axis spans of its last time.
_ROOM = 1.02

#: Curves by group; a group that is a number or a text.
Curves = Mapping[Any, Curve]


@in_print
def draw_survival(
    curves: Curves,
    *,
    outcome: str = "Survival",
    unit: str = "months",
    origin: str = "infusion 1",
    landmark: float | None = None,
    times: Sequence[float] | None = None,
    test: LogRank | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw survival of one to four groups.

    Steps; dashed confidence limits, of which the note says on what scale they were found; a tick at
    every censoring; and beneath the axis, at each of its ticks, the patients who were followed up
    to then.

    Parameters
    ----------
    curves
        By group, as from `kaplan_meier_by`; a single one needs no name.
    outcome
        Name of the vertical axis, such as ``Leukemia-free survival``.
    unit
        Of the curves' times.
    origin
        What they count from, in words; of a landmark, what the landmark counts from.
    landmark
        Time of the landmark from which the curves count; the axis then says that the clock starts
        anew. None where there is none.
    times
        Where the axis has its ticks; None for round ones.
    test
        Comparison of the groups.
    notes
        Further sentences that stand beneath.

    Raises
    ------
    OutcomeError
        There is no curve, there are more than four, or a curve is of another quantity.
    """
    _check(curves, "survival")
    figure, axes, table = _new(curves)
    _draw(axes, curves)
    axes.set_ylabel(f"{outcome} (%)")
    groups = _keys_of_groups(curves) if len(curves) > 1 else []
    _legend(figure, groups, test)
    last = max(float(curve.times[-1]) for curve in curves.values())
    label = _axis_label(unit, origin, landmark)
    _finish(figure, axes, table, curves, unit, label, times, last, notes)
    return figure


@in_print
def draw_cumulative_incidence(
    curves: Curves,
    *,
    competing: Sequence[Curves] = (),
    unit: str = "months",
    origin: str = "infusion 1",
    landmark: float | None = None,
    times: Sequence[float] | None = None,
    end: float = 0.0,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw the cumulative incidence of an event in one to four groups, with what competes.

    As `draw_survival`; competing events are thin lines without limits, each event with its own
    dashes, and each of several groups with its colour and a marker at its steps. A curve whose
    last patient had an event goes on level to the end of the axis.

    Parameters
    ----------
    curves
        By group, as from `cumulative_incidence`.
    competing
        Of the same groups, the incidence of each event that competes, such as death; up to four.
    end
        To where the axis goes at least, such as the end of all follow-up.

    Raises
    ------
    OutcomeError
        There is no curve, there are more than four, a curve is of another quantity, or groups have
        no competing event.
    """
    _check(curves, "cumulative incidence of ")
    for others in competing:
        _check(others, "cumulative incidence of ")
        if set(others) != set(curves):
            raise OutcomeError(
                f"competing events of {sorted(map(str, others))}",
                expected=f"those of {sorted(map(str, curves))}",
            )
    if len(competing) > len(_COMPETING):
        raise OutcomeError(
            f"{len(competing)} competing events", expected=f"up to {len(_COMPETING)}"
        )
    figure, axes, table = _new(curves)
    last = max(end, *(float(curve.times[-1]) for curve in curves.values()))
    several = len(curves) > 1
    keys = _keys_of_groups(curves) if several else []
    event = _event(curves)
    if not several and competing:
        look = _LOOKS[0]
        keys = [Line2D([], [], color=look.colour, linewidth=look.width, label=event)]
    for line, others in zip(_COMPETING, competing, strict=False):
        for look, marker, group in zip(_LOOKS, _STEP_MARKERS, curves, strict=False):
            curve, name = others[group], _event(others)
            style: dict[str, Any] = {"color": BLACK, "linestyle": line, "linewidth": 0.9}
            if several:
                style |= {"color": look.colour, "marker": marker, "markersize": 3}
                style |= {"markerfacecolor": "white"}
            axes.step(
                *_steps(curve, curve.values, end=last * _ROOM), where="post",
                label=f"_{_label(group)} {name}, competing",
                markevery=np.flatnonzero(np.append(False, curve.events > 0)).tolist(), **style,
            )  # fmt: skip
            told = f"{_label(group)}: {name}, competing" if several else f"{name}, competing"
            keys.append(Line2D([], [], **style, label=textwrap.fill(told, _KEY_WIDTH)))
    _draw(axes, curves, end=last * _ROOM)
    axes.set_ylabel(textwrap.fill(f"{event.capitalize()}, cumulative incidence (%)", 24))
    _legend(figure, keys)
    label = _axis_label(unit, origin, landmark)
    _finish(figure, axes, table, curves, unit, label, times, last, notes)
    return figure


def _check(curves: Curves, quantity: str) -> None:
    if not 1 <= len(curves) <= len(_LOOKS):
        raise OutcomeError(f"{len(curves)} curves", expected=f"1 to {len(_LOOKS)}")
    names = {curve.name for curve in curves.values()}
    if len(names) > 1 or not min(names).startswith(quantity):
        raise OutcomeError(f"curves of {', '.join(sorted(names))}", expected=f"of {quantity}")


def _new(curves: Curves) -> tuple[Figure, Axes, Axes]:
    """Return a figure with a panel for curves and, on the same time axis, one for the table."""
    rows = 0.15 * sum(_row_label(name).count("\n") + 1 for name in curves)
    figure = new_figure(ONE_COLUMN, 3.1 + 2 * rows)
    axes, table = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, rows])
    return figure, axes, table


def _row_label(name: Any) -> str:
    return textwrap.fill(_label(name), 16)


def _draw(axes: Axes, curves: Curves, end: float | None = None) -> None:
    for look, (name, curve) in zip(_LOOKS, curves.items(), strict=False):
        for bound, values in (("lower", curve.low), ("upper", curve.high)):
            axes.step(
                *_steps(curve, values, start=np.nan, end=end), where="post", color=look.colour,
                label=f"_{_label(name)} {bound} limit", **_LIMIT,
            )  # fmt: skip
        axes.step(
            *_steps(curve, curve.values, end=end), where="post", color=look.colour,
            linestyle=look.line, linewidth=look.width, label=_label(name), solid_capstyle="butt",
        )  # fmt: skip
        at = curve.censored > 0
        axes.plot(
            curve.times[at], curve.values[at], color=look.colour,
            label=f"_{_label(name)} censored", **_CENSORED,
        )  # fmt: skip


def _steps(
    curve: Curve, values: Values, start: float | None = None, end: float | None = None
) -> tuple[Values, Values]:
    """Return the corners of a curve from time 0 on.

    With an end it is level after its last step: up to there where nobody was censored last, else
    so far that the step can be seen.
    """
    if start is None:
        start = 1.0 if curve.name == "survival" else 0.0
    x, y = np.append(0.0, curve.times), np.append(start, values)
    if end is not None and curve.events[-1]:
        shortest = min(end, x[-1] + (_ROOM - 1) * end)
        x = np.append(x, shortest if curve.censored[-1] else end)
        y = np.append(y, values[-1])
    return x, y


def _keys_of_groups(curves: Curves) -> list[Line2D]:
    """Name the groups and their patients."""
    return [
        Line2D(
            [],
            [],
            color=look.colour,
            linestyle=look.line,
            linewidth=look.width,
            label=textwrap.fill(f"{_label(name)} (n = {curve.n})", _KEY_WIDTH),
        )
        for look, (name, curve) in zip(_LOOKS, curves.items(), strict=False)
    ]


def _legend(figure: Figure, keys: Sequence[Line2D], test: LogRank | None = None) -> None:
    """Write the legend above, and what a comparison gave."""
    if not keys:
        return
    title = None if test is None else f"log-rank {p_value_text(test.p_value)}"
    lines = sum(str(key.get_label()).count("\n") + 1 for key in keys) + (title is not None)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.13 * max(0, lines - 2))
    figure.legend(
        handles=keys, title=title, loc="outside upper left", handlelength=3.6, alignment="left"
    )


def _finish(
    figure: Figure,
    axes: Axes,
    table: Axes,
    curves: Curves,
    unit: str,
    label: str,
    times: Sequence[float] | None,
    last: float,
    notes: Sequence[str],
) -> None:
    shown = round_times(0.0, last, unit) if times is None else list(times)
    axes.set(xlim=(0, max(last, *shown) * _ROOM), ylim=(0, 1.04), xticks=shown)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(label)
    _write_at_risk(table, curves, shown)
    write_below(figure, [], 1, [*_notes(curves), *notes])


def _write_at_risk(table: Axes, curves: Curves, times: list[float]) -> None:
    """Write how many were followed up to each tick, a row a group."""
    table.spines[:].set_visible(False)
    table.tick_params(bottom=False, labelbottom=False, left=False)
    table.tick_params(axis="y", pad=10)
    table.set(ylim=(len(curves) - 0.5, -0.5), yticks=range(len(curves)))
    several = len(curves) > 1
    table.set_yticklabels([_row_label(name) if several else "" for name in curves])
    table.set_title("At risk", loc="left", fontsize=SMALL, pad=2)
    for row, (look, curve) in enumerate(zip(_LOOKS, curves.values(), strict=False)):
        if several:
            table.get_yticklabels()[row].set_color(look.colour)
        for time, count in zip(times, curve.at_risk_at(times), strict=True):
            table.text(time, row, str(count), ha="center", va="center", fontsize=SMALL)


def _notes(curves: Curves) -> Iterator[str]:
    scales = {
        (curve.confidence, curve.transform)
        for curve in curves.values()
        if not np.isnan(curve.low).all()
    }
    limits = "; ".join(f"{100 * share:g} %, {scale}" for share, scale in sorted(scales))
    told = [f"Dashed: confidence limits ({limits})."] if scales else []
    if any(curve.censored.any() for curve in curves.values()):
        told.append("Ticks: censored.")
    yield " ".join([*told, f"{next(iter(curves.values())).method}."])
    if any(flag.startswith("IMMORTAL_TIME") for curve in curves.values() for flag in curve.flags):
        yield _IMMORTAL


def _axis_label(unit: str, origin: str, landmark: float | None) -> str:
    if landmark is None:
        return f"{unit.capitalize()} since {origin}"
    anew = f"(the clock starts anew {landmark:g} {unit} after {origin})"
    return f"{unit.capitalize()} since the landmark\n{textwrap.fill(anew, 34)}"


def _label(name: Any) -> str:
    return f"{name:g}" if isinstance(name, float) else str(name)


def _event(curves: Curves) -> str:
    return next(iter(curves.values())).name.removeprefix("cumulative incidence of ")
