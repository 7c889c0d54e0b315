"""Events for workspaces whose FCS files are not there."""

from __future__ import annotations

import numpy as np

from cytoflow_car.interop.gate_set import GateSet
from cytoflow_car.model.events import Channel, Events, Sample


def make_events(gates: GateSet, seed: int = 0) -> Sample:
    """Make events for workspaces whose files are not there: simulated, cells and debris."""
    named = {name for item in gates.matrices.values() for name in item.detectors}
    detectors = sorted({column.detector for column in gates.columns} | named)
    rng = np.random.default_rng(seed)
    n_events = 20_000
    bright = np.exp(rng.normal(8.5, 1.2, (n_events, len(detectors))))
    dim = rng.normal(0.0, 300.0, bright.shape)
    values = np.where(rng.random(bright.shape) < 0.5, dim, bright)
    size = rng.uniform(30_000.0, 200_000.0, n_events)
    for column, name in enumerate(detectors):
        if name.startswith("FSC"):
            values[:, column] = size * rng.normal(1.0, 0.02, n_events)
        elif name.startswith("SSC"):
            values[:, column] = rng.uniform(5_000.0, 90_000.0, n_events)
        elif name == "Time":
            values[:, column] = np.sort(rng.uniform(0.0, 100.0, n_events))
    events = Events(values.astype(np.float32), tuple(Channel(name) for name in detectors))
    return Sample(events, "FCS3.1")
