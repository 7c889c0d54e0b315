"""What a study folder says, as frozen records: tables, and the definitions in force."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from cytoflow_car.gating.tree import Override
from cytoflow_car.outcome.recovery import DEFINITIONS, RecoveryDefinition

#: A `datetime.datetime` where the sheet gives a time of day too, else the date alone.
Moment = date

SPECIMENS = ("PB", "CSF", "BM")
#: Roles whose events are summarised as the background of a gate.
CONTROL_ROLES = ("fmo", "isotype", "untransduced")
#: Another word for a role.
ROLE_WORDS = {"beads": "calibration_beads"}
ROLES = ("specimen", *CONTROL_ROLES, "single_stain", "compensation_beads", "calibration_beads")
USES = ("report", "append", "superseded", "exclude")
TIMINGS = ("pre", "post")


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of ``samples.csv``: a file, or a specimen that was not done.

    A text that the sheet leaves empty is ``""``, any other value None.

    Attributes
    ----------
    sample_id
        Unique, and a safe file name on every system.
    line
        Row number as a spreadsheet shows it; the header is row 1.
    file, path
        As the sheet gives it, and absolute; None where `not_done_reason` says why there is none.
        The file need not exist.
    dataset
        From 1; None for the file's main one.
    specimen_id
        One draw; its tubes share it.
    day
        From infusion 1, which is day 0; from the dates where only those are given. None where
        neither says it.
    day_origin
        Number of the infusion that the sheet's own day counts from.
    collected_on
        From `day` where only that is given and the date of infusion 1 is known.
    timing
        ``pre`` or ``post`` the infusion of that day; empty on other days.
    templates
        Names, in the sheet's order.
    baseline
        The specimen of its kind that later ones of the patient are compared with.
    control_markers
        Markers that a control leaves out or stains.
    control_for
        ``("batch",)``, ``("patient",)`` or sample_ids; empty where the sheet does not say.
    car_target, car_reagent
        Override the template's.
    spillover
        ``"file"``, ``"applied"``, ``"none"``, or the absolute path of a CSV.
    wbc_10e9_per_l, alc_10e9_per_l
        White cells and lymphocytes, 10⁹ a litre.
    volume_ul
        Specimen that was stained, in µL.
    dilution
        Factor by which the specimen was diluted before.
    kit
        Absolute path of the file with the lot values of calibration beads.
    cbc_at, collected_at, acquired_at
        `datetime.datetime`, or a date where the sheet gives no time of day.
    extra
        Columns that begin with ``x_``.
    """

    sample_id: str
    line: int = 0
    file: str = ""
    path: Path | None = None
    dataset: int | None = None
    patient_id: str = ""
    specimen: str = ""
    specimen_id: str = ""
    tube: str = ""
    acquisition: int | None = None
    collected_on: date | None = None
    day: float | None = None
    day_origin: int = 1
    timing: str = ""
    visit: str = ""
    templates: tuple[str, ...] = ()
    role: str = "specimen"
    baseline: bool = False
    control_markers: tuple[str, ...] = ()
    control_for: tuple[str, ...] = ()
    batch: str = ""
    instrument: str = ""
    panel_version: str = ""
    prep: str = ""
    use: str = "report"
    exclude_reason: str = ""
    not_done_reason: str = ""
    car_target: str = ""
    car_reagent: str = ""
    spillover: Literal["file", "applied", "none"] | Path = "file"
    wbc_10e9_per_l: float | None = None
    alc_10e9_per_l: float | None = None
    cbc_at: Moment | None = None
    beads_per_tube: float | None = None
    bead_lot: str = ""
    volume_ul: float | None = None
    dilution: float = 1.0
    kit: Path | None = None
    pull_number: int | None = None
    collected_at: Moment | None = None
    acquired_at: Moment | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_analysed(self) -> bool:
        """Whether the row is a specimen that a run reports."""
        return self.role == "specimen" and self.use != "exclude" and not self.not_done_reason

    @property
    def draw_key(self) -> tuple[object, ...]:
        """What tubes of one draw share."""
        when: Moment | float | None = self.collected_on if self.day is None else self.day
        return self.patient_id, self.specimen, when, self.timing

    @property
    def tube_key(self) -> tuple[object, ...]:
        """What acquisitions of one tube share."""
        return *self.draw_key, self.specimen_id, self.tube

    @property
    def where(self) -> str:
        """The row's place, for messages."""
        return f"samples.csv row {self.line}"


@dataclass(frozen=True, slots=True)
class Infusion:
    """One infusion of one patient.

    Attributes
    ----------
    number
        1 for the first.
    infused_on, day
        Date, and day from infusion 1; each from the other where the date of infusion 1 is known.
    dose_per_kg
        CAR T cells a kilogram of body weight.
    """

    patient_id: str
    number: int
    product: str = ""
    car_target: str = ""
    infused_on: date | None = None
    day: float | None = None
    dose_per_kg: float | None = None


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """One row of ``patients.csv``.

    Attributes
    ----------
    age_years
        At infusion 1.
    response, relapse_site
        As the sheet has them.
    days
        Day from infusion 1 of what happened, such as ``relapse`` or ``prior_blinatumomab``.
    dates
        Its date; each from the other where the date of infusion 1 is known.
    extra
        Columns that begin with ``x_``.
    """

    patient_id: str
    age_years: float | None = None
    sex: str = ""
    disease_status: str = ""
    tp53: str = ""
    response: str = ""
    relapse_site: str = ""
    days: Mapping[str, float] = field(default_factory=dict)
    dates: Mapping[str, date] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def is_before(self, event: str, day: float | None, on: date | None) -> bool:
        """Tell whether an event came on an earlier day than another day or date.

        By days from infusion 1 where both are known, else by dates; False where that stays open.
        """
        own_day, own_date = self.days.get(event), self.dates.get(event)
        if own_day is not None and day is not None:
            return math.floor(own_day) < math.floor(day)
        return own_date is not None and on is not None and own_date < on

    def when(self, event: str) -> str:
        """Return an event's day, or its date where the day is not known, for messages."""
        return f"day {self.days[event]:g}" if event in self.days else f"{self.dates[event]}"


@dataclass(frozen=True, slots=True)
class LabResult:
    """One row of ``labs.csv``: a laboratory value, or immunoglobulins that were given.

    Attributes
    ----------
    line
        Row number as a spreadsheet shows it.
    test
        ``IgG``, ``IgA``, ``IgM``, ``IVIG`` (immunoglobulins given), or another one.
    value
        In `unit`; of IVIG the dose, None where it is not told.
    bound
        ``<`` where the laboratory says only that the value is below `value`, ``>`` where above it;
        else empty.
    lower_limit
        Of healthy persons of the patient's age, in `unit`; None where the row has none.
    taken_on, day
        Date, and day from infusion 1; each from the other where the date of infusion 1 is known.
    """

    patient_id: str
    line: int
    test: str
    value: float | None
    bound: Literal["", "<", ">"] = ""
    unit: str = ""
    lower_limit: float | None = None
    taken_on: date | None = None
    day: float | None = None


@dataclass(frozen=True, slots=True)
class VisitWindow:
    """When a visit may be.

    Attributes
    ----------
    visit
        As in the sheet.
    day, low, high
        The day that is aimed at, and the first and the last that count, from `infusion`.
    infusion
        Number of the infusion that the days count from.
    """

    visit: str
    day: float
    low: float
    high: float
    infusion: int = 1


@dataclass(frozen=True, slots=True)
class RecoveryRule:
    """A definition of recovery that is in force.

    Attributes
    ----------
    measurement
        What the definition is applied to.
    """

    definition: RecoveryDefinition
    measurement: str


@dataclass(frozen=True, slots=True)
class ImmunoglobulinRule:
    """When immunoglobulins have recovered: with the first value from a limit on.

    Attributes
    ----------
    name
        By which results say what was in force.
    test
        As in ``labs.csv``.
    limit
        In `unit`; None for the lower limit of each value's own row.
    unit
        Empty without `limit`.
    months_without_ivig
        A value counts only where no immunoglobulins were given for so long before it; 0 if it
        always counts.
    early_months
        A recovery before this month, from the origin of survival, is early.
    """

    name: str = "igg_lower_limit"
    test: str = "IgG"
    limit: float | None = None
    unit: str = ""
    months_without_ivig: float = 0.0
    early_months: float = 12.0


@dataclass(frozen=True, slots=True)
class DetectionLimits:
    """Limits that a study states for an assay, in events; None where it states none."""

    lod_events: int | None = None
    loq_events: int | None = None


def _car_t_by_specimen() -> Mapping[str, tuple[str, ...]]:
    return dict.fromkeys(SPECIMENS, ("car_t_percent_of_t",))


@dataclass(frozen=True, slots=True)
class StudyDefinitions:
    """What ``study.toml`` says: clocks, windows, and the definitions in force.

    Attributes
    ----------
    name
        Of the study; empty where it has none.
    simulated
        No person's cells are in its files.
    month_days
        Days of a month.
    survival_origin
        Number of the infusion from which survival counts.
    windows
        One a visit, in the file's order.
    persistence
        Name of the convention: ``interval`` or ``cibmtr``.
    persistence_negatives
        So many negative results in a row at the end of a series end persistence.
    recoveries
        Definitions of B-cell recovery; the first is the primary one.
    marrow_denominator
        Of the built-in definition of the marrow.
    immunoglobulin
        Definition of the recovery of immunoglobulins.
    residual_measurement
        Measurement whose call says whether residual disease is there.
    car_t_measurements
        By specimen; the first is the primary one.
    landmark_months
        From the origin of survival; ascending.
    lfs_events
        What ends leukemia-free survival.
    transplant
        ``censor``: follow-up ends with a transplantation; ``competing``: it is an event of its own;
        ``ignore``: follow-up goes on.
    detection
        By assay; kept for the record, runs take the limits of templates.
    """

    name: str = ""
    simulated: bool = False
    month_days: float = 30.4375
    survival_origin: int = 1
    windows: tuple[VisitWindow, ...] = ()
    persistence: Literal["interval", "cibmtr"] = "interval"
    persistence_negatives: int = 1
    recoveries: tuple[RecoveryRule, ...] = (
        RecoveryRule(DEFINITIONS["bm_2_percent"], "b_cell_cd19_percent_of_nucleated"),
    )
    marrow_denominator: str = "nucleated"
    immunoglobulin: ImmunoglobulinRule = field(default_factory=ImmunoglobulinRule)
    residual_measurement: str = "blast_percent_of_nucleated"
    car_t_measurements: Mapping[str, tuple[str, ...]] = field(default_factory=_car_t_by_specimen)
    landmark_months: tuple[float, ...] = (6.0,)
    lfs_events: tuple[str, ...] = ("relapse", "death")
    transplant: Literal["censor", "competing", "ignore"] = "censor"
    detection: Mapping[str, DetectionLimits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """A study folder, read and found consistent.

    Attributes
    ----------
    folder
        Absolute.
    rows
        In the sheet's order.
    infusions
        By patient and number.
    overrides
        Moved gates by sample_id.
    extra_columns
        The sheet's own columns, in its order.
    patients
        By patient.
    labs
        In the order of their table.
    definitions
        What ``study.toml`` says.
    """

    folder: Path
    rows: tuple[SheetRow, ...]
    infusions: tuple[Infusion, ...] = ()
    overrides: Mapping[str, tuple[Override, ...]] = field(default_factory=dict)
    extra_columns: tuple[str, ...] = ()
    patients: Mapping[str, PatientFacts] = field(default_factory=dict)
    labs: tuple[LabResult, ...] = ()
    definitions: StudyDefinitions = field(default_factory=StudyDefinitions)

    def day_from_infusion(self, row: SheetRow, number: int) -> float | None:
        """Return a specimen's day counted from an infusion of its patient.

        None where the day or the infusion is not known. Infusion 1 is day 0 of the sheet, known
        even without ``infusions.csv``.
        """
        if row.day is None or number == 1:
            return row.day
        for infusion in self.infusions:
            if (infusion.patient_id, infusion.number) == (row.patient_id, number):
                return None if infusion.day is None else row.day - infusion.day
        return None

    def last_infusion(self, row: SheetRow) -> Infusion | None:
        """Return the patient's latest infusion before a specimen.

        A specimen of an infusion day counts as after it only where its timing is ``post``.
        """
        if row.day is None:
            return None
        before = [
            infusion
            for infusion in self.infusions
            if infusion.patient_id == row.patient_id
            and infusion.day is not None
            and (
                infusion.day < math.floor(row.day)
                or (infusion.day == math.floor(row.day) and row.timing == "post")
            )
        ]
        return max(before, key=lambda infusion: infusion.number, default=None)
