"""Tables of times to events: one row a patient, one row an interval, one row an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor
from pathlib import Path

import pandas as pd

from cytoflow_car.outcome.analysis import Becoming, Endpoint, Finding
from cytoflow_car.outcome.time_dependent import RiskTable, build_rows, take_landmark
from cytoflow_car.tables.columns import ADTTE, DICTIONARY, LANDMARK, STATISTICS, TV
from cytoflow_car.tables.write import to_frame, write_csv

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class EndpointSource:
    """Where an endpoint's times come from.

    Attributes
    ----------
    title
        What the parameter means.
    table, column
        Of the event.
    rows
        Row number by patient, as a spreadsheet shows it.
    """

    title: str
    table: str
    column: str
    rows: Mapping[str, int]


def statistics_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return one row a finding, columns `STATISTICS`."""
    frame = to_frame(map(_finding_row, findings), list(STATISTICS))
    return frame.astype({"n": "Int64", "n_events": "Int64"})


def _finding_row(item: Finding) -> Row:
    row: Row = {
        "endpoint": item.endpoint,
        "analysis": item.kind,
        "subject": item.subject,
        "group": item.label,
        "at": item.at,
        "statistic": item.statistic,
        "immortal_time": "yes" if item.is_biased else "no",
        "flags": "",
        "reason": item.reason,
    }
    found = item.estimate
    if found is not None:
        interval = found.interval
        row |= {
            "estimate": found.value,
            "se": found.se,
            "ci_low": None if interval is None else interval.low,
            "ci_high": None if interval is None else interval.high,
            "transform": found.transform,
            "p_value": found.p_value,
            "n": found.n,
            "n_events": found.n_events,
            "person_time": found.person_time,
            "method": found.method,
            "flags": ";".join(found.flags),
        }
    return row


def adtte_frame(
    study: str,
    endpoints: Sequence[Endpoint],
    sources: Mapping[str, EndpointSource],
    unit: str,
    origins: Mapping[str, date] | None = None,
) -> pd.DataFrame:
    """Return one row a patient and endpoint, columns `ADTTE`.

    Parameters
    ----------
    unit
        ``days`` or ``months``.
    origins
        By patient, the date of the origin where it is known; `unit` is then ``days``.
    """
    rows = []
    for endpoint in endpoints:
        source = sources[endpoint.name]
        for item in endpoint.follow_ups:
            competing = item.event in endpoint.competing and bool(item.event)
            is_event = bool(item.event) and not competing
            start = (origins or {}).get(item.patient_id)
            rows.append(
                {
                    "STUDYID": study,
                    "USUBJID": item.patient_id,
                    "PARAMCD": endpoint.name,
                    "PARAM": source.title,
                    "STARTDT": "" if start is None else str(start),
                    "ADT": "" if start is None else str(start + timedelta(days=floor(item.time))),
                    "AVAL": item.time,
                    "AVALU": unit.upper(),
                    "CNSR": 0 if is_event else 2 if competing else 3 if item.ended_by else 1,
                    "EVENT": int(is_event),
                    "EVNTDESC": item.event or item.ended_by or "censored",
                    "SRCDOM": source.table,
                    "SRCVAR": source.column,
                    "SRCSEQ": source.rows.get(item.patient_id),
                }
            )
    return to_frame(rows, list(ADTTE)).astype({"SRCSEQ": "Int64"})


def tv_frame(endpoints: Sequence[Endpoint], becomings: Sequence[Becoming]) -> pd.DataFrame:
    """Return (start, stop] rows of every endpoint: columns `TV` and one a covariate.

    The rows hold the same patients, events and time as the follow-ups; a value counts only after
    the time at which it was known.
    """
    names = [item.name for item in becomings]
    rows: list[Row] = []
    for endpoint in endpoints:
        table = _risk_table(endpoint, becomings)
        rows.extend(
            {
                "id": row.patient_id,
                "paramcd": endpoint.name,
                "tstart": row.start,
                "tstop": row.stop,
                "event": int(bool(row.event)),
                **row.values,
            }
            for row in table.rows
        )
    return to_frame(rows, [*TV, *names]).astype(dict.fromkeys(names, "Int64"))


def _risk_table(endpoint: Endpoint, becomings: Sequence[Becoming]) -> RiskTable:
    start = {item.patient_id: {own.name: 0.0 for own in becomings} for item in endpoint.follow_ups}
    changes = [change for own in becomings for change in own.changes_of(endpoint.follow_ups)]
    return build_rows(endpoint.censored_at_competing, start, changes)


def landmark_frame(
    endpoints: Sequence[Endpoint], becomings: Sequence[Becoming], at: float
) -> pd.DataFrame:
    """Return one row a patient who is still followed, by a landmark: columns `LANDMARK` and more.

    A covariate is as it was known at the landmark, from which the clock starts anew.
    """
    rows: list[Row] = []
    for endpoint in endpoints:
        follow_ups = endpoint.censored_at_competing
        if all(item.time <= at for item in follow_ups):
            continue
        values: dict[str, Mapping[str, float | str]] = {}
        left = [item for item in follow_ups if item.time > at]
        for own in becomings:
            start = {item.patient_id: 0.0 for item in follow_ups}
            changes = own.changes_of(follow_ups)
            taken = take_landmark(follow_ups, start, changes, own.name, at)
            values[own.name] = taken.covariate.values
        rows.extend(
            {
                "id": item.patient_id,
                "paramcd": endpoint.name,
                # Without what a difference of decimals leaves behind.
                "time": round(item.time - at, 10),
                "event": int(bool(item.event)),
                **{name: found[item.patient_id] for name, found in values.items()},
            }
            for item in left
        )
    names = [item.name for item in becomings]
    return to_frame(rows, [*LANDMARK, *names]).astype(dict.fromkeys(names, "Int64"))


#: By file name a table, what its columns mean, and where they come from.
Frames = Mapping[str, tuple[pd.DataFrame, Mapping[str, str], str]]


def write_frames(frames: Frames, units: Mapping[str, str], out: Path) -> None:
    """Write tables, and ``dictionary.csv`` of all their columns.

    Parameters
    ----------
    units
        By column.
    """
    for name, (frame, _, _) in frames.items():
        write_csv(frame, out / name)
    dictionary = to_frame(_dictionary_rows(frames, units), list(DICTIONARY))
    write_csv(dictionary, out / "dictionary.csv")


def _dictionary_rows(frames: Frames, units: Mapping[str, str]) -> Iterator[Row]:
    for file, (frame, meanings, source) in frames.items():
        for column in map(str, frame.columns):
            yield {
                "file": file,
                "column": column,
                "meaning": meanings[column],
                "unit": units.get(column, ""),
                "source": source,
            }
