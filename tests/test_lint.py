"""Style and types, so that the one test command runs everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "--no-cache", "."], id="ruff check"),
        pytest.param(["ruff", "format", "--no-cache", "--check", "."], id="ruff format"),
        pytest.param(["mypy"], id="mypy"),
    ],
)
def test_nothing_is_found(command: list[str], repository_root: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=repository_root,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert finished.returncode == 0, f"\n{finished.stdout}{finished.stderr}"
