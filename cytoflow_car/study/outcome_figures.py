"""The figures of an outcome folder: which curves and courses are drawn, and under which name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.outcome.analysis import Endpoint
from cytoflow_car.outcome.recovery import Recovery
from cytoflow_car.outcome.timeline import (
    InfusionDay,
    MrdResult,
    ResponseRow,
    TimelineRow,
    lay_timeline,
)
from cytoflow_car.study.courses import recoveries_of
from cytoflow_car.study.endpoints import primary_rule
from cytoflow_car.study.records import PatientFacts
from cytoflow_car.study.survival_figures import Drawing, SurvivalFigures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cytoflow_car.study.cohort_outcome import CohortOutcome
    from cytoflow_car.study.outcome_file import OutcomeOfFile
    from cytoflow_car.study.records import SheetRow, Study

_ENDINGS = (".svg", ".png")
_UNTOLD = ("INDETERMINATE", "INSUFFICIENT", "EMPTY_PARENT", "NOT_DONE", "FAILED")
#: Of fewer patients a correlation says nothing.
_LEAST_CORRELATED = 4
#: Of fewer blasts a histogram says nothing.
_LEAST_BLASTS = 50
_LOST = {
    "LOSS": "loss", "PARTIAL_LOSS": "partial loss", "DOWN": "down", "UNCHANGED": "kept",
    "GAIN": "kept",
}  # fmt: skip


def write_figures(drawings: Iterable[Drawing], folder: Path) -> list[tuple[str, str]]:
    """Save each figure as SVG, for print, and as PNG.

    Returns
    -------
    Name of each figure that could not be drawn, and why; the others are there.
    """
    from cytoflow_car.report.figures import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, draw in drawings:
        try:
            figure = draw()
        except CytoflowCarError as fault:
            failed.append((name, str(fault)))
            continue
        if figure is not None:
            for ending in _ENDINGS:
                save_figure(figure, folder / f"{name}{ending}")
    return failed


def figures_of_file(found: OutcomeOfFile, unit: str) -> Iterator[Drawing]:
    """Yield the curves of a table: of all patients, of its groups, and from its landmarks."""
    for endpoint in found.endpoints:
        yield from SurvivalFigures(endpoint, found.question, unit, "the origin").drawings(
            found.becomings
        )


def figures_of_cohort(found: CohortOutcome) -> Iterator[Drawing]:
    """Yield the figures of a run's patients: survival, expansion, B cells, timeline, densities."""
    origin = f"infusion {found.study.definitions.survival_origin}"
    end = max((item.time for own in found.endpoints for item in own.follow_ups), default=0.0)
    words = _plain_words(found.study)
    rule = primary_rule(found.study.definitions)
    recovered = {"TTIGR": "immunoglobulins"}
    if rule is not None:
        recovered["TTBCR"] = f"{_named(rule.measurement)} cells of marrow"
    for endpoint in found.endpoints:
        curves = SurvivalFigures(endpoint, found.question, "days", origin, words, end)
        if endpoint.name in recovered:
            note = f"Recovery of {recovered[endpoint.name]}, as study.toml defines it."
            yield endpoint.name.lower(), partial(curves.incidence, "recovery", (note,))
        else:
            notes = tuple(_transplant_note(endpoint))
            yield from curves.drawings(found.becomings, notes)
    yield "expansion", partial(_expansion, found)
    yield "b_cells", partial(_b_cells, found)
    yield "timeline", partial(_timelines, found)
    yield "response", partial(_responses, found)
    yield "correlation", partial(_correlation, found)
    yield from _densities(found)


def _plain_words(study: Study) -> Mapping[str, str]:
    """Return the names of groups and of what patients become, as a figure writes them."""
    words = {"tp53=mutated": "TP53 mutated"}
    for rule in recoveries_of(study.definitions):
        name = f"recovered_{rule.measurement}_{rule.definition.name}"
        place = "" if rule.definition.specimen == "BM" else " of blood"
        told = f"{_named(rule.measurement)} cells{place} recovered"
        words[name] = f"{told} ({rule.definition.name})" if told in words.values() else told
    rule_of_labs = study.definitions.immunoglobulin
    return words | {f"recovered_{rule_of_labs.name}": f"{rule_of_labs.test} recovered"}


def _named(measurement: str) -> str:
    """Say what a B-cell measurement is of: ``b_cell_cd19_percent_of_nucleated`` is CD19+ B."""
    antigen = next((name for name in ("cd19", "cd22") if name in measurement), "")
    return f"{antigen.upper()}+ B" if antigen else measurement


def _transplant_note(endpoint: Endpoint) -> Iterator[str]:
    """Yield that transplants end follow-up, where some did."""
    n = sum("transplant" in (item.event, item.ended_by) for item in endpoint.follow_ups)
    if n:
        yield f"Transplantation censored (n = {n})."


def _expansion(found: CohortOutcome) -> Figure | None:
    from cytoflow_car.report import figures

    adcp = found.frames["adcp.csv"][0]
    measurement = found.study.definitions.car_t_measurements["PB"][0]
    courses = {(item.patient_id, item.infusion): item.car_target for item in found.courses.cars}
    own = adcp[(adcp["PARAMCD"] == measurement) & (adcp["SPEC"] == "PB") & adcp["INFSEQ"].notna()]
    own = own.assign(DAY=own["INFDAY"])
    of_product = [
        courses.get((patient, int(infusion))) == target
        for patient, infusion, target in zip(
            own["USUBJID"], own["INFSEQ"], own["CAR_TARGET"], strict=True
        )
    ]
    own = own[pd.Series(of_product, own.index, dtype=bool)]
    # Later results that say nothing would stretch the axis beyond all that can be drawn.
    told = own[~own["STATUS"].isin(_UNTOLD)]
    own = own[own["DAY"] <= told["DAY"].max()]
    return figures.draw_expansion(own) if len(own) else None


def _b_cells(found: CohortOutcome) -> Figure | None:
    from cytoflow_car.report import figures

    measured = [
        item.rule for item in found.courses.b_cells if item.rule.definition.specimen == "BM"
    ]
    if not measured:
        return None
    rule = measured[0].definition
    names = {item.measurement for item in measured if item.definition.name == rule.name}
    adcp = found.frames["adcp.csv"][0]
    marrow = adcp[adcp["PARAMCD"].isin(names) & (adcp["SPEC"] == "BM") & (adcp["DAY"] > 0)]
    if marrow.empty:
        return None
    relapses = {
        name: facts.days["relapse"]
        for name, facts in found.study.patients.items()
        if "relapse" in facts.days
    }
    return figures.draw_b_cells(
        marrow,
        relapses,
        threshold=rule.threshold,
        threshold_is_aplasia=rule.threshold_is_aplasia,
        definition=rule.name,
    )


def _timelines(found: CohortOutcome) -> Figure | None:
    from cytoflow_car.report import figures

    rows = list(_timeline_rows(found))
    return figures.draw_timeline(rows) if rows else None


def _responses(found: CohortOutcome) -> Figure | None:
    from cytoflow_car.report import figures

    rows = [_response(found, row) for row in _timeline_rows(found)]
    return figures.draw_response(rows) if rows else None


def _timeline_rows(found: CohortOutcome) -> Iterator[TimelineRow]:
    """Yield the patients with an infusion and follow-up of known days."""
    study = found.study
    for patient, facts in study.patients.items():
        known = [facts.days[name] for name in ("last_follow_up", "death") if name in facts.days]
        infusions = [
            InfusionDay(item.number, item.day, item.car_target)
            for item in study.infusions
            if item.patient_id == patient and item.day is not None
        ]
        if known and infusions:
            yield lay_timeline(
                patient,
                max(known),
                infusions,
                {
                    item.infusion: item.persistence
                    for item in found.courses.cars
                    if item.patient_id == patient
                    and item.specimen == "PB"
                    and item.measurement == study.definitions.car_t_measurements["PB"][0]
                },
                _recoveries(found, patient),
                relapse=facts.days.get("relapse"),
                transplant=facts.days.get("transplant"),
                death=facts.days.get("death"),
            )


def _recoveries(found: CohortOutcome, patient: str) -> dict[str, Recovery]:
    """Return what may recover of a patient: B cells of the marrow, and immunoglobulins."""
    recoveries = {
        f"{_named(item.rule.measurement)} cells": item.recovery
        for item in found.courses.b_cells
        if item.patient_id == patient and item.rule.definition.specimen == "BM"
    }
    globulins = found.courses.globulins.get(patient)
    if globulins is not None and globulins.known_on is not None:
        recoveries[found.study.definitions.immunoglobulin.test] = globulins
    return recoveries


def _response(found: CohortOutcome, row: TimelineRow) -> ResponseRow:
    """Return a patient's response, residual disease by time, and what a relapse had lost."""
    study, adcp = found.study, found.frames["adcp.csv"][0]
    own = adcp[(adcp["USUBJID"] == row.patient_id) & (adcp["SPEC"] == "BM")]
    calls = own[(own["PARAMCD"] == study.definitions.residual_measurement) & (own["CALL"] != "")]
    return ResponseRow(
        row.patient_id,
        row.followed_to,
        row.infusions,
        best_response=study.patients[row.patient_id].response,
        mrd=tuple(
            MrdResult(float(day), str(call))
            for day, call in zip(calls["DAY"], calls["CALL"], strict=True)
        ),
        relapse=row.relapse,
        relapse_kind="" if row.relapse is None else _relapse_kind(own, row.relapse),
        death=row.death,
    )


def _relapse_kind(own: pd.DataFrame, relapse: float) -> str:
    """Say what the blasts of the relapse had kept, by the first marrow from that day on."""
    of_blasts = own[own["PARAMCD"].isin(["blast_cd19_abc", "blast_cd22_abc"])]
    day = _first_from(relapse, of_blasts["DAY"])
    changes: dict[str, list[str]] = {}
    for antigen in ("CD19", "CD22"):
        rows = of_blasts[
            (of_blasts["DAY"] == day) & (of_blasts["PARAMCD"] == f"blast_{antigen.lower()}_abc")
        ]
        told = [_LOST[change] for change in rows["ANTIGEN_CHANGE"] if change in _LOST]
        changes.setdefault(told[0] if told else "not measured", []).append(antigen)
    if list(changes) == ["not measured"]:
        return "not measured"
    return ", ".join(f"{' and '.join(antigens)} {told}" for told, antigens in changes.items())


def _first_from(day: float, days: Iterable[float]) -> float | None:
    """Return the first of some days that is that of an event, or later."""
    return min((item for item in days if item >= math.floor(day)), default=None)


def _correlation(found: CohortOutcome) -> Figure | None:
    from cytoflow_car.report import figures

    measurement = found.study.definitions.car_t_measurements["PB"][0]
    own = [
        item
        for item in found.courses.cars
        if (item.specimen, item.measurement) == ("PB", measurement)
    ]
    first, second = (
        {
            item.patient_id: item.course.cmax.value
            for item in own
            if item.infusion == number and item.course.cmax.value is not None
        }
        for number in (1, 2)
    )
    if len(set(first) & set(second)) < _LEAST_CORRELATED:
        return None
    adcp = found.frames["adcp.csv"][0]
    quantity = adcp.loc[adcp["PARAMCD"] == measurement, "PARAM"].iloc[0]
    labels = (
        f"{quantity}, Cmax after infusion 1 ({own[0].unit})",
        f"{quantity}, Cmax after infusion 2 ({own[0].unit})",
    )
    return figures.draw_correlation(first, second, labels=labels)


def _densities(found: CohortOutcome) -> Iterator[Drawing]:
    """Yield the blasts' antigens of each patient who has them at baseline and later."""
    from cytoflow_car.report import figures

    histograms = found.histograms
    # Without beads there is no density.
    own = histograms[
        histograms["antigen"].isin(["blast_cd19", "blast_cd22"]) & (histograms["scale"] != "a.u.")
    ]
    blasts = own[own["population"] == "blasts"].groupby(["sample_id", "antigen"])["count"].sum()
    fewest = blasts.groupby("sample_id").min()
    seen = set(fewest[fewest >= _LEAST_BLASTS].index)
    by_patient: dict[str, list[SheetRow]] = {}
    for row in found.study.rows:
        if row.sample_id in seen and row.specimen == "BM" and row.day is not None:
            by_patient.setdefault(row.patient_id, []).append(row)
    for patient, rows in by_patient.items():
        facts = found.study.patients.get(patient, PatientFacts(patient))
        names = dict(_names_of_specimens(rows, facts.days.get("relapse")))
        if len(names) > 1 and "baseline" in names.values():
            # A patient's name may not be a file's, a sample's always is.
            drawn = own[own["sample_id"].isin(list(names))]
            yield f"densities_{next(iter(names))}", partial(figures.draw_densities, drawn, names)


def _names_of_specimens(
    rows: Sequence[SheetRow], relapse: float | None
) -> Iterator[tuple[str, str]]:
    """Yield each specimen with its name; that of the relapse is the first from its day on."""
    of_relapse = None
    if relapse is not None:
        of_relapse = _first_from(relapse, [row.day for row in rows if row.day is not None])
    for row in rows:
        day = f"day {row.day:g}"
        if row.day == of_relapse:
            day = f"relapse, {day}"
        yield row.sample_id, "baseline" if row.baseline else day
