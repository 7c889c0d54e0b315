"""Drift of a run: gates and stable populations of every batch against the run's other batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np

from cytoflow_car.job import SampleResult
from cytoflow_car.model.scale import Scale
from cytoflow_car.qc.drift import (
    RULES,
    DriftFinding,
    DriftSetting,
    Position,
    edge_positions,
    find_drift,
)
from cytoflow_car.study.plan import StudyPlan
from cytoflow_car.study.records import SheetRow
from cytoflow_car.template import Template

#: Placements that were not measured on the specimen, or that repeat another.
_NOT_PLACED = ("override", "boolean", "reference")


def drift_rows(plan: StudyPlan, results: list[SampleResult]) -> Iterator[dict[str, object]]:
    """Yield the rows of ``qc.csv`` that tell of drift.

    Series are kept apart by template, instrument and panel version. Positions lie on one scale a
    marker in each series, since an estimated scale differs from specimen to specimen: the one whose
    zero lies in the middle.
    """
    rows = {row.sample_id: row for row in plan.study.rows}
    templates = {sample.job.template.name: sample.job.template for sample in plan.samples}
    series: dict[tuple[str, str, str], list[SampleResult]] = {}
    for result in results:
        row = rows[result.sample_id]
        if row.use == "report":
            key = (result.template, row.instrument or result.instrument, row.panel_version)
            series.setdefault(key, []).append(result)
    for (name, _, _), found in series.items():
        template = templates[name]
        scales = _common_scales(found)
        positions = [
            Position(item, result.sample_id, rows[result.sample_id].batch, at)
            for result in found
            for item, at in _positions(result, template, scales).items()
        ]
        of_series = [rows[result.sample_id] for result in found]
        for finding in find_drift(positions, _in_time(of_series), template.drift):
            yield _row(finding, name, template.drift)


def _positions(
    result: SampleResult, template: Template, scales: Mapping[str, Scale]
) -> dict[str, float]:
    """Return where gates and medians of one specimen lie.

    An unsure gate, or one that stayed at its prior, says nothing of the instrument.
    """
    placed = {item.name: item.placement for item in result.populations}
    found = {}
    for rule in template.populations:
        placement = placed.get(rule.names[0])
        if (
            placement is not None
            and placement.method not in _NOT_PLACED
            and "PRIOR_KEPT" not in placement.flags
            and placement.confidence >= template.review_below
        ):
            for edge, at in edge_positions(placement.gate, scales).items():
                found[f"gate {' '.join(rule.names)}: {edge}"] = at
    for median in result.medians:
        at_median = scales[median.marker].forward(np.asarray([median.value]))
        found[f"population {median.population}: {median.marker} median"] = float(at_median[0])
    return found


def _common_scales(results: list[SampleResult]) -> dict[str, Scale]:
    of_marker: dict[str, list[tuple[float, str, Scale]]] = {}
    for result in results:
        for marker, scale in result.scales.items():
            zero = float(scale.forward(np.zeros(1))[0])
            of_marker.setdefault(marker, []).append((zero, result.sample_id, scale))
    return {
        marker: sorted(found, key=lambda item: item[:2])[(len(found) - 1) // 2][2]
        for marker, found in of_marker.items()
    }


def _in_time(rows: list[SheetRow]) -> list[str]:
    """Return the batches in the order of time where every one has a time, else of their names."""
    first: dict[str, datetime | None] = {}
    for row in rows:
        if row.batch:
            at = row.acquired_at if isinstance(row.acquired_at, datetime) else None
            before = first.get(row.batch)
            first[row.batch] = min((t for t in (at, before) if t is not None), default=None)
    by_name = sorted(first, key=_natural)
    times = {batch: at for batch, at in first.items() if at is not None}
    return sorted(by_name, key=times.__getitem__) if len(times) == len(first) else by_name


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which ``B2`` comes before ``B10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _row(finding: DriftFinding, template: str, setting: DriftSetting) -> dict[str, object]:
    limits = "; ".join(_rule_in_words(rule) for rule in setting.rules)
    broken = f"{', '.join(finding.broken)} broken; " if finding.broken else ""
    return {
        "sample_id": finding.sample_id,
        "template": template,
        "check": "drift",
        "value": finding.deviations,
        "unit": "" if finding.deviations is None else "SD",
        "limit": f"{broken}{limits} ({finding.compared})",
        "flag": "DRIFT" if finding.broken else "",
        "item": finding.item,
        "batch": finding.batch,
    }


def _rule_in_words(rule: str) -> str:
    n_in_row, limit = RULES[rule]  # type: ignore[index]
    row = "one" if n_in_row == 1 else f"{n_in_row} in a row"
    return f"{rule}: no {row} more than {limit:g} SD off" + (" to one side" if n_in_row > 1 else "")
