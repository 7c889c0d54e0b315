"""Placed gates for other programs."""

from __future__ import annotations

from cytoflow_car.interop.gatingml_writing import WrittenPopulation, write_gatingml
from cytoflow_car.job import SampleResult
from cytoflow_car.template import Template


def export_gates(result: SampleResult, template: Template) -> bytes:
    """Return the placed gates of a specimen as Gating-ML 2.0, compensation and scales included.

    Populations that could not be gated are left out, as is everything beneath them.
    """
    rules = {name: rule for rule in template.populations for name in rule.names}
    return write_gatingml(
        [
            WrittenPopulation(
                item.name,
                rules[item.name].parent,
                item.placement.gate,
                (rules[item.name].quadrants or {}).get(item.name, ""),
            )
            for item in result.populations
            if item.placement is not None and item.name in rules
        ],
        result.detectors,
        result.spillover,
    )
