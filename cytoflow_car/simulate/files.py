"""Write what was simulated: FCS files, labels of their events, tables."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Events, Spillover
from cytoflow_car.simulate.cytometer import Acquisition
from cytoflow_car.simulate.labels import LABEL_COLUMNS, label_events
from cytoflow_car.simulate.panels import TIME_STEP_SECONDS, Panel
from cytoflow_car.simulate.specimens import Draw


def write_events(
    path: Path,
    events: Events,
    began: datetime.datetime,
    *,
    spillover: Spillover | None = None,
) -> None:
    """Write an FCS file; its keywords say when it was run, and nothing of what is in it."""
    values = events.values
    ended = began + datetime.timedelta(seconds=float(values[-1, -1]) if len(values) else 0.0)
    keywords = {
        "$CYT": "Simulated cytometer",
        "$CYTSN": "SIM-1",
        "$DATE": began.strftime("%d-%b-%Y").upper(),
        "$BTIM": began.strftime("%H:%M:%S"),
        "$ETIM": ended.strftime("%H:%M:%S"),
        "$FIL": path.name,
        "$TIMESTEP": str(TIME_STEP_SECONDS),
    }
    write_fcs(path, events, spillover=spillover, keywords=keywords)


def write_labels(path: Path, acquisition: Acquisition, draw: Draw, panel: Panel) -> None:
    """Write what each event was made as, a row an event; makes the folder where missing."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        writer.writerows(label_events(acquisition, draw, panel))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as CSV; what a row lacks stays empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
