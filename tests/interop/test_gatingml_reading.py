"""Gating-ML of others, evaluated by our gates and scales, event for event."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowkit_gates import _first
from cytoflow_car.interop.gate_evaluation import evaluate_gates, evaluate_within
from cytoflow_car.interop.gate_set import name_populations
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.model.events import Sample


@pytest.fixture(scope="module")
def reference(data_folder: Path) -> Path:
    folder = data_folder / "FlowKit" / "gate_ref"
    if not folder.is_dir():
        pytest.skip("the data folder has no FlowKit/gate_ref")
    return folder


@pytest.fixture(scope="module")
def sample(reference: Path) -> Sample:
    return read_fcs(reference / "data1.fcs")


def truth_of(reference: Path, gate: str) -> np.ndarray:
    return np.loadtxt(reference / "truth" / f"Results_{gate}.txt").astype(bool)


def test_every_gate_of_the_compliance_set_holds_the_events_that_the_standard_says(
    reference: Path, sample: Sample
) -> None:
    found = evaluate_gates(read_gatingml(reference / "gml" / "gml_all_gates.xml"), sample)
    differing = {
        path[-1]: int(np.count_nonzero(mask != truth_of(reference, path[-1])))
        for path, mask in found.items()
    }
    assert {} == {name: count for name, count in differing.items() if count}
    assert len(differing) == 49


def test_every_single_file_agrees_too(reference: Path, sample: Sample) -> None:
    n_compared = 0
    for path in sorted((reference / "gml").glob("*.xml")):
        if path.stem == "gml_ellipsoid3d_gate":
            continue  # no ellipsoid: the next test
        for gate, mask in evaluate_gates(read_gatingml(path), sample).items():
            truth = reference / "truth" / f"Results_{gate[-1]}.txt"
            if truth.is_file():
                n_compared += 1
                expected = np.loadtxt(truth).astype(bool)
                assert int(np.count_nonzero(mask != expected)) == 0, (path.name, gate)
    assert n_compared > 90


def test_an_ellipsoid_that_is_none_is_refused_by_name(reference: Path) -> None:
    # Its covariance is neither symmetric nor positive: what it says holds for a region without end.
    with pytest.raises(InteropError, match=r"Ellipsoid3D.*covariance"):
        read_gatingml(reference / "gml" / "gml_ellipsoid3d_gate.xml")


def test_a_gate_can_be_asked_without_its_parent(reference: Path, sample: Sample) -> None:
    gates = read_gatingml(reference / "gml" / "gml_parent_rect1_rect_par1_gate.xml")
    child = next(gate for gate in gates.gates if gate.parent)
    everything = np.arange(len(sample.events))
    alone = evaluate_within(gates, sample, child.path, everything)
    found = evaluate_gates(gates, sample)
    assert alone.sum() > found[child.path].sum()
    np.testing.assert_array_equal(found[child.path], alone & found[child.parent])
    some = np.arange(0, len(sample.events), 7)
    np.testing.assert_array_equal(alone[some], evaluate_within(gates, sample, child.path, some))


@pytest.mark.parametrize("edge", [-3.5e7, -1.0, -1e-9, 0.0, 5e-324, 0.1, 1.0, 262144.0])
def test_a_bound_is_the_smallest_number_for_which_it_holds(edge: float) -> None:
    for near in (edge, 0.0, edge * 1.01, -edge):
        assert _first(lambda value: value >= edge, near=near) == edge


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    '<?xml version="1.0"?><!doctype a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>',
)


@pytest.mark.parametrize("text", [*ENTITIES, "", "no xml", "<a/>", "<a>" * 5000 + "</a>" * 5000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_no_gating_ml_is_refused_by_name(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "gates.xml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InteropError, match=r"gates\.xml"):
        read_gatingml(path)


def test_equal_names_are_told_apart_by_their_parents() -> None:
    names = name_populations(
        [("Live",), ("Live", "CD4"), ("Dead",), ("Dead", "CD4"), ("Dead", "CD4", "CD4")]
    )
    assert names[("Live", "CD4")] == "CD4 (Live)"
    assert names[("Dead", "CD4")] == "CD4 (Dead)"
    assert len(set(names.values())) == len(names)
