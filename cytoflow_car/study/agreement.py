"""Write what a comparison came to, and judge it by limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cytoflow_car.model.measurement import Interval
from cytoflow_car.report.agreement import draw_agreement
from cytoflow_car.study.compare import Comparison
from cytoflow_car.study.output_folder import refuse_results_folder
from cytoflow_car.tables.agreement import PopulationAgreement, PopulationSummary
from cytoflow_car.tables.columns import AGREEMENT, AGREEMENT_SUMMARY
from cytoflow_car.tables.write import to_frame, write_csv

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Limits:
    """What agreement is asked for; None asks for nothing.

    Attributes
    ----------
    least_f1
        Of a population's median.
    least_worst_f1
        Of its worst sample.
    most_difference
        Percentage points, of any sample.
    least_concordance
        Lin's concordance correlation.
    """

    least_f1: float | None = None
    least_worst_f1: float | None = None
    most_difference: float | None = None
    least_concordance: float | None = None


def find_outside(summaries: Sequence[PopulationSummary], limits: Limits) -> tuple[str, ...]:
    """Return what lies outside the limits, in words; what is not known lies outside, too."""
    found = []
    for item in summaries:
        name = f"{item.population} [{item.template}]"
        concordance = None if item.concordance is None else item.concordance.value
        for what, value, least in (
            ("median F1", item.median_f1, limits.least_f1),
            ("worst F1", item.worst_f1, limits.least_worst_f1),
            ("concordance", concordance, limits.least_concordance),
        ):
            if least is not None and (value is None or value < least):
                found.append(f"{name}: {what} {_number(value)} is below {least:g}")
        most, largest = limits.most_difference, item.largest_difference
        if most is not None and (largest is None or largest > most):
            found.append(
                f"{name}: largest difference {_number(largest)} is above {most:g} percentage points"
            )
    return tuple(found)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def write_agreement(comparison: Comparison, out: Path) -> None:
    """Write ``agreement.csv``, ``agreement_summary.csv`` and ``agreement.png`` into a folder.

    Raises
    ------
    StudyError
        `out` lies in a results folder, which the next run would then refuse.
    """
    refuse_results_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = to_frame(map(_agreement_row, comparison.rows), list(AGREEMENT))
    counts = ("n_ours", "n_theirs", "n_both")
    write_csv(rows.astype(dict.fromkeys(counts, "Int64")), out / "agreement.csv")
    summaries = to_frame(map(_summary_row, comparison.summaries), list(AGREEMENT_SUMMARY))
    write_csv(summaries, out / "agreement_summary.csv")
    picture = draw_agreement(comparison.rows, comparison.summaries)
    (out / "agreement.png").write_bytes(picture)


def _agreement_row(item: PopulationAgreement) -> Row:
    return {name: getattr(item, name) for name in AGREEMENT} | {
        "review": "yes" if item.review else ""
    }


def _summary_row(item: PopulationSummary) -> Row:
    same = {name: getattr(item, name) for name in AGREEMENT_SUMMARY if hasattr(item, name)}
    differences, concordance = item.differences, item.concordance
    row: Row = same | {"concordance": None}
    if differences is not None:
        row |= {"mean_difference": differences.mean}
        row |= _ends("mean_ci", differences.mean_interval)
        row |= _ends("limit_low_ci", differences.low_interval)
        row |= _ends("limit_high_ci", differences.high_interval)
        row |= _ends("limit", differences.limits)
    if concordance is not None:
        row |= {"concordance": concordance.value}
        row |= _ends("concordance_ci", concordance.interval)
    return row


def _ends(name: str, interval: Interval | None) -> Row:
    if interval is None:
        return {}
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}
