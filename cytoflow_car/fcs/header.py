"""The HEADER segment: version, and where the other segments lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BufferedReader

from cytoflow_car.errors import FcsHeaderError, FcsUnsupportedError, NotFcsError

#: Bytes of a HEADER up to the end of the ANALYSIS offsets.
HEADER_BYTES = 58

_VERSIONS = ("FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2")
_OFFSET = re.compile(rb"[ \0]*0*(\d{1,8})[ \0]*")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a segment, first and last included, counted from the start of its data set."""

    begin: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.begin + 1)


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of an open file from the beginning of a data set on.

    Attributes
    ----------
    base
        First byte of the data set in the file; its offsets count from there.
    size
        Bytes of the file.
    """

    file: BufferedReader
    base: int
    size: int

    @property
    def available(self) -> int:
        """Bytes from the beginning of the data set to the end of the file."""
        return self.size - self.base

    def read(self, span: Span) -> bytes:
        """Return the bytes of a span, as far as they are in the file."""
        if span.begin < 0:
            return b""
        self.file.seek(self.base + span.begin)
        # A stated length may be beyond all memory.
        return self.file.read(max(0, min(len(span), self.available - span.begin)))


@dataclass(frozen=True, slots=True)
class Header:
    """What a HEADER states.

    Attributes
    ----------
    version
        ``"FCS2.0"`` to ``"FCS3.2"``.
    text
        The primary TEXT segment.
    data, analysis
        None where the HEADER leaves them to TEXT (zeros or blanks) or has them unreadable.
    flags
        What is doubtful.
    """

    version: str
    text: Span
    data: Span | None
    analysis: Span | None
    flags: tuple[str, ...] = ()


def parse_header(source: Source) -> Header:
    """Read the HEADER of a data set.

    Raises
    ------
    NotFcsError
        When the bytes do not begin with ``FCS``.
    FcsUnsupportedError
        For other versions than 2.0 to 3.2.
    FcsHeaderError
        When the HEADER is torn, or its TEXT offsets are unreadable.
    """
    raw = source.read(Span(0, HEADER_BYTES - 1))
    if not raw.startswith(b"FCS"):
        found = "an empty file" if source.size == 0 else "other bytes at its beginning"
        raise NotFcsError(
            f"{found}", where="HEADER", expected="'FCS' and a version", advice="Is it an FCS file?"
        )
    version = raw[:6].decode("latin-1")
    if len(raw) < HEADER_BYTES:
        raise FcsHeaderError(
            f"the file ends after {len(raw)} bytes",
            where="HEADER",
            expected=f"{HEADER_BYTES} bytes",
            advice="Copy or export the file again.",
        )
    if not re.fullmatch(r"FCS\d\.\d", version):
        raise FcsHeaderError("the version is unreadable", where="HEADER", expected="FCS3.1")
    if version not in _VERSIONS:
        raise FcsUnsupportedError(
            f"version {version}",
            where="HEADER",
            expected=", ".join(_VERSIONS),
            advice="Export the file as FCS 3.1.",
        )
    begin, end = (_offset(raw, place) for place in (10, 18))
    if begin is None or end is None or not HEADER_BYTES <= begin <= end:
        raise FcsHeaderError(
            f"TEXT from byte {_said(begin)} to {_said(end)}",
            where="HEADER",
            expected=f"two numbers from {HEADER_BYTES} on, the first not above the second",
            advice="Copy or export the file again.",
        )
    flags = []
    data = _span(raw, 26)
    if data is None and raw[26:42].strip(b" \x000"):
        flags.append("header_data_offset: unreadable in HEADER, taken from TEXT")
    return Header(version, Span(begin, end), data, _span(raw, 42), tuple(flags))


def _offset(raw: bytes, place: int) -> int | None:
    match = _OFFSET.fullmatch(raw[place : place + 8])
    return int(match[1]) if match else None


def _span(raw: bytes, place: int) -> Span | None:
    begin, end = _offset(raw, place), _offset(raw, place + 8)
    # Zero stands for "see TEXT" in large files, and for "there is none".
    if not begin or end is None:
        return None
    return Span(begin, end)


def _said(offset: int | None) -> str:
    return "(unreadable)" if offset is None else str(offset)
