"""What people gated: a workspace, Gating-ML, labels of events, or percents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.interop.flowjo_reading import read_workspace
from cytoflow_car.interop.gate_set import GateSet, Path
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.model.population import ROOT
from cytoflow_car.tables.read import read_table

Labels = npt.NDArray[np.str_]

#: Endings of FCS files.
FCS_ENDINGS = (".fcs", ".lmd")
_TABLES = (".csv", ".parquet")
_EXPECTED = (
    "a FlowJo workspace (.wsp), Gating-ML (.xml, or a folder of it), labels (.csv or .parquet with "
    "a column population or label, or a folder with one a sample), or percents (.csv with "
    "sample_id, population, percent); with --label-channel FCS files"
)


@dataclass(frozen=True, slots=True)
class GivenPercent:
    """A percent that a person reported.

    Attributes
    ----------
    percent
        0 to 100.
    denominator
        Population that it is a share of; empty for the parent.
    """

    percent: float
    denominator: str = ""


GivenPercents = Mapping[Path, GivenPercent]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a person gated, by sample; exactly one of the three kinds holds something.

    Attributes
    ----------
    gates
        Gates by the name of the sample or of its file.
    labels
        (n_events,) a label for each event, in the order of acquisition; empty where it has none.
    percents
        Percents by population.
    for_all
        Gates that were drawn once for every sample.
    faults
        Files of a folder that could not be read, each with the reason.
    """

    gates: Mapping[str, GateSet] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)
    percents: Mapping[str, GivenPercents] = field(default_factory=dict)
    for_all: GateSet | None = None
    faults: tuple[str, ...] = ()

    @property
    def sample_names(self) -> tuple[str, ...]:
        """Names of samples, as the reference has them."""
        return (*self.gates, *self.labels, *self.percents)

    @property
    def populations(self) -> tuple[Path, ...]:
        """Every population of any sample, without the root."""
        sets = [*self.gates.values(), *([self.for_all] if self.for_all is not None else [])]
        found: dict[Path, None] = {}
        for gate_set in sets:
            found.update(dict.fromkeys(gate.path for gate in gate_set.gates if not gate.part))
        for labels in self.labels.values():
            found.update(dict.fromkeys((name,) for name in label_names(labels)))
        for percents in self.percents.values():
            found.update(dict.fromkeys(percents))
            found.update(dict.fromkeys(denominators(percents)))
        return tuple(found)


def denominators(percents: GivenPercents) -> list[Path]:
    """Return the populations that percents are a share of, without the root."""
    named = dict.fromkeys(value.denominator for value in percents.values())
    return [tuple(name.split("/")) for name in named if name and name.casefold() != ROOT]


def label_names(labels: Labels) -> list[str]:
    """Return the labels that occur, without the empty one."""
    return [str(name) for name in np.unique(labels) if name]


def read_reference(
    source: FilePath, known_names: Iterable[str] = (), *, label_channel: str = ""
) -> Reference:
    """Read what people gated; its kind is told by ending and header.

    Parameters
    ----------
    source
        File or folder.
    known_names
        Names by which a single Gating-ML file may mean one sample; with another name it is meant
        for all.
    label_channel
        Channel (``$PnN``) of FCS files that holds a label's code.

    Raises
    ------
    StudyError
        `source` is none of the kinds, or its table is wrong.
    InteropError, FcsError
        A workspace, Gating-ML or FCS file cannot be read.
    """
    if label_channel:
        return Reference(labels=_read_label_channel(source, label_channel))
    if source.is_dir():
        return _read_folder(source)
    match source.suffix.lower():
        case ".wsp":
            drawn = {name: gates for name, gates in read_workspace(source).items() if gates.gates}
            if not drawn:
                raise StudyError("no sample of the workspace has gates", where=source.name)
            return Reference(gates=drawn)
        case ".xml":
            gates = read_gatingml(source)
            names = {name.lower() for name in known_names}
            if source.stem.lower() in names:
                return Reference(gates={source.stem: gates})
            return Reference(for_all=gates)
        case ".csv" | ".parquet":
            return _read_table_of_all(source)
        case _:
            raise StudyError(f"no reference: {source.name}", expected=_EXPECTED)


def _read_folder(folder: FilePath) -> Reference:
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    gating = [path for path in files if path.suffix.lower() == ".xml"]
    tables = [path for path in files if path.suffix.lower() in _TABLES]
    if bool(gating) == bool(tables):
        found = "both Gating-ML and tables" if gating else "neither Gating-ML nor tables"
        raise StudyError(f"{found} in the folder {folder.name}", expected=_EXPECTED)
    chosen = gating or tables
    stems = [path.stem.lower() for path in chosen]
    doubled = sorted({stem for stem in stems if stems.count(stem) > 1})
    if doubled:
        raise StudyError(
            f"two files for {', '.join(doubled)}", where=folder.name, expected="one a sample"
        )
    gates: dict[str, GateSet] = {}
    labels: dict[str, Labels] = {}
    faults = []
    for path in chosen:
        try:
            if gating:
                gates[path.stem] = read_gatingml(path)
            else:
                labels[path.stem] = _read_labels_of_one(path)
        except CytoflowCarError as fault:
            faults.append(str(fault))
    if len(faults) == len(chosen):
        raise StudyError(f"no file of {folder.name} can be read: {'; '.join(faults)}")
    return Reference(gates=gates, labels=labels, faults=tuple(faults))


def _read_label_channel(source: FilePath, channel: str) -> dict[str, Labels]:
    paths = [source] if source.is_file() else sorted(source.rglob("*"))
    found: dict[str, Labels] = {}
    for path in paths:
        if path.suffix.lower() not in FCS_ENDINGS:
            continue
        events = read_fcs(path).events
        if channel not in events.detectors:
            raise StudyError(
                f"no channel {channel}",
                where=path.name,
                expected=f"one of {', '.join(events.detectors)}",
            )
        codes = events.column(events.detectors.index(channel))
        # Several events share few codes: each is written once.
        values, places = np.unique(codes, return_inverse=True)
        written = np.asarray([f"{value:.10g}" for value in values], dtype=np.str_)
        found[path.name] = written[places] if written.size else np.empty(0, dtype=np.str_)
    if not found:
        raise StudyError(f"no FCS file in {source.name}", expected="files with a label channel")
    return found


def _read_labels_of_one(source: FilePath) -> Labels:
    table = read_table(source)
    return _label_column(table, source.name).to_numpy(dtype=np.str_)


def _label_column(table: pd.DataFrame, where: str) -> pd.Series:
    named = [name for name in ("population", "label") if name in table.columns]
    if len(named) != 1:
        raise StudyError(
            f"columns {', '.join(map(str, table.columns))}",
            where=where,
            expected="one column population or label",
        )
    return table[named[0]]


def _read_table_of_all(source: FilePath) -> Reference:
    table = read_table(source)
    columns = set(table.columns)
    sample = next((name for name in ("sample_id", "file") if name in columns), None)
    if sample is None or (not {"population", "label"} & columns):
        raise StudyError(
            f"columns {', '.join(map(str, table.columns))}",
            where=source.name,
            expected="sample_id (or file) and population (or label), a row an event; or sample_id, "
            "population, percent",
        )
    names = table[sample]
    if "percent" in columns:
        return Reference(percents=_read_percents(table, names, source.name))
    labels = _label_column(table, source.name)
    return Reference(
        labels={
            str(name): rows.to_numpy(dtype=np.str_)
            for name, rows in labels.groupby(names, sort=False)
        }
    )


def _read_percents(
    table: pd.DataFrame, names: pd.Series, where: str
) -> dict[str, dict[Path, GivenPercent]]:
    if "population" not in table.columns:
        raise StudyError("no column population", where=where, expected="sample_id, population")
    found: dict[str, dict[Path, GivenPercent]] = {}
    denominators = table["denominator"] if "denominator" in table.columns else [""] * len(table)
    rows = zip(names, table["population"], table["percent"], denominators, strict=True)
    for line, (name, population, text, denominator) in enumerate(rows, start=2):
        if not text.strip():
            continue
        place = f"{where} row {line}"
        path = tuple(population.strip("/").split("/"))
        of_sample = found.setdefault(name, {})
        if path in of_sample:
            raise StudyError(
                f"{population} of {name} stands twice", where=place, expected="one row each"
            )
        value = _percent(text, place)
        of_sample[path] = GivenPercent(value, denominator.strip())
    return found


def _percent(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 100.0:
        raise StudyError(f"percent {text!r}", where=place, expected="a number from 0 to 100")
    return value
