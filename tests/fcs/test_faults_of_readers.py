"""What other FCS readers get wrong, fault by fault: each file is made byte by byte.

The first part follows a list of faults that were found in published readers, in its order; the
second part goes through the rest of what cytometers write. Expected values are plain arithmetic on
what the test put into the file.
"""

from __future__ import annotations

import csv
import struct
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from made import assemble, keywords_of, spell, write

from cytoflow_car.errors import (
    FcsDataError,
    FcsDatasetError,
    FcsError,
    FcsHeaderError,
    FcsTextError,
    FcsUnsupportedError,
    NotFcsError,
    PanelError,
)
from cytoflow_car.fcs import inspect_file, read_fcs, read_keywords, write_fcs
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.tree import PopulationRule, gate_events
from cytoflow_car.model.events import Channel, Events, Sample, Spillover
from cytoflow_car.model.panel import Marker, PreparedEvents
from cytoflow_car.model.scale import Linear
from cytoflow_car.preprocess.compensation import compensate, fluorescence_channels
from cytoflow_car.preprocess.panel import assign_markers
from cytoflow_car.qc.acquisition import AcquisitionSetting, check_acquisition
from cytoflow_car.study.batch import run_study
from cytoflow_car.template import load_template

Order = Literal["little", "big"]
Rows = Sequence[Sequence[float]]

#: 9 events × 4 channels, all different and exact in single precision.
FLOATS = [[1.5 * event, 100 + event, 1000 - event, 0.25 + event] for event in range(1, 10)]


def pack(stored: Rows, kinds: str, bits: Sequence[int], order: Order) -> bytes:
    """Pack values without gaps: little-endian from the lowest bit of a byte, big from its top."""
    stream = place = 0
    for row in stored:
        for value, kind, width in zip(row, kinds, bits, strict=True):
            code = {"F": ">f", "D": ">d"}.get(kind)
            number = int.from_bytes(struct.pack(code, value), "big") if code else int(value)
            stream = stream | number << place if order == "little" else stream << width | number
            place += width
    n_bytes = -(-place // 8)
    return (stream << (8 * n_bytes - place if order == "big" else 0)).to_bytes(n_bytes, order)


def file_of(
    stored: Rows,
    kinds: str = "F",
    bits: int | Sequence[int] = 32,
    *,
    order: Order = "little",
    version: str = "FCS3.1",
    header: tuple[int, int] = (0, 0),
    text: tuple[int, int] = (0, 0),
    before: bytes = b"",
    behind: bytes = b"",
    delimiter: str = "/",
    last: bool = True,
    **changed: str | None,
) -> bytes:
    """Make a file; `changed` are keywords without ``$``, dropped where they are None.

    One kind and one width stand for all channels. `header` and `text` are added to begin and end
    of DATA as they state it; `before` and `behind` are bytes around DATA.
    """
    n_channels = len(stored[0])
    kinds = kinds * n_channels if len(kinds) == 1 else kinds
    bits = [bits] * n_channels if isinstance(bits, int) else bits
    if kinds[0] == "A":
        data = "".join(f"{value:>{bits[0]}}" for row in stored for value in row).encode()
    else:
        data = pack(stored, kinds, bits, order)
    names = [f"D{number}" for number in range(1, n_channels + 1)]
    keywords = keywords_of(np.empty((len(stored), 0)), names, kinds[0])
    keywords["$BYTEORD"] = "1,2,3,4" if order == "little" else "4,3,2,1"
    for number, (kind, width) in enumerate(zip(kinds, bits, strict=True), 1):
        keywords[f"$P{number}B"] = str(width)
        if kind == "I":
            keywords[f"$P{number}R"] = str(2**width)
        if kind != kinds[0]:
            keywords[f"$P{number}DATATYPE"] = kind
    keywords |= {"$BEGINDATA": "0" * 10, "$ENDDATA": "0" * 10}
    keywords |= {f"${key}": value for key, value in changed.items() if value is not None}
    for key in (f"${key}" for key, value in changed.items() if value is None):
        del keywords[key]
    keywords = {key.replace(delimiter, 2 * delimiter): value for key, value in keywords.items()}
    begin = 58 + len(spell(keywords, delimiter, last)) + len(before)
    end = begin + len(data) - 1
    for key, place in (("$BEGINDATA", begin + text[0]), ("$ENDDATA", end + text[1])):
        key = key.replace(delimiter, 2 * delimiter)
        if keywords.get(key) == "0" * 10:
            keywords[key] = f"{place:010}"
    stated = (begin + header[0], end + header[1])
    all_data = before + data + behind
    return assemble(spell(keywords, delimiter, last), all_data, version=version, header_data=stated)


def names_of(flags: Sequence[str]) -> list[str]:
    return [flag.partition(":")[0] for flag in flags]


def reads(folder: Path, content: bytes, expected: Rows, *flags: str) -> Sample:
    """Assert that a file is read as these events, with flags of these names and no others."""
    sample = read_fcs(write(folder / "a.fcs", content))
    np.testing.assert_array_equal(sample.events.values, np.array(expected, dtype=np.float64))
    assert names_of(sample.flags) == list(flags)
    return sample


def refuses(folder: Path, content: bytes, kind: type[FcsError], *words: str) -> None:
    """Assert that a file is refused by an error of this very class that says these words."""
    with pytest.raises(FcsError) as caught:
        read_fcs(write(folder / "a.fcs", content))
    assert type(caught.value) is kind
    for word in words:
        assert word in str(caught.value)


# The list of faults, in its order.


@pytest.mark.parametrize("total", ["0", "2", "8", "10", "900"])
def test_total_too_small_or_too_large(tmp_path: Path, total: str) -> None:
    """The bytes that HEADER, TEXT and the file agree on are trusted; the flag says both numbers."""
    sample = reads(tmp_path, file_of(FLOATS, TOT=total), FLOATS, "tot_mismatch")
    assert f"$TOT {total}, DATA holds 9" in sample.flags[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # No whole events, so that the bytes confirm no other number.
        (file_of(FLOATS, TOT="8", header=(0, -3), text=(0, -3)), ["$TOT", "8.81 events"]),
        (file_of(FLOATS, TOT="900")[:-1], ["8 of 900 events are there"]),
        # A wrong $PnB of one of several widths would give whole events, too.
        (file_of([[event, 99] for event in range(9)], "I", [16, 8], TOT="8"), ["8 events ($TOT)"]),
        (file_of([[event, 99] for event in range(9)], "I", 10, TOT="8"), ["8 events ($TOT)"]),
        # HEADER says 7 events, TEXT 9, $TOT 8, the file's length 10.
        (
            file_of(FLOATS, TOT="8", header=(0, -32), behind=bytes(range(1, 17))),
            ["HEADER states", "TEXT states"],
        ),
    ],
)
def test_total_that_nothing_confirms(tmp_path: Path, content: bytes, words: list[str]) -> None:
    refuses(tmp_path, content, FcsDataError, *words)


@pytest.mark.parametrize("n_events", [8, 4])
def test_eight_channels_stated_of_four(tmp_path: Path, n_events: int) -> None:
    """With half of ``$TOT``, 4 channels of 8 events would pass for 8 channels of 4."""
    content = file_of(FLOATS[:8], PAR="8", TOT=str(n_events))
    refuses(tmp_path, content, FcsTextError, "$PAR is 8", "no channel 5")


@pytest.mark.parametrize("name", ["", None])
def test_name_missing_or_empty(tmp_path: Path, name: str | None) -> None:
    content = file_of(FLOATS, P1N="FSC-A", P2N=name, P3N="FITC-A", P4N="SSC-A")
    sample = reads(tmp_path, content, FLOATS, "detector_missing")
    assert sample.events.detectors == ("FSC-A", "P2", "FITC-A", "SSC-A")
    assert "$P2N" in sample.flags[0]
    column = assign_markers(sample.events.channels, [Marker("FITC", detectors=("FITC-A",))])["FITC"]
    assert sample.events.column(column).tolist() == [row[2] for row in FLOATS]


def test_name_doubled(tmp_path: Path) -> None:
    """Refused only by a template that asks for it."""
    content = file_of(FLOATS, P1N="FSC-A", P2N="FITC-A", P3N="FITC-A", P4N="PE-A")
    sample = reads(tmp_path, content, FLOATS, "detector_doubled")
    assert "$P3N" in sample.flags[0]
    assert assign_markers(sample.events.channels, [Marker("PE", detectors=("PE-A",))]) == {"PE": 3}
    with pytest.raises(PanelError, match="2 channels fit marker FITC"):
        assign_markers(sample.events.channels, [Marker("FITC", detectors=("FITC-A",))])


@pytest.mark.parametrize("spelled", ["4, 3, 2, 1", " 4,3,2,1 ", "4 ,3 , 2,1"])
def test_byte_order_with_blanks(tmp_path: Path, spelled: str) -> None:
    reads(tmp_path, file_of(FLOATS, order="big", BYTEORD=spelled), FLOATS)


@pytest.mark.parametrize("spelled", ["3,4,1,2", "2,1,4,3", "3, 4, 1, 2"])
def test_byte_order_mixed(tmp_path: Path, spelled: str) -> None:
    content = file_of(FLOATS, BYTEORD=spelled)
    refuses(tmp_path, content, FcsUnsupportedError, spelled.replace(" ", ""))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("bits", "n_channels", "n_events"),
    # 7 events of 30 bits are 26 bytes and 2 bits, of 50 bits 43 bytes and 6 bits.
    [(24, 3, 7), (64, 2, 7), (10, 3, 7), (10, 5, 7), (10, 4, 6), (10, 1, 9)],
)
def test_integers_of_24_64_and_10_bits(
    tmp_path: Path, order: Order, bits: int, n_channels: int, n_events: int
) -> None:
    most = 2 ** min(bits, 53)
    stored = [
        [(7 + 1_000_003 * event + 65_537**2 * channel) ** 3 % most for channel in range(n_channels)]
        for event in range(n_events)
    ]
    ranges: dict[str, Any] = {f"P{n}R": str(most) for n in range(1, n_channels + 1)}
    reads(tmp_path, file_of(stored, "I", bits, order=order, **ranges), stored)


def test_integer_range_written_with_a_point(tmp_path: Path) -> None:
    """Bits above ``1024.0`` are no part of a value."""
    values = [[1023, 17], [512, 0], [1, 1022]]
    stored = [[value + 1024 * 60 for value in row] for row in values]
    content = file_of(stored, "I", 16, P1R="1024.0", P2R="1024.0")
    sample = reads(tmp_path, content, values)
    assert [channel.range for channel in sample.events.channels] == [1024.0, 1024.0]


@pytest.mark.parametrize("kind", ["I", "A"])
def test_values_of_varying_width(tmp_path: Path, kind: str) -> None:
    content = file_of([[1, 2], [3, 4]], kind, 16, P1B="*")
    refuses(tmp_path, content, FcsUnsupportedError, "$P1B *")


@pytest.mark.parametrize("stated", ["0", "0.0", "-1024"])
def test_integer_range_zero(tmp_path: Path, stated: str) -> None:
    refuses(tmp_path, file_of([[5, 6]], "I", 16, P2R=stated), FcsTextError, "$P2R")


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kinds", ["FIDI", "IFID", "DIFI"])
def test_data_types_mixed(tmp_path: Path, kinds: str, order: Order) -> None:
    widths = {"F": 32, "D": 64}
    bits = [widths.get(kind, 16 if place == 1 else 24) for place, kind in enumerate(kinds)]
    stored = [
        [{"F": 0.25 * n, "D": n / 3, "I": 1000 + n}[kind] for kind in kinds] for n in range(1, 12)
    ]
    content = file_of(stored, kinds, bits, order=order, version="FCS3.2")
    reads(tmp_path, content, stored)


@pytest.mark.parametrize("mode", ["C", "U", "u"])
def test_histograms(tmp_path: Path, mode: str) -> None:
    content = file_of(FLOATS, MODE=mode)
    refuses(tmp_path, content, FcsUnsupportedError, f"$MODE {mode.upper()}", "list mode")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_supplemental_text(tmp_path: Path, place: str) -> None:
    """Keywords of both count: a gain that stands in the second one only divides its channel."""
    more = spell({"$P2S": "CD19", "$P3G": "4", "NOTE": "x", "$CYT": "second"})
    make: dict[str, Any] = {place: more, "CYT": "first", "BEGINSTEXT": "0" * 6, "ENDSTEXT": "0" * 6}
    begin = file_of(FLOATS, **make).index(more)
    make |= {"BEGINSTEXT": f"{begin:06}", "ENDSTEXT": f"{begin + len(more) - 1:06}"}
    content = file_of(FLOATS, **make)
    expected = [[a, b, c / 4, d] for a, b, c, d in FLOATS]
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    np.testing.assert_array_equal(sample.events.values, np.array(expected, dtype=np.float32))
    assert sample.flags == ()
    assert [channel.marker for channel in sample.events.channels] == [None, "CD19", None, None]
    keywords = read_keywords(tmp_path / "a.fcs")
    assert (keywords["NOTE"], keywords["$PAR"], keywords["$CYT"]) == ("x", "4", "first")


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("delimiter", list(".+?([^$"))
def test_delimiters_that_mean_something_elsewhere(
    tmp_path: Path, delimiter: str, last: bool
) -> None:
    sign = delimiter
    for value in ("ab", f"a{sign}b", f"{sign}a", f"a{sign}", f"{sign}a{sign}{sign}b"):
        # Beside the '$' of keywords nothing tells one inside a value.
        if sign == "$" and sign in value:
            continue
        content = file_of(FLOATS, delimiter=sign, last=last, P1N=value, COM=value, OP="end")
        sample = reads(tmp_path, content, FLOATS, *([] if last else ["text_unclosed"]))
        assert sample.events.detectors[0] == value
        assert read_keywords(tmp_path / "a.fcs")["$COM"] == value


def test_dollar_as_delimiter_and_inside_a_value(tmp_path: Path) -> None:
    """Hard to tell from the ``$`` of a keyword: such a file may be refused, but not misread."""
    path = write(tmp_path / "a.fcs", file_of(FLOATS, delimiter="$", P1N="a$b"))
    try:
        sample = read_fcs(path)
    except FcsTextError:
        return
    np.testing.assert_array_equal(sample.events.values, FLOATS)
    assert sample.events.detectors[0] == "a$b"


@pytest.mark.parametrize("delimiter", list(".+?([^$/|\\"))
def test_empty_value(tmp_path: Path, delimiter: str) -> None:
    content = file_of(FLOATS, delimiter=delimiter, P1S="", COM="", P2S="CD19", OP="")
    sample = reads(tmp_path, content, FLOATS)
    assert [channel.marker for channel in sample.events.channels] == [None, "CD19", None, None]
    keywords = read_keywords(tmp_path / "a.fcs")
    assert (keywords["$COM"], keywords["$OP"], keywords["$P2S"]) == ("", "", "CD19")


def test_keyword_with_and_without_dollar(tmp_path: Path) -> None:
    begin = spell({"$FIL": "standard", "FIL": "own"})
    text = begin + spell(keywords_of(np.array(FLOATS), list("ABCD")))[1:]
    content = assemble(text, pack(FLOATS, "FFFF", [32] * 4, "little"))
    reads(tmp_path, content, FLOATS)
    keywords = read_keywords(tmp_path / "a.fcs")
    assert (keywords["$FIL"], keywords["FIL"]) == ("standard", "own")


@pytest.mark.parametrize(("kind", "bits"), [("F", 32), ("D", 64)])
def test_logarithmic_amplification_of_floats(tmp_path: Path, kind: str, bits: int) -> None:
    sample = reads(
        tmp_path, file_of(FLOATS, kind, bits, P2E="4,1"), FLOATS, "amplification_ignored"
    )
    assert "$P2E" in sample.flags[0]


@pytest.mark.parametrize("gain", ["nan", "0", "0.0", "-2", "inf", "high", ""])
def test_gain_that_is_none(tmp_path: Path, gain: str) -> None:
    sample = reads(tmp_path, file_of(FLOATS, P2G=gain), FLOATS, "gain_unreadable")
    assert "$P2G" in sample.flags[0]
    assert sample.events.channels[1].gain == 1.0


@pytest.mark.parametrize("step", ["soon", "nan", "0", "-0.01", "", "1e999"])
def test_time_step_that_is_none(tmp_path: Path, step: str) -> None:
    sample = reads(
        tmp_path, file_of(FLOATS, P2N="Time", TIMESTEP=step), FLOATS, "timestep_unreadable"
    )
    assert sample.time_channel == 1


def test_time_named_otherwise(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", file_of(FLOATS, P2N="HDR-T", TIMESTEP="0.5")))
    assert (sample.time_channel, sample.flags) == (1, ())
    assert sample.events.column(1).tolist() == [row[1] * 0.5 for row in FLOATS]


@pytest.mark.parametrize("high_first", [True, False])
def test_time_of_two_halves(tmp_path: Path, high_first: bool) -> None:
    """Joined and in seconds; the second half counts 65,536 steps."""
    steps = [65_000 + 300 * event for event in range(9)]
    pairs = [[step // 65_536, step % 65_536] for step in steps]
    stored = [[*(pair if high_first else pair[::-1]), 77] for pair in pairs]
    first, second = ("Time-MSW", "Time-LSW") if high_first else ("Time-LSW", "Time-MSW")
    content = file_of(stored, "I", 16, P1N=first, P2N=second, TIMESTEP="0.25")
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert sample.time_channel == int(high_first)
    assert sample.events.column(int(high_first)).tolist() == [step * 0.25 for step in steps]
    assert sample.events.column(2).tolist() == [77] * 9
    assert names_of(sample.flags) == ["time_joined"]


@pytest.mark.parametrize("kind", [("F", 32), ("I", 16), ("I", 10), ("D", 64), ("A", 4)])
@pytest.mark.parametrize("place", ["none", "empty", "one byte"])
def test_no_events(tmp_path: Path, kind: tuple[str, int], place: str) -> None:
    """DATA of no bytes is stated as 0 to 0, as an end before the begin, or as a single byte."""
    keywords = keywords_of(np.empty((0, 2)), ["FSC-A", "PE-A"], *kind)
    begin = 58 + len(spell(keywords))
    offsets = {"none": (0, 0), "empty": (begin, begin - 1), "one byte": (begin, begin)}[place]
    content = assemble(spell(keywords), b"", header_data=offsets)
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert sample.events.values.shape == (0, 2)
    assert sample.events.detectors == ("FSC-A", "PE-A")
    assert sample.flags == ()


@pytest.mark.parametrize(
    ("content", "kind", "word"),
    [
        (file_of(FLOATS)[:58], FcsTextError, "cut short"),
        (file_of(FLOATS)[:200], FcsTextError, "cut short"),
        (file_of(FLOATS)[:30], FcsHeaderError, "ends after 30 bytes"),
        (b"", NotFcsError, "empty file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), NotFcsError, "'FCS'"),
        (b"sample_id,day\n" * 20, NotFcsError, "'FCS'"),
        (file_of(FLOATS, TOT=None), FcsTextError, "$TOT is missing"),
        (file_of(FLOATS, BYTEORD=None), FcsTextError, "$BYTEORD is missing"),
        (file_of(FLOATS, DATATYPE=None), FcsTextError, "$DATATYPE is missing"),
        (file_of(FLOATS, PAR=None), FcsTextError, "$PAR is missing"),
    ],
)
def test_truncated_text_no_fcs_and_missing_keywords(
    tmp_path: Path, content: bytes, kind: type[FcsError], word: str
) -> None:
    refuses(tmp_path, content, kind, word)


@pytest.mark.parametrize("stated", [("90000", "90100"), ("300", "200"), ("400", "4000000000")])
def test_analysis_that_is_elsewhere(tmp_path: Path, stated: tuple[str, str]) -> None:
    content = file_of(FLOATS, BEGINANALYSIS=stated[0], ENDANALYSIS=stated[1])
    reads(tmp_path, content, FLOATS, "analysis_offset")
    if all(len(offset) <= 8 for offset in stated):
        in_header = "".join(f"{offset:>8}" for offset in stated).encode()
        plain = file_of(FLOATS)
        reads(tmp_path, plain[:42] + in_header + plain[58:], FLOATS, "analysis_offset")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    """Their events are marked and counted, and no gate counts them, though infinity is bright."""
    stored = [[100.0 + event, 50.0, 25.0] for event in range(20)]
    stored[3][0] = stored[5][0] = stored[7][2] = value
    sample = reads(tmp_path, file_of(stored), stored)
    report = check_acquisition(
        sample.events,
        time_channel=None,
        columns=(0, 1, 2),
        scatter=(),
        setting=AcquisitionSetting(),
    )
    assert np.flatnonzero(~report.kept).tolist() == [3, 5, 7]
    found = {check.name: (check.value, check.unit) for check in report.checks}
    assert found["not_finite"] == found["marked"] == (15.0, "%")
    columns = {"A": 0, "C": 2}
    scales = dict.fromkeys(columns, Linear())
    prepared = PreparedEvents(compensate(sample.events, None), columns, scales)
    rules = (
        PopulationRule("root", Fixed("fixed", "A", "above", 110.0), "A above"),
        PopulationRule("root", Fixed("fixed", "A", "below", 110.0), "A below"),
        PopulationRule("root", Fixed("fixed", "C", "below", 30.0), "C below"),
    )
    tree = gate_events(prepared, rules, report.kept)
    # Of 100 … 119 without 103, 105 and 107: 10 from 110 on, 7 below.
    counts = [tree[name].count for name in ("root", "A above", "A below", "C below")]
    assert counts == [17, 10, 7, 17]


@pytest.mark.parametrize(
    "changed",
    [
        {"PAR": "1000000000"},
        {"TOT": "1000000000000"},
        {"ENDDATA": "9000000000000"},
        {"P1B": "1000000000", "DATATYPE": "I"},
        {"P1R": "1" + "0" * 5000, "DATATYPE": "I"},
        {"NEXTDATA": "1000000000000"},
        {"BEGINSTEXT": "1000000000", "ENDSTEXT": "9000000000"},
        {"BEGINANALYSIS": "1000000000", "ENDANALYSIS": "9000000000"},
        {"SPILLOVER": "1000000000,A,B"},
    ],
)
def test_absurd_sizes_cost_nothing(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Sizes are checked against the file before memory is taken or anything is counted up."""
    path = write(tmp_path / "a.fcs", file_of(FLOATS, **changed))
    tracemalloc.start()
    began = time.perf_counter()
    try:
        values = read_fcs(path).events.values
    except FcsError as error:
        values, refused = None, str(error)
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1.0
    assert peak < 2_000_000
    if values is None:
        assert f"${next(iter(changed))}" in refused
    else:
        np.testing.assert_array_equal(values, FLOATS)


# The rest of what cytometers write.


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("bits", range(8, 65))
def test_every_integer_width(tmp_path: Path, bits: int, order: Order) -> None:
    """Rows of two channels, the second of the same width; above 2^53 values are rounded once."""
    rng = np.random.default_rng(bits)
    stored = [[int(rng.integers(0, 2**bits, dtype=np.uint64, endpoint=False)) if bits < 64
               else int.from_bytes(rng.bytes(8), "big") for _ in range(2)]
              for _ in range(11)]  # fmt: skip
    stored[0], stored[1] = [2**bits - 1, 0], [0, 2**bits - 1]
    expected = [[float(value) for value in row] for row in stored]
    flags = ["precision_lost"] if bits > 53 else []
    reads(tmp_path, file_of(stored, "I", bits, order=order), expected, *flags)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("bits", [(8, 10, 32, 24, 12), (10, 16, 16, 10), (11, 13, 8), (64, 8, 40)])
def test_integer_widths_mixed(tmp_path: Path, bits: tuple[int, ...], order: Order) -> None:
    rng = np.random.default_rng(sum(bits))
    stored = [[int(rng.integers(0, 2 ** min(width, 53))) for width in bits] for _ in range(13)]
    changed: dict[str, Any] = {
        f"P{number}R": str(2**53) for number, width in enumerate(bits, 1) if width == 64
    }
    reads(tmp_path, file_of(stored, "I", bits, order=order, **changed), stored)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("bits", "stated", "mask"),
    [(16, "1024", 0x3FF), (16, "1000", 0x3FF), (10, "256", 0xFF), (32, "262144", 0x3FFFF),
     (24, "65536", 0xFFFF), (64, "4294967296", 0xFFFFFFFF), (16, "70000", 0xFFFF)],
)  # fmt: skip
def test_bits_above_the_range(
    tmp_path: Path, bits: int, stated: str, mask: int, order: Order
) -> None:
    stored = [[2**bits - 1 - 37 * event, 2**bits - 2 - 3 * event] for event in range(9)]
    expected = [[value & mask for value in row] for row in stored]
    content = file_of(stored, "I", bits, order=order, P1R=stated, P2R=stated)
    reads(tmp_path, content, expected)


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"])
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(("kind", "bits"), [("A", 6), ("I", 32), ("F", 32), ("D", 64)])
def test_every_data_type(tmp_path: Path, kind: str, bits: int, order: Order, version: str) -> None:
    stored = [[1000 * event + 1, 7 * event, 999 - event] for event in range(1, 9)]
    changed: dict[str, Any] = {f"P{number}R": "16000" for number in (1, 2, 3)}
    content = file_of(stored, kind, bits, order=order, version=version, **changed)
    reads(tmp_path, content, stored)


@pytest.mark.parametrize(
    ("spelled", "order"), [("1,2", "little"), ("2,1", "big"), ("2, 1", "big"), ("1", "little")]
)
def test_byte_order_of_other_lengths(tmp_path: Path, spelled: str, order: Order) -> None:
    stored = [[500 + event, 3 * event] for event in range(9)]
    reads(tmp_path, file_of(stored, "I", 16, order=order, BYTEORD=spelled), stored)


@pytest.mark.parametrize("spelled", ["1,2,3,3", "little", "1,2,3,", "0,1,2,3"])
def test_byte_order_that_is_none(tmp_path: Path, spelled: str) -> None:
    refuses(tmp_path, file_of(FLOATS, BYTEORD=spelled), FcsTextError, "$BYTEORD")


@pytest.mark.parametrize(
    ("content", "flag"),
    [
        (file_of([[5, 6]] * 9, "I", 16, P1E=None), "amplification_missing"),
        (file_of(FLOATS, P1E="4"), "amplification_ignored"),
        (file_of(FLOATS, P1E="log"), "amplification_ignored"),
        (file_of(FLOATS, P1N="Time"), "timestep_missing"),
    ],
)
def test_amplification_and_time_step_at_fault(tmp_path: Path, content: bytes, flag: str) -> None:
    expected = FLOATS if b"$DATATYPE/F" in content else [[5, 6]] * 9
    reads(tmp_path, content, expected, flag)


@pytest.mark.parametrize("spelled", ["4,0", "4.0,0.0"])
def test_amplification_with_offset_zero(tmp_path: Path, spelled: str) -> None:
    stored = [[0, 1], [256, 2], [512, 3], [768, 4]]
    content = file_of(stored, "I", 16, P1E=spelled, P1R="1024", P2R="1024")
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    np.testing.assert_allclose(sample.events.column(0), [1, 10, 100, 1000], rtol=1e-6)
    assert names_of(sample.flags) == ["amplification_offset"]


@pytest.mark.parametrize("name", ["Time", "TIME", "time", "HDR-T", "hdr-t", "HDR_T"])
def test_time_by_its_names(tmp_path: Path, name: str) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", file_of(FLOATS, P4N=name, TIMESTEP="2")))
    assert (sample.time_channel, sample.flags) == (3, ())
    assert sample.events.column(3).tolist() == [2 * row[3] for row in FLOATS]


def test_time_by_its_type(tmp_path: Path) -> None:
    content = file_of(FLOATS, version="FCS3.2", P4N="Clock", P4TYPE="Time", TIMESTEP="2")
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert sample.time_channel == 3
    assert sample.events.column(3).tolist() == [2 * row[3] for row in FLOATS]


LEGAL = [chr(code) for code in range(1, 127) if code != 32 and not chr(code).isalnum()]


@pytest.mark.parametrize("delimiter", LEGAL, ids=[f"{ord(sign):#04x}" for sign in LEGAL])
def test_every_legal_delimiter(tmp_path: Path, delimiter: str) -> None:
    assert len(LEGAL) == 63
    inside = "ab" if delimiter == "$" else f"a{delimiter}b"
    sample = reads(tmp_path, file_of(FLOATS, delimiter=delimiter, P1N=inside, P2S=""), FLOATS)
    assert sample.events.detectors[0] == inside


@pytest.mark.parametrize("delimiter", list("aZ09 "))
def test_delimiter_that_is_none(tmp_path: Path, delimiter: str) -> None:
    content = bytearray(file_of(FLOATS))
    content[58 : content.index(bytes(pack(FLOATS[:1], "FFFF", [32] * 4, "little")))] = spell(
        keywords_of(np.array(FLOATS), list("ABCD"))
    ).replace(b"/", delimiter.encode())
    refuses(tmp_path, bytes(content), FcsTextError, "TEXT: ")


def test_several_data_sets(tmp_path: Path) -> None:
    """All are listed; the first is read unless another one is asked for, and the choice told."""
    sets = [[[10.0 * n + event] for event in range(n)] for n in (1, 2, 3)]
    sizes = [len(file_of(stored, NEXTDATA="000000")) for stored in sets]
    steps = [*sizes[:-1], 0]
    content = b"".join(
        file_of(stored, NEXTDATA=f"{step:06}") for stored, step in zip(sets, steps, strict=True)
    )
    sample = reads(tmp_path, content, sets[0], "several_datasets")
    assert (sample.dataset, sample.n_datasets) == (1, 3)
    path = tmp_path / "a.fcs"
    listed = inspect_file(path)
    sizes_told = {1: listed.header.n_events} | {
        number: -1 if isinstance(other, FcsError) else other.n_events
        for number, other in listed.others.items()
    }
    assert sizes_told == {1: 1, 2: 2, 3: 3}
    for number, stored in enumerate(sets, 1):
        chosen = read_fcs(path, number)
        np.testing.assert_array_equal(chosen.events.values, stored)
        assert (chosen.dataset, chosen.flags) == (number, ())
    with pytest.raises(FcsDatasetError, match="1 to 3"):
        read_fcs(path, 4)


def test_events_behind_what_a_header_can_say(tmp_path: Path) -> None:
    """HEADER has 8 digits for an offset; DATA behind 99,999,999 is stated in TEXT only."""
    begin = 100_000_000
    data = pack(FLOATS, "FFFF", [32] * 4, "little")
    keywords = keywords_of(np.array(FLOATS), list("ABCD"))
    keywords |= {"$BEGINDATA": str(begin), "$ENDDATA": str(begin + len(data) - 1)}
    path = write(tmp_path / "a.fcs", assemble(spell(keywords), b"", header_data=(0, 0)))
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(data)
    sample = read_fcs(path)
    np.testing.assert_array_equal(sample.events.values, FLOATS)
    assert sample.flags == ()


# HEADER, TEXT and the file's length disagree.

#: So many events that a share of them is clear.
N_EVENTS = 200


def clock_and_signal() -> Iterator[list[float]]:
    """Yield Time, which runs forward, and a signal that does not; both lie below 1024."""
    for event in range(N_EVENTS):
        yield [1 + 2 * event, 1 + 389 * event % 1000]


def claims_of(content: bytes) -> tuple[str, str]:
    """Return what HEADER and TEXT say of DATA, in words."""
    in_header = (int(content[26:34]), int(content[34:42]))
    words = content[58 : int(content[18:26])].decode().split("/")
    in_text = (int(words[words.index(key) + 1]) for key in ("$BEGINDATA", "$ENDDATA"))
    return tuple(  # type: ignore[return-value]
        f"{source} states {begin} to {end}"
        for source, (begin, end) in (("HEADER", in_header), ("TEXT", in_text))
    )


def displaced(right: str, shift: int) -> dict[str, Any]:
    """Return what makes a file of two claims as long: one is right, the other so many bytes off."""
    other = {"header": "text", "text": "header"}[right]
    return {other: (shift, shift), "behind" if shift > 0 else "before": bytes(abs(shift))}


def reads_by(right: str, folder: Path, content: bytes, expected: Rows) -> str:
    """Assert that a file is read by one of its claims; return the flag, which tells both."""
    (flag,) = reads(folder, content, expected, "data_offsets_differ").flags
    assert all(claim in flag for claim in claims_of(content))
    assert f"{right.upper()} fits $TOT" in flag
    return flag


@pytest.mark.parametrize("right", ["header", "text"])
@pytest.mark.parametrize("error", [(0, -16), (16, 0), (0, 16), (-16, 0), (5, 0)])
def test_length_decides(tmp_path: Path, right: str, error: tuple[int, int]) -> None:
    """Only one of the claims is as long as ``$TOT`` events."""
    wrong: dict[str, Any] = {"text" if right == "header" else "header": error}
    reads_by(right, tmp_path, file_of(FLOATS, behind=bytes(16), **wrong), FLOATS)


@pytest.mark.parametrize("right", ["header", "text"])
@pytest.mark.parametrize("shift", [4, -4])
def test_time_alone_decides(tmp_path: Path, right: str, shift: int) -> None:
    """Displaced by one value, signal and Time change places: all values stay below ``$PnR``."""
    stored = list(clock_and_signal())
    make = displaced(right, shift)
    content = file_of(stored, P1N="Time", TIMESTEP="1", **make)
    assert "Time" in reads_by(right, tmp_path, content, stored)
    # The same bytes without a clock: nothing tells the claims apart.
    content = file_of(stored, P1N="FL1A", TIMESTEP="1", **make)
    refuses(tmp_path, content, FcsDataError, *claims_of(content))


@pytest.mark.parametrize("right", ["header", "text"])
@pytest.mark.parametrize("shift", [1, -1])
def test_range_alone_decides(tmp_path: Path, right: str, shift: int) -> None:
    """Displaced by one byte, a small number's low byte becomes the high one."""
    stored = list(clock_and_signal())
    make = displaced(right, shift)
    content = file_of(stored, "I", 16, P1R="1024", P2R="1024", **make)
    assert "$PnR" in reads_by(right, tmp_path, content, stored)
    # With a range that holds every 16-bit number, both claims are plausible.
    content = file_of(stored, "I", 16, P1R="65536", P2R="65536", **make)
    refuses(tmp_path, content, FcsDataError, *claims_of(content))


@pytest.mark.parametrize("names", [("Time", "PE-A"), ("FSC-A", "PE-A")])
def test_claims_that_are_both_plausible(tmp_path: Path, names: tuple[str, str]) -> None:
    """One event further, Time runs forward and values are in range in both."""
    stored = list(clock_and_signal())
    more = pack([[1001, 5]], "FF", [32, 32], "little")
    content = file_of(stored, P1N=names[0], P2N=names[1], TIMESTEP="1", text=(8, 8), behind=more)
    refuses(tmp_path, content, FcsDataError, *claims_of(content))


def test_claims_that_agree_against_the_length_of_the_file(tmp_path: Path) -> None:
    refuses(tmp_path, file_of(FLOATS)[:-1], FcsDataError, "8 of 9 events are there")
    reads(tmp_path, file_of(FLOATS, behind=b"\0" * 100), FLOATS)
    reads(tmp_path, file_of(FLOATS, behind=b"12345678"), FLOATS)


@pytest.mark.parametrize("error", [1, -1])
def test_end_of_data_one_byte_off(tmp_path: Path, error: int) -> None:
    content = file_of(FLOATS, header=(0, error), text=(0, error))
    reads(tmp_path, content, FLOATS, "data_end_off_by_one")


def test_repair_reaches_the_table_of_quality(tmp_path: Path) -> None:
    """What is put right in reading stands on the sample and, in the same words, in ``qc.csv``."""
    path = tmp_path / "fcs" / "a.fcs"
    path.parent.mkdir()
    channels = tuple(
        Channel(marker.detectors[0], marker.stains[0] if marker.stains else None)
        for marker in load_template("car_t_pb").markers
    )
    values = np.random.default_rng(0).uniform(1, 1000, (50, len(channels))).astype(np.float32)
    detectors = tuple(channels[column].detector for column in fluorescence_channels(channels))
    spillover = Spillover(detectors, np.eye(len(detectors)), "$SPILLOVER")
    write_fcs(path, Events(values, channels), spillover=spillover)
    content = path.read_bytes()
    end = int(content[34:42])
    write(path, content[:34] + f"{end - 40:>8}".encode() + content[42:])
    sample = read_fcs(path)
    np.testing.assert_array_equal(sample.events.values, values)
    (repair,) = [flag for flag in sample.flags if flag.startswith("data_offsets_differ: ")]
    assert f"HEADER states {int(content[26:34])} to {end - 40}" in repair
    sheet = {"file": "fcs/a.fcs", "sample_id": "s1", "patient_id": "P01", "specimen": "PB",
             "tube": "T", "template": "car_t_pb", "day": "0", "timing": "pre", "baseline": "yes",
             "batch": "S1"}  # fmt: skip
    (tmp_path / "samples.csv").write_text(f"{','.join(sheet)}\n{','.join(sheet.values())}\n")
    summary = run_study(tmp_path, tmp_path / "results", jobs=1, pictures=False)
    assert summary.failures == ()
    with (tmp_path / "results" / "qc.csv").open(encoding="utf-8", newline="") as stream:
        told = [row for row in csv.DictReader(stream) if row["check"] == "reading"]
    assert repair in [row["value"] for row in told if row["sample_id"] == "s1"]


@pytest.mark.parametrize(
    ("kinds", "bits", "ranges", "most", "storage"),
    [
        ("I", 24, 2**24, 2**24 - 1, np.float32),
        ("I", 25, 2**25, 2**25 - 1, np.float64),
        ("I", 32, 2**24, 2**24 - 1, np.float32),
        ("I", 32, 2**32, 2**32 - 1, np.float64),
        ("I", 64, 2**53, 2**53 - 1, np.float64),
        ("A", 8, 2**24, 2**24 - 1, np.float64),
        ("A", 9, 10**9, 10**9 - 1, np.float64),
        ("F", 32, 1024, 0.1, np.float32),
        ("D", 64, 1024, 0.1, np.float64),
        ("FI", [32, 16], 2**16, 2**16 - 1, np.float32),
        ("FI", [32, 32], 2**32, 2**32 - 1, np.float64),
        ("FD", [32, 64], 1024, 1 + 2**-50, np.float64),
    ],
)
def test_single_precision_only_where_nothing_is_lost(
    tmp_path: Path, kinds: str, bits: int | list[int], ranges: int, most: float, storage: type
) -> None:
    # What the first channel of mixed types holds fits single precision.
    first = 0.5 if len(kinds) > 1 else most
    if kinds == "F":
        first = most = float(np.float32(most))
    stored = [[first, most], [first, 0], [0, most]]
    content = file_of(stored, kinds, bits, P1R=str(ranges), P2R=str(ranges))
    assert reads(tmp_path, content, stored).events.values.dtype == storage


def test_time_of_two_halves_loses_nothing(tmp_path: Path) -> None:
    """Two halves of 16 bits make steps of 32 bits, which single precision does not hold."""
    steps = [2**24 + 1 + 2 * event for event in range(9)]
    stored = [[step // 65_536, step % 65_536] for step in steps]
    content = file_of(stored, "I", 16, P1N="Time-MSW", P2N="Time-LSW", TIMESTEP="1")
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert sample.events.column(1).tolist() == steps
    assert all(later > earlier for earlier, later in pairwise(sample.events.column(1)))
