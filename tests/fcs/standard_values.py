"""What the values of DATA mean by the keywords of TEXT, strictly; the second half of `standard`."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import Literal

_WIDTHS = {"F": 32, "D": 64}
_ORDERS: dict[str, Literal["little", "big"]] = {
    "1,2,3,4": "little",
    "1,2": "little",
    "4,3,2,1": "big",
    "2,1": "big",
}


class ContradictionError(Exception):
    """The file breaks the standard in a way that leaves its events without a meaning."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a file says.

    Attributes
    ----------
    events
        Linear values, one list an event.
    detectors, markers
        ``$PnN`` and ``$PnS`` of each channel.
    doubts
        Where the standard is broken but only one reading is left: an unreadable ``$PnG``, say.
        Empty for a valid file.
    """

    events: list[list[float]]
    detectors: list[str]
    markers: list[str | None]
    doubts: tuple[str, ...] = ()


def decode(keywords: dict[str, str], data: bytes, version: str) -> Meaning:
    """Return the linear values of a DATA segment."""
    doubts: list[str] = []
    if keywords.get("$MODE", "").upper() != "L":
        if keywords.get("$MODE"):
            raise ContradictionError("not list mode")
        if version != "FCS3.2":
            doubts.append("$MODE")
    order = _ORDERS.get(keywords.get("$BYTEORD", "").replace(" ", ""))
    if order is None:
        raise ContradictionError("$BYTEORD")
    n_channels = whole(keywords.get("$PAR", ""))
    if not n_channels or n_channels > 1000 or f"$P{n_channels + 1}B" in keywords:
        raise ContradictionError("$PAR")
    channels = [
        _read_channel(keywords, number, version, doubts) for number in range(1, n_channels + 1)
    ]
    if channels[0].kind == "A":
        order = "big"
    row = sum(channel.bits for channel in channels)
    total = whole(keywords.get("$TOT", ""))
    if total is None:
        if keywords.get("$TOT") or version != "FCS2.0":
            raise ContradictionError("$TOT")
        total = len(data) * 8 // row
        doubts.append("$TOT")
    if len(data) != (total * row + 7) // 8:
        raise ContradictionError("DATA is not as long as $TOT events")
    # Little-endian numbers count bits from the least significant one upwards, big-endian ones
    # from the most significant one downwards; with whole bytes that is the order of bytes.
    stream = int.from_bytes(data, order)
    n_bits = 8 * len(data)
    events, place = [], 0
    for _ in range(total):
        event = []
        for channel in channels:
            at = place if order == "little" else n_bits - place - channel.bits
            event.append(channel.linear((stream >> at) & ((1 << channel.bits) - 1)))
            place += channel.bits
        events.append(event)
    detectors = [
        keywords.get(f"$P{number}N") or f"P{number}" for number in range(1, n_channels + 1)
    ]
    if len(set(detectors)) < n_channels or not all(
        keywords.get(f"$P{number}N") for number in range(1, n_channels + 1)
    ):
        doubts.append("$PnN")
    markers = [keywords.get(f"$P{number}S") or None for number in range(1, n_channels + 1)]
    return Meaning(events, detectors, markers, tuple(doubts))


@dataclass(frozen=True, slots=True)
class _Channel:
    kind: str
    bits: int
    top: float
    decades: float
    lowest: float
    gain: float
    step: float

    def linear(self, stored: int) -> float:
        raw = stored.to_bytes((self.bits + 7) // 8, "big")
        if self.kind == "A":
            number = real(raw.decode("latin-1").strip("\t\v\f\r\n "))
            if number is None or not raw.strip().isdigit():
                raise ContradictionError("ASCII data that are no number")
            value = number
        elif self.kind != "I":
            (value,) = struct.unpack({"F": ">f", "D": ">d"}[self.kind], raw)
        else:
            mask = 1
            while mask < self.top:
                mask *= 2
            value = float(stored & (mask - 1))
        if self.decades:
            # Beyond double precision there is no number.
            exponent = self.decades * value / self.top
            return self.lowest * math.pow(10.0, exponent) if exponent < 308 else math.inf
        return float(value / self.gain * self.step)


def _read_channel(
    keywords: dict[str, str], number: int, version: str, doubts: list[str]
) -> _Channel:
    kind = keywords.get("$DATATYPE", "").upper()
    if version == "FCS3.2":
        kind = keywords.get(f"$P{number}DATATYPE", kind).upper()
    if kind not in ("I", "F", "D", "A") or (kind == "A" and version == "FCS3.2"):
        raise ContradictionError("$DATATYPE")
    bits = whole(keywords.get(f"$P{number}B", ""))
    if kind == "A" and bits is not None and 1 <= bits <= 18:
        bits *= 8
    elif kind == "A":
        raise ContradictionError(f"$P{number}B")
    elif kind != "I":
        if bits != _WIDTHS[kind] and f"$P{number}B" in keywords:
            doubts.append(f"$P{number}B")
        bits = _WIDTHS[kind]
    if bits is None or bits < 1 or (kind == "I" and bits > 64):
        raise ContradictionError(f"$P{number}B")
    top = real(keywords.get(f"$P{number}R", ""))
    if top is None or top <= 0 or (kind in "IA" and top < 1):
        doubts.append(f"$P{number}R")
        if kind in "IA":
            raise ContradictionError(f"$P{number}R")
        top = 1.0
    decades, lowest = _read_amplification(keywords, number, kind, doubts)
    gain = 1.0
    is_time = keywords.get(f"$P{number}N", "").upper() == "TIME"
    if f"$P{number}G" in keywords and not is_time:
        stated = real(keywords[f"$P{number}G"])
        if stated is None or stated <= 0 or (decades and stated != 1):
            doubts.append(f"$P{number}G")
        else:
            gain = stated
    step = 1.0
    if is_time:
        stated = real(keywords.get("$TIMESTEP", ""))
        if stated is None or stated <= 0:
            doubts.append("$TIMESTEP")
        else:
            step = stated
    # Values that single precision cannot hold are as good as none.
    if decades * 2 + math.log10(max(1.0, lowest)) > 37:
        raise ContradictionError(f"$P{number}E")
    return _Channel(kind, bits, top, decades, lowest, gain, step)


def _read_amplification(
    keywords: dict[str, str], number: int, kind: str, doubts: list[str]
) -> tuple[float, float]:
    key = f"$P{number}E"
    parts = [real(part) for part in keywords.get(key, "").split(",")]
    if parts == [0.0]:
        return 0.0, 0.0
    if len(parts) != 2 or parts[0] is None or parts[1] is None or min(parts[0], parts[1]) < 0:
        if kind in "IA" or key in keywords:
            doubts.append(key)
        if kind in "IA" and key in keywords:
            raise ContradictionError(key)
        return 0.0, 0.0
    decades, lowest = parts[0], parts[1]
    if decades == 0:
        return 0.0, 0.0
    if kind not in "IA":
        doubts.append(key)
        return 0.0, 0.0
    if lowest == 0:
        doubts.append(key)
        lowest = 1.0
    return decades, lowest


def whole(value: str) -> int | None:
    """Return a whole number of at most 18 digits, or None."""
    return int(value) if re.fullmatch(r" *\+?[0-9]{1,18} *", value) else None


def real(value: str) -> float | None:
    """Return a finite number, or None."""
    if not re.fullmatch(r" *[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)? *", value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
