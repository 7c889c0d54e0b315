"""The data sets of a file: FCS files and LMD files may hold several, one behind the other."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader

from cytoflow_car.errors import FcsDatasetError, FcsError
from cytoflow_car.fcs.header import Header, Source, parse_header
from cytoflow_car.fcs.segments import Text, read_text
from cytoflow_car.fcs.text import read_count

#: The beginning of a HEADER: version, four blanks, and the place of TEXT.
_MAGIC = re.compile(rb"FCS[23]\.[0-2] {4}[ \d]{7}\d[ \d]{7}\d")

#: Behind a data set, another one begins before so many bytes of padding.
_MOST_GAP = 8192


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set, not yet interpreted.

    Attributes
    ----------
    source
        Its bytes, from its HEADER on.
    text
        Its keywords.
    number, n_datasets
        Which of how many, from 1.
    next_begin
        Where the next data set begins, counted from this one; None behind the last one.
    next_shift
        How far that is from where ``$NEXTDATA`` says; None where it does not say.
    companion
        Keywords of the first data set, where this is another one with as many events; else empty.
    shift
        Bytes by which TEXT is longer than the HEADER says, and DATA lies behind its stated place.
    """

    source: Source
    header: Header
    text: Text
    number: int
    n_datasets: int
    next_begin: int | None
    next_shift: int | None
    companion: Mapping[str, str]
    flags: tuple[str, ...]
    shift: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    source: Source
    header: Header
    text: Text


@dataclass(frozen=True, slots=True)
class DataSets:
    """HEADER and TEXT of every data set of a file.

    Attributes
    ----------
    found
        Those that can be read.
    doubts
        Flags of how they were found.
    torn
        Why the one behind them cannot be read; None where there is none.
    n_linked
        How many ``$NEXTDATA`` tells of; others stand behind a last one.
    """

    found: tuple[_Found, ...]
    doubts: tuple[str, ...]
    torn: FcsError | None
    n_linked: int

    def __len__(self) -> int:
        return len(self.found)

    def choose(self, wanted: int | None) -> DataSet:
        """Return one data set.

        Where none is asked for and there are several, it is the only one of FCS 3 (LMD files hold
        the same events as FCS 2.0 and 3.0), else the first; the choice is flagged.

        Raises
        ------
        FcsDatasetError
            When the data set that is asked for is not in the file, or none is asked for and the one
            to be taken may be torn.
        """
        doubts = list(self.doubts)
        versions = [one.header.version for one in self.found]
        if self.torn is not None:
            if wanted is None and versions[0] < "FCS3":
                raise FcsDatasetError(
                    f"data set {len(self) + 1} is torn ({self.torn.where}: {self.torn.problem})",
                    where="HEADER",
                    advice="Copy or export the file again, or ask for another data set by number.",
                ) from self.torn
            doubts.append(f"next_dataset_unreadable: data set {len(self) + 1} is torn")
        number = _choose(versions[: self.n_linked]) if wanted is None else wanted
        if not 1 <= number <= len(self):
            raise FcsDatasetError(
                f"data set {number} is not in the file",
                where="HEADER",
                expected=f"1 to {len(self)}",
                advice="Correct the data set's number.",
            )
        if wanted is None and len(self) > 1:
            doubts.insert(0, f"several_datasets: {number} of {len(self)} is read")
        chosen = self.found[number - 1]
        following = self.found[number] if number < len(self) else None
        return DataSet(
            source=chosen.source,
            header=chosen.header,
            text=chosen.text,
            number=number,
            n_datasets=len(self),
            next_begin=None if following is None else following.source.base - chosen.source.base,
            next_shift=None if following is None else _find_shift(chosen, following),
            companion=_find_companion(self.found, chosen),
            flags=(*doubts, *chosen.header.flags),
        )


def list_datasets(file: BufferedReader, size: int) -> DataSets:
    """Read HEADER and TEXT of every data set of a file.

    Raises
    ------
    FcsError
        Of the kind that fits, when those of the first cannot be read.
    """
    found: list[_Found] = []
    doubts: list[str] = []
    n_linked = 0
    base: int | None = 0
    while base is not None:
        source = Source(file, base, size)
        try:
            header = parse_header(source)
            found.append(_Found(source, header, read_text(source, header)))
        except FcsError as error:
            if not found:
                raise
            return DataSets(tuple(found), tuple(doubts), error, n_linked or len(found))
        if not n_linked and not read_count(found[-1].text.keywords.get("$NEXTDATA") or "0"):
            n_linked = len(found)
        base = _find_next(found[-1], doubts, len(found) + 1)
    return DataSets(tuple(found), tuple(doubts), None, n_linked or len(found))


def _find_shift(chosen: _Found, following: _Found) -> int | None:
    stated = read_count(chosen.text.keywords.get("$NEXTDATA", ""))
    if not stated:
        return None
    if following.source.base == stated:
        return 0
    return following.source.base - chosen.source.base - stated


def _find_companion(found: tuple[_Found, ...], chosen: _Found) -> Mapping[str, str]:
    # Cytometers of Beckman Coulter write the events as FCS 2.0 and, behind that, as FCS 3.0.
    first = found[0].text.keywords
    are_pair = [one.header.version[:4] for one in found] == ["FCS2", "FCS3"]
    are_same = first.get("$TOT") == chosen.text.keywords.get("$TOT")
    return first if are_pair and are_same and chosen is not found[0] else {}


def _find_next(last: _Found, doubts: list[str], number: int) -> int | None:
    """Return where the next data set begins; each begins behind the last, so the search ends."""
    stated = last.text.keywords.get("$NEXTDATA", "")
    step = read_count(stated)
    source = last.source
    end = source.base + _find_stated_end(last)
    if not stated or step == 0:
        match = _search_magic(source.file, end, min(source.size, end + _MOST_GAP))
        if match is not None:
            doubts.append(f"next_dataset_offset: data set {number} found at byte {match}")
        return match
    if step is not None:
        # The standard counts from the data set's own beginning; where a plate's program counts
        # from the file's, that leads to a data set, too, but past others.
        behind_text = source.base + last.text.span.end + 1
        for begin in sorted((step, source.base + step)):
            if behind_text <= begin < source.size and _is_header(source.file, begin):
                if begin != source.base + step:
                    doubts.append(f"next_dataset_offset: data set {number} found at byte {begin}")
                return begin
    # TEXT may have become shorter without its offsets.
    begin = max(source.base + last.text.span.end, end - _MOST_GAP)
    match = _search_magic(source.file, begin, source.size)
    if match is not None:
        doubts.append(f"next_dataset_offset: data set {number} found at byte {match}")
        return match
    doubts.append(f"next_dataset_unreadable: $NEXTDATA leads to no data set {number}")
    return None


def _is_header(file: BufferedReader, begin: int) -> bool:
    file.seek(begin)
    return file.read(3) == b"FCS"


def _find_stated_end(found: _Found) -> int:
    """Return the last byte that HEADER or TEXT claims for the data set, as far as it is there."""
    keywords = found.text.keywords
    ends = [read_count(keywords.get(key, "")) or 0 for key in ("$ENDDATA", "$ENDSTEXT")]
    spans = (found.text.span, found.header.data, found.header.analysis)
    ends += [span.end for span in spans if span is not None]
    return max(end for end in ends if end < found.source.available)


def _search_magic(file: BufferedReader, begin: int, end: int) -> int | None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        match = _MAGIC.search(content, begin, end)
        return None if match is None else match.start()


def _choose(versions: list[str]) -> int:
    modern = [number for number, version in enumerate(versions, 1) if version >= "FCS3"]
    return modern[0] if len(modern) == 1 else 1
