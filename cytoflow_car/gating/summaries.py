"""Summaries of control specimens: what is kept of them, and how it is asked."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from cytoflow_car.gating.placing import ControlSummary
from cytoflow_car.model.events import Values


def control_quantile(control: ControlSummary, quantile: float) -> float:
    """Return a quantile of a control's events, by linear interpolation.

    Equals ``numpy.quantile`` of all events as far as the kept highest values reach down; below, it
    comes from the evenly spaced quantiles.
    """
    tail = np.asarray(control.tail)
    position = quantile * (control.n_events - 1) - (control.n_events - tail.size)
    if position >= 0:
        return float(np.interp(position, np.arange(tail.size), tail))
    grid = np.asarray(control.quantiles)
    return float(np.interp(quantile, np.linspace(0.0, 1.0, grid.size), grid))


def quantile_limits(
    control: ControlSummary, quantile: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return limits between which a quantile of the control's population lies.

    They are two of the control's own values, chosen by rank, so that nothing is taken for granted
    of how the values are distributed. The number of events below the quantile is binomial.

    Parameters
    ----------
    confidence
        Least probability that the limits hold the quantile, half of the rest on either side.

    Returns
    -------
    Data units; infinite where the control has no value far enough out.

    References
    ----------
    David & Nagaraja, Order Statistics (2003), section 7.1.
    """
    outside = (1.0 - confidence) / 2.0
    least, most = stats.binom.ppf([outside, 1.0 - outside], control.n_events, quantile)
    return _ranked(control, int(least)), _ranked(control, int(most) + 1)


def _ranked(control: ControlSummary, rank: int) -> float:
    """Return the value of a rank, 1 for the lowest; infinite beyond the ends."""
    if rank < 1:
        return -math.inf
    if rank > control.n_events:
        return math.inf
    return control_quantile(control, (rank - 1) / max(control.n_events - 1, 1))


def count_above(control: ControlSummary, at: float) -> int:
    """Count a control's events at or above a value; below its kept tail from the quantiles."""
    if control.tail and at >= control.tail[0]:
        return int(np.count_nonzero(np.asarray(control.tail) >= at))
    levels = np.linspace(0.0, 1.0, len(control.quantiles))
    return round(control.n_events * float(1.0 - np.interp(at, control.quantiles, levels)))


def summarise_control(
    population: str,
    marker: str,
    kind: str,
    sample_id: str,
    values: Values,
    file_sha256: str = "",
) -> ControlSummary:
    """Summarise a control's events of one population on one marker.

    Parameters
    ----------
    values
        (n,) data units of all its events of the population.
    """
    finite = np.sort(values[np.isfinite(values)])
    kept = max(2000, finite.size // 50)
    return ControlSummary(
        population,
        marker,
        kind,
        sample_id,
        int(finite.size),
        tuple(finite[-kept:].tolist()),
        tuple(np.quantile(finite, np.linspace(0.0, 1.0, 2001)).tolist()) if finite.size else (),
        file_sha256,
    )
