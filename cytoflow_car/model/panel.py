"""Markers of a template, and events whose columns carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytoflow_car.model.events import CompensatedEvents, Rows, Values
from cytoflow_car.model.scale import Scale


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker that a template looks at, and how files may spell it.

    Attributes
    ----------
    name
        The template's word for it; ``FSC-A`` and the like are markers too.
    stains
        Accepted spellings inside ``$PnS`` (``CD19`` accepts ``CD19 PE-Cy7``).
    detectors
        Accepted ``$PnN``, used where a channel carries no stain of its own.
    optional
        A file may lack it; populations that need it are then not gated, and say so.
    """

    name: str
    stains: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PreparedEvents:
    """Compensated events with the template's markers and scales resolved.

    Attributes
    ----------
    events
        Stage COMPENSATED.
    columns
        Column of each marker that the file has.
    scales
        Scale of each such marker.
    """

    events: CompensatedEvents
    columns: Mapping[str, int]
    scales: Mapping[str, Scale]

    def __len__(self) -> int:
        return len(self.events)

    def take(self, rows: Rows) -> PreparedEvents:
        """Return some of the events as events of their own, at least one."""
        return PreparedEvents(self.events.take(rows), self.columns, self.scales)

    def values(self, marker: str, rows: Rows | None = None) -> Values:
        """Return one marker in data units, (n_rows,)."""
        return self.events.column(self.columns[marker], rows)
