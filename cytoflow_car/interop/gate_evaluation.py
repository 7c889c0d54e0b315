"""Who lies in the gates of another program, by our own gates and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import InteropError
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.interop.gate_set import (
    FILE,
    UNCOMPENSATED,
    GateColumn,
    GateSet,
    NamedGate,
    Path,
    split_path,
)
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Rows, Sample, Values
from cytoflow_car.model.gate import BooleanGate, QuadrantGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.preprocess.compensation import compensate

Mask = npt.NDArray[np.bool_]


def evaluate_gates(gate_set: GateSet, sample: Sample) -> dict[Path, Mask]:
    """Tell who lies in each population of a gate set, each within its parent.

    Returns
    -------
    By path, (n_events,) bool of all events, those that quality control would mark included.

    Raises
    ------
    InteropError
        A gate looks at a channel that the file lacks, or combines a gate that does not exist.
    """
    prepared = prepare_columns(gate_set, sample)
    everything = np.arange(len(sample.events), dtype=np.intp)
    found: dict[Path, Mask] = {}
    waiting = list(gate_set.gates)
    while waiting:
        ready = [item for item in waiting if _needs(item) <= found.keys()]
        if not ready:
            raise InteropError(
                f"gate {'/'.join(waiting[0].path)!r} stands on or combines a gate that is missing",
                expected="every gate that is referred to",
            )
        for item in ready:
            if isinstance(item.gate, BooleanGate):
                inside = _combine(item.gate, found) ^ item.complement
                found[item.path] = inside & found[item.parent] if item.parent else inside
                continue
            rows = np.flatnonzero(found[item.parent]) if item.parent else everything
            mask = np.zeros(everything.size, dtype=bool)
            mask[rows[_lies_inside(item, prepared, rows)]] = True
            found[item.path] = mask
        waiting = [item for item in waiting if item.path not in found]
    return {item.path: found[item.path] for item in gate_set.gates}


def evaluate_within(gate_set: GateSet, sample: Sample, path: Path, rows: Rows) -> Mask:
    """Tell which of given events lie in one gate, whatever its parent holds.

    Parameters
    ----------
    rows
        Rows of the events that are asked about.

    Returns
    -------
    (n_rows,) bool.

    Raises
    ------
    KeyError
        The gate set has no such path.
    """
    item = {gate.path: gate for gate in gate_set.gates}[path]
    if isinstance(item.gate, BooleanGate):
        # What it combines stands in a tree; only its own parent is left out.
        return (_combine(item.gate, evaluate_gates(gate_set, sample)) ^ item.complement)[rows]
    used = {dimension.marker for dimension in item.gate.dimensions}
    columns = tuple(column for column in gate_set.columns if column.name in used)
    prepared = prepare_columns(replace(gate_set, columns=columns), sample)
    return _lies_inside(item, prepared, rows)


def prepare_columns(gate_set: GateSet, sample: Sample) -> PreparedEvents:
    """Return events whose columns are those of a gate set; they have no scale of their own."""
    compensated: dict[str, CompensatedEvents] = {}
    values = np.empty((len(sample.events), len(gate_set.columns)))
    for index, column in enumerate(gate_set.columns):
        if column.compensation not in compensated:
            matrix = (
                None
                if column.compensation == UNCOMPENSATED
                else sample.spillover
                if column.compensation == FILE
                else gate_set.matrices[column.compensation]
            )
            compensated[column.compensation] = compensate(sample.events, matrix)
        values[:, index] = _column(column, compensated[column.compensation])
    channels = tuple(Channel(column.name) for column in gate_set.columns)
    return PreparedEvents(
        CompensatedEvents(Events(values, channels), np.eye(len(channels))),
        {column.name: index for index, column in enumerate(gate_set.columns)},
        {},
    )


def find_channel(channels: Sequence[Channel], name: str) -> int:
    """Return the column that another program means by a name.

    By ``$PnN``, else by ``$PnS``, else by ``$PnN`` with the slashes that FlowJo makes underscores.

    Raises
    ------
    InteropError
        No channel, or several.
    """
    spellings = (
        [channel.detector for channel in channels],
        [channel.marker for channel in channels],
        [channel.detector.replace("/", "_") for channel in channels],
    )
    fitting: list[int] = []
    for spelled in spellings:
        fitting = [index for index, spelling in enumerate(spelled) if spelling == name]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            break
    raise InteropError(
        f"a gate looks at {name!r}, which is "
        + ("the name of several channels" if fitting else "no channel of the file"),
        expected="one of " + ", ".join(channel.detector for channel in channels),
    )


def _column(column: GateColumn, events: CompensatedEvents) -> Values:
    values = events.column(find_channel(events.channels, column.detector))
    if not column.divided_by:
        return values
    divisor = events.column(find_channel(events.channels, column.divided_by))
    with np.errstate(divide="ignore", invalid="ignore"):
        return column.factor * ((values - column.offset) / (divisor - column.divisor_offset))


def _lies_inside(item: NamedGate, prepared: PreparedEvents, rows: Rows) -> Mask:
    gate = item.gate
    if isinstance(gate, BooleanGate):
        raise TypeError("a boolean gate has no inside of its own")
    if not rows.size:
        return np.zeros(0, dtype=bool)
    inside = (
        quadrant_signs(gate, prepared, rows)[item.pattern]
        if isinstance(gate, QuadrantGate)
        else members(gate, prepared, rows)
    )
    return inside ^ item.complement


def _needs(item: NamedGate) -> set[Path]:
    parents = {item.parent} if item.parent else set()
    if isinstance(item.gate, BooleanGate):
        return parents | {split_path(name.removeprefix("!")) for name in item.gate.operands}
    return parents


def _combine(gate: BooleanGate, found: dict[Path, Mask]) -> Mask:
    masks = [
        found[split_path(name.removeprefix("!"))] ^ name.startswith("!") for name in gate.operands
    ]
    match gate.operation:
        case "not":
            return ~masks[0]
        case "and":
            return np.asarray(np.logical_and.reduce(masks), dtype=bool)
        case _:
            return np.asarray(np.logical_or.reduce(masks), dtype=bool)
