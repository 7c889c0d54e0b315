"""``outcome``: survival, hazard ratios and the tables that they are made from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from cytoflow_car.outcome.analysis import Finding

_Name = TypeVar("_Name")
_Meaning = TypeVar("_Meaning")
#: Parameters that say nothing of a run, with their options.
_OF_TABLES = {
    "who": "--id",
    "unit": "--unit",
    "endpoints": "--endpoint",
    "groups": "--group",
    "becomings": "--becomes",
    "leave_out": "--leave-out",
    "allow_immortal_time": "--allow-immortal-time",
}


def _check_times(
    context: click.Context, parameter: click.Parameter, times: tuple[float, ...]
) -> tuple[float, ...]:
    for time in times:
        if not (math.isfinite(time) and time > 0):
            raise click.BadParameter(f"{time:g} is not a time above 0")
    return tuple(dict.fromkeys(times))


def _check_expression(context: click.Context, parameter: click.Parameter, text: str) -> str:
    try:
        re.compile(text)
    except re.error as fault:
        raise click.BadParameter(f"{text!r} is not a regular expression ({fault})") from None
    return text


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="SOURCE")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for statistics and tables.",
)
@click.option(
    "--study",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Study folder of a run; where its files lie by default.",
)
@click.option("--id", "who", default="USUBJID", show_default=True, help="Column of patients.")
@click.option(
    "--unit",
    type=click.Choice(["days", "months"]),
    default="months",
    show_default=True,
    help="Unit of a table's times. Of a run it is days.",
)
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="CODE=TIME[+TIME]:EVENT",
    help="Needed of a table: columns of time (of several, the first that is known) and event (1 "
    "or 0, yes or no) of an endpoint; again for more.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="COLUMN[=VALUE][@TIME]",
    help="Column to compare patients by, or whether they have a value in it, and when that was "
    "known (0, the origin); again for more.",
)
@click.option(
    "--becomes",
    "becomings",
    multiple=True,
    metavar="NAME=COLUMN",
    help="Column of the time at which a patient became something, empty for never; again for more.",
)
@click.option(
    "--leave-out",
    default="",
    callback=_check_expression,
    help="Regular expression: patients that it is found in are left out.",
)
@click.option(
    "--at",
    "times",
    multiple=True,
    type=float,
    callback=_check_times,
    help="Time of survival, in the unit; again for more.",
)
@click.option(
    "--landmark",
    "landmarks",
    multiple=True,
    type=float,
    callback=_check_times,
    help="Landmark, in the unit; again for more.",
)
@click.option(
    "--allow-immortal-time",
    is_flag=True,
    help="Also group by what was known only after the origin. These estimates are biased, and say "
    "so.",
)
@click.pass_context
def outcome(
    context: click.Context,
    source: Path,
    out: Path,
    study: Path | None,
    who: str,
    unit: Literal["days", "months"],
    endpoints: tuple[str, ...],
    groups: tuple[str, ...],
    becomings: tuple[str, ...],
    leave_out: str,
    times: tuple[float, ...],
    landmarks: tuple[float, ...],
    allow_immortal_time: bool,
) -> None:
    """Follow the patients of a run, or analyse times to events of any table.

    SOURCE is the results folder of a run, or a CSV with one row a patient.
    """
    found: tuple[Finding, ...]
    if source.is_dir():
        from cytoflow_car.study.check import find_patients_without_specimen
        from cytoflow_car.study.cohort_outcome import summarise_cohort, write_cohort

        for name, option in _OF_TABLES.items():
            if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
                raise click.UsageError(f"{option} is for a table")
        unit = "days"
        cohort = summarise_cohort(source, study, times=times, landmarks=landmarks or None)
        for warning in find_patients_without_specimen(cohort.study):
            click.echo(f"{warning.where}: {warning.message}", err=True)
        for told in cohort.without_course:
            click.echo(told, err=True)
        undrawn = write_cohort(cohort, out)
        found = cohort.findings
        reasons: dict[tuple[str, str], list[str]] = {}
        for item in cohort.left_out:
            reasons.setdefault((item.patient_id, item.why), []).append(item.endpoint)
        for (patient, why), endpoint in reasons.items():
            click.echo(f"left out of {', '.join(endpoint)}: {patient} ({why})", err=True)
    else:
        from cytoflow_car.study.outcome_file import ColumnsOfOutcome, analyse_file, write_outcome

        if study is not None:
            raise click.UsageError("--study is for a run")
        if not endpoints:
            raise click.UsageError("a table needs --endpoint CODE=TIME:EVENT")
        columns = ColumnsOfOutcome(
            who,
            _each_once("--endpoint", endpoints, _endpoint),
            _each_once("--group", groups, _group),
            _each_once("--becomes", becomings, _becoming),
            leave_out,
        )
        table = analyse_file(
            source,
            columns,
            times=times,
            landmarks=landmarks,
            allow_immortal_time=allow_immortal_time,
        )
        undrawn = write_outcome(table, out, source=source, unit=unit, landmarks=landmarks)
        found = table.findings
        for own in table.endpoints:
            if rows := ", ".join(map(str, table.left_out[own.name])):
                click.echo(f"left out of {own.name}, without time or event: rows {rows}", err=True)
                if all(item.event for item in own.follow_ups):
                    told = "every other row has the event: write 0 for none, empty is unknown"
                    click.echo(told, err=True)
    for name, why in undrawn:
        click.echo(f"figure {name} is not drawn: {why}", err=True)
    for finding in found:
        click.echo(describe(finding, unit))
    biased = [item for item in found if item.is_biased and item.kind != "events"]
    if biased:
        names = ", ".join(dict.fromkeys(f"{item.kind} by {item.subject}" for item in biased))
        click.echo(f"biased by immortal time: {names}. Landmark and time-dependent rows are not")
    click.echo(f"tables: {out}")


def describe(item: Finding, unit: str) -> str:
    """Return a finding as a line of text."""
    at = "" if item.at is None else f" at {item.at:g} {unit}"
    name = f"{item.endpoint} {item.kind} {item.subject}{f' {item.label}' if item.label else ''}{at}"
    found = item.estimate
    if found is None:
        return f"{name}: none, {item.reason}"
    flags = f" [{'; '.join(found.flags)}]" if found.flags else ""
    if item.kind in ("events", "landmark_events"):
        return f"{name}: {found.n_events} of {found.n}{flags}"
    parts = []
    percent = item.kind in ("survival", "cumulative_incidence")
    if item.statistic is not None:
        parts.append(f"chi2 {item.statistic:.3f}")
    if found.value is not None:
        parts.append(f"{100 * found.value:.1f} %" if percent else _ratio(found.value))
    elif item.statistic is None:
        parts.append("no value")
    if found.interval is not None:
        ends = (found.interval.low, found.interval.high)
        told = [f"{100 * end:.1f}" if percent else _ratio(end) for end in ends]
        parts.append(f"({told[0]} to {told[1]}{f', {found.transform}' if found.transform else ''})")
    if found.p_value is not None:
        parts.append(f"p {found.p_value:.3g}")
    is_correlation = item.kind == "correlation"
    rests_on = f"{found.n} patients" if is_correlation else f"{found.n_events} events of {found.n}"
    return f"{name}: {' '.join(parts)}, {rests_on}{flags}"


def _ratio(number: float) -> str:
    return f"{number:.3f}" if number < 10_000 else f"{number:.4g}"


def _each_once(
    option: str, texts: tuple[str, ...], read: Callable[[str], tuple[_Name, _Meaning]]
) -> dict[_Name, _Meaning]:
    found: dict[_Name, _Meaning] = {}
    for text in texts:
        name, meaning = read(text)
        if name in found:
            raise click.UsageError(f"{option} {text!r}: what it names is given twice")
        found[name] = meaning
    return found


def _endpoint(text: str) -> tuple[str, tuple[tuple[str, ...], str]]:
    name, columns = _pair(text, "--endpoint", "CODE=TIME[+TIME]:EVENT")
    times, colon, event = columns.partition(":")
    if not (times and colon and event):
        raise click.UsageError(f"--endpoint {text!r} is not CODE=TIME[+TIME]:EVENT")
    return name, (tuple(times.split("+")), event)


def _group(text: str) -> tuple[tuple[str, str], float]:
    named, at, time = text.partition("@")
    column, _, value = named.partition("=")
    try:
        known_at = float(time) if at else 0.0
    except ValueError:
        known_at = math.nan
    if not (column and math.isfinite(known_at)):
        raise click.UsageError(f"--group {text!r} is not COLUMN[=VALUE][@TIME]")
    return (column, value), known_at


def _becoming(text: str) -> tuple[str, str]:
    return _pair(text, "--becomes", "NAME=COLUMN")


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise click.UsageError(f"{option} {text!r} is not {form}")
    return name, value
