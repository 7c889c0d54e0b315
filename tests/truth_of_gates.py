"""Placed gates beside the planted labels of simulated studies: how good each is, and how sure.

Run as a program, with study folders that ``simulate --labels`` wrote, it prints how many gates
agree badly with what was planted, and how many of these and of the good ones were flagged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoflow_car.gating.confidence import LEAST_EVENTS
from cytoflow_car.job import SampleJob
from cytoflow_car.model.gate import BooleanGate
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.pipeline import analyse_sample, gate_specimen
from cytoflow_car.simulate import cells
from cytoflow_car.study.controls import with_controls
from cytoflow_car.study.plan import plan_study
from cytoflow_car.study.sheet import read_study

Mask = npt.NDArray[np.bool_]

#: A gate that agrees less is one that a person would move.
GOOD = 0.9


@dataclass(frozen=True, slots=True)
class Planted:
    """What one event was made as: state ``live``, ``dead`` or ``doublet``, class, antigens."""

    state: str
    cell: cells.CellClass
    carries: str

    def is_live(self, *lineages: str) -> bool:
        """Tell whether it is a live single cell, of one of these lineages if any are given."""
        return self.state == "live" and (not lineages or self.cell.lineage in lineages)

    def shows(self, antigen: str) -> bool:
        """Tell whether its class carries an antigen in this specimen."""
        return f"{antigen}+" in self.carries


Meaning = Callable[[Planted], bool]

_LYMPHOID = ("T", "NK", "B")
_LOW_SCATTER = (*_LYMPHOID, "basophil", "pDC", "progenitor", "blast", "plasma")
_CELLS = tuple({cell.lineage for cell in cells.CLASSES} - {"particle"})
_LEUKOCYTES = tuple(set(_CELLS) - {"erythroid"})


def _t_with(*antigens: str) -> Meaning:
    return lambda event: event.is_live("T") and all(map(event.shows, antigens))


def _memory(subset: str) -> Meaning:
    return lambda event: event.is_live("T") and f" {subset} CAR" in event.cell.name


def _stage(*names: str) -> Meaning:
    return lambda event: event.is_live("B") and event.cell.name in names


#: Population to what it means among planted events. Without a planted meaning, and left out, are
#: single ratios of the rule for blasts, which mean blasts only together, and B cells with one of
#: CD19 and CD22, of which none are planted.
MEANINGS: Mapping[str, Meaning] = {
    "beads": lambda event: event.is_live() and event.cell.name == "bead",
    "singlets": lambda event: event.state != "doublet",
    "live": Planted.is_live,
    "nucleated": lambda event: event.is_live(*_CELLS),
    "erythroid": lambda event: event.is_live("erythroid"),
    "CD45+": lambda event: event.is_live(*_LEUKOCYTES),
    "T": lambda event: event.is_live("T"),
    "dump-": lambda event: event.is_live(*set(_LEUKOCYTES) - {"monocyte"}),
    "low scatter": lambda event: event.is_live(*_LOW_SCATTER),
    "lymphocytes": lambda event: event.is_live(*_LYMPHOID),
    "CD4 T": _t_with("CD4"),
    "CD8 T": _t_with("CD8"),
    "CAR T": _t_with("CAR"),
    "CAR T CD4": _t_with("CAR", "CD4"),
    "CAR T CD8": _t_with("CAR", "CD8"),
    "CAR T naive": _memory("naive"),
    "CAR T central memory": _memory("CM"),
    "CAR T effector memory": _memory("EM"),
    "CAR T EMRA": _memory("EMRA"),
    "mononuclear": lambda event: event.is_live(*set(_LEUKOCYTES) - {"granulocyte"}),
    "T and NK": lambda event: event.is_live("T", "NK"),
    "CD10+": lambda event: event.is_live() and event.shows("CD10"),
    "blasts": lambda event: event.is_live("blast"),
    "CD10+ normal": lambda event: event.is_live("B"),
    "CD123+": lambda event: event.is_live("basophil", "pDC"),
    "plasma cells": lambda event: event.is_live("plasma"),
    "lymphoid": lambda event: event.is_live(*_LYMPHOID, "progenitor"),
    "CD34+": lambda event: event.is_live() and event.shows("CD34"),
    "CD22+": lambda event: event.is_live() and event.shows("CD22"),
    "B CD19+": lambda event: event.is_live("B"),
    "B CD22+": lambda event: event.is_live("B"),
    "B CD19+CD22+": lambda event: event.is_live("B"),
    "CD19-CD22+ progenitors": lambda event: (
        event.cell.name == "CD34+CD22+ progenitor" and event.is_live()
    ),
    "pro-B": _stage("early pro-B", "pro-B"),
    "pre-B": _stage("pre-B"),
    "immature B": _stage("immature B"),
    "mature B": _stage("mature B"),
    "CD20+ B": _stage("immature B", "mature B"),
    "blasts CD19+": lambda event: event.is_live("blast") and event.shows("CD19"),
    "blasts CD22+": lambda event: event.is_live("blast") and event.shows("CD22"),
}

#: Beside these in tubes of B cells, where bright CD45 is not asked for.
B_MEANINGS: Mapping[str, Meaning] = {
    "lymphoid scatter": lambda event: event.is_live(*_LOW_SCATTER),
}


@dataclass(frozen=True, slots=True)
class GateTruth:
    """One gate of one specimen beside what was planted.

    Attributes
    ----------
    confidence, flags, reason
        Of its placement.
    n_parent, n_inside, n_planted
        Events of the parent, of these inside the gate, and of these meant.
    f1
        Given the parent: of the events inside and of those meant, among the parent's.
    f1_end_to_end
        Of the population and of all that are meant in the file.
    is_flagged
        Whether its confidence lies below the template's review line, or it holds too few events to
        be quantified, as the status of its measurement says: agreement then says little.
    is_in_review
        Whether its confidence lies below that line, which sends the specimen to review.
    lineage_is_flagged
        Whether it is, or a gate above or one that it combines is in review.
    """

    sample_id: str
    template: str
    population: str
    method: str
    confidence: float
    flags: tuple[str, ...]
    reason: str
    n_parent: int
    n_inside: int
    n_planted: int
    f1: float
    f1_end_to_end: float
    is_flagged: bool
    is_in_review: bool
    lineage_is_flagged: bool


def find_truth(study: Path, *, processes: int = 2) -> pd.DataFrame:
    """Gate every specimen of a simulated study as a run does; one row a gate with a meaning."""
    plan = plan_study(read_study(study), None, seed=0, draw=False)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        controls = pool.map(analyse_sample, plan.control_jobs.values())
        summaries = {
            (result.sample_id, result.template): result.control_summaries for result in controls
        }
        jobs = [
            with_controls(sample.job, sample.row, sample.controls, summaries)
            for sample in plan.samples
        ]
        folders = [study] * len(jobs)
        rows = [row for found in pool.map(_look_at, jobs, folders) for row in found]
    return pd.DataFrame(rows)


def _look_at(job: SampleJob, study: Path) -> list[GateTruth]:
    tree = gate_specimen(job, job.template.populations).tree
    labels = pd.read_csv(study / "labels" / f"{job.sample_id}.csv", keep_default_na=False)
    pairs = labels["population"] + "|" + labels["carries"]
    codes, unique = pd.factorize(pairs)
    planted = [_read_label(str(label)) for label in unique]
    return list(_compare(job, tree, codes, planted))


def _read_label(label: str) -> Planted:
    name, _, carries = label.partition("|")
    state = next((word for word in ("dead", "doublet") if name.startswith(f"{word} ")), "live")
    name = name.removeprefix(f"{state} ")
    # Each panel of T cells shows the CAR of one target.
    carries = carries.replace("CAR19+", "CAR+").replace("CAR22+", "CAR+")
    return Planted(state, cells.CLASSES[cells.INDEX[name]], carries)


def _compare(
    job: SampleJob, tree: PopulationTree, codes: npt.NDArray[np.intp], planted: list[Planted]
) -> Iterator[GateTruth]:
    below = job.template.review_below
    meanings = dict(MEANINGS) | ({} if job.template.car else dict(B_MEANINGS))
    for item in tree:
        if item.placement is None or item.parent is None or item.name not in meanings:
            continue
        meaning = meanings[item.name]
        meant = np.array([meaning(event) for event in planted])[codes] & tree.kept
        inside = np.zeros(codes.size, dtype=bool)
        inside[tree.kept_rows(item.name)] = True
        parent = np.zeros(codes.size, dtype=bool)
        parent[tree.kept_rows(item.parent)] = True
        above = next(
            (name.name for name in reversed(tree.ancestors(item.parent)) if name.name in meanings),
            None,
        )
        if above is not None:
            parent &= np.array([meanings[above](event) for event in planted])[codes]
        yield GateTruth(
            sample_id=job.sample_id,
            template=job.template.name,
            population=item.name,
            method=item.placement.method,
            confidence=item.placement.confidence,
            flags=item.placement.flags,
            reason=item.placement.reason,
            n_parent=int(parent.sum()),
            n_inside=int(inside.sum()),
            n_planted=int((meant & parent).sum()),
            f1=_f1(inside & parent, meant & parent),
            f1_end_to_end=_f1(inside, meant),
            is_flagged=item.placement.confidence < below or item.count < LEAST_EVENTS,
            is_in_review=item.placement.confidence < below,
            lineage_is_flagged=_least_sure(tree, item.name) < below or item.count < LEAST_EVENTS,
        )


def _f1(one: Mask, other: Mask) -> float:
    both = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / both if both else float("nan")


def _least_sure(tree: PopulationTree, name: str) -> float:
    found = 1.0
    for item in tree.ancestors(name):
        if item.placement is None:
            continue
        found = min(found, item.placement.confidence)
        if isinstance(item.placement.gate, BooleanGate):
            operands = [operand.removeprefix("!") for operand in item.placement.gate.operands]
            found = min(found, *(_least_sure(tree, operand) for operand in operands))
    return found


def tell(gates: pd.DataFrame) -> str:
    """Return the shares of bad and good gates that were flagged, for several least sizes."""
    lines = ["planted at least | given parent: bad flagged, good flagged | end to end: the same"]
    for least in (1, 20, 50):
        some = gates[gates.n_planted >= least]
        parts = []
        for f1, flag in (("f1", "is_flagged"), ("f1_end_to_end", "lineage_is_flagged")):
            bad, good = some[some[f1] < GOOD], some[some[f1] >= GOOD]
            parts += [f"{int(part[flag].sum())} of {len(part)}" for part in (bad, good)]
        lines.append(f"{least} | {parts[0]}, {parts[1]} | {parts[2]}, {parts[3]}")
    flagged = gates.groupby(["sample_id", "template"]).is_in_review.any()
    lines.append(f"specimens in review: {int(flagged.sum())} of {len(flagged)}")
    return "\n".join(lines)


def main(studies: list[Path]) -> None:
    """Print the figures of studies, one after the other and together."""
    found = [find_truth(study) for study in studies]
    for study, gates in zip(studies, found, strict=True):
        print(f"{study.name}\n{tell(gates)}\n")
    print(f"together\n{tell(pd.concat(found))}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
