"""Which channel carries which marker of a template."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from cytoflow_car.errors import PanelError
from cytoflow_car.model.events import Channel
from cytoflow_car.model.panel import Marker

_COMPENSATED_PREFIX = re.compile(r"^(fj)?comp-", re.IGNORECASE)
_PULSE = re.compile(r"-[AHW]$", re.IGNORECASE)


def assign_markers(channels: Sequence[Channel], markers: Sequence[Marker]) -> dict[str, int]:
    """Find the channel of every marker.

    A channel's own stain (``$PnS``, or a stain inside ``$PnN``) decides; the detector alone counts
    only where the channel carries no stain. Case, punctuation, ``FJComp-`` and pulse endings are
    understood; of several pulse measures of one detector the area is taken unless the template
    names another.

    Returns
    -------
    Column by marker name; optional markers that the file lacks are left out.

    Raises
    ------
    PanelError
        A marker is missing, or several channels fit it, or one channel fits several markers.
    """
    columns: dict[str, int] = {}
    for marker in markers:
        fitting = _fitting(channels, marker)
        if len(fitting) > 1:
            raise PanelError(
                f"{len(fitting)} channels fit marker {marker.name}: "
                + ", ".join(_describe(channels[index]) for index in fitting),
                expected="one",
                advice="Name the detector in the template, or remove the spelling that is too wide",
            )
        if fitting:
            columns[marker.name] = fitting[0]
        elif not marker.optional:
            raise _missing(channels, marker)
    taken: dict[int, str] = {}
    for name, index in columns.items():
        if index in taken:
            raise PanelError(
                f"channel {_describe(channels[index])} fits both {taken[index]} and {name}",
                expected="one marker a channel",
                advice="Correct the accepted spellings in the template",
            )
        taken[index] = name
    return columns


def is_compensated(detector: str) -> bool:
    """Tell whether a detector's name says that its values are compensated (``FJComp-PE-A``)."""
    return bool(_COMPENSATED_PREFIX.match(detector.strip()))


def bare_detector(detector: str) -> str:
    """Return a detector name in upper case without ``FJComp-`` and punctuation."""
    return _compact(_COMPENSATED_PREFIX.sub("", detector.strip()))


def _fitting(channels: Sequence[Channel], marker: Marker) -> list[int]:
    stained = [
        index
        for index, channel in enumerate(channels)
        if any(_carries(channel, stain) for stain in marker.stains)
    ]
    if stained:
        return _prefer_area(channels, stained, marker)
    wanted = {bare_detector(detector) for detector in marker.detectors}
    by_detector = [
        index
        for index, channel in enumerate(channels)
        if bare_detector(channel.detector) in wanted and not _has_own_stain(channel)
    ]
    return _prefer_area(channels, by_detector, marker)


def _prefer_area(channels: Sequence[Channel], fitting: list[int], marker: Marker) -> list[int]:
    if len(fitting) < 2:
        return fitting
    wanted = {bare_detector(detector) for detector in marker.detectors}
    named = [index for index in fitting if bare_detector(channels[index].detector) in wanted]
    if named:
        return named
    stems = {_compact(_PULSE.sub("", channels[index].detector)) for index in fitting}
    area = [index for index in fitting if channels[index].detector.upper().endswith("-A")]
    return area if len(stems) == 1 and area else fitting


def _has_own_stain(channel: Channel) -> bool:
    if not channel.marker:
        return False
    return bare_detector(channel.marker) != bare_detector(channel.detector)


def _carries(channel: Channel, stain: str) -> bool:
    """Tell whether a stain stands as whole words in the channel's names."""
    wanted = _compact(stain)
    for text in (channel.marker or "", _COMPENSATED_PREFIX.sub("", channel.detector)):
        words = re.findall(r"[^\W_]+", text)
        for first in range(len(words)):
            for last in range(first + 1, len(words) + 1):
                if "".join(words[first:last]).upper() == wanted:
                    return True
    return False


def _compact(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).upper()


def _missing(channels: Sequence[Channel], marker: Marker) -> PanelError:
    spellings = [*marker.stains, *marker.detectors]
    names = {
        name: channel for channel in channels for name in (channel.marker, channel.detector) if name
    }
    near = dict.fromkeys(
        match
        for spelling in spellings
        for match in difflib.get_close_matches(spelling, names, n=2, cutoff=0.5)
    )
    occupied = [
        channel
        for channel in channels
        if bare_detector(channel.detector) in {bare_detector(item) for item in marker.detectors}
    ]
    hints = [f"{_describe(channel)} is taken by another stain" for channel in occupied]
    if near:
        hints.append(f"nearest: {', '.join(near)}")
    return PanelError(
        f"no channel for marker {marker.name}; the file has "
        + ", ".join(_describe(channel) for channel in channels),
        expected=" or ".join(spellings),
        advice="; ".join(hints)
        or "Add this file's spelling to the template's marker, or use the template of its panel",
    )


def _describe(channel: Channel) -> str:
    return f"{channel.detector} ({channel.marker})" if channel.marker else channel.detector
