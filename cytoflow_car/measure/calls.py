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
from cytoflow_car.measure.reporting import plain, report_value
from cytoflow_car.model.clusters import HEMODILUTED
from cytoflow_car.model.measurement import Measurement, Status

POS_QUANT, POS_BELOW_LOQ = "POS_QUANT", "POS_BELOW_LOQ"
SUSPECT, NEG, INDETERMINATE = "SUSPECT", "NEG", "INDETERMINATE"
CALLS = (POS_QUANT, POS_BELOW_LOQ, SUSPECT, NEG, INDETERMINATE)


def with_call(measurement: Measurement, rule: DetectionRule, confidence: float) -> Measurement:
    """Return a share with its call and sentence; what is no negative becomes indeterminate.

    No negative is one of too few cells, of an aspirate diluted by blood, or with as many events as
    would be detected, of which blanks have no fewer.

    Parameters
    ----------
    rule
        As it holds for the specimen: its limit of detection is the method's where that is higher.
    """
    if not rule.call_as or measurement.n_events is None:
        return measurement
    call = _call(measurement, rule)
    if call == INDETERMINATE and measurement.status is Status.NOT_DETECTED:
        flags = measurement.flags
        if _reaches_limit(measurement, rule):
            flags = tuple(dict.fromkeys((*flags, "WITHIN_BACKGROUND")))
        measurement = replace(
            measurement, status=Status.INDETERMINATE, value_reported="indeterminate", flags=flags
        )
    elif call == NEG:
        # Not "trace": what is printed of one specimen must not say both.
        measurement = replace(
            measurement,
            value_reported=report_value(
                measurement.value,
                Status.NOT_DETECTED,
                interval=measurement.interval,
                lod=measurement.lod,
                loq=measurement.loq,
            ),
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
            if _reaches_limit(measurement, rule):
                return INDETERMINATE
            if n_events >= rule.suspect_events:
                return SUSPECT
            if _too_insensitive(measurement, rule) or HEMODILUTED in measurement.flags:
                return INDETERMINATE
            return NEG
        case _:
            return INDETERMINATE


def _reaches_limit(measurement: Measurement, rule: DetectionRule) -> bool:
    """Tell whether there are as many events as are detected; unseen, blanks reach as many."""
    return (measurement.n_events or 0) >= rule.lod_events


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
        f"events = {plain(lod, 2)}%; upper {100.0 * confidence:g}% limit {plain(upper, 2)}%"
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
            return f"{what} detected: {plain(share, 3)}% of {measurement.denominator} ({found})."
    enough = not _too_insensitive(measurement, rule) or _reaches_limit(measurement, rule)
    if not enough or measurement.status is Status.INSUFFICIENT:
        return f"Inconclusive: insufficient cells ({found})."
    if HEMODILUTED in measurement.flags and not _reaches_limit(measurement, rule):
        return f"Inconclusive: the aspirate is diluted by blood ({found})."
    return f"Inconclusive: not told from background ({found})."
