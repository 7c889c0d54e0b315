"""The course of a patient: infusions, follow-up, charts, and the table behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cytoflow_car.report.contents import PatientContents, Threshold
from cytoflow_car.report.course_chart import ChartPoint, DayMark, Series, SeriesLook, draw_course
from cytoflow_car.report.draws import Draw, is_net, reported, told
from cytoflow_car.report.html import Cell, Content, Row, element, joined, number, round_text, table
from cytoflow_car.report.words import SPECIMENS, counted, day_of
from cytoflow_car.tables.cells import Line

_CAR = "car_t_percent_of_t"
#: Colour and dashes, and shape: apart in grey, too.
_TARGETS = (("#0b4f9e", ""), ("#c65d00", "6 3"), ("#2d6a2d", "2 3"), ("#6a2d6a", "8 3 2 3"))
_SHAPES = {"PB": "circle", "CSF": "square", "BM": "triangle"}
_MARROW = {
    "b_cell_cd19_percent_of_nucleated": ("CD19+ B cells", SeriesLook("circle", "", "#0b4f9e")),
    "blast_percent_of_nucleated": ("blasts", SeriesLook("square", "6 3", "#9a3400")),
}
#: What the course is told by, with its heading.
_COURSE = {
    _CAR: "CAR T of T",
    "car_t_per_ul": "CAR T per µL",
    "b_cell_cd19_percent_of_nucleated": "CD19+ B of nucleated",
    "b_cell_cd22_percent_of_nucleated": "CD22+ B of nucleated",
    "blast_percent_of_nucleated": "blasts of nucleated",
}


_LEGEND = (
    "Without background where a control tells it. Filled points are quantified, and joined where "
    "no other result lies between them; open ones are not quantified; a stroke below an open point "
    "says that it is an upper limit, × at the foot that there is no number. Upright dashed lines "
    "are infusions, dotted ones relapse and death."
)


def course_section(
    patient: PatientContents, draws: Sequence[Draw], aplasia: Threshold | None
) -> Iterator[Content]:
    """Yield what happened to a patient, the charts, and a table of what they show."""
    infused = [
        f"infusion {item.number}"
        + (f" ({item.product or item.car_target})" if item.product or item.car_target else "")
        + (" on an unknown day" if item.day is None else f" on day {item.day:g}")
        for item in patient.infusions
    ]
    yield element("p", f"Infusions: {', '.join(infused) or 'none known'}.")
    if patient.summary is not None:
        line = patient.summary
        facts = [
            [f"{text} on day ", number(line, column)]
            for column, text in (
                ("relapse_day", "relapse"),
                ("death_day", "death"),
                ("last_follow_up_day", "last follow-up"),
            )
            if line[column]
        ]
        parts = [element("span", *fact) for fact in facts]
        yield element("p", "Follow-up: ", *(joined(parts) or ["none known"]), ".")
    elif patient.events:
        happened = [
            f"{name.replace('_', ' ')} on day {day:g}" for name, day in patient.events.items()
        ]
        yield element("p", f"Events: {', '.join(happened)}.")
    lines = [line for _, line in reported(draws)]
    marks = list(_marks(patient))
    drawn = False
    for heading, found in (
        ("CAR T cells, % of T cells", _car_series(lines)),
        ("Bone marrow, % of nucleated cells", _marrow_series(lines)),
    ):
        series = [own for own in found if own.has_numbers]
        measured = {point.line["measurement"] for own in series for point in own.points}
        if series:
            limit = aplasia if aplasia is not None and aplasia.measurement in measured else None
            chart = draw_course(heading, "%", series, marks, limit)
            yield element(
                "figure",
                element("figcaption", heading),
                element("div", chart, class_="scroll", tabindex="0", role="region",
                        aria_label=heading),
            )  # fmt: skip
            drawn = True
        without = [f"{own.name} ({len(own.points)})" for own in found if not own.has_numbers]
        if without:
            told = f"{heading}, without any number and not drawn, with results: "
            yield element("p", told + ", ".join(without) + ".", class_="quiet")
    if drawn:
        yield element("p", _LEGEND, class_="quiet")
    yield _course_table(draws)


def _marks(patient: PatientContents) -> Iterator[DayMark]:
    """Yield the days of infusions, relapse and death."""
    for item in patient.infusions:
        if item.day is not None:
            target = f" ({item.car_target})" if item.car_target else ""
            yield DayMark(item.day, f"infusion {item.number}{target}")
    for name in ("relapse", "death"):
        day: float | None = patient.events.get(name)
        if patient.summary is not None and patient.summary[f"{name}_day"]:
            day = float(patient.summary[f"{name}_day"])
        if day is not None:
            yield DayMark(day, name, is_event=True)


def _car_series(lines: Sequence[Line]) -> list[Series]:
    found: dict[tuple[str, str], list[ChartPoint]] = {}
    for line in lines:
        if line["measurement"] == _CAR and (point := _point(line)):
            found.setdefault((line["car_target"], line["specimen"]), []).append(point)
    # CD19 and CD22 look the same on every page.
    targets = list(dict.fromkeys(["CD19", "CD22", *sorted(target for target, _ in found)]))
    made = []
    for (target, specimen), points in sorted(found.items()):
        colour, dashes = _TARGETS[min(targets.index(target), len(_TARGETS) - 1)]
        place = SPECIMENS.get(specimen, "").replace("cerebrospinal fluid", "CSF")
        look = SeriesLook(_SHAPES.get(specimen, "diamond"), dashes, colour)
        made.append(Series(f"CAR{target.removeprefix('CD')} {place}", look, tuple(points)))
    return made


def _marrow_series(lines: Sequence[Line]) -> list[Series]:
    return [
        Series(name, look, points)
        for measurement, (name, look) in _MARROW.items()
        if (
            points := tuple(
                point
                for line in lines
                if line["measurement"] == measurement and line["specimen"] == "BM"
                if (point := _point(line))
            )
        )
    ]


def _point(line: Line) -> ChartPoint | None:
    if not line["day"]:
        return None
    told, code, column = line["value_reported"], line["status"], counted(line)
    value: float | None = None
    limit = code == "NOT_DETECTED"
    if limit and told.startswith("<"):
        value = float(told[1:].split()[0])
    elif code in ("QUANTIFIED", "DETECTED_UNCONFIRMED", "DETECTED_BELOW_LOQ", "DETECTED_BELOW_LOD"):
        value = float(line[column]) if line[column] else None
    if column == "value_net":
        told += f", without background {round_text(line[column])}"
    shown = value if value is not None and value > 0 else None
    return ChartPoint(float(line["day"]), shown, code == "QUANTIFIED", limit, told, line)


def _course_table(draws: Sequence[Draw]) -> Content:
    rows: list[Row] = []
    columns = [
        name for name in _COURSE if any(line["measurement"] == name for _, line in reported(draws))
    ]
    for draw in draws:
        own = [line for lines in draw.tubes.values() for line in lines if line["use"] == "report"]
        cells: list[Content | Cell] = []
        for name in columns:
            found = [line for line in own if line["measurement"] == name]
            cells.append(Cell(joined(map(_told, found), "; "), "short"))
        if any(cell.content for cell in cells if isinstance(cell, Cell)):
            link = element("a", day_of(draw.first), href=f"#{draw.place}")
            specimen = SPECIMENS.get(draw.first["specimen"], draw.first["specimen"])
            rows.append(
                [Cell((link,), "day"), specimen, Cell((draw.first["visit"],), "short"), *cells]
            )
    headings = [_COURSE[name] for name in columns]
    return table("Course", ["Day", "Specimen", "Visit", *headings], rows)


def _told(line: Line) -> Content:
    """Return what is reported, and beside it what is drawn where that is without background."""
    if counted(line) == "value" or is_net(line):
        return told(line)
    return element("span", told(line), " (without background ", number(line, "value_net"), ")")
