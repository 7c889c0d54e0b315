"""Pages of HTML that need nothing from outside: elements, tables, numbers with where they stand.

Pages are trees of `xml.etree` elements, not text with holes: whatever is not an element is text, so
that nothing from a sheet can become markup, and no escaping can be forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from cytoflow_car.measure.reporting import plain
from cytoflow_car.report.style import STYLE
from cytoflow_car.tables.cells import Line

Content = Element | str
#: Not text in HTML: control characters, and halves of a pair of surrogates.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGITS = 3


def element(name: str, /, *content: Content, **attributes: str) -> Element:
    """Return an element.

    In the names of attributes ``_`` stands for ``-``, and at the end for nothing.

    Examples
    --------
    >>> write(element("p", "1 < 2 ", element("b", "&"), class_="note", data_table='"'))
    '<p class="note" data-table="&quot;">1 &lt; 2 <b>&amp;</b></p>'
    """
    made = Element(
        name,
        {
            key.rstrip("_").replace("_", "-"): _NO_TEXT.sub("\ufffd", value)
            for key, value in attributes.items()
        },
    )
    for item in content:
        if isinstance(item, Element):
            made.append(item)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _NO_TEXT.sub("\ufffd", item)
        else:
            made.text = (made.text or "") + _NO_TEXT.sub("\ufffd", item)
    return made


def write(made: Element) -> str:
    """Return an element as HTML."""
    return tostring(made, encoding="unicode", method="html")


def page(title: str, *content: Content) -> str:
    """Return a whole page. Its policy lets nothing in but its own style and pictures beside it."""
    # `file:` because not every browser takes a page from a folder and its pictures for one origin.
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src 'self' file:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", STYLE),
    )
    made = element("html", head, element("body", element("main", *content)), lang="en")
    return f"<!DOCTYPE html>\n{write(made)}\n"


def number(line: Line, column: str, *, rounded: bool = True, unit: str = "") -> Content:
    """Return what stands in a table, with the place where it stands; empty text of an empty cell.

    Parameters
    ----------
    rounded
        To three digits where it is a number with more; ``data-value`` has them all. Else as it
        stands.
    """
    text = line[column]
    if not text:
        return ""
    place = {"data_table": line.table, "data_row": str(line.row), "data_column": column}
    if line["measurement"]:
        place |= {"data_sample": line["sample_id"], "data_measurement": line["measurement"]}
    shown = round_text(text) if rounded else text
    if shown != text:
        place["data_value"] = text
    made = element("span", shown, class_="number", **place)
    return element("span", made, f" {unit}") if unit else made


def interval(line: Line, low: str, high: str) -> list[Content]:
    """Return the ends of an interval; nothing where one is unknown."""
    if not (line[low] and line[high]):
        return []
    return [number(line, low), " to ", number(line, high)]


def round_text(text: str) -> str:
    """Return a number of a table with three digits, or all before the point; other text as it is.

    Examples
    --------
    >>> [round_text(text) for text in ("12.369597615499254", "25340.4", "14.0", "yes")]
    ['12.4', '25340', '14', 'yes']
    """
    try:
        value = float(text)
    except ValueError:
        return text
    if value != value or abs(value) == float("inf"):
        return text
    return plain(value, _DIGITS) if abs(value) < 999.5 else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with attributes of its own."""

    content: Sequence[Content]
    class_: str = ""


#: Cells of a row, the first of which names it.
Row = Sequence[Content | Cell]


def table(caption: str, columns: Sequence[str], rows: Iterable[Row]) -> Content:
    """Return a table whose first column names its rows, in a frame that scrolls by itself.

    Without rows it is the caption and "none".
    """
    body = [_row(cells) for cells in rows]
    if not body:
        return element("p", f"{caption}: none.", class_="none")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    made = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", made, class_="scroll", role="region", tabindex="0", aria_label=caption)


def _row(cells: Row) -> Element:
    first, *others = (item if isinstance(item, Cell) else Cell((item,)) for item in cells)
    return element(
        "tr",
        element("th", *first.content, scope="row", **_class(first)),
        *(element("td", *cell.content, **_class(cell)) for cell in others),
    )


def _class(cell: Cell) -> dict[str, str]:
    return {"class_": cell.class_} if cell.class_ else {}


def joined(items: Iterable[Content], between: str = ", ") -> list[Content]:
    """Return contents with text between each two; what is empty is left out."""
    made: list[Content] = []
    for item in items:
        if isinstance(item, Element) or item:
            made += [between, item] if made else [item]
    return made


def warning(*content: Content) -> Element:
    """Return a line that a reader must not miss; the word says so, not the colour alone."""
    return element("p", element("strong", "Warning: "), *content, class_="warning")
