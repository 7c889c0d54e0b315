"""Read FCS files: facts from HEADER and TEXT, events from DATA."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

from cytoflow_car.errors import FcsError
from cytoflow_car.fcs.companion import share_facts, share_stains
from cytoflow_car.fcs.data import Place, read_values
from cytoflow_car.fcs.datasets import DataSet, list_datasets
from cytoflow_car.fcs.evidence import Witness
from cytoflow_car.fcs.facts import read_clock, read_date, read_instrument, read_spillover
from cytoflow_car.fcs.locate import find_events
from cytoflow_car.fcs.modes import read_byte_order, refuse_other_modes
from cytoflow_car.fcs.parameters import ParameterList, read_parameters
from cytoflow_car.fcs.segments import find_segment, read_text
from cytoflow_car.model.events import Channel, Events, Sample, Spillover


@dataclass(frozen=True, slots=True, eq=False)
class FileHeader:
    """What a file says of one data set, without its events.

    Attributes
    ----------
    version
        ``"FCS2.0"`` to ``"FCS3.2"``.
    dataset, n_datasets
        Which data set of how many (from 1).
    n_events
        Events that are in the file.
    channels
        In the order of their numbers.
    spillover, time_channel, instrument, acquired_on, began_at, ended_at, flags
        As in `Sample`.
    """

    version: str
    dataset: int
    n_datasets: int
    n_events: int
    channels: tuple[Channel, ...]
    spillover: Spillover | None
    time_channel: int | None
    instrument: str
    acquired_on: str | None
    began_at: str | None
    ended_at: str | None
    flags: tuple[str, ...]


def read_fcs(path: str | os.PathLike[str], dataset: int | None = None) -> Sample:
    """Read one data set of an FCS file: list mode of FCS 2.0 to 3.2.

    Values are linear: divided by gain, decoded where amplification was logarithmic, Time in
    seconds where the file states a time step. What had to be repaired stands in `Sample.flags`.
    A float32 file in the machine's byte order with nothing to scale is not copied: its values are
    a view of the file, which stays open and must not be changed meanwhile.

    Parameters
    ----------
    path
        The file.
    dataset
        Its number in a file of several, from 1. By default the FCS 3 one if there is exactly one
        such, else the first.

    Returns
    -------
    Sample
        Events (n_events, n_channels), read-only; zero events are an empty sample.

    Raises
    ------
    FcsError
        Of the kind that fits: see `cytoflow_car.errors`. Sizes are checked against the file
        before memory is taken.

    References
    ----------
    Spidlen et al., Cytometry A 77 (2010) 97-100 (FCS 3.1); Spidlen et al., Cytometry A 99 (2021)
    100-102 (FCS 3.2).
    """
    with _opened(path) as (file, size):
        header, parameters, place = _describe(list_datasets(file, size).choose(dataset))
        values, value_flags = read_values(file, place, parameters)
    return Sample(
        events=Events(values, header.channels),
        version=header.version,
        dataset=header.dataset,
        n_datasets=header.n_datasets,
        spillover=header.spillover,
        time_channel=header.time_channel,
        instrument=header.instrument,
        acquired_on=header.acquired_on,
        began_at=header.began_at,
        ended_at=header.ended_at,
        flags=(*header.flags, *value_flags),
    )


def read_header(path: str | os.PathLike[str], dataset: int | None = None) -> FileHeader:
    """Read what a file says of one data set, and check that its events are there.

    No event is read. Parameters and errors as in `read_fcs`.
    """
    with _opened(path) as (file, size):
        return _describe(list_datasets(file, size).choose(dataset))[0]


def read_headers(path: str | os.PathLike[str]) -> tuple[FileHeader | FcsError, ...]:
    """Read what a file says of each of its data sets, or why one cannot be read.

    Raises
    ------
    FcsError
        When not even the first one's HEADER and TEXT can be read.
    """
    headers: list[FileHeader | FcsError] = []
    with _opened(path) as (file, size):
        datasets = list_datasets(file, size)
        for number in range(1, len(datasets) + 1):
            try:
                headers.append(_describe(datasets.choose(number))[0])
            except FcsError as error:
                headers.append(error)
        if datasets.torn is not None:
            headers.append(datasets.torn)
    return tuple(headers)


def read_keywords(path: str | os.PathLike[str], dataset: int | None = None) -> dict[str, str]:
    """Read the keywords of one data set, in upper case, with their values.

    They may identify a person: they must not reach results, logs or messages. Parameters and
    errors as in `read_fcs`, as far as HEADER and TEXT go.
    """
    with _opened(path) as (file, size):
        return list_datasets(file, size).choose(dataset).text.keywords


def hash_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits.

    Raises
    ------
    FcsError
        When the file cannot be read.
    """
    with _opened(path) as (file, _):
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BufferedReader, int]]:
    """Open a file with its size; errors inside gain the file's name."""
    name = Path(path).name
    try:
        # A pipe would be waited for; a path with NUL has no file.
        if "\0" in str(path) or not stat.S_ISREG(os.stat(path).st_mode):
            raise FcsError("it cannot be read (it is no file)", expected="an FCS file")
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except FcsError as error:
        raise error.at(name) from error
    except OSError as error:
        raise FcsError(
            f"it cannot be read ({error.strerror})",
            where=name,
            advice="Check that the file is there and that you may read it.",
        ) from error


def _describe(described: DataSet) -> tuple[FileHeader, ParameterList, Place]:
    keywords = described.text.keywords
    mode_flags = refuse_other_modes(keywords, described.header.version)
    parameters = read_parameters(keywords)
    order = read_byte_order(keywords)
    layout = find_events(described, parameters, Witness(described, order, parameters))
    if layout.shift:
        return _describe(_displace(described, layout.shift))
    place = Place(described.source.base + layout.begin, layout.n_events, order, layout.rows)
    channels, stain_flags = share_stains(
        [parameter.channel for parameter in parameters.parameters], described.companion
    )
    facts = share_facts(keywords, described.companion)
    spillover, spillover_flags = read_spillover(keywords, channels)
    acquired_on, date_flags = read_date(facts)
    header = FileHeader(
        version=described.header.version,
        dataset=described.number,
        n_datasets=described.n_datasets,
        n_events=layout.n_events,
        channels=channels,
        spillover=spillover,
        time_channel=None if parameters.time is None else parameters.time.column,
        instrument=read_instrument(facts),
        acquired_on=acquired_on,
        began_at=read_clock(facts, "BEGIN"),
        ended_at=read_clock(facts, "END"),
        flags=(
            *described.flags,
            *described.text.flags,
            *mode_flags,
            *parameters.flags,
            *layout.flags,
            *stain_flags,
            *_check_analysis(described),
            *spillover_flags,
            *date_flags,
        ),
    )
    return header, parameters, place


def _displace(described: DataSet, shift: int) -> DataSet:
    """Return a data set whose TEXT is `shift` bytes longer than its HEADER says."""
    flag = (
        f"text_displaced: TEXT is {abs(shift)} bytes {'longer' if shift > 0 else 'shorter'} than "
        "HEADER says, and DATA lies as much from its stated place"
    )
    return replace(
        described,
        text=read_text(described.source, described.header, shift),
        flags=(*described.flags, flag),
        shift=shift,
    )


def _check_analysis(described: DataSet) -> tuple[str, ...]:
    stated = find_segment(described.text, "ANALYSIS", 0)
    spans = [span for span in (stated, described.header.analysis) if span is not None]
    if any(span.end >= described.source.available or span.end < span.begin for span in spans):
        return ("analysis_offset: ANALYSIS is not where the file says; it is not used",)
    return ()
