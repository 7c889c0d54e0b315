"""Events of one specimen: channels, values, the stage they are in, and the file's facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Values = npt.NDArray[np.float64]
_Stored = npt.NDArray[np.float32] | npt.NDArray[np.float64]

#: Rows are worked on in blocks that stay in the processor's cache.
_BLOCK_ROWS = 16_384
#: Sums of products of smaller values stay far from the largest float32.
_MOST_FLOAT32 = 1e30


@dataclass(frozen=True, slots=True)
class Channel:
    """One parameter of an FCS file.

    Attributes
    ----------
    detector
        ``$PnN``, for example ``"PE-Cy7-A"``.
    marker
        ``$PnS``, for example ``"CD19 PE-Cy7"``; None where the file has none.
    range
        ``$PnR``: values lie in [0, range); used as top of scale.
    gain
        ``$PnG`` that the values were divided by (1 where none was stated).
    decades, offset
        ``$PnE`` as stored: logarithmic amplification (0, 0 for linear). Values that reach `Events`
        are linear already.
    voltage
        ``$PnV`` of the detector, in volts; None where unknown.
    """

    detector: str
    marker: str | None = None
    range: float = 262144.0
    gain: float = 1.0
    decades: float = 0.0
    offset: float = 0.0
    voltage: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Events as acquired: linear, uncompensated values (stage RAW).

    Attributes
    ----------
    values
        (n_events, n_channels); float32 where that holds every stored value exactly, else float64.
        Read-only, in acquisition order. Time is in seconds where the file states a time step.
    channels
        One `Channel` a column.
    """

    values: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    channels: tuple[Channel, ...]

    @property
    def detectors(self) -> tuple[str, ...]:
        """``$PnN`` of every column."""
        return tuple(channel.detector for channel in self.channels)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def column(self, channel: int, rows: Rows | None = None) -> Values:
        """Return one channel's values, (n_rows,) float64; all events where `rows` is None."""
        values = self.values[:, channel]
        # Torn bytes can be signalling NaN; checks of quality count what is not finite.
        with np.errstate(invalid="ignore"):
            if rows is None:
                return values.astype(np.float64)
            chosen: Values = np.empty(rows.size)
            for block in _blocks(rows.size):
                stretch = _as_slice(rows[block])
                chosen[block] = values[rows[block]] if stretch is None else values[stretch]
        return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Spillover:
    """Spillover between detectors.

    Attributes
    ----------
    detectors
        The detectors that the matrix names; a file may have more.
    matrix
        (n, n): row = fluorochrome's own detector, column = where its light goes; diagonal 1.
    source
        Where it came from: the keyword, or ``"CSV"`` with a hash of the matrix's file.
    """

    detectors: tuple[str, ...]
    matrix: Values
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """One channel of all events, nearly.

    Attributes
    ----------
    values
        (n_events,) float32; NaN where nothing can be said of the exact value.
    slack
        No other value is further from the exact one than this, beside the rounding of the exact
        value to float32.
    """

    values: npt.NDArray[np.float32]
    slack: float


@dataclass(frozen=True, slots=True, eq=False)
class CompensatedEvents:
    """Events after compensation (stage COMPENSATED); a column is computed when it is asked for.

    A gate looks at one or two channels of its parent's events, so compensating the whole matrix
    first would be most of the work and twice the memory of the file.

    Attributes
    ----------
    raw
        The events as acquired.
    unmixing
        (n_channels, n_channels) float64: ``compensated = raw @ unmixing``; identity where no
        spillover applies.
    """

    raw: Events
    unmixing: Values

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, as in `raw`."""
        return self.raw.channels

    def __len__(self) -> int:
        return len(self.raw)

    def column(self, channel: int, rows: Rows | None = None) -> Values:
        """Return one channel's compensated values, (n_rows,) float64.

        The value of an event does not depend on which other rows are asked for.
        """
        weights = self.unmixing[:, channel]
        used = np.flatnonzero(weights)
        if used.size == 1 and weights[used[0]] == 1.0:
            return self.raw.column(int(used[0]), rows)
        values = self.raw.values
        n_rows = len(self) if rows is None else rows.size
        summed: Values = np.empty(n_rows)
        for block in _blocks(n_rows):
            events = values[block] if rows is None else _whole_events(values, rows[block])
            # einsum sums each row by itself in a fixed order; BLAS would round an event differently
            # according to its neighbours.
            with np.errstate(invalid="ignore"):
                np.einsum("ij,j->i", events.astype(np.float64), weights, out=summed[block])
        return summed

    def take(self, rows: Rows) -> CompensatedEvents:
        """Return some of the events as events of their own, at least one; values stay the same.

        Worth its copy where several gates look at the same few events.
        """
        values = _whole_events(self.raw.values, rows)
        return CompensatedEvents(Events(values, self.raw.channels), self.unmixing)

    def estimate(self, channels: Sequence[int]) -> list[Estimate]:
        """Estimate some channels of all events, for comparisons that nearly always are clear.

        One pass in order over all events, whatever the number of channels, takes no longer than
        `column` takes to fetch an eighth of the events singly; `column` decides what is not clear.

        Returns
        -------
        One `Estimate` a channel.
        """
        weights = self.unmixing[:, list(channels)]
        plain = [
            self.unmixing[channel, channel] == 1.0 and np.count_nonzero(own) == 1
            for channel, own in zip(channels, weights.T, strict=True)
        ]
        mixed = [place for place, is_plain in enumerate(plain) if not is_plain]
        found = dict(zip(mixed, self._mixed_estimates(weights[:, mixed]), strict=True))
        return [
            found[place] if place in found else self._stored_estimate(channel)
            for place, channel in enumerate(channels)
        ]

    def _stored_estimate(self, channel: int) -> Estimate:
        with np.errstate(over="ignore", invalid="ignore"):
            own = self.raw.values[:, channel].astype(np.float32)
        own[np.isinf(own)] = np.nan
        return Estimate(own, 0.0)

    def _mixed_estimates(self, weights: Values) -> list[Estimate]:
        if not weights.shape[1]:
            return []
        estimates = np.empty((weights.shape[1], len(self)), dtype=np.float32)
        float32_weights = np.ascontiguousarray(weights.T, dtype=np.float32)
        highest = 0.0
        for block in _blocks(len(self)):
            # A file's numbers may lie at odd addresses; only then are they copied.
            with np.errstate(over="ignore", invalid="ignore"):
                events = np.require(self.raw.values[block], np.float32, "A")
                reach = max(float(events.max()), -float(events.min()))
            # Beyond, and for NaN, float32 arithmetic promises nothing.
            if reach < _MOST_FLOAT32:
                # One channel after the other, from the cache: a product of matrices would start
                # threads for so small a block.
                for own, out in zip(float32_weights, estimates, strict=True):
                    np.matmul(events, own, out=out[block])
                highest = max(highest, reach)
            else:
                estimates[:, block] = np.nan
        # Every value, weight, product and sum is off by at most half an epsilon of the largest sum.
        float32 = np.finfo(np.float32)
        rounding = (len(weights) + 4) * float(float32.eps)
        return [
            Estimate(own, rounding * highest * float(np.abs(column).sum()) + float(float32.tiny))
            for own, column in zip(estimates, weights.T, strict=True)
        ]


def _blocks(n_rows: int) -> Iterator[slice]:
    for begin in range(0, n_rows, _BLOCK_ROWS):
        yield slice(begin, min(begin + _BLOCK_ROWS, n_rows))


def _as_slice(rows: Rows) -> slice | None:
    """Return the slice that means the same as at least one row; None where there is none."""
    first, last = int(rows[0]), int(rows[-1])
    if first < 0 or last - first != rows.size - 1 or not (np.diff(rows) == 1).all():
        return None
    return slice(first, last + 1)


def _whole_events(values: _Stored, rows: Rows) -> _Stored:
    """Return ``values[rows]`` of at least one row."""
    stretch = _as_slice(rows)
    if stretch is not None:
        return values[stretch]
    # `take` is several times as fast as indexing. An event is moved as one item of bytes, because
    # `take` would first copy all values of a file whose DATA does not begin at a multiple of 4.
    event = np.dtype((np.void, values.shape[1] * values.itemsize))
    items = np.ascontiguousarray(values).view(event)[:, 0]
    return items.take(rows).view(values.dtype).reshape(rows.size, -1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One data set of one FCS file, as read.

    Nothing here identifies a person: keywords that could stay in the reader.

    Attributes
    ----------
    events
        The events, stage RAW.
    version
        ``"FCS3.1"`` …
    dataset, n_datasets
        Which data set of how many (from 1).
    spillover
        The file's own spillover; None where it states none.
    time_channel
        Column of Time; None where there is none.
    instrument
        ``$CYT`` (the model) and a hash of ``$CYTSN``; empty where unknown.
    acquired_on, began_at, ended_at
        ``$DATE`` as ISO date, ``$BTIM`` and ``$ETIM`` as stored; None where absent or unreadable.
        For ordering runs inside the program; they are never written to tables.
    flags
        What was repaired or is doubtful, in words for `qc.csv`.
    """

    events: Events
    version: str
    dataset: int = 1
    n_datasets: int = 1
    spillover: Spillover | None = None
    time_channel: int | None = None
    instrument: str = ""
    acquired_on: str | None = None
    began_at: str | None = None
    ended_at: str | None = None
    flags: tuple[str, ...] = ()
