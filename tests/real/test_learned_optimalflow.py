"""Gates learned from one labelled file find the expert's populations in the five others.

The whole documented way: FCS files and labels, ``learn``, ``run``, ``compare``. See
``docs/explanation/real-events.md`` for what these events are.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optimalflow import _channel

from cytoflow_car import run_study, write_fcs
from cytoflow_car.gating.registered import Registered
from cytoflow_car.model.events import Events
from cytoflow_car.study.compare import compare_results
from cytoflow_car.study.hand_gates import find_labelled
from cytoflow_car.study.learn import Learned, learn_from_labels, write_learned

LEARNED_FROM = "Cytometry6"
FILES = tuple(f"Cytometry{number}" for number in range(3, 9))
#: A gain of 1.26 is a tenth of a decade. The values are on a display scale already, where a gain
#: does not multiply but moves what lies well above zero: by a tenth of the 4.5 decades that the
#: display's 16,384 units stand for. All events of a channel are moved, dim ones too, which is more
#: than a gain would do.
DRIFT = 16384.0 * 0.1 / 4.5

B = ("Mature SIg Kappa", "Mature SIg Lambda")
#: Least median and least worst F1.
WANTED = {
    "CD4 T": (0.95, 0.90),
    "CD8 T": (0.95, 0.90),
    "B": (0.95, 0.90),
    "neutrophils": (0.93, 0.0),
    "debris": (0.93, 0.0),
    "doublets": (0.0, 0.0),
}


@dataclass(frozen=True)
class Study:
    """A study folder, with an expert's labels beside it."""

    folder: Path
    labels: Path


def write_studies(source: Path, folder: Path, drifted: bool) -> Study:
    (folder / "labels").mkdir(parents=True)
    (folder / "taught").mkdir()
    rng = np.random.default_rng(126)
    rows = []
    for name in FILES:
        table = pd.read_parquet(source / f"{name}.parquet")
        place = "taught" if name == LEARNED_FROM else "labels"
        table[["population"]].to_csv(folder / place / f"{name}.csv", index=False)
        values = table.drop(columns="population")
        moved = values.to_numpy(np.float32)
        if drifted:
            moved = moved + np.float32(DRIFT) * rng.choice([-1, 1], moved.shape[1])
        channels = tuple(_channel(column) for column in values.columns)
        write_fcs(folder / f"{name}.fcs", Events(moved.astype(np.float32), channels))
        if name != LEARNED_FROM:
            rows.append(
                {
                    "file": f"{name}.fcs",
                    "sample_id": name,
                    "patient_id": name,
                    "specimen": "PB",
                    "day": "0",
                    "timing": "pre",
                    "template": "learned",
                    "spillover": "applied",
                }
            )
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return Study(folder, folder / "labels")


@pytest.fixture(scope="module")
def source(data_folder: Path) -> Path:
    folder = data_folder / "optimalFlowData"
    if not folder.is_dir():
        pytest.skip("the data folder has no optimalFlowData")
    return folder


@pytest.fixture(scope="module")
def labels_meant(source: Path) -> dict[str, str]:
    """Return each population's labels, joined by +, as the command line takes them."""
    found = sorted(
        {
            str(label)
            for name in FILES
            for label in pd.read_parquet(source / f"{name}.parquet")["population"].unique()
        }
    )
    return {
        "CD4 T": "CD4+CD8-",
        "CD8 T": "CD8+CD4-",
        "B": "+".join(B),
        "neutrophils": "Neutrophils",
        "debris": "+".join(label for label in found if "debris" in label.lower()),
        "doublets": "+".join(label for label in found if "doublets" in label.lower()),
    }


@pytest.fixture(scope="module")
def plain(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return write_studies(source, tmp_path_factory.mktemp("plain"), drifted=False)


@pytest.fixture(scope="module")
def drifted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return write_studies(source, tmp_path_factory.mktemp("drifted"), drifted=True)


@pytest.fixture(scope="module")
def learned(plain: Study, labels_meant: dict[str, str]) -> Learned:
    files = find_labelled([plain.folder / f"{LEARNED_FROM}.fcs"], plain.folder / "taught")
    return learn_from_labels(files, "learned", labels_meant)


def f1_of(
    study: Study, learned: Learned, labels_meant: dict[str, str], folder: Path
) -> pd.DataFrame:
    """Run and compare; return F1 with a row a file and a column a population."""
    write_learned(learned, folder / "learned.toml")
    summary = run_study(study.folder, folder / "results", templates=folder, jobs=1, pictures=False)
    assert (0, 5) == (summary.exit_code, summary.n_done)
    comparison = compare_results(
        folder / "results",
        study.labels,
        match=[f"{ours}={theirs}" for ours, theirs in labels_meant.items()],
        populations=list(labels_meant),
    )
    assert not comparison.not_compared
    rows = [(row.sample_id, row.population, row.f1) for row in comparison.rows]
    table = pd.DataFrame(rows, columns=["sample_id", "population", "f1"])
    return table.pivot(index="sample_id", columns="population", values="f1")


@pytest.fixture(scope="module")
def found(
    plain: Study,
    drifted: Study,
    learned: Learned,
    labels_meant: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return F1 of registered and of fixed gates, on files as they are and drifted."""
    rules = tuple(
        replace(rule, gate=rule.gate.drawn[0]) if isinstance(rule.gate, Registered) else rule
        for rule in learned.template.populations
    )
    fixed = replace(
        learned,
        template=replace(learned.template, populations=rules, training=(), training_file=""),
    )
    return {
        (kind, way): f1_of(study, template, labels_meant, tmp_path_factory.mktemp(f"{kind}_{way}"))
        for kind, study in (("plain", plain), ("drifted", drifted))
        for way, template in (("registered", learned), ("fixed", fixed))
    }


@pytest.mark.parametrize("kind", ["plain", "drifted"])
@pytest.mark.parametrize("population", WANTED)
def test_learned_gates_are_the_experts(
    found: dict[tuple[str, str], pd.DataFrame], kind: str, population: str
) -> None:
    least_median, least_worst = WANTED[population]
    f1 = found[kind, "registered"][population]
    assert f1.median() >= least_median
    assert f1.min() >= least_worst


@pytest.mark.parametrize("population", [name for name in WANTED if name != "doublets"])
def test_after_drift_learned_gates_are_no_worse_than_fixed_ones(
    found: dict[tuple[str, str], pd.DataFrame], population: str
) -> None:
    ours, fixed = (found["drifted", way][population] for way in ("registered", "fixed"))
    assert (ours - fixed).min() >= -0.01


def test_every_gate_was_registered_and_says_what_it_was_drawn_from(learned: Learned) -> None:
    assert {"registered"} == {gate.rule.gate.method for gate in learned.gates}
    assert any(note.startswith("debris: drawn by") for note in learned.notes)
    assert "applied" == learned.spillover_column
