"""What is written is read back, by this reader and by flowio."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import flowio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cytoflow_car.errors import (
    CytoflowCarError,
    FcsDataError,
    FcsError,
    FcsTextError,
    SpilloverError,
)
from cytoflow_car.fcs import hash_file, read_fcs, read_keywords, write_fcs
from cytoflow_car.fcs.text import is_structural
from cytoflow_car.model.events import Channel, Events, Spillover

words = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), min_size=1
).filter(lambda word: word == word.strip() and not is_structural(word))
detectors = words.filter(
    lambda word: "," not in word and re.sub(r"[\s_-]", "", word).lower() not in ("time", "hdrt")
)
ranges = st.floats(1e-3, 1e9)


@st.composite
def acquisitions(draw: st.DrawFn) -> tuple[Events, Spillover | None]:
    names = draw(st.lists(detectors, min_size=1, max_size=4, unique=True))
    channels = tuple(
        Channel(
            name,
            draw(st.none() | words),
            range=draw(ranges),
            voltage=draw(st.none() | st.floats(0, 1000)),
        )
        for name in names
    )
    shape = (draw(st.integers(0, 6)), len(names))
    values = draw(hnp.arrays(np.float32, shape, elements=st.floats(width=32)))
    matrix = draw(hnp.arrays(np.float64, (len(names),) * 2, elements=st.floats(-1, 1)))
    np.fill_diagonal(matrix, 1)
    spillover = Spillover(tuple(reversed(names)), matrix, "$SPILLOVER")
    return Events(values, channels), draw(st.none() | st.just(spillover))


@given(acquisitions(), st.dictionaries(st.sampled_from(["$CYT", "$COM", "NOTE"]), words))
@settings(max_examples=150, deadline=None)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    acquisition: tuple[Events, Spillover | None],
    keywords: dict[str, str],
) -> None:
    events, spillover = acquisition
    path = tmp_path_factory.getbasetemp() / "round_trip.fcs"
    write_fcs(path, events, spillover=spillover, keywords=keywords)
    sample = read_fcs(path)
    np.testing.assert_array_equal(sample.events.values, events.values)
    assert sample.events.channels == events.channels
    assert sample.version == "FCS3.1"
    assert sample.flags == ()
    if spillover is None:
        assert sample.spillover is None
    else:
        assert sample.spillover is not None
        assert sample.spillover.detectors == spillover.detectors
        np.testing.assert_array_equal(sample.spillover.matrix, spillover.matrix)
    read = read_keywords(path)
    assert {key: read[key] for key in keywords} == keywords


def make(n_events: int = 5, names: tuple[str, ...] = ("FSC-A", "CD19-A", "Time")) -> Events:
    values = np.random.default_rng(5).normal(size=(n_events, len(names))).astype(np.float32)
    return Events(np.abs(values), tuple(Channel(name) for name in names))


def test_flowio_reads_the_same(tmp_path: Path) -> None:
    events = make(1000)
    write_fcs(tmp_path / "a.fcs", events, keywords={"$TIMESTEP": "0.01"})
    read = flowio.FlowData(tmp_path / "a.fcs")
    np.testing.assert_allclose(read.as_array(), events.values, rtol=2e-7)
    assert tuple(read.pnn_labels) == events.detectors


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.fcs", "b.fcs"):
        write_fcs(tmp_path / name, make(), keywords={"$CYT": "x"})
    assert hash_file(tmp_path / "a.fcs") == hash_file(tmp_path / "b.fcs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fcs", "b.fcs"]


@pytest.mark.parametrize("step", ["0.01", "0.001", "0.08"])
def test_whole_steps_of_time_come_back_exactly(tmp_path: Path, step: str) -> None:
    steps = np.arange(0, 5_000_000, 37, dtype=np.float64)
    seconds = (steps * float(step)).astype(np.float32)
    events = Events(seconds[:, None], (Channel("Time"),))
    write_fcs(tmp_path / "a.fcs", events, keywords={"$TIMESTEP": step})
    np.testing.assert_array_equal(read_fcs(tmp_path / "a.fcs").events.values, events.values)
    stored = flowio.FlowData(tmp_path / "a.fcs").as_array(preprocess=False)
    np.testing.assert_array_equal(stored[:, 0], steps)


@pytest.mark.parametrize("n_events", [0, 1])
def test_offsets_that_cross_a_power_of_ten(tmp_path: Path, n_events: int) -> None:
    """The offsets in TEXT change its length; every length around 1000 bytes must be written."""
    events = make(n_events, ("A",))
    for length in range(530, 560):
        write_fcs(tmp_path / "a.fcs", events, keywords={"NOTE": "x" * length})
        sample = read_fcs(tmp_path / "a.fcs")
        np.testing.assert_array_equal(sample.events.values, events.values)
        assert sample.flags == ()


@pytest.mark.parametrize(
    ("names", "keywords", "kind"),
    [
        (("",), {}, FcsTextError),
        (("A,B",), {}, FcsTextError),
        ((), {}, FcsTextError),
        (("A",), {"$CYT": ""}, FcsTextError),
        (("A",), {"FIL": "x"}, FcsTextError),
        (("A",), {"$UNKNOWN": "x"}, FcsTextError),
        (("A",), {"$TOT": "7"}, FcsTextError),
        (("A",), {"$P1N": "B"}, FcsTextError),
        (("A",), {"a/b": "x"}, FcsTextError),
        (("A",), {"$SPILLOVER": "x"}, FcsTextError),
        (("Time",), {"$TIMESTEP": "x"}, FcsTextError),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, names: tuple[str, ...], keywords: dict[str, str], kind: type[CytoflowCarError]
) -> None:
    with pytest.raises(kind):
        write_fcs(tmp_path / "a.fcs", make(3, names), keywords=keywords)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path: Path) -> None:
    events = make()
    with pytest.raises(SpilloverError, match="PE-A"):
        write_fcs(tmp_path / "a.fcs", events, spillover=Spillover(("PE-A",), np.eye(1), ""))
    with pytest.raises(FcsDataError, match=r"3\.4e38"):
        write_fcs(tmp_path / "a.fcs", Events(np.full((1, 1), 1e39), (Channel("A"),)))
    with pytest.raises(FcsError, match="cannot be written"):
        write_fcs(tmp_path / "absent" / "a.fcs", events)
    assert list(tmp_path.iterdir()) == []


def test_letters_beyond_ascii(tmp_path: Path) -> None:
    events = Events(np.zeros((1, 1), np.float32), (Channel("Größe-A", "κ light chain"),))
    write_fcs(tmp_path / "a.fcs", events)
    assert read_fcs(tmp_path / "a.fcs").events.channels == events.channels


def test_reading_needs_no_flowio() -> None:
    """Only numpy is imported before a file is written."""
    check = "import sys, cytoflow_car.fcs as f; sys.exit('flowio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_time_in_two_halves_is_refused(tmp_path: Path) -> None:
    events = Events(np.zeros((2, 2)), (Channel("TIME LSW"), Channel("TIME MSW")))
    with pytest.raises(FcsTextError, match="two halves"):
        write_fcs(tmp_path / "a.fcs", events, keywords={"$TIMESTEP": "0.01"})


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(FcsError, match="no file has this name"):
        write_fcs(name, Events(np.zeros((1, 1)), (Channel("A"),)))
