"""Time the way from file to measurements, against FlowKit and against a bare read of the file.

``python tests/benchmarks/main_job.py`` makes a tube of 10⁶ events × 16 channels in a temporary
folder, sees to it that both programs put every event into the same gates, and prints medians of
five rounds in this process, after one that is not counted. ``--json`` prints them for a program.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import flowkit
import numpy as np
from flowkit_way import build_strategy, gate_with_flowkit
from measuring import ROUNDS, find_data, measure_peak, tell_aims, time_in_turns
from our_way import count_unequal_members, gate_tube, make_job
from specimen import MOST_GATES, N_CHANNELS, N_GATES, write_tube

from cytoflow_car.fcs import read_fcs
from cytoflow_car.pipeline import analyse_sample

#: What is wanted: figure, the comparison in words, and the bound.
_AIMS = (
    ("flowkit_over_ours", "FlowKit / ours, file to measurements", ">=", 12.0),
    ("ours_over_bare_read", "ours / bare read", "<=", 6.0),
    ("flowkit_read_over_our_read", "flowkit.Sample / read_fcs, reading alone", ">=", 4.0),
    ("peak_over_file", "peak memory above imports / file", "<=", 3.0),
)
_AIMS_OF_MANY_GATES = (("flowkit_over_ours", _AIMS[0][1], ">=", 60.0), *_AIMS[2:])


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description="Speed and memory of one specimen's analysis")
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument(
        "--gates",
        type=int,
        default=N_GATES,
        choices=range(N_GATES, MOST_GATES + 1),
        metavar=f"{N_GATES}..{MOST_GATES}",
    )
    options.add_argument("--json", action="store_true", help="print figures as JSON")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tube.fcs"
        write_tube(path, chosen.events)
        figures = measure(path, chosen.events, chosen.gates)
    if chosen.json:
        print(json.dumps(figures, indent=2))
    else:
        print(tell(figures, chosen.events, chosen.gates))


def measure(path: Path, n_events: int, n_gates: int = N_GATES) -> dict[str, float]:
    """Return seconds, bytes and their ratios.

    Raises
    ------
    SystemExit
        An event lies in a gate of one program and not of the other.
    """
    tree = gate_tube(path, n_gates)
    strategy = build_strategy(tree)
    unequal = count_unequal_members(tree, gate_with_flowkit(path, strategy))
    if any(unequal.values()):
        raise SystemExit(f"memberships differ, events by gate: {unequal}")
    job = make_job(path, n_gates)
    begin = find_data(path)

    def bare_read() -> None:
        np.fromfile(path, "<f4", n_events * N_CHANNELS, offset=begin).byteswap()

    ways: dict[str, Callable[[], object]] = {
        "bare_read_s": bare_read,
        "our_read_s": lambda: read_fcs(path).events.values.max(),
        "ours_s": lambda: analyse_sample(job),
        "flowkit_read_s": lambda: flowkit.Sample(path),
        "flowkit_s": lambda: gate_with_flowkit(path, strategy).report,
    }
    figures = time_in_turns(ways)
    figures["file_bytes"] = float(path.stat().st_size)
    figures["flowkit_over_ours"] = figures["flowkit_s"] / figures["ours_s"]
    figures["ours_over_bare_read"] = figures["ours_s"] / figures["bare_read_s"]
    figures["flowkit_read_over_our_read"] = figures["flowkit_read_s"] / figures["our_read_s"]
    peak = measure_peak("peak_memory.py", path)
    if peak is not None:
        figures["peak_bytes"] = float(peak)
        figures["peak_over_file"] = peak / figures["file_bytes"]
    return figures


def tell(figures: dict[str, float], n_events: int, n_gates: int = N_GATES) -> str:
    """Return the figures as a table."""
    lines = [
        f"{n_events} events x {N_CHANNELS} channels, {figures['file_bytes'] / 1e6:.0f} MB",
        f"{n_gates} gates, equal membership for every event; medians of {ROUNDS}",
        "",
        f"{'':28}{'ours':>12}{'FlowKit':>12}{'bare read':>12}",
        f"{'file to measurements, ms':28}{1e3 * figures['ours_s']:12.0f}"
        f"{1e3 * figures['flowkit_s']:12.0f}{1e3 * figures['bare_read_s']:12.0f}",
        f"{'reading alone, ms':28}{1e3 * figures['our_read_s']:12.1f}"
        f"{1e3 * figures['flowkit_read_s']:12.1f}{1e3 * figures['bare_read_s']:12.1f}",
    ]
    if "peak_bytes" in figures:
        lines.append(f"{'peak above imports, MB':28}{figures['peak_bytes'] / 1e6:12.0f}")
    aims = _AIMS if n_gates < MOST_GATES else _AIMS_OF_MANY_GATES
    return "\n".join([*lines, "", tell_aims(figures, aims)])


if __name__ == "__main__":
    main()
