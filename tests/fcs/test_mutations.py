"""Thousands of small faults: each gives the original events, a named error, or what it now says."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from made import assemble, keywords_of, spell
from mutations import (
    ALL_KINDS,
    KINDS,
    MOST_BYTES,
    MOST_SECONDS,
    Mutation,
    mutate,
    overwrite,
    write_anew,
)
from standard import interpret, split
from standard_values import ContradictionError, Meaning, decode
from valid_files import N_EVENTS, ValidFile, make_files

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import read_fcs, read_header
from cytoflow_car.model.events import Sample

FILES = make_files()
#: What the reader says of valid files.
FLAGS = {
    "two data sets": ("several_datasets: 1 of 2 is read",),
    "FCS 2.0 and 3.0": ("several_datasets: 2 of 2 is read",),
}

# What may come of a file that breaks the standard. A valid file must mean what it says.
ERROR = "a named error"
SAME = "the original events"
FLAGGED = "the original events with a flag"
#: TEXT is taken by its words and DATA from where it truly is.
REREAD = "what TEXT says of the true DATA, with a flag"
#: The standard is broken, but only one reading is left.
READ = "the only reading, with a flag"
#: HEADER and TEXT agree against ``$TOT``, and leave out whole events at an end.
FEWER = "some of the original events, with a flag"
#: A changed version or a moved byte may leave a meaning that the rest of the file speaks against.
REFUSED = "a named error although the standard has a meaning"
#: TEXT that is cut between two keywords is valid and means less, but the rest is there to be seen.
KEPT = "the original events with a flag although the standard has another meaning"

TORN = {ERROR, FLAGGED, REREAD}
EXPECTED: dict[str, set[str]] = {
    "DATA byte": {ERROR},
    "HEADER, offsets of TEXT": {ERROR, FLAGGED, KEPT},
    "HEADER, offsets of DATA": {ERROR, FLAGGED},
    "HEADER, offsets of ANALYSIS": {ERROR, SAME},
    "version": {ERROR, SAME, REFUSED},
    "keyword's name": {ERROR, FLAGGED, READ},
    "$TOT": {ERROR, FLAGGED},
    "$PAR": {ERROR},
    "$PnB": {ERROR, FLAGGED},
    "$PnR": {ERROR, FLAGGED},
    "$PnE": {ERROR, FLAGGED, READ},
    "$PnG": {ERROR, READ},
    "$TIMESTEP": {ERROR, READ},
    "$BYTEORD": {ERROR},
    "$DATATYPE": {ERROR},
    "$PnN, $PnS": {FLAGGED},
    "$BEGINDATA, $ENDDATA": {ERROR, FLAGGED},
    "$BEGINSTEXT, $ENDSTEXT": {ERROR, FLAGGED},
    "$BEGINANALYSIS, $ENDANALYSIS": {ERROR, SAME},
    "$NEXTDATA": {ERROR, FLAGGED, READ},
    "delimiter overwritten": TORN | {READ},
    "delimiter written": TORN | {READ, SAME},
    "TEXT shortened": TORN | {REFUSED},
    "TEXT lengthened": TORN | {REFUSED},
    "DATA shortened": {ERROR, READ, REFUSED},
    "DATA lengthened": {ERROR, READ, REFUSED},
    "cut short": {ERROR, FLAGGED, READ, REFUSED},
    "junk appended": {ERROR},
    "offsets in HEADER and TEXT alike": {ERROR, FLAGGED, FEWER, KEPT, REFUSED},
    "two faults": TORN | {READ, FEWER, KEPT, REFUSED},
}


def is_same(sample: Sample, events: Sequence[Sequence[float]]) -> bool:
    values = sample.events.values
    expected = np.array(events, dtype=np.float64)
    if expected.shape != values.shape:
        return False
    # Numbers of the changed file may be beyond single precision, and NaN.
    with np.errstate(all="ignore"):
        rounded = expected.astype(values.dtype)
        tolerance = 2e-7 if values.dtype == np.float32 else 1e-12
        return bool(np.isclose(values, rounded, rtol=tolerance, atol=1e-44, equal_nan=True).all())


def reread(original: ValidFile, changed: ValidFile) -> Iterator[Meaning]:
    """Yield what TEXT, as it is and as it was, says of the true DATA and number of events."""
    for file in (changed, original):
        text = file.content[slice(*file.text)]
        try:
            keywords = split(text)[0]
        except ContradictionError:
            # The standard knows no empty values; cytometers write them.
            words = text.decode("latin-1").split(chr(text[0]))[1:-1] if text else []
            keywords = dict(zip(words[::2], words[1::2], strict=False))
        keywords = file.supplement | keywords | {"$TOT": str(N_EVENTS)}
        with contextlib.suppress(ContradictionError):
            yield decode(keywords, changed.content[slice(*changed.data)], file.version)


def judge(
    original: ValidFile,
    mutation: Mutation,
    allowed: set[str],
    path: Path,
    number: int | None = None,
) -> str:
    """Return what is wrong with how a data set of a changed file was read; empty where nothing is.

    By default the data set that is read by default.
    """
    write_anew(path, mutation.file.content)
    events = original.events if number is None else interpret(original.content, number).events
    try:
        meaning = interpret(mutation.file.content, number)
    except ContradictionError:
        meaning = None
    is_valid = meaning is not None and not meaning.doubts
    try:
        sample = read_fcs(path, number)
    except CytoflowCarError as error:
        if isinstance(error.__cause__, OSError):
            return f"the system refuses: {error}"
        if is_valid and REFUSED not in allowed:
            return f"a valid file is refused: {error}"
        return "" if ERROR in allowed or is_valid else f"refused: {error}"
    # The events may add doubts of their own.
    assert set(read_header(path, number).flags) <= set(sample.flags)
    if meaning is not None and is_valid and is_same(sample, meaning.events):
        names = [(channel.detector, channel.marker) for channel in sample.events.channels]
        expected = list(zip(meaning.detectors, meaning.markers, strict=True))
        if names == expected:
            return ""
        if KEPT not in allowed:
            return f"channels {names}, expected {expected}"
    flags = set(sample.flags) - set(FLAGS.get(original.name, ()) if number is None else ())
    if is_same(sample, events) and (SAME in allowed or (KEPT in allowed and flags)):
        return ""
    if is_valid:
        return f"not what the file says, flags {sample.flags}"
    if is_same(sample, events):
        told = FLAGGED in allowed
    else:
        is_own = number in (None, original.number)
        again = list(reread(original, mutation.file)) if is_own else []
        n_events = len(sample.events)
        told = (
            (READ in allowed and meaning is not None and is_same(sample, meaning.events))
            or (REREAD in allowed and any(is_same(sample, one.events) for one in again))
            or (FEWER in allowed and is_same(sample, events[:n_events]))
            or (FEWER in allowed and is_same(sample, events[-n_events:]))
        )
    if not told:
        return f"other events than any reading allows, flags {sample.flags}"
    return "" if flags else "no flag"


def test_every_kind_has_its_expectation() -> None:
    assert set(EXPECTED) == set(ALL_KINDS)


@pytest.mark.parametrize("name", FILES)
def test_valid_files_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.fcs"
    path.write_bytes(FILES[name].content)
    sample = read_fcs(path)
    meaning = interpret(FILES[name].content)
    assert meaning.doubts == ()
    assert is_same(sample, meaning.events)
    assert is_same(sample, FILES[name].events)
    assert sample.flags == FLAGS.get(name, ())


@pytest.mark.parametrize("name", FILES)
def test_a_byte_of_data_changes_its_event_alone(tmp_path: Path, name: str) -> None:
    """Of events that begin inside bytes, a byte may belong to two."""
    file = FILES[name]
    path = tmp_path / "a.fcs"
    for place in range(*file.data):
        changed = overwrite(file, place, bytes([file.content[place] ^ 1])).file
        write_anew(path, changed.content)
        try:
            values = read_fcs(path).events.values
        except CytoflowCarError:
            # A bit may make a sign of a digit, but of no other data.
            assert name == "ASCII"
            continue
        bits = 8 * (place - file.data[0])
        own = {bits // file.row_bits, (bits + 7) // file.row_bits}
        with np.errstate(all="ignore"):
            expected = np.array(file.events).astype(values.dtype)
            far = ~np.isclose(values, expected, rtol=2e-7, atol=1e-44, equal_nan=True)
        assert set(np.flatnonzero(far.any(axis=1))) <= own


@pytest.mark.parametrize("kind", EXPECTED)
def test_mutations(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.fcs"
    wrong = []
    for original in FILES.values():
        for mutation in mutate(kind, original):
            fault = judge(original, mutation, EXPECTED[kind], path)
            if fault:
                wrong.append(f"{original.name}, {mutation.what}: {fault}")
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_of_data_sets_by_number(tmp_path: Path, kind: str) -> None:
    """Faults of one data set may hide the other, but not change it."""
    path = tmp_path / "a.fcs"
    wrong = []
    for name in FLAGS:
        for number in (1, 2):
            is_other = number != FILES[name].number
            allowed = EXPECTED[kind] | ({ERROR, SAME, REFUSED} if is_other else {ERROR})
            for mutation in mutate(kind, FILES[name]):
                fault = judge(FILES[name], mutation, allowed, path, number)
                if fault:
                    wrong.append(f"{name}, {number}, {mutation.what}: {fault}")
    assert wrong == []


def test_many_delimiters_in_one_value(tmp_path: Path) -> None:
    """Time grows with the length of TEXT, not with its square."""
    values = np.zeros((6, 1), dtype="<f4")
    text = spell(keywords_of(values, ["A"]) | {"NOTE": "a/" * 300_000})
    path = tmp_path / "a.fcs"
    path.write_bytes(assemble(text, values.tobytes()))
    began = time.perf_counter()
    assert len(read_fcs(path).events) == 6
    assert time.perf_counter() - began < MOST_SECONDS


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process as on Linux")
def test_time_and_memory(tmp_path: Path, repository_root: Path) -> None:
    program = repository_root / "tests" / "fcs" / "read_mutations.py"
    finished = subprocess.run(
        [sys.executable, program, tmp_path],
        cwd=repository_root,
        env={**os.environ, "PYTHONPATH": str(repository_root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    measured = json.loads(finished.stdout)
    assert measured["n"] > 5000
    assert measured["slowest"] < MOST_SECONDS
    assert measured["grown"] < MOST_BYTES
