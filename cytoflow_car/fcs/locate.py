"""Find the events of a data set: claims are judged by the bytes that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cytoflow_car.errors import FcsDataError
from cytoflow_car.fcs.datasets import DataSet
from cytoflow_car.fcs.evidence import PLAIN, Witness
from cytoflow_car.fcs.header import HEADER_BYTES, Span
from cytoflow_car.fcs.parameters import ParameterList
from cytoflow_car.fcs.rows import Layout
from cytoflow_car.fcs.statements import (
    AGAIN,
    CHECKSUM_BYTES,
    Claim,
    Statements,
    contradiction,
    cut_short,
    gather_statements,
    no_whole_events,
    tell_claims,
    tell_located,
)

#: TEXT that a program edited in place has grown or shrunk by no more than this.
_MOST_SHIFT = 4096
_LOST = "Bytes were lost or added: copy or export the file again."


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
    statements = gather_statements(described, parameters, witness)
    if statements.total == 0 and all(len(claim.span) <= 2 for claim in statements.claims):
        return Layout(HEADER_BYTES, 0, parameters.formats[0])
    if not statements.claims:
        raise FcsDataError(
            "neither HEADER nor TEXT says where DATA lies", where="DATA", advice=AGAIN
        )
    layout = _fit_total(statements, witness) or _locate(statements, witness)
    layout = _undisplace(layout, statements, witness)
    if layout.after > described.source.available:
        raise cut_short(layout, statements)
    _refuse_bytes_before(layout, statements, witness)
    return replace(layout, flags=(*layout.rows.flags, *layout.flags, *statements.flags))


def _fit_total(statements: Statements, witness: Witness) -> Layout | None:
    """Return the layout by a claim that leaves room for ``$TOT`` events exactly, or None."""
    if statements.total is None and statements.parameters.is_contradicted:
        return None
    fits = [
        fit
        for fit in _list_fits(statements)
        if statements.is_apart(fit.layout.begin, fit.layout.after)
    ]
    available = statements.described.source.available
    fits = [fit for fit in fits if fit.layout.after <= available] or fits
    if not fits:
        return None
    # Exact ones come first, and the standard's way of storing before others.
    options: dict[int, _Fit] = {}
    for fit in fits:
        if fit.layout.rows == fits[0].layout.rows:
            options.setdefault(fit.layout.begin, fit)
    behind_text = replace(fits[0].layout, begin=statements.behind_text)
    endings = set(statements.endings)
    if fits[0].error:
        # A length that is one byte wrong may begin wrongly, too.
        endings |= {fit.claim.span.end + 1 for fit in fits}
    is_known = behind_text.after in endings
    if is_known and not any(fit.layout.after in statements.endings for fit in options.values()):
        # All of what is there fits exactly between TEXT and what follows, the claims do not.
        span = Span(behind_text.begin, behind_text.after - 1)
        options.setdefault(behind_text.begin, _Fit(behind_text, Claim(span, "TEXT's end"), 0))
    within = {begin: fit for begin, fit in options.items() if fit.layout.after <= available}
    options = within or options
    chosen, reason = _choose(list(options.values()), available, witness)
    flags = []
    if chosen.error:
        flags.append(
            f"data_end_off_by_one: {chosen.claim.source} states byte {chosen.claim.span.end}"
        )
    if chosen.claim not in statements.claims:
        flags.append(tell_located(chosen.layout, statements))
    elif not statements.is_unanimous:
        told = tell_claims(statements.claims)
        flags.append(f"data_offsets_differ: {told}, {chosen.claim.source} fits {reason}")
    if statements.total is None:
        flags.append("tot_missing: events counted by their bytes")
    return replace(chosen.layout, flags=tuple(flags))


@dataclass(frozen=True, slots=True)
class _Fit:
    """A claim whose length is the right number of events, but for `error` bytes."""

    layout: Layout
    claim: Claim
    error: int


def _list_fits(statements: Statements) -> Iterator[_Fit]:
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
    raise contradiction([option.claim for option in options])


def _locate(statements: Statements, witness: Witness) -> Layout:
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
    if len(best) > 1 and all(layout.after <= described.source.available for layout in best):
        preferred = witness.prefers(best)
        best = best if preferred is None else [preferred]
    if len(best) == 1:
        return replace(best[0], flags=(tell_located(best[0], statements),))
    begin = claims[0].span.begin
    if all(claim.span.end >= described.source.available for claim in claims):
        raise cut_short(Layout(begin, 0, parameters.formats[0]), statements)
    if not statements.is_unanimous:
        raise contradiction(claims)
    raise no_whole_events(statements, fits_text)


def _list_candidates(statements: Statements, witness: Witness) -> Iterator[Layout]:
    total, rows = statements.total, statements.parameters.formats[0]
    if rows.is_packed:
        return
    for claim in statements.claims:
        layout = Layout(claim.span.begin, rows.count_events(len(claim.span)) or 0, rows)
        padding = layout.begin + rows.count_bytes(total or layout.n_events)
        is_padded = padding < layout.after and witness.is_blank(padding, layout.after)
        if layout.n_events and not is_padded and _is_row_sure(layout, statements, witness):
            yield layout
    if total:
        n_bytes = rows.count_bytes(total)
        begins = {claim.span.begin for claim in statements.claims}
        begins |= {claim.span.end + 1 - n_bytes for claim in statements.claims}
        begins |= {statements.behind_text}
        for begin in sorted(begins):
            yield Layout(begin, total, rows)


def _is_row_sure(layout: Layout, statements: Statements, witness: Witness) -> bool:
    """Whether it is ``$TOT`` that is wrong, and not ``$PAR`` or a ``$PnB``."""
    total, rows = statements.total, layout.rows
    row_bytes, rest = divmod(rows.count_bytes(layout.n_events), total or 1)
    # A wrong $PnB of one channel may give whole events; $TOT events of another length, too.
    is_one_width = len(set(rows.widths)) == 1
    is_near = 0.5 <= row_bytes * 8 / rows.event_bits <= 2
    is_another_row = is_near and rest == 0 and row_bytes * 8 % rows.widths[0] == 0
    if is_one_width and not is_another_row:
        return True
    if witness.runs_forward(layout):
        return True
    is_multiple = row_bytes * 8 % rows.event_bits == 0
    return is_one_width and is_multiple and witness.holds_signals(layout)


def _count_support(layout: Layout, statements: Statements, witness: Witness) -> int:
    """Count the statements that agree with a layout; 0 where they are too few."""
    claims = statements.claims
    spans = {(claim.span.begin, claim.span.end + 1) for claim in claims}
    begins = [layout.begin == claim.span.begin for claim in claims]
    begins.append(layout.begin == statements.behind_text)
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
    # What fewer support is a guess.
    is_enough = sum(begins) >= 1 and sum(ends) >= 2
    return sum(begins) + sum(ends) if is_enough else 0


def _undisplace(layout: Layout, statements: Statements, witness: Witness) -> Layout:
    """Move a layout by as much as TEXT was changed in length without its offsets.

    Then HEADER's end of TEXT has no delimiter, and the file is longer or shorter by as much. Where
    it is DATA that lost or gained bytes, no layout is right.
    """
    described = statements.described
    after = max([layout.after, *(span.end + 1 for span in statements.others)])
    shifts = _list_shifts(after, described, witness)
    if described.shift or 0 in shifts:
        return layout
    for shift in sorted(shifts, key=abs):
        moved = replace(layout, begin=layout.begin + shift, shift=shift)
        if abs(shift) > _MOST_SHIFT or moved.begin < HEADER_BYTES:
            continue
        if not witness.closes_text(0) and witness.closes_text(shift):
            return moved
        _refuse_displaced_text(statements.lost_supplement, shift, witness)
        ends = sorted((layout.after, moved.after))
        # Blanks behind DATA are padding.
        if ends[1] <= described.source.available and not witness.is_blank(*ends):
            _refuse_if_better(layout, moved, witness)
    missing = CHECKSUM_BYTES - (described.source.available - after)
    if 0 < missing < CHECKSUM_BYTES - 1 and witness.is_checksum(after, described.source.available):
        raise FcsDataError(
            f"the file is cut short: {missing} bytes of its checksum are missing",
            where="DATA",
            advice=AGAIN,
        )
    return layout


def _list_shifts(after: int, described: DataSet, witness: Witness) -> set[int]:
    """Return by how much everything may lie from its place, as what follows tells; 0 for not."""
    if described.next_begin is not None:
        # $NEXTDATA may be what is wrong.
        own = 0 if described.next_shift == 0 else described.next_begin - after
        return {own} if described.next_shift is None else {own, described.next_shift}
    shifts = {described.source.available - after}
    checksum = described.source.available - CHECKSUM_BYTES
    if witness.is_checksum(checksum, described.source.available):
        shifts.add(checksum - after)
    return shifts


def _refuse_bytes_before(layout: Layout, statements: Statements, witness: Witness) -> None:
    before = statements.behind_text
    if before >= layout.begin:
        return
    moved = replace(layout, begin=before)
    # Blanks fill gaps; where the layout ends in as many, they are what lies behind DATA.
    if not witness.is_blank(before, layout.begin) or witness.is_blank(moved.after, layout.after):
        _refuse_if_better(layout, moved, witness)


def _refuse_if_better(layout: Layout, moved: Layout, witness: Witness) -> None:
    """Refuse a layout where one that lies less than an event from it fits much better."""
    is_near = abs(moved.begin - layout.begin) < layout.rows.event_bits // 8
    if is_near and witness.prefers([layout, moved], PLAIN) is moved:
        raise FcsDataError(
            f"DATA is stated at {layout.begin} to {layout.after - 1}, and fits better at "
            f"{moved.begin} to {moved.after - 1}",
            where="DATA",
            expected="Time that runs forward, values within $PnR",
            advice=_LOST,
        )


def _refuse_displaced_text(lost: Span | None, shift: int, witness: Witness) -> None:
    if lost is not None and witness.is_text(Span(lost.begin + shift, lost.end + shift)):
        raise FcsDataError(
            f"supplemental TEXT lies {abs(shift)} bytes from its stated place",
            where="DATA",
            advice=_LOST,
        )
