"""Detection of a population that the reference does not know, in six labelled specimens.

``python tests/real/detection_optimalflow.py FOLDER OUT``, with the folder of the Parquet files of
optimalFlowData, prints the table of ``docs/explanation/limits-of-detection.md`` and writes each
specimen's tables and figure into OUT. All six persons are healthy: none has a clone of one light
chain. So B cells of one light chain stand in for it. They are left out of the reference, which is
fitted on the other five specimens; B cells of the other light chain are the control.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from optimalflow import TEMPLATES, _channel

from cytoflow_car import Events, load_template, write_fcs
from cytoflow_car.clustering.reference_fit import Naming
from cytoflow_car.study.detection import summarise_levels, write_detection
from cytoflow_car.study.dilution import DilutionSetting, read_truth, study_detection
from cytoflow_car.study.reference_fitting import NameTable, fit_reference_of_files
from cytoflow_car.tables.detection import LevelSummary
from cytoflow_car.tables.reference_file import read_reference, write_reference

FILES = tuple(f"Cytometry{number}" for number in range(3, 9))
CLONE, NORMAL_B = "Mature SIg Lambda", "Mature SIg Kappa"
#: They hold cells of the clone, too, and nobody labelled which.
UNSURE = ("doublets B cells", "debris B cells")
SETTING = DilutionSetting(levels=(1e-2, 1e-3, 1e-4, 0.0), repeats=3, blanks=8)


def name_table(labels: set[str]) -> NameTable:
    """Count kinds of debris and of doublets as one each, and leave out the clone."""
    kinds = (("debris", "debris"), ("doublet", "doublets"))
    populations = {
        label: next((name for word, name in kinds if word in label.lower()), label)
        for label in sorted(labels - {CLONE})
    }
    naming = Naming({NORMAL_B: "B"}, technical=frozenset(name for _, name in kinds))
    return NameTable(tuple(populations.items()), naming)


def main(source: Path, out: Path) -> None:
    """Fit the references, run the studies, and print their levels."""
    template = load_template("euroflow_clone", TEMPLATES)
    print(
        "| file | cells | level | mixed in | recall | precision | F1 | false | detected | flags |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as place:
        folder, known = Path(place), set()
        (folder / "labels").mkdir()
        for name in FILES:
            table = pd.read_parquet(source / f"{name}.parquet")
            labels = table.pop("population").astype(str)
            labels.to_frame().to_csv(folder / "labels" / f"{name}.csv", index=False)
            known |= set(labels)
            channels = tuple(_channel(column) for column in table.columns)
            write_fcs(folder / f"{name}.fcs", Events(table.to_numpy(np.float32), channels))
        truth = read_truth(folder / "labels", [CLONE], UNSURE)
        for name in FILES:
            reference, _ = fit_reference_of_files(
                "others",
                [folder / f"{other}.fcs" for other in FILES if other != name],
                template,
                labels=folder / "labels",
                names=name_table(known),
                spillover="applied",
            )
            path = folder / f"without_{name}.reference.json"
            write_reference(reference, path)
            study = study_detection(
                [folder / f"{name}.fcs"],
                template,
                read_reference(path),
                setting=SETTING,
                truth=truth,
                spillover="applied",
            )
            write_detection(study, out / name, template, reference)
            for item in summarise_levels(study):
                print(as_row(item), flush=True)


def as_row(item: LevelSummary) -> str:
    """Return a level as a row of the table."""
    figures = (
        item.n_spiked,
        item.recall_mean,
        item.precision_mean,
        item.f1_mean,
        item.false_mean,
    )
    cells = [item.sample_id, item.arm, f"{item.level:g}"]
    cells += ["" if value is None else f"{value:.3g}" for value in figures]
    cells += [
        f"{item.n_detected} of {item.n_called}",
        " ".join(flag.partition(":")[0] for flag in item.flags),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
