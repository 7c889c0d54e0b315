"""``compare``: agreement of a run with what people gated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli import SOME_FAILED
from cytoflow_car.cli.options import FOLDER

if TYPE_CHECKING:
    from cytoflow_car.study.compare import Comparison
    from cytoflow_car.tables.agreement import PopulationSummary

_SHARE = click.FloatRange(min=0, max=1)


@click.command()
@click.argument("results", type=FOLDER)
@click.argument("reference", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for tables and figure; RESULTS-agreement beside RESULTS by default.",
)
@click.option(
    "--fcs",
    "folders",
    multiple=True,
    type=FOLDER,
    help="Folder with the FCS files, where they moved; again for more.",
)
@click.option(
    "--match",
    multiple=True,
    metavar="OURS=THEIRS",
    help="Which population is which where names differ; THEIRS may be labels joined by +.",
)
@click.option(
    "--population", "populations", multiple=True, help="Compare this one of ours; again for more."
)
@click.option("--label-channel", default="", help="Channel of FCS files that holds labels.")
@click.option("--least-f1", type=_SHARE, help="Least median F1 of a population.")
@click.option("--least-worst-f1", type=_SHARE, help="Least F1 of any sample.")
@click.option(
    "--most-difference",
    type=click.FloatRange(min=0),
    help="Largest difference of any sample's percent, in percentage points.",
)
@click.option("--least-concordance", type=_SHARE, help="Least concordance correlation.")
@click.pass_context
def compare(
    ctx: click.Context,
    results: Path,
    reference: Path,
    out: Path | None,
    folders: tuple[Path, ...],
    match: tuple[str, ...],
    populations: tuple[str, ...],
    label_channel: str,
    least_f1: float | None,
    least_worst_f1: float | None,
    most_difference: float | None,
    least_concordance: float | None,
) -> None:
    """Compare the results folder RESULTS with what people gated.

    REFERENCE is a FlowJo workspace (.wsp), Gating-ML (.xml or a folder of it), labels of events
    (.csv, .parquet or a folder of them), a CSV of percents, or FCS files with --label-channel.
    """
    from cytoflow_car.cli.progress import show_progress
    from cytoflow_car.study.agreement import Limits, find_outside, write_agreement
    from cytoflow_car.study.compare import compare_results

    with show_progress() as progress:
        comparison = compare_results(
            results,
            reference,
            fcs=folders,
            match=match,
            populations=populations,
            label_channel=label_channel,
            progress=progress,
        )
    out = out or results.resolve().with_name(f"{results.resolve().name}-agreement")
    write_agreement(comparison, out)
    _show(comparison)
    limits = Limits(least_f1, least_worst_f1, most_difference, least_concordance)
    outside = find_outside(comparison.summaries, limits)
    for text in outside:
        click.echo(f"outside: {text}")
    click.echo(f"tables: {out}")
    if outside or comparison.not_compared:
        ctx.exit(SOME_FAILED)


def _show(comparison: Comparison) -> None:
    click.echo("population: samples, F1 median / worst (given the hand parent), difference, CCC")
    template = ""
    for item in comparison.summaries:
        if item.template != template:
            template = item.template
            click.echo(f"{template}:")
        within = f" ({_figure(item.median_f1_within)} / {_figure(item.worst_f1_within)})"
        click.echo(
            f"  {item.population}: {item.n}, {_figure(item.median_f1)} / "
            f"{_figure(item.worst_f1)}{within if item.median_f1_within is not None else ''}"
            f"{_differences(item)}"
        )
    n_poor, poor_flagged, n_good, good_flagged = (
        sum(getattr(item, name) for item in comparison.summaries)
        for name in ("n_poor", "n_poor_flagged", "n_good", "n_good_flagged")
    )
    if n_poor or n_good:
        click.echo(
            f"flagged for review: {poor_flagged} of {n_poor} with F1 below 0.9, "
            f"{good_flagged} of {n_good} others"
        )
    for heading, names in (
        ("not compared", comparison.not_compared),
        ("not in the reference", comparison.not_in_reference),
        ("in the reference, but no specimen", comparison.not_asked),
        ("populations without a counterpart, ours", comparison.unmatched_ours),
        ("populations without a counterpart, theirs", comparison.unmatched_theirs),
        ("not taken over from the reference", comparison.notes),
    ):
        if names:
            click.echo(f"{heading}: {len(names)}")
            for name in names:
                click.echo(f"  {name}")


def _differences(item: PopulationSummary) -> str:
    if item.differences is None:
        return ""
    text = f", {item.differences.mean:+.2f}"
    if item.differences.limits is not None:
        text += f" [{item.differences.limits.low:+.2f}, {item.differences.limits.high:+.2f}]"
    return text + ("" if item.concordance is None else f", {item.concordance.value:.3f}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
