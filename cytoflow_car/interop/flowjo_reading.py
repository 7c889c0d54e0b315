"""Read FlowJo 10 workspaces."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cytoflow_car.errors import InteropError
from cytoflow_car.interop.flowkit_gates import convert_strategy
from cytoflow_car.interop.gate_set import GateSet
from cytoflow_car.interop.xml import read_xml

#: FlowKit takes no population of this name.
_DOT = re.compile(rb'(<(?:Population|AndNode|OrNode|NotNode)\b[^>]*?\bname=")\.(")')
_SAMPLE = re.compile(rb'<SampleNode\b[^>]*?\bname="([^"]*)"')


def read_workspace(path: Path) -> Mapping[str, GateSet]:
    """Read the gates of every sample of a FlowJo 10 workspace, parsed by flowkit.

    Returns
    -------
    By the sample's name in the workspace, which is that of its file. A population named ``.`` is
    called ``(.)``, and a note says so.

    Raises
    ------
    InteropError
        Not a workspace, or something in it that cannot be taken over.
    """
    import flowkit

    content = read_xml(path).getvalue()
    doubled = [name for name, n in Counter(_SAMPLE.findall(content)).items() if n > 1]
    if doubled:
        # flowkit would keep the last of them and say nothing.
        raise InteropError(
            f"two samples named {', '.join(name.decode('utf-8', 'replace') for name in doubled)}",
            where=path.name,
            expected="a name of its own for each sample",
        )
    content, n_dots = _DOT.subn(rb"\1(.)\2", content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            workspace = flowkit.Workspace(io.BytesIO(content), load_missing_file_data=True)
    except Exception as fault:
        # flowkit raises whatever comes up inside it.
        raise InteropError(
            f"no workspace that can be read: {fault}",
            where=path.name,
            expected="a FlowJo 10 workspace",
        ) from fault
    notes = ("a population named '.' is called '(.)'",) if n_dots else ()
    found = {}
    for name in workspace.get_sample_ids(loaded_only=False):
        try:
            gates = convert_strategy(workspace.get_gating_strategy(name), name)
        except InteropError as fault:
            raise fault.at(f"{path.name}, {name}") from fault
        found[name] = replace(gates, notes=(*gates.notes, *notes))
    return found
