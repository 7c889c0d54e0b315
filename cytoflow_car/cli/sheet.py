"""``sheet``: a first sample sheet."""

from __future__ import annotations

from pathlib import Path

import click

from cytoflow_car.cli import NOTHING_TO_DO
from cytoflow_car.cli.options import FOLDER


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; samples.csv in FOLDER by default. Never overwritten.",
)
@click.pass_context
def sheet(ctx: click.Context, folder: Path, out: Path | None) -> None:
    """Write a first samples.csv for the FCS files below FOLDER, guessed from their names."""
    import csv

    from cytoflow_car.study.draft import COLUMNS, draft_sheet

    out = out or folder / "samples.csv"
    rows = draft_sheet(folder, out.parent)
    if not rows:
        click.echo("no FCS or LMD file here", err=True)
        ctx.exit(NOTHING_TO_DO)
    try:
        stream = out.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise click.UsageError(f"{out} is there already and is not overwritten") from None
    with stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    click.echo(f"{out}: {len(rows)} files; fill in what is empty, then 'cytoflow-car check'")
