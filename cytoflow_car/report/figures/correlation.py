"""Two quantities of the same patients, and how far their ranks go together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.correlation import Correlation, correlate
from cytoflow_car.report.figures.style import (
    BLUE,
    ONE_COLUMN,
    SMALL,
    in_print,
    log_scale,
    new_figure,
    p_value_text,
)


@in_print
def draw_correlation(
    first: Mapping[str, float],
    second: Mapping[str, float],
    *,
    labels: tuple[str, str],
    confidence: float = 0.95,
) -> Figure:
    """Draw one quantity against another on logarithmic axes, a point a patient.

    Spearman's correlation stands above, with its interval and P value as `correlate` finds them.

    Parameters
    ----------
    first, second
        By patient, above 0, such as the maxima after infusions 1 and 2; patients with one of them
        only are left out.
    labels
        Of the two axes, with the unit.

    Raises
    ------
    OutcomeError
        No patient has both, or a value is not above 0.
    """
    both = sorted(set(first) & set(second))
    if not both:
        raise OutcomeError("no patient has both quantities", expected="at least one")
    for name in both:
        if not min(first[name], second[name]) > 0:
            raise OutcomeError(
                f"{first[name]:g} and {second[name]:g} on logarithmic axes",
                where=name,
                expected="values above 0",
                advice="Leave out patients whose course was never quantified",
            )
    found = correlate(first, second, confidence=confidence)
    figure = new_figure(ONE_COLUMN, 3.2)
    axes = figure.subplots()
    values = np.array([[first[name], second[name]] for name in both])
    axes.plot(
        *values.T, linestyle="none", marker="o", markersize=5, color=BLUE, markeredgecolor="black",
        markeredgewidth=0.5, label="_patients",
    )  # fmt: skip
    for which in ("x", "y"):
        log_scale(axes, which)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(_told(found, confidence), loc="left", fontsize=SMALL)
    return figure


def _told(found: Correlation, confidence: float) -> str:
    if found.value is None:
        return f"no correlation can be given, n = {found.n}"
    parts = [f"Spearman ρ = {found.value:.2f}"]
    if found.interval is not None:
        low, high = found.interval.low, found.interval.high
        parts.append(f"{100 * confidence:g} % CI {low:.2f} to {high:.2f}")
    if found.p_value is not None:
        parts.append(p_value_text(found.p_value))
    return ", ".join([*parts, f"n = {found.n}"]).replace("-", "−")
