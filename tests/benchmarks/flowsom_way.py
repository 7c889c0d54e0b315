"""Cluster saved values with FlowSOM and print CPU seconds and GB; for a Python that has it.

``python flowsom_way.py VALUES.npy N_METACLUSTERS SEED``. FlowSOM is under another licence than this
project, so it is never imported by it: this file runs alone, in a process and a Python of its own.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path

import anndata
import flowsom
import numpy as np


def cluster(values: np.ndarray, n_metaclusters: int, seed: int) -> object:
    """Cluster on a grid of 10 × 10, everything else as the library has it."""
    events = anndata.AnnData(values)
    events.var_names = [f"marker {number}" for number in range(values.shape[1])]
    return flowsom.FlowSOM(events, n_clusters=n_metaclusters, xdim=10, ydim=10, seed=seed)


def resident(field: str) -> int:
    """Return VmRSS (now) or VmHWM (at most) in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    path, n_metaclusters, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    logging.disable()
    # What it compiles and imports late is not counted.
    small = np.random.default_rng(seed).normal(size=(5000, np.load(path, "r").shape[1]))
    cluster(small.astype(np.float32), n_metaclusters, seed)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    begin = time.process_time()
    kept = cluster(np.load(path), n_metaclusters, seed)
    seconds = time.process_time() - begin
    print(json.dumps({"cpu_s": seconds, "peak_gb": (resident("VmHWM") - before) / 1e9}))
