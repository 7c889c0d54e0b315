"""The parameters of a data set: what each column is, how it is stored, how it becomes linear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cytoflow_car.errors import FcsTextError, FcsUnsupportedError
from cytoflow_car.fcs.text import listed, read_number, require, require_count
from cytoflow_car.model.events import Channel

#: Bits of a value for the data types whose width does not depend on ``$PnB``.
_FLOAT_BITS = {"F": 32, "D": 64}
_DEFAULT_RANGE = 262144.0
_TIME_NAMES = ("time", "hdr-t")
_TIME_HALVES = ("time-msw", "time-lsw")
#: Largest power of ten that float32 holds.
_MOST_DECADES = 38.0
#: Whole numbers of so many bits are exact in float64.
_EXACT_BITS = 53


@dataclass(frozen=True, slots=True)
class Parameter:
    """One column of DATA.

    Attributes
    ----------
    channel
        What `Events` says of it.
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
    data_type
        ``$DATATYPE``: I, F or D.
    parameters
        In the order of their numbers.
    time_channel
        Column of Time; None where there is none.
    is_contradicted
        Keywords tell of more channels than ``$PAR``, or of other widths than ``$DATATYPE``: then
        the length of an event is known only where ``$TOT`` confirms it.
    flags
        What was repaired or is doubtful.
    """

    data_type: str
    parameters: tuple[Parameter, ...]
    time_channel: int | None
    is_contradicted: bool
    flags: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one event."""
        return sum(parameter.bits for parameter in self.parameters) // 8


def read_parameters(keywords: dict[str, str]) -> ParameterList:
    """Read what TEXT says of the parameters.

    Raises
    ------
    FcsTextError
        When ``$PAR`` disagrees with the channels, or a keyword that values depend on is missing,
        unreadable or impossible.
    FcsUnsupportedError
        For ASCII data, packed integers and mixed data types.
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
    _refuse_mixed_types(keywords, n_channels, data_type)
    doubts = _Doubts()
    detectors = _read_detectors(keywords, n_channels, doubts)
    time_channel = find_time(keywords, detectors)
    step = _read_time_step(keywords, time_channel, doubts)
    parameters = tuple(
        _read_parameter(
            keywords,
            column + 1,
            detector,
            data_type,
            step if column == time_channel else None,
            doubts,
        )
        for column, detector in enumerate(detectors)
    )
    surplus = any(f"$P{n_channels + 1}{kind}" in keywords for kind in "NB")
    flags = doubts.tell()
    if surplus:
        flags += (f"par_mismatch: $PAR {n_channels}, TEXT tells of more channels",)
    other_width = data_type in _FLOAT_BITS and any(
        _other_width(keywords, number, data_type) for number in range(1, n_channels + 1)
    )
    return ParameterList(data_type, parameters, time_channel, surplus or other_width, flags)


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
    if data_type == "A":
        raise FcsUnsupportedError(
            "ASCII data ($DATATYPE A)",
            where="TEXT",
            expected="$DATATYPE I, F or D",
            advice="Export the file as FCS 3.1 with floating point data.",
        )
    if data_type not in ("I", "F", "D"):
        raise FcsTextError("$DATATYPE is unreadable", where="TEXT", expected="I, F or D")
    return data_type


def _refuse_mixed_types(keywords: dict[str, str], n_channels: int, data_type: str) -> None:
    for number in range(1, n_channels + 1):
        own = keywords.get(f"$P{number}DATATYPE", data_type).upper()
        if own and own != data_type:
            raise FcsUnsupportedError(
                f"mixed data types ($P{number}DATATYPE differs from $DATATYPE {data_type})",
                where="TEXT",
                expected="one data type",
                advice="Export the file as FCS 3.1 with floating point data.",
            )


def _read_detectors(keywords: dict[str, str], n_channels: int, doubts: _Doubts) -> list[str]:
    detectors = []
    for number in range(1, n_channels + 1):
        detector = keywords.get(f"$P{number}N", "")
        if not detector:
            detector = f"P{number}"
            doubts.add("detector_missing", f"$P{number}N", "without a name, named by number")
        elif detector in detectors:
            doubts.add("detector_doubled", f"$P{number}N", "has the name of another channel")
        if detector.lower() in _TIME_HALVES:
            doubts.add("time_split", f"$P{number}N", "is one half of Time; they are not joined")
        detectors.append(detector)
    return detectors


def find_time(keywords: Mapping[str, str], detectors: Sequence[str]) -> int | None:
    """Return the column of Time: by ``$PnTYPE`` (FCS 3.2), else by name; None without one."""
    for column in range(len(detectors)):
        if keywords.get(f"$P{column + 1}TYPE", "").lower() == "time":
            return column
    lowered = [detector.lower() for detector in detectors]
    return next((lowered.index(name) for name in _TIME_NAMES if name in lowered), None)


def _read_time_step(
    keywords: Mapping[str, str], time_channel: int | None, doubts: _Doubts
) -> float | None:
    if time_channel is None:
        return None
    if "$TIMESTEP" not in keywords:
        doubts.add("timestep_missing", "$TIMESTEP", "is absent, Time is not in seconds")
        return 1.0
    step = read_number(keywords["$TIMESTEP"])
    if step is None or step <= 0:
        doubts.add("timestep_unreadable", "$TIMESTEP", "is no number, Time is not in seconds")
        return 1.0
    return step


def _read_parameter(
    keywords: dict[str, str],
    number: int,
    detector: str,
    data_type: str,
    time_step: float | None,
    doubts: _Doubts,
) -> Parameter:
    is_integer = data_type == "I"
    bits = _read_bits(keywords, number, data_type, doubts)
    stored_range = _read_range(keywords, number, is_integer, doubts)
    used_bits = min(bits, (math.ceil(stored_range) - 1).bit_length()) if is_integer else bits
    decades, offset = _read_amplification(keywords, number, is_integer, doubts)
    is_logarithmic = is_integer and decades > 0
    if is_logarithmic:
        top = max(1.0, (2.0**used_bits - 1) / stored_range)
        # A tiny offset may bring the product back into range, but not the power before it.
        if max(0.0, math.log10(offset)) + decades * top >= _MOST_DECADES:
            raise FcsTextError(f"$P{number}E leads to values above 1e38", where="TEXT")
    if is_integer and used_bits > _EXACT_BITS:
        doubts.add("precision_lost", f"$P{number}R", "reaches above 2^53, where values are rounded")
    gain = _read_gain(keywords, number, doubts)
    if gain != 1.0 and is_logarithmic:
        doubts.add("gain_ignored", f"$P{number}G", "belongs to a logarithmic channel")
        gain = 1.0
    if time_step is not None:
        # Cytometers write the time step into the gain of Time as well; it would count twice.
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
    return Parameter(
        channel=channel,
        bits=bits,
        stored_range=stored_range,
        used_bits=used_bits,
        is_logarithmic=is_logarithmic,
        factor=1.0 if time_step is None else time_step,
    )


def _read_bits(keywords: dict[str, str], number: int, data_type: str, doubts: _Doubts) -> int:
    key = f"$P{number}B"
    if data_type in _FLOAT_BITS:
        bits = _FLOAT_BITS[data_type]
        if _other_width(keywords, number, data_type):
            doubts.add("bits_ignored", key, f"is not {bits}, the width of $DATATYPE {data_type}")
        return bits
    if require(keywords, key) == "*":
        raise FcsUnsupportedError(f"{key} *: values of varying length", where="TEXT")
    bits = require_count(keywords, key)
    if bits == 0 or bits > 64:
        raise FcsTextError(f"{key} is {bits}", where="TEXT", expected="8, 16, 24, 32 or 64")
    if bits % 8:
        raise FcsUnsupportedError(
            f"packed integers of {bits} bits ({key})",
            where="TEXT",
            expected="whole bytes",
            advice="Export the file as FCS 3.1.",
        )
    return bits


def _other_width(keywords: dict[str, str], number: int, data_type: str) -> bool:
    bits = str(_FLOAT_BITS[data_type])
    return keywords.get(f"$P{number}B", bits) != bits


def _read_range(keywords: dict[str, str], number: int, is_integer: bool, doubts: _Doubts) -> float:
    key = f"$P{number}R"
    stored_range = read_number(keywords.get(key, ""))
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
    if key not in keywords:
        if is_integer:
            doubts.add("amplification_missing", key, "is absent, taken as linear")
        return 0.0, 0.0
    parts = [read_number(part) for part in keywords[key].split(",")]
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
