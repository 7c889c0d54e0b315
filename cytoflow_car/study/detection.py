"""What a study of detection came to: recall and precision of each level, and the limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from math import ceil
from pathlib import Path

import numpy as np

from cytoflow_car.measure.limits import measured_limit_of_blank, measured_limit_of_detection
from cytoflow_car.model.reference import Reference
from cytoflow_car.report.detection import draw_detection
from cytoflow_car.study.dilution import DetectionStudy
from cytoflow_car.study.output_folder import refuse_results_folder
from cytoflow_car.tables.columns import LOD_LEVELS, LOD_LIMITS, LOD_RUNS
from cytoflow_car.tables.detection import (
    BLASTS,
    CONTROL,
    POOLED,
    DetectionLimits,
    DilutionRun,
    LevelSummary,
)
from cytoflow_car.tables.write import to_frame, write_csv
from cytoflow_car.template import Template, template_hash

#: Recall of the control from which something other than leukemia is what is found.
MOST_CONTROL_RECALL = 0.1
# Denominators that differ more make no common percent.
_MOST_RATIO = 1.5


def summarise_levels(study: DetectionStudy) -> tuple[LevelSummary, ...]:
    """Summarise the runs of each file, arm and level, left-out levels included."""
    groups: dict[tuple[str, str, float], list[DilutionRun]] = {}
    for run in study.runs:
        groups.setdefault((run.sample_id, run.arm, run.level), []).append(run)
    rows = {key: _summarise(*key, runs, study) for key, runs in groups.items()}
    for item in study.left_out:
        key = (item.sample_id, item.arm, item.level)
        rows[key] = LevelSummary(*key, repeats=0, flags=(item.flag,))
    files, arms = list(study.file_hashes), (BLASTS, CONTROL)
    order = sorted(rows, key=lambda key: (files.index(key[0]), arms.index(key[1]), -key[2]))
    return tuple(rows[key] for key in order)


def _summarise(
    sample_id: str, arm: str, level: float, runs: Sequence[DilutionRun], study: DetectionStudy
) -> LevelSummary:
    flags = dict.fromkeys(flag for run in runs for flag in run.flags)
    if study.truth.labels is None:
        flags["TRUTH_BY_GATE"] = None
    if study.setting.n_events is not None and runs[0].n_events < study.setting.n_events:
        flags["FEWER_EVENTS"] = None
    called = [
        (run.n_spiked, run.n_found, run.n_true)
        for run in runs
        if run.n_found is not None and run.n_true is not None
    ]
    found = [n_found for _, n_found, _ in called]
    false = [n_found - n_true for _, n_found, n_true in called]
    recall = _mean_sd(n_true / n_spiked for n_spiked, _, n_true in called if n_spiked)
    precision = _mean_sd(n_true / n_found for _, n_found, n_true in called if n_found)
    f1 = _mean_sd(2 * t / (s + f) for s, f, t in called if level and s + f)
    found_mean, found_sd = _mean_sd(found)
    if arm == CONTROL and recall[0] is not None and recall[0] > MOST_CONTROL_RECALL:
        flags["CONTROL_FOUND"] = None
    return LevelSummary(
        sample_id,
        arm,
        level,
        repeats=len(runs),
        n_called=len(called),
        n_detected=sum(_is_detected(run, study) for run in runs),
        n_events=runs[0].n_events,
        n_spiked=_mean_sd(run.n_spiked for run in runs)[0],
        found_mean=found_mean,
        found_sd=found_sd,
        cv_percent=100.0 * found_sd / found_mean if found_mean and found_sd is not None else None,
        recall_mean=recall[0],
        recall_sd=recall[1],
        precision_mean=precision[0] if level else None,
        precision_sd=precision[1] if level else None,
        f1_mean=f1[0],
        f1_sd=f1[1],
        false_mean=_mean_sd(false)[0],
        false_most=max(false, default=None),
        false_expected=_mean_sd(run.expected for run in runs if run.expected is not None)[0],
        flags=tuple(flags),
    )


def _is_detected(run: DilutionRun, study: DetectionStudy) -> bool:
    """Tell whether a count reaches what `measure.detection` asks of a specimen's blasts."""
    if run.n_found is None or run.lod is None:
        return False
    return run.n_found >= max(study.rule.lod_events, ceil(run.lod))


def _mean_sd(values: Iterable[float]) -> tuple[float | None, float | None]:
    """Return mean and standard deviation; None of no values, and of one."""
    numbers = list(values)
    return (
        float(np.mean(numbers)) if numbers else None,
        float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None,
    )


def find_limits(
    study: DetectionStudy, levels: Sequence[LevelSummary]
) -> tuple[DetectionLimits, ...]:
    """Find the limits of each file, and those of all together."""
    files = tuple(study.file_hashes)
    scopes = [(name, (name,)) for name in files]
    return tuple(_limits(name, own, study, levels) for name, own in [*scopes, (POOLED, files)])


def _limits(
    name: str, files: tuple[str, ...], study: DetectionStudy, levels: Sequence[LevelSummary]
) -> DetectionLimits:
    own = [item for item in levels if item.sample_id in files]
    flags = dict.fromkeys(
        flag
        for item in own
        for flag in item.flags
        # Of the control only this: where it could not be taught, it looks normal, as it should.
        if item.arm == BLASTS or flag == "CONTROL_FOUND"
    )
    called = [
        run
        for run in study.runs
        if run.sample_id in files and run.arm == BLASTS and run.n_found is not None
    ]
    blanks = [run for run in called if not run.level]
    blank = measured_limit_of_blank([run.n_found for run in blanks if run.n_found is not None])
    if blank is None:
        flags["NO_BLANKS"] = None
    measured = measured_limit_of_detection(blank, list(_lowest_counts(called, files)))
    if measured is None and blank is not None:
        flags["NO_LOW_LEVEL"] = None
    lod = None if measured is None else max(float(study.rule.lod_events), measured)
    loq_level = _quantified_level(own, files, lod, study)
    if loq_level is None:
        flags["LOQ_NOT_REACHED"] = None
    if not any(item.arm == CONTROL and item.repeats for item in own):
        flags["CONTROL_NOT_RUN"] = None
    sizes = [item.n_events for item in own if item.n_events and item.arm == BLASTS]
    if sizes and max(sizes) > _MOST_RATIO * min(sizes):
        flags["DENOMINATORS_DIFFER"] = None
    size = round(float(np.median(sizes))) if sizes else None
    percents = [None if v is None or not size else 100.0 * v / size for v in (blank, measured, lod)]
    return DetectionLimits(
        name,
        blanks=len(blanks),
        n_events=size,
        lob=blank,
        lod_measured=measured,
        lod=lod,
        loq=None if loq_level is None or not size else loq_level * size,
        lob_percent=percents[0],
        lod_measured_percent=percents[1],
        lod_percent=percents[2],
        loq_percent=None if loq_level is None else 100.0 * loq_level,
        lod_of_method=max((run.lod for run in blanks if run.lod is not None), default=None),
        flags=tuple(flags),
    )


def _lowest_counts(called: Sequence[DilutionRun], files: Sequence[str]) -> Iterator[list[float]]:
    """Yield the counts of each file's lowest level but 0."""
    for name in files:
        own = [run for run in called if run.sample_id == name and run.level]
        lowest = min((run.level for run in own), default=None)
        yield [float(run.n_found or 0) for run in own if run.level == lowest]


def _quantified_level(
    levels: Sequence[LevelSummary],
    files: Sequence[str],
    lod: float | None,
    study: DetectionStudy,
) -> float | None:
    """Return the lowest level down to which every file's counts repeat; None where none does."""
    if lod is None:
        return None
    least = max(float(study.rule.loq_events), lod)
    quantified = None
    for level in sorted({item for item in study.setting.levels if item}, reverse=True):
        repeating = {
            item.sample_id
            for item in levels
            if (item.arm, item.level) == (BLASTS, level)
            and item.cv_percent is not None
            and item.cv_percent <= study.setting.most_cv_percent
            and (item.found_mean or 0.0) >= least
        }
        if repeating != set(files):
            break
        quantified = level
    return quantified


def write_detection(
    study: DetectionStudy, out: Path, template: Template, reference: Reference
) -> tuple[DetectionLimits, ...]:
    """Write ``lod.csv``, ``limits.csv``, ``runs.csv``, ``lod.png`` and ``lod.json`` into a folder.

    Raises
    ------
    StudyError
        `out` lies in a results folder, which the next run would then refuse.
    """
    refuse_results_folder(out)
    levels = summarise_levels(study)
    limits = find_limits(study, levels)
    out.mkdir(parents=True, exist_ok=True)
    for name, rows, columns in (
        ("lod", levels, LOD_LEVELS),
        ("limits", limits, LOD_LIMITS),
        ("runs", study.runs, LOD_RUNS),
    ):
        frame = to_frame(({key: _cell(row, key) for key in columns} for row in rows), list(columns))
        whole = [key for key in ("n_found", "n_true", "false_most", "n_events") if key in columns]
        write_csv(frame.astype(dict.fromkeys(whole, "Int64")), out / f"{name}.csv")
    (out / "lod.png").write_bytes(draw_detection(study.runs, levels, limits))
    record = {
        "cytoflow_car": metadata.version("cytoflow-car"),
        "template": {"name": template.name, "sha256": template_hash(template)},
        "reference": {"name": reference.name, "sha256": reference.sha256},
        "setting": asdict(study.setting),
        "blasts_by": "gate" if study.truth.labels is None else "labels",
        "blasts": study.truth.blasts,
        "left_out": study.truth.left_out,
        "files_sha256": dict(study.file_hashes),
    }
    (out / "lod.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return limits


def _cell(row: object, key: str) -> object:
    value = getattr(row, key)
    return ";".join(value) if key == "flags" else value
