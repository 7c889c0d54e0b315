"""Markers of a template, and events whose columns carry them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cytoflow_car.model.events import CompensatedEvents, Estimate, Rows, Values
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
    estimates
        By column, what was estimated before because several gates look at it.
    """

    events: CompensatedEvents
    columns: Mapping[str, int]
    scales: Mapping[str, Scale]
    estimates: Mapping[int, Estimate] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def take(self, rows: Rows) -> PreparedEvents:
        """Return some of the events as events of their own, at least one."""
        return PreparedEvents(self.events.take(rows), self.columns, self.scales)

    def estimate(self, markers: Sequence[str]) -> list[Estimate]:
        """Return some markers of all events, nearly."""
        columns = [self.columns[marker] for marker in markers]
        if all(column in self.estimates for column in columns):
            return [self.estimates[column] for column in columns]
        return self.events.estimate(columns)

    def with_estimates(self, markers: Sequence[str]) -> PreparedEvents:
        """Return the same events with some markers estimated beforehand."""
        columns = list(dict.fromkeys(self.columns[marker] for marker in markers))
        found = dict(zip(columns, self.events.estimate(columns), strict=True))
        return replace(self, estimates=found)

    def values(self, marker: str, rows: Rows | None = None) -> Values:
        """Return one marker in data units, (n_rows,)."""
        return self.events.column(self.columns[marker], rows)
