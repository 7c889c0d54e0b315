"""Rows of the outcome tables that say what was known and measured of each patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from cytoflow_car.study.courses import CohortCourses, antigens_of, mrd_of
from cytoflow_car.study.records import PatientFacts, Study

Row = dict[str, object]
_ANTIGENS = ("blast_cd19_abc", "blast_cd22_abc")


def summary_rows(
    study: Study,
    patients: Sequence[str],
    measured: pd.DataFrame,
    courses: CohortCourses,
) -> Iterator[Row]:
    """Yield one row a patient: infusions, peaks, recovery, residual disease, antigens."""
    expansion = study.definitions.car_t_measurements["PB"][0]
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
                row |= {
                    f"cmax_{number}": found.course.cmax.value,
                    f"tmax_{number}": found.course.tmax.value,
                    f"auc_{number}": found.course.auc.value,
                    f"persists_after_{number}": found.persistence.after,
                    f"persists_until_{number}": found.persistence.by,
                }
                flags += [f"{flag} after infusion {number}" for flag in found.course.auc.flags]
        fluid = [item for item in courses.cars if item.patient_id == patient]
        fluid = [item for item in fluid if item.specimen == "CSF"]
        if fluid:
            ever = any(item.persistence.after is not None for item in fluid)
            row["csf_car_t"] = "yes" if ever else "no"
        row |= _of_recovery(courses, patient) | _of_mrd(
            measured, patient, study.definitions.residual_measurement
        )
        row |= _of_antigens(measured, patient)
        yield row | {"flags": ";".join(flags)}


def _of_recovery(courses: CohortCourses, patient: str) -> Row:
    row: Row = {}
    for item in courses.b_cells:
        if item.patient_id == patient and item.rule.definition.specimen == "BM":
            antigen = "cd22" if "cd22" in item.rule.measurement else "cd19"
            found = item.recovery
            row.setdefault(f"recovery_{antigen}_state", found.state.value)
            row.setdefault(f"recovery_{antigen}_after", found.after)
            row.setdefault(f"recovery_{antigen}_by", found.by)
            row.setdefault(f"recovery_{antigen}_known_on", found.known_on)
    return row


def _of_mrd(measured: pd.DataFrame, patient: str, measurement: str) -> Row:
    calls = mrd_of(measured, patient, measurement)
    calls = calls[calls["call"] != ""]
    after = calls[calls["day"] > 0]
    negative = after[after["call"] == "NEG"]
    last = calls.iloc[-1] if len(calls) else None
    return {
        "mrd_first_negative": negative.iloc[0]["day"] if len(negative) else None,
        "mrd_last_call": "" if last is None else last["call"],
        "mrd_last_day": None if last is None else last["day"],
    }


def _of_antigens(measured: pd.DataFrame, patient: str) -> Row:
    row: Row = {}
    for name, rows in antigens_of(measured, patient, _ANTIGENS).items():
        antigen = name.split("_")[1]
        stated = rows[rows["antigen_status"] != ""]
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
            "ADY": day + 1 if known and day >= 0 else day if known else None,
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
