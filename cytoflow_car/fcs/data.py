"""The DATA segment: stored bytes become linear values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import FcsDataError
from cytoflow_car.fcs.parameters import Parameter, ParameterList
from cytoflow_car.fcs.rows import RowFormat

Array = npt.NDArray[Any]

#: Events are converted in blocks that stay in the processor's cache. Blocks of packed integers
#: begin at a byte, as this is a multiple of 8.
_BLOCK_EVENTS = 16_384
#: Whole numbers of so many bits are exact in float32.
_FLOAT32_BITS = 24
#: What numbers of ``$DATATYPE A`` are written with.
_DIGITS = np.frombuffer(b"0123456789 \0", dtype=np.uint8)
#: Bits above ``$PnR`` that mean nothing are few patterns: a fill, or a toggle.
_MOST_PATTERNS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the events of a data set are, and how they are stored.

    Attributes
    ----------
    offset
        First byte in the file.
    order
        ``"<"`` or ``">"``.
    rows
        How an event is stored.
    """

    offset: int
    n_events: int
    order: str
    rows: RowFormat


def read_values(
    file: BufferedReader, place: Place, parameters: ParameterList
) -> tuple[npt.NDArray[np.float32] | npt.NDArray[np.float64], tuple[str, ...]]:
    """Read events as linear values.

    Scaling (gain, logarithmic amplification, time step) is computed in float64 and rounded to the
    type that is returned.

    Parameters
    ----------
    file
        An open file that holds every byte of the events.

    Returns
    -------
    values
        (n_events, n_channels), read-only; float32 where that holds every stored value exactly,
        else float64. Without anything to convert it is a view of the file.
    flags
        Integer channels in which values seem to have been larger than ``$PnR``: the standard
        masks what is above. Bits that are no part of the value are there in most events, and alike.

    Raises
    ------
    FcsDataError
        When ASCII data hold what is no number.
    """
    columns = parameters.parameters
    types = {column.data_type for column in columns}
    # Torn bytes can be signalling NaN, and a gain of 1e-300 overflows: checks of quality count
    # what is not finite, so a warning here would only be lost.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        beyond = np.zeros(len(columns), dtype=np.intp)
        if place.n_events == 0:
            values: Array = np.empty((0, len(columns)), dtype=_storage_type(parameters))
        elif types in ({"F"}, {"D"}) and not _is_joined(parameters):
            values = _read_floats(file, place, parameters)
        else:
            values, beyond = _read_mixed(file, place, parameters)
    values.flags.writeable = False
    flags = tuple(
        f"range_exceeded: {column.channel.detector} in {n_beyond} of {place.n_events} events, "
        "bits above $PnR are masked"
        for column, n_beyond in zip(columns, beyond, strict=True)
        if n_beyond
    )
    return values, flags


def read_stored(file: BufferedReader, place: Place, columns: tuple[Parameter, ...]) -> list[Array]:
    """Read values as they are stored, without mask or scaling: one array (n_events,) a column."""
    file.seek(place.offset)
    content = np.empty(place.rows.count_bytes(place.n_events), dtype=np.uint8)
    _fill(file, content)
    return _split_rows(content, place, columns, place.n_events)


def _storage_type(parameters: ParameterList) -> np.dtype[Any]:
    exact = not _is_joined(parameters) and all(
        column.data_type == "F" or (column.data_type == "I" and column.used_bits <= _FLOAT32_BITS)
        for column in parameters.parameters
    )
    return np.dtype(np.float32 if exact else np.float64)


def _is_joined(parameters: ParameterList) -> bool:
    """Whether Time has two halves: together they need more digits than float32 has."""
    return parameters.time is not None and parameters.time.high is not None


def _read_floats(file: BufferedReader, place: Place, parameters: ParameterList) -> Array:
    columns = parameters.parameters
    stored_type = np.dtype(f"{place.order}f{columns[0].bits // 8}")
    shape = (place.n_events, len(columns))
    if stored_type.isnative and not any(column.is_scaled for column in columns):
        try:
            return np.asarray(np.memmap(file, stored_type, "r", place.offset, shape))
        except ValueError as error:
            raise _became_shorter() from error
    # Read and converted block by block in its place, while a block is in the processor's cache.
    values: Array = np.empty(shape, stored_type)
    native = values.view(stored_type.newbyteorder("="))
    file.seek(place.offset)
    for block in _blocks(place.n_events):
        _fill(file, values[block])
        if not stored_type.isnative:
            values[block].byteswap(inplace=True)
        rows = native[block]
        _finish(rows, list(rows.T), parameters)
    return native


def _read_mixed(
    file: BufferedReader, place: Place, parameters: ParameterList
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return values, and of each column how many seem to have been larger than its range."""
    columns = parameters.parameters
    values: Array = np.empty((place.n_events, len(columns)), dtype=_storage_type(parameters))
    beyond, patterns = np.zeros((2, len(columns)), dtype=np.intp)
    file.seek(place.offset)
    for block in _blocks(place.n_events):
        n_events = block.stop - block.start
        content = np.empty(place.rows.count_bytes(n_events), dtype=np.uint8)
        _fill(file, content)
        stored = _split_rows(content, place, columns, n_events)
        for number, column in enumerate(columns):
            if column.data_type == "I" and column.used_bits < stored[number].dtype.itemsize * 8:
                mask = stored[number].dtype.type((1 << column.used_bits) - 1)
                beyond[number] += np.count_nonzero(stored[number] > mask)
                if block.start == 0:
                    patterns[number] = np.unique(stored[number] >> column.used_bits).size
                stored[number] = stored[number] & mask
            values[block, number] = stored[number]
        _finish(values[block], stored, parameters)
    beyond[(beyond >= place.n_events / 2) & (patterns <= _MOST_PATTERNS)] = 0
    return values, beyond


def _fill(file: BufferedReader, block: Array) -> None:
    if file.readinto(block.view(np.uint8).data) != block.nbytes:
        raise _became_shorter()


def _became_shorter() -> FcsDataError:
    return FcsDataError(
        "the file became shorter while it was read",
        where="DATA",
        advice="Wait until it is written or copied, then read it again.",
    )


def _finish(values: Array, stored: list[Array], parameters: ParameterList) -> None:
    """Put linear values in the place of stored ones, (n, n_channels), where the two differ."""
    time = parameters.time
    if time is not None and time.high is not None:
        # Before the halves are scaled: they may be columns of `values`.
        joined = stored[time.column] + stored[time.high].astype(np.float64) * time.weight
        values[:, time.column] = joined * parameters.parameters[time.column].factor
    for number, column in enumerate(parameters.parameters):
        is_joined = time is not None and time.high is not None and number == time.column
        if column.is_scaled and not is_joined:
            values[:, number] = _scale(stored[number].astype(np.float64), column)


def _scale(stored: npt.NDArray[np.float64], column: Parameter) -> Array:
    channel = column.channel
    if column.is_logarithmic:
        return channel.offset * 10.0 ** (channel.decades * stored / column.stored_range)
    return stored * column.factor / channel.gain


def _split_rows(
    content: npt.NDArray[np.uint8], place: Place, columns: tuple[Parameter, ...], n_events: int
) -> list[Array]:
    """Return the stored values of each column from the bytes of whole events."""
    if place.rows.is_packed:
        return [
            _as_floats(whole, column) if column.data_type in "FD" else whole
            for whole, column in zip(_unpack_bits(content, place, n_events), columns, strict=True)
        ]
    names = [str(number) for number in range(len(columns))]
    row = np.dtype(
        [
            (name, _field_type(column.data_type, width, place.order))
            for name, column, width in zip(names, columns, place.rows.widths, strict=True)
        ]
    )
    stored = content.view(row)
    return [
        _read_digits(stored[name], column)
        if column.data_type == "A"
        else _join_bytes(stored[name], place.order)
        for name, column in zip(names, columns, strict=True)
    ]


def _field_type(data_type: str, width: int, order: str) -> Any:
    n_bytes = width // 8
    if data_type == "A":
        return f"S{n_bytes}"
    if data_type in "FD":
        return f"{order}f{n_bytes}"
    return f"{order}u{n_bytes}" if n_bytes in (1, 2, 4, 8) else np.dtype(("u1", (n_bytes,)))


def _join_bytes(stored: Array, order: str) -> Array:
    """Return whole numbers of (n,) from their bytes (n, width); (n,) as it is."""
    if stored.ndim == 1:
        return stored
    width = stored.shape[1]
    places = range(width) if order == "<" else range(width - 1, -1, -1)
    whole = np.zeros(stored.shape[0], dtype=np.uint64)
    for power, place in enumerate(places):
        whole |= stored[:, place].astype(np.uint64) << np.uint64(8 * power)
    return whole


def _unpack_bits(
    content: npt.NDArray[np.uint8], place: Place, n_events: int
) -> Iterator[npt.NDArray[np.uint64]]:
    # In order 4,3,2,1 a stream of bits begins at the most significant one of each byte, in order
    # 1,2,3,4 at the least significant.
    is_little = place.order == "<"
    bits = np.unpackbits(content, bitorder="little" if is_little else "big")
    events = bits[: n_events * place.rows.event_bits].reshape(n_events, place.rows.event_bits)
    begin = 0
    for width in place.rows.widths:
        powers = range(width) if is_little else range(width - 1, -1, -1)
        whole = np.zeros(n_events, dtype=np.uint64)
        for column, power in enumerate(powers, begin):
            whole |= events[:, column].astype(np.uint64) << np.uint64(power)
        yield whole
        begin += width


def _as_floats(whole: npt.NDArray[np.uint64], column: Parameter) -> Array:
    return whole.astype(f"u{column.bits // 8}").view(f"f{column.bits // 8}")


def _read_digits(fields: Array, column: Parameter) -> npt.NDArray[np.float64]:
    try:
        if not np.isin(np.ascontiguousarray(fields).view(np.uint8), _DIGITS).all():
            raise ValueError
        return fields.astype(np.float64)
    except ValueError as error:
        raise FcsDataError(
            f"channel {column.channel.detector} holds what is no number",
            where="DATA",
            expected=f"{column.bits // 8} digits a value ($DATATYPE A)",
        ) from error


def _blocks(n_events: int) -> Iterator[slice]:
    for begin in range(0, n_events, _BLOCK_EVENTS):
        yield slice(begin, min(begin + _BLOCK_EVENTS, n_events))
