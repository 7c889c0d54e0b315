"""Time and memory of a large marrow on one core, with the patient's baseline, as ``run`` takes it.

``python tests/benchmarks/large_marrow.py`` writes a baseline and a later marrow of 4·10⁶ events, as
EuroFlow asks for, and runs both templates of marrow on them in a fresh process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measuring import tell_aims
from residual_disease import ARMS, Later, write_baseline, write_later

#: What is wanted: figure, the comparison in words, and the bound.
_AIMS = (
    ("minutes", "minutes", "<=", 8.0),
    ("peak_gb", "GB at most, imports included", "<=", 4.0),
)


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--events", type=int, default=4_000_000)
    options.add_argument("--template", default="blasts_bm", help="of samples.csv; two by a ;")
    options.add_argument("--pictures", action="store_true")
    chosen = options.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        study = Path(place)
        patient = write_baseline(study, chosen.template, rng, 0.06)
        write_later(study, patient, Later(0, 0, ARMS[0], 1e-4, chosen.events), rng, 0.06)
        command = [sys.executable, "-m", "cytoflow_car", "run", place, "--jobs", "1"]
        command += ["--out", f"{place}/results", *([] if chosen.pictures else ["--no-pictures"])]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        figures = {
            "minutes": (time.perf_counter() - began) / 60.0,
            # Of the largest child, in KiB.
            "peak_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9,
        }
    print(f"{chosen.events} events, {chosen.template}")
    print(tell_aims(figures, _AIMS))


if __name__ == "__main__":
    main()
