"""Codes of tables in words, and doubts with what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cytoflow_car.report.html import Content, Element, element, joined
from cytoflow_car.tables.cells import Line
from cytoflow_car.tables.meanings import MEASUREMENT_FLAGS, STATUSES

SPECIMENS = {"PB": "blood", "CSF": "cerebrospinal fluid", "BM": "bone marrow"}
STATUS_WORDS = {
    "QUANTIFIED": "quantified",
    "DETECTED_BELOW_LOQ": "detected, below LOQ",
    "DETECTED_BELOW_LOD": "trace, below LOD",
    "DETECTED_UNCONFIRMED": "detected, unconfirmed",
    "NOT_DETECTED": "not detected",
    "INDETERMINATE": "indeterminate",
    "INSUFFICIENT": "too few cells",
    "EMPTY_PARENT": "no cells",
    "NOT_DONE": "not done",
    "FAILED": "failed",
}


def meaning(flag: str, meanings: Mapping[str, str] = MEASUREMENT_FLAGS) -> str:
    """Return what a flag means, with what stands behind its colon; empty of an unknown one."""
    base, _, more = _alone(flag).partition(":")
    found = meanings.get(_entry(base, meanings), "")
    return f"{found} ({more.strip()})" if found and more else found


def doubts(flags: Iterable[str], place: str, meanings: Mapping[str, str]) -> list[Content]:
    """Return flags as links to their meaning under `place`, which also stands in a tooltip."""
    return joined(
        element("a", flag, href=f"#{anchor(place, _alone(flag))}", title=told)
        if (told := meaning(flag, meanings))
        else element("span", flag)
        for flag in flags
    )


def glossary(flags: Iterable[str], place: str, meanings: Mapping[str, str]) -> Element:
    """Return what flags mean, one after another; `doubts` with the same place lead there."""
    made = []
    for flag in dict.fromkeys(map(_alone, flags)):
        if told := meaning(flag, meanings):
            made += [element("dt", flag, id=anchor(place, flag)), element("dd", told)]
    return element("dl", *made)


def anchor(place: str, name: str) -> str:
    """Return a name for what stands at a place of a page."""
    return f"{place}-{re.sub(r'[^A-Za-z0-9_]', '-', name)}"


def status(line: Line) -> Element:
    """Return a status in words, its code and meaning in a tooltip."""
    code = line["status"]
    told = f"{code}: {STATUSES.get(code, '')}"
    return element("span", STATUS_WORDS.get(code, code), title=told, data_status=code)


def has_digits(text: str) -> bool:
    """Tell whether a reported value holds a number, so that it has a unit."""
    return any(sign.isdigit() for sign in text)


def counted(line: Line) -> str:
    """Return the column of the number that courses count and draw.

    It is without background where a control tells that of a quantified result.
    """
    net = line["value_net"]
    is_number = line["status"] in ("QUANTIFIED", "DETECTED_UNCONFIRMED")
    return "value_net" if is_number and net and float(net) > 0 else "value"


def day_of(line: Line) -> str:
    """Return a draw's day, and on a day of infusion whether before or after it."""
    day = line["day"]
    if not day:
        return "day unknown"
    timing = {"pre": " before infusion", "post": " after infusion"}.get(line["timing"], "")
    return f"day {float(day):g}{timing}"


def _alone(flag: str) -> str:
    """Return a flag of a course without the infusion that it is about."""
    return flag.partition(" after infusion ")[0]


def _entry(base: str, meanings: Mapping[str, str]) -> str:
    return "FEW_<population>" if base not in meanings and base.startswith("FEW_") else base
