"""References are fitted by the command, come back as they were written, or are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cytoflow_car.cli import cli
from cytoflow_car.errors import ReferenceError, StudyError
from cytoflow_car.simulate import simulate_cohort
from cytoflow_car.study.reference_fitting import read_names
from cytoflow_car.tables.reference_file import read_reference, write_reference

NAMES = Path(__file__).resolve().parents[2] / "sample_fcs" / "normal_marrow.names.csv"
PERSONS = 3


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(item) for item in arguments])


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of normal marrows, with labels/ beside them."""
    folder = tmp_path_factory.mktemp("normal")
    simulate_cohort(folder, patients=1, events=6000, seed=8, small=True, normal=PERSONS)
    return folder / "normal"


def fit(normal: Path, out: Path, *more: object, files: list[Path] | None = None) -> Result:
    return invoke(
        "reference", "fit", *(files or sorted(normal.glob("*.fcs"))), "--out", out,
        "--template", "blasts_bm", "--simulated", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("fitted") / "own.reference.json"
    return out, fit(normal, out, "--labels", normal / "labels", "--names", NAMES)


def test_labelled_files_make_a_reference(fitted: tuple[Path, Result]) -> None:
    path, result = fitted
    assert result.exit_code == 0, result.output
    reference = read_reference(path)
    assert reference.name == "own"
    assert reference.simulated
    assert len(reference.fit) == PERSONS
    assert {"T cells", "pro-B", "pre-B", "doublets"} <= set(reference.names)
    stages = {item.name: item.stage for item in reference.populations if item.stage}
    assert sorted(stages, key=stages.__getitem__) == [
        name for name in ("early pro-B", "pro-B", "pre-B", "immature B", "mature B")
        if name in stages
    ]  # fmt: skip
    assert len(reference.provenance["files_sha256"]) == PERSONS  # type: ignore[arg-type]
    assert float(str(reference.provenance["named_percent"])) > 99.0
    # What CD19 and CD10 are on normal cells.
    levels = {item.name: dict(zip(reference.marker_names, item.levels, strict=True))
              for item in reference.populations}  # fmt: skip
    assert levels["pre-B"]["CD19"] == levels["pre-B"]["CD10"] == "positive"
    assert levels["T cells"]["CD19"] == levels["T cells"]["CD10"] == "negative"


def test_it_is_shown(fitted: tuple[Path, Result]) -> None:
    path, made = fitted
    shown = invoke("reference", "show", path)
    assert shown.exit_code == 0
    assert "simulated" in shown.output
    assert "pre-B, stage" in shown.output
    assert shown.output in made.output


def test_it_is_the_same_after_a_round_trip(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    reference = read_reference(fitted[0])
    write_reference(reference, tmp_path / "own.reference.json")
    again = read_reference(tmp_path / "own.reference.json")
    assert again.sha256 == reference.sha256
    assert np.array_equal(again.events, reference.events)


def test_it_is_never_overwritten(normal: Path, fitted: tuple[Path, Result]) -> None:
    before = fitted[0].read_bytes()
    result = fit(normal, fitted[0], "--labels", normal / "labels", "--names", NAMES)
    assert result.exit_code == 2
    assert fitted[0].read_bytes() == before


def test_a_torn_file_is_left_out_and_the_others_are_fitted(normal: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.fcs"
    torn.write_bytes((normal / "N01_BM_B.fcs").read_bytes()[:5000])
    files = [*sorted(normal.glob("*.fcs"))[:2], torn]
    result = fit(
        normal, tmp_path / "own.reference.json", "--labels", normal / "labels", "--names", NAMES,
        files=files,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "left out: torn.fcs" in result.output
    assert len(read_reference(tmp_path / "own.reference.json").fit) == 2


def test_one_specimen_is_too_few(normal: Path, tmp_path: Path) -> None:
    result = fit(
        normal, tmp_path / "own.reference.json", "--labels", normal / "labels", "--names", NAMES,
        files=[normal / "N01_BM_B.fcs"],
    )  # fmt: skip
    assert result.exit_code == 2
    assert "at least 2" in result.output
    assert not (tmp_path / "own.reference.json").exists()


def test_gates_name_events_and_few_names_are_warned_of(normal: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.reference.json"
    result = fit(normal, out, "--population", "T and NK", "--population", "CD10+")
    assert result.exit_code == 0, result.output
    assert set(read_reference(out).names) <= {"T and NK", "CD10+"}
    assert "% of the events have a name" in result.output


def test_labels_of_other_files_are_refused(normal: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in ("N01_BM_B", "N02_BM_B"):
        shutil.copy(normal / "labels" / "N03_BM_B.csv", labels / f"{name}.csv")
        lines = (labels / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        (labels / f"{name}.csv").write_text("\n".join(lines[:-7]) + "\n", encoding="utf-8")
    result = fit(normal, tmp_path / "own.reference.json", "--labels", labels, "--names", NAMES)
    assert result.exit_code != 0
    assert not (tmp_path / "own.reference.json").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "none"),
        ("label,population\nT,T\n", "expected label, population, lineage, stage, technical"),
        ("label,population,lineage,stage,technical\npre*,pre-B,B,two,\n", "row 2"),
    ],
)
def test_a_faulty_table_of_names_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=words):
        read_names(path)


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain.pop(key)


def _with(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain.update({key: value})


def _population(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain["populations"][0].update({key: value})


@pytest.mark.parametrize(
    "spoil",
    [
        _without("markers"),
        _with("format", 2),
        _with("more", 1),
        _with("markers", []),
        _with("populations", []),
        _with("fit", []),
        _with("fit", ["0"]),
        _with("event_populations", [0]),
        lambda plain: plain["event_populations"].__setitem__(0, 10_000),
        lambda plain: plain["events"].__setitem__(0, [1]),
        lambda plain: plain["event_specimens"].__setitem__(0, -1),
        lambda plain: plain["markers"][0]["scale"].update(kind="os.system"),
        lambda plain: plain["markers"][0]["scale"].update(more=1),
        lambda plain: plain["markers"][0].update(zero=float("nan")),
        _population("means", [[0.0]]),
        _population("means", [[0.0], [0.0, 1.0]]),
        _population("covariances", [[[1.0, 0.0], [0.0]]]),
        _population("covariances", [[[-1.0]]]),
        _population("between", [0.0]),
        _population("levels", ["bright"]),
        _population("shares", []),
    ],
)
def test_a_spoiled_reference_is_refused(
    fitted: tuple[Path, Result], tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    plain = json.loads(fitted[0].read_text(encoding="utf-8"))
    spoil(plain)
    path = tmp_path / "spoiled.reference.json"
    path.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(ReferenceError, match=r"spoiled\.reference\.json"):
        read_reference(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_reference_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.reference.json"
    path.write_bytes(content)
    with pytest.raises(ReferenceError, match=r"none\.reference\.json"):
        read_reference(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReferenceError, match="cannot be opened"):
        read_reference(tmp_path / "nowhere.reference.json")
