"""Publication figures: what is drawn, that it reads in grey, and that nothing is cut off."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from cytoflow_car.errors import OutcomeError
from cytoflow_car.measure.calls import CALLS
from cytoflow_car.outcome.correlation import correlate
from cytoflow_car.outcome.curves import (
    Curve,
    at_risk,
    cumulative_incidence,
    kaplan_meier,
    kaplan_meier_by,
)
from cytoflow_car.outcome.follow_up import Covariate, FollowUp
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.persistence import Persistence
from cytoflow_car.outcome.recovery import Recovery, RecoveryState
from cytoflow_car.outcome.time_dependent import Change
from cytoflow_car.outcome.timeline import InfusionDay, MrdResult, ResponseRow, lay_timeline
from cytoflow_car.report.figures import (
    draw_b_cells,
    draw_correlation,
    draw_cumulative_incidence,
    draw_densities,
    draw_expansion,
    draw_response,
    draw_survival,
    draw_timeline,
    save_figure,
)
from cytoflow_car.report.figures.response import MRD_LOOKS
from cytoflow_car.report.figures.style import (
    DAYS_A_MONTH,
    LOOKS,
    PURPLE,
    RED,
    p_value_text,
    round_times,
)

MONTH = DAYS_A_MONTH


def results(patient: str, *rows: tuple[float, str, float | None, float | None], **further: object):
    """Rows of one patient: day, status, value and LOQ."""
    common = {
        "USUBJID": patient, "SPEC": "PB", "INFSEQ": 1, "CAR_TARGET": "CD19", "PARAMCD": "CARPT",
        "PARAM": "CAR T cells of T cells", "AVALU": "%",
    }  # fmt: skip
    columns = ("DAY", "STATUS", "AVAL", "LOQ")
    return pd.DataFrame(
        [{**common, **further, **dict(zip(columns, row, strict=True))} for row in rows]
    )


COURSE = (
    (-1.0, "NOT_DETECTED", 0.0, 0.04),
    (7.0, "QUANTIFIED", 12.0, 0.05),
    (10.0, "QUANTIFIED", 40.0, 0.05),
    (14.0, "NOT_DONE", None, None),
    (21.0, "QUANTIFIED", 3.0, 0.05),
    (28.0, "DETECTED_BELOW_LOQ", 0.03, 0.05),
    (42.0, "QUANTIFIED", 0.2, 0.05),
)  # fmt: skip
EXPANSION = pd.concat(
    [
        results("P1", *COURSE),
        results("P2", (7.0, "QUANTIFIED", 5.0, 0.1), (9.0, "NOT_DETECTED", None, None)),
        results("P1", (7.0, "QUANTIFIED", 1.0, 0.1), INFSEQ=2, CAR_TARGET="CD22"),
    ]
)
RELAPSES = {"P1": 200.0, "P3": 130.0}
B_CELLS = pd.concat(
    [
        results(
            patient, *rows, SPEC="BM", PARAMCD=code, PARAM=f"{marker}+ normal B cells of nucleated"
        )
        for code, marker in (("B19", "CD19"), ("B22", "CD22"))
        for patient, rows in {
            "P1": [
                (30.0, "NOT_DETECTED", None, 0.02), (120.0, "QUANTIFIED", 0.5, 0.02),
                (200.0, "QUANTIFIED", 6.0, 0.02), (260.0, "QUANTIFIED", 40.0, 0.02),
            ],
            "P2": [(30.0, "QUANTIFIED", 0.1, 0.02), (300.0, "QUANTIFIED", 0.1, 0.02)],
            "P3": [(30.0, "QUANTIFIED", 0.2, 0.02), (90.0, "QUANTIFIED", 0.3, 0.02)],
        }.items()
    ]
)  # fmt: skip
FOLLOW_UPS = [
    FollowUp("P1", 6.6, "relapse"), FollowUp("P2", 6.9, "death"), FollowUp("P3", 11.4, "relapse"),
    FollowUp("P4", 5.0), FollowUp("P5", 7.2), FollowUp("P6", 12.0), FollowUp("P7", 15.1),
    FollowUp("P8", 15.1), FollowUp("P9", 18.2), FollowUp("P10", 19.0),
]  # fmt: skip
EARLY = Covariate(
    "early", {f"P{k}": "early" if k in (1, 3) else "later" for k in range(1, 11)}, known_at=12.0
)
GROUPS = kaplan_meier_by(FOLLOW_UPS, EARLY, allow_immortal_time=True)
HALVES = {"mutated": FOLLOW_UPS[::2], "wild type": FOLLOW_UPS[1::2]}
RELAPSED = {name: cumulative_incidence(items, "relapse") for name, items in HALVES.items()}
DIED = {name: cumulative_incidence(items, "death") for name, items in HALVES.items()}
INFUSIONS = (InfusionDay(1, 0.0, "CD19"), InfusionDay(2, 50.0, "CD22"))
TIMELINES = [
    lay_timeline(
        "P1", 300.0, INFUSIONS,
        {1: Persistence("interval", 28.0, 42.0), 2: Persistence("interval", 60.0, None)},
        {
            "B cells": Recovery("bm_2_percent", RecoveryState.RECOVERED, 120.0, 150.0, 180.0),
            "immunoglobulin": Recovery("IgG", RecoveryState.UNCONFIRMED, 140.0, 170.0, None),
        },
        relapse=200.0, death=300.0,
    ),
    lay_timeline("P2", 400.0, INFUSIONS[:1], {}, {}, transplant=250.0),
]  # fmt: skip
RESPONSES = [
    ResponseRow(
        "P1", 300.0, INFUSIONS, "CR",
        (MrdResult(-3.0, "POS_QUANT"), MrdResult(30.0, "NEG"), MrdResult(200.0, "POS_BELOW_LOQ")),
        200.0, "CD19−CD22+",
    ),
    ResponseRow("P2", 400.0, INFUSIONS[:1], "CRi", (MrdResult(30.0, "INDETERMINATE"),)),
]  # fmt: skip


def histogram(sample: str, population: str, peak: float, control: str = "", marker: str = "CD19"):
    """Bins of a bell around `peak`, as a run writes them."""
    edges = np.logspace(1, 7, 151)
    middles = np.sqrt(edges[1:] * edges[:-1])
    counts = np.rint(300 * np.exp(-((np.log10(middles / peak) / 0.15) ** 2))).astype(int)
    frame = pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], "count": counts})
    return frame[frame["count"] > 0].assign(
        sample_id=sample, antigen=f"blast_{marker.lower()}", population=population,
        control=control, marker=marker, reagent=f"{marker} PE", scale="ABC",
    )  # fmt: skip


HISTOGRAMS = pd.concat(
    [
        histogram("S1", "blasts", 9000.0), histogram("S1", "fmo", 300.0, control="S1_FMO"),
        histogram("S1", "normal B", 20000.0), histogram("S2", "blasts", 900.0),
        histogram("S2", "fmo", 300.0, control="S2_FMO"),
        histogram("S1", "blasts", 3000.0, marker="CD22"),
        histogram("S2", "blasts", 3000.0, marker="CD22"),
        histogram("S3", "blasts", 90000.0),
    ]
)  # fmt: skip
FIRST = {"P1": 10.0, "P2": 30.0, "P3": 5.0, "P4": 60.0, "P5": 22.0, "P6": 8.0}
SECOND = {"P1": 3.0, "P2": 20.0, "P3": 4.0, "P4": 30.0, "P5": 9.0, "P7": 8.0}

FIGURES: dict[str, Callable[[], Figure]] = {
    "expansion": lambda: draw_expansion(EXPANSION),
    "b cells": lambda: draw_b_cells(B_CELLS, RELAPSES),
    "b cells of one marker": lambda: draw_b_cells(B_CELLS[B_CELLS["PARAMCD"] == "B19"], RELAPSES),
    "survival": lambda: draw_survival({"all": kaplan_meier(FOLLOW_UPS)}),
    "groups": lambda: draw_survival(
        GROUPS, test=compare_groups(FOLLOW_UPS, EARLY, allow_immortal_time=True)
    ),
    "groups of long names": lambda: draw_survival(
        {"early recovery of immunoglobulins": kaplan_meier(FOLLOW_UPS), "x": GROUPS["later"]}
    ),
    "landmark of long names": lambda: draw_survival(
        {
            f"recovered_b_cell_cd19_percent_of_nucleated_bm_2_percent: {word}": GROUPS[name]
            for word, name in (("no", "later"), ("yes", "early"))
        },
        unit="days",
        landmark=183.0,
    ),
    "relapses before any result": lambda: draw_b_cells(B_CELLS, {"P1": 9.0, "P2": 9.0, "P9": 9.0}),
    "incidence with two competing": lambda: draw_cumulative_incidence(
        {"all": RELAPSED["mutated"]}, competing=[{"all": DIED["mutated"]}] * 2
    ),
    "long words of responses": lambda: draw_response(
        [replace(RESPONSES[0], best_response="complete remission without recovery", death=290.0)]
    ),
    "landmark": lambda: draw_survival({"all": kaplan_meier(FOLLOW_UPS)}, landmark=6.0),
    "incidence": lambda: draw_cumulative_incidence(RELAPSED, competing=[DIED]),
    "timeline": lambda: draw_timeline(TIMELINES),
    "response": lambda: draw_response(RESPONSES),
    "densities": lambda: draw_densities(HISTOGRAMS, {"S1": "baseline", "S2": "relapse"}),
    "correlation": lambda: draw_correlation(FIRST, SECOND, labels=("first (%)", "second (%)")),
}  # fmt: skip


def line(axes: Axes, label: str) -> Line2D:
    """The one line of a label."""
    (found,) = [item for item in axes.get_lines() if item.get_label() == label]
    return found


def points(drawn: Line2D) -> list[tuple[float, float]]:
    """Points of a line but for its gaps."""
    data = np.asarray(drawn.get_xydata())
    return [tuple(row) for row in data[~np.isnan(data).any(axis=1)].tolist()]


def said(figure: Figure) -> str:
    """Every text of a figure, on one line."""
    return " ".join(item.get_text() for item in figure.findobj(Text)).replace("\n", " ")


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_too_small(name: str) -> None:
    figure = FIGURES[name]()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    whole = figure.bbox.padded(1.0)
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    notes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box is not None
        assert whole.containsx(box.x0) and whole.containsx(box.x1)
        assert whole.containsy(box.y0) and whole.containsy(box.y1)
        assert not any(box.overlaps(other) for other in (*legends, *notes))
    for other in (*legends, *notes):
        assert whole.containsx(other.x0) and whole.containsx(other.x1) and other.y0 >= 0
    assert not any(note.overlaps(legend) for note in notes for legend in legends)
    assert {7, 8} >= {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}


@pytest.mark.parametrize("name", ["b cells", "groups", "timeline", "densities"])
def test_a_figure_is_saved_as_the_same_bytes(name: str, tmp_path: Path) -> None:
    for ending in ("svg", "pdf", "png"):
        first, second = (tmp_path / f"{number}.{ending}" for number in (1, 2))
        save_figure(FIGURES[name](), first)
        save_figure(FIGURES[name](), second)
        assert first.read_bytes() == second.read_bytes()
    text = (tmp_path / "1.svg").read_text(encoding="utf-8")
    assert "<text" in text and "<dc:date>" not in text
    assert b"CreationDate" not in (tmp_path / "1.pdf").read_bytes()


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match=r"no figures in '\.jpg'"):
        save_figure(Figure(), tmp_path / "a.jpg")


def test_drawing_leaves_no_state_behind() -> None:
    before = dict(mpl.rcParams)
    for draw in FIGURES.values():
        draw()
    assert before == dict(mpl.rcParams)
    code = "import sys, cytoflow_car.report.figures; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()


def test_patients_and_groups_differ_without_colour() -> None:
    assert len({(look.line, look.marker) for look in LOOKS}) == len(LOOKS) == 28
    many = pd.concat([results(f"P{k:02d}", *COURSE) for k in range(28)])
    figure = draw_expansion(many)
    drawn = [item for item in figure.axes[0].get_lines() if item.get_linestyle() != "None"]
    patterns = {(str(item._dash_pattern), item.get_marker()) for item in drawn}  # type: ignore[attr-defined]
    assert 28 == len(patterns)
    curves = draw_survival({f"{k}": kaplan_meier(FOLLOW_UPS) for k in range(4)}).axes[0]
    shown = {str(line(curves, f"{k}")._dash_pattern) for k in range(4)}  # type: ignore[attr-defined]
    assert 4 == len(shown)


def test_expansion_joins_only_what_is_quantified() -> None:
    first, second = draw_expansion(EXPANSION).axes
    data = np.asarray(line(first, "P1").get_xydata())
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(
        data, [nan, [7, 12], [10, 40], nan, [21, 3], nan, [42, 0.2]], strict=False
    )
    assert [(7.0, 1.0)] == points(line(second, "P1"))
    assert ("log", "log") == (first.get_yscale(), second.get_yscale())
    assert "Days since infusion 2" == second.get_xlabel()
    assert "CAR T cells of T cells (%)" == first.get_ylabel()


def test_expansion_below_the_loq_is_open_and_at_half() -> None:
    figure = draw_expansion(EXPANSION)
    below = line(figure.axes[0], "_P1 below the LOQ")
    assert [(-1.0, 0.02), (28.0, 0.025)] == points(below)
    assert ("white", "None") == (below.get_markerfacecolor(), below.get_linestyle())
    # P2's negative has no LOQ to be drawn at.
    assert [] == points(line(figure.axes[0], "_P2 below the LOQ"))
    assert "Not drawn: 1 below an unknown LOQ" in said(figure)


def test_quantified_results_are_drawn_without_background() -> None:
    net = EXPANSION.assign(NET=EXPANSION["AVAL"] - 0.5)
    figure = draw_expansion(net)
    # Below the LOQ nothing is taken off, nor where nothing would be left.
    assert [(7, 11.5), (10, 39.5), (21, 2.5), (42, 0.2)] == points(line(figure.axes[0], "P1"))
    assert [(-1.0, 0.02), (28.0, 0.025)] == points(line(figure.axes[0], "_P1 below the LOQ"))
    assert "Without background where a control tells it." in said(figure)
    assert "background" not in said(draw_expansion(EXPANSION))


def test_of_several_results_of_a_day_one_is_drawn_and_said() -> None:
    rows = [(7.0, "NOT_DETECTED", 0.0, 0.1), (7.0, "QUANTIFIED", 5.0, 0.1),
            (7.0, "QUANTIFIED", 6.0, 0.1), (9.0, "NOT_DONE", None, None)]  # fmt: skip
    twice = results("P1", *rows).assign(N_DENOM=[9000, 2000, 1000, 0])
    figure = draw_expansion(twice)
    assert [(7.0, 5.0)] == points(line(figure.axes[0], "P1"))
    assert "One of several results of a day: P1 day 7." in said(figure)
    days = draw_b_cells(results("P1", *rows[:3], SPEC="BM").assign(DAY=270.0), {})
    assert "P1 day 270." in said(days)


def test_names_of_patients_are_no_formulas(tmp_path: Path) -> None:
    name = r"A$\frac$_1"
    save_figure(draw_expansion(results(name, *COURSE)), tmp_path / "a.svg")
    assert name in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_expansion_of_nothing_quantified_and_of_very_many() -> None:
    draw_expansion(results("P1", COURSE[0], COURSE[5]))
    draw_expansion(results("P1", COURSE[3]))
    many = draw_expansion(pd.concat([results(f"P{k:02d}", *COURSE) for k in range(40)]))
    assert not many.legends
    assert 80 == len(many.axes[0].get_lines())


def test_a_timeline_of_one_patient_without_infusions() -> None:
    (axes,) = draw_timeline([lay_timeline("P1", 30.0, [], {}, {})]).axes
    assert ["P1"] == [item.get_text() for item in axes.get_yticklabels()]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (EXPANSION.drop(columns="LOQ"), "no column 'LOQ'"),
        (EXPANSION.assign(PARAMCD=["A", "B"] * 5), "PARAMCD A, B in one figure"),
        (EXPANSION.assign(AVALU=["%", "cells/uL"] * 5), "AVALU"),
        (EXPANSION.assign(STATUS="fine"), "status 'fine'"),
        (EXPANSION.assign(INFSEQ=np.nan), "10 results without INFSEQ"),
        (EXPANSION[:0], "no results"),
    ],
)
def test_results_that_make_no_course_are_refused(wrong: pd.DataFrame, what: str) -> None:
    with pytest.raises(OutcomeError, match=what):
        draw_expansion(wrong)


def test_relapsed_patients_are_red_and_end_at_the_relapse() -> None:
    figure = draw_b_cells(B_CELLS, RELAPSES, threshold=2.0, definition="aplasia")
    for axes in figure.axes:
        patients = [line(axes, name) for name in ("P1", "P2", "P3")]
        assert {"P1", "P3"} == {item.get_label() for item in patients if item.get_color() == RED}
        # Red is not all: they are thicker and have another marker, too.
        assert patients[0].get_linewidth() > patients[1].get_linewidth()
        assert patients[0].get_marker() != patients[1].get_marker()
        assert (200 / MONTH, 6.0) == pytest.approx(points(patients[0])[-1])
        assert [(200 / MONTH, 6.0)] == points(line(axes, "_P1 relapse"))
        assert [(30 / MONTH, 0.01)] == points(line(axes, "_P1 below the LOQ"))
        # No result of that day: on the axis.
        on_axis = line(axes, "_P3 relapse")
        assert [(130 / MONTH, 0.0)] == points(on_axis)
        assert on_axis.get_transform() == axes.get_xaxis_transform()
        assert any(set(item.get_ydata()) == {2.0} for item in axes.get_lines())
    assert "aplasia, up to 2 %" in said(figure)
    assert "Diamond on the axis" in said(figure)
    assert "Diamond on the axis" not in said(draw_b_cells(B_CELLS, {"P1": 200.0}))


def test_a_relapse_below_the_loq_is_white_and_one_without_result_lies_on_the_axis() -> None:
    below = results("P8", (30.0, "QUANTIFIED", 1.0, 0.5), (90.0, "NOT_DETECTED", None, 0.5))
    figure = draw_b_cells(below, {"P8": 90.0, "P9": 20.0}, threshold_is_aplasia=False)
    (axes,) = figure.axes
    mark = line(axes, "_P8 relapse")
    assert [(90 / MONTH, 0.25)] == points(mark)
    assert ("white", RED) == (mark.get_markerfacecolor(), mark.get_markeredgecolor())
    nowhere = line(axes, "_P9 relapse")
    assert [(20 / MONTH, 0.0)] == points(nowhere)
    assert axes.get_xaxis_transform() == nowhere.get_transform()
    assert "Relapsed without a result before: P9." in said(figure)
    assert "aplasia, below 2 %" in said(figure)
    # Nobody has a result before the relapse.
    early = draw_b_cells(below, {"P8": 9.0})
    assert [(9 / MONTH, 0.0)] == points(line(early.axes[0], "_P8 relapse"))
    assert early.axes[0].get_xlim()[1] > 9 / MONTH


def check_curve(axes: Axes, name: str, curve: Curve, start: float) -> None:
    """Hold that a curve, its limits and its censorings are drawn as they are."""
    drawn = line(axes, name)
    assert "steps-post" == drawn.get_drawstyle()
    np.testing.assert_array_equal([0.0, *curve.times], drawn.get_xdata())
    np.testing.assert_array_equal([start, *curve.values], drawn.get_ydata())
    for bound, values in (("lower", curve.low), ("upper", curve.high)):
        limit = line(axes, f"_{name} {bound} limit")
        np.testing.assert_array_equal([np.nan, *values], limit.get_ydata())
        assert ("--", "steps-post") == (limit.get_linestyle(), limit.get_drawstyle())
        assert limit.get_linewidth() < drawn.get_linewidth()
    censored = line(axes, f"_{name} censored")
    np.testing.assert_array_equal(curve.times[curve.censored > 0], censored.get_xdata())
    np.testing.assert_array_equal(curve.values[curve.censored > 0], censored.get_ydata())
    assert ("|", "None") == (censored.get_marker(), censored.get_linestyle())


def check_table(figure: Figure, groups: list[list[FollowUp]]) -> None:
    """Hold that at every tick stands who was at risk."""
    axes, table = figure.axes
    ticks = axes.get_xticks().tolist()
    expected = [
        (time, row, str(count))
        for row, items in enumerate(groups)
        for time, count in zip(ticks, at_risk(items, ticks), strict=True)
    ]
    assert expected == [(*item.get_position(), item.get_text()) for item in table.texts]
    assert axes.get_xlim() == table.get_xlim()


def test_survival_is_drawn_as_it_was_found() -> None:
    curve = kaplan_meier(FOLLOW_UPS)
    figure = draw_survival({"all": curve}, outcome="Leukemia-free survival")
    check_curve(figure.axes[0], "all", curve, 1.0)
    check_table(figure, [FOLLOW_UPS])
    assert [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0] == figure.axes[0].get_xticks().tolist()
    assert "Leukemia-free survival (%)" == figure.axes[0].get_ylabel()
    assert "confidence limits (95 %, log-log)" in said(figure)
    plain = kaplan_meier(FOLLOW_UPS, transform="plain")
    assert "confidence limits (95 %, plain)" in said(draw_survival({"all": plain}))


def test_survival_of_groups_tells_of_immortal_time() -> None:
    test = compare_groups(FOLLOW_UPS, EARLY, allow_immortal_time=True)
    figure = draw_survival(GROUPS, test=test, times=[0, 6, 12])
    early = [item for item in FOLLOW_UPS if EARLY.values[item.patient_id] == "early"]
    later = [item for item in FOLLOW_UPS if item not in early]
    for name, curve in GROUPS.items():
        check_curve(figure.axes[0], str(name), curve, 1.0)
    check_table(figure, [early, later])
    assert ["early", "later"] == [item.get_text() for item in figure.axes[1].get_yticklabels()]
    assert "part of their time is immortal" in said(figure)
    assert f"log-rank P = {test.p_value:.2g}" in said(figure)
    assert "immortal" not in said(draw_survival({"all": kaplan_meier(FOLLOW_UPS)}))


def test_a_landmark_says_that_its_clock_starts_anew() -> None:
    figure = draw_survival({"all": kaplan_meier(FOLLOW_UPS)}, landmark=6.0)
    told = figure.axes[0].get_xlabel().replace("\n", " ")
    assert "Months since the landmark (the clock starts anew 6 months after infusion 1)" == told
    assert (
        "Months since infusion 1"
        == draw_survival({"all": kaplan_meier(FOLLOW_UPS)}).axes[0].get_xlabel()
    )


def test_incidence_is_drawn_with_what_competes() -> None:
    figure = draw_cumulative_incidence(RELAPSED, competing=[DIED])
    for name, curve in RELAPSED.items():
        check_curve(figure.axes[0], name, curve, 0.0)
        other = line(figure.axes[0], f"_{name} death, competing")
        np.testing.assert_array_equal([0.0, *DIED[name].values], other.get_ydata())
        assert other.get_linewidth() < line(figure.axes[0], name).get_linewidth()
    check_table(figure, list(HALVES.values()))
    assert "Relapse, cumulative incidence (%)" in said(figure)
    assert "death, competing" in said(figure)
    assert {"mutated: death, competing", "wild type: death, competing"} < {
        item.get_text() for legend in figure.legends for item in legend.get_texts()
    }
    with pytest.raises(OutcomeError, match="competing events of"):
        draw_cumulative_incidence(RELAPSED, competing=[{"mutated": DIED["mutated"]}])


def test_incidence_ends_level_where_nobody_is_left() -> None:
    items = [FollowUp("P1", 3.0, "relapse"), FollowUp("P2", 5.0, "death"),
             FollowUp("P3", 8.0, "relapse")]  # fmt: skip
    curves = [{"all": cumulative_incidence(items, name)} for name in ("relapse", "death")]
    figure = draw_cumulative_incidence(curves[0], competing=curves[1:], end=12.0)
    assert figure.axes[0].get_xlim()[1] >= 12.0
    last = line(figure.axes[0], "all").get_xydata()[-2:]
    assert (8.0, 12.0) == pytest.approx((last[0, 0], last[1, 0]), rel=0.03)
    assert last[0, 1] == last[1, 1]
    keys = {item.get_text() for legend in figure.legends for item in legend.get_texts()}
    assert {"relapse", "death, competing"} == keys


def test_limits_are_told_only_where_they_are_drawn() -> None:
    without = said(draw_survival({"all": kaplan_meier([FollowUp("P1", 3.0), FollowUp("P2", 4.0)])}))
    assert "Dashed" not in without
    assert "Ticks: censored." in without


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0496, "P = 0.0496"), (0.05, "P = 0.05"), (0.0504, "P = 0.0504"), (0.2, "P = 0.2"),
     (0.0432, "P = 0.043"), (0.0004, "P < 0.001")],
)  # fmt: skip
def test_p_values_are_not_rounded_onto_the_limit(value: float, text: str) -> None:
    assert text == p_value_text(value)


def test_curves_of_another_quantity_are_refused() -> None:
    with pytest.raises(OutcomeError, match="curves of cumulative incidence of relapse"):
        draw_survival(RELAPSED)
    with pytest.raises(OutcomeError, match="0 curves"):
        draw_survival({})


def test_survival_of_the_letter(data_folder: Path) -> None:
    path = data_folder / "letter_reconstruction.csv"
    if not path.is_file():
        pytest.skip("letter_reconstruction.csv is not among the data")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lfs = [
        FollowUp(row["USUBJID"], float(row["lfs_months"]), "relapse" * int(row["relapse"]))
        for row in rows
    ]
    figure = draw_survival({"all": kaplan_meier(lfs)})
    assert 0.79532 == pytest.approx(line(figure.axes[0], "all").get_ydata()[-1], abs=5e-6)
    assert 17 == len(points(line(figure.axes[0], "_all censored")))
    check_table(figure, [lfs])


def test_a_timeline_shows_what_is_known_and_since_when() -> None:
    (axes,) = draw_timeline(TIMELINES).axes
    assert ["P1", "P2"] == [item.get_text() for item in axes.get_yticklabels()]
    bars = {
        str(item.get_label()): (item.get_x() * MONTH, (item.get_x() + item.get_width()) * MONTH)
        for item in axes.patches
        if isinstance(item, Rectangle)
    }
    assert {
        "_detected after infusion 1": pytest.approx((0, 28)),
        "_vanishing after infusion 1": pytest.approx((28, 42)),
        "_detected after infusion 2": pytest.approx((50, 110)),
    } == bars

    def days(label: str) -> list[float]:
        return [x * MONTH for item in axes.get_lines() if item.get_label() == label
                for x in item.get_xdata()]  # fmt: skip

    assert [120, 150] == pytest.approx(days("_B cells between"))
    assert [180] == pytest.approx(days("_B cells known"))
    assert [140, 170] == pytest.approx(days("_immunoglobulin between"))
    assert [170] == pytest.approx(days("_immunoglobulin unconfirmed"))
    unconfirmed = line(axes, "_immunoglobulin unconfirmed")
    assert ("white", PURPLE) == (unconfirmed.get_markerfacecolor(), unconfirmed.get_color())
    assert [110] == pytest.approx(days("_still detected"))
    assert [200] == pytest.approx(days("_relapse"))
    assert [300] == pytest.approx(days("_death"))
    assert [250] == pytest.approx(days("_transplant"))
    assert [400] == pytest.approx(days("_alive"))
    assert [0, 0] == pytest.approx(days("_infusion 1")) and [50] == pytest.approx(
        days("_infusion 2")
    )
    with pytest.raises(OutcomeError, match="2 rows of 1 patients"):
        draw_timeline([TIMELINES[0], TIMELINES[0]])


def test_bars_of_a_timeline_never_hide_each_other() -> None:
    long = {1: Persistence("interval", 200.0, None), 2: Persistence("interval", 30.0, 60.0)}
    figure = draw_timeline(
        [
            lay_timeline("P1", 300.0, INFUSIONS, long, {}, relapse=50.0),
            lay_timeline("P2", 300.0, INFUSIONS, {1: long[1]}, {}),
        ]
    )
    (axes,) = figure.axes
    bars = [item for item in axes.patches if isinstance(item, Rectangle)]
    spans = {
        str(item.get_label())[-1]: (item.get_y(), item.get_y() + item.get_height())
        for item in bars
        if item.get_y() < 0.5
    }
    assert spans["1"][1] < spans["2"][0]
    # A relapse on the day of an infusion stands beneath it.
    infusion = next(item for item in axes.get_lines() if item.get_label() == "_infusion 2")
    assert infusion.get_ydata()[0] < line(axes, "_relapse").get_ydata()[0]
    assert line(axes, "_no result").get_xdata()[0] == pytest.approx(50 / MONTH)
    assert "not seen to vanish" in said(figure)
    assert "no result of CAR T cells" in said(figure)


def test_responses_show_every_call_at_its_day() -> None:
    figure = draw_response(RESPONSES)
    (axes,) = figure.axes
    drawn = [
        (round(item.get_xdata()[0] * MONTH), item.get_ydata()[0], item.get_fillstyle(),
         item.get_markerfacecolor() == "white", item.get_marker())
        for item in axes.get_lines() if item.get_label() == "_MRD"
    ]  # fmt: skip
    assert [
        (-3, 0, "full", False, "o"), (30, 0, "full", True, "o"), (200, 0, "left", False, "o"),
        (30, 1, "full", False, "x"),
    ] == drawn  # fmt: skip
    assert [(200 / MONTH, 0.0)] == points(line(axes, "_relapse"))
    words = {item.get_text(): item.xy[1] for item in axes.texts if isinstance(item, Annotation)}
    assert (0, 1, 0) == (words["CR"], words["CRi"], words["CD19−CD22+"])
    died = draw_response([replace(RESPONSES[1], death=390.0)])
    assert [(390 / MONTH, 0.0)] == points(line(died.axes[0], "_death"))
    wrong = ResponseRow("P1", 9.0, INFUSIONS[:1], mrd=(MrdResult(1.0, "maybe"),))
    with pytest.raises(OutcomeError, match="P1: MRD 'maybe'"):
        draw_response([wrong])


def test_every_call_of_mrd_has_a_look() -> None:
    assert set(CALLS) == set(MRD_LOOKS)


def test_densities_lie_where_the_cells_do() -> None:
    figure = draw_densities(HISTOGRAMS, {"S1": "baseline", "S2": "relapse"})
    cd19_first, cd22_first, cd19_second, _ = figure.axes

    def peak(axes: Axes, kind: str) -> float:
        x, y = line(axes, f"_{kind}").get_data()
        assert np.max(y) == pytest.approx(1.0)
        return float(x[int(np.argmax(y))])

    for axes, kind, planted in (
        (cd19_first, "population", 9000), (cd19_first, "fmo", 300),
        (cd19_first, "reference", 20000), (cd19_second, "population", 900),
        (cd22_first, "population", 3000),
    ):  # fmt: skip
        # Half a bin of 25 a decade.
        assert planted == pytest.approx(peak(axes, kind), rel=0.05)
    styles = {
        str(line(cd19_first, f"_{kind}")._dash_pattern)  # type: ignore[attr-defined]
        for kind in ("population", "fmo", "reference")
    }
    assert 3 == len(styles)
    assert [] == [item for item in cd19_second.get_lines() if item.get_label() == "_reference"]
    assert cd19_first.get_xlim() == cd19_second.get_xlim()
    # Another patient's specimen has no say in it.
    assert cd19_first.get_xlim()[1] < 70000
    assert "CD19, antibodies bound per cell (ABC)" == cd19_second.get_xlabel()
    assert ("baseline", "relapse") == (cd19_first.get_ylabel(), cd19_second.get_ylabel())


def test_densities_without_molecules_or_blasts_are_refused() -> None:
    with pytest.raises(OutcomeError, match=r"densities in a\.u\."):
        draw_densities(HISTOGRAMS.assign(scale="a.u."), {"S1": "baseline"})
    with pytest.raises(OutcomeError, match="S9: no histogram of 'blasts'"):
        draw_densities(HISTOGRAMS, {"S9": "baseline"})


def test_correlation_stands_above_its_points() -> None:
    figure = draw_correlation(FIRST, SECOND, labels=("first (%)", "second (%)"))
    (axes,) = figure.axes
    assert {(FIRST[name], SECOND[name]) for name in ("P1", "P2", "P3", "P4", "P5")} == set(
        points(line(axes, "_patients"))
    )
    found = correlate(FIRST, SECOND)
    assert found.interval is not None
    low, high = (
        f"{item:.2f}".replace("-", "−") for item in (found.interval.low, found.interval.high)
    )
    told = axes.get_title(loc="left")
    assert f"Spearman ρ = {found.value:.2f}, 95 % CI {low} to {high}, P = " in told
    assert told.endswith("n = 5")
    with pytest.raises(OutcomeError, match="P1: 0 and 3 on logarithmic axes"):
        draw_correlation({"P1": 0.0}, SECOND, labels=("a", "b"))


def test_examples_of_the_page_run(
    repository_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (repository_root / "docs" / "how-to" / "figures.md").read_text(encoding="utf-8")
    names = [item.patient_id for item in FOLLOW_UPS]
    given = {
        "adcp": EXPANSION,
        "follow_ups": FOLLOW_UPS,
        "tp53": Covariate("tp53", {name: int(name[1:]) % 2 for name in names}, known_at=0.0),
        "not_recovered": dict.fromkeys(names, 0.0),
        "recoveries": [Change("P3", "recovered", 5.0, 1.0)],
        "b_cells": B_CELLS,
        "persistence_cd19": Persistence("interval", 28.0, 42.0),
        "persistence_cd22": Persistence("interval", 60.0, None),
        "recovery": Recovery("bm_2_percent", RecoveryState.RECOVERED, 120.0, 150.0, 180.0),
        "histograms": HISTOGRAMS.replace({"S1": "P03_BM_d000_B", "S2": "P03_BM_d218_B"}),
        "first": FIRST,
        "second": SECOND,
    }
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, given)
    assert (tmp_path / "expansion.svg").is_file()


def test_times_are_round() -> None:
    assert [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0] == round_times(0.0, 19.0, "months")
    assert [0.0, 12.0, 24.0, 36.0, 48.0] == round_times(0.0, 59.0, "months", most=6)
    assert [0.0, 240.0, 480.0, 720.0, 960.0, 1200.0] == round_times(0.0, 1300.0, "months")
    assert [0.0, 7.0, 14.0, 21.0, 28.0] == round_times(-1.0, 28.0, "days")
