"""Where DATA lies: what HEADER and TEXT claim, judged by the bytes that are there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cytoflow_car.errors import FcsDataError, FcsTextError, FcsUnsupportedError
from cytoflow_car.fcs.header import HEADER_BYTES, Header, Span
from cytoflow_car.fcs.parameters import ParameterList
from cytoflow_car.fcs.text import read_count, require, require_count

_AGAIN = "Copy or export the file again."


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
    flags
        What was repaired.
    """

    begin: int
    n_events: int
    flags: tuple[str, ...] = ()


def refuse_other_modes(keywords: dict[str, str]) -> tuple[str, ...]:
    """Refuse what is not list mode; return a flag where the mode is not stated."""
    mode = keywords.get("$MODE", "").upper()
    if mode in ("C", "U"):
        raise FcsUnsupportedError(
            f"histogram data ($MODE {mode})",
            where="TEXT",
            expected="list mode ($MODE L)",
            advice="Export the events, not a histogram.",
        )
    if mode not in ("L", ""):
        raise FcsTextError("$MODE is unreadable", where="TEXT", expected="L")
    return () if mode else ("mode_missing: $MODE is absent, taken as list mode",)


def read_byte_order(keywords: dict[str, str]) -> str:
    """Return ``"<"`` or ``">"`` for ``$BYTEORD``.

    Raises
    ------
    FcsTextError
        When it is missing or unreadable.
    FcsUnsupportedError
        For an order that is neither rising nor falling, such as ``3,4,1,2``.
    """
    places = [read_count(part) for part in require(keywords, "$BYTEORD").split(",")]
    rising = list(range(1, len(places) + 1))
    if places == rising:
        return "<"
    if places == rising[::-1]:
        return ">"
    if None in places or sorted(place for place in places if place is not None) != rising:
        raise FcsTextError(
            "$BYTEORD is unreadable", where="TEXT", expected="1,2,3,4 or 4,3,2,1", advice=_AGAIN
        )
    raise FcsUnsupportedError(
        f"mixed byte order {','.join(map(str, places))}",
        where="TEXT",
        expected="1,2,3,4 or 4,3,2,1",
        advice="Export the file again as FCS 3.1.",
    )


def find_events(
    header: Header, keywords: dict[str, str], parameters: ParameterList, available: int
) -> Layout:
    """Find the events of a data set of which the file holds `available` bytes.

    A claim counts where its length is ``$TOT`` events exactly; next, where it is off by one byte
    (a last byte that was counted as the first one after the end). Where none does, ``$TOT`` is
    wrong if all claims agree on the same whole number of events.

    Raises
    ------
    FcsDataError
        When the claims contradict each other or ``$TOT``, or the file is cut short.
    FcsTextError
        When ``$TOT`` is missing (from FCS 3.0 on) or unreadable.
    """
    total = _read_total(header, keywords)
    claims = _list_claims(header, keywords)
    row = parameters.row_bytes
    if total == 0 and all(len(claim.span) <= 1 for claim in claims):
        return Layout(HEADER_BYTES, 0)
    if not claims:
        raise FcsDataError(
            "neither HEADER nor TEXT says where DATA lies", where="DATA", advice=_AGAIN
        )
    # TEXT that ends on the first byte of DATA is a common slip; more of an overlap is not.
    apart = [
        claim
        for claim in claims
        if claim.span.begin >= header.text.end or claim.span.end <= header.text.begin
    ]
    sound = apart or claims
    exact = None if total is None else _fit_total(sound, claims, total, row, available)
    if exact is not None:
        overlap = () if apart else ("data_overlaps_text: by the offsets that fit $TOT",)
        return replace(exact, flags=exact.flags + overlap)
    if parameters.is_contradicted or not apart:
        raise FcsDataError(
            f"DATA of {len(sound[0].span)} bytes, and "
            + ("$PAR or $PnB contradicts the channels" if apart else "it overlaps TEXT"),
            where="DATA",
            expected=f"{_counted(total)} of {row} bytes",
            advice=_AGAIN,
        )
    return _trust_bytes(sound, total, row, available)


def _read_total(header: Header, keywords: dict[str, str]) -> int | None:
    if header.version == "FCS2.0" and not keywords.get("$TOT"):
        return None
    return require_count(keywords, "$TOT")


def _list_claims(header: Header, keywords: dict[str, str]) -> list[Claim]:
    claims = []
    if header.data is not None:
        claims.append(Claim(header.data, "HEADER"))
    begin, end = (read_count(keywords.get(key, "")) for key in ("$BEGINDATA", "$ENDDATA"))
    if begin and end is not None:
        claims.append(Claim(Span(begin, end), "TEXT"))
    return claims


def _fit_total(
    sound: list[Claim], claims: list[Claim], total: int, row: int, available: int
) -> Layout | None:
    """Return where `total` events lie by the claims that leave room for them exactly, or None."""
    for error in (0, 1, -1):
        fitting = [
            claim
            for claim in sound
            if claim.span.end - claim.span.begin + 1 - error == total * row
            and claim.span.begin + total * row <= available
        ]
        if not fitting:
            continue
        chosen = fitting[0]
        if any(claim.span.begin != chosen.span.begin for claim in fitting):
            raise _contradiction(fitting)
        flags = []
        if error:
            flags.append(f"data_end_off_by_one: {chosen.source} states byte {chosen.span.end}")
        if any(claim.span != chosen.span for claim in claims):
            flags.append(f"data_offsets_differ: {_told(claims)}, {chosen.source} fits $TOT")
        return Layout(chosen.span.begin, total, tuple(flags))
    return None


def _trust_bytes(claims: list[Claim], total: int | None, row: int, available: int) -> Layout:
    for claim in claims:
        # A claim that fits $TOT was refused only because the file ends before it does.
        if total and abs(len(claim.span) - total * row) <= 1:
            raise _cut_short(claim.span, total, row, available)
    span = claims[0].span
    if any(claim.span != span for claim in claims):
        raise _contradiction(claims)
    if span.end >= available:
        raise _cut_short(span, total, row, available)
    n_events, torn = divmod(len(span), row)
    if torn or not n_events:
        raise FcsDataError(
            f"DATA of {len(span)} bytes, which is {len(span) / row:.2f} events",
            where="DATA",
            expected=f"{_counted(total)} of {row} bytes",
            advice=_AGAIN,
        )
    flag = (
        "tot_missing: events counted by their bytes"
        if total is None
        else f"tot_mismatch: $TOT {total}, DATA holds {n_events}"
    )
    return Layout(span.begin, n_events, (flag,))


def _cut_short(span: Span, total: int | None, row: int, available: int) -> FcsDataError:
    stated = max(total or 0, len(span) // row)
    there = max(0, min(stated, (available - span.begin) // row))
    return FcsDataError(
        f"the file is cut short: {there} of {stated} events are there",
        where="DATA",
        expected=f"{span.end + 1} bytes, found {available}",
        advice=_AGAIN,
    )


def _counted(total: int | None) -> str:
    return "whole events" if total is None else f"{total} events ($TOT)"


def _contradiction(claims: list[Claim]) -> FcsDataError:
    return FcsDataError(
        f"DATA could lie in two places: {_told(claims)}",
        where="DATA",
        expected="HEADER and TEXT to agree",
        advice=_AGAIN,
    )


def _told(claims: list[Claim]) -> str:
    return ", ".join(
        f"{claim.source} states {claim.span.begin} to {claim.span.end}" for claim in claims
    )
