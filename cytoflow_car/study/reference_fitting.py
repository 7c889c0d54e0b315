"""Fit a reference of normal specimens from files that are labelled, or gated by a template."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.reference_fit import LabelledSpecimen, Naming, fit_reference
from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.fcs import hash_file
from cytoflow_car.job import FcsSource, SampleJob, SpilloverChoice
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.reference import Reference
from cytoflow_car.model.scale import Asinh, Linear, Log, Scale
from cytoflow_car.pipeline import GatedSpecimen, gate_specimen
from cytoflow_car.study.hand_gates import choose_labels
from cytoflow_car.study.reference_reading import read_reference
from cytoflow_car.template import Template, gated_before_clustering, template_hash

Labels = npt.NDArray[np.str_]

#: Columns of a table of names.
NAME_COLUMNS = ("label", "population", "lineage", "stage", "technical")

#: Stages of B maturation by the names that templates use, in order.
B_STAGES = ("early pro-B", "pro-B", "pre-B", "immature B", "mature B")
_TECHNICAL_WORDS = ("debris", "doublet", "dead")
# Fluorescence is compared on an inverse hyperbolic sine with this cofactor.
_COFACTOR = 150.0
_SCATTER_DECADES = 2.0


@dataclass(frozen=True, slots=True)
class NameTable:
    """What labels mean.

    Attributes
    ----------
    populations
        (pattern, population) in order; the first pattern that a label fits counts. A pattern may
        hold ``*``. Labels that fit none are left out; without any pattern each label is its own
        population.
    naming
        Lineages, stages and technical populations.
    """

    populations: tuple[tuple[str, str], ...] = ()
    naming: Naming = field(default_factory=Naming)

    def population_of(self, label: str) -> str:
        """Return the population of a label; empty for one that is left out."""
        if not self.populations:
            return label
        found = (name for pattern, name in self.populations if fnmatchcase(label, pattern))
        return next(found, "")


def read_names(path: Path) -> NameTable:
    """Read a table of names: CSV with `NAME_COLUMNS`.

    Raises
    ------
    StudyError
        A column is missing or unknown, or a stage is no whole number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise StudyError(f"it cannot be read ({fault})", where=path.name) from fault
    found = tuple(rows[0]) if rows else ()
    if set(found) != set(NAME_COLUMNS):
        raise StudyError(
            f"columns {', '.join(map(str, found)) or 'none'}",
            where=path.name,
            expected=", ".join(NAME_COLUMNS),
        )
    stages: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if row["stage"]:
            if not row["stage"].isdecimal():
                raise StudyError(
                    f"stage {row['stage']!r}",
                    where=f"{path.name} row {number}",
                    expected="a whole number, or nothing",
                )
            stages[row["population"]] = int(row["stage"])
    return NameTable(
        tuple((row["label"], row["population"]) for row in rows),
        Naming(
            lineages={row["population"]: row["lineage"] for row in rows if row["lineage"]},
            stages=tuple(sorted(stages, key=stages.__getitem__)),
            technical=frozenset(row["population"] for row in rows if row["technical"] == "yes"),
        ),
    )


def fit_reference_of_files(
    name: str,
    files: Sequence[Path],
    template: Template,
    *,
    labels: Path | None = None,
    populations: Sequence[str] = (),
    names: NameTable | None = None,
    spillover: SpilloverChoice = "file",
    simulated: bool = False,
    seed: int = 0,
) -> tuple[Reference, tuple[CytoflowCarError, ...]]:
    """Fit a reference from normal or remission specimens.

    Parameters
    ----------
    files
        FCS files, at least two that can be used.
    template
        Its panel, its gates down to the population that it clusters, and that section's markers.
    labels
        What each event is (see `hand_gates.find_labelled`); None where gates say it.
    populations
        Without labels: populations of the template that name their events, the first that holds an
        event counts.
    names
        What labels or populations mean; None for each its own, with the usual stages of B cells.

    Returns
    -------
    The reference, and the errors of files that could not be used.

    Raises
    ------
    ReferenceError
        Fewer than two files could be used, or too few events have names.
    StudyError
        Neither labels nor populations.
    """
    setting = template.clustering
    if setting is None:
        raise StudyError(
            f"template {template.name} has no section [clustering]",
            advice="Name a template that clusters",
        )
    if (labels is None) == (not populations):
        found = "labels and populations" if populations else "neither labels nor populations"
        raise StudyError(found, expected="one of them")
    markers = setting.markers or tuple(
        item.name for item in template.markers if not item.optional and not _is_auxiliary(item.name)
    )
    known = read_reference(labels).labels if labels is not None else {}
    table = names or NameTable(naming=usual_naming(populations))
    scales: dict[str, Scale] = {}
    specimens: list[LabelledSpecimen] = []
    faults: list[CytoflowCarError] = []
    hashes = []
    for file in files:
        try:
            specimen, own = _read_specimen(
                file, template, markers, known, populations, table, spillover, seed
            )
        except CytoflowCarError as fault:
            faults.append(fault.at(file.name))
            continue
        scales = scales or own
        specimens.append(specimen)
        hashes.append(hash_file(file))
    if names is None and labels is not None:
        table = NameTable(naming=usual_naming({str(x) for s in specimens for x in set(s.labels)}))
    reference = fit_reference(
        name,
        scales,
        specimens,
        table.naming,
        parent=setting.parent,
        simulated=simulated,
        provenance={
            "cytoflow_car": version("cytoflow-car"),
            "template": f"{template.name} {template.version}",
            "template_sha256": template_hash(template),
            "files_sha256": hashes,
            "named_percent": round(_named_percent(specimens), 2),
            "named_by": "labels" if labels is not None else f"gates {', '.join(populations)}",
            "seed": seed,
        },
        seed=seed,
    )
    return reference, tuple(faults)


def _named_percent(specimens: Sequence[LabelledSpecimen]) -> float:
    """Return how many of the events have a name; a specimen counts as much as any other."""
    shares = [float(np.mean(item.labels != "")) for item in specimens]
    return 100.0 * float(np.mean(shares)) if shares else 0.0


def usual_naming(populations: Iterable[str]) -> Naming:
    """Return what populations mean by their usual names: stages of B cells, debris, doublets."""
    known = set(populations)
    return Naming(
        lineages=dict.fromkeys((name for name in B_STAGES if name in known), "B"),
        stages=tuple(name for name in B_STAGES if name in known),
        technical=frozenset(
            name for name in known if any(word in name.lower() for word in _TECHNICAL_WORDS)
        ),
    )


def job_of_file(file: Path, template: Template, spillover: SpilloverChoice, seed: int) -> SampleJob:
    """Return the job of a file that belongs to no study; its name without ending is its sample."""
    source = FcsSource(file.resolve(), None, hash_file(file))
    return SampleJob(file.stem, (source,), template, spillover=spillover, seed=seed)


def _is_auxiliary(marker: str) -> bool:
    """Tell markers that say nothing of what a cell is."""
    return marker in ("FSC-H", "FSC-W", "SSC-H", "SSC-W", "Time", "Viability")


def _read_specimen(
    file: Path,
    template: Template,
    markers: tuple[str, ...],
    labels: Mapping[str, Labels],
    populations: Sequence[str],
    table: NameTable,
    spillover: SpilloverChoice,
    seed: int,
) -> tuple[LabelledSpecimen, dict[str, Scale]]:
    job = job_of_file(file, template, spillover, seed)
    rules = template.populations if populations else gated_before_clustering(template)
    gated = gate_specimen(job, rules, with_labels=False)
    assert template.clustering is not None
    rows = gated.tree.kept_rows(template.clustering.parent)
    missing = [name for name in markers if name not in gated.prepared.columns]
    if missing:
        raise StudyError(f"no channel of {', '.join(missing)}", expected="every marker")
    if not populations:
        n_events = len(gated.prepared)
        given = choose_labels(labels, file, n_events, where="labels")[rows].astype(str)
        known = {label: table.population_of(label) for label in np.unique(given).tolist()}
        own = np.array([known[label] for label in given.tolist()])
    else:
        own = _names_of_gates(gated.tree, rows, populations, table)
    values = np.column_stack([gated.prepared.values(name, rows) for name in markers])
    finite = np.isfinite(values).all(axis=1)
    specimen = LabelledSpecimen(file.stem, values[finite], own[finite])
    return specimen, _scales(gated, template, markers, values[finite])


def _names_of_gates(
    tree: PopulationTree,
    rows: npt.NDArray[np.intp],
    populations: Sequence[str],
    table: NameTable,
) -> Labels:
    own = np.full(rows.size, "", dtype=object)
    for name in reversed(populations):
        own[np.isin(rows, tree[name].rows)] = table.population_of(name)
    return own.astype(str)


def _scales(
    gated: GatedSpecimen,
    template: Template,
    markers: tuple[str, ...],
    values: npt.NDArray[np.float64],
) -> dict[str, Scale]:
    """Choose one scale a marker for all specimens.

    Fluorescence: inverse hyperbolic sine. Scatter: a logarithm, since gain multiplies it. Where the
    template says that a marker is linear, as values that are on a display scale already, it stays.
    """
    prepared: PreparedEvents = gated.prepared
    found: dict[str, Scale] = {}
    for column, marker in enumerate(markers):
        top = prepared.events.channels[prepared.columns[marker]].range
        lowest = top * 10.0**-_SCATTER_DECADES
        if marker.startswith(("FSC", "SSC")) and np.mean(values[:, column] > lowest) > 0.95:
            found[marker] = Log(top, _SCATTER_DECADES)
        elif template.scale_of(marker).kind == "linear" or marker.startswith(("FSC", "SSC")):
            found[marker] = Linear(top)
        else:
            found[marker] = Asinh(top, _COFACTOR)
    return found
