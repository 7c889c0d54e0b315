"""Strict reading of the study folder's CSV tables: every fault is kept with its row and column."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from cytoflow_car.errors import StudyError
from cytoflow_car.study.records import Moment

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?", re.ASCII)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

OWN_COLUMN = "x_"


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as text: its header, and those of its rows that are not empty."""

    columns: tuple[str, ...]
    rows: tuple[Cells, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """One row as text, read cell by cell.

    A cell that cannot be read gives None or an empty text, and its fault goes to `faults`, so that
    one look at a sheet tells all that is wrong with it.

    Attributes
    ----------
    where
        ``samples.csv row 14``.
    line
        Row number as a spreadsheet shows it.
    """

    where: str
    line: int
    values: Mapping[str, str]
    faults: list[StudyError]

    def fault(self, column: str, problem: str, *, expected: str = "", advice: str = "") -> None:
        """Note what is wrong with a cell; `column` may name several or be empty."""
        place = f"{self.where}, column {column}" if column else self.where
        self.faults.append(StudyError(problem, where=place, expected=expected, advice=advice))

    def text(self, column: str) -> str:
        """Return a cell as it stands; empty where the column is not there."""
        return self.values.get(column, "")

    @property
    def own(self) -> dict[str, str]:
        """The cells of columns that are the table's own."""
        return {name: cell for name, cell in self.values.items() if name.startswith(OWN_COLUMN)}

    def needed(self, column: str) -> str:
        """Return a cell that must not be empty."""
        if not self.text(column):
            self.fault(column, "empty")
        return self.text(column)

    def choice(self, column: str, allowed: Sequence[str], default: str = "") -> str:
        """Return one of the allowed words."""
        found = self.text(column)
        if not found:
            return default
        if found not in allowed:
            self.fault(
                column,
                f"{found!r} is not one of {', '.join(allowed)}",
                advice=nearest(found, allowed),
            )
            return default
        return found

    def several(self, column: str) -> tuple[str, ...]:
        """Return the words of a cell that are set apart by semicolons."""
        if not self.text(column):
            return ()
        words = tuple(word.strip() for word in self.text(column).split(";"))
        if not all(words) or len(set(words)) < len(words):
            self.fault(
                column,
                f"{self.text(column)!r} has an empty or repeated name",
                expected="names with ';' between them",
            )
        return tuple(dict.fromkeys(word for word in words if word))

    def number(
        self, column: str, *, least: float = -math.inf, above: float = -math.inf
    ) -> float | None:
        """Return a number of at least `least` and larger than `above`."""
        found = self.text(column)
        if not found:
            return None
        value = float(found) if _NUMBER.fullmatch(found) else math.nan
        if math.isfinite(value) and value >= least and value > above:
            return value
        if math.isfinite(value):
            bound = f"above {above:g}" if above > -math.inf else f"of at least {least:g}"
            self.fault(column, f"{found!r}", expected=f"a number {bound}")
        else:
            self.fault(column, f"{found!r} is not a number", advice=_about_number(found))
        return None

    def integer(self, column: str) -> int | None:
        """Return a whole number from 1."""
        found = self.text(column)
        if not found:
            return None
        if not _INTEGER.fullmatch(found) or int(found) < 1:
            self.fault(column, f"{found!r} is not one of 1, 2, 3 …")
            return None
        return int(found)

    def date(self, column: str) -> date | None:
        """Return an ISO date."""
        found = self.text(column)
        if not found:
            return None
        if _DATE.fullmatch(found):
            try:
                return date.fromisoformat(found)
            except ValueError:
                pass  # well formed, but no such day
        self.fault(column, f"{found!r} is not a date", expected="year-month-day as in 2024-03-31")
        return None

    def moment(self, column: str) -> Moment | None:
        """Return an ISO date with or without a time of day, without time zone."""
        found = self.text(column)
        if not found:
            return None
        try:
            if _MOMENT.fullmatch(found):
                return datetime.fromisoformat(found)
            if _DATE.fullmatch(found):
                return date.fromisoformat(found)
        except ValueError:
            pass  # well formed, but no such day or hour
        self.fault(
            column,
            f"{found!r} is not a date and time",
            expected="local date and time as in 2024-03-31T08:30, or a date",
        )
        return None


def read_table(
    path: Path, known: Sequence[str], required: Sequence[str], faults: list[StudyError]
) -> Table | None:
    """Read a CSV in UTF-8 with a header.

    Parameters
    ----------
    known
        Columns that may stand in the header, beside those that begin with ``x_``.
    required
        Columns that must.
    faults
        Receives every fault of the table, now and when its cells are read.

    Returns
    -------
    None where encoding, separator or header are wrong, because its rows would then mean nothing.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError as fault:
        problem = f"not UTF-8 (byte {fault.start + 1})"
        faults.append(StudyError(problem, where=path.name, advice="Save it as 'CSV UTF-8'"))
        return None
    except csv.Error as fault:
        faults.append(StudyError(f"not a CSV table: {fault}", where=path.name))
        return None
    header = [cell.strip() for cell in lines[0]] if lines else []
    wrong = list(_header_faults(header, known, required, path.name))
    if wrong:
        faults.extend(wrong)
        return None
    # Spreadsheets often leave empty columns behind on the right.
    width = max(index for index, column in enumerate(header) if column) + 1
    rows = []
    for line, raw in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in raw]
        if not any(cells):
            continue
        row = Cells(
            f"{path.name} row {line}", line, dict(zip(header[:width], cells, strict=False)), faults
        )
        if len(cells) < width or any(cells[width:]):
            row.fault("", f"{len(cells)} cells", expected=f"{width}, one a column of the header")
            continue
        for column, value in row.values.items():
            if _CONTROL_CHARACTER.search(value):
                row.fault(column, "a line break or control character")
        rows.append(row)
    return Table(tuple(header[:width]), tuple(rows))


def nearest(found: str, known: Sequence[str]) -> str:
    """Return ``Did you mean …?``, or nothing where no known word is near."""
    by_small_letters = {word.lower(): word for word in known}
    near = difflib.get_close_matches(found.lower(), by_small_letters, n=1)
    return f"Did you mean {by_small_letters[near[0]]}?" if near else ""


def _header_faults(
    header: list[str], known: Sequence[str], required: Sequence[str], name: str
) -> Iterator[StudyError]:
    if not any(header):
        yield StudyError(
            "no header in the first row", where=name, expected=f"{', '.join(required)} …"
        )
        return
    for separator, spoken in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            yield StudyError(
                f"columns are separated by {spoken}",
                where=name,
                expected="commas",
                advice="Save it as 'CSV UTF-8 (comma delimited)'",
            )
            return
    for index, column in enumerate(header):
        where = f"{name}, column {column}"
        if not column:
            if any(header[index:]):
                yield StudyError(f"column {index + 1} has no name", where=name)
        elif header.index(column) < index:
            yield StudyError("stands twice", where=where)
        elif column not in known and not (column.startswith(OWN_COLUMN) and column > OWN_COLUMN):
            advice = nearest(column, known) or "A column of your own begins with x_"
            yield StudyError("unknown column", where=where, advice=advice)
    for column in required:
        if column not in header:
            yield StudyError(f"no column {column}", where=name)


def _about_number(found: str) -> str:
    if re.fullmatch(r"[+-]?\d+,\d+", found):
        return f"Write {found.replace(',', '.')}"
    return "Write digits with a decimal point, without unit"
