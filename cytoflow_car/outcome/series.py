"""One quantity of one patient over time, and what each of its results says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from cytoflow_car.errors import OutcomeError
from cytoflow_car.model.measurement import Status

#: What must stay the same within a series, or values before and after are not comparable.
KEPT_ALIKE = ("car_reagent", "panel_version", "instrument", "denominator")


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One result.

    Attributes
    ----------
    day
        From the infusion that the series counts from, which is day 0; parts of a day are allowed.
    status
        As measured.
    value
        In the unit of the series; None where unknown.
    lod, loq
        Limits of detection and quantification, in the same unit; None where unknown.
    car_reagent, panel_version, instrument, denominator
        How it was measured; empty where unknown.
    timing
        Of a specimen of an infusion day, whether it was drawn before or after the infusion.
    """

    day: float
    status: Status
    value: float | None = None
    lod: float | None = None
    loq: float | None = None
    car_reagent: str = ""
    panel_version: str = ""
    instrument: str = ""
    denominator: str = ""
    timing: Literal["", "pre", "post"] = ""

    @property
    def moment(self) -> tuple[float, bool]:
        """Day, and whether it was after that day's infusion: the order of results."""
        return self.day, self.timing == "post"

    @property
    def quantified(self) -> bool:
        """Tell whether the value counts as a number: of an unconfirmed one, from the LOQ on."""
        if self.status is Status.DETECTED_UNCONFIRMED:
            return self.value is not None and (self.loq is None or self.value >= self.loq)
        return self.status is Status.QUANTIFIED

    @property
    def detected(self) -> bool:
        """Tell whether there is something at or above the limit of detection."""
        return self.quantified or self.status in (
            Status.DETECTED_BELOW_LOQ,
            Status.DETECTED_UNCONFIRMED,
        )

    @property
    def below_loq(self) -> bool:
        """Tell whether it was measured and is no number: not that it was not measured."""
        return self.known and not self.quantified

    @property
    def known(self) -> bool:
        """Tell whether the specimen answered at all."""
        return self.detected or self.status in (Status.DETECTED_BELOW_LOD, Status.NOT_DETECTED)


@dataclass(frozen=True, slots=True)
class SeriesBreak:
    """A change of how a series is measured.

    Attributes
    ----------
    day
        Of the first result that was measured otherwise.
    what
        One of `KEPT_ALIKE`.
    """

    day: float
    what: str


def known_points(points: Iterable[SeriesPoint]) -> tuple[SeriesPoint, ...]:
    """Return the results that say something, by day.

    Raises
    ------
    OutcomeError
        Two of them on the same day and of the same timing, a day that is no number, or a
        quantified one without value.
    """
    known = sorted((point for point in points if point.known), key=lambda point: point.moment)
    for point in known:
        if not math.isfinite(point.day):
            raise OutcomeError(f"a result on day {point.day}", expected="a number of days")
        if point.quantified and (point.value is None or not math.isfinite(point.value)):
            raise OutcomeError(
                f"day {point.day:g}: {point.status} with value {point.value}", expected="a number"
            )
    for earlier, later in pairwise(known):
        if earlier.moment == later.moment:
            raise OutcomeError(
                f"two results on day {later.day:g}",
                expected="one result a collection",
                advice="Keep the one that counts, or give the times of day",
            )
    return tuple(known)


def breaks_of(points: Iterable[SeriesPoint]) -> Iterator[SeriesBreak]:
    """Yield where results, which are in order, were measured otherwise than before."""
    before: dict[str, str] = {}
    for point in points:
        for what in KEPT_ALIKE:
            now = getattr(point, what)
            if now and before.setdefault(what, now) != now:
                before[what] = now
                yield SeriesBreak(point.day, what)


def break_flags(breaks: Iterable[SeriesBreak], first: float, last: float) -> tuple[str, ...]:
    """Return SERIES_BREAK of the breaks after the first and up to the last of some days."""
    within = (f"SERIES_BREAK:{item.what}" for item in breaks if first < item.day <= last)
    return tuple(dict.fromkeys(within))
