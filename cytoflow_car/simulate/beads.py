"""Calibration beads: two kits, what a lot's leaflet says, and a run of the beads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Events
from cytoflow_car.simulate import cells
from cytoflow_car.simulate.cytometer import Session, channels_of, detect, digitise, trigger
from cytoflow_car.simulate.panels import B_PANEL, DETECTORS, TIME, Stain
from cytoflow_car.simulate.staining import Floats, normal
from cytoflow_car.simulate.truth import Truth

_LEVELS_DIFFER = 0.04  # SD of ln level between lots
_LEAFLET_ERRS = 0.015  # SD of ln mean of a lot's beads about what its leaflet says

_BEADS, _DEBRIS = 10_000, 200
_DOUBLETS = 0.05
_DYE_SPREAD = 0.06  # SD of ln dye between beads of a level
_GLOW = 2.0  # photo-electrons of the bead's own plastic
_SCATTER = np.array([42e3, 62e3], dtype=np.float32)  # median FSC-A and SSC-A
_SCATTER_SPREAD = np.array([0.035, 0.05], dtype=np.float32)  # SD of their ln


@dataclass(frozen=True, slots=True)
class Kit:
    """Beads with known numbers of molecules, of one label of the B panel.

    Attributes
    ----------
    name
        What the beads are of, in one word.
    unit
        Unit of the levels: ``PE`` or ``ABC``.
    antigen
        Whose label of the B panel the beads carry.
    levels
        Of a usual lot, ascending; 0 is a blank.
    fp_ratio
        Fluorophores an antibody; None where the levels are antibodies.
    """

    name: str
    unit: str
    antigen: str
    levels: tuple[float, ...]
    fp_ratio: float | None = None

    @property
    def file(self) -> str:
        """Where the kit is written, from the study folder."""
        return f"kits/simulated_{self.name.lower()}.toml"

    @property
    def stain(self) -> Stain:
        """The label of the B panel that the beads carry."""
        return next(stain for stain in B_PANEL.stains if stain.antigen == self.antigen)


KITS = (
    Kit("PE", "PE", "CD22", (474, 5359, 23843, 62336), fp_ratio=1.0),
    Kit("CD19", "ABC", "CD19", (0, 3000, 12000, 45000, 150000)),
)


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot of a kit.

    Attributes
    ----------
    number
        Printed on the box.
    levels
        What the leaflet assigns.
    means
        (n_levels,) mean molecules that the beads truly have.
    """

    kit: Kit
    number: str
    levels: tuple[int, ...]
    means: npt.NDArray[np.float64]


def draw_lot(kit: Kit, rng: np.random.Generator) -> Lot:
    """Draw the lot that a study uses."""
    number = f"SIM-{kit.name}-{rng.integers(1000, 10_000)}"
    levels = np.rint(kit.levels * rng.lognormal(0.0, _LEVELS_DIFFER, len(kit.levels)))
    means = levels * rng.lognormal(0.0, _LEAFLET_ERRS, len(kit.levels))
    return Lot(kit, number, tuple(levels.astype(int).tolist()), means)


def spell_leaflet(lot: Lot) -> str:
    """Return a lot's leaflet as TOML."""
    kit = lot.kit
    ratio = "" if kit.fp_ratio is None else f"fp_ratio = {kit.fp_ratio}\n"
    return (
        f'name = "Simulated {kit.name} beads"\nlot = "{lot.number}"\nunit = "{kit.unit}"\n'
        f"indirect = false\n\n[channels.{kit.stain.detector}]\nlevels = {list(lot.levels)}\n{ratio}"
    )


def run_beads(lot: Lot, session: Session, rng: np.random.Generator) -> Events:
    """Run a tube of beads through the cytometer: single ones, doublets, and debris."""
    detector = lot.kit.stain.detector
    light, scatter = _shine(lot, _BEADS, rng)
    pairs = np.flatnonzero(rng.random(_BEADS) < _DOUBLETS)
    more, wider = _shine(lot, pairs.size, rng)
    light[pairs] += more
    scatter[pairs] += wider
    light = np.concatenate([light, np.full(_DEBRIS, _GLOW, dtype=np.float32)])
    scatter = np.concatenate([scatter, _draw_debris(rng)])
    order = rng.permutation(light.size)
    light, scatter = light[order, None], scatter[order]

    noise = np.array([DETECTORS[detector].electronic_noise], dtype=np.float32)
    gain = np.float32(_gain(detector, session))
    values = np.empty((light.size, 4), dtype=np.float32)
    values[:, 0] = trigger(scatter[:, 0] * session.gain["FSC"])
    values[:, 1] = scatter[:, 1] * session.gain["SSC"]
    values[:, 2] = detect(light, noise, rng)[:, 0] * gain
    digitise(values, slice(0, 0), session.events_per_second, rng)
    as_cells = {channel.detector: channel for channel in channels_of(B_PANEL)}
    names = ("FSC-A", "SSC-A", detector, TIME)
    return Events(values, tuple(replace(as_cells[name], marker=None) for name in names))


def tell_calibration(lot: Lot, session: Session) -> list[Truth]:
    """List what a file of beads calibrates to: log10 molecules = slope · log10 value + intercept.

    Session and label decide it alone, so `planted` is `value`.
    """
    stain = lot.kit.stain
    per_molecule = _gain(stain.detector, session) * stain.brightness / 1000.0
    intercept = -float(np.log10(per_molecule))
    return [
        Truth("calibration_slope", 1.0, 1.0, "log10", _BEADS, None),
        Truth("calibration_intercept", intercept, intercept, "log10", _BEADS, None),
    ]


def _gain(detector: str, session: Session) -> float:
    return DETECTORS[detector].gain * session.gain[detector]


def _shine(lot: Lot, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw single beads: (n,) photo-electrons, and (n, 2) FSC-A and SSC-A."""
    molecules = lot.means[rng.integers(0, lot.means.size, n)].astype(np.float32)
    light = molecules * np.float32(lot.kit.stain.brightness / 1000.0)
    light *= np.exp(_DYE_SPREAD * normal(rng, n))
    light += np.float32(_GLOW)
    return light, _SCATTER * np.exp(_SCATTER_SPREAD * normal(rng, (n, 2)))


def _draw_debris(rng: np.random.Generator) -> Floats:
    debris = cells.CLASSES[cells.INDEX["debris"]]
    spread = np.array([debris.forward_spread, debris.side_spread], dtype=np.float32)
    median = np.array([debris.forward, debris.side], dtype=np.float32)
    return median * np.exp(spread * normal(rng, (_DEBRIS, 2)))
