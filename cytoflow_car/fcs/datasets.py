"""The data sets of a file: FCS files and LMD files may hold several, one behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from cytoflow_car.errors import FcsDatasetError, FcsError
from cytoflow_car.fcs.header import Header, parse_header
from cytoflow_car.fcs.text import read_count, read_text


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set, not yet interpreted.

    Attributes
    ----------
    base
        First byte of its HEADER in the file; its offsets count from there.
    available
        Bytes from there to the end of the file.
    number, n_datasets
        Which of how many, from 1.
    """

    base: int
    available: int
    header: Header
    keywords: dict[str, str]
    number: int
    n_datasets: int
    flags: tuple[str, ...]


def choose_dataset(file: BinaryIO, size: int, wanted: int | None) -> DataSet:
    """Read HEADER and TEXT of one data set.

    Where none is asked for and there are several, it is the only one of FCS 3 (LMD files hold
    the same events as FCS 2.0 and 3.0), else the first; the choice is flagged.

    Raises
    ------
    FcsDatasetError
        When the data set that is asked for is not in the file.
    FcsError
        Of the kind that fits, when its HEADER or TEXT cannot be read.
    """
    found: list[tuple[int, Header, dict[str, str], list[str]]] = []
    doubts: tuple[str, ...] = ()
    base: int | None = 0
    while base is not None:
        try:
            header = parse_header(file, base, size)
            keywords, flags = read_text(file, base, size, header)
        except FcsError:
            if not found:
                raise
            doubts = (f"next_dataset_unreadable: data set {len(found) + 1} at byte {base}",)
            break
        found.append((base, header, keywords, [*header.flags, *flags]))
        base = _find_next(base, keywords)
    number = _choose([header.version for _, header, _, _ in found]) if wanted is None else wanted
    if not 1 <= number <= len(found):
        raise FcsDatasetError(
            f"data set {number} is not in the file",
            where="HEADER",
            expected=f"1 to {len(found)}",
            advice="Correct the data set's number.",
        )
    if wanted is None and len(found) > 1:
        doubts = (f"several_datasets: {number} of {len(found)} is read", *doubts)
    base, header, keywords, flags = found[number - 1]
    return DataSet(
        base=base,
        available=size - base,
        header=header,
        keywords=keywords,
        number=number,
        n_datasets=len(found),
        flags=(*doubts, *flags),
    )


def _find_next(base: int, keywords: dict[str, str]) -> int | None:
    """Return where the next data set begins; each begins behind the last, so the search ends."""
    step = read_count(keywords.get("$NEXTDATA", ""))
    return base + step if step else None


def _choose(versions: list[str]) -> int:
    modern = [number for number, version in enumerate(versions, 1) if version >= "FCS3"]
    return modern[0] if len(modern) == 1 else 1
