"""Read Gating-ML 2.0."""

from __future__ import annotations

from pathlib import Path

from cytoflow_car.errors import InteropError
from cytoflow_car.interop.flowkit_gates import convert_strategy
from cytoflow_car.interop.gate_set import GateSet
from cytoflow_car.interop.xml import read_xml


def read_gatingml(path: Path) -> GateSet:
    """Read a Gating-ML 2.0 file, parsed by flowkit.

    Raises
    ------
    InteropError
        Not Gating-ML, or something in it that cannot be taken over.
    """
    # Takes seconds, and nobody else needs it.
    import flowkit

    try:
        strategy = flowkit.parse_gating_xml(read_xml(path))
    except InteropError:
        raise
    except Exception as fault:
        # flowkit raises whatever comes up inside it.
        raise InteropError(
            f"no Gating-ML that can be read: {fault}",
            where=path.name,
            expected="a Gating-ML 2.0 file",
        ) from fault
    return convert_strategy(strategy)
