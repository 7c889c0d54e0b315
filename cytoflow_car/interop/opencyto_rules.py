"""A template's rules from openCyto's, for the methods that have a counterpart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cytoflow_car.errors import InteropError
from cytoflow_car.gating.methods import AnyGateMethod
from cytoflow_car.gating.mixture import Mixture
from cytoflow_car.gating.placing import Keep
from cytoflow_car.gating.shapes import Boolean, Cut, Quadrant, Reference
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.interop.gate_rules import name_markers
from cytoflow_car.interop.gate_set import GateColumn, Path, name_populations
from cytoflow_car.interop.opencyto import CUT_METHODS, OpenCytoStep, OpenCytoTemplate
from cytoflow_car.interop.opencyto_methods import is_linear, translate_cut, translate_region
from cytoflow_car.model.events import Channel
from cytoflow_car.model.panel import Marker
from cytoflow_car.model.population import ROOT


@dataclass(frozen=True, slots=True)
class OpenCytoRules:
    """What could be taken over.

    Attributes
    ----------
    markers
        Those that the rules look at, as the file's channels name them.
    scatter
        Names of the markers among them whose scale is linear.
    rules
        Parents before children.
    left_out
        What has no counterpart, each with its row and why.
    notes
        What else a person should look at, in words.
    """

    markers: tuple[Marker, ...]
    scatter: tuple[str, ...]
    rules: tuple[PopulationRule, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def convert_opencyto(source: OpenCytoTemplate, channels: Sequence[Channel]) -> OpenCytoRules:
    """Bring openCyto's steps into rules, around the channels of a file.

    Numbers in arguments are taken over for scatter and time only: those of fluorescence stand on a
    scale that the table does not tell. The priors of valleys and tails, which openCyto has not, are
    starting values.
    """
    return _Conversion(source, channels).convert()


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Whose placement holds a population's geometry, which side it keeps, and beneath whom."""

    name: str
    sign: str
    parent: Path


class _Conversion:
    """The rules so far, and what they rest on."""

    def __init__(self, source: OpenCytoTemplate, channels: Sequence[Channel]) -> None:
        self._source, self._channels = source, channels
        self._rules: list[PopulationRule] = []
        self._columns: dict[str, GateColumn] = {}
        self._markers: dict[str, Marker] = {}
        self._geometry: dict[Path, _Geometry | None] = {}
        self._names: dict[Path, str] = {}
        self._begun: list[str] = []
        self._unused: list[str] = []

    def convert(self) -> OpenCytoRules:
        left_out = list(self._source.left_out)
        placed: list[tuple[OpenCytoStep, Path]] = []
        known: list[Path] = []
        for step in self._source.steps:
            try:
                parent = _resolve(step.parent, known)
            except InteropError as fault:
                left_out.append(_said(step, f"parent {fault}"))
                continue
            placed.append((step, parent))
            known.extend((*parent, name) for name in step.populations)
        self._names = name_populations(known)
        for step, parent in placed:
            try:
                self._take(step, parent)
            except InteropError as fault:
                left_out.append(_said(step, str(fault)))
        used = {marker for rule in self._rules for marker in rule.gate.markers}
        markers = {item.name: item for item in self._markers.values() if item.name in used}
        notes = [*self._source.notes, *self._unused]
        if self._begun:
            notes.append(
                "openCyto knows no priors; those of these populations are starting values, set "
                f"them before use: {', '.join(self._begun)}"
            )
        linear = {
            self._markers[name].name
            for name, column in self._columns.items()
            if is_linear(column.detector)
        }
        return OpenCytoRules(
            tuple(markers.values()),
            tuple(name for name in markers if name in linear),
            tuple(self._rules),
            tuple(left_out),
            tuple(notes),
        )

    def _take(self, step: OpenCytoStep, parent: Path) -> None:
        if parent and parent not in self._geometry:
            raise InteropError(f"its parent {step.parent!r} was left out")
        paths = [(*parent, name) for name in step.populations]
        sign = next(iter(step.populations.values()))
        above = self._names[parent] if parent else ROOT
        said = f"openCyto: {step.method}" + (f" ({step.text})" if step.text else "")
        said = " ".join(said.split())
        if step.method == "refGate":
            self._refer(step, paths[0], sign, above)
            return
        if step.method == "boolGate":
            gate: AnyGateMethod = self._combination(step.text)
        elif step.method in CUT_METHODS:
            gate = self._cut(step, step.dims[0], "above" if sign == "+" else "below", step.method)
            self._begun.append(self._names[paths[0]])
        elif step.method in ("quadGate.seq", "gate_quad_sequential"):
            function = step.arguments.get("gFunc", "")
            if function not in CUT_METHODS:
                raise InteropError(f"gFunc {function!r} has no counterpart")
            x, y = (self._cut(step, dim, "above", str(function)) for dim in step.dims)
            if x.marker == y.marker:
                raise InteropError("both dims are one channel")
            gate = Quadrant("quadrant", x, y)
            self._begun.extend(self._names[path] for path in paths)
        else:
            gate = self._region(step)
            if isinstance(gate, Mixture):
                self._begun.append(self._names[paths[0]])
        if isinstance(gate, Quadrant):
            patterns = {self._names[(*parent, k)]: v for k, v in step.populations.items()}
            self._add(PopulationRule(above, gate, "", patterns, said))
            self._geometry.update(dict.fromkeys(paths))
        elif step.method in CUT_METHODS or sign == "+":
            name = self._names[paths[0]]
            self._add(PopulationRule(above, gate, name, None, said))
            combined = isinstance(gate, Boolean)
            self._geometry[paths[0]] = None if combined else _Geometry(name, sign, parent)
        else:
            name, inner = self._names[paths[0]], f"{self._names[paths[0]]} (inside)"
            self._add(
                PopulationRule(above, gate, inner, None, said),
                PopulationRule(above, Boolean("boolean", "not", (inner,)), name),
            )
            combined = isinstance(gate, Boolean)
            self._geometry[paths[0]] = None if combined else _Geometry(inner, "+", parent)

    def _add(self, *rules: PopulationRule) -> None:
        taken = {ROOT, *(name for rule in self._rules for name in rule.names)}
        doubled = taken.intersection(name for rule in rules for name in rule.names)
        if doubled:
            raise InteropError(f"the name {', '.join(doubled)} is taken")
        self._rules.extend(rules)

    def _cut(self, step: OpenCytoStep, dim: str, keep: Keep, function: str) -> Cut:
        gate, used = translate_cut(function, step, *self._marker(dim), keep)
        self._note_unused(step, used)
        return gate

    def _region(self, step: OpenCytoStep) -> AnyGateMethod:
        gate, used = translate_region(step, [self._marker(dim) for dim in step.dims])
        self._note_unused(step, used)
        return gate

    def _refer(self, step: OpenCytoStep, path: Path, signs: str, above: str) -> None:
        """Make a population of the geometry of one or two others."""
        name, found, wanted = self._names[path], [], []
        references = step.text.split(":")
        if len(references) != len(signs):
            raise InteropError(f"{len(references)} references for pop {signs!r}")
        for text, sign in zip(references, signs, strict=True):
            geometry = self._geometry.get(_resolve(text, self._geometry))
            if geometry is None:
                raise InteropError(f"{text!r} is a combination of gates")
            if geometry in found:
                raise InteropError(f"{step.text!r} refers to one gate twice")
            found.append(geometry)
            wanted.append(geometry.sign == sign)
        if len(found) == 1 and wanted[0]:
            self._add(PopulationRule(above, Reference("reference", found[0].name), name))
            self._geometry[path] = _Geometry(name, signs, path[:-1])
            return
        operands, helpers = [], []
        for geometry, same in zip(found, wanted, strict=True):
            operand = geometry.name
            if geometry.parent != path[:-1]:
                operand = f"{name} ({geometry.name})"
                helpers.append(
                    PopulationRule(above, Reference("reference", geometry.name), operand)
                )
            operands.append(operand if same else f"!{operand}")
        gate = (
            Boolean("boolean", "not", (operands[0].removeprefix("!"),))
            if len(operands) == 1
            else Boolean("boolean", "and", tuple(operands))
        )
        self._add(*helpers, PopulationRule(above, gate, name))
        self._geometry[path] = found[0] if len(found) == 1 else None

    def _combination(self, text: str) -> Boolean:
        """Read ``a & !b`` or ``a | b``; names may hold spaces, but none of ``&|!()``."""
        parts = [part.strip() for part in re.split(r"[&|]", text)]
        if ("&" in text and "|" in text) or re.search(r"[()]", text) or not all(parts):
            raise InteropError(f"{text!r}", expected="populations joined by & alone or by | alone")
        operands = []
        for part in parts:
            path = _resolve(part.removeprefix("!").strip(), self._geometry)
            operands.append("!" * part.startswith("!") + self._names[path])
        if len(operands) == 1 and operands[0].startswith("!"):
            return Boolean("boolean", "not", (operands[0][1:],))
        # A combination of one population is that population.
        operands = operands * 2 if len(operands) == 1 else operands
        return Boolean("boolean", "or" if "|" in text else "and", tuple(operands))

    def _marker(self, dim: str) -> tuple[Marker, Channel]:
        """Return the marker that a channel's name, its stain or a part of either means."""
        wanted = dim.casefold()
        ways = (
            lambda name: name.casefold() == wanted,
            lambda name: wanted in re.findall(r"[^\s/_]+", name.casefold()),
            lambda name: wanted in name.casefold(),
        )
        for fits in ways:
            fitting = [
                channel
                for channel in self._channels
                if fits(channel.detector) or fits(channel.marker or "")
            ]
            if len(fitting) > 1:
                raise InteropError(f"{dim!r} fits {len(fitting)} channels of the file")
            if fitting:
                detector = fitting[0].detector
                self._columns[detector] = GateColumn(detector, detector)
                named = name_markers(self._columns.values(), self._channels)
                self._markers.setdefault(detector, named[detector])
                return self._markers[detector], fitting[0]
        raise InteropError(f"{dim!r} is no channel of the file")

    def _note_unused(self, step: OpenCytoStep, used: set[str]) -> None:
        unused = sorted(step.arguments.keys() - used)
        if unused:
            self._unused.append(_said(step, f"{', '.join(unused)} not taken over"))


def _resolve(text: str, known: Iterable[Path]) -> Path:
    """Return the population that a name or the end of a path means."""
    parts = tuple(part.strip() for part in text.split("/") if part.strip())
    whole = text.startswith("/") or parts[:1] == (ROOT,)
    parts = parts[1:] if parts[:1] == (ROOT,) else parts
    if not parts and whole:
        return ()
    fitting = [path for path in known if parts and path[-len(parts) :] == parts]
    exact = [path for path in fitting if path == parts]
    if exact and (whole or len(fitting) == 1):
        return exact[0]
    if len(fitting) != 1 or whole:
        raise InteropError(f"{text!r} is {'several populations' if fitting else 'not taken over'}")
    return fitting[0]


def _said(step: OpenCytoStep, what: str) -> str:
    return f"row {step.row}, {', '.join(step.populations)}: {what}"
