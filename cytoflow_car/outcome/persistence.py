"""How long CAR T cells persist: between the last result that detects them and a negative one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.series import SeriesPoint, break_flags, breaks_of, known_points


@dataclass(frozen=True, slots=True)
class Persistence:
    """When CAR T cells were last there, as an interval or as one day.

    Attributes
    ----------
    convention
        ``interval``: they vanished after `after` and not later than `by`; ``cibmtr``: on `by`.
    after
        Day of the last result at or above the LOD; None where they were never detected.
    by
        Day by which they had vanished; None where the series is censored at `after`.
    flags
        NO_RESULTS, NEVER_DETECTED, INTERMITTENT (a negative between two positives),
        NEGATIVE_ONCE (no second negative confirms the end), NEGATIVE_UNCONFIRMED (too few
        negatives at the end, so censored), TRACE_AFTER (above background but below the LOD after
        the end), SERIES_BREAK, ``:`` and what changed between the last positive and the negative.
    """

    convention: Literal["interval", "cibmtr"]
    after: float | None
    by: float | None
    flags: tuple[str, ...] = ()


def persistence(points: Iterable[SeriesPoint], *, negatives_needed: int = 1) -> Persistence:
    """Bound the end of persistence by the results on both sides of it.

    A negative result is one of status NOT_DETECTED, which an insensitive assay does not reach; what
    is above background but below the LOD ends nothing and prolongs nothing.

    Parameters
    ----------
    points
        Of one series, in any order; results up to day 0 say nothing of persistence.
    negatives_needed
        So many negatives after the last positive confirm the end; with fewer it is censored.

    Raises
    ------
    OutcomeError
        Two results on the same day, or a quantified one without value.
    """
    after_infusion = [point for point in known_points(points) if point.day > 0]
    detected = [point.day for point in after_infusion if point.detected]
    negative = [point.day for point in after_infusion if point.status is Status.NOT_DETECTED]
    after = detected[-1] if detected else None
    final = [day for day in negative if after is None or day > after]
    flags = []
    if not after_infusion:
        flags.append("NO_RESULTS")
    elif after is None:
        flags.append("NEVER_DETECTED")
    elif any(detected[0] < day < after for day in negative):
        flags.append("INTERMITTENT")
    if len(final) < negatives_needed:
        unconfirmed = ["NEGATIVE_UNCONFIRMED"] if final else []
        return Persistence("interval", after, None, (*flags, *unconfirmed))
    by = final[0]
    if len(final) == 1:
        flags.append("NEGATIVE_ONCE")
    if any(point.day > by for point in after_infusion if point.status is Status.DETECTED_BELOW_LOD):
        flags.append("TRACE_AFTER")
    flags += break_flags(breaks_of(after_infusion), 0.0 if after is None else after, by)
    return Persistence("interval", after, by, tuple(flags))


def persistence_by_cibmtr(
    points: Iterable[SeriesPoint], *, negatives_needed: int = 1
) -> Persistence:
    """Date the end of persistence as registries do, for sensitivity analyses.

    Where every result is negative, the first of them; where some are and the last one is, the last
    positive result, which makes persistence as short as the results allow.

    Raises
    ------
    OutcomeError
        Two results on the same day, or a quantified one without value.
    """
    bounds = persistence(points, negatives_needed=negatives_needed)
    by = bounds.by if bounds.by is None or bounds.after is None else bounds.after
    return Persistence("cibmtr", bounds.after, by, bounds.flags)
