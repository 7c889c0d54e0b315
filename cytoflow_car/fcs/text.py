"""The TEXT segments: keywords and their values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import BinaryIO

from cytoflow_car.errors import FcsTextError
from cytoflow_car.fcs.header import Header, Span

_PADDING = b" \t\r\n\0"
#: Keywords that values depend on. Others may hold what identifies a person, or be named by one.
_STRUCTURAL = re.compile(
    r"\$(P\d{1,4}[A-Z]{1,11}|PAR|TOT|MODE|DATATYPE|BYTEORD|TIMESTEP|SPILL(OVER)?|NEXTDATA"
    r"|(BEGIN|END)(DATA|STEXT))"
)


def read_text(
    file: BinaryIO, base: int, size: int, header: Header
) -> tuple[dict[str, str], list[str]]:
    """Read the keywords of a data set: primary TEXT, and supplemental TEXT where there is one.

    Returns
    -------
    keywords, flags
        Keywords in upper case, values without blanks at their ends. Where both segments state a
        keyword, the primary one holds.

    Raises
    ------
    FcsTextError
        When the primary TEXT is cut short or is not a list of keywords.
    """
    if base + header.text.end >= size:
        raise FcsTextError(
            f"the file ends at byte {size}, TEXT only at {base + header.text.end + 1}",
            where="TEXT",
            advice="The file is cut short: copy or export it again.",
        )
    keywords, flags = parse_text(_read(file, base, header.text))
    if not any(key.startswith("$") for key in keywords):
        raise FcsTextError(
            "there is no standard keyword in it",
            where="TEXT",
            expected="$PAR, $TOT …",
            advice="The HEADER points to a wrong place; export the file again.",
        )
    begin, end = (read_count(keywords.get(key, "0")) for key in ("$BEGINSTEXT", "$ENDSTEXT"))
    if begin is None or end is None:
        flags.append("supplemental_text: its offsets are unreadable")
    elif 0 < begin < end and Span(begin, end) != header.text:
        if base + end >= size:
            flags.append("supplemental_text: it lies outside the file")
        else:
            try:
                more, doubts = parse_text(_read(file, base, Span(begin, end)))
            except FcsTextError:
                more, doubts = {}, ["supplemental_text: it is unreadable"]
            keywords = more | keywords
            flags += doubts
    return keywords, flags


def parse_text(segment: bytes) -> tuple[dict[str, str], list[str]]:
    r"""Split a TEXT segment into keywords and values.

    The first byte is the delimiter. A doubled delimiter inside a value is one of its characters.
    After a keyword it means an empty value, which the standard forbids and cytometers write: a
    keyword with a delimiter inside is the rarer thing.

    >>> parse_text(b"/$PAR/2/$FIL//$CYT/a//b/")[0]
    {'$PAR': '2', '$FIL': '', '$CYT': 'a/b'}
    """
    delimiter = segment[:1]
    if delimiter in (b"", b" ", b"\0") or delimiter.isalnum() or delimiter > b"\x7f":
        raise FcsTextError(
            "it begins with no delimiter",
            where="TEXT",
            expected="a mark such as '/' or '|'",
            advice="The HEADER points to a wrong place; export the file again.",
        )
    tokens = _split(segment, delimiter)
    flags: list[str] = []
    if len(tokens) % 2:
        if tokens[-1].strip(_PADDING):
            flags.append("text_odd: the last keyword has no value")
        tokens.pop()
    keywords: dict[str, str] = {}
    doubled = []
    for token, content in zip(tokens[::2], tokens[1::2], strict=True):
        key, value = _decode(token).upper(), _decode(content)
        if keywords.get(key, value) != value and _STRUCTURAL.fullmatch(key):
            doubled.append(key)
        keywords[key] = value
    if doubled:
        flags.append(f"keyword_doubled: {listed(doubled)}, the last value holds")
    return keywords, flags


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
    count = read_count(require(keywords, key))
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


def _read(file: BinaryIO, base: int, span: Span) -> bytes:
    file.seek(base + span.begin)
    return file.read(len(span))


def _split(segment: bytes, delimiter: bytes) -> list[bytes]:
    # Text and runs of delimiters in turn: a run's length tells what its delimiters mean.
    pieces = re.split(b"(" + re.escape(delimiter) + b"+)", segment)
    tokens: list[bytes] = []
    current = b""
    is_value = False
    last = len(pieces) - 2
    for place in range(1, len(pieces), 2):
        run = len(pieces[place])
        if place == 1:
            closes, escaped = False, 0
            opened = b"$" if delimiter == b"$" and run > 1 else b""
        elif delimiter == b"$" and run > 1 and is_value and place != last:
            # No value ends in '$' here: what follows is a keyword, its own '$' doubled or not.
            closes, escaped, opened = True, 0, b"$"
        elif is_value:
            closes, escaped, opened = run % 2 == 1, run // 2, b""
        else:
            tokens.append(current)
            is_value, current = True, b""
            # The first delimiter ends the keyword; an even run also ends its value.
            closes, escaped, opened = run % 2 == 0, (run - 1) // 2, b""
        current += delimiter * escaped
        if closes:
            tokens.append(current)
            is_value, current = False, b""
        current += opened + pieces[place + 1]
    if current.strip(_PADDING) or is_value:
        tokens.append(current)
    return tokens


def _decode(token: bytes) -> str:
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        text = token.decode("latin-1")
    return text.strip(" \t\r\n\0")
