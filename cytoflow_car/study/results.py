"""From the records of a run to the tables of its results folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cytoflow_car.job import GatedPopulation, SampleFailure, SampleResult
from cytoflow_car.measure import UNITS
from cytoflow_car.measure.density import Density, DensityRatio
from cytoflow_car.model.antigen import AntigenComparison
from cytoflow_car.model.gate import BooleanGate
from cytoflow_car.model.measurement import Interval, Measurement, Status
from cytoflow_car.qc.acquisition import Check
from cytoflow_car.study.antigens import (
    Key,
    antigen_rows,
    histogram_rows,
)
from cytoflow_car.study.beads import BeadOutcome, bead_peak_rows, calibration_rows
from cytoflow_car.study.car_reagents import car_target_of
from cytoflow_car.study.carry_over import find_carry_over
from cytoflow_car.study.drift import drift_rows
from cytoflow_car.study.plan import StudyPlan
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.study.spillover_check import spillover_rows
from cytoflow_car.tables.columns import (
    ANTIGENS,
    BEAD_FILE,
    BEAD_PEAKS,
    CALIBRATIONS,
    CLUSTERS,
    FAILURES,
    FILES,
    GATES,
    HISTOGRAMS,
    MEASUREMENTS,
    QC,
)
from cytoflow_car.tables.geometry import gate_to_json
from cytoflow_car.tables.timepoints import build_timepoints
from cytoflow_car.tables.write import to_frame, write_csv, write_parquet
from cytoflow_car.template import Template

Row = dict[str, object]


def write_results(
    plan: StudyPlan,
    results: list[SampleResult],
    failures: tuple[SampleFailure, ...],
    compared: Mapping[Key, AntigenComparison],
    beads: list[BeadOutcome],
    folder: Path,
    final: Path,
) -> None:
    """Write every table of a run into `folder`, which exists and will be moved to `final`."""
    rows = {row.sample_id: row for row in plan.study.rows}
    extra = plan.study.extra_columns
    measured = to_frame(
        _measurement_rows(plan, rows, results, failures, compared), [*MEASUREMENTS, *extra]
    )
    measured = measured.astype(
        {"n_events": "Int64", "n_denominator": "Int64", "infusion": "Int64"}
        | dict.fromkeys(_FLOATS, "float64")
    )
    write_csv(measured, folder / "measurements.csv")
    write_parquet(measured, folder / "measurements.parquet")
    targets = {
        (infusion.patient_id, infusion.number): infusion.car_target
        for infusion in plan.study.infusions
    }
    write_csv(build_timepoints(measured, targets), folder / "timepoints.csv")
    review_below = {name: item.review_below for name, item in plan.templates.items()}
    gates = to_frame(_gate_rows(results, review_below), list(GATES))
    write_csv(gates.astype({"parent_count": "Int64"}), folder / "gates.csv")
    found = [*_qc_rows(results, find_carry_over(plan, results)), *drift_rows(plan, results)]
    found.extend(spillover_rows(plan, results))
    write_csv(to_frame(found, list(QC)), folder / "qc.csv")
    clusters = to_frame(_cluster_rows(results), list(CLUSTERS)).astype({"metacluster": "Int64"})
    write_csv(clusters, folder / "clusters.csv")
    _write_antigens(results, compared, beads, folder)
    files = to_frame(_file_rows(plan, final), list(FILES)).astype({"dataset": "Int64"})
    write_csv(files, folder / "files.csv")
    write_csv(to_frame(map(_failure_row, failures), list(FAILURES)), folder / "failures.csv")


def _write_antigens(
    results: list[SampleResult],
    compared: Mapping[Key, AntigenComparison],
    beads: list[BeadOutcome],
    folder: Path,
) -> None:
    antigens = to_frame(antigen_rows(results, compared), list(ANTIGENS))
    counts = dict.fromkeys(("n_events", "background_n", "n_positive"), "Int64")
    write_csv(antigens.astype(counts), folder / "antigens.csv")
    write_parquet(
        to_frame(histogram_rows(results), list(HISTOGRAMS)), folder / "histograms.parquet"
    )
    calibrations = to_frame(calibration_rows(beads), list(CALIBRATIONS))
    write_csv(calibrations.astype({"day": "Int64"}), folder / "calibrations.csv")
    peaks = to_frame(bead_peak_rows(beads), [*BEAD_FILE, *BEAD_PEAKS])
    write_csv(peaks, folder / "bead_peaks.csv")


_FLOATS = (
    "day", "day_inf1", "day_inf2", "value", "ci_low", "ci_high", "value_before_qc", "background",
    "exact_ci_low", "exact_ci_high", "value_net", "net_ci_low", "net_ci_high", "lod", "loq",
)  # fmt: skip


def _measurement_rows(
    plan: StudyPlan,
    rows: Mapping[str, SheetRow],
    results: list[SampleResult],
    failures: tuple[SampleFailure, ...],
    compared: Mapping[Key, AntigenComparison],
) -> Iterator[Row]:
    """Yield every measurement that the sheet asks for: taken, failed, or not done."""
    by_key = {(result.sample_id, result.template): result for result in results}
    failed = {(failure.sample_id, failure.template): failure for failure in failures}
    hashes = {
        (sample.job.sample_id, sample.job.template.name): ";".join(
            source.sha256 for source in sample.job.sources
        )
        for sample in plan.samples
    }
    for row in rows.values():
        if row.role != "specimen" or row.use in ("exclude", "append"):
            continue
        for name in row.templates:
            template = plan.templates[name]
            key = (row.sample_id, template.name)
            facts = _facts(row, template, plan)
            facts["file_sha256"] = hashes.get(key, plan.hashes.get(row.sample_id, ""))
            result = by_key.get(key)
            if result is None:
                status = Status.NOT_DONE if row.not_done_reason else Status.FAILED
                reason = f"NOT_DONE:{row.not_done_reason}" if row.not_done_reason else ""
                if key in failed:
                    reason = failed[key].code.upper()
                for item in template.measurements:
                    yield (
                        facts
                        | _car(row, template, template.population_of(item), plan.study)
                        | {
                            "measurement": item.name,
                            "population": template.population_of(item),
                            "denominator": getattr(item, "denominator", ""),
                            "unit": UNITS[item.measure],
                            "status": status.value,
                            "value_reported": "not done" if row.not_done_reason else "failed",
                            "flags": reason,
                            "review_status": "NOT_NEEDED",
                        }
                    )
                continue
            facts["instrument"] = row.instrument or result.instrument
            facts["review_status"] = _review_status(result)
            gate_hashes = _gate_hashes(result.populations)
            for measurement in result.measurements:
                yield (
                    facts
                    | _measured(measurement)
                    | _antigen(measurement.name, result, template, compared)
                    | {"gate_sha256": _hash_both(gate_hashes, measurement)}
                )


def _antigen(
    name: str,
    result: SampleResult,
    template: Template,
    compared: Mapping[Key, AntigenComparison],
) -> Row:
    """Return status and change of the antigen that a measurement is of."""
    for item in template.measurements:
        if item.name == name and isinstance(item, Density | DensityRatio):
            found = compared.get((result.sample_id, result.template, item.antigen))
            profiles = {profile.antigen: profile for profile in result.antigens}
            return {
                "antigen_status": profiles[item.antigen].status or "",
                "antigen_change": "" if found is None else found.change.value,
            }
    return {}


def _car(row: SheetRow, template: Template, population: str, study: Study) -> Row:
    """Return what a measurement that was not taken would have looked for."""
    car = template.car
    if car is None or not template.looks_at(population, car.marker):
        return {}
    return {
        "car_target": car_target_of(row, template, study),
        "car_reagent": row.car_reagent or car.reagent,
    }


def _facts(row: SheetRow, template: Template, plan: StudyPlan) -> Row:
    return {
        "sample_id": row.sample_id,
        "specimen_id": row.specimen_id,
        "patient_id": row.patient_id,
        "specimen": row.specimen,
        "tube": row.tube,
        "visit": row.visit,
        "infusion": _number_of_infusion(row, plan.study),
        "day": row.day,
        "day_inf1": plan.study.day_from_infusion(row, 1),
        "day_inf2": plan.study.day_from_infusion(row, 2),
        "timing": row.timing,
        "use": row.use,
        "template": template.name,
        "template_version": template.version,
        "panel_version": row.panel_version,
        "prep": row.prep,
        "instrument": row.instrument,
        **dict.fromkeys(("denominator", "car_target", "car_reagent", "platform", "unit"), ""),
        **dict.fromkeys(("call", "sentence", "threshold_source", "gate_sha256"), ""),
        **dict.fromkeys(("antigen_status", "antigen_change"), ""),
        **row.extra,
    }


def _number_of_infusion(row: SheetRow, study: Study) -> int | None:
    """Return the number of the last infusion before a specimen; None where that is not known."""
    if row.day is None or not any(item.patient_id == row.patient_id for item in study.infusions):
        return None
    infusion = study.last_infusion(row)
    return 0 if infusion is None else infusion.number


def _measured(item: Measurement) -> Row:
    low, high = _ends(item.interval)
    exact_low, exact_high = _ends(item.exact_interval)
    net_low, net_high = _ends(item.net_interval)
    return {
        "measurement": item.name,
        "population": item.population,
        "denominator": item.denominator,
        "car_target": item.car_target,
        "car_reagent": item.car_reagent,
        "platform": item.platform,
        "value": item.value,
        "unit": item.unit,
        "ci_low": low,
        "ci_high": high,
        "exact_ci_low": exact_low,
        "exact_ci_high": exact_high,
        "value_reported": item.value_reported,
        "value_before_qc": item.value_before_qc,
        "background": item.background,
        "value_net": item.value_net,
        "net_ci_low": net_low,
        "net_ci_high": net_high,
        "n_events": item.n_events,
        "n_denominator": item.n_denominator,
        "lod": item.lod,
        "loq": item.loq,
        "status": item.status.value,
        "call": item.call,
        "sentence": item.sentence,
        "false_positives_expected": item.false_positives_expected,
        "flags": ";".join(item.flags),
        "threshold_source": item.threshold_source,
    }


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)


def _review_status(result: SampleResult) -> str:
    moved = any(
        item.placement is not None and item.placement.method == "override"
        for item in result.populations
    )
    if result.review:
        return "TO_REVIEW"
    return "REVIEWED" if moved else "NOT_NEEDED"


def _hash_both(gate_hashes: Mapping[str, str], measurement: Measurement) -> str:
    """Return the hash of the gates of a population, and of its denominator where it has one."""
    own = gate_hashes[measurement.population]
    if not measurement.denominator:
        return own
    return hashlib.sha256(f"{own}{gate_hashes[measurement.denominator]}".encode()).hexdigest()


def _gate_hashes(populations: tuple[GatedPopulation, ...]) -> dict[str, str]:
    """Hash the gates that decide each population: from the root down, and those it combines."""
    hashes: dict[str, str] = {}
    by_path: dict[str, str] = {}
    for item in populations:
        parts = [by_path.get(item.path.rpartition("/")[0], ""), item.name]
        if item.placement is not None:
            parts.append(gate_to_json(item.placement.gate))
            if isinstance(item.placement.gate, BooleanGate):
                operands = item.placement.gate.operands
                parts.extend(hashes[name.removeprefix("!")] for name in operands)
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        by_path[item.path] = hashes[item.name] = digest
    return hashes


def _gate_rows(results: Iterable[SampleResult], review_below: Mapping[str, float]) -> Iterator[Row]:
    for result in results:
        for item in result.populations:
            placed = item.placement
            row: Row = {
                "sample_id": result.sample_id,
                "template": result.template,
                "population": item.name,
                "path": item.path,
                "count": item.count,
                "count_before_qc": item.count_before_qc,
                "parent_count": item.parent_count,
                "percent_of_parent": (
                    100.0 * item.count / item.parent_count if item.parent_count else None
                ),
                "flags": ";".join(item.flags),
                "review": "",
            }
            if placed is not None:
                row |= {
                    "method": placed.method,
                    "confidence": placed.confidence,
                    "reason": placed.reason,
                    "source": placed.source,
                    "geometry": gate_to_json(placed.gate),
                    "review": "yes" if placed.is_unsure(review_below[result.template]) else "",
                }
            yield row


def _cluster_rows(results: Iterable[SampleResult]) -> Iterator[Row]:
    for result in results:
        for item in result.clusters:
            yield {
                "sample_id": result.sample_id,
                "template": result.template,
                "cluster": item.number,
                "metacluster": item.metacluster or None,
                "label": item.label,
                "count": item.count,
                "posterior": item.posterior,
                "margin": item.margin,
                "tail": item.tail,
                "positions": json.dumps({m: float(f"{v:.5g}") for m, v in item.positions.items()}),
            }


def _qc_rows(
    results: Iterable[SampleResult], carried_over: Mapping[tuple[str, str], Check]
) -> Iterator[Row]:
    for result in results:
        facts: Row = {"sample_id": result.sample_id, "template": result.template}
        before = carried_over.get((result.sample_id, result.template))
        for check in (*result.checks, *([before] if before is not None else [])):
            yield facts | {
                "check": check.name,
                "value": check.value,
                "unit": check.unit,
                "limit": check.limit,
                "flag": check.flag,
            }
        for repair in result.repairs:
            yield facts | {"check": "reading", "value": repair, "flag": "READING"}
        for reason in result.review:
            yield facts | {"check": "review", "value": reason, "flag": "REVIEW"}
        yield facts | {"check": "spillover", "value": result.spillover_source}


def _file_rows(plan: StudyPlan, final: Path) -> Iterator[Row]:
    for row in plan.study.rows:
        if row.file:
            yield {
                "sample_id": row.sample_id,
                "role": row.role,
                "use": row.use,
                "path": row.file,
                "dataset": row.dataset,
                "sha256": plan.hashes.get(row.sample_id, ""),
                "from_results": "" if row.path is None else _way_to(row.path, final),
            }


def _way_to(file: Path, folder: Path) -> str:
    """Return a file's path as seen from a folder; empty where they are on different drives."""
    try:
        way = os.path.relpath(file.parent.resolve() / file.name, folder)
    except ValueError:
        return ""
    return Path(way).as_posix()


def _failure_row(failure: SampleFailure) -> Row:
    return {
        "sample_id": failure.sample_id,
        "template": failure.template,
        "code": failure.code,
        "message": failure.message,
        "crash_file": failure.crash_file,
    }
