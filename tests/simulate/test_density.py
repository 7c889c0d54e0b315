"""The told density is what the light of the cells holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.course import draw_patients
from cytoflow_car.simulate.cytometer import LIVE, Acquisition, Session, acquire, draw_session
from cytoflow_car.simulate.panels import B_PANEL, DETECTORS
from cytoflow_car.simulate.specimens import Draw, draw_marrow, draw_normal_marrow
from cytoflow_car.simulate.truth import Truth, tell_density

EVENTS = 60_000
STAINS = {stain.antigen: stain for stain in B_PANEL.stains}


@pytest.fixture(scope="module")
def marrow() -> Draw:
    """Return a marrow with many blasts and many normal B cells."""
    rng = np.random.default_rng(20)
    draw = draw_marrow(draw_patients(1, rng)[0], 0, rng)
    rates = draw.rates.copy()
    rates[cells.NORMAL_B] *= 0.3 / rates[cells.NORMAL_B].sum()
    return replace(draw, rates=rates)


@pytest.fixture(scope="module")
def session() -> Session:
    return draw_session(0.2, np.random.default_rng(21))


def run(draw: Draw, session: Session, omitted: str = "") -> Acquisition:
    """Return a run; only `omitted` differs between two of them."""
    return acquire(draw, B_PANEL, session, EVENTS, np.random.default_rng(22), omitted=omitted)


def tell(draw: Draw, acquisition: Acquisition) -> dict[str, Truth]:
    rows = tell_density(B_PANEL, draw, acquisition, np.random.default_rng(23))
    assert {row.unit for row in rows} <= {"ABC"}
    return {row.measurement: row for row in rows}


@pytest.mark.parametrize("antigen", ["CD19", "CD22"])
@pytest.mark.parametrize(
    ("what", "members"), [("blast", cells.BLASTS), ("normal_b", cells.NORMAL_B)]
)
def test_density_is_found_in_the_events_less_an_fmo(
    marrow: Draw, session: Session, antigen: str, what: str, members: cells.Members
) -> None:
    full, fmo = run(marrow, session), run(marrow, session, omitted=antigen)
    told = tell(marrow, full)[f"{what}_{antigen.lower()}_abc"]
    stain = STAINS[antigen]
    gain = DETECTORS[stain.detector].gain * session.gain[stain.detector]
    medians = []
    for acquisition in (full, fmo):
        rows = (acquisition.kinds == LIVE) & members[acquisition.labels]
        values = acquisition.events.values[rows, 3:-1].astype(float)
        values = values @ np.linalg.inv(acquisition.spillover.matrix)
        medians.append(np.median(values[:, B_PANEL.antigens.index(antigen)]))
    assert told.n_events == rows.sum() > 4000
    assert told.n_denominator is None
    found = 1000 * (medians[0] - medians[1]) / (gain * stain.brightness)
    # Noise of several thousand cells moves a median by 2 % at most.
    assert told.value == pytest.approx(found, rel=0.03)


def test_planted_density_is_that_of_very_many_cells(marrow: Draw, session: Session) -> None:
    for row in tell(marrow, run(marrow, session)).values():
        assert row.value is not None
        # Two medians, of more than 4000 cells with an SD of ln copies below 0.8 and of 50,000.
        assert np.log(row.value / row.planted) == pytest.approx(0.0, abs=4 * 1.25 * 0.8 / 4000**0.5)


def test_density_follows_what_binds_that_day_and_no_gain(marrow: Draw, session: Session) -> None:
    usual = tell(marrow, run(marrow, session))
    more = replace(session, staining=session.staining | {"CD22": session.staining["CD22"] + 0.5})
    louder = replace(session, gain={name: 2 * gain for name, gain in session.gain.items()})
    stained, amplified = (tell(marrow, run(marrow, other)) for other in (more, louder))
    assert usual == amplified
    for name, row in usual.items():
        factor = np.exp(0.5) if "cd22" in name else 1.0
        assert stained[name].value == pytest.approx(factor * row.value, rel=1e-4)
        assert stained[name].planted == pytest.approx(factor * row.planted, rel=1e-4)


def test_an_fmo_has_bound_nothing_of_what_it_lacks(marrow: Draw, session: Session) -> None:
    fmo = run(marrow, session, omitted="CD22")
    assert not fmo.copies["CD22"].any()
    assert np.array_equal(fmo.copies["CD19"], run(marrow, session).copies["CD19"])


@pytest.mark.parametrize(
    ("specimen", "expected"), [("BM", {"normal_b"}), ("PB", {"normal_b"}), ("CSF", set())]
)
def test_no_density_is_told_of_what_is_not_there(
    session: Session, specimen: str, expected: set[str]
) -> None:
    draw = replace(draw_normal_marrow(np.random.default_rng(24)), specimen=specimen)
    told = tell(draw, run(draw, session))
    assert {name.rsplit("_", 2)[0] for name in told} == expected
    assert len(told) == 2 * len(expected)
