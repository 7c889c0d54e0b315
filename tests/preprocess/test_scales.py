"""Scales against flowkit, their inverses, and the estimated width."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoflow_car.errors import ScaleError
from cytoflow_car.model.events import Channel
from cytoflow_car.model.scale import Asinh, Linear, Log, Logicle, Scale
from cytoflow_car.preprocess.scales import (
    ScaleSetting,
    estimate_width,
    needs_values,
    resolve_scale,
)

VALUES = np.concatenate([np.linspace(-3000, 3000, 501), np.geomspace(10, 262144, 500)])


@pytest.mark.parametrize(
    ("top", "width", "decades", "negative"),
    [(262144, 0.5, 4.5, 0), (262144, 1.2, 4.5, 0), (10_000, 0.0, 4.0, 0), (1e6, 1.0, 5.0, 0.5)],
)
def test_logicle_equals_flowkit(top: float, width: float, decades: float, negative: float) -> None:
    import flowkit

    theirs = flowkit.transforms.LogicleTransform(
        param_t=top, param_w=width, param_m=decades, param_a=negative
    )
    ours = Logicle(top, width, decades, negative)
    values = VALUES[VALUES <= top]
    assert np.allclose(ours.forward(values), theirs.apply(values), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        (Linear(), VALUES),
        (Asinh(cofactor=5.0), VALUES),
        (Asinh(), VALUES),
        (Log(), np.geomspace(10, 262144, 300)),
        (Logicle(), VALUES),
        (Logicle(width=0.0), VALUES[VALUES >= 0]),
        (Logicle(width=2.0), VALUES),
    ],
)
def test_inverse_restores_values(scale: Scale, values: np.ndarray) -> None:
    assert np.allclose(scale.inverse(scale.forward(values)), values, rtol=1e-7, atol=1e-5)
    ascending = scale.forward(np.sort(values))
    assert (np.diff(ascending) >= 0).all()
    assert scale.forward(np.asarray([scale.top]))[0] == pytest.approx(1.0)


def test_scales_keep_shape() -> None:
    for scale in (Linear(), Log(), Asinh(), Logicle()):
        assert scale.forward(np.ones((3, 2))).shape == (3, 2)
        assert scale.inverse(np.ones((3, 2))).shape == (3, 2)
        assert scale.forward(np.empty(0)).shape == (0,)


def test_log_puts_low_values_on_its_edge() -> None:
    assert Log(decades=4.0).forward(np.asarray([-5.0, 0.0, 26.2144])).tolist() == pytest.approx(
        [0.0, 0.0, 0.0]
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(0.0),
        lambda: Log(-1.0),
        lambda: Log(decades=0.0),
        lambda: Asinh(cofactor=0.0),
        lambda: Logicle(top=float("nan")),
        lambda: Logicle(width=-0.1),
        lambda: Logicle(width=2.3),
        lambda: Logicle(width=1.0, negative_decades=3.0),
    ],
)
def test_impossible_scale_is_refused(make: type[Scale]) -> None:
    with pytest.raises(ScaleError, match="expected"):
        make()


def test_width_follows_the_negative_values() -> None:
    # Parks: W = (M - log10(T / |r|)) / 2, r the 5th percentile of the negative values.
    values = np.full(100, -262144 / 10**3.5)
    assert estimate_width(values, 262144, 4.5) == pytest.approx(0.5)


@given(reference=st.floats(1e-6, 1e8), decades=st.floats(1.0, 7.0))
def test_width_stays_where_a_logicle_exists(reference: float, decades: float) -> None:
    width = estimate_width(np.full(50, -reference), 262144, decades)
    assert 0 <= width <= decades / 2
    Logicle(262144, width, decades)


@pytest.mark.parametrize(
    "values", [np.empty(0), np.full(1000, 5.0), np.full(19, -50.0), np.full(100, np.nan)]
)
def test_too_few_negative_values_give_the_usual_width(values: np.ndarray) -> None:
    assert estimate_width(values, 262144, 4.5) == 0.5


def test_values_that_are_not_finite_do_not_widen() -> None:
    values = np.concatenate([np.full(100, -83.0), np.full(50, -np.inf), [np.nan]])
    assert estimate_width(values, 262144, 4.5) == estimate_width(np.full(100, -83.0), 262144, 4.5)


def test_setting_is_resolved_by_channel_and_values() -> None:
    channel = Channel("PE-A", range=1024.0)
    assert resolve_scale(ScaleSetting("linear"), channel, None) == Linear(1024.0)
    assert resolve_scale(ScaleSetting("linear", top=9.0), channel, None) == Linear(9.0)
    assert resolve_scale(ScaleSetting("log", decades=3.0), channel, None) == Log(1024.0, 3.0)
    assert resolve_scale(ScaleSetting("asinh", cofactor=5.0), channel, None) == Asinh(1024.0, 5.0)
    fixed = ScaleSetting("logicle", width=0.7)
    assert resolve_scale(fixed, channel, None) == Logicle(1024.0, 0.7)
    assert not needs_values(fixed)
    estimated = ScaleSetting("logicle")
    assert needs_values(estimated)
    found = resolve_scale(estimated, channel, np.full(100, -1024 / 10**3.5))
    assert isinstance(found, Logicle)
    assert found.width == pytest.approx(0.5)
