"""``inspect``: what FCS files say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli import NOTHING_TO_DO, SOME_FAILED
from cytoflow_car.errors import FcsError

if TYPE_CHECKING:
    from cytoflow_car.fcs import FileHeader


@click.command()
@click.argument("path", metavar="FILE_OR_FOLDER", type=click.Path(exists=True, path_type=Path))
@click.pass_context
def inspect(ctx: click.Context, path: Path) -> None:
    """Show events, channels, stains and spillover of a file, or a line for each file of a folder.

    Keywords that could name a person are not shown.
    """
    from cytoflow_car.fcs import read_header
    from cytoflow_car.study.draft import find_files

    files = find_files(path) if path.is_dir() else [path]
    failed = 0
    for file in files:
        try:
            header = read_header(file)
        except FcsError as error:
            failed += 1
            click.echo(f"{_name(file, path)}: {error}", err=True)
            continue
        if path.is_dir():
            stains = ", ".join(channel.marker for channel in header.channels if channel.marker)
            click.echo(
                f"{_name(file, path)}: {header.version}, {header.n_events} events, "
                f"{stains or 'no stains'}"
            )
        else:
            _show(header)
    if not files:
        click.echo("no .fcs or .lmd file here", err=True)
        ctx.exit(NOTHING_TO_DO)
    if failed:
        ctx.exit(SOME_FAILED)


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if folder.is_dir() else file.name


def _show(header: FileHeader) -> None:
    click.echo(f"version     {header.version}, data set {header.dataset} of {header.n_datasets}")
    click.echo(f"events      {header.n_events}")
    click.echo(f"instrument  {header.instrument or 'unknown'}")
    spillover = header.spillover
    named = f"{spillover.source}: {', '.join(spillover.detectors)}" if spillover else "none"
    click.echo(f"spillover   {named}")
    for flag in header.flags:
        click.echo(f"note        {flag}")
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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
