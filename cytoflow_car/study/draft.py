"""A first sample sheet, guessed from file names."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from cytoflow_car.errors import FcsError
from cytoflow_car.fcs import read_header

#: Columns of a draft; those that no file name tells stand there to be filled in.
COLUMNS = (
    "file", "sample_id", "patient_id", "specimen", "tube", "day", "day_origin", "timing",
    "template", "role", "control_marker", "batch", "baseline", "acquired_at",
)  # fmt: skip

_SPECIMEN_WORDS = {
    "PB": "PB", "BLOOD": "PB", "PERIPHERAL": "PB",
    "BM": "BM", "MARROW": "BM",
    "CSF": "CSF", "LIQUOR": "CSF",
}  # fmt: skip
_PATIENT = re.compile(r"(?:p|pt|pat|patient|subj|subject|upn)-?\d+", re.IGNORECASE)
_CYCLE_DAY = re.compile(r"c(?:ycle)?(\d)d(?:ay)?([+-]?\d{1,4})", re.IGNORECASE)
_CYCLE = re.compile(r"c(?:ycle)?(\d)", re.IGNORECASE)
_DAY = re.compile(r"d(?:ay)?([+-]?\d{1,4})", re.IGNORECASE)
_TUBE = re.compile(r"[TB]\d{0,2}|[Tt]ube\d{1,2}")
_ROLES = {"fmo": "fmo", "isotype": "isotype", "iso": "isotype", "untransduced": "untransduced",
          "utd": "untransduced"}  # fmt: skip


def draft_sheet(folder: Path, sheet_folder: Path | None = None) -> list[dict[str, str]]:
    """Guess a row of ``samples.csv`` for every FCS file below a folder.

    Parameters
    ----------
    folder
        Searched with all that is below it.
    sheet_folder
        Where the sheet will lie, which its paths are relative to; `folder` itself by default.

    Returns
    -------
    Rows with `COLUMNS`, sorted by path. What the file name does not tell is empty. Of the keywords
    only the date of acquisition is used, never a name or a number of a patient.
    """
    return [
        {column: guess.get(column, "") for column in COLUMNS}
        for path in find_files(folder)
        for guess in [_guess(path, sheet_folder or folder)]
    ]


def find_files(folder: Path) -> list[Path]:
    """Return the FCS files below a folder, sorted: by suffix, or by how they begin.

    CellQuest gives its files suffixes such as ``.001`` or the well.
    """
    return sorted(path for path in folder.rglob("*") if path.is_file() and _is_fcs(path))


def _is_fcs(path: Path) -> bool:
    if path.suffix.lower() in (".fcs", ".lmd"):
        return True
    with suppress(OSError), path.open("rb") as file:
        return re.match(rb"FCS\d\.\d", file.read(6)) is not None
    return False


def _guess(path: Path, sheet_folder: Path) -> dict[str, str]:
    file = Path(os.path.relpath(path.resolve(), sheet_folder.resolve())).as_posix()
    # A spreadsheet takes a text that begins so for a formula.
    guess = {"file": f"./{file}" if file[0] in "=+-@" else file, **_from_name(path.stem)}
    # A torn file gets its row too: `check` says what is wrong with it.
    with suppress(FcsError):
        guess["acquired_at"] = read_header(path).acquired_on or ""
    return guess


def _from_name(stem: str) -> dict[str, str]:
    """Read the words of a file name; each is used once, what is not understood is passed over."""
    # "day 28" is one thing in two words; a hyphen before a digit is a minus or part of a number.
    stem = re.sub(r"(?i)\b(d|day|tube) +(?=[+-]?\d)", r"\1", stem.replace("_", " "))
    words = [word for word in re.split(r"[\s,()]+|-(?=[A-Za-z])", stem) if word]
    guess: dict[str, str] = {}
    for word in words:
        if "patient_id" not in guess and _PATIENT.fullmatch(word):
            guess["patient_id"] = word
        elif "specimen" not in guess and word.upper() in _SPECIMEN_WORDS:
            guess["specimen"] = _SPECIMEN_WORDS[word.upper()]
        elif "day" not in guess and (both := _CYCLE_DAY.fullmatch(word)):
            guess |= {"day_origin": f"infusion {both[1]}", "day": str(int(both[2]))}
        elif "day_origin" not in guess and (cycle := _CYCLE.fullmatch(word)):
            guess["day_origin"] = f"infusion {cycle[1]}"
        elif "day" not in guess and (day := _DAY.fullmatch(word)):
            guess["day"] = str(int(day[1]))
        elif "timing" not in guess and word.lower() in ("pre", "post"):
            guess["timing"] = word.lower()
        elif "role" not in guess and word.lower() in _ROLES:
            guess["role"] = _ROLES[word.lower()]
        elif _TUBE.fullmatch(word):
            guess["tube"] = word  # the last one: tubes stand at the end
    return guess
