"""The documentation builds, and everything that a person meets has its entry in it."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cytoflow_car
from cytoflow_car import errors
from cytoflow_car.antigen.rules import AntigenCutoffs, AntigenRule
from cytoflow_car.cli import cli
from cytoflow_car.fcs import is_repair
from cytoflow_car.gating.methods import METHODS
from cytoflow_car.gating.training import TrainingDensity
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.measure import MEASURES
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.model.antigen import AntigenChange, AntigenStatus
from cytoflow_car.model.calibration import CalibrationRule
from cytoflow_car.model.measurement import Status
from cytoflow_car.model.panel import Marker
from cytoflow_car.preprocess.scales import ScaleSetting
from cytoflow_car.qc.acquisition import AcquisitionSetting
from cytoflow_car.qc.drift import DriftSetting
from cytoflow_car.study import definitions, infusions, labs, overrides, patients, sheet
from cytoflow_car.tables import columns, meanings
from cytoflow_car.template import CarStain, Template

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"

_HEADING = re.compile(r"^(#+) +(.+)$")
_ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$")


def entries(page: str, section: str | None = None) -> dict[str, str]:
    """Return the rows of a page's tables whose first cell is a name: name to the other cells.

    Parameters
    ----------
    section
        Only below the heading of this text, subheadings included.
    """
    found: dict[str, str] = {}
    # Level of the heading that is read below; 0 for the whole page, None for elsewhere.
    inside = 0 if section is None else None
    seen = section is None
    for line in (REFERENCE / page).read_text(encoding="utf-8").splitlines():
        heading, row = _HEADING.match(line), _ROW.match(line)
        if heading and section is not None:
            level = len(heading[1])
            if heading[2] == section:
                inside, seen = level, True
            elif inside is not None and level <= inside:
                inside = None
        elif row and inside is not None:
            found[row[1]] = row[2].strip()
    assert seen, f"{page} has no section {section!r}"
    return found


def fields(record: type, without: str = "") -> set[str]:
    return {field.name for field in dataclasses.fields(record)} - {without}


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"),
            *("-d", str(tmp_path / "doctrees"), str(ROOT / "docs"), str(tmp_path / "html")),
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    assert finished.returncode == 0, f"\n{finished.stdout}{finished.stderr}"


@pytest.mark.parametrize(
    ("section", "described"),
    [
        ("measurements", columns.MEASUREMENTS),
        ("timepoints", columns.TIMEPOINTS),
        ("gates", columns.GATES),
        ("qc", columns.QC),
        ("files", columns.FILES),
        ("failures", columns.FAILURES),
        ("antigens", columns.ANTIGENS),
        ("histograms", columns.HISTOGRAMS),
        ("calibrations", columns.CALIBRATIONS),
        ("bead_peaks", columns.BEAD_FILE | columns.BEAD_PEAKS),
        ("Beside each measurement", columns.BESIDE),
        ("Beside a measurement that has one", columns.BESIDE_WHERE_KNOWN),
        ("agreement", columns.AGREEMENT),
        ("agreement_summary", columns.AGREEMENT_SUMMARY),
        ("lod", columns.LOD_LEVELS),
        ("limits", columns.LOD_LIMITS),
        ("runs", columns.LOD_RUNS),
        ("peaks", columns.BEAD_PEAKS),
        ("patients_summary", columns.PATIENTS_SUMMARY),
        ("adsl", columns.ADSL),
        ("adcp", columns.ADCP),
        ("courses", columns.COURSES),
        ("recoveries", columns.RECOVERIES),
        ("statistics", columns.STATISTICS),
        ("adtte", columns.ADTTE),
        ("tv", columns.TV),
        ("landmark", columns.LANDMARK),
        ("dictionary", columns.DICTIONARY),
    ],
)
def test_every_column_of_the_results_is_described(section: str, described: dict[str, str]) -> None:
    stands = entries("results-folder.md", section)
    assert described == {name: stands.get(name) for name in described}


@pytest.mark.parametrize(
    ("section", "read"),
    [
        ("samples.csv", sheet.COLUMNS),
        ("infusions.csv", infusions.COLUMNS),
        ("patients.csv", patients.COLUMNS),
        ("labs.csv", labs.COLUMNS),
        ("overrides.csv", overrides.COLUMNS),
    ],
)
def test_every_column_of_the_study_folder_is_described(section: str, read: tuple[str, ...]) -> None:
    assert set(read) == set(entries("study-folder.md", section))


@pytest.mark.parametrize("table", definitions.KEYS)
def test_every_key_of_the_study_file_is_described(table: str) -> None:
    section = f"`[{table.replace('*', '<name>')}]`" if table else "The file and its tables"
    assert set(definitions.KEYS[table]) == set(entries("study-folder.md", section))


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("Template", fields(Template)),
        ("Marker", fields(Marker)),
        ("Car stain", fields(CarStain)),
        ("Scale", fields(ScaleSetting)),
        ("Training", fields(TrainingDensity)),
        ("Acquisition", fields(AcquisitionSetting)),
        ("Drift", fields(DriftSetting)),
        ("Population", fields(PopulationRule)),
        ("Detection", fields(DetectionRule)),
        ("Antigen", fields(AntigenRule)),
        ("Antigen cutoffs", fields(AntigenCutoffs)),
        ("Calibration", fields(CalibrationRule)),
        *((f"Gate method `{name}`", fields(cls, "method")) for name, cls in METHODS.items()),
        *((f"Measure `{name}`", fields(cls, "measure")) for name, cls in MEASURES.items()),
    ],
)
def test_every_field_of_a_template_is_described(section: str, names: set[str]) -> None:
    assert names == set(entries("templates.md", section))


def test_every_gate_method_is_explained() -> None:
    text = (ROOT / "docs" / "explanation" / "gating.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"`{name}`" not in text] == []


TEMPLATES = {path.stem: path for path in sorted((ROOT / "gating_templates").glob("*.toml"))}


def test_every_template_is_described() -> None:
    assert set(TEMPLATES) == set(entries("templates.md", "Built-in templates"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_measurement_is_described(name: str) -> None:
    template = tomllib.loads(TEMPLATES[name].read_text(encoding="utf-8"))
    measured = {item["name"] for item in template["measurements"]}
    assert measured == set(entries("measurements.md", name))


def test_every_error_is_described() -> None:
    kinds = {
        kind.code: f"`{kind.__name__}`"
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.CytoflowCarError)
    }
    described = entries("errors.md", "Kinds of error")
    assert kinds == {code: cells.partition(" |")[0] for code, cells in described.items()}


def test_every_status_is_described() -> None:
    assert set(Status) == set(entries("statuses-and-flags.md", "Statuses"))


@pytest.mark.parametrize(
    ("told", "sections"),
    [
        (meanings.STATUSES, ("Statuses",)),
        (meanings.CALLS, ("Calls",)),
        (meanings.ANTIGEN_STATUSES, ("Status of an antigen",)),
        (meanings.ANTIGEN_CHANGES, ("Change of an antigen",)),
        (meanings.RECOVERY_STATES, ("States of a recovery",)),
        (
            meanings.MEASUREMENT_FLAGS,
            (
                "Flags of a population",
                "Flags of a measurement",
                "Flags of an antigen",
                "Flags of a calibration with beads",
            ),
        ),
        (meanings.QC_FLAGS, ("Flags of quality control",)),
        (meanings.COURSE_FLAGS, ("Flags of a course",)),
        (meanings.SURVIVAL_FLAGS, ("Flags of survival analyses",)),
    ],
)
def test_a_report_tells_what_is_described(told: dict[str, str], sections: tuple[str, ...]) -> None:
    described: dict[str, str] = {}
    for section in sections:
        for name, cells in entries("statuses-and-flags.md", section).items():
            described.setdefault(name, _in_words(cells.partition(" | ")[0]))
    assert described == told


def _in_words(cell: str) -> str:
    """Return a cell without marks, and without what stands behind a flag's colon."""
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", cell).replace("`", "")
    return re.sub(r"^followed by : and [^:]+: ", "", text)


def test_every_status_of_an_antigen_is_described() -> None:
    assert set(AntigenStatus) == set(entries("statuses-and-flags.md", "Status of an antigen"))


def test_every_change_of_an_antigen_is_described() -> None:
    assert set(AntigenChange) == set(entries("statuses-and-flags.md", "Change of an antigen"))


def test_every_reason_against_a_comparison_is_described() -> None:
    """A reason is a word in capitals, and what differs behind a blank or a colon."""
    reasons = {
        reason[1]
        for path in ("antigen/change.py", "study/antigens.py")
        for text in _texts(ROOT / "cytoflow_car" / path)
        if (reason := re.match(r"([A-Z]{2,}(?:_[A-Z]+)*)(?:[ :]|$)", text))
    }
    # Such a specimen is not compared at all.
    reasons -= {"POPULATION_NOT_DETECTED", "BM"}
    assert reasons == set(entries("statuses-and-flags.md", "Reasons against a comparison"))


def test_every_flag_of_the_science_is_described() -> None:
    described = entries("statuses-and-flags.md")
    assert sorted(set(_flags_in_the_code()) - set(described)) == []


# Words joined by underscores, or one long one; short ones are units and stains.
_FLAG = re.compile(r"([A-Z]+(?:_[A-Z]+)+|[A-Z]{7,})(?::|$)")


def _flags_in_the_code() -> Iterator[str]:
    """Yield what texts begin with that looks like a flag, alone or before a colon.

    ``FEW_{name}`` counts as its table entry does.
    """
    for floor in ("antigen", "calibration", "gating", "measure", "outcome", "qc"):
        for path in (ROOT / "cytoflow_car" / floor).glob("*.py"):
            for text in _texts(path):
                if flag := _FLAG.match(text):
                    yield flag[1]


def _texts(path: Path) -> Iterator[str]:
    """Yield the text constants of a module, and the beginnings of its f-strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_flag_of_reading_is_described() -> None:
    flags = set(_flags_of_reading())
    assert set(entries("fcs-files.md", "Flags")) == flags
    assert set(entries("statuses-and-flags.md", "Flags of reading FCS files")) == flags


def test_repairs_are_told_from_notes() -> None:
    described = {
        name: cells.split(" | ")[1].partition(":")[0]
        for name, cells in entries("fcs-files.md", "Flags").items()
    }
    assert described == {name: "repaired" if is_repair(name) else "noted" for name in described}


def _flags_of_reading() -> Iterator[str]:
    """Yield the names in texts that begin with ``name: `` and in ``doubts.add("name", …)``."""
    for path in (ROOT / "cytoflow_car" / "fcs").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                flag = re.match(r"([a-z]+(?:_[a-z]+)+): ", node.value)
                if flag:
                    yield flag[1]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "doubts.add":
                yield ast.literal_eval(node.args[0])


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            yield from _commands(below, f"{name} {child}")
    else:
        yield name, command


COMMANDS = dict(_commands(cli, "cytoflow-car"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str) -> None:
    command = COMMANDS[name]
    options = {
        max(parameter.opts, key=len)
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    assert command.help
    assert options == set(entries("cli.md", f"`{name}`"))


@pytest.mark.parametrize(
    "module",
    [
        item.name
        for item in pkgutil.walk_packages(cytoflow_car.__path__, "cytoflow_car.")
        if not item.name.endswith("__main__")
    ],
)
def test_examples_in_docstrings_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
