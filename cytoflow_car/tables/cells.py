"""Rows of a written table, each of which knows where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cytoflow_car.tables.read import read_table


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table, as text.

    Attributes
    ----------
    table
        Name of the file.
    row
        As a spreadsheet shows it: the header is row 1.
    """

    table: str
    row: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell; a column that the table lacks is empty."""
        return self.cells.get(column, "")

    @property
    def flags(self) -> tuple[str, ...]:
        """Its doubts."""
        return tuple(flag.strip() for flag in self["flags"].split(";") if flag.strip())


def read_lines(source: Path) -> tuple[Line, ...]:
    """Read a table as `read_table` does.

    Raises
    ------
    StudyError
        It is no such table.
    """
    rows = read_table(source).to_dict("records")
    return tuple(
        Line(source.name, row, {str(name): text for name, text in cells.items()})
        for row, cells in enumerate(rows, start=2)
    )
