"""Read tables that `tables.write` or a person wrote, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cytoflow_car.errors import StudyError
from cytoflow_car.tables.write import FORMULA


def read_table(source: Path) -> pd.DataFrame:
    """Read CSV or Parquet with text in every cell; what is empty is ``""``.

    The apostrophe that keeps a spreadsheet from running a text is taken off again.

    Raises
    ------
    StudyError
        It is no such table.
    """
    try:
        if source.suffix.lower() == ".parquet":
            table = pd.read_parquet(source)
            table = table.astype(object).where(table.notna(), "").map(_as_text)
        else:
            table = pd.read_csv(
                source, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
            )
    except (ValueError, OSError) as fault:  # errors of pandas and pyarrow are ValueErrors
        raise StudyError(f"it cannot be read as a table ({fault})", where=source.name) from None
    for column in table.columns:
        table[column] = table[column].map(_restore)
    return table


def _as_text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _restore(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
