"""Where tables may be written, and what must not stay there."""

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


def remove_former_landmarks(out: Path) -> None:
    """Remove tables and figures of landmarks that an earlier ``outcome`` wrote into a folder.

    Their names say the time, so that those of other landmarks would stay beside the new ones. A
    folder without an ``outcome.json`` is somebody else's.
    """
    if not (out / "outcome.json").is_file():
        return
    for pattern in ("landmark_[0-9]*.csv", "figures/*_landmark_[0-9]*.*"):
        for path in out.glob(pattern):
            path.unlink()
