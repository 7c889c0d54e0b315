"""What normal specimens look like: populations on an anchor scale, and how specimens differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cytoflow_car.errors import ReferenceError
from cytoflow_car.model.events import Values
from cytoflow_car.model.scale import Scale

#: Levels of a marker on a population, from dark to bright.
LEVELS = ("negative", "dim", "positive")


@dataclass(frozen=True, slots=True)
class AnchorScale:
    """One marker of a reference: its scale, and which values there are 0 and 1.

    Attributes
    ----------
    scale
        The same function for every specimen, so that an estimated width moves nothing.
    zero, one
        On that scale: where populations without and with the antigen lie.
    """

    marker: str
    scale: Scale
    zero: float
    one: float

    def forward(self, values: Values) -> Values:
        """Return anchor units for data units; the same shape."""
        return (self.scale.forward(values) - self.zero) / (self.one - self.zero)

    def inverse(self, positions: Values) -> Values:
        """Return data units for anchor units; the same shape."""
        return self.scale.inverse(np.asarray(positions) * (self.one - self.zero) + self.zero)


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePopulation:
    """One population of normal specimens, in anchor units.

    Attributes
    ----------
    name
        As it is labelled or gated.
    lineage
        ``B`` for B precursors and B cells, ``progenitor`` …; empty where nobody said.
    stage
        Place on the maturation path of its lineage, from 1; 0 for none.
    technical
        Debris, doublets and dead cells: no anchor, and never reported as cells.
    shares
        (n_components,) of its events; they add up to 1.
    means, covariances
        (n_components, n_markers) and (n_components, n_markers, n_markers), within a specimen.
    between
        (n_markers,) variance of its position from specimen to specimen.
    levels
        ``negative``, ``dim`` or ``positive``, one a marker.
    fraction, highest_fraction
        Of a specimen's events: mean and maximum over the specimens of the reference.
    n_events, n_specimens
        What it rests on.
    """

    name: str
    lineage: str
    stage: int
    technical: bool
    shares: Values
    means: Values
    covariances: Values
    between: Values
    levels: tuple[str, ...]
    fraction: float
    highest_fraction: float
    n_events: int
    n_specimens: int

    @property
    def mean(self) -> Values:
        """(n_markers,) position of all its events."""
        return self.shares @ self.means


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Normal specimens, learned once and compared with every specimen of a study.

    Attributes
    ----------
    name
        As templates name it.
    markers
        In the order of every array.
    populations
        Those that clustering names.
    parent
        Population of the template that its events were taken from; ``root`` for all events.
    events, event_populations, event_specimens
        (n, n_markers) float32 in anchor units, with the number of the population and of the
        specimen of each: held out from no fit of positions, but never used to fit a threshold that
        they are then judged by.
    fit
        Mean log density of each specimen under the reference after alignment; what lies far below
        the lowest is no such specimen.
    simulated
        Learned from simulated specimens: for trying the program, not for patients.
    provenance
        Where it came from: specimens, hashes, template, version, seed.
    sha256
        Of the file; empty for one that was not read from a file.
    """

    name: str
    markers: tuple[AnchorScale, ...]
    populations: tuple[ReferencePopulation, ...]
    parent: str
    events: npt.NDArray[np.float32]
    event_populations: npt.NDArray[np.intp]
    event_specimens: npt.NDArray[np.intp]
    fit: tuple[float, ...]
    simulated: bool = False
    provenance: Mapping[str, object] = field(default_factory=dict)
    sha256: str = ""

    @property
    def marker_names(self) -> tuple[str, ...]:
        """Names of the markers, in order."""
        return tuple(item.marker for item in self.markers)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the populations, in order."""
        return tuple(item.name for item in self.populations)

    def index(self, marker: str) -> int:
        """Return the place of a marker.

        Raises
        ------
        ReferenceError
            The reference does not know it.
        """
        if marker not in self.marker_names:
            raise ReferenceError(
                f"no marker {marker!r}",
                where=f"reference {self.name}",
                expected=", ".join(self.marker_names),
            )
        return self.marker_names.index(marker)
