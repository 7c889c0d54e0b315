"""Time and memory of clustering a specimen, and of clustering and naming it.

``python tests/benchmarks/clustering.py`` draws 25 normal populations in 10 markers, learns a
reference of labelled specimens, and runs each way on 10⁵, 10⁶ and 2·10⁶ events in a fresh process:
seconds of all cores together, and bytes above what the imports hold, the values among them. With
``--flowsom-python`` it also runs FlowSOM, in a Python that has it, on the same values. One core,
unless OMP_NUM_THREADS says otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

sys.path.append(str(Path(__file__).resolve().parent.parent))

import numpy as np
from measuring import count_peak_bytes, tell_aims
from planted_mixture import (
    Floats,
    anchor_positions,
    draw_specimen,
    learn_reference,
    make_mixture,
)

from cytoflow_car.clustering.adaptation import adapt
from cytoflow_car.clustering.alignment import align
from cytoflow_car.clustering.identity import check_channels
from cytoflow_car.clustering.methods import Nodes
from cytoflow_car.clustering.naming import NamingSetting, name_events
from cytoflow_car.clustering.nodes import place_nodes
from cytoflow_car.model.reference import Reference

HERE = Path(__file__).resolve().parent

N_METACLUSTERS = Nodes("nodes").metaclusters
SEED = 1
_PLACED_BY = 20_000
_WARM = 5000

#: What is wanted: figure, the comparison in words, and the bound.
_AIMS = tuple(
    aim
    for way, words in (("clustered", "clustered"), ("named", "clustered and named"))
    for aim in (
        (f"{way}_cpu_s", f"{words}: CPU seconds", "<=", 30.0),
        (f"{way}_peak_gb", f"{words}: GB above the imports", "<=", 0.7),
        (f"{way}_exponent", f"{words}: CPU grows with events to the", "<=", 1.05),
    )
)
_FLOWSOM_AIMS = (
    ("flowsom_over_clustered_cpu", "FlowSOM / clustered: CPU", ">=", 1.0),
    ("flowsom_over_clustered_peak", "FlowSOM / clustered: memory", ">=", 1.0),
    ("flowsom_over_named_cpu", "FlowSOM / clustered and named: CPU", ">=", 1.0),
    ("flowsom_over_named_peak", "FlowSOM / clustered and named: memory", ">=", 1.0),
)


@dataclass
class Steps:
    """CPU seconds of each step, in the order in which they end."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.process_time)

    def end(self, name: str) -> None:
        """Count the time since the last step to `name`."""
        now = time.process_time()
        self.seconds[name] = now - self._last
        self._last = now


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description="Speed and memory of clustering and naming")
    options.add_argument("--events", type=int, default=1_000_000, help="of the specimen judged")
    options.add_argument("--flowsom-python", type=Path, help="a Python that has flowsom")
    options.add_argument("--json", action="store_true", help="print figures as JSON")
    options.add_argument("--child", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        print(json.dumps(measure_here(chosen.child[0], Path(chosen.child[1]))))
        return
    figures: dict[str, float] = {}
    runs: list[tuple[str, int, dict[str, float]]] = []
    sizes = (chosen.events // 10, chosen.events, 2 * chosen.events)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.npy"
        for n_events in sizes:
            np.save(path, draw_specimen(make_mixture(), n_events, SEED)[0])
            for way in ("clustered", "named"):
                found = run_child([sys.executable, __file__, "--child", way, str(path)])
                runs.append((way, n_events, found))
                if n_events == chosen.events:
                    figures[f"{way}_cpu_s"] = found["cpu_s"]
                    figures[f"{way}_peak_gb"] = found["peak_gb"]
            if chosen.flowsom_python and n_events == chosen.events:
                script = str(HERE / "flowsom_way.py")
                theirs = run_child(
                    [str(chosen.flowsom_python), script, str(path), str(N_METACLUSTERS), str(SEED)]
                )
                runs.append(("flowsom", n_events, theirs))
                figures |= {"flowsom_cpu_s": theirs["cpu_s"], "flowsom_peak_gb": theirs["peak_gb"]}
    for way in ("clustered", "named"):
        seconds = [found["cpu_s"] for name, _, found in runs if name == way]
        figures[f"{way}_exponent"] = math.log(seconds[-1] / seconds[0]) / math.log(
            sizes[-1] / sizes[0]
        )
        if "flowsom_cpu_s" in figures:
            for unit, name in (("cpu_s", "cpu"), ("peak_gb", "peak")):
                ratio = figures[f"flowsom_{unit}"] / figures[f"{way}_{unit}"]
                figures[f"flowsom_over_{way}_{name}"] = ratio
    if chosen.json:
        print(json.dumps({"figures": figures, "runs": runs}, indent=2))
        return
    for way, n_events, found in runs:
        steps = ", ".join(
            f"{name} {seconds:.2f}"
            for name, seconds in found.items()
            if name not in ("cpu_s", "peak_gb")
        )
        head = f"{way:10}{n_events:>9} events{found['cpu_s']:8.2f} CPU s{found['peak_gb']:7.3f} GB"
        print(f"{head}   {steps}".rstrip())
    print(f"\n{chosen.events} events x 10 markers")
    print(tell_aims(figures, _AIMS + (_FLOWSOM_AIMS if chosen.flowsom_python else ())))


def run_child(command: list[str]) -> dict[str, float]:
    """Run a program that prints figures as JSON on its last line."""
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    figures: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return figures


def measure_here(way: str, path: Path) -> dict[str, float]:
    """Return CPU seconds, GB, and CPU seconds by step, after a small run that is not counted."""
    mixture = make_mixture()
    reference = learn_reference(mixture)
    work: Callable[[Floats, Steps], object]
    if way == "clustered":
        work = cluster
    else:

        def work(values: Floats, steps: Steps) -> object:
            return cluster_and_name(reference, values, steps)

    work(draw_specimen(mixture, _WARM, SEED)[0], Steps())
    steps = Steps()
    begin = time.process_time()
    if Path("/proc/self/clear_refs").exists():
        peak = count_peak_bytes(lambda: work(np.load(path), steps)) / 1e9
    else:
        work(np.load(path), steps)
        peak = math.nan
    return {"cpu_s": time.process_time() - begin, "peak_gb": peak, **steps.seconds}


def cluster(values: Floats, steps: Steps) -> object:
    """Cluster alone."""
    found = Nodes("nodes").cluster(values, SEED)
    steps.end("cluster")
    return found


def cluster_and_name(reference: Reference, values: Floats, steps: Steps) -> object:
    """Do on bare values what a specimen with a reference goes through."""
    positions = anchor_positions(reference, values)
    taken = np.arange(len(values))[:: max(1, len(values) // _PLACED_BY)]
    steps.end("positions")
    alignment = align(reference, positions[taken])
    steps.end("align")
    identity = check_channels(reference, positions[taken], alignment)
    steps.end("check channels")
    if identity.flags:
        raise SystemExit(f"channels of a clean specimen: {identity.flags}")
    aligned = alignment.apply(positions)
    del positions
    components = adapt(reference.populations, aligned[taken])
    steps.end("adapt")
    nodes = place_nodes(aligned, Nodes("nodes").nodes, SEED)
    steps.end("place nodes")
    node_of = nodes.assign(aligned)
    steps.end("assign")
    names = name_events(reference, components, aligned, node_of, nodes, NamingSetting(), SEED)
    steps.end("name")
    clustering = Nodes("nodes").cluster(aligned, SEED)
    steps.end("cluster")
    return aligned, components, names, clustering


if __name__ == "__main__":
    main()
