"""Gates of FlowJo and Gating-ML keep every event through template, pipeline and Gating-ML."""

from __future__ import annotations

import hashlib
import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from workspace_events import make_events

from cytoflow_car.cli.learn import learn
from cytoflow_car.errors import StudyError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.fcs.writer import write_fcs
from cytoflow_car.interop.flowjo_reading import read_workspace
from cytoflow_car.interop.gate_evaluation import evaluate_gates
from cytoflow_car.interop.gate_set import GateColumn, GateSet, NamedGate, name_populations
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.job import FcsSource, SampleJob
from cytoflow_car.model.events import Sample
from cytoflow_car.model.gate import Dimension, PolygonGate
from cytoflow_car.model.scale import Linear, Logicle, Scale
from cytoflow_car.pipeline import analyse_sample, gate_specimen
from cytoflow_car.study.gates_export import export_gates
from cytoflow_car.study.hand_gates import HandGated
from cytoflow_car.study.learn import Learned, learn_from_gates, write_learned
from cytoflow_car.study.spillover import read_spillover
from cytoflow_car.template import load_template

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flowkit

Mask = np.ndarray
#: Populations of one sample, all of which the template carries.
WORKSPACES = {
    "8_color_data_set/8_color_ICS.wsp": 14,
    "8_color_data_set/8_color_ICS_boolean_gate_testing.wsp": 20,
    "8_color_data_set/8_color_ICS_dot_gate_name.wsp": 14,
    "8_color_data_set/8_color_ICS_sample_without_gates.wsp": 4,
    "8_color_data_set/8_color_ICS_simple.wsp": 4,
    "8_color_data_set/8_color_ICS_with_ellipse.wsp": 15,
    "8_color_data_set/reused_quad_gate_with_child.wsp": 13,
    "simple_diamond_example/simple_diamond_example_quad_gate.wsp": 4,
    "simple_diamond_example/test_data_diamond_asinh_rect.wsp": 1,
    "simple_diamond_example/test_data_diamond_asinh_rect2.wsp": 1,
    "simple_diamond_example/test_data_diamond_biex_rect.wsp": 1,
    "simple_line_example/simple_poly_and_rect.wsp": 2,
    "simple_line_example/simple_poly_and_rect_v2_poly50.wsp": 2,
    "simple_line_example/single_ellipse_51_events.wsp": 1,
}
#: An ellipsoid without a covariance, and gates where the standard has none.
NOT_READ = ("gml_ellipsoid3d_gate", "gml_range_gate_attr_testing")


def carried_over(
    file: Path, sample: Sample, gates: GateSet, folder: Path
) -> tuple[Learned, Mapping[str, Mask], Mapping[str, Mask]]:
    """Take gates all the way; return what our pipeline and what FlowKit find in each population."""
    learned = learn_from_gates([HandGated(file.name, sample, gates)], "drawn", as_drawn=True)
    out = folder / "drawn.toml"
    write_learned(learned, out)
    template = load_template(out)
    assert template == learned.template
    matrix = out.with_suffix(".spillover.csv")
    job = SampleJob(
        "made",
        (FcsSource(file, None, hashlib.sha256(file.read_bytes()).hexdigest()),),
        template,
        read_spillover(matrix) if matrix.exists() else learned.spillover_column,  # type: ignore[arg-type]
        draw=False,
    )
    tree = gate_specimen(job, template.populations).tree
    ours = {}
    for name in template.population_names:
        ours[name] = np.zeros(len(sample.events), dtype=bool)
        ours[name][tree[name].rows] = True
    return learned, ours, by_flowkit(export_gates(analyse_sample(job), template), sample)


def by_flowkit(text: bytes, sample: Sample) -> Mapping[str, Mask]:
    """Return FlowKit's memberships by population."""
    strategy = flowkit.parse_gating_xml(io.BytesIO(text))
    with warnings.catch_warnings():
        # The logarithm of what is not above 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        results = strategy.gate_sample(in_flowkit(sample))
    key = "{http://www.isac-net.org/std/Gating-ML/v2.0/gating}id"
    names = {item.get(key): item.get("name") for item in ET.fromstring(text) if item.get("name")}
    return {
        names[gate]: results.get_gate_membership(gate, path)
        for gate, path in strategy.get_gate_ids()
        if gate in names
    }


def in_flowkit(sample: Sample) -> flowkit.Sample:
    return flowkit.Sample(
        np.asarray(sample.events.values, dtype=np.float64),
        sample_id="made",
        channel_labels=list(sample.events.detectors),
    )


def differing(one: Mask, other: Mask) -> int:
    return int(np.count_nonzero(one != other))


@pytest.mark.parametrize("name", WORKSPACES)
def test_workspaces_keep_every_event(data_folder: Path, tmp_path: Path, name: str) -> None:
    path = data_folder / "FlowKit" / name
    if not path.is_file():
        pytest.skip(f"the data folder has no FlowKit/{name}")
    # FlowKit itself refuses a population named '.'.
    known_to_flowkit = "dot_gate" not in name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workspace = (
            flowkit.Workspace(str(path), load_missing_file_data=True) if known_to_flowkit else None
        )
    for number, (sample_name, gates) in enumerate(read_workspace(path).items()):
        if not gates.gates:
            continue
        file = path.parent / sample_name
        if not file.is_file():
            file = tmp_path / f"{number}.fcs"
            write_fcs(file, make_events(gates, seed=number).events, keywords={"$TIMESTEP": "1"})
        sample = read_fcs(file)
        folder = tmp_path / str(number)
        folder.mkdir()
        learned, ours, theirs = carried_over(file, sample, gates, folder)
        assert learned.notes == gates.notes
        assert bool(learned.notes) != known_to_flowkit
        expected = evaluate_gates(gates, sample)
        if workspace is not None:
            results = workspace.get_gating_strategy(sample_name).gate_sample(in_flowkit(sample))
            expected = {
                path: results.get_gate_membership(path[-1], ("root", *path[:-1]))
                for path in expected
            }
        names = name_populations(item.path for item in gates.gates)
        assert WORKSPACES[name] == len(gates.gates) == len(names)
        assert sum(mask.any() for mask in expected.values()) >= len(expected) // 3
        for population, mask in expected.items():
            assert differing(mask, ours[names[population]]) == 0, (sample_name, population)
            assert differing(mask, theirs[names[population]]) == 0, (sample_name, population)


@pytest.fixture(scope="module")
def reference(data_folder: Path) -> Path:
    folder = data_folder / "FlowKit" / "gate_ref"
    if not folder.is_dir():
        pytest.skip("the data folder has no FlowKit/gate_ref")
    return folder


def test_gatingml_keeps_every_event_or_says_why_not(reference: Path, tmp_path: Path) -> None:
    file = reference / "data1.fcs"
    sample = read_fcs(file)
    n_compared, left_out = 0, set()
    for path in sorted((reference / "gml").glob("*.xml")):
        if path.stem in NOT_READ:
            continue
        gates = read_gatingml(path)
        names = name_populations(item.path for item in gates.gates)
        folder = tmp_path / path.stem
        folder.mkdir()
        if "ratio" in path.stem:
            with pytest.raises(StudyError, match="is a ratio, which no template has"):
                carried_over(file, sample, gates, folder)
            continue
        learned, ours, theirs = carried_over(file, sample, gates, folder)
        assert path.stem == "gml_all_gates" or learned.notes == ()
        for gate, expected in evaluate_gates(gates, sample).items():
            if names[gate] not in ours:
                assert any(note.startswith(f"{'/'.join(gate)}: ") for note in learned.notes)
                left_out.add(gate[-1])
                continue
            n_compared += 1
            assert differing(expected, ours[names[gate]]) == 0, (path.stem, gate)
            assert differing(expected, theirs[names[gate]]) == 0, (path.stem, gate)
    assert n_compared > 90
    # One file has gates on values that are compensated in three ways; a template has one.
    assert {"RatRange1", "RatRange2", "RatRange1a", "Rectangle1", "Polygon1"} <= left_out


def drawn_on(scales: tuple[Scale, Scale], corner: float) -> NamedGate:
    corners = ((0.0, 0.0), (corner, 0.0), (corner, corner))
    dimensions = (Dimension("FL1-H", scales[0]), Dimension("FL2-H", scales[1]))
    return NamedGate((f"below {corner:g}",), PolygonGate(dimensions, corners))


def test_a_gate_on_two_scales_is_told(reference: Path) -> None:
    sample = read_fcs(reference / "data1.fcs")
    columns = (GateColumn("FL1-H", "FL1-H"), GateColumn("FL2-H", "FL2-H"))
    linear, logicle = Linear(1024.0), Logicle(1024.0, 0.5)
    gates = GateSet(
        columns,
        (
            drawn_on((linear, linear), 300.0),
            drawn_on((linear, linear), 500.0),
            drawn_on((logicle, linear), 700.0),
        ),
    )
    learned = learn_from_gates([HandGated("made", sample, gates)], "drawn", as_drawn=True)
    assert learned.notes == ("below 700: drawn on another scale than its markers have",)
    assert [len(rule.gate.vertices) for rule in learned.template.populations][:2] == [3, 3]  # type: ignore[union-attr]


def test_several_files_cannot_all_be_kept_as_drawn(reference: Path) -> None:
    sample = read_fcs(reference / "data1.fcs")
    gates = read_gatingml(reference / "gml" / "gml_range_gate.xml")
    with pytest.raises(StudyError, match="--sample"):
        learn_from_gates([HandGated("made", sample, gates)] * 2, "drawn", as_drawn=True)


def test_the_command_keeps_gates_as_drawn(reference: Path, tmp_path: Path) -> None:
    source = reference / "gml" / "gml_parent_rect1_rect_par1_gate.xml"
    out = tmp_path / "drawn.toml"
    given = [str(source), "--template", str(out), "--fcs", str(reference / "data1.fcs")]
    done = CliRunner().invoke(learn, [*given, "--as-drawn"])
    assert done.exit_code == 0, done.output
    assert {rule.gate.method for rule in load_template(out).populations} == {"rectangle"}
    assert not (tmp_path / "drawn.training.json").exists()
