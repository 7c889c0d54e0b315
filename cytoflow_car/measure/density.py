"""Antigen density of a population, and its ratio to cells of the same tube."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cytoflow_car.measure.context import MeasureContext, without_value
from cytoflow_car.measure.reporting import plain
from cytoflow_car.model.antigen import AntigenProfile
from cytoflow_car.model.measurement import Measurement, Status


@dataclass(frozen=True, slots=True)
class Density:
    """Antibodies bound per cell, by calibration beads.

    Attributes
    ----------
    antigen
        Row of the template's antigens; the value is its median.
    """

    measure: Literal["density"]
    name: str
    antigen: str

    @property
    def populations(self) -> tuple[str, ...]:
        """None of its own: those of the antigen's row."""
        return ()

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        profile = context.antigens[self.antigen]
        found = _withheld(self.name, profile, profile.unit if profile.calibrator else "ABC")
        if found.status is not Status.QUANTIFIED:
            return found
        if not profile.calibrator:
            return replace(found, status=Status.NOT_DONE, value_reported="not done")
        background = profile.background
        found = replace(found, value=profile.median, interval=profile.interval)
        if background is None:
            # With whatever the cells shine by themselves, it is no density.
            return _no_value(found)
        found = replace(
            found,
            background=background.value,
            value_net=profile.net,
            net_interval=profile.net_interval,
            threshold_source=background.source,
        )
        if profile.net is None and background.high is None:
            return _no_value(found)
        if profile.net is None:
            return replace(
                found,
                status=Status.NOT_DETECTED,
                value_reported=f"<{plain(max(background.high or 0.0, profile.median or 0.0), 3)}",
            )
        interval = profile.net_interval
        if interval is None or interval.low <= 0:
            return replace(
                found,
                status=Status.DETECTED_UNCONFIRMED,
                value_reported=f"{plain(profile.net, 3)} (unconfirmed)",
                flags=(*found.flags, "WITHIN_BACKGROUND"),
            )
        return replace(found, value_reported=plain(profile.net, 3))


@dataclass(frozen=True, slots=True)
class DensityRatio:
    """Ratio of an antigen's median to that of cells of the same tube, background included.

    Attributes
    ----------
    antigen
        Row of the template's antigens.
    to
        ``negative`` or ``reference``: the population that the antigen's row names.
    """

    measure: Literal["density_ratio"]
    name: str
    antigen: str
    to: Literal["negative", "reference"]

    @property
    def populations(self) -> tuple[str, ...]:
        """None of its own: those of the antigen's row."""
        return ()

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        profile = context.antigens[self.antigen]
        found = _withheld(self.name, profile, "ratio")
        if found.status is not Status.QUANTIFIED:
            return found
        negative = self.to == "negative"
        ratio = profile.ratio_to_negative if negative else profile.ratio_to_reference
        if ratio is None:
            return replace(
                found,
                status=Status.NOT_DONE,
                value_reported="not done",
                flags=(*found.flags, f"NOT_MEASURED:{self.to}"),
            )
        value, interval = ratio
        return _with_value(replace(found, value=value, interval=interval))


def _withheld(name: str, profile: AntigenProfile, unit: str) -> Measurement:
    """Return the measurement without a value: QUANTIFIED where one can be given."""
    missing = [f for f in profile.flags if f.startswith(("MARKER_MISSING", "NOT_GATED"))]
    if missing:
        return without_value(name, profile.population, "", unit, Status.NOT_DONE, profile.flags)
    found = Measurement(
        name,
        profile.population,
        "",
        None,
        unit,
        Status.QUANTIFIED,
        n_events=profile.n_events,
        flags=profile.flags,
    )
    if "FEW_CELLS" in profile.flags:
        status = Status.INSUFFICIENT if profile.n_events else Status.EMPTY_PARENT
        return replace(found, status=status, value_reported="insufficient cells")
    if "POPULATION_NOT_DETECTED" in profile.flags:
        return replace(found, status=Status.INDETERMINATE, value_reported="indeterminate")
    return found


def _with_value(found: Measurement) -> Measurement:
    assert found.value is not None
    return replace(found, value_reported=plain(found.value, 3))


def _no_value(found: Measurement) -> Measurement:
    return replace(found, status=Status.INDETERMINATE, value_reported="indeterminate")
