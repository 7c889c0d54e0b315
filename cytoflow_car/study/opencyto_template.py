"""A first gating template from one of openCyto's."""

from __future__ import annotations

import re
from pathlib import Path

from cytoflow_car.errors import InteropError
from cytoflow_car.fcs import FileHeader
from cytoflow_car.interop.opencyto import read_opencyto
from cytoflow_car.interop.opencyto_rules import OpenCytoRules, convert_opencyto
from cytoflow_car.measure.counting import Percent
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.model.population import ROOT
from cytoflow_car.preprocess.scales import ScaleSetting
from cytoflow_car.template import Template

_ASSAY = "cells"


def draft_from_opencyto(name: str, table: Path, header: FileHeader) -> tuple[str, OpenCytoRules]:
    """Return a template's text with what could be taken over, and the rules behind it.

    What could not stands at its head. Scatter is linear, the rest logicle; each population is
    measured as a percent of its parent.

    Raises
    ------
    InteropError
        The table cannot be read, or nothing in it has a counterpart.
    """
    # Only drafting and learning write TOML.
    import tomli_w
    from pydantic import TypeAdapter

    found = convert_opencyto(read_opencyto(table), header.channels)
    if not found.rules:
        raise InteropError(
            "nothing could be taken over: " + "; ".join(found.left_out[:3]), where=table.name
        )
    template = Template(
        name=name,
        version="0.1.0",
        description="From a gating template of openCyto",
        specimens=("PB",),
        markers=found.markers,
        populations=found.rules,
        measurements=tuple(_measurements(found)),
        detection=(DetectionRule(_ASSAY, lod_events=20, loq_events=50),),
        scales={
            "default": ScaleSetting("logicle"),
            **{marker: ScaleSetting("linear") for marker in found.scatter},
        },
        scatter=found.scatter,
    )
    plain = TypeAdapter(Template).dump_python(template, mode="json", exclude_defaults=True)
    # A table without a field would still have to be there.
    plain["scales"]["default"] = {"kind": "logicle"}
    lines = [
        "From a gating template of openCyto. Look at every gate before use.",
        *(f"Left out: {line}" for line in found.left_out),
        *found.notes,
    ]
    return "".join(f"# {_printable(line)}\n" for line in lines) + "\n" + tomli_w.dumps(plain), found


def _measurements(found: OpenCytoRules) -> list[Percent]:
    taken: dict[str, int] = {}
    measured = []
    for rule in found.rules:
        of = "events" if rule.parent == ROOT else _slug(rule.parent)
        for population in rule.names:
            column = f"{_slug(population)}_percent_of_{of}"
            taken[column] = taken.get(column, 0) + 1
            column += "" if taken[column] == 1 else f"_no_{taken[column]}"
            measured.append(Percent("percent", column, population, rule.parent, _ASSAY))
    return measured


def _slug(name: str) -> str:
    """Return a population's name as part of a column's."""
    # The hyphen of HLA-DR and PD-L1 is no sign.
    words = re.sub(r"(?<=\d)-|-(?=\W|$)", " neg ", name.replace("+", " pos "))
    slug = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return slug if slug[:1].isalpha() else f"p_{slug}".strip("_")


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in line)
