"""Learn a template from hand-gated or labelled files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cytoflow_car.errors import StudyError, TemplateError
from cytoflow_car.gating.drawing import LabelledFile, draw_chain
from cytoflow_car.gating.learning import HandGatedFile, LearnedGate, learn_gate
from cytoflow_car.gating.membership import members
from cytoflow_car.gating.registered import Registered
from cytoflow_car.gating.shapes import Boolean, FixedPolygon
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.interop.gate_evaluation import evaluate_gates
from cytoflow_car.interop.gate_rules import choose_scales, draw_rules, name_markers
from cytoflow_car.interop.gate_set import FILE, UNCOMPENSATED, GateColumn
from cytoflow_car.measure.counting import Count, Percent
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Sample, Spillover, Values
from cytoflow_car.model.gate import BooleanGate
from cytoflow_car.model.panel import Marker, PreparedEvents
from cytoflow_car.model.population import ROOT
from cytoflow_car.model.scale import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle, Scale
from cytoflow_car.preprocess.compensation import compensate, fluorescence_channels
from cytoflow_car.preprocess.panel import is_compensated
from cytoflow_car.preprocess.scales import ScaleSetting, resolve_scale
from cytoflow_car.study.hand_gates import HandGated, LabelledSample
from cytoflow_car.study.population_matching import split_names
from cytoflow_car.template import Specimen, Template, parse_template

_ASSAY = "cells"
#: Values on a display scale fill it: their middle and their highest are no smaller shares of the
#: range than these. Of fluorescence as it was measured the middle lies near 0.
_DISPLAY_MIDDLE, _DISPLAY_HIGHEST = 0.05, 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A learned template and how it came about.

    Attributes
    ----------
    template
        Complete, its training densities among it.
    gates
        What was learned of each gate, in the template's order.
    files
        Names of the files that it was learned from.
    spillover
        The matrix that the gates were drawn on where it is not the file's own; else None.
    spillover_column
        What samples.csv must say in its column ``spillover``.
    notes
        What could not be taken over.
    """

    template: Template
    gates: tuple[LearnedGate, ...]
    files: tuple[str, ...]
    spillover: Spillover | None
    spillover_column: str
    notes: tuple[str, ...]


def learn_from_gates(
    files: Sequence[HandGated],
    name: str,
    *,
    specimens: tuple[Specimen, ...] = ("PB",),
    seed: int = 0,
    as_drawn: bool = False,
) -> Learned:
    """Learn a template from files with hand-drawn gates.

    Parameters
    ----------
    files
        One to five; the first that has a population says where it stands in the tree.
    name
        Of the template.
    as_drawn
        Nothing is learned: every gate stays where it was drawn, on the scale it was drawn on.

    Raises
    ------
    StudyError
        No gate can be taken over, or several files are to be kept as drawn.
    """
    if as_drawn and len(files) > 1:
        raise StudyError(
            f"gates of {len(files)} files to be kept as drawn",
            expected="those of one file",
            advice="Name the file with --sample",
        )
    gate_sets = [item.gates for item in files]
    columns = {column.name: column for item in gate_sets for column in item.columns}
    channels = files[0].sample.events.channels
    compensation = _compensation_of(files[0])
    fitting = [item for item in columns.values() if _fits(item, compensation, files[0])]
    markers = name_markers(fitting, channels)
    sources = {markers[item.name].name: item for item in fitting if item.name in markers}
    used = [
        _columns_of(item.sample, sources, item.gates.matrices, where=item.name) for item in files
    ]
    drawn_on = choose_scales(gate_sets, markers)
    scales = {
        marker: drawn_on[marker]
        if as_drawn and marker in drawn_on
        else _usable_scale(drawn_on.get(marker), _channel(channels, column), used[0][marker])
        for marker, column in sources.items()
    }
    rules = draw_rules(gate_sets, markers, scales)
    if not rules.rules:
        raise StudyError(f"no gate could be taken over: {'; '.join(rules.notes)}")
    learnable = []
    for item, values, drawn in zip(files, used, rules.drawn, strict=True):
        masks = evaluate_gates(item.gates, item.sample)
        rows = {rules.names[path]: np.flatnonzero(mask) for path, mask in masks.items()}
        rows[ROOT] = np.arange(len(item.sample.events), dtype=np.intp)
        learnable.append(HandGatedFile(_prepared(values, scales, item.sample), drawn, rows))
    time = files[0].sample.time_channel
    unmoved = {
        marker
        for marker, column in sources.items()
        if time is not None and column.detector == channels[time].detector
    }
    spillover, column = _spillover_of(files[0], compensation, exact=as_drawn)
    return _learned(
        name,
        tuple({item.name: item for item in markers.values()}.values()),
        scales,
        rules.rules,
        learnable,
        specimens=specimens,
        seed=seed,
        as_drawn=as_drawn,
        unmoved=frozenset(unmoved),
        files=tuple(item.name for item in files),
        spillover=spillover,
        spillover_column=column,
        notes=rules.notes,
    )


def learn_from_labels(
    files: Sequence[LabelledSample],
    name: str,
    populations: Mapping[str, str],
    *,
    specimens: tuple[Specimen, ...] = ("PB",),
    seed: int = 0,
) -> Learned:
    """Learn a template from files whose events an expert labelled.

    Each population is first drawn as a chain of polygons that tells its labels best; what follows
    is the same as with gates that a person drew.

    Parameters
    ----------
    populations
        Name in the template to the label that it means, or several joined by ``+``.

    Raises
    ------
    StudyError
        A population has no event in one of the files, or cannot be told by any two markers.
    """
    channels = files[0].sample.events.channels
    own = files[0].sample.spillover is not None and not any(
        is_compensated(channel.detector) for channel in channels
    )
    columns = [
        GateColumn(channel.detector, channel.detector, FILE if own else UNCOMPENSATED)
        for index, channel in enumerate(channels)
        if index != files[0].sample.time_channel
    ]
    markers = name_markers(columns, channels)
    sources = {markers[column.name].name: column for column in columns}
    used = [_columns_of(item.sample, sources, {}, where=item.name) for item in files]
    scales = {
        marker: _usable_scale(None, _channel(channels, column), used[0][marker])
        for marker, column in sources.items()
    }
    prepared = [
        _prepared(values, scales, item.sample) for item, values in zip(files, used, strict=True)
    ]
    drawn: list[dict[str, FixedPolygon]] = [{} for _ in files]
    rows = [{ROOT: np.arange(len(item.sample.events), dtype=np.intp)} for item in files]
    rules: list[PopulationRule] = []
    notes: list[str] = []
    agreement: dict[str, float] = {}
    known = {str(label) for item in files for label in np.unique(item.labels)}
    for population, text in populations.items():
        labels = split_names(text, known)
        wanted = [np.isin(item.labels, labels) for item in files]
        lacking = [item.name for item, mask in zip(files, wanted, strict=True) if not mask.any()]
        if lacking:
            raise StudyError(
                f"population {population}: no event of {', '.join(lacking)} is labelled {text!r}",
                expected=f"labels, joined by +, of {', '.join(sorted(known))}",
            )
        labelled = [LabelledFile(*pair) for pair in zip(prepared, wanted, strict=True)]
        chain = draw_chain(labelled, tuple(sources))
        if not chain.gates:
            raise StudyError(f"{population} cannot be told from the rest by any two markers")
        notes.append(
            f"{population}: drawn by {len(chain.gates)} polygons, which agree with the labels to "
            f"{chain.agreement:.3f} (F1)"
        )
        agreement[population] = chain.agreement
        parent = ROOT
        for step, polygons in enumerate(chain.gates, start=1):
            last = step == len(chain.gates)
            child = population if last else f"{population} step {step}"
            for number, gate in enumerate(polygons):
                x, y = (each.marker for each in gate.dimensions)
                drawn[number][child] = FixedPolygon("polygon", x, y, gate.vertices)
                above = rows[number][parent]
                rows[number][child] = above[members(gate, prepared[number], above)]
            rules.append(PopulationRule(parent, drawn[0][child], child))
            parent = child
    return _learned(
        name,
        tuple({item.name: item for item in markers.values()}.values()),
        scales,
        tuple(rules),
        [HandGatedFile(*item) for item in zip(prepared, drawn, rows, strict=True)],
        specimens=specimens,
        seed=seed,
        unmoved=frozenset(),
        files=tuple(item.name for item in files),
        agreement=agreement,
        spillover=None,
        spillover_column="file" if own else "applied",
        notes=tuple(notes),
    )


def write_learned(learned: Learned, out: Path) -> tuple[Path, ...]:
    """Write a learned template and what belongs beside it; return the files.

    Raises
    ------
    TemplateError
        `out` does not have the template's name.
    """
    # Only learning writes TOML.
    import tomli_w
    from pydantic import TypeAdapter

    template = learned.template
    if out.stem != template.name or out.suffix != ".toml":
        raise TemplateError(f"file {out.name!r}", expected=f"{template.name}.toml")
    plain = TypeAdapter(Template).dump_python(template, mode="json", exclude_defaults=True)
    # What is written must be what a run will read.
    parse_template(tomli_w.dumps(plain), where=out.name)
    densities = plain.pop("training", [])
    written = [out]
    if densities:
        training = out.with_name(template.training_file)
        training.write_text(_one_line_each(densities), encoding="utf-8")
        written.append(training)
    text = _heading(learned) + tomli_w.dumps(plain)
    out.write_text(text, encoding="utf-8", newline="\n")
    if learned.spillover is not None:
        matrix = out.with_suffix(".spillover.csv")
        rows = [",".join(learned.spillover.detectors)]
        rows += [
            ",".join(repr(value) for value in row.tolist()) for row in learned.spillover.matrix
        ]
        matrix.write_text("\n".join(rows) + "\n", encoding="utf-8")
        written.append(matrix)
    return tuple(written)


def _heading(learned: Learned) -> str:
    lines = [
        "Learned from files that a person gated; gate coordinates are in the units of the file.",
        f"In samples.csv give spillover = {learned.spillover_column}.",
        *learned.notes,
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _one_line_each(densities: list[Any]) -> str:
    lines = ",\n".join(json.dumps(item, allow_nan=False) for item in densities)
    return f'{{"training": [\n{lines}\n]}}\n'


def _learned(
    name: str,
    markers: tuple[Marker, ...],
    scales: Mapping[str, Scale],
    rules: tuple[PopulationRule, ...],
    learnable: list[HandGatedFile],
    *,
    specimens: tuple[Specimen, ...],
    seed: int,
    unmoved: frozenset[str],
    as_drawn: bool = False,
    agreement: Mapping[str, float] | None = None,
    **facts: Any,
) -> Learned:
    gates = tuple(
        LearnedGate(rule, (), {})
        if as_drawn or isinstance(rule.gate, Boolean)
        else learn_gate(
            rule,
            [item for item in learnable if rule.names[0] in item.drawn],
            seed=seed,
            unmoved=unmoved,
        )
        for rule in rules
    )
    gates = tuple(_limited(gate, agreement or {}) for gate in gates)
    training = tuple(item for gate in gates for item in gate.training)
    looked_at = {marker for gate in gates for marker in gate.rule.gate.markers}
    template = Template(
        name=name,
        version="1.0.0",
        description=f"Learned from {len(learnable)} hand-gated files",
        specimens=specimens,
        markers=tuple(marker for marker in markers if marker.name in looked_at),
        populations=tuple(gate.rule for gate in gates),
        measurements=tuple(_measurements(gates)),
        detection=(DetectionRule(_ASSAY, lod_events=20, loq_events=50),),
        scales={marker: _setting(scale) for marker, scale in scales.items() if marker in looked_at},
        training_file=f"{name}.training.json" if training else "",
        training=training,
    )
    return Learned(template=template, gates=gates, **facts)


def _limited(gate: LearnedGate, agreement: Mapping[str, float]) -> LearnedGate:
    """Let a gate that was drawn from labels know how far it agrees with them."""
    found = agreement.get(gate.rule.name)
    method = gate.rule.gate
    if found is None or not isinstance(method, Registered):
        return gate
    method = replace(method, agreement=round(method.agreement * found, 4))
    return replace(gate, rule=replace(gate.rule, gate=method))


def _measurements(gates: Sequence[LearnedGate]) -> list[Percent | Count]:
    taken: set[str] = set()
    found: list[Percent | Count] = []
    for gate in gates:
        for population in gate.rule.names:
            of = "events" if gate.rule.parent == ROOT else gate.rule.parent
            percent = _free(f"{_slug(population)}_percent_of_{_slug(of)}", taken)
            found.append(Percent("percent", percent, population, gate.rule.parent, _ASSAY))
    return found


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free


def _slug(name: str) -> str:
    """Return a population's name as part of a column's: small letters, digits and ``_``."""
    words = name.replace("+", "pos ").replace("-", "neg " if name.endswith("-") else " ").lower()
    slug = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return slug if slug and slug[0].isalpha() else f"p{'_' if slug else ''}{slug}"


def _columns_of(
    sample: Sample,
    sources: Mapping[str, GateColumn],
    matrices: Mapping[str, Spillover],
    *,
    where: str,
) -> dict[str, Values]:
    """Return each marker's values as its gates look at them, by marker."""
    compensated: dict[str, CompensatedEvents] = {}
    found = {}
    for marker, column in sources.items():
        if column.compensation not in compensated:
            matrix = (
                None
                if column.compensation == UNCOMPENSATED
                else sample.spillover
                if column.compensation == FILE
                else matrices[column.compensation]
            )
            compensated[column.compensation] = compensate(sample.events, matrix)
        if column.detector not in sample.events.detectors:
            raise StudyError(
                f"no channel {column.detector}",
                where=where,
                expected=f"one of {', '.join(sample.events.detectors)}",
                advice="Learn from files of one panel",
            )
        index = sample.events.detectors.index(column.detector)
        found[marker] = compensated[column.compensation].column(index)
    return found


def _prepared(
    values: Mapping[str, Values], scales: Mapping[str, Scale], sample: Sample
) -> PreparedEvents:
    channels = tuple(Channel(marker, None, scales[marker].top) for marker in values)
    events = Events(np.column_stack(list(values.values())), channels)
    return PreparedEvents(
        CompensatedEvents(events, np.eye(len(channels))),
        {marker: column for column, marker in enumerate(values)},
        scales,
    )


def _channel(channels: Sequence[Channel], column: GateColumn) -> tuple[int, Channel]:
    index = next(i for i, item in enumerate(channels) if item.detector == column.detector)
    return index, channels[index]


def _usable_scale(drawn_on: Scale | None, place: tuple[int, Channel], values: Values) -> Scale:
    """Return the scale that a marker has in the template.

    That on which its gates were drawn; but fluorescence as it was measured is not compared between
    files on a linear scale, whatever a box was drawn on.
    """
    _, channel = place
    if drawn_on is not None and not isinstance(drawn_on, Linear):
        return drawn_on
    finite = values[np.isfinite(values)]
    is_colour = bool(fluorescence_channels((channel,)))
    if is_colour and finite.size:
        middle, highest = float(np.median(np.abs(finite))), float(np.quantile(finite, 0.999))
        on_display = (
            middle >= _DISPLAY_MIDDLE * channel.range
            and highest >= _DISPLAY_HIGHEST * channel.range
        )
        if not on_display:
            top = max(channel.range, highest)
            return resolve_scale(ScaleSetting("logicle", top=top), channel, finite)
    return Linear(max(channel.range, 1.0))


def _setting(scale: Scale) -> ScaleSetting:
    """Return the template's setting that gives exactly this scale."""
    match scale:
        case Linear(top):
            return ScaleSetting("linear", top=top)
        case Log(top, decades):
            return ScaleSetting("log", top=top, decades=decades)
        case Asinh(top, cofactor):
            return ScaleSetting("asinh", top=top, cofactor=cofactor)
        case Logicle(top, width, decades, negative):
            return ScaleSetting("logicle", top, width, decades, negative)
        case Hyperlog(top, width, decades, negative):
            return ScaleSetting("hyperlog", top, width, decades, negative)
        case Biexponential(top, width, positive, negative):
            return ScaleSetting("biex", top, width, positive, negative)


def _compensation_of(file: HandGated) -> str:
    """Return the compensation on which most gates of colours were drawn."""
    colours = {
        file.sample.events.channels[index].detector
        for index in fluorescence_channels(file.sample.events.channels)
    }
    columns = {item.name: item for item in file.gates.columns if item.detector in colours}
    votes = Counter(
        columns[dimension.marker].compensation
        for item in file.gates.gates
        if not isinstance(item.gate, BooleanGate)
        for dimension in item.gate.dimensions
        if dimension.marker in columns
    )
    default = UNCOMPENSATED if file.sample.spillover is None else FILE
    return votes.most_common(1)[0][0] if votes else default


def _fits(column: GateColumn, compensation: str, file: HandGated) -> bool:
    """Tell whether a column's values are the same under the one compensation of a template."""
    if column.compensation == compensation:
        return True
    matrices = [_matrix(name, file) for name in (column.compensation, compensation)]
    return all(matrix is None or column.detector not in matrix.detectors for matrix in matrices)


def _matrix(compensation: str, file: HandGated) -> Spillover | None:
    if compensation == UNCOMPENSATED:
        return None
    return file.sample.spillover if compensation == FILE else file.gates.matrices[compensation]


def _spillover_of(
    file: HandGated, compensation: str, *, exact: bool
) -> tuple[Spillover | None, str]:
    """Return the matrix that a study must be given, and what its sheet must say."""
    matrix, own = _matrix(compensation, file), file.sample.spillover
    if matrix is None:
        return None, "none"
    if own is not None and (compensation == FILE or _same_matrix(matrix, own, exact=exact)):
        return None, "file"
    return replace(matrix, source="workspace"), "the path of the CSV beside the template"


def _same_matrix(one: Spillover, other: Spillover, *, exact: bool) -> bool:
    if set(one.detectors) != set(other.detectors):
        return False
    order = [other.detectors.index(name) for name in one.detectors]
    rounded = 0.0 if exact else 1e-5
    return bool(
        np.allclose(one.matrix, other.matrix[np.ix_(order, order)], rtol=rounded, atol=rounded)
    )
