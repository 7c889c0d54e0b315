"""FlowJo workspaces: our gates hold the events that FlowKit's hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from workspace_events import make_events

from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowjo_reading import read_workspace
from cytoflow_car.interop.gate_evaluation import evaluate_gates

WORKSPACES = {
    "8_color_data_set/8_color_ICS.wsp": 42,
    "8_color_data_set/8_color_ICS_boolean_gate_testing.wsp": 60,
    "8_color_data_set/8_color_ICS_dot_gate_name.wsp": 42,
    "8_color_data_set/8_color_ICS_sample_without_gates.wsp": 8,
    "8_color_data_set/8_color_ICS_simple.wsp": 12,
    "8_color_data_set/8_color_ICS_with_ellipse.wsp": 45,
    "8_color_data_set/reused_quad_gate_with_child.wsp": 13,
    "simple_diamond_example/simple_diamond_example_quad_gate.wsp": 4,
    "simple_diamond_example/test_data_diamond_asinh_rect.wsp": 1,
    "simple_diamond_example/test_data_diamond_asinh_rect2.wsp": 1,
    "simple_diamond_example/test_data_diamond_biex_rect.wsp": 1,
    "simple_line_example/simple_poly_and_rect.wsp": 2,
    "simple_line_example/simple_poly_and_rect_v2_poly50.wsp": 2,
    "simple_line_example/single_ellipse_51_events.wsp": 1,
}

#: What FlowJo itself counted, as it wrote into the workspace.
COUNTED = {
    "simple_diamond_example/simple_diamond_example_quad_gate.wsp": [49671, 50596, 50330, 49403],
    "simple_diamond_example/test_data_diamond_asinh_rect.wsp": [50559],
    "simple_diamond_example/test_data_diamond_asinh_rect2.wsp": [50699],
    "simple_diamond_example/test_data_diamond_biex_rect.wsp": [50605],
    "simple_line_example/single_ellipse_51_events.wsp": [51],
}


def test_every_workspace_of_the_folder_is_listed(data_folder: Path) -> None:
    folder = data_folder / "FlowKit"
    if not folder.is_dir():
        pytest.skip("the data folder has no FlowKit")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.wsp")}
    assert set(WORKSPACES) == found


@pytest.mark.parametrize("name", WORKSPACES)
def test_events_are_those_of_flowkit(data_folder: Path, name: str) -> None:
    path = data_folder / "FlowKit" / name
    if not path.is_file():
        pytest.skip(f"the data folder has no FlowKit/{name}")
    found = read_workspace(path)
    assert WORKSPACES[name] == sum(len(gates.gates) for gates in found.values())
    if "dot_gate" in name:
        assert all("(.)" in note for gates in found.values() for note in gates.notes)
        return  # FlowKit itself refuses it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flowkit

        workspace = flowkit.Workspace(str(path), load_missing_file_data=True)
    for sample_name, gates in found.items():
        if not gates.gates:
            continue
        file = path.parent / sample_name
        if file.is_file():
            sample, theirs = read_fcs(file), flowkit.Sample(str(file))
        else:
            sample = make_events(gates)
            theirs = flowkit.Sample(
                np.asarray(sample.events.values, dtype=np.float64),
                sample_id=sample_name,
                channel_labels=list(sample.events.detectors),
            )
        results = workspace.get_gating_strategy(sample_name).gate_sample(theirs)
        n_inside = 0
        for gate, mask in evaluate_gates(gates, sample).items():
            expected = results.get_gate_membership(gate[-1], ("root", *gate[:-1]))
            assert int(np.count_nonzero(expected != mask)) == 0, gate
            n_inside += int(mask.sum() > 0)
        if file.is_file() and len(gates.gates) > 1 and "v2" not in name:
            continue
        assert n_inside >= len(gates.gates) // 3


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_of_flowjo(data_folder: Path, name: str) -> None:
    path = data_folder / "FlowKit" / name
    if not path.is_file():
        pytest.skip(f"the data folder has no FlowKit/{name}")
    ((sample_name, gates),) = read_workspace(path).items()
    found = evaluate_gates(gates, read_fcs(path.parent / sample_name))
    assert COUNTED[name] == [int(mask.sum()) for mask in found.values()]


@pytest.mark.parametrize("text", ["", "<a/>", '<!DOCTYPE a [<!ENTITY x "y">]><Workspace/>'])
def test_what_is_no_workspace_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.wsp"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InteropError, match=r"study\.wsp"):
        read_workspace(path)
