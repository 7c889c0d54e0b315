"""The draws of a patient: every number, what quality control found, and the gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cytoflow_car.report.contents import PatientContents
from cytoflow_car.report.html import (
    Cell,
    Content,
    Element,
    Row,
    element,
    interval,
    joined,
    number,
    table,
)
from cytoflow_car.report.words import (
    SPECIMENS,
    STATUS_WORDS,
    day_of,
    doubts,
    glossary,
    has_digits,
    meaning,
    status,
)
from cytoflow_car.tables.cells import Line
from cytoflow_car.tables.meanings import CALLS, MEASUREMENT_FLAGS, QC_FLAGS, STATUSES

NO_NUMBER = ("NOT_DONE", "FAILED")
#: Flags that say why there is no number.
_REASONS = (
    "NOT_DONE", "MARKER_MISSING", "NOT_GATED", "NOT_MEASURED", "NO_COUNT_BASIS", "NO_CALIBRATION",
    "CALIBRATION_OF_OTHER_SETTINGS", "CALIBRATION_WITHOUT_BLANK", "FEW_BEAD_EVENTS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw: its rows by tube and template."""

    place: str
    tubes: dict[tuple[str, str], list[Line]]

    @property
    def first(self) -> Line:
        """A row of it, for what all have in common."""
        return next(iter(self.tubes.values()))[0]

    @property
    def name(self) -> str:
        """Day, specimen and visit."""
        line = self.first
        visit = f", {line['visit']}" if line["visit"] else ""
        return f"{day_of(line).capitalize()}: {SPECIMENS.get(line['specimen'], '')}{visit}"


def draws_of(patient: PatientContents) -> list[Draw]:
    """Return a patient's draws, the first day first."""
    found: dict[tuple[str, str], dict[tuple[str, str], list[Line]]] = {}
    for line in sorted(patient.measurements, key=_when):
        tubes = found.setdefault((line["specimen"], line["specimen_id"]), {})
        tubes.setdefault((line["sample_id"], line["template"]), []).append(line)
    return [Draw(f"draw-{number}", tubes) for number, tubes in enumerate(found.values(), start=1)]


def _when(line: Line) -> tuple[float, bool]:
    return (float(line["day"]) if line["day"] else float("inf"), line["timing"] == "post")


def reported(draws: Sequence[Draw]) -> Iterator[tuple[Draw, Line]]:
    """Yield every row of use ``report`` with its draw."""
    for draw in draws:
        for lines in draw.tubes.values():
            for line in lines:
                if line["use"] == "report":
                    yield draw, line


def draw_section(draw: Draw, patient: PatientContents) -> Element:
    """Return a draw: its tubes, and what their doubts mean."""
    body: list[Content] = []
    for key, lines in draw.tubes.items():
        body += _tube(draw, key, lines, patient)
    flags = [flag for lines in draw.tubes.values() for line in lines for flag in line.flags]
    if flags:
        body += [
            element("h4", "What the doubts mean"),
            glossary(flags, draw.place, MEASUREMENT_FLAGS),
        ]
    heading = element("summary", element("h3", draw.name, id=draw.place))
    return element("details", heading, *body, open="open")


def _tube(
    draw: Draw, key: tuple[str, str], lines: list[Line], patient: PatientContents
) -> Iterator[Content]:
    sample_id, template = key
    first = lines[0]
    facts = [f"template {template} {first['template_version']}"]
    facts += [f"tube {first['tube']}"] if first["tube"] else []
    facts += [f"use: {first['use']}"] if first["use"] != "report" else []
    reagents = dict.fromkeys(item["car_reagent"] for item in lines)
    facts += [f"CAR reagent {line}" for line in reagents if line]
    yield element("h4", sample_id)
    yield element("p", ", ".join(facts), class_="quiet")
    if all(line["status"] in NO_NUMBER for line in lines):
        words = STATUS_WORDS.get(first["status"], "")
        yield element("p", f"{words.capitalize()}: {why(first)}.")
        return
    yield table(
        f"Numbers of {sample_id}",
        ["Measurement", "Reported", "Status", "95 % interval", "Events", "LOD", "LOQ", "Doubts"],
        [_number_row(line, draw.place) for line in lines],
    )
    yield from _quality(key, patient)
    if picture := patient.pictures.get(key):
        alt = f"Gates of {sample_id} by {template}: every gate on its parent's events"
        yield figure(picture, alt, f"Gates of {sample_id} ({template}); a click shows them large")


def _number_row(line: Line, place: str) -> Row:
    events: list[Content] = [number(line, "n_events", rounded=False)]
    if line["n_denominator"] and line["n_events"]:
        events += [" of ", number(line, "n_denominator", rounded=False)]
    name = element("span", name_of(line), element("br"), element("code", line["measurement"]))
    antigen = [line["antigen_status"], line["antigen_change"]]
    ends = ("net_ci_low", "net_ci_high") if is_net(line) else ("ci_low", "ci_high")
    return [
        name,
        Cell((number(line, "value_reported", rounded=False, unit=_unit(line)),), "amount"),
        Cell(joined([status(line), *antigen]), "short"),
        Cell(interval(line, *ends), "amount"),
        Cell(events, "amount"),
        Cell((number(line, "lod"),), "amount"),
        Cell((number(line, "loq"),), "amount"),
        Cell(doubts(line.flags, place, MEASUREMENT_FLAGS)),
    ]


def is_net(line: Line) -> bool:
    """Tell whether what is reported is without background: of densities, not of shares."""
    return bool(line["value_net"]) and line["unit"] not in ("%", "cells/uL")


def _quality(key: tuple[str, str], patient: PatientContents) -> Iterator[Content]:
    own = [
        line
        for line in patient.qc
        if line["sample_id"] == key[0] and line["template"] in (key[1], "")
    ]
    found = [line for line in own if line["flag"]]
    n_within = len(own) - len(found)
    yield element(
        "p",
        f"Quality control: {n_within} check{'' if n_within == 1 else 's'} within limits"
        + (
            f", {len(found)} finding{'' if len(found) == 1 else 's'}:" if found else ", no finding."
        ),
    )
    if found:
        yield table(
            "Findings",
            ["Check", "Found", "Limit", "Of", "Meaning"],
            [
                [
                    line["check"].replace("_", " "),
                    Cell((number(line, "value", unit=line["unit"]),), "text"),
                    line["limit"],
                    " ".join(filter(None, (line["item"], line["batch"]))),
                    f"{line['flag']}: {meaning(line['flag'], QC_FLAGS)}",
                ]
                for line in found
            ],
        )


def why(line: Line) -> str:
    """Return why there is no number: what the flags say that stand for that, else all of them."""
    flags = [flag for flag in line.flags if flag.partition(":")[0] in _REASONS] or line.flags
    return "; ".join(
        flag.partition(":")[2] if flag.startswith("NOT_DONE:") else meaning(flag) or flag
        for flag in flags
    )


def told(line: Line) -> Element:
    """Return a reported value with its unit, and the CAR's target where it has one."""
    unit = _unit(line)
    target = f" ({line['car_target']})" if line["car_target"] else ""
    return element("span", number(line, "value_reported", rounded=False, unit=unit), target)


def _unit(line: Line) -> str:
    # Counts and ratios need none.
    bare = line["unit"] in ("count", "ratio") or not has_digits(line["value_reported"])
    return "" if bare else line["unit"].replace("/uL", "/µL")


def name_of(line: Line) -> str:
    """Return what a row measured: the population, and what it is a share of."""
    of = f" of {line['denominator']}" if line["denominator"] and line["unit"] == "%" else ""
    return f"{line['population']}{of}" if line["population"] else line["measurement"]


def figure(name: str, alt: str, caption: str) -> Element:
    """Return a picture that lies beside the pages."""
    way = f"pictures/{quote(name)}"
    image = element("img", src=way, alt=alt, loading="lazy")
    return element("figure", element("a", image, href=way), element("figcaption", caption))


def statuses(draws: Sequence[Draw]) -> Element:
    """Return what the statuses and calls of these draws mean."""
    used = {line["status"] for draw in draws for lines in draw.tubes.values() for line in lines}
    made = []
    for code, words in STATUS_WORDS.items():
        if code in used:
            made += [element("dt", f"{words} ({code})"), element("dd", STATUSES[code])]
    for code in sorted({line["call"] for _, line in reported(draws)} & set(CALLS)):
        made += [element("dt", code), element("dd", CALLS[code])]
    return element("dl", *made)
