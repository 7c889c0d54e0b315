"""``inspect``: what FCS files say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli import NOTHING_TO_DO, SOME_FAILED
from cytoflow_car.errors import FcsError

if TYPE_CHECKING:
    from cytoflow_car.fcs import FileHeader, Inspection


@click.command()
@click.argument("path", metavar="FILE_OR_FOLDER", type=click.Path(exists=True, path_type=Path))
@click.option("--dataset", type=click.IntRange(min=1), help="Which data set of a file of several.")
@click.option("--keywords", is_flag=True, help="List the keywords of a file, too.")
@click.pass_context
def inspect(ctx: click.Context, path: Path, dataset: int | None, keywords: bool) -> None:
    """Show what is in a file, or a line for each FCS file of a folder.

    A file's version, instrument, data sets, events, spillover, what had to be repaired or is
    doubtful, and its channels. Values of keywords that could name a person are not shown.
    """
    if path.is_dir():
        if keywords or dataset:
            raise click.UsageError("--dataset and --keywords are for a file, not for a folder")
        ctx.exit(_inspect_folder(path))
    from cytoflow_car.fcs import inspect_file

    try:
        inspected = inspect_file(path, dataset)
    except FcsError as error:
        click.echo(_plain(str(error)), err=True)
        ctx.exit(SOME_FAILED)
    for line in _tell(inspected):
        click.echo(_plain(line))
    if keywords:
        click.echo()
        for key, value in inspected.keywords.items():
            if value is not None:
                click.echo(_plain(f"{key}  {value}"))
        # What is no keyword of the standard may itself be a name.
        withheld = [key for key, value in inspected.keywords.items() if value is None]
        standard = [key for key in withheld if re.fullmatch(r"\$[A-Z0-9_]+", key)]
        told = ", ".join([*standard, f"{len(withheld) - len(standard)} of other programs"])
        click.echo(_plain(f"not shown, could name a person or a day: {told}"))


def _inspect_folder(folder: Path) -> int:
    from cytoflow_car.fcs import read_header
    from cytoflow_car.study.draft import find_files

    rows = [("file", "version", "data set", "events", "channels", "spillover", "flags", "stains")]
    failed = []
    for file in find_files(folder):
        name = file.relative_to(folder).as_posix()
        try:
            header = read_header(file)
        except FcsError as error:
            failed.append(str(error) if name == file.name else f"{name}: {error}")
            continue
        rows.append(
            (
                name,
                header.version,
                f"{header.dataset} of {header.n_datasets}",
                str(header.n_events),
                str(len(header.channels)),
                str(len(header.spillover.detectors)) if header.spillover else "none",
                " ".join(flag.partition(":")[0] for flag in header.flags) or "-",
                ", ".join(channel.marker for channel in header.channels if channel.marker) or "-",
            )
        )
    if len(rows) > 1:
        for line in _align(rows):
            click.echo(_plain(line))
    for problem in failed:
        click.echo(_plain(problem), err=True)
    if failed:
        return SOME_FAILED
    if len(rows) == 1:
        click.echo("no FCS or LMD file here", err=True)
        return NOTHING_TO_DO
    return 0


def _tell(inspected: Inspection) -> Iterator[str]:
    header = inspected.header
    yield f"version     {header.version}"
    yield f"data set    {header.dataset} of {header.n_datasets}"
    for number, other in inspected.others.items():
        told = str(other) if isinstance(other, FcsError) else _tell_size(other)
        yield f"            {number}: {told}"
    yield f"events      {header.n_events}"
    yield f"instrument  {header.instrument or 'unknown'}"
    spillover = header.spillover
    named = f"{spillover.source}: {', '.join(spillover.detectors)}" if spillover else "none"
    yield f"spillover   {named}"
    for flag in inspected.repairs:
        yield f"repaired    {flag}"
    for flag in inspected.faults:
        yield f"note        {flag}"
    rows = [("channel", "stain", "range", "gain", "volts")]
    rows += [
        (
            channel.detector,
            channel.marker or "",
            f"{channel.range:g}",
            f"{channel.gain:g}",
            "" if channel.voltage is None else f"{channel.voltage:g}",
        )
        for channel in header.channels
    ]
    yield from _align(rows)


def _tell_size(header: FileHeader) -> str:
    return f"{header.version}, {header.n_events} events, {len(header.channels)} channels"


def _align(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _plain(text: str) -> str:
    """Return text without signs that would steer a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
