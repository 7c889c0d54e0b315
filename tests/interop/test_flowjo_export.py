"""A workspace that we write is read by FlowKit, and by ourselves, to the same counts."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from cytoflow_car.cli.export import export
from cytoflow_car.interop.flowjo_reading import read_workspace
from cytoflow_car.resources import resource_folder
from cytoflow_car.study.batch import run_study
from cytoflow_car.study.results_reading import read_results

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flowkit


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of three specimens with templates of their own."""
    study = tmp_path_factory.mktemp("study")
    shutil.copytree(resource_folder("sample_fcs"), study, dirs_exist_ok=True)
    sheet = study / "samples.csv"
    heading, *rows = sheet.read_text(encoding="utf-8").splitlines()
    seen: dict[str, str] = {}
    place = heading.split(",").index("template")
    for row in rows:
        seen.setdefault(row.split(",")[place], row)
    sheet.write_text("\n".join([heading, *list(seen.values())[:3]]) + "\n", encoding="utf-8")
    run_study(study, study / "results", pictures=False, jobs=1)
    return study / "results"


def test_counts_are_those_of_the_run(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "study.wsp"
    done = CliRunner().invoke(export, [str(results), "--flowjo", str(out)])
    assert done.exit_code == 1, done.output
    left_out = {line for line in done.stderr.splitlines() if line.startswith("left out: ")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workspace = flowkit.Workspace(str(out), load_missing_file_data=True)
    own = read_workspace(out)
    n_compared = 0
    seen: set[str] = set()
    for specimen in read_results(results).specimens:
        name = specimen.file.name
        if name in seen:
            assert f"left out: {specimen.sample_id}: its gates of {specimen.template}" in left_out
            continue
        seen.add(name)
        sample = flowkit.Sample(str(results / specimen.file.from_results))
        found = workspace.get_gating_strategy(name).gate_sample(sample)
        written = {item.path for item in own[name].gates}
        for path, population in specimen.populations.items():
            said = f"left out: {specimen.sample_id}: {'/'.join(path)}: "
            if path in written:
                inside = found.get_gate_membership(path[-1], ("root", *path[:-1]))
                assert int(inside.sum()) == population.count_before_qc, (name, path)
                n_compared += 1
            elif path:
                assert any(line.startswith(said) for line in left_out), said
    assert n_compared > 30


def test_no_keyword_of_the_files_reaches_the_workspace(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "study.wsp"
    CliRunner().invoke(export, [str(results), "--flowjo", str(out)])
    text = out.read_text(encoding="utf-8")
    for keyword in ("$CYT", "$DATE", "$OP", "$SMNO", "$SRC", "EXPERIMENT"):
        assert f'name="{keyword}' not in text


def test_an_existing_file_is_not_overwritten(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "study.wsp"
    out.write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(export, [str(results), "--flowjo", str(out)])
    assert done.exit_code == 2
    assert out.read_text(encoding="utf-8") == "mine"
