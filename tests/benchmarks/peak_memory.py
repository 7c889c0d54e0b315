"""Print the bytes that analysing a tube takes at most, above what the imports hold (Linux).

Resident memory is counted, pages of the mapped file included. The kernel's high-water mark is set
back after a first analysis of a small tube, which brings in what is imported late.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from our_way import make_job
from specimen import write_tube

from cytoflow_car.pipeline import analyse_sample


def _resident(field: str) -> int:
    """Return VmRSS (now) or VmHWM (at most) in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    job = make_job(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.fcs"
        write_tube(small, 1000)
        analyse_sample(make_job(small))
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    analyse_sample(job)
    print(_resident("VmHWM") - before)
