"""Which CAR a tube looks for: reagents that bind every product tell none from another."""

from __future__ import annotations

import re

from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.template import Template

#: Reagents that bind what products share: light chain, linker, marker gene or mouse framework.
GENERIC_REAGENTS = (
    "protein L",
    "anti-linker",
    "G4S",
    "Gly4Ser",
    "Whitlow",
    "EGFRt",
    "tEGFR",
    "huEGFRt",
    "anti-EGFR",
    "cetuximab",
    "Erbitux",
    "goat anti-mouse",
    "goat F(ab')2 anti-mouse",
    "anti-mouse Fab",
)


def is_generic(reagent: str) -> bool:
    """Tell whether a reagent names a generic one; case, spaces and signs do not matter."""
    return any(
        re.search(rf"(?<![a-z0-9]){_spellings(name)}(?![a-z0-9])", reagent.casefold())
        for name in GENERIC_REAGENTS
    )


def _spellings(name: str) -> str:
    return r"[\W_]*".join(re.findall(r"[a-z]+|\d+", name.casefold()))


def car_target_of(row: SheetRow, template: Template, study: Study) -> str:
    """Return the antigen of the CAR that a row's measurements look for.

    The sheet's own before the template's. By a generic reagent the template's target holds only
    while no other product was infused: after that it is ``ANY``.
    """
    car, last = template.car, study.last_infusion(row)
    if row.car_target or car is None:
        return row.car_target
    if last is None or car.target == "unknown" or not is_generic(row.car_reagent or car.reagent):
        return car.target
    others = (
        car.target not in re.split(r"[/x+]", item.car_target)
        for item in study.infusions
        if item.patient_id == row.patient_id
        and item.number <= last.number
        # The first product is the template's where the table does not say what it is.
        and (item.car_target or item.number > 1)
    )
    return "ANY" if any(others) else car.target
