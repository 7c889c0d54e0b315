"""Samples to measurements and back: the same events, no name of a patient, no silent change."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cytoflow_car.errors import FcsError, InteropError, PanelError, SpilloverError
from cytoflow_car.fcs import read_fcs, read_keywords, write_fcs
from cytoflow_car.interop.flowcytometrytools import measurement_from_sample, sample_from_measurement
from cytoflow_car.model.events import Channel, Events, Sample, Spillover
from cytoflow_car.preprocess.compensation import compensate

#: Detectors, beside Time, that need no scaling in any of the bundled files.
N_BUNDLED = 12


@pytest.fixture
def stained() -> Sample:
    """Return a made sample with spillover, a stain of its own and a date."""
    rng = np.random.default_rng(7)
    values = rng.normal(1000, 300, (500, 3)).astype(np.float32)
    channels = (
        Channel("FITC-A", "CD19", voltage=450.0),
        Channel("PE-A", "CD22", range=1024.0, gain=2.0),
        Channel("Time"),
    )
    spillover = Spillover(("FITC-A", "PE-A"), np.array([[1.0, 0.2], [0.05, 1.0]]), "$SPILLOVER")
    return Sample(
        Events(values, channels),
        "FCS3.1",
        spillover=spillover,
        time_channel=2,
        acquired_on="2024-03-31",
        began_at="08:30:00",
        ended_at="08:31:00",
        flags=("doubt: of some kind",),
    )


def test_every_bundled_file_is_read_to_the_same_events(theirs: ModuleType, bundled: Path) -> None:
    files = sorted(bundled.rglob("*.fcs"))
    assert len(files) == N_BUNDLED
    for path in files:
        data = theirs.FCMeasurement("", datafile=path, readmeta=False).data
        sample = read_fcs(path)
        expected = sample.events.values.copy()
        # It leaves Time in steps; no other channel of these files has a gain or a logarithm.
        step = float(read_keywords(path).get("$TIMESTEP", 1))
        assert all(channel.decades == 0 for channel in sample.events.channels)
        if sample.time_channel is not None and step != 1:
            seconds = (data.iloc[:, sample.time_channel].to_numpy(float) * step).astype(np.float32)
            np.testing.assert_array_equal(seconds, expected[:, sample.time_channel])
            data = data.drop(columns=data.columns[sample.time_channel])
            expected = np.delete(expected, sample.time_channel, axis=1)
        np.testing.assert_array_equal(data.to_numpy(), expected, err_msg=path.name)


def test_where_it_ignores_gain_ours_are_divided_by_it(
    theirs: ModuleType, tmp_path: Path, well_file: Path
) -> None:
    # The file says $P2G 1; a gain of 4 in as many characters changes nothing else.
    raw = well_file.read_bytes()
    begin = raw.index(b"$P2G") + len("$P2G") + 1
    assert raw[begin : begin + 1] == b"1"
    path = tmp_path / "gain.fcs"
    path.write_bytes(raw[:begin] + b"4" + raw[begin + 1 :])
    data = theirs.FCMeasurement("", datafile=path, readmeta=False).data
    ours = read_fcs(path)
    np.testing.assert_array_equal(data.iloc[:, 1].to_numpy() / 4, ours.events.values[:, 1])
    np.testing.assert_array_equal(
        measurement_from_sample(ours, "gain").data.to_numpy(), ours.events.values
    )


def test_a_sample_comes_back_as_it_went_but_for_its_dates(
    theirs: ModuleType, stained: Sample
) -> None:
    measurement = measurement_from_sample(stained, "A1")
    assert isinstance(measurement, theirs.FCMeasurement)
    back = sample_from_measurement(measurement)
    assert back == replace(stained, acquired_on=None, began_at=None, ended_at=None)


def test_a_measurement_carries_values_channels_and_stage(
    theirs: ModuleType, stained: Sample
) -> None:
    measurement = measurement_from_sample(stained, "A1")
    np.testing.assert_array_equal(measurement.data.to_numpy(), stained.events.values)
    assert list(measurement.channels["$PnN"]) == ["FITC-A", "PE-A", "Time"]
    assert list(measurement.channels["$PnS"])[:2] == ["CD19", "CD22"]
    assert list(measurement.channels["$PnR"]) == ["262144", "1024", "262144"]
    # The values were divided by gain already.
    assert list(measurement.channels["$PnG"]) == ["1"] * 3
    assert measurement.meta["stage"] == "RAW"
    # Time has no $PnS, so that $PnN names the columns, as when it reads a file.
    assert list(measurement.data.columns) == ["FITC-A", "PE-A", "Time"]


def test_a_script_may_write_into_its_own_data(theirs: ModuleType, well_file: Path) -> None:
    sample = read_fcs(well_file)
    measurement = measurement_from_sample(sample, "A3")
    measurement.data.iloc[0, 1] = -1.0
    assert measurement.data.iloc[0, 1] == -1.0 != sample.events.values[0, 1]


@pytest.mark.parametrize("naming", ["$PnS", "$PnN"])
def test_channels_are_named_as_in_a_file_that_it_reads_itself(
    naming: str, theirs: ModuleType, well_file: Path
) -> None:
    its_own = theirs.FCMeasurement(
        "", datafile=well_file, readdata_kwargs={"channel_naming": naming}
    )
    ours = measurement_from_sample(read_fcs(well_file), "", channel_naming=naming)
    assert tuple(ours.channel_names) == tuple(its_own.channel_names)
    assert list(ours.data.columns) == list(its_own.data.columns)
    assert list(ours.channels["$PnR"]) == list(its_own.channels["$PnR"])


def test_compensated_values_say_so_and_do_not_come_back(
    theirs: ModuleType, stained: Sample
) -> None:
    measurement = measurement_from_sample(stained, "A1", compensated=True)
    compensated = compensate(stained.events, stained.spillover)
    np.testing.assert_array_equal(measurement.data["PE-A"], compensated.column(1))
    assert measurement.meta["stage"] == "COMPENSATED"
    with pytest.raises(InteropError, match="compensated"):
        sample_from_measurement(measurement)
    with pytest.raises(SpilloverError):
        measurement_from_sample(replace(stained, spillover=None), "A1", compensated=True)


def test_nothing_that_identifies_a_person_goes_with_it(theirs: ModuleType, tmp_path: Path) -> None:
    events = Events(np.ones((4, 1), dtype=np.float32), (Channel("FITC-A", "CD19"),))
    path = tmp_path / "Doe_John.fcs"
    write_fcs(path, events, keywords={"$SMNO": "Doe 4711", "$DATE": "31-MAR-2024", "NAME": "Doe"})
    content = pickle.dumps(measurement_from_sample(read_fcs(path), "A1"))
    for word in (b"Doe", b"4711", b"2024"):
        assert word not in content


def test_a_copy_saved_and_loaded_still_knows_its_sample(
    theirs: ModuleType, stained: Sample, tmp_path: Path
) -> None:
    path = tmp_path / "measurement"
    measurement_from_sample(stained, "A1").save(str(path))
    back = sample_from_measurement(theirs.FCMeasurement.load(str(path)))
    np.testing.assert_array_equal(back.events.values, stained.events.values)
    assert back.events.channels == stained.events.channels


def test_gated_events_come_back_from_their_file_as_this_package_reads_it(
    theirs: ModuleType, bundled: Path
) -> None:
    (path,) = (bundled / "FlowCytometers").rglob("*.fcs")
    whole = read_fcs(path)
    measurement = theirs.FCMeasurement("D6", datafile=path)
    np.testing.assert_array_equal(
        sample_from_measurement(measurement).events.values, whole.events.values
    )
    gated = measurement.gate(theirs.ThresholdGate(50_000.0, "SSC-A", "above"))
    column = whole.events.detectors.index("SSC-A")
    rows = np.flatnonzero(whole.events.values[:, column] >= 50_000.0)
    assert 0 < rows.size < len(whole.events)
    for left in (gated, gated.subsample(rows.size)):  # in random order
        back = sample_from_measurement(left)
        np.testing.assert_array_equal(back.events.values, whole.events.values[rows])
        assert back.flags == (
            *whole.flags,
            f"subset: FlowCytometryTools kept {rows.size} of {len(whole.events)} events",
        )


def test_what_was_changed_is_refused(theirs: ModuleType, well_file: Path, stained: Sample) -> None:
    from_file = theirs.FCMeasurement("A3", datafile=well_file)
    for measurement in (from_file, measurement_from_sample(stained, "A1")):
        channel = measurement.channel_names[1]
        transformed = measurement.transform("glog", channels=[channel], l=100.0)
        queued = measurement.transform("glog", channels=[channel], l=100.0, apply_now=False)
        for changed in (transformed, queued):
            with pytest.raises(InteropError, match="transformed"):
                sample_from_measurement(changed)
        by_hand = measurement.copy()
        data = measurement.data.copy()
        data.loc[3, channel] += 1
        by_hand.data = data
        less = measurement.copy()
        less.data = measurement.data[[channel]]
        for changed in (by_hand, less):
            with pytest.raises(InteropError, match="by hand"):
                sample_from_measurement(changed)


def test_a_measurement_of_nothing_is_refused(theirs: ModuleType, well_file: Path) -> None:
    data = theirs.FCMeasurement("", datafile=well_file).data
    made = theirs.FCMeasurement("made", readmeta=False)
    made.data = data
    with pytest.raises(InteropError, match="no file"):
        sample_from_measurement(made)
    lost = theirs.FCMeasurement("lost", datafile=str(well_file) + ".gone", readmeta=False)
    lost.data = data
    with pytest.raises(FcsError):
        sample_from_measurement(lost)


def test_channels_that_cannot_be_told_apart_are_refused(theirs: ModuleType) -> None:
    twice = Sample(Events(np.ones((4, 2)), (Channel("P"), Channel("P"))), "FCS3.1")
    with pytest.raises(PanelError):
        measurement_from_sample(twice, "A1")
