"""What a template says of clustering."""

from __future__ import annotations

from dataclasses import dataclass

from cytoflow_car.clustering.methods import Clusterer, Nodes
from cytoflow_car.clustering.naming import NamingSetting


@dataclass(frozen=True, slots=True)
class ResidualSetting:
    """How a patient's residual blasts are looked for.

    Attributes
    ----------
    baseline_population
        Population of the baseline specimen, by its gates, that holds its blasts.
    antigens
        Markers that treatment aims at; one of the two density ratios leaves them out.
    lod_events
        Thresholds are as low as a limit of detection of so many events allows.
    least_baseline_events
        With fewer blasts at baseline nothing is learned of them.
    """

    baseline_population: str
    antigens: tuple[str, ...] = ()
    lod_events: int = 20
    least_baseline_events: int = 200


@dataclass(frozen=True, slots=True)
class HemodilutionSetting:
    """How blood in a marrow aspirate is told: by how many of its granulocytes are mature.

    Attributes
    ----------
    mature, immature
        Labels.
    most_percent
        More mature ones among both: the flag ``HEMODILUTED``.
    least_events
        Of both together; with fewer nothing is said.
    """

    mature: tuple[str, ...]
    immature: tuple[str, ...]
    most_percent: float = 85.0
    least_events: int = 200


@dataclass(frozen=True, slots=True)
class ClusteringSetting:
    """The section ``[clustering]`` of a template.

    Attributes
    ----------
    parent
        Population whose events are clustered; ``root`` for all.
    reference
        Name of the reference that names them; empty for clusters without names.
    markers
        What to cluster on where there is no reference; with one, its own.
    clusterer
        The method.
    naming
        When a name is sure enough.
    residual
        For templates that look for a patient's blasts.
    hemodilution
        For marrow.
    most_unassigned_percent
        More events that are neither named nor like the baseline's blasts: the flag
        ``DEVIATES_FROM_NORMAL``. It is no count: less than this cannot be told from normal.
    """

    parent: str
    reference: str = ""
    markers: tuple[str, ...] = ()
    clusterer: Clusterer = Nodes("nodes")
    naming: NamingSetting = NamingSetting()
    residual: ResidualSetting | None = None
    hemodilution: HemodilutionSetting | None = None
    most_unassigned_percent: float = 1.0
