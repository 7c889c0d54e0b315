"""96-well plates: a folder or sheet of FCS files as an ``FCPlate`` of FlowCytometryTools, and back.

A well is a letter A to H and a number 1 to 12 (``A1``, ``A01``).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cytoflow_car.errors import CytoflowCarError, StudyError
from cytoflow_car.fcs import read_fcs, write_fcs
from cytoflow_car.interop.flowcytometrytools_loading import load
from cytoflow_car.interop.flowcytometrytools_samples import (
    measurement_from_sample,
    sample_from_measurement,
)
from cytoflow_car.model.events import Sample

if TYPE_CHECKING:
    from FlowCytometryTools import FCPlate

#: Column of ``samples.csv`` that names the well; as every ``x_`` column it goes to the results.
WELL_COLUMN = "x_well"

_WELL = re.compile(r"([A-H])0?([1-9]|1[0-2])", re.IGNORECASE)
#: In a file's name a well stands alone between other signs, and is a capital: ``..._A1.fcs``.
_IN_NAME = re.compile(r"(?<![A-Za-z0-9])([A-H](?:0?[1-9]|1[0-2]))(?![A-Za-z0-9])")

_T = TypeVar("_T")

_COLUMNS = ("file", "sample_id", "patient_id", "specimen", "template", WELL_COLUMN)


def plate_from_samples(samples: Mapping[str, Sample], name: str) -> FCPlate:
    """Lay samples onto a plate of 8 rows and 12 columns.

    Parameters
    ----------
    samples
        By well.
    name
        The plate's ``ID``.

    Returns
    -------
    FCPlate
        Measurements as `measurement_from_sample` makes them, all in memory; keys and ``ID`` are the
        wells, without zeros in front.

    Raises
    ------
    StudyError
        A well that is none, or that stands there twice.
    InteropError
        FlowCytometryTools cannot be loaded.
    """
    wells = _settle((well, well, sample) for well, sample in samples.items())
    measurements = {well: measurement_from_sample(sample, well) for well, sample in wells.items()}
    return load().FCPlate(name, measurements, "name")


def plate_from_folder(folder: str | os.PathLike[str], name: str) -> FCPlate:
    """Read the FCS files of a folder onto a plate, each into the well that its name tells.

    Read are ``.fcs`` and ``.lmd`` files, not those of folders below. A well in a name stands alone
    between other signs (``CAR_A1.fcs``, ``Well_A01.001.fcs``), once or several times the same.

    Returns
    -------
    FCPlate
        As in `plate_from_samples`.

    Raises
    ------
    StudyError
        No file at all, a file without a well or with two different ones, or a well twice.
    FcsError
        A file that cannot be read.
    """
    files = [
        path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".fcs", ".lmd")
    ]
    if not files:
        raise StudyError("no FCS file", where=Path(folder).name, expected="one a well")
    wells = _settle((path.name, _well_in_name(path), path) for path in files)
    return plate_from_samples({well: read_fcs(path) for well, path in wells.items()}, name)


def plate_from_sheet(sheet: str | os.PathLike[str], name: str) -> FCPlate:
    """Read the files of a ``samples.csv`` onto a plate, each into the well of column ``x_well``.

    Looked at are ``file``, ``dataset`` and ``x_well``; rows without a file are passed over.

    Returns
    -------
    FCPlate
        As in `plate_from_samples`.

    Raises
    ------
    StudyError
        The sheet cannot be read or lacks ``file`` or ``x_well``; a row without a well, a well that
        is none, or a well twice.
    FcsError
        A file that cannot be read.
    """
    sheet = Path(sheet)
    samples = {}
    for well, row in _settle(_rows_with_file(sheet)).items():
        dataset = row.get("dataset") or ""
        if dataset and not re.fullmatch(r"[1-9]\d{0,8}", dataset):
            raise StudyError(
                f"{dataset!r} is not one of 1, 2, 3 …",
                where=f"{sheet.name}, well {well}, column dataset",
            )
        samples[well] = read_fcs(sheet.parent / row["file"], int(dataset) if dataset else None)
    return plate_from_samples(samples, name)


def samples_from_plate(plate: FCPlate) -> dict[str, Sample]:
    """Return the sample of every well that a plate holds; errors as in `sample_from_measurement`.

    Returns
    -------
    By well, row after row, whatever the plate's keys are. A plate of another size gives the labels
    of its own rows and columns.
    """
    rows, columns = list(plate.row_labels), list(plate.col_labels)
    places = sorted(
        (rows.index(row), columns.index(column), key)
        for key, (row, column) in plate.get_positions().items()
        if key in plate
    )
    samples = {}
    for row, column, key in places:
        try:
            samples[f"{rows[row]}{columns[column]}"] = sample_from_measurement(plate[key])
        except CytoflowCarError as error:
            raise error.at(f"well {rows[row]}{columns[column]}") from error
    return samples


def write_plate(plate: FCPlate, folder: str | os.PathLike[str]) -> Path:
    """Write each well of a plate as ``Well_A1.fcs`` and so on, with a sheet that lists them.

    The files are FCS 3.1 as `write_fcs` writes them: linear values, names and ranges of the
    channels, spillover; no other keyword goes along. FlowCytometryTools finds the wells again by
    ``FCPlate.from_dir(..., parser="name")``, this package by the sheet or the names.

    Parameters
    ----------
    folder
        Made where it is not there; nothing in it is replaced.

    Returns
    -------
    ``samples.csv`` with the columns ``file``, ``sample_id`` (the well) and ``x_well`` filled in;
    patient, specimen and template stand there to be filled in.

    Raises
    ------
    StudyError
        One of the files is there already.
    InteropError
        As in `samples_from_plate`, before anything is written.
    """
    samples = samples_from_plate(plate)
    folder = Path(folder)
    sheet = folder / "samples.csv"
    files = {well: folder / f"Well_{well}.fcs" for well in samples}
    for path in (sheet, *files.values()):
        if path.exists():
            raise StudyError("it is there already", where=path.name, advice="Give an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for well, sample in samples.items():
        # Time of a file that states no time step is in a unit that nobody knows.
        in_seconds = not any("$TIMESTEP" in flag for flag in sample.flags)
        write_fcs(
            files[well],
            sample.events,
            spillover=sample.spillover,
            keywords={"$TIMESTEP": "1"} if in_seconds else None,
        )
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for well, path in files.items():
            writer.writerow({"file": path.name, "sample_id": well, WELL_COLUMN: well})
    return sheet


def _rows_with_file(sheet: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    try:
        with open(sheet, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError("it cannot be read as CSV in UTF-8", where=sheet.name) from error
    for column in ("file", WELL_COLUMN):
        if column not in (reader.fieldnames or ()):
            raise StudyError(f"no column {column}", where=sheet.name)
    for line, row in enumerate(rows, start=2):
        if row["file"]:
            yield f"{sheet.name} row {line}, column {WELL_COLUMN}", row[WELL_COLUMN], row


def _settle(found: Iterable[tuple[str, str, _T]]) -> dict[str, _T]:
    """Return what lies in each well, from (where it stands, its well, it)."""
    places: dict[str, str] = {}
    settled: dict[str, _T] = {}
    for where, spelled, content in found:
        match = _WELL.fullmatch(spelled.strip())
        if match is None:
            raise StudyError(
                f"{spelled!r} is no well" if spelled else "no well",
                where=where,
                expected="one of A1 to H12",
            )
        well = f"{match[1].upper()}{match[2]}"
        if well in places:
            raise StudyError(
                f"well {well} is taken by {places[well]}",
                where=where,
                expected="one file a well",
                advice="Read each plate by itself.",
            )
        places[well] = where
        settled[well] = content
    return settled


def _well_in_name(path: Path) -> str:
    wells = {f"{name[0]}{int(name[1:])}" for name in _IN_NAME.findall(path.stem)}
    if len(wells) > 1:
        raise StudyError(
            f"wells {' and '.join(sorted(wells))} in its name",
            where=path.name,
            expected="one",
            advice=f"Give the wells in column {WELL_COLUMN} of a sheet.",
        )
    return wells.pop() if wells else ""
