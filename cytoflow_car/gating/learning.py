"""Learn from hand-drawn gates: which placement method finds them again on another day."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytoflow_car.errors import GateError
from cytoflow_car.gating.confidence import Mask, agreement
from cytoflow_car.gating.density import estimate_density, find_negative_peak, find_valleys
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.gating.methods import AnyGateMethod
from cytoflow_car.gating.placing import Parent, References
from cytoflow_car.gating.registered import LEAST_EVENTS, Drawn, Registered
from cytoflow_car.gating.shapes import Cut, Quadrant, Rectangle
from cytoflow_car.gating.thresholds import LEAST_DEPTH, Fixed, Tail, ValleyCut
from cytoflow_car.gating.training import TrainingDensity, describe_scale
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.model.events import CompensatedEvents, Events, Rows
from cytoflow_car.model.gate import BooleanGate, ClusterGate, GeometricGate, QuadrantGate
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.scale import Linear

#: A file's density is learned from no more events than this, drawn at random.
_MOST_EVENTS = 10_000
_MOST_COMPONENTS = 10
#: Detail finer than this, in scale units, is none of the population's.
_SMOOTHING = 0.006
#: Drift that a method must bear: gain times or divided by this.
_GAIN = 1.26
#: The same on a linear scale, whose values cannot be multiplied: share of the scale. A gain of 1.26
#: is a tenth of 4.5 decades.
_LINEAR_SHIFT = math.log10(_GAIN) / 4.5
_DRIFTS = 4
#: In every other trial only so many of the gated population are left: populations come and go.
_RARE = 0.1
#: Registration is kept unless another method is better by more than this (mean F1).
_CLEARLY_BETTER = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class HandGatedFile:
    """One file with the gates that a person drew on it.

    Attributes
    ----------
    prepared
        Its events, with the template's markers and scales.
    drawn
        By first population of a gate: the method that places the drawn geometry.
    rows
        Rows of every hand-gated population, ``root`` among them.
    """

    prepared: PreparedEvents
    drawn: Mapping[str, Drawn]
    rows: Mapping[str, Rows]


@dataclass(frozen=True, slots=True)
class LearnedGate:
    """What was learned of one gate.

    Attributes
    ----------
    rule
        The template's rule with the chosen method.
    training
        Densities that the rule's method needs.
    agreement
        Mean F1 with the drawn gate by method, over files and drifts.
    """

    rule: PopulationRule
    training: tuple[TrainingDensity, ...]
    agreement: Mapping[str, float]


def learn_gate(
    rule: PopulationRule,
    files: Sequence[HandGatedFile],
    *,
    seed: int,
    unmoved: frozenset[str] = frozenset(),
) -> LearnedGate:
    """Choose the method that finds a drawn gate again on other files, and after drift.

    Each file in turn is gated by what the others teach (by itself where it is the only one), as it
    is and with every channel's gain changed by a quarter up or down, also with few of the gated
    events left, within the population that the person had gated. Registration is chosen unless a
    valley with an offset, the distance from the negative peak, or the gate left where it was drawn,
    is clearly better; and it is no surer later than it was right here.

    Parameters
    ----------
    rule
        Names and parent; its gate is replaced.
    files
        Hand-gated files that have this gate; at least one.
    seed
        Of the densities and the drifts.
    unmoved
        Markers that no gate is moved along, such as Time.
    """
    name = rule.names[0]
    gates = [item.drawn[name] for item in files]
    markers = tuple(dict.fromkeys(gates[0].markers))
    as_drawn = replace(rule, gate=gates[0])
    if unmoved & set(markers):
        return LearnedGate(replace(as_drawn, agreement=1.0), (), {gates[0].method: 1.0})
    usable = [
        number
        for number, item in enumerate(files, start=1)
        if item.rows[rule.parent].size >= LEAST_EVENTS
    ]
    if not usable:
        return LearnedGate(as_drawn, (), {})
    training = tuple(
        learn_density(name, number, files[number - 1], rule.parent, markers, seed)
        for number in usable
    )
    found: dict[str, list[float]] = {}
    for test in usable:
        teachers = [number for number in usable if number != test] or [test]
        candidates = _candidates(rule, files, gates, teachers)
        densities = tuple(item for item in training if item.file in teachers)
        references = References(training={name: densities})
        wanted = _inside(gates[test - 1], files[test - 1], rule.parent)
        rows = files[test - 1].rows[rule.parent]
        for number, drifted in enumerate(_drifted(files[test - 1], markers, seed)):
            left = _thinned(wanted, seed) if number % 2 else np.ones(rows.size, dtype=bool)
            parent = Parent(rule.parent, drifted, rows[left])
            for method, gate in candidates.items():
                placed = _place(gate, parent, references)
                found.setdefault(method, []).append(
                    _agreement([side[left] for side in wanted], placed)
                )
    scores = {method: float(np.mean(values)) for method, values in found.items()}
    best = max(
        scores, key=lambda method: scores[method] + _CLEARLY_BETTER * (method == "registered")
    )
    chosen = _candidates(rule, files, gates, usable)
    gate = chosen.get(best, chosen["registered"])
    if isinstance(gate, Registered):
        gate = replace(gate, agreement=round(scores["registered"], 4))
        return LearnedGate(replace(rule, gate=gate), training, scores)
    return LearnedGate(replace(rule, gate=gate, agreement=round(scores[best], 4)), (), scores)


def learn_density(
    population: str,
    number: int,
    file: HandGatedFile,
    parent: str,
    markers: tuple[str, ...],
    seed: int,
) -> TrainingDensity:
    """Summarise a gate's parent events in one hand-gated file as a normal mixture.

    Parameters
    ----------
    population, number
        As in `TrainingDensity`.

    References
    ----------
    McLachlan & Peel, Finite Mixture Models (2000), for the mixture; fitted by scikit-learn.
    """
    # Takes a second, and only learning needs it.
    from sklearn.mixture import GaussianMixture

    generator = np.random.default_rng(seed)
    rows = file.rows[parent]
    scales = [file.prepared.scales[name] for name in markers]
    points = np.column_stack(
        [
            scale.forward(file.prepared.values(name, rows))
            for name, scale in zip(markers, scales, strict=True)
        ]
    )
    inside = np.zeros(rows.size, dtype=bool)
    for side in _sides(_geometry(file.drawn[population], file, parent), file.prepared, rows):
        inside |= side
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    chosen = generator.permutation(finite)[:_MOST_EVENTS]
    n_components = int(np.clip(chosen.size // LEAST_EVENTS, 1, _MOST_COMPONENTS))
    model = GaussianMixture(
        n_components, reg_covar=_SMOOTHING**2, random_state=seed, max_iter=60, tol=1e-3
    )
    # A mixture that has not quite settled describes the events as well as is needed.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(points[chosen])
    shares = model.predict_proba(points[chosen])
    held = (shares * inside[chosen, None]).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-12)
    return TrainingDensity(
        population,
        number,
        markers,
        tuple(map(describe_scale, scales)),
        int(rows.size),
        tuple(map(_rounded, model.weights_ / model.weights_.sum())),
        tuple(tuple(map(_rounded, mean)) for mean in model.means_),
        tuple(tuple(tuple(map(_rounded, row)) for row in item) for item in model.covariances_),
        tuple(map(_rounded, held)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def _candidates(
    rule: PopulationRule,
    files: Sequence[HandGatedFile],
    gates: list[Drawn],
    teachers: list[int],
) -> dict[str, AnyGateMethod]:
    """Return each method as these files teach it."""
    alike = all(gate == gates[0] for gate in gates)
    drawn = (gates[0],) if alike else tuple(gates)
    first = gates[teachers[0] - 1]
    found: dict[str, AnyGateMethod] = {
        "registered": Registered("registered", rule.names[0], drawn),
        first.method: first,
    }
    file = files[teachers[0] - 1]
    for name, find in (("valley", _valley), ("tail", _tail)):
        gate = _with_cuts(first, file.prepared, file.rows[rule.parent], find)
        if gate is not None:
            found[name] = gate
    return found


def _with_cuts(
    drawn: Drawn,
    prepared: PreparedEvents,
    rows: Rows,
    find: Callable[[Fixed, PreparedEvents, Rows], Cut | None],
) -> AnyGateMethod | None:
    """Return the drawn gate with every cut found by another method; None where one is not."""
    match drawn:
        case Fixed():
            return find(drawn, prepared, rows)
        case Rectangle():
            cuts = [find(side, prepared, rows) for side in drawn.sides if isinstance(side, Fixed)]
            sides = tuple(cut for cut in cuts if cut is not None)
            return replace(drawn, sides=sides) if len(sides) == len(drawn.sides) else None
        case Quadrant(x=Fixed() as x, y=Fixed() as y):
            first, second = find(x, prepared, rows), find(y, prepared, rows)
            if first is None or second is None:
                return None
            return Quadrant(drawn.method, first, second)
        case _:
            return None


def _tail(cut: Fixed, prepared: PreparedEvents, rows: Rows) -> Tail | None:
    """Return the method that finds a drawn cut by its distance from the negative peak."""
    values = prepared.values(cut.marker, rows)
    peak = find_negative_peak(values[np.isfinite(values)], cut.at)
    if cut.keep != "above" or peak is None:
        return None
    deviations = float(f"{(cut.at - peak.center) / peak.spread:.6g}")
    return Tail("tail", cut.marker, cut.keep, cut.at, deviations)


def _valley(cut: Fixed, prepared: PreparedEvents, rows: Rows) -> ValleyCut | None:
    """Return the method that finds a drawn cut by the valley nearest to it, with its offset."""
    scale = prepared.scales[cut.marker]
    scaled = scale.forward(prepared.values(cut.marker, rows))
    scaled = scaled[np.isfinite(scaled)]
    if scaled.size < LEAST_EVENTS or np.ptp(scaled) == 0:
        return None
    at = float(scale.forward(np.asarray([cut.at]))[0])
    near = [
        valley
        for valley in find_valleys(estimate_density(scaled))
        if abs(valley.at - at) <= 0.08 and valley.depth >= LEAST_DEPTH
    ]
    if not near:
        return None
    valley = min(near, key=lambda item: abs(item.at - at))
    ends = scale.inverse(np.asarray([valley.at - 0.12, valley.at, valley.at + 0.12]))
    low, prior, high = (float(f"{value:.6g}") for value in ends)
    return ValleyCut(
        "valley", cut.marker, cut.keep, prior, low, high, offset=round(at - valley.at, 6)
    )


def _drifted(file: HandGatedFile, markers: tuple[str, ...], seed: int) -> Iterator[PreparedEvents]:
    """Yield the file's events as they are, then with the gain of every channel changed."""
    yield file.prepared
    generator = np.random.default_rng(seed)
    for _ in range(_DRIFTS):
        signs = generator.choice([-1.0, 1.0], size=len(markers))
        yield _with_gain(file.prepared, dict(zip(markers, signs, strict=True)))


def _thinned(wanted: list[Mask], seed: int) -> Mask:
    """Tell which events are left where a gated population has become rare; not for quadrants."""
    if len(wanted) > 1:
        return np.ones(wanted[0].size, dtype=bool)
    chosen = np.random.default_rng(seed).random(wanted[0].size) < _RARE
    return np.asarray(~wanted[0] | chosen)


def _with_gain(prepared: PreparedEvents, signs: Mapping[str, float]) -> PreparedEvents:
    columns = []
    for name, sign in signs.items():
        values = prepared.values(name)
        scale = prepared.scales[name]
        # Scatter's gain is set by the instrument and hardly drifts; and values that are on a
        # display scale already move along it.
        moved = values + sign * _LINEAR_SHIFT * scale.top if isinstance(scale, Linear) else None
        columns.append(values * _GAIN**sign if moved is None else moved)
    channels = tuple(prepared.events.channels[prepared.columns[name]] for name in signs)
    events = Events(np.column_stack(columns), channels)
    return PreparedEvents(
        CompensatedEvents(events, np.eye(len(channels))),
        {name: column for column, name in enumerate(signs)},
        {name: prepared.scales[name] for name in signs},
    )


def _inside(drawn: Drawn, file: HandGatedFile, parent: str) -> list[Mask]:
    gate = _geometry(drawn, file, parent)
    return _sides(gate, file.prepared, file.rows[parent])


def _geometry(drawn: Drawn, file: HandGatedFile, parent: str) -> GeometricGate:
    placed = drawn.place(Parent(parent, file.prepared, file.rows[parent]), References()).gate
    assert not isinstance(placed, BooleanGate | ClusterGate)
    return placed


def _place(gate: AnyGateMethod, parent: Parent, references: References) -> list[Mask] | None:
    try:
        placed = gate.place(parent, references).gate
    except GateError:
        return None
    assert not isinstance(placed, BooleanGate | ClusterGate)
    return _sides(placed, parent.prepared, parent.rows)


def _sides(gate: GeometricGate, prepared: PreparedEvents, rows: Rows) -> list[Mask]:
    """Return who lies inside, or in each quadrant."""
    if isinstance(gate, QuadrantGate):
        return list(quadrant_signs(gate, prepared, rows).values())
    return [members(gate, prepared, rows)]


def _agreement(wanted: list[Mask], placed: list[Mask] | None) -> float:
    if placed is None:
        return 0.0
    sizes = [max(int(np.count_nonzero(one)), 1) for one in wanted]
    found = [agreement(one, other) for one, other in zip(wanted, placed, strict=True)]
    return float(np.average(found, weights=sizes))
