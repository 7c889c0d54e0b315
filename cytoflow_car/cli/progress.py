"""How far a run has come, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def show_progress() -> Iterator[Callable[[int, int, str], None]]:
    """Give a function to call as ``progress(done, total, sample_id)``.

    A bar with rate and time left on a terminal, else a line a file.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, sample_id: click.echo(f"{done}/{total} {sample_id}", err=True)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{60 * task.speed:.0f} a minute" if task.speed else "")

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, sample_id: bar.update(
            task, completed=done, total=total, description=sample_id
        )
