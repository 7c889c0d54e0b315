"""The antigen of one population: density, share of carriers, and what both are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.antigen.heterogeneity import describe_heterogeneity, thin
from cytoflow_car.antigen.rules import AntigenRule
from cytoflow_car.model.antigen import (
    AntigenControl,
    AntigenProfile,
    AntigenStatus,
    Background,
    BackgroundKind,
    Heterogeneity,
    Histogram,
    Mode,
)
from cytoflow_car.model.calibration import CalibrationRule, ChosenCalibration
from cytoflow_car.model.events import Channel, Values
from cytoflow_car.model.measurement import Interval
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.scale import Scale

_GRID = 201
# A control comes back from its process with no more values than this.
_MOST_CONTROL = 5000
# The axis of densities: from 10 to ten million molecules, 25 bins a decade.
_LOWEST, _HIGHEST, _PER_DECADE = 1, 7, 25
_BINS_OF_SCALE = 128


@dataclass(frozen=True, slots=True, eq=False)
class AntigenContext:
    """One gated specimen and what its antigens are measured with.

    Attributes
    ----------
    sample_id
        The specimen.
    tree, prepared
        Populations and their events.
    instrument
        Of the file.
    calibrations
        By marker.
    controls
        Of this specimen.
    calibration_rule
        The template's.
    confidence
        Of every interval.
    seed
        Of the bootstrap.
    """

    sample_id: str
    tree: PopulationTree
    prepared: PreparedEvents
    instrument: str
    calibrations: dict[str, ChosenCalibration]
    controls: tuple[AntigenControl, ...]
    calibration_rule: CalibrationRule
    confidence: float
    seed: int

    def channel(self, marker: str) -> Channel:
        """Return a marker's channel."""
        return self.prepared.events.channels[self.prepared.columns[marker]]

    def values(self, population: str, marker: str) -> Values:
        """Return a population's finite values, ascending, in data units; none if not gated."""
        if not population or _why_not(self.tree, population):
            return np.empty(0)
        values = self.prepared.values(marker, self.tree.kept_rows(population))
        ordered: Values = np.sort(values[np.isfinite(values)])
        return ordered


@dataclass(frozen=True, slots=True, eq=False)
class _Conversion:
    """From data units to the unit of a profile, with draws of the calibration."""

    unit: str
    convert: Callable[[Values], Values]
    # (n_draws,) what the line would be, as a factor at 1 MFI and per decade.
    mean_error: Values
    slope_error: Values
    center: float

    def draw(self, mfi: Values) -> Values:
        """Convert one value a draw, each by a line as it may truly be; NaN where not positive."""
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = self.mean_error + self.slope_error * (np.log10(mfi) - self.center)
            drawn: Values = self.convert(mfi) * 10.0**decades
        return np.where(mfi > 0, drawn, np.nan) if self.unit != "a.u." else mfi


def profile_antigen(rule: AntigenRule, context: AntigenContext) -> AntigenProfile:
    """Measure an antigen on a population of one specimen.

    Values are converted event by event, and what is said of them is said in the converted unit;
    the background is converted itself and subtracted afterwards. The interval of a median is that
    of the bootstrap: medians of resampled cells, of resampled background, and a line drawn from
    its standard errors with as many degrees of freedom as the beads' peaks leave.

    Returns
    -------
    A profile without numbers, flagged, where the marker or the population is missing.
    """
    missing = _why_not(context.tree, rule.population)
    if rule.marker not in context.prepared.columns:
        missing = f"MARKER_MISSING:{rule.marker}"
    if missing:
        return AntigenProfile(
            rule.name, rule.population, rule.marker, "", "", "", "", 0, flags=(missing,)
        )
    channel = context.channel(rule.marker)
    chosen = context.calibrations.get(rule.marker, ChosenCalibration(None, ("NO_CALIBRATION",)))
    # Cells are drawn anew for each specimen; beads that several share alike, since what
    # their line errs by is the same.
    rng = np.random.default_rng([context.seed, *f"{context.sample_id} {rule.name}".encode()])
    conversion = _conversion(chosen, context.calibration_rule, context.seed)
    values = context.values(rule.population, rule.marker)
    profile = AntigenProfile(
        antigen=rule.name,
        population=rule.population,
        marker=rule.marker,
        reagent=rule.reagent or f"{rule.marker} on {channel.detector}",
        stain=rule.reagent or channel.marker or "",
        detector=channel.detector,
        instrument=context.instrument,
        unit=conversion.unit,
        calibrator=chosen.use.calibration.calibrator if chosen.use is not None else "",
        calibration=chosen.use.sample_id if chosen.use is not None else "",
        n_events=int(values.size),
        flags=tuple(dict.fromkeys((*context.tree[rule.population].flags, *chosen.flags))),
    )
    negative, doubts = _choose_background(rule, context, channel, chosen)
    profile = replace(profile, histograms=_histograms(rule, context, conversion, negative))
    if values.size < rule.cutoffs.least_events:
        return _flag(profile, "FEW_CELLS")
    profile = _flag(profile, *doubts)
    if values.size < rule.cutoffs.qualitative_events:
        profile = _flag(profile, "QUALITATIVE")
    if chosen.use is not None:
        low, high = chosen.use.calibration.mfi_range
        if not low <= float(np.median(values)) <= high:
            profile = _flag(profile, "EXTRAPOLATED")
    profile = _describe(profile, values, conversion, context.confidence, rng)
    if negative is not None:
        profile = _subtract(profile, rule, values, negative, conversion, context.confidence, rng)
    profile = _relate(profile, rule, context, values, conversion, rng)
    scale = context.prepared.scales[rule.marker]
    split = describe_heterogeneity(values, scale, conversion.convert, rule.cutoffs, context.seed)
    return replace(profile, heterogeneity=_without_background(split, profile.background))


def summarise_antigen_control(
    rule: AntigenRule, context: AntigenContext, *, kind: str, sample_id: str
) -> AntigenControl | None:
    """Take from a control what it shows of an antigen without its antibody.

    Returns
    -------
    None where the control lacks the marker's channel, or its population could not be gated.
    """
    if rule.marker not in context.prepared.columns:
        return None
    population = rule.control_population or rule.population
    if _why_not(context.tree, population):
        return None
    values = context.values(population, rule.marker)
    channel = context.channel(rule.marker)
    return AntigenControl(
        rule.name,
        kind,
        sample_id,
        int(values.size),
        thin(values, _MOST_CONTROL),
        channel.detector,
        channel.voltage,
        context.instrument,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Negative:
    kind: BackgroundKind
    source: str
    n_events: int
    values: Values


def _choose_background(
    rule: AntigenRule, context: AntigenContext, channel: Channel, chosen: ChosenCalibration
) -> tuple[_Negative | None, list[str]]:
    """Return the best of the controls, else the negative population of the tube; and doubts."""
    flags: list[str] = []
    fitting = []
    for control in context.controls:
        if control.antigen != rule.name:
            continue
        settings = (control.detector, control.voltage, control.instrument)
        if settings != (channel.detector, channel.voltage, context.instrument):
            flags.append(f"CONTROL_OF_OTHER_SETTINGS:{control.sample_id}")
        elif control.n_events < rule.cutoffs.least_background:
            flags.append(f"FEW_CONTROL_EVENTS:{control.n_events}")
        else:
            fitting.append(control)
    # An indirect assay measures the second antibody too, which only an isotype control has.
    indirect = chosen.use is not None and chosen.use.calibration.kit.indirect
    order = ("isotype", "fmo") if indirect else ("fmo", "isotype")
    fitting.sort(
        key=lambda item: (
            order.index(item.kind), not item.same_batch, item.reach, item.sample_id,
        )
    )  # fmt: skip
    if fitting:
        best = fitting[0]
        if not best.same_batch:
            flags.append("CONTROL_OF_OTHER_BATCH")
        if not best.same_patient:
            flags.append("CONTROL_OF_OTHER_PATIENT")
        if channel.voltage is None or not context.instrument:
            flags.append("CONTROL_UNBOUND")
        kind: BackgroundKind = "fmo" if best.kind == "fmo" else "isotype"
        if kind != order[0]:
            flags.append(f"{kind.upper()}_ONLY")
        return _Negative(kind, best.sample_id, best.n_events, best.values), flags
    values = context.values(rule.negative, rule.marker)
    if values.size < rule.cutoffs.least_background:
        return None, [*flags, "NO_BACKGROUND"]
    own = _Negative("internal", rule.negative, int(values.size), values)
    return own, [*flags, "INTERNAL_NEGATIVE"]


def _conversion(chosen: ChosenCalibration, rule: CalibrationRule, seed: int) -> _Conversion:
    nothing = np.zeros(rule.draws)
    if chosen.use is None:
        return _Conversion("a.u.", lambda values: values, nothing, nothing, 0.0)
    calibration = chosen.use.calibration
    line = calibration.line
    rng = np.random.default_rng([seed, *chosen.use.sample_id.encode()])
    freedom = max(line.n_peaks - 2, 1)
    # Student's t: both errors were estimated from the same residuals.
    wide = np.sqrt(freedom / rng.chisquare(freedom, rule.draws))
    return _Conversion(
        calibration.converted_unit,
        lambda values: calibration.convert_values(values, rule.model),
        line.mean_error * wide * rng.standard_normal(rule.draws),
        line.slope_error * wide * rng.standard_normal(rule.draws),
        line.mean_log_mfi,
    )


def _describe(
    profile: AntigenProfile,
    values: Values,
    conversion: _Conversion,
    confidence: float,
    rng: np.random.Generator,
) -> AntigenProfile:
    quantiles = conversion.convert(np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))
    p5, p25, median, p75, p95 = (_number(value) for value in quantiles.tolist())
    converted = conversion.convert(values)
    positive = bool((converted > 0).all())
    spread = None
    if p25 is not None and p75 is not None and median is not None and median > 0:
        spread = 100.0 * 0.7413 * (p75 - p25) / median
    draws = conversion.draw(_draw_medians(values, conversion.mean_error.size, rng))
    grid = conversion.convert(np.quantile(values, np.linspace(0.0, 1.0, _GRID)))
    profile = replace(
        profile,
        median=median,
        geometric_mean=float(np.exp(np.log(converted).mean())) if positive else None,
        percentiles=(p5, p25, p75, p95),
        robust_cv_percent=spread,
        interval=_interval(draws, confidence),
        draws=draws,
        grid=np.nan_to_num(grid),
    )
    return profile if median is not None else _flag(profile, "NOT_POSITIVE")


def _subtract(
    profile: AntigenProfile,
    rule: AntigenRule,
    values: Values,
    negative: _Negative,
    conversion: _Conversion,
    confidence: float,
    rng: np.random.Generator,
) -> AntigenProfile:
    """Subtract the background after conversion, and count what lies above it."""
    middle, high = conversion.convert(np.quantile(negative.values, [0.5, 0.95])).tolist()
    threshold = float(np.quantile(negative.values, rule.cutoffs.background_quantile))
    if math.isnan(middle):
        # A background around 0 has no logarithm, and no molecules either.
        profile = _flag(profile, "BACKGROUND_NOT_POSITIVE")
        middle = 0.0
    background = Background(
        negative.kind, negative.source, negative.n_events, middle, _number(high), threshold
    )
    medians = _draw_medians(negative.values, conversion.mean_error.size, rng, negative.n_events)
    draws = profile.draws
    assert draws is not None
    net_draws: Values = np.nan_to_num(draws) - np.nan_to_num(conversion.draw(medians))
    net = None if profile.median is None else profile.median - middle
    n_positive = int(np.count_nonzero(values > threshold))
    found = net is not None and net > 0
    return replace(
        profile,
        background=background,
        net=net if found else None,
        net_interval=_interval(net_draws, confidence) if found else None,
        draws=net_draws,
        grid=profile.grid - middle if profile.grid is not None else None,
        n_positive=n_positive,
        positive_percent=100.0 * n_positive / values.size,
    )


def _relate(
    profile: AntigenProfile,
    rule: AntigenRule,
    context: AntigenContext,
    values: Values,
    conversion: _Conversion,
    rng: np.random.Generator,
) -> AntigenProfile:
    """Relate the density to normal cells and to the negative population, and give it its name."""
    n_draws = conversion.mean_error.size
    negative = context.values(rule.negative, rule.marker)
    normal = context.values(rule.reference, rule.marker)
    profile = replace(
        profile,
        ratio_to_negative=_ratio(values, negative, rule, n_draws, context.confidence, rng),
        ratio_to_reference=_ratio(values, normal, rule, n_draws, context.confidence, rng),
    )
    background = 0.0 if profile.background is None else profile.background.value or 0.0
    if normal.size >= rule.cutoffs.least_reference:
        density = float(conversion.convert(np.array([np.median(normal)]))[0]) - background
        if density > 0:
            profile = replace(
                profile,
                reference_population=rule.reference,
                reference_net=density,
                reference_source="same tube",
            )
    elif rule.reference_density is not None and conversion.unit == "ABC":
        profile = replace(
            profile,
            reference_net=rule.reference_density,
            reference_source=rule.reference_source,
        )
    if profile.reference_net is not None and profile.background is not None:
        profile = replace(profile, relative=(profile.net or 0.0) / profile.reference_net)
    return replace(profile, status=_status(profile, rule))


def _without_background(split: Heterogeneity, background: Background | None) -> Heterogeneity:
    """Return the modes without background, as the density of the whole is told."""
    middle = None if background is None else background.value
    modes = []
    for mode in split.modes:
        net = None if mode.value is None or middle is None else mode.value - middle
        modes.append(Mode(mode.fraction, net if net is not None and net > 0 else None))
    return replace(split, modes=tuple(modes))


def _status(profile: AntigenProfile, rule: AntigenRule) -> AntigenStatus | None:
    if profile.positive_percent is None:
        return None
    if profile.positive_percent < rule.cutoffs.negative_percent:
        return AntigenStatus.NEG
    if profile.positive_percent <= rule.cutoffs.positive_percent:
        return AntigenStatus.PARTIAL
    if profile.relative is None:
        return AntigenStatus.NO_REFERENCE
    return AntigenStatus.DIM if profile.relative < rule.cutoffs.dim_share else AntigenStatus.POS


def _ratio(
    values: Values,
    others: Values,
    rule: AntigenRule,
    n_draws: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, Interval] | None:
    """Return a ratio of medians in data units; None of too few cells or of one not positive."""
    if others.size < rule.cutoffs.least_reference:
        return None
    below = _draw_medians(others, n_draws, rng)
    middle = float(np.median(others))
    if middle <= 0 or (below <= 0).any():
        return None
    interval = _interval(_draw_medians(values, n_draws, rng) / below, confidence)
    assert interval is not None
    return float(np.median(values)) / middle, interval


def _draw_medians(
    ordered: Values, n_draws: int, rng: np.random.Generator, n_events: int = 0
) -> Values:
    """Draw medians of bootstrap samples without resampling.

    The median of n values drawn with replacement is the value at a rank whose share of n follows a
    beta distribution.

    Parameters
    ----------
    ordered
        Ascending.
    n_events
        Events that they stand for, where they were thinned.
    """
    half = ((n_events or ordered.size) + 1) / 2.0
    drawn: Values = np.quantile(ordered, rng.beta(half, half, n_draws))
    return drawn


def _interval(draws: Values, confidence: float) -> Interval | None:
    if np.isnan(draws).any():
        return None
    low, high = np.quantile(draws, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(float(low), float(high))


def _histograms(
    rule: AntigenRule,
    context: AntigenContext,
    conversion: _Conversion,
    negative: _Negative | None,
) -> tuple[Histogram, ...]:
    scale = context.prepared.scales[rule.marker]
    edges = _edges(conversion.unit, scale)
    shown = [
        (name, "", context.values(name, rule.marker))
        for name in dict.fromkeys((rule.population, rule.reference, rule.negative))
    ]
    if negative is not None and negative.kind != "internal":
        shown.append((negative.kind, negative.source, negative.values))
    return tuple(
        Histogram(
            name,
            source,
            conversion.unit,
            tuple(edges.tolist()),
            _count(conversion.convert(values), edges),
        )
        for name, source, values in shown
        if values.size
    )


def _edges(unit: str, scale: Scale) -> Values:
    if unit != "a.u.":
        n_bins = (_HIGHEST - _LOWEST) * _PER_DECADE
        return np.logspace(_LOWEST, _HIGHEST, n_bins + 1)
    # Without molecules the axis is the marker's own, from end to end.
    return scale.inverse(np.linspace(0.0, 1.0, _BINS_OF_SCALE + 1))


def _count(values: Values, edges: Values) -> tuple[int, ...]:
    places = np.searchsorted(edges, np.nan_to_num(values, nan=-np.inf), side="right") - 1
    counts = np.bincount(np.clip(places, 0, edges.size - 2), minlength=edges.size - 1)
    return tuple(int(count) for count in counts)


def _why_not(tree: PopulationTree, population: str) -> str:
    if population not in tree:
        return f"NOT_GATED:{population}"
    flags = tree[population].flags
    return next((f for f in flags if f.startswith(("MARKER_MISSING", "NOT_GATED"))), "")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _flag(profile: AntigenProfile, *flags: str) -> AntigenProfile:
    return replace(profile, flags=tuple(dict.fromkeys((*profile.flags, *flags))))
