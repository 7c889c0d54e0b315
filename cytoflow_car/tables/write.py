"""Write tables as CSV (for people) and Parquet (the record)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

#: A spreadsheet takes text that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


def to_frame(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    """Return rows as a table with exactly these columns; what a row lacks is empty."""
    return pd.DataFrame.from_records(list(rows), columns=list(columns))


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write UTF-8, comma, header; text that a spreadsheet would run as a formula is quoted.

    Numbers keep every digit that tells them apart: 0.00049 is not 0.
    """
    safe = frame.copy()
    for column in safe.columns:
        if safe[column].dtype == object:
            safe[column] = safe[column].map(_defuse)
    safe.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write Parquet with zstd; text columns hold text only."""
    frame.to_parquet(path, index=False, compression="zstd", engine="pyarrow")


def _defuse(value: object) -> object:
    if not isinstance(value, str):
        return value
    # A bare carriage return is not quoted by the writer, and would tear the row.
    text = value.replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA) and not _NUMBER.fullmatch(text) else text
