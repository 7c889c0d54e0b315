"""A small study of files with the panel of a built-in template."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.preprocess.compensation import fluorescence_channels
from cytoflow_car.template import load_template

SheetCells = Mapping[str, str]
WriteStudy = Callable[..., Path]


@pytest.fixture
def write_panel_file() -> Callable[..., None]:
    """Return a function that writes a file with the panel of ``car_t_pb``."""

    def write(
        path: Path, *, n_events: int = 50, seed: int = 0, without: str = "", spilled: bool = True
    ) -> None:
        channels = tuple(
            Channel(marker.detectors[0], marker.stains[0] if marker.stains else None)
            for marker in load_template("car_t_pb").markers
            if marker.name != without
        )
        values = np.random.default_rng(seed).uniform(1, 1000, (n_events, len(channels)))
        detectors = tuple(channels[i].detector for i in fluorescence_channels(channels))
        spillover = Spillover(detectors, np.eye(len(detectors)), "$SPILLOVER") if spilled else None
        path.parent.mkdir(exist_ok=True)
        events = Events(values.astype(np.float32), channels)
        keywords = {"$DATE": "08-MAR-2024", "PATIENT NAME": "Jane Doe", "$SRC": "Jane Doe"}
        write_fcs(path, events, spillover=spillover, keywords=keywords)

    return write


@pytest.fixture
def write_study(tmp_path: Path, write_panel_file: Callable[..., None]) -> WriteStudy:
    """Return a function that writes a sound study with other cells where they are given.

    It has a baseline (row 2), a later specimen (row 3) and an FMO control (row 4).
    """

    def write(*changes: SheetCells) -> Path:
        common = {
            "specimen": "PB",
            "tube": "T",
            "template": "car_t_pb",
            "patient_id": "P01",
            "batch": "S1",
        }
        rows = [
            common
            | {"file": "fcs/a.fcs", "sample_id": "a", "day": "0", "timing": "pre"}
            | {"baseline": "yes"},
            common | {"file": "fcs/b.fcs", "sample_id": "b", "day": "7"},
            common
            | {"file": "fcs/c.fcs", "sample_id": "c", "patient_id": "", "role": "fmo"}
            | {"control_marker": "CAR", "control_for": "batch"},
        ]
        for seed, row in enumerate(rows):
            write_panel_file(tmp_path / row["file"], seed=seed)
        for row, change in zip(rows, changes, strict=False):
            row |= change
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (tmp_path / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path

    return write
