"""Populations by label: what clustering called the events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cytoflow_car.errors import GateError
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.model.gate import BooleanGate, ClusterGate, Placement


@dataclass(frozen=True, slots=True)
class Labelled:
    """Events that clustering gave one of some labels.

    Attributes
    ----------
    labels
        Populations of the reference, ``unassigned``, ``blast``, ``between normal and blast``, or
        ``cluster 1`` … where clusters have no names.
    otherwise
        Population that stands in where nobody could be given the labels; the flag then says why.
        Empty: the population is then not gated.
    axes
        Two markers on which the picture shows where the events lie; empty for no picture.
    """

    method: Literal["cluster"]
    labels: tuple[str, ...]
    otherwise: str = ""
    axes: tuple[str, ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        """None of its own: clustering looks at those of its section."""
        return ()

    def place(self, parent: Parent, references: References) -> Placement:
        """Return the labels, or what stands in for them."""
        clusters = references.clusters
        if clusters is None:
            return self._stand_in(references, references.clusters_missing or "NOT_CLUSTERED")
        missing = [clusters.missing[name] for name in self.labels if name in clusters.missing]
        if missing:
            return self._stand_in(references, missing[0])
        unknown = [name for name in self.labels if name not in clusters.names]
        if unknown:
            raise GateError(
                f"no label {', '.join(unknown)}",
                where=f"population beneath {parent.name}",
                expected=", ".join(clusters.names),
            )
        limits = [
            clusters.false_positives[name]
            for name in self.labels
            if name in clusters.false_positives
        ]
        return Placement(
            ClusterGate(self.labels),
            self.method,
            min(clusters.confidence[name] for name in self.labels),
            clusters.reason,
            source=clusters.source,
            flags=clusters.flags,
            false_positives=limits[0] if len(limits) == 1 else None,
        )

    def _stand_in(self, references: References, why: str) -> Placement:
        other = references.placements.get(self.otherwise)
        if other is None:
            raise GateError(
                f"no labels: {why}",
                advice="Fit a reference, or give the patient's baseline in samples.csv",
            )
        # What clustering found of the specimen holds for the gate's events too.
        doubts = references.clusters.flags if references.clusters is not None else ()
        return replace(
            other,
            gate=BooleanGate("or", (self.otherwise, self.otherwise)),
            method=self.method,
            reason=f"{why}, so as {self.otherwise}: {other.reason}",
            flags=tuple(dict.fromkeys((*other.flags, why, *doubts))),
        )
