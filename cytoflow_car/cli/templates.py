"""``templates``: list, show, check and begin gating templates."""

from __future__ import annotations

from pathlib import Path

import click

from cytoflow_car.cli import USAGE
from cytoflow_car.cli.options import FILE, FOLDER, own_templates
from cytoflow_car.errors import TemplateError


@click.group()
def templates() -> None:
    """List, show, check and begin gating templates."""


@templates.command("list")
@own_templates
@click.pass_context
def list_(ctx: click.Context, templates: Path | None) -> None:
    """List every template with what it is for."""
    from cytoflow_car.template import list_templates, load_template

    names = list_templates(templates)
    width = max(map(len, names), default=0)
    faulty = False
    for name in names:
        try:
            template = load_template(name, templates)
        except TemplateError as error:
            faulty = True
            click.echo(f"{name}: {error}", err=True)
            continue
        click.echo(f"{name.ljust(width)}  {template.version}  {template.description}")
    if faulty:
        ctx.exit(USAGE)


@templates.command()
@click.argument("name")
@own_templates
def show(name: str, templates: Path | None) -> None:
    """Show the template NAME as it is written."""
    click.echo(_text(name, templates), nl=False)


@templates.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Check the template FILE: its fields, names and numbers."""
    from cytoflow_car.template import load_template

    template = load_template(file)
    click.echo(
        f"{template.name} {template.version}: {len(template.markers)} markers, "
        f"{len(template.population_names)} populations, {len(template.measurements)} measurements"
    )


@templates.command()
def schema() -> None:
    """Show the JSON Schema of templates, for editors."""
    import json

    from cytoflow_car.template import template_schema

    click.echo(json.dumps(template_schema(), indent=2))


@templates.command()
@click.argument("name", required=False)
@click.option("--from", "file", type=FILE, required=True, help="An FCS file of the panel.")
@click.option("--like", help="Template whose gates are taken over; a skeleton without it.")
@click.option("--from-opencyto", "table", type=FILE, help="A gating template (CSV) of openCyto.")
@click.option("--out", type=FOLDER, default=".", help="Folder for NAME.toml; here by default.")
@own_templates
def new(
    name: str | None,
    file: Path,
    like: str | None,
    table: Path | None,
    out: Path,
    templates: Path | None,
) -> None:
    """Begin the template NAME (my_panel by default) around the channels of an FCS file."""
    from cytoflow_car.fcs import read_header
    from cytoflow_car.study.draft_template import adapt_template, draft_template
    from cytoflow_car.template import parse_template

    if like and table:
        raise click.UsageError("--like and --from-opencyto exclude each other")
    # Not the file's name, which may tell of a patient.
    name = name or "my_panel"
    header = read_header(file)
    if table:
        from cytoflow_car.study.opencyto_template import draft_from_opencyto

        text, taken_over = draft_from_opencyto(name, table, header)
        for line in taken_over.left_out:
            click.echo(f"left out: {line}", err=True)
    elif like:
        text = adapt_template(name, _text(like, templates), header)
    else:
        text = draft_template(name, header)
    parse_template(text, where=f"{name}.toml")
    target = out / f"{name}.toml"
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise click.UsageError(f"{target} is there already and is not overwritten") from None
    click.echo(f"{target}: edit it, then 'cytoflow-car templates check {target}'")


def _text(name: str, folder: Path | None) -> str:
    from cytoflow_car.template import list_templates, load_template

    load_template(name, folder)  # says which one is near where there is none
    return list_templates(folder).get(name, Path(name)).read_text(encoding="utf-8")
