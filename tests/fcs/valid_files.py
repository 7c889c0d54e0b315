"""Small valid files of every kind that cytometers write, with the events that are in them."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from made import spell

N_EVENTS = 12


@dataclass(frozen=True, slots=True)
class ValidFile:
    """A valid file, and where its parts lie.

    Attributes
    ----------
    version, content
        The whole file; `version` is that of the data set that is read by default.
    events
        What the data set that is read by default holds: linear values, one list an event.
    number, base
        Number and first byte of that data set.
    text, data
        First byte of its TEXT and DATA, and the first one behind them, from the file's beginning.
    row_bits
        Bits of an event.
    supplement
        Keywords of its supplemental TEXT.
    """

    name: str
    version: str
    content: bytes
    events: list[list[float]]
    number: int
    base: int
    text: tuple[int, int]
    data: tuple[int, int]
    row_bits: int
    supplement: dict[str, str]


def _make(
    name: str,
    stored: Sequence[Sequence[float]],
    kinds: str,
    bits: Sequence[int],
    keywords: dict[str, str],
    events: Sequence[Sequence[float]] | None = None,
    *,
    version: str = "FCS3.1",
    order: str = "little",
    offsets: str = "HEADER and TEXT",
    delimiter: str = "/",
    supplement: dict[str, str] | None = None,
    analysis: bytes = b"",
    tail: bytes = b"",
    next_set: int = 0,
) -> ValidFile:
    data = _pack(stored, kinds, bits, order)
    default = kinds[0]
    stated = {"$BYTEORD": "1,2,3,4" if order == "little" else "4,3,2,1", "$MODE": "L"}
    stated |= {"$DATATYPE": default, "$PAR": str(len(kinds)), "$TOT": str(len(stored))}
    stated["$NEXTDATA"] = f"{next_set:06}" if next_set else "0"
    if "TEXT" in offsets:
        stated |= dict.fromkeys(("$BEGINDATA", "$ENDDATA"), "")
    if version != "FCS2.0":
        stated |= dict.fromkeys(("$BEGINSTEXT", "$ENDSTEXT", "$BEGINANALYSIS", "$ENDANALYSIS"), "")
    for number, (kind, width) in enumerate(zip(kinds, bits, strict=True), 1):
        stated |= {f"$P{number}N": f"D{number}", f"$P{number}B": str(width)}
        # "1024" leaves bits of 16-bit values to be masked.
        limit = 1024 if width == 16 or kind == "A" else 2 ** min(width, 32)
        stated |= {f"$P{number}R": str(limit), f"$P{number}E": "0,0"}
        if kind != default:
            stated[f"$P{number}DATATYPE"] = kind
    stated |= keywords
    more = spell(supplement, delimiter) if supplement else b""
    length = len(spell({key: value or "0" * 6 for key, value in stated.items()}, delimiter))
    begin = 58 + length
    places = {
        "DATA": (begin, begin + len(data) - 1),
        "STEXT": _behind(begin + len(data), more),
        "ANALYSIS": _behind(begin + len(data) + len(more), analysis),
    }
    for segment, (first, last) in places.items():
        for key, place in ((f"$BEGIN{segment}", first), (f"$END{segment}", last)):
            if stated.get(key) == "":
                stated[key] = f"{place:06}"
    text = spell(stated, delimiter)
    assert len(text) == length
    in_header = places["DATA"] if "HEADER" in offsets else (0, 0)
    header = (58, begin - 1, *in_header, *places["ANALYSIS"])
    content = f"{version}    {''.join(f'{offset:>8}' for offset in header)}".encode("ascii")
    content += text + data + more + analysis + tail
    return ValidFile(
        name=name,
        version=version,
        content=content,
        events=[list(event) for event in events or stored],
        number=1,
        base=0,
        text=(58, begin),
        data=(begin, begin + len(data)),
        row_bits=8 * len(data) // len(stored),
        supplement=supplement or {},
    )


def _behind(place: int, segment: bytes) -> tuple[int, int]:
    return (place, place + len(segment) - 1) if segment else (0, 0)


def _pack(stored: Sequence[Sequence[float]], kinds: str, bits: Sequence[int], order: str) -> bytes:
    """Pack values bit by bit: big-endian from the top of each byte, little-endian from below."""
    if kinds[0] == "A":
        values = (zip(event, bits, strict=True) for event in stored)
        return "".join(f"{int(v):>{width}}" for event in values for v, width in event).encode()
    stream, place = 0, 0
    for event in stored:
        for value, kind, width in zip(event, kinds, bits, strict=True):
            code = {"F": ">f", "D": ">d"}.get(kind)
            raw = struct.pack(code, value) if code else int(value).to_bytes(8, "big")
            number = int.from_bytes(raw, "big")
            stream = stream | number << place if order == "little" else stream << width | number
            place += width
    n_bytes = (place + 7) // 8
    if order == "big":
        stream <<= 8 * n_bytes - place
    return stream.to_bytes(n_bytes, order)  # type: ignore[arg-type]


def _behind_one_another(name: str, *files: ValidFile, chosen: int) -> ValidFile:
    base = sum(len(file.content) for file in files[: chosen - 1])
    read = files[chosen - 1]
    return ValidFile(
        name=name,
        version=read.version,
        content=b"".join(file.content for file in files),
        events=read.events,
        number=chosen,
        base=base,
        text=(base + read.text[0], base + read.text[1]),
        data=(base + read.data[0], base + read.data[1]),
        row_bits=read.row_bits,
        supplement={},
    )


def make_files() -> dict[str, ValidFile]:
    """Return every valid file by its name."""
    numbers = range(1, N_EVENTS + 1)
    # Multiples of 1/8 are exact in single precision; none of their bytes is a delimiter.
    floats = [[17.125 * n, 1000.5 - 3 * n, -0.25 * n] for n in numbers]
    clock = [[2.5 * n, 100.0 * n, 50.0 + n] for n in numbers]
    words = [[37 * n, 60 * n, 1000 + n] for n in numbers]
    packed = [[80 * n, 1023 - 7 * n, 5 * n, 700 + n] for n in numbers]
    wide = [[n, 250 * n, 70_000 * n, 300_000_000 * n] for n in numbers]
    matrix = "2,D1,D2,1,0.25,0.125,1"

    def logarithm(value: float) -> float:
        return math.pow(10.0, 4 * value / 1024)

    def several(name: str, chosen: int, versions: tuple[str, str], offsets: str) -> ValidFile:
        first = functools.partial(
            _make, "", floats, "FFF", [32] * 3, {}, version=versions[0], offsets=offsets
        )
        second = _make("", clock, "FFF", [32] * 3, {}, version=versions[1])
        return _behind_one_another(
            name, first(next_set=len(first(next_set=1).content)), second, chosen=chosen
        )

    files = [
        _make("float, little-endian", floats, "FFF", [32] * 3,
              {"$P1N": "FSC-A", "$P2N": "CD19-A", "$P2S": "CD19 PE", "$SPILLOVER": "1,FSC-A,1"}),
        _make("float, big-endian", floats, "FFF", [32] * 3, {"$P2G": "4.0"},
              [[a, b / 4, c] for a, b, c in floats], version="FCS3.0", order="big",
              delimiter="|"),
        _make("double", floats, "DDD", [64] * 3, {"$P3S": "CAR/PE", "$CYT": "x"}),
        _make("16-bit, logarithmic", [[v + 1024 * 5 for v in event] for event in words], "III",
              [16] * 3, {"$P1E": "4,1", "$P3G": "2"},
              [[logarithm(a), b, (c % 1024) / 2] for a, b, c in words], version="FCS2.0",
              offsets="HEADER", delimiter="\\"),
        _make("16-bit, big-endian", words, "III", [16] * 3, {"$P2E": "4.0,0.1", "$P3R": "2000"},
              [[a, 0.1 * logarithm(b), c] for a, b, c in words], version="FCS3.0", order="big"),
        _make("24 and 32 bit", [event[1:] for event in wide], "III", [24, 24, 32],
              {"$P3R": "4294967296", "$P1R": "262144"}, version="FCS3.0", order="big"),
        _make("mixed widths", wide, "IIII", [8, 16, 24, 32], {"$P2R": "4096"},
              [[a, b % 4096, c, d] for a, b, c, d in wide]),
        _make("packed, big-endian", packed, "IIII", [10] * 4, {"$P2E": "4,1"},
              [[a, logarithm(b), c, d] for a, b, c, d in packed], version="FCS2.0",
              offsets="HEADER", order="big"),
        # 30 bits: events begin inside bytes.
        _make("packed, little-endian", [event[1:] for event in packed], "III", [10] * 3, {},
              version="FCS3.0"),
        _make("mixed types", [[a, int(n), c] for n, (a, _, c) in enumerate(floats, 100)], "FID",
              [32, 16, 64], {"$P2G": "2"},
              [[a, n / 2, c] for n, (a, _, c) in enumerate(floats, 100)], version="FCS3.2"),
        _make("ASCII", words, "AAA", [5] * 3, {"$P2E": "4,1", "$P3G": "2"},
              [[a, logarithm(b), c / 2] for a, b, c in words], version="FCS2.0",
              offsets="HEADER"),
        _make("offsets in TEXT only", floats, "FFF", [32] * 3, {"$P1G": "2"},
              [[a / 2, b, c] for a, b, c in floats], offsets="TEXT"),
        _make("supplemental TEXT", floats, "FFF", [32] * 3, {"$CYT": "first"},
              [[a, b / 8, c] for a, b, c in floats],
              supplement={"$P1S": "CD3", "$P2G": "8", "$CYT": "second"}),
        _make("ANALYSIS", floats, "FFF", [32] * 3, {}, analysis=b"/GATE1/R1/"),
        several("two data sets", 1, ("FCS3.1", "FCS3.1"), "HEADER and TEXT"),
        several("FCS 2.0 and 3.0", 2, ("FCS2.0", "FCS3.0"), "HEADER"),
        _make("Time", clock, "FFF", [32] * 3,
              {"$P1N": "Time", "$P1G": "0.01", "$TIMESTEP": "0.01", "$P2S": "CD4",
               "$BTIM": "09:42:05", "$DATE": "17-MAY-2018"},
              [[0.01 * a, b, c] for a, b, c in clock]),
        _make("CRC", floats, "FFF", [32] * 3, {"$SPILLOVER": matrix}, tail=b"00000000"),
    ]  # fmt: skip
    return {file.name: file for file in files}
