"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The tests run in as many processes as there are cores: threads of numpy would only quarrel. Before
# numpy is loaded, or it does not see it.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """Return the folder of pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder with real FCS files; skip where this machine has none."""
    given = os.environ.get("CYTOFLOW_CAR_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            "no real FCS files on this machine: set CYTOFLOW_CAR_DATA to a folder that holds them"
        )
    return folder
