"""Gating-ML of others, evaluated by our gates and scales, event for event."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowkit_scales import bound, first_above
from cytoflow_car.interop.gate_evaluation import evaluate_gates, evaluate_within
from cytoflow_car.interop.gate_set import name_populations
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.model.events import Sample
from cytoflow_car.model.gate import BooleanGate


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
        if path.stem in ("gml_ellipsoid3d_gate", "gml_range_gate_attr_testing"):
            continue  # no ellipsoid, and not Gating-ML: the next tests
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


def test_what_does_not_follow_the_schema_is_refused_by_name(reference: Path) -> None:
    # Its gate stands in a <sample>, which Gating-ML does not know.
    with pytest.raises(InteropError, match=r"attr_testing\.xml"):
        read_gatingml(reference / "gml" / "gml_range_gate_attr_testing.xml")


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


def test_a_combination_can_be_asked_without_its_parent(reference: Path, sample: Sample) -> None:
    gates = read_gatingml(reference / "gml" / "gml_parent_range1_boolean_and3_gate.xml")
    found = evaluate_gates(gates, sample)
    child = next(gate for gate in gates.gates if gate.parent)
    assert isinstance(child.gate, BooleanGate)
    everything = np.arange(len(sample.events))
    alone = evaluate_within(gates, sample, child.path, everything)
    assert alone.sum() > found[child.path].sum() > 0
    np.testing.assert_array_equal(found[child.path], alone & found[child.parent])


@pytest.mark.parametrize("edge", [-3.5e7, -1.0, -1e-9, 0.0, 5e-324, 0.1, 1.0, 262144.0])
def test_a_bound_is_the_smallest_number_for_which_it_holds(edge: float) -> None:
    for near in (edge, 0.0, edge * 1.01, -edge):
        assert first_above(lambda value: value >= edge, near=near) == edge


@pytest.mark.parametrize(
    "transform",
    [
        ("LinearTransform", 4294967296.0, 0.0),
        ("AsinhTransform", 262144.0, 4.5, 1.0),
        ("LogTransform", 1000.0, 4.5),
        ("LogicleTransform", 4294967296.0, 0.5, 4.5, 0.0),
        ("HyperlogTransform", 1000.0, 1.0, 3.0, 1.0),  # fails far beyond its top
    ],
)
@pytest.mark.parametrize("position", [0.31, 0.7, 0.999, 1.0, 1.2])
def test_no_number_beside_a_bound_changes_sides(
    transform: tuple[str, float], position: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flowkit import transforms
    theirs = getattr(transforms, transform[0])(*transform[1:])
    found = bound(theirs, position, np.inf)
    beside = np.asarray([[np.nextafter(found, -np.inf)], [found], [np.nextafter(found, np.inf)]])
    assert [False, True, True] == (theirs.apply(beside) >= position).ravel().tolist()


def gatingml(folder: Path, *gates: str) -> Path:
    """Write a file of gates; `{}` in them stands for a dimension from 1 up."""
    standard = "http://www.isac-net.org/std/Gating-ML/v2.0"
    names = (("gating", "gating"), ("transforms", "transformations"), ("data-type", "datatypes"))
    spaces = " ".join(f'xmlns:{short}="{standard}/{name}"' for short, name in names)
    dimension = (
        '<gating:dimension gating:compensation-ref="uncompensated" gating:transformation-ref="L" '
        'gating:min="1"><data-type:fcs-dimension data-type:name="FSC-H"/></gating:dimension>'
    )
    path = folder / "gates.xml"
    text = "".join(gates).replace("{}", dimension)
    path.write_text(f"<gating:Gating-ML {spaces}>{text}</gating:Gating-ML>", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ('logicle transforms:T="1000" transforms:W="3" transforms:M="4.5"', "width W = 3"),
        ('fasinh transforms:T="1000" transforms:M="400"', "math range error"),
    ],
)
def test_a_scale_that_cannot_be_is_refused_with_file_and_gate(
    tmp_path: Path, parameters: str, why: str
) -> None:
    path = gatingml(
        tmp_path,
        f'<transforms:transformation transforms:id="L"><transforms:{parameters} '
        'transforms:A="0"/></transforms:transformation>',
        '<gating:RectangleGate gating:id="G">{}</gating:RectangleGate>',
    )
    with pytest.raises(InteropError, match=rf"gates\.xml: gate 'G': {why}"):
        read_gatingml(path)


def test_a_tree_that_nobody_draws_is_refused_at_once(tmp_path: Path) -> None:
    path = gatingml(
        tmp_path,
        *(
            f'<gating:RectangleGate gating:id="G{i}" gating:parent_id="G{i - 1}">{{}}'
            "</gating:RectangleGate>"
            for i in range(2000)
        ),
    )
    with pytest.raises(InteropError, match=r"gates\.xml: gate 'G100' has more than 100 ancestors"):
        read_gatingml(path)


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
