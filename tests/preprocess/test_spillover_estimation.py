"""Single stains give the planted matrix back; flowCore's controls give the published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import Floats

from cytoflow_car.errors import SpilloverError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.preprocess.spillover_estimation import (
    LARGEST_RESIDUAL,
    estimate_control,
    estimate_spillover,
    find_lit_detectors,
    find_residuals,
    usable_events,
)
from cytoflow_car.preprocess.stain_groups import ControlEvents
from cytoflow_car.simulate import cells
from cytoflow_car.simulate.cytometer import Acquisition, acquire, draw_session
from cytoflow_car.simulate.panels import T_PANEL, TOP_OF_RANGE, Panel
from cytoflow_car.simulate.specimens import Draw, draw_donor

#: Stains of the panel but for the viability dye, which cannot be bound to T cells here.
STAINS = tuple(i for i, label in enumerate(T_PANEL.stains) if label.antigen != "viability")
DETECTORS = tuple(T_PANEL.detectors[i] for i in STAINS)


def blood(rng: np.random.Generator) -> Draw:
    """Draw lysed blood with 6 % doublets and 4 % dead cells."""
    return replace(draw_donor(rng), dead=0.04, doublets=0.06)


def beads(rng: np.random.Generator, share: float) -> Draw:
    """Draw one kind of cell, of which a share binds the stain: what beads look like."""
    draw = blood(rng)
    rates = np.zeros_like(draw.rates)
    rates[cells.INDEX[cells.t_name("CD4", cells.T_SUBSETS[0], "")]] = share
    rates[cells.INDEX[cells.t_name("CD8", cells.T_SUBSETS[0], "")]] = 1.0 - share
    return replace(draw, rates=rates)


def acquire_stains(
    draw: Draw, antigen: str, brightness: float, n_events: int, rng: np.random.Generator
) -> tuple[list[Acquisition], Acquisition]:
    """Acquire a tube a stain, every label on one antigen, and a tube without stain."""
    session = draw_session(0.05, rng)

    def tube(lit: int | None) -> Acquisition:
        stains = tuple(
            label
            if label.antigen == "viability"
            else replace(label, antigen=antigen, brightness=brightness if i == lit else 0.0)
            for i, label in enumerate(T_PANEL.stains)
        )
        with np.errstate(divide="ignore"):
            return acquire(draw, Panel("single stains", stains), session, n_events, rng)

    return [tube(i) for i in STAINS], tube(None)


def take(values: Floats) -> ControlEvents:
    fluorescence = values[:, 3:-1][:, STAINS].astype(np.float64)
    tops = np.full(len(STAINS), 0.99 * TOP_OF_RANGE)
    return usable_events(fluorescence, values[:, [0, 2]].astype(np.float64), tops)


def with_contaminants(acquired: list[Acquisition], share: float) -> dict[str, ControlEvents]:
    """Return the controls by detector, each with events of the next one's tube."""
    made = {}
    for index, detector in enumerate(DETECTORS):
        own = acquired[index].events.values
        other = acquired[(index + 1) % len(acquired)].events.values
        made[detector] = take(np.concatenate([own, other[: int(share * len(own))]]))
    return made


def planted_matrix(acquired: Acquisition) -> Floats:
    return acquired.spillover.matrix[np.ix_(STAINS, STAINS)]


# Thousand copies times brightness are photo-electrons: 10 is a dim stain of about 700 of them on
# CD4 T cells, whose autofluorescence in V500 is 45.
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("brightness", [10.0, 100.0])
def test_beads_give_the_planted_matrix_back(seed: int, brightness: float) -> None:
    rng = np.random.default_rng(seed)
    acquired, dark = acquire_stains(beads(rng, 0.6), "CD4", brightness, 15_000, rng)
    found = estimate_spillover(with_contaminants(acquired, 0.08), DETECTORS, None, "")
    assert np.abs(found.spillover.matrix - planted_matrix(dark)).max() < 0.005
    assert all(control.flags == () for control in found.controls)


@pytest.mark.parametrize("seed", range(3))
def test_cells_among_others_of_lysed_blood_give_the_planted_matrix_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    acquired, dark = acquire_stains(blood(rng), "CD3", 20.0, 20_000, rng)
    found = estimate_spillover(with_contaminants(acquired, 0.05), DETECTORS, take_all(dark), "")
    assert np.abs(found.spillover.matrix - planted_matrix(dark)).max() < 0.005


def take_all(acquired: Acquisition) -> ControlEvents:
    return take(acquired.events.values)


@pytest.mark.parametrize("seed", range(3))
def test_an_unstained_control_serves_where_all_events_are_stained(seed: int) -> None:
    rng = np.random.default_rng(seed)
    acquired, dark = acquire_stains(beads(rng, 1.0), "CD4", 60.0, 8_000, rng)
    controls = with_contaminants(acquired, 0.05)
    found = estimate_spillover(controls, DETECTORS, take_all(dark), "")
    assert np.abs(found.spillover.matrix - planted_matrix(dark)).max() < 0.005
    with pytest.raises(SpilloverError, match="no negative events"):
        estimate_control(controls[DETECTORS[0]], 0, None)


def test_what_is_too_dim_says_so() -> None:
    rng = np.random.default_rng(5)
    acquired, _ = acquire_stains(beads(rng, 0.6), "CD4", 3.0, 2_000, rng)
    found = estimate_control(take_all(acquired[0]), 0, None)
    assert "CONTROL_TOO_DIM" in found.flags
    assert found.standard_errors.max() > 0.00125


@pytest.mark.parametrize("seed", range(4))
def test_what_another_tube_may_be_off_is_told(seed: int) -> None:
    # Tubes of the simulation differ by 6 % in autofluorescence, which no number of events shows.
    rng = np.random.default_rng(seed)
    acquired, dark = acquire_stains(beads(rng, 1.0), "CD4", 20.0, 8_000, rng)
    controls = with_contaminants(acquired, 0.05)
    found = estimate_spillover(controls, DETECTORS, take_all(dark), "")
    off = np.abs(found.spillover.matrix - planted_matrix(dark))
    assert (off <= 4.0 * found.standard_errors + 1e-3).all()
    for row, control in enumerate(found.controls):
        assert off[row].max() < 0.005 or "CONTROL_TOO_DIM" in control.flags


def test_saturated_events_are_left_out_and_told() -> None:
    rng = np.random.default_rng(6)
    stain = np.concatenate([rng.normal(100, 20, 2000), rng.normal(9000, 900, 2000)])
    values = np.column_stack([stain, 50 + 0.2 * stain + rng.normal(0, 20, 4000)])
    values[:, 0] = np.minimum(values[:, 0], 9500.0)
    control = usable_events(values, np.empty((4000, 0)), np.full(2, 9500.0))
    found = estimate_control(control, 0, None)
    assert control.saturated == pytest.approx(np.mean(values[:, 0] >= 9500.0))
    assert found.flags == ("CONTROL_SATURATED",)
    assert found.slopes[1] == pytest.approx(0.2, abs=0.002)


def test_the_lit_detector_is_found_with_and_without_an_unstained_control() -> None:
    rng = np.random.default_rng(7)
    acquired, dark = acquire_stains(beads(rng, 0.2), "CD4", 20.0, 4_000, rng)
    controls = list(with_contaminants(acquired, 0.05).values())
    assert find_lit_detectors(controls, take_all(dark)) == list(range(len(DETECTORS)))
    assert find_lit_detectors(controls, None) == list(range(len(DETECTORS)))
    assert find_lit_detectors(controls[:1], None) == [None]
    assert find_lit_detectors([take_all(dark)], take_all(dark)) == [None]


def test_residuals_are_what_a_matrix_leaves() -> None:
    rng = np.random.default_rng(8)
    acquired, dark = acquire_stains(beads(rng, 0.5), "CD4", 60.0, 8_000, rng)
    matrix = planted_matrix(dark)
    control = take_all(acquired[1])
    right = find_residuals(control, 1, None, np.linalg.inv(matrix))
    assert np.abs(np.delete(right.slopes, 1)).max() < LARGEST_RESIDUAL / 4
    wrong = matrix.copy()
    wrong[1, 0] -= 0.03
    wrong[1, 2] += 0.02
    left = find_residuals(control, 1, None, np.linalg.inv(wrong))
    # What too little was taken away stays, less what the other rows of the matrix take of it.
    expected = matrix[1] @ np.linalg.inv(wrong)
    assert left.slopes == pytest.approx(expected / expected[1], abs=0.003)
    assert left.slopes[0] > LARGEST_RESIDUAL


FLOWCORE = Path("flowCore/inst/extdata/compdata")
#: Spillover kept with flowCore for its five controls; rows and columns FL1-H to FL4-H.
COMPMATRIX = (
    (1, 0.24, 0.032, 1.13e-3),
    (7.77e-3, 1, 0.14, 2.74e-3),
    (8.69e-3, 0.17, 1, 0.21),
    (7.95e-4, 9.95e-4, 3.23e-3, 1),
)


def read_published(path: Path) -> Floats:
    lines = path.read_text(encoding="utf-8").splitlines()[1:5]
    return np.asarray([[float(cell) for cell in line.split()[1:]] for line in lines])


def test_flowcores_controls_agree_with_the_published_matrices(data_folder: Path) -> None:
    folder = data_folder / FLOWCORE
    if not folder.is_dir():
        pytest.skip("flowCore's compensation controls are not in the data folder")
    published = np.asarray(
        [COMPMATRIX, *(read_published(folder / name) for name in ("compref1", "compref3"))]
    )

    def control(number: int) -> ControlEvents:
        values = read_fcs(folder / "data" / f"060909.00{number}").events.values
        columns = values[:, [2, 3, 4, 6]].astype(np.float64)
        return usable_events(columns, values[:, :2].astype(np.float64), np.full(4, 9900.0))

    detectors = ("FL1-H", "FL2-H", "FL3-H", "FL4-H")
    stained = [control(number) for number in (2, 3, 5, 4)]
    dark = control(1)
    assert find_lit_detectors(stained, dark) == [0, 1, 2, 3]
    found = estimate_spillover(dict(zip(detectors, stained, strict=True)), detectors, dark, "")
    # Entry by entry: no farther from the nearest published value than published values are from
    # each other, or than one step of the 10-bit logarithmic amplifier moves the ratio.
    apart = np.ptp(published, axis=0)
    nearest = np.abs(found.spillover.matrix - published).min(axis=0)
    assert np.count_nonzero(nearest > apart) <= 1
    step = 10.0 ** (4 / 1024) - 1.0
    own = [np.median(stained[row].values[:, row]) for row in range(4)]
    in_other = np.asarray([np.median(item.values, axis=0) for item in stained])
    one_step = step * (in_other / np.asarray(own)[:, None] + found.spillover.matrix)
    assert (nearest <= np.maximum(apart, one_step)).all()


@pytest.mark.parametrize("seed", range(3))
def test_contaminants_with_another_stain_are_no_negative_events(seed: int) -> None:
    rng = np.random.default_rng(seed)
    glow = (100.0, 150.0, 120.0)
    truth = np.asarray([1.0, 0.2, 0.05])
    stained = rng.normal(glow, 20.0, (9000, 3)) + rng.lognormal(9.0, 0.4, (9000, 1)) * truth
    other = rng.normal(glow, 20.0, (1300, 3))
    other += rng.lognormal(9.0, 0.4, (1300, 1)) * np.asarray([0.0, 1.0, 0.1])

    def take_values(values: Floats) -> ControlEvents:
        return usable_events(values, np.empty((len(values), 0)), np.full(3, 262_143.0))

    control = take_values(np.concatenate([stained, other]))
    dark = take_values(rng.normal(glow, 20.0, (9000, 3)))
    assert estimate_control(control, 0, dark).slopes == pytest.approx(truth, abs=0.005)
    names = ("A", "B", "C")
    with pytest.raises(SpilloverError, match="carry another"):
        estimate_spillover(dict.fromkeys(names, control), names, None, "")
