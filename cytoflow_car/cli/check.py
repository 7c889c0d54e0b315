"""``check``: look a study over before it is run."""

from __future__ import annotations

from pathlib import Path

import click

from cytoflow_car.cli import NOTHING_TO_DO, USAGE
from cytoflow_car.cli.options import FOLDER, own_templates


@click.command()
@click.argument("study", type=FOLDER)
@own_templates
@click.pass_context
def check(ctx: click.Context, study: Path, templates: Path | None) -> None:
    """Check sheet, templates and file headers of the folder STUDY without reading events.

    The definitions in force come first, then what is wrong.

    Exits with 2 where there is an error; warnings alone leave 0.
    """
    from cytoflow_car.study.check import check_study
    from cytoflow_car.study.definitions import describe_definitions
    from cytoflow_car.study.sheet import read_study

    read = read_study(study)
    findings = check_study(read, templates)
    click.echo(f"study: {read.definitions.name or 'without name'}")
    click.echo(f"laboratory values: {len(read.labs)}")
    for line in describe_definitions(read.definitions):
        click.echo(line)
    for finding in findings:
        click.echo(f"{finding.level}: {finding.where}: {finding.message}")
    n_errors = sum(finding.level == "error" for finding in findings)
    click.echo(f"{len(read.rows)} rows, errors: {n_errors}, warnings: {len(findings) - n_errors}")
    if n_errors:
        ctx.exit(USAGE)
    if not read.rows:
        ctx.exit(NOTHING_TO_DO)
