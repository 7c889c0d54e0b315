"""``learn``: a template from hand-gated files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cytoflow_car.cli.options import FILE, seed_of_draws

if TYPE_CHECKING:
    from cytoflow_car.study.learn import Learned


@click.command()
@click.argument("sources", nargs=-1, required=True, type=FILE, metavar="SOURCE...")
@click.option(
    "--template",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Template to write (.toml); what belongs to it is written beside it.",
)
@click.option(
    "--fcs",
    "folders",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder with the FCS files; the one of SOURCE by default. May be given again.",
)
@click.option("--sample", "names", multiple=True, help="File to learn from, by its name; again.")
@click.option(
    "--labels",
    type=click.Path(exists=True, path_type=Path),
    help="An expert's label for each event of SOURCE, which are then FCS files.",
)
@click.option(
    "--population",
    "populations",
    multiple=True,
    metavar="NAME=LABEL+...",
    help="With --labels: a population and the labels that it means; again for each.",
)
@click.option("--as-drawn", is_flag=True, help="Keep the gates of one file where they were drawn.")
@click.option(
    "--specimen",
    "specimens",
    multiple=True,
    type=click.Choice(["PB", "CSF", "BM"]),
    default=("PB",),
    show_default=True,
    help="What the template is meant for; again for more than one.",
)
@seed_of_draws
def learn(
    sources: tuple[Path, ...],
    out: Path,
    folders: tuple[Path, ...],
    names: tuple[str, ...],
    labels: Path | None,
    populations: tuple[str, ...],
    as_drawn: bool,
    specimens: tuple[str, ...],
    seed: int,
) -> None:
    """Write a template from 1 to 5 hand-gated files.

    SOURCE is a FlowJo 10 workspace (.wsp) or a Gating-ML 2.0 file (.xml). Of a workspace with more
    files five are taken, in even steps, unless --sample names them. With --as-drawn nothing is
    learned: the template holds the very gates of one file.
    """
    from cytoflow_car.study.learn import learn_from_gates, learn_from_labels, write_learned

    _refuse_out(out)
    if labels is not None and as_drawn:
        raise click.UsageError("--as-drawn is for drawn gates, not for --labels")
    if labels is not None:
        from cytoflow_car.study.hand_gates import find_labelled

        learned = learn_from_labels(
            find_labelled(sources, labels),
            out.stem,
            _populations(populations),
            specimens=specimens,  # type: ignore[arg-type]
            seed=seed,
        )
    else:
        from cytoflow_car.study.hand_gates import find_hand_gated

        learned = learn_from_gates(
            find_hand_gated(sources, folders, names),
            out.stem,
            specimens=specimens,  # type: ignore[arg-type]
            seed=seed,
            as_drawn=as_drawn,
        )
    written = write_learned(learned, out)
    _show(learned, written)


def _refuse_out(out: Path) -> None:
    """Refuse a template that could not be written or read, before the work is done."""
    from cytoflow_car.template import is_template_name

    if out.suffix != ".toml" or not is_template_name(out.stem):
        raise click.UsageError(
            f"--template {out.name}: expected small letters, digits and _, then .toml"
        )
    if not out.parent.is_dir():
        raise click.UsageError(f"no folder {out.parent}")
    for path in (out, out.with_suffix(".training.json"), out.with_suffix(".spillover.csv")):
        if path.exists():
            raise click.UsageError(f"{path} is there already and is not overwritten")


def _populations(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, labels = text.partition("=")
        if not equals or not name.strip() or not labels.strip():
            raise click.UsageError(
                f"--population {text!r}: expected NAME=LABEL or NAME=LABEL+LABEL"
            )
        if name.strip() in found:
            raise click.UsageError(f"--population {name.strip()!r} stands twice; join labels by +")
        found[name.strip()] = labels.strip()
    if not found:
        raise click.UsageError("--labels needs at least one --population")
    return found


def _show(learned: Learned, written: Sequence[Path]) -> None:
    click.echo(f"learned from: {', '.join(learned.files)}")
    for gate in learned.gates:
        found = ", ".join(f"{method} {score:.3f}" for method, score in gate.agreement.items())
        names = ", ".join(gate.rule.names)
        click.echo(f"  {names}: {gate.rule.gate.method}" + (f"  (F1: {found})" if found else ""))
    for note in learned.notes:
        click.echo(f"note: {note}")
    click.echo(f"in samples.csv give spillover: {learned.spillover_column}")
    for path in written:
        click.echo(f"written: {path}")
