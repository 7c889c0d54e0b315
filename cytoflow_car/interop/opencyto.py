"""Read openCyto's gating templates: a CSV table, each row one population or several."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cytoflow_car.errors import InteropError

#: Methods that cut each of their dimensions by itself.
CUT_METHODS = {
    "mindensity": "valley",
    "mindensity2": "valley",
    "gate_mindensity": "valley",
    "gate_mindensity2": "valley",
    "rangeGate": "valley",
    "tailgate": "tail",
    "gate_tail": "tail",
    "cytokine": "tail",
    "quantileGate": "quantile",
    "gate_quantile": "quantile",
}
QUADRANT_METHODS = ("quadGate.seq", "gate_quad_sequential", "quadGate.tmix", "gate_quad_tmix")

_NEEDED = ("alias", "pop", "parent", "dims", "gating_method", "gating_args")
#: The order in which openCyto names the four populations of a quadrant gate.
_QUADRANTS = ("-+", "++", "+-", "--")
_SIGN = re.compile(r"\+/-|[+-]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?L?|[+-]?Inf")
_ARGUMENT = re.compile(
    r"""\s*([A-Za-z.][\w.]*)\s*=\s*(c\([^()]*\)\s*|"[^"]*"\s*|'[^']*'\s*|[^,()"']+)(?:,|$)"""
)


@dataclass(frozen=True, slots=True)
class OpenCytoStep:
    """One gate, after rows that stand for several have been written out.

    Attributes
    ----------
    row
        Line of the table, the heading being line 1.
    parent
        As it is written: a name, or a path with slashes.
    populations
        Name to the side or quadrant that is kept: ``+``, ``-``, ``+-`` …
    dims
        Detectors or stains, or parts of them.
    method
        openCyto's name of it.
    arguments
        Numbers, or text that stood in quotes.
    text
        All arguments as they are written.
    """

    row: int
    parent: str
    populations: Mapping[str, str]
    dims: tuple[str, ...]
    method: str
    arguments: Mapping[str, tuple[float, ...] | str]
    text: str


@dataclass(frozen=True, slots=True)
class OpenCytoTemplate:
    """What a gating template of openCyto says.

    Attributes
    ----------
    steps
        In the order of the table.
    left_out
        Rows that are not understood, in words.
    notes
        What else could not be taken over, in words.
    """

    steps: tuple[OpenCytoStep, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def read_opencyto(path: Path) -> OpenCytoTemplate:
    """Read a gating template; nothing in it is evaluated.

    Rows that stand for several populations (``+/-``, ``+/-+/-``, two dimensions cut one by one, an
    alias ``*``, several parents) are written out as openCyto's documentation says.

    Raises
    ------
    InteropError
        It cannot be read, or is no such table.
    """
    rows = list(_rows(path))
    steps: dict[tuple[str, tuple[str, ...]], OpenCytoStep] = {}
    left_out: list[str] = []
    notes: list[str] = []
    for number, row in rows:
        alias, method = row["alias"], row["gating_method"]
        arguments, unread = _arguments(row["gating_args"])
        notes.extend(f"row {number}, {alias}: {note}" for note in _unsaid(row))
        if unread and method not in ("boolGate", "refGate", "polyFunctions"):
            notes.append(f"row {number}, {alias}: {unread!r} is no number and was not taken over")
        dims = tuple(dim.strip(" <>") for dim in row["dims"].split(",") if dim.strip(" <>"))
        for parent in (parent.strip() for parent in row["parent"].split(",")):
            step = OpenCytoStep(number, parent, {}, dims, method, arguments, row["gating_args"])
            found = list(_written_out(step, alias, row["pop"]))
            if not found:
                left_out.append(
                    f"row {number}, {alias}: {method} of {len(dims)} dims with pop "
                    f"{row['pop']!r} is not understood"
                )
            for item in found:
                key = (item.parent, tuple(item.populations))
                # Several rows may need the same cut of one dimension; openCyto makes it once.
                if key in steps and _same_cut(steps[key], item):
                    continue
                if key in steps:
                    left_out.append(f"row {number}, {', '.join(item.populations)}: stands twice")
                    continue
                steps[key] = item
    return OpenCytoTemplate(tuple(steps.values()), tuple(left_out), tuple(notes))


def _same_cut(one: OpenCytoStep, other: OpenCytoStep) -> bool:
    same = (one.method, one.dims, one.text) == (other.method, other.dims, other.text)
    return same and one.method in CUT_METHODS and one.row != other.row


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        heading = [(name or "").strip() for name in reader.fieldnames or ()]
        lacking = [name for name in _NEEDED if name not in heading]
        if lacking:
            raise InteropError(
                f"no column {', '.join(lacking)}",
                where=path.name,
                expected="a gating template of openCyto: " + ", ".join(_NEEDED),
            )
        reader.fieldnames = heading
        for row in reader:
            number = reader.line_num
            if None in row:
                raise InteropError(
                    "more cells than columns",
                    where=f"{path.name}, row {number}",
                    advice="Put cells that hold a comma in quotes",
                )
            cells = {name: (cell or "").strip() for name, cell in row.items()}
            if any(cells.values()):
                # R writes a missing value as NA.
                yield number, {name: "" if cell == "NA" else cell for name, cell in cells.items()}
    except OSError as fault:
        raise InteropError(f"cannot be opened ({fault.strerror})", where=path.name) from fault
    except (UnicodeDecodeError, csv.Error) as fault:
        raise InteropError(f"no CSV table in UTF-8: {fault}", where=path.name) from fault


def _unsaid(row: Mapping[str, str]) -> Iterator[str]:
    """Yield what columns beside the gate itself ask for."""
    if row.get("preprocessing_method"):
        yield f"preprocessing {row['preprocessing_method']} has no counterpart"
    if row.get("collapseDataForGating", "").upper() in ("TRUE", "T"):
        group = f" by {row['groupBy']}" if row.get("groupBy") else ""
        yield f"placed once for samples together{group}; placed_for is 'specimen' until you set it"


def _arguments(text: str) -> tuple[dict[str, tuple[float, ...] | str], str]:
    """Return named numbers and quoted texts, and the rest of the arguments."""
    found: dict[str, tuple[float, ...] | str] = {}
    unread: list[str] = []
    start = 0
    while start < len(text):
        match = _ARGUMENT.match(text, start)
        if match is None:
            unread.append(text[start:].strip())
            break
        start = match.end()
        name, value = match[1], match[2].strip()
        several = value.removeprefix("c(").removesuffix(")") if value.startswith("c(") else value
        numbers = [item.strip() for item in several.split(",")]
        if all(_NUMBER.fullmatch(item) for item in numbers):
            found[name] = tuple(float(item.removesuffix("L")) for item in numbers)
        elif value[0] in "\"'" or value in ("TRUE", "FALSE", "T", "F"):
            found[name] = value.strip("\"'")
        else:
            unread.append(match[0].strip(" ,"))
    return found, ", ".join(unread)


def _written_out(step: OpenCytoStep, alias: str, pop: str) -> Iterator[OpenCytoStep]:
    """Yield the steps that a row stands for; none where it is not understood."""
    dims = step.dims
    for dim in dims:  # CD4+CD8- stands for +-
        pop = pop.replace(dim, "")
    options = [sign.split("/") for sign in _SIGN.findall(pop)]
    if len(options) > 2:
        return
    if step.method == "boolGate":
        options = options or [["+"]]
    patterns = ["".join(signs) for signs in itertools.product(*options)]
    if step.method in QUADRANT_METHODS:
        names = [name.strip() for name in alias.split(",")]
        if pop in ("", "*"):
            patterns = list(_QUADRANTS)
        if len(dims) != 2 or any(len(pattern) != 2 for pattern in patterns):
            return
        if len(names) == len(patterns) and alias != "*":
            yield replace(step, populations=dict(zip(names, patterns, strict=True)))
        elif alias == "*":
            yield replace(step, populations={_named(dims, signs): signs for signs in patterns})
    elif len(options) == 2 == len(dims) and (step.method in CUT_METHODS or ":" in step.text):
        references = step.text
        if step.method in CUT_METHODS:
            for dim in dims:
                yield replace(step, populations={f"{dim}+": "+"}, dims=(dim,))
            references = ":".join(f"{step.parent}/{dim}+" for dim in dims)
        for signs in patterns:
            name = _named(dims, signs) if alias in ("*", "") or len(patterns) > 1 else alias
            yield replace(step, populations={name: signs}, method="refGate", text=references)
    elif len(options) == 1 and not (step.method in CUT_METHODS and len(dims) != 1):
        stem = ",".join(dims) if alias in ("*", "") else alias
        plain = len(patterns) == 1 and alias not in ("*", "")
        first = stem if plain else f"{stem}{patterns[0]}"
        yield replace(step, populations={first: patterns[0]})
        for signs in patterns[1:]:
            reference = f"{step.parent}/{first}" if step.method != "refGate" else step.text
            yield replace(
                step, populations={f"{stem}{signs}": signs}, method="refGate", text=reference
            )


def _named(dims: tuple[str, ...], signs: str) -> str:
    return "".join(f"{dim}{sign}" for dim, sign in zip(dims, signs, strict=True))
