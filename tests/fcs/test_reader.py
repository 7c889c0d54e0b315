"""Every rule of the reader, on a file that is made for it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from made import assemble, keywords_of, small, small_values, spell, with_offsets, write

from cytoflow_car.errors import (
    CytoflowCarError,
    FcsDataError,
    FcsDatasetError,
    FcsError,
    FcsHeaderError,
    FcsTextError,
    FcsUnsupportedError,
    NotFcsError,
)
from cytoflow_car.fcs import hash_file, read_fcs, read_header, read_keywords

RNG = np.random.default_rng(3)


def flag_names(flags: tuple[str, ...]) -> list[str]:
    return [flag.partition(":")[0] for flag in flags]


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"])
@pytest.mark.parametrize(("data_type", "code"), [("F", "f4"), ("D", "f8")])
@pytest.mark.parametrize(("order", "spelled"), [("<", "1,2,3,4"), (">", "4, 3, 2, 1")])
def test_floating_point(
    tmp_path: Path, version: str, data_type: str, code: str, order: str, spelled: str
) -> None:
    values = RNG.normal(size=(50, 3)).astype(code)
    keywords = keywords_of(values, ["A", "B", "C"], data_type, 8 * values.itemsize)
    keywords["$BYTEORD"] = spelled
    content = assemble(spell(keywords), values.astype(order + code).tobytes(), version=version)
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert sample.version == version
    assert sample.events.values.dtype == np.dtype(code)
    assert sample.flags == ()
    np.testing.assert_array_equal(sample.events.values, values)
    with pytest.raises(ValueError, match="read-only"):
        sample.events.values[0, 0] = 1


@pytest.mark.skipif(sys.byteorder != "little", reason="a view needs the machine's own order")
def test_nothing_to_convert_is_not_copied(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small()))
    assert type(sample.events.values) is np.ndarray
    assert isinstance(sample.events.values.base, np.memmap)
    np.testing.assert_array_equal(sample.events.values, small_values())


@pytest.mark.parametrize(("order", "spelled"), [("little", "1,2,3,4"), ("big", "4,3,2,1")])
@pytest.mark.parametrize(
    "widths", [(8, 8), (16, 16), (24, 24), (32, 32), (64, 64), (8, 32, 16, 24)]
)
def test_integers(tmp_path: Path, order: str, spelled: str, widths: tuple[int, ...]) -> None:
    stored = [[int(RNG.integers(0, 2 ** min(bits, 62))) for bits in widths] for _ in range(40)]
    data = b"".join(
        value.to_bytes(bits // 8, order)
        for row in stored
        for value, bits in zip(row, widths, strict=True)
    )
    keywords = keywords_of(np.zeros(40), [f"D{bits}" for bits in range(len(widths))], "I")
    keywords["$BYTEORD"] = spelled
    for number, bits in enumerate(widths, 1):
        keywords |= {f"$P{number}B": str(bits), f"$P{number}R": str(2**bits)}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), data)))
    expected = np.float32 if max(widths) <= 24 else np.float64
    assert sample.events.values.dtype == expected
    np.testing.assert_array_equal(sample.events.values, np.array(stored, dtype=expected))


@pytest.mark.parametrize(("bits", "flags"), [(53, []), (54, ["precision_lost"])])
def test_integers_that_float64_cannot_hold(tmp_path: Path, bits: int, flags: list[str]) -> None:
    stored = np.array([[2**53 - 1], [7]], dtype="<u8")
    keywords = keywords_of(stored, ["A"], "I", 64) | {"$P1R": str(2**bits)}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), stored.tobytes())))
    np.testing.assert_array_equal(sample.events.values, stored)
    assert flag_names(sample.flags) == flags


@pytest.mark.parametrize(("range_", "mask"), [("1024", 1023), ("1024.0", 1023), ("1000", 1023)])
def test_bits_above_the_range_are_masked(tmp_path: Path, range_: str, mask: int) -> None:
    stored = np.array([[1023], [1024], [65535]], dtype="<u2")
    keywords = keywords_of(stored, ["FL1-H"], "I", 16) | {"$P1R": range_}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), stored.tobytes())))
    np.testing.assert_array_equal(sample.events.values[:, 0], stored[:, 0] & mask)
    assert sample.events.channels[0].range == float(range_)


@pytest.mark.parametrize(("spelled", "offset"), [("4,1", 1.0), ("4.0, 0.1", 0.1), ("4,0", 1.0)])
def test_logarithmic_integers_become_linear(tmp_path: Path, spelled: str, offset: float) -> None:
    stored = np.array([[0], [256], [512], [1023]], dtype="<u2")
    keywords = keywords_of(stored, ["FL1-H"], "I", 16) | {"$P1E": spelled}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), stored.tobytes())))
    expected = offset * np.array([1, 10, 100, 10 ** (4 * 1023 / 1024)])
    np.testing.assert_allclose(sample.events.values[:, 0], expected, rtol=1e-6)
    assert sample.events.channels[0].range == pytest.approx(offset * 1e4)
    assert flag_names(sample.flags) == (["amplification_offset"] if spelled == "4,0" else [])


def test_logarithm_of_floating_point_is_ignored(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(P1E="4,1")))
    np.testing.assert_array_equal(sample.events.values, small_values())
    assert flag_names(sample.flags) == ["amplification_ignored"]


@pytest.mark.parametrize(
    ("gain", "divisor", "flags"),
    [("2", 2, []), ("0", 1, ["gain_unreadable"]), ("nan", 1, ["gain_unreadable"])],
)
def test_gain(tmp_path: Path, gain: str, divisor: float, flags: list[str]) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(P2G=gain)))
    np.testing.assert_array_equal(sample.events.values[:, 1], small_values()[:, 1] / divisor)
    assert sample.events.channels[1].gain == divisor
    assert sample.events.channels[1].range == 1024 / divisor
    assert flag_names(sample.flags) == flags


@pytest.mark.parametrize("name", ["Time", "TIME", "HDR-T"])
def test_time_in_seconds(tmp_path: Path, name: str) -> None:
    """The gain of Time, which repeats the time step, does not count."""
    sample = read_fcs(write(tmp_path / "a.fcs", small(P2N=name, P2G="0.01", TIMESTEP="0.01")))
    assert sample.time_channel == 1
    np.testing.assert_allclose(sample.events.values[:, 1], small_values()[:, 1] * 0.01, rtol=2e-7)
    assert sample.flags == ()


@pytest.mark.parametrize("step", ["", "xxxx", "0", "nan"])
def test_unreadable_time_step(tmp_path: Path, step: str) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(P2N="Time", TIMESTEP=step)))
    np.testing.assert_array_equal(sample.events.values, small_values())
    assert flag_names(sample.flags) == ["timestep_unreadable"]


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    """Quiet and signalling NaN, and what a tiny gain makes infinite, are kept without a warning."""
    bits = np.array([0x7FC00000, 0x7F800001, 0x7F800000, 0x42C80000], dtype="<u4")
    keywords = keywords_of(bits[:, None], ["Time"]) | {"$TIMESTEP": "1e200"}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), bits.tobytes())))
    np.testing.assert_array_equal(sample.events.values[:, 0], [np.nan, np.nan, np.inf, np.inf])
    keywords = keywords_of(bits[:, None], ["FSC-A"])
    events = read_fcs(write(tmp_path / "b.fcs", assemble(spell(keywords), bits.tobytes()))).events
    expected = np.array([np.nan, np.nan, np.inf, 100])
    np.testing.assert_array_equal(events.column(0), expected)
    for rows in (np.arange(4), np.array([1, 3])):
        np.testing.assert_array_equal(events.column(0, rows), expected[rows])


def test_scaling_is_rounded_once(tmp_path: Path) -> None:
    stored = np.array([[16777215]], dtype="<u4")
    keywords = keywords_of(stored, ["Time"], "I") | {"$P1R": "16777216", "$TIMESTEP": "0.1"}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), stored.tobytes())))
    assert sample.events.values[0, 0] == np.float32(16777215 * 0.1)


@pytest.mark.parametrize("delimiter", list("/|\\!#%&*,-.:;=?@^_`~+([{}])<>'\"\t\x0c\x1e\x01"))
@pytest.mark.parametrize("last", [True, False])
def test_delimiters(tmp_path: Path, delimiter: str, last: bool) -> None:
    values = small_values()
    keywords = keywords_of(values, ["FSC-A", "CD19-A"])
    # Values with the delimiter inside and at both edges; commas cannot delimit lists of numbers.
    keywords |= {
        "$P1N": f"a{delimiter}b",
        "$CYT": f"{delimiter}x{delimiter}{delimiter}y",
        "$BYTEORD": "4,3,2,1",
        "FIL": f"x{delimiter}" if last else "x",
    }
    del keywords["$P1E"], keywords["$P2E"]
    content = assemble(spell(keywords, delimiter, last), values.astype(">f4").tobytes())
    path = write(tmp_path / "a.fcs", content)
    read = read_keywords(path)
    strip = " \t\r\n"
    assert read == {key: value.strip(strip) for key, value in keywords.items()}
    np.testing.assert_array_equal(read_fcs(path).events.values, values)


@pytest.mark.parametrize("doubled", [True, False])
def test_dollar_as_delimiter(tmp_path: Path, doubled: bool) -> None:
    values = small_values()
    keywords = keywords_of(values, ["FSC-A", "CD19-A"])
    text = "".join(f"${'$' if doubled else ''}{key}${value}" for key, value in keywords.items())
    content = assemble(f"{text}$".encode(), values.tobytes())
    assert read_keywords(write(tmp_path / "a.fcs", content)) == keywords


@pytest.mark.parametrize(
    ("key", "value"), [("$FIL", "C:/x.fcs"), ("$P1S", "CD14/CD19"), ("$COM", "a/b/c/d")]
)
def test_delimiters_that_are_not_doubled(tmp_path: Path, key: str, value: str) -> None:
    values = small_values()
    keywords = keywords_of(values, ["A", "B"]) | {key: "?", "$P2G": "2"}
    text = spell(keywords).replace(b"?", value.encode())
    path = write(tmp_path / "a.fcs", assemble(text, values.tobytes()))
    sample = read_fcs(path)
    np.testing.assert_array_equal(sample.events.values, values / [1, 2])
    assert read_keywords(path)[key] == value
    assert flag_names(sample.flags) == ["text_delimiters"]


@pytest.mark.parametrize("key", ["$P1G", "$P1R", "$TOT", "$P1N"])
def test_delimiters_in_a_value_that_events_depend_on(tmp_path: Path, key: str) -> None:
    values = small_values()
    keywords = keywords_of(values, ["A", "B"]) | {key: "?", "$P2G": "2"}
    text = spell(keywords).replace(b"?", b"6/1")
    with pytest.raises(FcsTextError, match="out of step"):
        read_fcs(write(tmp_path / "a.fcs", assemble(text, values.tobytes())))


def test_empty_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fcs", small(FIL="", P1S="", P2S="CD19 PE", OP=""))
    assert read_keywords(path)["$FIL"] == ""
    assert [channel.marker for channel in read_header(path).channels] == [None, "CD19 PE"]


def test_two_keywords_that_differ_by_the_dollar(tmp_path: Path) -> None:
    values = small_values()
    keywords = keywords_of(values, ["A", "B"]) | {"$FIL": "one", "FIL": "two", "fil lower": "3"}
    path = write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes()))
    read = read_keywords(path)
    assert (read["$FIL"], read["FIL"], read["FIL LOWER"]) == ("one", "two", "3")


def test_names_that_are_missing_empty_or_doubled(tmp_path: Path) -> None:
    values = np.arange(16, dtype="<f4").reshape(4, 4)
    keywords = keywords_of(values, ["A", "", "A", "C"])
    del keywords["$P4N"]
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes())))
    assert sample.events.detectors == ("A", "P2", "A", "P4")
    assert flag_names(sample.flags) == ["detector_missing", "detector_doubled"]
    assert "$P2N $P4N" in sample.flags[0]
    assert "$P3N" in sample.flags[1]


@pytest.mark.parametrize(
    ("key", "value"), [("$BYTEORD", "4,3,2,1"), ("$TIMESTEP", "0.1"), ("$P1R", "2048")]
)
def test_doubled_keywords_that_values_depend_on(tmp_path: Path, key: str, value: str) -> None:
    values = small_values()
    text = spell(keywords_of(values, ["A", "Time"]) | {"$TIMESTEP": "0.01"})
    content = assemble(text + f"{key}/{value}/".encode(), values.tobytes())
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert f"keyword_doubled: {key}, the last value holds" in sample.flags


def test_doubled_keywords_that_may_name_a_person(tmp_path: Path) -> None:
    text = spell(keywords_of(small_values(), ["A", "B"]) | {"$SRC": "one"}) + b"$SRC/two/"
    content = assemble(text, small_values().tobytes())
    assert read_fcs(write(tmp_path / "a.fcs", content)).flags == ()


def test_offsets_of_large_files_stand_in_text(tmp_path: Path) -> None:
    values = small_values()
    text = with_offsets(keywords_of(values, ["A", "B"]), values.nbytes)
    content = assemble(text, values.tobytes(), header_data=(0, 0))
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    np.testing.assert_array_equal(sample.events.values, values)
    assert sample.flags == ()


@pytest.mark.parametrize("shift", [1, -1])
def test_end_of_data_that_is_off_by_one(tmp_path: Path, shift: int) -> None:
    values = small_values()
    text = with_offsets(keywords_of(values, ["A", "B"]), values.nbytes, shift)
    begin = 58 + len(text)
    end = begin + values.nbytes - 1 + shift
    content = assemble(text, values.tobytes(), header_data=(begin, end))
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    np.testing.assert_array_equal(sample.events.values, values)
    assert flag_names(sample.flags) == ["data_end_off_by_one"]


def test_header_and_text_that_disagree(tmp_path: Path) -> None:
    values = small_values()
    text = with_offsets(keywords_of(values, ["A", "B"]), values.nbytes)
    begin = 58 + len(text)
    content = assemble(text, values.tobytes(), header_data=(begin - 40, begin + values.nbytes - 1))
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    np.testing.assert_array_equal(sample.events.values, values)
    assert flag_names(sample.flags) == ["data_offsets_differ"]
    # The HEADER's events would begin inside TEXT.
    place = (begin - 40, begin - 41 + values.nbytes)
    sample = read_fcs(
        write(tmp_path / "b.fcs", assemble(text, values.tobytes(), header_data=place))
    )
    np.testing.assert_array_equal(sample.events.values, values)
    # Both leave room for $TOT events: nothing tells which one is right.
    content = assemble(text, values.tobytes() + bytes(8), header_data=(begin + 8, begin + 55))
    with pytest.raises(FcsDataError, match="two places"):
        read_fcs(write(tmp_path / "c.fcs", content))


def test_text_that_reaches_into_the_events(tmp_path: Path) -> None:
    values = small_values()
    for total, flags in (("6", ["text_end"]), ("5", ["text_end", "tot_mismatch"])):
        text = spell(keywords_of(values, ["A", "B"]) | {"$TOT": total})
        content = assemble(text, values.tobytes(), header_text_end=57 + len(text) + 20)
        sample = read_fcs(write(tmp_path / "a.fcs", content))
        np.testing.assert_array_equal(sample.events.values, values)
        assert flag_names(sample.flags) == flags


def test_both_claims_some_bytes_too_far(tmp_path: Path) -> None:
    """HEADER and TEXT agree, and the file is as long as they say: only Time tells."""
    values = np.column_stack([1 + np.arange(20.0), 500 * (-1.0) ** np.arange(20)]).astype("<f4")
    text = with_offsets(keywords_of(values, ["Time", "A"]) | {"$TIMESTEP": "1"}, 160)
    moved = text.replace(b"%012d" % (58 + len(text)), b"%012d" % (62 + len(text)))
    moved = moved.replace(b"%012d" % (217 + len(text)), b"%012d" % (221 + len(text)))
    place = (62 + len(text), 221 + len(text))
    content = assemble(moved, values.tobytes() + b"\1\2\3\4", header_data=place)
    with pytest.raises(FcsDataError, match="fits better"):
        read_fcs(write(tmp_path / "a.fcs", content))


def test_claims_too_far_over_bytes_that_are_zero(tmp_path: Path) -> None:
    """The first byte of DATA is no blank of a gap where as many follow DATA."""
    values = np.column_stack([1 + np.arange(100.0), np.arange(100.0)]).astype("<f4")
    text = spell(keywords_of(values, ["CD19-A", "Time"]) | {"$TIMESTEP": "1"})
    begin = 58 + len(text)
    place = (begin + 1, begin + values.nbytes)
    content = assemble(text, values.tobytes() + bytes(8), header_data=place)
    with pytest.raises(FcsDataError, match="fits better"):
        read_fcs(write(tmp_path / "a.fcs", content))


@pytest.mark.parametrize("late", [1, 2, 10, 18])
def test_supplemental_text_stated_too_late(tmp_path: Path, late: int) -> None:
    values = small_values()
    more = b"/$P1S/CD3/$P2G/8/$CYT/x/"
    keywords = keywords_of(values, ["A", "B"]) | {"$BEGINSTEXT": "0" * 8, "$ENDSTEXT": "0" * 8}
    begin = 58 + len(spell(keywords)) + values.nbytes
    keywords |= {"$BEGINSTEXT": f"{begin + late:08}", "$ENDSTEXT": f"{begin + len(more) - 1:08}"}
    text = spell(keywords)
    place = (58 + len(text), 57 + len(text) + values.nbytes)
    content = assemble(text, values.tobytes() + more, header_data=place)
    flags = read_fcs(write(tmp_path / "a.fcs", content)).flags
    assert "supplemental_text: it begins without delimiter, keywords may be lost" in flags


def test_events_stated_inside_text(tmp_path: Path) -> None:
    values = small_values()
    text = spell(keywords_of(values, ["A", "B"]) | {"$TOT": "5"})
    place = (58 + len(text) - 30, 57 + len(text) - 30 + values.nbytes)
    content = assemble(text, values.tobytes(), header_data=place)
    with pytest.raises(FcsDataError, match="overlaps TEXT"):
        read_fcs(write(tmp_path / "a.fcs", content))


def test_analysis_that_is_not_there(tmp_path: Path) -> None:
    content = small(BEGINANALYSIS="100000", ENDANALYSIS="100100")
    sample = read_fcs(write(tmp_path / "a.fcs", content))
    assert flag_names(sample.flags) == ["analysis_offset"]
    content = small()[:42] + b"  900000  900001" + small()[58:]
    assert flag_names(read_header(write(tmp_path / "b.fcs", content)).flags) == ["analysis_offset"]


def test_supplemental_text_is_merged(tmp_path: Path) -> None:
    values = small_values()
    more = spell({"$P1S": "CD3", "$CYT": "second", "NOTE": "x"}, "|")
    keywords = keywords_of(values, ["A", "B"]) | {"$CYT": "first"}
    keywords |= {"$BEGINSTEXT": "0" * 8, "$ENDSTEXT": "0" * 8}
    begin = 58 + len(spell(keywords)) + values.nbytes
    keywords |= {"$BEGINSTEXT": f"{begin:08}", "$ENDSTEXT": f"{begin + len(more) - 1:08}"}
    text = spell(keywords)
    place = (58 + len(text), 57 + len(text) + values.nbytes)
    content = assemble(text, values.tobytes() + more, header_data=place)
    path = write(tmp_path / "a.fcs", content)
    read = read_keywords(path)
    assert (read["NOTE"], read["$CYT"]) == ("x", "first")
    assert read_fcs(path).events.channels[0].marker == "CD3"
    with pytest.raises(FcsTextError, match="cut short"):
        read_fcs(write(path, content[:-1]))


@pytest.mark.parametrize(("stated", "there"), [(5, 6), (9, 6), (3, 6)])
def test_wrong_total_with_whole_events(tmp_path: Path, stated: int, there: int) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(TOT=str(stated))))
    np.testing.assert_array_equal(sample.events.values, small_values())
    assert sample.flags == (f"tot_mismatch: $TOT {stated}, DATA holds {there}",)


@pytest.mark.parametrize("has_time", [True, False])
def test_total_that_fits_other_rows(tmp_path: Path, has_time: bool) -> None:
    """16 of 20 events: 5 channels of 4 told would do as well, unless Time runs forward."""
    values = np.arange(80, dtype="<f4").reshape(20, 4)
    detectors = ["A", "B", "C", "Time" if has_time else "D"]
    keywords = keywords_of(values, detectors) | {"$TOT": "16", "$TIMESTEP": "1"}
    path = write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes()))
    if has_time:
        sample = read_fcs(path)
        np.testing.assert_array_equal(sample.events.values, values)
        assert flag_names(sample.flags) == ["tot_mismatch"]
    else:
        with pytest.raises(FcsDataError, match=r"20 events; expected 16 events"):
            read_fcs(path)


def test_wrong_total_with_torn_events(tmp_path: Path) -> None:
    values = small_values()
    text = spell(keywords_of(values, ["A", "B"]))
    path = write(tmp_path / "a.fcs", assemble(text, values.tobytes() + b"abc"))
    with pytest.raises(FcsDataError, match=r"51 bytes.*6 events \(\$TOT\) of 8 bytes"):
        read_fcs(path)


def test_file_that_is_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fcs", small()[:-20])
    with pytest.raises(FcsDataError, match="3 of 6 events are there"):
        read_fcs(path)
    with pytest.raises(FcsDataError):
        read_header(path)


@pytest.mark.parametrize("total", [100, 80])
def test_torn_file_with_a_shorter_second_claim(tmp_path: Path, total: int) -> None:
    """Whole events inside the wrong claim must not pass for the events of the file."""
    values = np.arange(200, dtype="<f4").reshape(100, 2)
    text = with_offsets(keywords_of(values, ["A", "B"]) | {"$TOT": f"{total:03}"}, values.nbytes)
    begin = 58 + len(text)
    content = assemble(text, values.tobytes()[:480], header_data=(begin, begin + 399))
    says = "60 of 100 events are there" if total == 100 else "two places"
    with pytest.raises(FcsDataError, match=says):
        read_fcs(write(tmp_path / "a.fcs", content))


def test_claims_that_differ_and_do_not_fit_the_total(tmp_path: Path) -> None:
    """Three numbers that contradict one another: a whole number of events proves nothing."""
    values = np.arange(200, dtype="<f4").reshape(100, 2)
    text = with_offsets(keywords_of(values, ["A", "B"]) | {"$TOT": "080"}, values.nbytes, 3)
    begin = 58 + len(text)
    content = assemble(text, values.tobytes() + bytes(3), header_data=(begin, begin + 399))
    with pytest.raises(FcsDataError, match="two places"):
        read_fcs(write(tmp_path / "a.fcs", content))


def test_cut_short_says_what_the_offsets_promise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fcs", small(TOT="0")[:-20])
    with pytest.raises(FcsDataError, match="3 of 6 events are there"):
        read_fcs(path)


@pytest.mark.parametrize("offsets", [None, (0, 0)])
def test_no_events(tmp_path: Path, offsets: tuple[int, int] | None) -> None:
    text = spell(keywords_of(np.zeros((0, 2)), ["A", "B"]))
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(text, b"", header_data=offsets)))
    assert sample.events.values.shape == (0, 2)
    assert sample.flags == ()


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", NotFcsError, "empty file"),
        (b"PK\x03\x04 a zip archive", NotFcsError, "'FCS'"),
        (b"FCS3.1    ", FcsHeaderError, "ends after 10 bytes"),
        (b"FCS4.0" + small()[6:], FcsUnsupportedError, "FCS4.0"),
        (b"FCSx.y" + small()[6:], FcsHeaderError, "version"),
        (small()[:10] + b"      xx" + small()[18:], FcsHeaderError, "unreadable"),
        (small()[:100], FcsTextError, "cut short"),
        (small(TOT=None), FcsTextError, "TOT"),
        (small(TOT="many"), FcsTextError, "TOT"),
        (small(TOT="-3"), FcsTextError, "TOT"),
        (small(BYTEORD=None), FcsTextError, "BYTEORD"),
        (small(BYTEORD="3,4,1,2"), FcsUnsupportedError, "3,4,1,2"),
        (small(BYTEORD="1,2,3,3"), FcsTextError, "BYTEORD"),
        (small(DATATYPE=None), FcsTextError, "DATATYPE"),
        (small(DATATYPE="Q"), FcsTextError, "DATATYPE"),
        (small(P2DATATYPE="Q"), FcsTextError, "P2DATATYPE"),
        (small(DATATYPE="A", P1DATATYPE="F"), FcsUnsupportedError, "digits"),
        (small(MODE="C"), FcsUnsupportedError, "MODE C"),
        (small(MODE="U"), FcsUnsupportedError, "MODE U"),
        (small(PAR="0"), FcsTextError, "PAR"),
        (small(PAR="4"), FcsTextError, "no channel 3"),
        (small(PAR="1000000000"), FcsTextError, "no channel 3"),
        (small(PAR="1" * 5000), FcsTextError, "PAR"),
        (small(DATATYPE="I", P1B="10"), FcsDataError, "9.14 events"),
        (small(DATATYPE="I", P1B="*"), FcsUnsupportedError, "varying"),
        (small(DATATYPE="I", P1B="800"), FcsTextError, "P1B"),
        (small(DATATYPE="I", P1R="0"), FcsTextError, "P1R"),
        (small(DATATYPE="I", P1R=None), FcsTextError, "P1R"),
        (small(DATATYPE="I", P1E="4"), FcsTextError, "P1E"),
        (small(DATATYPE="I", P1E="400,1"), FcsTextError, "P1E"),
        (small(DATATYPE="I", P1E="330,1e-300"), FcsTextError, "P1E"),
        (small(TOT="5", P1E=None)[:-1], FcsDataError, "cut short"),
    ],
)  # fmt: skip
def test_faults_are_named(tmp_path: Path, content: bytes, kind: type[FcsError], says: str) -> None:
    with pytest.raises(CytoflowCarError) as caught:
        read_fcs(write(tmp_path / "a.fcs", content))
    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert str(caught.value).startswith("a.fcs, ")


def test_fewer_channels_stated_than_told_of(tmp_path: Path) -> None:
    """Two channels of one event would pass for one channel of two events."""
    with pytest.raises(FcsDataError, match=r"\$PAR or \$PnB contradicts"):
        read_fcs(write(tmp_path / "a.fcs", small(PAR="1")))


def test_total_that_fits_another_width(tmp_path: Path) -> None:
    """12 events of two 16-bit integers are as many bytes as 6 of two float32."""
    with pytest.raises(FcsDataError, match=r"\$PnB contradicts"):
        read_fcs(write(tmp_path / "a.fcs", small(P1B="16", P2B="16", TOT="12")))


def test_absent_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.fcs", tmp_path):
        with pytest.raises(FcsError, match="cannot be read") as caught:
            read_fcs(path)
        assert str(tmp_path.parent) not in str(caught.value)


def several(*versions: str) -> bytes:
    """Put data sets behind one another; events of the n-th are n."""
    content = b""
    for number, version in enumerate(versions, 1):
        values = np.full((number, 1), number, dtype="<f4")
        keywords = keywords_of(values, ["A"]) | {"$NEXTDATA": "0000"}
        if number < len(versions):
            size = len(assemble(spell(keywords), values.tobytes()))
            keywords["$NEXTDATA"] = f"{size:04}"
        content += assemble(spell(keywords), values.tobytes(), version=version)
    return content


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        (("FCS2.0", "FCS3.0"), 2),
        (("FCS3.0", "FCS3.0"), 1),
        (("FCS2.0", "FCS2.0", "FCS3.1"), 3),
        (("FCS2.0", "FCS3.0", "FCS3.1"), 1),
    ],
)
def test_several_data_sets(tmp_path: Path, versions: tuple[str, ...], chosen: int) -> None:
    path = write(tmp_path / "a.lmd", several(*versions))
    sample = read_fcs(path)
    assert (sample.dataset, sample.n_datasets) == (chosen, len(versions))
    assert sample.flags == (f"several_datasets: {chosen} of {len(versions)} is read",)
    for number in range(1, len(versions) + 1):
        asked = read_fcs(path, number)
        np.testing.assert_array_equal(asked.events.values, np.full((number, 1), number))
        assert asked.flags == ()
    for number in (0, len(versions) + 1):
        with pytest.raises(FcsDatasetError, match=f"1 to {len(versions)}"):
            read_fcs(path, number)


def test_next_data_sets_counted_from_the_file(tmp_path: Path) -> None:
    """Of data sets of one size, that leads past every second one."""
    content = b""
    for number in range(4):
        values = np.full((3, 1), number, dtype="<f4")
        keywords = keywords_of(values, ["A"]) | {"$NEXTDATA": "0000"}
        size = len(assemble(spell(keywords), values.tobytes()))
        if number < 3:
            keywords["$NEXTDATA"] = f"{(number + 1) * size:04}"
        content += assemble(spell(keywords), values.tobytes())
    path = write(tmp_path / "a.fcs", content)
    for number in range(4):
        sample = read_fcs(path, number + 1)
        assert sample.n_datasets == 4
        np.testing.assert_array_equal(sample.events.values, np.full((3, 1), number))
    assert flag_names(read_fcs(path).flags).count("next_dataset_offset") == 2


def test_stains_of_an_lmd_file(tmp_path: Path) -> None:
    """A detector of which the first data set states two stains has none in the second."""
    first = np.zeros((3, 3), dtype="<f4")
    named = keywords_of(first, ["FL1 Log", "FL2 Log", "FL2 Lin"]) | {
        "$P1S": "CD3", "$P2S": "CD19", "$P3S": "CD22", "$CYT": "Navios", "$NEXTDATA": "0000",
    }  # fmt: skip
    named["$NEXTDATA"] = f"{len(assemble(spell(named), first.tobytes())):04}"
    second = np.ones((3, 2), dtype="<f4")
    content = assemble(spell(named), first.tobytes(), version="FCS2.0") + assemble(
        spell(keywords_of(second, ["FL1", "FL2"])), second.tobytes(), version="FCS3.0"
    )
    sample = read_fcs(write(tmp_path / "a.lmd", content))
    assert [channel.marker for channel in sample.events.channels] == ["CD3", None]
    assert sample.instrument == "Navios"
    assert "stains_from_dataset" in flag_names(sample.flags)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        # Too large in one event of four; a fill of the upper bits; too large in most events.
        ([5, 6, 7, 5000], "in 1 of 4 events"),
        ([0xFC05, 0xFC06, 0xFC07, 0xFC08], None),
        ([1100, 2100, 3100, 4200, 5300, 6400], "in 6 of 6 events"),
    ],
)
def test_values_above_the_range(tmp_path: Path, stored: list[int], told: str | None) -> None:
    values = np.array(stored, dtype="<u2")[:, None]
    keywords = keywords_of(values, ["FL1"], "I", 16)
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes())))
    np.testing.assert_array_equal(sample.events.values, values & 1023)
    expected = [] if told is None else [f"range_exceeded: FL1 {told}, bits above $PnR are masked"]
    assert list(sample.flags) == expected


def test_next_data_set_that_is_not_there(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(NEXTDATA="100")))
    assert flag_names(sample.flags) == ["next_dataset_unreadable"]
    assert sample.n_datasets == 1


@pytest.mark.parametrize("source", ["$SPILLOVER", "$SPILL", "SPILL", "SPILLOVER"])
@pytest.mark.parametrize("names", ["B-A,A-A", "CD19 PE,A-A", "2,1"])
def test_spillover(tmp_path: Path, source: str, names: str) -> None:
    values = small_values()
    keywords = keywords_of(values, ["A-A", "B-A"])
    keywords |= {"$P2S": "CD19 PE", source: f"2,{names},1,0.25,-0.5,1,"}
    path = write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes()))
    spillover = read_fcs(path).spillover
    assert spillover is not None
    assert spillover.detectors == ("B-A", "A-A")
    assert spillover.source == source
    np.testing.assert_array_equal(spillover.matrix, [[1, 0.25], [-0.5, 1]])


@pytest.mark.parametrize("value", ["2,FSC-A,CD19-A", "x", "2,FSC-A,FSC-A,1,0,0,1",
                                   "2,FSC-A,CD19-A,1,0,nan,1", "1" * 30])  # fmt: skip
def test_unreadable_spillover(tmp_path: Path, value: str) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(SPILLOVER=value)))
    assert sample.spillover is None
    assert flag_names(sample.flags) == ["spillover_unreadable"]


def test_spillover_of_a_detector_that_the_file_lacks(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(SPILLOVER="2,FSC-A,PE-A,1,0,0,1")))
    assert sample.spillover is not None
    assert sample.spillover.detectors == ("FSC-A", "PE-A")
    assert sample.flags == ("spillover_unknown: $SPILLOVER PE-A",)


def test_spillover_by_a_stain_of_two_channels(tmp_path: Path) -> None:
    """Nothing tells which of the two is meant."""
    content = small(P1S="CD3", P2S="CD3", SPILLOVER="1,CD3,1")
    assert flag_names(read_fcs(write(tmp_path / "a.fcs", content)).flags) == ["spillover_unknown"]


def test_spillover_in_percent(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(SPILLOVER="2,FSC-A,CD19-A,100,5,0,100")))
    assert sample.spillover is not None
    np.testing.assert_array_equal(sample.spillover.matrix, [[1, 0.05], [0, 1]])
    assert flag_names(sample.flags) == ["spillover_percent"]


def test_spillover_of_another_diagonal(tmp_path: Path) -> None:
    sample = read_fcs(write(tmp_path / "a.fcs", small(SPILLOVER="2,FSC-A,CD19-A,2,0.1,0,1")))
    assert flag_names(sample.flags) == ["spillover_diagonal"]


def test_compensation_that_is_not_read(tmp_path: Path) -> None:
    values = small_values()
    for value, flags in (("0", []), ("12.5", ["compensation_unread"])):
        keywords = keywords_of(values, ["A", "B"]) | {"$DFC1TO2": value}
        path = write(tmp_path / "a.fcs", assemble(spell(keywords), values.tobytes()))
        assert flag_names(read_fcs(path).flags) == flags


def test_amplification_of_time_does_not_count(tmp_path: Path) -> None:
    stored = np.arange(6, dtype="<u2").reshape(3, 2)
    keywords = keywords_of(stored, ["A", "Time"], "I", 16) | {"$P2E": "4,1", "$TIMESTEP": "2"}
    sample = read_fcs(write(tmp_path / "a.fcs", assemble(spell(keywords), stored.tobytes())))
    np.testing.assert_array_equal(sample.events.values, [[0, 2], [2, 6], [4, 10]])
    assert sample.events.channels[1].range == 2048
    assert flag_names(sample.flags) == ["amplification_ignored"]


@pytest.mark.parametrize(
    ("stored", "date"),
    [
        ("17-MAY-2018", "2018-05-17"),
        ("2013-Jul-19", "2013-07-19"),
        ("12 Nov 2004", "2004-11-12"),
        ("23-Aug-02", "2002-08-23"),
        ("1-Jan-98", "1998-01-01"),
        ("2020-02-29", "2020-02-29"),
        ("31-FEB-2020", None),
        ("03-04-2020", None),
        ("14-04-2013", "2013-04-14"),
        ("5 March 2020", "2020-03-05"),
        ("05-Markus-2020", None),
        ("1-Jan-123", None),
        ("yesterday", None),
    ],
)
def test_dates(tmp_path: Path, stored: str, date: str | None) -> None:
    header = read_header(write(tmp_path / "a.fcs", small(DATE=stored)))
    assert header.acquired_on == date
    assert flag_names(header.flags) == ([] if date else ["date_unreadable"])


def test_moments_of_fcs_3_2(tmp_path: Path) -> None:
    content = small(
        BEGINDATETIME="2021-03-05T09:42:05.5Z", ENDDATETIME="2021-03-05T09:50:00+01:00"
    ).replace(b"FCS3.1", b"FCS3.2")
    header = read_header(write(tmp_path / "a.fcs", content))
    assert header.acquired_on == "2021-03-05"
    assert (header.began_at, header.ended_at) == ("09:42:05", "09:50:00")


def test_facts_of_the_instrument(tmp_path: Path) -> None:
    content = small(CYT="LSRFortessa", CYTSN="H1", BTIM="09:42:05:50", ETIM="noon", P1V="455")
    header = read_header(write(tmp_path / "a.fcs", content))
    assert header.instrument == f"LSRFortessa #{hashlib.sha256(b'H1').hexdigest()[:8]}"
    assert (header.began_at, header.ended_at) == ("09:42:05:50", None)
    assert [channel.voltage for channel in header.channels] == [455.0, None]
    assert read_header(write(tmp_path / "b.fcs", small())).instrument == ""


def test_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fcs", small())
    assert hash_file(path) == hashlib.sha256(small()).hexdigest()


def test_persons_do_not_reach_messages(tmp_path: Path) -> None:
    """Whatever is wrong, no value of a free keyword is repeated."""
    for changed in ({"TOT": "Jane Doe"}, {"DATATYPE": "Jane Doe"}, {"MODE": "Jane Doe"},
                    {"BYTEORD": "Jane Doe"}, {"PAR": "Jane Doe"}, {"DATE": "Jane Doe"},
                    {"TIMESTEP": "Jane Doe", "P1N": "Time"}):  # fmt: skip
        try:
            told = " ".join(read_fcs(write(tmp_path / "a.fcs", small(**changed))).flags)
        except FcsError as error:
            told = str(error)
        assert told
        assert "Jane" not in told


def test_changed_bytes_give_a_sample_or_an_error_of_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    spillover = "2,FSC-A,CD19-A,1,0,0.1,1"
    integers = small(DATATYPE="I", P1E="4,1", P2E="0,0", P2G="2", SPILLOVER=spillover)
    floats = small(P2N="Time", TIMESTEP="0.01", BEGINSTEXT="0", ENDSTEXT="0", DATE="1-Jan-98")
    path = tmp_path / "a.fcs"
    outcomes = []
    for content in (integers, floats):
        text_end = len(content) - small_values().nbytes
        for _ in range(400):
            changed = bytearray(content)
            for place in rng.integers(0, text_end, size=rng.integers(1, 5)):
                changed[place] = rng.choice([rng.integers(0, 256), *b"/0123456789 $"])
            try:
                sample = read_fcs(write(path, bytes(changed)))
            except CytoflowCarError as error:
                outcomes.append(str(error))
            else:
                assert sample.events.values.shape[1] == len(sample.events.channels)
                outcomes.append("")
    assert all(told == "" or told.startswith("a.fcs") for told in outcomes)
    assert 100 < outcomes.count("") < 700
