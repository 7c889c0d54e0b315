"""From FCS files to per-time-point tables for CAR T cell trials.

What is named here is the public interface, loaded when it is first used; the rest may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cytoflow_car.errors import CytoflowCarError
    from cytoflow_car.fcs import inspect_file, read_fcs, read_header, write_fcs
    from cytoflow_car.gating.tree import gate_events
    from cytoflow_car.job import SampleFailure, SampleJob, SampleResult
    from cytoflow_car.model.events import Events, Sample
    from cytoflow_car.model.measurement import Measurement, Status
    from cytoflow_car.pipeline import analyse_sample
    from cytoflow_car.preprocess.compensation import compensate
    from cytoflow_car.study.batch import run_study
    from cytoflow_car.study.check import check_study
    from cytoflow_car.study.compare import compare_results
    from cytoflow_car.study.learn import learn_from_gates
    from cytoflow_car.study.sheet import read_study
    from cytoflow_car.study.single_stains import estimate_folder
    from cytoflow_car.template import Template, list_templates, load_template

    __version__: str

_HOMES = {
    "CytoflowCarError": "errors",
    "Events": "model.events",
    "Measurement": "model.measurement",
    "Sample": "model.events",
    "SampleFailure": "job",
    "SampleJob": "job",
    "SampleResult": "job",
    "Status": "model.measurement",
    "Template": "template",
    "analyse_sample": "pipeline",
    "check_study": "study.check",
    "compare_results": "study.compare",
    "compensate": "preprocess.compensation",
    "estimate_folder": "study.single_stains",
    "gate_events": "gating.tree",
    "inspect_file": "fcs",
    "learn_from_gates": "study.learn",
    "list_templates": "template",
    "load_template": "template",
    "read_fcs": "fcs",
    "read_header": "fcs",
    "read_study": "study.sheet",
    "run_study": "study.batch",
    "write_fcs": "fcs",
}

__all__ = [
    "CytoflowCarError",
    "Events",
    "Measurement",
    "Sample",
    "SampleFailure",
    "SampleJob",
    "SampleResult",
    "Status",
    "Template",
    "__version__",
    "analyse_sample",
    "check_study",
    "compare_results",
    "compensate",
    "estimate_folder",
    "gate_events",
    "inspect_file",
    "learn_from_gates",
    "list_templates",
    "load_template",
    "read_fcs",
    "read_header",
    "read_study",
    "run_study",
    "write_fcs",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cytoflow-car")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
