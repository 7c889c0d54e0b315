"""Times to events from any table: which columns say what, and all that is written of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import pandas as pd

from cytoflow_car.errors import StudyError
from cytoflow_car.fcs import hash_file
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Finding, Question, analyse_endpoint
from cytoflow_car.outcome.follow_up import Covariate, FollowUp, SurvivalSetting
from cytoflow_car.study.cells import nearest
from cytoflow_car.study.outcome_figures import figures_of_file, write_figures
from cytoflow_car.study.output_folder import refuse_results_folder, remove_former_landmarks
from cytoflow_car.tables.columns import ADTTE, LANDMARK, STATISTICS, TV
from cytoflow_car.tables.outcomes import (
    EndpointSource,
    adtte_frame,
    landmark_frame,
    statistics_frame,
    tv_frame,
    write_frames,
)
from cytoflow_car.tables.read import read_table

TimeUnit = Literal["days", "months"]
#: What R writes for a value that is not known.
_UNKNOWN = "NA"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_EVENTS: Mapping[float | str, bool] = {
    0.0: False, "no": False, "false": False, 1.0: True, "yes": True, "true": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnsOfOutcome:
    """Which column of a table says what.

    Attributes
    ----------
    id
        Patients.
    endpoints
        Parameter code to the columns of its time (of several, the first that is known) and of its
        event.
    groups
        Column and value to the time from the origin at which it was known, 0 for the baseline; with
        a value the group is whether patients have it, without one what they have.
    becomings
        Name to the column that says when a patient became it; empty cells for never.
    leave_out
        Regular expression; rows of patients that it is found in are left out. Empty for none.
    """

    id: str
    endpoints: Mapping[str, tuple[tuple[str, ...], str]]
    groups: Mapping[tuple[str, str], float]
    becomings: Mapping[str, str]
    leave_out: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeOfFile:
    """What a table says, and what came of it.

    Attributes
    ----------
    left_out
        By endpoint, the rows without a known time or event.
    """

    endpoints: tuple[Endpoint, ...]
    becomings: tuple[Becoming, ...]
    sources: Mapping[str, EndpointSource]
    findings: tuple[Finding, ...]
    left_out: Mapping[str, tuple[int, ...]]
    question: Question


def analyse_file(
    path: Path,
    columns: ColumnsOfOutcome,
    *,
    times: Sequence[float] = (),
    landmarks: Sequence[float] = (),
    allow_immortal_time: bool = False,
    setting: SurvivalSetting = SurvivalSetting(),
) -> OutcomeOfFile:
    """Read times to events from a table and analyse them.

    Parameters
    ----------
    path
        CSV or Parquet, one row a patient. Of several rows of a patient those count that are
        followed for an endpoint.
    times
        At which survival is told, in the table's unit of time.

    Raises
    ------
    StudyError
        A column is missing or is known only later, or a cell cannot be read; every fault is told.
    OutcomeError
        Follow-ups that cannot be.
    """
    table = read_table(path)
    faults = list(_column_faults(columns, list(table.columns), path.name))
    if faults:
        raise StudyError.of(faults)
    rows = [
        row
        for row in _rows(table, path.name)
        if not (columns.leave_out and re.search(columns.leave_out, row.cells[columns.id]))
    ]
    known = {
        name: [row for row in rows if row.is_known(*where)]
        for name, where in columns.endpoints.items()
    }
    followed = [
        row for row in rows if any(row.is_known(*where) for where in columns.endpoints.values())
    ]
    faults += [row.fault(columns.id, "a patient") for row in followed if not row.cells[columns.id]]
    endpoints = tuple(
        Endpoint(name, tuple(_follow_ups(known[name], columns.id, *where, faults)))
        for name, where in columns.endpoints.items()
    )
    groups = tuple(
        Covariate(
            f"{name}={value}" if value else name,
            _values(followed, columns.id, name, value, faults),
            at,
        )
        for (name, value), at in columns.groups.items()
    )
    becomings = tuple(
        Becoming.for_good(name, dict(_times(followed, columns.id, column, faults)))
        for name, column in columns.becomings.items()
    )
    if faults:
        raise StudyError.of(faults)
    question = Question(tuple(times), tuple(landmarks), groups, becomings, allow_immortal_time)
    return OutcomeOfFile(
        endpoints,
        becomings,
        {
            name: EndpointSource(
                f"time to {event}",
                path.name,
                event,
                {row.cells[columns.id]: row.number for row in known[name]},
            )
            for name, (_, event) in columns.endpoints.items()
        },
        tuple(
            finding
            for endpoint in endpoints
            for finding in analyse_endpoint(endpoint, question, setting)
        ),
        {
            name: tuple(row.number for row in rows if not row.is_known(*where))
            for name, where in columns.endpoints.items()
        },
        question,
    )


def _column_faults(
    columns: ColumnsOfOutcome, known: Sequence[str], where: str
) -> Iterator[StudyError]:
    of_endpoints = [name for times, event in columns.endpoints.values() for name in (*times, event)]
    needed = [
        columns.id,
        *of_endpoints,
        *(name for name, _ in columns.groups),
        *columns.becomings.values(),
    ]
    for name in dict.fromkeys(needed):
        if name not in known:
            yield StudyError(
                f"no column {name!r}",
                where=where,
                expected=", ".join(known),
                advice=nearest(name, known),
            )
    known_at: dict[str, float] = {}
    for (name, _), at in columns.groups.items():
        if known_at.setdefault(name, at) != at:
            yield StudyError(
                "groups of it are known at two times",
                where=f"{where}, column {name}",
                expected="one @TIME of a column",
            )
        if at <= 0 and name in {*of_endpoints, *columns.becomings.values()}:
            yield StudyError(
                "no group at the origin: it says what became of patients later, or when",
                where=f"{where}, column {name}",
                expected="what was known at the origin",
                advice=f"Drop the group, or say with {name}@TIME when it was known",
            )
    for name in columns.becomings:
        if name in {*TV, *LANDMARK}:
            yield StudyError(
                "a column of the tables that are written has this name",
                where=f"--becomes {name}",
                expected=f"another one than {', '.join({**TV, **LANDMARK})}",
            )


@dataclass(frozen=True, slots=True)
class _Row:
    table: str
    number: int
    cells: Mapping[str, str]

    def fault(self, column: str, expected: str) -> StudyError:
        return StudyError(
            f"{self.cells[column]!r}",
            where=f"{self.table} row {self.number}, column {column}",
            expected=expected,
        )

    def is_known(self, times: Sequence[str], event: str) -> bool:
        """Tell whether time and event stand in the row, whatever they are."""
        return any(self.cells[column] for column in times) and bool(self.cells[event])

    def time(self, column: str) -> float | None:
        value = _value(self.cells[column])
        return value if isinstance(value, float) and value >= 0 else None


def _rows(table: pd.DataFrame, name: str) -> Iterator[_Row]:
    """Yield the rows in which anything stands; what is not known is ``""``."""
    for number, raw in zip(table.index, table.to_dict("records"), strict=True):
        texts = {str(column): cell.strip() for column, cell in raw.items()}
        if any(texts.values()):
            cells = {column: "" if text == _UNKNOWN else text for column, text in texts.items()}
            yield _Row(name, int(number), cells)


def _value(text: str) -> float | str:
    """Return a number where the text is one, else the text."""
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def _follow_ups(
    rows: Sequence[_Row], who: str, times: Sequence[str], event: str, faults: list[StudyError]
) -> Iterator[FollowUp]:
    for row in rows:
        column = next(name for name in times if row.cells[name])
        time, told = row.time(column), _EVENTS.get(_value(row.cells[event].lower()))
        if time is None:
            faults.append(row.fault(column, "a time of 0 or more"))
        if told is None:
            faults.append(row.fault(event, "1 for an event, 0 for none"))
        if time is not None:
            yield FollowUp(row.cells[who], time, event if told else "")


def _told(rows: Sequence[_Row], who: str, column: str, faults: list[StudyError]) -> dict[str, _Row]:
    """Return by patient the first row in which a column is known; others must say the same."""
    found: dict[str, _Row] = {}
    for row in rows:
        if not (row.cells[who] and row.cells[column]):
            continue
        first = found.setdefault(row.cells[who], row)
        if _value(first.cells[column]) != _value(row.cells[column]):
            faults.append(
                StudyError(
                    f"{first.cells[column]!r} and {row.cells[column]!r} of one patient",
                    where=f"{row.table} rows {first.number} and {row.number}, column {column}",
                    expected="one value",
                    advice="Leave one of the rows out",
                )
            )
    return found


def _values(
    rows: Sequence[_Row], who: str, column: str, value: str, faults: list[StudyError]
) -> dict[str, float | str]:
    """Return whether patients have a value; without one numbers where all are, else texts.

    A patient of whom it is not known is left out.
    """
    texts = {
        patient: row.cells[column] for patient, row in _told(rows, who, column, faults).items()
    }
    values = {patient: _value(text) for patient, text in texts.items()}
    if value:
        if values and _value(value) not in values.values():
            known = list(dict.fromkeys(texts.values()))
            faults.append(
                StudyError(
                    f"no row that counts has {value!r}",
                    where=f"{rows[0].table}, column {column}",
                    expected=f"one of {', '.join(known)}",
                    advice=nearest(value, known),
                )
            )
        return {patient: float(own == _value(value)) for patient, own in values.items()}
    return values if all(isinstance(own, float) for own in values.values()) else dict(texts)


def _times(
    rows: Sequence[_Row], who: str, column: str, faults: list[StudyError]
) -> Iterator[tuple[str, float]]:
    for patient, row in _told(rows, who, column, faults).items():
        time = row.time(column)
        if time is None:
            faults.append(row.fault(column, "a time of 0 or more, or nothing"))
        else:
            yield patient, time


def write_outcome(
    found: OutcomeOfFile, out: Path, *, source: Path, unit: TimeUnit, landmarks: Sequence[float]
) -> list[tuple[str, str]]:
    """Write ``statistics.csv``, ``adtte.csv``, ``tv.csv``, landmarks, dictionary, figures, record.

    Returns
    -------
    Name of each figure that could not be drawn, and why.

    Raises
    ------
    StudyError
        `out` lies in a results folder.
    """
    refuse_results_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    own = {item.name: f"1 from when {item.name} was known, else 0" for item in found.becomings}
    frames = {
        "statistics.csv": (statistics_frame(found.findings), STATISTICS, "analysis"),
        "adtte.csv": (
            adtte_frame(source.stem, found.endpoints, found.sources, unit), ADTTE, source.name,
        ),
        "tv.csv": (tv_frame(found.endpoints, found.becomings), TV | own, source.name),
    }  # fmt: skip
    for at in landmarks:
        frame = landmark_frame(found.endpoints, found.becomings, at)
        frames[f"landmark_{at:g}.csv"] = (frame, LANDMARK | own, source.name)
    in_time = ("at", "person_time", "AVAL", "tstart", "tstop", "time")
    remove_former_landmarks(out)
    write_frames(frames, dict.fromkeys(in_time, unit), out)
    record = {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "source_sha256": hash_file(source),
        "unit": unit,
        "endpoints": [item.name for item in found.endpoints],
        "landmarks": list(landmarks),
        "rows_left_out": {name: list(numbers) for name, numbers in found.left_out.items()},
    }
    (out / "outcome.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return write_figures(figures_of_file(found, unit), out / "figures")
