"""A TEXT segment: keywords and their values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from cytoflow_car.errors import FcsTextError

#: What fills the gaps between segments; behind TEXT and around its words there are line ends, too.
BLANKS = b" \0"
_WHITE = b" \0\t\r\n"
#: Keywords that values depend on. Others may hold what identifies a person, or be named by one.
_STRUCTURAL = re.compile(
    r"\$(P\d{1,4}[A-Z]{1,11}|PAR|TOT|MODE|DATATYPE|BYTEORD|TIMESTEP|NEXTDATA"
    r"|(BEGIN|END)(DATA|STEXT))|\$?SPILL(OVER)?"
)
#: Those of them that events depend on; which channel is Time is told by its name.
_OF_EVENTS = re.compile(
    r"\$(P\d{1,4}([NBREG]|DATATYPE|TYPE)|PAR|TOT|MODE|DATATYPE|BYTEORD|TIMESTEP|NEXTDATA"
    r"|(BEGIN|END)(DATA|STEXT))|\$?SPILL(OVER)?",
    re.IGNORECASE,
)
#: Keywords whose values are neither used nor shown.
_FREE = re.compile(r"\$(FIL|COM|SRC|PROJ|EXP|INST|OP|CELLS|SMNO|LAST_MODIFIER)", re.IGNORECASE)


def parse_text(segment: bytes) -> tuple[dict[str, str], list[str]]:
    r"""Split a TEXT segment into keywords and values.

    The first byte is the delimiter. A doubled delimiter inside a value is one of its characters.
    After a keyword it means an empty value, which the standard forbids and cytometers write: a
    keyword with a delimiter inside is the rarer thing.

    >>> parse_text(b"/$PAR/2/$FIL//$CYT/a//b/")[0]
    {'$PAR': '2', '$FIL': '', '$CYT': 'a/b'}
    """
    delimiter = segment[:1]
    if delimiter in (b"", b" ", b"\0") or delimiter.isalnum():
        raise FcsTextError(
            "it begins with no delimiter",
            where="TEXT",
            expected="a mark such as '/' or '|'",
            advice="The HEADER points to a wrong place; export the file again.",
        )
    tokens = split_words(segment, delimiter)
    flags = [] if is_closed(segment, delimiter) else ["text_unclosed: TEXT ends without delimiter"]
    if _is_astray(tokens):
        tokens = _split_at_keywords(segment, delimiter)
        flags.append(
            "text_delimiters: values hold the delimiter as it is; keywords tell them apart"
        )
    if len(tokens) % 2 and _decode(tokens[-1]):
        flags.append("text_odd: the last keyword has no value")
    keywords: dict[str, str] = {}
    doubled = []
    for token, content in zip(tokens[::2], tokens[1::2], strict=False):
        key, value = _decode(token).upper(), _decode(content)
        if keywords.get(key, value) != value and is_structural(key):
            doubled.append(key)
        keywords[key] = value
    if doubled:
        flags.append(f"keyword_doubled: {listed(doubled)}, the last value holds")
    return keywords, flags


def is_closed(segment: bytes, delimiter: bytes) -> bool:
    """Whether a TEXT segment ends with its delimiter, but for blanks."""
    return len(segment) > 1 and segment.rstrip(blanks_beside(delimiter)).endswith(delimiter)


def blanks_beside(delimiter: bytes) -> bytes:
    """Return what may fill a gap in TEXT: a delimiter fills none."""
    return _WHITE.replace(delimiter, b"") if delimiter else _WHITE


def is_structural(word: str) -> bool:
    """Whether a word is a keyword that values depend on; none is the value of another."""
    return _STRUCTURAL.fullmatch(word.upper()) is not None


def pair_words(tokens: Sequence[bytes]) -> dict[str, str]:
    """Return keywords in upper case with their values, of words in turn."""
    pairs = zip(tokens[::2], tokens[1::2], strict=False)
    return {_decode(key).upper(): _decode(value) for key, value in pairs}


def require(keywords: dict[str, str], key: str) -> str:
    """Return a keyword's value; FcsTextError where it is missing or empty."""
    value = keywords.get(key, "")
    if not value:
        raise FcsTextError(
            f"{key} is missing", where="TEXT", advice="Export the file again from the cytometer."
        )
    return value


def require_count(keywords: dict[str, str], key: str) -> int:
    """Return a keyword's whole number; FcsTextError where it is missing or is none."""
    # Some programs write 50.0.
    count = read_count(re.sub(r"\.0+$", "", require(keywords, key)))
    if count is None:
        raise FcsTextError(f"{key} is unreadable", where="TEXT", expected="a whole number")
    return count


def read_count(value: str) -> int | None:
    """Return a whole number of at most 18 digits, or None."""
    match = re.fullmatch(r"\s*\+?0*(\d{1,18})\s*", value, re.ASCII)
    return int(match[1]) if match else None


def read_number(value: str) -> float | None:
    """Return a finite number, or None."""
    try:
        number = float(value) if value.isascii() and "_" not in value else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names for a flag, shortened where they are many."""
    rest = len(names) - most
    return " ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _is_astray(tokens: Sequence[bytes]) -> bool:
    """Whether a delimiter was lost, or is none: all keywords behind it are in values' places."""
    # What no keyword begins with was torn from a value.
    is_torn = len(tokens) % 2 and re.match(r"[$\d.+-]", _decode(tokens[-1]))
    return bool(is_torn) or any(is_structural(_decode(value)) for value in tokens[1::2])


def _split_at_keywords(segment: bytes, delimiter: bytes) -> list[bytes]:
    """Split a segment whose values hold the delimiter, such as paths of files, without doubling it.

    Each keyword of the standard ends the value before it. An odd number of words between is a value
    and pairs of other keywords; an even number tells that a value holds the delimiter.

    Raises
    ------
    FcsTextError
        When that leaves doubt of a value that is used.
    """
    words = segment.rstrip(blanks_beside(delimiter)).removesuffix(delimiter).split(delimiter)[1:]
    places = [place for place, word in enumerate(words) if _is_keyword(word)]
    tokens: list[bytes] = []
    is_sure = places[:1] == [0] and is_closed(segment, delimiter)
    for place, following in pairwise([*places, len(words)]):
        key, value = words[place], words[place + 1 : following]
        # A keyword inside a word has lost its delimiter.
        is_torn = re.fullmatch(rb"\$P\d*", key, re.IGNORECASE) is not None
        is_torn = is_torn or any(_STRUCTURAL.search(_decode(word).upper()) for word in value)
        is_sure = is_sure and not is_torn
        if len(value) % 2:
            tokens += [key, *value]
            continue
        is_free = _FREE.fullmatch(_decode(key)) is not None
        is_one = len(value) == 2 and not _OF_EVENTS.fullmatch(_decode(key))
        is_sure = is_sure and bool(value) and (is_free or is_one)
        tokens += [key, delimiter.join(value)]
    if not is_sure:
        raise FcsTextError(
            "keywords and values are out of step",
            where="TEXT",
            expected="a value for each keyword, with its delimiters",
            advice="Export the file again.",
        )
    return tokens


def _is_keyword(word: bytes) -> bool:
    return re.fullmatch(r"\$[A-Z][A-Z0-9]{1,20}|SPILL(OVER)?", _decode(word).upper()) is not None


def split_words(segment: bytes, delimiter: bytes) -> list[bytes]:
    """Return keywords and values in turn, as they are written, of a segment and its delimiter."""
    # Text and runs of delimiters in turn: a run's length tells what its delimiters mean.
    pieces = re.split(b"(" + re.escape(delimiter) + b"+)", segment)
    tokens: list[bytes] = []
    current: list[bytes] = []
    is_value = False
    own = 0
    last = len(pieces) - 2
    for place in range(1, len(pieces), 2):
        run = len(pieces[place])
        closes, escaped, opened = False, 0, b""
        if place == 1:
            # Of '$', keywords begin with one of their own, doubled or not.
            own = run - 1 if delimiter == b"$" else 0
            opened = b"$" if own else b""
        elif own and is_value and run > 1 and place != last:
            # No value ends in '$' here: what follows is a keyword.
            closes, opened = True, b"$"
        elif is_value and run == 2 and place == last and not pieces[-1].strip(BLANKS):
            # Some programs end TEXT with two delimiters.
            closes = True
        elif is_value:
            closes, escaped = run % 2 == 1, run // 2
        else:
            tokens.append(b"".join(current))
            is_value, current = True, []
            if own and run == own + 2:
                closes, opened = True, b"$"
            else:
                # The first delimiter ends the keyword; an even run also ends its value.
                closes, escaped = run % 2 == 0, (run - 1) // 2
        current.append(delimiter * escaped)
        if closes:
            tokens.append(b"".join(current))
            is_value, current = False, []
        current += [opened, pieces[place + 1]]
    rest = b"".join(current)
    if rest.strip(_WHITE):
        tokens.append(rest)
    return tokens


def _decode(token: bytes) -> str:
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        text = token.decode("latin-1")
    return text.strip(_WHITE.decode())
