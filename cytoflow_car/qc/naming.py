"""How far clustering could lean on its reference."""

from __future__ import annotations

from cytoflow_car.model.clusters import DEVIATES_FROM_NORMAL, ClusterLabels
from cytoflow_car.qc.acquisition import Check


def check_naming(labels: ClusterLabels, most_unassigned_percent: float) -> tuple[Check, ...]:
    """Report the anchors, the fit, and the events without a name; nothing without a reference.

    Parameters
    ----------
    most_unassigned_percent
        What the template allows.
    """
    fit = labels.fit
    if fit is None:
        return ()
    flag = DEVIATES_FROM_NORMAL if DEVIATES_FROM_NORMAL in labels.flags else ""
    lowest = f"lowest of the reference: {fit.lowest_density:.2f}"
    return (
        Check("anchors", float(len(fit.anchors)), "populations", ", ".join(fit.anchors)),
        Check("reference_fit", fit.density, "ln density", lowest),
        Check(
            "unassigned",
            fit.unassigned_percent,
            f"% of {labels.parent}",
            f"at most {most_unassigned_percent:g}, but in a baseline",
            flag,
        ),
    )
