"""Three readers of other projects, asked for one thing: linear events and the channels' names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import flowio
import numpy as np
import numpy.typing as npt

from cytoflow_car.interop.flowcytometrytools import load

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a reader says of a data set.

    Attributes
    ----------
    stored
        (n_events, n_channels): masked with ``$PnR``, not yet linear.
    linear
        (n_events, n_channels) float64.
    detectors, markers
        ``$PnN`` and ``$PnS``, empty where there is none.
    """

    stored: Values
    linear: Values
    detectors: tuple[str, ...]
    markers: tuple[str, ...]


def read_with_flowio(path: Path, data_set: int | None, words: frozenset[str]) -> Reading:
    """Read with flowio, which makes values linear itself, but for the word ``stored``."""
    settings = dict.fromkeys((word for word in words if word.startswith("ignore")), True)
    if data_set is None:
        read = flowio.FlowData(path, **settings)
    else:
        read = flowio.read_multiple_data_sets(path, **settings)[data_set - 1]
    stored = read.as_array(preprocess=False)
    keywords = {f"${key.upper()}": value for key, value in read.text.items()}
    linear = make_linear(stored, keywords) if "stored" in words else read.as_array()
    return _reading(stored, linear, keywords)


def read_with_flowcal(path: Path, _: int | None, __: frozenset[str]) -> Reading:
    """Read the first data set with FlowCal."""
    # Not FCSData, which refuses a file for a keyword that the events do not need.
    read = import_module("FlowCal").io.FCSFile(str(path))
    stored = np.asarray(read.data)
    # It takes TEXT for Latin-1; FCS 3 says UTF-8.
    keywords = {
        key: value.encode("latin-1").decode("utf-8", "replace") for key, value in read.text.items()
    }
    return _reading(stored, make_linear(stored, keywords), keywords)


def read_with_fcsparser(path: Path, _: int | None, __: frozenset[str]) -> Reading:
    """Read the first data set with fcsparser."""
    # As the adapter loads it: what numpy 2 took away is needed for big-endian files.
    load()
    read = import_module("fcsparser.api").FCSParser(str(path))
    events = read.data
    if events.dtype.names:
        events = np.stack([events[name] for name in events.dtype.names], axis=1)
    stored = np.asarray(events)
    return _reading(stored, make_linear(stored, read.annotation), read.annotation)


#: By their column in the table.
READERS: Mapping[str, Callable[[Path, int | None, frozenset[str]], Reading]] = {
    "flowio": read_with_flowio,
    "FlowCal": read_with_flowcal,
    "fcsparser": read_with_fcsparser,
}


def read_with(
    reader: str, path: Path, data_set: int | None, words: frozenset[str], folder: Path
) -> Reading:
    """Read one data set with another reader; `folder` is for a data set that must be cut out."""
    with quietly():
        if reader != "flowio":
            path = cut_out(path, data_set, folder)
        return READERS[reader](path, data_set, words)


def cut_out(path: Path, data_set: int | None, folder: Path) -> Path:
    """Return a file that begins with the data set: FlowCal knows only the first of a file.

    fcsparser leaves keywords of the first data set in the second.
    """
    begin = 0
    for _ in range(1, data_set or 1):
        text = flowio.FlowData(path, only_text=True, nextdata_offset=begin).text
        begin += int(text["nextdata"])
    if begin == 0:
        return path
    cut = folder / path.name
    cut.write_bytes(path.read_bytes()[begin:])
    return cut


def make_linear(stored: Values, keywords: Mapping[str, Any]) -> Values:
    """Return linear values by FlowCal's formulas and the keywords as a reader gives them.

    FlowCal takes ``$PnG`` for the step of Time; here it is ``$TIMESTEP``.
    """
    numbers = range(1, stored.shape[1] + 1)
    times = [str(keywords.get(f"$P{n}N")).lower() in ("time", "hdr-t") for n in numbers]
    with quietly():
        linear: Values = import_module("FlowCal").transform.to_rfi(
            stored,
            channels=list(range(stored.shape[1])),
            amplification_type=[_amplification(keywords, n) for n in numbers],
            amplifier_gain=[
                1.0 if time else float(keywords.get(f"$P{n}G", 1.0))
                for n, time in zip(numbers, times, strict=True)
            ],
            resolution=[float(keywords[f"$P{n}R"]) for n in numbers],
        )
    linear[:, times] *= _time_step(keywords)
    return linear


def _amplification(keywords: Mapping[str, Any], number: int) -> tuple[float, float]:
    decades, offset = map(float, keywords.get(f"$P{number}E", "0,0").split(","))
    return (decades, offset or 1.0) if keywords["$DATATYPE"] == "I" else (0.0, 0.0)


def _time_step(keywords: Mapping[str, Any]) -> float:
    try:
        return float(keywords.get("$TIMESTEP", 1.0))
    except ValueError:
        return 1.0


def _reading(stored: Values, linear: Values, keywords: Mapping[str, Any]) -> Reading:
    detectors, markers = (
        tuple(str(keywords.get(f"$P{n}{kind}", "")).strip() for n in range(1, stored.shape[1] + 1))
        for kind in "NS"
    )
    return Reading(stored, linear, detectors, markers)


@contextmanager
def quietly() -> Iterator[None]:
    """Leave out what other projects warn of: their imports, and files that they find odd."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
