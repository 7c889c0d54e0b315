"""What may be printed of few events, as a list of faults: for measurements and for their table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from cytoflow_car.measure.intervals import clopper_pearson

# A zero as a result: "0 %", "0.00%", or nothing but a zero. "0 of 500" and "0/500" say of how many.
_ZERO = re.compile(r"(?<![\d.,/])0(?:[.,]0*)?\s*%|^\W*0(?:[.,]0*)?\W*(?:\(.*\))?$")
_EXPONENT = re.compile(r"\de[+-]?\d")
_FOUND = re.compile(
    r"\(n/N = ([\d,]+)/([\d,]+) (.+?); assay LOD (\d+) events = ([\d.]+)%; "
    r"upper 95% limit ([\d.]+)%\)"
)
#: Limit of detection, in percent, that a negative of blasts must reach.
NEGATIVE_LOD = 0.01


def says_zero(text: str) -> bool:
    """Tell whether a text gives zero as a result."""
    return _ZERO.search(text) is not None


def faults_of_text(value_reported: str, sentence: str) -> Iterator[str]:
    """Yield what no text may say, whatever was measured."""
    for text in (value_reported, sentence):
        if says_zero(text):
            yield f"zero alone: {text}"
        if _EXPONENT.search(text):
            yield f"an exponent: {text}"


def faults_of_call(
    call: str, value_reported: str, sentence: str, n_events: int, n_all: int, denominator: str
) -> Iterator[str]:
    """Yield what a call of blasts says wrongly, or does not say; `n_all` is above 0."""
    yield from faults_of_text(value_reported, sentence)
    found = _FOUND.search(sentence)
    if found is None:
        yield f"no counts, limit of detection and upper limit: {sentence}"
        return
    if (found[1], found[2], found[3]) != (f"{n_events:,}", f"{n_all:,}", denominator):
        yield f"other counts than {n_events} of {n_all} {denominator}: {sentence}"
    lod_events, lod, upper = int(found[4]), float(found[5]), float(found[6])
    exact = {"limit": 100.0 * lod_events / n_all}
    exact["upper"] = 100.0 * clopper_pearson(n_events, n_all).high
    for told, name in ((lod, "limit"), (upper, "upper")):
        # Two digits are printed.
        if not math.isclose(told, exact[name], rel_tol=0.051):
            yield f"{name} {told} instead of {exact[name]}: {sentence}"
    insensitive = exact["limit"] > NEGATIVE_LOD
    negative = sentence.startswith("Blasts not detected (")
    if negative != (call == "NEG"):
        yield f"{call}: {sentence}"
    if negative and "does not exclude disease below this level" not in sentence:
        yield f"a negative that excludes: {sentence}"
    if negative and (insensitive or n_events >= lod_events):
        yield f"a negative of too few cells or many events: {sentence}"
    if negative and re.search("detected|trace", value_reported):
        yield f"a negative beside {value_reported}"
    if ("detected: " in sentence) != (call == "POS_QUANT"):
        yield f"{call}: {sentence}"
    few = n_events < lod_events and call != "SUSPECT"
    if insensitive and few and not sentence.startswith("Inconclusive: insufficient cells"):
        yield f"too few cells to say so: {sentence}"
    if call == "INDETERMINATE" and not sentence.startswith("Inconclusive: "):
        yield f"{call}: {sentence}"
