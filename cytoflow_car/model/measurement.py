"""What a measurement is: a value that may be unknown, with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How far a value may be trusted; exactly one a measurement."""

    QUANTIFIED = "QUANTIFIED"
    DETECTED_BELOW_LOQ = "DETECTED_BELOW_LOQ"
    DETECTED_BELOW_LOD = "DETECTED_BELOW_LOD"
    DETECTED_UNCONFIRMED = "DETECTED_UNCONFIRMED"
    NOT_DETECTED = "NOT_DETECTED"
    INDETERMINATE = "INDETERMINATE"
    INSUFFICIENT = "INSUFFICIENT"
    EMPTY_PARENT = "EMPTY_PARENT"
    NOT_DONE = "NOT_DONE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval, in the unit of its value."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured quantity of one specimen.

    Attributes
    ----------
    name
        ``car_t_percent_of_t`` …
    population, denominator
        Names in the gate tree; `denominator` is empty where there is none.
    value
        None where unknown, never 0 for want of a denominator.
    unit
        ``%`` (0 to 100), ``cells/uL``, ``a.u.``, ``ABC``, ``count`` or ``ratio``.
    interval
        95 % unless the template says otherwise; None where none can be given.
    exact_interval
        Of what lies in the gate, with background: exact binomial; None but for percents.
    value_reported
        What a person may print, for example ``<0.05``.
    value_before_qc
        The value with the events that quality control marked.
    background, value_net, net_interval
        Share of background events by the control, and the value without it.
    n_events, n_denominator
        Numerator and denominator in events; None where there is none.
    lod, loq
        Limits of detection and quantification in the unit of `value`.
    status
        See `Status`.
    call
        A verdict in the field's words where the measurement has one (``NEG``).
    flags
        Doubts, by stable name.
    platform
        ``single`` (counting beads) or ``dual`` (blood count) for concentrations.
    threshold_source
        What the threshold of the population rests on.
    sentence
        What a report may print of a call: counts, limit of detection, upper limit.
    false_positives_expected
        Events of the numerator that the method itself expects to be false; None where it measured
        none of its own.
    car_target, car_reagent
        What a CAR measurement looked for and with what.
    """

    name: str
    population: str
    denominator: str
    value: float | None
    unit: str
    status: Status
    interval: Interval | None = None
    exact_interval: Interval | None = None
    value_reported: str = ""
    value_before_qc: float | None = None
    background: float | None = None
    value_net: float | None = None
    net_interval: Interval | None = None
    n_events: int | None = None
    n_denominator: int | None = None
    lod: float | None = None
    loq: float | None = None
    call: str = ""
    flags: tuple[str, ...] = ()
    platform: str = ""
    threshold_source: str = ""
    car_target: str = ""
    car_reagent: str = ""
    sentence: str = ""
    false_positives_expected: float | None = None
