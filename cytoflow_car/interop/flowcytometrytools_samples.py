"""A `Sample` as an ``FCMeasurement`` of FlowCytometryTools, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cytoflow_car.errors import FcsDataError, InteropError, PanelError, SpilloverError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowcytometrytools_loading import load
from cytoflow_car.model.events import Channel, Events, Rows, Sample
from cytoflow_car.preprocess.compensation import compensate

if TYPE_CHECKING:
    from FlowCytometryTools import FCMeasurement
    from pandas import DataFrame

Naming = Literal["$PnS", "$PnN"]

_ORIGIN = "cytoflow_car"


@dataclass(frozen=True, slots=True, eq=False)
class _Origin:
    """The sample that a measurement was made of; it never changes, so copies share it."""

    sample: Sample
    compensated: bool
    channel_naming: Naming

    def __deepcopy__(self, memo: dict[int, Any]) -> _Origin:
        return self


def measurement_from_sample(
    sample: Sample,
    name: str,
    *,
    compensated: bool = False,
    channel_naming: Naming = "$PnS",
) -> FCMeasurement:
    """Make an ``FCMeasurement`` that holds the events of a sample in memory.

    Parameters
    ----------
    sample
        As read.
    name
        Its ``ID``, for example the well.
    compensated
        Apply the sample's own spillover; by default the values are uncompensated, as acquired.
    channel_naming
        Which names become the columns. As in FlowCytometryTools itself the other ones are taken
        where a channel has no such name or two have the same.

    Returns
    -------
    FCMeasurement
        ``data``: (n_events, n_channels), linear values, already divided by gain, decoded from
        logarithmic amplification and Time in seconds, as in `Sample`: FlowCytometryTools, reading
        the file itself, would do none of this. ``channels`` says so (``$PnG`` 1, ``$PnE`` 0,0),
        ``meta["stage"]`` is ``"RAW"`` or ``"COMPENSATED"``. Of the file's keywords nothing else
        goes with it: no names, numbers, dates, comments or paths.

    Raises
    ------
    SpilloverError
        `compensated` of a sample that states no spillover, or one that cannot be used.
    PanelError
        Two channels have the same name by ``$PnS`` as well as by ``$PnN``.
    InteropError
        FlowCytometryTools cannot be loaded.
    """
    bare = replace(sample, acquired_on=None, began_at=None, ended_at=None)
    origin = _Origin(bare, compensated, channel_naming)
    measurement = load().FCMeasurement(name, readmeta=False)
    measurement.set_meta(_tell(origin))
    measurement.set_data(_frame(origin))
    return measurement


def sample_from_measurement(measurement: FCMeasurement) -> Sample:
    """Return the events that a measurement holds, as a sample.

    A measurement of a file is read from that file by this package, so that the values are linear;
    one that `measurement_from_sample` made gives back its sample, without dates. Gating and
    subsampling are kept: the events that are left, in the order of acquisition, and a flag
    ``subset`` that counts them.

    Raises
    ------
    InteropError
        Its values are not those that were acquired, because they were transformed, compensated or
        set by hand; or there is neither a file nor a sample that they came from.
    FcsError
        Its file cannot be read; `FcsDataError` when the two programs find a different number of
        events in it.
    """
    if "transform" in [name for name, _ in (*measurement.history, *measurement.queue)]:
        raise _not_as_acquired("it was transformed")
    data = measurement.data
    if measurement.datafile is not None:
        original, sample = _read_again(measurement)
    else:
        # Its property `meta` would look for the file.
        origin = (measurement._meta or {}).get(_ORIGIN)
        if origin is None:
            raise _not_as_acquired("it has no file")
        if origin.compensated:
            raise _not_as_acquired("it was compensated")
        original, sample = _frame(origin), origin.sample
    if (
        not data.index.is_unique
        or not data.index.isin(original.index).all()
        or not original.loc[data.index].equals(data)
    ):
        raise _not_as_acquired("its values or channels were set by hand")
    if len(data) == len(original):
        return sample
    return _take(sample, np.sort(data.index.to_numpy()))


def _read_again(measurement: FCMeasurement) -> tuple[DataFrame, Sample]:
    """Read the measurement's file by FlowCytometryTools, to compare, and by this package."""
    dataset = measurement.readdata_kwargs.get("data_set", 0) + 1
    sample = read_fcs(measurement.datafile, dataset)
    original = load().FCMeasurement(
        measurement.ID,
        datafile=measurement.datafile,
        readmeta=False,
        readdata_kwargs=measurement.readdata_kwargs,
    )
    frame = original.data
    if len(frame) != len(sample.events):
        raise FcsDataError(
            f"FlowCytometryTools reads {len(frame)} events, cytoflow-car {len(sample.events)}",
            where="FCMeasurement",
            expected="the same number, to know which event is which",
            advice="Read the file with read_fcs, and gate it anew.",
        )
    return frame, sample


def _take(sample: Sample, rows: Rows) -> Sample:
    values = sample.events.values[rows]
    values.setflags(write=False)
    flag = f"subset: FlowCytometryTools kept {rows.size} of {len(sample.events)} events"
    return replace(
        sample, events=Events(values, sample.events.channels), flags=(*sample.flags, flag)
    )


def _frame(origin: _Origin) -> DataFrame:
    # pandas takes half a second to import.
    from pandas import DataFrame

    events, spillover = origin.sample.events, origin.sample.spillover
    names = _column_names(events.channels, origin.channel_naming)
    if not origin.compensated:
        return DataFrame(np.array(events.values), columns=names)
    if spillover is None:
        raise SpilloverError("the sample states none", expected="a sample with spillover")
    compensated = compensate(events, spillover)
    columns = [compensated.column(index) for index in range(len(names))]
    return DataFrame(np.column_stack(columns), columns=names)


def _tell(origin: _Origin) -> dict[str, Any]:
    """Describe the measurement as FlowCytometryTools describes a file."""
    from pandas import DataFrame, RangeIndex

    events = origin.sample.events
    channels = DataFrame(
        [
            {
                "$PnN": channel.detector,
                "$PnS": channel.marker,
                "$PnR": f"{channel.range:.15g}",
                "$PnE": ["0", "0"],
                "$PnG": "1",
                "$PnV": None if channel.voltage is None else f"{channel.voltage:.15g}",
            }
            for channel in events.channels
        ],
        index=RangeIndex(1, len(events.channels) + 1, name="Channel Number"),
    )
    return {
        "$PAR": len(events.channels),
        "$TOT": len(events),
        "_channels_": channels,
        "_channel_names_": _column_names(events.channels, origin.channel_naming),
        "stage": "COMPENSATED" if origin.compensated else "RAW",
        _ORIGIN: origin,
    }


def _column_names(channels: tuple[Channel, ...], naming: Naming) -> tuple[str, ...]:
    detectors = tuple(channel.detector for channel in channels)
    markers = tuple(channel.marker or "" for channel in channels)
    for names in (markers, detectors) if naming == "$PnS" else (detectors, markers):
        if all(names) and len(set(names)) == len(names):
            return names
    raise PanelError("two channels of the same name", expected="names that tell the channels apart")


def _not_as_acquired(problem: str) -> InteropError:
    return InteropError(
        problem,
        where="FCMeasurement",
        expected="values as they were acquired, all or a part of the events",
        advice="Hand over the measurement from before that step.",
    )
