"""What each event of a simulated file was made as."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.cytometer import DEAD, DOUBLET, LIVE, Acquisition
from cytoflow_car.simulate.panels import Panel
from cytoflow_car.simulate.specimens import Draw
from cytoflow_car.simulate.staining import count_copies

LABEL_COLUMNS = ("population", "carries")

#: A class carries an antigen of which it has so many times what sticks to a cell without it.
_CARRIES_TIMES_BACKGROUND = 3.0

_PREFIX = {LIVE: "", DEAD: "dead ", DOUBLET: "doublet "}


def label_events(acquisition: Acquisition, draw: Draw, panel: Panel) -> Iterator[tuple[str, str]]:
    """Tell what each event was made as, in the order of acquisition.

    Yields
    ------
    population
        Name of its class; ``dead`` before it for a dead cell, ``doublet`` for two that stick
        together, of which the first is named.
    carries
        Antigens of the panel that its class carries in this specimen, each with a ``+``.
    """
    carried = [_carried(cell, draw, panel) for cell in cells.CLASSES]
    words = {
        (kind, number): (prefix + cell.name, carried[number])
        for (kind, prefix), (number, cell) in product(_PREFIX.items(), enumerate(cells.CLASSES))
    }
    pairs = np.column_stack([acquisition.kinds, acquisition.labels]).tolist()
    return (words[kind, number] for kind, number in pairs)


def _carried(cell: cells.CellClass, draw: Draw, panel: Panel) -> str:
    return "".join(
        f"{antigen}+"
        for antigen in panel.antigens
        if cell.lineage != "particle"
        and count_copies(cell, antigen, draw)
        >= _CARRIES_TIMES_BACKGROUND * cells.BACKGROUND[antigen]
    )
