"""The public interface is what it is, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cytoflow_car

PUBLIC = [
    "CytoflowCarError", "Events", "Measurement", "Sample", "SampleFailure", "SampleJob",
    "SampleResult", "Status", "Template", "__version__", "analyse_sample", "check_study",
    "compare_results", "compensate", "estimate_folder", "gate_events", "inspect_file",
    "learn_from_gates", "list_templates", "load_template", "read_fcs", "read_header", "read_study",
    "run_study", "write_fcs",
]  # fmt: skip


def test_public_names_are_pinned() -> None:
    assert cytoflow_car.__all__ == PUBLIC
    assert dir(cytoflow_car) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_a_public_name_is_the_thing_of_that_name(name: str) -> None:
    assert getattr(cytoflow_car, name).__name__ == name


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'analyze_sample'"):
        _ = cytoflow_car.analyze_sample


def test_import_loads_no_library() -> None:
    code = "import sys; import cytoflow_car; print(len(set(sys.modules) & {'numpy', 'pydantic'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
