"""Templates: what is read, and how faults are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cytoflow_car.errors import TemplateError
from cytoflow_car.gating.shapes import Quadrant
from cytoflow_car.gating.thresholds import ValleyCut
from cytoflow_car.measure.counting import Percent
from cytoflow_car.preprocess.scales import ScaleSetting
from cytoflow_car.resources import resource_folder
from cytoflow_car.template import (
    list_templates,
    load_template,
    parse_template,
    template_hash,
    template_schema,
)

TEXT = """
name = "small"
version = "1.0.0"
description = "T cells"
specimens = ["PB"]
scatter = ["SSC-A"]

[car]
target = "CD19"
reagent = "CD19-Fc"
marker = "CD4"

[[markers]]
name = "SSC-A"
detectors = ["SSC-A"]

[[markers]]
name = "CD3"
stains = ["CD3"]

[[markers]]
name = "CD4"
stains = ["CD4"]

[scales.SSC-A]
kind = "linear"

[[populations]]
name = "T"
parent = "root"
[populations.gate]
method = "valley"
marker = "CD3"
keep = "above"
prior = 1500.0
low = 300.0
high = 9000.0

[[populations]]
parent = "T"
quadrants = { "CD4 T" = "+-", "other T" = "--" }
[populations.gate]
method = "quadrant"
x = { method = "fixed", marker = "CD4", keep = "above", at = 900.0 }
y = { method = "fixed", marker = "SSC-A", keep = "above", at = 60000.0 }

[[populations]]
name = "rest"
parent = "root"
gate = { method = "boolean", operation = "not", populations = ["T"] }

[[measurements]]
measure = "percent"
name = "cd4_percent_of_t"
population = "CD4 T"
denominator = "T"
assay = "t"

[[measurements]]
measure = "intensity"
name = "cd4_t_cd4_mfi"
population = "CD4 T"
marker = "CD4"

[[detection]]
assay = "t"
lod_events = 20
loq_events = 50
least_events = { "T" = 100 }
"""

MIXTURE = 'method = "mixture", '
ON_CD3 = 'axes = ["CD3"], center = [1.0], axis_ends = [[2.0]]'
DENSITY = 'method = "density", x = "CD3", y = "CD4", '
REGISTERED = 'method = "registered", population = "rest", '
CUT = '{ method = "fixed", marker = "%s", keep = "above", at = 1.0 }'


def fault(old: str, new: str) -> TemplateError:
    """Return the error of the template with one change."""
    assert old in TEXT
    with pytest.raises(TemplateError) as caught:
        parse_template(TEXT.replace(old, new, 1), where="small.toml")
    return caught.value


def test_template_is_read() -> None:
    template = parse_template(TEXT, where="small.toml")
    assert template.population_names == ("T", "CD4 T", "other T", "rest")
    assert isinstance(template.populations[0].gate, ValleyCut)
    assert isinstance(template.populations[1].gate, Quadrant)
    assert isinstance(template.measurements[0], Percent)
    assert template.scale_of("SSC-A") == ScaleSetting("linear")
    assert template.scale_of("CD3") == ScaleSetting("logicle")


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ('name = "small"', 'name = "Small one"', "name", "'Small one'"),
        ('name = "CD4"\nstains = ["CD4"]', 'name = "CD4"', "marker CD4", "no spelling"),
        ('name = "CD4"\n', 'name = "CD3"\n', "markers", "'CD3' stands twice"),
        ("[scales.SSC-A]", "[scales.SSC-B]", "scales", "no marker 'SSC-B'"),
        ('scatter = ["SSC-A"]', 'scatter = ["FSC-A"]', "scatter", "no marker 'FSC-A'"),
        (
            'marker = "CD4"\n\n[[markers]]',
            'marker = "CAR"\n\n[[markers]]',
            "car",
            "no marker 'CAR'",
        ),
        ('marker = "CD3"\nkeep', 'marker = "CD33"\nkeep', "population 'T'", "no marker 'CD33'"),
        ('parent = "T"', 'parent = "rest"', "population 'CD4 T other T'", "parent 'rest'"),
        ('"other T" = "--"', '"other T" = "0-"', "population 'CD4 T other T'", "quadrant '0-'"),
        ('"other T" = "--"', '"T" = "--"', "population 'CD4 T T'", "'T' stands twice"),
        ('populations = ["T"]', 'populations = ["B"]', "population 'rest'", "'B' is not defined"),
        ('populations = ["T"]', 'populations = ["rest"]', "population 'rest'", "not defined above"),
        ("prior = 1500.0", "prior = 99.0", "population 'T'", "not in order"),
        ('name = "rest"', 'name = "re/st"', "population 're/st'", "cannot be used"),
        ('parent = "T"\n', 'parent = "T"\nname = "q"\n', "population 'CD4 T other T'", "quadrants"),
        ('name = "cd4_percent_of_t"', 'name = "CD4 %"', "measurement 'CD4 %'", "column"),
        ('denominator = "T"', 'denominator = "B"', "'cd4_percent_of_t'", "no population 'B'"),
        ('assay = "t"\n\n', 'assay = "b"\n\n', "'cd4_percent_of_t'", "no assay 'b'"),
        ('marker = "CD4"\n\n[[det', 'marker = "X"\n\n[[det', "'cd4_t_cd4_mfi'", "no marker 'X'"),
        ('{ "T" = 100 }', '{ "B" = 100 }', "detection 't'", "no population 'B'"),
        ("specimens = ", "confidence = 95.0\nspecimens = ", "confidence", "95"),
        ("specimens = ", "review_below = 1.5\nspecimens = ", "review_below", "1.5"),
        ("lod_events = 20", "alpha = 5.0\nlod_events = 20", "detection 't'", "alpha 5"),
        ("lod_events = 20", "lod_events = 60", "detection 't'", "not in order"),
        ("lod_events = 20", "lod_events = 0", "detection 't'", "not in order"),
        (
            "[car]",
            '[acquisition]\ncarry_over = ["b_percent_of_t"]\n\n[car]',
            "acquisition carry_over",
            "no measurement 'b_percent_of_t'",
        ),
        (
            "[car]",
            '[acquisition]\nsinglets = "single"\n\n[car]',
            "acquisition singlets",
            "no population 'single'",
        ),
        (
            "[car]",
            '[acquisition]\nlive = "alive"\n\n[car]',
            "acquisition live",
            "no population 'alive'",
        ),
        (
            "[car]",
            '[[training]]\npopulation = "B"\nfile = 1\nmarkers = ["CD3"]\nscales = ["linear(1)"]\n'
            "n_events = 100\nweights = [1.0]\nmeans = [[0.5]]\ncovariances = [[[0.01]]]\n"
            "inside = [0.5]\n\n[car]",
            "training",
            "no population 'B'",
        ),
    ],
)
def test_fault_of_meaning_is_named_with_its_place(
    old: str, new: str, place: str, problem: str
) -> None:
    error = fault(old, new)
    assert error.where.startswith("small.toml, ")
    assert place in error.where
    assert problem in error.problem or problem in error.expected


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (
            'method = "rectangle", sides = [{ method = "valley", marker = "CD3", keep = "above", '
            "prior = 9.0, low = 300.0, high = 9000.0 }]",
            "not in order",
        ),
        ('method = "control", marker = "CD3", prior = 1500.0, quantile = 99.9', "quantile 99.9"),
        ('method = "rectangle", sides = []', "without sides"),
        ('method = "polygon", x = "CD3", y = "CD4", vertices = [[0.0, 0.0], [1.0, 1.0]]', "2 vert"),
        (
            'method = "ellipsoid", axes = ["CD3", "CD4"], center = [0.0, 0.0], '
            "axis_ends = [[1.0, 0.0]]",
            "do not fit",
        ),
        (f"{MIXTURE}axes = [], center = [], axis_ends = []", "of 0 axes"),
        (
            f'{MIXTURE}axes = ["SSC-A", "CD3", "CD4", "CD8"], center = [1.0, 1.0, 1.0, 1.0], '
            "axis_ends = []",
            "of 4 axes",
        ),
        (f'{MIXTURE}axes = ["CD3"], center = [1.0, 1.0], axis_ends = [[2.0]]', "do not fit"),
        (f"{MIXTURE}{ON_CD3}, fraction = 1.0", "fraction 1"),
        (f"{MIXTURE}{ON_CD3}, components = 0", "components 0"),
        (f"{MIXTURE}{ON_CD3}, most_components = 0", "most_components 0"),
        (f"{DENSITY}vertices = [[0.0, 0.0], [1.0, 1.0]]", "2 vertices"),
        (f"{DENSITY}vertices = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]], fraction = 0.0", "fraction 0"),
        (f"{REGISTERED}drawn = []", "no drawn gate"),
        (f"{REGISTERED}drawn = [{CUT % 'CD3'}, {CUT % 'CD4'}]", "on CD3 and on CD4"),
        (f'{REGISTERED}drawn = [{{ method = "rectangle", sides = [] }}]', "without sides"),
        ('method = "boolean", operation = "and", populations = ["T"]', "'and' of 1"),
        ('method = "boolean", operation = "not", populations = ["T", "CD4 T"]', "'not' of 2"),
    ],
)
def test_gate_that_cannot_be_placed_is_told_at_once(gate: str, problem: str) -> None:
    error = fault('method = "boolean", operation = "not", populations = ["T"]', gate)
    assert "population 'rest'" in error.where
    assert problem in error.problem


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ("at = 900.0", 'at = "900"', "gate x at", "found '900'"),
        ("at = 900.0", "at = true", "gate x at", "found True"),
        ("prior = 1500.0", "prior = nan", "'T' gate prior", "finite"),
        ('keep = "above"\nprior', 'keep = "over"\nprior', "'T' gate keep", "'above' or 'below'"),
        ("lod_events = 20", "lod_events = 20.5", "'t' lod_events", "20.5"),
        ('specimens = ["PB"]', 'specimens = ["blood"]', "specimens", "'BM'"),
        ('kind = "linear"', 'kind = "bilog"', "scales SSC-A kind", "'logicle'"),
        ('version = "1.0.0"\n', "", "version", "required"),
        ("high = 9000.0\n", "", "'T' gate high", "required"),
    ],
)
def test_fault_of_type_is_named_with_population_and_field(
    old: str, new: str, place: str, problem: str
) -> None:
    error = fault(old, new)
    assert place in error.where
    assert problem in error.problem


@pytest.mark.parametrize(
    ("old", "new", "place", "nearest"),
    [
        ("prior = 1500.0", "priori = 1500.0", "'T'", "prior"),
        ("denominator = ", "denominater = ", "'cd4_percent_of_t'", "denominator"),
        ("lod_events = 20", "lod_event = 20", "'t'", "lod_events"),
        ('stains = ["CD3"]', 'stain = ["CD3"]', "'CD3'", "stains"),
        ('description = "T', 'desciption = "T', "desciption", "description"),
    ],
)
def test_unknown_field_suggests_the_nearest(old: str, new: str, place: str, nearest: str) -> None:
    error = fault(old, new)
    assert "unknown field" in error.problem
    assert place in error.where
    assert error.advice == f"Did you mean {nearest}?"


@pytest.mark.parametrize(
    ("old", "new", "place", "nearest"),
    [
        ('method = "valley"', 'method = "vally"', "population 'T'", "valley"),
        ('method = "fixed", marker = "CD4"', 'method = "fixd", marker = "CD4"', "pop", "fixed"),
        ('measure = "percent"', 'measure = "percentage"', "'cd4_percent_of_t'", "percent"),
    ],
)
def test_unknown_method_suggests_the_nearest(old: str, new: str, place: str, nearest: str) -> None:
    error = fault(old, new)
    assert "unknown me" in error.problem
    assert place in error.where
    assert error.advice == f"Did you mean {nearest}?"


def test_a_population_looks_at_the_markers_on_its_way() -> None:
    again = '[[populations]]\nname = "again"\nparent = "root"\ngate = { method = "reference", '
    text = TEXT.replace("[[measurements]]", again + 'population = "T" }\n\n[[measurements]]', 1)
    template = parse_template(text, where="small.toml")
    looked_at = {
        name: [marker.name for marker in template.markers if template.looks_at(name, marker.name)]
        for name in ("root", *template.population_names)
    }
    assert looked_at == {
        "root": [],
        "T": ["CD3"],
        "CD4 T": ["SSC-A", "CD3", "CD4"],
        "other T": ["SSC-A", "CD3", "CD4"],
        "rest": ["CD3"],
        "again": ["CD3"],
    }


@pytest.mark.parametrize("name", ["car_t_pb", "car_t_csf", "car_t_bm"])
def test_what_is_told_of_car_t_cells_looks_at_the_reagent(name: str) -> None:
    template = load_template(name)
    assert template.car is not None
    for measure in template.measurements:
        looks = template.looks_at(template.population_of(measure), template.car.marker)
        assert looks == measure.name.startswith("car_t")


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ('method = "internal", marker = "CD3", prior = 1.0, negative = "B"', "'B' is not defined"),
        (
            'method = "internal", marker = "CD3", prior = 1.0, negative = "T", quantile = 1.0',
            "quantile 1",
        ),
        (
            'method = "ratio", numerator = "CD3", denominator = "CD4", relative_to = "B", '
            "prior = 0.2, low = 0.1, high = 0.5",
            "'B' is not defined",
        ),
        (
            'method = "ratio", numerator = "CD3", denominator = "CD4", relative_to = "T", '
            "prior = 0.6, low = 0.1, high = 0.5",
            "not in order",
        ),
        (
            'method = "ratio", numerator = "CD3", denominator = "CD5", relative_to = "T", '
            "prior = 0.2, low = 0.1, high = 0.5",
            "no marker 'CD5'",
        ),
    ],
)
def test_fault_of_a_gate_that_leans_on_a_population(gate: str, problem: str) -> None:
    error = fault('method = "boolean", operation = "not", populations = ["T"]', gate)
    assert "population 'rest'" in error.where
    assert problem in error.problem


def test_broken_toml_and_doubled_keys_are_told() -> None:
    assert "not TOML" in fault('name = "small"', "name = small").problem
    assert "not TOML" in fault('name = "small"', 'name = "small"\nname = "small"').problem


def test_hash_is_of_the_meaning_not_of_the_spelling() -> None:
    first = template_hash(parse_template(TEXT, where="small.toml"))
    respelt = TEXT.replace(
        'name = "small"\nversion = "1.0.0"', '# A comment.\nversion = "1.0.0"\nname   =   "small"'
    ).replace(
        'marker = "CD3"\nkeep = "above"\nprior = 1500.0',
        'keep = "above"\nprior = 1_500.0  # usual\nmarker = "CD3"',
    )
    assert respelt != TEXT
    assert template_hash(parse_template(respelt, where="other.toml")) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [("prior = 1500.0", "prior = 1501.0"), ("lod_events = 20", "lod_events = 21"), ("+-", "++")],
)
def test_hash_changes_with_the_meaning(old: str, new: str) -> None:
    first = template_hash(parse_template(TEXT, where="small.toml"))
    assert template_hash(parse_template(TEXT.replace(old, new), where="small.toml")) != first


def test_defaults_written_out_are_the_same_template() -> None:
    explicit = TEXT.replace('scatter = ["SSC-A"]', 'scatter = ["SSC-A"]\nreview_below = 0.5')
    assert template_hash(parse_template(explicit, where="a")) == template_hash(
        parse_template(TEXT, where="a")
    )


@pytest.mark.parametrize("path", sorted(resource_folder("gating_templates").glob("*.toml")))
def test_template_of_the_package_loads(path: Path) -> None:
    template = load_template(path.stem)
    assert template.name == path.stem
    assert template.measurements


def test_own_folder_comes_before_the_package(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(TEXT, encoding="utf-8")
    assert load_template("small", tmp_path).name == "small"
    assert load_template(tmp_path / "small.toml").name == "small"
    assert "small" in list_templates(tmp_path)
    with pytest.raises(TemplateError, match="Did you mean small"):
        load_template("smal", tmp_path)


def test_template_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_bytes(TEXT.replace("T cells", "Zellen für").encode("latin-1"))
    with pytest.raises(TemplateError, match="UTF-8"):
        load_template(path)


def test_schema_is_plain_json_and_names_every_method() -> None:
    text = json.dumps(template_schema())
    for method in ("valley", "control", "quadrant", "boolean", "singlet"):
        assert f'"{method}"' in text


def test_a_template_in_a_folder_bears_its_files_name(tmp_path: Path) -> None:
    text = (resource_folder("gating_templates") / "car_t_pb.toml").read_text(encoding="utf-8")
    (tmp_path / "my_car.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TemplateError, match=r"my_car\.toml: name 'car_t_pb'"):
        load_template("my_car", tmp_path)
    assert load_template(tmp_path / "my_car.toml").name == "car_t_pb"


def test_a_folder_of_templates_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no folder 'misspelt'"):
        load_template("car_t_pb", tmp_path / "misspelt")
