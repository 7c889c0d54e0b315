"""``run``: analyse a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli.options import FILE, FOLDER, own_templates, seed_of_draws

if TYPE_CHECKING:
    from cytoflow_car.study.batch import RunSummary


@click.command()
@click.argument("study", type=FOLDER)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Results folder.")
@own_templates
@click.option(
    "--reference",
    type=FILE,
    help="Reference of normal specimens for all templates that ask for one.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; one a core by default.")
@seed_of_draws
@click.option("--strict", is_flag=True, help="Stop at the first bug instead of going on.")
@click.option("--labels", is_flag=True, help="Write the cluster label of every event.")
@click.option("--no-pictures", is_flag=True, help="Draw no pictures of the gates.")
@click.pass_context
def run(
    ctx: click.Context,
    study: Path,
    out: Path,
    templates: Path | None,
    reference: Path | None,
    jobs: int | None,
    seed: int,
    strict: bool,
    labels: bool,
    no_pictures: bool,
) -> None:
    """Analyse every specimen of the folder STUDY and write tables and pictures."""
    from cytoflow_car.cli.progress import show_progress
    from cytoflow_car.study.batch import run_study

    with show_progress() as progress:
        summary = run_study(
            study,
            out,
            templates=templates,
            reference=reference,
            jobs=jobs,
            seed=seed,
            strict=strict,
            pictures=not no_pictures,
            progress=progress,
            labels=labels,
        )
    _show(summary)
    ctx.exit(summary.exit_code)


def _show(summary: RunSummary) -> None:
    click.echo(f"done: {summary.n_done}")
    click.echo(f"failed: {len(summary.failures)}")
    for failure in summary.failures:
        template = f" [{failure.template}]" if failure.template else ""
        click.echo(f"  {failure.sample_id}{template}: {failure.message}")
    click.echo(f"to review: {len(summary.review)}")
    click.echo(f"tables: {summary.out}")
