"""What every page says: that a study is simulated, and what made the report."""

from __future__ import annotations

from cytoflow_car.report.contents import RunContents
from cytoflow_car.report.html import Element, element, warning

#: Doubts of a specimen as a whole, which a reader of any of its numbers must know.
GRAVE = (
    "REFERENCE_SIMULATED", "CHANNELS_SWAPPED", "CHANNEL_DEAD", "DEVIATES_FROM_NORMAL",
    "HEMODILUTED", "METHODS_DISAGREE", "BLOOD_COUNT_IMPLAUSIBLE", "BASELINE_FAILED",
)  # fmt: skip


def simulated_warning(run: RunContents) -> list[Element]:
    """Return a warning where the study is simulated."""
    return [warning("simulated study: no real patients.")] if run.simulated else []


def footer(run: RunContents) -> Element:
    """Return what made the report."""
    return element(
        "footer",
        element(
            "p",
            f"Research use only. Not a medical device. Analysed by cytoflow-car "
            f"{run.record['cytoflow_car']}, reported by {run.version}. Numbers are those of the "
            "results folder, with three digits; its tables have them all.",
        ),
    )
