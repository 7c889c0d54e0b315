"""Time the checks of acquisition alone, against sorting every channel once.

``python tests/benchmarks/quality.py`` checks 10⁶ events × 12 channels of two populations with Time,
float32 as in a file, on one core, beside ``numpy.sort`` of each channel, which a median of every
channel would take; medians of five rounds in this process.
"""

from __future__ import annotations

import argparse
import json
import os

# One core for numpy as well, so that events a second are those of one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from measuring import ROUNDS, tell_aims, time_in_turns

from cytoflow_car.model.events import Channel, Events
from cytoflow_car.qc.acquisition import AcquisitionSetting, check_acquisition

N_CHANNELS = 12

#: What is wanted: figure, the comparison in words, and the bound.
_AIMS = (
    ("ours_million_events_s", "stretches: million events a second", ">=", 1.0),
    ("sort_over_ours", "sort of every channel / stretches", ">=", 1.0),
)


def main() -> None:
    """Run the benchmark and print what was measured."""
    options = argparse.ArgumentParser(description="Speed of the checks of acquisition")
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--peacoqc", action="store_true", help="time the second method too")
    options.add_argument("--json", action="store_true", help="print figures as JSON")
    chosen = options.parse_args()
    events = make_run(chosen.events)

    def check(setting: AcquisitionSetting) -> object:
        return check_acquisition(
            events,
            time_channel=N_CHANNELS,
            columns=tuple(range(N_CHANNELS + 1)),
            scatter=(0, 1),
            signals=tuple(range(N_CHANNELS)),
            setting=setting,
        )

    ways = {
        "sort_s": lambda: [np.sort(events.values[:, number]) for number in range(N_CHANNELS)],
        "ours_s": lambda: check(AcquisitionSetting()),
    }
    if chosen.peacoqc:
        ways["peacoqc_s"] = lambda: check(AcquisitionSetting(method="peacoqc"))
    figures = time_in_turns(ways)
    figures["ours_million_events_s"] = chosen.events / figures["ours_s"] / 1e6
    figures["sort_over_ours"] = figures["sort_s"] / figures["ours_s"]
    if chosen.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{chosen.events} events x {N_CHANNELS} channels; medians of {ROUNDS}, one core\n")
    for name in ways:
        print(f"{name:48}{figures[name]:8.3f}")
    print(tell_aims(figures, _AIMS))


def make_run(n_events: int) -> Events:
    """Draw a steady run at 10,000 events a second, Time in steps of 0.01 s."""
    random = np.random.default_rng(1)
    values = np.empty((n_events, N_CHANNELS + 1), dtype=np.float32)
    values[:, :N_CHANNELS] = random.normal(300.0, 150.0, (n_events, N_CHANNELS))
    for number in range(N_CHANNELS):
        lit = random.random(n_events) < 0.05 * (number + 1)
        values[lit, number] += 8000.0 * np.exp(random.normal(0.0, 0.4, np.count_nonzero(lit)))
    values[:, -1] = np.floor(np.cumsum(random.exponential(1e-4, n_events)) / 0.01) * 0.01
    return Events(values, tuple(Channel(f"B{number}-A") for number in range(N_CHANNELS + 1)))


if __name__ == "__main__":
    main()
