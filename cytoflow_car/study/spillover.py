"""Spillover matrices that laboratories keep as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np

from cytoflow_car.errors import SpilloverError
from cytoflow_car.model.events import Spillover


def read_spillover(path: Path) -> Spillover:
    """Read a square matrix: a header of detectors, then one row a detector.

    A first column that repeats the detectors' names is allowed, in the order of the header.

    Raises
    ------
    SpilloverError
        No such file, or not a square matrix of numbers.
    """
    try:
        content = path.read_bytes()
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        rows = [row for row in lines if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError) as fault:
        raise SpilloverError(
            "the matrix cannot be read", where=path.name, expected="a CSV in UTF-8"
        ) from fault
    header = [cell.strip() for cell in rows[0]] if rows else []
    body = rows[1:]
    labelled = bool(body) and len(body[0]) == len(body) + 1
    if labelled:
        header = header[-len(body) :]
        names = [row[0].strip() for row in body]
        if names != header:
            raise SpilloverError(
                f"rows {', '.join(names)}", where=path.name, expected=f"rows {', '.join(header)}"
            )
        body = [row[1:] for row in body]
    if not body or any(len(row) != len(header) for row in body) or len(body) != len(header):
        raise SpilloverError(
            f"{len(body)} rows under {len(header)} detectors",
            where=path.name,
            expected="a square matrix",
        )
    try:
        matrix = np.asarray([[float(cell) for cell in row] for row in body])
    except ValueError:
        raise SpilloverError(
            "a cell that is not a number",
            where="spillover CSV",
            expected="numbers with a decimal point",
            advice="Export the matrix again, or correct the cell",
        ) from None
    return Spillover(tuple(header), matrix, f"CSV {hashlib.sha256(content).hexdigest()[:12]}")
