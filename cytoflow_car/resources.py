"""Folders that come with the package: gating templates and the sample study."""

from __future__ import annotations

from pathlib import Path


def resource_folder(name: str) -> Path:
    """Return ``gating_templates`` or ``sample_fcs``.

    In a wheel they lie inside the package; in a checkout or an editable install beside it.

    Raises
    ------
    FileNotFoundError
        Neither is there: the installation is incomplete.
    """
    package = Path(__file__).parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name} lies neither in {package} nor beside it: install again")
