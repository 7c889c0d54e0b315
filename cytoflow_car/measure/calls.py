"""From the count of blasts to a call, and to the sentence that a report may print.

References
----------
Brüggemann et al. and the ALL consensus on terms of measurable residual disease: a negative result
is stated with its sensitivity, and an insensitive one is no negative.
"""

from __future__ import annotations

from dataclasses import replace

from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.measure.intervals import clopper_pearson
from cytoflow_car.model.measurement import Measurement, Status

POS_QUANT, POS_BELOW_LOQ = "POS_QUANT", "POS_BELOW_LOQ"
SUSPECT, NEG, INDETERMINATE = "SUSPECT", "NEG", "INDETERMINATE"
CALLS = (POS_QUANT, POS_BELOW_LOQ, SUSPECT, NEG, INDETERMINATE)

#: A negative of a specimen with this flag is none.
HEMODILUTED = "HEMODILUTED"


def with_call(measurement: Measurement, rule: DetectionRule, confidence: float) -> Measurement:
    """Return a share with its call and sentence; a hemodiluted negative becomes indeterminate.

    Parameters
    ----------
    rule
        As it holds for the specimen: its limit of detection is the method's where that is higher.
    """
    if not rule.call_as or measurement.n_events is None:
        return measurement
    call = _call(measurement, rule)
    if call == INDETERMINATE and measurement.status is Status.NOT_DETECTED:
        measurement = replace(
            measurement, status=Status.INDETERMINATE, value_reported="indeterminate"
        )
    return replace(measurement, call=call, sentence=_sentence(call, measurement, rule, confidence))


def _call(measurement: Measurement, rule: DetectionRule) -> str:
    n_events = measurement.n_events or 0
    match measurement.status:
        case Status.QUANTIFIED:
            return POS_QUANT
        case Status.DETECTED_BELOW_LOQ:
            return POS_BELOW_LOQ
        case Status.NOT_DETECTED | Status.DETECTED_BELOW_LOD:
            if rule.suspect_events <= n_events < rule.lod_events:
                return SUSPECT
            if _too_insensitive(measurement, rule) or HEMODILUTED in measurement.flags:
                return INDETERMINATE
            return NEG
        case _:
            return INDETERMINATE


def _too_insensitive(measurement: Measurement, rule: DetectionRule) -> bool:
    if rule.negative_lod_percent is None or not measurement.n_denominator:
        return False
    lod = 100.0 * rule.lod_events / measurement.n_denominator
    return lod > rule.negative_lod_percent


def _sentence(call: str, measurement: Measurement, rule: DetectionRule, confidence: float) -> str:
    what, n_events = rule.call_as, measurement.n_events or 0
    n_all = measurement.n_denominator or 0
    if not n_all:
        return f"Inconclusive: insufficient cells (no {measurement.denominator} cells)."
    lod = 100.0 * rule.lod_events / n_all
    upper = 100.0 * clopper_pearson(n_events, n_all, confidence).high
    found = (
        f"n/N = {n_events:,}/{n_all:,} {measurement.denominator}; assay LOD {rule.lod_events} "
        f"events = {lod:.2g}%; upper {confidence:.0%} limit {upper:.2g}%"
    )
    match call:
        case "NEG":
            return (
                f"{what} not detected ({found}). A negative result does not exclude disease below "
                "this level."
            )
        case "SUSPECT":
            return f"{what} suspected, too few events to call them detected ({found})."
        case "POS_BELOW_LOQ":
            return f"{what} detected, too few events for a percentage ({found})."
        case "POS_QUANT":
            share = 100.0 * n_events / n_all
            return f"{what} detected: {share:.3g}% of {measurement.denominator} ({found})."
    if _too_insensitive(measurement, rule):
        return f"Inconclusive: insufficient cells ({found})."
    if HEMODILUTED in measurement.flags:
        return f"Inconclusive: the aspirate is diluted by blood ({found})."
    return f"Inconclusive: not told from background ({found})."
