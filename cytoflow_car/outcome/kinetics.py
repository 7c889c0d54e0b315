"""Expansion and decline after an infusion: peak, exposure and terminal half-life.

References
----------
Gabrielsson & Weiner, Methods in Molecular Biology 929 (2012) 377-389: noncompartmental analysis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.series import (
    SeriesBreak,
    SeriesPoint,
    break_flags,
    breaks_of,
    known_points,
)


@dataclass(frozen=True, slots=True)
class KineticsSetting:
    """How a course is summarised.

    Attributes
    ----------
    auc_days
        Exposure is taken from day 0 to this day.
    auc_rule
        ``linear_up_log_down``: logarithmic trapezoids where values fall; ``linear``: nowhere.
    least_quantified
        With fewer quantified results to rest on, the exposure is unknown.
    embedded_blq
        A result below the LOQ between quantified ones is ``missing``, or ``half_loq``.
    terminal_points
        Fewest results of the terminal slope.
    least_r2, least_half_lives
        The half-life is reported with at least this coefficient of determination, of a slope that
        spans at least so many half-lives.
    r2_tolerance
        Slopes whose adjusted coefficients of determination differ by no more are equally good; the
        one of most results counts.
    """

    auc_days: float = 28.0
    auc_rule: Literal["linear_up_log_down", "linear"] = "linear_up_log_down"
    least_quantified: int = 3
    embedded_blq: Literal["missing", "half_loq"] = "missing"
    terminal_points: int = 3
    least_r2: float = 0.8
    least_half_lives: float = 2.0
    r2_tolerance: float = 1e-4


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a course.

    Attributes
    ----------
    value
        None where unknown; a flag says why.
    """

    name: str
    value: float | None
    unit: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TerminalSlope:
    """A line through the logarithms of the last results.

    Attributes
    ----------
    half_life
        In days.
    n_points, first_day, last_day
        The results that it rests on.
    """

    half_life: float
    r2: float
    adjusted_r2: float
    n_points: int
    first_day: float
    last_day: float

    @property
    def half_lives(self) -> float:
        """How many half-lives the slope spans."""
        return (self.last_day - self.first_day) / self.half_life


@dataclass(frozen=True, slots=True)
class Course:
    """What one series did after one infusion.

    Attributes
    ----------
    cmax, tmax
        Highest quantified value, and the day on which it was reached first.
    clast, tlast
        Last quantified value, and its day.
    auc
        Named ``AUC0-28`` where it is complete, else ``AUClast``.
    auc_to
        Day to which `auc` reaches.
    half_life
        Terminal, in days.
    terminal
        The best slope, whether or not its half-life is good enough to be reported.
    n_quantified
        Quantified results after this infusion and up to the next.
    breaks
        Changes of how the series was measured.
    """

    cmax: Parameter
    tmax: Parameter
    clast: Parameter
    tlast: Parameter
    auc: Parameter
    half_life: Parameter
    auc_to: float | None
    terminal: TerminalSlope | None
    n_quantified: int
    breaks: tuple[SeriesBreak, ...]


def follow_course(
    points: Iterable[SeriesPoint],
    *,
    unit: str,
    next_infusion: float | None = None,
    setting: KineticsSetting = KineticsSetting(),
) -> Course:
    """Summarise one series after one infusion.

    Results before day 0 and after the next infusion stay out; one of day 0 that was drawn before
    the infusion is where the curve begins, and no peak. Below the LOQ counts as 0 before the first
    quantified result, and as missing after the last; nothing is extrapolated.

    Parameters
    ----------
    points
        In any order; those that were not done, failed or are indeterminate are passed over.
    unit
        Of the values.
    next_infusion
        Day of the patient's next infusion, of whatever product; None without one.

    Returns
    -------
    Course
        Flags: NO_RESULTS; NEVER_QUANTIFIED; UNCONFIRMED (a value that no control confirmed);
        SERIES_BREAK, ``:`` and what changed; AUC_TOO_FEW; AUC_INCOMPLETE (no result at the end of
        the window); AUC_TO_TLAST (results at its end are below the LOQ); EMBEDDED_BLQ (results
        below the LOQ between quantified ones count as missing);
        AUC_TRUNCATED_BY_INFUSION; AUC_START_ASSUMED (0 on day 0, for want of a result);
        HALF_LIFE_TOO_FEW (results, or they do not fall); HALF_LIFE_R2; HALF_LIFE_SPAN.

    Raises
    ------
    OutcomeError
        Two results on the same day, or a quantified one without value.
    """
    end = math.inf if next_infusion is None else next_infusion
    known = tuple(
        point for point in known_points(points) if (0, False) <= point.moment <= (end, False)
    )
    quantified = _quantified(known)
    breaks = tuple(breaks_of(known))
    if not quantified:
        never = ("NEVER_QUANTIFIED" if known else "NO_RESULTS",)
        return Course(
            Parameter("Cmax", None, unit, never),
            Parameter("Tmax", None, "d", never),
            Parameter("Clast", None, unit, never),
            Parameter("Tlast", None, "d", never),
            Parameter("AUClast", None, f"{unit} d", never),
            Parameter("t1/2", None, "d", never),
            *(None, None, 0, breaks),
        )
    highest = max(quantified, key=_value)
    last = quantified[-1]
    of_peak = (*_unconfirmed([highest]), *break_flags(breaks, known[0].day, known[-1].day))
    auc, auc_to = _exposure(known, unit, next_infusion, breaks, setting)
    terminal = _terminal_slope([point for point in quantified if point.day > highest.day], setting)
    return Course(
        cmax=Parameter("Cmax", _value(highest), unit, of_peak),
        tmax=Parameter("Tmax", highest.day, "d", of_peak),
        clast=Parameter("Clast", _value(last), unit, _unconfirmed([last])),
        tlast=Parameter("Tlast", last.day, "d", _unconfirmed([last])),
        auc=auc,
        half_life=_half_life(terminal, quantified, breaks, setting),
        auc_to=auc_to,
        terminal=terminal,
        n_quantified=len(quantified),
        breaks=breaks,
    )


def _quantified(known: Iterable[SeriesPoint]) -> list[SeriesPoint]:
    """Return the quantified results but that before the infusion, where the curve begins."""
    return [
        point
        for point in known
        if point.quantified and not (point.day == 0 and point.timing == "pre")
    ]


def _exposure(
    known: Sequence[SeriesPoint],
    unit: str,
    next_infusion: float | None,
    breaks: Sequence[SeriesBreak],
    setting: KineticsSetting,
) -> tuple[Parameter, float | None]:
    """Return the area under the curve, and the day to which it reaches."""
    window = setting.auc_days
    complete, unit = f"AUC0-{window:g}", f"{unit} d"
    days, values = _curve(known, setting)
    flags = []
    if days[0] > 0:
        days, values = [0.0, *days], [0.0, *values]
        flags.append("AUC_START_ASSUMED")
    if next_infusion is not None and next_infusion < window:
        flags.append("AUC_TRUNCATED_BY_INFUSION")
    elif known[-1].day < window:
        flags.append("AUC_INCOMPLETE")
    elif days[-1] < window:
        flags.append("AUC_TO_TLAST")
    last_used = next((day for day in days if day >= window), days[-1])
    used = [point for point in _quantified(known) if point.day <= last_used]
    embedded = (
        point
        for point in known
        if used and point.below_loq and used[0].day < point.day < used[-1].day
    )
    if setting.embedded_blq == "missing" and any(embedded):
        flags.append("EMBEDDED_BLQ")
    flags += [*_unconfirmed(used), *break_flags(breaks, days[0], last_used)]
    name = complete if days[-1] >= window else "AUClast"
    if len(used) < setting.least_quantified:
        return Parameter(name, None, unit, (*flags, "AUC_TOO_FEW")), None
    area = 0.0
    for (start, before), (stop, after) in pairwise(zip(days, values, strict=True)):
        if start >= window:
            break
        logarithmic = setting.auc_rule != "linear" and 0 < after < before
        if stop > window:
            share = (window - start) / (stop - start)
            after = (
                before * (after / before) ** share
                if logarithmic
                else before + share * (after - before)
            )
            stop = window
        fall = before - after
        mean = fall / math.log1p(fall / after) if logarithmic else (before + after) / 2
        area += (stop - start) * mean
    return Parameter(name, area, unit, tuple(flags)), min(days[-1], window)


def _curve(
    known: Sequence[SeriesPoint], setting: KineticsSetting
) -> tuple[list[float], list[float]]:
    """Return days and values of the curve, with what stands in for results below the LOQ."""
    quantified = [point.day for point in _quantified(known)]
    days, values = [], []
    for point in known:
        if point.quantified:
            value: float | None = point.value
        elif point.day < quantified[0]:
            value = 0.0
        elif (
            point.day < quantified[-1]
            and setting.embedded_blq == "half_loq"
            and point.loq is not None
        ):
            value = point.loq / 2
        else:
            value = None
        if value is not None:
            days.append(point.day)
            values.append(value)
    return days, values


def _terminal_slope(
    after_peak: Sequence[SeriesPoint], setting: KineticsSetting
) -> TerminalSlope | None:
    """Return the best of the slopes through the last results; None where none falls."""
    positive = [point for point in after_peak if _value(point) > 0]
    slopes = []
    for n_points in range(setting.terminal_points, len(positive) + 1):
        used = positive[-n_points:]
        days = np.array([point.day for point in used])
        logarithms = np.log([_value(point) for point in used])
        days_off, off = days - days.mean(), logarithms - logarithms.mean()
        slope = float(days_off @ off / (days_off @ days_off))
        if slope < 0:
            r2 = slope**2 * float(days_off @ days_off / (off @ off))
            adjusted = 1 - (1 - r2) * (n_points - 1) / (n_points - 2)
            half_life = math.log(2) / -slope
            slopes.append(
                TerminalSlope(half_life, r2, adjusted, n_points, used[0].day, used[-1].day)
            )
    if not slopes:
        return None
    best = max(slope.adjusted_r2 for slope in slopes)
    return [slope for slope in slopes if slope.adjusted_r2 >= best - setting.r2_tolerance][-1]


def _half_life(
    terminal: TerminalSlope | None,
    quantified: Sequence[SeriesPoint],
    breaks: Sequence[SeriesBreak],
    setting: KineticsSetting,
) -> Parameter:
    if terminal is None:
        return Parameter("t1/2", None, "d", ("HALF_LIFE_TOO_FEW",))
    faults = []
    if terminal.r2 < setting.least_r2:
        faults.append("HALF_LIFE_R2")
    if terminal.half_lives < setting.least_half_lives:
        faults.append("HALF_LIFE_SPAN")
    used = [point for point in quantified if point.day >= terminal.first_day]
    doubts = (*_unconfirmed(used), *break_flags(breaks, terminal.first_day, terminal.last_day))
    value = None if faults else terminal.half_life
    return Parameter("t1/2", value, "d", (*faults, *doubts))


def _value(point: SeriesPoint) -> float:
    assert point.value is not None
    return point.value


def _unconfirmed(points: Sequence[SeriesPoint]) -> tuple[str, ...]:
    confirmed = all(point.status is not Status.DETECTED_UNCONFIRMED for point in points)
    return () if confirmed else ("UNCONFIRMED",)
