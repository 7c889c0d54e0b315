"""Drift: a batch at another gain stands out, batches that only vary do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.job import GatedPopulation, PopulationMedian, SampleJob, SampleResult
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Placement,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.scale import Linear, Logicle
from cytoflow_car.qc.drift import (
    RULES,
    DriftFinding,
    DriftSetting,
    Position,
    Rule,
    edge_positions,
    find_drift,
)
from cytoflow_car.study.drift import drift_rows
from cytoflow_car.study.plan import PlannedSample, StudyPlan
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.template import Template, parse_template

BATCHES = tuple(f"S{number}" for number in range(1, 13))


def judge(
    *series: float, rules: tuple[Rule, ...] = ("1_3s",), **changes: int
) -> list[DriftFinding]:
    """Judge batches of one specimen each, in this order."""
    positions = [
        Position("x", f"{batch}a", batch, at) for batch, at in zip(BATCHES, series, strict=False)
    ]
    setting = DriftSetting(rules=rules, **changes)  # type: ignore[arg-type]
    return list(find_drift(positions, BATCHES, setting))


def broken_by(findings: list[DriftFinding]) -> dict[str, tuple[Rule, ...]]:
    return {item.batch: item.broken for item in findings if item.broken and not item.sample_id}


#: Median 0, and a standard deviation of just under 0.01 by the median absolute deviation.
QUIET = (-0.006, 0.006, -0.01, 0.01, 0.0, -0.003, 0.003)


@pytest.mark.parametrize(
    ("rule", "added", "broken"),
    [
        ("1_2s", (0.025,), ["S8"]),
        ("1_3s", (0.025,), []),
        ("1_3s", (0.05,), ["S8"]),
        ("1_3s", (-0.05,), ["S8"]),
        ("2_2s", (0.028,), []),
        ("2_2s", (0.028, 0.028), ["S9"]),
        ("2_2s", (0.028, -0.028), []),
        ("4_1s", (0.05, 0.05, 0.05), []),
        ("4_1s", (0.05, 0.05, 0.05, 0.05), ["S11"]),
    ],
)
def test_a_rule_is_broken_where_its_name_says(
    rule: Rule, added: tuple[float, ...], broken: list[str]
) -> None:
    assert list(broken_by(judge(*QUIET, *added, rules=(rule,)))) == broken


def test_ten_on_one_side() -> None:
    up = [0.001 + 0.0001 * n for n in range(10)]
    setting = DriftSetting(rules=("10_x",), least_batches=3)
    batches = [f"S{n:02d}" for n in range(21)]
    series = [-at for at in up] + [0.0] + up
    positions = [Position("x", b, b, at) for b, at in zip(batches, series, strict=True)]
    found = broken_by(list(find_drift(positions, batches, setting)))
    assert list(found) == ["S09", "S20"]


def test_every_rule_is_told_in_deviations() -> None:
    by_name = {item.batch: item for item in judge(*QUIET, 0.05)}
    assert by_name["S8"].shift is not None
    assert by_name["S8"].shift == pytest.approx(0.05 - 0.0015, abs=1e-9)
    assert by_name["S8"].deviations == pytest.approx(by_name["S8"].shift / 0.01, rel=0.25)
    assert set(RULES) == {"1_2s", "1_3s", "2_2s", "4_1s", "10_x"}


def test_with_few_batches_nothing_is_judged() -> None:
    (finding,) = judge(0.0, 0.0, 0.5, least_batches=4)
    assert finding.deviations is None and not finding.broken
    assert finding.compared == "not judged: 3 of at least 4 batches"


def test_what_lies_at_one_place_everywhere_is_no_finding() -> None:
    assert judge(*[0.3] * 8) == []


def test_batches_that_happen_to_agree_do_not_make_the_next_one_drift() -> None:
    assert not broken_by(judge(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.315))
    assert broken_by(judge(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.33))


def test_the_spread_of_specimens_is_allowed_for() -> None:
    rng = np.random.default_rng(4)
    positions = [
        Position("x", f"{batch}{n}", batch, float(rng.normal(0.5, 0.05)))
        for batch in BATCHES
        for n in range(4)
    ]
    assert not broken_by(list(find_drift(positions, BATCHES, DriftSetting(rules=("1_3s",)))))


def test_one_specimen_off_is_told_by_name_and_its_batch_is_not() -> None:
    rng = np.random.default_rng(1)
    positions = [
        Position("x", f"{batch}{n}", batch, float(rng.normal(0.5, 0.005)))
        for batch in BATCHES
        for n in range(5)
    ]
    positions[7] = Position("x", "odd", BATCHES[1], 0.7)
    found = list(find_drift(positions, BATCHES, DriftSetting()))
    assert [item.sample_id for item in found if item.sample_id] == ["odd"]
    assert not broken_by(found)


def test_order_of_the_specimens_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    positions = [Position("x", f"{b}a", b, float(rng.normal())) for b in BATCHES]
    assert list(find_drift(positions, BATCHES, DriftSetting())) == list(
        find_drift(positions[::-1], BATCHES, DriftSetting())
    )


def test_an_edge_lies_where_its_scale_says() -> None:
    scales = {"x": Linear(100.0), "y": Linear(10.0)}
    x, y = (Dimension(name, scale) for name, scale in scales.items())
    inf = float("inf")
    assert edge_positions(RectangleGate((x, y), (20.0, -inf), (inf, 5.0)), scales) == {
        "x from": 0.2,
        "y to": 0.5,
    }
    assert edge_positions(QuadrantGate((x, y), (30.0, 4.0)), scales) == {
        "x divider": 0.3,
        "y divider": 0.4,
    }
    ellipse = EllipsoidGate((x, y), (10.0, 1.0), ((20.0, 1.0), (10.0, 2.0)))
    assert edge_positions(ellipse, scales) == {"x center": 0.1, "y center": 0.1}
    # A corner more on an edge moves no centroid.
    square = PolygonGate((x, y), ((0, 0), (20, 0), (40, 0), (40, 4), (0, 4)))
    assert edge_positions(square, scales) == pytest.approx({"x center": 0.2, "y center": 0.2})
    assert edge_positions(BooleanGate("not", ("a",)), scales) == {}
    assert edge_positions(square, {"x": scales["x"]}) == {}


TEMPLATE = """
name = "small"
version = "1"
description = "B cells"
specimens = ["PB"]
measurements = []
detection = []
markers = [{ name = "CD3", stains = ["CD3"] }, { name = "CD19", stains = ["CD19"] }]
[[populations]]
name = "T"
parent = "root"
gate = { method = "valley", marker = "CD3", keep = "above", prior = 500.0, low = 1.0, high = 9e4 }
[[populations]]
name = "B"
parent = "root"
gate = { method = "valley", marker = "CD19", keep = "above", prior = 500.0, low = 1.0, high = 9e4 }
[drift]
populations = { T = ["CD3"] }
"""
SMALL = parse_template(TEMPLATE, where="small.toml")


def run_rows(
    *, gain: float = 1.5, drifted: str = "S4", instrument: bool = False, template: Template = SMALL
) -> list[dict[str, object]]:
    """Return the rows of 8 batches of 4 specimens; in one, CD3 is read at another gain.

    Half of the specimens have no B cells: the gate is at its prior, or was found in noise.
    """
    rng = np.random.default_rng(0)
    rows, samples, results = [], [], []
    for number, batch in enumerate(BATCHES[:8]):
        day_gain = np.exp(rng.normal(0.0, 0.05))
        for n in range(4):
            sample_id = f"{batch}_{n}"
            row = SheetRow(
                sample_id,
                batch=batch,
                instrument=f"I{number % 2}" if instrument else "I",
            )
            # The width is estimated anew for each file.
            scales = {
                marker: Logicle(width=float(rng.uniform(0.7, 1.3))) for marker in ("CD3", "CD19")
            }
            cd3 = 1500.0 * day_gain * np.exp(rng.normal(0.0, 0.03))
            cd3 *= gain if batch == drifted else 1.0
            cd19 = 1200.0 * day_gain * np.exp(rng.normal(0.0, 0.03))
            found: dict[str, tuple[float, float, tuple[str, ...]]]
            found = {"T": (cd3, 1.0, ()), "B": (cd19, 1.0, ())}
            if n == 0:
                found["B"] = (60.0, 0.9, ("PRIOR_KEPT",))
            if n == 1:
                found["B"] = (15_000.0, 0.1, ())
            populations = tuple(
                GatedPopulation(
                    name,
                    f"root/{name}",
                    10,
                    10,
                    100,
                    Placement(
                        RectangleGate((Dimension(marker, scales[marker]),), (at,), (float("inf"),)),
                        "valley",
                        confidence,
                        "",
                        flags=flags,
                    ),
                    (),
                )
                for marker, (name, (at, confidence, flags)) in zip(
                    ("CD3", "CD19"), found.items(), strict=True
                )
            )
            rows.append(row)
            samples.append(PlannedSample(row, SampleJob(sample_id, (), template), ()))
            results.append(
                SampleResult(
                    sample_id,
                    "small",
                    (),
                    populations,
                    (),
                    scales,
                    medians=(PopulationMedian("T", "CD3", 6.0 * cd3),),
                )
            )
    study = Study(Path("study"), tuple(rows))
    plan = StudyPlan(study, {"small": template}, tuple(samples), {}, (), {})
    return list(drift_rows(plan, results))


def flagged(rows: list[dict[str, object]]) -> set[tuple[object, object]]:
    return {(row["batch"], row["item"]) for row in rows if row["flag"] == "DRIFT"}


def test_a_batch_at_another_gain_is_flagged_and_no_other() -> None:
    rows = run_rows()
    assert flagged(rows) == {
        ("S4", "gate T: CD3 from"),
        ("S4", "population T: CD3 median"),
    }
    batch = next(row for row in rows if row["batch"] == "S4" and not row["sample_id"])
    assert batch["check"] == "drift" and batch["unit"] == "SD" and batch["value"] > 3  # type: ignore[operator]
    assert str(batch["limit"]).startswith("1_3s broken; 1_3s: no one more than 3 SD off")


def test_batches_that_only_vary_are_not_flagged() -> None:
    assert flagged(run_rows(gain=1.0)) == set()


def test_specimens_without_the_population_tell_nothing() -> None:
    rows = [row for row in run_rows() if row["item"] == "gate B: CD19 from"]
    assert len(rows) == 8
    assert all("2 specimens against" in str(row["limit"]) for row in rows)


def test_instruments_are_judged_apart() -> None:
    rows = [row for row in run_rows(instrument=True) if not row["sample_id"]]
    assert len(rows) == 2 * 3
    assert {row["value"] for row in rows} == {None}
    assert all("not judged: 4 of at least 6 batches" in str(row["limit"]) for row in rows)
