"""Files of many cytometers: each is read as real_files.csv says, or refused as it says.

A row of the table is a data set:

file, data_set
    Path in the data folder; number in a file of several.
version, events, channels
    What the file holds.
time
    ``forward``; ``shuffled`` where a program drew the events in another order; ``absent`` where
    no channel is Time.
flags
    Names of the flags that we give.
flowio, FlowCal, fcsparser
    ``reads``, or how the reader must be asked: settings of flowio; ``stored`` where it does not
    make the values linear; ``nameless`` where it gets the channels' names wrong. ``cannot:`` and
    the reason.
references
    ``asserted``: real_facts.toml; ``stored`` or ``linear`` and an array of the events; ``file``
    and another file with the same events.
error
    Our error's class and words, where the file is refused.

At least two of the other readers, or one reference, prove every data set that we read.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from other_readers import READERS, Values, make_linear, read_with

from cytoflow_car import errors
from cytoflow_car.fcs import read_fcs, read_header, read_keywords

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One data set of the table."""

    file: str
    data_set: int | None
    cells: dict[str, str]

    @property
    def name(self) -> str:
        """Path in the data folder, with the data set's number in a file of several."""
        return self.file if self.data_set is None else f"{self.file}#{self.data_set}"

    @property
    def readers(self) -> dict[str, frozenset[str]]:
        """Other readers that read it, and how they are asked."""
        return {
            reader: frozenset(self.cells[reader].split())
            for reader in READERS
            if not self.cells[reader].startswith("cannot:")
        }

    @property
    def references(self) -> list[tuple[str, str]]:
        """Kind and path of each reference."""
        cells = self.cells["references"].split("; ")
        return [(kind, path) for kind, _, path in (cell.partition(" ") for cell in cells) if kind]


def _read_table() -> list[Row]:
    with (_HERE / "real_files.csv").open(newline="", encoding="utf-8") as file:
        return [
            Row(cells["file"], int(cells["data_set"]) if cells["data_set"] else None, cells)
            for cells in csv.DictReader(file)
        ]


_ROWS = _read_table()
_READ = [row for row in _ROWS if not row.cells["error"]]
_REFUSED = [row for row in _ROWS if row.cells["error"]]
_SEVERAL = sorted({row.file for row in _ROWS if row.data_set is not None})
_FACTS: dict[str, dict[str, Any]] = tomllib.loads((_HERE / "real_facts.toml").read_text("utf-8"))


def _each(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def test_table_lists_every_file(data_folder: Path) -> None:
    found = {
        path.relative_to(data_folder).as_posix()
        for path in data_folder.rglob("*")
        if path.is_file() and (path.suffix.lower() in (".fcs", ".lmd") or _begins_as_fcs(path))
    }
    assert {row.file for row in _ROWS} == found


def _begins_as_fcs(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"FCS"


@_each(_READ)
def test_row_is_proved(row: Row) -> None:
    assert len(row.readers) >= 2 or row.references
    assert (row.name in _FACTS) == (("asserted", "") in row.references)


@_each(_READ)
def test_read_as_the_table_says(row: Row, data_folder: Path) -> None:
    path = data_folder / row.file
    sample = read_fcs(path, row.data_set)
    cells = row.cells
    assert sample.version == cells["version"]
    assert sample.events.values.shape == (int(cells["events"]), int(cells["channels"]))
    assert len(sample.events.channels) == int(cells["channels"])
    assert not sample.events.values.flags.writeable
    assert sorted(flag.partition(":")[0] for flag in sample.flags) == sorted(cells["flags"].split())
    header = read_header(path, row.data_set)
    assert (header.version, header.n_events) == (sample.version, len(sample.events))
    assert (header.channels, header.flags) == (sample.events.channels, sample.flags)
    if sample.time_channel is None:
        assert cells["time"] == "absent"
    else:
        backward = (np.diff(sample.events.column(sample.time_channel)) < 0).mean()
        assert backward == 0 if cells["time"] == "forward" else backward > 0.25
        assert cells["time"] in ("forward", "shuffled")


@_each(_REFUSED)
def test_refused_as_the_table_says(row: Row, data_folder: Path) -> None:
    path = data_folder / row.file
    kind, _, words = row.cells["error"].partition(": ")
    for read in (read_fcs, read_header):
        with pytest.raises(errors.FcsError) as caught:
            read(path)
        assert (type(caught.value).__name__, caught.value.problem) == (kind, words)
        assert str(caught.value).startswith(path.name)


@pytest.mark.parametrize(
    ("row", "reader"),
    [
        pytest.param(row, reader, id=f"{row.name}-{reader}")
        for row in _READ
        for reader in row.readers
    ],
)
def test_same_as_another_reader(row: Row, reader: str, data_folder: Path, tmp_path: Path) -> None:
    path = data_folder / row.file
    words = row.readers[reader]
    other = read_with(reader, path, row.data_set, words, tmp_path)
    events = read_fcs(path, row.data_set).events
    _assert_same(events.values, other.stored, other.linear)
    if "nameless" not in words:
        assert events.detectors == other.detectors
        if "stains_from_dataset" in row.cells["flags"]:
            assert not any(other.markers)
            return
        # FlowJo writes a blank for no marker.
        assert tuple(channel.marker or "" for channel in events.channels) == other.markers


@_each([row for row in _READ if row.references])
def test_same_as_the_references(row: Row, data_folder: Path) -> None:
    path = data_folder / row.file
    values = read_fcs(path, row.data_set).events.values
    for kind, reference in row.references:
        if kind == "file":
            same = read_fcs(data_folder / reference, row.data_set).events.values
            np.testing.assert_array_equal(values, same)
        elif kind != "asserted":
            array = np.load(data_folder / reference)
            linear = array if kind == "linear" else make_linear(array, read_keywords(path))
            _assert_same(values, None if kind == "linear" else array, linear)


@_each([row for row in _READ if row.name in _FACTS])
def test_asserted_facts(row: Row, data_folder: Path) -> None:
    path = data_folder / row.file
    facts = _FACTS[row.name]
    sample = read_fcs(path, row.data_set)
    if "stored" in facts:
        stored = np.array(facts["stored"], dtype=sample.events.values.dtype)
        linear = make_linear(stored, read_keywords(path, row.data_set))
        _assert_same(sample.events.values[: len(stored)], stored, linear)
    channels = sample.events.channels
    ours: dict[str, Any] = {
        "detectors": list(sample.events.detectors),
        "markers": [channel.marker or False for channel in channels],
        "voltages": {
            channel.detector: channel.voltage for channel in channels if channel.voltage is not None
        },
        "acquired_on": sample.acquired_on,
        "began_at": sample.began_at,
        "ended_at": sample.ended_at,
    }
    if "seconds" in facts:
        assert sample.time_channel is not None
        time = sample.events.column(sample.time_channel)
        ours["seconds"] = pytest.approx(time[-1] - time[0], rel=1e-6)
    stated = {key: fact for key, fact in facts.items() if key not in ("by", "stored")}
    assert stated == {key: ours[key] for key in stated}


@pytest.mark.parametrize("file", _SEVERAL)
def test_of_several_data_sets_the_modern_one_is_read(file: str, data_folder: Path) -> None:
    rows = [row for row in _ROWS if row.file == file]
    modern = [row for row in rows if row.cells["version"] >= "FCS3"]
    assert len(modern) == 1
    sample = read_fcs(data_folder / file)
    asked = read_fcs(data_folder / file, modern[0].data_set)
    assert (sample.dataset, sample.n_datasets) == (modern[0].data_set, len(rows))
    assert set(sample.flags) - set(asked.flags) == {
        f"several_datasets: {sample.dataset} of {len(rows)} is read"
    }
    np.testing.assert_array_equal(sample.events.values, asked.events.values)


def _assert_same(values: Values, stored: Values | None, linear: Values) -> None:
    """Columns that are as stored must be equal; the others to the last digit of our values."""
    assert values.shape == linear.shape
    rounded = linear.astype(values.dtype)
    if stored is None:
        as_stored = np.zeros(values.shape[1], dtype=bool)
    else:
        as_stored = (stored == linear).all(axis=0)
    np.testing.assert_array_equal(values[:, as_stored], rounded[:, as_stored])
    np.testing.assert_array_max_ulp(values[:, ~as_stored], rounded[:, ~as_stored], maxulp=1)
