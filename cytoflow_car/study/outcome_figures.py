"""The figures of an outcome folder: which curves and courses are drawn, and under which name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cytoflow_car.errors import CytoflowCarError, OutcomeError
from cytoflow_car.outcome.analysis import Becoming, Endpoint, Question
from cytoflow_car.outcome.curves import (
    Curve,
    cumulative_incidence,
    kaplan_meier,
    kaplan_meier_by,
)
from cytoflow_car.outcome.follow_up import Covariate, FollowUp, split
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.recovery import Recovery
from cytoflow_car.outcome.time_dependent import take_landmark
from cytoflow_car.outcome.timeline import (
    InfusionDay,
    MrdResult,
    ResponseRow,
    TimelineRow,
    lay_timeline,
)
from cytoflow_car.study.courses import recoveries_of
from cytoflow_car.study.records import PatientFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cytoflow_car.study.cohort_outcome import CohortOutcome
    from cytoflow_car.study.outcome_file import OutcomeOfFile
    from cytoflow_car.study.records import SheetRow, Study

#: Name of a figure, and what draws it: None where there is nothing to draw.
Drawing = tuple[str, Callable[[], "Figure | None"]]

_ENDINGS = (".svg", ".png")
_UNTOLD = ("INDETERMINATE", "INSUFFICIENT", "EMPTY_PARENT", "NOT_DONE", "FAILED")
#: Of fewer patients a correlation says nothing.
_LEAST_CORRELATED = 4
#: Of fewer blasts a histogram says nothing.
_LEAST_BLASTS = 50
#: So many patients are named in a note; more are counted.
_MOST_NAMED = 8
_RECOVERIES = {"TTBCR": "CD19+ B cells of marrow", "TTIGR": "immunoglobulins"}
_OUTCOMES = {"LFS": "Leukemia-free survival", "OS": "Overall survival"}
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
        yield from _Curves(endpoint, found.question, unit, "the origin").drawings(found.becomings)


def figures_of_cohort(found: CohortOutcome) -> Iterator[Drawing]:
    """Yield the figures of a run's patients: survival, expansion, B cells, timeline, densities."""
    origin = f"infusion {found.study.definitions.survival_origin}"
    end = max((item.time for own in found.endpoints for item in own.follow_ups), default=0.0)
    words = _plain_words(found.study)
    for endpoint in found.endpoints:
        curves = _Curves(endpoint, found.question, "days", origin, words, end)
        if endpoint.name in _RECOVERIES:
            note = f"Recovery of {_RECOVERIES[endpoint.name]}, as study.toml defines it."
            yield endpoint.name.lower(), partial(curves.incidence, "recovery", (note,))
        else:
            notes = tuple(_transplant_note(found.study, endpoint))
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


def _transplant_note(study: Study, endpoint: Endpoint) -> Iterator[str]:
    """Yield that transplants end follow-up, where some did."""
    if study.definitions.transplant == "ignore":
        return
    number = study.definitions.survival_origin
    origins = {
        item.patient_id: item.day or 0.0 for item in study.infusions if item.number == number
    }
    n = 0
    for item in endpoint.follow_ups:
        day = study.patients[item.patient_id].days.get("transplant")
        at_end = day is not None and day - origins.get(item.patient_id, 0.0) == item.time
        n += at_end and item.event in ("", "transplant")
    if n:
        yield f"Transplantation censored (n = {n})."


@dataclass(frozen=True, slots=True)
class _Curves:
    """The curves of one endpoint.

    Attributes
    ----------
    words
        Names of groups and becomings as they are written; others stand as they are.
    end
        Of all follow-up; 0 for that of the endpoint.
    """

    endpoint: Endpoint
    question: Question
    unit: str
    origin: str
    words: Mapping[str, str] = field(default_factory=dict)
    end: float = 0.0

    def drawings(
        self, becomings: Iterable[Becoming], notes: Sequence[str] = ()
    ) -> Iterator[Drawing]:
        """Yield survival: of all, of groups, and from landmarks, and what competes."""
        name = self.endpoint.name.lower()
        yield name, partial(self._survival, notes)
        if self._events & self.endpoint.competing:
            yield f"{name}_competing", partial(self.incidence, self._main)
        for number, group in enumerate(self.question.groups, start=1):
            yield f"{name}_by_group_{number}", partial(self._by_group, group, notes)
        for item in becomings:
            for at in self.question.landmarks:
                yield (
                    f"{name}_landmark_{at:g}_{item.name}",
                    partial(self._landmark, item, at, notes),
                )
                if self.endpoint.name == "LFS":
                    yield (
                        f"{name}_incidence_landmark_{at:g}_{item.name}",
                        partial(self._incidence_from_landmark, item, at),
                    )

    @property
    def _events(self) -> set[str]:
        return {item.event for item in self.endpoint.follow_ups if item.event}

    @property
    def _main(self) -> str:
        """The event whose incidence is drawn: relapse, else the first of the endpoint's own."""
        own = sorted(self._events - self.endpoint.competing)
        return "relapse" if "relapse" in own else next(iter(own), "")

    def incidence(self, event: str, notes: Sequence[str] = ()) -> Figure | None:
        """Draw the cumulative incidence of an event with every event that competes."""
        return self._draw_incidence({"all": self.endpoint.follow_ups}, event, self.end, notes=notes)

    def _draw_incidence(
        self,
        groups: Mapping[str, Sequence[FollowUp]],
        event: str,
        end: float,
        landmark: float | None = None,
        notes: Sequence[str] = (),
    ) -> Figure | None:
        from cytoflow_car.report import figures

        happened = {item.event for own in groups.values() for item in own if item.event}
        if event not in happened:
            return None
        curves = {
            name: {label: cumulative_incidence(own, name) for label, own in groups.items()}
            for name in happened
        }
        return figures.draw_cumulative_incidence(
            curves[event],
            competing=[curves[other] for other in sorted(happened - {event})],
            unit=self.unit,
            origin=self.origin,
            landmark=landmark,
            end=end,
            notes=notes,
        )

    def _draw(self, curves: Mapping[str, Curve], notes: Sequence[str], **more: Any) -> Figure:
        from cytoflow_car.report import figures

        title = _OUTCOMES.get(self.endpoint.name, self.endpoint.name)
        return figures.draw_survival(
            curves, outcome=title, unit=self.unit, origin=self.origin, notes=notes, **more
        )

    def _survival(self, notes: Sequence[str]) -> Figure:
        return self._draw({"all": kaplan_meier(self.endpoint.censored_at_competing)}, notes)

    def _by_group(self, group: Covariate, notes: Sequence[str]) -> Figure | None:
        follow_ups = self.endpoint.censored_at_competing
        known = tuple(item for item in follow_ups if item.patient_id in group.values)
        allowed = self.question.allow_immortal_time
        try:
            curves = kaplan_meier_by(known, group, allow_immortal_time=allowed)
            test = compare_groups(known, group, allow_immortal_time=allowed)
        except OutcomeError:
            # The statistics say why there is none.
            return None
        if len(curves) > 4:
            return None
        named = {self._group(group.name, label): curve for label, curve in curves.items()}
        left = [item.patient_id for item in follow_ups if item.patient_id not in group.values]
        who = ", ".join(left) if len(left) <= _MOST_NAMED else f"{len(left)} patients"
        missing = [f"Not known, and left out: {who}."] if left else []
        return self._draw(named, [*notes, *missing], test=test)

    def _landmark(self, item: Becoming, at: float, notes: Sequence[str]) -> Figure | None:
        groups = self._from_landmark(self.endpoint.censored_at_competing, item, at)
        if len(groups) < 2:
            return None
        curves = {name: kaplan_meier(own) for name, own in groups.items()}
        return self._draw(curves, notes, landmark=at)

    def _incidence_from_landmark(self, item: Becoming, at: float) -> Figure | None:
        groups = self._from_landmark(self.endpoint.follow_ups, item, at)
        if len(groups) < 2:
            return None
        return self._draw_incidence(groups, self._main, max(self.end - at, 0.0), at)

    def _from_landmark(
        self, follow_ups: Sequence[FollowUp], item: Becoming, at: float
    ) -> dict[str, tuple[FollowUp, ...]]:
        """Return who was still followed, by what they had become; empty where it cannot be."""
        start = {person.patient_id: 0.0 for person in follow_ups}
        try:
            found = take_landmark(follow_ups, start, item.changes_of(follow_ups), item.name, at)
            groups, _ = split(found.follow_ups, found.covariate, allow_immortal_time=False)
        except OutcomeError:
            # The statistics say why.
            return {}
        return {self._group(item.name, label): own for label, own in groups.items()}

    def _group(self, name: str, label: float | str) -> str:
        return f"{self.words.get(name, name)}: {_word(label)}"


def _word(label: float | str) -> str:
    if isinstance(label, str):
        return label
    return {0.0: "no", 1.0: "yes"}.get(label, f"{label:g}")


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
