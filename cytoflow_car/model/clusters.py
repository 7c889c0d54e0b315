"""What clustering says of one specimen: a label an event, and how far labels may be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Rows
from cytoflow_car.model.gate import FalsePositives

__all__ = ["BaselineBlasts", "Cluster", "ClusterLabels", "FalsePositives"]

#: Labels that clustering gives beside those of populations.
UNASSIGNED, BLAST, AMBIGUOUS = "unassigned", "blast", "between normal and blast"

#: Why a baseline has no blasts to be compared with: it is what others are compared with.
IS_BASELINE = "IS_BASELINE"
#: Flag of a marrow that blood dilutes: a negative of it is none.
HEMODILUTED = "HEMODILUTED"
#: Flag of a specimen that holds more unknown events than normal ones do; for review.
DEVIATES_FROM_NORMAL = "DEVIATES_FROM_NORMAL"


@dataclass(frozen=True, slots=True, eq=False)
class BaselineBlasts:
    """A patient's blasts before treatment, on the anchor scale of a reference.

    Attributes
    ----------
    sample_id, file_sha256
        The baseline.
    events
        (n, n_markers) float32, aligned: blasts of the baseline.
    normal_events
        (m, n_markers) float32, aligned: the patient's own cells that are surely normal.
    reference_sha256
        Of the reference whose scale they are on.
    missing
        Why there are none; empty where there are.
    """

    sample_id: str
    file_sha256: str
    events: npt.NDArray[np.float32]
    normal_events: npt.NDArray[np.float32]
    reference_sha256: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster of a specimen.

    Attributes
    ----------
    number
        From 1.
    metacluster
        Number of the metacluster, from 1; 0 where the method makes none.
    label
        Its commonest name, or ``unassigned``.
    count
        Events.
    posterior, margin
        Mean probability of the name of its events, and the lead over the next.
    tail
        Mean share of the named population that lies further out (χ²).
    positions
        Median of each marker, in data units.
    """

    number: int
    metacluster: int
    label: str
    count: int
    posterior: float | None
    margin: float | None
    tail: float | None
    positions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """How a specimen lies on the reference.

    Attributes
    ----------
    anchors
        Populations whose positions put it on the reference's scale.
    density, lowest_density
        Mean log density of the specimen, and the lowest of the reference's own specimens.
    unassigned_percent
        Of the events without a name, among those that quality control kept.
    """

    anchors: tuple[str, ...]
    density: float
    lowest_density: float
    unassigned_percent: float


@dataclass(frozen=True, slots=True, eq=False)
class ClusterLabels:
    """The label of each event of a specimen.

    Attributes
    ----------
    parent
        Population that was clustered.
    names
        Every label.
    codes
        (n_events,) number of the label; -1 outside the parent.
    confidence
        Label to how sure it is, 0 to 1.
    reason
        How the labels were found.
    source
        Reference and baseline that they rest on.
    flags
        Doubts that go onto every population of labels.
    missing
        Label to the flag that says why nobody could be given it.
    false_positives
        Label to what of it is to be expected without a single true event.
    clusters
        One record a cluster.
    fit
        How the specimen lies on the reference; None without one.
    """

    parent: str
    names: tuple[str, ...]
    codes: npt.NDArray[np.int16]
    confidence: Mapping[str, float]
    reason: str
    source: str = ""
    flags: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    false_positives: Mapping[str, FalsePositives] = field(default_factory=dict)
    clusters: tuple[Cluster, ...] = ()
    fit: ReferenceFit | None = None

    def rows(self, labels: tuple[str, ...]) -> Rows:
        """Return the rows of all events with one of the labels, ascending."""
        wanted = np.array([name in labels for name in self.names] + [False])
        return np.flatnonzero(wanted[self.codes])
