"""Rows of the outcome tables that say what was known and measured of each patient."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import floor

import numpy as np
import pandas as pd

from cytoflow_car.model.measurement import Status
from cytoflow_car.outcome.recovery import Recovery
from cytoflow_car.outcome.series import SeriesPoint
from cytoflow_car.study.courses import CohortCourses, antigens_of, mrd_of
from cytoflow_car.study.endpoints import origin_day
from cytoflow_car.study.records import PatientFacts, Study

Row = dict[str, object]
_ANTIGENS = ("blast_cd19_abc", "blast_cd22_abc")
#: Calls of residual disease. What is indeterminate may be positive.
_WORST_FIRST = ("POS_QUANT", "POS_BELOW_LOQ", "SUSPECT", "INDETERMINATE", "NEG")


def summary_rows(
    study: Study,
    patients: Sequence[str],
    measured: pd.DataFrame,
    courses: CohortCourses,
) -> Iterator[Row]:
    """Yield one row a patient: infusions, peaks, recovery, residual disease, antigens."""
    expansion = study.definitions.car_t_measurements["PB"][0]
    baselines: dict[str, list[str]] = {}
    for item in study.rows:
        if item.baseline:
            baselines.setdefault(item.patient_id, []).append(item.sample_id)
    for patient in patients:
        facts = study.patients.get(patient, PatientFacts(patient))
        infusions = [item for item in study.infusions if item.patient_id == patient]
        row: Row = {
            "USUBJID": patient,
            "n_infusions": len(infusions),
            "infusion_2_day": next((item.day for item in infusions if item.number == 2), None),
            "relapse_day": facts.days.get("relapse"),
            "death_day": facts.days.get("death"),
            "last_follow_up_day": facts.days.get("last_follow_up"),
        }
        flags: list[str] = []
        for number in (1, 2):
            found = courses.car(patient, number, "PB", expansion)
            if found is not None:
                by_registry = study.definitions.persistence == "cibmtr"
                persists = found.by_cibmtr if by_registry else found.persistence
                row |= {
                    f"cmax_{number}": found.course.cmax.value,
                    f"tmax_{number}": found.course.tmax.value,
                    f"auc_name_{number}": found.course.auc.name,
                    f"auc_{number}": found.course.auc.value,
                    f"persists_after_{number}": persists.after,
                    f"persists_until_{number}": persists.by,
                }
                flags += [
                    f"{flag} after infusion {number}"
                    for flag in dict.fromkeys(
                        (
                            *found.flags,
                            *found.course.cmax.flags,
                            *found.course.auc.flags,
                            *persists.flags,
                        )
                    )
                ]
        row["csf_car_t"] = _seen_in_fluid(study, measured, patient)
        row |= _of_globulins(study, courses, patient)
        row |= _of_antigens(measured, patient, baselines.get(patient, ()))
        for own, doubts in (
            _of_recovery(courses, patient),
            _of_mrd(measured, patient, study.definitions.residual_measurement),
        ):
            row |= own
            flags += doubts
        yield {**row, **facts.extra, "flags": ";".join(flags)}


def _seen_in_fluid(study: Study, measured: pd.DataFrame, patient: str) -> str:
    """Return whether CAR T cells were ever there; empty where no result can tell."""
    infused = [item.day for item in study.infusions if item.patient_id == patient]
    first = min((day for day in infused if day is not None), default=0.0)
    whole_day = np.floor(measured["day"])
    rows = measured[
        (measured["patient_id"] == patient)
        & (measured["specimen"] == "CSF")
        & measured["measurement"].isin(study.definitions.car_t_measurements["CSF"])
        & (measured["use"] == "report")
        & ((whole_day > first) | ((whole_day == first) & (measured["timing"] == "post")))
    ]
    points = [SeriesPoint(0.0, Status(status), 0.0) for status in rows["status"]]
    if any(point.detected for point in points):
        return "yes"
    if any(point.status is Status.DETECTED_BELOW_LOD for point in points):
        return "trace"
    return "no" if any(point.known for point in points) else ""


def _of_recovery(courses: CohortCourses, patient: str) -> tuple[Row, list[str]]:
    row: Row = {}
    flags = []
    for item in courses.b_cells:
        if item.patient_id == patient and item.rule.definition.specimen == "BM":
            antigen = "cd22" if "cd22" in item.rule.measurement else "cd19"
            found = item.recovery
            if f"recovery_{antigen}_state" in row:
                continue
            row |= {
                f"recovery_{antigen}_state": found.state.value,
                f"recovery_{antigen}_after": found.after,
                f"recovery_{antigen}_by": found.by,
                f"recovery_{antigen}_known_on": found.known_on,
            }
            flags += [f"{flag} of recovery of {antigen.upper()}" for flag in found.flags]
    return row, flags


def _of_globulins(study: Study, courses: CohortCourses, patient: str) -> Row:
    found = courses.globulins.get(patient)
    if found is None:
        return {}
    return {
        "recovery_ig_after": found.after,
        "recovery_ig_by": found.by,
        "recovery_ig_known_on": found.known_on,
        "recovery_ig_early": _is_early(study, patient, found),
    }


def _is_early(study: Study, patient: str, found: Recovery) -> str:
    """Return whether immunoglobulins recovered early; empty where that was not seen out."""
    definitions, origin = study.definitions, origin_day(study, patient)
    if origin is None:
        return ""
    end = origin + definitions.immunoglobulin.early_months * definitions.month_days
    if found.known_on is not None:
        return "yes" if found.known_on < end else "no"
    # Low at the end of that time or later.
    return "no" if found.after is not None and found.after >= end else ""


def _of_mrd(measured: pd.DataFrame, patient: str, measurement: str) -> tuple[Row, list[str]]:
    """Return calls of residual disease; of several of a day the worst, with a flag."""
    calls = mrd_of(measured, patient, measurement)
    calls = calls[calls["call"].isin(_WORST_FIRST) & calls["day"].notna()]
    rank = calls["call"].map(_WORST_FIRST.index)
    by_day = calls.assign(rank=rank).sort_values(["day", "rank"]).drop_duplicates("day")
    negative = by_day[(by_day["day"] > 0) & (by_day["call"] == "NEG")]
    last = by_day.iloc[-1] if len(by_day) else None
    row: Row = {
        "mrd_first_negative": negative.iloc[0]["day"] if len(negative) else None,
        "mrd_last_call": "" if last is None else last["call"],
        "mrd_last_day": None if last is None else last["day"],
    }
    return row, ["DOUBLE_RESULT of residual disease"] if len(by_day) < len(calls) else []


def _of_antigens(measured: pd.DataFrame, patient: str, baselines: Collection[str]) -> Row:
    row: Row = {}
    for name, rows in antigens_of(measured, patient, _ANTIGENS).items():
        antigen = name.split("_")[1]
        stated = rows[(rows["antigen_status"] != "") & rows["sample_id"].isin(baselines)]
        changed = rows[rows["antigen_change"] != ""]
        row[f"{antigen}_baseline"] = stated.iloc[0]["antigen_status"] if len(stated) else ""
        row[f"{antigen}_change"] = changed.iloc[-1]["antigen_change"] if len(changed) else ""
    return row


def adsl_rows(study: Study, name: str, patients: Sequence[str]) -> Iterator[Row]:
    """Yield one row a patient: what was known at the beginning."""
    for patient in patients:
        facts = study.patients.get(patient, PatientFacts(patient))
        infusions = [item for item in study.infusions if item.patient_id == patient]
        doses: dict[str, float | None] = {}
        for item in infusions:
            doses.setdefault(item.car_target, item.dose_per_kg)
        dates = {item.number: item.infused_on for item in infusions}
        yield {
            "STUDYID": name,
            "USUBJID": patient,
            "AGE": facts.age_years,
            "SEX": facts.sex,
            "DISEASE_STATUS": facts.disease_status,
            "TP53": facts.tp53,
            "DOSE19": doses.get("CD19"),
            "DOSE22": doses.get("CD22"),
            "INF1DT": "" if dates.get(1) is None else str(dates[1]),
            "INF2DT": "" if dates.get(2) is None else str(dates[2]),
            "INF2DY": next((item.day for item in infusions if item.number == 2), None),
        }


def adcp_rows(study: Study, name: str, measured: pd.DataFrame) -> Iterator[Row]:
    """Yield one row a result of a reported file, with its visit and window."""
    days = {
        (item.patient_id, item.number): item.day for item in study.infusions if item.day is not None
    }
    reported = measured[measured["use"] == "report"]
    visits = {
        patient: {day: n for n, day in enumerate(sorted(own["day"].dropna().unique()), start=1)}
        for patient, own in reported.groupby("patient_id", sort=False)
    }
    for item in reported.to_dict("records"):
        day, infusion = item["day"], item["infusion"]
        origin = None if pd.isna(infusion) else days.get((item["patient_id"], int(infusion)))
        known = not pd.isna(day)
        yield {
            "STUDYID": name,
            "USUBJID": item["patient_id"],
            "SPEC": item["specimen"],
            "VISIT": item["visit"],
            "AVISIT": _window(study, days, item["patient_id"], day) if known else "",
            "VISITNUM": visits[item["patient_id"]].get(day),
            "ADY": floor(day) + (day >= 0) if known else None,
            "DAY": day,
            "INFSEQ": infusion,
            "INFDAY": day - origin if known and origin is not None else None,
            "PARAMCD": item["measurement"],
            "PARAM": item["population"]
            + (f" of {item['denominator']}" if item["denominator"] else ""),
            "AVAL": item["value"],
            "AVALU": item["unit"],
            "AVALC": item["value_reported"],
            "NET": item["value_net"],
            "N_POS": item["n_events"],
            "N_DENOM": item["n_denominator"],
            "DENOM": item["denominator"],
            "CI_LO": item["ci_low"],
            "CI_HI": item["ci_high"],
            "LOD": item["lod"],
            "LOQ": item["loq"],
            "STATUS": item["status"],
            "CALL": item["call"],
            "ANTIGEN_STATUS": item["antigen_status"],
            "ANTIGEN_CHANGE": item["antigen_change"],
            "CAR_TARGET": item["car_target"],
            "CAR_REAGENT": item["car_reagent"],
            "FLAGS": item["flags"],
            "GATE_VERSION": f"{item['template']} {item['template_version']}",
            "GATE_SHA256": item["gate_sha256"],
            "FCS_SHA256": item["file_sha256"],
            **{column: item.get(column) for column in study.extra_columns},
        }


def _window(study: Study, days: Mapping[tuple[str, int], float], patient: str, day: float) -> str:
    """Return the window that a day lies in: of several the one whose target is nearest."""
    inside = []
    for window in study.definitions.windows:
        origin = days.get((patient, window.infusion))
        if origin is not None and window.low <= day - origin <= window.high:
            inside.append((abs(day - origin - window.day), window.visit))
    return min(inside)[1] if inside else ""


def course_rows(courses: CohortCourses) -> Iterator[Row]:
    """Yield one row a course of CAR T after an infusion."""
    for item in courses.cars:
        course = item.course
        parameters = (course.cmax, course.tmax, course.clast, course.tlast, course.auc)
        flags = [flag for own in (*parameters, course.half_life) for flag in own.flags]
        yield {
            "USUBJID": item.patient_id,
            "INFSEQ": item.infusion,
            "CAR_TARGET": item.car_target,
            "SPEC": item.specimen,
            "PARAMCD": item.measurement,
            "AVALU": item.unit,
            "n_results": item.n_results,
            "n_quantified": course.n_quantified,
            "cmax": course.cmax.value,
            "tmax": course.tmax.value,
            "clast": course.clast.value,
            "tlast": course.tlast.value,
            "auc_name": course.auc.name,
            "auc": course.auc.value,
            "auc_to": course.auc_to,
            "auc_half_loq": item.auc_half_loq,
            "half_life": course.half_life.value,
            "persists_after": item.persistence.after,
            "persists_until": item.persistence.by,
            "persists_cibmtr": item.by_cibmtr.by,
            "flags": ";".join(dict.fromkeys((*item.flags, *flags, *item.persistence.flags))),
        }


def recovery_rows(courses: CohortCourses) -> Iterator[Row]:
    """Yield one row a patient and rule of recovery of B cells."""
    for item in courses.b_cells:
        found = item.recovery
        yield {
            "USUBJID": item.patient_id,
            "definition": found.definition,
            "measurement": item.rule.measurement,
            "SPEC": item.rule.definition.specimen,
            "n_results": item.n_results,
            "state": found.state.value,
            "after": found.after,
            "by": found.by,
            "known_on": found.known_on,
            "flags": ";".join(found.flags),
        }
