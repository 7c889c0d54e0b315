"""Antigen density in simulated marrows, the whole way from files of beads and cells to the table.

``python tests/benchmarks/antigen_density.py levels`` plants CD22 on blasts at levels from 500 to
50,000 copies, each at five gains of the detector that differ by up to 4-fold; ``coverage`` draws
level, gain and number of events by chance, and counts the intervals that hold what was planted.
Every marrow has beads of its own session and an FMO of the same cells. A row a specimen and antigen
lands in ``--out``, so that a study that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measuring import append_row

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.beads import KITS, draw_lot, run_beads, spell_leaflet
from cytoflow_car.simulate.course import draw_patients
from cytoflow_car.simulate.cytometer import acquire, draw_session
from cytoflow_car.simulate.files import write_events, write_table
from cytoflow_car.simulate.panels import B_PANEL
from cytoflow_car.simulate.specimens import Draw, draw_normal_marrow
from cytoflow_car.simulate.truth import tell_density
from cytoflow_car.study.batch import run_study

_STARTED = datetime.datetime(2024, 1, 8, 9, 0)
_LEVELS = (500, 1500, 5000, 15000, 50000)
_GAINS = (0.5, 0.71, 1.0, 1.41, 2.0)
#: Copies of the blast class that a patient's factor is laid over.
_TABLE = 1000.0 * next(item for item in cells.CLASSES if item.name == "blast").copies["CD22"]


@dataclass(frozen=True, slots=True)
class Marrow:
    """A marrow that is asked for.

    Attributes
    ----------
    copies, gain
        Median CD22 of the blasts, and the factor on the detector's usual gain.
    n_events
        Events of the file.
    blasts
        Share of nucleated cells.
    """

    name: str
    copies: float
    gain: float
    n_events: int
    blasts: float = 0.2


def main() -> None:
    """Run one of the studies and print its table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("study", choices=("levels", "coverage"))
    options.add_argument("--out", type=Path, required=True, help="CSV, a row a specimen")
    options.add_argument("--runs", type=int, default=4, help="of each level and gain, or of all")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    done = set(pd.read_csv(chosen.out)["name"]) if chosen.out.is_file() else set()
    for number, marrow in enumerate(ask(chosen)):
        if marrow.name in done:
            continue
        rng = np.random.default_rng([chosen.seed, number])
        for row in measure_marrow(marrow, rng):
            append_row(chosen.out, row)
            print(" ".join(f"{value}" for value in row.values()), file=sys.stderr, flush=True)
    print(tell(pd.read_csv(chosen.out)))


def ask(chosen: argparse.Namespace) -> Iterator[Marrow]:
    """List the marrows of a study."""
    if chosen.study == "levels":
        for copies, gain, run in product(_LEVELS, _GAINS, range(chosen.runs)):
            yield Marrow(f"{copies}_{gain:g}_{run}", copies, gain, 10_000)
        return
    rng = np.random.default_rng([chosen.seed, 1 << 20])
    for run in range(chosen.runs):
        copies, gain = np.exp(rng.uniform(np.log(500), np.log(50_000))), 2.0 ** rng.uniform(-1, 1)
        n_events = int(np.exp(rng.uniform(np.log(2000), np.log(20_000))))
        yield Marrow(f"{run:04d}", float(copies), float(gain), n_events)


def measure_marrow(marrow: Marrow, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Make a marrow with its beads and FMO, run it, and yield a row an antigen with CD22."""
    with tempfile.TemporaryDirectory() as place:
        study, out = Path(place) / "study", Path(place) / "out"
        study.mkdir()
        truth = write_marrow(study, marrow, rng)
        run_study(study, out, jobs=1, pictures=False)
        found = pd.read_csv(out / "antigens.csv").set_index("antigen")
    for antigen in ("blast_cd22", "normal_b_cd22"):
        if antigen in truth:
            item, (planted, value) = found.loc[antigen], truth[antigen]
            yield {
                "name": marrow.name,
                "antigen": antigen,
                "copies": f"{marrow.copies:.0f}",
                "gain": f"{marrow.gain:.3g}",
                "n_events": item["n_events"],
                "planted": f"{planted:.1f}",
                "realised": f"{value:.1f}",
                "net": item["net"],
                "ci_low": item["net_ci_low"],
                "ci_high": item["net_ci_high"],
                "background": item["background_kind"],
                "flags": item["flags"],
            }


def write_marrow(
    study: Path, marrow: Marrow, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Write beads, FMO and marrow of one session; return planted and realised medians."""
    draw = draw_blasts(marrow, rng)
    session = draw_session(0.06, rng)
    session = replace(session, gain=session.gain | {"PE-A": marrow.gain})
    (kit,) = (kit for kit in KITS if kit.antigen == "CD22")
    lot = draw_lot(kit, rng)
    (study / kit.file).parent.mkdir()
    (study / kit.file).write_text(spell_leaflet(lot), encoding="utf-8")
    (study / "study.toml").write_text('name = "density"\nsimulated = true\n', encoding="utf-8")
    write_events(study / "beads.fcs", run_beads(lot, session, rng), _STARTED)
    marrow_tube = acquire(draw, B_PANEL, session, marrow.n_events, rng)
    fmo = acquire(
        draw,
        B_PANEL,
        session,
        marrow.n_events,
        rng,
        omitted="CD22",
        same_cells=marrow_tube.stained,
    )
    for name, tube in (("marrow", marrow_tube), ("fmo", fmo)):
        write_events(study / f"{name}.fcs", tube.events, _STARTED, spillover=tube.spillover)
    rows = [
        _row("marrow", template="blasts_bm", baseline="yes", day=0, timing="pre"),
        _row("fmo", role="fmo", control_marker="CD22", control_for="marrow"),
        _row("beads", role="calibration_beads", kit=kit.file),
    ]
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    write_table(study / "samples.csv", columns, rows)
    told = tell_density(B_PANEL, draw, marrow_tube, rng)
    return {
        item.measurement.removesuffix("_abc"): (item.planted, item.value)
        for item in told
        if item.value is not None
    }


def draw_blasts(marrow: Marrow, rng: np.random.Generator) -> Draw:
    """Draw a marrow whose blasts have so many copies."""
    draw = draw_normal_marrow(rng, regenerating=True)
    patient = draw_patients(1, rng)[0]
    rates = draw.rates.copy()
    normal = rates[cells.CELLS].sum()
    rates[cells.BLASTS] = 0.0
    rates[cells.INDEX["blast"]] = normal * marrow.blasts / (1.0 - marrow.blasts)
    copies = dict(patient.blast_copies) | {"CD22": marrow.copies / _TABLE}
    return replace(draw, rates=rates, blast_copies=copies)


def tell(rows: pd.DataFrame) -> str:
    """Return the table as Markdown: errors by level, and the share of intervals that hold."""
    rows = rows[(rows["n_events"] >= 50) & rows["net"].notna()].copy()
    rows["error"] = rows["net"] / rows["realised"] - 1.0
    rows["held"] = (rows["ci_low"] <= rows["planted"]) & (rows["planted"] <= rows["ci_high"])
    # Normal B cells have their own density, whatever the blasts have.
    rows["level"] = rows["copies"].where(rows["antigen"] == "blast_cd22", 0)
    if rows["level"].nunique() > 2 * len(_LEVELS):
        edges = [-1, 1, 1500, 5000, 15000, 50001]
        rows["level"] = pd.cut(rows["level"], edges).astype(str)
    lines = [
        "| antigen | copies | specimens | median error | worst | within 7 % | interval holds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (antigen, level), own in rows.groupby(["antigen", "level"], sort=False):
        lines.append(
            f"| {antigen} | {level} | {len(own)} | {own['error'].median():+.3f} "
            f"| {own['error'].loc[own['error'].abs().idxmax()]:+.3f} "
            f"| {(own['error'].abs() <= 0.07).mean():.2f} | {own['held'].mean():.3f} |"
        )
    lines.append(f"all: interval holds {rows['held'].mean():.3f} of {len(rows)}")
    return "\n".join(lines)


def _row(name: str, **others: object) -> dict[str, object]:
    return {
        "file": f"{name}.fcs",
        "sample_id": name,
        "patient_id": "P",
        "specimen": "BM",
        "specimen_id": "draw",
        "tube": "B",
        "batch": "S1",
        "panel_version": B_PANEL.version,
        "template": "",
        "role": "specimen",
        "use": "report",
        **others,
    }


if __name__ == "__main__":
    main()
