"""How the values of one event lie in DATA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cytoflow_car.fcs.text import listed

#: Widths that a processor handles.
_WORDS = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How the values of one event are stored.

    Attributes
    ----------
    widths
        Bits from the beginning of a value to the beginning of the next.
    event_bits
        Bits from the beginning of an event to the beginning of the next.
    flags
        What departs from the standard; none for what TEXT states.
    """

    widths: tuple[int, ...]
    event_bits: int
    flags: tuple[str, ...] = ()

    @property
    def is_packed(self) -> bool:
        """Whether values begin inside bytes."""
        return any(width % 8 for width in (*self.widths, self.event_bits))

    def count_bytes(self, n_events: int) -> int:
        """Return the bytes of so many events; the last byte may be used in part."""
        return -(-n_events * self.event_bits // 8)

    def count_events(self, n_bytes: int) -> int | None:
        """Return the events of so many bytes; None where they are not whole events."""
        n_events = n_bytes * 8 // self.event_bits
        return n_events if self.count_bytes(n_events) == n_bytes else None


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the events are.

    Attributes
    ----------
    begin
        First byte, counted from the start of the data set.
    n_events
        How many events are there.
    rows
        How an event is stored.
    flags
        What was repaired.
    shift
        Bytes by which TEXT is longer than HEADER says, and DATA lies behind its stated place:
        unless it is 0, TEXT has to be read again.
    """

    begin: int
    n_events: int
    rows: RowFormat
    flags: tuple[str, ...] = ()
    shift: int = 0

    @property
    def after(self) -> int:
        """First byte behind the events."""
        return self.begin + self.rows.count_bytes(self.n_events)


def list_formats(bits: Sequence[int]) -> tuple[RowFormat, ...]:
    """Return the ways in which values of such widths (``$PnB``) are stored, the standard's first.

    The standard packs values without gaps. Where they are not of whole bytes, programs also give
    each value whole bytes, and state the bits that it uses: then several channels are alike, and
    a single one is a mistake.
    """
    standard = RowFormat(tuple(bits), sum(bits))
    odd = [f"$P{number}B" for number, width in enumerate(bits, 1) if width % 8]
    if len(odd) < 2:
        return (standard,)
    words = tuple(next(word for word in _WORDS if word >= width) for width in bits)
    flag = f"bits_unpacked: {listed(odd)} is less than the bytes of a stored value"
    return standard, RowFormat(words, sum(words), (flag,))
