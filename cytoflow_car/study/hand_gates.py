"""Find the hand-gated files that a template is learned from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytoflow_car.errors import StudyError
from cytoflow_car.fcs import hash_file, read_fcs
from cytoflow_car.interop.gate_set import GateSet
from cytoflow_car.model.events import Sample
from cytoflow_car.study.reference_reading import Labels, read_reference

#: More hand-gated files teach nothing that these do not.
MOST_FILES = 5
_FCS = (".fcs", ".lmd")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSample:
    """A file and what an expert called each of its events.

    Attributes
    ----------
    name
        The file's name.
    sample
        As read.
    labels
        (n_events,) text.
    """

    name: str
    sample: Sample
    labels: Labels


@dataclass(frozen=True, slots=True, eq=False)
class HandGated:
    """A file with the gates that a person drew on it.

    Attributes
    ----------
    name
        The file's name.
    sample
        As read.
    gates
        From the workspace or Gating-ML file.
    """

    name: str
    sample: Sample
    gates: GateSet


def find_hand_gated(
    sources: Sequence[Path], folders: Sequence[Path] = (), names: Sequence[str] = ()
) -> tuple[HandGated, ...]:
    """Read gates, and the files that they were drawn on.

    Parameters
    ----------
    sources
        FlowJo 10 workspaces (``.wsp``) and Gating-ML 2.0 files (``.xml``). The file of a Gating-ML
        file has its name, or is the only one beside it.
    folders
        Where to look for FCS files, with all folders below; those of the sources where none is
        given.
    names
        Files to learn from; all that have gates, at most `MOST_FILES` in even steps, where none is
        given.

    Raises
    ------
    StudyError
        A source of another kind, a named file without gates, or no file at all.
    """
    drawn: dict[str, GateSet] = {}
    known = _files_below(folders or [source.parent for source in sources])
    for source in sources:
        drawn |= _read_gates(source, known)
    if not drawn:
        raise StudyError("no gates in " + ", ".join(source.name for source in sources))
    found = {name: known[name.lower()] for name in drawn if name.lower() in known}
    lacking = [name for name in names if name not in found]
    if lacking or not found:
        raise StudyError(
            f"no FCS file of {', '.join(lacking or drawn)}",
            expected="a file of this name with gates: " + (", ".join(found) or "none was found"),
            advice="Name the folder of the FCS files with --fcs",
        )
    chosen = list(dict.fromkeys(names)) or _evenly(sorted(found), MOST_FILES)
    if len(chosen) > MOST_FILES:
        raise StudyError(
            f"{len(chosen)} hand-gated files to learn from", expected=f"1 to {MOST_FILES}"
        )
    return tuple(HandGated(name, read_fcs(found[name]), drawn[name]) for name in chosen)


def find_labelled(sources: Sequence[Path], labels: Path) -> tuple[LabelledSample, ...]:
    """Read FCS files, and an expert's label for each of their events.

    Parameters
    ----------
    sources
        One to five FCS files.
    labels
        CSV or Parquet with the columns ``file`` (or ``sample_id``, the file's stem) and
        ``population`` (or ``label``), a row an event in acquisition order; or a folder with such a
        table, without the first column, for each file, named after it.

    Raises
    ------
    StudyError
        A file has no labels, or not one for each event.
    """
    if len(sources) > MOST_FILES:
        raise StudyError(
            f"{len(sources)} labelled files to learn from", expected=f"1 to {MOST_FILES}"
        )
    known = read_reference(labels).labels
    found = []
    for source in sources:
        sample = read_fcs(source)
        own = choose_labels(known, source, len(sample.events), where=labels.name)
        found.append(LabelledSample(source.name, sample, own))
    return tuple(found)


def choose_labels(
    known: Mapping[str, Labels], source: Path, n_events: int, *, where: str
) -> Labels:
    """Return the labels of a file's events, by its name or stem.

    Raises
    ------
    StudyError
        There are none, or not one for each event.
    """
    name = next((name for name in (source.name, source.stem) if name in known), None)
    if name is None:
        raise StudyError(
            f"no labels for {source.name}",
            where=where,
            expected=f"one of {', '.join(known) or 'none, it holds no labels'}",
        )
    if len(known[name]) != n_events:
        raise StudyError(
            f"{len(known[name])} labels for the {n_events} events of {source.name}",
            where=where,
            expected="one an event",
        )
    return known[name]


def _read_gates(source: Path, known: Mapping[str, Path]) -> dict[str, GateSet]:
    from cytoflow_car.interop.flowjo_reading import read_workspace
    from cytoflow_car.interop.gatingml_reading import read_gatingml

    match source.suffix.lower():
        case ".wsp":
            return {name: item for name, item in read_workspace(source).items() if item.gates}
        case ".xml":
            own = [path.name for path in known.values() if path.stem == source.stem]
            beside = own or [path.name for path in known.values()]
            if len(beside) != 1:
                raise StudyError(
                    f"{len(beside)} FCS files could be that of {source.name}",
                    expected=f"one named {source.stem}.fcs",
                    advice="Rename it, or name a folder that holds only it with --fcs",
                )
            return {beside[0]: read_gatingml(source)}
        case _:
            raise StudyError(
                f"{source.name} is no workspace and no Gating-ML file",
                expected=".wsp or .xml; for labels give --labels",
            )


def _files_below(folders: Iterable[Path]) -> dict[str, Path]:
    """Return FCS files by name in small letters."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.suffix.lower() not in _FCS:
                continue
            other = found.setdefault(path.name.lower(), path)
            if other != path and hash_file(other) != hash_file(path):
                raise StudyError(
                    f"two files named {path.name}: in {other.parent.name} and {path.parent.name}",
                    expected="one file of a name, or copies of it",
                    advice="Name the folder that is meant with --fcs",
                )
    return found


def _evenly(names: list[str], most: int) -> list[str]:
    if len(names) <= most:
        return names
    return [names[round(index * (len(names) - 1) / (most - 1))] for index in range(most)]
