"""Marrows of persons without leukemia, from which a reference of normal specimens is learned."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np

from cytoflow_car.simulate.cytometer import acquire, draw_session
from cytoflow_car.simulate.files import write_events, write_labels
from cytoflow_car.simulate.panels import B_PANEL
from cytoflow_car.simulate.specimens import draw_normal_marrow

# Before the first patient of a study enrols; a person a week.
_FIRST_RUN = datetime.datetime(2023, 1, 9, 9, 0)
_APART = datetime.timedelta(days=7)


def simulate_normal(
    folder: Path, persons: int, *, events: int, gain_sd: float, seed: np.random.SeedSequence
) -> None:
    """Write a B tube of marrow and its labels for each person.

    Each is run in a session of its own: gains and staining differ as between days. What a person
    has depends neither on how many persons there are nor on `events`.

    Parameters
    ----------
    folder
        Gets ``N01_BM_B.fcs`` and so on, and ``labels/N01_BM_B.csv``; not made for 0 persons.
    gain_sd
        SD of log10 gain of a detector between sessions.
    """
    for number, child in enumerate(seed.spawn(persons), start=1):
        rng = np.random.default_rng(child)
        draw, session = draw_normal_marrow(rng), draw_session(gain_sd, rng)
        acquisition = acquire(draw, B_PANEL, session, events, rng)
        name = f"N{number:02d}_BM_B"
        folder.mkdir(exist_ok=True)
        write_events(
            folder / f"{name}.fcs",
            acquisition.events,
            _FIRST_RUN + number * _APART,
            spillover=acquisition.spillover,
        )
        write_labels(folder / "labels" / f"{name}.csv", acquisition, draw, B_PANEL)
