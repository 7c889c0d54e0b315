"""``calibrate``: from the peaks of calibration beads to molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli import SOME_FAILED
from cytoflow_car.cli.options import FILE

if TYPE_CHECKING:
    from cytoflow_car.model.calibration import Calibration


@click.command()
@click.argument("file", type=FILE, metavar="BEADS.fcs")
@click.option("--beads", "kit", type=FILE, required=True, help="TOML with the values of the lot.")
@click.option("--marker", help="Stain of the channel to calibrate, such as CD22.")
@click.option("--channel", help="Detector to calibrate, such as PE-A.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for calibration.json, peaks.csv and beads.png.",
)
@click.pass_context
def calibrate(
    ctx: click.Context,
    file: Path,
    kit: Path,
    marker: str | None,
    channel: str | None,
    out: Path | None,
) -> None:
    """Find the peaks of the beads in BEADS.fcs and fit the values that their kit assigns.

    Exit codes: 0 all checks hold, 1 one does not, 2 there is no calibration.
    """
    from cytoflow_car.study.calibration import calibrate_beads, write_calibration
    from cytoflow_car.study.output_folder import refuse_results_folder
    from cytoflow_car.tables.kit_file import read_kit

    if marker is not None and channel is not None:
        raise click.UsageError("--marker and --channel both name a channel: give one")
    if out is not None:
        refuse_results_folder(out)
    run = calibrate_beads(file, read_kit(kit), marker=marker, detector=channel)
    if out is not None:
        write_calibration(run, out)
    if run.calibration is None:
        if out is not None:
            click.echo(f"picture: {out / 'beads.png'}", err=True)
        assert run.fault is not None
        raise run.fault
    _show(run.calibration)
    if out is not None:
        click.echo(f"files: {out}")
    ctx.exit(SOME_FAILED if run.calibration.flags else 0)


def _show(calibration: Calibration) -> None:
    kit, bound = calibration.kit, calibration.binding
    voltage = "unknown voltage" if bound.voltage is None else f"{bound.voltage:g} V"
    instrument = bound.instrument or "unknown cytometer"
    click.echo(
        f"{kit.name}, lot {kit.lot}: {kit.unit} on {bound.detector}, {voltage}, {instrument}"
    )
    click.echo(f"{calibration.n_singlets} single beads of {calibration.n_events} events")
    rows = [("peak", "level", "events", "mfi", "CV %", "back-calculated", "flags")]
    for number, item in enumerate(calibration.peaks, start=1):
        back, off = item.back_calculated, item.deviation_percent
        told = "-" if back is None else f"{back:.0f}"
        rows.append(
            (
                str(number),
                ";".join(f"{level:g}" for level in item.levels),
                str(item.peak.n_events),
                f"{item.peak.mfi:.1f}",
                "-" if item.peak.cv_percent is None else f"{item.peak.cv_percent:.1f}",
                told if off is None else f"{told} ({off:+.1f} %)",
                "; ".join(item.peak.flags) or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    line = calibration.line
    click.echo(
        f"log10({kit.unit}) = {line.slope:.5f} * log10(MFI) {line.intercept:+.5f}, r2 {line.r2:.6f}"
    )
    if calibration.mef is not None:
        mef = calibration.mef
        click.echo(
            f"{kit.unit} = exp({mef.slope:.5f} * ln(MFI) {mef.intercept:+.5f}) "
            f"- {mef.autofluorescence:.1f}"
        )
    for flag in calibration.flags:
        click.echo(f"flag: {flag}")
