"""A strict and slow interpreter of the FCS standard, independent of the package's reader.

Tests ask it what a changed file means now. It knows list mode of FCS 2.0 to 3.2 but for ASCII data
of varying width, guesses nothing and repairs nothing.

References
----------
FCS 2.0: Dean et al., Cytometry 11 (1990) 323-332. FCS 3.0: Seamer et al., Cytometry 28 (1997)
118-122. FCS 3.1: Spidlen et al., Cytometry A 77 (2010) 97-100. FCS 3.2: Spidlen et al.,
Cytometry A 99 (2021) 100-102.
"""

from __future__ import annotations

from dataclasses import dataclass

from standard_values import ContradictionError, Meaning, decode, whole

VERSIONS = ("FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2")
#: Stands for "nothing there" among segments.
_NOWHERE = (0, -1)


@dataclass(frozen=True, slots=True)
class _Set:
    version: str
    keywords: dict[str, str]
    text: tuple[int, int]
    header_data: tuple[int, int]
    header_analysis: tuple[int, int]
    supplement: tuple[int, int]
    doubts: list[str]


def interpret(content: bytes, number: int | None = None) -> Meaning:
    """Return what data set `number` of a file says.

    By default the only data set of FCS 3 where there are several, else the first.

    Raises
    ------
    ContradictionError
        When the standard leaves the events without a meaning.
    """
    sets: list[tuple[int, _Set]] = []
    base = 0
    doubts = []
    while True:
        try:
            read = _read_set(content[base:])
        except ContradictionError:
            if not sets:
                raise
            doubts.append("the next data set cannot be read")
            break
        sets.append((base, read))
        step = whole(read.keywords.get("$NEXTDATA") or "0")
        if step is None:
            doubts.append("$NEXTDATA")
        if not step:
            break
        base += step
    if number is None:
        modern = [place for place, (_, read) in enumerate(sets, 1) if read.version >= "FCS3"]
        number = modern[0] if len(modern) == 1 else 1
    if number > len(sets):
        raise ContradictionError(f"no data set {number}")
    base, read = sets[number - 1]
    first, last = _find_data(read, len(content) - base)
    meaning = decode(read.keywords, content[base + first : base + last + 1], read.version)
    return Meaning(
        meaning.events,
        meaning.detectors,
        meaning.markers,
        (*doubts, *read.doubts, *meaning.doubts),
    )


def _read_set(content: bytes) -> _Set:
    version = content[:6].decode("latin-1")
    if version not in VERSIONS or len(content) < 58:
        raise ContradictionError("no HEADER of a known version")
    spans = []
    for place in (10, 26, 42):
        begin, end = (_offset(content[at : at + 8]) for at in (place, place + 8))
        if begin is None or end is None:
            if place < 42:
                raise ContradictionError("an offset in HEADER is no number")
            begin, end = _NOWHERE
        if place < 42 and bool(begin) != bool(end):
            raise ContradictionError("half a segment in HEADER")
        spans.append((begin, end) if begin else _NOWHERE)
    text, data, analysis = spans
    if not 58 <= text[0] < text[1] < len(content):
        raise ContradictionError("TEXT is not where HEADER says")
    keywords, doubts = split(content[text[0] : text[1] + 1])
    supplement = _NOWHERE
    if version != "FCS2.0":
        begin, end = (whole(keywords.get(key, "0")) for key in ("$BEGINSTEXT", "$ENDSTEXT"))
        if begin is None or end is None or bool(begin) != bool(end):
            raise ContradictionError("supplemental TEXT without offsets")
        if begin and (begin, end) != text:
            if not 58 <= begin < end < len(content) or _overlap((begin, end), text):
                raise ContradictionError("supplemental TEXT is not where TEXT says")
            supplement = (begin, end)
            more, others = split(content[begin : end + 1])
            keywords = more | keywords
            doubts += others
    if not any(key.startswith("$") for key in keywords):
        raise ContradictionError("TEXT without a standard keyword")
    return _Set(version, keywords, text, data, analysis, supplement, doubts)


def split(segment: bytes) -> tuple[dict[str, str], list[str]]:
    """Split a TEXT segment into keywords and values; without its last delimiter it is doubtful."""
    delimiter = segment[:1]
    if delimiter.isalnum() or delimiter in (b"", b" ", b"$", b"\0") or delimiter > b"\x7e":
        raise ContradictionError("TEXT does not begin with a delimiter")
    words: list[bytes] = []
    word = b""
    place = 1
    while place < len(segment):
        if segment[place : place + 1] != delimiter:
            word += segment[place : place + 1]
        elif segment[place + 1 : place + 2] == delimiter and (word or place > 1):
            word += delimiter
            place += 1
        else:
            words.append(word)
            word = b""
        place += 1
    doubts = []
    if word:
        words.append(word)
        doubts.append("TEXT does not end with its delimiter")
    if len(words) % 2:
        raise ContradictionError("TEXT does not end with a value")
    if not all(words[::2]):
        raise ContradictionError("an empty keyword")
    keywords: dict[str, str] = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        name = key.decode("latin-1").upper()
        content = value.decode("latin-1").strip(" \t\r\n\0")
        if keywords.setdefault(name, content) != content:
            doubts.append(f"{name} twice")
        keywords[name] = content
    return keywords, doubts


def _find_data(read: _Set, available: int) -> tuple[int, int]:
    claim = read.header_data
    stated = [read.keywords.get(key) for key in ("$BEGINDATA", "$ENDDATA")]
    # Where one of the two is absent, HEADER alone counts, as in files of which it holds both.
    if read.version != "FCS2.0" and None not in stated:
        begin, end = (whole(offset or "") for offset in stated)
        if begin is None or end is None or bool(begin) != bool(end):
            raise ContradictionError("an offset of DATA in TEXT is no number")
        if begin and claim != _NOWHERE and (begin, end) != claim:
            raise ContradictionError("HEADER and TEXT disagree")
        claim = (begin, end) if begin else claim
    if claim == _NOWHERE or not 58 <= claim[0] <= claim[1] < available:
        raise ContradictionError("DATA is not where the file says")
    step = whole(read.keywords.get("$NEXTDATA") or "0")
    if step and claim[1] >= step:
        raise ContradictionError("DATA reaches into the next data set")
    own = [whole(read.keywords.get(key, "0")) for key in ("$BEGINANALYSIS", "$ENDANALYSIS")]
    analysis = (own[0], own[1]) if own[0] and own[1] is not None else _NOWHERE
    for other in (read.text, read.supplement, read.header_analysis, analysis):
        if other != _NOWHERE and _overlap(claim, other):
            raise ContradictionError("DATA overlaps another segment")
    return claim


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _offset(digits: bytes) -> int | None:
    if not digits.strip(b" 0"):
        return 0
    return whole(digits.decode("latin-1")) if b"+" not in digits else None
