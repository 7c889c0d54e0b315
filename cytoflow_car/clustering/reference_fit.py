"""Learn a reference from normal specimens whose events are labelled or gated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.alignment import Alignment, fit_lines
from cytoflow_car.clustering.components import Floats, components_of, floored_density
from cytoflow_car.clustering.mixtures import fit_mixture
from cytoflow_car.errors import ReferenceError
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import (
    LEVELS,
    AnchorScale,
    Reference,
    ReferencePopulation,
)
from cytoflow_car.model.scale import Scale

Labels = npt.NDArray[np.str_]

#: Fewest events of a population, over all specimens, that it is learned from.
LEAST_EVENTS = 20

_ROUNDS = 3
# A covariance counts as that of so many events of all populations beforehand, narrowed.
_SHAPE_EVENTS = 15.0
_SHAPE_NARROWED = 0.3
# A variance between specimens counts as the usual one of so many specimens beforehand.
_BETWEEN_SPECIMENS = 4.0
_LEAST_BETWEEN = 0.01**2
# Components of a population: one more for at least so many events, at most so many.
_EVENTS_A_COMPONENT, _MOST_COMPONENTS = 400, 3
_MOST_SHAPE_EVENTS = 4000
# From where on a population is dim, and positive, in anchor units.
_DIM_FROM, _POSITIVE_FROM = 0.25, 0.6
# Events kept: of a population, and of all populations of a lineage that matures.
_KEPT, _KEPT_OF_LINEAGE = 400, 9000


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSpecimen:
    """Events of a normal specimen, and what each of them is.

    Attributes
    ----------
    name
        For messages and provenance.
    values
        (n_events, n_markers) in data units.
    labels
        (n_events,) population; empty for an event that nobody named.
    """

    name: str
    values: Values
    labels: Labels


@dataclass(frozen=True, slots=True)
class Naming:
    """What the names of labelled populations mean.

    Attributes
    ----------
    lineages
        Population to lineage.
    stages
        Populations of one lineage in the order of maturation.
    technical
        Populations that are no cells, or no single ones.
    """

    lineages: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    technical: frozenset[str] = frozenset()


def fit_reference(
    name: str,
    scales: Mapping[str, Scale],
    specimens: Sequence[LabelledSpecimen],
    naming: Naming,
    *,
    parent: str,
    simulated: bool = False,
    provenance: Mapping[str, object] | None = None,
    seed: int = 0,
) -> Reference:
    """Learn positions, shapes, and how far they differ between specimens.

    Parameters
    ----------
    scales
        Marker to its scale, in the order of the specimens' columns.
    specimens
        At least two, so that their differences are known.

    Raises
    ------
    ReferenceError
        Too few specimens, or no population that at least two of them have.
    """
    if len(specimens) < 2:
        raise ReferenceError(
            f"{len(specimens)} specimen",
            where=f"reference {name}",
            expected="at least 2, better 8 or more",
            advice="How far normal specimens differ cannot be learned from one",
        )
    names = _populations(specimens)
    if not names:
        raise ReferenceError(
            f"no label with {LEAST_EVENTS} events", where=f"reference {name}",
            advice="Label or gate more events",
        )  # fmt: skip
    scaled = [
        np.column_stack(
            [scale.forward(item.values[:, column]) for column, scale in enumerate(scales.values())]
        )
        for item in specimens
    ]
    codes = [_codes(item.labels, names) for item in specimens]
    anchor_scales = _anchor_scales(scales, scaled, codes, names, naming)
    zero = np.array([item.zero for item in anchor_scales])
    span = np.array([item.one - item.zero for item in anchor_scales])
    positions: list[Floats] = [((values - zero) / span).astype(np.float32) for values in scaled]
    aligned = positions
    populations = _estimate(names, aligned, codes, naming, seed, most_components=1)
    for _ in range(_ROUNDS):
        aligned = _align_labelled(populations, positions, codes)
        populations = _estimate(names, aligned, codes, naming, seed, most_components=1)
    populations = _estimate(names, aligned, codes, naming, seed, most_components=_MOST_COMPONENTS)
    rows, numbers, whose = _keep_events(populations, codes, np.random.default_rng(seed))
    mixture = components_of(populations, extra=1.0)
    return Reference(
        name=name,
        markers=anchor_scales,
        populations=populations,
        parent=parent,
        events=np.concatenate([aligned[s][own] for s, own in enumerate(rows)]),
        event_populations=numbers,
        event_specimens=whose,
        fit=tuple(float(floored_density(mixture, values).mean()) for values in aligned),
        simulated=simulated,
        provenance=dict(provenance or {}),
    )


def _populations(specimens: Sequence[LabelledSpecimen]) -> tuple[str, ...]:
    counts: dict[str, list[int]] = {}
    for item in specimens:
        for label, count in zip(*np.unique(item.labels, return_counts=True), strict=True):
            counts.setdefault(str(label), []).append(int(count))
    return tuple(
        label for label, own in sorted(counts.items()) if label and sum(own) >= LEAST_EVENTS
    )


def _codes(labels: Labels, names: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Return the number of each event's population; -1 for one without."""
    order = np.array(names)
    place = np.clip(np.searchsorted(order, labels), 0, len(order) - 1)
    return np.where(order[place] == labels, place, -1).astype(np.intp)


def _anchor_scales(
    scales: Mapping[str, Scale],
    scaled: Sequence[Values],
    codes: Sequence[npt.NDArray[np.intp]],
    names: tuple[str, ...],
    naming: Naming,
) -> tuple[AnchorScale, ...]:
    """Put 0 and 1 of each marker where populations without and with it lie."""
    everything, numbers = np.concatenate(scaled), np.concatenate(codes)
    cells = [n for n, name in enumerate(names) if name not in naming.technical] or [0]
    medians = np.array([np.median(everything[numbers == number], axis=0) for number in cells])
    found = []
    for column, (marker, scale) in enumerate(scales.items()):
        own = medians[:, column]
        middle = (own.min() + own.max()) / 2.0
        zero, one = float(np.median(own[own <= middle])), float(np.median(own[own >= middle]))
        if not one > zero:
            # Of a single population nothing tells 0 from 1; its spread serves.
            one = zero + max(float(np.std(everything[:, column])), 1e-6)
        found.append(AnchorScale(marker, scale, zero, one))
    return tuple(found)


def _align_labelled(
    populations: tuple[ReferencePopulation, ...],
    positions: Sequence[Floats],
    codes: Sequence[npt.NDArray[np.intp]],
) -> list[Floats]:
    """Align the specimens with each other; their mean stays where it is.

    Each line alone falls short of the populations' differences, since anchors are known with error.
    Without the mean line divided out, the scale would shrink with every round.
    """
    lines = [
        _line_of_labelled(populations, values, numbers)
        for values, numbers in zip(positions, codes, strict=True)
    ]
    mean_offset, mean_slope = np.mean(lines, axis=0)
    return [
        Alignment((offset - mean_offset) / mean_slope, slope / mean_slope).apply(values)
        for (offset, slope), values in zip(lines, positions, strict=True)
    ]


def _line_of_labelled(
    populations: tuple[ReferencePopulation, ...], positions: Floats, numbers: npt.NDArray[np.intp]
) -> tuple[Values, Values]:
    counts = np.bincount(numbers[numbers >= 0], minlength=len(populations))
    anchors = {
        number: np.median(positions[numbers == number], axis=0)
        for number, item in enumerate(populations)
        if not item.technical and counts[number] >= LEAST_EVENTS
    }
    return fit_lines(populations, anchors, counts)


def _estimate(
    names: tuple[str, ...],
    aligned: Sequence[Floats],
    codes: Sequence[npt.NDArray[np.intp]],
    naming: Naming,
    seed: int,
    *,
    most_components: int,
) -> tuple[ReferencePopulation, ...]:
    """Estimate every population from aligned specimens."""
    n_markers = aligned[0].shape[1]
    means, deviations, counts = [], [], []
    for number in range(len(names)):
        own = [values[numbers == number].astype(np.float64)
               for values, numbers in zip(aligned, codes, strict=True)]  # fmt: skip
        own = [values for values in own if len(values) >= 5] or [np.concatenate(own)]
        means.append(np.array([values.mean(axis=0) for values in own]))
        deviations.append(np.concatenate([values - values.mean(axis=0) for values in own]))
        counts.append(np.array([len(values) for values in own], dtype=np.float64))
    pooled = np.sum([d.T @ d for d in deviations], axis=0) / sum(len(d) for d in deviations)
    usual_shape = _SHAPE_NARROWED * np.diag(np.diag(pooled))
    usual = _usual_between(means, deviations, counts)
    whole = sum(int(np.count_nonzero(numbers >= 0)) for numbers in codes)
    found = []
    for number, name in enumerate(names):
        # Few events place a population badly, and no specimen counts for more than its share.
        trust = counts[number] / (counts[number] + 20.0)
        mean = trust @ means[number] / trust.sum()
        between = _between(means[number], mean, deviations[number], counts[number])
        degrees = len(counts[number]) - 1
        spread = (degrees * np.maximum(between, 0.0) + _BETWEEN_SPECIMENS * usual) / (
            degrees + _BETWEEN_SPECIMENS
        )
        shares, centers, covariances = _shape(
            deviations[number], usual_shape, most_components, seed
        )
        fractions = [
            float(np.count_nonzero(numbers == number)) / max(int(np.count_nonzero(numbers >= 0)), 1)
            for numbers in codes
        ]
        found.append(
            ReferencePopulation(
                name=name,
                lineage=naming.lineages.get(name, ""),
                stage=naming.stages.index(name) + 1 if name in naming.stages else 0,
                technical=name in naming.technical,
                shares=shares,
                means=mean + centers,
                covariances=covariances,
                between=np.maximum(spread, _LEAST_BETWEEN),
                levels=tuple(_level(float(value)) for value in mean),
                fraction=float(counts[number].sum()) / whole,
                highest_fraction=max(fractions),
                n_events=int(counts[number].sum()),
                n_specimens=len(counts[number]),
            )
        )
    assert all(len(item.between) == n_markers for item in found)
    return tuple(found)


def _usual_between(
    means: Sequence[Values], deviations: Sequence[Values], counts: Sequence[Values]
) -> Values:
    """Return the median variance between specimens over the populations, (n_markers,)."""
    found = [
        _between(own, own.mean(axis=0), deviation, count)
        for own, deviation, count in zip(means, deviations, counts, strict=True)
        if len(own) > 1
    ]
    if not found:
        return np.full(means[0].shape[1], 0.05**2)
    return np.maximum(np.median(found, axis=0), _LEAST_BETWEEN)


def _between(means: Values, mean: Values, deviations: Values, counts: Values) -> Values:
    """Variance of a population's means beyond what its few events make."""
    if len(means) < 2:
        return np.zeros(means.shape[1])
    within = deviations.var(axis=0)
    seen = ((means - mean) ** 2).sum(axis=0) / (len(means) - 1)
    return np.asarray(seen - within * (1.0 / counts).mean())


def _shape(
    deviations: Values, usual: Values, most_components: int, seed: int
) -> tuple[Values, Values, Values]:
    """Describe a population about its own mean by one or several components."""
    n_events = len(deviations)
    covariance = (deviations.T @ deviations + _SHAPE_EVENTS * usual) / (n_events + _SHAPE_EVENTS)
    plain = np.ones(1), np.zeros((1, deviations.shape[1])), covariance[None]
    most = min(most_components, n_events // _EVENTS_A_COMPONENT)
    floor = 0.02 * float(np.diag(covariance).mean())
    if most < 2 or not floor > 0.0:
        return plain
    step = max(1, n_events // _MOST_SHAPE_EVENTS)
    best = fit_mixture(deviations[::step], most, floor, seed)
    if best.n_components == 1:
        return plain
    centers = best.means_ - best.weights_ @ best.means_
    return best.weights_, centers, best.covariances_


def _level(position: float) -> str:
    return LEVELS[(position >= _DIM_FROM) + (position >= _POSITIVE_FROM)]


def _keep_events(
    populations: tuple[ReferencePopulation, ...],
    codes: Sequence[npt.NDArray[np.intp]],
    rng: np.random.Generator,
) -> tuple[list[npt.NDArray[np.intp]], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Choose events to keep: as many of each specimen, more of lineages that mature.

    Returns
    -------
    rows
        Chosen rows of each specimen.
    populations, specimens
        Number of the population and of the specimen of all chosen events.
    """
    maturing = [item.stage > 0 for item in populations]
    n_stages = max(sum(maturing), 1)
    rows, numbers, whose = [], [], []
    for specimen, own in enumerate(codes):
        chosen = []
        for number in range(len(populations)):
            wanted = _KEPT_OF_LINEAGE // n_stages if maturing[number] else _KEPT
            there = np.flatnonzero(own == number)
            most = max(1, wanted // len(codes))
            chosen.append(rng.permutation(there)[:most])
        taken = np.sort(np.concatenate(chosen))
        rows.append(taken)
        numbers.append(own[taken])
        whose.append(np.full(len(taken), specimen, np.intp))
    return rows, np.concatenate(numbers), np.concatenate(whose)


def without_population(reference: Reference, name: str) -> Reference:
    """Return a reference that does not know a population, for validation."""
    kept = [number for number, item in enumerate(reference.populations) if item.name != name]
    rows = np.isin(reference.event_populations, kept)
    renumbered = np.searchsorted(kept, reference.event_populations[rows])
    return replace(
        reference,
        populations=tuple(reference.populations[number] for number in kept),
        events=reference.events[rows],
        event_populations=renumbered,
        event_specimens=reference.event_specimens[rows],
    )
