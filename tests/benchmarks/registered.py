"""Time registered gates: 32 files of 50,000 events × 18 channels, ten gates, on one core.

``python tests/benchmarks/registered.py`` writes the files, each with another gain in every stain,
learns ten gates from one of them and gates the others: from file to measurements, registered and,
for comparison in the same run, with the gates left where they were drawn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

# One core is what is asked for.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from specimen import make_template, write_tube

from cytoflow_car.fcs import read_fcs
from cytoflow_car.gating.learning import HandGatedFile, learn_gate
from cytoflow_car.gating.tree import gate_events
from cytoflow_car.job import FcsSource, SampleJob
from cytoflow_car.pipeline import analyse_sample, prepare
from cytoflow_car.preprocess.compensation import compensate
from cytoflow_car.preprocess.panel import assign_markers
from cytoflow_car.template import Template

#: Ten of the benchmark's gates, the first of them.
_N_GATES = 10
#: CPU seconds a file that are wanted.
_AIM = 0.3


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description="Speed of registered gates")
    options.add_argument("--files", type=int, default=32)
    options.add_argument("--events", type=int, default=50_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"tube{number}.fcs" for number in range(chosen.files + 1)]
        for number, path in enumerate(paths):
            write_tube(path, chosen.events, seed=number, gain=1.26 if number else 1.0, n_more=2)
        fixed = ten_gates()
        registered = learn(paths[0], fixed)
        used = {
            name: cpu_seconds(template, paths[1:])
            for name, template in (("fixed", fixed), ("registered", registered))
        }
    for name, seconds in used.items():
        print(f"{name:12}{seconds:8.3f} CPU s a file ({chosen.files} files, {_N_GATES} gates)")
    met = "met" if used["registered"] <= _AIM else "missed"
    print(f"registered / fixed {used['registered'] / used['fixed']:.1f}; aim <= {_AIM} s: {met}")


def ten_gates() -> Template:
    """Return the benchmark's template with its first ten gates."""
    template = make_template()
    populations = template.populations[:_N_GATES]
    names = {"root", *(name for rule in populations for name in rule.names)}
    kept = tuple(item for item in template.measurements if set(item.populations) <= names)
    return replace(template, populations=populations, measurements=kept)


def learn(path: Path, fixed: Template) -> Template:
    """Learn every gate of a template from one file, on which it was drawn."""
    sample = read_fcs(path)
    columns = assign_markers(sample.events.channels, fixed.markers)
    prepared = prepare(compensate(sample.events, sample.spillover), columns, fixed)
    tree = gate_events(prepared, fixed.populations, np.ones(len(prepared), dtype=bool))
    file = HandGatedFile(
        prepared,
        {rule.name: rule.gate for rule in fixed.populations},  # type: ignore[misc]
        {population.name: population.rows for population in tree},
    )
    gates = [learn_gate(rule, [file], seed=0) for rule in fixed.populations]
    return replace(
        fixed,
        populations=tuple(gate.rule for gate in gates),
        training=tuple(item for gate in gates for item in gate.training),
    )


def cpu_seconds(template: Template, paths: list[Path]) -> float:
    """Return CPU seconds a file, from file to measurements."""
    jobs = [
        SampleJob(path.stem, (FcsSource(path, None, ""),), template, draw=False) for path in paths
    ]
    analyse_sample(jobs[0])
    began = time.process_time()
    for job in jobs:
        analyse_sample(job)
    return (time.process_time() - began) / len(jobs)


if __name__ == "__main__":
    main()
