"""The benchmark's specimen in our own records."""

from __future__ import annotations

from pathlib import Path

import flowkit
import numpy as np
from specimen import N_GATES, make_template

from cytoflow_car.fcs import read_fcs
from cytoflow_car.gating.tree import gate_events
from cytoflow_car.job import FcsSource, SampleJob
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.pipeline import prepare
from cytoflow_car.preprocess.compensation import compensate
from cytoflow_car.preprocess.panel import assign_markers


def make_job(path: Path, n_gates: int = N_GATES) -> SampleJob:
    """Return the job that is timed: the file's own spillover, no pictures."""
    return SampleJob("benchmark", (FcsSource(path, None, ""),), make_template(n_gates), draw=False)


def gate_tube(path: Path, n_gates: int = N_GATES) -> PopulationTree:
    """Gate as the job does, and keep who lies in each gate."""
    template = make_template(n_gates)
    sample = read_fcs(path)
    columns = assign_markers(sample.events.channels, template.markers)
    prepared = prepare(compensate(sample.events, sample.spillover), columns, template)
    return gate_events(prepared, template.populations, np.ones(len(prepared), dtype=bool))


def count_unequal_members(tree: PopulationTree, theirs: flowkit.GatingResults) -> dict[str, int]:
    """Count, for each gate, the events that lie in it by one program only."""
    unequal = {}
    for population in tree:
        if population.parent is not None:
            inside = np.zeros(tree.kept.size, dtype=bool)
            inside[population.rows] = True
            differs = inside != theirs.get_gate_membership(population.name)
            unequal[population.name] = int(np.count_nonzero(differs))
    return unequal
