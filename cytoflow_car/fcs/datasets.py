"""The data sets of a file: FCS files and LMD files may hold several, one behind the other."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader

from cytoflow_car.errors import FcsDatasetError, FcsError
from cytoflow_car.fcs.header import Header, parse_header
from cytoflow_car.fcs.segments import Text, read_text
from cytoflow_car.fcs.text import read_count

#: The beginning of a HEADER: version, four blanks, and the place of TEXT.
_MAGIC = re.compile(rb"FCS[23]\.[0-2] {4}[ \d]{7}\d[ \d]{7}\d")


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set, not yet interpreted.

    Attributes
    ----------
    base
        First byte of its HEADER in the file; its offsets count from there.
    available
        Bytes from there to the end of the file.
    text
        Its keywords.
    number, n_datasets
        Which of how many, from 1.
    next_begin
        Where the next data set begins, counted from `base`; None behind the last one.
    next_shift
        How far that is from where ``$NEXTDATA`` says.
    companion
        Keywords of the first data set, where this is another one with as many events; else empty.
    shift
        Bytes by which TEXT is longer than the HEADER says, and DATA lies behind its stated place.
    """

    base: int
    available: int
    header: Header
    text: Text
    number: int
    n_datasets: int
    next_begin: int | None
    next_shift: int
    companion: Mapping[str, str]
    flags: tuple[str, ...]
    shift: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    base: int
    header: Header
    text: Text


def choose_dataset(file: BufferedReader, size: int, wanted: int | None) -> DataSet:
    """Read HEADER and TEXT of one data set.

    Where none is asked for and there are several, it is the only one of FCS 3 (LMD files hold
    the same events as FCS 2.0 and 3.0), else the first; the choice is flagged.

    Raises
    ------
    FcsDatasetError
        When the data set that is asked for is not in the file, or none is asked for and one of
        them is torn.
    FcsError
        Of the kind that fits, when its HEADER or TEXT cannot be read.
    """
    found: list[_Found] = []
    doubts: list[str] = []
    base: int | None = 0
    while base is not None:
        try:
            header = parse_header(file, base, size)
            found.append(_Found(base, header, read_text(file, base, size, header)))
        except FcsError as error:
            if not found:
                raise
            if wanted is None:
                raise FcsDatasetError(
                    f"data set {len(found) + 1} is torn ({error.where}: {error.problem})",
                    where=f"byte {base}",
                    advice="Copy or export the file again, or ask for another data set by number.",
                ) from error
            doubts.append(f"next_dataset_unreadable: data set {len(found) + 1} at byte {base}")
            break
        base = _find_next(file, size, found[-1], doubts, len(found) + 1)
    number = _choose([one.header.version for one in found]) if wanted is None else wanted
    if not 1 <= number <= len(found):
        raise FcsDatasetError(
            f"data set {number} is not in the file",
            where="HEADER",
            expected=f"1 to {len(found)}",
            advice="Correct the data set's number.",
        )
    if wanted is None and len(found) > 1:
        doubts.insert(0, f"several_datasets: {number} of {len(found)} is read")
    chosen = found[number - 1]
    next_begin = found[number].base - chosen.base if number < len(found) else None
    stated = read_count(chosen.text.keywords.get("$NEXTDATA", ""))
    return DataSet(
        base=chosen.base,
        available=size - chosen.base,
        header=chosen.header,
        text=chosen.text,
        number=number,
        n_datasets=len(found),
        next_begin=next_begin,
        next_shift=0 if next_begin is None or stated is None else next_begin - stated,
        companion=_find_companion(found, chosen),
        flags=(*doubts, *chosen.header.flags),
    )


def _find_companion(found: list[_Found], chosen: _Found) -> Mapping[str, str]:
    # Cytometers of Beckman Coulter write the events as FCS 2.0 and, behind that, as FCS 3.0.
    first = found[0].text.keywords
    are_pair = [one.header.version[:4] for one in found] == ["FCS2", "FCS3"]
    are_same = first.get("$TOT") == chosen.text.keywords.get("$TOT")
    return first if are_pair and are_same and chosen is not found[0] else {}


def _find_next(
    file: BufferedReader, size: int, last: _Found, doubts: list[str], number: int
) -> int | None:
    """Return where the next data set begins; each begins behind the last, so the search ends."""
    stated = last.text.keywords.get("$NEXTDATA", "")
    step = read_count(stated)
    if not stated or step == 0:
        return None
    if step is not None and last.text.span.end < step < size - last.base:
        file.seek(last.base + step)
        if file.read(3) == b"FCS":
            return last.base + step
    match = _search_magic(file, size, last.base + last.text.span.end)
    if match is not None:
        doubts.append(f"next_dataset_offset: data set {number} found at byte {match}")
        return match
    doubts.append(f"next_dataset_unreadable: $NEXTDATA leads to no data set {number}")
    return None


def _search_magic(file: BufferedReader, size: int, begin: int) -> int | None:
    if begin >= size:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        match = _MAGIC.search(content, begin)
        return None if match is None else match.start()


def _choose(versions: list[str]) -> int:
    modern = [number for number, version in enumerate(versions, 1) if version >= "FCS3"]
    return modern[0] if len(modern) == 1 else 1
