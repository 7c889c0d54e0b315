"""``simulate``: a study with known truth."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--patients", type=click.IntRange(min=1), required=True, help="Number of patients.")
@click.option("--events", type=click.IntRange(min=1), required=True, help="Events of a blood tube.")
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Same seed, same study.")
@click.option(
    "--gain-sd", type=click.FloatRange(min=0), help="Drift between sessions: SD of log10 gain."
)
@click.option("--small", is_flag=True, help="Fewer time points, for a folder of a few megabytes.")
@click.option("--labels", is_flag=True, help="Also write what each event was made as, labels/.")
@click.option(
    "--normal",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Also write marrows of so many persons without leukemia, normal/.",
)
def simulate(
    out: Path,
    patients: int,
    events: int,
    seed: int,
    gain_sd: float | None,
    small: bool,
    labels: bool,
    normal: int,
) -> None:
    """Write a simulated study into the new folder OUT, with the truth in truth.csv."""
    from cytoflow_car.simulate import simulate_cohort

    drift = {} if gain_sd is None else {"gain_sd": gain_sd}
    simulate_cohort(
        out,
        patients=patients,
        events=events,
        seed=seed,
        small=small,
        labels=labels,
        normal=normal,
        **drift,
    )
    click.echo(f"study: {out}")
