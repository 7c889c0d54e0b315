"""What a person installs holds everything, and the commands that are shown to people work."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

_FOLDERS_IN_THE_WHEEL = ("gating_templates", "sample_fcs")


@pytest.fixture(scope="module")
def built(repository_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, then the wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    finished = subprocess.run(
        # Without isolation nothing is fetched: the build backend is among the test requirements.
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, repository_root],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert finished.returncode == 0, f"\n{finished.stdout}{finished.stderr}"
    return folder


@pytest.fixture(scope="module")
def in_wheel(built: Path) -> set[str]:
    """Return the names of all files of the wheel."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module(in_wheel: set[str], repository_root: Path) -> None:
    package = repository_root / "cytoflow_car"
    modules = {path.relative_to(repository_root).as_posix() for path in package.rglob("*.py")}
    assert sorted(modules - in_wheel) == []
    assert "cytoflow_car/py.typed" in in_wheel


@pytest.mark.parametrize("name", _FOLDERS_IN_THE_WHEEL)
def test_the_wheel_holds_every_file_of(
    name: str, in_wheel: set[str], repository_root: Path
) -> None:
    files = _files_of(repository_root / name)
    assert files, f"{name} is empty or absent"
    assert {f"cytoflow_car/{name}/{file}" for file in files} == {
        file for file in in_wheel if file.startswith(f"cytoflow_car/{name}/")
    }


def test_the_wheel_holds_nothing_else(in_wheel: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in in_wheel} == {
        "cytoflow_car",
    }
    assert not [name for name in in_wheel if "__pycache__" in name or "/tests/" in name]


def test_the_sdist_can_be_tested(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "LICENSE", ".ci/run", "docs/conf.py", "tests/conftest.py"}
    assert sorted(wanted - names) == []


def test_readme_and_ci_give_one_test_command(repository_root: Path) -> None:
    readme = (repository_root / "README.md").read_text(encoding="utf-8")
    last = (repository_root / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert "pytest" in last
    assert last in readme.splitlines()


def _files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
