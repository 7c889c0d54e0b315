"""Gated populations of one specimen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import GateError
from cytoflow_car.model.events import Rows
from cytoflow_car.model.gate import Placement

ROOT = "root"


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Events of one node of the gate tree.

    Attributes
    ----------
    name
        Unique in the template.
    path
        Names from the root down, joined by ``/``.
    parent
        Name of the parent population; None for the root.
    rows
        Row numbers of its events, ascending, events marked by quality control included.
    count
        Events that quality control did not mark: the number that measurements use.
    placement
        How its gate was placed; None for the root and where nothing could be placed.
    flags
        Doubts of its own and of the populations above it.
    """

    name: str
    path: str
    parent: str | None
    rows: Rows
    count: int
    placement: Placement | None
    flags: tuple[str, ...] = ()

    @property
    def count_unmasked(self) -> int:
        """Events with those that quality control marked."""
        return int(self.rows.size)

    def kept_rows(self, kept: npt.NDArray[np.bool_]) -> Rows:
        """Return the rows that quality control did not mark; `kept` as in `PopulationTree`."""
        if self.count == self.rows.size:
            return self.rows
        return self.rows.compress(kept.take(self.rows))


@dataclass(frozen=True, slots=True, eq=False)
class PopulationTree:
    """All populations of one specimen, parents before children.

    Attributes
    ----------
    populations
        The root first.
    kept
        (n_events,) bool: events that quality control did not mark.
    """

    populations: tuple[Population, ...]
    kept: npt.NDArray[np.bool_]

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise GateError(
            f"no population {name!r}",
            expected=", ".join(population.name for population in self.populations),
        )

    def __contains__(self, name: str) -> bool:
        return any(population.name == name for population in self.populations)

    def __iter__(self) -> Iterator[Population]:
        return iter(self.populations)

    def kept_rows(self, name: str) -> Rows:
        """Rows of a population without the events that quality control marked."""
        return self[name].kept_rows(self.kept)

    def take(self, rows: Rows) -> PopulationTree:
        """Return the populations of some events, which are numbered anew.

        Parameters
        ----------
        rows
            Ascending, each once.
        """
        chosen = np.zeros(len(self.kept), dtype=bool)
        chosen[rows] = True
        numbers = np.cumsum(chosen) - 1
        kept = self.kept[rows]
        populations = []
        for item in self.populations:
            own = numbers[item.rows[chosen[item.rows]]]
            count = int(np.count_nonzero(kept[own]))
            populations.append(replace(item, rows=own, count=count))
        return PopulationTree(tuple(populations), kept)

    def with_rows(self, name: str, rows: Rows) -> PopulationTree:
        """Return the populations with other events in this one; those beneath it stay."""
        count = int(np.count_nonzero(self.kept[rows]))
        return PopulationTree(
            tuple(
                replace(item, rows=rows, count=count) if item.name == name else item
                for item in self.populations
            ),
            self.kept,
        )

    def ancestors(self, name: str) -> tuple[Population, ...]:
        """Return the populations from the root down to `name` itself."""
        chain = [self[name]]
        while chain[-1].parent is not None:
            chain.append(self[chain[-1].parent])
        return tuple(reversed(chain))
