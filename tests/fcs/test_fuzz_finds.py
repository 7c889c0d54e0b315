"""Files that fuzzing found: none of them may break the reader again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.fcs import read_fcs, read_header, read_keywords

FINDS = sorted((Path(__file__).resolve().parent.parent / "fuzz" / "finds").glob("*.fcs"))
MOST_SECONDS = 2.0


@pytest.mark.parametrize("find", [pytest.param(find, id=find.stem) for find in FINDS])
def test_find_gives_a_sample_or_an_error_of_ours(find: Path) -> None:
    began = time.perf_counter()
    hidden = False
    for dataset in (None, 2):
        for read in (read_keywords, read_header, read_fcs):
            try:
                read(find, dataset)
            except CytoflowCarError as error:
                # The file can be opened: the system's refusals are faults of ours.
                hidden = hidden or isinstance(error.__cause__, OSError)
    assert not hidden
    assert time.perf_counter() - began < MOST_SECONDS
