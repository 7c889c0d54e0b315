"""Outcome tables of a run: one row a patient, a result, a course, an event, an interval."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import pandas as pd

from cytoflow_car.errors import StudyError
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Finding, Question, analyse_endpoint
from cytoflow_car.outcome.correlation import correlate
from cytoflow_car.outcome.follow_up import Estimate, SurvivalSetting
from cytoflow_car.study.courses import CohortCourses, follow_courses, results_without_course
from cytoflow_car.study.definitions import describe_definitions
from cytoflow_car.study.endpoints import (
    LeftOut,
    becomings_of,
    endpoints_of,
    groups_of,
    origin_dates,
    primary_rule,
)
from cytoflow_car.study.outcome_figures import figures_of_cohort, write_figures
from cytoflow_car.study.output_folder import refuse_results_folder, remove_former_landmarks
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
    MEASUREMENTS,
    OUTCOME_UNITS,
    PATIENTS_SUMMARY,
    RECOVERIES,
    STATISTICS,
    TV,
)
from cytoflow_car.tables.outcomes import (
    EndpointSource,
    Frames,
    adtte_frame,
    landmark_frame,
    statistics_frame,
    tv_frame,
    write_frames,
)
from cytoflow_car.tables.write import to_frame


@dataclass(frozen=True, slots=True, eq=False)
class CohortOutcome:
    """What a run says of its patients' outcomes.

    Attributes
    ----------
    frames
        By file name, with what its columns mean and where they come from.
    left_out
        Who is not in an endpoint, and why.
    without_course
        Which CAR T results are in no course, and why.
    """

    study: Study
    courses: CohortCourses
    endpoints: tuple[Endpoint, ...]
    becomings: tuple[Becoming, ...]
    findings: tuple[Finding, ...]
    frames: Frames
    left_out: tuple[LeftOut, ...]
    without_course: tuple[str, ...]
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
    except (OSError, ValueError) as fault:
        raise StudyError(
            "it holds no files.csv", where=results.name, expected="the folder of a run"
        ) from fault
    _check_columns(files, ("path", "from_results"), f"{results.name}/files.csv")
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
    measured = _read_measurements(results)
    definitions = study.definitions
    courses = follow_courses(measured, study)
    if landmarks is None:
        landmarks = [round(n * definitions.month_days) for n in definitions.landmark_months]
    # A control's donor is no patient.
    sampled = {row.patient_id for row in study.rows if row.role == "specimen"}
    infused = {item.patient_id for item in study.infusions}
    reported = set(measured.loc[measured["use"] == "report", "patient_id"])
    patients = sorted((sampled | infused | reported | set(study.patients)) - {""})
    left_out: list[LeftOut] = []
    endpoints = endpoints_of(study, patients, courses, left_out)
    survival = [item for item in endpoints if item.name in ("LFS", "OS")]
    becomings = tuple(becomings_of(study, patients, courses))
    groups = tuple(groups_of(study, patients))
    # What nobody became cannot be analysed, but stands in the tables.
    became = tuple(item for item in becomings if item.changes)
    asked = Question(tuple(times), tuple(landmarks), groups, became)
    findings = (
        *(finding for item in survival for finding in analyse_endpoint(item, asked, setting)),
        # What a recovery depends on is not asked; how often it comes, death and relapse competing.
        *(
            finding
            for item in endpoints
            if item not in survival
            for finding in analyse_endpoint(item, Question(tuple(times)), setting)
            if finding.kind == "cumulative_incidence"
        ),
        *_correlations(study, courses),
    )
    name = study.folder.name
    begin = f"time from infusion {definitions.survival_origin} to"
    ends = " or ".join(definitions.lfs_events)
    until = ", censored at transplantation" if definitions.transplant == "censor" else ""
    rule = primary_rule(definitions)
    by_rule = "" if rule is None else f"{rule.definition.name} of {rule.measurement}"
    sources = {
        "LFS": EndpointSource(
            f"leukemia-free survival: {begin} {ends}{until}", "patients.csv", ends, {}
        ),
        "OS": EndpointSource(
            f"overall survival: {begin} death{until}", "patients.csv", "death", {}
        ),
        "TTBCR": EndpointSource(
            f"{begin} the result that confirmed recovery of B cells in marrow, {by_rule}",
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
    adcp = ADCP | dict.fromkeys(study.extra_columns, "column of the sheet")
    own_facts = (column for facts in study.patients.values() for column in facts.extra)
    summary = PATIENTS_SUMMARY | dict.fromkeys(own_facts, "column of patients.csv")
    frames: dict[str, tuple[pd.DataFrame, Mapping[str, str], str]] = {
        "patients_summary.csv": (
            _frame(summary_rows(study, patients, measured, courses), summary),
            summary, f"{run}, {from_patients}",
        ),
        "adsl.csv": (_frame(adsl_rows(study, name, patients), ADSL), ADSL, from_patients),
        "adcp.csv": (_frame(adcp_rows(study, name, measured), adcp), adcp, run),
        "courses.csv": (_frame(course_rows(courses), COURSES), COURSES, run),
        "recoveries.csv": (_frame(recovery_rows(courses), RECOVERIES), RECOVERIES, run),
        "adtte.csv": (
            adtte_frame(name, endpoints, sources, "days", origin_dates(study)),
            ADTTE, from_patients,
        ),
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
        tuple(left_out),
        tuple(results_without_course(measured, study)),
        asked,
        _read_histograms(results),
    )


def _read_measurements(results: Path) -> pd.DataFrame:
    try:
        measured = pd.read_parquet(results / "measurements.parquet")
    except (OSError, ValueError) as fault:
        raise StudyError("it holds no measurements.parquet", where=results.name) from fault
    _check_columns(measured, tuple(MEASUREMENTS), f"{results.name}/measurements.parquet")
    return measured


def _check_columns(table: pd.DataFrame, needed: Sequence[str], where: str) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise StudyError(
            f"no column {', '.join(missing)}",
            where=where,
            expected="the results of this version",
            advice="Run the study again",
        )


def _read_histograms(results: Path) -> pd.DataFrame:
    """Return the histograms of a run; none where it wrote none."""
    path = results / "histograms.parquet"
    return pd.read_parquet(path) if path.is_file() else to_frame([], list(HISTOGRAMS))


def write_cohort(found: CohortOutcome, out: Path) -> list[tuple[str, str]]:
    """Write every table of a cohort, the data dictionary, figures and a record.

    Returns
    -------
    Name of each figure that could not be drawn, and why.

    Raises
    ------
    StudyError
        `out` lies in a results folder.
    """
    refuse_results_folder(out)
    remove_former_landmarks(out)
    out.mkdir(parents=True, exist_ok=True)
    write_frames(found.frames, OUTCOME_UNITS, out)
    record = {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "unit": "days",
        "origin": f"infusion {found.study.definitions.survival_origin}",
        "definitions": list(describe_definitions(found.study.definitions)),
        "left_out": [asdict(item) for item in found.left_out],
        "results_without_course": list(found.without_course),
    }
    (out / "outcome.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return write_figures(figures_of_cohort(found), out / "figures")


def _frame(rows: Iterator[Row], columns: Mapping[str, str]) -> pd.DataFrame:
    return to_frame(rows, list(columns))


def _correlations(study: Study, courses: CohortCourses) -> Iterator[Finding]:
    """Yield how the peaks after the two infusions of a patient go together."""
    measurement = study.definitions.car_t_measurements["PB"][0]
    peaks: dict[int, dict[str, float]] = {1: {}, 2: {}}
    doubts: dict[str, set[str]] = {}
    for item in courses.cars:
        wanted = item.specimen == "PB" and item.measurement == measurement
        if wanted and item.infusion in peaks and item.course.cmax.value is not None:
            peaks[item.infusion][item.patient_id] = item.course.cmax.value
            for flag in item.course.cmax.flags:
                doubts.setdefault(flag.partition(":")[0], set()).add(item.patient_id)
    found = correlate(peaks[1], peaks[2])
    if found.n:
        both = peaks[1].keys() & peaks[2].keys()
        doubtful = (f"{flag}:{len(who & both)}" for flag, who in doubts.items() if who & both)
        estimate = Estimate(
            "rho", found.value, None, found.interval, "Fisher's z", found.method, found.n, 0, 0.0,
            found.p_value, (*found.flags, *doubtful),
        )  # fmt: skip
        subject = "Cmax after infusion 1 with that after infusion 2"
        yield Finding(measurement, "correlation", subject, estimate=estimate)
