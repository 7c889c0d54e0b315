"""``reference``: fit and show references of normal specimens."""

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
    from cytoflow_car.model.reference import Reference


#: With fewer events named, a reference is warned of.
LEAST_NAMED_PERCENT = 95.0


@click.group()
def reference() -> None:
    """Fit and show references of normal specimens, by which clusters are named."""


@reference.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Reference to write; its name must end in .reference.json. Never overwritten.",
)
@click.option("--template", required=True, help="Template with a section [clustering].")
@own_templates
@event_labels
@click.option(
    "--population",
    "populations",
    multiple=True,
    help="Without --labels: a population of the template that names its events; again for each.",
)
@click.option("--names", type=FILE, help="CSV: label, population, lineage, stage, technical.")
@spillover_of_files
@click.option("--simulated", is_flag=True, help="The files are simulated; results will say so.")
@seed_of_draws
@click.pass_context
def fit(
    ctx: click.Context,
    files: tuple[Path, ...],
    out: Path,
    template: str,
    templates: Path | None,
    labels: Path | None,
    populations: tuple[str, ...],
    names: Path | None,
    spillover: Literal["file", "applied", "none"],
    simulated: bool,
    seed: int,
) -> None:
    """Fit a reference from the normal or remission specimens FILE..., at least two."""
    from cytoflow_car.study.reference_fitting import fit_reference_of_files, read_names
    from cytoflow_car.tables.reference_file import ENDING, write_reference
    from cytoflow_car.template import load_template

    if not out.name.endswith(ENDING) or out.name == ENDING:
        raise click.UsageError(f"--out {out.name}: expected a name and then {ENDING}")
    if out.exists():
        raise click.UsageError(f"{out} is there already and is not overwritten")
    found, faults = fit_reference_of_files(
        out.name.removesuffix(ENDING),
        files,
        load_template(template, templates),
        labels=labels,
        populations=populations,
        names=read_names(names) if names is not None else None,
        spillover=spillover,
        simulated=simulated,
        seed=seed,
    )
    for fault in faults:
        click.echo(f"left out: {fault}", err=True)
    write_reference(found, out)
    _show(found)
    named = float(str(found.provenance["named_percent"]))
    if named < LEAST_NAMED_PERCENT:
        click.echo(
            f"only {named:.0f} % of the events have a name: normal cells without one will be "
            "unassigned, or taken for blasts. Name more of them",
            err=True,
        )
    click.echo(f"written: {out}")
    ctx.exit(SOME_FAILED if faults else 0)


@reference.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Show the populations of the reference FILE, and the level of each marker on them."""
    from cytoflow_car.tables.reference_file import read_reference

    _show(read_reference(file))


def _show(found: Reference) -> None:
    signs = {"negative": "-", "dim": "d", "positive": "+"}
    click.echo(f"{found.name}: of {len(found.fit)} specimens, within {found.parent!r}")
    if found.simulated:
        click.echo("simulated: for trying the program, not for patients")
    for item in sorted(found.populations, key=lambda item: (not item.stage, item.stage, item.name)):
        levels = " ".join(
            f"{marker}{signs[level]}"
            for marker, level in zip(found.marker_names, item.levels, strict=True)
        )
        stage = f", stage {item.stage} of {item.lineage}" if item.stage else ""
        kind = ", technical" if item.technical else stage
        click.echo(f"  {item.name}{kind}: {item.n_events} events of {item.n_specimens}; {levels}")
