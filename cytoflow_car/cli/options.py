"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

own_templates = click.option(
    "--templates", type=FOLDER, help="Your own templates, looked at before those built in."
)
