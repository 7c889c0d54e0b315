"""From a results folder to the pages of its report."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from cytoflow_car.errors import StudyError
from cytoflow_car.report.cohort_page import cohort_page
from cytoflow_car.report.contents import InfusionMark, PatientContents, RunContents, Threshold
from cytoflow_car.report.patient_page import patient_page
from cytoflow_car.study.cohort_outcome import find_study
from cytoflow_car.study.output_folder import refuse_results_folder
from cytoflow_car.study.records import Study, StudyDefinitions
from cytoflow_car.study.sheet import read_study
from cytoflow_car.tables.cells import Line, read_lines

_PAGES = re.compile(r"index\.html|patient-\d+\.html|pictures")


@dataclass(frozen=True, slots=True)
class Report:
    """The pages of a report.

    Attributes
    ----------
    pages
        HTML by file name.
    pictures
        Pictures that the pages show, by the name that they have beside the pages.
    """

    pages: Mapping[str, str]
    pictures: Mapping[str, Path]


def build_report(results: Path, outcome: Path | None = None, folder: Path | None = None) -> Report:
    """Make the pages of a run: one of all patients, and one of each.

    Parameters
    ----------
    results
        Folder of a run.
    outcome
        What ``outcome`` wrote of it.
    folder
        Its study folder; None for where the run's files lie. Where they lie no longer, the report
        goes without.

    Raises
    ------
    StudyError
        A folder is missing or wrong, or the outcomes are of another run.
    """
    contents, pictures = _read_run(results, outcome, folder)
    pages = {"index.html": cohort_page(contents)}
    pages |= {item.page: patient_page(item, contents) for item in contents.patients}
    shown = {
        name
        for item in contents.patients
        for name in (*item.pictures.values(), *item.antigen_pictures.values())
    }
    return Report(pages, {name: path for name, path in pictures.items() if name in shown})


def write_report(report: Report, out: Path) -> Path:
    """Write the folder ``report`` into `out` as a whole, and return its first page.

    Raises
    ------
    StudyError
        `out` lies in a results folder, or its ``report`` holds something else.
    """
    refuse_results_folder(out)
    final = out / "report"
    if final.exists():
        others = [path.name for path in final.iterdir() if not _PAGES.fullmatch(path.name)]
        if others:
            raise StudyError(
                f"it holds {others[0]}, which is no page of a report",
                where=f"{out.name}/report",
                expected="an earlier report, which is replaced, or nothing",
            )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix="report.") as beside:
        partial = Path(beside) / "report"
        (partial / "pictures").mkdir(parents=True)
        for name, text in report.pages.items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
        for name, path in report.pictures.items():
            shutil.copyfile(path, partial / "pictures" / name)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
    return final / "index.html"


def _read_run(
    results: Path, outcome: Path | None, folder: Path | None
) -> tuple[RunContents, dict[str, Path]]:
    for name in ("run.json", "measurements.csv", "qc.csv", "failures.csv", "files.csv"):
        if not (results / name).is_file():
            raise StudyError(
                f"no {name} in {results.name}", expected="a results folder of cytoflow-car run"
            )
    names = _FileNames(read_lines(results / "files.csv"), results)
    tables = {
        name: [names.hide(line) for line in read_lines(results / f"{name}.csv")]
        for name in ("measurements", "qc", "failures")
    }
    antigens: Sequence[Line] = ()
    if (results / "antigens.csv").is_file():
        antigens = read_lines(results / "antigens.csv")
    study_folder = folder or _find(results)
    study = None if study_folder is None else read_study(study_folder)
    record = _read_json(results / "run.json")
    outcomes = None if outcome is None else _read_outcome(outcome, tables["measurements"])
    summaries = {} if outcomes is None else {line["USUBJID"]: line for line in outcomes.summaries}
    by_patient: dict[str, list[Line]] = {name: [] for name in sorted(summaries)}
    for line in tables["measurements"]:
        by_patient.setdefault(line["patient_id"], []).append(line)
    pictures = {
        path.name: path
        for place in ("pictures", "pictures/antigens")
        for path in sorted((results / place).glob("*.png"))
    }
    patients = tuple(
        _of_patient(patient_id, f"patient-{n}.html", by_patient[patient_id], study, pictures)
        for n, patient_id in enumerate(sorted(by_patient), start=1)
    )
    patients = tuple(
        replace(
            _with_tables(item, antigens, tables["qc"], tables["failures"], pictures),
            summary=summaries.get(item.patient_id),
        )
        for item in patients
    )
    plain = {name: str(value) for name, value in record.items() if isinstance(value, str | int)}
    contents = RunContents(
        name=_name_of(study, results),
        simulated=None if study is None else study.definitions.simulated,
        record=Line("run.json", 0, plain),
        templates={
            name: str(item["version"]) for name, item in record.get("templates", {}).items()
        },
        patients=patients,
        qc=tuple(tables["qc"]),
        failures=tuple(tables["failures"]),
        statistics=None if outcomes is None else outcomes.statistics,
        follow_ups=() if outcomes is None else outcomes.follow_ups,
        without_follow_up=() if outcomes is None else outcomes.without_follow_up,
        version=metadata.version("cytoflow-car"),
        origin="infusion 1" if outcomes is None else outcomes.origin,
        aplasia=None if study is None else _aplasia(study.definitions),
    )
    return contents, pictures


def _aplasia(definitions: StudyDefinitions) -> Threshold | None:
    """Return the first definition of the marrow in force."""
    for rule in definitions.recoveries:
        item = rule.definition
        if item.specimen == "BM":
            until = "up to" if item.threshold_is_aplasia else "below"
            words = f"aplasia {until} {item.threshold:g} {item.unit} ({item.name})"
            return Threshold(rule.measurement, item.threshold, words)
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise StudyError(f"it is no JSON ({fault})", where=path.name) from None
    return found if isinstance(found, dict) else {}


def _find(results: Path) -> Path | None:
    try:
        return find_study(results)
    except StudyError:
        return None


def _name_of(study: Study | None, results: Path) -> str:
    """Return the name that a study gives itself, else that of its folder."""
    if study is None:
        return results.resolve().name
    return study.definitions.name or study.folder.name


class _FileNames:
    """Names and paths of the files of a run, which may tell of a patient."""

    def __init__(self, files: Iterable[Line], results: Path) -> None:
        names: set[str] = set()
        for line in files:
            names |= {line["path"], line["path"].split("/")[-1]}
            if line["from_results"]:
                names.add(str((results / line["from_results"]).resolve()))
        known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if name)
        self._pattern = re.compile(rf"(?:[^\s'\"]*[/\\])?(?<![\w.-])(?:{known})(?![\w])")
        self._known = bool(known)

    def hide(self, line: Line) -> Line:
        """Return a row whose texts say "the file" instead."""
        if not self._known:
            return line
        cells = {
            column: self._pattern.sub("the file", text)
            if column in ("message", "value", "limit", "flags", "sentence")
            else text
            for column, text in line.cells.items()
        }
        return replace(line, cells=cells)


def _of_patient(
    patient_id: str,
    page: str,
    lines: Sequence[Line],
    study: Study | None,
    pictures: Mapping[str, Path],
) -> PatientContents:
    shown: dict[tuple[str, str], str] = {}
    first: dict[str, str] = {}
    for line in lines:
        sample_id, template = line["sample_id"], line["template"]
        # Only the first template of a specimen stands under the sample_id alone.
        plain = first.setdefault(sample_id, template) == template
        name = f"{sample_id}.png" if plain else f"{sample_id}.{template}.png"
        if name in pictures:
            shown[sample_id, template] = name
    return PatientContents(
        patient_id,
        page,
        measurements=tuple(lines),
        pictures=shown,
        infusions=_infusions(patient_id, lines, study),
        events=study.patients[patient_id].days
        if study is not None and patient_id in study.patients
        else {},
    )


def _infusions(
    patient_id: str, lines: Sequence[Line], study: Study | None
) -> tuple[InfusionMark, ...]:
    """Return infusions as the study tells them, else as the days of the results do."""
    if study is not None:
        return tuple(
            InfusionMark(item.number, item.day, item.car_target, item.product)
            for item in study.infusions
            if item.patient_id == patient_id
        )
    days: dict[int, float] = {}
    for line in lines:
        if line["day_inf1"]:
            days[1] = 0.0
            if line["day_inf2"]:
                days[2] = float(line["day_inf1"]) - float(line["day_inf2"])
    return tuple(InfusionMark(number, day) for number, day in sorted(days.items()))


def _with_tables(
    patient: PatientContents,
    antigens: Sequence[Line],
    qc: Sequence[Line],
    failures: Sequence[Line],
    pictures: Mapping[str, Path],
) -> PatientContents:
    samples = {line["sample_id"] for line in patient.measurements}
    own = tuple(line for line in antigens if line["sample_id"] in samples)
    drawn = {}
    for line in own:
        # A picture is named by the first specimen that it shows.
        name = f"{line['sample_id']}.{line['template']}.{line['antigen']}.png"
        if name in pictures:
            drawn[f"{line['marker']} on {line['population']} ({line['template']})"] = name
    return replace(
        patient,
        antigens=own,
        qc=tuple(line for line in qc if line["sample_id"] in samples),
        failures=tuple(line for line in failures if line["sample_id"] in samples),
        antigen_pictures=drawn,
    )


@dataclass(frozen=True, slots=True)
class _Outcomes:
    summaries: tuple[Line, ...]
    statistics: tuple[Line, ...]
    follow_ups: tuple[Line, ...]
    without_follow_up: tuple[str, ...]
    origin: str


def _read_outcome(outcome: Path, measured: Sequence[Line]) -> _Outcomes:
    """Read what ``outcome`` wrote, and refuse that of another run.

    Raises
    ------
    StudyError
        A table is missing, or its results are not those of the run.
    """
    names = ("patients_summary.csv", "statistics.csv", "adtte.csv", "adcp.csv", "outcome.json")
    for name in names:
        if not (outcome / name).is_file():
            raise StudyError(
                f"no {name} in {outcome.name}", expected="what cytoflow-car outcome RESULTS wrote"
            )
    summaries, statistics, follow_ups, results = (
        read_lines(outcome / name) for name in names if name.endswith(".csv")
    )
    here = [_key(line, "patient_id", "measurement", "value_reported", "file_sha256")
            for line in measured if line["use"] == "report"]  # fmt: skip
    there = [_key(line, "USUBJID", "PARAMCD", "AVALC", "FCS_SHA256") for line in results]
    if here != there:
        raise StudyError(
            "its results are not those of the run",
            where=outcome.name,
            advice="Run cytoflow-car outcome again",
        )
    record = _read_json(outcome / "outcome.json")
    left_out = tuple(map(str, record.get("patients_without_follow_up", ())))
    origin = str(record.get("origin", "infusion 1"))
    return _Outcomes(summaries, statistics, follow_ups, left_out, origin)


def _key(line: Line, *columns: str) -> tuple[str, ...]:
    return tuple(line[column] for column in columns)
