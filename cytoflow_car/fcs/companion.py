"""What the first data set of an LMD file says of the second one, which holds the same events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cytoflow_car.model.events import Channel

_FACTS = ("$CYT", "$CYTSN", "$DATE", "$BTIM", "$ETIM")


def share_facts(keywords: Mapping[str, str], companion: Mapping[str, str]) -> dict[str, str]:
    """Return keywords with instrument, date and times that only the companion states."""
    missing = {key: companion[key] for key in _FACTS if key in companion and not keywords.get(key)}
    return {**keywords, **missing}


def share_stains(
    channels: Sequence[Channel], companion: Mapping[str, str]
) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """Return channels with the stains that the companion states, where none has one, and flags.

    The companion calls a detector ``FL1 Log`` or ``FL1 Lin`` that the data set calls ``FL1``, and
    repeats the name where there is no stain.
    """
    if any(channel.marker for channel in channels):
        return tuple(channels), ()
    stains: dict[str, set[str]] = {}
    for key, stain in companion.items():
        match = re.fullmatch(r"\$P(\d+)S", key)
        name = companion.get(f"$P{match[1]}N", "") if match else ""
        if name and stain and stain != name:
            detector = name.split(maxsplit=1)[0] if name.split() else name
            stains.setdefault(detector.upper(), set()).add(stain)
    sure = {detector: min(found) for detector, found in stains.items() if len(found) == 1}
    shared = tuple(
        replace(channel, marker=sure.get(channel.detector.upper())) for channel in channels
    )
    if not any(channel.marker for channel in shared):
        return shared, ()
    return shared, ("stains_from_dataset: the stains are those of data set 1",)
