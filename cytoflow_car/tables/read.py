"""Read tables that `tables.write` or a person wrote, as text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cytoflow_car.errors import StudyError
from cytoflow_car.tables.write import FORMULA


def read_table(source: Path) -> pd.DataFrame:
    """Read CSV or Parquet with text in every cell; what is empty is ``""``.

    The apostrophe that keeps a spreadsheet from running a text is taken off again.

    Returns
    -------
    The index is the row as a spreadsheet shows it. Blank lines are left out, and so are columns
    without a name, such as the row names of R.

    Raises
    ------
    StudyError
        It is no such table; every row with too many or too few cells is told.
    """
    try:
        if source.suffix.lower() == ".parquet":
            table = pd.read_parquet(source)
            table = table.astype(object).where(table.notna(), "").map(_as_text)
            table.index = pd.RangeIndex(2, 2 + len(table))
        else:
            table = _read_csv(source)
    except (ValueError, OSError, csv.Error) as fault:  # errors of pandas, pyarrow are ValueErrors
        raise StudyError(f"it cannot be read as a table ({fault})", where=source.name) from None
    return table.map(_restore)


def _read_csv(source: Path) -> pd.DataFrame:
    with source.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        header = [name.strip() for name in next(lines, [])]
        _check_header(header, source.name)
        found: dict[int, list[str]] = {index: [] for index, name in enumerate(header) if name}
        width, rows, faults = max(found) + 1, [], []
        for row, cells in enumerate(lines, start=2):
            # Spreadsheets often leave empty cells behind on the right.
            if cells and (len(cells) < width or any(cells[width:])):
                faults.append(
                    StudyError(
                        f"{len(cells)} cells",
                        where=f"{source.name} row {row}",
                        expected=f"{width}, one a column of the header",
                    )
                )
            elif cells:
                rows.append(row)
                for index, column in found.items():
                    column.append(cells[index])
    if faults:
        raise StudyError.of(faults)
    columns = {header[index]: column for index, column in found.items()}
    return pd.DataFrame(columns, index=rows, dtype=object)


def _check_header(header: Sequence[str], name: str) -> None:
    if not any(header):
        raise StudyError("no header in the first row", where=name)
    for separator in (";", "\t"):
        if len(header) == 1 and separator in header[0]:
            raise StudyError(
                f"it looks separated by {separator!r}",
                where=name,
                expected="commas",
                advice="Save it as 'CSV UTF-8 (comma delimited)'",
            )
    for column in header:
        if column and header.count(column) > 1:
            raise StudyError(
                "stands twice",
                where=f"{name} row 1, column {column}",
                expected="one column of each name",
            )


def _as_text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _restore(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
