"""Print the bytes that analysing a tube takes at most, above what the imports hold (Linux).

A first analysis of a small tube, which brings in what is imported late, is not counted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measuring import count_peak_bytes
from our_way import make_job
from specimen import write_tube

from cytoflow_car.pipeline import analyse_sample

if __name__ == "__main__":
    job = make_job(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.fcs"
        write_tube(small, 1000)
        analyse_sample(make_job(small))
    print(count_peak_bytes(lambda: analyse_sample(job)))
