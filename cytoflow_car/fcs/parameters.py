"""The parameters of a data set: what each column is, how it is stored, how it becomes linear."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from cytoflow_car.errors import FcsTextError, FcsUnsupportedError
from cytoflow_car.fcs.rows import RowFormat, list_formats
from cytoflow_car.fcs.text import listed, read_count, read_number, require, require_count
from cytoflow_car.fcs.timing import TimeColumns, find_time, read_time_step
from cytoflow_car.model.events import Channel

#: Bits of a value for the data types whose width does not depend on ``$PnB``.
_FLOAT_BITS = {"F": 32, "D": 64}
_DEFAULT_RANGE = 262144.0
#: Largest power of ten that float32 holds.
_MOST_DECADES = 38.0
#: Whole numbers of so many bits are exact in float64.
_FLOAT64_BITS = 53


@dataclass(frozen=True, slots=True)
class Parameter:
    """One column of DATA.

    Attributes
    ----------
    channel
        What `Events` says of it.
    data_type
        A (digits), I, F or D: ``$PnDATATYPE``, else ``$DATATYPE``.
    bits
        Width of a stored value.
    stored_range
        ``$PnR`` as stored: stored integers lie below it.
    used_bits
        Bits that an integer below ``$PnR`` needs; those above are not part of the value. Equal to
        `bits` for floating point.
    is_logarithmic
        Stored values are ``offset * 10 ** (decades * stored / stored_range)``.
    factor
        Linear values are stored values times this: the time step, in seconds.
    """

    channel: Channel
    data_type: str
    bits: int
    stored_range: float
    used_bits: int
    is_logarithmic: bool = False
    factor: float = 1.0

    @property
    def is_scaled(self) -> bool:
        """Whether the values differ from what is stored."""
        return self.is_logarithmic or self.factor != 1.0 or self.channel.gain != 1.0


@dataclass(frozen=True, slots=True)
class ParameterList:
    """Every parameter of a data set.

    Attributes
    ----------
    parameters
        In the order of their numbers.
    formats
        How an event may be stored, the standard's way first.
    time
        Where Time is; None where there is none.
    is_contradicted
        Keywords tell of more channels than ``$PAR``, or of other widths than the data type: then
        the length of an event is known only where ``$TOT`` confirms it.
    flags
        What was repaired or is doubtful.
    """

    parameters: tuple[Parameter, ...]
    formats: tuple[RowFormat, ...]
    time: TimeColumns | None
    is_contradicted: bool
    flags: tuple[str, ...]


def read_parameters(keywords: dict[str, str]) -> ParameterList:
    """Read what TEXT says of the parameters.

    Raises
    ------
    FcsTextError
        When ``$PAR`` disagrees with the channels, or a keyword that values depend on is missing,
        unreadable or impossible.
    FcsUnsupportedError
        For values of varying length, and digits beside binary values.
    """
    data_type = _read_data_type(keywords)
    n_channels = require_count(keywords, "$PAR")
    if n_channels == 0:
        raise FcsTextError("$PAR is 0", where="TEXT", expected="at least one channel")
    for number in range(1, n_channels + 1):
        # Stops at the first gap, so an absurd $PAR costs nothing.
        if not any(f"$P{number}{kind}" in keywords for kind in "NBR"):
            raise FcsTextError(
                f"$PAR is {n_channels}, but there is no channel {number}",
                where="TEXT",
                expected="as many channels as $PAR",
                advice="Export the file again.",
            )
    doubts = _Doubts()
    detectors = _read_detectors(keywords, n_channels, doubts)
    time = find_time(keywords, detectors)
    step, time_flags = (1.0, ()) if time is None else read_time_step(keywords)
    parameters = [
        _read_parameter(keywords, number, detector, data_type, doubts)
        for number, detector in enumerate(detectors, 1)
    ]
    if time is not None:
        time = _weigh_halves(time, parameters)
        if parameters[time.column].is_logarithmic:
            doubts.add("amplification_ignored", f"$P{time.column + 1}E", "is not for Time")
        parameters[time.column] = _in_seconds(parameters, time, step)
    surplus = any(f"$P{n_channels + 1}{kind}" in keywords for kind in "NB")
    flags = doubts.tell() + time_flags
    if time is not None and time.high is not None:
        flags += (
            f"time_joined: $P{time.column + 1}N is Time of both halves, $P{time.high + 1}N times "
            f"{time.weight:g} added",
        )
    if surplus:
        flags += (f"par_mismatch: $PAR {n_channels}, TEXT tells of more channels",)
    other_width = any(
        _other_width(keywords, number, parameter.data_type)
        for number, parameter in enumerate(parameters, 1)
    )
    return ParameterList(
        tuple(parameters),
        list_formats([parameter.bits for parameter in parameters]),
        time,
        surplus or other_width,
        flags,
    )


class _Doubts:
    """Collects the channels that share a doubt, so that each doubt becomes one flag."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self._details: dict[str, str] = {}

    def add(self, flag: str, place: str, detail: str) -> None:
        self._places.setdefault(flag, []).append(place)
        self._details[flag] = detail

    def tell(self) -> tuple[str, ...]:
        return tuple(
            f"{flag}: {listed(places)} {self._details[flag]}"
            for flag, places in self._places.items()
        )


def _read_data_type(keywords: dict[str, str]) -> str:
    data_type = require(keywords, "$DATATYPE").upper()
    if data_type not in ("A", "I", "F", "D"):
        raise FcsTextError("$DATATYPE is unreadable", where="TEXT", expected="A, I, F or D")
    return data_type


def _read_detectors(keywords: dict[str, str], n_channels: int, doubts: _Doubts) -> list[str]:
    detectors: list[str] = []
    known: set[str] = set()
    for number in range(1, n_channels + 1):
        detector = keywords.get(f"$P{number}N", "")
        if not detector:
            detector = f"P{number}"
            doubts.add("detector_missing", f"$P{number}N", "without a name, named by number")
        elif detector in known:
            doubts.add("detector_doubled", f"$P{number}N", "has the name of another channel")
        detectors.append(detector)
        known.add(detector)
    return detectors


def _read_parameter(
    keywords: dict[str, str], number: int, detector: str, data_type: str, doubts: _Doubts
) -> Parameter:
    data_type = _read_own_type(keywords, number, data_type)
    is_integer = data_type in "AI"
    bits = _read_bits(keywords, number, data_type, doubts)
    stored_range = _read_range(keywords, number, data_type, doubts)
    used_bits = bits
    if is_integer:
        used_bits = min(
            64 if data_type == "A" else bits, (math.ceil(stored_range) - 1).bit_length()
        )
    decades, offset = _read_amplification(keywords, number, is_integer, doubts)
    is_logarithmic = is_integer and decades > 0
    if is_logarithmic:
        top = max(1.0, (2.0**used_bits - 1) / stored_range)
        # A tiny offset may bring the product back into range, but not the power before it.
        if max(0.0, math.log10(offset)) + decades * top >= _MOST_DECADES:
            raise FcsTextError(f"$P{number}E leads to values above 1e38", where="TEXT")
    if is_integer and used_bits > _FLOAT64_BITS:
        doubts.add("precision_lost", f"$P{number}R", "reaches above 2^53, where values are rounded")
    gain = _read_gain(keywords, number, doubts)
    if gain != 1.0 and is_logarithmic:
        doubts.add("gain_ignored", f"$P{number}G", "belongs to a logarithmic channel")
        gain = 1.0
    channel = Channel(
        detector=detector,
        marker=keywords.get(f"$P{number}S") or None,
        range=offset * 10.0**decades if is_logarithmic else stored_range / gain,
        gain=gain,
        decades=decades,
        offset=offset,
        voltage=read_number(keywords.get(f"$P{number}V", "")),
    )
    return Parameter(channel, data_type, bits, stored_range, used_bits, is_logarithmic)


def _weigh_halves(time: TimeColumns, parameters: list[Parameter]) -> TimeColumns:
    low_range = parameters[time.column].stored_range
    return replace(time, weight=2.0 ** min(64, (math.ceil(low_range) - 1).bit_length()))


def _in_seconds(parameters: list[Parameter], time: TimeColumns, step: float) -> Parameter:
    """Return Time with its step, and with the range of both halves where it is split."""
    stored = parameters[time.column]
    reach = stored.stored_range
    if time.high is not None:
        reach = parameters[time.high].stored_range * time.weight
    # Cytometers write the time step into the gain of Time as well; it would count twice.
    channel = replace(stored.channel, range=reach * step, gain=1.0, decades=0.0, offset=0.0)
    return replace(stored, channel=channel, factor=step, is_logarithmic=False)


def _read_own_type(keywords: dict[str, str], number: int, data_type: str) -> str:
    own = keywords.get(f"$P{number}DATATYPE", "").upper() or data_type
    if own not in ("I", "F", "D") and own != data_type:
        raise FcsTextError(f"$P{number}DATATYPE is unreadable", where="TEXT", expected="I, F or D")
    if own != data_type and data_type == "A":
        raise FcsUnsupportedError(
            f"digits ($DATATYPE A) beside binary values ($P{number}DATATYPE)", where="TEXT"
        )
    return own


def _read_bits(keywords: dict[str, str], number: int, data_type: str, doubts: _Doubts) -> int:
    key = f"$P{number}B"
    if data_type in _FLOAT_BITS:
        bits = _FLOAT_BITS[data_type]
        if _other_width(keywords, number, data_type):
            doubts.add("bits_ignored", key, f"is not {bits}, the width of data type {data_type}")
        return bits
    if require(keywords, key) == "*":
        raise FcsUnsupportedError(
            f"{key} *: values of varying length",
            where="TEXT",
            expected="a number of bits, or of digits for $DATATYPE A",
            advice="Export the file as FCS 3.1.",
        )
    bits = require_count(keywords, key)
    if not 0 < bits <= 64:
        raise FcsTextError(f"{key} is {bits}", where="TEXT", expected="1 to 64")
    return 8 * bits if data_type == "A" else bits


def _other_width(keywords: dict[str, str], number: int, data_type: str) -> bool:
    if data_type not in _FLOAT_BITS:
        return False
    stated = keywords.get(f"$P{number}B", "")
    return stated != "" and read_count(stated) != _FLOAT_BITS[data_type]


def _read_range(keywords: dict[str, str], number: int, data_type: str, doubts: _Doubts) -> float:
    key = f"$P{number}R"
    stored_range = read_number(keywords.get(key, ""))
    is_integer = data_type in "AI"
    if stored_range is not None and stored_range > 0 and not (is_integer and stored_range < 1):
        return stored_range
    if is_integer:
        # The range is the mask of integers: without it, no value is known.
        raise FcsTextError(
            f"{key} is missing, unreadable or below 1", where="TEXT", expected="such as 1024"
        )
    doubts.add("range_unreadable", key, f"is no number above 0, taken as {_DEFAULT_RANGE:g}")
    return _DEFAULT_RANGE


def _read_amplification(
    keywords: dict[str, str], number: int, is_integer: bool, doubts: _Doubts
) -> tuple[float, float]:
    key = f"$P{number}E"
    stated = keywords.get(key, "")
    if not stated:
        if is_integer:
            doubts.add("amplification_missing", key, "is absent, taken as linear")
        return 0.0, 0.0
    words = re.split("[,;]", stated.rstrip(",; "))
    if len(words) == 4:
        # Decimal commas.
        words = [".".join(words[:2]), ".".join(words[2:])]
    parts = [read_number(word) for word in words]
    if parts == [0.0]:
        doubts.add("amplification_missing", key, "is incomplete, taken as linear")
        return 0.0, 0.0
    if len(parts) != 2 or parts[0] is None or parts[1] is None or min(parts[0], parts[1]) < 0:
        if is_integer:
            raise FcsTextError(f"{key} is unreadable", where="TEXT", expected="such as 0,0 or 4,1")
        doubts.add("amplification_ignored", key, "is unreadable, and not for floating point")
        return 0.0, 0.0
    decades, offset = parts[0], parts[1]
    if decades == 0:
        return 0.0, 0.0
    if not is_integer:
        doubts.add("amplification_ignored", key, "is not for floating point")
    elif offset == 0:
        doubts.add("amplification_offset", key, "with offset 0, read as 1")
        offset = 1.0
    return decades, offset


def _read_gain(keywords: dict[str, str], number: int, doubts: _Doubts) -> float:
    key = f"$P{number}G"
    if key not in keywords:
        return 1.0
    gain = read_number(keywords[key])
    if gain is None or gain <= 0:
        doubts.add("gain_unreadable", key, "is no number above 0, taken as 1")
        return 1.0
    return gain
