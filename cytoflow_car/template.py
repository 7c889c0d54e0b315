"""Gating templates: TOML in, frozen records out, faults named with population and field."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from cytoflow_car.antigen.rules import MASKING, AntigenCutoffs, AntigenRule
from cytoflow_car.clustering.methods import CLUSTERERS
from cytoflow_car.clustering.naming import NamingSetting
from cytoflow_car.clustering.settings import (
    ClusteringSetting,
    HemodilutionSetting,
    ResidualSetting,
)
from cytoflow_car.errors import TemplateError
from cytoflow_car.gating.contour import DensityContour
from cytoflow_car.gating.control import ControlCut
from cytoflow_car.gating.internal import InternalCut
from cytoflow_car.gating.labelled import Labelled
from cytoflow_car.gating.methods import METHODS, AnyGateMethod, cuts_of
from cytoflow_car.gating.mixture import Mixture
from cytoflow_car.gating.ratio import Ratio
from cytoflow_car.gating.registered import Registered
from cytoflow_car.gating.shapes import (
    Boolean,
    FixedEllipsoid,
    FixedPolygon,
    Quadrant,
    Rectangle,
)
from cytoflow_car.gating.shared import gates_used, populations_used, why_not_shared
from cytoflow_car.gating.thresholds import ValleyCut
from cytoflow_car.gating.training import TrainingDensity
from cytoflow_car.gating.tree import PopulationRule
from cytoflow_car.measure import MEASURES, Measure
from cytoflow_car.measure.density import Density, DensityRatio
from cytoflow_car.measure.detection import DetectionRule
from cytoflow_car.measure.intensity import Intensity
from cytoflow_car.model.calibration import CalibrationRule
from cytoflow_car.model.panel import Marker
from cytoflow_car.model.population import ROOT
from cytoflow_car.preprocess.scales import ScaleSetting
from cytoflow_car.qc.acquisition import AcquisitionSetting
from cytoflow_car.qc.drift import DriftSetting
from cytoflow_car.resources import resource_folder

Specimen = Literal["PB", "CSF", "BM"]
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


@dataclass(frozen=True, slots=True)
class CarStain:
    """What a CAR measurement looks for and with what; the sheet may override both.

    Attributes
    ----------
    target
        Antigen of the CAR (``CD19``, ``CD22``), ``ANY`` or ``unknown``.
    reagent
        For example ``CD19-Fc``; results of different reagents are not interchangeable.
    marker
        The template's marker that carries the reagent.
    """

    target: str
    reagent: str
    marker: str


@dataclass(frozen=True, slots=True)
class Template:
    """One assay: panel, scales, quality control, populations, measurements, detection limits.

    Attributes
    ----------
    name, version, description
        Name is also the file's; the version lands on every result.
    specimens
        Specimen types that it is meant for.
    markers
        Panel.
    populations
        Parents before children.
    measurements
        What is written to the results.
    detection
        Limits by assay.
    scales
        By marker; ``default`` for the others.
    acquisition
        Limits of quality control.
    drift
        When a batch lies too far from the others.
    car
        For templates that look for CAR T cells.
    clustering
        Which population is clustered, how, and by what reference it is named.
    antigens
        Whose density of what is measured, and by which cut-offs it is put into words.
    calibration
        When beads may be used.
    scatter
        Markers whose top of scale is checked for saturated events.
    review_below
        A gate with less confidence sends the specimen to review.
    confidence
        Of every interval.
    training_file
        Name of the file beside the template that holds `training`; empty where there is none.
    training
        What hand-gated files looked like, for the method ``registered``.
    """

    # Read by pydantic without importing it here; it holds through every nested record.
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    name: str
    version: str
    description: str
    specimens: tuple[Specimen, ...]
    markers: tuple[Marker, ...]
    populations: tuple[PopulationRule, ...]
    measurements: tuple[Measure, ...]
    detection: tuple[DetectionRule, ...]
    scales: Mapping[str, ScaleSetting] = field(default_factory=dict)
    acquisition: AcquisitionSetting = AcquisitionSetting()
    drift: DriftSetting = field(default_factory=DriftSetting)
    car: CarStain | None = None
    clustering: ClusteringSetting | None = None
    antigens: tuple[AntigenRule, ...] = ()
    calibration: CalibrationRule = field(default_factory=CalibrationRule)
    scatter: tuple[str, ...] = ()
    review_below: float = 0.5
    confidence: float = 0.95
    training_file: str = ""
    training: tuple[TrainingDensity, ...] = ()

    def scale_of(self, marker: str) -> ScaleSetting:
        """Return the scale setting of a marker."""
        return self.scales.get(marker, self.scales.get("default", ScaleSetting()))

    @property
    def population_names(self) -> tuple[str, ...]:
        """Every population, parents first."""
        return tuple(name for rule in self.populations for name in rule.names)

    def population_of(self, measure: Measure) -> str:
        """Return the population that a measurement is of."""
        if isinstance(measure, Density | DensityRatio):
            return next(rule.population for rule in self.antigens if rule.name == measure.antigen)
        return measure.populations[0]

    def looks_at(self, population: str, marker: str) -> bool:
        """Tell whether a gate on the way from the root to a population looks at a marker.

        A gate that repeats or combines others looks at what they look at.
        """
        rules = {name: rule for rule in self.populations for name in rule.names}
        if population not in rules:
            return False
        rule = rules[population]
        others = (rule.parent, *(name.removeprefix("!") for name in gates_used(rule.gate)))
        return marker in rule.gate.markers or any(self.looks_at(name, marker) for name in others)


def list_templates(folder: Path | None = None) -> dict[str, Path]:
    """Return every template by name: the laboratory's own folder before the built-in one."""
    if folder is not None and not folder.is_dir():
        raise TemplateError(f"no folder {folder.name!r}", where="--templates")
    folders = [resource_folder("gating_templates"), *([folder] if folder else [])]
    return {path.stem: path for place in folders for path in sorted(place.glob("*.toml"))}


def load_template(name: str | Path, folder: Path | None = None) -> Template:
    """Load a template by name (from `folder`, then built in) or by path.

    Raises
    ------
    TemplateError
        No such template, or a fault in it.
    """
    known = list_templates(folder)
    path = Path(name) if str(name).endswith(".toml") else known.get(str(name))
    if path is None or not path.is_file():
        near = difflib.get_close_matches(str(name), known, n=1)
        raise TemplateError(
            f"no template {str(name)!r}",
            expected=f"one of {', '.join(known)}",
            advice=f"Did you mean {near[0]}?" if near else "",
        )
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        raise TemplateError(f"not UTF-8 text: {fault}", where=path.name) from fault
    template = parse_template(text, where=path.name, beside=path.parent)
    # By name it must be the one that the sheet asks for; a file given by path may be a copy.
    if template.name != path.stem and str(name) == path.stem:
        raise TemplateError(
            f"name {template.name!r}",
            where=path.name,
            expected=f"the file's own name, {path.stem!r}",
            advice="Rename the file or the template",
        )
    return template


def parse_template(text: str, *, where: str, beside: Path | None = None) -> Template:
    """Read a template from TOML text.

    Parameters
    ----------
    where
        The file's name, for messages.
    beside
        Folder of the template's training file; None where the text holds its densities itself.

    Raises
    ------
    TemplateError
        With population and field of the first fault.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise TemplateError(f"not TOML: {fault}", where=where) from fault
    if table.get("training_file") and beside is not None:
        table["training"] = _read_training(beside, table["training_file"], where)
    template = _validate(table, where)
    for fault_at, problem, expected in _faults(template):
        raise TemplateError(problem, where=f"{where}, {fault_at}", expected=expected)
    return template


def template_hash(template: Template) -> str:
    """Return the sha256 of a template's canonical form; comments and spelling do not change it."""
    from pydantic import TypeAdapter

    plain = TypeAdapter(Template).dump_python(template, mode="json")
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def template_schema() -> dict[str, Any]:
    """Return the JSON Schema of templates, for editors."""
    from pydantic import TypeAdapter

    return TypeAdapter(Template).json_schema()


def _read_training(folder: Path, name: Any, where: str) -> Any:
    """Read the densities beside a template: plain JSON, looked over with the template itself."""
    if not isinstance(name, str) or Path(name).name != name:
        raise TemplateError(
            f"training_file {name!r}", where=where, expected="the name of a file beside it"
        )
    try:
        plain = json.loads((folder / name).read_text(encoding="utf-8"))
        return plain["training"]
    except OSError as fault:
        raise TemplateError(
            f"no file {name!r}",
            where=f"{where}, training_file",
            advice="Copy it beside the template: both belong together",
        ) from fault
    except (ValueError, RecursionError, KeyError, TypeError) as fault:
        raise TemplateError(
            f"{name!r} holds no training densities ({fault})", where=f"{where}, training_file"
        ) from fault


def _validate(table: dict[str, Any], where: str) -> Template:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Template).validate_json(json.dumps(table, default=str))
    except ValidationError as fault:
        raise _readable(fault.errors(), table, where) from None


def _readable(faults: list[Any], table: dict[str, Any], where: str) -> TemplateError:
    """Choose the fault that a person meant to be told, and say it in the template's words."""
    # A misspelt field also leaves the right one missing; the misspelling says more.
    faults = sorted(faults, key=lambda fault: fault["type"] != "unexpected_keyword_argument")
    kinds = (*METHODS.items(), *MEASURES.items(), *CLUSTERERS.items())
    unions = {cls.__name__: name for name, cls in kinds}
    for fault in faults:
        value: Any = table
        place: list[str] = []
        applies = True
        for step in fault["loc"]:
            if step in unions:
                chosen = (
                    value.get("method", value.get("measure")) if isinstance(value, dict) else None
                )
                applies = applies and chosen == unions[step]
                continue
            if isinstance(value, dict):
                value = value.get(step)
                place.append(str(step))
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
                label = value.get("name", value.get("assay")) if isinstance(value, dict) else None
                place.append(repr(label) if label else f"number {step + 1}")
        if applies:
            return _one_fault(fault, place, where)
    # No branch of a union was chosen: the method's own name is unknown.
    for place_of, chosen, known in _unknown_methods(table):
        near = difflib.get_close_matches(str(chosen), known, n=1)
        return TemplateError(
            f"unknown {'measure' if place_of.startswith('measurement') else 'method'} {chosen!r}",
            where=f"{where}, {place_of}",
            expected=f"one of {', '.join(known)}",
            advice=f"Did you mean {near[0]}?" if near else "",
        )
    return _one_fault(faults[0], [str(step) for step in faults[0]["loc"]], where)


def _one_fault(fault: Any, place: list[str], where: str) -> TemplateError:
    advice = ""
    if fault["type"] == "unexpected_keyword_argument":
        names = {
            name
            for cls in (
                Template,
                PopulationRule,
                Marker,
                DetectionRule,
                ScaleSetting,
                AcquisitionSetting,
                DriftSetting,
                CarStain,
                ClusteringSetting,
                NamingSetting,
                ResidualSetting,
                HemodilutionSetting,
                AntigenRule,
                AntigenCutoffs,
                CalibrationRule,
                *CLUSTERERS.values(),
                *METHODS.values(),
                *MEASURES.values(),
            )
            for name in getattr(cls, "__dataclass_fields__", ())
        }
        near = difflib.get_close_matches(place[-1], names, n=1)
        advice = f"Did you mean {near[0]}?" if near else "Remove it"
        problem = f"unknown field {place[-1]!r}"
    else:
        problem = f"{fault['msg'][:1].lower()}{fault['msg'][1:]}"
        if not isinstance(fault["input"], dict | list):
            problem += f", found {fault['input']!r}"
    return TemplateError(problem, where=f"{where}, {' '.join(place)}", advice=advice)


def _unknown_methods(table: dict[str, Any]) -> Iterator[tuple[str, Any, list[str]]]:
    for rule in table.get("populations", []):
        gate = rule.get("gate", {}) if isinstance(rule, dict) else {}
        parts = [gate, *gate.get("sides", []), gate.get("x"), gate.get("y")]
        for part in parts:
            if isinstance(part, dict) and part.get("method") not in METHODS:
                yield f"population {rule.get('name')!r}", part.get("method"), list(METHODS)
    for row in table.get("measurements", []):
        if isinstance(row, dict) and row.get("measure") not in MEASURES:
            yield f"measurement {row.get('name')!r}", row.get("measure"), list(MEASURES)


def _faults(template: Template) -> Iterator[tuple[str, str, str]]:
    """Yield (place, problem, expected) of everything that types cannot catch."""
    if not is_template_name(template.name):
        yield "name", f"{template.name!r}", "small letters, digits and _"
    markers = [marker.name for marker in template.markers]
    yield from _doubled("markers", markers)
    for marker in template.markers:
        if not marker.stains and not marker.detectors:
            yield f"marker {marker.name}", "no spelling accepted", "stains or detectors"
    for name in template.scales:
        if name != "default" and name not in markers:
            yield "scales", f"no marker {name!r}", ", ".join(markers)
    for name in template.scatter:
        if name not in markers:
            yield "scatter", f"no marker {name!r}", ", ".join(markers)
    if template.car is not None and template.car.marker not in markers:
        yield "car", f"no marker {template.car.marker!r}", ", ".join(markers)
    if not 0 < template.confidence < 1:
        yield "confidence", f"{template.confidence:g}", "between 0 and 1"
    if not 0 <= template.review_below <= 1:
        yield "review_below", f"{template.review_below:g}", "0 to 1"
    yield from _population_faults(template, markers)
    yield from _measurement_faults(template, markers)
    yield from _drift_faults(template, markers)
    yield from _acquisition_faults(template)
    yield from _clustering_faults(template, markers)
    yield from _antigen_faults(template, markers)
    for density in template.training:
        if density.population not in template.population_names:
            known = ", ".join(template.population_names)
            yield "training", f"no population {density.population!r}", known


def _population_faults(template: Template, markers: list[str]) -> Iterator[tuple[str, str, str]]:
    known = [ROOT]
    for rule in template.populations:
        place = f"population {' '.join(rule.names)!r}"
        if rule.parent not in known:
            yield place, f"parent {rule.parent!r} is not defined above it", ", ".join(known)
        # First, because such a gate may have no markers to ask for.
        for problem, expected in _gate_faults(rule.gate):
            yield place, problem, expected
        for marker in rule.gate.markers:
            if marker not in markers:
                yield place, f"no marker {marker!r}", ", ".join(markers)
        if _is_quadrant(rule.gate) != (rule.quadrants is not None) or bool(rule.name) == bool(
            rule.quadrants
        ):
            yield (
                place,
                "name and quadrants do not fit the gate",
                "a name, or quadrants of a quadrant",
            )
        for pattern in (rule.quadrants or {}).values():
            if pattern not in ("++", "+-", "-+", "--"):
                yield place, f"quadrant {pattern!r}", "++, +-, -+ or --"
        for name in populations_used(rule.gate):
            if name.removeprefix("!") not in known[1:]:
                yield (
                    place,
                    f"population {name!r} is not defined above it",
                    ", ".join(known[1:]),
                )
        if problem := why_not_shared(rule, template.populations):
            yield place, problem, "a gate that rests on its parent's events alone"
        if any(not name or "/" in name or name.startswith("!") for name in rule.names):
            yield place, "a name that cannot be used", "no / and no leading !"
        yield from _doubled(place, [*known, *rule.names])
        known.extend(rule.names)


def is_template_name(name: str) -> bool:
    """Tell whether a template may have this name: small letters, digits and ``_``."""
    return bool(_NAME.match(name))


def _is_quadrant(gate: AnyGateMethod) -> bool:
    if isinstance(gate, Registered):
        return any(isinstance(drawn, Quadrant) for drawn in gate.drawn)
    return isinstance(gate, Quadrant)


def _gate_faults(gate: AnyGateMethod) -> Iterator[tuple[str, str]]:
    for cut in cuts_of(gate) or (gate,):
        if isinstance(cut, ValleyCut | Ratio) and not cut.low < cut.prior < cut.high:
            yield "low, prior and high are not in order", "low < prior < high"
        if isinstance(cut, ControlCut | InternalCut) and not 0 < cut.quantile < 1:
            yield f"quantile {cut.quantile:g}", "between 0 and 1"
    if isinstance(gate, Rectangle) and not gate.sides:
        yield "a rectangle without sides", "at least one"
    if isinstance(gate, FixedPolygon | DensityContour) and len(gate.vertices) < 3:
        yield f"polygon of {len(gate.vertices)} vertices", "at least 3"
    if (
        isinstance(gate, Mixture | DensityContour)
        and gate.fraction is not None
        and not 0 < gate.fraction < 1
    ):
        yield f"fraction {gate.fraction:g}", "between 0 and 1"
    if isinstance(gate, Mixture):
        yield from _mixture_faults(gate)
    if isinstance(gate, Registered):
        yield from _registered_faults(gate)
    if isinstance(gate, FixedEllipsoid | Mixture):
        lengths = {len(gate.center), len(gate.axis_ends), *map(len, gate.axis_ends)}
        if lengths != {len(gate.axes)}:
            yield "coordinates do not fit the axes", f"{len(gate.axes)} a point, as many ends"
    if isinstance(gate, Boolean) and (gate.operation == "not") != (len(gate.populations) == 1):
        yield (
            f"{gate.operation!r} of {len(gate.populations)} populations",
            "not of one, else several",
        )


def _mixture_faults(gate: Mixture) -> Iterator[tuple[str, str]]:
    if not 1 <= len(gate.axes) <= 3:
        yield f"a mixture of {len(gate.axes)} axes", "1 to 3"
    for field_name in ("components", "most_components"):
        number = getattr(gate, field_name)
        if number is not None and number < 1:
            yield f"{field_name} {number}", "at least 1"


def _registered_faults(gate: Registered) -> Iterator[tuple[str, str]]:
    if not gate.drawn:
        yield "no drawn gate", "at least one"
    for drawn in gate.drawn:
        if tuple(dict.fromkeys(drawn.markers)) != gate.markers:
            yield (
                f"drawn gates on {', '.join(gate.markers)} and on {', '.join(drawn.markers)}",
                "all on the same markers, in the same order",
            )
        yield from _gate_faults(drawn)


def _measurement_faults(template: Template, markers: list[str]) -> Iterator[tuple[str, str, str]]:
    assays = {rule.assay for rule in template.detection}
    populations = {ROOT, *template.population_names}
    yield from _doubled("measurements", [measure.name for measure in template.measurements])
    for measure in template.measurements:
        place = f"measurement {measure.name!r}"
        if not _NAME.match(measure.name):
            yield place, "a name that cannot be a column", "small letters, digits and _"
        for name in measure.populations:
            if name not in populations:
                yield place, f"no population {name!r}", ", ".join(sorted(populations))
        required = getattr(measure, "requires", "")
        if required and required not in assays:
            known = ", ".join(sorted(assays))
            yield place, f"no assay {required!r} in the detection table", known
        if isinstance(measure, Density | DensityRatio):
            rules = {rule.name: rule for rule in template.antigens}
            antigen = rules.get(measure.antigen)
            if antigen is None:
                known = ", ".join(rules) or "[[antigens]]"
                yield place, f"no antigen {measure.antigen!r}", known
            elif isinstance(measure, DensityRatio) and not getattr(antigen, measure.to):
                problem = f"{measure.antigen!r} has no {measure.to}"
                yield place, problem, "one in its row of antigens"
        elif isinstance(measure, Intensity):
            if measure.marker not in markers:
                yield place, f"no marker {measure.marker!r}", ", ".join(markers)
        elif measure.assay not in assays:
            yield (
                place,
                f"no assay {measure.assay!r} in the detection table",
                ", ".join(sorted(assays)),
            )
    for rule in template.detection:
        place = f"detection {rule.assay!r}"
        for name in (*rule.least_events, *rule.interfering):
            if name not in populations:
                yield place, f"no population {name!r}", ", ".join(sorted(populations))
        if not 0 < rule.alpha < 1:
            yield place, f"alpha {rule.alpha:g}", "between 0 and 1"
        if not 0 < rule.lod_events <= rule.loq_events:
            yield place, "lod_events and loq_events are not in order", "0 < lod <= loq"


def _antigen_faults(template: Template, markers: list[str]) -> Iterator[tuple[str, str, str]]:
    assays = [rule.assay for rule in template.detection]
    populations = {ROOT, *template.population_names}
    yield from _doubled("antigens", [rule.name for rule in template.antigens])
    for rule in template.antigens:
        place = f"antigen {rule.name!r}"
        if not _NAME.match(rule.name):
            yield place, "a name that cannot be a column", "small letters, digits and _"
        if rule.marker not in markers:
            yield place, f"no marker {rule.marker!r}", ", ".join(markers)
        for name in rule.populations:
            if name not in populations:
                yield place, f"no population {name!r}", ", ".join(sorted(populations))
        if rule.requires and rule.requires not in assays:
            yield place, f"no assay {rule.requires!r} in the detection table", ", ".join(assays)
        if rule.reference_density is not None and not rule.reference_source:
            yield place, "reference_density without reference_source", "where the number is from"
        for drug in rule.masking:
            if drug not in MASKING:
                yield place, f"masking {drug!r}", ", ".join(MASKING)
        cutoffs = rule.cutoffs
        if not 0 <= cutoffs.negative_percent < cutoffs.positive_percent <= 100:
            yield place, "negative_percent and positive_percent are not in order", "0 to 100"
        if not 0 < cutoffs.background_quantile < 1:
            quantile = cutoffs.background_quantile
            yield place, f"background_quantile {quantile:g}", "between 0 and 1"
        if cutoffs.least_events < 20:
            # Fewer make neither a dip test nor a mixture of two.
            yield place, f"least_events {cutoffs.least_events}", "at least 20"
    if template.calibration.draws < 200:
        yield "calibration draws", f"{template.calibration.draws}", "at least 200"


def _clustering_faults(template: Template, markers: list[str]) -> Iterator[tuple[str, str, str]]:
    setting = template.clustering
    by_label = [rule for rule in template.populations if isinstance(rule.gate, Labelled)]
    if setting is None:
        for rule in by_label:
            yield f"population {rule.name!r}", "method cluster without [clustering]", "that section"
        return
    before = (ROOT, *(name for rule in gated_before_clustering(template) for name in rule.names))
    if setting.parent not in before:
        known = ", ".join(before)
        yield "clustering parent", f"no population {setting.parent!r} without labels", known
    if not setting.reference and not setting.markers:
        yield "clustering", "neither reference nor markers", "one of them"
    for name in setting.markers:
        if name not in markers:
            yield "clustering markers", f"no marker {name!r}", ", ".join(markers)
    residual = setting.residual
    if residual is not None:
        if not setting.reference:
            yield "clustering residual", "no reference", "a reference of normal specimens"
        if residual.baseline_population not in before:
            known = ", ".join(before)
            problem = f"no population {residual.baseline_population!r} without labels"
            yield "clustering residual baseline_population", problem, known
    for rule in by_label:
        for marker in rule.gate.axes:  # type: ignore[union-attr]
            if marker not in markers:
                yield f"population {rule.name!r}", f"no marker {marker!r}", ", ".join(markers)


def gated_before_clustering(template: Template) -> tuple[PopulationRule, ...]:
    """Return the rules that rest on no label, parents before children."""
    by_label: set[str] = set()
    for rule in template.populations:
        used = (rule.parent, *(name.removeprefix("!") for name in populations_used(rule.gate)))
        if isinstance(rule.gate, Labelled) or any(name in by_label for name in used):
            by_label.update(rule.names)
    return tuple(rule for rule in template.populations if rule.names[0] not in by_label)


def _drift_faults(template: Template, markers: list[str]) -> Iterator[tuple[str, str, str]]:
    populations = (ROOT, *template.population_names)
    setting = template.drift
    for name, of_population in setting.populations.items():
        if name not in populations:
            yield "drift populations", f"no population {name!r}", ", ".join(populations)
        for marker in of_population:
            if marker not in markers:
                yield f"drift population {name!r}", f"no marker {marker!r}", ", ".join(markers)
    if not setting.least_sd > 0:
        yield "drift least_sd", f"{setting.least_sd:g}", "above 0"
    for field_name in ("least_batches", "least_specimens"):
        if getattr(setting, field_name) < 3:
            yield f"drift {field_name}", f"{getattr(setting, field_name)}", "at least 3"
    if setting.least_events < 1:
        yield "drift least_events", f"{setting.least_events}", "at least 1"


def _acquisition_faults(template: Template) -> Iterator[tuple[str, str, str]]:
    setting = template.acquisition
    measured = [measure.name for measure in template.measurements]
    for name in setting.carry_over:
        if name not in measured:
            yield "acquisition carry_over", f"no measurement {name!r}", ", ".join(measured)
    for field_name in ("singlets", "live"):
        name = getattr(setting, field_name)
        if name and name not in template.population_names:
            known = ", ".join(template.population_names)
            yield f"acquisition {field_name}", f"no population {name!r}", known


def _doubled(place: str, names: list[str]) -> Iterator[tuple[str, str, str]]:
    for name in {name for name in names if names.count(name) > 1}:
        yield place, f"{name!r} stands twice", "each name once"
