"""Specimens of normal populations whose labels are known, for clustering and its benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.reference_fit import LabelledSpecimen, Naming, fit_reference
from cytoflow_car.model.reference import Reference
from cytoflow_car.model.scale import Linear

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.str_]

MARKERS = ("CD3", "CD4", "CD8", "CD19", "CD20", "CD38", "CD45", "CD56", "FSC-A", "SSC-A")

#: Data units of a negative population, and from there to a positive one.
NEGATIVE, STEP = 100.0, 1000.0
#: Standard deviations, as shares of the step: within a population, between specimens.
WITHIN, BETWEEN = 0.10, 0.03
# Share of the rarest population in that of the commonest.
_RAREST = 0.016


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Normal populations.

    Attributes
    ----------
    names
        ``population 00`` …, from the commonest to the rarest.
    fractions
        (n_populations,) of a specimen's events, in the mean.
    means, covariances
        (n_populations, n_markers) and (n_populations, n_markers, n_markers), in data units.
    """

    names: tuple[str, ...]
    fractions: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    covariances: npt.NDArray[np.float64]


def make_mixture(n_populations: int = 25, seed: int = 7) -> Mixture:
    """Plant populations that are negative, dim or positive for each marker, no two near alike."""
    rng = np.random.default_rng(seed)
    patterns: list[npt.NDArray[np.float64]] = []
    while len(patterns) < n_populations:
        pattern = rng.choice([0.0, 0.5, 1.0], len(MARKERS))
        if all(np.abs(pattern - other).sum() >= 1.5 for other in patterns):
            patterns.append(pattern)
    factors = rng.normal(0.0, 1.0, (n_populations, len(MARKERS), len(MARKERS)))
    shapes = factors @ factors.transpose(0, 2, 1) / len(MARKERS) + np.eye(len(MARKERS))
    fractions = np.geomspace(1.0, _RAREST, n_populations)
    return Mixture(
        tuple(f"population {number:02d}" for number in range(n_populations)),
        fractions / fractions.sum(),
        NEGATIVE + STEP * np.array(patterns),
        (WITHIN * STEP) ** 2 / 2.0 * shapes,
    )


def draw_specimen(
    mixture: Mixture, n_events: int, seed: int, *, between: float = BETWEEN
) -> tuple[Floats, Labels]:
    """Draw a specimen, its populations moved and their shares changed as between specimens.

    Parameters
    ----------
    between
        Standard deviation of a population's position in each marker, as a share of the step from
        negative to positive.
    """
    rng = np.random.default_rng(seed)
    shares = mixture.fractions * np.exp(rng.normal(0.0, 0.3, len(mixture.names)))
    numbers = rng.choice(len(shares), n_events, p=shares / shares.sum())
    moved = mixture.means + rng.normal(0.0, between * STEP, mixture.means.shape)
    values = np.empty((n_events, len(MARKERS)), dtype=np.float32)
    for number, (mean, covariance) in enumerate(zip(moved, mixture.covariances, strict=True)):
        own = np.flatnonzero(numbers == number)
        noise = rng.standard_normal((own.size, len(mean)), dtype=np.float32)
        values[own] = noise @ np.linalg.cholesky(covariance).T.astype(np.float32)
        values[own] += mean.astype(np.float32)
    return values, np.array(mixture.names)[numbers]


def learn_reference(
    mixture: Mixture, n_specimens: int = 6, n_events: int = 20_000, seeds_from: int = 100
) -> Reference:
    """Learn the reference of a mixture from labelled specimens, on a linear scale."""
    specimens: Sequence[LabelledSpecimen] = [
        LabelledSpecimen(f"specimen {seed}", *draw_specimen(mixture, n_events, seed))
        for seed in range(seeds_from, seeds_from + n_specimens)
    ]
    scales = {marker: Linear(1000.0) for marker in MARKERS}
    return fit_reference("planted", scales, specimens, Naming(), parent="root")


def anchor_positions(reference: Reference, values: Floats) -> Floats:
    """Return values in anchor units, not yet aligned."""
    positions = np.empty(values.shape, dtype=np.float32)
    for column, item in enumerate(reference.markers):
        positions[:, column] = item.forward(values[:, column])
    return positions
