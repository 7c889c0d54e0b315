"""``export``: the gates of a run for another program."""

from __future__ import annotations

from pathlib import Path

import click

from cytoflow_car.cli import SOME_FAILED
from cytoflow_car.cli.options import FOLDER


@click.command()
@click.argument("results", type=FOLDER)
@click.option(
    "--flowjo",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="FlowJo 10 workspace to write (.wsp).",
)
@click.option(
    "--fcs",
    "folders",
    multiple=True,
    type=FOLDER,
    help="Folder with the FCS files, where they moved; again for more.",
)
@click.pass_context
def export(ctx: click.Context, results: Path, out: Path, folders: tuple[Path, ...]) -> None:
    """Write the gates of the results folder RESULTS as a FlowJo workspace.

    Boxes and polygons on linear and logicle scales and their combinations are written; what is left
    out is named, and the command ends with 1.
    """
    from cytoflow_car.study.flowjo_export import export_flowjo

    if out.suffix.lower() != ".wsp":
        raise click.UsageError(f"{out} does not end in .wsp")
    if out.exists():
        raise click.UsageError(f"{out} is there already and is not overwritten")
    made = export_flowjo(results, folders)
    out.write_bytes(made.content)
    click.echo(f"{out}: gates of {len(made.samples)} specimens")
    for line in made.left_out:
        click.echo(f"left out: {line}", err=True)
    if made.left_out:
        ctx.exit(SOME_FAILED)
