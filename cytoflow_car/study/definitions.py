"""``study.toml``: clocks, windows of visits, and the definitions in force, each by its name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cytoflow_car.errors import StudyError
from cytoflow_car.outcome.recovery import DEFINITIONS, RecoveryDefinition
from cytoflow_car.study.cells import nearest
from cytoflow_car.study.labs import IVIG, spell
from cytoflow_car.study.records import (
    DetectionLimits,
    ImmunoglobulinRule,
    RecoveryRule,
    StudyDefinitions,
    VisitWindow,
)

#: What the built-in definitions are applied to; the marrow's denominator is the study's choice.
_MEASURED = {
    "bm_2_percent": "b_cell_cd19_percent_of_{marrow_denominator}",
    "pb_3_percent_of_lymphocytes": "b_cell_cd19_percent_of_lymphocytes",
    "pb_50_per_ul": "b_cell_cd19_per_ul",
}
#: How the name of a measurement tells its unit.
_UNIT_IN_NAME = {"%": "_percent_of_", "cells/uL": "_per_ul"}

_DEFAULTS = StudyDefinitions()
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=1)]


def _not_empty(found: Any) -> Any:
    if not found:
        raise ValueError("something")
    return found


def _distinct(items: list[Any]) -> list[Any]:
    if len(set(items)) < len(items):
        raise ValueError("each only once")
    return items


def _is_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("small letters, digits and _")
    return name


def _is_limit(limit: float | str) -> float | str:
    if limit != "lower_limit" and (isinstance(limit, str) or limit <= 0):
        raise ValueError("a number above 0, or 'lower_limit'")
    return limit


_NotEmpty, _Distinct = AfterValidator(_not_empty), AfterValidator(_distinct)
_Text = Annotated[str, _NotEmpty]
_Name = Annotated[str, AfterValidator(_is_name)]
_Names = Annotated[list[_Name], _NotEmpty, _Distinct]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Clocks(_Table):
    month_days: Annotated[float, Field(ge=28, le=31)] = _DEFAULTS.month_days
    survival_origin: Literal["infusion 1", "infusion 2"] = "infusion 1"
    # Stated, not chosen: a folder that counts its days otherwise is refused.
    day_0: Literal["infusion 1"] = "infusion 1"


class _Window(_Table):
    day: float
    low: float
    high: float
    infusion: _Count = 1


class _Immunoglobulin(_Table):
    name: _Name | None = None
    test: _Text = _DEFAULTS.immunoglobulin.test
    limit: Annotated[float | str, AfterValidator(_is_limit)] = "lower_limit"
    unit: str = ""
    months_without_ivig: _NotNegative = _DEFAULTS.immunoglobulin.months_without_ivig
    early_months: _Positive = _DEFAULTS.immunoglobulin.early_months


class _CarT(_Table):
    PB: _Names = list(_DEFAULTS.car_t_measurements["PB"])
    CSF: _Names = list(_DEFAULTS.car_t_measurements["CSF"])
    BM: _Names = list(_DEFAULTS.car_t_measurements["BM"])


class _Definitions(_Table):
    persistence: Literal["interval", "cibmtr"] = _DEFAULTS.persistence
    persistence_negatives: _Count = _DEFAULTS.persistence_negatives
    recovery: Annotated[list[str], _Distinct] = [
        rule.definition.name for rule in _DEFAULTS.recoveries
    ]
    marrow_denominator: Literal["nucleated", "cd45", "mononuclear", "lymphocytes"] = "nucleated"
    residual_measurement: _Name = _DEFAULTS.residual_measurement
    immunoglobulin: _Immunoglobulin = _Immunoglobulin()
    car_t: _CarT = _CarT()


class _Recovery(_Table):
    specimen: Literal["PB", "BM"]
    measurement: _Name
    unit: Literal["%", "cells/uL"]
    threshold: _Positive
    threshold_is_aplasia: bool = False
    consecutive: _Count = 2


class _Outcome(_Table):
    landmark_months: Annotated[list[_Positive], _Distinct] = list(_DEFAULTS.landmark_months)
    lfs_events: Annotated[list[Literal["relapse", "death"]], _NotEmpty, _Distinct] = [
        "relapse",
        "death",
    ]
    transplant: Literal["censor", "competing", "ignore"] = _DEFAULTS.transplant


class _Detection(_Table):
    lod_events: _Count | None = None
    loq_events: _Count | None = None


class _File(_Table):
    name: _Text = ""
    simulated: bool = False
    clocks: _Clocks = _Clocks()
    windows: dict[_Text, _Window] = {}
    definitions: _Definitions = _Definitions()
    recovery: dict[_Name, _Recovery] = {}
    outcome: _Outcome = _Outcome()
    detection: dict[_Text, _Detection] = {}


_TABLES: Mapping[str, type[_Table]] = {
    "": _File,
    "clocks": _Clocks,
    "windows.*": _Window,
    "definitions": _Definitions,
    "definitions.immunoglobulin": _Immunoglobulin,
    "definitions.car_t": _CarT,
    "recovery.*": _Recovery,
    "outcome": _Outcome,
    "detection.*": _Detection,
}
#: Keys of every table of the file; ``*`` stands for a name that the study gives.
KEYS = {name: tuple(table.model_fields) for name, table in _TABLES.items()}


def read_definitions(path: Path, faults: list[StudyError]) -> StudyDefinitions:
    """Read ``study.toml``; an absent file, and a file with faults, give what holds by default."""
    if not path.is_file():
        return StudyDefinitions()
    try:
        plain = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        faults.append(StudyError(f"not TOML ({fault})", where=path.name))
        return StudyDefinitions()
    try:
        file = _File.model_validate(plain)
    except ValidationError as error:
        faults.extend(_readable(error, plain, path.name))
        return StudyDefinitions()
    contradictions = [
        StudyError(problem, where=f"{path.name}, {place}", expected=expected, advice=advice)
        for place, problem, expected, advice in _contradictions(file)
    ]
    faults.extend(contradictions)
    return StudyDefinitions() if contradictions else _definitions(file)


def describe_definitions(definitions: StudyDefinitions) -> Iterator[str]:
    """Yield what is in force, a line each."""
    # It brings pandas, which reading a study does without.
    from cytoflow_car.study.courses import recoveries_of

    yield f"month: {definitions.month_days:g} days"
    yield (
        f"persistence: {definitions.persistence}, ended by {definitions.persistence_negatives} "
        "negative in a row"
    )
    for chosen in recoveries_of(definitions):
        item = chosen.definition
        yield (
            f"recovery: {item.name} ({chosen.measurement} of {item.specimen} "
            f"{'above' if item.threshold_is_aplasia else 'from'} {item.threshold:g} {item.unit}, "
            f"{item.consecutive} in a row)"
        )
    rule = definitions.immunoglobulin
    limit = "lower_limit of the same row" if rule.limit is None else f"{rule.limit:g} {rule.unit}"
    quiet = f"no IVIG in the {rule.months_without_ivig:g} months before"
    yield (
        f"immunoglobulins: {rule.name} ({rule.test} from {limit} on, after a value below, "
        f"{quiet if rule.months_without_ivig else 'whenever IVIG was given'}, early before "
        f"month {rule.early_months:g})"
    )
    yield f"residual disease: {definitions.residual_measurement}"
    for specimen, names in definitions.car_t_measurements.items():
        yield f"CAR T cells of {specimen}: {', '.join(names)}"
    landmarks = ", ".join(f"{month:g}" for month in definitions.landmark_months)
    yield (
        f"survival: from infusion {definitions.survival_origin}, "
        f"leukemia-free until {' or '.join(definitions.lfs_events)}, transplantation: "
        f"{definitions.transplant}, landmark months: {landmarks or 'none'}"
    )


def _definitions(file: _File) -> StudyDefinitions:
    chosen, outcome = file.definitions, file.outcome
    return StudyDefinitions(
        name=file.name,
        simulated=file.simulated,
        month_days=file.clocks.month_days,
        survival_origin=int(file.clocks.survival_origin.removeprefix("infusion ")),
        windows=tuple(
            VisitWindow(visit, **window.model_dump()) for visit, window in file.windows.items()
        ),
        persistence=chosen.persistence,
        persistence_negatives=chosen.persistence_negatives,
        recoveries=tuple(_recovery(name, file) for name in chosen.recovery),
        marrow_denominator=chosen.marrow_denominator,
        immunoglobulin=_immunoglobulin(chosen.immunoglobulin),
        residual_measurement=chosen.residual_measurement,
        car_t_measurements={
            specimen: tuple(names) for specimen, names in chosen.car_t.model_dump().items()
        },
        landmark_months=tuple(sorted(outcome.landmark_months)),
        lfs_events=tuple(outcome.lfs_events),
        transplant=outcome.transplant,
        detection={
            assay: DetectionLimits(**limits.model_dump())
            for assay, limits in file.detection.items()
        },
    )


def _recovery(name: str, file: _File) -> RecoveryRule:
    if name in DEFINITIONS:
        measurement = _MEASURED[name].format(marrow_denominator=file.definitions.marrow_denominator)
        return RecoveryRule(DEFINITIONS[name], measurement)
    own = file.recovery[name]
    definition = RecoveryDefinition(name, **own.model_dump(exclude={"measurement"}))
    return RecoveryRule(definition, own.measurement)


def _immunoglobulin(given: _Immunoglobulin) -> ImmunoglobulinRule:
    """Return the rule; without a name of its own it is named by what it says."""
    limit = None if isinstance(given.limit, str) else given.limit
    name = f"{given.test} {'lower_limit' if limit is None else f'{limit:g} {given.unit}'}"
    if given.months_without_ivig:
        name += f" {given.months_without_ivig:g} months without ivig"
    return ImmunoglobulinRule(
        given.name or re.sub(r"\W+", "_", name).strip("_").lower(),
        given.test,
        limit,
        given.unit,
        given.months_without_ivig,
        given.early_months,
    )


def _contradictions(file: _File) -> Iterator[tuple[str, str, str, str]]:
    """Yield (place, problem, expected, advice) of what single values cannot show."""
    for visit, window in file.windows.items():
        if not window.low <= window.day <= window.high:
            found = f"low {window.low:g}, day {window.day:g}, high {window.high:g}"
            yield f"[windows.{visit}]", found, "low ≤ day ≤ high", ""
    known = list(dict.fromkeys([*DEFINITIONS, *file.recovery]))
    for name in file.definitions.recovery:
        if name not in known:
            place = "[definitions] recovery"
            yield place, f"no definition {name!r}", ", ".join(known), nearest(name, known)
    for name, own in file.recovery.items():
        place = f"[recovery.{name}]"
        if name in DEFINITIONS:
            yield place, f"{name!r} is built in", "a name of your own", ""
        elif name not in file.definitions.recovery:
            advice = "Name it in recovery of [definitions], or remove it"
            yield place, "not in force", "", advice
        part = _UNIT_IN_NAME[own.unit]
        if part not in own.measurement:
            yield (
                f"{place} measurement",
                f"{own.measurement!r} is not in {own.unit}",
                f"one with {part!r} in its name",
                "",
            )
    given = file.definitions.immunoglobulin
    place = "[definitions.immunoglobulin]"
    if given.test != spell(given.test):
        yield f"{place} test", f"{given.test!r}", spell(given.test), ""
    elif given.test == IVIG:
        yield f"{place} test", f"{IVIG!r}", "what is measured, not what is given", ""
    if isinstance(given.limit, str) == bool(given.unit):
        yield f"{place} unit", f"{given.unit!r}", "a unit where limit is a number, else none", ""
    for assay, limits in file.detection.items():
        lod, loq = limits.lod_events, limits.loq_events
        if lod is not None and loq is not None and loq < lod:
            yield f"[detection.{assay}]", f"loq_events {loq} below lod_events {lod}", "", ""


def _readable(fault: ValidationError, plain: Mapping[str, Any], file: str) -> Iterator[StudyError]:
    """Yield each fault once, in the words of the file."""
    told = set()
    for error in fault.errors():
        # What a fault is told with beyond the file's own keys is pydantic's.
        steps: list[str] = []
        value: Any = plain
        for step in error["loc"]:
            if isinstance(value, Mapping) and (step in value or error["type"] == "missing"):
                steps.append(str(step))
                value = value.get(step)
        place = _place(steps)
        if place not in told:
            told.add(place)
            yield _one_fault(error, steps, f"{file}, {place}")


def _place(steps: list[str]) -> str:
    if len(steps) == 1:
        return steps[0]
    return f"[{'.'.join(steps[:-1])}] {steps[-1]}"


def _one_fault(error: Any, steps: list[str], where: str) -> StudyError:
    found, kind = error["input"], error["type"]
    if kind == "extra_forbidden":
        table = steps[:-1]
        if table and table[0] in ("windows", "recovery", "detection"):
            table[1] = "*"
        known = KEYS[".".join(table)]
        belongs = (f"It belongs to [{name}]" for name, keys in KEYS.items() if steps[-1] in keys)
        return StudyError(
            "unknown key",
            where=where,
            expected=f"one of {', '.join(known)}",
            advice=next(belongs, "") or nearest(steps[-1], known),
        )
    if kind == "missing":
        return StudyError("missing", where=where)
    if kind in ("model_type", "dict_type"):
        return StudyError(f"{found!r}", where=where, expected="a table")
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return StudyError(f"{found!r}", where=where, expected=expected[:1].lower() + expected[1:])
