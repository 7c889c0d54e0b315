"""A moved specimen is brought back; exchanged and silent channels are told by name."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from planted_mixture import (
    MARKERS,
    NEGATIVE,
    STEP,
    Floats,
    Mixture,
    anchor_positions,
    draw_specimen,
)

from cytoflow_car.clustering.alignment import Alignment, align
from cytoflow_car.clustering.identity import ChannelIdentity, check_channels
from cytoflow_car.model.reference import Reference

N_EVENTS = 20_000
GAINS = np.array([0.92, 1.08, 1.0, 0.95, 1.05, 1.1, 0.9, 1.02, 0.97, 1.0])
OFFSETS = STEP * np.array([0.1, -0.1, 0.12, 0.0, -0.05, 0.05, 0.1, -0.12, 0.0, 0.08])
STAINED = range(8)


def move(values: Floats) -> Floats:
    return (values * GAINS + OFFSETS).astype(np.float32)


def silence(mixture: Mixture, channel: int, seed: int, n_events: int = N_EVENTS) -> Floats:
    """Draw a specimen with a channel that carries nothing but noise about the negative."""
    values, _ = draw_specimen(mixture, n_events, seed)
    noise = np.random.default_rng(0).normal(NEGATIVE, 0.06 * STEP, len(values))
    values[:, channel] = noise.astype(np.float32)
    return values


def look(reference: Reference, values: Floats) -> ChannelIdentity:
    positions = anchor_positions(reference, values)
    return check_channels(reference, positions, align(reference, positions))


def test_planted_gain_and_offset_are_recovered(mixture: Mixture, reference: Reference) -> None:
    values, _ = draw_specimen(mixture, N_EVENTS, 0, between=0.0)
    found = align(reference, anchor_positions(reference, move(values)))
    zero = reference.markers[0].scale.inverse(np.array([item.zero for item in reference.markers]))
    one = reference.markers[0].scale.inverse(np.array([item.one for item in reference.markers]))
    offset = -((GAINS - 1.0) * zero + OFFSETS) / (one - zero) / GAINS
    assert found.slope == pytest.approx(1.0 / GAINS, abs=0.03)
    assert found.offset == pytest.approx(offset, abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_moved_specimen_lies_where_it_lay_unmoved(
    mixture: Mixture, reference: Reference, seed: int
) -> None:
    values, _ = draw_specimen(mixture, N_EVENTS, seed)
    positions = anchor_positions(reference, values)
    moved = anchor_positions(reference, move(values))
    unmoved = align(reference, positions).apply(positions)
    aligned = align(reference, moved).apply(moved)
    before = np.sqrt(np.mean((moved - unmoved) ** 2, axis=0))
    after = np.sqrt(np.mean((aligned - unmoved) ** 2, axis=0))
    assert before.max() > 0.1 and after.max() < 0.02


def test_populations_lie_where_the_reference_has_them(
    mixture: Mixture, reference: Reference
) -> None:
    values, labels = draw_specimen(mixture, N_EVENTS, 3, between=0.0)
    moved = anchor_positions(reference, move(values))
    aligned = align(reference, moved).apply(moved)
    far = [
        np.abs(np.median(aligned[labels == item.name], axis=0) - item.mean).max()
        for item in reference.populations
        if np.count_nonzero(labels == item.name) >= 100
    ]
    assert len(far) >= 20
    assert np.median(far) < 0.05 and max(far) < 0.15


def test_a_reference_stays_on_the_scale_it_was_learned_on(
    mixture: Mixture, reference: Reference
) -> None:
    planted = anchor_positions(reference, mixture.means.astype(np.float32))
    learned = np.array([item.mean for item in reference.populations])
    slopes = [np.polyfit(one, other, 1)[0] for one, other in zip(planted.T, learned.T, strict=True)]
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.007)


def test_anchors_are_populations_that_the_specimen_has(
    mixture: Mixture, reference: Reference
) -> None:
    values, labels = draw_specimen(mixture, N_EVENTS, 4)
    there = labels != mixture.names[2]
    found = align(reference, anchor_positions(reference, values[there]))
    assert mixture.names[2] not in found.anchors
    assert set(found.anchors) >= set(mixture.names[:2]) | set(mixture.names[3:15])


def test_the_order_of_events_does_not_matter(mixture: Mixture, reference: Reference) -> None:
    positions = anchor_positions(reference, draw_specimen(mixture, N_EVENTS, 5)[0])
    one = align(reference, positions)
    other = align(reference, positions[np.random.default_rng(0).permutation(len(positions))])
    assert one.offset == pytest.approx(other.offset, abs=1e-6)
    assert one.slope == pytest.approx(other.slope, abs=1e-6)
    assert set(one.anchors) == set(other.anchors)


def test_applying_is_one_line_a_marker() -> None:
    alignment = Alignment(np.array([0.5, -1.0]), np.array([2.0, 1.0]))
    positions = np.array([[0.0, 0.0], [1.0, 3.0]], dtype=np.float32)
    aligned = alignment.apply(positions)
    assert aligned.dtype == np.float32
    assert np.array_equal(aligned, np.array([[0.5, -1.0], [2.5, 2.0]], dtype=np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_clean_channels_raise_nothing(mixture: Mixture, reference: Reference, seed: int) -> None:
    values, _ = draw_specimen(mixture, N_EVENTS, seed)
    assert look(reference, values).flags == ()
    assert look(reference, move(values)).flags == ()


@pytest.mark.parametrize("pair", list(combinations(STAINED, 2))[::3])
def test_two_exchanged_channels_are_named(
    mixture: Mixture, reference: Reference, pair: tuple[int, int]
) -> None:
    values, _ = draw_specimen(mixture, N_EVENTS, 6)
    exchanged = values.copy()
    exchanged[:, pair] = values[:, pair[::-1]]
    found = look(reference, exchanged)
    names = tuple(MARKERS[number] for number in pair)
    assert (names,) == found.swapped
    assert (f"CHANNELS_SWAPPED:{names[0]},{names[1]}",) == found.flags


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("channel", STAINED)
def test_a_dead_channel_is_named(
    mixture: Mixture, reference: Reference, channel: int, seed: int
) -> None:
    found = look(reference, silence(mixture, channel, seed))
    assert ((), (MARKERS[channel],)) == (found.swapped, found.dead)
    assert (f"CHANNEL_DEAD:{MARKERS[channel]}",) == found.flags


@pytest.mark.parametrize(("channel", "seed"), [(5, 0), (5, 2)])
def test_a_dead_channel_is_not_taken_for_an_exchanged_one(
    mixture: Mixture, reference: Reference, channel: int, seed: int
) -> None:
    found = look(reference, silence(mixture, channel, seed, 3 * N_EVENTS)[::3])
    assert ((), (MARKERS[channel],)) == (found.swapped, found.dead)
    assert (f"CHANNEL_DEAD:{MARKERS[channel]}",) == found.flags


def test_scatter_is_never_taken_for_a_stain(mixture: Mixture, reference: Reference) -> None:
    values, _ = draw_specimen(mixture, N_EVENTS, 7)
    exchanged = values.copy()
    exchanged[:, [8, 9]] = values[:, [9, 8]]
    assert all("SC-A" not in name for pair in look(reference, exchanged).swapped for name in pair)
