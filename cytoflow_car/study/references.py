"""Find the reference of normal specimens that a template asks for, and a patient's baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cytoflow_car.model.clusters import BaselineBlasts
from cytoflow_car.model.reference import Reference
from cytoflow_car.resources import resource_folder
from cytoflow_car.study.records import SheetRow, Study
from cytoflow_car.tables.reference_file import ENDING, read_reference
from cytoflow_car.template import Template


def find_references(
    templates: Mapping[str, Template],
    study: Study,
    templates_folder: Path | None,
    given: Path | None = None,
) -> dict[str, Reference]:
    """Return references by the name that templates use; one that is nowhere is left out.

    A file given by hand comes before one in the study folder, that before one beside the
    laboratory's templates. The simulated one that comes with the package serves simulated studies
    only.

    Raises
    ------
    ReferenceError
        A file that was found is no reference.
    """
    wanted = {
        item.clustering.reference
        for item in templates.values()
        if item.clustering is not None and item.clustering.reference
    }
    if given is not None:
        return dict.fromkeys(wanted, read_reference(given))
    folders = [study.folder, *([templates_folder] if templates_folder else [])]
    if study.definitions.simulated:
        folders.append(resource_folder("sample_fcs"))
    found = {}
    for name in sorted(wanted):
        paths = (folder / f"{name}{ENDING}" for folder in folders)
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[name] = read_reference(path)
    return found


def find_baseline(row: SheetRow, study: Study, template: Template) -> SheetRow | None:
    """Return the patient's baseline that a specimen's blasts are compared with.

    The same tube of the same panel version, of the same specimen type where there is one, else of
    marrow. A baseline is compared with nothing.
    """
    if template.clustering is None or template.clustering.residual is None:
        return None
    fitting = patient_baselines(row, study)
    return next((item for item in fitting if item.panel_version == row.panel_version), None)


def patient_baselines(row: SheetRow, study: Study) -> list[SheetRow]:
    """Return the baselines that a specimen may be compared with, the best first.

    Of the same patient and tube, not drawn after it; first those of the same panel version, then of
    the same specimen type, then marrow; of equal ones the nearest in time.
    """
    if row.baseline or not row.patient_id:
        return []

    def rank(other: SheetRow) -> tuple[bool, bool, float]:
        apart = math.inf
        if row.day is not None and other.day is not None:
            apart = row.day - other.day
        return other.panel_version != row.panel_version, other.specimen != row.specimen, apart

    fitting = [
        other
        for other in study.rows
        if other.baseline
        and other.is_analysed
        and other.use == "report"
        and (other.patient_id, other.tube) == (row.patient_id, row.tube)
        and other.specimen in (row.specimen, "BM")
        and (row.day is None or other.day is None or other.day <= row.day)
    ]
    return sorted(fitting, key=rank)


def without_baseline(row: SheetRow, reason: str) -> BaselineBlasts:
    """Return a baseline that holds nothing, and why."""
    nothing = np.empty((0, 0), dtype=np.float32)
    return BaselineBlasts(row.sample_id, "", nothing, nothing, missing=reason)
