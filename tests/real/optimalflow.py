"""optimalFlowData as a study folder, and what was gated beside its expert's labels.

Run as a program, with the folder of the data's Parquet files, it prints the tables of
``docs/explanation/real-events.md``.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoflow_car import (
    Events,
    Template,
    compensate,
    gate_events,
    load_template,
    read_fcs,
    run_study,
    write_fcs,
)
from cytoflow_car.model.events import Channel
from cytoflow_car.model.population import ROOT, PopulationTree
from cytoflow_car.pipeline import prepare
from cytoflow_car.preprocess.panel import assign_markers

Mask = npt.NDArray[np.bool_]

TEMPLATES = Path(__file__).resolve().parent
TEMPLATE = "euroflow_lymphoid"
FILES = ("Cytometry3", "Cytometry5")

#: The values lie between -5000 and 14000 on their display scale.
_TOP = 16384.0

_T_AB = ("CD4+CD8-", "CD8+CD4-", "CD4+CD8dim", "TCRgd-")
_T = (*_T_AB, "TCRgd+")
_B = ("Mature SIg Kappa", "Mature SIg Lambda")
_NK = ("CD56dim", "CD56bright")

#: Population of the template to the expert's labels that it means.
LABELS: Mapping[str, tuple[str, ...]] = {
    "T": _T,
    "T gd": ("TCRgd+",),
    "T ab": _T_AB,
    "CD4 T": ("CD4+CD8-",),
    "CD8 T": ("CD8+CD4-",),
    "CD4+CD8+ T": ("CD4+CD8dim",),
    "CD4-CD8- T": ("TCRgd-",),
    "B": _B,
    "B kappa": ("Mature SIg Kappa",),
    "B lambda": ("Mature SIg Lambda",),
    "NK": _NK,
    "lymphocytes": (*_T, *_B, *_NK),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One percent beside the expert's.

    Attributes
    ----------
    population, denominator
        As in ``measurements.csv``.
    ours, expert
        Percent of the denominator: by the gates, and by the labels alone.
    f1
        Of the population's events: 2 × common / (ours + the expert's).
    """

    population: str
    denominator: str
    ours: float
    expert: float
    f1: float


def write_study(source: Path, folder: Path) -> Path:
    """Write two of the files as FCS into `folder`, with a sheet; return `folder`."""
    rows = []
    for name in FILES:
        values = pd.read_parquet(source / f"{name}.parquet").drop(columns="population")
        channels = tuple(_channel(column) for column in values.columns)
        write_fcs(folder / f"{name}.fcs", Events(values.to_numpy(np.float32), channels))
        rows.append(
            {
                "file": f"{name}.fcs",
                "sample_id": name,
                "patient_id": name,
                "specimen": "PB",
                "day": "0",
                "timing": "pre",
                "template": TEMPLATE,
                "spillover": "applied",
            }
        )
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _channel(column: str) -> Channel:
    """Read stain and detector from a column such as ``CD3:APC-A LOGICAL`` or ``FSC-A LINEAR``."""
    stain, _, detector = column.rpartition(":")
    return Channel(detector[: detector.index("-A") + 2], stain or None, _TOP)


def gate_file(path: Path, template: Template) -> PopulationTree:
    """Gate one of the written files by the gating functions alone."""
    events = read_fcs(path).events
    columns = assign_markers(events.channels, template.markers)
    prepared = prepare(compensate(events, None), columns, template)
    return gate_events(prepared, template.populations, np.ones(len(events), dtype=bool))


def compare(source: Path, study: Path, results: Path) -> dict[str, list[Comparison]]:
    """Set every percent of a run beside the labels, by sample and in the template's order."""
    template = load_template(TEMPLATE, TEMPLATES)
    with (results / "measurements.csv").open(encoding="utf-8", newline="") as stream:
        measured = list(csv.DictReader(stream))
    compared = {}
    for name in FILES:
        labels = pd.read_parquet(source / f"{name}.parquet")["population"].astype(str)
        tree = gate_file(study / f"{name}.fcs", template)
        compared[name] = [
            _beside(float(row["value"]), row["population"], row["denominator"], tree, labels)
            for row in measured
            if row["sample_id"] == name
        ]
    return compared


def _beside(
    ours: float, population: str, denominator: str, tree: PopulationTree, labels: pd.Series[str]
) -> Comparison:
    expert, whole = experts(labels, population), experts(labels, denominator)
    rows = tree[population].rows
    f1 = 2.0 * int(expert[rows].sum()) / (rows.size + int(expert.sum()))
    return Comparison(population, denominator, ours, 100.0 * expert.sum() / whole.sum(), f1)


def experts(labels: pd.Series[str], population: str) -> Mask:
    """Tell which events the expert's labels count to a population, (n_events,)."""
    if population == ROOT:
        return np.ones(len(labels), dtype=bool)
    if population == "CD45+":
        return ~labels.str.contains("debris|doublets", case=False).to_numpy(bool)
    return labels.isin(LABELS[population]).to_numpy(bool)


def as_markdown(comparisons: list[Comparison]) -> str:
    """Return the table of one file."""
    lines = [
        "| population | of | gates, % | expert, % | difference | F1 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    lines.extend(
        f"| {row.population} | {'all events' if row.denominator == ROOT else row.denominator} "
        f"| {row.ours:.2f} | {row.expert:.2f} | {row.ours - row.expert:+.2f} | {row.f1:.3f} |"
        for row in comparisons
    )
    return "\n".join(lines)


def main(source: Path) -> None:
    """Run the study and print its tables."""
    with tempfile.TemporaryDirectory() as place:
        study = write_study(source, Path(place))
        run_study(study, study / "results", templates=TEMPLATES, jobs=1, pictures=False)
        for name, comparisons in compare(source, study, study / "results").items():
            print(f"### {name}\n\n{as_markdown(comparisons)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
