"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

own_templates = click.option(
    "--templates", type=FOLDER, help="Your own templates, looked at before those built in."
)

event_labels = click.option(
    "--labels",
    type=click.Path(exists=True, path_type=Path),
    help="What each event is: a table, or a folder with one for each file.",
)

spillover_of_files = click.option(
    "--spillover",
    type=click.Choice(["file", "applied", "none"]),
    default="file",
    show_default=True,
    help="As in samples.csv.",
)

seed_of_draws = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="For random draws."
)
