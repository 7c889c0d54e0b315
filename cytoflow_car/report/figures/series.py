"""Results over time as they are drawn: joined where quantified, open below the LOQ, else a gap."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.series import SeriesPoint, known_points
from cytoflow_car.report.figures.style import Look

#: Needed; NET and N_DENOM are taken where they are there.
_COLUMNS = ("USUBJID", "SPEC", "DAY", "PARAMCD", "PARAM", "AVAL", "AVALU", "LOQ", "STATUS")
BELOW = "below the LOQ, drawn at LOQ/2"


@dataclass(frozen=True, slots=True, eq=False)
class DrawnSeries:
    """One patient's results of one quantity, in days.

    Attributes
    ----------
    joined
        (k, 2) days and values of quantified results, without background where NET tells it; rows
        of NaN stand where the line breaks: at results below the LOQ, and at those that say nothing
        or were not done.
    below
        (m, 2) days and half the LOQ of what was measured and lies below it.
    n_hidden
        Results that a logarithmic axis cannot show: below an unknown LOQ, or not above 0.
    n_net
        Results that are drawn without background.
    doubled
        Days with several results, of which one was taken.
    """

    patient: str
    joined: Values
    below: Values
    n_hidden: int
    n_net: int
    doubled: tuple[float, ...]


def check_results(results: pd.DataFrame, further: Iterable[str] = ()) -> None:
    """Refuse what cannot be drawn as a course.

    Raises
    ------
    OutcomeError
        A column is missing, there is no result, or one has no patient, day, parameter or none of
        the `further` ones.
    """
    missing = [name for name in (*_COLUMNS, *further) if name not in results]
    if missing:
        raise OutcomeError(
            f"no column {missing[0]!r} among the results", expected=", ".join(_COLUMNS)
        )
    if results.empty:
        raise OutcomeError("no results to draw", expected="at least one")
    for name in ("USUBJID", "DAY", "PARAMCD", *further):
        if unknown := int(results[name].isna().sum()):
            raise OutcomeError(
                f"{unknown} results without {name}", expected=f"{name} of every result"
            )


def the_only(results: pd.DataFrame, name: str) -> str:
    """Return the value that all results with one have in a column.

    Raises
    ------
    OutcomeError
        They have several, or none has one.
    """
    found = sorted(results[name].dropna().astype(str).unique())
    if len(found) != 1:
        raise OutcomeError(
            f"{name} {', '.join(found) or 'nowhere'} in one figure",
            expected="one of them",
            advice="Select rows first",
        )
    return found[0]


def draw_lines(
    axes: Axes, results: pd.DataFrame, looks: dict[str, Look], days: float = 1.0
) -> list[DrawnSeries]:
    """Draw every patient of one quantity; lines are labelled with the patient.

    Parameters
    ----------
    days
        That make one unit of the axis.

    Raises
    ------
    OutcomeError
        A status that does not exist, or a quantified result without value.
    """
    drawn = []
    for patient, rows in results.groupby("USUBJID", sort=True):
        series = series_of(str(patient), rows)
        look = looks[str(patient)]
        axes.plot(
            *(series.joined / (days, 1.0)).T,
            color=look.colour,
            linestyle=look.line,
            linewidth=look.width,
            marker=look.marker,
            zorder=2 + look.width / 10,
            label=str(patient),
        )
        axes.plot(
            *(series.below / (days, 1.0)).T, **open_marker(look), label=f"_{patient} below the LOQ"
        )
        drawn.append(series)
    return drawn


def open_marker(look: Look) -> dict[str, Any]:
    """Return the look of a result below the LOQ."""
    return {
        "linestyle": "none",
        "color": look.colour,
        "marker": look.marker,
        "markerfacecolor": "white",
        "markeredgewidth": 0.8,
    }


def below_key() -> Line2D:
    """Return the legend's entry for results below the LOQ."""
    return Line2D([], [], label=BELOW, **open_marker(Look("#000000", "none", "o")))


def notes_of(drawn: Iterable[DrawnSeries]) -> Iterator[str]:
    """Yield what is to be said of results that are drawn otherwise than they stand, or not."""
    drawn = list(drawn)
    if any(item.n_net for item in drawn):
        yield "Without background where a control tells it."
    doubled = [f"{item.patient} day {day:g}" for item in drawn for day in item.doubled]
    if doubled:
        yield f"One of several results of a day: {', '.join(dict.fromkeys(doubled))}."
    if hidden := sum(item.n_hidden for item in drawn):
        yield f"Not drawn: {hidden} below an unknown LOQ, or not above 0."


def series_of(patient: str, rows: pd.DataFrame) -> DrawnSeries:
    """Tell what is drawn of one patient's results.

    Of several results of a day it is one that detects something, else one that says something; of
    those alike the one of the largest denominator.

    Raises
    ------
    OutcomeError
        A status that does not exist, or a quantified result without value.
    """
    by_day: dict[float, list[_Result]] = {}
    for row in rows.sort_values("DAY", kind="stable").to_dict("records"):
        result = _result(patient, row)
        by_day.setdefault(result.point.day, []).append(result)
    results = [max(found, key=_weight) for found in by_day.values()]
    try:
        known_points(result.point for result in results)
    except OutcomeError as error:
        raise error.at(patient) from error
    joined: list[tuple[float, float]] = []
    below: list[tuple[float, float]] = []
    hidden = 0
    for point, *_ in results:
        if point.quantified and point.value is not None and point.value > 0:
            joined.append((point.day, point.value))
            continue
        joined.append((math.nan, math.nan))
        if point.below_loq and point.loq is not None and point.loq > 0:
            below.append((point.day, point.loq / 2))
        elif point.known:
            hidden += 1
    return DrawnSeries(
        patient,
        _pairs(joined),
        _pairs(below),
        hidden,
        sum(result.is_net for result in results),
        tuple(day for day, found in by_day.items() if sum(item.point.known for item in found) > 1),
    )


class _Result(NamedTuple):
    point: SeriesPoint
    is_net: bool
    denominator: float


def _weight(result: _Result) -> tuple[bool, bool, float, float]:
    point = result.point
    return point.detected, point.known, result.denominator, point.value or 0.0


def _result(patient: str, row: Mapping[Hashable, Any]) -> _Result:
    try:
        status = Status(str(row["STATUS"]))
    except ValueError as error:
        raise OutcomeError(
            f"status {row['STATUS']!r}", where=patient, expected=f"one of {', '.join(Status)}"
        ) from error
    net = _known(row.get("NET"))
    is_number = status in (Status.QUANTIFIED, Status.DETECTED_UNCONFIRMED)
    is_net = is_number and net is not None and net > 0
    value = net if is_net else _known(row["AVAL"])
    point = SeriesPoint(float(row["DAY"]), status, value, loq=_known(row["LOQ"]))
    return _Result(point, is_net, _known(row.get("N_DENOM")) or 0.0)


def _known(cell: Any) -> float | None:
    return None if pd.isna(cell) or cell == "" else float(cell)


def _pairs(pairs: list[tuple[float, float]]) -> Values:
    return np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
