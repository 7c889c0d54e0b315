"""What one specimen's analysis is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cytoflow_car.gating.panels import GatePanel
from cytoflow_car.gating.placing import ControlSummary
from cytoflow_car.gating.tree import Override
from cytoflow_car.measure.context import TubeFacts
from cytoflow_car.model.antigen import AntigenControl, AntigenProfile
from cytoflow_car.model.calibration import CalibrationUse
from cytoflow_car.model.clusters import BaselineBlasts, Cluster
from cytoflow_car.model.events import Spillover
from cytoflow_car.model.gate import Placement
from cytoflow_car.model.measurement import Measurement
from cytoflow_car.model.reference import Reference
from cytoflow_car.model.scale import Scale
from cytoflow_car.qc.acquisition import Check
from cytoflow_car.template import Template

SpilloverChoice = Literal["file", "applied", "none"] | Spillover


@dataclass(frozen=True, slots=True)
class FcsSource:
    """A data set of a file, by place and content.

    Attributes
    ----------
    path
        Absolute.
    dataset
        From 1; None for the file's main one.
    sha256
        Of the whole file.
    """

    path: Path
    dataset: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class SampleJob:
    """Everything that decides the result of one specimen under one template.

    Attributes
    ----------
    sample_id
        Name used in every table and message instead of the path.
    sources
        The file, then those appended to it (same tube): their events are gated together.
    template
        Resolved.
    spillover
        ``"file"``, ``"applied"`` (values are compensated already), ``"none"``, or a matrix.
    tube
        Facts from the sheet.
    car_target, car_reagent
        Override the template's; empty for the template's own.
    controls
        Summaries of this specimen's controls.
    placements
        Placements made for a batch or patient, by population; empty where every gate is placed on
        the specimen itself.
    calibrations
        Of the study's beads, for a template that measures antigens.
    antigen_controls
        What this specimen's controls show without the antigens' antibodies.
    reference
        Of normal specimens, for a template that names clusters; None where there is none.
    baseline
        Blasts of the patient's baseline; None where there is none.
    overrides
        Gates that a reviewer moved.
    wanted
        Populations that are to be placed for a batch or patient: then no result is wanted, but
        events of their parents.
    doubts
        Flags of the plan that every result of the specimen carries.
    control_kind
        Set where the file itself is a control to be summarised: its kind; ``baseline`` where its
        blasts are to be summarised for the patient's later specimens.
    seed
        For methods that draw at random.
    draw
        Whether panels for the pictures are made.
    keep_labels
        Whether the label of every event comes back.
    """

    sample_id: str
    sources: tuple[FcsSource, ...]
    template: Template
    spillover: SpilloverChoice = "file"
    tube: TubeFacts = TubeFacts()
    car_target: str = ""
    car_reagent: str = ""
    controls: tuple[ControlSummary, ...] = ()
    placements: Mapping[str, Placement] = field(default_factory=dict)
    calibrations: tuple[CalibrationUse, ...] = ()
    antigen_controls: tuple[AntigenControl, ...] = ()
    reference: Reference | None = None
    baseline: BaselineBlasts | None = None
    overrides: tuple[Override, ...] = ()
    wanted: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    control_kind: str = ""
    seed: int = 0
    draw: bool = True
    keep_labels: bool = False


@dataclass(frozen=True, slots=True)
class GatedPopulation:
    """One population of one specimen without its events.

    Attributes
    ----------
    path
        Names from the root down, joined by ``/``.
    count, count_before_qc
        Events without and with those that quality control marked.
    parent_count
        Events of the parent; None for the root.
    """

    name: str
    path: str
    count: int
    count_before_qc: int
    parent_count: int | None
    placement: Placement | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PopulationMedian:
    """Where a population lies in one marker; for drift.

    Attributes
    ----------
    value
        Median of its events that quality control did not mark, in data units.
    """

    population: str
    marker: str
    value: float


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What came of one `SampleJob`; small, without events.

    Attributes
    ----------
    measurements, populations, checks, panels
        In the template's order.
    scales
        By marker, with every parameter settled.
    instrument
        Model and hashed serial number from the file.
    detectors
        ``$PnN`` of each marker that the file has.
    spillover
        The matrix that was used; None where values stayed as they were.
    spillover_source
        Where the matrix came from.
    repairs
        What the reader repaired or doubts.
    control_summaries, antigen_controls
        Where the file is a control.
    antigens
        Profiles of the template's antigens.
    review
        Reasons for a person to look at the gates; empty where none.
    medians
        Of the populations that the template follows for drift; one of too few events is left out.
    clusters
        What clustering found.
    event_labels
        The label of every event, in acquisition order; empty outside what was clustered. None where
        nobody asked.
    baseline
        Where the file is a patient's baseline.
    """

    sample_id: str
    template: str
    measurements: tuple[Measurement, ...]
    populations: tuple[GatedPopulation, ...]
    checks: tuple[Check, ...]
    scales: Mapping[str, Scale]
    panels: tuple[GatePanel, ...] = ()
    instrument: str = ""
    detectors: Mapping[str, str] = field(default_factory=dict)
    spillover: Spillover | None = None
    spillover_source: str = ""
    repairs: tuple[str, ...] = ()
    control_summaries: tuple[ControlSummary, ...] = ()
    antigen_controls: tuple[AntigenControl, ...] = ()
    antigens: tuple[AntigenProfile, ...] = ()
    review: tuple[str, ...] = field(default=())
    medians: tuple[PopulationMedian, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    event_labels: tuple[str, ...] | None = None
    baseline: BaselineBlasts | None = None


@dataclass(frozen=True, slots=True)
class SampleFailure:
    """A specimen that has no result, and why.

    Attributes
    ----------
    code
        Stable name of the kind of error; ``bug`` where it was not a known one.
    message
        For the person who can act.
    crash_file
        Name of the file with the traceback, for a bug.
    """

    sample_id: str
    template: str
    code: str
    message: str
    crash_file: str = ""
