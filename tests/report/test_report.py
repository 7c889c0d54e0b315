"""Pages of a run whose tables are written by hand, with texts that would be markup."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cytoflow_car.cli import cli
from cytoflow_car.errors import StudyError
from cytoflow_car.report.contents import InfusionMark, PatientContents, Threshold
from cytoflow_car.report.course import course_section
from cytoflow_car.report.course_chart import ChartPoint, Series, SeriesLook, draw_course
from cytoflow_car.report.draws import draws_of
from cytoflow_car.report.html import element, page, round_text, write
from cytoflow_car.study.batch import run_study
from cytoflow_car.study.cohort_outcome import summarise_cohort, write_cohort
from cytoflow_car.study.report import build_report, write_report
from cytoflow_car.tables.cells import Line
from cytoflow_car.tables.columns import ANTIGENS, FAILURES, FILES, MEASUREMENTS, QC
from cytoflow_car.tables.read import read_table
from cytoflow_car.tables.write import to_frame, write_csv

HOSTILE = '<script>alert("1")</script>\'&amp;'
VISIT = '"><img src=x onerror=alert(1)>'
FILE = "fcs/Jane Doe_marrow.fcs"
_NUMBERS = (
    "day", "day_inf1", "day_inf2", "value", "ci_low", "ci_high", "value_net", "net_ci_low",
    "net_ci_high", "lod", "loq", "n_events", "n_denominator",
)  # fmt: skip
_CAR = "car_t_percent_of_t"
_BLASTS = "blast_percent_of_nucleated"


def measured(sample_id: str, patient: str, day: float, measurement: str, **more: object) -> dict:
    return {
        "sample_id": sample_id,
        "specimen_id": f"{patient}_{day:g}",
        "patient_id": patient,
        "specimen": "PB",
        "tube": "T",
        "infusion": 1,
        "day": day,
        "day_inf1": day,
        "use": "report",
        "template": "car_t_pb",
        "template_version": "1.0.0",
        "measurement": measurement,
        "population": "CAR T",
        "denominator": "T",
        "unit": "%",
        "lod": 0.881953867,
        "loq": 3.392130257,
        "status": "QUANTIFIED",
        "review_status": "NOT_NEEDED",
        **more,
    }


_CD19 = {"car_target": "CD19", "car_reagent": "CD19-Fc"}
ROWS = [
    measured("A_7", HOSTILE, 7, _CAR, value=12.369597615, value_reported="12.4", n_events=78,
             n_denominator=1474, ci_low=10.11111, ci_high=14.2222, value_net=11.4727, visit=VISIT,
             flags="PRIOR_KEPT;LOD_TOO_HIGH;CHANNEL_DEAD:CD3;<b>odd</b>", **_CD19),
    measured("A_7", HOSTILE, 7, "car_t_count", value=78.0, value_reported="78", n_events=78,
             unit="count", denominator="", **_CD19),
    measured("A_28", HOSTILE, 28, _CAR, value=1.2, value_reported="<3.39 (detected)", n_events=12,
             status="DETECTED_BELOW_LOQ", **_CD19),
    measured("A_60", HOSTILE, 60, _CAR, value=0.0, value_reported="<0.9", n_events=0,
             n_denominator=1900, status="NOT_DETECTED", **_CD19),
    measured("A_90", HOSTILE, 90, _CAR, value_reported="not done", status="NOT_DONE",
             flags="NOT_DONE:<i>at home</i>", **_CD19),
    measured("A_30", HOSTILE, 30, _BLASTS, specimen="BM", template="blasts_bm", value=0.5,
             value_reported="0.5", n_events=50, n_denominator=10000, population="blasts",
             denominator="nucleated", call="POS_QUANT", sentence="Blasts detected: 0.5% <of> all.",
             review_status="TO_REVIEW"),
    measured("A_30", HOSTILE, 30, "blast_cd19_abc", specimen="BM", template="blasts_bm",
             value=10759.428, value_reported="10072", unit="ABC", population="blasts",
             denominator="", antigen_status="POS", antigen_change="UNCHANGED", ci_low=10592.2757,
             ci_high=11079.283, value_net=10072.21264, net_ci_low=9897.3611,
             net_ci_high=10389.3848),
    measured("B#1%", "P2", 14, _CAR, value=33.3333333, value_reported="33.3", n_events=333,
             n_denominator=999, **_CD19),
    measured("B_20", "P2", 20, _CAR, value_reported="failed", status="FAILED", flags="FCS_DATA",
             **_CD19),
]  # fmt: skip
FINDINGS = [
    {"sample_id": "A_30", "template": "blasts_bm", "check": "review", "flag": "REVIEW",
     "value": "blasts: no valley <in> the data"},
    {"sample_id": "A_30", "template": "blasts_bm", "check": "events", "value": 2600,
     "unit": "count", "limit": "at least 1000"},
    {"template": "car_t_pb", "check": "drift", "value": -3.027198, "unit": "SD", "flag": "DRIFT",
     "item": "gate live", "batch": "S1", "limit": "1_3s"},
    {"sample_id": "A_7", "template": "car_t_pb", "check": "drift", "value": 4.1, "unit": "SD",
     "flag": "DRIFT", "item": "gate live", "batch": "S9", "limit": "1_3s"},
]  # fmt: skip
ANTIGEN = {
    "sample_id": "A_30", "template": "blasts_bm", "antigen": "blast_cd19", "population": "blasts",
    "marker": "CD19", "unit": "ABC", "n_events": 50, "net": 10072.21264, "net_ci_low": 9897.3611,
    "net_ci_high": 10389.3848, "positive_percent": 99.821906, "antigen_status": "POS",
    "antigen_change": "UNCHANGED", "change_reason": "density times 1.02", "flags": "QUALITATIVE",
}  # fmt: skip
SHEET = f"""sample_id,file,patient_id,specimen,template,day,tube
A_7,fcs/a.fcs,"{HOSTILE.replace('"', '""')}",PB,car_t_pb,7,T
B_20,{FILE},P2,PB,car_t_pb,20,T
"""
PATIENTS = f"""patient_id,tp53,relapse_day,death_day,last_follow_up_day
"{HOSTILE.replace('"', '""')}",wild,200,,400
P2,mutated,,,365
"""
INFUSIONS = f"""patient_id,infusion,product,car_target,day
"{HOSTILE.replace('"', '""')}",1,<u>product</u>,CD19,0
P2,1,CAR19,CD19,0
"""


@dataclass(frozen=True)
class Run:
    """Folders of a run."""

    study: Path
    results: Path
    outcome: Path


def write_run(folder: Path) -> Run:
    """Write a study, the results of a run of it, and their outcomes."""
    run = Run(folder / "study", folder / "results", folder / "outcome")
    run.study.mkdir(parents=True)
    (run.results / "pictures" / "antigens").mkdir(parents=True)
    for name, text in (("samples", SHEET), ("patients", PATIENTS), ("infusions", INFUSIONS)):
        (run.study / f"{name}.csv").write_text(text, encoding="utf-8")
    name = 'name = "Study <1>"\nsimulated = true\n'
    (run.study / "study.toml").write_text(name, encoding="utf-8")
    table = pd.DataFrame(ROWS).reindex(columns=list(MEASUREMENTS))
    for column in table.columns:
        numeric = column in (*_NUMBERS, "infusion")
        table[column] = pd.to_numeric(table[column]) if numeric else table[column].fillna("")
    counts = dict.fromkeys(("n_events", "n_denominator", "infusion"), "Int64")
    table = table.astype(counts)
    write_csv(table, run.results / "measurements.csv")
    table.to_parquet(run.results / "measurements.parquet")
    failure = {"sample_id": "B_20", "template": "car_t_pb", "code": "fcs_data",
               "message": f"B_20: {FILE} is cut short; see '/home/x/{FILE}' and <b>"}  # fmt: skip
    file = {"sample_id": "B_20", "role": "specimen", "use": "report", "path": FILE,
            "from_results": f"../study/{FILE}"}  # fmt: skip
    for name, rows, columns in (
        ("qc", FINDINGS, QC),
        ("failures", [failure], FAILURES),
        ("files", [file], FILES),
        ("antigens", [ANTIGEN], ANTIGENS),
    ):
        write_csv(to_frame(rows, list(columns)), run.results / f"{name}.csv")
    record = {
        "cytoflow_car": "0.1.0", "python": "3.11", "ended": "2026-01-02T03:04:05+00:00", "seed": 7,
        "n_files": 8, "n_results": 7, "n_failures": 1,
        "templates": {"car_t_pb": {"version": "1.0.0", "sha256": ""}},
    }  # fmt: skip
    (run.results / "run.json").write_text(json.dumps(record), encoding="utf-8")
    dot = BytesIO()
    Image.new("RGB", (4, 4)).save(dot, "png")
    for name in ("A_7", "A_30", "B#1%", "of_beads", "antigens/A_30.blasts_bm.blast_cd19"):
        (run.results / "pictures" / f"{name}.png").write_bytes(dot.getvalue())
    write_cohort(summarise_cohort(run.results, run.study, times=(100, 365)), run.outcome)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module", params=["with outcome", "without outcome"])
def report(
    request: pytest.FixtureRequest, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    outcome = run.outcome if request.param == "with outcome" else None
    out = tmp_path_factory.mktemp("out")
    return write_report(build_report(run.results, outcome), out).parent


@dataclass
class Node:
    """An element of a page."""

    name: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Reader(HTMLParser):
    """Every element of a page, each with all text below it."""

    nodes: list[Node] = field(default_factory=list)
    open: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self.nodes.append(node)
        if tag not in ("meta", "img", "br"):
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop().name

    def handle_data(self, data: str) -> None:
        for node in self.open:
            node.text += data


def read_page(path: Path) -> list[Node]:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader.nodes


def pages(report: Path) -> Iterator[tuple[Path, list[Node]]]:
    found = sorted(report.glob("*.html"))
    assert {"index.html", "patient-1.html", "patient-2.html"} == {path.name for path in found}
    for path in found:
        yield path, read_page(path)


def test_every_number_is_that_of_its_table(report: Path, run: Run) -> None:
    tables = {
        path.name: read_table(path)
        for folder in (run.results, run.outcome)
        for path in folder.glob("*.csv")
    }
    record = json.loads((run.results / "run.json").read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    for _, nodes in pages(report):
        for node in nodes:
            table, column = node.attributes.get("data-table"), node.attributes.get("data-column")
            if table is None:
                continue
            assert column is not None
            seen[table] += 1
            if table == "run.json":
                assert node.text == str(record[column])
                continue
            line = tables[table].iloc[int(node.attributes["data-row"] or "") - 2]
            assert node.attributes.get("data-value", node.text) == line[column]
            assert node.text in (line[column], round_text(line[column]))
            if "measurement" in line:
                sample = node.attributes["data-sample"], node.attributes["data-measurement"]
                assert sample == (line["sample_id"], line["measurement"])
    assert seen["measurements.csv"] > 40
    assert seen["antigens.csv"] == 5
    assert seen["run.json"] == 4


def test_every_reported_value_and_point_is_on_the_patients_page(report: Path) -> None:
    shown: set[tuple[str, str, str]] = set()
    points: Counter[tuple[str, str, str]] = Counter()
    for _, nodes in pages(report):
        for node in nodes:
            of = node.attributes.get("data-sample"), node.attributes.get("data-measurement")
            if node.attributes.get("class") == "point":
                points[(*of, node.attributes["data-told"])] += 1  # type: ignore[index]
            elif node.attributes.get("data-column") == "value_reported":
                shown.add((*of, node.text))  # type: ignore[arg-type]
    told = {(row["sample_id"], row["measurement"], row["value_reported"]) for row in ROWS}
    assert told == shown
    assert dict(points) == {key: 1 for key in told if key[1] in (_CAR, _BLASTS)}


def test_points_below_quantification_are_open(run: Run) -> None:
    text = build_report(run.results).pages["patient-1.html"]
    shape = r'<(?:circle|rect)[^>]*fill="(#\w+)"[^>]*></(?:circle|rect)>(<line)?'
    point = rf'<g class="point" data-sample="(\w+)"(?:(?!</g>).)*?{shape}'
    assert {
        ("A_7", "#0b4f9e", ""), ("A_28", "#ffffff", ""), ("A_60", "#ffffff", "<line"),
        ("A_30", "#9a3400", ""),
    } == set(re.findall(point, text))  # fmt: skip


def test_charts_show_results_without_background_and_what_happened(run: Run, tmp_path: Path) -> None:
    text = build_report(run.results).pages["patient-1.html"]
    assert "day 7: 12.4, without background 11.5" in text
    assert "(without background " in text[text.index('id="course"') : text.index('id="calls"')]
    # Infusion 1 and relapse, in both charts.
    assert 4 == text.count('class="mark"')
    assert 0 == text.count('class="threshold"')


def point_of(day: float, value: float | None, *, quantified: bool = True) -> ChartPoint:
    return ChartPoint(day, value, quantified, False, "told", Line("measurements.csv", 2, {}))


SIX = [
    measured(f"{target}_{specimen}_{day}", "P1", day, _CAR, specimen=specimen, value=share,
             value_reported="", car_target=target)
    for target in ("CD19", "CD22")
    for specimen in ("PB", "CSF", "BM")
    for day, share in ((7, 12.0), (14, 3.0))
]  # fmt: skip


def charts(rows: list[dict], **more: object) -> str:
    """The section of a patient's course as text."""
    lines = tuple(
        Line("measurements.csv", row, {name: str(cell) for name, cell in cells.items()})
        for row, cells in enumerate(rows, start=2)
    )
    patient = PatientContents("P1", "patient-1.html", measurements=lines, **more)  # type: ignore[arg-type]
    limit = Threshold("b_cell_cd19_percent_of_nucleated", 2.0, "aplasia up to 2 %")
    section = course_section(patient, draws_of(patient), limit)
    return "".join(item if isinstance(item, str) else write(item) for item in section)


def test_six_series_look_different_and_are_keyed_inside_the_drawing() -> None:
    text = charts(SIX)
    keys = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="key">([^<]+)', text)
    assert {
        "CAR19 blood", "CAR19 CSF", "CAR19 bone marrow", "CAR22 blood", "CAR22 CSF",
        "CAR22 bone marrow",
    } == {name for *_, name in keys}  # fmt: skip
    (width, height) = re.findall(r'viewBox="0 0 (\d+) (\d+)"', text)[0]
    for x, y, name in keys:
        assert float(x) + 7 * len(name) < float(width)
        assert float(y) < float(height)
    looks = {}
    for title, shape, colour in re.findall(
        r"<title>([^<,]+), day[^<]*</title><(\w+)[^>]*stroke=\"(#\w+)", text
    ):
        looks[title] = (shape, colour)
    assert 6 == len(set(looks.values()))
    # × says that there is no number.
    assert "path" not in {shape for shape, _ in looks.values()}
    # In grey, too: shape by specimen, dashes by target.
    dashes = re.findall(
        r'<polyline[^>]*stroke="(#\w+)"[^>]*?(?:stroke-dasharray="([^"]+)")?>', text
    )
    assert 2 == len({dash for _, dash in dashes})


def test_a_series_without_any_number_is_named_and_not_drawn() -> None:
    failed = [cells | {"status": "INDETERMINATE", "value": ""} for cells in SIX[-2:]]
    text = charts([*SIX[:2], *failed])
    assert "CAR22 bone marrow (2)" in re.sub("<[^>]+>", "", text)
    assert 'class="key">CAR22' not in text
    assert 2 == text.count('class="point"')


def test_a_line_of_the_chart_breaks_where_a_result_is_not_quantified() -> None:
    look = SeriesLook("circle", "", "#0b4f9e")
    points = (
        point_of(1, 5.0), point_of(2, 6.0), point_of(3, None, quantified=False), point_of(4, 7.0),
        point_of(5, 2.0, quantified=False), point_of(6, 3.0), point_of(7, 4.0),
    )  # fmt: skip
    text = write(draw_course("a", "%", [Series("a", look, points)], []))
    ways = re.findall(r'points="([\d., ]+)" fill="none"', text)
    assert [2, 2] == [len(way.split()) for way in ways]


def test_the_marrows_chart_has_the_line_of_aplasia_and_every_event() -> None:
    marrow = [
        measured(f"M{day}", "P1", day, "b_cell_cd19_percent_of_nucleated", specimen="BM",
                 value=0.3, value_reported="0.3")
        for day in (30, 90)
    ]  # fmt: skip
    infusions = (InfusionMark(1, 0.0, "CD19"), InfusionMark(2, 3.0, "CD22"))
    text = charts(marrow, infusions=infusions, events={"relapse": 95.0, "death": 97.0})
    assert 1 == text.count('class="threshold"')
    assert "aplasia up to 2 %" in text
    words = re.findall(r'<text x="[\d.]+" y="([\d.]+)" text-anchor="\w+">([a-z][^<]+)', text)
    heights = {name: float(y) for y, name in words}
    # Close ones stand in rows of their own, within the drawing.
    assert heights["infusion 1 (CD19)"] != heights["infusion 2 (CD22)"]
    assert heights["relapse"] != heights["death"]
    assert min(heights.values()) > 10


def test_batches_that_drift_are_those_of_the_table(run: Run) -> None:
    text = build_report(run.results).pages["index.html"]
    assert "batches drift: S1<" in text
    assert "1 specimen drifts" in text
    quality = text[text.index('id="quality"') : text.index('id="versions"')]
    assert "S1" in quality
    assert "S9" not in text


def test_numbers_of_courses_have_their_unit_and_estimates_their_scale(
    run: Run, tmp_path: Path
) -> None:
    shutil.copytree(run.outcome, tmp_path / "outcome")
    summary = tmp_path / "outcome" / "patients_summary.csv"
    table = pd.read_csv(summary, dtype=str, keep_default_na=False)
    table.loc[0, ["cmax_1", "tmax_1", "auc_1"]] = ["12.4", "7.0", "80.5"]
    table.to_csv(summary, index=False)
    text = build_report(run.results, tmp_path / "outcome").pages["index.html"]
    assert re.search(r"80\.5</span> % × days", text)
    told = pd.read_csv(run.outcome / "statistics.csv", keep_default_na=False)
    for transform in ("plain", "log-log"):
        assert (told["transform"] == transform).sum() == text.count(f"({transform})")
    alone = build_report(run.results).pages["index.html"]
    assert 'data-column="value_net" data-sample="A_7"' in alone


def test_times_of_survival_count_from_the_origin_of_the_outcomes(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.outcome, tmp_path / "outcome")
    path = tmp_path / "outcome" / "outcome.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {"origin": "infusion 2"}), encoding="utf-8")
    page_of = {
        name: build_report(run.results, folder).pages["index.html"]
        for name, folder in (("1", run.outcome), ("2", tmp_path / "outcome"))
    }
    for name, text in page_of.items():
        assert f"Times are days from infusion {name}." in text


def test_every_printed_value_lies_in_its_printed_interval(
    repository_root: Path, tmp_path: Path
) -> None:
    sample, study = repository_root / "sample_fcs", tmp_path / "study"
    table = pd.read_csv(sample / "samples.csv", dtype=str, keep_default_na=False)
    own = table[
        table["sample_id"].str.startswith("P03_BM_d000")
        | ((table["role"] == "calibration_beads") & (table["batch"] == "S007"))
    ]
    shutil.copytree(sample, study, ignore=shutil.ignore_patterns("*.fcs"))
    for name in own["file"]:
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample / name, study / name)
    own.to_csv(study / "samples.csv", index=False)
    run_study(study, tmp_path / "results", jobs=1, pictures=False)
    shown: dict[str, dict[str, float]] = {}
    pages = build_report(tmp_path / "results", None, study).pages
    for found in re.findall(
        r'data-table="measurements.csv" data-row="(\d+)" data-column="(\w+)"[^>]*>([\d.]+)<',
        pages["patient-1.html"],
    ):
        row, column, text = found
        shown.setdefault(row, {})[column.removeprefix("net_")] = float(text)
    told = [cells for cells in shown.values() if {"value_reported", "ci_low"} <= set(cells)]
    assert 10 < len(told)
    for cells in told:
        # Numbers have three digits.
        assert 0.995 * cells["ci_low"] <= cells["value_reported"] <= 1.005 * cells["ci_high"]


def test_texts_of_sheets_are_text(report: Path) -> None:
    for path, nodes in pages(report):
        assert not {node.name for node in nodes} & {"script", "b", "i", "u", "iframe", "object"}
        for node in nodes:
            assert not [name for name in node.attributes if name.startswith("on")]
            assert "style" not in node.attributes
            if node.name == "img":
                assert (node.attributes["src"] or "").startswith("pictures/")
        if path.name == "patient-1.html":
            (heading,) = (node for node in nodes if node.name == "h1")
            assert heading.text == f"Patient {HOSTILE}"
            whole = nodes[0].text
            assert VISIT in whole
            assert "<i>at home</i>" in whole
            assert "<u>product</u>" in whole


def test_nothing_comes_from_outside(report: Path) -> None:
    for path, nodes in pages(report):
        for node in nodes:
            for name in ("href", "src", "srcset", "action", "data", "poster"):
                way = urlsplit(node.attributes.get(name) or "")
                assert (way.scheme, way.netloc) == ("", "")
            assert node.name not in ("link", "base", "form")
        text = path.read_text(encoding="utf-8")
        assert "http:" not in text
        assert "https:" not in text
        assert "url(" not in text
        (policy,) = (
            node.attributes["content"]
            for node in nodes
            if node.attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert "default-src 'none'" in (policy or "")
        assert not re.search(r"https?:|\*|unsafe", policy or "")


def test_links_lead_to_what_is_there(report: Path) -> None:
    all_pages = dict(pages(report))
    names = {path.name: [n.attributes.get("id") for n in own] for path, own in all_pages.items()}
    for ids in names.values():
        stated = [name for name in ids if name]
        assert len(stated) == len(set(stated))
    n_pictures = 0
    for path, nodes in all_pages.items():
        for node in nodes:
            way = node.attributes.get("href") or node.attributes.get("src")
            if not way:
                continue
            parts = urlsplit(way)
            target = report / unquote(parts.path) if parts.path else path
            assert target.is_file(), way
            assert parts.fragment == "" or parts.fragment in names[target.name]
            n_pictures += node.name == "img"
    assert n_pictures == 4
    # What no page shows is not copied.
    assert len(list((report / "pictures").iterdir())) == 4


def test_pages_can_be_read_without_seeing_them(report: Path) -> None:
    for _, nodes in pages(report):
        assert nodes[0].attributes["lang"] == "en"
        assert [node.name for node in nodes].count("h1") == 1
        levels = [int(node.name[1]) for node in nodes if re.fullmatch("h[1-6]", node.name)]
        for above, below in pairwise(levels):
            assert below <= above + 1
        for node in nodes:
            if node.name == "th":
                assert node.attributes["scope"] in ("row", "col")
            if node.name == "img":
                assert node.attributes["alt"]
            if node.name == "svg":
                assert (node.attributes["role"], bool(node.attributes["aria-label"])) == (
                    "img",
                    True,
                )


def test_names_and_paths_of_files_are_not_told(report: Path) -> None:
    for path, _ in pages(report):
        text = path.read_text(encoding="utf-8")
        assert "Jane" not in text
        assert "/home" not in text
        assert ".fcs" not in text
    assert "the file is cut short" in (report / "index.html").read_text(encoding="utf-8")


def test_survival_says_how_many_are_at_risk(run: Run) -> None:
    text = build_report(run.results, run.outcome).pages["index.html"]
    told = re.findall(r'data-at-risk="([\d.]+)" data-endpoint="(\w+)">(\d+)<', text)
    follow_up = {"OS": (400, 365), "LFS": (200, 365)}
    assert told
    for at, endpoint, n in told:
        assert int(n) == sum(time >= float(at) for time in follow_up[endpoint])


def test_what_is_biased_and_what_failed_is_told_at_the_top(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.outcome, tmp_path / "outcome")
    statistics = tmp_path / "outcome" / "statistics.csv"
    table = pd.read_csv(statistics, dtype=str, keep_default_na=False)
    table.loc[table["analysis"] == "log_rank", "immortal_time"] = "yes"
    table.to_csv(statistics, index=False)
    first = build_report(run.results, tmp_path / "outcome").pages["index.html"]
    top = first[: first.index('id="patients"')]
    for words in ("simulated study", "immortal time", "files failed", "review", "CHANNEL_DEAD:CD3"):
        assert words in top
    assert "biased by immortal time" in first[first.index('id="survival"') :]


def test_without_its_study_folder_the_report_says_so(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.results, tmp_path / "results")
    made = build_report(tmp_path / "results").pages
    assert "the study folder is not at hand" in made["index.html"]
    assert "simulated study" not in made["index.html"]


def test_outcomes_of_another_run_are_refused(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.results, tmp_path / "results")
    text = (tmp_path / "results" / "measurements.csv").read_text(encoding="utf-8")
    (tmp_path / "results" / "measurements.csv").write_text(
        text.replace(",33.3,", ",33.4,"), encoding="utf-8"
    )
    with pytest.raises(StudyError, match="not those of the run"):
        build_report(tmp_path / "results", run.outcome)


def test_the_command_replaces_its_own_pages_only(run: Run, tmp_path: Path) -> None:
    command = ["report", str(run.results), "--out", str(tmp_path)]
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "patient-9.html").write_text("of an earlier run", encoding="utf-8")
    done = CliRunner().invoke(cli, [*command, "--outcome", str(run.outcome)])
    assert done.exit_code == 0, done.output
    assert "3 pages, 4 pictures" in done.output
    assert not (tmp_path / "report" / "patient-9.html").exists()
    (tmp_path / "report" / "notes.txt").write_text("mine", encoding="utf-8")
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 2
    assert "notes.txt" in refused.output
    inside = CliRunner().invoke(cli, [*command[:3], str(run.results / "pages")])
    assert inside.exit_code == 2


def complaints(browser: str, path: Path, profile: Path) -> tuple[str, list[str]]:
    """Return a page as a browser without network has it, and what its console says."""
    finished = subprocess.run(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--enable-logging=stderr", "--log-level=0", f"--user-data-dir={profile}"),
            *("--proxy-server=127.0.0.1:9", "--window-size=390,20000", path.as_uri()),
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )
    return finished.stdout, [line for line in finished.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine")


def test_a_browser_without_network_shows_every_page(
    browser: str, report: Path, tmp_path: Path
) -> None:
    for number, (path, nodes) in enumerate(pages(report)):
        shown, said = complaints(browser, path, tmp_path / f"profile-{number}")
        assert said == []
        reader = Reader()
        reader.feed(shown)
        assert Counter(n.name for n in reader.nodes) == Counter(n.name for n in nodes)


def test_a_browser_would_say_what_a_page_may_not(browser: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        page("title", element("script", "1"), element("img", src="http://127.0.0.1:9/x.png")),
        encoding="utf-8",
    )
    _, said = complaints(browser, tmp_path / "page.html", tmp_path / "profile")
    assert 2 == len(said)
