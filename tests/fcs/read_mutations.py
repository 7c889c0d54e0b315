"""Read every mutation of every valid file, with limits; a program of its own.

``python read_mutations.py FOLDER`` prints as JSON how many files were read, how long the slowest
took in seconds, and by how many bytes the process grew at its highest.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from pathlib import Path

from mutations import ALL_KINDS, MOST_BYTES, mutate, write_anew
from valid_files import make_files

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import read_fcs


def main(folder: Path) -> None:
    path = folder / "a.fcs"
    mutations = [
        mutation.file.content
        for kind in ALL_KINDS
        for file in make_files().values()
        for mutation in mutate(kind, file)
    ]
    # Memory that is taken and never touched would not show in the process's size.
    limit = _taken() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = _highest()
    slowest = 0.0
    for content in mutations:
        write_anew(path, content)
        began = time.perf_counter()
        with contextlib.suppress(CytoflowCarError):
            read_fcs(path)
        slowest = max(slowest, time.perf_counter() - began)
    print(json.dumps({"n": len(mutations), "slowest": slowest, "grown": _highest() - before}))


def _taken() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
