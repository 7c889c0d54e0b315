"""The command line. A command's module is loaded when it is asked for, heavy imports when it runs.

Exit codes: 0 all done; 1 some files failed; 2 usage, sheet or template wrong; 3 nothing to do;
70 a bug.
"""

from __future__ import annotations

import errno
import sys
import traceback
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from cytoflow_car.errors import CytoflowCarError

SOME_FAILED, USAGE, NOTHING_TO_DO, BUG = 1, 2, 3, 70
#: What shells expect of a program that was stopped from the keyboard.
STOPPED = 130

#: Modules in this folder; each holds a command of its own name.
COMMANDS = (
    "run",
    "check",
    "inspect",
    "sheet",
    "templates",
    "simulate",
    "learn",
    "spillover",
    "reference",
    "lod",
    "calibrate",
    "outcome",
    "report",
    "compare",
    "export",
)


class _Commands(click.Group):
    """Loads commands by name and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CytoflowCarError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(USAGE)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(STOPPED)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            click.echo(f"Error: {error}", err=True)
            ctx.exit(USAGE)
        except Exception:
            click.echo(traceback.format_exc(), err=True, nl=False)
            click.echo("This is a bug in cytoflow-car. Please report the lines above.", err=True)
            ctx.exit(BUG)


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from cytoflow_car import __version__

        click.echo(f"cytoflow-car {__version__}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """From FCS files to tables of CAR T cells, B cells and blasts per time point.

    A study is a folder with samples.csv. 'sheet' writes a first one, 'check' looks it over without
    reading events, 'run' analyses it. Exit codes: 0 all done, 1 some files failed, 2 usage, sheet
    or template wrong, 3 nothing to do, 70 a bug.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    # A sign that a console's encoding lacks must not end a run.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="cytoflow-car")
