"""What TEXT says of DATA as a whole: list mode, and the order of bytes."""

from __future__ import annotations

import re

from cytoflow_car.errors import FcsTextError, FcsUnsupportedError
from cytoflow_car.fcs.text import read_count, require


def refuse_other_modes(keywords: dict[str, str], version: str) -> tuple[str, ...]:
    """Refuse what is not list mode; return a flag where the mode is not stated."""
    mode = keywords.get("$MODE", "").upper()
    if mode == "LIST" or (not mode and version == "FCS3.2"):
        # From FCS 3.2 on, list mode need not be stated.
        return ()
    if mode in ("C", "U"):
        raise FcsUnsupportedError(
            f"histogram data ($MODE {mode})",
            where="TEXT",
            expected="list mode ($MODE L)",
            advice="Export the events, not a histogram.",
        )
    if mode not in ("L", ""):
        raise FcsTextError("$MODE is unreadable", where="TEXT", expected="L")
    return () if mode else ("mode_missing: $MODE is absent, taken as list mode",)


def read_byte_order(keywords: dict[str, str]) -> str:
    """Return ``"<"`` or ``">"`` for ``$BYTEORD``.

    Raises
    ------
    FcsTextError
        When it is missing or unreadable.
    FcsUnsupportedError
        For an order that is neither rising nor falling, such as ``3,4,1,2``.
    """
    stated = require(keywords, "$BYTEORD")
    places = [read_count(part) for part in re.split(r"\s*[,;]\s*|\s+", stated)]
    rising = list(range(1, len(places) + 1))
    if places == rising:
        return "<"
    if places == rising[::-1]:
        return ">"
    if None in places or sorted(place for place in places if place is not None) != rising:
        raise FcsTextError(
            "$BYTEORD is unreadable",
            where="TEXT",
            expected="1,2,3,4 or 4,3,2,1",
            advice="Export the file again.",
        )
    raise FcsUnsupportedError(
        f"mixed byte order {','.join(map(str, places))}",
        where="TEXT",
        expected="1,2,3,4 or 4,3,2,1",
        advice="Export the file again as FCS 3.1.",
    )
