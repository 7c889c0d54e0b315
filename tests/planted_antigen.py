"""Cells and beads with planted copies of an antigen, as a cytometer of a given gain shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from planted_beads import QUANTIBRITE

from cytoflow_car.antigen.heterogeneity import thin
from cytoflow_car.antigen.profile import AntigenContext, profile_antigen
from cytoflow_car.antigen.rules import AntigenRule
from cytoflow_car.calibration.fitting import calibrate
from cytoflow_car.calibration.peaks import find_peaks
from cytoflow_car.model.antigen import AntigenControl, AntigenProfile
from cytoflow_car.model.calibration import (
    BeadKit,
    Binding,
    Calibration,
    CalibrationRule,
    CalibrationUse,
    ChosenCalibration,
    KitChannel,
)
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Values
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import Population, PopulationTree
from cytoflow_car.model.scale import Logicle

TOP = 262144.0
CHANNEL = Channel("PE-A", "CD22 PE", TOP, voltage=500.0)
CYTOMETER = "Planted #00000000"
RULE = AntigenRule("blast_cd22", "blasts", "CD22", "T", reference="normal B")
# Photo-electrons a molecule, of the baseline's noise, and of a cell without the antigen.
_QUANTUM, _NOISE, _GLOW = 0.05, 5.0, 25.0


@dataclass(frozen=True, slots=True)
class Cells:
    """What cells of one kind carry: median copies, their spread, and a share without the antigen.

    Attributes
    ----------
    spread
        Standard deviation of ln copies between cells.
    negative
        Share of cells without the antigen.
    """

    n: int
    copies: float
    spread: float = 0.4
    negative: float = 0.0

    def draw(self, rng: np.random.Generator) -> Values:
        """Draw the copies of each cell."""
        copies = self.copies * np.exp(rng.normal(0.0, self.spread, self.n))
        copies[: round(self.negative * self.n)] = 0.0
        return copies


def shine(copies: Values, gain: float, rng: np.random.Generator, *, glow: float = _GLOW) -> Values:
    """Return data units: photons are counted, and the electronics add noise."""
    own = glow * np.exp(rng.normal(0.0, 0.25, copies.size))
    counted = rng.poisson(_QUANTUM * copies + own) + rng.normal(0.0, _NOISE, copies.size)
    return np.minimum(gain * counted, TOP - 1.0)


def beads(
    gain: float, rng: np.random.Generator, *, each: int = 2500, leaflet_sd: float = 0.015
) -> Calibration:
    """Calibrate by planted beads, whose true means differ a little from the leaflet's."""
    means = np.asarray(QUANTIBRITE) * np.exp(rng.normal(0.0, leaflet_sd, len(QUANTIBRITE)))
    copies = np.repeat(means, each) * np.exp(rng.normal(0.0, 0.05, each * len(means)))
    found = find_peaks(shine(copies, gain, rng, glow=2.0), top=TOP, wanted=4)
    channel = KitChannel("PE-A", QUANTIBRITE, 1.0)
    kit = BeadKit("Planted beads", "1", "PE", False, (channel,))
    bound = Binding("PE-A", None, 500.0, CYTOMETER, "2024-03-01")
    return calibrate(found, kit, channel, bound, n_events=4 * each, n_singlets=4 * each)


def profile(
    blasts: Cells,
    rng: np.random.Generator,
    *,
    gain: float = 13.0,
    normal: Cells | None = None,
    n_t: int = 2000,
    fmo: bool = True,
    isotype: bool = False,
    most_control: int = 100_000,
    calibration: Calibration | None = None,
    rule: AntigenRule = RULE,
    channel: Channel = CHANNEL,
    voltage: float | None = 500.0,
) -> AntigenProfile:
    """Measure blasts beside T cells and normal B cells, with an FMO of as many blasts or more.

    Parameters
    ----------
    most_control
        Values that a control keeps of its events.
    voltage
        Of the controls.
    """
    kinds = {"T": Cells(n_t, 0.0), "normal B": normal, "blasts": blasts}
    populations = [Population("root", "root", None, np.arange(0), 0, None)]
    values = []
    start = 0
    for name, cells in kinds.items():
        size = 0 if cells is None else cells.n
        rows = np.arange(start, start + size)
        populations.append(Population(name, f"root/{name}", "root", rows, size, None))
        if cells is not None:
            values.append(shine(cells.draw(rng), gain, rng))
        start += size
    populations[0] = replace(populations[0], rows=np.arange(start), count=start)
    events = Events(np.concatenate(values)[:, None], (channel,))
    prepared = PreparedEvents(
        CompensatedEvents(events, np.eye(1)), {"CD22": 0}, {"CD22": Logicle(width=1.0)}
    )
    stained = ChosenCalibration(None, ("NO_CALIBRATION",))
    if calibration is not None:
        stained = ChosenCalibration(CalibrationUse("beads", calibration, same_batch=True))
    controls = []
    for kind in [*(["fmo"] if fmo else []), *(["isotype"] if isotype else [])]:
        own = np.sort(shine(np.zeros(max(1000, blasts.n)), gain, rng))
        controls.append(
            AntigenControl(
                rule.name, kind, kind, own.size, thin(own, most_control), "PE-A", voltage, CYTOMETER
            )
        )
    context = AntigenContext(
        "specimen",
        PopulationTree(tuple(populations), np.ones(start, dtype=bool)),
        prepared,
        CYTOMETER,
        {"CD22": stained},
        tuple(controls),
        CalibrationRule(),
        0.95,
        int(rng.integers(1 << 31)),
    )
    return profile_antigen(rule, context)
