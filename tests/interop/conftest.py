"""FlowCytometryTools, where its extra is installed, and the data that come with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def theirs() -> ModuleType:
    """Return FlowCytometryTools; skip where this machine has none."""
    if importlib.util.find_spec("FlowCytometryTools") is None:
        pytest.skip(
            "FlowCytometryTools is not installed: pip install 'cytoflow-car[flowcytometrytools]'"
        )
    from cytoflow_car.interop.flowcytometrytools import load

    return load()


@pytest.fixture(scope="session")
def bundled(theirs: ModuleType) -> Path:
    """Return the folder of the FCS files in its wheel."""
    return Path(theirs.__path__[0]) / "tests" / "data"


@pytest.fixture(scope="session")
def well_file(bundled: Path) -> Path:
    """Return a file whose values need no scaling: gain 1, linear, no time step."""
    return bundled / "Plate01" / "RFP_Well_A3.fcs"
