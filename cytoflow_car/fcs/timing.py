"""Time among the parameters: which column it is, its step, and its two halves where it is split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytoflow_car.fcs.text import read_number

#: Names of Time without case, blanks and marks between; "hdrt" is MACSQuant's HDR-T.
_NAMES = ("time", "hdrt")
#: Cytometers of 16-bit words write Time as two parameters: the most and the least significant one.
_HALVES = (("timemsw", "timelsw"), ("timehigh", "timelow"))


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """Where Time is.

    Attributes
    ----------
    column
        Of Time, or of its less significant half.
    high
        Column of the more significant half; None where Time is one parameter.
    weight
        What one of the more significant half is worth in the other.
    """

    column: int
    high: int | None = None
    weight: float = 1.0


def find_time(keywords: Mapping[str, str], detectors: Sequence[str]) -> TimeColumns | None:
    """Return the columns of Time: by ``$PnTYPE`` (FCS 3.2), else by name; None without one."""
    for column in range(len(detectors)):
        if keywords.get(f"$P{column + 1}TYPE", "").lower() == "time":
            return TimeColumns(column)
    bare = [re.sub(r"[\s_-]", "", detector).lower() for detector in detectors]
    for name in _NAMES:
        if name in bare:
            return TimeColumns(bare.index(name))
    for high, low in _HALVES:
        if high in bare and low in bare:
            return TimeColumns(bare.index(low), bare.index(high))
    return None


def read_time_step(keywords: Mapping[str, str]) -> tuple[float, tuple[str, ...]]:
    """Return the seconds of a step of Time and flags; 1 where the file does not state them."""
    if "$TIMESTEP" not in keywords:
        # CellQuest and Diva write the milliseconds of a step into a keyword of their own.
        ticks = read_number(keywords.get("TIMETICKS", ""))
        told = "" if ticks is None else f", a step is {ticks:g} ms by TIMETICKS"
        return 1.0, (f"timestep_missing: $TIMESTEP is absent, Time is not in seconds{told}",)
    step = read_number(keywords["$TIMESTEP"])
    if step is None or step <= 0:
        return 1.0, ("timestep_unreadable: $TIMESTEP is no number, Time is not in seconds",)
    return step, ()
