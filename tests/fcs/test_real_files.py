"""Real files of many cytometers: the same events as flowio, or an error that names the fault."""

from __future__ import annotations

import warnings
from pathlib import Path

import flowio
import numpy as np
import pytest

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import read_fcs, read_header
from cytoflow_car.model.events import Sample

#: Files that flowio claims to have read, and why its answer is not the truth.
_FLOWIO_FAILS = {
    # It returns no events, only a warning: its integers have 8, 16 or 32 bits.
    "24 bits": ("sample001.fcs", "sample006.fcs", "sample007.fcs", "sample011.fcs",
                "Data003.fcs", "Cytek_xP5.fcs"),
    # It refuses to scale any event because $TIMESTEP is not a number.
    "$TIMESTEP": ("variable_int_example.fcs",),
}  # fmt: skip
#: CellQuest left $P3S and $P4S empty; flowio takes their delimiters as escaped ones, loses $P6N,
#: and names one channel less than it reads.
_FLOWIO_LOSES_A_NAME = ("0877408774.B08", "0877408774.E07", "0877408774.F06")


@pytest.fixture(scope="module")
def files(data_folder: Path) -> list[Path]:
    found = [path for path in sorted(data_folder.rglob("*")) if path.is_file() and _is_fcs(path)]
    if not found:
        pytest.skip("no file in the data folder begins with FCS")
    return found


def _is_fcs(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"FCS"


def _read_with_flowio(path: Path) -> flowio.FlowData | None:
    with warnings.catch_warnings():
        # flowio warns of widths that it does not read.
        warnings.simplefilter("ignore")
        try:
            return flowio.FlowData(path)
        except Exception:  # it raises what it meets: ValueError, KeyError, EOFError and its own
            return None


def test_same_events_as_flowio(files: list[Path]) -> None:
    known = {name for names in _FLOWIO_FAILS.values() for name in names}
    compared = []
    for path in files:
        expected = _read_with_flowio(path)
        if expected is None or path.name in known:
            continue
        sample = read_fcs(path)
        np.testing.assert_allclose(
            sample.events.values, expected.as_array(), rtol=2e-7, err_msg=path.name
        )
        compared.append(path)
        if path.name in _FLOWIO_LOSES_A_NAME:
            assert set(sample.events.detectors) - set(expected.pnn_labels) == {"FL1-A"}
            continue
        assert tuple(expected.pnn_labels) == sample.events.detectors, path.name
        markers = [channel.marker or "" for channel in sample.events.channels]
        # FlowJo writes a blank for no marker.
        assert [label.strip() for label in expected.pns_labels] == markers, path.name
    print(f"{len(compared)} of {len(files)} files compared:", *compared, sep="\n")
    assert compared


def test_files_of_24_bits(files: list[Path]) -> None:
    """Values stay below $PnR, and Time does not run backwards: so the bytes are read rightly."""
    named = [path for path in files if path.name in _FLOWIO_FAILS["24 bits"]]
    if not named:
        pytest.skip("no files of 24 bits in the data folder")
    for path in named:
        sample = read_fcs(path)
        assert sample.time_channel is not None
        assert (np.diff(sample.events.column(sample.time_channel)) >= 0).all(), path.name
        for column, channel in enumerate(sample.events.channels):
            if column != sample.time_channel:
                assert sample.events.values[:, column].max() < channel.range, path.name


def test_every_file_is_read_or_refused_by_name(files: list[Path]) -> None:
    refused = {}
    for path in files:
        try:
            sample = read_fcs(path)
        except CytoflowCarError as error:
            refused[path.name] = str(error)
        else:
            _check(sample)
            header = read_header(path)
            assert (header.n_events, header.flags) == (len(sample.events), sample.flags)
    print(*refused.values(), sep="\n")
    assert all(told.startswith(name) for name, told in refused.items())
    assert len(refused) <= len(files) // 10


def _check(sample: Sample) -> None:
    assert sample.events.values.shape[1] == len(sample.events.channels)
    assert not sample.events.values.flags.writeable


def test_lmd_reads_its_fcs3_data_set(files: list[Path]) -> None:
    lmd = [path for path in files if path.name == "coulter.lmd"]
    if not lmd:
        pytest.skip("coulter.lmd is not in the data folder")
    sample = read_fcs(lmd[0])
    assert (sample.version, sample.dataset, sample.n_datasets) == ("FCS3.0", 2, 2)
    assert "several_datasets: 2 of 2 is read" in sample.flags
    first = read_fcs(lmd[0], dataset=1)
    assert (first.version, len(first.events)) == ("FCS2.0", len(sample.events))
