"""``spillover``: a matrix from single-stain controls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli.options import FILE, FOLDER

if TYPE_CHECKING:
    from cytoflow_car.study.single_stains import SingleStains


@click.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="CSV of the matrix. Never overwritten.",
)
@click.option("--unstained", type=FILE, help="Control without a stain.")
@click.option(
    "--stain",
    "stains",
    multiple=True,
    metavar="FILE=DETECTOR",
    help="Which detector the stain of a file in FOLDER belongs to, whatever else says otherwise.",
)
def spillover(folder: Path, out: Path, unstained: Path | None, stains: tuple[str, ...]) -> None:
    """Estimate spillover from the single-stain controls in FOLDER and write it as CSV."""
    from cytoflow_car.study.single_stains import estimate_folder, write_spillover

    if out.exists():
        raise click.UsageError(f"{out} is there already and is not overwritten")
    given = {}
    for stain in stains:
        file, _, detector = stain.rpartition("=")
        if not file or not detector:
            raise click.UsageError(f"--stain {stain}: FILE=DETECTOR is expected")
        given[file] = detector
    found = estimate_folder(folder, unstained=unstained, stains=given)
    write_spillover(found.estimate.spillover, out)
    _show(found)
    click.echo(f"{out}: {len(found.files)} detectors")


def _show(found: SingleStains) -> None:
    """Show each pair with its standard error, and doubts on standard error."""
    spillover = found.estimate.spillover
    for row, (stain, file) in enumerate(zip(spillover.detectors, found.files, strict=True)):
        control = found.estimate.controls[row]
        click.echo(
            f"{stain}  {file}: {control.n_positive} positive, {control.n_negative} negative events"
        )
        for column, detector in enumerate(spillover.detectors):
            if column != row:
                value = spillover.matrix[row, column]
                error = found.estimate.standard_errors[row, column]
                click.echo(f"    in {detector}  {value:.5f} ± {error:.5f}")
        if control.flags:
            click.echo(f"{file}: {', '.join(control.flags)}", err=True)
    for note in found.notes:
        click.echo(note, err=True)
    if found.left_out:
        left_out = ", ".join(found.left_out)
        click.echo(f"no control, so not in the matrix: {left_out}", err=True)
