"""Antigens of a study: controls, the comparison with each patient's baseline, and their rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cytoflow_car.antigen.change import compare_antigen
from cytoflow_car.antigen.rules import AntigenRule
from cytoflow_car.job import SampleResult
from cytoflow_car.model.antigen import AntigenComparison, AntigenProfile
from cytoflow_car.report.antigens import AntigenStrip, draw_antigen
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.study.references import patient_baselines
from cytoflow_car.template import Template

Row = dict[str, object]
#: (sample_id, template, antigen).
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A specimen's antigen with what the sheet says of the specimen."""

    row: SheetRow
    profile: AntigenProfile


def compare_with_baselines(
    study: Study, templates: Mapping[str, Template], results: Iterable[SampleResult]
) -> dict[Key, AntigenComparison]:
    """Compare each antigen with that of the same name of the patient's baseline.

    A baseline itself, a patient without one, and a specimen without the population have none.
    """
    rows = {row.sample_id: row for row in study.rows}
    seen = {
        (result.sample_id, result.template, profile.antigen): _Seen(rows[result.sample_id], profile)
        for result in results
        for profile in result.antigens
    }
    found: dict[Key, AntigenComparison] = {}
    for key, after in seen.items():
        if not after.profile.n_events or "POPULATION_NOT_DETECTED" in after.profile.flags:
            continue
        _, template, antigen = key
        rule = next(item for item in templates[template].antigens if item.name == antigen)
        if not rule.compared:
            continue
        before = _find_baseline(after.row, antigen, study, seen)
        if before is None:
            continue
        found[key] = compare_antigen(
            before.profile,
            after.profile,
            rule.cutoffs,
            baseline=before.row.sample_id,
            obstacle=_obstacle(before.row, after.row, rule, study),
            caveat=_caveat(after.row, rule, study),
            confidence=templates[template].confidence,
        )
    return found


def _find_baseline(
    row: SheetRow, antigen: str, study: Study, seen: Mapping[Key, _Seen]
) -> _Seen | None:
    """Return the antigen of the patient's baseline.

    The antigens of fluid are compared with those of marrow, whose template has them under the same
    name.
    """
    fitting = patient_baselines(row, study)
    keys = ((other.sample_id, name, antigen) for other in fitting for name in other.templates)
    return next((seen[key] for key in keys if key in seen), None)


def _obstacle(before: SheetRow, after: SheetRow, rule: AntigenRule, study: Study) -> str:
    """Return why two specimens cannot be compared by what the study's tables say."""
    if before.panel_version != after.panel_version and not rule.reagent:
        return f"PANEL_VERSION {before.panel_version}, now {after.panel_version}"
    facts = study.patients.get(after.patient_id)
    if facts is None:
        return ""
    for drug in rule.masking:
        event = f"prior_{drug}"
        day = facts.days.get(event)
        if day is None and event not in facts.dates:
            continue
        if day is None or before.day is None or after.day is None:
            return f"MASKED_PERHAPS:{drug}, whose day or the specimens' is not known"
        if before.day < day <= after.day:
            return f"MASKED:{drug} on day {day:g}"
    return ""


def _caveat(after: SheetRow, rule: AntigenRule, study: Study) -> str:
    """Say of a comparison that nobody told whether an antibody hides the antigen."""
    unknown = rule.masking and after.patient_id not in study.patients
    return f"{' and '.join(rule.masking)} not known of" if unknown else ""


def antigen_pictures(
    study: Study,
    templates: Mapping[str, Template],
    results: Iterable[SampleResult],
    compared: Mapping[Key, AntigenComparison],
) -> Iterator[tuple[str, bytes]]:
    """Yield name and PNG of each antigen of each patient: the baseline first, then by day."""
    found = {(item.sample_id, item.template): item for item in results}
    by_patient: dict[tuple[str, str], list[SheetRow]] = {}
    for row in study.rows:
        for template in row.templates:
            if row.patient_id and (row.sample_id, template) in found:
                by_patient.setdefault((row.patient_id, template), []).append(row)
    for (patient, template), rows in by_patient.items():
        rows.sort(key=lambda row: (not row.baseline, row.day if row.day is not None else math.inf))
        for rule in templates[template].antigens:
            strips = []
            for row in rows:
                profiles = {p.antigen: p for p in found[row.sample_id, template].antigens}
                change = compared.get((row.sample_id, template, rule.name))
                # Fewer cells show nothing.
                if profiles[rule.name].n_events >= rule.cutoffs.least_events:
                    name = row.sample_id + (" (baseline)" if row.baseline else "")
                    told = "" if change is None else f"{change.change}: {change.reason}"
                    strips.append(AntigenStrip(name, profiles[rule.name], told))
            if strips:
                title = f"{patient}: {rule.marker} on {rule.population} ({template})"
                # A patient's name may not be a file's, a sample's always is.
                yield f"{rows[0].sample_id}.{template}.{rule.name}", draw_antigen(title, strips)


def antigen_rows(
    results: Iterable[SampleResult], compared: Mapping[Key, AntigenComparison]
) -> Iterator[Row]:
    """Yield the rows of ``antigens.csv``."""
    for result in results:
        for profile in result.antigens:
            key = (result.sample_id, result.template, profile.antigen)
            yield {
                "sample_id": result.sample_id,
                "template": result.template,
                **_profile_row(profile),
                **_comparison_row(compared.get(key)),
            }


def _profile_row(profile: AntigenProfile) -> Row:
    p5, p25, p75, p95 = profile.percentiles
    interval, net_interval = profile.interval, profile.net_interval
    background, split = profile.background, profile.heterogeneity
    row: Row = {
        "antigen": profile.antigen,
        "population": profile.population,
        "marker": profile.marker,
        "reagent": profile.reagent,
        "unit": profile.unit,
        "calibrator": profile.calibrator,
        "calibration": profile.calibration,
        "n_events": profile.n_events,
        "median": profile.median,
        "ci_low": None if interval is None else interval.low,
        "ci_high": None if interval is None else interval.high,
        "geometric_mean": profile.geometric_mean,
        "p5": p5,
        "p25": p25,
        "p75": p75,
        "p95": p95,
        "robust_cv_percent": profile.robust_cv_percent,
        "net": profile.net,
        "net_ci_low": None if net_interval is None else net_interval.low,
        "net_ci_high": None if net_interval is None else net_interval.high,
        "n_positive": profile.n_positive,
        "positive_percent": profile.positive_percent,
        "reference_population": profile.reference_population,
        "reference_source": profile.reference_source,
        "reference_net": profile.reference_net,
        "relative": profile.relative,
        "antigen_status": profile.status or "",
        "flags": ";".join(profile.flags),
    }
    if background is not None:
        row |= {
            "background_kind": background.kind,
            "background_source": background.source,
            "background_n": background.n_events,
            "background": background.value,
            "background_p95": background.high,
            "threshold": background.threshold,
        }
    if split is not None:
        row |= {
            "dip": split.dip,
            "dip_p": split.dip_p,
            "bic_gain": split.bic_gain,
            "bimodal": "yes" if split.is_bimodal else "no",
        }
        for name, mode in zip(("dim", "bright"), split.modes, strict=False):
            row |= {f"{name}_percent": 100.0 * mode.fraction, f"{name}_median": mode.value}
    return row


def _comparison_row(item: AntigenComparison | None) -> Row:
    if item is None:
        return {"antigen_change": "", "change_reason": "", "baseline": ""}
    return {
        "baseline": item.baseline,
        "antigen_change": item.change.value,
        "change_reason": item.reason,
        "log10_ratio": item.log10_ratio,
        "log10_ratio_ci_low": None if item.interval is None else item.interval.low,
        "log10_ratio_ci_high": None if item.interval is None else item.interval.high,
        "distance": item.distance,
    }


def histogram_rows(results: Iterable[SampleResult]) -> Iterator[Row]:
    """Yield the rows of ``histograms.parquet``: bins that hold something."""
    for result in results:
        for profile in result.antigens:
            for shown in profile.histograms:
                bins = zip(shown.edges, shown.edges[1:], shown.counts, strict=False)
                for low, high, count in bins:
                    if count:
                        yield {
                            "sample_id": result.sample_id,
                            "template": result.template,
                            "antigen": profile.antigen,
                            "population": shown.population,
                            "control": shown.source,
                            "marker": profile.marker,
                            "reagent": profile.reagent,
                            "scale": shown.scale,
                            "bin_low": low,
                            "bin_high": high,
                            "count": count,
                        }
