"""What a file says of itself beside events: spillover, instrument, date and times."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from cytoflow_car.fcs.text import listed, read_count
from cytoflow_car.model.events import Channel, Spillover

#: In the order in which they are looked for.
_SPILLOVER_KEYWORDS = ("$SPILLOVER", "$SPILL", "SPILLOVER", "SPILL")
_OTHER_COMPENSATION = re.compile(r"\$COMP|\$DFC\d+TO\d+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_PARTS = re.compile(
    r"(\d{4}|\d{1,2})[-/ .](\d{2}|[a-z]{3}|january|february|march|april|june|july|august"
    r"|september|october|november|december)[-/ .](\d{4}|\d{1,2})",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}([:.]\d{1,6})?)?", re.ASCII)


def read_spillover(
    keywords: Mapping[str, str], channels: Sequence[Channel]
) -> tuple[Spillover | None, tuple[str, ...]]:
    """Read the first spillover that the file states.

    Names are detectors; where they are not, markers, and where those are not either, numbers of
    channels.

    Returns
    -------
    spillover, flags
        None where the file states none, or an unreadable one (flagged). Detectors that the file
        does not have stay in the spillover and are flagged.
    """
    for source in _SPILLOVER_KEYWORDS:
        value = keywords.get(source, "")
        if value in ("", "0"):
            continue
        parts = [part.strip() for part in value.rstrip(", ").split(",")]
        n = read_count(parts[0])
        if n and len(parts) == 1 + n + 2 * n * n:
            # Decimal commas.
            names, halves = parts[: 1 + n], parts[1 + n :]
            parts = names + [".".join(pair) for pair in zip(halves[::2], halves[1::2], strict=True)]
        if not n or len(parts) != 1 + n + n * n:
            return None, (f"spillover_unreadable: {source} is not a number, names and a matrix",)
        try:
            matrix = np.array(parts[1 + n :], dtype=np.float64)
        except ValueError:
            matrix = np.array([np.nan])
        if not np.isfinite(matrix).all():
            return None, (f"spillover_unreadable: {source} holds what is not a number",)
        detectors, unknown = _resolve(parts[1 : 1 + n], channels)
        if len(set(detectors)) < n:
            return None, (f"spillover_unreadable: {source} names a detector twice",)
        matrix = matrix.reshape(n, n)
        flags = [f"spillover_unknown: {source} {listed(unknown)}"] if unknown else []
        if np.allclose(matrix.diagonal(), 100.0):
            matrix = matrix / 100.0
            flags.append(f"spillover_percent: {source} is in percent, and was divided by 100")
        matrix.flags.writeable = False
        if not np.allclose(matrix.diagonal(), 1.0):
            flags.append(f"spillover_diagonal: {source} has other numbers than 1 on its diagonal")
        return Spillover(detectors, matrix, source), tuple(flags)
    return None, tuple(_tell_others(keywords))


def _tell_others(keywords: Mapping[str, str]) -> Iterator[str]:
    """Flag compensation by keywords of FCS 2.0 and 3.0 that is not read."""
    stated = [key for key in keywords if _OTHER_COMPENSATION.fullmatch(key)]
    if any(set(keywords[key]) & set("123456789") for key in stated):
        yield f"compensation_unread: {listed(stated, 3)} is not used"


def _resolve(
    names: Sequence[str], channels: Sequence[Channel]
) -> tuple[tuple[str, ...], list[str]]:
    detectors = {channel.detector for channel in channels}
    stains = [channel.marker for channel in channels]
    by_marker = {
        channel.marker: channel.detector
        for channel in channels
        if channel.marker and stains.count(channel.marker) == 1
    }
    resolved, unknown = [], []
    for name in names:
        number = read_count(name)
        if name in detectors:
            resolved.append(name)
        elif name in by_marker:
            resolved.append(by_marker[name])
        elif number is not None and 1 <= number <= len(channels):
            resolved.append(channels[number - 1].detector)
        else:
            resolved.append(name)
            unknown.append(name)
    return tuple(resolved), unknown


def read_instrument(keywords: Mapping[str, str]) -> str:
    """Return the model and a hash of the serial number, such as ``"LSRFortessa #1a2b3c4d"``."""
    serial = keywords.get("$CYTSN", "")
    mark = f"#{hashlib.sha256(serial.encode()).hexdigest()[:8]}" if serial else ""
    return f"{keywords.get('$CYT', '')} {mark}".strip()


def read_date(keywords: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Read ``$DATE`` (``dd-mmm-yyyy``, ``dd-mmm-yy``, ``yyyy-mmm-dd``, ``yyyy-mm-dd``).

    Where it is absent, ``$BEGINDATETIME`` of FCS 3.2.

    Returns
    -------
    date, flags
        ISO date, or None where it is absent or unreadable (flagged). Years of two digits lie
        between 1970 and 2069. Of ``dd-mm-yyyy``, days from 13 on cannot be months.
    """
    value = keywords.get("$DATE", "")
    if not value:
        moment = _read_moment(keywords, "$BEGINDATETIME")
        return (None if moment is None else moment.date().isoformat()), ()
    unreadable = (None, ("date_unreadable: $DATE",))
    match = _DATE_PARTS.fullmatch(value)
    if match is None:
        return unreadable
    first, middle, last = match.groups()
    year, day = (first, last) if len(first) == 4 else (last, first)
    if middle.isdigit() and len(first) != 4 and int(day) <= 12:
        # 03-04-2020 is March to some and April to others.
        return unreadable
    name = middle[:3].lower()
    if not middle.isdigit() and name not in _MONTHS:
        return unreadable
    month = int(middle) if middle.isdigit() else _MONTHS.index(name) + 1
    number = int(year)
    if len(year) <= 2:
        number += 1900 if number >= 70 else 2000
    try:
        return datetime.date(number, month, int(day)).isoformat(), ()
    except ValueError:
        return unreadable


def read_clock(keywords: Mapping[str, str], which: Literal["BEGIN", "END"]) -> str | None:
    """Return ``$BTIM`` or ``$ETIM`` as stored, else the time of FCS 3.2; None without any."""
    value = keywords.get(f"${which[0]}TIM", "")
    if _CLOCK.fullmatch(value):
        return value
    moment = _read_moment(keywords, f"${which}DATETIME")
    return None if moment is None else moment.time().isoformat("seconds")


def _read_moment(keywords: Mapping[str, str], key: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(keywords.get(key, ""))
    except ValueError:
        return None
