"""The figures of an outcome folder: which curves and courses are drawn, and under which name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Question
from cytoflow_car.outcome.curves import cumulative_incidence, kaplan_meier, kaplan_meier_by
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.time_dependent import take_landmark
from cytoflow_car.outcome.timeline import (
    InfusionDay,
    MrdResult,
    ResponseRow,
    TimelineRow,
    lay_timeline,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cytoflow_car.study.cohort_outcome import CohortOutcome
    from cytoflow_car.study.outcome_file import OutcomeOfFile

_ENDINGS = (".svg", ".png")
_UNTOLD = ("INDETERMINATE", "INSUFFICIENT", "EMPTY_PARENT", "NOT_DONE", "FAILED")
#: Of fewer patients a correlation says nothing.
_LEAST_CORRELATED = 4
_RECOVERIES = ("TTBCR", "TTIGR")
_OUTCOMES = {"LFS": "Leukemia-free survival", "OS": "Overall survival"}


def write_figures(figures: Iterator[tuple[str, Figure]], folder: Path) -> None:
    """Save each figure as SVG, for print, and as PNG."""
    from cytoflow_car.report.figures import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures:
        for ending in _ENDINGS:
            save_figure(figure, folder / f"{name}{ending}")


def figures_of_file(found: OutcomeOfFile, unit: str) -> Iterator[tuple[str, Figure]]:
    """Yield the curves of a table: of all patients, of its groups, and from its landmarks."""
    for endpoint in found.endpoints:
        yield from _curves(endpoint, found.question, found.becomings, unit, "the origin")


def figures_of_cohort(found: CohortOutcome) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a run's patients: survival, expansion, B cells, timeline, densities."""
    from cytoflow_car.report import figures

    definitions = found.study.definitions
    origin = f"infusion {definitions.survival_origin}"
    for endpoint in found.endpoints:
        if endpoint.name in _RECOVERIES:
            events = {item.event for item in endpoint.follow_ups if item.event}
            curves = {
                event: {"all": cumulative_incidence(endpoint.follow_ups, event)} for event in events
            }
            others = sorted(events - {"recovery"})
            if "recovery" in events:
                figure = figures.draw_cumulative_incidence(
                    curves["recovery"],
                    competing=curves[others[0]] if others else None,
                    unit="days",
                    origin=origin,
                )
                yield endpoint.name.lower(), figure
        else:
            yield from _curves(endpoint, found.question, found.becomings, "days", origin)
    adcp = found.frames["adcp.csv"][0]
    expansion = definitions.car_t_measurements["PB"][0]
    courses = {(item.patient_id, item.infusion) for item in found.courses.cars}
    own = adcp[(adcp["PARAMCD"] == expansion) & (adcp["SPEC"] == "PB")].copy()
    own["DAY"] = own["INFDAY"]
    targets = {(item.patient_id, item.number): item.car_target for item in found.study.infusions}
    of_product = [
        not pd.isna(row["INFSEQ"])
        and (row["USUBJID"], int(row["INFSEQ"])) in courses
        and targets.get((row["USUBJID"], int(row["INFSEQ"]))) == row["CAR_TARGET"]
        for _, row in own.iterrows()
    ]
    own = own[of_product]
    # Later results that say nothing would stretch the axis beyond all that can be drawn.
    told = own[~own["STATUS"].isin(_UNTOLD)]
    own = own[own["DAY"] <= told["DAY"].max()]
    if len(own):
        yield "expansion", figures.draw_expansion(own)
    measured = [
        item.rule for item in found.courses.b_cells if item.rule.definition.specimen == "BM"
    ]
    if measured:
        rule = measured[0].definition
        names = {item.measurement for item in measured if item.definition.name == rule.name}
        marrow = adcp[adcp["PARAMCD"].isin(names) & (adcp["SPEC"] == "BM") & (adcp["DAY"] > 0)]
        relapses = {
            name: facts.days["relapse"]
            for name, facts in found.study.patients.items()
            if "relapse" in facts.days
        }
        if len(marrow):
            yield (
                "b_cells",
                figures.draw_b_cells(
                    marrow, relapses, threshold=rule.threshold, definition=rule.name
                ),
            )
    laid = (_timeline(found, name) for name in found.study.patients)
    rows = [row for row in laid if row is not None]
    if rows:
        yield "timeline", figures.draw_timeline(rows)
        responses = [_response(found, row, adcp) for row in rows]
        yield "response", figures.draw_response(responses)
    peaks = {
        number: {
            item.patient_id: item.course.cmax.value
            for item in found.courses.cars
            if (item.infusion, item.specimen, item.measurement) == (number, "PB", expansion)
            and item.course.cmax.value is not None
        }
        for number in (1, 2)
    }
    if len(set(peaks[1]) & set(peaks[2])) >= _LEAST_CORRELATED:
        labels = ("Cmax after infusion 1", "Cmax after infusion 2")
        yield "correlation", figures.draw_correlation(peaks[1], peaks[2], labels=labels)
    yield from _densities(found)


def _curves(
    endpoint: Endpoint,
    question: Question,
    becomings: tuple[Becoming, ...],
    unit: str,
    origin: str,
) -> Iterator[tuple[str, Figure]]:
    from cytoflow_car.report import figures

    name, follow_ups = endpoint.name.lower(), endpoint.censored_at_competing
    title = _OUTCOMES.get(endpoint.name, endpoint.name)
    whole = {"all": kaplan_meier(follow_ups)}
    yield name, figures.draw_survival(whole, outcome=title, unit=unit, origin=origin)
    for number, group in enumerate(question.groups, start=1):
        known = tuple(item for item in follow_ups if item.patient_id in group.values)
        try:
            allowed = question.allow_immortal_time
            curves = kaplan_meier_by(known, group, allow_immortal_time=allowed)
            test = compare_groups(known, group, allow_immortal_time=allowed)
        except OutcomeError:
            # The statistics say why there is none.
            continue
        named = {f"{group.name}: {_word(label)}": curve for label, curve in curves.items()}
        if len(named) <= 4:
            yield (
                f"{name}_by_group_{number}",
                figures.draw_survival(named, outcome=title, unit=unit, origin=origin, test=test),
            )
    for item in becomings:
        start = {person.patient_id: 0.0 for person in follow_ups}
        for at in question.landmarks:
            try:
                landmark = take_landmark(follow_ups, start, item.changes, item.name, at)
                curves = kaplan_meier_by(landmark.follow_ups, landmark.covariate)
            except OutcomeError:
                continue
            if len(curves) == 2:
                named = {f"{item.name}: {_word(label)}": own for label, own in curves.items()}
                figure = figures.draw_survival(
                    named, outcome=title, unit=unit, origin=origin, landmark=at
                )
                yield f"{name}_landmark_{at:g}_{item.name}", figure


def _word(label: float | str) -> str:
    if isinstance(label, str):
        return label
    return {0.0: "no", 1.0: "yes"}.get(label, f"{label:g}")


def _timeline(found: CohortOutcome, patient: str) -> TimelineRow | None:
    study = found.study
    facts = study.patients[patient]
    followed = facts.days.get("last_follow_up", facts.days.get("death"))
    infusions = [
        InfusionDay(item.number, item.day, item.car_target)
        for item in study.infusions
        if item.patient_id == patient and item.day is not None
    ]
    if followed is None or not infusions:
        return None
    return lay_timeline(
        patient,
        followed,
        infusions,
        {
            item.infusion: item.persistence
            for item in found.courses.cars
            if item.patient_id == patient
            and item.specimen == "PB"
            and item.measurement == study.definitions.car_t_measurements["PB"][0]
        },
        {
            _named(item.rule.measurement): item.recovery
            for item in found.courses.b_cells
            if item.patient_id == patient and item.rule.definition.specimen == "BM"
        },
        relapse=facts.days.get("relapse"),
        transplant=facts.days.get("transplant"),
        death=facts.days.get("death"),
    )


def _response(found: CohortOutcome, row: TimelineRow, adcp: pd.DataFrame) -> ResponseRow:
    """Return a patient's response, residual disease by time, and what a relapse had lost."""
    study = found.study
    own = adcp[(adcp["USUBJID"] == row.patient_id) & (adcp["SPEC"] == "BM")]
    calls = own[(own["PARAMCD"] == study.definitions.residual_measurement) & (own["CALL"] != "")]
    changes = own[own["ANTIGEN_CHANGE"].isin(["LOSS", "PARTIAL_LOSS", "DOWN"])]
    lost = {
        f"{name.split('_')[1].upper()} {change.lower().replace('_', ' ')}"
        for name, change in zip(changes["PARAMCD"], changes["ANTIGEN_CHANGE"], strict=True)
    }
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
        relapse_kind=", ".join(sorted(lost)) if row.relapse is not None else "",
    )


def _named(measurement: str) -> str:
    """Say what a B-cell measurement is of: ``b_cell_cd19_percent_of_nucleated`` is CD19+ B."""
    antigen = next((name for name in ("cd19", "cd22") if name in measurement), "")
    return f"{antigen.upper()}+ B" if antigen else measurement


def _densities(found: CohortOutcome) -> Iterator[tuple[str, Figure]]:
    """Yield the blasts' antigens of each patient who has them at baseline and later."""
    from cytoflow_car.report import figures

    histograms = found.histograms
    own = histograms[histograms["antigen"].isin(["blast_cd19", "blast_cd22"])]
    enough = own[own["population"] == "blasts"].groupby("sample_id")["count"].sum()
    seen = set(enough[enough >= 50].index)
    by_patient: dict[str, list[tuple[str, str]]] = {}
    for row in found.study.rows:
        if row.sample_id in seen and row.specimen == "BM":
            name = "baseline" if row.baseline else f"day {row.day:g}"
            by_patient.setdefault(row.patient_id, []).append((row.sample_id, name))
    for specimens in by_patient.values():
        names = dict(specimens)
        if len(specimens) > 1 and "baseline" in names.values():
            # A patient's name may not be a file's, a sample's always is.
            drawn = own[own["sample_id"].isin(list(names))]
            yield f"densities_{specimens[0][0]}", figures.draw_densities(drawn, names)
