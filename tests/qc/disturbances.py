"""Runs with disturbances planted in them: which events are bad is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Events

Mask = npt.NDArray[np.bool_]
Stored = npt.NDArray[np.float32] | npt.NDArray[np.float64]

SCATTER = ("FSC", "SSC", "FORWARD", "SIDE", "FS ", "SS ", "FS-", "SS-")


@dataclass(frozen=True, slots=True)
class Plant:
    """One kind of disturbance at one severity.

    Attributes
    ----------
    kind
        ``clog``: for a while, few events arrive, and they are dimmer. ``jump``: from one event to
        another the gain of detectors is another. ``bubble``: a burst of events that are no cells.
    length
        Part of the run's events (jump, bubble), or of its time (clog); never fewer than 200 events.
    factor
        On the flow rate (clog, bubble) or on the gain (jump).
    n_channels
        Detectors of fluorescence that are dimmed or jump.
    """

    kind: str
    length: float
    factor: float
    n_channels: int = 4

    def __str__(self) -> str:
        return f"{self.kind} {self.length:g} x{self.factor:g} of {self.n_channels}"


#: A clog that lets through a quarter of the events or fewer; the gain of four detectors off by 30 %
#: or more, or of two by a factor of two; a burst at four times the rate or more.
PLANTS = (
    Plant("clog", 0.1, 0.25),
    Plant("clog", 0.2, 0.15),
    Plant("clog", 0.15, 0.1),
    Plant("jump", 0.05, 0.5),
    Plant("jump", 0.1, 0.7),
    Plant("jump", 0.1, 1.4),
    Plant("jump", 0.3, 0.7),
    Plant("jump", 0.3, 2.0, 2),
    Plant("bubble", 0.005, 10.0),
    Plant("bubble", 0.02, 4.0),
    Plant("bubble", 0.05, 8.0),
)
#: A gain off by a fifth: told apart from chance in files of 20,000 events and more.
FAINT_JUMPS = (Plant("jump", 0.1, 0.8), Plant("jump", 0.1, 1.25), Plant("jump", 0.3, 0.8))


def plant(
    events: Events, time_channel: int, what: Plant, rng: np.random.Generator
) -> tuple[Events, Mask, npt.NDArray[np.intp]]:
    """Disturb a run.

    Returns
    -------
    events
        The disturbed run.
    bad
        (n_events,) which of them are bad.
    origin
        (n_events,) the row each had before; -1 for those that were added.
    """
    plain = np.array(events.values)
    n_events = len(plain)
    signals = [number for number in range(plain.shape[1]) if number != time_channel]
    scatter = [number for number in signals if events.detectors[number].upper().startswith(SCATTER)]
    lit = [number for number in signals if number not in scatter]
    some = rng.choice(lit, size=min(what.n_channels, len(lit)), replace=False)
    least = 200 / what.factor if what.kind == "clog" else 200
    length = int(max(what.length * n_events, least))
    begin = int(rng.integers(0, n_events - length))
    rows = slice(begin, begin + length)
    origin = np.arange(n_events)
    if what.kind == "jump":
        for column in some:
            plain[rows, column] *= what.factor
        bad = _within(n_events, rows)
    elif what.kind == "clog":
        for column in some:
            plain[rows, column] *= 0.7
        for column in scatter:
            plain[rows, column] *= 0.85
        stays = ~_within(n_events, rows) | (rng.random(n_events) < what.factor)
        plain, origin = plain[stays], origin[stays]
        bad = _within(n_events, rows)[stays]
    else:
        burst = plain[rng.integers(0, n_events, length)]
        # Bubbles scatter light to any extent, and do not shine.
        for column in scatter:
            highest = np.quantile(plain[:, column], 0.99)
            burst[:, column] = highest * rng.random(length)
        for column in lit:
            burst[:, column] = rng.permutation(np.minimum(burst[:, column], plain[0, column]))
        seconds = plain[:, time_channel]
        lasts = length / what.factor / n_events * np.ptp(seconds)
        burst[:, time_channel] = seconds[begin] + lasts * np.sort(rng.random(length))
        plain = np.concatenate([plain, burst])
        origin = np.concatenate([origin, np.full(length, -1)])
        order = np.argsort(plain[:, time_channel], kind="stable")
        plain, origin = plain[order], origin[order]
        bad = origin < 0
    plain.setflags(write=False)
    return Events(plain, events.channels), bad, origin


def _within(n_events: int, rows: slice) -> Mask:
    mask = np.zeros(n_events, dtype=bool)
    mask[rows] = True
    return mask
