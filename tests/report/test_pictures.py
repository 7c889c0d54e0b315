"""The pictures of gates: what is drawn, and where."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cytoflow_car.gating.panels import Axis, GatePanel
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle, Scale
from cytoflow_car.report import plot
from cytoflow_car.report.pictures import REVIEW, draw_gates
from cytoflow_car.report.text import font, printable, shorten, wrap
from cytoflow_car.report.ticks import axis_ticks

HISTOGRAM = GatePanel(
    title="CD3+",
    parent="live",
    axes=(Axis("CD3", Logicle(), 0.0, 1.0),),
    counts=np.full(128, 100, dtype=np.int64),
    outlines=(np.asarray([[0.25]]),),
    labels=("CD3+ 75 %",),
    control=None,
    caption="valley: valley at 1200, 90% deep",
    sure=True,
    kept=(0.25, 1.0),
)
DENSITY = GatePanel(
    title="leukocytes",
    parent="live",
    axes=(Axis("CD45", Logicle(), 0.0, 1.0), Axis("SSC-A", Linear(), 0.0, 1.0)),
    counts=np.zeros((128, 128), dtype=np.int64),
    outlines=(np.asarray([[0.5, 0.5], [0.9, 0.5], [0.9, 0.9], [0.5, 0.9], [0.5, 0.5]]),),
    labels=("leukocytes 81.2 %",),
    control=None,
    caption="polygon: polygon fixed by the template",
    sure=True,
)


def pixels(image: Image.Image) -> npt.NDArray[np.int64]:
    """Pixels of an image, (height, width, 3)."""
    return np.asarray(image.convert("RGB")).astype(np.int64)


def sheet(*panels: GatePanel, title: str = "P1", **options: tuple[str, ...]) -> Image.Image:
    """The picture that is drawn of some panels."""
    return Image.open(io.BytesIO(draw_gates(title, panels, **options)))


def near(values: npt.NDArray[np.int64], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    """Tell which pixels are of a colour but for smoothing."""
    return np.asarray(np.abs(values - np.asarray(colour)).max(axis=-1) < 40)


def test_cut_stands_where_its_axis_says() -> None:
    drawn = pixels(plot.draw_plot(HISTOGRAM))
    columns = np.flatnonzero(near(drawn, plot.GATE)[100:250].all(axis=0))
    assert columns.size >= 1
    assert set(columns) <= {63, 64}


def test_kept_part_of_a_histogram_is_darker() -> None:
    grey = pixels(plot.draw_plot(HISTOGRAM))[240].mean(axis=1)
    assert grey[30] > grey[150] + 30


def test_outline_of_a_polygon_lies_on_its_corners_and_second_axis_runs_up() -> None:
    drawn = near(pixels(plot.draw_plot(DENSITY)), plot.GATE)
    rows, columns = np.nonzero(drawn)
    assert (columns.min(), columns.max()) == pytest.approx((128, 230), abs=2)
    assert (rows.min(), rows.max()) == pytest.approx((26, 128), abs=2)


def test_outline_far_outside_is_cut_off_at_the_plot() -> None:
    wide = replace(DENSITY, outlines=(np.asarray([[0.0, 0.0], [900.0, 300.0], [900.0, 1200.0]]),))
    assert near(pixels(plot.draw_plot(wide)), plot.GATE).any()


def test_bins_are_coloured_by_their_events() -> None:
    counts = np.zeros((128, 128), dtype=np.int64)
    counts[10, 20], counts[30, 20], counts[50, 20] = 1, 30, 900
    drawn = pixels(plot.draw_plot(replace(DENSITY, counts=counts, outlines=())))
    row = 255 - 2 * 20
    lightness = [drawn[row, 2 * column].sum() for column in (10, 30, 50)]
    assert tuple(drawn[row, 20]) == tuple(plot.COLOURS[0])
    assert tuple(drawn[row, 100]) == tuple(plot.COLOURS[255])
    assert lightness == sorted(lightness)
    assert (drawn[row, 2 * 70] == 255).all()


def test_colours_rise_in_lightness_in_even_steps() -> None:
    linear = (plot.COLOURS / 255.0) ** 2.2
    lightness = np.cbrt(linear @ np.asarray([0.2126, 0.7152, 0.0722]))
    steps = np.diff(lightness[::32])
    assert (steps > 0).all()
    assert steps.max() < 2 * steps.min()


def test_gate_and_control_also_read_in_grey() -> None:
    def grey(colour: tuple[int, int, int]) -> float:
        return float(np.asarray(colour) @ np.asarray([0.299, 0.587, 0.114]))

    assert max(grey(plot.GATE), grey(plot.CONTROL)) < 130


def test_control_curve_is_drawn_at_its_height_and_only_with_a_control() -> None:
    control = np.full(128, 25.0)
    drawn = near(
        pixels(plot.draw_plot(replace(HISTOGRAM, control=control, control_name="fmo P1_F"))),
        plot.CONTROL,
    )
    # 25 of 100 events is half the height under the square root.
    half = 256 - round(256 * plot.HISTOGRAM_TOP / 2)
    assert drawn[half - 3 : half + 3, 100].any()
    assert drawn[36:56].any()
    assert not near(pixels(plot.draw_plot(HISTOGRAM)), plot.CONTROL).any()


def test_labels_of_quadrants_stand_in_their_corners() -> None:
    cross = (np.asarray([[0.5, 0.0], [0.5, 1.0]]), np.asarray([[0.0, 0.5], [1.0, 0.5]]))
    quadrant = replace(
        DENSITY, outlines=cross, labels=("CD4 60 %", "CD8 40 %"), corners=("+-", "-+")
    )
    drawn = pixels(plot.draw_plot(quadrant))
    ink = near(drawn, plot.INK)
    assert ink[230:, 150:].any()
    assert ink[:25, :100].any()
    assert not ink[:25, 150:].any()
    assert not ink[230:, :100].any()


def test_review_is_written_only_on_panels_that_are_not_sure() -> None:
    sure, unsure = (
        pixels(sheet(HISTOGRAM, DENSITY)),
        pixels(sheet(HISTOGRAM, replace(DENSITY, sure=False))),
    )
    assert not near(sure, REVIEW).any()
    marked = near(unsure, REVIEW)
    body = marked[60:]
    width = marked.shape[1]
    assert body[:, width // 2 :].any()
    assert not body[:, : width // 2 - 10].any()
    assert marked[:40].any()


def test_few_events_are_drawn_in_wider_bins() -> None:
    few = np.zeros(128, dtype=np.int64)
    few[[10, 11, 64]] = [3, 4, 1]
    wide = plot.widen_bins(replace(HISTOGRAM, counts=few, control=np.ones(128)))
    assert wide.counts.shape == (32,)
    assert (wide.counts[2], wide.counts[16], wide.counts.sum()) == (7, 1, 8)
    assert wide.control is not None
    assert wide.control.tolist() == [4.0] * 32
    assert plot.widen_bins(HISTOGRAM).counts.shape == (128,)
    dots = np.zeros((128, 128), dtype=np.int64)
    dots[100, 40] = 5
    assert plot.widen_bins(replace(DENSITY, counts=dots)).counts[50, 20] == 5


@pytest.mark.parametrize("panel", [HISTOGRAM, DENSITY])
def test_panel_without_events_is_drawn(panel: GatePanel) -> None:
    empty = replace(panel, counts=np.zeros_like(panel.counts), outlines=())
    middle = pixels(plot.draw_plot(empty))[118:138, 90:170]
    assert (middle.min(axis=2) < 130).any()


def test_sheet_without_panels_and_with_notes() -> None:
    assert sheet(notes=("QC: nothing marked",)).size[0] > 600


def test_same_input_gives_the_same_bytes() -> None:
    panels = (HISTOGRAM, replace(DENSITY, sure=False))
    assert draw_gates("P1", panels) == draw_gates("P1", panels)


def test_long_names_stay_inside_their_cell() -> None:
    long = "a_population_with_a_very_long_name " * 6
    busy = replace(
        HISTOGRAM,
        title=long,
        parent=long,
        labels=(long + "3.1 %",),
        caption=long,
        axes=(Axis(long, Logicle(), 0.0, 1.0),),
        control=np.full(128, 3.0),
        control_name=long,
    )
    with_long, plain = sheet(busy, HISTOGRAM, title=long), sheet(HISTOGRAM, HISTOGRAM)
    assert with_long.size == plain.size
    half = plain.size[0] // 2 + 4
    assert (pixels(with_long)[60:, half:] == pixels(plain)[60:, half:]).all()


@pytest.mark.parametrize(
    ("scale", "low", "high", "expected"),
    [
        (Logicle(), -0.3, 1.0, {"-10^3", "0", "10^3", "10^4", "10^5"}),
        (Asinh(), -0.3, 1.0, {"0", "10^3", "10^4", "10^5"}),
        (Log(), 0.0, 1.0, {"10^1", "10^2", "10^3", "10^4", "10^5"}),
        (Linear(), 0.0, 1.0, {"0", "100K", "200K"}),
    ],
)
def test_ticks_are_in_data_units(scale: Scale, low: float, high: float, expected: set[str]) -> None:
    ticks = [tick for tick in axis_ticks(Axis("CD3", scale, low, high), 0.09) if tick.label]
    named = {tick.label + (f"^{tick.exponent}" if tick.exponent else "") for tick in ticks}
    assert expected <= named
    for tick in ticks:
        value = float(tick.label.replace("K", "000"))
        if tick.exponent:
            value = np.sign(value) * 10.0 ** int(tick.exponent)
        at = (scale.forward(np.asarray([value]))[0] - low) / (high - low)
        assert tick.at == pytest.approx(at)


def test_labels_of_ticks_keep_their_distance() -> None:
    for low in np.linspace(-0.3, 0.7, 11):
        ticks = axis_ticks(Axis("CD3", Logicle(), float(low), float(low) + 0.3), 0.15)
        labelled = sorted(tick.at for tick in ticks if tick.label)
        assert len(labelled) >= 2
        assert min(np.diff(labelled)) >= 0.15 - 1e-9
        assert all(0 <= tick.at <= 1 for tick in ticks)


def test_signs_that_the_font_lacks_get_a_plain_form() -> None:
    missing = bytes(font(12).getmask("\uffff"))
    text = printable("cells/µL, 5 × 0.02 ± 1, α, é, ≥, Größe, 日")
    assert text == "cells/uL, 5 x 0.02 ± 1, alpha, e, >=, Grosse, ?"
    assert all(bytes(font(12).getmask(sign)) != missing for sign in text)


def test_text_fits_its_room() -> None:
    text = "valley at 1200, 90% deep; " * 10
    assert font(12).getlength(shorten(text, 12, 200)) <= 200
    lines = wrap(text, 12, 200, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(font(12).getlength(line) <= 200 for line in lines)
    assert wrap("short", 12, 200, 3) == ["short"]
