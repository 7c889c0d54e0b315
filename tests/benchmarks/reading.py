"""Time reading a file alone, against FlowKit and against a bare read of its bytes.

``python tests/benchmarks/reading.py`` makes float32 files of 10⁶ events × 20 channels in both byte
orders, Time in steps of 0.01 s, sees to it that both programs read the same values, and prints
medians of five rounds in this process; then the peak memory of reading 5·10⁶ events.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import flowkit
import numpy as np
from measuring import ROUNDS, find_data, measure_peak, tell_aims, time_in_turns

from cytoflow_car.fcs import read_fcs, write_fcs
from cytoflow_car.model.events import Channel, Events

N_CHANNELS = 20
_STEP = 0.01

#: What is wanted: figure, the comparison in words, and the bound.
_AIMS = tuple(
    aim
    for order in ("little", "big")
    for aim in (
        (f"{order}_flowkit_over_ours", f"{order}-endian: flowkit.Sample / ours", ">=", 4.0),
        (f"{order}_ours_over_bare_read", f"{order}-endian: ours / bare read", "<=", 1.5),
        (f"{order}_peak_over_file", f"{order}-endian, 5 times the events: peak / file", "<=", 1.1),
    )
)


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description="Speed and memory of reading a file")
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--json", action="store_true", help="print figures as JSON")
    chosen = options.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for order in ("little", "big"):
            path = Path(folder) / f"{order}.fcs"
            write_file(path, chosen.events, order)
            figures |= {f"{order}_{name}": value for name, value in measure(path, order).items()}
            write_file(path, 5 * chosen.events, order)
            peak = measure_peak("peak_reading.py", path)
            if peak is not None:
                figures[f"{order}_peak_over_file"] = peak / path.stat().st_size
    if chosen.json:
        print(json.dumps(figures, indent=2))
    else:
        print(f"{chosen.events} events x {N_CHANNELS} channels, float32; medians of {ROUNDS}\n")
        print(tell_aims(figures, _AIMS))


def write_file(path: Path, n_events: int, order: str) -> None:
    """Write random values with Time in the last column."""
    random = np.random.default_rng(1)
    values = random.normal(1000, 300, (n_events, N_CHANNELS)).astype(np.float32)
    values[:, -1] = np.arange(n_events) // 7 * _STEP
    channels = [Channel(f"B{number}-A") for number in range(1, N_CHANNELS)]
    events = Events(values, (*channels, Channel("Time")))
    write_fcs(path, events, keywords={"$TIMESTEP": str(_STEP)})
    if order == "big":
        begin = find_data(path)
        stored = np.fromfile(path, "<f4", values.size, offset=begin)
        text = path.read_bytes()[:begin].replace(b"1,2,3,4", b"4,3,2,1")
        path.write_bytes(text + stored.astype(">f4").tobytes())


def measure(path: Path, order: str) -> dict[str, float]:
    """Return seconds and their ratios.

    Raises
    ------
    SystemExit
        The two programs read different values.
    """
    ours = read_fcs(path).events.values
    theirs = flowkit.Sample(path).get_events(source="raw")
    if not np.array_equal(ours, theirs.astype(np.float32)):
        raise SystemExit("the programs read different values")
    begin, n_values = find_data(path), ours.size

    def bare_read() -> np.ndarray:
        values = np.fromfile(path, "<f4", n_values, offset=begin)
        return values.byteswap(inplace=True) if order == "big" else values

    ways: dict[str, Callable[[], object]] = {
        "bare_read_s": bare_read,
        "ours_s": lambda: read_fcs(path),
        "flowkit_s": lambda: flowkit.Sample(path),
    }
    figures = time_in_turns(ways)
    figures["flowkit_over_ours"] = figures["flowkit_s"] / figures["ours_s"]
    figures["ours_over_bare_read"] = figures["ours_s"] / figures["bare_read_s"]
    return figures


if __name__ == "__main__":
    main()
