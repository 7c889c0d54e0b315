"""What is doubtful about a blood count of the sheet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from cytoflow_car.study.records import Moment, SheetRow

_LEAST_WBC, _MOST_WBC = 0.001, 500.0
_FARTHEST = timedelta(hours=24)


class CountDoubt(NamedTuple):
    """A doubt: flag of the results, column of the sheet, and what was found."""

    flag: str
    column: str
    message: str


def find_count_doubts(row: SheetRow) -> Iterator[CountDoubt]:
    """Yield what is implausible, or too far in time, about a row's blood count."""
    wbc, alc = row.wbc_10e9_per_l, row.alc_10e9_per_l
    implausible = "BLOOD_COUNT_IMPLAUSIBLE"
    if wbc is not None and not _LEAST_WBC <= wbc <= _MOST_WBC:
        message = f"{wbc:g} is implausible in 10⁹ a litre"
        yield CountDoubt(implausible, "wbc_10e9_per_l", message)
    if wbc is not None and alc is not None and alc > wbc:
        message = f"{alc:g} lymphocytes, but {wbc:g} white cells"
        yield CountDoubt(implausible, "alc_10e9_per_l", message)
    collected = row.collected_at or row.collected_on
    if row.cbc_at is not None and collected is not None and _is_far(row.cbc_at, collected):
        message = f"blood count of {row.cbc_at}, but specimen of {collected}"
        yield CountDoubt("BLOOD_COUNT_FAR", "cbc_at", message)


def _is_far(one: Moment, other: Moment) -> bool:
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs(one - other) > _FARTHEST
    days = [at.date() if isinstance(at, datetime) else at for at in (one, other)]
    return abs(days[0] - days[1]) > _FARTHEST
