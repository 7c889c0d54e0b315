"""``report``: pages that a browser shows, of a run and its outcomes."""

from __future__ import annotations

from pathlib import Path

import click

from cytoflow_car.cli.options import FOLDER


@click.command()
@click.argument("results", type=FOLDER)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder in which the folder report is written.",
)
@click.option("--outcome", type=FOLDER, help="What 'outcome RESULTS' wrote.")
@click.option(
    "--study", type=FOLDER, help="Study folder of the run; where its files lie by default."
)
def report(results: Path, out: Path, outcome: Path | None, study: Path | None) -> None:
    """Write the results folder RESULTS as pages: one of all patients, and one of each.

    They open by a double click, and need neither network nor program.
    """
    from cytoflow_car.study.report import build_report, write_report

    pages = build_report(results, outcome, study)
    first = write_report(pages, out)
    click.echo(f"{len(pages.pages)} pages, {len(pages.pictures)} pictures")
    click.echo(f"open: {first}")
