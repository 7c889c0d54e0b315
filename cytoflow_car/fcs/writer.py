"""Write FCS 3.1 files."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import FcsDataError, FcsError, FcsTextError, SpilloverError
from cytoflow_car.fcs.reader import read_fcs
from cytoflow_car.fcs.text import is_structural
from cytoflow_car.fcs.timing import find_time, read_time_step
from cytoflow_car.model.events import Events, Spillover

_OF_CHANNELS = re.compile(r"\$?P\d+[A-Z]+")


def write_fcs(
    path: str | os.PathLike[str],
    events: Events,
    *,
    spillover: Spillover | None = None,
    keywords: Mapping[str, str] | None = None,
) -> None:
    """Write events as an FCS 3.1 file: float32, little-endian, linear, gain 1.

    The file is read back, and appears under its name when it is complete. Equal input gives equal
    bytes.

    Parameters
    ----------
    path
        The file; an existing one is replaced.
    events
        Values are rounded to float32. `Channel.marker` becomes ``$PnS``, `Channel.range`
        ``$PnR``, `Channel.voltage` ``$PnV``.
    spillover
        Becomes ``$SPILLOVER``.
    keywords
        Further keywords; those of the standard begin with ``$``. With ``$TIMESTEP``, Time is
        stored in steps of it and read back in seconds: exactly where it is a whole number of
        steps, else rounded to float32.

    Raises
    ------
    FcsTextError
        When a name or keyword cannot stand in an FCS file.
    FcsDataError
        When float32 is too small for a value.
    SpilloverError
        When the spillover names a detector that is not among the channels.
    FcsError
        When the file cannot be written.
    """
    path = Path(path)
    if not path.name or "\0" in str(path):
        raise FcsError("it cannot be written (no file has this name)", where=path.name)
    keywords = {key.upper(): value for key, value in (keywords or {}).items()}
    _check_channels(events, path.name)
    _check_keywords(keywords, path.name)
    metadata = dict(keywords)
    for number, channel in enumerate(events.channels, start=1):
        metadata[f"P{number}R"] = _number(channel.range)
        if channel.voltage is not None:
            metadata[f"P{number}V"] = _number(channel.voltage)
    if spillover is not None:
        metadata["SPILLOVER"] = _spell_spillover(spillover, events, path.name)
    stored = _stored_values(events, keywords, path.name)
    values = array("f")
    values.frombytes(stored.tobytes())
    # The process number keeps two writers of one file apart.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _create(unfinished, values, events, metadata)
        _check_written(unfinished, stored, events, path.name)
        os.replace(unfinished, path)
    except OSError as error:
        raise FcsError(
            f"it cannot be written ({error.strerror})",
            where=path.name,
            advice="Check the folder, its rights and the free space.",
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _check_channels(events: Events, name: str) -> None:
    if not events.channels or events.values.shape[1] != len(events.channels):
        raise FcsTextError(
            f"{events.values.shape[1]} columns and {len(events.channels)} channels",
            where=name,
            expected="as many, and at least one",
        )
    for number, channel in enumerate(events.channels, start=1):
        _check_value(f"$P{number}N", channel.detector, name)
        if "," in channel.detector:
            raise FcsTextError(f"a comma in $P{number}N", where=name, expected="none in a detector")
        if channel.marker is not None:
            _check_value(f"$P{number}S", channel.marker, name)
        if not 0 < channel.range < np.inf:
            raise FcsTextError(f"$P{number}R is {channel.range:g}", where=name, expected="above 0")


def _check_keywords(keywords: Mapping[str, str], name: str) -> None:
    from flowio.fcs_keywords import FCS_STANDARD_OPTIONAL_KEYWORDS as optional

    for key, value in keywords.items():
        in_standard = key.removeprefix("$").lower() in optional
        is_own = key in ("$SPILLOVER", "$SPILL") or _OF_CHANNELS.fullmatch(key) is not None
        if is_own or in_standard != key.startswith("$") or not re.fullmatch(r"[ -.0-~]+", key):
            raise FcsTextError(
                f"keyword {key} cannot be given",
                where=name,
                expected="$ and a keyword of FCS 3.1, or another word without $ and /",
                advice="Channels and spillover have arguments of their own.",
            )
        _check_value(key, value, name)
    if "$TIMESTEP" in keywords and _time_step(keywords) is None:
        raise FcsTextError("$TIMESTEP is no number above 0", where=name, expected="such as 0.01")


def _check_value(key: str, value: str, name: str) -> None:
    if not value or value != value.strip() or value != value.strip("\0"):
        raise FcsTextError(f"{key} is empty or has blanks at its ends", where=name, expected="text")
    if is_structural(value):
        raise FcsTextError(f"the value of {key} is a keyword", where=name, expected="other text")


def _spell_spillover(spillover: Spillover, events: Events, name: str) -> str:
    missing = [detector for detector in spillover.detectors if detector not in events.detectors]
    if missing:
        raise SpilloverError(
            f"spillover of {', '.join(missing)}", where=name, expected="detectors of the events"
        )
    numbers = (_number(entry) for entry in spillover.matrix.ravel())
    return ",".join((str(len(spillover.detectors)), *spillover.detectors, *numbers))


def _stored_values(
    events: Events, keywords: Mapping[str, str], name: str
) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        stored = events.values.astype("<f4")
    if events.values.dtype != np.float32 and (np.isinf(stored) != np.isinf(events.values)).any():
        raise FcsDataError("values above 3.4e38", where=name, expected="values that float32 holds")
    step = _time_step(keywords)
    time = find_time(keywords, events.detectors)
    if time is not None and time.high is not None:
        raise FcsTextError(
            "Time in two halves cannot be written",
            where=name,
            expected="one channel of Time",
            advice="Leave out the half that holds the higher part.",
        )
    if step is not None and time is not None:
        seconds = events.column(time.column)
        # float32 seconds are rarely whole steps; the steps that give them back are stored.
        steps = np.rint(seconds / step)
        exact = (steps * step).astype(np.float32) == seconds.astype(np.float32)
        stored[:, time.column] = np.where(exact, steps, seconds / step)
    return stored


def _create(path: Path, values: array[float], events: Events, metadata: dict[str, str]) -> None:
    from flowio.create_fcs import create_fcs

    detectors = [channel.detector for channel in events.channels]
    markers = [channel.marker for channel in events.channels]
    # flowio stops where the offsets that it writes into TEXT push TEXT over a power of ten; a
    # longer spelling of the first gain moves it past that.
    spellings = ("1.0", "1.00", "1.000")
    for gain in spellings:
        try:
            with open(path, "wb") as file:
                create_fcs(file, values, detectors, markers, {**metadata, "P1G": gain})
            return
        except Exception as error:
            if "calculating text offset" not in str(error) or gain == spellings[-1]:
                raise


def _check_written(path: Path, stored: npt.NDArray[np.float32], events: Events, name: str) -> None:
    sample = read_fcs(path)
    time = sample.time_channel
    kept = [column for column in range(stored.shape[1]) if column != time]
    if (
        sample.events.detectors != events.detectors
        or [channel.marker for channel in sample.events.channels]
        != [channel.marker for channel in events.channels]
        or not np.array_equal(sample.events.values[:, kept], stored[:, kept], equal_nan=True)
        # Time is stored in steps, and comes back in seconds.
        or (time is not None and not _are_close(sample.events.column(time), events.column(time)))
    ):
        raise FcsError(
            "the file reads back otherwise than it was written",
            where=name,
            advice="Look for unusual signs in names of channels and keywords.",
        )


def _are_close(read: npt.NDArray[np.float64], written: npt.NDArray[np.float64]) -> bool:
    return np.allclose(read, written, rtol=1e-6, atol=0.0, equal_nan=True)


def _time_step(keywords: Mapping[str, str]) -> float | None:
    step, flags = read_time_step(keywords)
    return None if flags else step


def _number(value: float) -> str:
    # Some programs want $PnR without a point.
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
