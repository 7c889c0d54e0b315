"""Drift: where gates and stable populations lie in each batch, against the other batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cytoflow_car.model.events import Values
from cytoflow_car.model.gate import (
    BooleanGate,
    ClusterGate,
    EllipsoidGate,
    Gate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.scale import Scale

Rule = Literal["1_2s", "1_3s", "2_2s", "4_1s", "10_x"]

#: Of each rule: so many in a row, each more than so many standard deviations off to one side.
RULES: dict[Rule, tuple[int, float]] = {
    "1_2s": (1, 2.0),
    "1_3s": (1, 3.0),
    "2_2s": (2, 2.0),
    "4_1s": (4, 1.0),
    "10_x": (10, 0.0),
}

#: What the median absolute deviation of 2 to 9 normal values is multiplied by beside 1.4826, so
#: that it is a standard deviation on average.
_SMALL_SAMPLES = (1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)


@dataclass(frozen=True, slots=True)
class DriftSetting:
    """When a batch or a specimen lies too far from the others.

    Attributes
    ----------
    rules
        Rules by name; a batch that breaks one is flagged. A specimen is judged by those that need
        one value only.
    least_sd
        A standard deviation counts as at least this, in scale units (1 is the whole axis): runs
        that happen to be more alike say nothing of the others.
    least_batches, least_specimens
        With fewer nothing is judged.
    least_events
        The median of a population with fewer events is not taken.
    populations
        Markers whose median is followed, by population.
    """

    rules: tuple[Rule, ...] = ("1_3s", "2_2s")
    least_sd: float = 0.007
    least_batches: int = 6
    least_specimens: int = 10
    least_events: int = 200
    populations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """Where one edge of a gate, or one median, lies in one specimen.

    Attributes
    ----------
    item
        What it is, in words.
    sample_id, batch
        The specimen; `batch` is empty where the sheet names none.
    at
        Scale units, on a scale that all specimens share.
    """

    item: str
    sample_id: str
    batch: str
    at: float


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """How far a batch, or one specimen, lies from the others.

    Attributes
    ----------
    item
        What was looked at.
    batch, sample_id
        The batch; or the specimen, and then `batch` is its own.
    deviations
        Distance from the center in standard deviations; None where it was not judged.
    shift
        The same in scale units; None where it was not judged.
    broken
        Rules that are broken.
    compared
        With what, or why nothing was judged, in words.
    """

    item: str
    batch: str
    sample_id: str
    deviations: float | None
    shift: float | None
    broken: tuple[Rule, ...]
    compared: str


def edge_positions(gate: Gate, scales: Mapping[str, Scale]) -> dict[str, float]:
    """Return where a gate lies, by edge in words (``"CD3 from"``), in scale units.

    Finite bounds of a rectangle, dividers of a quadrant, the center of an ellipsoid and the
    centroid of a polygon. A combination has no place.

    Parameters
    ----------
    scales
        By marker; an axis without one is left out.
    """
    match gate:
        case RectangleGate():
            points = {"from": gate.lower, "to": gate.upper}
        case QuadrantGate():
            points = {"divider": gate.dividers}
        case EllipsoidGate():
            points = {"center": gate.center}
        case PolygonGate():
            return _polygon_position(gate, scales)
        case BooleanGate() | ClusterGate():
            return {}
    return {
        f"{dimension.marker} {word}": float(scales[dimension.marker].forward(np.asarray([at]))[0])
        for word, point in points.items()
        for dimension, at in zip(gate.dimensions, point, strict=True)
        if np.isfinite(at) and dimension.marker in scales
    }


def find_drift(
    positions: Iterable[Position], batches: Sequence[str], setting: DriftSetting
) -> Iterator[DriftFinding]:
    """Judge every batch and every specimen of one instrument against the others.

    The center is the median of all batches, and the standard deviation comes from their median
    absolute deviation; it is no smaller than what the spread of specimens within a batch leaves in
    the batch's own median. The batch that is judged is among them: a few that drifted move neither.

    Parameters
    ----------
    positions
        Of one template on one instrument; in no particular order.
    batches
        In the order of time, for the rules that look at several in a row.

    Yields
    ------
    Every batch of every item; then the specimens that break a rule of one value. Of an item that
    lies at one place everywhere there is nothing to tell.

    References
    ----------
    Levey & Jennings, American Journal of Clinical Pathology 20 (1950) 1059-1066, for the chart.
    Westgard, Barry, Hunt & Groth, Clinical Chemistry 27 (1981) 493-501, for the rules.
    Croux & Rousseeuw, Computational Statistics 1 (1992) 411-428, for the factors of small samples.
    """
    by_item: dict[str, list[Position]] = {}
    for position in positions:
        by_item.setdefault(position.item, []).append(position)
    for item, found in by_item.items():
        found.sort(key=lambda position: position.sample_id)
        if np.ptp([position.at for position in found]) > 0:
            yield from _judge_batches(item, found, batches, setting)
            yield from _judge_specimens(item, found, setting)


def _judge_batches(
    item: str, found: list[Position], batches: Sequence[str], setting: DriftSetting
) -> Iterator[DriftFinding]:
    of_batch = {
        batch: np.asarray([position.at for position in found if position.batch == batch])
        for batch in batches
    }
    of_batch = {batch: values for batch, values in of_batch.items() if values.size}
    if len(of_batch) < setting.least_batches:
        if of_batch:
            few = f"not judged: {len(of_batch)} of at least {setting.least_batches} batches"
            yield DriftFinding(item, "", "", None, None, (), few)
        return
    medians = np.asarray([np.median(values) for values in of_batch.values()])
    inner = np.concatenate([v - np.median(v) for v in of_batch.values() if v.size > 1] or [[]])
    # The spread within batches leaves this in a median of n (1.2533 = square root of pi / 2).
    left = [1.2533 * _spread(inner) / np.sqrt(values.size) for values in of_batch.values()]
    shifts = medians - np.median(medians)
    deviations = shifts / np.maximum(max(_spread(medians), setting.least_sd), left)
    for number, (batch, values) in enumerate(of_batch.items()):
        yield DriftFinding(
            item,
            batch,
            "",
            float(deviations[number]),
            float(shifts[number]),
            tuple(rule for rule in setting.rules if _breaks(rule, deviations[: number + 1])),
            f"{values.size} specimen{'s' if values.size > 1 else ''} against {len(medians)} "
            "batches",
        )


def _judge_specimens(
    item: str, found: list[Position], setting: DriftSetting
) -> Iterator[DriftFinding]:
    if len(found) < setting.least_specimens:
        return
    at = np.asarray([position.at for position in found])
    shifts = at - np.median(at)
    deviations = shifts / max(_spread(at), setting.least_sd)
    for position, shift, deviation in zip(found, shifts, deviations, strict=True):
        broken = tuple(
            rule
            for rule in setting.rules
            if RULES[rule][0] == 1 and _breaks(rule, np.asarray([deviation]))
        )
        if broken:
            yield DriftFinding(
                item,
                position.batch,
                position.sample_id,
                float(deviation),
                float(shift),
                broken,
                f"against {at.size} specimens",
            )


def _spread(values: Values) -> float:
    """Return a robust standard deviation; 0 of fewer than two values."""
    if values.size < 2:
        return 0.0
    deviation = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    if values.size <= len(_SMALL_SAMPLES) + 1:
        return _SMALL_SAMPLES[values.size - 2] * deviation
    return values.size / (values.size - 0.8) * deviation


def _breaks(rule: Rule, deviations: Values) -> bool:
    """Tell whether the last value, with those before it, breaks a rule."""
    n_in_row, limit = RULES[rule]
    last = deviations[-n_in_row:]
    return last.size == n_in_row and bool((last > limit).all() or (last < -limit).all())


def _polygon_position(gate: PolygonGate, scales: Mapping[str, Scale]) -> dict[str, float]:
    if any(dimension.marker not in scales for dimension in gate.dimensions):
        return {}
    x, y = (
        scales[dimension.marker].forward(np.asarray(coordinates))
        for dimension, coordinates in zip(
            gate.dimensions, zip(*gate.vertices, strict=True), strict=True
        )
    )
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = float(cross.sum()) / 2.0
    # Edges that cross, or a polygon without area, leave the mean of the corners.
    if abs(area) > 1e-9:
        center = [float(((c + np.roll(c, -1)) * cross).sum() / (6.0 * area)) for c in (x, y)]
    else:
        center = [float(np.mean(c)) for c in (x, y)]
    return {
        f"{dimension.marker} center": at
        for dimension, at in zip(gate.dimensions, center, strict=True)
    }
