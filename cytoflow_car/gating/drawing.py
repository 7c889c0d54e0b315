"""Draw gates from labels: where an expert labelled events but left no gates.

A population is drawn as a short chain of polygons, each on the two markers on which it can be told
best from what the chain has left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import ndimage

from cytoflow_car.gating.confidence import Mask
from cytoflow_car.gating.membership import members
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import Dimension, PolygonGate
from cytoflow_car.model.panel import PreparedEvents

_BINS = 100
_SMOOTHING = 1.5
_MOST_VERTICES = 40
#: A further gate must raise the agreement by so much.
_LEAST_GAIN = 0.003
_MOST_GATES = 4
#: Chains that are followed at a time.
_BEAM = 3
#: What an event of the others weighs against one of the population: evenly, and so that dim
#: members stay for a later gate to keep.
_WEIGHTS_OF_OTHERS = (1.0, 0.3)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFile:
    """Events of one file and who of them belongs to a population.

    Attributes
    ----------
    wanted
        (n_events,) bool.
    """

    prepared: PreparedEvents
    wanted: Mask


@dataclass(frozen=True, slots=True)
class DrawnChain:
    """Gates one below the other that tell a population.

    Attributes
    ----------
    gates
        For each step one polygon a file, all on the same two markers.
    agreement
        Mean F1 of the last step with the labels.
    """

    gates: tuple[tuple[PolygonGate, ...], ...]
    agreement: float


def draw_chain(files: Sequence[LabelledFile], markers: Sequence[str]) -> DrawnChain:
    """Draw a population as a chain of polygons.

    Parameters
    ----------
    files
        At least one, each with at least one event of the population.
    markers
        Axes to choose from, at least two.

    Returns
    -------
    The chain with the highest mean agreement over files that was found by a beam search; without
    any gate where no pair of markers tells the population at all.
    """
    start = tuple(np.arange(len(item.prepared), dtype=np.intp) for item in files)
    followed: list[tuple[DrawnChain, tuple[Rows, ...]]] = [(DrawnChain((), 0.0), start)]
    best = followed[0][0]
    for _ in range(_MOST_GATES):
        longer = [
            step
            for chain, rows in followed
            for pair in combinations(markers, 2)
            for step in _lengthened(chain, rows, files, pair)
        ]
        longer.sort(key=lambda step: -step[0].agreement)
        if not longer or longer[0][0].agreement < best.agreement + _LEAST_GAIN:
            break
        best, followed = longer[0][0], longer[:_BEAM]
    return best


def _lengthened(
    chain: DrawnChain,
    rows: tuple[Rows, ...],
    files: Sequence[LabelledFile],
    pair: tuple[str, str],
) -> Iterator[tuple[DrawnChain, tuple[Rows, ...]]]:
    for weight in _WEIGHTS_OF_OTHERS:
        drawn = [_draw(item, own, pair, weight) for item, own in zip(files, rows, strict=True)]
        gates = tuple(item[0] for item in drawn if item is not None)
        left = tuple(item[1] for item in drawn if item is not None)
        if len(gates) < len(files):
            continue
        found = [_agreement(item.wanted, own) for item, own in zip(files, left, strict=True)]
        yield DrawnChain((*chain.gates, gates), float(np.mean(found))), left


def _agreement(wanted: Mask, rows: Rows) -> float:
    return 2.0 * int(np.count_nonzero(wanted[rows])) / (rows.size + int(np.count_nonzero(wanted)))


def _draw(
    file: LabelledFile, rows: Rows, pair: tuple[str, str], weight: float
) -> tuple[PolygonGate, Rows] | None:
    """Draw the region where the population outweighs the others; the largest if it has several."""
    # Comes with flowkit's own needs; only drawing asks for it.
    import contourpy

    wanted = file.wanted[rows]
    if not wanted.any():
        return None
    dimensions = tuple(Dimension(name, file.prepared.scales[name]) for name in pair)
    points = np.stack(
        [item.scale.forward(file.prepared.values(item.marker, rows)) for item in dimensions]
    )
    finite = np.isfinite(points).all(axis=0)
    low, high = np.quantile(points[:, finite], [0.0005, 0.9995], axis=1)
    margin = 0.02 * (high - low) + 1e-6
    low, step = low - margin, (high - low + 2.0 * margin) / _BINS
    cells = np.clip((points[:, finite] - low[:, None]) / step[:, None], 0, _BINS - 1).astype(
        np.intp
    )
    flat = cells[0] * _BINS + cells[1]
    own, others = (_smooth(flat[side]) for side in (wanted[finite], ~wanted[finite]))
    least = 1e-4 * own.max()
    surplus = (own - weight * others - least) / (own + weight * others + least)
    # A border of "others" closes what reaches the edge.
    bordered = np.pad(surplus, 1, constant_values=-1.0).T
    # One line a region, as (n, 2) points, is what this type of line promises.
    lines = contourpy.contour_generator(z=bordered, line_type="Separate").lines(0.0)
    found: list[tuple[float, PolygonGate, Rows]] = []
    for line in sorted((np.asarray(line) for line in lines), key=len)[-3:]:
        corners = line[:-1][:: max(1, len(line) // _MOST_VERTICES)]
        if len(corners) < 3:
            continue
        gate = PolygonGate(
            (dimensions[0], dimensions[1]), _vertices(low + (corners - 0.5) * step, dimensions)
        )
        inside = rows[members(gate, file.prepared, rows)]
        found.append((_agreement(file.wanted, inside), gate, inside))
    if not found:
        return None
    _, gate, inside = max(found, key=lambda item: item[0])
    return gate, inside


def _smooth(flat: Rows) -> Values:
    counts = np.bincount(flat, minlength=_BINS**2).reshape(_BINS, _BINS)
    return np.asarray(ndimage.gaussian_filter(counts.astype(np.float64), _SMOOTHING))


def _vertices(scaled: Values, dimensions: tuple[Dimension, ...]) -> tuple[tuple[float, float], ...]:
    columns = [item.scale.inverse(scaled[:, axis]).tolist() for axis, item in enumerate(dimensions)]
    return tuple((float(f"{x:.6g}"), float(f"{y:.6g}")) for x, y in zip(*columns, strict=True))
