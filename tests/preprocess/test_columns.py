"""The value of an event does not depend on which other events are asked for, nor on the file."""

from __future__ import annotations

import numpy as np
import pytest

from cytoflow_car.model.events import Channel, CompensatedEvents, Events

N_EVENTS = 40_000


def at_an_odd_address(values: np.ndarray) -> np.ndarray:
    moved = np.ndarray(values.shape, values.dtype, bytearray(values.nbytes + 1), 1)
    moved[:] = values
    return moved


@pytest.mark.parametrize("n_channels", [2, 7, 15, 16, 33])
@pytest.mark.parametrize("lie", [np.asarray, np.asfortranarray, at_an_odd_address])
def test_a_column_is_the_same_for_any_choice_and_order_of_events(
    n_channels: int, lie: type
) -> None:
    rng = np.random.default_rng(n_channels)
    values = rng.normal(1000.0, 500.0, (N_EVENTS, n_channels)).astype(np.float32)
    unmixing = np.eye(n_channels) + rng.normal(0.0, 0.1, (n_channels, n_channels))
    unmixing[0], unmixing[:, 0] = 0.0, 0.0
    unmixing[0, 0] = 1.0
    channels = tuple(Channel(f"B{number}-A") for number in range(n_channels))
    events = CompensatedEvents(Events(lie(values), channels), unmixing)
    shuffled = rng.permutation(N_EVENTS)
    for channel in (0, 1):
        whole = events.column(channel)
        assert np.allclose(whole, values.astype(np.float64) @ unmixing[:, channel])
        for rows in (
            shuffled,
            np.sort(shuffled[:25_000]),
            np.arange(5, 30_000),
            np.arange(N_EVENTS)[::-1],
            np.asarray([7]),
            np.asarray([-1, 0]),
            np.asarray([], dtype=np.intp),
        ):
            assert np.array_equal(events.column(channel, rows), whole[rows])
