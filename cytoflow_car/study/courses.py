"""From the measurements of a run to each patient's course: kinetics, persistence, recovery, MRD."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import pandas as pd

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.kinetics import Course, KineticsSetting, follow_course
from cytoflow_car.outcome.persistence import Persistence, persistence, persistence_by_cibmtr
from cytoflow_car.outcome.recovery import Recovery, RecoveryDefinition, find_recovery
from cytoflow_car.outcome.series import SeriesPoint
from cytoflow_car.study.labs import IVIG
from cytoflow_car.study.records import Infusion, LabResult, RecoveryRule, Study, StudyDefinitions

#: Targets of a CAR that say nothing of one product.
_NO_TARGET = ("", "ANY", "unknown")
#: A reagent of which nobody knows what it binds says nothing of one product either.
_NO_REAGENT = "unknown"
#: Followed beside the study's own measurements, where it was measured.
_BESIDE = "car_t_per_ul"


@dataclass(frozen=True, slots=True)
class CarCourse:
    """CAR T cells of one product in one specimen type.

    Attributes
    ----------
    n_results
        Those that say something.
    auc_half_loq
        Exposure with half the LOQ for results below it between quantified ones, which `course`
        takes for missing.
    flags
        DOUBLE_RESULT: of several results of a day one was chosen, as `follow_courses` says.
    """

    patient_id: str
    infusion: int
    car_target: str
    specimen: str
    measurement: str
    unit: str
    n_results: int
    course: Course
    auc_half_loq: float | None
    persistence: Persistence
    by_cibmtr: Persistence
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BCellCourse:
    """The end of B-cell aplasia by one definition; `n_results` are those that say something."""

    patient_id: str
    rule: RecoveryRule
    n_results: int
    recovery: Recovery


@dataclass(frozen=True, slots=True, eq=False)
class CohortCourses:
    """Every patient's courses.

    Attributes
    ----------
    globulins
        By patient, how the immunoglobulin of the study's definition was lost and came back.
    """

    cars: tuple[CarCourse, ...]
    b_cells: tuple[BCellCourse, ...]
    globulins: Mapping[str, Recovery] = field(default_factory=dict)

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
    that target. CAR targets ``ANY`` and ``unknown`` and the reagent ``unknown`` are in no series.
    Of several results of a day, one that detects counts before one that does not, and of two such
    the one with more cells in its denominator.

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
        for infusion in infusions:
            cars.extend(_car_courses(own, infusions, infusion, study.definitions, setting))
        for rule in recoveries_of(study.definitions):
            specimen = rule.definition.specimen
            results = list(_results(own, rule.measurement, specimen, infusions))
            if results:
                kept, flags = _one_a_day(results)
                found = find_recovery(kept, rule.definition)
                found = replace(found, flags=(*flags, *found.flags))
                b_cells.append(BCellCourse(str(patient_id), rule, len(kept), found))
    return CohortCourses(tuple(cars), tuple(b_cells), dict(_immunoglobulins(study)))


def results_without_course(measured: pd.DataFrame, study: Study) -> Iterator[str]:
    """Yield which CAR T results are in no course, and why: a sentence a patient and target."""
    names = {name for own in study.definitions.car_t_measurements.values() for name in own}
    rows = measured[(measured["use"] == "report") & measured["measurement"].isin(names)]
    infused: dict[str, list[str]] = {}
    for item in study.infusions:
        infused.setdefault(item.patient_id, []).append(item.car_target or "no stated target")
    for (patient, target), own in rows.groupby(["patient_id", "car_target"]):
        known = infused.get(str(patient), [])
        if target not in known or target in _NO_TARGET:
            told = f"infused: {', '.join(known)}" if known else "no infusion is known"
            yield (
                f"{patient}, results of CAR target {target or 'empty'} in no course: {len(own)} "
                f"({told})"
            )


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


def _immunoglobulins(study: Study) -> Iterator[tuple[str, Recovery]]:
    """Yield patient and recovery: the first value at or above the limit after one below it.

    A value at or above it counts only where no immunoglobulin was given so many months before. Of
    those before the infusion the last one tells what there was to lose.
    """
    rule = study.definitions.immunoglobulin
    quiet = rule.months_without_ivig * study.definitions.month_days
    # As shares of the limit, which may be each value's own.
    definition = RecoveryDefinition(rule.name, "", "", 1.0, consecutive=1)
    by_patient: dict[str, list[LabResult]] = {}
    for item in study.labs:
        by_patient.setdefault(item.patient_id, []).append(item)
    for patient, own in by_patient.items():
        given = [item.day for item in own if item.test == IVIG and item.day is not None]
        points = []
        for item in own:
            limit = rule.limit if rule.limit is not None else item.lower_limit
            if item.test != rule.test or None in (item.day, item.value, limit):
                continue
            assert item.day is not None and item.value is not None and limit is not None
            share = item.value / limit
            masked = any(0 <= item.day - day < quiet for day in given)
            if item.bound == "<":
                points.append(SeriesPoint(item.day, Status.DETECTED_BELOW_LOQ, loq=share))
            elif (share < 1 and not item.bound) or (share >= 1 and not masked):
                points.append(SeriesPoint(item.day, Status.QUANTIFIED, share))
        # Before the infusion it may have come and gone: only the last value matters.
        before = [point for point in points if point.day <= 0]
        last = max(before, key=lambda point: point.day, default=None)
        was_low = last is not None and definition.recovered(last) is False
        lost_on = last.day if last and was_low else None
        if points:
            yield patient, find_recovery(points, definition, lost_on=lost_on)


def _car_courses(
    own: pd.DataFrame,
    infusions: Sequence[Infusion],
    infusion: Infusion,
    definitions: StudyDefinitions,
    setting: KineticsSetting,
) -> Iterator[CarCourse]:
    if infusion.day is None or infusion.car_target in _NO_TARGET:
        return
    later = [item for item in infusions if item.number > infusion.number and item.day is not None]
    until = _next_day(later, infusion.day)
    again = _next_day(
        [item for item in later if item.car_target == infusion.car_target], infusion.day
    )
    for specimen, measurements in definitions.car_t_measurements.items():
        for measurement in dict.fromkeys((*measurements, _BESIDE)):
            results = list(_results(own, measurement, specimen, infusions, infusion))
            if not results:
                continue
            kept, flags = _one_a_day(results)
            unit = next((item.unit for item in results if item.unit), "")
            course, sensitivity = (
                follow_course(kept, unit=unit, next_infusion=until, setting=own_setting)
                for own_setting in (setting, replace(setting, embedded_blq="half_loq"))
            )
            # The cells of another product do not end these; more of the same hide their end.
            lasting = [point for point in kept if again is None or point.moment <= (again, False)]
            needed = definitions.persistence_negatives
            yield CarCourse(
                infusion.patient_id,
                infusion.number,
                infusion.car_target,
                specimen,
                measurement,
                unit,
                len(kept),
                course,
                sensitivity.auc.value,
                persistence(lasting, negatives_needed=needed),
                persistence_by_cibmtr(lasting, negatives_needed=needed),
                flags,
            )


def _next_day(infusions: Sequence[Infusion], origin: float) -> float | None:
    return min((item.day - origin for item in infusions if item.day is not None), default=None)


@dataclass(frozen=True, slots=True)
class _Result:
    point: SeriesPoint
    unit: str
    n_denominator: float

    @property
    def weight(self) -> tuple[bool, float]:
        """What counts first of several results of a day."""
        return self.point.detected, self.n_denominator


def _results(
    own: pd.DataFrame,
    measurement: str,
    specimen: str,
    infusions: Sequence[Infusion],
    infusion: Infusion | None = None,
) -> Iterator[_Result]:
    """Yield the results of one measurement, days counted from an infusion; None for the first.

    Of an infusion its product's only. What a control tells of the background is taken off what
    may count as a number.
    """
    rows = own[(own["measurement"] == measurement) & (own["specimen"] == specimen)]
    origin = 0.0
    if infusion is not None:
        of_product = rows["car_target"] == infusion.car_target
        rows = rows[of_product & (rows["car_reagent"] != _NO_REAGENT)]
        origin = infusion.day or 0.0
    # Without a table of infusions day 0 is the first.
    days = {0.0, *(item.day for item in infusions if item.day is not None)}
    for row in rows.to_dict("records"):
        day, timing = float(row["day"]), ""
        if math.floor(day) in days and row["timing"] in ("pre", "post"):
            # The hour says no more than whether it was before or after.
            timing = str(row["timing"])
            day = float(math.floor(day)) if timing == "pre" else day
        yield _Result(
            SeriesPoint(
                day - origin,
                Status(row["status"]),
                _value_of(row),
                _number(row["lod"]),
                _number(row["loq"]),
                str(row["car_reagent"]),
                str(row["panel_version"]),
                str(row["instrument"]),
                str(row["denominator"]),
                cast(Literal["", "pre", "post"], timing),
            ),
            str(row["unit"]),
            _number(row["n_denominator"]) or 0.0,
        )


def _value_of(row: Mapping[Hashable, object]) -> float | None:
    net = _number(row["value_net"])
    is_number = row["status"] in (Status.QUANTIFIED.value, Status.DETECTED_UNCONFIRMED.value)
    return net if is_number and net is not None and net > 0 else _number(row["value"])


def _one_a_day(results: Sequence[_Result]) -> tuple[list[SeriesPoint], tuple[str, ...]]:
    """Keep one result of a day that says something; flag that there were several."""
    kept: dict[tuple[float, bool], _Result] = {}
    double = False
    for item in results:
        if item.point.known:
            before = kept.setdefault(item.point.moment, item)
            double = double or before is not item
            kept[item.point.moment] = max(before, item, key=lambda one: one.weight)
    return [item.point for item in kept.values()], ("DOUBLE_RESULT",) if double else ()


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
