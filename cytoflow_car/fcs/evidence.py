"""What the values of a reading tell of it: Time runs forward, values lie within ``$PnR``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import FcsDataError
from cytoflow_car.fcs.data import Place, read_stored
from cytoflow_car.fcs.datasets import DataSet
from cytoflow_car.fcs.header import Span
from cytoflow_car.fcs.parameters import ParameterList
from cytoflow_car.fcs.rows import Layout
from cytoflow_car.fcs.text import BLANKS, is_closed, split_words

#: So many events tell two readings apart.
_MOST_EVENTS = 8_192
#: Shares that differ by less are alike: Time may be shuffled, and compensated values negative.
CLEAR = 0.05
#: What is stated without contradiction must look much worse than another reading to be doubted.
PLAIN = 0.2
#: Of fewer events, some fit a wrong reading by chance.
_LEAST_EVENTS = 12
#: Share of values outside in a right reading of floating point.
_FEW = 0.01
#: Gaps are read by so many bytes.
_CHUNK = 2**20
#: So many times the same byte is no signal.
_LEAST_FILL = 16
#: Bytes that belong to two values, taken for one floating point number, are often smaller.
_SMALLEST = 1e-20


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the values of a reading fit what TEXT says of them; smaller is better.

    Attributes
    ----------
    backward
        Share of steps in which Time runs backwards; None without Time, or where it stands still.
    outside
        Share of values that are no signal: not finite, beyond ``$PnR`` by more than a tenth, or
        nearer to zero than any detector resolves.
    """

    backward: float | None
    outside: float

    def is_better_than(self, other: Evidence, margin: float) -> bool:
        """Whether one of the shares is smaller by the margin, and neither is clearly larger."""
        gains = [other.outside - self.outside]
        if self.backward is not None and other.backward is not None:
            gains.append(other.backward - self.backward)
        return max(gains) > margin and min(gains) > -CLEAR


class Witness:
    """Looks at the bytes of a data set.

    Parameters
    ----------
    order
        ``"<"`` or ``">"``.
    """

    def __init__(self, described: DataSet, order: str, parameters: ParameterList) -> None:
        self._source = described.source
        self._described = described
        self._order = order
        self._parameters = parameters

    def prefers(self, layouts: Sequence[Layout], margin: float = CLEAR) -> Layout | None:
        """Return the layout whose values fit better by the margin than all others, or None."""
        if any(layout.n_events < _LEAST_EVENTS for layout in layouts):
            return None
        weighed = [self._weigh(layout) for layout in layouts]
        for layout, evidence in zip(layouts, weighed, strict=True):
            others = [other for other in weighed if other is not evidence]
            if all(evidence.is_better_than(other, margin) for other in others):
                return layout
        return None

    def runs_forward(self, layout: Layout) -> bool:
        """Whether there is Time, and no step of it goes backwards."""
        is_there = layout.after <= self._source.available and layout.n_events >= _LEAST_EVENTS
        return is_there and self._weigh(layout).backward == 0

    def holds_signals(self, layout: Layout) -> bool:
        """Whether values of floating point are within their ranges: noise is not."""
        are_floats = {column.data_type for column in self._parameters.parameters} <= {"F", "D"}
        is_there = layout.after <= self._source.available
        return are_floats and is_there and self._weigh(layout).outside < _FEW

    def is_blank(self, begin: int, after: int) -> bool:
        """Whether there is only one byte, again and again, or blanks between two bytes."""
        if after > self._source.available:
            return False
        first = self._source.read(Span(begin, begin))
        is_fill = bool(first.strip(BLANKS))
        if is_fill and after - begin < _LEAST_FILL:
            return False
        allowed = first if is_fill else BLANKS
        return all(
            not self._source.read(Span(place, min(place + _CHUNK, after) - 1)).strip(allowed)
            for place in range(begin, after, _CHUNK)
        )

    def closes_text(self, shift: int) -> bool:
        """Whether TEXT ends with its delimiter, and DATA begin, `shift` bytes behind its end."""
        text = self._described.text
        longest = Span(text.span.begin, text.span.end + max(0, shift))
        segment = self._source.read(longest)
        end = len(segment) + min(0, shift)
        # Keywords do not become DATA by being cut off.
        rest = segment[end:].replace(text.delimiter, b"")
        is_data = not rest or any(byte < 0x20 or byte > 0x7E for byte in rest)
        if not is_data or not is_closed(segment[:end], text.delimiter):
            return False
        # Behind a keyword, there is no value yet.
        return len(split_words(segment[:end], text.delimiter)) % 2 == 0

    def is_text(self, span: Span) -> bool:
        """Whether a span begins and ends with the delimiter of TEXT."""
        delimiter = self._described.text.delimiter
        segment = self._source.read(span)
        return segment.startswith(delimiter) and is_closed(segment, delimiter)

    def is_checksum(self, begin: int, after: int) -> bool:
        """Whether there are digits between two bytes of the data set."""
        return self._source.read(Span(begin, after - 1)).isdigit()

    def _weigh(self, layout: Layout) -> Evidence:
        begin = self._source.base + layout.begin
        n_events = min(layout.n_events, _MOST_EVENTS)
        place = Place(begin, n_events, self._order, layout.rows)
        # Bytes of a wrong reading can be signalling NaN.
        with np.errstate(invalid="ignore", over="ignore"):
            return _weigh(self._source.file, place, self._parameters)


def _weigh(file: BufferedReader, place: Place, parameters: ParameterList) -> Evidence:
    try:
        stored = read_stored(file, place, parameters.parameters)
    except FcsDataError:
        return Evidence(1.0, 1.0)
    time = parameters.time
    if time is None:
        return Evidence(None, _share_outside(stored, parameters))
    elapsed = stored[time.column].astype(np.float64)
    if time.high is not None:
        elapsed += stored[time.high].astype(np.float64) * time.weight
    steps = np.diff(elapsed)
    # A step to or from what is no number does not run forward.
    backward = 1.0 - float((steps >= 0).mean()) if steps.any() else None
    return Evidence(backward, _share_outside(stored, parameters))


def _share_outside(stored: Sequence[npt.NDArray[Any]], parameters: ParameterList) -> float:
    outside = n_values = 0
    time = parameters.time
    for number, (values, column) in enumerate(zip(stored, parameters.parameters, strict=True)):
        # The range of Time is often not kept to.
        if time is not None and number in (time.column, time.high):
            continue
        size = np.abs(values.astype(np.float64))
        within = (size <= 1.1 * column.stored_range) & ((size >= _SMALLEST) | (size == 0))
        outside += int(values.size - np.count_nonzero(within))
        n_values += values.size
    return outside / n_values if n_values else 0.0
