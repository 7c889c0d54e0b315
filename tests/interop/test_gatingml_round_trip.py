"""What we write as Gating-ML is read by FlowKit, and by ourselves, to the same events."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cytoflow_car.pipeline
from cytoflow_car.errors import PanelError
from cytoflow_car.fcs import read_fcs
from cytoflow_car.gating.membership import members, quadrant_signs
from cytoflow_car.interop.gate_evaluation import evaluate_gates
from cytoflow_car.interop.gatingml_reading import read_gatingml
from cytoflow_car.interop.gatingml_writing import WrittenPopulation, write_gatingml
from cytoflow_car.model.events import Channel, CompensatedEvents, Events, Sample, Spillover
from cytoflow_car.model.gate import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    PolygonGate,
    QuadrantGate,
    RectangleGate,
)
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.scale import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle, Scale
from cytoflow_car.pipeline import analyse_sample
from cytoflow_car.preprocess.compensation import compensate
from cytoflow_car.resources import resource_folder
from cytoflow_car.study.gates_export import export_gates
from cytoflow_car.study.plan import plan_study
from cytoflow_car.study.sheet import read_study
from cytoflow_car.template import gated_before_clustering, list_templates, load_template

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flowkit

SCALES: tuple[Scale, ...] = (
    Linear(262144.0),
    Log(262144.0, 4.0),
    Asinh(262144.0, 150.0),
    Logicle(),
    Hyperlog(),
    Biexponential(),
)
DETECTORS = {"A": "A-A", "B": "B-A"}


def made_events(n_events: int = 2000) -> Sample:
    """Make events about zero, dim and bright, with zeros and whole numbers among them."""
    rng = np.random.default_rng(0)
    values = np.where(
        rng.random((n_events, 2)) < 0.5,
        rng.normal(0.0, 200.0, (n_events, 2)),
        np.exp(rng.normal(8.0, 1.5, (n_events, 2))),
    )
    values[: n_events // 4] = np.round(values[: n_events // 4])
    values[:50] = 0.0
    channels = tuple(Channel(name) for name in DETECTORS.values())
    return Sample(Events(values.astype(np.float32), channels), "FCS3.1")


SAMPLE = made_events()
SPILLOVER = Spillover(("A-A", "B-A"), np.asarray([[1.0, 0.12], [0.04, 1.0]]), "made")


def by_flowkit(text: bytes, sample: Sample) -> Mapping[str, np.ndarray]:
    """Return FlowKit's memberships by its gates' ids."""
    strategy = flowkit.parse_gating_xml(io.BytesIO(text))
    theirs = flowkit.Sample(
        np.asarray(sample.events.values, dtype=np.float64),
        sample_id="made",
        channel_labels=list(sample.events.detectors),
    )
    with warnings.catch_warnings():
        # The logarithm of what is not above 0.
        warnings.simplefilter("ignore", RuntimeWarning)
        results = strategy.gate_sample(theirs)
    return {name: results.get_gate_membership(name, path) for name, path in strategy.get_gate_ids()}


def by_ourselves(text: bytes, sample: Sample, folder: Path) -> Mapping[str, np.ndarray]:
    path = folder / "gates.xml"
    path.write_bytes(text)
    gates = read_gatingml(path)
    masks = evaluate_gates(gates, sample)
    return {item.path[-1]: masks[item.path] for item in gates.gates if not item.part}


def differing(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.count_nonzero(one != other))


def test_every_template_on_every_sample_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees: list[PopulationTree] = []
    gate = cytoflow_car.pipeline.gate_events

    def noted(*given: object, **named: object) -> PopulationTree:
        trees.append(gate(*given, **named))  # type: ignore[arg-type]
        return trees[-1]

    monkeypatch.setattr(cytoflow_car.pipeline, "gate_events", noted)
    plan = plan_study(read_study(resource_folder("sample_fcs")), draw=False)
    n_compared, used = 0, set()
    for number, planned in enumerate(plan.samples):
        for name in list_templates():
            own = name == planned.job.template.name
            # Its own template on every file; the others on every fifth.
            if not own and number % 5:
                continue
            template = load_template(name)
            job = cytoflow_car.pipeline.replace(planned.job, template=template)
            try:
                result = analyse_sample(job)
            except PanelError:
                continue
            used.add(name)
            text = export_gates(result, template)
            path = tmp_path / "gates.xml"
            path.write_bytes(text)
            strategy = flowkit.parse_gating_xml(str(path))
            with warnings.catch_warnings():
                # The logarithm of what is not above 0.
                warnings.simplefilter("ignore", RuntimeWarning)
                results = strategy.gate_sample(flowkit.Sample(str(job.sources[0].path)))
            ours = evaluate_gates(read_gatingml(path), read_fcs(job.sources[0].path))
            read_back = {gate[-1]: mask for gate, mask in ours.items()}
            ids = ids_of(text)
            before = gated_before_clustering(template)
            without_labels = {population for rule in before for population in rule.names}
            for item in result.populations:
                if item.placement is None:
                    continue
                if item.name not in ids:
                    # Only what rests on labels has no geometry.
                    assert item.name not in without_labels, (job.sample_id, name, item.name)
                    continue
                inside = np.zeros(trees[-1].kept.size, dtype=bool)
                inside[trees[-1][item.name].rows] = True
                theirs = results.get_gate_membership(ids[item.name])
                assert differing(inside, theirs) == 0, (job.sample_id, name, item.name)
                assert differing(inside, read_back[item.name]) == 0, (job.sample_id, item.name)
                n_compared += 1
    assert set(list_templates()) == used
    assert n_compared > 1000


def ids_of(text: bytes) -> dict[str, str]:
    import xml.etree.ElementTree as ET

    key = "{http://www.isac-net.org/std/Gating-ML/v2.0/gating}id"
    return {item.get("name", ""): item.attrib[key] for item in ET.fromstring(text) if item.get(key)}


def dims(x: Scale, y: Scale) -> tuple[Dimension, Dimension]:
    return Dimension("A", x), Dimension("B", y)


def prepared(spillover: Spillover | None) -> PreparedEvents:
    events: CompensatedEvents = compensate(SAMPLE.events, spillover)
    return PreparedEvents(events, {"A": 0, "B": 1}, {})


ROWS = np.arange(len(SAMPLE.events))
CORNERS = st.lists(
    st.tuples(
        st.one_of(st.floats(-2000.0, 2000.0), st.floats(1.0, 250_000.0)),
        st.one_of(st.floats(-2000.0, 2000.0), st.floats(1.0, 250_000.0)),
    ),
    min_size=3,
    max_size=8,
    unique=True,
)


@pytest.mark.parametrize("x", SCALES, ids=lambda scale: scale.kind)
@pytest.mark.parametrize("y", SCALES, ids=lambda scale: scale.kind)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(corners=CORNERS, spilled=st.booleans())
def test_polygons_on_every_scale(
    x: Scale, y: Scale, corners: list[tuple[float, float]], spilled: bool
) -> None:
    gate = PolygonGate(dims(x, y), tuple(corners))
    spillover = SPILLOVER if spilled else None
    text = write_gatingml([WrittenPopulation("cells", "root", gate)], DETECTORS, spillover)
    inside = members(gate, prepared(spillover), ROWS)
    assert differing(inside, by_flowkit(text, SAMPLE)["cells"]) == 0


@pytest.mark.parametrize("scale", SCALES[:5], ids=lambda scale: scale.kind)
def test_ellipsoids(scale: Scale, tmp_path: Path) -> None:
    gate = EllipsoidGate(
        dims(scale, scale), (5000.0, 4000.0), ((20_000.0, 9000.0), (4200.0, 15_000.0))
    )
    text = write_gatingml([WrittenPopulation("cells", "root", gate)], DETECTORS, SPILLOVER)
    inside = members(gate, prepared(SPILLOVER), ROWS)
    assert 50 < inside.sum() < 1900
    assert differing(inside, by_flowkit(text, SAMPLE)["cells"]) == 0
    assert differing(inside, by_ourselves(text, SAMPLE, tmp_path)["cells"]) == 0


@pytest.mark.parametrize("divider", [-150.0, -1e-7, 0.0, 1e-7, 3000.0])
def test_dividers_at_and_below_zero(divider: float, tmp_path: Path) -> None:
    gate = QuadrantGate(dims(Logicle(), Logicle()), (divider, -divider))
    text = write_gatingml(
        [WrittenPopulation(f"Q{pattern}", "root", gate, pattern) for pattern in SIGNS],
        DETECTORS,
        SPILLOVER,
    )
    expected = quadrant_signs(gate, prepared(SPILLOVER), ROWS)
    theirs, ours = by_flowkit(text, SAMPLE), by_ourselves(text, SAMPLE, tmp_path)
    ids = ids_of(text)
    for pattern, inside in expected.items():
        assert differing(inside, theirs[ids[f"Q{pattern}"]]) == 0
        assert differing(inside, ours[f"Q{pattern}"]) == 0


SIGNS = ("++", "+-", "-+", "--")


def test_complements_equal_names_and_names_that_are_no_xml_names(tmp_path: Path) -> None:
    low = RectangleGate((Dimension("A", Linear()),), (-np.inf,), (500.0,))
    high = RectangleGate((Dimension("A", Linear()),), (500.0,), (np.inf,))
    bright = RectangleGate((Dimension("B", Linear()),), (1000.0,), (np.inf,))
    population = WrittenPopulation
    text = write_gatingml(
        [
            population("dim", "root", low),
            population("bright", "root", high),
            # Names that become one id, signs that XML has other plans for, and a name of ours.
            population("CD4+ T", "dim", bright),
            population("CD4_pos_T", "bright", bright),
            population("<B> & \"C\" 'd'", "bright", bright),
            population("spillover", "bright", bright),
            population("1st", "bright", bright),
            population("neither", "root", BooleanGate("and", ("!dim", "!bright"))),
            population("not CD4", "bright", BooleanGate("not", ("CD4_pos_T",))),
            population("either", "root", BooleanGate("or", ("CD4+ T", "!CD4_pos_T"))),
            population("of its parent", "bright", BooleanGate("and", ("bright", "!CD4_pos_T"))),
        ],
        DETECTORS,
        None,
    )
    a, b = (SAMPLE.events.values[:, column].astype(np.float64) for column in (0, 1))
    expected = {
        "CD4+ T": (a < 500) & (b >= 1000),
        "CD4_pos_T": (a >= 500) & (b >= 1000),
        "<B> & \"C\" 'd'": (a >= 500) & (b >= 1000),
        "spillover": (a >= 500) & (b >= 1000),
        "1st": (a >= 500) & (b >= 1000),
        "neither": np.zeros(a.size, dtype=bool),
        "not CD4": (a >= 500) & (b < 1000),
        "either": ((a < 500) & (b >= 1000)) | ~((a >= 500) & (b >= 1000)),
        "of its parent": (a >= 500) & (b < 1000),
    }
    theirs, ours, ids = by_flowkit(text, SAMPLE), by_ourselves(text, SAMPLE, tmp_path), ids_of(text)
    assert {"dim", "bright", *expected} == set(ours)
    for name, inside in expected.items():
        assert differing(inside, theirs[ids[name]]) == 0, name
        assert differing(inside, ours[name]) == 0, name
