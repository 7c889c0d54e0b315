"""openCyto's gating templates: what has a counterpart is taken over, the rest is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cytoflow_car.cli import cli
from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import read_fcs, read_header
from cytoflow_car.gating.mixture import Mixture
from cytoflow_car.gating.shapes import Boolean, Quadrant, Rectangle, Reference, Singlet
from cytoflow_car.gating.thresholds import Tail, ValleyCut
from cytoflow_car.gating.tree import PopulationRule, gate_events
from cytoflow_car.interop.opencyto import read_opencyto
from cytoflow_car.interop.opencyto_rules import OpenCytoRules, convert_opencyto
from cytoflow_car.model.events import Channel
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Linear, Logicle
from cytoflow_car.preprocess.compensation import compensate
from cytoflow_car.preprocess.panel import assign_markers
from cytoflow_car.resources import resource_folder
from cytoflow_car.study.opencyto_template import draft_from_opencyto
from cytoflow_car.template import Template, parse_template

HEADING = (
    "alias,pop,parent,dims,gating_method,gating_args,collapseDataForGating,groupBy,"
    "preprocessing_method,preprocessing_args\n"
)
CHANNELS = (
    Channel("FSC-A"),
    Channel("FSC-H"),
    Channel("FSC-W"),
    Channel("SSC-A"),
    Channel("B515-A", "CD4 FITC"),
    Channel("R660-A", "CD8 APC"),
    Channel("V450-A", "CD45RA BV421"),
    Channel("G560-A", "HLA-DR PE"),
    Channel("Time"),
)


def convert(folder: Path, *rows: str) -> OpenCytoRules:
    path = folder / "panel.csv"
    path.write_text(HEADING + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return convert_opencyto(read_opencyto(path), CHANNELS)


def gate_of(found: OpenCytoRules, name: str) -> PopulationRule:
    return next(rule for rule in found.rules if name in rule.names)


def test_a_tree_is_taken_over_with_its_methods_and_parents(tmp_path: Path) -> None:
    found = convert(
        tmp_path,
        "nonDebris,+,root,FSC-A,mindensity,,,,,",
        'singlets,+,nonDebris,"FSC-A,FSC-H",singletGate,,,,,',
        'lymph,+,singlets,"FSC-A,SSC-A",flowClust.2d,"K=2,target=c(1e5,5e4)",,,prior_flowClust,',
        "T,-,lymph,CD4,tailgate,tol=1e-2,,,,",
        'box,+,T,"FSC-A,SSC-A",boundary,"min=c(0,1e3),max=c(2.5e5,Inf)",,,,',
        "bright,+,T,HLA-DR,gate_quantile,probs=0.99,TRUE,PTID:VISITNO,,",
    )
    assert () == found.left_out
    assert ["root", "nonDebris", "singlets", "lymph", "T", "T"] == [r.parent for r in found.rules]
    methods = [type(rule.gate) for rule in found.rules]
    assert [ValleyCut, Singlet, Mixture, Tail, Rectangle, Tail] == methods
    ellipse = gate_of(found, "lymph").gate
    assert isinstance(ellipse, Mixture) and ellipse.components == 2
    assert ellipse.center == (100_000.0, 50_000.0)
    tail, box, bright = (gate_of(found, name).gate for name in ("T", "box", "bright"))
    assert isinstance(tail, Tail) and tail.keep == "below"
    assert isinstance(bright, Tail) and bright.deviations == pytest.approx(2.326)
    assert isinstance(box, Rectangle)
    edges = [(side.marker, side.keep, side.at) for side in box.sides if side.method == "fixed"]
    assert edges == [
        ("FSC-A", "above", 0.0),
        ("SSC-A", "above", 1000.0),
        ("FSC-A", "below", 250_000.0),
    ]
    said = "\n".join(found.notes)
    for words in ("prior_flowClust", "tol not taken over", "by PTID:VISITNO", "starting values"):
        assert words in said


def test_numbers_are_taken_for_scatter_and_named_for_fluorescence(tmp_path: Path) -> None:
    found = convert(
        tmp_path,
        'cells,+,root,FSC-A,mindensity,"gate_range=c(30000,60000),adjust=2",,,,',
        'cd4,+,cells,CD4,mindensity,"gate_range=c(1,3)",,,,',
    )
    cells, cd4 = (gate_of(found, name).gate for name in ("cells", "cd4"))
    assert isinstance(cells, ValleyCut) and isinstance(cd4, ValleyCut)
    assert (30000.0, 60000.0, 2.0) == (cells.low, cells.high, cells.smoothing)
    assert cells.low < cells.prior < cells.high
    assert cd4.low > 3
    assert any("cd4: gate_range not taken over" in note for note in found.notes)


def test_both_sides_of_a_cut_are_two_populations_with_one_cut(tmp_path: Path) -> None:
    found = convert(tmp_path, "*,+/-,root,CD4,mindensity,,,,,")
    assert ["CD4+", "CD4-"] == [rule.name for rule in found.rules]
    assert isinstance(found.rules[0].gate, ValleyCut)
    assert found.rules[1].gate == Boolean("boolean", "not", ("CD4+",))


@pytest.mark.parametrize("pop", ["+-", "CD4+CD8-"])
def test_two_dimensions_are_cut_one_by_one(tmp_path: Path, pop: str) -> None:
    found = convert(
        tmp_path,
        f'helper,{pop},root,"CD4,CD8",mindensity,,,,,',
        'killer,-+,root,"CD4,CD8",mindensity,,,,,',
        "naive,+,helper,CD45RA,mindensity,,,,,",
        "like CD8,+,naive,CD8,refGate,root/CD8+,,,,",
        "not CD8,-,naive,CD8,refGate,CD8+,,,,",
    )
    assert () == found.left_out
    names = ["CD4+", "CD8+", "helper", "killer", "naive", "like CD8", "not CD8 (CD8+)", "not CD8"]
    assert names == [rule.name for rule in found.rules]
    assert gate_of(found, "helper").gate == Boolean("boolean", "and", ("CD4+", "!CD8+"))
    assert gate_of(found, "killer").gate == Boolean("boolean", "and", ("!CD4+", "CD8+"))
    assert gate_of(found, "like CD8").gate == Reference("reference", "CD8+")
    assert gate_of(found, "not CD8").gate == Boolean("boolean", "not", ("not CD8 (CD8+)",))


def test_four_quadrants_and_a_quadrant_gate(tmp_path: Path) -> None:
    found = convert(
        tmp_path,
        '*,+/-+/-,root,"CD4,CD8",mindensity,,,,,',
        '"A,B,C,D",*,CD4+CD8-,"HLA-DR,CD45RA",quadGate.seq,"gFunc=""mindensity""",,,,',
        "E,+,CD4+CD8-,,boolGate,A|B|C,,,,",
        "F,+,CD4+CD8-,,boolGate,!D,,,,",
    )
    assert () == found.left_out
    combined = {"CD4+CD8+", "CD4+CD8-", "CD4-CD8+", "CD4-CD8-"}
    assert combined == {rule.name for rule in found.rules if rule.name.count("CD") == 2}
    quadrants = gate_of(found, "A")
    assert isinstance(quadrants.gate, Quadrant)
    assert quadrants.quadrants == {"A": "-+", "B": "++", "C": "+-", "D": "--"}
    assert gate_of(found, "E").gate == Boolean("boolean", "or", ("A", "B", "C"))
    assert gate_of(found, "F").gate == Boolean("boolean", "not", ("D",))


def test_what_lies_outside_a_region_goes_by_a_helper(tmp_path: Path) -> None:
    found = convert(tmp_path, 'doublets,-,root,"FSC-A,FSC-H",singletGate,,,,,')
    assert ["doublets (inside)", "doublets"] == [rule.name for rule in found.rules]
    assert found.rules[1].gate == Boolean("boolean", "not", ("doublets (inside)",))


def test_equal_names_in_two_branches_stay_apart(tmp_path: Path) -> None:
    found = convert(
        tmp_path,
        "a,+,root,CD4,mindensity,,,,,",
        "b,+,root,CD8,mindensity,,,,,",
        'naive,+,"a,b",CD45RA,mindensity,,,,,',
        "of b,+,/b/naive,HLA-DR,mindensity,,,,,",
        "of which,+,naive,HLA-DR,mindensity,,,,,",
    )
    assert [("naive (a)", "a"), ("naive (b)", "b")] == [
        (rule.name, rule.parent) for rule in found.rules if "naive" in rule.name
    ]
    assert gate_of(found, "of b").parent == "naive (b)"
    assert ["several populations" in line for line in found.left_out] == [True]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("x,+,root,CD4,flowClust.1d,K=2,,,,", "flowClust.1d has no counterpart"),
        ("x,,root,,polyFunctions,CD4+:CD8+,,,,", "polyFunctions of 0 dims"),
        ("x,+,root,CD4,tailgate,side='left',,,,", "left has no counterpart"),
        ("x,+,root,CD4,quantileGate,probs=0.2,,,,", "quantile of 0.2"),
        ("x,+,root,CD4,rangeGate,alpha=0.5,,,,", "alpha"),
        ("x,+,root,CD4,boundary,min=1,,,,", "a scale that the table does not tell"),
        ('x,+,root,"FSC-A,SSC-A",flowClust.2d,K=2,,,,', "target"),
        ('x,+,root,"FSC-A,FSC-W",singletGate,,,,,', "area and height"),
        ('"p,q,r,s",*,root,"CD4,CD8",quadGate.tmix,K=3,,,,', "quadGate.tmix has no counterpart"),
        ("x,+,root,CD19,mindensity,,,,,", "no channel of the file"),
        ("x,+,root,FSC,mindensity,,,,,", "fits 3 channels"),
        ("x,+,nowhere,CD4,mindensity,,,,,", "parent 'nowhere'"),
        ("x,+,root,,boolGate,(a|b)&c,,,,", "by & alone"),
        ("x,+,root,CD4,refGate,a,,,,", "'a' is not taken over"),
        ("x," + "+/-" * 40 + ",root,CD4,mindensity,,,,,", "is not understood"),
        ('x,+,root,FSC-A,mindensity,"gate_range=c(9e4,1e3)",,,,', "a cut between"),
        ('x,+,root,FSC-A,mindensity,"gate_range=c(1,2,3)",,,,', "2 numbers"),
        ("root,+,root,CD4,mindensity,,,,,", "the name root is taken"),
        ('"p,q,r,s",*,root,"CD4,CD8",quadGate.seq,,,,,', "gFunc '' has no counterpart"),
        ("x,+,root,CD4,,,,,,", "an empty gating_method"),
    ],
)
def test_what_has_no_counterpart_is_named(tmp_path: Path, row: str, why: str) -> None:
    found = convert(tmp_path, row, "below,+,x,CD8,mindensity,,,,,")
    assert () == found.rules
    assert why in found.left_out[0] + found.left_out[-1]
    # What stands on it goes with it.
    assert any("below" in line for line in found.left_out)


def test_arguments_are_never_evaluated(tmp_path: Path) -> None:
    found = convert(
        tmp_path,
        "x,+,root,FSC-A,mindensity,\"adjust=system('touch harm'), min=1e4\",,,,",
        'y,+,root,FSC-A,mindensity,"adjust=1+1,min=2e4",,,,',
    )
    assert any("touch harm" in note for note in found.notes)
    assert any("'adjust=1+1'" in note for note in found.notes)
    gate = gate_of(found, "y").gate
    assert isinstance(gate, ValleyCut) and (1.0, 2e4) == (gate.smoothing, gate.low)


@pytest.mark.parametrize(
    "content",
    [b"", b"alias,pop\nx,+\n", b"\xff\xfe\x00", HEADING.encode() + b"a" + b",b" * 20, b'"' * 9],
)
def test_what_is_no_gating_template_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "panel.csv"
    path.write_bytes(content)
    with pytest.raises(InteropError, match=r"panel\.csv"):
        read_opencyto(path)
    with pytest.raises(InteropError, match=r"none\.csv"):
        read_opencyto(tmp_path / "none.csv")


def test_the_draft_is_a_template_that_gates_a_file(tmp_path: Path) -> None:
    file = sorted(resource_folder("sample_fcs").rglob("*.fcs"))[0]
    stains = [c for c in read_header(file).channels if c.marker and c.detector.endswith("-A")]
    first, second = (channel.detector for channel in stains[:2])
    path = tmp_path / "panel.csv"
    path.write_text(
        HEADING
        + "cells,+,root,FSC-A,mindensity,,,,,\n"
        + 'singlets,+,cells,"FSC-A,FSC-H",singletGate,,,,,\n'
        + f'*,+/-+/-,singlets,"{first},{second}",mindensity,,,,,\n'
        + f'"odd\nname",+,singlets,{first},magic,,,,,\n',
        encoding="utf-8",
    )
    text, found = draft_from_opencyto("lab", path, read_header(file))
    template = parse_template(text, where="lab.toml")
    assert found.rules == template.populations
    assert ("FSC-A",) == template.scatter[:1]
    assert "# Left out: row 6, odd name: magic has no counterpart" in text
    # Every event of the parent lies in one of the four.
    tree = gate_with(template, file)
    quadrants = [name for name in tree if name.count(first) and name.count(second)]
    assert len(quadrants) == 4
    assert tree["singlets"] == sum(tree[name] for name in quadrants) > 0


def test_the_command_names_what_it_leaves_out_and_writes_the_rest(tmp_path: Path) -> None:
    file = sorted(resource_folder("sample_fcs").rglob("*.fcs"))[0]
    path = tmp_path / "panel.csv"
    path.write_text(
        HEADING + "cells,+,root,FSC-A,mindensity,,,,,\nx,+,cells,FSC-A,magic,,,,,\n",
        encoding="utf-8",
    )
    command = ["templates", "new", "lab", "--from", str(file), "--out", str(tmp_path)]
    done = CliRunner().invoke(cli, [*command, "--from-opencyto", str(path)])
    assert 0 == done.exit_code, done.output
    assert "left out: row 3, x: magic has no counterpart" in done.stderr
    written = (tmp_path / "lab.toml").read_text(encoding="utf-8")
    assert ("cells",) == parse_template(written, where="lab.toml").population_names
    both = CliRunner().invoke(cli, [*command, "--from-opencyto", str(path), "--like", "car_t_pb"])
    assert 2 == both.exit_code
    path.write_text(HEADING + "x,+,root,FSC-A,magic,,,,,\n", encoding="utf-8")
    none = CliRunner().invoke(cli, [*command, "--from-opencyto", str(path)])
    assert 2 == none.exit_code
    assert "nothing could be taken over" in none.stderr


def gate_with(template: Template, file: Path) -> dict[str, int]:
    sample = read_fcs(file)
    columns = assign_markers(sample.events.channels, template.markers)
    events = compensate(sample.events, sample.spillover)
    scales = {name: Linear() if name in template.scatter else Logicle() for name in columns}
    prepared = PreparedEvents(events, columns, scales)
    kept = np.ones(len(prepared), dtype=bool)
    tree = gate_events(prepared, template.populations, kept)
    return {item.name: item.rows.size for item in tree.populations}
