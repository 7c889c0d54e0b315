"""The gates of a results folder as a FlowJo workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.fcs import read_header
from cytoflow_car.interop.flowjo_writing import join_workspaces, write_workspace
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.study.results_reading import FcsFinder, read_results


@dataclass(frozen=True, slots=True)
class FlowjoExport:
    """What went into a workspace.

    Attributes
    ----------
    content
        Of the ``.wsp`` file.
    samples
        Specimens in it.
    left_out
        What is not in it, each with the reason, in words.
    """

    content: bytes
    samples: tuple[str, ...]
    left_out: tuple[str, ...]


def export_flowjo(results: Path, folders: Sequence[Path] = ()) -> FlowjoExport:
    """Bring the placed gates of all specimens into one FlowJo 10 workspace.

    Boxes and polygons on linear and logicle scales and their combinations are written, quadrants as
    boxes; the rest is named. Of a specimen under several templates the first is taken, since a
    workspace holds one tree of gates a file.

    Parameters
    ----------
    results
        Folder that a run wrote.
    folders
        Where to look for the FCS files.

    Raises
    ------
    StudyError
        No results folder, or no specimen whose file was found.
    """
    found = read_results(results)
    finder = FcsFinder(found.folder, tuple(folders))
    written, left_out = {}, []
    for specimen in found.specimens:
        if specimen.sample_id in written:
            left_out.append(f"{specimen.sample_id}: its gates of {specimen.template}")
            continue
        try:
            path = finder.find(specimen.file)
            header = read_header(path)
            gates = read_gatingml(specimen.gatingml)
        except CytoflowCarError as error:
            left_out.append(str(error.at(specimen.sample_id)))
            continue
        detectors = [channel.detector for channel in header.channels]
        made = write_workspace(path.name, detectors, gates)
        written[specimen.sample_id] = made
        left_out += [
            f"{specimen.sample_id}: {'/'.join(population)}: {why}"
            for population, why in made.left_out.items()
        ]
        known = {item.path for item in gates.gates}
        left_out += [
            f"{specimen.sample_id}: {'/'.join(population)}: not in gatingml/, as labels are not"
            for population in specimen.populations
            if population and population not in known and population not in made.left_out
        ]
    if not written:
        raise StudyError(
            "no specimen to export" + "".join(f"; {line}" for line in left_out[:1]),
            advice="Name the folder of the FCS files with --fcs",
        )
    return FlowjoExport(join_workspaces(tuple(written.values())), tuple(written), tuple(left_out))
