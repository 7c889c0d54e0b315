"""Drawn gates are moved to where a specimen's populations lie, and say how sure they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import Floats, Mask, f1, prepare

from cytoflow_car.gating.learning import HandGatedFile, learn_gate
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.registered import Registered
from cytoflow_car.gating.shapes import FixedEllipsoid, FixedPolygon, Quadrant, Rectangle
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.training import TrainingDensity, group_training
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.model.gate import BooleanGate, Placement, QuadrantGate
from cytoflow_car.model.scale import Logicle

SCALES = {"CD3": Logicle(), "CD4": Logicle()}
POLYGON = FixedPolygon(
    "polygon",
    "CD3",
    "CD4",
    ((2500.0, 1500.0), (60000.0, 1500.0), (60000.0, 90000.0), (2500.0, 90000.0)),
)


def specimen(
    seed: int,
    *,
    n_positive: int = 3000,
    n_negative: int = 7000,
    n_single: int = 2000,
    gain: tuple[float, float] = (1.0, 1.0),
) -> tuple[dict[str, Floats], Mask]:
    """Return double-negative, CD3+CD4- and CD3+CD4+ cells, and who are the last."""
    generator = np.random.default_rng(seed)

    def bright(middle: float, n: int) -> Floats:
        return middle * np.exp(generator.normal(0.0, 0.35, n))

    def dim(n: int) -> Floats:
        return generator.normal(0.0, 150.0, n)

    cd3 = np.concatenate([dim(n_negative), bright(9000.0, n_single), bright(9000.0, n_positive)])
    cd4 = np.concatenate([dim(n_negative), dim(n_single), bright(12000.0, n_positive)])
    wanted = np.zeros(cd3.size, dtype=bool)
    wanted[n_negative + n_single :] = True
    return {"CD3": cd3 * gain[0], "CD4": cd4 * gain[1]}, wanted


def hand_gated(seed: int, drawn: FixedPolygon = POLYGON) -> HandGatedFile:
    columns, _ = specimen(seed)
    prepared = prepare(columns, dict(SCALES))
    return HandGatedFile(prepared, {"T": drawn}, {"root": np.arange(len(prepared))})


def place(
    method: Registered, training: tuple[TrainingDensity, ...], columns: dict[str, Floats]
) -> tuple[Placement, Mask]:
    prepared = prepare(columns, dict(SCALES))
    rows = np.arange(len(prepared))
    references = References(training=group_training(training))
    placement = method.place(Parent("root", prepared, rows), references)
    assert not isinstance(placement.gate, BooleanGate | QuadrantGate)
    return placement, members(placement.gate, prepared, rows)


@pytest.fixture(scope="module")
def learned() -> tuple[Registered, tuple[TrainingDensity, ...]]:
    found = learn_gate(PopulationRule("root", POLYGON, "T"), [hand_gated(1)], seed=0)
    assert isinstance(found.rule.gate, Registered)
    return found.rule.gate, found.training


@pytest.mark.parametrize("gain", [(1.26, 1.26), (1 / 1.26, 1.26), (1.26, 1 / 1.26)])
@pytest.mark.parametrize("n_positive", [40, 300, 9000])
def test_a_gate_follows_its_population_whatever_its_size(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
    gain: tuple[float, float],
    n_positive: int,
) -> None:
    columns, wanted = specimen(2, n_positive=n_positive, gain=gain)
    _, inside = place(*learned, columns)
    assert f1(inside, wanted) > 0.95


def test_an_absent_population_draws_nobody_in(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    columns, _ = specimen(3, n_positive=0)
    placement, inside = place(*learned, columns)
    assert int(inside.sum()) <= 10
    assert placement.confidence > 0.5


def test_the_gate_is_moved_as_far_as_the_gain(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    columns, _ = specimen(2, gain=(1.26, 1.0))
    placement, _ = place(*learned, columns)
    x, y = zip(*placement.gate.vertices, strict=True)  # type: ignore[union-attr]
    assert max(x) == pytest.approx(60000.0 * 1.26, rel=0.1)
    assert max(y) == pytest.approx(90000.0, rel=0.1)


def test_few_events_keep_the_drawn_gate_and_say_so(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    columns, _ = specimen(2, n_positive=10, n_negative=20, n_single=10)
    placement, _ = place(*learned, columns)
    assert (0.0, ("PRIOR_KEPT",)) == (placement.confidence, placement.flags)
    assert placement.gate.vertices == POLYGON.vertices  # type: ignore[union-attr]
    assert "only 40 events" in placement.reason


def test_training_on_another_scale_is_not_used(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    method, training = learned
    columns, _ = specimen(2)
    other = tuple(replace(item, scales=("linear(1)", "linear(1)")) for item in training)
    placement, _ = place(method, other, columns)
    assert ("PRIOR_KEPT",) == placement.flags
    assert "other scales" in placement.reason
    missing, _ = place(method, (), columns)
    assert "no training" in missing.reason


def test_an_unlike_specimen_goes_to_review(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    generator = np.random.default_rng(4)
    spread = {name: generator.uniform(-500.0, 200_000.0, 5000) for name in SCALES}
    placement, _ = place(*learned, spread)
    assert placement.confidence < 0.5


def test_the_same_events_give_the_same_gate(
    learned: tuple[Registered, tuple[TrainingDensity, ...]],
) -> None:
    columns, _ = specimen(5)
    assert place(*learned, columns)[0] == place(*learned, columns)[0]


def test_learning_is_repeatable() -> None:
    rule = PopulationRule("root", POLYGON, "T")
    assert learn_gate(rule, [hand_gated(1)], seed=3) == learn_gate(rule, [hand_gated(1)], seed=3)


def test_of_several_files_the_one_that_is_most_alike_gives_its_gate() -> None:
    # The second laboratory's CD3 is 2.5 times as bright, and its gate lies there.
    wide = replace(POLYGON, vertices=tuple((2.5 * x, y) for x, y in POLYGON.vertices))
    columns, _ = specimen(6, gain=(2.5, 1.0))
    other = HandGatedFile(
        prepare(columns, dict(SCALES)), {"T": wide}, {"root": np.arange(len(columns["CD3"]))}
    )
    found = learn_gate(PopulationRule("root", POLYGON, "T"), [hand_gated(1), other], seed=0)
    assert isinstance(found.rule.gate, Registered)
    assert (POLYGON, wide) == found.rule.gate.drawn
    near, wanted = specimen(7, gain=(2.4, 1.0))
    placement, inside = place(found.rule.gate, found.training, near)
    assert "file 2" in placement.reason
    assert f1(inside, wanted) > 0.97


def test_registration_beats_the_fixed_gate_where_gain_drifts() -> None:
    tight = replace(
        POLYGON,
        vertices=((5000.0, 6000.0), (18000.0, 6000.0), (18000.0, 25000.0), (5000.0, 25000.0)),
    )
    found = learn_gate(PopulationRule("root", tight, "T"), [hand_gated(1, tight)], seed=0)
    assert found.agreement["registered"] > 0.95
    assert found.agreement["registered"] > found.agreement["polygon"] + 0.02


def test_time_is_not_registered() -> None:
    found = learn_gate(
        PopulationRule("root", POLYGON, "T"), [hand_gated(1)], seed=0, unmoved=frozenset({"CD3"})
    )
    assert POLYGON == found.rule.gate
    assert ((), 1.0) == (found.training, found.rule.agreement)


@pytest.mark.parametrize(
    "drawn",
    [
        Fixed("fixed", "CD4", "above", 1500.0),
        Rectangle(
            "rectangle",
            (Fixed("fixed", "CD3", "above", 2500.0), Fixed("fixed", "CD4", "above", 1500.0)),
        ),
        FixedEllipsoid(
            "ellipsoid", ("CD3", "CD4"), (9000.0, 12000.0), ((36000.0, 12000.0), (9000.0, 48000.0))
        ),
    ],
)
def test_every_shape_can_be_learned(drawn: Fixed | Rectangle | FixedEllipsoid) -> None:
    columns, wanted = specimen(1)
    prepared = prepare(columns, dict(SCALES))
    file = HandGatedFile(prepared, {"T": drawn}, {"root": np.arange(len(prepared))})
    found = learn_gate(PopulationRule("root", drawn, "T"), [file], seed=0)
    other, wanted = specimen(2, gain=(1.2, 0.85))
    moved = prepare(other, dict(SCALES))
    references = References(training=group_training(found.training))
    placement = found.rule.gate.place(Parent("root", moved, np.arange(len(moved))), references)
    assert not isinstance(placement.gate, BooleanGate | QuadrantGate)
    assert f1(members(placement.gate, moved, np.arange(len(moved))), wanted) > 0.95


def test_a_quadrant_is_learned_as_one_gate() -> None:
    drawn = Quadrant(
        "quadrant",
        Fixed("fixed", "CD3", "above", 2500.0),
        Fixed("fixed", "CD4", "above", 1500.0),
    )
    columns, _ = specimen(1)
    prepared = prepare(columns, dict(SCALES))
    file = HandGatedFile(prepared, {"T": drawn}, {"root": np.arange(len(prepared))})
    rule = PopulationRule("root", drawn, quadrants={"T": "++", "single": "+-"})
    found = learn_gate(rule, [file], seed=0)
    assert max(found.agreement.values()) > 0.99
    assert {"T", "single"} == set(found.rule.names)


def test_a_learned_quadrant_is_a_template_that_can_be_read() -> None:
    from cytoflow_car.template import parse_template

    side = '{ method = "fixed", marker = "A", keep = "above", at = 1.0 }'
    other = side.replace('"A"', '"B"')
    text = f"""
name = "quadrant"
version = "1"
description = ""
specimens = ["PB"]
measurements = []
detection = []
[[markers]]
name = "A"
detectors = ["A-A"]
[[markers]]
name = "B"
detectors = ["B-A"]
[[populations]]
parent = "root"
quadrants = {{ both = "++", one = "+-" }}
[populations.gate]
method = "registered"
population = "both"
drawn = [{{ method = "quadrant", x = {side}, y = {other} }}]
"""
    assert parse_template(text, where="test").population_names == ("both", "one")
