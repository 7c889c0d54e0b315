"""From the measurements of a run to each patient's course: kinetics, persistence, recovery, MRD."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.kinetics import Course, KineticsSetting, follow_course
from cytoflow_car.outcome.persistence import Persistence, persistence, persistence_by_cibmtr
from cytoflow_car.outcome.recovery import Recovery, find_recovery
from cytoflow_car.outcome.series import SeriesPoint
from cytoflow_car.study.labs import IVIG
from cytoflow_car.study.records import Infusion, RecoveryRule, Study, StudyDefinitions

#: Targets of a CAR that say nothing of one product.
_NO_TARGET = ("", "ANY", "unknown")
#: Followed beside the study's own measurements, where it was measured.
_BESIDE = "car_t_per_ul"
#: What a specimen drawn after an infusion lies behind one drawn before it on that day, in days.
_AFTER = 0.1


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
    """The end of B-cell aplasia by one definition; `last_day` is that of the last result."""

    patient_id: str
    rule: RecoveryRule
    n_results: int
    last_day: float
    recovery: Recovery


@dataclass(frozen=True, slots=True, eq=False)
class CohortCourses:
    """Every patient's courses.

    Attributes
    ----------
    immunoglobulins
        By patient, the day on which the immunoglobulin of the study's definition had recovered.
    """

    cars: tuple[CarCourse, ...]
    b_cells: tuple[BCellCourse, ...]
    immunoglobulins: Mapping[str, float] = field(default_factory=dict)

    def car(
        self, patient_id: str, infusion: int, specimen: str, measurement: str
    ) -> CarCourse | None:
        """Return one course; None where nothing was measured."""
        wanted = (patient_id, infusion, specimen, measurement)
        for item in self.cars:
            if (item.patient_id, item.infusion, item.specimen, item.measurement) == wanted:
                return item
        return None


def follow_courses(
    measured: pd.DataFrame, study: Study, setting: KineticsSetting = KineticsSetting()
) -> CohortCourses:
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
            cars.extend(_car_courses(own, infusion, after, study.definitions, setting))
        for rule in recoveries_of(study.definitions):
            specimen = rule.definition.specimen
            points = [point for _, point in _points(own, rule.measurement, specimen, 0.0, "")]
            if points:
                kept, _ = _one_a_day(points)
                found = find_recovery(kept, rule.definition)
                last = max((point.day for point in kept), default=0.0)
                b_cells.append(BCellCourse(str(patient_id), rule, len(points), last, found))
    return CohortCourses(tuple(cars), tuple(b_cells), dict(_immunoglobulins(study)))


def recoveries_of(definitions: StudyDefinitions) -> tuple[RecoveryRule, ...]:
    """Return the definitions of recovery in force, those of CD19 in marrow followed by CD22's.

    CD19- and CD22-directed cells take both; each comes back by itself.
    """
    rules: dict[tuple[str, str], RecoveryRule] = {}
    for rule in definitions.recoveries:
        rules.setdefault((rule.definition.name, rule.measurement), rule)
        if rule.definition.specimen == "BM" and "_cd19_" in rule.measurement:
            twin = replace(rule, measurement=rule.measurement.replace("_cd19_", "_cd22_"))
            rules.setdefault((twin.definition.name, twin.measurement), twin)
    return tuple(rules.values())


def _immunoglobulins(study: Study) -> Iterator[tuple[str, float]]:
    """Yield patient and day of the first value at or above the limit after one below it.

    A value counts only where no immunoglobulin was given so many months before.
    """
    rule = study.definitions.immunoglobulin
    quiet = rule.months_without_ivig * study.definitions.month_days
    given: dict[str, list[float]] = {}
    for item in study.labs:
        if item.test == IVIG and item.day is not None:
            given.setdefault(item.patient_id, []).append(item.day)
    low: set[str] = set()
    done: set[str] = set()
    dated = [item for item in study.labs if item.test == rule.test and item.day is not None]
    for item in sorted(dated, key=lambda lab: (lab.patient_id, lab.day)):
        limit = rule.limit if rule.limit is not None else item.lower_limit
        day, patient = item.day, item.patient_id
        if limit is None or item.value is None or item.bound or day is None or day <= 0:
            continue
        if item.value < limit:
            low.add(patient)
        elif patient in low and patient not in done:
            if any(0 <= day - other < quiet for other in given.get(patient, ())):
                continue
            done.add(patient)
            yield patient, day


def _car_courses(
    own: pd.DataFrame,
    infusion: Infusion,
    after: Infusion | None,
    definitions: StudyDefinitions,
    setting: KineticsSetting,
) -> Iterator[CarCourse]:
    if infusion.day is None or infusion.car_target in _NO_TARGET:
        return
    until = None if after is None or after.day is None else after.day - infusion.day
    for specimen, measurements in definitions.car_t_measurements.items():
        for measurement in dict.fromkeys((*measurements, _BESIDE)):
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
                follow_course(kept, unit=unit, next_infusion=until, setting=setting),
                persistence(kept),
                persistence_by_cibmtr(kept),
                flags,
            )


def _points(
    own: pd.DataFrame, measurement: str, specimen: str, origin: float, car_target: str
) -> Iterator[tuple[str, SeriesPoint]]:
    """Yield unit and result of one measurement, days counted from an origin.

    What a control tells of the background is taken off a quantified value.
    """
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
                _value_of(row),
                _number(row["lod"]),
                _number(row["loq"]),
                str(row["car_reagent"]),
                str(row["panel_version"]),
                str(row["instrument"]),
                str(row["denominator"]),
            ),
        )


def _value_of(row: Mapping[Hashable, object]) -> float | None:
    net = _number(row["value_net"])
    quantified = row["status"] == Status.QUANTIFIED.value and net is not None and net > 0
    return net if quantified else _number(row["value"])


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


def mrd_of(measured: pd.DataFrame, patient_id: str, measurement: str) -> pd.DataFrame:
    """Return a patient's calls of residual disease in marrow, by day."""
    rows = measured[
        (measured["patient_id"] == patient_id)
        & (measured["measurement"] == measurement)
        & (measured["specimen"] == "BM")
        & (measured["use"] == "report")
    ]
    return rows.sort_values("day")


def antigens_of(
    measured: pd.DataFrame, patient_id: str, measurements: Sequence[str]
) -> Mapping[str, pd.DataFrame]:
    """Return a patient's antigens on blasts in marrow, by measurement and day."""
    own = measured[(measured["patient_id"] == patient_id) & (measured["specimen"] == "BM")]
    own = own[own["use"] == "report"].sort_values("day")
    return {name: own[own["measurement"] == name] for name in measurements}
