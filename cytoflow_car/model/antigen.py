"""Antigen density: what a population carries of an antigen, and how that changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval

#: What a background was measured on, in order of preference.
BackgroundKind = Literal["fmo", "isotype", "internal"]


class AntigenStatus(StrEnum):
    """What share of a population carries an antigen, and how much of it."""

    NEG = "NEG"
    PARTIAL = "PARTIAL"
    DIM = "DIM"
    POS = "POS"
    #: Positive, but nothing says what density would be dim.
    NO_REFERENCE = "NO_REFERENCE"


class AntigenChange(StrEnum):
    """How an antigen changed between two specimens of a patient."""

    LOSS = "LOSS"
    PARTIAL_LOSS = "PARTIAL_LOSS"
    DOWN = "DOWN"
    UNCHANGED = "UNCHANGED"
    GAIN = "GAIN"
    NOT_COMPARABLE = "NOT_COMPARABLE"


@dataclass(frozen=True, slots=True, eq=False)
class AntigenControl:
    """An antigen's channel in a control without its antibody.

    Attributes
    ----------
    antigen
        Name of the template's rule.
    kind, sample_id
        ``fmo`` or ``isotype``; the control.
    same_batch, same_patient
        Whether it was measured in the specimen's batch, and is of the specimen's patient.
    reach
        How far its row reaches: 0 the specimens that it names, 1 a patient's, 2 a batch's.
    n_events
        Events of the control's population.
    values
        (n,) ascending, in data units; evenly spaced by rank where there are very many.
    detector, voltage, instrument
        Of the control's file; a control of other settings is no control.
    """

    antigen: str
    kind: str
    sample_id: str
    n_events: int
    values: Values
    detector: str = ""
    voltage: float | None = None
    instrument: str = ""
    same_batch: bool = True
    same_patient: bool = True
    reach: int = 0


@dataclass(frozen=True, slots=True)
class Background:
    """What a population would show without the antigen.

    Attributes
    ----------
    kind, source
        What it was measured on: a control with its sample_id, or a population of the same tube.
    n_events
        Its events.
    value, high
        Median and 95th percentile, in the profile's unit; None where they cannot be converted.
    threshold
        Above it an event counts as positive, in data units.
    """

    kind: str
    source: str
    n_events: int
    value: float | None
    high: float | None
    threshold: float


@dataclass(frozen=True, slots=True)
class Mode:
    """One of two groups of cells: its share of the population, and its net median in the unit.

    `value` is None where it is not above background, or there is none.
    """

    fraction: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Whether a population falls into two by an antigen.

    Attributes
    ----------
    dip, dip_p
        Dip statistic, and the probability of one so large without two modes.
    bic_gain
        By how much two normal components on the marker's scale are better than one.
    modes
        The dimmer and the brighter group; empty unless `is_bimodal`.
    is_bimodal
        By all of the template's limits.
    """

    dip: float
    dip_p: float
    bic_gain: float
    modes: tuple[Mode, ...]
    is_bimodal: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of a population on one axis.

    Attributes
    ----------
    population
        Of the specimen; of a control with the control's name.
    source
        sample_id of the control; empty for the specimen itself.
    scale
        Unit of the axis.
    edges, counts
        Ascending edges, one more than counts. The first bin holds what lies below it too, the last
        what lies above.
    """

    population: str
    source: str
    scale: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AntigenProfile:
    """An antigen on a population of one specimen.

    Attributes
    ----------
    antigen, population, marker
        Name of the template's rule, and what it looks at.
    reagent
        The conjugate as the template names it, else marker and detector: what a file calls its
        stain may hold more than that, and stays out of tables.
    stain, detector, instrument
        As the file has them, to compare specimens by.
    unit
        ``ABC``, ``PE``, ``MESF`` or ``ERF`` by calibration, ``a.u.`` without one.
    calibrator
        Kit, unit and kind of assay; profiles of unlike ones cannot be compared. Empty without one.
    calibration
        sample_id of the beads; empty without them.
    n_events
        Events of the population.
    median, geometric_mean, percentiles
        Of the stained population, background included; 5th, 25th, 75th and 95th. None where a
        value cannot be converted.
    robust_cv_percent
        ``100 * 0.7413 * (P75 - P25) / median``.
    interval
        Of the median.
    background
        None where there is neither a control nor a negative population.
    net, net_interval
        Median without background; None where there is none, or where it is not above background.
    positive_percent
        Share of events above the background's threshold.
    reference_population, reference_net, relative
        Same-tube normal cells, their density, and the population's in share of it.
    reference_source
        ``same tube``, or the source of a calibrated reference that the template gives.
    status
        None of too few cells, and where the population was not found or has no background.
    heterogeneity
        None of too few cells.
    draws
        (n_draws,) bootstrap medians without background, in the unit; calibration's uncertainty
        included. Some may not be above 0.
    grid
        (201,) evenly spaced quantiles of the net density, in the unit.
    histograms
        Of the population, its reference, negative population and control.
    ratio_to_negative, ratio_to_reference
        Ratios of medians in data units, background included, with intervals.
    flags
        Doubts, by stable name.
    """

    antigen: str
    population: str
    marker: str
    reagent: str
    unit: str
    calibrator: str
    calibration: str
    n_events: int
    stain: str = ""
    detector: str = ""
    instrument: str = ""
    median: float | None = None
    geometric_mean: float | None = None
    percentiles: tuple[float | None, float | None, float | None, float | None] = (None,) * 4
    robust_cv_percent: float | None = None
    interval: Interval | None = None
    background: Background | None = None
    net: float | None = None
    net_interval: Interval | None = None
    positive_percent: float | None = None
    n_positive: int | None = None
    reference_population: str = ""
    reference_net: float | None = None
    relative: float | None = None
    reference_source: str = ""
    status: AntigenStatus | None = None
    heterogeneity: Heterogeneity | None = None
    draws: Values | None = None
    grid: Values | None = None
    histograms: tuple[Histogram, ...] = ()
    ratio_to_negative: tuple[float, Interval] | None = None
    ratio_to_reference: tuple[float, Interval] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AntigenComparison:
    """A specimen's antigen beside that of the patient's baseline.

    Attributes
    ----------
    baseline
        sample_id of the baseline.
    change, reason
        The verdict, and in a few words why.
    log10_ratio, interval
        ``log10(net / net of the baseline)`` of medians with its bootstrap interval; None where
        either is not above background or they cannot be compared.
    distance
        Wasserstein distance of the two densities in decades; None likewise.
    """

    baseline: str
    change: AntigenChange
    reason: str
    log10_ratio: float | None = None
    interval: Interval | None = None
    distance: float | None = None
