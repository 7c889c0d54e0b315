"""Imports go downwards from floor to floor; the contracts stand in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

_FLOORS_0_1 = {
    "antigen",
    "calibration",
    "clustering",
    "errors",
    "gating",
    "measure",
    "model",
    "preprocess",
    "qc",
    "resources",
}


def test_every_import_contract_is_kept(repository_root: Path) -> None:
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=repository_root,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=_with_utf8(),
    )
    assert finished.returncode == 0, f"\n{finished.stdout}{finished.stderr}"


def test_every_science_module_is_kept_from_the_libraries_of_the_edges(
    repository_root: Path,
) -> None:
    settings = tomllib.loads((repository_root / "pyproject.toml").read_text(encoding="utf-8"))
    science = next(
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if "flowio" in contract.get("forbidden_modules", [])
    )
    package = repository_root / "cytoflow_car"
    present = {
        f"cytoflow_car.{path.stem}"
        for path in package.iterdir()
        if path.stem in _FLOORS_0_1 and (path.suffix == ".py" or (path / "__init__.py").is_file())
    }
    assert set(science["source_modules"]) == present


def _with_utf8() -> dict[str, str]:
    # The linter draws frames, which a Windows console's own encoding lacks.
    return {**os.environ, "PYTHONUTF8": "1"}
