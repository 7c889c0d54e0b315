"""FlowCytometryTools runs, and nothing but its own modules is there afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop import flowcytometrytools_loading as loading

#: What others see is compared before the load, at every import during it, and after it.
UNCHANGED = """
import builtins, collections, collections.abc, inspect, locale, logging, os, sys, warnings
import decorator, numpy, pandas, six
import matplotlib.pyplot, matplotlib.widgets, pylab, scipy.interpolate, scipy.optimize
from importlib.metadata import version
from cytoflow_car.interop.flowcytometrytools import load
version("numpy")  # imports what it needs at its first call

ADDED = {"__warningregistry__"}  # by any warning

def look():
    modules = {
        name: {key: id(value) for key, value in vars(module).items() if key not in ADDED}
        for name, module in sys.modules.items()
        if name.partition(".")[0] not in ("FlowCytometryTools", "fcsparser", "__main__")
    }
    settings = (
        list(sys.meta_path), list(sys.path), list(sys.path_hooks), list(warnings.filters),
        dict(matplotlib.rcParams), numpy.geterr(), dict(os.environ), locale.setlocale(0),
        list(logging.root.handlers), logging.root.level, sys.excepthook, sys.displayhook,
        builtins.__import__, pandas.get_option("mode.chained_assignment"),
    )
    return modules, settings

def compare(now, at):
    modules, settings = now
    assert settings == before[1], at
    assert modules.keys() - before[0].keys() <= sys.stdlib_module_names, at
    for name, names in before[0].items():
        assert modules[name] == names, (at, name, modules[name].items() ^ names.items())

class Watch:
    seen = 0
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.seen += 1
        compare(look(), name)

sys.meta_path.insert(0, Watch)
before = look()
FlowCytometryTools = load()
compare(look(), "the end")
assert Watch.seen > 0
sys.meta_path.remove(Watch)
assert not hasattr(collections, "Mapping") and not hasattr(inspect, "getargspec")

# Calls later on need the names too.
path = FlowCytometryTools.test_data_file
FlowCytometryTools.FCMeasurement("A3", datafile=path).plot("Y2-A", gates=[])
FlowCytometryTools.FCPlate.from_dir("P", FlowCytometryTools.test_data_dir).plot("Y2-A", bins=10)
assert not hasattr(collections, "Mapping") and not hasattr(inspect, "getargspec")
"""

#: Its README shows no code; these are the first lines of the tutorial that it sends a reader to.
FIRST_LINES = """
import os, FlowCytometryTools
datadir = os.path.join(FlowCytometryTools.__path__[0], "tests", "data", "Plate01")
datafile = os.path.join(datadir, "RFP_Well_A3.fcs")
from FlowCytometryTools import FCMeasurement
sample = FCMeasurement(ID="Test Sample", datafile=datafile)
print(sample.channel_names[10], sample.channels["$PnN"][11])
print(sample.meta["$SRC"], sample.data[["Y2-A", "FSC-A"]][:10].values.shape)
tsample = sample.transform("hlog", channels=["Y2-A", "B1-A", "V2-A"], b=500.0)
from FlowCytometryTools import ThresholdGate, PolyGate
y2_gate = ThresholdGate(1000.0, "Y2-A", region="above")
tsample.plot("Y2-A", gates=[y2_gate], bins=100)
print(tsample.gate(y2_gate).get_data().shape[0])
from FlowCytometryTools import FCPlate
plate = FCPlate.from_dir(ID="Demo Plate", path=datadir, parser="name")
plate = plate.transform("hlog", channels=["Y2-A", "B1-A"]).dropna()
assert "RFP" not in str(plate)
plate.plot("Y2-A", bins=100)
print(int(plate.counts().loc["A", 3]), int(plate.gate(~y2_gate).counts().loc["A", 3]))
"""


def run(script: str, folder: Path | None = None) -> str:
    """Run a script in a process of its own, and return its output."""
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_loading_changes_nothing_outside_its_own_modules(theirs: ModuleType) -> None:
    run(UNCHANGED)


def test_the_first_lines_of_its_tutorial_run_without_a_warning(theirs: ModuleType) -> None:
    load = "from cytoflow_car.interop.flowcytometrytools import load\nload()\n"
    strict = "import warnings; warnings.simplefilter('error')\n"
    n_above = 4433
    assert run(load + strict + FIRST_LINES).split("\n") == [
        "Y2-A Y2-A",
        "A3 (10, 2)",
        str(n_above),
        f"10000 {10_000 - n_above}",
        "",
    ]


def test_the_lines_of_the_how_to_run(
    well_file: Path, tmp_path: Path, repository_root: Path
) -> None:
    shutil.copy(well_file, tmp_path / "CAR_A3.fcs")
    page = (repository_root / "docs" / "how-to" / "flowcytometrytools.md").read_text("utf-8")
    script = "".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    check = (
        "import numpy as np\n"
        "assert same._identify(sample.data).equals(~bright._identify(sample.data))\n"
        "assert (again['A3'].events.values == sample.data.to_numpy()).all()\n"
        "assert 0 < steps[0].gate.lower[0] < 1000\n"
        "assert on_logicle.data['Y2-A'].max() <= 1\n"
    )
    printed = run(script + check, tmp_path).split("\n")
    events = read_fcs(well_file).events
    n_bright = np.count_nonzero(events.column(events.detectors.index("Y2-A")) >= 1000.0)
    assert printed[:3] == [
        str(n_bright),
        "RAW",
        f"subset: FlowCytometryTools kept {n_bright} of 10000 events",
    ]


def test_loading_twice_gives_one_module(theirs: ModuleType) -> None:
    assert loading.load() is theirs
    assert sys.modules["FlowCytometryTools"] is theirs


def test_big_endian_files_are_read(theirs: ModuleType, bundled: Path) -> None:
    folder = bundled / "FlowCytometers" / "HTS_BD_LSR-II"
    (path,) = folder.glob("*.fcs")
    meta, data = theirs.parse_fcs(path)
    assert meta["$BYTEORD"] == "4,3,2,1"
    assert data.shape == (14945, 11)


def test_an_import_before_the_load_is_told(theirs: ModuleType) -> None:
    run(
        "import fcsparser\n"
        "from cytoflow_car.errors import InteropError\n"
        "from cytoflow_car.interop.flowcytometrytools import load\n"
        "try:\n    load()\n"
        "except InteropError as error:\n    assert 'before' in str(error), error\n"
        "else:\n    raise AssertionError\n"
    )


def test_a_failed_load_leaves_no_module_and_names_what_is_missing(theirs: ModuleType) -> None:
    run(
        "import sys\n"
        "sys.modules['decorator'] = None\n"
        "from cytoflow_car.errors import InteropError\n"
        "from cytoflow_car.interop.flowcytometrytools import load\n"
        "try:\n    load()\n"
        "except InteropError as error:\n    assert 'decorator' in str(error), error\n"
        "else:\n    raise AssertionError\n"
        "assert not [name for name in sys.modules if name.startswith(('FlowCyt', 'fcsparser'))]\n"
    )


@pytest.mark.parametrize("found", ["0.5.2", None])
def test_another_version_is_refused(found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if found is None:
            raise loading.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(loading, "version", version)
    for name in [name for name in sys.modules if name.startswith(("FlowCytometry", "fcsparser"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InteropError, match=found or "not installed") as caught:
        loading.load()
    assert "cytoflow-car[flowcytometrytools]" in caught.value.advice
