"""Figures as files, the same bytes for the same figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from cytoflow_car.errors import OutcomeError
from cytoflow_car.report.figures.style import in_print

#: By ending, metadata that would differ from day to day or from computer to computer.
_LEFT_OUT: dict[str, dict[str, None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}


@in_print
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure at its size in print, as the ending of `path` says.

    Parameters
    ----------
    path
        Ends in ``.svg`` (its text can be searched and edited), ``.pdf`` or ``.png`` (300 dpi).

    Raises
    ------
    OutcomeError
        Another ending.
    """
    ending = path.suffix.lower()
    if ending not in _LEFT_OUT:
        raise OutcomeError(
            f"no figures in {ending!r}", where=str(path), expected="one of .svg, .pdf and .png"
        )
    figure.savefig(path, format=ending[1:], metadata=dict(_LEFT_OUT[ending]))
