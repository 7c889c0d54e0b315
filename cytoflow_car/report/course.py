"""The course of a patient: infusions, follow-up, charts, and the table behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cytoflow_car.report.contents import PatientContents
from cytoflow_car.report.course_chart import ChartPoint, Series, draw_course
from cytoflow_car.report.draws import Draw, reported, told
from cytoflow_car.report.html import Cell, Content, Row, element, joined, number, table
from cytoflow_car.report.words import SPECIMENS, day_of
from cytoflow_car.tables.cells import Line

_CAR = "car_t_percent_of_t"
_MARROW = {
    "b_cell_cd19_percent_of_nucleated": "CD19+ B cells",
    "blast_percent_of_nucleated": "blasts",
}
#: What the course is told by, with its heading.
_COURSE = {
    _CAR: "CAR T of T",
    "car_t_per_ul": "CAR T per µL",
    "b_cell_cd19_percent_of_nucleated": "CD19+ B of nucleated",
    "b_cell_cd22_percent_of_nucleated": "CD22+ B of nucleated",
    "blast_percent_of_nucleated": "blasts of nucleated",
}


def course_section(patient: PatientContents, draws: Sequence[Draw]) -> Iterator[Content]:
    """Yield what happened to a patient, the charts, and a table of what they show."""
    told = [
        f"infusion {item.number}"
        + (f" ({item.product or item.car_target})" if item.product or item.car_target else "")
        + (" on an unknown day" if item.day is None else f" on day {item.day:g}")
        for item in patient.infusions
    ]
    yield element("p", f"Infusions: {', '.join(told) or 'none known'}.")
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
    legend = (
        "Filled points are quantified, open ones are not; a stroke below an open point says that "
        "it is an upper limit, × at the foot that there is no number. Upright dashed lines are "
        "infusions."
    )
    lines = [line for _, line in reported(draws)]
    charts = []
    for heading, series in (
        ("CAR T cells, % of T cells", _car_series(lines)),
        ("Bone marrow, % of nucleated cells", _marrow_series(lines)),
    ):
        if series:
            chart = draw_course(heading, "%", series, patient.infusions)
            charts.append(
                element(
                    "figure",
                    element("figcaption", heading),
                    element("div", chart, class_="scroll", tabindex="0", role="region",
                            aria_label=heading),
                )
            )  # fmt: skip
    yield from charts
    if charts:
        yield element("p", legend, class_="quiet")
    yield _course_table(draws)


def _car_series(lines: Sequence[Line]) -> list[Series]:
    found: dict[tuple[str, str], list[ChartPoint]] = {}
    for line in lines:
        if line["measurement"] == _CAR and (point := _point(line)):
            found.setdefault((line["car_target"], line["specimen"]), []).append(point)
    return [
        Series(f"CAR{target.removeprefix('CD')} {SPECIMENS.get(specimen, '')}".replace(
            "cerebrospinal fluid", "CSF"), tuple(points))
        for (target, specimen), points in sorted(found.items())
    ]  # fmt: skip


def _marrow_series(lines: Sequence[Line]) -> list[Series]:
    return [
        Series(name, points)
        for measurement, name in _MARROW.items()
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
    told, code = line["value_reported"], line["status"]
    value: float | None = None
    limit = code == "NOT_DETECTED"
    if limit and told.startswith("<"):
        value = float(told[1:].split()[0])
    elif code in ("QUANTIFIED", "DETECTED_UNCONFIRMED", "DETECTED_BELOW_LOQ", "DETECTED_BELOW_LOD"):
        value = float(line["value"]) if line["value"] else None
    day = float(line["day"])
    return ChartPoint(day, value, code == "QUANTIFIED", limit, told, line)


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
            cells.append(Cell(joined((told(line) for line in found), "; "), "short"))
        if any(cell.content for cell in cells if isinstance(cell, Cell)):
            link = element("a", day_of(draw.first), href=f"#{draw.place}")
            specimen = SPECIMENS.get(draw.first["specimen"], draw.first["specimen"])
            rows.append(
                [Cell((link,), "day"), specimen, Cell((draw.first["visit"],), "short"), *cells]
            )
    headings = [_COURSE[name] for name in columns]
    return table("Course", ["Day", "Specimen", "Visit", *headings], rows)
