"""Figures of an outcome folder: which are drawn, of whom, and what each says of its patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from cytoflow_car.study.cohort_outcome import CohortOutcome, summarise_cohort
from cytoflow_car.study.outcome_figures import figures_of_cohort, figures_of_file, write_figures
from cytoflow_car.study.outcome_file import ColumnsOfOutcome, OutcomeOfFile, analyse_file
from cytoflow_car.tables.columns import MEASUREMENTS

CAR, B_CELLS = "car_t_percent_of_t", "b_cell_cd19_percent_of_nucleated"
NUMBERS = ("day", "value", "value_net", "lod", "loq", "n_events", "n_denominator", "infusion")
INFUSIONS = "patient_id,infusion,product,car_target,day\nP1,1,CAR19,CD19,0\nP2,1,CAR19,CD19,0\n"
PATIENTS = "patient_id,response,relapse_day,death_day,last_follow_up_day,transplant_day,tp53\n"
SHEET = "sample_id,file,patient_id,specimen,template,day,tube,baseline\n"


def result(patient: str, day: float, measurement: str, value: float | None, **more: object) -> dict:
    return {
        "sample_id": f"{patient}_{day:g}", "patient_id": patient, "specimen": "PB", "infusion": 1,
        "day": day, "use": "report", "measurement": measurement, "unit": "%", "value": value,
        "status": "QUANTIFIED", "population": "CAR T", "denominator": "T", "car_target": "CD19",
        "lod": 0.1, "loq": 0.2, "n_denominator": 1000, **more,
    }  # fmt: skip


def marrow(patient: str, day: float, value: float | None = 0.5, **more: object) -> dict:
    of = {"specimen": "BM", "population": "normal B", "denominator": "nucleated", "car_target": ""}
    return result(patient, day, B_CELLS, value, **of, **more)


def cohort(
    folder: Path,
    rows: list[dict],
    patients: str,
    *,
    definitions: str = "",
    labs: str = "",
    histograms: pd.DataFrame | None = None,
    landmarks: tuple[float, ...] = (),
) -> CohortOutcome:
    """Follow the patients of a run that is written by hand."""
    study, results = folder / "study", folder / "results"
    study.mkdir()
    results.mkdir()
    lines = "".join(
        f"{row['sample_id']},fcs/a.fcs,{row['patient_id']},{row['specimen']},t,{row['day']},T{number},"
        f"{'yes' if row['day'] <= 0 else ''}\n"
        for number, row in enumerate({row["sample_id"]: row for row in rows}.values())
    )
    for name, text in (
        ("samples.csv", SHEET + lines), ("infusions.csv", INFUSIONS), ("study.toml", definitions),
        ("patients.csv", PATIENTS + patients), ("labs.csv", labs),
    ):  # fmt: skip
        if text:
            (study / name).write_text(text, encoding="utf-8")
    table = pd.DataFrame(rows).reindex(columns=list(MEASUREMENTS))
    for column in table.columns:
        numeric = column in NUMBERS
        table[column] = pd.to_numeric(table[column]) if numeric else table[column].fillna("")
    table.to_parquet(results / "measurements.parquet")
    if histograms is not None:
        histograms.to_parquet(results / "histograms.parquet")
    return summarise_cohort(results, study, times=(100,), landmarks=landmarks)


def drawn(found: CohortOutcome) -> dict[str, Figure]:
    made = ((name, draw()) for name, draw in figures_of_cohort(found))
    return {name: figure for name, figure in made if figure is not None}


def said(figure: Figure) -> str:
    return " ".join(item.get_text() for item in figure.findobj(Text)).replace("\n", " ")


def lines_of(axes: Axes, label: str) -> list[Line2D]:
    return [item for item in axes.get_lines() if item.get_label() == label]


BOTH = "P1,CR,,,400,,wild\nP2,CR,200,,400,,mutated\n"


def test_what_cannot_be_drawn_is_named_and_ends_nothing(tmp_path: Path) -> None:
    found = cohort(tmp_path, [result("P1", 7, CAR, 5.0), result("P1", 9, CAR, 6.0)], BOTH)
    # A status that no version knows.
    found.frames["adcp.csv"][0].loc[0, "STATUS"] = "FINE"
    ((name, reason),) = write_figures(figures_of_cohort(found), tmp_path / "figures")
    assert "expansion" == name
    assert "P1: status 'FINE'" in reason
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"lfs.svg", "timeline.png", "response.png"} < names
    assert "expansion.svg" not in names


def test_a_study_of_marrow_alone_has_no_expansion(tmp_path: Path) -> None:
    found = cohort(tmp_path, [marrow("P1", 30), marrow("P2", 200)], BOTH)
    assert "expansion" not in drawn(found)
    assert "b_cells" in drawn(found)


def test_of_two_results_of_a_day_the_one_that_counts_is_drawn(tmp_path: Path) -> None:
    day = 270
    second = marrow("P1", day, 3.0, sample_id="P1_270b", n_denominator=5000)
    unseen = marrow("P1", day, 0.0, sample_id="P1_270c", n_denominator=9000, status="NOT_DETECTED")
    rows = [marrow("P1", 30), marrow("P1", day, 7.0), second, unseen]
    figure = drawn(cohort(tmp_path, rows, BOTH))["b_cells"]
    (line,) = lines_of(figure.axes[0], "P1")
    np.testing.assert_array_equal([0.5, 3.0], line.get_ydata())
    assert "One of several results of a day: P1 day 270." in said(figure)


def test_a_relapse_is_told_by_its_own_specimen(tmp_path: Path) -> None:
    rows = [
        result("P2", day, f"blast_{antigen}_abc", 900.0, specimen="BM", antigen_change=change)
        for day, changes in (
            (90, ("LOSS", "LOSS")), (201, ("UNCHANGED", "GAIN")), (260, ("LOSS", "UNCHANGED")),
        )
        for antigen, change in zip(("cd19", "cd22"), changes, strict=True)
    ]  # fmt: skip
    text = said(drawn(cohort(tmp_path, rows, BOTH))["response"])
    assert "CD19 and CD22 kept" in text
    assert "loss" not in text


@pytest.mark.parametrize(
    ("days", "changes", "told"),
    [
        ((90,), ("LOSS", "LOSS"), "not measured"),
        ((200,), ("NOT_COMPARABLE", ""), "not measured"),
        ((200,), ("LOSS", "UNCHANGED"), "CD19 loss, CD22 kept"),
        ((200,), ("UNCHANGED", "NOT_COMPARABLE"), "CD19 kept, CD22 not measured"),
    ],
)
def test_what_of_a_relapse_was_not_measured_is_said(
    tmp_path: Path, days: tuple[int, ...], changes: tuple[str, str], told: str
) -> None:
    rows = [
        result("P2", day, f"blast_{antigen}_abc", 900.0, specimen="BM", antigen_change=change)
        for day in days
        for antigen, change in zip(("cd19", "cd22"), changes, strict=True)
    ]
    assert told in said(drawn(cohort(tmp_path, rows, BOTH))["response"])


def test_the_timeline_shows_immunoglobulins_and_infusions_without_results(tmp_path: Path) -> None:
    labs = (
        "patient_id,day,test,value,unit,lower_limit\n"
        "P1,30,IgG,3,g/L,6\nP1,300,IgG,8,g/L,6\n"
    )  # fmt: skip
    figure = drawn(cohort(tmp_path, [result("P1", 7, CAR, 5.0)], BOTH, labs=labs))["timeline"]
    (known,) = lines_of(figure.axes[0], "_IgG known")
    assert [300] == pytest.approx([x * 30.4375 for x in known.get_xdata()])
    assert "IgG recovered" in said(figure)
    assert 1 == len(lines_of(figure.axes[0], "_no result"))
    assert "no result of CAR T cells" in said(figure)


@pytest.mark.parametrize(
    ("rule", "names"), [("censor", {"lfs"}), ("competing", {"lfs", "lfs_competing"})]
)
def test_transplants_are_said_to_be_censored_or_compete(
    tmp_path: Path, rule: str, names: set[str]
) -> None:
    definitions = f'[outcome]\ntransplant = "{rule}"\n'
    patients = "P1,CR,,,400,150,wild\nP2,CR,200,,400,,wild\n"
    made = drawn(cohort(tmp_path, [marrow("P1", 30)], patients, definitions=definitions))
    assert names == {name for name in made if name.startswith("lfs")}
    assert "Transplantation censored (n = 1)." in said(made["lfs"])
    if rule == "competing":
        assert "transplant, competing" in said(made["lfs_competing"])
        assert "Relapse, cumulative incidence" in said(made["lfs_competing"])


def test_every_event_that_competes_with_recovery_is_drawn(tmp_path: Path) -> None:
    patients = "P1,CR,200,,400,,wild\nP2,CR,,150,150,,wild\n"
    labs = "patient_id,day,test,value,unit,lower_limit\nP3,30,IgG,3,g/L,6\nP3,300,IgG,8,g/L,6\n"
    labs += "P1,30,IgG,3,g/L,6\nP2,30,IgG,3,g/L,6\n"
    patients += "P3,CR,,,400,,wild\n"
    rows = [marrow("P3", 30)]
    text = INFUSIONS + "P3,1,CAR19,CD19,0\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "INFUSIONS", text)
        figure = drawn(cohort(tmp_path, rows, patients, labs=labs))["ttigr"]
    axes = figure.axes[0]
    styles = {
        name: str(lines_of(axes, f"_all {name}, competing")[0]._dash_pattern)  # type: ignore[attr-defined]
        for name in ("death", "relapse")
    }
    assert 2 == len(set(styles.values()))
    keys = [item.get_text() for legend in figure.legends for item in legend.get_texts()]
    assert ["recovery", "death, competing", "relapse, competing"] == keys
    # To the end of all follow-up, and level after the last step.
    (line,) = lines_of(axes, "all")
    assert line.get_xdata()[-1] >= 400
    assert line.get_ydata()[-1] == line.get_ydata()[-2]


def test_names_of_groups_are_plain_and_who_is_left_out_is_named(tmp_path: Path) -> None:
    patients = "P1,CR,,,400,,wild\nP2,CR,200,,400,,mutated\nP3,CR,,,300,,not_tested\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "INFUSIONS", INFUSIONS + "P3,1,CAR19,CD19,0\n")
        rows = [marrow("P1", day, value) for day, value in ((30, 0.5), (60, 3.0), (90, 4.0))]
        made = drawn(cohort(tmp_path, rows, patients, landmarks=(100.0,)))
    group = said(made["lfs_by_group_1"])
    assert "TP53 mutated: no (n = 1)" in group
    assert "Not known, and left out: P3." in group
    landmark = said(made[f"lfs_landmark_100_recovered_{B_CELLS}_bm_2_percent"])
    assert "CD19+ B cells recovered: yes (n = 1)" in landmark
    incidence = made[f"lfs_incidence_landmark_100_recovered_{B_CELLS}_bm_2_percent"]
    assert "Relapse, cumulative incidence (%)" in said(incidence)
    assert "the clock starts anew 100 days after infusion 1" in said(incidence)
    (line,) = lines_of(incidence.axes[0], "CD19+ B cells recovered: no")
    assert [100.0] == [x for x, y in zip(*line.get_data(), strict=True) if y > 0][:1]


def of_file(folder: Path) -> OutcomeOfFile:
    text = "id,months,relapse,early,since\n" + "".join(
        f"{name},{months},{event},{early},{since}\n"
        for name, months, event, early, since in (
            ("A", 8, 1, 1, 2), ("B", 12, 0, 0, ""), ("C", 9, 1, 0, ""), ("D", 14, 0, "NA", 3),
        )
    )  # fmt: skip
    (folder / "table.csv").write_text(text, encoding="utf-8")
    columns = ColumnsOfOutcome(
        "id", {"LFS": (("months",), "relapse")}, {("early", ""): 0.0}, {"recovered": "since"}
    )
    return analyse_file(folder / "table.csv", columns, landmarks=(6.0,))


def test_a_table_has_incidence_of_relapse_from_its_landmark(tmp_path: Path) -> None:
    made = {name: draw() for name, draw in figures_of_file(of_file(tmp_path), "months")}
    assert {
        "lfs", "lfs_by_group_1", "lfs_landmark_6_recovered", "lfs_incidence_landmark_6_recovered",
    } == {name for name, figure in made.items() if figure is not None}  # fmt: skip
    figure = made["lfs_incidence_landmark_6_recovered"]
    assert figure is not None
    (line,) = lines_of(figure.axes[0], "recovered: yes")
    np.testing.assert_allclose([0.0, 2.0, 8.0], line.get_xdata())
    np.testing.assert_allclose([0.0, 0.5, 0.5], line.get_ydata())


def bins(sample: str, population: str, counts: dict[str, int], control: str = "") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"sample_id": sample, "antigen": antigen, "population": population, "control": control,
             "marker": antigen[-4:].upper(), "scale": "ABC", "bin_low": 1000.0,
             "bin_high": 1100.0, "count": count}
            for antigen, count in counts.items()
        ]
    )  # fmt: skip


def test_densities_need_enough_blasts_of_each_antigen_and_name_the_relapse(tmp_path: Path) -> None:
    few, many = {"blast_cd19": 49, "blast_cd22": 60}, {"blast_cd19": 60, "blast_cd22": 60}
    rows = [
        result(patient, day, "blast_cd19_abc", 900.0, specimen="BM")
        for patient in ("P1", "P2")
        for day in (-1, 200)
    ]
    histograms = pd.concat(
        [
            bins("P1_-1", "blasts", many), bins("P1_200", "blasts", few),
            bins("P2_-1", "blasts", many), bins("P2_200", "blasts", many),
            bins("P2_-1", "isotype", many, "P2_ISO"), bins("P2_200", "T and NK", many),
        ],
        ignore_index=True,
    )  # fmt: skip
    made = drawn(cohort(tmp_path, rows, BOTH, histograms=histograms))
    assert ["densities_P2_-1"] == [name for name in made if name.startswith("densities")]
    text = said(made["densities_P2_-1"])
    assert "relapse, day 200" in text
    assert "isotype control" in text
    assert "negative cells of the same tube (T and NK)" in text
    assert "FMO" not in text
    assert "drawn to its own highest" in text
