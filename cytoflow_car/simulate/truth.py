"""What a simulated file really holds: planted parameters and realised counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.simulate import cells
from cytoflow_car.simulate.cytometer import LIVE, Acquisition
from cytoflow_car.simulate.panels import Panel
from cytoflow_car.simulate.specimens import Draw
from cytoflow_car.simulate.staining import bind, count_bound

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truth:
    """One row of ``truth.csv`` but for the file.

    Attributes
    ----------
    planted
        The simulation's parameter: the share or concentration of the specimen, or the median of
        the cells that the file was drawn from.
    value
        What was realised among events made as live single cells; None where 0 of 0.
    unit
        ``%`` (0 to 100), ``cells/uL`` or ``ABC``.
    n_events, n_denominator
        Events of the numerator and of the denominator (beads or leukocytes for concentrations);
        None where nothing is divided.
    """

    measurement: str
    planted: float
    value: float | None
    unit: str
    n_events: int
    n_denominator: int | None


# Normal B cells of every stage carry CD19 and CD22 here; plasma cells and CD34+CD22+ progenitors
# are not counted as B cells.
_B_SHARES = {"b_cell_cd19": cells.NORMAL_B, "b_cell_cd22": cells.NORMAL_B}
_DENOMINATORS = {
    "nucleated": cells.CELLS,
    "cd45": cells.CD45,
    "mononuclear": cells.MONONUCLEAR,
    "lymphocytes": cells.LYMPHOCYTES,
}

# Whose density is asked for, by specimen.
_DENSITIES = {
    "BM": {"blast": cells.BLASTS, "normal_b": cells.NORMAL_B},
    "CSF": {"blast": cells.BLASTS},
    "PB": {"normal_b": cells.NORMAL_B},
}
_POPULATION = 50_000  # cells whose median stands for that of all


def count_live(acquisition: Acquisition) -> Counts:
    """Count events made as live single cells (or single particles) by class, (n_classes,)."""
    single = acquisition.labels[acquisition.kinds == LIVE]
    return np.bincount(single, minlength=len(cells.CLASSES))


def tell_truth(
    tube: str, draw: Draw, counts: Counts, *, beads_per_ul: float, counted_blood: bool
) -> list[Truth]:
    """List the truth of one specimen's file.

    Parameters
    ----------
    tube
        ``T``, ``T22`` or ``B``.
    counts
        Of `count_live`.
    beads_per_ul
        Counting beads a microlitre of specimen; 0 where the tube holds none.
    counted_blood
        A blood count of the draw is known.
    """
    if tube == "B":
        shares, concentrations = _b_questions(draw.specimen)
    else:
        shares, concentrations = _t_questions("CD19" if tube == "T" else "CD22")
    rows = [_share(name, *masks, draw, counts) for name, masks in shares.items()]
    if draw.specimen != "BM" and (beads_per_ul > 0 or counted_blood):
        rows += [
            _concentration(name, mask, draw, counts, beads_per_ul)
            for name, mask in concentrations.items()
        ]
    return rows


def tell_density(
    panel: Panel, draw: Draw, acquisition: Acquisition, rng: np.random.Generator
) -> list[Truth]:
    """List the median antibodies bound a cell, of the populations that have events.

    They are counted before light is: without autofluorescence, spillover and noise, but with what
    binds non-specifically, and with the staining of that day and tube.

    Parameters
    ----------
    rng
        Draws the cells whose median is `planted`.
    """
    rows = []
    single = acquisition.kinds == LIVE
    for what, mask in _DENSITIES[draw.specimen].items():
        chosen = single & mask[acquisition.labels]
        n = int(np.count_nonzero(chosen))
        if not n:
            continue
        rates = np.where(mask, draw.rates, 0.0)
        labels = rng.choice(rates.size, size=_POPULATION, p=rates / rates.sum()).astype(np.int16)
        bound, _ = bind(acquisition.stained, labels, rng)
        for antigen, planted in count_bound(panel, bound).items():
            value = float(np.median(acquisition.copies[antigen][chosen]))
            name = f"{what}_{antigen.lower()}_abc"
            rows.append(Truth(name, float(np.median(planted)), value, "ABC", n, None))
    return rows


_Masks = tuple[cells.Members, cells.Members]


def _t_questions(target: str) -> tuple[dict[str, _Masks], dict[str, cells.Members]]:
    car = cells.CAR[target]
    shares = {
        "car_t_percent_of_t": (car, cells.T),
        "car_t_percent_of_lymphocytes": (car, cells.LYMPHOCYTES),
        "car_t_percent_of_cd45": (car, cells.CD45),
        "car_t_cd4_percent_of_cd4": (car & cells.CD4, cells.CD4),
        "car_t_cd8_percent_of_cd8": (car & cells.CD8, cells.CD8),
        "t_percent_of_cd45": (cells.T, cells.CD45),
        "cd4_percent_of_t": (cells.CD4, cells.T),
        "cd8_percent_of_t": (cells.CD8, cells.T),
    }
    return shares, {"car_t_per_ul": car}


def _b_questions(specimen: str) -> tuple[dict[str, _Masks], dict[str, cells.Members]]:
    if specimen == "CSF":
        # A few normal B cells are in the fluid as well, but only its blasts are asked for.
        return {"blast_percent_of_cd45": (cells.BLASTS, cells.CD45)}, {"blast_per_ul": cells.BLASTS}
    names = _DENOMINATORS if specimen == "BM" else ("lymphocytes", "cd45")
    shares = {
        f"{what}_percent_of_{name}": (mask, _DENOMINATORS[name])
        for what, mask in _B_SHARES.items()
        for name in names
    }
    if specimen == "BM":
        for name in ("nucleated", "cd45", "mononuclear"):
            shares[f"blast_percent_of_{name}"] = (cells.BLASTS, _DENOMINATORS[name])
    return shares, {f"{what}_per_ul": mask for what, mask in _B_SHARES.items()}


def _share(
    name: str, part: cells.Members, whole: cells.Members, draw: Draw, counts: Counts
) -> Truth:
    n, total = int(counts[part].sum()), int(counts[whole].sum())
    planted = 100.0 * float(draw.rates[part].sum() / draw.rates[whole].sum())
    return Truth(name, planted, 100.0 * n / total if total else None, "%", n, total)


def _concentration(
    name: str, part: cells.Members, draw: Draw, counts: Counts, beads_per_ul: float
) -> Truth:
    n = int(counts[part].sum())
    reference = np.arange(counts.size) == cells.BEAD
    per_ul = beads_per_ul
    if beads_per_ul == 0:
        reference, per_ul = cells.CD45, draw.cd45_per_ul
    total = int(counts[reference].sum())
    planted = float(draw.rates[part].sum())
    return Truth(name, planted, per_ul * n / total if total else None, "cells/uL", n, total)
