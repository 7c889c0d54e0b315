"""The TEXT segments of a data set: where they lie, and what they say together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cytoflow_car.errors import FcsTextError
from cytoflow_car.fcs.header import Header, Source, Span
from cytoflow_car.fcs.text import (
    BLANKS,
    is_closed,
    is_structural,
    listed,
    pair_words,
    parse_text,
    read_count,
    split_words,
)

#: TEXT that goes on for longer behind its stated end was not meant.
_MOST_GAP = 2**22
_BEGINS = ("$BEGINSTEXT", "$BEGINDATA", "$BEGINANALYSIS")


@dataclass(frozen=True, slots=True)
class Text:
    """What the TEXT segments of a data set say.

    Attributes
    ----------
    keywords
        In upper case; values without blanks at their ends. Where primary and supplemental TEXT
        state a keyword, the primary one holds.
    span
        Primary TEXT, as far as it was read.
    delimiter
        What stands between keywords and values.
    flags
        What was repaired or is doubtful.
    """

    keywords: dict[str, str]
    span: Span
    delimiter: bytes
    flags: tuple[str, ...]


def read_text(source: Source, header: Header, shift: int = 0) -> Text:
    """Read the keywords of a data set: primary TEXT, and supplemental TEXT where there is one.

    Parameters
    ----------
    shift
        Bytes by which TEXT is longer than the HEADER says.

    Raises
    ------
    FcsTextError
        When the primary TEXT is cut short or is not a list of keywords.
    """
    stated = Span(header.text.begin, header.text.end + shift)
    if stated.end >= source.available:
        raise FcsTextError(
            f"the file ends at byte {source.size}, TEXT only at {source.base + stated.end + 1}",
            where="TEXT",
            advice="The file is cut short: copy or export it again.",
        )
    flags = []
    segment = source.read(stated)
    blanks = len(segment) - len(segment.lstrip(BLANKS))
    if blanks:
        flags.append(f"text_begin: TEXT begins {blanks} bytes behind its place")
    delimiter = segment[blanks : blanks + 1]
    end = _find_end(source, header, stated, segment, delimiter)
    span = Span(stated.begin + blanks, end)
    if end != stated.end:
        flags.append(f"text_end: HEADER states byte {stated.end}, TEXT ends at {end}")
    keywords, doubts = parse_text(source.read(span))
    if not any(key.startswith("$") for key in keywords):
        raise FcsTextError(
            "there is no standard keyword in it",
            where="TEXT",
            expected="$PAR, $TOT …",
            advice="The HEADER points to a wrong place; export the file again.",
        )
    more, more_doubts = _read_supplement(source, span, keywords, delimiter, shift)
    own = {key: value for key, value in keywords.items() if value or key not in more}
    shared = [key for key in more if is_structural(key) and key in own]
    differing = [key for key in shared if own[key] != more[key]]
    if differing:
        more_doubts.append(f"keyword_doubled: {listed(differing)}, primary TEXT holds")
    return Text(more | own, span, delimiter, (*flags, *doubts, *more_doubts))


def find_segment(text: Text, name: str, shift: int) -> Span | None:
    """Return where TEXT says that another segment lies, `shift` bytes on; None without a word."""
    begin, end = (read_count(text.keywords.get(f"${key}{name}", "")) for key in ("BEGIN", "END"))
    # Some programs state the primary TEXT again.
    if not begin or not end or begin == text.span.begin:
        return None
    return Span(begin + shift, end + shift)


def _find_end(
    source: Source, header: Header, stated: Span, segment: bytes, delimiter: bytes
) -> int:
    """Return the last byte of TEXT: where HEADER says, unless its last delimiter is elsewhere."""
    if not delimiter:
        return stated.end
    known = [other.begin for other in (header.data, header.analysis) if other is not None]
    if stated.end + 1 in known and is_closed(segment, delimiter):
        return stated.end
    keywords = pair_words(split_words(segment.lstrip(BLANKS), delimiter))
    offsets = [*(read_count(keywords.get(key, "")) for key in _BEGINS), *known]
    begins = sorted(begin for begin in offsets if begin is not None and begin > stated.begin)
    for begin in begins:
        inside = begin - stated.begin
        if begin <= stated.end:
            # The first byte of DATA is often counted to TEXT.
            is_next = begin == stated.end and not is_closed(segment, delimiter)
            is_end = is_closed(segment[:inside], delimiter) and delimiter not in segment[inside:]
            if is_next or is_end:
                return begin - 1
        elif begin <= min(source.available, stated.end + _MOST_GAP):
            gap = source.read(Span(stated.end + 1, begin - 1))
            goes_on = not is_closed(segment, delimiter) or (
                b"$" in gap and gap.count(delimiter) > 1
            )
            return begin - 1 if goes_on and is_closed(b" " + gap, delimiter) else stated.end
    return stated.end


def _read_supplement(
    source: Source, primary: Span, keywords: dict[str, str], delimiter: bytes, shift: int
) -> tuple[dict[str, str], list[str]]:
    words = [keywords.get(key, "") for key in ("$BEGINSTEXT", "$ENDSTEXT")]
    begin, end = (read_count(word or "0") for word in words)
    # Some programs state the primary TEXT again.
    if (begin, end) == (0, 0) or begin == primary.begin:
        return {}, []
    is_empty = begin is not None and end is not None and begin - 1 <= end <= begin
    if is_empty or words == ["-1", "-1"] or (all(words) and (begin == 0 or end == 0)):
        return {}, ["supplemental_text: it is stated as empty"]
    if begin is None or end is None or end < begin:
        raise FcsTextError(
            "$BEGINSTEXT or $ENDSTEXT is missing, unreadable or impossible",
            where="TEXT",
            expected="both 0, or the place of supplemental TEXT",
            advice="Export the file again.",
        )
    begin, end = begin + shift, end + shift
    is_one_too_far = end == source.available and is_closed(
        source.read(Span(begin, end - 1)), delimiter
    )
    if is_one_too_far:
        end -= 1
    elif begin <= source.available <= end:
        raise FcsTextError(
            f"the file ends at byte {source.size}, supplemental TEXT only at "
            f"{source.base + end + 1}",
            where="TEXT",
            advice="The file is cut short: copy or export it again.",
        )
    if end >= source.available:
        return {}, ["supplemental_text: it lies outside the file"]
    segment = source.read(Span(begin, end))
    is_bare = re.match(rb"[$\w]", segment) is not None and not segment.startswith(delimiter)
    if is_bare and is_closed(segment, delimiter):
        # Some programs begin it with a keyword.
        segment = delimiter + segment
    try:
        more, doubts = parse_text(segment)
    except FcsTextError:
        if delimiter + b"$" in segment:
            # Keywords, if torn ones; other programs put something else there.
            raise
        return {}, ["supplemental_text: it is unreadable"]
    if is_bare:
        doubts.append("supplemental_text: it begins without delimiter, keywords may be lost")
    if is_one_too_far:
        doubts.append("supplemental_text: it is stated to end one byte behind the file")
    return more, doubts
