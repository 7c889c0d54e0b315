"""Print the bytes that reading a file and looking at every value takes at most (Linux)."""

from __future__ import annotations

import sys

from measuring import count_peak_bytes

from cytoflow_car.fcs import read_fcs
from cytoflow_car.model.events import Sample


def read_whole(path: str) -> Sample:
    """Read a file and touch every page of its values."""
    sample = read_fcs(path)
    for column in range(sample.events.values.shape[1]):
        sample.events.values[:, column].max()
    return sample


if __name__ == "__main__":
    print(count_peak_bytes(lambda: read_whole(sys.argv[1])))
