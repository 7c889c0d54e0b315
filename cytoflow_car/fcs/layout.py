"""Where DATA lies: what HEADER and TEXT claim, judged by the bytes that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cytoflow_car.errors import FcsDataError
from cytoflow_car.fcs.datasets import DataSet
from cytoflow_car.fcs.header import HEADER_BYTES, Span
from cytoflow_car.fcs.parameters import ParameterList
from cytoflow_car.fcs.rows import RowFormat
from cytoflow_car.fcs.text import read_count, require_count

_AGAIN = "Copy or export the file again."
#: Bytes of the checksum that may stand behind the last segment.
_CHECKSUM_BYTES = 8
#: A reading that fewer statements support is a guess.
_LEAST_SUPPORT = 3
#: TEXT that a program edited in place has grown or shrunk by no more than this.
_MOST_SHIFT = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of where DATA lies: by HEADER or by TEXT."""

    span: Span
    source: str


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


class Witness(Protocol):
    """Looks at the bytes of a layout."""

    def prefers(self, layouts: Sequence[Layout]) -> Layout | None:
        """Return the layout whose values fit clearly better than those of all others, or None."""

    def is_blank(self, begin: int, after: int) -> bool:
        """Whether there is nothing but zeros and blanks between two bytes of the data set."""

    def closes_text(self, shift: int) -> bool:
        """Whether TEXT ends with its delimiter, and DATA begin, `shift` bytes behind its end."""

    def is_checksum(self, begin: int, after: int) -> bool:
        """Whether there are digits between two bytes of the data set."""


def find_events(described: DataSet, parameters: ParameterList, witness: Witness) -> Layout:
    """Find the events of a data set.

    A claim counts where its length is ``$TOT`` events exactly; next, where it is off by one byte
    (a last byte that was counted as the first one after the end). Of claims that lead to other
    events, the one whose values fit clearly better is taken: Time that runs forward, values
    within ``$PnR``. Where no claim fits ``$TOT``, the statements are counted that each possible
    layout agrees with: both ends by HEADER and by TEXT, ``$TOT``, the end of TEXT, the end of the
    file.

    Raises
    ------
    FcsDataError
        When two layouts remain possible or none is, or the file is cut short.
    FcsTextError
        When ``$TOT`` is missing (from FCS 3.0 on) or unreadable.
    """
    total = _read_total(described)
    claims = _list_claims(described)
    if total == 0 and all(len(claim.span) <= 1 for claim in claims):
        return Layout(HEADER_BYTES, 0, parameters.formats[0])
    if not claims:
        raise FcsDataError(
            "neither HEADER nor TEXT says where DATA lies", where="DATA", advice=_AGAIN
        )
    statements = _Statements(described, claims, total, parameters, frozenset())
    statements = replace(statements, endings=_find_endings(statements, witness))
    layout = _fit_total(statements, witness)
    if layout is None:
        layout = _locate(statements, witness)
    layout = _undisplace(layout, statements, witness)
    if layout.after > described.available:
        raise _cut_short(layout, statements)
    flags = (layout.rows.flag, *layout.flags)
    return replace(layout, flags=tuple(flag for flag in flags if flag))


@dataclass(frozen=True, slots=True)
class _Statements:
    """Everything that is said of where DATA lies; `endings` is where they may end."""

    described: DataSet
    claims: tuple[Claim, ...]
    total: int | None
    parameters: ParameterList
    endings: frozenset[int]

    @property
    def is_unanimous(self) -> bool:
        return len({claim.span for claim in self.claims}) == 1

    @property
    def is_unreadable_in_text(self) -> bool:
        keywords = self.described.text.keywords
        stated = [keywords.get(key, "") for key in ("$BEGINDATA", "$ENDDATA")]
        return any(value and read_count(value) is None for value in stated)

    @property
    def others(self) -> list[Span]:
        """The segments beside HEADER, primary TEXT and DATA."""
        spans = (self.find_segment("ANALYSIS"), self.described.header.analysis)
        return [span for span in (*spans, self.find_segment("STEXT")) if span is not None]

    def find_segment(self, name: str) -> Span | None:
        """Return where TEXT says that a segment lies; None where it says nothing."""
        keywords, shift = self.described.text.keywords, self.described.shift
        begin, end = (read_count(keywords.get(f"${key}{name}", "")) for key in ("BEGIN", "END"))
        # Some programs state the primary TEXT again.
        if not begin or not end or begin == self.described.text.span.begin:
            return None
        return Span(begin + shift, end + shift)

    def bounds(self, layout: Layout) -> bool:
        """Whether ``$TOT`` events fill a layout, and each of its ends is stated or known."""
        begins = {claim.span.begin for claim in self.claims} | {self.described.text.span.end + 1}
        ends = {claim.span.end + 1 for claim in self.claims} | self.endings
        return layout.n_events == self.total and layout.begin in begins and layout.after in ends

    def is_apart(self, begin: int, after: int) -> bool:
        text, next_begin = self.described.text.span, self.described.next_begin
        supplement = self.find_segment("STEXT")
        return (
            begin >= HEADER_BYTES
            and (begin > text.end or after <= text.begin)
            and (next_begin is None or after <= next_begin)
            and (supplement is None or begin > supplement.end or after <= supplement.begin)
        )


def _find_endings(statements: _Statements, witness: Witness) -> frozenset[int]:
    """Return where DATA may end: before the next segment or data set, or with the file."""
    described = statements.described
    ends = [described.available]
    if described.next_begin is not None:
        ends.append(described.next_begin)
    checksums = [end - _CHECKSUM_BYTES for end in ends]
    return frozenset(
        {
            *ends,
            *(begin for begin in checksums if witness.is_checksum(begin, begin + _CHECKSUM_BYTES)),
            *(span.begin for span in statements.others),
        }
    )


def _read_total(described: DataSet) -> int | None:
    if described.header.version == "FCS2.0" and not described.text.keywords.get("$TOT"):
        return None
    return require_count(described.text.keywords, "$TOT")


def _list_claims(described: DataSet) -> tuple[Claim, ...]:
    keywords, shift = described.text.keywords, described.shift
    claims = []
    if described.header.data is not None:
        claims.append(Claim(described.header.data, "HEADER"))
    begin, end = (read_count(keywords.get(key, "")) for key in ("$BEGINDATA", "$ENDDATA"))
    if begin and end is not None:
        claims.append(Claim(Span(begin, end), "TEXT"))
    return tuple(
        Claim(Span(claim.span.begin + shift, claim.span.end + shift), claim.source)
        for claim in claims
    )


def _fit_total(statements: _Statements, witness: Witness) -> Layout | None:
    """Return the layout by a claim that leaves room for ``$TOT`` events exactly, or None."""
    if statements.total is None and statements.parameters.is_contradicted:
        return None
    fits = [
        fit
        for fit in _list_fits(statements)
        if statements.is_apart(fit.layout.begin, fit.layout.after)
    ]
    available = statements.described.available
    fits = [fit for fit in fits if fit.layout.after <= available] or fits
    if not fits:
        return None
    # Exact ones come first, and the standard's way of storing before others.
    options: dict[int, _Fit] = {}
    for fit in fits:
        if fit.layout.rows == fits[0].layout.rows:
            options.setdefault(fit.layout.begin, fit)
    behind_text = replace(fits[0].layout, begin=statements.described.text.span.end + 1)
    is_known = behind_text.after in statements.endings
    if is_known and not any(fit.layout.after in statements.endings for fit in options.values()):
        # All of what is there fits exactly between TEXT and what follows, the claims do not.
        span = Span(behind_text.begin, behind_text.after - 1)
        options.setdefault(behind_text.begin, _Fit(behind_text, Claim(span, "TEXT's end"), 0))
    chosen, reason = _choose(list(options.values()), available, witness)
    flags = []
    if chosen.error:
        flags.append(
            f"data_end_off_by_one: {chosen.claim.source} states byte {chosen.claim.span.end}"
        )
    if chosen.claim not in statements.claims:
        flags.append(_tell_located(chosen.layout, statements))
    elif not statements.is_unanimous:
        flags.append(
            f"data_offsets_differ: {_told(statements.claims)}, {chosen.claim.source} fits {reason}"
        )
    if statements.is_unreadable_in_text:
        flags.append("text_data_offset: $BEGINDATA or $ENDDATA is unreadable, taken from HEADER")
    if statements.total is None:
        flags.append("tot_missing: events counted by their bytes")
    return replace(chosen.layout, flags=tuple(flags))


@dataclass(frozen=True, slots=True)
class _Fit:
    """A claim whose length is the right number of events, but for `error` bytes."""

    layout: Layout
    claim: Claim
    error: int


def _list_fits(statements: _Statements) -> Iterator[_Fit]:
    for error in (0, 1, -1):
        for rows in statements.parameters.formats:
            for claim in statements.claims:
                if error and rows.is_packed:
                    continue
                n_bytes = claim.span.end - claim.span.begin + 1 - error
                n_events = statements.total
                if n_events is None:
                    n_events = rows.count_events(n_bytes) if n_bytes > 0 else None
                if n_events and rows.count_bytes(n_events) == n_bytes:
                    yield _Fit(Layout(claim.span.begin, n_events, rows), claim, error)


def _choose(options: list[_Fit], available: int, witness: Witness) -> tuple[_Fit, str]:
    if len(options) == 1:
        return options[0], "$TOT"
    if all(option.layout.after <= available for option in options):
        preferred = witness.prefers([option.layout for option in options])
        for option in options:
            if option.layout is preferred:
                return option, "$TOT, Time and $PnR"
    exact = [option for option in options if option.error == 0]
    if len(exact) == 1:
        return exact[0], "$TOT"
    raise _contradiction([option.claim for option in options])


def _locate(statements: _Statements, witness: Witness) -> Layout:
    """Return the layout that most statements agree with, though none of the claims fits."""
    described, claims, parameters = statements.described, statements.claims, statements.parameters
    fits_text = any(statements.is_apart(claim.span.begin, claim.span.end + 1) for claim in claims)
    votes: dict[Layout, int] = {}
    if not parameters.is_contradicted and fits_text:
        for layout in _list_candidates(statements, witness):
            if statements.is_apart(layout.begin, layout.after):
                support = _count_support(layout, statements, witness)
                if support:
                    votes[layout] = support
    most = max(votes.values(), default=0)
    best = [layout for layout, support in votes.items() if support == most]
    # A whole number of other events is no proof where $TOT events fit between known places, too.
    best += [layout for layout in votes if layout not in best and statements.bounds(layout)]
    if len(best) > 1 and all(layout.after <= described.available for layout in best):
        preferred = witness.prefers(best)
        best = best if preferred is None else [preferred]
    if len(best) == 1:
        return replace(best[0], flags=(_tell_located(best[0], statements),))
    if not statements.is_unanimous:
        raise _contradiction(claims)
    span = claims[0].span
    if not best and fits_text and span.end >= described.available:
        raise _cut_short(Layout(span.begin, 0, parameters.formats[0]), statements)
    raise _no_whole_events(statements, fits_text)


def _no_whole_events(statements: _Statements, is_apart: bool) -> FcsDataError:
    span, total = statements.claims[0].span, statements.total
    row = statements.parameters.formats[0].event_bits / 8
    if not is_apart:
        found = "and it overlaps TEXT"
    elif statements.parameters.is_contradicted:
        found = "and $PAR or $PnB contradicts the channels"
    else:
        found = f"which is {len(span) / row:.2f} events"
    counted = "whole events" if total is None else f"{total} events ($TOT)"
    return FcsDataError(
        f"DATA of {len(span)} bytes, {found}",
        where="DATA",
        expected=f"{counted} of {row:g} bytes",
        advice=_AGAIN,
    )


def _list_candidates(statements: _Statements, witness: Witness) -> Iterator[Layout]:
    total, rows = statements.total, statements.parameters.formats[0]
    if rows.is_packed:
        return
    # A wrong $PnB of one channel may give whole events too.
    if len(set(rows.widths)) == 1:
        for claim in statements.claims:
            layout = Layout(claim.span.begin, rows.count_events(len(claim.span)) or 0, rows)
            padding = layout.begin + rows.count_bytes(total or layout.n_events)
            is_padded = padding < layout.after and witness.is_blank(padding, layout.after)
            if layout.n_events and not is_padded:
                yield layout
    if total:
        n_bytes = rows.count_bytes(total)
        begins = {claim.span.begin for claim in statements.claims}
        begins |= {claim.span.end + 1 - n_bytes for claim in statements.claims}
        begins |= {statements.described.text.span.end + 1}
        for begin in sorted(begins):
            yield Layout(begin, total, rows)


def _count_support(layout: Layout, statements: _Statements, witness: Witness) -> int:
    """Count the statements that agree with a layout; 0 where they are too few."""
    claims = statements.claims
    spans = {(claim.span.begin, claim.span.end + 1) for claim in claims}
    begins = [layout.begin == claim.span.begin for claim in claims]
    begins.append(layout.begin == statements.described.text.span.end + 1)
    ends = [layout.after == claim.span.end + 1 for claim in claims]
    ends += [
        layout.n_events == statements.total,
        layout.after in statements.endings,
        # All claims are one, of whole events.
        spans == {(layout.begin, layout.after)},
        # What a claim has beyond the layout is padding.
        any(
            begin == layout.begin and layout.after < after and witness.is_blank(layout.after, after)
            for begin, after in spans
        ),
    ]
    support = sum(begins) + sum(ends)
    is_enough = support >= _LEAST_SUPPORT and sum(begins) >= 1 and sum(ends) >= 2
    return support if is_enough else 0


def _tell_located(layout: Layout, statements: _Statements) -> str:
    total = statements.total
    is_claimed = any(
        (layout.begin, layout.after) == (claim.span.begin, claim.span.end + 1)
        for claim in statements.claims
    )
    if is_claimed and total is not None:
        return f"tot_mismatch: $TOT {total}, DATA holds {layout.n_events}"
    return (
        f"data_located: {_told(statements.claims)}, {layout.n_events} events lie in "
        f"{layout.begin} to {layout.after - 1}"
    )


def _undisplace(layout: Layout, statements: _Statements, witness: Witness) -> Layout:
    """Move a layout by as much as TEXT was changed in length without its offsets.

    Then HEADER's end of TEXT has no delimiter, and the file is longer or shorter by as much.
    """
    described = statements.described
    after = max([layout.after, *(span.end + 1 for span in statements.others)])
    behind = described.available - after
    shifts: tuple[int, ...] = (behind, behind - _CHECKSUM_BYTES)
    if described.next_begin is not None:
        shifts = (described.next_shift,)
    if 0 in shifts or described.shift:
        return layout
    for shift in shifts:
        moved = replace(layout, begin=layout.begin + shift, shift=shift)
        if abs(shift) > _MOST_SHIFT or moved.begin < HEADER_BYTES:
            continue
        if not witness.closes_text(0) and witness.closes_text(shift):
            return moved
        within = max(layout.after, moved.after) <= described.available
        if within and abs(shift) < layout.rows.event_bits // 8:
            _refuse_displaced(layout, moved, witness)
    if 1 < behind < _CHECKSUM_BYTES and witness.is_checksum(after, described.available):
        raise FcsDataError(
            f"the file is cut short: {_CHECKSUM_BYTES - behind} bytes of its checksum are missing",
            where="DATA",
            advice=_AGAIN,
        )
    return layout


def _refuse_displaced(layout: Layout, moved: Layout, witness: Witness) -> None:
    if (
        not witness.is_blank(layout.after, moved.after)
        and witness.prefers([layout, moved]) is moved
    ):
        raise FcsDataError(
            f"DATA is stated at {layout.begin} to {layout.after - 1}, and fits better at "
            f"{moved.begin} to {moved.after - 1}",
            where="DATA",
            expected="Time that runs forward, values within $PnR",
            advice="Bytes were lost or added: " + _AGAIN.lower(),
        )


def _cut_short(layout: Layout, statements: _Statements) -> FcsDataError:
    stated = max(statements.total or 0, layout.n_events)
    rows = layout.rows
    there = max(0, statements.described.available - layout.begin) * 8 // rows.event_bits
    end = max(layout.after, layout.begin + rows.count_bytes(stated))
    return FcsDataError(
        f"the file is cut short: {min(stated, there)} of {stated} events are there",
        where="DATA",
        expected=f"{end} bytes, found {statements.described.available}",
        advice=_AGAIN,
    )


def _contradiction(claims: Sequence[Claim]) -> FcsDataError:
    return FcsDataError(
        f"DATA could lie in two places: {_told(claims)}",
        where="DATA",
        expected="HEADER and TEXT to agree",
        advice=_AGAIN,
    )


def _told(claims: Sequence[Claim]) -> str:
    return ", ".join(
        f"{claim.source} states {claim.span.begin} to {claim.span.end}" for claim in claims
    )
