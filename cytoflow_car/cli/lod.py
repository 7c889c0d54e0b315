"""``lod``: from how many blasts on a laboratory's panel finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cytoflow_car.cli import SOME_FAILED
from cytoflow_car.cli.options import (
    FILE,
    event_labels,
    own_templates,
    seed_of_draws,
    spillover_of_files,
)

if TYPE_CHECKING:
    from cytoflow_car.tables.detection import DetectionLimits


@click.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--template", required=True, help="Template that looks for residual blasts.")
@own_templates
@click.option("--reference", type=FILE, required=True, help="Reference of normal specimens.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for tables and figure.",
)
@event_labels
@click.option("--blasts", multiple=True, help="With --labels: a label of blasts; again for more.")
@click.option(
    "--leave-out",
    multiple=True,
    help="With --labels: a label of events to leave out, such as doublets; again for more.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.FloatRange(min=0, max=1, max_open=True),
    help="Share of blasts; again for more, 0 for blanks. 0.01, 0.001, 0.0001 and 0 by default.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of a level."
)
@click.option(
    "--blanks", type=click.IntRange(min=1), default=20, show_default=True, help="Runs of level 0."
)
@click.option(
    "--events", type=click.IntRange(min=1), help="Events of a run; as many as there are by default."
)
@click.option(
    "--cv",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Largest coefficient of variation of a quantified count, in percent.",
)
@spillover_of_files
@seed_of_draws
@click.pass_context
def lod(
    ctx: click.Context,
    files: tuple[Path, ...],
    template: str,
    templates: Path | None,
    reference: Path,
    out: Path,
    labels: Path | None,
    blasts: tuple[str, ...],
    leave_out: tuple[str, ...],
    levels: tuple[float, ...],
    repeats: int,
    blanks: int,
    events: int | None,
    cv: float,
    spillover: Literal["file", "applied", "none"],
    seed: int,
) -> None:
    """Dilute the blasts of the specimens FILE..., each of one patient, and look for them."""
    from cytoflow_car.cli.progress import show_progress
    from cytoflow_car.study.detection import write_detection
    from cytoflow_car.study.dilution import LEVELS, DilutionSetting, read_truth, study_detection
    from cytoflow_car.study.output_folder import refuse_results_folder
    from cytoflow_car.tables.reference_file import read_reference
    from cytoflow_car.template import load_template

    # Before the study, which takes its time.
    refuse_results_folder(out)
    rules, normal = load_template(template, templates), read_reference(reference)
    truth = read_truth(labels, blasts, leave_out)
    setting = DilutionSetting(levels or LEVELS, repeats, blanks, events, cv, seed)
    with show_progress() as progress:
        study = study_detection(
            files,
            rules,
            normal,
            setting=setting,
            truth=truth,
            spillover=spillover,
            progress=progress,
        )
    for fault in study.faults:
        click.echo(f"left out: {fault}", err=True)
    for item in study.left_out:
        where = f"{item.sample_id}, {item.arm}, level {item.level:g}"
        click.echo(f"left out: {where}: {item.flag}", err=True)
    for found in write_detection(study, out, rules, normal):
        _show(found)
    click.echo(f"tables: {out}")
    ctx.exit(SOME_FAILED if study.faults else 0)


def _show(found: DetectionLimits) -> None:
    figures = ", ".join(
        f"{name} {'unknown' if events is None else f'{events:.3g} events = {percent:.2g} %'}"
        for name, events, percent in (
            ("LOB", found.lob, found.lob_percent),
            ("LOD", found.lod, found.lod_percent),
            ("LOQ", found.loq, found.loq_percent),
        )
    )
    flags = f" [{'; '.join(found.flags)}]" if found.flags else ""
    click.echo(f"{found.sample_id}: {figures}{flags}")
