"""What is said of where DATA lies: by HEADER, TEXT and what lies around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cytoflow_car.errors import FcsDataError
from cytoflow_car.fcs.datasets import DataSet
from cytoflow_car.fcs.evidence import Witness
from cytoflow_car.fcs.header import HEADER_BYTES, Span
from cytoflow_car.fcs.parameters import ParameterList
from cytoflow_car.fcs.rows import Layout
from cytoflow_car.fcs.segments import find_segment
from cytoflow_car.fcs.text import read_count, require_count

AGAIN = "Copy or export the file again."
#: Bytes of the checksum that may stand behind the last segment.
CHECKSUM_BYTES = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of where DATA lies: by HEADER or by TEXT."""

    span: Span
    source: str


@dataclass(frozen=True, slots=True)
class Statements:
    """Everything that is said of where DATA lies.

    Attributes
    ----------
    claims
        By HEADER and by TEXT, as far as they say it.
    total
        ``$TOT``; None where FCS 2.0 leaves it out.
    others
        The segments beside HEADER, primary TEXT and DATA.
    supplement
        Where supplemental TEXT is stated; None where it is not.
    lost_supplement
        The same where something else is there, else None.
    endings
        Where DATA may end: before the next segment or data set, or with the file.
    flags
        What of it is unreadable.
    """

    described: DataSet
    claims: tuple[Claim, ...]
    total: int | None
    parameters: ParameterList
    others: tuple[Span, ...]
    supplement: Span | None
    lost_supplement: Span | None
    endings: frozenset[int]
    flags: tuple[str, ...]

    @property
    def behind_text(self) -> int:
        """First byte behind primary TEXT."""
        return self.described.text.span.end + 1

    @property
    def is_unanimous(self) -> bool:
        """Whether all claims are one."""
        return len({claim.span for claim in self.claims}) == 1

    def bounds(self, layout: Layout) -> bool:
        """Whether ``$TOT`` events fill a layout, and each of its ends is stated or known."""
        begins = {claim.span.begin for claim in self.claims} | {self.behind_text}
        ends = {claim.span.end + 1 for claim in self.claims} | self.endings
        return layout.n_events == self.total and layout.begin in begins and layout.after in ends

    def is_apart(self, begin: int, after: int) -> bool:
        """Whether bytes belong to no other segment or data set."""
        text, next_begin = self.described.text.span, self.described.next_begin
        return (
            begin >= HEADER_BYTES
            and (begin > text.end or after <= text.begin)
            and (next_begin is None or after <= next_begin)
            and (
                self.supplement is None
                or begin > self.supplement.end
                or after <= self.supplement.begin
            )
        )


def gather_statements(
    described: DataSet, parameters: ParameterList, witness: Witness
) -> Statements:
    """Gather what is said of where the events of a data set lie.

    Raises
    ------
    FcsTextError
        When ``$TOT`` is missing (from FCS 3.0 on) or unreadable.
    """
    ends = [described.source.available]
    if described.next_begin is not None:
        ends.append(described.next_begin)
    supplement, analysis = (
        find_segment(described.text, name, described.shift) for name in ("STEXT", "ANALYSIS")
    )
    if supplement is not None and len(supplement) <= 1:
        supplement = None
    stated = (supplement, analysis, described.header.analysis)
    spans = tuple(span for span in stated if span is not None and len(span) > 1)
    is_lost = supplement is not None and not witness.is_text(supplement)
    checksums = [end - CHECKSUM_BYTES for end in ends]
    endings = {
        *ends,
        *(begin for begin in checksums if witness.is_checksum(begin, begin + CHECKSUM_BYTES)),
        *(span.begin for span in spans),
    }
    return Statements(
        described=described,
        claims=tuple(_list_claims(described)),
        total=_read_total(described),
        parameters=parameters,
        others=spans,
        supplement=supplement,
        lost_supplement=supplement if is_lost else None,
        endings=frozenset(endings),
        flags=tuple(_doubt_offsets(described)),
    )


def tell_located(layout: Layout, statements: Statements) -> str:
    """Return a flag for a layout that no claim states as it is."""
    total = statements.total
    is_claimed = any(
        (layout.begin, layout.after) == (claim.span.begin, claim.span.end + 1)
        for claim in statements.claims
    )
    if is_claimed and total is not None:
        return f"tot_mismatch: $TOT {total}, DATA holds {layout.n_events}"
    return (
        f"data_located: {tell_claims(statements.claims)}, {layout.n_events} events lie in "
        f"{layout.begin} to {layout.after - 1}"
    )


def tell_claims(claims: Sequence[Claim]) -> str:
    """Return claims in words."""
    return ", ".join(
        f"{claim.source} states {claim.span.begin} to {claim.span.end}" for claim in claims
    )


def contradiction(claims: Sequence[Claim]) -> FcsDataError:
    """Return the error of claims that lead to different events."""
    return FcsDataError(
        f"DATA could lie in two places: {tell_claims(claims)}",
        where="DATA",
        expected="HEADER and TEXT to agree",
        advice=AGAIN,
    )


def no_whole_events(statements: Statements, is_apart: bool) -> FcsDataError:
    """Return the error of a claim that nothing supports."""
    span, total = statements.claims[0].span, statements.total
    row = statements.parameters.formats[0].event_bits / 8
    if not is_apart:
        found = "and it overlaps TEXT"
    elif statements.parameters.is_contradicted:
        found = "and $PAR or $PnB contradicts the channels"
    else:
        found = f"which is {round(len(span) / row, 2):g} events"
    counted = "whole events" if total is None else f"{total} events ($TOT)"
    return FcsDataError(
        f"DATA of {len(span)} bytes, {found}",
        where="DATA",
        expected=f"{counted} of {row:g} bytes",
        advice=AGAIN,
    )


def cut_short(layout: Layout, statements: Statements) -> FcsDataError:
    """Return the error of a layout that ends behind the file."""
    stated = max(statements.total or 0, layout.n_events)
    rows = layout.rows
    there = max(0, statements.described.source.available - layout.begin) * 8 // rows.event_bits
    end = max(layout.after, layout.begin + rows.count_bytes(stated))
    return FcsDataError(
        f"the file is cut short: {min(stated, there)} of {stated} events are there",
        where="DATA",
        expected=f"{end} bytes, found {statements.described.source.available}",
        advice=AGAIN,
    )


def _doubt_offsets(described: DataSet) -> Iterator[str]:
    stated = [described.text.keywords.get(key, "") for key in ("$BEGINDATA", "$ENDDATA")]
    if any(value and read_count(value) is None for value in stated):
        yield "text_data_offset: $BEGINDATA or $ENDDATA is unreadable, taken from HEADER"


def _read_total(described: DataSet) -> int | None:
    if described.header.version == "FCS2.0" and not described.text.keywords.get("$TOT"):
        return None
    return require_count(described.text.keywords, "$TOT")


def _list_claims(described: DataSet) -> Iterator[Claim]:
    keywords, shift = described.text.keywords, described.shift
    stated = described.header.data
    if stated is not None:
        yield Claim(Span(stated.begin + shift, stated.end + shift), "HEADER")
    begin, end = (read_count(keywords.get(key, "")) for key in ("$BEGINDATA", "$ENDDATA"))
    if begin and end is not None:
        yield Claim(Span(begin + shift, end + shift), "TEXT")
