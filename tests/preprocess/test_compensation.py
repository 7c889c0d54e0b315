"""Compensation undoes spillover, and refuses matrices that cannot be undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from planted import Floats

from cytoflow_car.errors import SpilloverError
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Spillover
from cytoflow_car.preprocess.compensation import compensate, fluorescence_channels

DETECTORS = ("FSC-A", "PE-A", "APC-A", "FITC-A", "Time")


def events_of(values: Floats, detectors: tuple[str, ...] = DETECTORS) -> Events:
    return Events(values, tuple(Channel(detector) for detector in detectors))


def all_columns(events: CompensatedEvents) -> Floats:
    return np.column_stack([events.column(index) for index in range(len(events.channels))])


def spill(values: Floats, matrix: Floats, columns: list[int]) -> Floats:
    spilled = values.copy()
    spilled[:, columns] = values[:, columns] @ matrix
    return spilled


@settings(max_examples=50, deadline=None)
@given(
    values=arrays.arrays(np.float64, (40, 5), elements=st.floats(-1e3, 2.6e5)),
    off=arrays.arrays(np.float64, (3, 3), elements=st.floats(0, 0.3)),
)
def test_compensation_restores_what_was_spilled(values: Floats, off: Floats) -> None:
    matrix = np.eye(3) + off * (1 - np.eye(3))
    spillover = Spillover(("PE-A", "APC-A", "FITC-A"), matrix, "$SPILLOVER")
    restored = all_columns(compensate(events_of(spill(values, matrix, [1, 2, 3])), spillover))
    assert np.allclose(restored, values, rtol=1e-9, atol=1e-6)


MATRIX = np.asarray([[1.0, 0.2], [0.05, 1.0]])
VALUES = np.random.default_rng(1).lognormal(7, 1, (500, 5))


def test_detectors_are_found_by_name_in_any_order() -> None:
    spillover = Spillover(("FITC-A", "PE-A"), MATRIX, "$SPILLOVER")
    restored = all_columns(compensate(events_of(spill(VALUES, MATRIX, [3, 1])), spillover))
    assert np.allclose(restored, VALUES)


def test_channels_that_the_matrix_does_not_name_stay_as_they_are() -> None:
    spillover = Spillover(("PE-A", "FITC-A"), MATRIX, "$SPILLOVER")
    compensated = all_columns(compensate(events_of(VALUES), spillover))
    for column in (0, 2, 4):
        assert np.array_equal(compensated[:, column], VALUES[:, column])


def test_compensation_equals_flowutils() -> None:
    from flowutils.compensate import compensate as compensate_all

    theirs = compensate_all(VALUES, MATRIX, [1, 3])
    spillover = Spillover(("PE-A", "FITC-A"), MATRIX, "$SPILLOVER")
    assert np.allclose(all_columns(compensate(events_of(VALUES), spillover)), theirs)


def test_without_spillover_values_stay() -> None:
    assert np.array_equal(all_columns(compensate(events_of(VALUES), None)), VALUES)


def test_a_reader_cannot_change_the_matrix_that_was_used() -> None:
    compensated = compensate(events_of(VALUES), None)
    with pytest.raises(ValueError, match="read-only"):
        compensated.unmixing[0, 0] = 2.0


@pytest.mark.parametrize(
    ("in_file", "in_matrix"),
    [
        ("FJComp-PE-A", "PE-A"),
        ("PE-A", "FJComp-PE-A"),
        ("Comp-PE-A", "PE-A"),
        ("PE_A", "PE-A"),
        ("pe-a ", "PE-A"),
    ],
)
def test_known_spellings_of_a_detector_are_understood(in_file: str, in_matrix: str) -> None:
    detectors = ("FSC-A", in_file, "APC-A", "FITC-A", "Time")
    spillover = Spillover((in_matrix, "FITC-A"), MATRIX, "$SPILLOVER")
    events = events_of(spill(VALUES, MATRIX, [1, 3]), detectors)
    assert np.allclose(all_columns(compensate(events, spillover)), VALUES)


@pytest.mark.parametrize(
    ("detectors", "matrix", "message"),
    [
        (("PE-A", "BV421-A"), MATRIX, "'BV421-A' of the spillover fits 0 channels"),
        (("PE-A", "APC-A"), np.ones((2, 2)), "cannot be told apart"),
        (("PE-A", "APC-A"), np.asarray([[1, 1], [1, 1 + 1e-6]]), "condition number"),
        (("PE-A", "APC-A"), np.zeros((2, 2)), "condition number"),
        (("PE-A", "APC-A"), np.asarray([[1, np.nan], [0, 1]]), "no number"),
        (("PE-A", "APC-A"), np.asarray([[1, np.inf], [0, 1]]), "no number"),
        (("PE-A", "APC-A"), np.eye(3), "for 2 detectors"),
        (("PE-A", "PE-A"), MATRIX, "stands twice"),
        (("PE-A", "FJComp-PE-A"), MATRIX, "stands twice"),
    ],
)
def test_matrix_that_cannot_be_used_is_refused(
    detectors: tuple[str, ...], matrix: Floats, message: str
) -> None:
    spillover = Spillover(detectors, matrix, "matrix.csv")
    with pytest.raises(SpilloverError, match=message) as caught:
        compensate(events_of(VALUES), spillover)
    assert caught.value.where == "matrix.csv"


def test_detector_that_fits_two_channels_is_refused() -> None:
    detectors = ("FSC-A", "PE_A", "PE A", "FITC-A", "Time")
    spillover = Spillover(("PE-A", "FITC-A"), MATRIX, "$SPILLOVER")
    with pytest.raises(SpilloverError, match="fits 2 channels"):
        compensate(events_of(VALUES, detectors), spillover)


def test_fluorescence_is_told_from_scatter_width_and_time() -> None:
    names = ("FSC-A", "SSC-H", "FS INT", "Time", "HDR-T", "PE-A", "PE-W", "BV421-H", "Event #")
    channels = tuple(Channel(name) for name in names)
    assert fluorescence_channels(channels) == (5, 7)
