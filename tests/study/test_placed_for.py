"""Gates placed once for a batch or a patient."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.errors import TemplateError
from cytoflow_car.fcs import write_fcs
from cytoflow_car.model.events import Channel, Events
from cytoflow_car.study.batch import SOME_FAILED, run_study
from cytoflow_car.template import parse_template

TEMPLATE = """
name = "small"
version = "1"
description = "B cells"
specimens = ["PB"]
acquisition = {{ least_events = 1 }}

[[markers]]
name = "CD45"
stains = ["CD45"]
[[markers]]
name = "CD19"
stains = ["CD19"]

[[populations]]
name = "leukocytes"
parent = "root"
placed_for = "{outer}"
gate = {{ method = "valley", marker = "CD45", keep = "above", prior = 500.0, low = 200.0, high = 20000.0 }}
[[populations]]
name = "B"
parent = "leukocytes"
placed_for = "{inner}"
gate = {inner_gate}

[[measurements]]
measure = "percent"
name = "b"
population = "B"
denominator = "leukocytes"
assay = "b"
[[detection]]
assay = "b"
lod_events = 1
loq_events = 2
least_events = {{}}
"""  # noqa: E501
VALLEY = (
    '{ method = "valley", marker = "CD19", keep = "above", prior = 400.0, low = 200.0, '
    "high = 30000.0 }"
)
#: Too few for a valley in one specimen: 12 of 48 events are B cells, 12 no leukocytes.
N_EVENTS, N_B, N_DEBRIS = 48, 12, 12

Cells = dict[str, str]
Rows = dict[tuple[str, str], Cells]


def template(inner: str = "batch", outer: str = "specimen", gate: str = VALLEY) -> str:
    return TEMPLATE.format(inner=inner, outer=outer, inner_gate=gate)


def write_specimen(path: Path, *, gain: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.permutation([0] * N_DEBRIS + [1] * (N_EVENTS - N_DEBRIS - N_B) + [2] * N_B)
    dim = rng.normal(0.0, 200.0, (N_EVENTS, 2)) + 100.0
    light = 8000.0 * np.exp(rng.normal(0.0, 0.3, (N_EVENTS, 2)))
    bright = np.column_stack([kinds > 0, kinds == 2])
    values = gain * (dim + np.where(bright, light, 0.0))
    time = np.arange(N_EVENTS, dtype=np.float64)
    channels = (Channel("Time"), Channel("A-A", "CD45"), Channel("B-A", "CD19"))
    events = Events(np.column_stack([time, values]).astype(np.float32), channels)
    write_fcs(path, events)


@pytest.fixture
def write_batches(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes two batches of five specimens, the second at 3 times the gain.

    Of each patient there is a specimen in both batches.
    """

    def write(
        text: str,
        *,
        name: str = "study",
        leave_out: Iterable[str] = (),
        batchless: str = "",
        torn: str = "",
        shuffled: bool = False,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "small.toml").write_text(text, encoding="utf-8")
        rows = []
        for batch, gain in (("S1", 1.0), ("S2", 3.0)):
            for number in range(5):
                sample_id = f"{batch}P{number}"
                if sample_id in leave_out:
                    continue
                path = folder / f"{sample_id}.fcs"
                write_specimen(path, gain=gain, seed=10 * number + int(gain))
                if sample_id == torn:
                    path.write_bytes(path.read_bytes()[:300])
                rows.append(
                    {
                        "file": path.name,
                        "sample_id": sample_id,
                        "patient_id": f"P{number}",
                        "specimen": "PB",
                        "day": "0" if batch == "S1" else "7",
                        "timing": "pre" if batch == "S1" else "",
                        "tube": "T",
                        "template": "small",
                        "batch": "" if sample_id == batchless else batch,
                        "spillover": "none",
                    }
                )
        if shuffled:
            random.Random(0).shuffle(rows)
        with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return write


def gates(folder: Path, *, jobs: int = 1) -> Rows:
    """Run a study and return its gates by sample and population."""
    out = folder.parent / f"{folder.name} results {jobs}"
    run_study(folder, out, templates=folder, jobs=jobs, pictures=False)
    with (out / "gates.csv").open(encoding="utf-8", newline="") as stream:
        return {(row["sample_id"], row["population"]): row for row in csv.DictReader(stream)}


def of_b(rows: Rows) -> dict[str, Cells]:
    return {sample: row for (sample, population), row in rows.items() if population == "B"}


def cut_of(row: Cells) -> float:
    return float(json.loads(row["geometry"])["lower"][0])


def test_a_batch_shares_a_gate_that_no_specimen_could_place(
    write_batches: Callable[..., Path],
) -> None:
    alone = of_b(gates(write_batches(template("specimen"), name="alone")))
    together = of_b(gates(write_batches(template("batch"))))
    assert all("PRIOR_KEPT" in row["flags"] for row in alone.values())
    # Dim cells of the second batch reach above the template's prior.
    assert all(int(row["count"]) > N_B for name, row in alone.items() if name > "S2")
    for sample, row in together.items():
        assert int(row["count"]) == N_B
        # The flag of the gate above is inherited; the reason is this gate's own.
        assert "prior" not in row["reason"] and "PLACED_ALONE" not in row["flags"]
        assert f"of 5 specimens of batch {sample[:2]}" in row["reason"]
    cuts = {batch: {cut_of(together[f"{batch}P{n}"]) for n in range(5)} for batch in ("S1", "S2")}
    assert len(cuts["S1"]) == len(cuts["S2"]) == 1
    # The planted gain.
    assert cuts["S2"].pop() / cuts["S1"].pop() == pytest.approx(3.0, rel=0.35)


def test_a_patient_shares_a_gate(write_batches: Callable[..., Path]) -> None:
    rows = of_b(gates(write_batches(template("patient"))))
    for number in range(5):
        one, other = rows[f"S1P{number}"], rows[f"S2P{number}"]
        assert one["geometry"] == other["geometry"]
        assert "of 2 specimens of the patient" in one["reason"]


def test_a_gate_beneath_a_shared_gate_is_placed_after_it(
    write_batches: Callable[..., Path],
) -> None:
    rows = gates(write_batches(template("batch", "batch")))
    for (sample, population), row in rows.items():
        if population != "root":
            assert f"of 5 specimens of batch {sample[:2]}" in row["reason"]
        if population == "leukocytes":
            assert int(row["count"]) == N_EVENTS - N_DEBRIS
    # Debris is no part of the parents on which B cells were placed.
    assert "placed on 180 events" in rows["S1P0", "B"]["reason"]


def test_order_and_processes_change_nothing(write_batches: Callable[..., Path]) -> None:
    text = template("batch", "patient")
    one = gates(write_batches(text))
    assert one == gates(write_batches(text, name="shuffled", shuffled=True))
    assert one == gates(write_batches(text, name="processes"), jobs=2)


def test_only_the_group_that_the_template_names_has_a_say(
    write_batches: Callable[..., Path],
) -> None:
    text, less = template("batch"), {"leave_out": ["S1P4"]}
    whole, part = (
        of_b(gates(write_batches(text))),
        of_b(gates(write_batches(text, name="l", **less))),
    )
    assert all(part[name] == whole[name] for name in part if name.startswith("S2"))
    assert all(part[name] != whole[name] for name in part if name.startswith("S1"))
    text = template("specimen")
    every = gates(write_batches(text, name="s"))
    fewer = gates(write_batches(text, name="sl", **less))
    assert all(fewer[key] == every[key] for key in fewer)


def test_a_specimen_without_a_batch_is_placed_alone_and_says_so(
    write_batches: Callable[..., Path],
) -> None:
    rows = of_b(gates(write_batches(template(), batchless="S1P0")))
    assert [name for name, row in rows.items() if "PLACED_ALONE" in row["flags"]] == ["S1P0"]
    assert "of 4 specimens of batch S1" in rows["S1P1"]["reason"]


def test_a_broken_file_does_not_spoil_its_batch(write_batches: Callable[..., Path]) -> None:
    folder = write_batches(template(), torn="S1P0")
    out = folder.parent / "out"
    summary = run_study(folder, out, templates=folder, jobs=1, pictures=False)
    assert summary.exit_code == SOME_FAILED
    assert [failure.sample_id for failure in summary.failures] == ["S1P0"]
    rows = of_b(gates(folder))
    assert len(rows) == 9
    assert all("of 4 specimens" in row["reason"] for name, row in rows.items() if name < "S2")


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        ('{ method = "control", marker = "CD19", prior = 1000.0 }', "method control"),
        (
            '{ method = "internal", marker = "CD19", prior = 1000.0, negative = "leukocytes" }',
            "method internal",
        ),
        (
            '{ method = "rectangle", sides = [{ method = "control", marker = "CD19", '
            "prior = 1.0 }] }",
            "method control",
        ),
        ('{ method = "reference", population = "leukocytes" }', "method reference"),
        ('{ method = "boolean", operation = "not", populations = ["leukocytes"] }', "boolean"),
    ],
)
def test_a_gate_that_rests_on_one_tube_is_a_fault(gate: str, named: str) -> None:
    with pytest.raises(TemplateError, match=f"placed_for batch is not possible for .*{named}"):
        parse_template(template(gate=gate), where="small.toml")


def test_a_shared_gate_beneath_a_control_is_a_fault() -> None:
    text = template().replace(
        'gate = { method = "valley", marker = "CD45", keep = "above", prior = 500.0, '
        "low = 200.0, high = 20000.0 }",
        'gate = { method = "control", marker = "CD45", prior = 500.0 }',
    )
    with pytest.raises(TemplateError, match="not possible beneath 'leukocytes'"):
        parse_template(text, where="small.toml")
