"""Residual blasts and normal B cells in simulated marrows, the whole way from file to call.

``python tests/benchmarks/residual_disease.py dilutions`` puts each patient's blasts at given shares
into later marrows of the same patient, as at the diagnosis, with CD19 lost, and with CD22
decreased; ``blanks`` takes later marrows without any, 1 to 40 % of which are regenerating normal B
cells; ``b_cells`` measures these beside 0 to 5 % blasts. Every marrow has its own gains, staining
and composition; its events go through FCS files, the template and the patient's baseline as in
``run``. The reference is the one of ``sample_fcs/``. A row a specimen lands in ``--out``, so that a
study that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd
from measuring import append_row

from cytoflow_car.job import SampleJob
from cytoflow_car.model.clusters import BaselineBlasts
from cytoflow_car.model.measurement import Measurement
from cytoflow_car.model.population import Population
from cytoflow_car.pipeline import (
    gate_specimen,
    measure,
    profile_antigens,
    summarise_patient_baseline,
)
from cytoflow_car.simulate import cells
from cytoflow_car.simulate.course import Patient, draw_patients
from cytoflow_car.simulate.cytometer import LIVE, Acquisition, acquire, draw_session
from cytoflow_car.simulate.files import write_events, write_table
from cytoflow_car.simulate.panels import B_PANEL
from cytoflow_car.simulate.specimens import Draw, draw_marrow, draw_normal_marrow
from cytoflow_car.simulate.truth import count_live
from cytoflow_car.study.plan import plan_study, with_baseline
from cytoflow_car.study.sheet import read_study

#: What the blasts of a later marrow may have become: as at the diagnosis, or one antigen gone.
ARMS = ("CD19+", "CD19 lost", "CD22 low")
_CD22_LEFT = 0.15
# As in a simulated relapse: never quite the disease of the diagnosis.
_CHANGE = {"CD10": 0.3, "CD38": 0.2}
_BASELINE_EVENTS = 100_000
_BASELINE_BLASTS = (0.2, 0.9)
_STARTED = datetime.datetime(2024, 1, 8, 9, 0)
_LATER = datetime.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Later:
    """A later marrow that is asked for."""

    patient: int
    number: int
    arm: str
    share: float
    events: int
    normal_b_percent: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """Identifies the marrow within a study."""
        return f"P{self.patient:02d}_{self.number:03d}"


def main() -> None:
    """Run one of the studies and print its table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("study", choices=("dilutions", "blanks", "b_cells"))
    options.add_argument("--out", type=Path, required=True, help="CSV, a row a specimen")
    options.add_argument("--patients", type=int, default=10)
    options.add_argument("--runs", type=int, default=10, help="later marrows of each patient")
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--gain-sd", type=float, default=0.06)
    options.add_argument(
        "--normal-b-percent", type=float, nargs=2, help="of b_cells; else 1 to 40, by chance"
    )
    chosen = options.parse_args()
    done = set()
    if chosen.out.is_file():
        done = set(pd.read_csv(chosen.out)["specimen"])
    for patient in range(chosen.patients):
        asked = [later for later in ask(chosen, patient) if later.name not in done]
        if not asked:
            continue
        for row in run_patient(patient, asked, chosen):
            append_row(chosen.out, row)
            print(" ".join(f"{value}" for value in row.values()), file=sys.stderr, flush=True)
    print(tell(chosen.study, pd.read_csv(chosen.out, keep_default_na=False)))


def ask(chosen: argparse.Namespace, patient: int) -> Iterator[Later]:
    """List the later marrows of one patient."""
    match chosen.study:
        case "dilutions":
            for number, (arm, share) in enumerate(product(ARMS, (1e-2, 1e-3, 1e-4))):
                yield Later(patient, number, arm, share, chosen.events)
        case "blanks":
            for number in range(chosen.runs):
                yield Later(patient, number, "", 0.0, chosen.events)
        case "b_cells":
            for number, (arm, share) in enumerate(product(ARMS, (0.0, 0.005, 0.05))):
                yield Later(patient, number, arm, share, chosen.events, chosen.normal_b_percent)


def run_patient(
    number: int, asked: list[Later], chosen: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """Make a patient's baseline, and the later marrows one after the other; yield a row for each.

    What a marrow holds depends on the seed, the patient and its own number only.
    """
    rng = np.random.default_rng([chosen.seed, number])
    template = "b_cells_bm" if chosen.study == "b_cells" else "blasts_bm"
    with tempfile.TemporaryDirectory() as place:
        study = Path(place)
        patient = write_baseline(study, template, rng, chosen.gain_sd)
        summary: BaselineBlasts | None = None
        for later in asked:
            own = np.random.default_rng([chosen.seed, number, later.number])
            acquisition = write_later(study, patient, later, own, chosen.gain_sd)
            plan = plan_study(read_study(study), draw=False)
            (sample,) = [item for item in plan.samples if item.row.sample_id == "later"]
            if summary is None:
                (job,) = plan.baseline_jobs.values()
                summary = summarise_patient_baseline(job)
            found = {("baseline", template): summary}
            began = time.process_time()
            row = judge(with_baseline(sample, sample.job, found), acquisition)
            yield {
                "specimen": later.name,
                "arm": later.arm,
                "share": later.share,
                "baseline": summary.missing or f"{len(summary.events)} blasts",
                **row,
                "cpu_s": f"{time.process_time() - began:.1f}",
            }


def write_baseline(study: Path, template: str, rng: np.random.Generator, gain_sd: float) -> Patient:
    """Draw a patient, write the baseline marrow and the sheet for it and one later marrow."""
    patient = draw_patients(2, rng)[1]
    burden = float(rng.uniform(*_BASELINE_BLASTS))
    draw = _with_blasts(draw_marrow(replace(patient, residual=0.0), 0, rng), burden, "")
    session = draw_session(gain_sd, rng)
    acquisition = acquire(draw, B_PANEL, session, _BASELINE_EVENTS, rng)
    write_events(
        study / "baseline.fcs", acquisition.events, _STARTED, spillover=acquisition.spillover
    )
    (study / "study.toml").write_text('name = "residual"\nsimulated = true\n', encoding="utf-8")
    rows = [_row(name, template) for name in ("baseline", "later")]
    write_table(study / "samples.csv", tuple(rows[0]), rows)
    return patient


def write_later(
    study: Path, patient: Patient, later: Later, rng: np.random.Generator, gain_sd: float
) -> Acquisition:
    """Draw and write a later marrow of the patient, in a session of its own."""
    draw = _draw_later(patient, later, rng)
    acquisition = acquire(draw, B_PANEL, draw_session(gain_sd, rng), later.events, rng)
    write_events(
        study / "later.fcs", acquisition.events, _STARTED + _LATER, spillover=acquisition.spillover
    )
    return acquisition


def judge(job: SampleJob, acquisition: Acquisition) -> dict[str, object]:
    """Gate and measure one later marrow, and compare it with what was planted."""
    gated = gate_specimen(job, job.template.populations)
    measured = {item.name: item for item in measure(job, gated, profile_antigens(job, gated))}
    live = acquisition.kinds == LIVE
    blasts = live & cells.BLASTS[acquisition.labels]
    counts = count_live(acquisition)
    nucleated = int(counts[cells.CELLS].sum())
    row: dict[str, object] = {
        "nucleated": nucleated,
        "normal_b_percent": f"{100.0 * counts[cells.NORMAL_B].sum() / nucleated:.3f}",
        "planted": int(blasts.sum()),
    }
    if job.template.name == "b_cells_bm":
        for antigen in ("cd19", "cd22"):
            item = measured[f"b_cell_{antigen}_percent_of_nucleated"]
            by_gate = measured[f"b_cell_{antigen}_by_gate_percent_of_nucleated"]
            row |= {
                antigen: _told(item.value),
                f"{antigen}_by_gate": _told(by_gate.value),
                f"{antigen}_status": item.status.name,
                f"{antigen}_flags": " ".join(item.flags),
            }
        return row
    return row | _of_blasts(measured["blast_percent_of_nucleated"], gated.tree["blasts"], blasts)


def _of_blasts(
    item: Measurement, population: Population, blasts: npt.NDArray[np.bool_]
) -> dict[str, object]:
    rows = population.rows
    limits = population.placement.false_positives if population.placement else None
    true = int(blasts[rows].sum())
    return {
        "found": rows.size,
        "true": true,
        "false": rows.size - true,
        "expected": "" if limits is None else f"{limits.expected:.2f}",
        "blank": "" if limits is None else f"{limits.blank:.0f}",
        "method_lod": "" if limits is None else f"{limits.lod:.1f}",
        "call": item.call,
        "flags": " ".join(item.flags),
    }


def tell(study: str, rows: pd.DataFrame) -> str:
    """Return the study's table as Markdown."""
    match study:
        case "dilutions":
            return _tell_dilutions(rows)
        case "blanks":
            return _tell_blanks(rows)
        case _:
            return _tell_b_cells(rows)


def _tell_dilutions(rows: pd.DataFrame) -> str:
    lines = [
        "| blasts | share | specimens | recall, median (lowest) | precision | false positives, mean"
        " (most) | expected | POS_QUANT, POS_BELOW_LOQ, SUSPECT, other |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for (arm, share), own in rows.groupby(["arm", "share"], sort=False):
        recall = own["true"] / own["planted"]
        calls = [int((own["call"] == name).sum()) for name in ("POS_QUANT", "POS_BELOW_LOQ")]
        calls.append(int((own["call"] == "SUSPECT").sum()))
        expected = pd.to_numeric(own["expected"], errors="coerce").mean()
        lines.append(
            f"| {arm} | {share:g} | {len(own)} | {recall.median():.3f} ({recall.min():.3f}) "
            f"| {own['true'].sum() / max(own['found'].sum(), 1):.3f} "
            f"| {own['false'].mean():.1f} ({own['false'].max()}) | {expected:.1f} "
            f"| {', '.join(map(str, calls))}, {len(own) - sum(calls)} |"
        )
    return "\n".join(lines)


def _tell_blanks(rows: pd.DataFrame) -> str:
    calls = rows["call"].value_counts()
    positive = rows["call"].str.startswith("POS_").mean()
    own = pd.to_numeric(rows["expected"], errors="coerce")
    return (
        f"{len(rows)} blank marrows: {', '.join(f'{n} {name}' for name, n in calls.items())}; "
        f"POS_* {100 * positive:.1f} %; found mean {rows['found'].mean():.2f}, most "
        f"{rows['found'].max()}; expected mean {own.mean():.2f}; more than their limit of blank: "
        f"{(rows['found'] > pd.to_numeric(rows['blank'], errors='coerce')).sum()}"
    )


def _tell_b_cells(rows: pd.DataFrame) -> str:
    lines = [
        "| antigen | blasts | beside | specimens | within 10 % | median error | worst | by gate, "
        "within 10 % |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for antigen in ("cd19", "cd22"):
        for (arm, share), own in rows.groupby(["arm", "share"], sort=False):
            truth = own["normal_b_percent"].astype(float)
            enough = (truth >= 0.1) & (truth / 100 * own["nucleated"] >= 400)
            own, truth = own[enough], truth[enough]
            error = pd.to_numeric(own[antigen], errors="coerce") / truth - 1
            gate = pd.to_numeric(own[f"{antigen}_by_gate"], errors="coerce") / truth - 1
            lines.append(
                f"| {antigen.upper()} | {arm} | {share:g} | {len(own)} "
                f"| {(error.abs() <= 0.1).mean():.2f} | {error.median():+.3f} "
                f"| {error[error.abs().idxmax()]:+.3f} | {(gate.abs() <= 0.1).mean():.2f} |"
            )
    return "\n".join(lines)


def _draw_later(patient: Patient, later: Later, rng: np.random.Generator) -> Draw:
    draw = draw_normal_marrow(rng, regenerating=True)
    if later.normal_b_percent is not None:
        low, high = np.log(later.normal_b_percent)
        share = float(np.exp(rng.uniform(low, high))) / 100.0
        rates = draw.rates.copy()
        others = rates[cells.CELLS & ~cells.NORMAL_B].sum()
        rates[cells.NORMAL_B] *= share / (1.0 - share) * others / rates[cells.NORMAL_B].sum()
        draw = replace(draw, rates=rates)
    copies = dict(patient.blast_copies)
    if later.arm != ARMS[0]:
        for antigen, spread in _CHANGE.items():
            copies[antigen] *= float(rng.lognormal(0.0, spread))
    if later.arm == "CD22 low":
        copies["CD22"] *= _CD22_LEFT
    return _with_blasts(replace(draw, blast_copies=copies), later.share, later.arm)


def _with_blasts(draw: Draw, share: float, arm: str) -> Draw:
    """Return a marrow with so large a share of its nucleated cells replaced by blasts."""
    rates = draw.rates.copy()
    rates[cells.BLASTS] = 0.0
    normal = rates[cells.CELLS].sum()
    rates[cells.INDEX["blast CD19-" if arm == "CD19 lost" else "blast"]] = (
        normal * share / (1.0 - share)
    )
    return replace(draw, rates=rates)


def _row(name: str, template: str) -> dict[str, object]:
    return {
        "file": f"{name}.fcs",
        "sample_id": name,
        "patient_id": "P",
        "specimen": "BM",
        "specimen_id": name,
        "tube": "B",
        "day": 0 if name == "baseline" else 90,
        "timing": "pre" if name == "baseline" else "",
        "template": template,
        "role": "specimen",
        "baseline": "yes" if name == "baseline" else "",
        "panel_version": B_PANEL.version,
        "use": "report",
        "pull_number": 1,
    }


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
