"""Seconds and bytes, measured the same way in every benchmark."""

from __future__ import annotations

import csv
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cytoflow_car.fcs import read_keywords

ROUNDS = 5


def time_in_turns(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return median seconds of each way, after a round that is not counted.

    The ways take turns, so that whatever else the machine does hits all of them.
    """
    rounds = [{name: _seconds(way) for name, way in ways.items()} for _ in range(1 + ROUNDS)]
    return {name: statistics.median(turn[name] for turn in rounds[1:]) for name in ways}


def find_data(path: Path) -> int:
    """Return the first byte of DATA, from TEXT."""
    return int(read_keywords(path)["$BEGINDATA"])


def measure_peak(script: str, path: Path) -> int | None:
    """Run a script on a file in a fresh process and return the bytes that it prints.

    None where the system does not tell of them.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), str(path)],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    return int(finished.stdout)


def count_peak_bytes(work: Callable[[], object]) -> int:
    """Return by how much the process grew at most while it worked (Linux).

    Resident memory is counted, pages of mapped files included.
    """
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    kept = work()
    peak = _resident("VmHWM") - before
    del kept
    return peak


def append_row(path: Path, row: dict[str, object]) -> None:
    """Append a row to a sheet, whose header the first row writes."""
    new = not path.is_file()
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, tuple(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def tell_aims(figures: Mapping[str, float], aims: tuple[tuple[str, str, str, float], ...]) -> str:
    """Return figures beside what is wanted of them: name, words, ``>=`` or ``<=``, bound."""
    lines = []
    for name, words, sense, bound in aims:
        if name not in figures:
            lines.append(f"{words:48}  not measured on this system")
            continue
        met = figures[name] >= bound if sense == ">=" else figures[name] <= bound
        verdict = "met" if met else "missed"
        lines.append(f"{words:48}{figures[name]:8.2f}   aim {sense} {bound:g}: {verdict}")
    return "\n".join(lines)


def _seconds(way: Callable[[], object]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def _resident(field: str) -> int:
    """Return VmRSS (now) or VmHWM (at most) in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
