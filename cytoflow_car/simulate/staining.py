"""From cells to light: antigen copies, labels, autofluorescence, non-specific binding, scatter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.panels import DETECTORS, Panel, spillover_matrix
from cytoflow_car.simulate.specimens import Draw

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int16]

_BEAD_GLOW = 1800.0  # photo-electrons of a counting bead in every detector
_DEAD_STAIN = 0.7  # share of its antigens that a dead cell still shows
_DEAD_BINDING = 3.0  # non-specific binding of a dead cell, relative to a live one
_INTERNALISED = 0.25  # mean ln loss of CAR from the surface, cell by cell: a tail to the dim side
_LOG_DARK = -1000.0  # its exponential is 0, but between two stages there is still a way
_SIZE_SPREAD = 0.08  # SD of ln size, which all signals of a cell share

#: Antigens whose density is told: those that CAR T cells are aimed at.
DENSITY_ANTIGENS = ("CD19", "CD22")


@dataclass(frozen=True, slots=True, eq=False)
class StainedClasses:
    """What the classes of one file look like: photo-electrons for light, data units for scatter.

    Attributes
    ----------
    log_light, light_spread
        (n_classes, n_stains) ln median and its SD between cells.
    log_glow, glow_spread
        (n_classes, n_detectors) and (n_classes,): autofluorescence, or a bead's own dyes.
    log_scatter, scatter_spread
        (n_classes, 2): FSC-A and SSC-A.
    background
        (n_stains,) photo-electrons that bind non-specifically to a live cell.
    before, after
        (n_classes,) neighbouring stages of B maturation; elsewhere the class itself.
    viability
        Column of the viability dye, and ln of its light on a dead cell.
    receptor
        Column of the CAR reagent, and which classes carry that CAR (none in a panel without).
    spill
        (n_stains, n_detectors) of photo-electrons.
    """

    log_light: Floats
    light_spread: Floats
    log_glow: Floats
    glow_spread: Floats
    log_scatter: Floats
    scatter_spread: Floats
    background: Floats
    before: Labels
    after: Labels
    viability: tuple[int, float]
    receptor: tuple[int, cells.Members]
    spill: Floats


def stain(
    draw: Draw,
    panel: Panel,
    drift: dict[str, float],
    rng: np.random.Generator,
) -> StainedClasses:
    """Stain a draw with a panel.

    Parameters
    ----------
    drift
        Antigen to ln factor on how many of its antibodies bind that day.
    rng
        Decides pipetting and how this person's cells differ from the class tables.
    """
    antigens = panel.antigens
    brightness = np.array([label.brightness for label in panel.stains])
    copies = np.array([[count_copies(cell, a, draw) for a in antigens] for cell in cells.CLASSES])
    spread = np.array([[_spread(cell, a) for a in antigens] for cell in cells.CLASSES])
    pipetted = np.array([drift[a] for a in antigens]) + rng.normal(0.0, 0.04, len(antigens))
    biology = rng.normal(0.0, 0.06, copies.shape)
    light = copies * brightness * np.exp(pipetted + biology)
    background = brightness * np.array([cells.BACKGROUND[a] for a in antigens])
    column = antigens.index("viability")
    dead_light = float(np.log(cells.DEAD_VIABILITY * brightness[column]) + pipetted[column])
    glow = np.outer(
        [cell.autofluorescence for cell in cells.CLASSES],
        [DETECTORS[name].autofluorescence for name in panel.detectors],
    ) * rng.lognormal(0.0, 0.06)
    glow[cells.BEAD] = _BEAD_GLOW * rng.uniform(0.6, 1.4, len(antigens))
    light[cells.BEAD] = 0.0
    glow_spread = np.full(len(cells.CLASSES), 0.27)
    glow_spread[cells.BEAD] = 0.035
    scatter = np.array([[cell.forward, cell.side] for cell in cells.CLASSES])
    scatter *= rng.lognormal(0.0, 0.02, scatter.shape)
    for row, cell in enumerate(cells.CLASSES):
        scatter[row] *= draw.activation.get(cell.car, 1.0)
        if cell.lineage == "blast":
            scatter[row, 0] *= draw.blast_copies["size"] if draw.blast_copies else 1.0
    before, after = _neighbours()
    log_light = np.log(light, out=np.full_like(light, _LOG_DARK), where=light > 0)
    return StainedClasses(
        log_light=log_light.astype(np.float32),
        light_spread=spread.astype(np.float32),
        log_glow=np.log(glow).astype(np.float32),
        glow_spread=glow_spread.astype(np.float32),
        log_scatter=np.log(scatter).astype(np.float32),
        scatter_spread=np.array(
            [[cell.forward_spread, cell.side_spread] for cell in cells.CLASSES],
            dtype=np.float32,
        ),
        background=background.astype(np.float32),
        before=before,
        after=after,
        viability=(column, dead_light),
        receptor=_receptor(panel),
        spill=spillover_matrix(panel).astype(np.float32),
    )


def leave_out(stained: StainedClasses, panel: Panel, antigen: str) -> StainedClasses:
    """Return the same cells stained without the reagent of an antigen (an FMO)."""
    column = panel.antigens.index(antigen)
    log_light, background = stained.log_light.copy(), stained.background.copy()
    log_light[:, column] = _LOG_DARK
    background[column] = 0.0
    return replace(stained, log_light=log_light, background=background)


def emit(
    stained: StainedClasses,
    labels: Labels,
    dead: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Draw cells one by one.

    Returns
    -------
    bound, light, scatter
        (n, n_stains) photo-electrons of what has bound, each in its own detector; (n, n_detectors)
        mean photo-electrons after spillover, with autofluorescence; (n, 2) FSC-A and SSC-A.
    """
    bound, size = bind(stained, labels, rng)
    rows = np.flatnonzero(dead)
    if rows.size:
        _kill(stained, bound, rows, rng)
    own = normal(rng, labels.size) * stained.glow_spread[labels]
    glow = np.exp(stained.log_glow[labels] + own[:, None])
    light = bound @ stained.spill
    light += glow * np.where(dead, np.float32(1.7), np.float32(1.0))[:, None]

    scatter = normal(rng, (labels.size, 2))
    # Larger cells scatter more in both directions, and carry more of everything.
    scatter[:, 0] = 0.6 * size + 0.8 * scatter[:, 0]
    scatter[:, 1] = 0.3 * scatter[:, 0] + 0.954 * scatter[:, 1]
    scatter *= stained.scatter_spread[labels]
    scatter += stained.log_scatter[labels]
    scatter = np.exp(scatter, out=scatter)
    scatter[rows, 0] *= rng.uniform(0.55, 0.97, rows.size)
    scatter[rows, 1] *= rng.uniform(0.95, 1.5, rows.size)
    return bound, light, scatter


def bind(
    stained: StainedClasses, labels: Labels, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw what binds to live cells.

    Returns
    -------
    bound, size
        (n, n_stains) photo-electrons of each label in its own detector, and (n,) size of each cell
        in standard deviations.
    """
    size = normal(rng, labels.size)
    noise = normal(rng, (labels.size, stained.log_light.shape[1]))
    noise *= stained.light_spread[labels]
    noise += _log_light(stained, labels, rng)
    noise += _SIZE_SPREAD * size[:, None]
    bound: Floats = np.exp(noise, out=noise)
    column, carriers = stained.receptor
    rows = np.flatnonzero(carriers[labels])
    bound[rows, column] *= np.exp(-rng.exponential(_INTERNALISED, rows.size))
    return bound, size


def count_bound(panel: Panel, bound: Floats) -> dict[str, Floats]:
    """Return antibodies bound a cell, (n,) for each of `DENSITY_ANTIGENS` in the panel."""
    return {
        stain.antigen: bound[:, column] * np.float32(1000.0 / stain.brightness)
        for column, stain in enumerate(panel.stains)
        if stain.antigen in DENSITY_ANTIGENS
    }


def normal(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Floats:
    """Draw standard normal values, float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def _kill(
    stained: StainedClasses,
    light: Floats,
    rows: npt.NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    column, dead_light = stained.viability
    light[rows] *= _DEAD_STAIN
    binding = np.exp(0.5 * normal(rng, (rows.size, stained.background.size)))
    light[rows] += _DEAD_BINDING * stained.background * binding
    dye = np.exp(dead_light + 0.35 * normal(rng, rows.size))
    # Some membranes have only begun to leak.
    light[rows, column] = dye * np.where(rng.random(rows.size) < 0.12, 0.25, 1.0)


def _log_light(stained: StainedClasses, labels: Labels, rng: np.random.Generator) -> Floats:
    """Return ln median light of each cell; B precursors lie anywhere between their stages."""
    light: Floats = stained.log_light[labels]
    maturing = np.flatnonzero(stained.before[labels] != stained.after[labels])
    if maturing.size:
        way = rng.uniform(-0.5, 0.5, maturing.size).astype(np.float32)
        stage = labels[maturing]
        neighbour = np.where(way < 0, stained.before[stage], stained.after[stage])
        light[maturing] += np.abs(way)[:, None] * (stained.log_light[neighbour] - light[maturing])
    return light


def _receptor(panel: Panel) -> tuple[int, cells.Members]:
    for column, antigen in enumerate(panel.antigens):
        if antigen.startswith("CAR"):
            return column, cells.CAR[f"CD{antigen[3:]}"]
    return 0, np.zeros(len(cells.CLASSES), dtype=np.bool_)


def _neighbours() -> tuple[Labels, Labels]:
    before = np.arange(len(cells.CLASSES), dtype=np.int16)
    after = before.copy()
    stages = [cells.INDEX[name] for name in cells.B_STAGES]
    # The mature pool is a resting end state: cells ripen towards it, not beyond.
    for younger, older in pairwise(stages):
        after[younger] = older
        if older != stages[-1]:
            before[older] = younger
    return before, after


def count_copies(cell: cells.CellClass, antigen: str, draw: Draw) -> float:
    """Return the median thousands of copies of an antigen that a class seems to have in a draw."""
    background = cells.BACKGROUND[antigen]
    if cell.lineage == "blast" and (cell.name, antigen) != ("blast CD19-", "CD19"):
        # An antigen that only some patients' blasts carry multiplies the background.
        patient = draw.blast_copies.get(antigen, 1.0)
        return max(cell.copies.get(antigen, background) * patient, background)
    # What sticks without an antigen grows with the cell, as autofluorescence does.
    return max(cell.copies.get(antigen, 0.0), background * min(cell.autofluorescence, 2.0))


def _spread(cell: cells.CellClass, antigen: str) -> float:
    carries = cell.copies.get(antigen, 0.0) > cells.BACKGROUND[antigen]
    default = cells.SPREAD[antigen] if carries else cells.BACKGROUND_SPREAD
    return cell.spread.get(antigen, default)
