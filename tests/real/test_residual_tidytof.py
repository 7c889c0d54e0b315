"""Blasts of a patient with B-cell leukaemia, told from marrow, with and without target antigens.

The mass-cytometry events of tidytof (Good et al., Nature Medicine 24 (2018) 474-483): 2500
B-lineage cells of a healthy donor and 2500 of a patient at diagnosis. One half of each teaches, the
other is judged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cytoflow_car.clustering.residual import DensityRatio, fit_ratio

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Surface markers, in the file's order; signalling is left out.
MARKERS = (
    "cd45",
    "cd19",
    "cd22",
    "cd79b",
    "cd20",
    "cd34",
    "cd123",
    "cd10",
    "cd24",
    "cd127",
    "cd43",
    "cd38",
    "cd58",
)
ANTIGENS = ("cd19", "cd22")
#: Antigens that the blasts lose.
LOSSES = ((), ("cd19",), ("cd22",), ("cd19", "cd22"))
SPLITS = range(3)
# Standard deviation of the blur, on the scale of the events: one donor tells of no differences.
_BLUR = 0.2


@pytest.fixture(scope="module")
def events(data_folder: Path) -> tuple[Floats, Mask]:
    """Return (n_events, n_markers) arcsinh-scaled events, and which are the patient's."""
    path = data_folder / "tidytof" / "ddpr_data.csv"
    if not path.is_file():
        pytest.skip("the data folder has no tidytof")
    table = pd.read_csv(path)
    values = np.arcsinh(table[list(MARKERS)].to_numpy() / 5.0).astype(np.float32)
    return values, (table["sample_name"] != "Healthy1_Basal").to_numpy(bool)


def split(is_blast: Mask, seed: int) -> Mask:
    """Choose half of each class, (n_events,)."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(is_blast), dtype=bool)
    for own in (np.flatnonzero(~is_blast), np.flatnonzero(is_blast)):
        chosen[rng.choice(own, len(own) // 2, replace=False)] = True
    return chosen


def learn(values: Floats, is_blast: Mask, taught: Mask) -> tuple[DensityRatio, DensityRatio]:
    """Learn the ratio of all markers, and that of all but the antigens."""
    everything = np.arange(len(MARKERS))
    without = np.delete(everything, [MARKERS.index(name) for name in ANTIGENS])
    blur = np.full(len(MARKERS), _BLUR)
    normal, blasts = values[taught & ~is_blast], values[taught & is_blast]
    one, other = (fit_ratio(normal, blasts, columns, blur, 0) for columns in (everything, without))
    return one, other


def lose(values: Floats, is_blast: Mask, antigens: tuple[str, ...]) -> Floats:
    """Put the blasts' antigens to where the negative events of all lie."""
    lost = values.copy()
    for name in antigens:
        column = MARKERS.index(name)
        lost[is_blast, column] = np.quantile(values[:, column], 0.05)
    return lost


def passes(scores: Floats, normal: Mask, share: float) -> Mask:
    """Tell which events lie above what so large a share of the normal ones exceeds."""
    return np.asarray(scores > np.quantile(scores[normal], 1.0 - share))


@pytest.mark.parametrize("antigens", LOSSES, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("seed", SPLITS)
def test_blasts_are_found_whatever_antigen_they_lose(
    events: tuple[Floats, Mask], seed: int, antigens: tuple[str, ...]
) -> None:
    values, is_blast = events
    taught = split(is_blast, seed)
    _, without = learn(values, is_blast, taught)
    judged = lose(values, is_blast, antigens)[~taught]
    blasts = is_blast[~taught]
    found = passes(without.score(judged), ~blasts, 0.01)
    assert np.mean(found[~blasts]) <= 0.0104
    assert np.mean(found[blasts]) >= 0.94


@pytest.mark.parametrize("antigens", LOSSES, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("seed", SPLITS)
def test_either_ratio_finds_them_at_the_same_false_positives(
    events: tuple[Floats, Mask], seed: int, antigens: tuple[str, ...]
) -> None:
    values, is_blast = events
    taught = split(is_blast, seed)
    judged = lose(values, is_blast, antigens)[~taught]
    blasts = is_blast[~taught]
    found = np.zeros(len(judged), dtype=bool)
    for ratio in learn(values, is_blast, taught):
        found |= passes(ratio.score(judged), ~blasts, 0.005)
    assert np.mean(found[~blasts]) <= 0.01
    assert np.mean(found[blasts]) >= 0.93


def test_the_ratio_without_the_antigens_does_not_see_them(events: tuple[Floats, Mask]) -> None:
    values, is_blast = events
    both, without = learn(values, is_blast, split(is_blast, 0))
    lost = lose(values, is_blast, ANTIGENS)
    assert np.array_equal(without.score(values), without.score(lost))
    assert not np.array_equal(both.score(values), both.score(lost))


def test_what_is_learned_repeats(events: tuple[Floats, Mask]) -> None:
    values, is_blast = events
    taught = split(is_blast, 1)
    one, other = (learn(values, is_blast, taught)[1].score(values) for _ in range(2))
    assert np.array_equal(one, other)
