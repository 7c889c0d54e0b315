"""From light to the numbers of a list-mode file: photons, noise, doublets, clogs, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.model.events import Channel, Events, Spillover
from cytoflow_car.simulate import cells
from cytoflow_car.simulate.panels import (
    DETECTORS,
    SCATTER,
    TIME,
    TIME_STEP_SECONDS,
    TOP_OF_RANGE,
    Panel,
)
from cytoflow_car.simulate.specimens import Draw
from cytoflow_car.simulate.staining import (
    DENSITY_ANTIGENS,
    Floats,
    Labels,
    StainedClasses,
    count_bound,
    emit,
    leave_out,
    normal,
    stain,
)

LIVE, DEAD, DOUBLET = 0, 1, 2
_THRESHOLD = np.float32(5000.0)  # the trigger on FSC-A
_BLOCK = 1 << 16  # events computed at once: few enough for the processor's cache
# Below this mean the Poisson law is drawn exactly; above, it is normal to a skewness of 0.22.
_EXACT_POISSON_BELOW = 20.0
_CLOG_PROBABILITY = 0.05

Kinds = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Session:
    """The instrument and the staining bench on one day; one a batch.

    Attributes
    ----------
    gain
        Detector, ``FSC`` or ``SSC`` to the factor on its gain.
    staining
        Antigen to ln factor on how many of its antibodies bind.
    height_ratio
        FSC-H over FSC-A of a single cell.
    events_per_second
        Flow rate.
    """

    gain: dict[str, float]
    staining: dict[str, float]
    height_ratio: float
    events_per_second: float


@dataclass(frozen=True, slots=True, eq=False)
class Acquisition:
    """A file before it is written, with what only the simulation knows.

    Attributes
    ----------
    events
        As acquired; Time in seconds.
    spillover
        The session's true matrix, in data units.
    labels, kinds
        (n_events,) number of the class, and LIVE, DEAD or DOUBLET.
    clogged
        Rows at which a clog disturbed the run; empty in most files.
    stained
        What the cells were drawn from.
    copies
        Antigen to (n_events,) antibodies bound; of a doublet, to its first cell.
    """

    events: Events
    spillover: Spillover
    labels: Labels
    kinds: Kinds
    clogged: slice
    stained: StainedClasses
    copies: Mapping[str, Floats]


def draw_session(gain_sd: float, rng: np.random.Generator) -> Session:
    """Draw the day's instrument; `gain_sd` is the SD of log10 gain between days."""
    gain = {name: float(10.0 ** rng.normal(0.0, gain_sd)) for name in DETECTORS}
    # Optics move scatter less than a photomultiplier's gain moves fluorescence.
    gain |= {name: float(10.0 ** rng.normal(0.0, 0.3 * gain_sd)) for name in ("FSC", "SSC")}
    staining = {antigen: float(rng.normal(0.0, 0.07)) for antigen in cells.BACKGROUND}
    ratio = float(rng.normal(0.9, 0.01))
    return Session(gain, staining, ratio, float(rng.uniform(1500.0, 4000.0)))


def acquire(
    draw: Draw,
    panel: Panel,
    session: Session,
    n_events: int,
    rng: np.random.Generator,
    *,
    beads_per_ul: float = 0.0,
    omitted: str = "",
    same_cells: StainedClasses | None = None,
) -> Acquisition:
    """Stain a draw and run `n_events` of it through the cytometer.

    Parameters
    ----------
    beads_per_ul
        Counting beads a microlitre of specimen stained.
    omitted
        Antigen whose reagent is left out (an FMO); empty for none.
    same_cells
        What another tube of the draw was drawn from, where this one is of the same cells, stained
        at the same time.
    """
    labels, kinds = _draw_events(draw, beads_per_ul, n_events, rng)
    partners = _draw_partners(draw, kinds, rng)
    stained = same_cells or stain(draw, panel, session.staining, rng)
    if omitted:
        stained = leave_out(stained, panel, omitted)
    gain = np.array(
        [DETECTORS[name].gain * session.gain[name] for name in panel.detectors],
        dtype=np.float32,
    )
    noise = np.array([DETECTORS[name].electronic_noise for name in panel.detectors], np.float32)
    values = np.empty((n_events, len(SCATTER) + gain.size + 1), dtype=np.float32)
    copies = {
        antigen: np.empty(n_events, dtype=np.float32)
        for antigen in DENSITY_ANTIGENS
        if antigen in panel.antigens
    }
    for start in range(0, n_events, _BLOCK):
        rows = slice(start, start + _BLOCK)
        bound, light, scatter = emit(stained, labels[rows], kinds[rows] == DEAD, rng)
        for antigen, counted in count_bound(panel, bound).items():
            copies[antigen][rows] = counted
        height = scatter[:, 0].copy()
        pairs = np.flatnonzero(kinds[rows] == DOUBLET)
        if pairs.size:
            seconds = partners[rows][pairs]
            _, more, wider = emit(stained, seconds, np.zeros(pairs.size, dtype=bool), rng)
            light[pairs] += more
            height[pairs] = np.maximum(height[pairs], wider[:, 0])
            height[pairs] *= rng.uniform(1.0, 1.2, pairs.size)
            scatter[pairs] += wider
            # Cells that stick together overlap in the laser to a varying degree.
            scatter[pairs, 0] *= rng.uniform(0.82, 1.0, pairs.size)
        values[rows, 0] = trigger(scatter[:, 0] * session.gain["FSC"])
        height /= scatter[:, 0]
        height *= session.height_ratio * (1.0 + 0.033 * normal(rng, height.size))
        values[rows, 1] = height * values[rows, 0]
        values[rows, 2] = scatter[:, 1] * session.gain["SSC"]
        values[rows, 3:-1] = detect(light, noise, rng) * gain
    clogged = _clog(values, rng)
    digitise(values, clogged, session.events_per_second, rng)
    matrix = stained.spill.astype(np.float64) * (gain[None, :].astype(np.float64) / gain[:, None])
    return Acquisition(
        Events(values, channels_of(panel)),
        Spillover(panel.detectors, matrix, "$SPILLOVER"),
        labels,
        kinds,
        clogged,
        stained,
        copies,
    )


def _draw_events(
    draw: Draw, beads_per_ul: float, n_events: int, rng: np.random.Generator
) -> tuple[Labels, Kinds]:
    """Draw what each event is; the order of arrival is random, so it says nothing."""
    live = draw.rates.copy()
    live[cells.BEAD] = beads_per_ul
    dead = draw.rates * cells.FRAGILITY
    dead *= draw.dead * draw.rates[cells.CELLS].sum() / dead.sum()
    doublets = live * draw.doublets / (1.0 - draw.doublets)
    rates = np.concatenate([live, dead, doublets])
    counts = rng.multinomial(n_events, rates / rates.sum())
    order = rng.permutation(n_events)
    kinds, labels = np.divmod(np.arange(rates.size), live.size)
    return (
        np.repeat(labels.astype(np.int16), counts)[order],
        np.repeat(kinds.astype(np.int8), counts)[order],
    )


def _draw_partners(draw: Draw, kinds: Kinds, rng: np.random.Generator) -> Labels:
    """Draw the second cell of each doublet, (n_events,); 0 and unused elsewhere."""
    partners = np.zeros(kinds.size, dtype=np.int16)
    pairs = kinds == DOUBLET
    rates = draw.rates * cells.CELLS
    partners[pairs] = rng.choice(rates.size, size=int(pairs.sum()), p=rates / rates.sum())
    return partners


def detect(light: Floats, electronic: Floats, rng: np.random.Generator) -> Floats:
    """Count photo-electrons: Poisson, with the detector's own Gaussian noise on top."""
    counted: Floats = normal(rng, light.shape)
    dim = light < _EXACT_POISSON_BELOW
    low = light[dim]
    baseline = np.broadcast_to(electronic, light.shape)[dim] * counted[dim]
    counted *= np.sqrt(light + electronic**2)
    counted += light
    counted[dim] = rng.poisson(low).astype(np.float32) + baseline
    return counted


def trigger(forward: Floats) -> Floats:
    """Fold what lies below the trigger to above it: the instrument records nothing below."""
    folded: Floats = _THRESHOLD + np.abs(forward - _THRESHOLD)
    return folded


def _clog(values: Floats, rng: np.random.Generator) -> slice:
    """Disturb a stretch of the run in a few files: dimmer in some channels, smaller in FSC."""
    if rng.random() >= _CLOG_PROBABILITY or len(values) < 1000:
        return slice(0, 0)
    length = int(rng.uniform(0.02, 0.06) * len(values))
    start = int(rng.integers(0, len(values) - length))
    rows = slice(start, start + length)
    fluorescence = np.arange(len(SCATTER), values.shape[1] - 1)
    for column in rng.choice(fluorescence, size=int(rng.integers(3, 6)), replace=False):
        values[rows, column] *= rng.uniform(0.5, 0.8)
    values[rows, :2] *= rng.uniform(0.8, 0.9)
    return rows


def digitise(values: Floats, clogged: slice, rate: float, rng: np.random.Generator) -> None:
    """Set Time, the last column, end the others at the top of the range, and close the table.

    Parameters
    ----------
    clogged
        Rows at which a clog disturbed the run.
    rate
        Events a second.
    """
    values[:, -1] = _clock(len(values), clogged, rate, rng)
    np.minimum(values[:, :-1], np.float32(TOP_OF_RANGE - 1.0), out=values[:, :-1])
    values.setflags(write=False)


def _clock(n: int, clogged: slice, rate: float, rng: np.random.Generator) -> Floats:
    """Return arrival times in seconds, (n,), as the instrument's clock ticks them off."""
    waits = rng.exponential(1.0 / rate, n)
    waits *= np.linspace(0.95, 1.08, n)  # the pressure falls a little while the tube empties
    waits[clogged] *= rng.uniform(4.0, 8.0)
    ticks = np.floor(np.cumsum(waits) / TIME_STEP_SECONDS)
    return (ticks * TIME_STEP_SECONDS).astype(np.float32)


def channels_of(panel: Panel) -> tuple[Channel, ...]:
    """Return the channels of a panel's files, in the order of their columns."""
    scatter = tuple(Channel(name, None, TOP_OF_RANGE, voltage=300.0) for name in SCATTER)
    stains = tuple(
        Channel(
            label.detector,
            label.marker,
            TOP_OF_RANGE,
            voltage=DETECTORS[label.detector].voltage,
        )
        for label in panel.stains
    )
    return (*scatter, *stains, Channel(TIME, None, TOP_OF_RANGE))
