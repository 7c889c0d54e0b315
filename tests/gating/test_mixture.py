"""Ellipses by mixtures hold planted populations, and the prior where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from planted import Floats, Mask, f1, prepare
from scipy import stats
from sklearn.mixture import GaussianMixture

from cytoflow_car.gating.membership import members
from cytoflow_car.gating.mixture import Mixture, fit_normal, fit_t
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.model.gate import BooleanGate, EllipsoidGate, Placement, RectangleGate
from cytoflow_car.model.scale import Linear, Log, Logicle, Scale

SCALES: dict[str, Scale] = {
    "FSC-A": Linear(),
    "SSC-A": Linear(),
    "CD3": Logicle(width=1.0),
    "CD4": Logicle(width=1.0),
}
#: Center and covariance of three populations on the scales of CD3 and CD4.
CENTERS = np.asarray([[0.60, 0.65], [0.60, 0.35], [0.35, 0.35]])
COVARIANCES = np.asarray(
    [
        [[0.0010, 0.0004], [0.0004, 0.0016]],
        [[0.0012, 0.0], [0.0, 0.0012]],
        [[0.0020, -0.0005], [-0.0005, 0.0012]],
    ]
)
SHARES = (0.3, 0.4, 0.3)


def to_data(scaled: Floats, markers: tuple[str, ...]) -> dict[str, Floats]:
    return {name: SCALES[name].inverse(scaled[:, axis]) for axis, name in enumerate(markers)}


def point(*scaled: float) -> tuple[float, ...]:
    return tuple(
        float(SCALES[name].inverse(np.asarray([value]))[0])
        for name, value in zip(("CD3", "CD4"), scaled, strict=True)
    )


#: A circle around the first population, somewhat beside it.
PRIOR = Mixture(
    "mixture",
    ("CD3", "CD4"),
    center=point(0.62, 0.62),
    axis_ends=(point(0.72, 0.62), point(0.62, 0.74)),
)


def plant(
    rng: np.random.Generator, n_events: int, *, tails: str = "normal", shift: float = 0.0
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Draw points of the three populations and which one each belongs to."""
    labels = rng.choice(3, size=n_events, p=SHARES).astype(np.intp)
    noise = np.einsum(
        "nij,nj->ni", np.linalg.cholesky(COVARIANCES)[labels], rng.normal(size=(n_events, 2))
    )
    if tails == "t":
        noise /= np.sqrt(rng.chisquare(4.0, size=(n_events, 1)) / 4.0)
    return CENTERS[labels] + noise + shift, labels


def place(method: Mixture, scaled: Floats) -> tuple[Placement, Mask]:
    prepared = prepare(to_data(scaled, method.axes), SCALES)
    rows = np.arange(len(prepared))
    placement = method.place(Parent("live", prepared, rows), References())
    assert not isinstance(placement.gate, BooleanGate)
    return placement, members(placement.gate, prepared, rows)


def true_ellipse(scaled: Floats, fraction: float, tails: str) -> Mask:
    """Tell who lies in the ellipse that holds a share of the first planted population."""
    away = scaled - CENTERS[0]
    squared = np.einsum("ni,ij,nj->n", away, np.linalg.inv(COVARIANCES[0]), away)
    most = stats.chi2.ppf(fraction, 2) if tails == "normal" else 2 * stats.f.ppf(fraction, 2, 4)
    return np.asarray(squared <= most)


@pytest.mark.parametrize("start", ["k-means++", "quantiles"])
@pytest.mark.parametrize("tails", ["normal", "t"])
@pytest.mark.parametrize("components", [3, None])
def test_the_ellipse_is_that_of_the_planted_population(
    components: int | None, tails: str, start: str
) -> None:
    scaled, labels = plant(np.random.default_rng(1), 20_000, tails=tails)
    method = Mixture(
        "mixture",
        PRIOR.axes,
        PRIOR.center,
        PRIOR.axis_ends,
        fraction=0.9,
        tails="normal" if tails == "normal" else "t",
        components=components,
        start="quantiles" if start == "quantiles" else "k-means++",
    )
    placement, found = place(method, scaled)
    assert f1(found, true_ellipse(scaled, 0.9, tails)) > 0.97
    assert np.mean(found[labels == 0]) == pytest.approx(0.9, abs=0.025)
    assert placement.flags == ()
    assert placement.confidence > 0.5
    assert "one of 3" in placement.reason


def test_outliers_do_not_widen_a_t_component() -> None:
    rng = np.random.default_rng(2)
    scaled, _ = plant(rng, 20_000)
    scaled[:1500] = rng.uniform(0.1, 0.95, size=(1500, 2))
    wanted = true_ellipse(scaled, 0.9, "normal")
    found = {}
    for tails in ("normal", "t"):
        method = Mixture(
            "mixture",
            PRIOR.axes,
            PRIOR.center,
            PRIOR.axis_ends,
            tails="normal" if tails == "normal" else "t",
            # F and chi-square quantiles of ellipses of one size, the t component's being narrower.
            fraction=0.9 if tails == "normal" else 0.75,
            components=3,
        )
        found[tails] = f1(place(method, scaled)[1], wanted)
    assert found["t"] > 0.94
    assert found["t"] > found["normal"]


@pytest.mark.parametrize("shift", [-0.05, 0.05])
def test_the_ellipse_follows_drift(shift: float) -> None:
    scaled, _ = plant(np.random.default_rng(3), 20_000, tails="t", shift=shift)
    _, found = place(PRIOR, scaled)
    assert f1(found, true_ellipse(scaled - shift, 0.9, "t")) > 0.97


def test_the_fits_are_those_of_other_programs() -> None:
    rng = np.random.default_rng(4)
    scaled, labels = plant(rng, 5000)
    begin = np.eye(3)[labels]
    fit = fit_normal(scaled, begin)
    reference = GaussianMixture(3, tol=1e-6, max_iter=500, random_state=0, n_init=3).fit(scaled)
    assert fit.criterion == pytest.approx(reference.bic(scaled), abs=5.0)
    # One t component: the highest likelihood that a general optimiser finds, location and scale.
    one = stats.t.rvs(4.0, loc=0.4, scale=0.05, size=4000, random_state=rng)
    alone = fit_t(one[:, None], np.ones((4000, 1)))
    _, location, scale = stats.t.fit(one, fdf=4.0)
    assert alone.means[0, 0] == pytest.approx(location, abs=1e-3)
    assert alone.covariances[0, 0, 0] ** 0.5 == pytest.approx(scale, rel=0.01)


def test_one_marker_gives_an_interval_and_three_an_ellipsoid() -> None:
    rng = np.random.default_rng(5)
    in_peak = rng.random(20_000) < 0.4
    scaled = np.where(in_peak, rng.normal(0.6, 0.03, 20_000), rng.normal(0.3, 0.03, 20_000))
    (low,), (high,) = ((float(SCALES["CD3"].inverse(np.asarray([v]))[0]),) for v in (0.58, 0.68))
    line = Mixture("mixture", ("CD3",), (low,), ((high,),), fraction=0.95, tails="normal")
    placement, found = place(line, scaled[:, None])
    assert isinstance(placement.gate, RectangleGate)
    assert np.mean(found[in_peak]) == pytest.approx(0.95, abs=0.01)
    box = rng.normal(size=(10_000, 3)) * 0.03 + np.asarray([0.5, 0.3, 0.6])
    other = rng.normal(size=(10_000, 3)) * 0.03 + np.asarray([0.3, 0.2, 0.3])
    center = {"FSC-A": 0.5, "SSC-A": 0.3, "CD3": 0.6}

    def at(**moved: float) -> tuple[float, ...]:
        return tuple(
            float(SCALES[name].inverse(np.asarray([value + moved.get(name[:3], 0.0)]))[0])
            for name, value in center.items()
        )

    ball = Mixture("mixture", tuple(center), at(), (at(FSC=0.1), at(SSC=0.1), at(CD3=0.1)))
    placement, found = place(ball, np.concatenate([box, other]))
    assert isinstance(placement.gate, EllipsoidGate)
    # Normal events lie closer together than t components say: the ellipse of 90 % holds more.
    assert 0.88 < np.mean(found[:10_000]) < 0.98
    assert not found[10_000:].any()


def test_without_the_population_the_prior_stays_and_says_so() -> None:
    rng = np.random.default_rng(6)
    scaled = CENTERS[2] + rng.normal(size=(5000, 2)) * 0.03
    placement, found = place(PRIOR, scaled)
    assert placement.flags == ("PRIOR_KEPT",)
    assert "near the prior" in placement.reason
    assert isinstance(placement.gate, EllipsoidGate)
    assert placement.gate.center == pytest.approx(PRIOR.center)
    assert not found.any()
    few, _ = place(PRIOR, scaled[:49])
    assert few.flags == ("PRIOR_KEPT",)
    assert "49 events" in few.reason


def test_a_prior_amid_the_events_is_unsure() -> None:
    # The only population is centered far from the prior's center, but reaches into it.
    scaled = np.asarray([0.45, 0.45]) + np.random.default_rng(7).normal(size=(5000, 2)) * 0.12
    placement, found = place(replace(PRIOR, components=1), scaled)
    assert placement.flags == ("PRIOR_KEPT",)
    assert found.sum() > 100
    assert placement.confidence < 0.5


def test_two_populations_about_the_prior_are_unsure() -> None:
    rng = np.random.default_rng(8)
    side = np.where(rng.random(20_000) < 0.5, -0.05, 0.05)[:, None]
    scaled = np.asarray([0.62, 0.62]) + side + rng.normal(size=(20_000, 2)) * 0.02
    placement, _ = place(PRIOR, scaled)
    assert placement.confidence < 0.5


def test_the_same_seed_gives_the_same_gate() -> None:
    scaled, _ = plant(np.random.default_rng(9), 5000)
    assert place(PRIOR, scaled)[0] == place(PRIOR, scaled)[0]


def test_an_ellipse_at_the_end_of_a_scale_loses_no_events() -> None:
    rng = np.random.default_rng(10)
    log = Log()
    # Half of the events are clipped to the lowest decade, the end of the scale.
    columns = {"CD3": log.inverse(rng.normal(0.0, 0.03, 5000)), "CD4": rng.normal(5e4, 3e3, 5000)}
    prepared = prepare(columns, {"CD3": log, "CD4": Linear()})
    low, high = (float(v) for v in log.inverse(np.asarray([0.02, 0.1])))
    method = Mixture("mixture", ("CD3", "CD4"), (low, 5e4), ((high, 5e4), (low, 8e4)))
    rows = np.arange(5000)
    placement = method.place(Parent("live", prepared, rows), References())
    assert isinstance(placement.gate, EllipsoidGate)
    inside = members(placement.gate, prepared, rows)
    # Axes end upwards, where the scale can hold them.
    assert inside.mean() > 0.7
