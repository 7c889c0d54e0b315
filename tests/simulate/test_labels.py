"""Labels say what each event was made as, and change nothing else."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import flowio
import pytest

from cytoflow_car.simulate import simulate_cohort

Rows = list[dict[str, str]]


def rows_of(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "study"
    simulate_cohort(out, patients=2, events=3000, seed=3, small=True, labels=True)
    return out


def test_every_other_file_has_the_same_bytes(study: Path, tmp_path: Path) -> None:
    simulate_cohort(tmp_path, patients=2, events=3000, seed=3, small=True)
    with_labels = hashes(study)
    assert {name for name in with_labels if name.startswith("labels/")}
    assert hashes(tmp_path) == {
        name: digest for name, digest in with_labels.items() if not name.startswith("labels/")
    }


def test_each_file_of_cells_has_one_label_an_event(study: Path) -> None:
    files = sorted(path for path in (study / "fcs").iterdir() if "_beads_" not in path.name)
    assert sorted(path.stem for path in (study / "labels").iterdir()) == [f.stem for f in files]
    for file in files:
        n_events = flowio.FlowData(file, only_text=True).event_count
        assert len(rows_of(study / "labels" / f"{file.stem}.csv")) == n_events


def test_labels_count_what_the_truth_counts(study: Path) -> None:
    n_compared = 0
    for row in rows_of(study / "truth.csv"):
        if row["unit"] != "%":
            continue
        labels = rows_of(study / "labels" / f"{Path(row['file']).stem}.csv")
        live = Counter(label["population"] for label in labels)
        t = {name: n for name, n in live.items() if name.startswith("T ")}
        if row["measurement"] == "t_percent_of_cd45":
            assert sum(t.values()) == int(row["n_events"])
        elif row["measurement"] == "cd4_percent_of_t":
            n_cd4 = sum(n for name, n in t.items() if name.startswith("T CD4"))
            assert (n_cd4, sum(t.values())) == (int(row["n_events"]), int(row["n_denominator"]))
        elif row["measurement"] == "car_t_percent_of_t":
            # A class that carries CAR says so, of the target that this panel shows.
            carriers = Counter(
                label["carries"].count("CAR") for label in labels if label["population"] in t
            )
            assert carriers[1] == int(row["n_events"])
        else:
            continue
        n_compared += 1
    assert n_compared > 30


def test_labels_tell_dead_cells_doublets_beads_and_debris(study: Path) -> None:
    names = Counter(
        label["population"] for path in (study / "labels").iterdir() for label in rows_of(path)
    )
    first = Counter(name.split()[0] for name in names.elements())
    n_all = names.total()
    assert 0.005 < first["dead"] / n_all < 0.08
    assert 0.01 < first["doublet"] / n_all < 0.05
    assert names["bead"] > 0
    assert names["debris"] > 0
    carried = {
        label["carries"]
        for path in (study / "labels").iterdir()
        for label in rows_of(path)
        if label["population"] in ("bead", "debris", "red cell", "platelet")
    }
    assert carried == {""}
