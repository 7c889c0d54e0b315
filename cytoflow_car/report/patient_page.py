"""The page of a patient: course, calls, antigens, every draw with its numbers and gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cytoflow_car.report.contents import PatientContents, RunContents
from cytoflow_car.report.course import course_section
from cytoflow_car.report.draws import (
    NO_NUMBER,
    Draw,
    draw_section,
    draws_of,
    figure,
    name_of,
    reported,
    statuses,
    why,
)
from cytoflow_car.report.html import (
    Cell,
    Content,
    Element,
    Row,
    element,
    interval,
    joined,
    number,
    page,
    table,
    warning,
)
from cytoflow_car.report.notices import GRAVE, footer, simulated_warning
from cytoflow_car.report.words import SPECIMENS, STATUS_WORDS, day_of, doubts, glossary, meaning
from cytoflow_car.tables.cells import Line
from cytoflow_car.tables.meanings import ANTIGEN_CHANGES, ANTIGEN_STATUSES, CALLS, MEASUREMENT_FLAGS


def patient_page(patient: PatientContents, run: RunContents) -> str:
    """Return the page of one patient of a run."""
    draws = draws_of(patient)
    sections = [
        ("course", "Course", course_section(patient, draws, run.aplasia)),
        ("calls", "Calls", [_calls(draws)]),
        ("antigens", "Antigens", _antigens(patient, draws)),
        ("not-done", "What was not done", [_not_done(patient, draws)]),
    ]
    links = [element("li", element("a", text, href=f"#{name}")) for name, text, _ in sections]
    links += [element("li", element("a", draw.name, href=f"#{draw.place}")) for draw in draws]
    content: list[Content] = [
        element("nav", element("a", "All patients", href="index.html"), aria_label="Report"),
        element("h1", f"Patient {patient.patient_id}"),
        element("p", f"Study: {run.name}", class_="quiet"),
        *simulated_warning(run),
        *_warnings(patient, draws),
        element("nav", element("ul", *links), aria_label="On this page"),
    ]
    for name, text, body in sections:
        content += [element("h2", text, id=name), *body]
    content.append(element("h2", "Time points"))
    content += [draw_section(draw, patient) for draw in draws]
    content += [element("h2", "What statuses and calls mean"), statuses(draws), footer(run)]
    return page(f"{patient.patient_id} · {run.name}", *content)


def _warnings(patient: PatientContents, draws: Sequence[Draw]) -> Iterator[Element]:
    doubtful: dict[str, dict[str, str]] = {}
    for draw in draws:
        for (sample_id, _), lines in draw.tubes.items():
            for flag in (flag for line in lines for flag in line.flags):
                if flag.partition(":")[0] in GRAVE:
                    doubtful.setdefault(flag, {})[sample_id] = draw.place
    review = {
        sample_id: draw.place
        for draw in draws
        for (sample_id, _), lines in draw.tubes.items()
        if any(line["review_status"] == "TO_REVIEW" for line in lines)
    }
    for flag, samples in doubtful.items():
        yield warning(f"{flag}: {meaning(flag)}: ", *_links(samples), ".")
    if review:
        yield warning("gates wait for a person's review: ", *_links(review), ".")
    for line in patient.failures:
        yield warning(f"{line['sample_id']} ({line['template']}) failed: {line['message']}")


def _links(samples: dict[str, str]) -> list[Content]:
    return joined(element("a", name, href=f"#{place}") for name, place in samples.items())


def _calls(draws: Sequence[Draw]) -> Content:
    rows: list[Row] = [
        [
            Cell((element("a", day_of(line), href=f"#{draw.place}"),), "day"),
            Cell((number(line, "sentence", rounded=False),), "text"),
            element("span", line["call"], title=CALLS.get(line["call"], "")),
            SPECIMENS.get(line["specimen"], ""),
            name_of(line),
        ]
        for draw, line in reported(draws)
        if line["call"] or line["sentence"]
    ]
    return table("Calls", ["Day", "Sentence", "Call", "Specimen", "Measurement"], rows)


def _antigens(patient: PatientContents, draws: Sequence[Draw]) -> Iterator[Content]:
    places = {sample_id: draw for draw in draws for sample_id, _ in draw.tubes}
    rows: list[Row] = []
    # One antigen from the first day to the last.
    order = {sample_id: number for number, sample_id in enumerate(places)}
    antigens = sorted(
        patient.antigens,
        key=lambda line: (line["population"], line["marker"], order.get(line["sample_id"], 0)),
    )
    for line in antigens:
        if not line["n_events"] or float(line["n_events"]) == 0:
            continue
        draw = places.get(line["sample_id"])
        day: Content = line["sample_id"]
        if draw is not None:
            day = element("a", day_of(draw.first), href=f"#{draw.place}")
        change = line["antigen_change"]
        rows.append(
            [
                Cell((day,), "day"),
                f"{line['marker']} on {line['population']}",
                Cell((number(line, "n_events"),), "amount"),
                Cell((number(line, "net", unit=line["unit"]),), "amount"),
                Cell(interval(line, "net_ci_low", "net_ci_high"), "amount"),
                Cell((number(line, "positive_percent", unit="%"),), "amount"),
                _coded(line["antigen_status"], ANTIGEN_STATUSES),
                element("span", *joined([_coded(change, ANTIGEN_CHANGES), line["change_reason"]],
                                        ": ")),
                Cell(doubts(line.flags, "antigens", MEASUREMENT_FLAGS)),
            ]
        )  # fmt: skip
    yield table(
        "Densities without background",
        ["Day", "Antigen", "Cells", "Density", "95 % interval", "Positive", "Status",
         "Since baseline", "Doubts"],
        rows,
    )  # fmt: skip
    for what, name in patient.antigen_pictures.items():
        yield figure(name, f"Histograms of {what} on every specimen of the patient", what)
    if rows:
        flags = [flag for line in patient.antigens for flag in line.flags]
        yield element("h3", "What the doubts mean")
        yield glossary(flags, "antigens", MEASUREMENT_FLAGS)


def _coded(code: str, meanings: dict[str, str]) -> Content:
    return element("span", code, title=meanings.get(code, "")) if code else ""


def _not_done(patient: PatientContents, draws: Sequence[Draw]) -> Content:
    messages = {(line["sample_id"], line["template"]): line["message"] for line in patient.failures}
    rows: list[Row] = []
    for draw in draws:
        for key, lines in draw.tubes.items():
            left = [line for line in lines if line["status"] in NO_NUMBER]
            reasons: dict[str, list[Line]] = {}
            for line in left:
                reasons.setdefault(line["flags"], []).append(line)
            for own in reasons.values():
                whole = len(own) == len(lines)
                what = "the whole tube" if whole else ", ".join(line["measurement"] for line in own)
                reason = messages.get(key) or messages.get((key[0], "")) or why(own[0])
                rows.append(
                    [
                        Cell((element("a", day_of(lines[0]), href=f"#{draw.place}"),), "day"),
                        SPECIMENS.get(lines[0]["specimen"], ""),
                        f"{key[0]} ({key[1]})",
                        Cell((what,), "text"),
                        STATUS_WORDS.get(own[0]["status"], ""),
                        Cell((reason,), "text"),
                    ]
                )
    return table("Not done", ["Day", "Specimen", "Tube", "What", "Status", "Why"], rows)
