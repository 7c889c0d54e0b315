"""Which channel carries which marker, in the spellings that files use."""

from __future__ import annotations

import pytest

from cytoflow_car.errors import PanelError
from cytoflow_car.model.events import Channel
from cytoflow_car.model.panel import Marker
from cytoflow_car.preprocess.panel import assign_markers, bare_detector

CD19 = Marker("CD19", ("CD19",), ("PE-Cy7-A",))


def found(channels: list[Channel], marker: Marker = CD19) -> int | None:
    return assign_markers(channels, [marker]).get(marker.name)


@pytest.mark.parametrize(
    "stain",
    ["CD19", "CD19 PE-Cy7", "cd19", "CD-19", "CD 19", "PE-Cy7 CD19", "CD19:PE-Cy7", "CD19_PECy7"],
)
def test_stain_is_understood_in_common_spellings(stain: str) -> None:
    assert found([Channel("FSC-A"), Channel("B1-A", stain)]) == 1


def test_stain_inside_the_detector_name_is_understood() -> None:
    assert found([Channel("FSC-A"), Channel("FJComp-CD19 PE-Cy7-A")]) == 1


@pytest.mark.parametrize("stain", ["CD190", "CD1", "XCD19", "CD19a"])
def test_longer_and_shorter_names_are_other_markers(stain: str) -> None:
    optional = Marker("CD19", ("CD19",), optional=True)
    assert found([Channel("B1-A", stain)], optional) is None


@pytest.mark.parametrize(
    "detector", ["PE-Cy7-A", "FJComp-PE-Cy7-A", "Comp-PE-Cy7-A", "PE Cy7-A", "pe-cy7-a"]
)
@pytest.mark.parametrize("stain", [None, "", "PE-Cy7-A"])
def test_detector_counts_where_the_channel_has_no_stain(detector: str, stain: str | None) -> None:
    assert found([Channel("FSC-A"), Channel(detector, stain)]) == 1


def test_detector_with_another_stain_does_not_count() -> None:
    with pytest.raises(PanelError, match="no channel for marker CD19") as caught:
        found([Channel("FSC-A"), Channel("PE-Cy7-A", "CD8")])
    assert "PE-Cy7-A (CD8) is taken by another stain" in caught.value.advice


def test_stain_wins_over_detector() -> None:
    assert found([Channel("PE-Cy7-A"), Channel("APC-A", "CD19")]) == 1


def test_area_is_taken_of_several_pulse_measures() -> None:
    channels = [Channel(f"PE-Cy7-{pulse}", "CD19") for pulse in "HWA"]
    assert found(channels, Marker("CD19", ("CD19",))) == 2
    assert found(channels, Marker("CD19", ("CD19",), ("PE-Cy7-H",))) == 0


def test_missing_marker_names_what_the_file_has_and_what_is_near() -> None:
    with pytest.raises(PanelError) as caught:
        found([Channel("FSC-A"), Channel("APC-A", "CD19b")])
    message = str(caught.value)
    assert "FSC-A, APC-A (CD19b)" in message
    assert "nearest: CD19b" in message
    assert "CD19 or PE-Cy7-A" in caught.value.expected


def test_optional_marker_may_be_missing() -> None:
    markers = [Marker("CD3", ("CD3",)), Marker("CCR7", ("CCR7",), optional=True)]
    assert assign_markers([Channel("A-A", "CD3")], markers) == {"CD3": 0}


def test_two_channels_of_one_marker_are_refused() -> None:
    with pytest.raises(PanelError, match="2 channels fit marker CD19"):
        found([Channel("APC-A", "CD19"), Channel("BV421-A", "CD19")], Marker("CD19", ("CD19",)))


def test_one_channel_of_two_markers_is_refused() -> None:
    markers = [Marker("CD14", ("CD14",)), Marker("Dump", ("CD14", "CD235a"))]
    with pytest.raises(PanelError, match="fits both CD14 and Dump"):
        assign_markers([Channel("APC-A", "CD14")], markers)


def test_bare_detector() -> None:
    assert bare_detector(" FJComp-PE-Cy7-A") == bare_detector("pe cy7_a") == "PECY7A"
