"""Fluorescence intensity of a population."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from cytoflow_car.measure.context import MeasureContext, without_value
from cytoflow_car.measure.intervals import median_interval
from cytoflow_car.measure.reporting import plain
from cytoflow_car.model.events import Values
from cytoflow_car.model.measurement import Interval, Measurement, Status


@dataclass(frozen=True, slots=True)
class Intensity:
    """Median or geometric mean of one marker on a population, in arbitrary units.

    Attributes
    ----------
    statistic
        ``median`` (interval from order statistics) or ``geometric_mean`` (interval on the log
        scale; no value where an event is at or below 0, since its logarithm does not exist).
    least_events
        With fewer the status is INSUFFICIENT and no value is given.
    requires
        Assay that must find the population; else the status is INDETERMINATE without a value.
    """

    measure: Literal["intensity"]
    name: str
    population: str
    marker: str
    statistic: Literal["median", "geometric_mean"] = "median"
    least_events: int = 20
    requires: str = ""

    @property
    def populations(self) -> tuple[str, ...]:
        """Populations that the measurement needs."""
        return (self.population,)

    def take(self, context: MeasureContext) -> Measurement:
        """Measure one specimen."""
        missing = list(context.not_gated(self.population))
        if self.marker not in context.prepared.columns:
            missing.append(f"MARKER_MISSING:{self.marker}")
        population = context.tree[self.population]
        if missing:
            return without_value(
                self.name, self.population, "", "a.u.", Status.NOT_DONE, tuple(missing)
            )
        rows = context.tree.kept_rows(self.population)
        withheld = Measurement(
            self.name,
            self.population,
            "",
            None,
            "a.u.",
            Status.INDETERMINATE,
            value_reported="indeterminate",
            n_events=int(rows.size),
            flags=population.flags,
        )
        if rows.size < self.least_events:
            status = Status.INSUFFICIENT if rows.size else Status.EMPTY_PARENT
            return replace(withheld, status=status, value_reported="insufficient cells")
        if not context.is_claimed(self.population, self.requires):
            return replace(withheld, flags=(*population.flags, "POPULATION_NOT_DETECTED"))
        values = context.prepared.values(self.marker, rows)
        if self.statistic == "median":
            value = float(np.median(values))
            interval: Interval | None = median_interval(values, context.confidence)
        elif (values > 0).all():
            value, interval = _geometric_mean(values, context.confidence)
        else:
            return replace(withheld, flags=(*population.flags, "NOT_ALL_POSITIVE"))
        return replace(
            withheld,
            value=value,
            status=Status.QUANTIFIED,
            interval=interval,
            value_reported=plain(value, 4),
        )


def _geometric_mean(values: Values, confidence: float) -> tuple[float, Interval | None]:
    logs = np.log(values)
    center = float(logs.mean())
    if logs.size < 2:
        return float(np.exp(center)), None
    student = float(special.stdtrit(logs.size - 1, 0.5 + confidence / 2.0))
    half = student * float(logs.std(ddof=1)) / np.sqrt(logs.size)
    return float(np.exp(center)), Interval(
        float(np.exp(center - half)), float(np.exp(center + half))
    )
