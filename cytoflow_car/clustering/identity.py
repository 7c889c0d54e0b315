"""Tell swapped and dead channels by where the anchors lie in them.

With two channels exchanged back, the specimen lies better on the reference than as it is, and
hardly any event lies much worse. A dead channel shows the same on populations that, found without
it, should differ in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from cytoflow_car.clustering.alignment import LEAST_ANCHOR_EVENTS, Alignment, align, assign
from cytoflow_car.clustering.components import Floats, components_of, floored_density
from cytoflow_car.model.events import Values
from cytoflow_car.model.reference import Reference

# What a swap must gain in mean log density to be believed.
_LEAST_GAIN = 0.4
# Leukemia can look like normal cells with two channels exchanged; but exchanging them takes the
# specimen's normal cells off their place. Of a true swap hardly any event loses so much.
_LOSS, _MOST_LOSING = 4.0, 0.03
# A channel whose anchors keep less than this of the reference's differences is dead.
_DEAD_SLOPE = 0.2
# Anchors that differ by so much, in anchor units, tell whether a channel is alive.
_TELLING = 0.4
# Events that the search looks at, and pairs that are looked at again after alignment.
_EVENTS = 3000
_CLOSER_LOOKS = 5


@dataclass(frozen=True, slots=True)
class ChannelIdentity:
    """What is wrong with the channels of a specimen; empty where nothing is.

    Attributes
    ----------
    swapped
        Pairs of markers whose channels carry each other's signal.
    dead
        Markers whose channel tells no population from another.
    fit
        Mean log density of the specimen, and the lowest of the reference.
    """

    swapped: tuple[tuple[str, str], ...]
    dead: tuple[str, ...]
    fit: tuple[float, float]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags that name the channels."""
        return (
            *(f"CHANNELS_SWAPPED:{one},{other}" for one, other in self.swapped),
            *(f"CHANNEL_DEAD:{marker}" for marker in self.dead),
        )


def check_channels(
    reference: Reference, positions: Floats, alignment: Alignment
) -> ChannelIdentity:
    """Look for swapped and dead channels.

    Parameters
    ----------
    positions
        (n_events, n_markers) in anchor units, before alignment.
    """
    step = max(1, len(positions) // _EVENTS)
    taken = positions[::step]
    names = reference.marker_names
    stained = [number for number, name in enumerate(names) if not _is_scatter(name)]
    before = _densities(reference, taken, align(reference, taken))
    fit = (float(before.mean()), min(reference.fit))
    swapped = _find_swapped(reference, taken, before, stained)
    if swapped is not None:
        return ChannelIdentity(((names[swapped[0]], names[swapped[1]]),), (), fit)
    slopes = _slopes(reference, alignment.apply(positions))
    silent = [number for number in stained if slopes[number] < _DEAD_SLOPE]
    # A dead channel spoils the naming, and so the look of others: the others lie best without it.
    dead = max(silent, key=lambda number: _fit_without(reference, taken, number), default=None)
    return ChannelIdentity((), () if dead is None else (names[dead],), fit)


def _find_swapped(
    reference: Reference, positions: Floats, before: Floats, stained: list[int]
) -> tuple[int, int] | None:
    """Return the two channels that, exchanged back, put the specimen surely and best in place."""
    as_it_is = Alignment(np.zeros(positions.shape[1]), np.ones(positions.shape[1]))
    first_look = {
        pair: _densities(reference, _turned(reference, positions, *pair), as_it_is).mean()
        for pair in combinations(stained, 2)
    }
    best_gain, best, best_aligned = _LEAST_GAIN, None, positions
    for pair in sorted(first_look, key=first_look.__getitem__)[-_CLOSER_LOOKS:]:
        turned = _turned(reference, positions, *pair)
        alignment = align(reference, turned)
        gains = _densities(reference, turned, alignment) - before
        if gains.mean() > best_gain and np.mean(gains < -_LOSS) <= _MOST_LOSING:
            best_gain, best, best_aligned = gains.mean(), pair, alignment.apply(turned)
    # A dead channel lies better in another's place; there it is as dead.
    if best is not None and (_slopes(reference, best_aligned)[stained] < _DEAD_SLOPE).any():
        return None
    return best


def _fit_without(reference: Reference, positions: Floats, channel: int) -> float:
    others = np.delete(np.arange(positions.shape[1]), channel)
    fewer = replace(
        reference,
        markers=tuple(reference.markers[number] for number in others),
        populations=tuple(
            replace(
                item,
                means=item.means[:, others],
                covariances=item.covariances[:, others][:, :, others],
                between=item.between[others],
            )
            for item in reference.populations
        ),
    )
    kept = positions[:, others]
    return float(_densities(fewer, kept, align(fewer, kept)).mean())


def _is_scatter(marker: str) -> bool:
    return marker.startswith(("FSC", "SSC"))


def _densities(reference: Reference, positions: Floats, alignment: Alignment) -> Floats:
    mixture = components_of(reference.populations, extra=1.0)
    return floored_density(mixture, alignment.apply(positions))


def _turned(reference: Reference, positions: Floats, one: int, other: int) -> Floats:
    """Return positions with two columns exchanged, in anchor units of the markers they become."""
    first, second = reference.markers[one], reference.markers[other]
    turned = positions.copy()
    turned[:, one] = first.forward(second.inverse(positions[:, other].astype(np.float64)))
    turned[:, other] = second.forward(first.inverse(positions[:, one].astype(np.float64)))
    return turned


def _slopes(reference: Reference, aligned: Floats) -> Values:
    """Slope of each channel's anchors against the reference's, the populations found without it.

    References
    ----------
    Sen, Journal of the American Statistical Association 63 (1968) 1379-1389.
    """
    populations = tuple(item for item in reference.populations if not item.technical)
    n_markers = aligned.shape[1]
    slopes = np.ones(n_markers)
    # What is taken for precursors or progenitors may be leukemia without the antigen.
    steady = np.array([not item.stage and item.lineage != "progenitor" for item in populations])
    whole = components_of(populations, extra=1.0)
    whole = replace(whole, covariances=whole.covariances * 2.0)
    for channel in range(n_markers):
        others = np.delete(np.arange(n_markers), channel)
        found = assign(whole.marginal(others), aligned[:, others])
        counts = np.bincount(found[found >= 0], minlength=len(populations))
        anchors = np.flatnonzero((counts >= LEAST_ANCHOR_EVENTS) & steady)
        if len(anchors) < 4:
            continue
        seen = np.array([np.median(aligned[found == number, channel]) for number in anchors])
        known = np.array([populations[number].mean[channel] for number in anchors])
        apart = known[:, None] - known
        pairs = apart > _TELLING
        if pairs.any():
            # A median, since what is taken for an anchor may be leukemia.
            slopes[channel] = float(np.median((seen[:, None] - seen)[pairs] / apart[pairs]))
    return slopes
