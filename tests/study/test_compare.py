"""A comparison counts what it should, pairs what belongs together, and hides nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.errors import StudyError
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.study.agreement import Limits, find_outside, write_agreement
from cytoflow_car.study.batch import run_study
from cytoflow_car.study.compare import Comparison, compare_results
from cytoflow_car.study.population_matching import match_populations, split_match
from cytoflow_car.tables.columns import AGREEMENT, AGREEMENT_SUMMARY
from cytoflow_car.tables.read import read_table

# Event i has A = i and B = 10 i, for i from 0 to 99: a gate's bounds are its events.
N_EVENTS = 100
#: Path, lower bound on A; no upper bound.
Gates = dict[tuple[str, ...], float]
OURS: Gates = {("Live",): 20, ("Live", "T"): 50}
HAND: Gates = {("Live",): 30, ("Live", "T"): 45}

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gating:Gating-ML
  xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
  xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">
"""


def gatingml(gates: Gates) -> str:
    parts = []
    for path, low in gates.items():
        parent = f' gating:parent_id="{path[-2]}"' if len(path) > 1 else ""
        parts.append(
            f'<gating:RectangleGate gating:id="{path[-1]}"{parent}>'
            f'<gating:dimension gating:min="{low}" gating:compensation-ref="uncompensated">'
            '<data-type:fcs-dimension data-type:name="A"/>'
            "</gating:dimension></gating:RectangleGate>"
        )
    return f"{_HEAD}{''.join(parts)}</gating:Gating-ML>\n"


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a results folder with the specimens ``a`` and ``b`` and the control ``c``."""
    folder = tmp_path / "results"
    (folder / "gatingml").mkdir(parents=True)
    (tmp_path / "fcs").mkdir()
    (folder / "run.json").write_text(json.dumps({"cytoflow_car": "1", "templates": {}}))
    files, gates = [], []
    for sample in ("a", "b", "c"):
        values = np.column_stack([np.arange(N_EVENTS), 10.0 * np.arange(N_EVENTS)])
        values[:, 1] += ord(sample)
        channels = (Channel("A"), Channel("B"))
        path = tmp_path / "fcs" / f"tube_{sample}.fcs"
        write_fcs(path, Events(values.astype(np.float32), channels))
        files.append(
            {
                "sample_id": sample,
                "role": "fmo" if sample == "c" else "specimen",
                "use": "report",
                "path": f"fcs/tube_{sample}.fcs",
                "dataset": "",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "from_results": f"../fcs/tube_{sample}.fcs",
            }
        )
        if sample == "c":
            continue
        (folder / "gatingml" / f"{sample}.xml").write_text(gatingml(OURS))
        for names, low in {("root",): 0, **{("root", *p): n for p, n in OURS.items()}}.items():
            gates.append(
                {
                    "sample_id": sample,
                    "template": "t",
                    "path": "/".join(names),
                    "count": int(N_EVENTS - low),
                    "count_before_qc": int(N_EVENTS - low),
                    "review": "yes" if (sample, names[-1]) == ("b", "T") else "",
                }
            )
    write_rows(folder / "files.csv", files)
    write_rows(folder / "gates.csv", gates)
    return folder


def by_key(comparison: Comparison) -> dict[tuple[str, str], tuple[object, ...]]:
    return {
        (row.sample_id, row.population): (
            *(row.n_ours, row.n_theirs, row.n_both),
            *(None if x is None else pytest.approx(x) for x in (row.f1, row.f1_within)),
            row.denominator,
            *(pytest.approx(x) for x in (row.percent_ours, row.percent_theirs)),
        )
        for row in comparison.rows
    }


def test_gates_are_compared_end_to_end_and_within_the_hand_parent(
    results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "tube_a.xml").write_text(gatingml(HAND))
    (folder / "b.xml").write_text(gatingml(OURS))
    comparison = compare_results(results, folder)
    assert by_key(comparison) == {
        # Ours 20 to 99, theirs 30 to 99; within all events the same.
        ("a", "Live"): (80, 70, 70, 140 / 150, 140 / 150, "root", 80, 70),
        # Ours 50 to 99 of 80, theirs 45 to 99 of 70.
        ("a", "T"): (50, 55, 50, 100 / 105, 100 / 105, "Live", 62.5, 100 * 55 / 70),
        ("b", "Live"): (80, 80, 80, 1, 1, "root", 80, 80),
        ("b", "T"): (50, 50, 50, 1, 1, "Live", 62.5, 62.5),
    }
    assert [row.review for row in comparison.rows] == [False, False, False, True]
    assert comparison.not_compared == comparison.unmatched_ours == comparison.unmatched_theirs == ()


def test_within_the_hand_parent_a_gate_is_judged_without_those_above(
    results: Path, tmp_path: Path
) -> None:
    # The person's parent begins at 70, so that our gate at 50 holds all of it.
    hand = tmp_path / "a.xml"
    hand.write_text(gatingml({("Live",): 70, ("Live", "T"): 80}))
    row = compare_results(results, hand).rows[1]
    assert row.f1 == pytest.approx(2 * 20 / (50 + 20))
    assert row.f1_within == pytest.approx(2 * 20 / (30 + 20))


def test_where_the_parents_differ_the_nearest_common_population_is_the_denominator(
    results: Path, tmp_path: Path
) -> None:
    hand = tmp_path / "a.xml"
    hand.write_text(gatingml({("Singlets",): 40, ("Singlets", "T"): 60}))
    comparison = compare_results(results, hand)
    assert by_key(comparison) == {("a", "T"): (50, 40, 40, 80 / 90, 80 / 90, "root", 50, 40)}
    assert comparison.unmatched_ours == ("Live",)
    assert comparison.unmatched_theirs == ("Singlets",)
    assert comparison.not_in_reference == ("b",)


def test_one_gatingml_file_of_another_name_is_for_all(results: Path, tmp_path: Path) -> None:
    hand = tmp_path / "by hand.xml"
    hand.write_text(gatingml(HAND))
    assert {row.sample_id for row in compare_results(results, hand).rows} == {"a", "b"}


LABELS = np.repeat(["", "B kappa", "B lambda", "CD4+"], [45, 5, 10, 40])


@pytest.mark.parametrize("kind", ["csv", "parquet", "folder"])
def test_labels_are_joined_and_counted(results: Path, tmp_path: Path, kind: str) -> None:
    rows: list[dict[str, object]] = [{"file": "tube_a.fcs", "label": label} for label in LABELS]
    if kind == "folder":
        source = tmp_path / "labels"
        source.mkdir()
        write_rows(source / "a.csv", [{"population": row["label"]} for row in rows])
    else:
        source = write_rows(tmp_path / "labels.csv", rows)
    if kind == "parquet":
        read_table(source).to_parquet(tmp_path / "labels.parquet")
        source = tmp_path / "labels.parquet"
    comparison = compare_results(results, source, match=["T=B kappa+CD4+"])
    # B kappa is 45 to 49, CD4+ 60 to 99.
    assert by_key(comparison) == {("a", "T"): (50, 45, 40, 80 / 95, None, "root", 50, 45)}
    assert comparison.rows[0].reference == "B kappa + CD4+"
    assert comparison.unmatched_theirs == ("B lambda",)


def test_labels_may_stand_in_the_file(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    folder.mkdir()
    codes = np.where(np.arange(N_EVENTS) < 55, 1, 3)
    values = np.column_stack([np.arange(N_EVENTS), codes]).astype(np.float32)
    write_fcs(folder / "tube_a.fcs", Events(values, (Channel("A"), Channel("population"))))
    (row,) = compare_results(results, folder, match=["T=3"], label_channel="population").rows
    assert (row.n_ours, row.n_theirs, row.n_both) == (50, 45, 45)
    with pytest.raises(StudyError, match="no channel celltype; expected one of A, population"):
        compare_results(results, folder, label_channel="celltype")


def test_percents_are_compared_with_their_denominator(results: Path, tmp_path: Path) -> None:
    hand = write_rows(
        tmp_path / "percents.csv",
        [
            {"sample_id": "a", "population": "live", "percent": "70", "denominator": ""},
            {"sample_id": "a", "population": "Live/T", "percent": "60", "denominator": "root"},
            {"sample_id": "b", "population": "T", "percent": "60.5"},
            {"sample_id": "b", "population": "Live", "percent": ""},
        ],
    )
    comparison = compare_results(results, hand)
    assert by_key(comparison) == {
        ("a", "Live"): (80, None, None, None, None, "root", 80, 70),
        ("a", "T"): (50, None, None, None, None, "root", 50, 60),
        ("b", "T"): (50, None, None, None, None, "Live", 62.5, 60.5),
    }
    assert [row.difference for row in comparison.rows] == [10, -10, 2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"sample_id": "a", "population": "T", "percent": "6,5"}], "row 2: percent '6,5'"),
        ([{"sample_id": "a", "population": "T", "percent": "101"}], "number from 0 to 100"),
        ([{"sample_id": "a", "population": "T", "percent": "1"}] * 2, "stands twice"),
        ([{"sample_id": "a", "cells": "T"}], "sample_id, cells; expected sample_id"),
        ([{"population": "T"}], "population; expected sample_id"),
    ],
)
def test_a_wrong_table_says_what_is_expected(
    results: Path, tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        compare_results(results, write_rows(tmp_path / "reference.csv", rows))


def test_another_kind_of_reference_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "gates.txt").write_text("T")
    with pytest.raises(StudyError, match=r"gates.txt; expected a FlowJo workspace \(.wsp\)"):
        compare_results(results, tmp_path / "gates.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="neither Gating-ML nor tables"):
        compare_results(results, tmp_path / "empty")
    with pytest.raises(StudyError, match=r"no run.json .* expected a results folder"):
        compare_results(tmp_path, tmp_path / "gates.txt")


def label_table(tmp_path: Path, names: list[str], n_events: int = N_EVENTS) -> Path:
    rows: list[dict[str, object]] = [
        {"sample_id": name, "label": "T"} for name in names for _ in range(n_events)
    ]
    return write_rows(tmp_path / "labels.csv", rows)


def test_samples_of_one_side_are_listed(results: Path, tmp_path: Path) -> None:
    comparison = compare_results(results, label_table(tmp_path, ["a", "tube_c.fcs", "nobody"]))
    assert comparison.not_compared == ("nobody: no such sample in the results",)
    assert comparison.not_asked == ("c: fmo",)
    assert comparison.not_in_reference == ("b",)


def test_a_further_template_has_gates_of_its_own(results: Path, tmp_path: Path) -> None:
    table = (results / "gates.csv").read_text()
    more = [line.replace("a,t,", "a,t2,") for line in table.splitlines() if line.startswith("a,")]
    (results / "gates.csv").write_text(table + "".join(f"{line}\n" for line in more))
    (results / "gatingml" / "a.t2.xml").write_text(gatingml(OURS))
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "a.xml").write_text(gatingml(OURS))
    (folder / "a.t2.xml").write_text(gatingml(HAND))
    comparison = compare_results(results, folder)
    found = {(row.template, row.population): row.n_theirs for row in comparison.rows}
    assert found == {("t", "Live"): 80, ("t", "T"): 50, ("t2", "Live"): 70, ("t2", "T"): 55}


def test_labels_of_another_file_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"99 labels; expected one for each of 100 events"):
        compare_results(results, label_table(tmp_path, ["a"], 99))


def test_files_are_found_by_their_content(results: Path, tmp_path: Path) -> None:
    reference = label_table(tmp_path, ["a", "b"])
    moved = tmp_path / "archive" / "2024"
    moved.mkdir(parents=True)
    (tmp_path / "fcs" / "tube_a.fcs").rename(moved / "renamed.fcs")
    # Another file has taken the name of the second one.
    (tmp_path / "fcs" / "tube_b.fcs").write_bytes((tmp_path / "fcs" / "tube_c.fcs").read_bytes())
    away = tmp_path / "elsewhere"
    away.mkdir()
    reference = reference.rename(away / "labels.csv")
    comparison = compare_results(results, reference, fcs=[tmp_path / "archive"])
    assert {row.sample_id for row in comparison.rows} == {"a"}
    (reason,) = comparison.not_compared
    assert reason.startswith("b [t]: b: its FCS file has another content now")


def test_gates_that_are_not_those_of_the_run_are_refused(results: Path, tmp_path: Path) -> None:
    (results / "gatingml" / "b.xml").write_text(gatingml(HAND))
    comparison = compare_results(results, label_table(tmp_path, ["a", "b"]))
    (reason,) = comparison.not_compared
    assert "70 events in Live; expected 80, as the run counted" in reason


def test_nothing_in_common_names_both_sides(results: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"ours: tube_a.fcs, .*; theirs: x"):
        compare_results(results, label_table(tmp_path, ["x"]))
    rows: list[dict[str, object]] = [{"sample_id": "a", "label": "NK"} for _ in range(N_EVENTS)]
    with pytest.raises(StudyError, match=r"ours: Live, T; theirs: NK.*--match"):
        compare_results(results, write_rows(tmp_path / "labels.csv", rows))


def test_a_sample_without_a_common_population_is_told(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "a.xml").write_text(gatingml(HAND))
    (folder / "b.xml").write_text(gatingml({("NK",): 5}))
    comparison = compare_results(results, folder)
    assert comparison.not_compared == ("b: no population is in both results and reference",)
    assert comparison.unmatched_theirs == ("NK",)


def test_a_file_that_cannot_be_read_does_not_spoil_the_others(
    results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "a.xml").write_text(gatingml(HAND))
    (folder / "b.xml").write_text("<!DOCTYPE x><x/>")
    comparison = compare_results(results, folder)
    assert {row.sample_id for row in comparison.rows} == {"a"}
    assert comparison.not_compared[0].startswith("b.xml: ")


def test_a_gate_that_was_not_placed_holds_nothing(results: Path, tmp_path: Path) -> None:
    # Without events in the parent a run places no gate, and writes none.
    table = (results / "gates.csv").read_text()
    rare = (
        table.splitlines()[3].replace("root/Live/T", "root/Live/T/Rare").replace(",50,50,", ",0,0,")
    )
    assert rare == "a,t,root/Live/T/Rare,0,0,"
    (results / "gates.csv").write_text(f"{table}{rare}\n")
    hand = tmp_path / "a.xml"
    hand.write_text(gatingml({**HAND, ("Live", "T", "Rare"): 90}))
    row = compare_results(results, hand).rows[-1]
    assert (row.population, row.n_ours, row.n_theirs, row.f1, row.f1_within) == (
        "Rare", 0, 10, 0.0, None,
    )  # fmt: skip


def test_a_match_or_population_that_is_not_there_is_refused(results: Path, tmp_path: Path) -> None:
    labels = label_table(tmp_path, ["a"])
    with pytest.raises(StudyError, match="names no population of both sides"):
        compare_results(results, labels, match=["T=CD3+"])
    with pytest.raises(StudyError, match="no population NK in the results; expected Live, T"):
        compare_results(results, labels, populations=["NK"])


def test_only_the_populations_asked_for_are_compared(results: Path, tmp_path: Path) -> None:
    hand = tmp_path / "all.xml"
    hand.write_text(gatingml(HAND))
    rows = compare_results(results, hand, populations=["T"]).rows
    assert [(row.population, row.denominator) for row in rows] == [("T", "Live")] * 2


MATCHES: list[tuple[list[str], list[str], dict[str, str]]] = [
    (["Live/T"], ["Live/T", "Dead/T"], {"Live/T": "Live/T"}),
    (["A/T (Live)"], ["Live/T", "Dead/T"], {"A/T (Live)": "Live/T"}),
    (["x/cd4 +"], ["Live/CD4+"], {"x/cd4 +": "Live/CD4+"}),
    (["T"], ["Live/t", "Dead/t"], {}),
    (["cd4", "CD4 "], ["Live/CD4"], {}),
]


@pytest.mark.parametrize(("ours", "theirs", "expected"), MATCHES)
def test_populations_are_paired(
    ours: list[str], theirs: list[str], expected: dict[str, str]
) -> None:
    paths = [[tuple(name.split("/")) for name in names] for names in (ours, theirs)]
    found = match_populations(*paths, {})
    assert {"/".join(m.ours): "/".join(m.theirs[0]) for m in found} == expected


def test_a_given_pair_takes_both_out_of_the_rest() -> None:
    ours, theirs = [("T",), ("B",)], [("Live", "T"), ("Live", "B")]
    found = match_populations(ours, theirs, {"T": ("Live/B",)})
    assert [(m.ours, m.theirs) for m in found] == [(("T",), (("Live", "B"),))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B=k+l", ("B", ("k", "l"))),
        ("CD4+=CD4+", ("CD4+", ("CD4+",))),
        ("B=CD4++k", ("B", ("CD4+", "k"))),
        ("a=b=k", ("a=b", ("k",))),
        ("B=Live/T", ("B", ("Live/T",))),
    ],
)
def test_a_match_is_read_by_the_names_there_are(
    text: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    ours: list[tuple[str, ...]] = [("B",), ("CD4+",), ("a=b",)]
    theirs: list[tuple[str, ...]] = [("k",), ("l",), ("CD4+",), ("Live", "T"), ("Dead", "T")]
    assert split_match(text, ours, theirs) == expected
    with pytest.raises(StudyError):
        split_match("B=T", ours, theirs)


def test_limits_name_the_population_and_what_is_unknown_keeps_none(
    results: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "a.xml").write_text(gatingml(HAND))
    (folder / "b.xml").write_text(gatingml(OURS))
    summaries = compare_results(results, folder).summaries
    assert find_outside(summaries, Limits()) == ()
    # Median F1 of Live 0.967, worst 0.933; of T 0.976 and 0.952.
    assert find_outside(summaries, Limits(least_f1=0.97)) == (
        "Live [t]: median F1 0.9667 is below 0.97",
    )
    assert find_outside(summaries, Limits(least_worst_f1=0.94)) == (
        "Live [t]: worst F1 0.9333 is below 0.94",
    )
    assert len(find_outside(summaries, Limits(most_difference=10.0))) == 1  # 16.1 of T
    # Ours does not vary: no concordance above 0.
    assert len(find_outside(summaries, Limits(least_concordance=0.5))) == 2
    percents = write_rows(
        tmp_path / "percents.csv", [{"sample_id": "a", "population": "T", "percent": "60"}]
    )
    unknown = compare_results(results, percents).summaries
    assert find_outside(unknown, Limits(least_f1=0.1)) == ("T [t]: median F1 unknown is below 0.1",)


def test_tables_hold_every_figure_and_no_formula(results: Path, tmp_path: Path) -> None:
    names = "=cmd()"
    rows: list[dict[str, object]] = [{"sample_id": "a", "label": names} for _ in range(N_EVENTS)]
    comparison = compare_results(
        results, write_rows(tmp_path / "labels.csv", rows), match=[f"T={names}"]
    )
    out = tmp_path / "out"
    write_agreement(comparison, out)
    with (out / "agreement.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert list(row) == list(AGREEMENT)
    assert (row["reference"], row["n_both"], row["f1_within"]) == ("'=cmd()", "50", "")
    with (out / "agreement_summary.csv").open(encoding="utf-8", newline="") as stream:
        (summary,) = csv.DictReader(stream)
    assert list(summary) == list(AGREEMENT_SUMMARY)
    assert (summary["n"], summary["mean_difference"], summary["limit_low"]) == ("1", "-50.0", "")
    assert (out / "agreement.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_into_results(results: Path, tmp_path: Path) -> None:
    comparison = compare_results(results, label_table(tmp_path, ["a"]))
    for place in (results, results / "agreement"):
        with pytest.raises(StudyError, match="lies in a results folder"):
            write_agreement(comparison, place)


def test_a_workspace_is_a_reference(results: Path, tmp_path: Path, data_folder: Path) -> None:
    folder = data_folder / "FlowKit" / "simple_diamond_example"
    source = folder / "test_data_diamond_01.fcs"
    file = {"sample_id": "d", "role": "specimen", "use": "report", "path": source.name}
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    file |= {"dataset": "", "sha256": digest, "from_results": ""}
    write_rows(results / "files.csv", [file])
    everything = gatingml({("everything",): -1e9}).replace('name="A"', 'name="channel_A"')
    (results / "gatingml" / "d.xml").write_text(everything)
    gate = {"sample_id": "d", "template": "t", "path": "root/everything", "review": ""}
    write_rows(results / "gates.csv", [gate | {"count": 200000, "count_before_qc": 200000}])
    workspace = folder / "test_data_diamond_asinh_rect.wsp"
    (row,) = compare_results(results, workspace, match=["everything=upper_right"]).rows
    # The count that FlowKit gives.
    assert (row.n_ours, row.n_theirs, row.n_both) == (200000, 50559, 50559)
    assert row.percent_theirs == pytest.approx(100 * 50559 / 200000)


def test_a_run_agrees_with_its_own_gates(tmp_path: Path, write_study: Callable[..., Path]) -> None:
    out = tmp_path / "somewhere" / "results"
    run_study(write_study(), out, jobs=1, pictures=False)
    files = read_table(out / "files.csv")
    assert list(files["from_results"]) == [f"../../fcs/{name}.fcs" for name in "abc"]
    own = tmp_path / "own"
    shutil.copytree(out / "gatingml", own)
    comparison = compare_results(out, own)
    assert comparison.not_compared == comparison.unmatched_theirs == ()
    assert {row.sample_id for row in comparison.rows} == {"a", "b"}
    assert {row.f1 for row in comparison.rows} <= {1.0, None}
    assert {row.n_ours == row.n_theirs == row.n_both for row in comparison.rows} == {True}


@pytest.mark.parametrize(
    ("section", "columns"), [("agreement", AGREEMENT), ("agreement_summary", AGREEMENT_SUMMARY)]
)
def test_every_column_is_described(
    repository_root: Path, section: str, columns: dict[str, str]
) -> None:
    page = (repository_root / "docs" / "reference" / "results-folder.md").read_text("utf-8")
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    assert {row[1].strip(" `"): row[2].strip() for row in rows} == columns
