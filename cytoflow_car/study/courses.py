"""From the measurements of a run to each patient's course: kinetics, persistence, recovery, MRD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.kinetics import Course, KineticsSetting, follow_course
from cytoflow_car.outcome.persistence import Persistence, persistence, persistence_by_cibmtr
from cytoflow_car.outcome.recovery import DEFINITIONS, Recovery, RecoveryDefinition, find_recovery
from cytoflow_car.outcome.series import SeriesPoint
from cytoflow_car.study.records import Infusion, Study

#: Targets of a CAR that say nothing of one product.
_NO_TARGET = ("", "ANY", "unknown")
#: What a specimen drawn after an infusion lies behind one drawn before it on that day, in days.
_AFTER = 0.1


@dataclass(frozen=True, slots=True)
class RecoveryQuestion:
    """A definition of recovery, and the measurement that it is asked of."""

    definition: RecoveryDefinition
    measurement: str

    @property
    def name(self) -> str:
        """Name that lands in tables: definition and what was measured."""
        return f"{self.definition.name} of {self.measurement}"


@dataclass(frozen=True, slots=True)
class CourseQuestion:
    """What is followed over time.

    Attributes
    ----------
    car_measurements
        Of CAR T cells.
    recoveries
        Definitions of the end of aplasia, each with its measurement.
    mrd, antigens
        Measurement of residual disease; those of antigens.
    kinetics
        How a course is summarised.
    """

    car_measurements: tuple[str, ...] = ("car_t_percent_of_t", "car_t_per_ul")
    recoveries: tuple[RecoveryQuestion, ...] = (
        RecoveryQuestion(DEFINITIONS["bm_2_percent"], "b_cell_cd19_percent_of_nucleated"),
        RecoveryQuestion(DEFINITIONS["bm_2_percent"], "b_cell_cd22_percent_of_nucleated"),
        RecoveryQuestion(
            DEFINITIONS["pb_3_percent_of_lymphocytes"], "b_cell_cd19_percent_of_lymphocytes"
        ),
        RecoveryQuestion(DEFINITIONS["pb_50_per_ul"], "b_cell_cd19_per_ul"),
    )
    mrd: str = "blast_percent_of_nucleated"
    antigens: tuple[str, ...] = ("blast_cd19_abc", "blast_cd22_abc")
    kinetics: KineticsSetting = field(default_factory=KineticsSetting)


@dataclass(frozen=True, slots=True)
class CarCourse:
    """CAR T cells of one product in one specimen type.

    Attributes
    ----------
    flags
        DOUBLE_RESULT: of several results of a day the first was kept.
    """

    patient_id: str
    infusion: int
    car_target: str
    specimen: str
    measurement: str
    unit: str
    n_results: int
    course: Course
    persistence: Persistence
    by_cibmtr: Persistence
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BCellCourse:
    """The end of B-cell aplasia by one definition."""

    patient_id: str
    question: RecoveryQuestion
    n_results: int
    recovery: Recovery


@dataclass(frozen=True, slots=True, eq=False)
class CohortCourses:
    """Every patient's courses."""

    cars: tuple[CarCourse, ...]
    b_cells: tuple[BCellCourse, ...]

    def car(
        self, patient_id: str, infusion: int, specimen: str, measurement: str
    ) -> CarCourse | None:
        """Return one course; None where nothing was measured."""
        wanted = (patient_id, infusion, specimen, measurement)
        for item in self.cars:
            if (item.patient_id, item.infusion, item.specimen, item.measurement) == wanted:
                return item
        return None


def follow_courses(measured: pd.DataFrame, study: Study, question: CourseQuestion) -> CohortCourses:
    """Follow every patient.

    A series has one patient, infusion, CAR target and specimen type: it begins at the infusion of
    that target. CAR targets ``ANY`` and ``unknown`` are in no series.

    Parameters
    ----------
    measured
        Table ``measurements`` of a run.
    """
    reported = measured[(measured["use"] == "report") & measured["day"].notna()]
    by_patient = dict(iter(reported.groupby("patient_id", sort=False)))
    cars: list[CarCourse] = []
    b_cells: list[BCellCourse] = []
    for patient_id, own in by_patient.items():
        infusions = [item for item in study.infusions if item.patient_id == patient_id]
        for number, infusion in enumerate(infusions):
            after = infusions[number + 1] if number + 1 < len(infusions) else None
            cars.extend(_car_courses(own, infusion, after, question))
        for recovery in question.recoveries:
            points = [
                point
                for _, point in _points(
                    own, recovery.measurement, recovery.definition.specimen, 0.0, ""
                )
            ]
            if points:
                kept, _ = _one_a_day(points)
                found = find_recovery(kept, recovery.definition)
                b_cells.append(BCellCourse(str(patient_id), recovery, len(points), found))
    return CohortCourses(tuple(cars), tuple(b_cells))


def _car_courses(
    own: pd.DataFrame, infusion: Infusion, after: Infusion | None, question: CourseQuestion
) -> Iterator[CarCourse]:
    if infusion.day is None or infusion.car_target in _NO_TARGET:
        return
    until = None if after is None or after.day is None else after.day - infusion.day
    for measurement in question.car_measurements:
        for specimen in ("PB", "CSF", "BM"):
            found = list(_points(own, measurement, specimen, infusion.day, infusion.car_target))
            if not found:
                continue
            kept, flags = _one_a_day([point for _, point in found])
            unit = found[0][0]
            yield CarCourse(
                infusion.patient_id,
                infusion.number,
                infusion.car_target,
                specimen,
                measurement,
                unit,
                len(found),
                follow_course(kept, unit=unit, next_infusion=until, setting=question.kinetics),
                persistence(kept),
                persistence_by_cibmtr(kept),
                flags,
            )


def _points(
    own: pd.DataFrame, measurement: str, specimen: str, origin: float, car_target: str
) -> Iterator[tuple[str, SeriesPoint]]:
    """Yield unit and result of one measurement, days counted from an origin."""
    rows = own[(own["measurement"] == measurement) & (own["specimen"] == specimen)]
    if car_target:
        rows = rows[rows["car_target"] == car_target]
    for row in rows.to_dict("records"):
        day = float(row["day"]) - origin + (_AFTER if row["timing"] == "post" else 0.0)
        yield (
            str(row["unit"]),
            SeriesPoint(
                day,
                Status(row["status"]),
                _number(row["value"]),
                _number(row["lod"]),
                _number(row["loq"]),
                str(row["car_reagent"]),
                str(row["panel_version"]),
                str(row["instrument"]),
                str(row["denominator"]),
            ),
        )


def _one_a_day(points: Sequence[SeriesPoint]) -> tuple[list[SeriesPoint], tuple[str, ...]]:
    """Keep the first result of a day that says something; flag that there were several."""
    kept: dict[float, SeriesPoint] = {}
    double = False
    for point in points:
        if not point.known:
            continue
        double = double or point.day in kept
        kept.setdefault(point.day, point)
    return list(kept.values()), ("DOUBLE_RESULT",) if double else ()


def _number(value: object) -> float | None:
    number = float(str(value)) if not pd.isna(value) and str(value) else None  # type: ignore[call-overload]
    return number


def mrd_of(measured: pd.DataFrame, patient_id: str, question: CourseQuestion) -> pd.DataFrame:
    """Return a patient's calls of residual disease in marrow, by day."""
    rows = measured[
        (measured["patient_id"] == patient_id)
        & (measured["measurement"] == question.mrd)
        & (measured["specimen"] == "BM")
        & (measured["use"] == "report")
    ]
    return rows.sort_values("day")


def antigens_of(
    measured: pd.DataFrame, patient_id: str, question: CourseQuestion
) -> Mapping[str, pd.DataFrame]:
    """Return a patient's antigens on blasts in marrow, by measurement and day."""
    own = measured[(measured["patient_id"] == patient_id) & (measured["specimen"] == "BM")]
    own = own[own["use"] == "report"].sort_values("day")
    return {name: own[own["measurement"] == name] for name in question.antigens}
