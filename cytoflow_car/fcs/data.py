"""The DATA segment: stored bytes become linear values."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from cytoflow_car.fcs.parameters import Parameter, ParameterList

Array = npt.NDArray[Any]

#: Events are converted in blocks that stay in the processor's cache.
_BLOCK_EVENTS = 16_384
#: Whole numbers of so many bits are exact in float32.
_EXACT_BITS = 24


def read_values(
    file: BinaryIO, offset: int, n_events: int, order: str, parameters: ParameterList
) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    """Read events as linear values.

    Scaling (gain, logarithmic amplification, time step) is computed in float64 and rounded to the
    type that is returned.

    Parameters
    ----------
    file
        An open file that holds every byte of the events.
    offset
        First byte of DATA in the file.
    order
        ``"<"`` or ``">"``.

    Returns
    -------
    values
        (n_events, n_channels), read-only; float32 where that holds every stored value exactly,
        else float64. Without anything to convert it is a view of the file.
    """
    # Torn bytes can be signalling NaN, and a gain of 1e-300 overflows: checks of quality count
    # what is not finite, so a warning here would only be lost.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if n_events == 0:
            shape = (0, len(parameters.parameters))
            values: Array = np.empty(shape, dtype=_storage_type(parameters))
        elif parameters.data_type == "I":
            values = _read_integers(file, offset, n_events, order, parameters)
        else:
            values = _read_floats(file, offset, n_events, order, parameters)
    values.flags.writeable = False
    return values


def _storage_type(parameters: ParameterList) -> np.dtype[Any]:
    if parameters.data_type == "I":
        exact = all(column.used_bits <= _EXACT_BITS for column in parameters.parameters)
    else:
        exact = parameters.data_type == "F"
    return np.dtype(np.float32 if exact else np.float64)


def _read_floats(
    file: BinaryIO, offset: int, n_events: int, order: str, parameters: ParameterList
) -> Array:
    columns = parameters.parameters
    stored_type = np.dtype(f"{order}f{columns[0].bits // 8}")
    stored = _map(file, stored_type, offset, (n_events, len(columns)))
    scaled = [place for place, column in enumerate(columns) if column.is_scaled]
    if stored_type.isnative and not scaled:
        return stored
    values = stored.astype(_storage_type(parameters))
    for place in scaled:
        values[:, place] = _scale(values[:, place].astype(np.float64), columns[place], values.dtype)
    return values


def _read_integers(
    file: BinaryIO, offset: int, n_events: int, order: str, parameters: ParameterList
) -> Array:
    columns = parameters.parameters
    names = [str(place) for place in range(len(columns))]
    row = np.dtype(
        [
            (name, f"{order}u{column.bits // 8}")
            if column.bits in (8, 16, 32, 64)
            else (name, "u1", (column.bits // 8,))
            for name, column in zip(names, columns, strict=True)
        ]
    )
    stored = _map(file, row, offset, (n_events,))
    values: Array = np.empty((n_events, len(columns)), dtype=_storage_type(parameters))
    for begin in range(0, n_events, _BLOCK_EVENTS):
        block = slice(begin, begin + _BLOCK_EVENTS)
        for place, (name, column) in enumerate(zip(names, columns, strict=True)):
            whole = _join_bytes(stored[name][block], order)
            if column.used_bits < column.bits:
                whole = whole & whole.dtype.type((1 << column.used_bits) - 1)
            values[block, place] = (
                _scale(whole.astype(np.float64), column, values.dtype)
                if column.is_scaled
                else whole
            )
    return values


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


def _scale(stored: npt.NDArray[np.float64], column: Parameter, storage: np.dtype[Any]) -> Array:
    channel = column.channel
    if column.is_logarithmic:
        linear = channel.offset * 10.0 ** (channel.decades * stored / column.stored_range)
    else:
        linear = stored * column.factor / channel.gain
    return linear.astype(storage)


def _map(file: BinaryIO, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape))
