"""Of few events no text says 0 %, and of blasts each says what could have been seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wording
from hypothesis import example, given
from hypothesis import strategies as st
from planted import prepare

from cytoflow_car.measure.calls import with_call
from cytoflow_car.measure.context import MeasureContext, TubeFacts
from cytoflow_car.measure.counting import Concentration, Count, Percent
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.model.gate import ClusterGate, FalsePositives, Placement
from cytoflow_car.model.measurement import Measurement, Status
from cytoflow_car.model.population import Population, PopulationTree
from cytoflow_car.template import load_template

TEMPLATES = sorted(
    path.stem for path in (Path(__file__).resolve().parents[2] / "gating_templates").glob("*.toml")
)
RULES = {
    f"{name} {rule.assay}": replace(rule, least_events={}, interfering={})
    for name in TEMPLATES
    for rule in load_template(name).detection
}
BLASTS = next(rule for rule in load_template("blasts_bm").detection if rule.call_as)

#: So few events that a percentage of them means little.
few_events = st.integers(0, 19)
n_cells = st.one_of(st.integers(1, 2000), st.integers(2000, 10_000_000))


def take(
    n_events: int,
    n_all: int,
    rule: DetectionRule,
    *,
    limits: FalsePositives | None = None,
    flags: tuple[str, ...] = (),
    n_leukocytes: int | None = None,
) -> tuple[Measurement, ...]:
    """Measure counted cells as a share, a count, and cells a microlitre by beads."""
    placement = Placement(
        ClusterGate(("blast",)), "cluster", 1.0, "", "", flags, false_positives=limits
    )
    kept = min(n_events, n_all)
    counts = {
        "root": (None, n_all),
        "nucleated": ("root", n_all),
        "CD45+": ("nucleated", n_all if n_leukocytes is None else n_leukocytes),
        "CD10+ normal": ("nucleated", n_all - kept),
        "beads": ("root", 5000),
        "blasts": ("nucleated", kept),
    }
    # Counts alone: rows of millions of events would only take time.
    tree = PopulationTree(
        tuple(
            Population(
                name, name, parent, np.arange(count if name == "beads" else 0), count,
                placement if name == "blasts" else None, flags if name == "blasts" else (),
            )
            for name, (parent, count) in counts.items()
        ),
        np.ones(1, dtype=bool),
    )  # fmt: skip
    tube = TubeFacts(beads_per_tube=10_000, volume_ul=100)
    context = MeasureContext(tree, prepare({"CD19": np.zeros(1)}), tube, {rule.assay: rule})
    return (
        Percent("percent", "share", "blasts", "nucleated", rule.assay).take(context),
        Count("count", "n", "blasts", rule.assay).take(context),
        Concentration("concentration", "c", "blasts", rule.assay, beads="beads").take(context),
    )


def call_blasts(
    n_events: int,
    n_all: int,
    rule: DetectionRule = BLASTS,
    *,
    limits: FalsePositives | None = None,
    flags: tuple[str, ...] = (),
    n_leukocytes: int | None = None,
) -> Measurement:
    """Return the share of blasts, with its call."""
    return take(n_events, n_all, rule, limits=limits, flags=flags, n_leukocytes=n_leukocytes)[0]


def faults(measurement: Measurement) -> list[str]:
    return list(
        wording.faults_of_call(
            measurement.call,
            measurement.value_reported,
            measurement.sentence,
            measurement.n_events or 0,
            measurement.n_denominator or 0,
            measurement.denominator,
        )
    )


@st.composite
def false_positives(draw: st.DrawFn) -> FalsePositives:
    blank = float(draw(st.integers(0, 60)))
    lod = ((1.645 + (1.645**2 + 4.0 * blank) ** 0.5) / 2.0) ** 2
    return FalsePositives(blank / 3.0, blank, lod, 0.05, 0.05, 4000)


@pytest.mark.parametrize("name", RULES)
@given(n_events=st.one_of(few_events, st.integers(20, 400)), n_all=n_cells)
def test_no_assay_of_any_template_prints_zero_alone(name: str, n_events: int, n_all: int) -> None:
    for measurement in take(n_events, n_all, RULES[name]):
        texts = (measurement.value_reported, measurement.sentence)
        assert measurement.value_reported
        assert list(wording.faults_of_text(*texts)) == []


@given(n_events=few_events, n_all=n_cells)
@example(n_events=0, n_all=1)
@example(n_events=3, n_all=4_120_000)
def test_few_blasts_by_the_gate(n_events: int, n_all: int) -> None:
    assert faults(call_blasts(n_events, n_all)) == []


@given(n_events=few_events, n_all=n_cells, limits=false_positives())
def test_few_blasts_by_the_baseline(n_events: int, n_all: int, limits: FalsePositives) -> None:
    assert faults(call_blasts(n_events, n_all, limits=limits)) == []


@given(n_events=st.integers(20, 2000), n_all=n_cells)
@example(n_events=300, n_all=1_000_000)
def test_many_events_are_never_a_negative(n_events: int, n_all: int) -> None:
    found = call_blasts(n_events, n_all)
    assert faults(found) == []
    assert found.call != "NEG"


@given(n_events=st.integers(0, 2000), n_all=st.integers(1, 199_999))
def test_cells_too_few_for_the_limit_are_never_a_negative(n_events: int, n_all: int) -> None:
    found = call_blasts(n_events, n_all)
    assert faults(found) == []
    assert found.call != "NEG"


@given(n_events=few_events, n_all=n_cells, limits=st.none() | false_positives())
def test_a_diluted_marrow_is_never_a_negative(
    n_events: int, n_all: int, limits: FalsePositives | None
) -> None:
    found = call_blasts(n_events, n_all, limits=limits, flags=("HEMODILUTED",))
    assert found.call in ("SUSPECT", "INDETERMINATE")
    assert "not detected" not in found.sentence and not wording.says_zero(found.sentence)


def test_the_sentence_of_a_negative() -> None:
    found = call_blasts(3, 4_120_000, replace(BLASTS, blank_percent=0.0, interfering={}))
    assert found.sentence == (
        "Blasts not detected (n/N = 3/4,120,000 nucleated; assay LOD 20 events = 0.00049%; upper "
        "95% limit 0.00021%). A negative result does not exclude disease below this level."
    )
    assert found.value_reported == "<0.000485"


def test_a_suspicion_claims_nothing() -> None:
    found = call_blasts(15, 1_000_000)
    assert found.call == "SUSPECT"
    assert found.sentence == (
        "Blasts suspected, too few events to call them detected (n/N = 15/1,000,000 nucleated; "
        "assay LOD 20 events = 0.002%; upper 95% limit 0.0025%)."
    )


def test_events_that_blanks_reach_are_not_told_from_background() -> None:
    # 500 of a million normal cells fall into the gate.
    found = call_blasts(300, 1_000_000)
    assert (found.call, found.status) == ("INDETERMINATE", Status.INDETERMINATE)
    assert found.sentence.startswith("Inconclusive: not told from background (n/N = 300/1,000,000 ")
    assert found.value_reported == "indeterminate"
    assert "WITHIN_BACKGROUND" in found.flags


def test_the_reason_of_an_indeterminate_is_the_true_one() -> None:
    # Cells enough for a share, but the events may be normal precursors.
    rule = replace(BLASTS, interfering={"CD10+ normal": 2.0})
    found = call_blasts(100, 5000, rule)
    assert found.flags == ("INTERFERENCE",)
    assert found.sentence.startswith("Inconclusive: not told from background (")
    # Erythroblasts enough for any limit, but hardly a leukocyte.
    few = call_blasts(30, 1_000_000, n_leukocytes=99)
    assert few.status is Status.INSUFFICIENT
    assert few.sentence.startswith("Inconclusive: insufficient cells (n/N = 30/1,000,000 ")


@pytest.mark.parametrize("n_all", [5, 19, 20])
def test_hundred_percent_has_no_exponent(n_all: int) -> None:
    found = call_blasts(n_all, n_all)
    assert "upper 95% limit 100%" in found.sentence
    assert faults(found) == []


def test_the_confidence_is_told_as_it_is() -> None:
    found = with_call(call_blasts(3, 1_000_000), BLASTS, 0.995)
    assert "upper 99.5% limit" in found.sentence


def test_zeros_are_seen() -> None:
    zeros = ("0", "0 %", "0%", "0.0%", "0.00 %", "<0", "<0.0 (trace)", "detected: 0% of nucleated")
    assert [text for text in zeros if not wording.says_zero(text)] == []
    told = ("0 of 500", "n/N = 0/25,633 nucleated", "0.02%", "100%", "10 %", "<0.05", "0.30%")
    assert [text for text in told if wording.says_zero(text)] == []
