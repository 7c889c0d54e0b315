"""Read back what a run wrote: its specimens, their gates and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.fcs import hash_file
from cytoflow_car.interop.gate_set import Path
from cytoflow_car.study.reference_reading import FCS_ENDINGS
from cytoflow_car.tables.read import read_table


@dataclass(frozen=True, slots=True)
class AnalysedFile:
    """A row of ``files.csv``; text as it stands there."""

    sample_id: str
    role: str
    use: str
    path: str
    dataset: int | None
    sha256: str
    from_results: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return FilePath(self.path.replace("\\", "/")).name


@dataclass(frozen=True, slots=True)
class AnalysedPopulation:
    """A row of ``gates.csv``: counts without and with events that quality control marked."""

    count: int
    count_before_qc: int
    review: bool


@dataclass(frozen=True, slots=True)
class Analysed:
    """A specimen under one template.

    Attributes
    ----------
    populations
        By path from the first population below the root down; the root is the empty path.
    gatingml
        Its gates as the run wrote them.
    """

    sample_id: str
    template: str
    file: AnalysedFile
    populations: Mapping[Path, AnalysedPopulation]
    gatingml: FilePath

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every population but the root."""
        return tuple(path for path in self.populations if path)


@dataclass(frozen=True, slots=True)
class Results:
    """A results folder.

    Attributes
    ----------
    files
        Every file of the sheet.
    specimens
        Those with results, in the sheet's order.
    """

    folder: FilePath
    files: tuple[AnalysedFile, ...]
    specimens: tuple[Analysed, ...]

    def find_file(self, name: str) -> AnalysedFile | None:
        """Return the file that a reference calls `name`: by path, file name, sample_id or stem.

        Raises
        ------
        StudyError
            Two files of the sheet have that name.
        """
        keys: tuple[Callable[[AnalysedFile], str], ...] = (
            lambda file: file.path,
            lambda file: file.name,
            lambda file: file.sample_id,
            lambda file: FilePath(file.name).stem,
        )
        for key in keys:
            found = [file for file in self.files if key(file).casefold() == name.casefold()]
            if len(found) > 1:
                raise StudyError(
                    f"{name} may be {' or '.join(file.sample_id for file in found)}",
                    expected="a name of one sample",
                    advice="Use the sample_id",
                )
            if found:
                return found[0]
        return None


def read_results(folder: FilePath) -> Results:
    """Read the tables of a results folder that `run_study` wrote.

    Raises
    ------
    StudyError
        The folder holds no results, or those of a version that wrote no gates to compare.
    """
    for name in ("run.json", "gates.csv", "files.csv"):
        if not (folder / name).is_file():
            raise StudyError(
                f"no {name} in {folder.name}", expected="a results folder of cytoflow-car run"
            )
    table = read_table(folder / "files.csv")
    files = tuple(
        AnalysedFile(
            row["sample_id"],
            row["role"],
            row["use"],
            row["path"],
            int(row["dataset"]) if row["dataset"] else None,
            row["sha256"],
            row.get("from_results", ""),
        )
        for row in table.to_dict("records")
    )
    by_id = {file.sample_id: file for file in files}
    gates: dict[tuple[str, str], dict[Path, AnalysedPopulation]] = {}
    for row in read_table(folder / "gates.csv").to_dict("records"):
        of_specimen = gates.setdefault((row["sample_id"], row["template"]), {})
        of_specimen[tuple(row["path"].split("/")[1:])] = AnalysedPopulation(
            int(row["count"]), int(row["count_before_qc"]), row["review"] == "yes"
        )
    specimens = []
    for (sample_id, template), populations in gates.items():
        # Only the first template of a specimen stands under the sample_id alone.
        own = folder / "gatingml" / f"{sample_id}.{template}.xml"
        plain = folder / "gatingml" / f"{sample_id}.xml"
        specimens.append(
            Analysed(
                sample_id,
                template,
                by_id[sample_id],
                populations,
                own if own.exists() else plain,
            )
        )
    return Results(folder, files, tuple(specimens))


@dataclass(slots=True)
class FcsFinder:
    """Finds the very file that was analysed, wherever it lies now.

    Attributes
    ----------
    results
        Folder that ``from_results`` counts from.
    folders
        Where to look with all folders below.
    """

    results: FilePath
    folders: tuple[FilePath, ...]
    _hashes: dict[FilePath, str] = field(default_factory=dict)

    def find(self, file: AnalysedFile) -> FilePath:
        """Return the file with the content that was analysed.

        Raises
        ------
        StudyError
            No file looked at has it.
        """
        namesakes = 0
        for path in self._candidates(file):
            if file.sha256 and self._hash(path) == file.sha256:
                return path
            namesakes += path.name.lower() == file.name.lower()
        raise StudyError(
            "its FCS file has another content now" if namesakes else "its FCS file was not found",
            where=file.sample_id,
            expected="the file that was analysed",
            advice="Name its folder with --fcs",
        )

    def _candidates(self, file: AnalysedFile) -> Iterator[FilePath]:
        """Yield where it was, then namesakes, then every other FCS file."""
        if file.from_results:
            yield self.results / file.from_results
        below = [
            path for folder in self.folders for path in sorted(folder.rglob("*")) if path.is_file()
        ]
        yield from (path for path in below if path.name.lower() == file.name.lower())
        yield from (path for path in below if path.suffix.lower() in FCS_ENDINGS)

    def _hash(self, path: FilePath) -> str:
        if path not in self._hashes:
            try:
                self._hashes[path] = hash_file(path)
            except CytoflowCarError:
                self._hashes[path] = ""
        return self._hashes[path]
