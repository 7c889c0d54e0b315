"""What a report is made of: rows of a run's tables, by patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cytoflow_car.tables.cells import Line


@dataclass(frozen=True, slots=True)
class InfusionMark:
    """An infusion of a patient.

    Attributes
    ----------
    day
        From infusion 1; None where it is not known.
    """

    number: int
    day: float | None
    car_target: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value of a measurement that a definition in force names."""

    measurement: str
    value: float
    words: str


@dataclass(frozen=True, slots=True)
class PatientContents:
    """What is known of a patient.

    Attributes
    ----------
    page
        File of the patient's page.
    measurements, antigens, qc, failures
        Rows of these tables.
    pictures
        File names of pictures of gates, by sample_id and template.
    antigen_pictures
        The same of antigens, by what they show.
    infusions
        The first one first.
    events
        Days from infusion 1, by what happened; empty without the study folder.
    summary
        Row of ``patients_summary.csv``; None without an outcome folder.
    """

    patient_id: str
    page: str
    measurements: tuple[Line, ...] = ()
    antigens: tuple[Line, ...] = ()
    qc: tuple[Line, ...] = ()
    failures: tuple[Line, ...] = ()
    pictures: Mapping[tuple[str, str], str] = field(default_factory=dict)
    antigen_pictures: Mapping[str, str] = field(default_factory=dict)
    infusions: tuple[InfusionMark, ...] = ()
    events: Mapping[str, float] = field(default_factory=dict)
    summary: Line | None = None


@dataclass(frozen=True, slots=True)
class RunContents:
    """What is known of a run.

    Attributes
    ----------
    name
        Of the study.
    simulated
        Whether the study says that it is; None where its folder is not at hand.
    record
        ``run.json``, its plain fields as text.
    templates
        Versions by name.
    qc, failures
        All rows of these tables.
    statistics, follow_ups
        Rows of ``statistics.csv`` and ``adtte.csv``; None without an outcome folder.
    without_follow_up
        Patients of whom the outcome folder says so.
    version
        Of the program that writes the report.
    origin
        What the times of `statistics` count from.
    aplasia
        Up to where B cells of the marrow are aplastic; None where the study folder is not at hand.
    """

    name: str
    simulated: bool | None
    record: Line
    templates: Mapping[str, str]
    patients: tuple[PatientContents, ...]
    qc: tuple[Line, ...]
    failures: tuple[Line, ...]
    statistics: tuple[Line, ...] | None
    follow_ups: tuple[Line, ...]
    without_follow_up: tuple[str, ...]
    version: str
    origin: str = "infusion 1"
    aplasia: Threshold | None = None
