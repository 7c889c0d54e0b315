"""Outcome tables of a run: one row a patient, a result, a course, an event, an interval."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pandas as pd

from cytoflow_car.errors import StudyError
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Finding, Question, analyse_endpoint
from cytoflow_car.outcome.correlation import correlate
from cytoflow_car.outcome.follow_up import Covariate, Estimate, FollowUp, SurvivalSetting
from cytoflow_car.study.courses import CohortCourses, follow_courses
from cytoflow_car.study.definitions import describe_definitions
from cytoflow_car.study.outcome_figures import figures_of_cohort, write_figures
from cytoflow_car.study.output_folder import refuse_results_folder
from cytoflow_car.study.patient_rows import (
    Row,
    adcp_rows,
    adsl_rows,
    course_rows,
    recovery_rows,
    summary_rows,
)
from cytoflow_car.study.records import Study
from cytoflow_car.study.sheet import read_study
from cytoflow_car.tables.columns import (
    ADCP,
    ADSL,
    ADTTE,
    COURSES,
    HISTOGRAMS,
    LANDMARK,
    PATIENTS_SUMMARY,
    RECOVERIES,
    STATISTICS,
    TV,
)
from cytoflow_car.tables.outcomes import (
    EndpointSource,
    adtte_frame,
    dictionary_frame,
    landmark_frame,
    statistics_frame,
    tv_frame,
)
from cytoflow_car.tables.write import to_frame, write_csv


@dataclass(frozen=True, slots=True, eq=False)
class CohortOutcome:
    """What a run says of its patients' outcomes.

    Attributes
    ----------
    frames
        By file name, with what its columns mean and where they come from.
    left_out
        Patients without follow-up.
    """

    study: Study
    courses: CohortCourses
    endpoints: tuple[Endpoint, ...]
    becomings: tuple[Becoming, ...]
    findings: tuple[Finding, ...]
    frames: Mapping[str, tuple[pd.DataFrame, Mapping[str, str], str]]
    left_out: tuple[str, ...]
    question: Question
    histograms: pd.DataFrame


def find_study(results: Path) -> Path:
    """Return the study folder of a results folder: where its files lie.

    Raises
    ------
    StudyError
        The files of the run are no longer where they were.
    """
    try:
        files = pd.read_csv(results / "files.csv", dtype=str, keep_default_na=False)
    except OSError as fault:
        raise StudyError(
            "it holds no files.csv", where=results.name, expected="the folder of a run"
        ) from fault
    for path, way in zip(files["path"], files["from_results"], strict=True):
        if way.endswith(path):
            folder = (results / way.removesuffix(path)).resolve()
            if (folder / "samples.csv").is_file():
                return folder
    raise StudyError(
        "its study folder is not where it was",
        where=results.name,
        expected="samples.csv beside the files of the run",
        advice="Name the folder with --study",
    )


def summarise_cohort(
    results: Path,
    folder: Path | None = None,
    *,
    times: Sequence[float] = (),
    landmarks: Sequence[float] | None = None,
    setting: SurvivalSetting = SurvivalSetting(),
) -> CohortOutcome:
    """Follow every patient of a run, and analyse what became of them.

    Parameters
    ----------
    results
        Folder of a run.
    folder
        Its study folder; None for where the run's files lie.
    times, landmarks
        Days from the origin; None for the landmarks that the study defines.

    Raises
    ------
    StudyError
        A folder is missing or wrong.
    OutcomeError
        Courses or follow-ups that cannot be.
    """
    study = read_study(folder or find_study(results))
    try:
        measured = pd.read_parquet(results / "measurements.parquet")
    except (OSError, ValueError) as fault:
        raise StudyError("it holds no measurements.parquet", where=results.name) from fault
    definitions = study.definitions
    courses = follow_courses(measured, study)
    if landmarks is None:
        landmarks = [round(n * definitions.month_days) for n in definitions.landmark_months]
    patients = sorted(
        {row.patient_id for row in study.rows if row.patient_id} | set(study.patients)
    )
    left_out: list[str] = []
    survival = tuple(_endpoints(study, patients, left_out))
    endpoints = (*survival, *_times_to_recovery(study, courses, survival))
    followed = {item.patient_id for endpoint in endpoints for item in endpoint.follow_ups}
    becomings = tuple(_becomings(study, courses, followed))
    groups = tuple(_groups(study, followed))
    # What nobody became cannot be analysed, but stands in the tables.
    became = tuple(item for item in becomings if item.times)
    asked = Question(tuple(times), tuple(landmarks), groups, became)
    findings = (
        *(finding for item in survival for finding in analyse_endpoint(item, asked, setting)),
        # What a recovery depends on is not asked; how often it comes, death and relapse competing.
        *(
            finding
            for item in endpoints[len(survival) :]
            for finding in analyse_endpoint(item, Question(tuple(times)), setting)
            if finding.kind == "cumulative_incidence"
        ),
        *_correlations(study, courses),
    )
    name = study.folder.name
    begin = f"time from infusion {definitions.survival_origin} to"
    ends = " or ".join(definitions.lfs_events)
    sources = {
        "LFS": EndpointSource(f"leukemia-free survival: {begin} {ends}", "patients.csv", ends, {}),
        "OS": EndpointSource(f"overall survival: {begin} death", "patients.csv", "death", {}),
        "TTBCR": EndpointSource(
            f"{begin} the result that confirmed recovery of CD19+ B cells in marrow",
            "recoveries.csv",
            "known_on",
            {},
        ),
        "TTIGR": EndpointSource(
            f"{begin} recovery of immunoglobulins, {definitions.immunoglobulin.name}",
            "labs.csv",
            "value",
            {},
        ),
    }
    own = {item.name: f"1 from when {item.name} was known, else 0" for item in becomings}
    run, from_patients = "measurements of the run", "patients.csv"
    frames: dict[str, tuple[pd.DataFrame, Mapping[str, str], str]] = {
        "patients_summary.csv": (
            _frame(summary_rows(study, patients, measured, courses), PATIENTS_SUMMARY),
            PATIENTS_SUMMARY, f"{run}, {from_patients}",
        ),
        "adsl.csv": (_frame(adsl_rows(study, name, patients), ADSL), ADSL, from_patients),
        "adcp.csv": (_frame(adcp_rows(study, name, measured), ADCP), ADCP, run),
        "courses.csv": (_frame(course_rows(courses), COURSES), COURSES, run),
        "recoveries.csv": (_frame(recovery_rows(courses), RECOVERIES), RECOVERIES, run),
        "adtte.csv": (adtte_frame(name, endpoints, sources, "days"), ADTTE, from_patients),
        "tv.csv": (tv_frame(survival, becomings), TV | own, f"{from_patients}, {run}"),
        "statistics.csv": (statistics_frame(findings), STATISTICS, "analysis"),
    }  # fmt: skip
    for at in landmarks:
        landmark = landmark_frame(survival, becomings, at)
        frames[f"landmark_{at:g}.csv"] = (landmark, LANDMARK | own, f"{from_patients}, {run}")
    return CohortOutcome(
        study,
        courses,
        endpoints,
        becomings,
        findings,
        frames,
        tuple(dict.fromkeys(left_out)),
        asked,
        _read_histograms(results),
    )


def _read_histograms(results: Path) -> pd.DataFrame:
    """Return the histograms of a run; none where it wrote none."""
    path = results / "histograms.parquet"
    return pd.read_parquet(path) if path.is_file() else to_frame([], list(HISTOGRAMS))


def write_cohort(found: CohortOutcome, out: Path) -> None:
    """Write every table of a cohort, the data dictionary, figures and a record.

    Raises
    ------
    StudyError
        `out` lies in a results folder.
    """
    refuse_results_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        name: (list(map(str, frame.columns)), meanings, source)
        for name, (frame, meanings, source) in found.frames.items()
    }
    days = ("at", "person_time", "AVAL", "tstart", "tstop", "time", "tmax", "tlast", "after", "by")
    for name, (frame, _, _) in found.frames.items():
        write_csv(frame, out / name)
    write_csv(dictionary_frame(tables, dict.fromkeys(days, "days")), out / "dictionary.csv")
    record = {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "unit": "days",
        "origin": f"infusion {found.study.definitions.survival_origin}",
        "definitions": list(describe_definitions(found.study.definitions)),
        "patients_without_follow_up": list(found.left_out),
    }
    write_figures(figures_of_cohort(found), out / "figures")
    (out / "outcome.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _frame(rows: Iterator[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    return to_frame(rows, list(columns))


def _endpoints(study: Study, patients: Sequence[str], left_out: list[str]) -> Iterator[Endpoint]:
    definitions = study.definitions
    competing = frozenset({"transplant"} if definitions.transplant == "competing" else ())
    for code, ends in (("LFS", definitions.lfs_events), ("OS", ("death",))):
        follow_ups = []
        for patient in patients:
            found = _follow_up(study, patient, ends)
            if found is None:
                left_out.append(patient)
            else:
                follow_ups.append(found)
        if follow_ups:
            yield Endpoint(code, tuple(follow_ups), competing)


def _follow_up(study: Study, patient: str, ends: Sequence[str]) -> FollowUp | None:
    """Return the first of some events, else the end of follow-up, from the study's origin.

    None where neither is known, or the patient was not followed beyond the origin. A transplant
    before it is history.
    """
    facts, origin = study.patients.get(patient), _origin(study, patient)
    if facts is None or origin is None:
        return None
    rule = study.definitions.transplant
    ending = {event: event for event in ends}
    if rule != "ignore":
        # Censored follow-up ends without an event; a competing one is an event of its own.
        ending["transplant"] = "transplant" if rule == "competing" else ""
    happened = [
        (facts.days[name] - origin, event)
        for name, event in ending.items()
        if name in facts.days and facts.days[name] > origin
    ]
    if any(name in facts.days and facts.days[name] <= origin for name in ends):
        return None
    if happened:
        day, event = min(happened)
        return FollowUp(patient, day, event)
    known = [facts.days[name] for name in ("last_follow_up", "death") if name in facts.days]
    if not known or max(known) <= origin:
        return None
    return FollowUp(patient, max(known) - origin)


def _times_to_recovery(
    study: Study, courses: CohortCourses, survival: Sequence[Endpoint]
) -> Iterator[Endpoint]:
    """Yield recovery of B cells and of immunoglobulins, with relapse and death competing.

    A recovery counts from the day on which it was known. Follow-up without one ends with the last
    result that could have shown it: later nobody looked.
    """
    ends = {item.patient_id: item for own in survival[:1] for item in own.follow_ups}
    marrow: dict[str, tuple[float | None, float | None]] = {}
    for item in courses.b_cells:
        # The first definition in force, of CD19.
        if item.rule.definition.specimen == "BM" and item.patient_id not in marrow:
            marrow[item.patient_id] = (item.recovery.known_on, item.last_day)
    labs: dict[str, tuple[float | None, float | None]] = {}
    for lab in study.labs:
        if lab.test == study.definitions.immunoglobulin.test and lab.day is not None:
            last = labs.get(lab.patient_id, (None, None))[1]
            known = courses.immunoglobulins.get(lab.patient_id)
            labs[lab.patient_id] = (known, max(lab.day, last or lab.day))
    for code, seen in (("TTBCR", marrow), ("TTIGR", labs)):
        follow_ups = []
        for patient, (known_on, last) in seen.items():
            origin, end = _origin(study, patient), ends.get(patient)
            if origin is None or end is None:
                continue
            known = None if known_on is None else known_on - origin
            if known is not None and 0 < known <= end.time:
                follow_ups.append(FollowUp(patient, known, "recovery"))
            elif end.event:
                follow_ups.append(end)
            elif last is not None and last - origin > 0:
                follow_ups.append(FollowUp(patient, min(last - origin, end.time)))
        if follow_ups:
            yield Endpoint(code, tuple(follow_ups), frozenset({"relapse", "death", "transplant"}))


def _origin(study: Study, patient: str) -> float | None:
    """Return the day from infusion 1 on which survival begins."""
    number = study.definitions.survival_origin
    if number == 1:
        return 0.0
    for item in study.infusions:
        if (item.patient_id, item.number) == (patient, number):
            return item.day
    return None


def _correlations(study: Study, courses: CohortCourses) -> Iterator[Finding]:
    """Yield how the peaks after the two infusions of a patient go together."""
    measurement = study.definitions.car_t_measurements["PB"][0]
    peaks: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for item in courses.cars:
        wanted = item.specimen == "PB" and item.measurement == measurement
        if wanted and item.infusion in peaks and item.course.cmax.value is not None:
            peaks[item.infusion][item.patient_id] = item.course.cmax.value
    found = correlate(peaks[1], peaks[2])
    if found.n:
        estimate = Estimate(
            "rho", found.value, None, found.interval, "Fisher's z", found.method, found.n, 0, 0.0,
            found.p_value,
        )  # fmt: skip
        subject = "Cmax after infusion 1 with that after infusion 2"
        yield Finding(measurement, "correlation", subject, estimate=estimate)


def _becomings(study: Study, courses: CohortCourses, followed: set[str]) -> Iterator[Becoming]:
    """Yield what patients become, from the day on which it was known."""
    by_rule: dict[str, dict[str, float]] = {}
    for item in courses.b_cells:
        name = f"recovered_{item.rule.measurement}_{item.rule.definition.name}"
        times = by_rule.setdefault(name, {})
        if item.recovery.known_on is not None:
            times[item.patient_id] = item.recovery.known_on
    if study.labs:
        by_rule[f"recovered_{study.definitions.immunoglobulin.name}"] = dict(
            courses.immunoglobulins
        )
    for name, times in by_rule.items():
        since = {
            patient: day - (_origin(study, patient) or 0.0)
            for patient, day in times.items()
            if patient in followed
        }
        yield Becoming(name, since)


def _groups(study: Study, followed: set[str]) -> Iterator[Covariate]:
    """Yield what was known of patients before infusion 1 and is not the same in all."""
    known = {name: study.patients[name] for name in followed}
    tp53 = {
        name: float(facts.tp53 == "mutated")
        for name, facts in known.items()
        if facts.tp53 in ("mutated", "wild")
    }
    if len(set(tp53.values())) == 2:
        yield Covariate("tp53=mutated", tp53, known_at=0.0)
