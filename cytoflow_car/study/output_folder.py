"""Where tables may be written."""

from __future__ import annotations

from pathlib import Path

from cytoflow_car.errors import StudyError


def refuse_results_folder(out: Path) -> None:
    """Refuse to write into a results folder, which the next run would then refuse.

    Raises
    ------
    StudyError
        `out` is a results folder, or lies in one.
    """
    for place in (out, *out.resolve().parents):
        if (place / "run.json").exists():
            raise StudyError(
                "the folder to be written lies in a results folder",
                where=f"--out {out.name}",
                expected="a folder beside it",
            )
