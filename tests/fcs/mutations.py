"""Faults that are put into small valid files, one kind a function.

A kind takes a valid file and a source of chance, and changes the file in one place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from valid_files import ValidFile

#: Mutations of a kind in each file.
N_A_FILE = 16
#: What reading one file may take.
MOST_SECONDS = 2.0
MOST_BYTES = 200 * 2**20

_DIGITS = b"0123456789"
_SIGNS = b" .,-+eEx*#"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A changed file.

    Attributes
    ----------
    file
        The changed file; its `text` and `data` tell where these parts truly lie now, and its
        `events` are those of the file before.
    what
        Which change it was, so that a failure can be made again.
    """

    file: ValidFile
    what: str


Kind = Callable[[ValidFile, random.Random], Mutation | None]


def write_anew(path: Path, content: bytes) -> None:
    """Write a file; file systems wait for the disk when one is overwritten."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def overwrite(file: ValidFile, place: int, written: bytes) -> Mutation:
    """Write other bytes in the place of those that are there."""
    there = file.content[place : place + len(written)]
    content = file.content[:place] + written + file.content[place + len(written) :]
    return Mutation(replace(file, content=content), f"byte {place}: {there!r} to {written!r}")


def splice(file: ValidFile, place: int, n_removed: int, inserted: bytes = b"") -> Mutation:
    """Remove bytes and insert others, so that what follows moves."""
    content = file.content[:place] + inserted + file.content[place + n_removed :]
    shift = len(inserted) - n_removed

    def moved(span: tuple[int, int]) -> tuple[int, int]:
        return (
            span[0] + shift * (place < span[0]),
            span[1] + shift * (place < span[1]),
        )

    what = f"byte {place}: {file.content[place : place + n_removed]!r} became {inserted!r}"
    return Mutation(
        replace(file, content=content, text=moved(file.text), data=moved(file.data)), what
    )


def locate(file: ValidFile, key: str) -> tuple[int, int] | None:
    """Return the first byte of a keyword's value and the first one behind it, or None."""
    delimiter = file.content[file.text[0] : file.text[0] + 1]
    begin = file.content.find(delimiter + key.encode() + delimiter, *file.text)
    if begin < 0:
        return None
    begin += len(key) + 2
    end = file.content.find(delimiter, begin)
    return (begin, end) if end > 0 else None


def data_byte(file: ValidFile, chance: random.Random) -> Mutation:
    """Change a byte of DATA."""
    place = chance.randrange(*file.data)
    return overwrite(file, place, _another(file.content[place], bytes(range(256)), chance))


def header_field(field: int) -> Kind:
    """Change a character of two offsets of HEADER: of TEXT (0), DATA (1) or ANALYSIS (2)."""

    def change(file: ValidFile, chance: random.Random) -> Mutation:
        begin = file.base + 10 + 16 * field
        places = [
            place
            for place in range(begin, begin + 16)
            if file.content[place : place + 1] != b" " or chance.random() < 0.2
        ]
        return _other_character(file, chance.choice(places or [begin + 7]), chance)

    return change


def version(file: ValidFile, chance: random.Random) -> Mutation:
    """Change the version, mostly to another one that there is."""
    others = [b"2.0", b"3.0", b"3.1", b"3.2", b"3.3", b"1.0", b"4.0", b"3,1", b"   "]
    others = [other for other in others if other != file.version[3:].encode()]
    return overwrite(file, file.base + 3, chance.choice(others))


def value_of(*keys: str) -> Kind:
    """Change a character of a keyword's value; ``#`` in a key stands for a channel's number."""

    def change(file: ValidFile, chance: random.Random) -> Mutation | None:
        spans = [
            span
            for key in keys
            for number in (range(1, 5) if "#" in key else (0,))
            if (span := locate(file, key.replace("#", str(number)))) and span[0] < span[1]
        ]
        if not spans:
            return None
        place = chance.randrange(*chance.choice(spans))
        return _other_character(file, place, chance)

    return change


def byte_order(file: ValidFile, chance: random.Random) -> Mutation | None:
    """State another byte order."""
    span = locate(file, "$BYTEORD")
    if span is None:
        return None
    others = [b"1,2,3,4", b"4,3,2,1", b"3,4,1,2", b"1,2,3,3"]
    return overwrite(file, span[0], chance.choice(others))


def data_type(file: ValidFile, chance: random.Random) -> Mutation | None:
    """State another data type for all channels or for one."""
    keys = ["$DATATYPE", *(f"$P{number}DATATYPE" for number in (2, 3))]
    spans = [span for key in keys if (span := locate(file, key))]
    if not spans:
        return None
    place = chance.choice(spans)[0]
    return overwrite(file, place, _another(file.content[place], b"IFDAQ", chance))


def channel_text(file: ValidFile, chance: random.Random) -> Mutation | None:
    """Change a letter of a detector's or a marker's name."""
    keys = [f"$P{number}{kind}" for number in range(1, 5) for kind in "NS"]
    spans = [span for key in keys if (span := locate(file, key))]
    if not spans:
        return None
    place = chance.randrange(*chance.choice(spans))
    if file.content[place : place + 1] == b"/":
        return None
    return overwrite(file, place, _another(file.content[place], b"ABCXYZabc0129- ", chance))


def keyword_name(file: ValidFile, chance: random.Random) -> Mutation | None:
    """Change a letter of a keyword's name."""
    delimiter = file.content[file.text[0] : file.text[0] + 1]
    words = file.content[file.text[0] : file.text[1]].split(delimiter)[1:-1]
    names = [word for word in words if word.startswith(b"$")]
    if not names:
        return None
    name = chance.choice(names)
    begin = file.content.index(delimiter + name + delimiter, *file.text) + 1
    place = chance.randrange(begin, begin + len(name))
    return overwrite(file, place, _another(file.content[place], b"ABDEGNPRST1234$_ ", chance))


def delimiter(file: ValidFile, chance: random.Random) -> Mutation:
    """Overwrite a delimiter of TEXT; the first and the last one more often than others."""
    mark = file.content[file.text[0]]
    places = [place for place in range(*file.text) if file.content[place] == mark]
    place = chance.choice([places[0], places[-1], *places])
    return overwrite(file, place, _another(mark, b"0159 .A$|,\t\0\xb5", chance))


def delimiter_written(file: ValidFile, chance: random.Random) -> Mutation:
    """Write a delimiter over a byte of TEXT that is none."""
    mark = file.content[file.text[0]]
    places = [place for place in range(*file.text) if file.content[place] != mark]
    return overwrite(file, chance.choice(places), bytes([mark]))


def text_shortened(file: ValidFile, chance: random.Random) -> Mutation:
    """Delete bytes of TEXT, so that every offset is too large."""
    n_removed = chance.choice([1, 1, 1, 2, 4])
    return splice(file, chance.randrange(file.text[0], file.text[1] - n_removed), n_removed)


def text_lengthened(file: ValidFile, chance: random.Random) -> Mutation:
    """Insert bytes into TEXT, so that every offset is too small."""
    inserted = bytes(chance.choice(b"0159 .A$|/,") for _ in range(chance.choice([1, 1, 1, 2, 4])))
    return splice(file, chance.randrange(file.text[0] + 1, file.text[1]), 0, inserted)


def data_shortened(file: ValidFile, chance: random.Random) -> Mutation:
    """Delete bytes of DATA."""
    n_removed = chance.choice([1, 2, 4, 8])
    return splice(file, chance.randrange(file.data[0], file.data[1] - n_removed), n_removed)


def data_lengthened(file: ValidFile, chance: random.Random) -> Mutation:
    """Insert bytes into DATA."""
    inserted = chance.randbytes(chance.choice([1, 2, 4, 8]))
    return splice(file, chance.randrange(*file.data), 0, inserted)


def cut_at(file: ValidFile, length: int) -> Mutation:
    """Keep so many bytes of a file."""
    return Mutation(replace(file, content=file.content[:length]), f"cut to {length} bytes")


def junk(file: ValidFile, chance: random.Random) -> Mutation:
    """Append what does not belong to the file."""
    appended = chance.choice([
        chance.randbytes(chance.choice([1, 8, file.row_bits // 8, 100])),
        b"\x1a", b"\0" * 512, b" " * 22, b"FCS3.1    ", file.content,
    ])  # fmt: skip
    what = f"{len(appended)} bytes {appended[:8]!r} … appended"
    return Mutation(replace(file, content=file.content + appended), what)


def offsets_alike(file: ValidFile, chance: random.Random) -> Mutation | None:
    """Change the offsets of DATA in HEADER and TEXT in the same way."""
    shift = chance.choice([1, -1, 4, -4, file.row_bits // 8, -file.row_bits // 8])
    moves = chance.choice([(shift, 0), (0, shift), (shift, shift)])
    changed = file
    for place, key, move in zip((26, 34), ("$BEGINDATA", "$ENDDATA"), moves, strict=True):
        in_header = (file.base + place, file.base + place + 8)
        for span, form in ((in_header, ">8"), (locate(file, key), "06")):
            stated = file.content[slice(*span)].strip() if span else b"0"
            if span and stated.isdigit() and int(stated):
                changed = overwrite(changed, span[0], f"{int(stated) + move:{form}}".encode()).file
    return Mutation(changed, f"offsets of DATA moved by {moves}")


def two_faults(file: ValidFile, chance: random.Random) -> Mutation | None:
    """Put two faults that leave every byte in its place."""
    kinds: list[Kind] = [
        header_field(0), header_field(1), header_field(1), byte_order, data_type,
        channel_text, delimiter, data_byte, value_of("$TOT"), value_of("$PAR"), value_of("$P#B"),
        value_of("$P#R"), value_of("$P#E", "$P#G", "$TIMESTEP"), value_of("$BEGINDATA", "$ENDDATA"),
        value_of("$BEGINSTEXT", "$ENDSTEXT"), value_of("$NEXTDATA"), keyword_name, offsets_alike,
    ]  # fmt: skip
    told = []
    for kind in chance.sample(kinds, 2):
        mutation = kind(file, chance)
        if mutation is None:
            return None
        file = mutation.file
        told.append(mutation.what)
    return Mutation(file, "; ".join(told))


def _other_character(file: ValidFile, place: int, chance: random.Random) -> Mutation:
    choices = _DIGITS if chance.random() < 0.8 else _SIGNS
    return overwrite(file, place, _another(file.content[place], choices, chance))


def _another(there: int, choices: bytes, chance: random.Random) -> bytes:
    return bytes([chance.choice([choice for choice in choices if choice != there])])


KINDS: dict[str, Kind] = {
    "DATA byte": data_byte,
    "HEADER, offsets of TEXT": header_field(0),
    "HEADER, offsets of DATA": header_field(1),
    "HEADER, offsets of ANALYSIS": header_field(2),
    "version": version,
    "keyword's name": keyword_name,
    "$TOT": value_of("$TOT"),
    "$PAR": value_of("$PAR"),
    "$PnB": value_of("$P#B"),
    "$PnR": value_of("$P#R"),
    "$PnE": value_of("$P#E"),
    "$PnG": value_of("$P#G"),
    "$TIMESTEP": value_of("$TIMESTEP"),
    "$BYTEORD": byte_order,
    "$DATATYPE": data_type,
    "$PnN, $PnS": channel_text,
    "$BEGINDATA, $ENDDATA": value_of("$BEGINDATA", "$ENDDATA"),
    "$BEGINSTEXT, $ENDSTEXT": value_of("$BEGINSTEXT", "$ENDSTEXT"),
    "$BEGINANALYSIS, $ENDANALYSIS": value_of("$BEGINANALYSIS", "$ENDANALYSIS"),
    "$NEXTDATA": value_of("$NEXTDATA"),
    "delimiter overwritten": delimiter,
    "delimiter written": delimiter_written,
    "TEXT shortened": text_shortened,
    "TEXT lengthened": text_lengthened,
    "DATA shortened": data_shortened,
    "DATA lengthened": data_lengthened,
    "junk appended": junk,
    "offsets in HEADER and TEXT alike": offsets_alike,
    "two faults": two_faults,
}
ALL_KINDS = (*KINDS, "cut short")


def mutate(kind: str, file: ValidFile, n_mutations: int = N_A_FILE) -> Iterator[Mutation]:
    """Yield mutations of one kind, always the same ones; ``"cut short"`` is at every length."""
    if kind == "cut short":
        for length in range(len(file.content)):
            yield cut_at(file, length)
        return
    chance = random.Random(f"{kind}, {file.name}")
    for _ in range(n_mutations):
        mutation = KINDS[kind](file, chance)
        if mutation is not None and mutation.file.content != file.content:
            yield mutation
