"""The ratio gate is a diagonal: gain does not move it, and who lies above is plain."""

from __future__ import annotations

import numpy as np
import pytest
from planted import Floats, Mask, f1, prepare, stain

from cytoflow_car.errors import GateError
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.ratio import Ratio
from cytoflow_car.gating.shapes import Boolean, Reference
from cytoflow_car.gating.thresholds import Fixed
from cytoflow_car.gating.tree import PopulationRule, gate_events
from cytoflow_car.model.gate import Placement, PolygonGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import ROOT

RATIO = Ratio("ratio", "CD58", "CD38", relative_to="T", prior=0.3, low=0.1, high=0.8)
N_T = 4000
#: Values below sit on the edge of a logarithmic axis: the top of the scale less four decades.
LOWEST = 262144.0 / 1e4


def specimen(
    share: float, *, gain_58: float = 1.0, gain_38: float = 1.0
) -> tuple[dict[str, Floats], Mask]:
    """Make T cells of ratio 0.5, then precursors of a twentieth, of which a share has 0.4."""
    rng, n_events = np.random.default_rng(1), 20_000
    other = rng.random(n_events) < share
    relative = np.concatenate([np.ones(N_T), np.where(other, 0.8, 0.05)])
    cd38 = rng.lognormal(np.log(6000.0), 0.5, N_T + n_events)
    cd58 = 0.5 * relative * cd38 * rng.lognormal(0.0, 0.25, N_T + n_events)
    return {"CD58": gain_58 * cd58, "CD38": gain_38 * cd38}, other


def place(columns: dict[str, Floats], method: Ratio = RATIO) -> tuple[Placement, PreparedEvents]:
    prepared = prepare(columns)
    rows = np.arange(len(prepared))
    parent = Parent("CD10+", prepared, rows[N_T:])
    return method.place(parent, References(rows={"T": rows[:N_T]})), prepared


def above(placement: Placement, prepared: PreparedEvents) -> Mask:
    assert isinstance(placement.gate, PolygonGate)
    return members(placement.gate, prepared, np.arange(N_T, len(prepared)))


@pytest.mark.parametrize("share", [0.03, 0.3, 0.9])
def test_planted_diagonal_is_recovered(share: float) -> None:
    columns, other = specimen(share)
    placement, prepared = place(columns)
    assert f1(above(placement, prepared), other) > 0.995
    assert placement.flags == ()
    assert placement.confidence >= 0.5
    assert "valley" in placement.reason


@pytest.mark.parametrize(("gain_58", "gain_38"), [(0.5, 1.0), (1.0, 0.5), (2.0, 0.5), (1.7, 1.7)])
def test_gain_of_either_detector_does_not_matter(gain_58: float, gain_38: float) -> None:
    columns, _ = specimen(0.3)
    drifted, _ = specimen(0.3, gain_58=gain_58, gain_38=gain_38)
    straight, moved = above(*place(columns)), above(*place(drifted))
    # Bins of the density begin at an event, which rounding may move to the neighbour.
    assert np.count_nonzero(straight != moved) <= 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_valley_the_prior_stays_and_says_so(share: float) -> None:
    columns, other = specimen(share)
    placement, prepared = place(columns)
    assert placement.flags == ("PRIOR_KEPT",)
    assert "above 0.3 of T" in placement.reason
    assert "prior kept" in placement.reason
    assert np.mean(above(placement, prepared) == other) > 0.99


@pytest.mark.parametrize("log_ratio", [-4.5, -2.0, -1.0, -0.3, 0.2, 1.0, 2.5])
def test_members_are_those_of_the_plain_inequality(log_ratio: float) -> None:
    rng = np.random.default_rng(4)
    columns = {name: 10 ** rng.uniform(-1.0, 5.4, 20_000) for name in ("CD58", "CD38")}
    # Compensation puts many below zero: both, either, none.
    columns["CD58"][:1500] *= -1.0
    columns["CD38"][1000:3000] *= -1.0
    prepared = prepare(columns)
    rows = np.arange(20_000)
    method = Ratio("ratio", "CD58", "CD38", "T", prior=10**log_ratio, low=1e-9, high=1e9)
    # Of all T cells both values are equal, and 20 events hold no valley: the prior is the ratio.
    equal = prepare({"CD58": np.full(60, 900.0), "CD38": np.full(60, 900.0)})
    together = prepare(
        {name: np.concatenate([equal.values(name), columns[name]]) for name in ("CD58", "CD38")}
    )
    parent = Parent("CD10+", together, np.arange(60, 80))
    placement = method.place(parent, References(rows={"T": np.arange(60)}))
    assert isinstance(placement.gate, PolygonGate)
    clipped = {name: np.maximum(values, LOWEST) for name, values in columns.items()}
    plain = np.log10(clipped["CD58"] / clipped["CD38"]) >= log_ratio
    assert np.array_equal(members(placement.gate, prepared, rows), plain)
    assert 0 < np.count_nonzero(plain) <= 20_000


def test_too_few_to_compare_with_leaves_its_branch_ungated_and_says_so() -> None:
    rng = np.random.default_rng(6)
    n_events = 3000
    t_cell = np.arange(n_events) < 49
    prepared = prepare(
        {
            "CD3": stain(rng, t_cell),
            "CD58": rng.lognormal(8, 0.5, n_events),
            "CD38": rng.lognormal(8, 0.5, n_events),
        }
    )
    rules = (
        PopulationRule(ROOT, Fixed("fixed", "CD3", "above", 2000.0), "T"),
        PopulationRule(ROOT, RATIO, "over"),
        PopulationRule("over", Fixed("fixed", "CD3", "below", 2000.0), "below it"),
        PopulationRule(ROOT, Boolean("boolean", "not", ("over",)), "others"),
        PopulationRule(ROOT, Reference("reference", "over"), "again"),
        PopulationRule(ROOT, Fixed("fixed", "CD3", "below", 2000.0), "elsewhere"),
    )
    tree = gate_events(prepared, rules, np.ones(n_events, dtype=bool))
    why = "NOT_GATED:population beneath root: only 49 events of 'T' to compare with, expected"
    for name in ("over", "below it", "others"):
        assert (tree[name].count, tree[name].placement) == (0, None)
        (flag,) = tree[name].flags
        assert flag.startswith(why)
        # Flags are joined by semicolons in the tables.
        assert ";" not in flag
    assert (tree["again"].count, tree["again"].placement) == (0, None)
    assert any(flag.startswith("NOT_GATED") for flag in tree["again"].flags)
    assert tree["elsewhere"].count == n_events - 49
    assert tree["elsewhere"].flags == ()
    with pytest.raises(GateError, match="only 49 events"):
        RATIO.place(
            Parent(ROOT, prepared, np.arange(n_events)), References(rows={"T": np.arange(49)})
        )
