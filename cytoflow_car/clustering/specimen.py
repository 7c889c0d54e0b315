"""Cluster one specimen: place it on the reference, name its events, find its residual blasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.adaptation import adapt
from cytoflow_car.clustering.alignment import Alignment, align
from cytoflow_car.clustering.components import Components, Floats
from cytoflow_car.clustering.identity import check_channels
from cytoflow_car.clustering.methods import NOISE, Clustering, Nodes
from cytoflow_car.clustering.naming import Names, name_events
from cytoflow_car.clustering.nodes import NodeSet, place_nodes
from cytoflow_car.clustering.residual import (
    Residual,
    find_residual,
    fit_ratio,
    learn_residual,
)
from cytoflow_car.clustering.settings import ClusteringSetting, HemodilutionSetting, ResidualSetting
from cytoflow_car.errors import ClusteringError
from cytoflow_car.model.clusters import (
    AMBIGUOUS,
    BLAST,
    DEVIATES_FROM_NORMAL,
    HEMODILUTED,
    IS_BASELINE,
    UNASSIGNED,
    BaselineBlasts,
    Cluster,
    ClusterLabels,
    ReferenceFit,
)
from cytoflow_car.model.events import Rows, Values
from cytoflow_car.model.gate import FalsePositives
from cytoflow_car.model.panel import PreparedEvents
from cytoflow_car.model.population import PopulationTree
from cytoflow_car.model.reference import Reference, ReferencePopulation

#: A specimen is placed on a reference by so many of its events, evenly spaced.
_PLACED_BY = 20_000
# Nodes that show what the reference does not know, where the template clusters by another method.
_NODES = 400
# Baseline events that are handed on, and rounds in which blasts that the gate left out are found.
_BASELINE_EVENTS, _BASELINE_NORMAL, _BASELINE_ROUNDS = 5000, 1500, 2
_LEAST_EVENTS = 50
# A patient's blasts move so many times as far between specimens as normal cells; and what share of
# a specimen they are taken to be before it is looked at.
_BLASTS_MOVE, _BLAST_FRACTION = 3.0, 0.02
# With so many blasts among the events, channels are doubted but not refused.
_LEUKEMIA = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class PlacedSpecimen:
    """A specimen's events on the anchor scale of a reference, with their names.

    Attributes
    ----------
    rows
        Of the parent, those that quality control marked included.
    values
        (n_rows, n_markers) float32, aligned.
    alignment, components, fit
        How it was placed; mean log density of the specimen, and the lowest of the reference.
    nodes, node_of
        Nodes of its events, and (n_rows,) the node of each.
    names
        Of each event.
    flags
        Doubts of its channels, where leukemia may be the reason.
    """

    rows: Rows
    values: Floats
    alignment: Alignment
    components: Components
    nodes: NodeSet
    node_of: npt.NDArray[np.int32]
    names: Names
    fit: tuple[float, float]
    flags: tuple[str, ...] = ()


def place_specimen(
    prepared: PreparedEvents,
    tree: PopulationTree,
    setting: ClusteringSetting,
    reference: Reference,
    seed: int,
    baseline: BaselineBlasts | None = None,
) -> PlacedSpecimen:
    """Put the parent's events on the reference's scale and name them.

    The patient's blasts, where the baseline knows them, stand beside the reference's populations:
    blasts that make up most of a specimen would otherwise be taken for normal anchors, and pull the
    whole specimen off the scale.

    Raises
    ------
    ClusteringError
        A marker of the reference is missing, channels are swapped or dead, or the parent has too
        few events.
    """
    rows = tree[setting.parent].rows
    n_normal = len(reference.populations)
    if setting.residual is not None and baseline is not None and len(baseline.events):
        # At the baseline itself the blasts have the antigens that they were learned with.
        lost = () if baseline.missing == IS_BASELINE else setting.residual.antigens
        reference = with_blasts(reference, baseline, lost)
    missing = [name for name in reference.marker_names if name not in prepared.columns]
    if missing:
        raise ClusteringError(
            f"no channel of {', '.join(missing)}",
            where="clustering",
            expected=f"every marker of the reference {reference.name}",
            advice="Use a reference that was fitted on this panel",
        )
    if tree[setting.parent].count < _LEAST_EVENTS:
        raise ClusteringError(
            f"{tree[setting.parent].count} events in {setting.parent!r}",
            where="clustering",
            expected=f"at least {_LEAST_EVENTS}",
        )
    positions = _positions(prepared, rows, reference)
    kept = np.flatnonzero(tree.kept[rows])
    taken = kept[:: max(1, len(kept) // _PLACED_BY)]
    alignment = align(reference, positions[taken])
    identity = check_channels(reference, positions[taken], alignment)
    if identity.flags and not _holds_leukemia(tree, setting):
        raise ClusteringError(
            ", ".join(identity.flags),
            where="clustering",
            expected="every marker in its own channel, with signal",
            advice="Look at the stains of the file; correct the panel, or exclude the tube",
        )
    values = alignment.apply(positions)
    del positions
    components = adapt(reference.populations, values[taken])
    method = setting.clusterer
    n_nodes = method.nodes if isinstance(method, Nodes) else _NODES
    nodes = place_nodes(values[kept] if len(kept) < len(values) else values, n_nodes, seed)
    node_of = nodes.assign(values)
    names = name_events(reference, components, values, node_of, nodes, setting.naming, seed)
    # Whether an event is a blast is for the density ratio to say, with its false positives.
    given = np.where(names.populations < n_normal, names.populations, -1).astype(np.int16)
    names = replace(names, populations=given)
    return PlacedSpecimen(
        rows, values, alignment, components, nodes, node_of, names, identity.fit, identity.flags
    )


def with_blasts(
    reference: Reference, baseline: BaselineBlasts, antigens: Sequence[str]
) -> Reference:
    """Return the reference with a patient's blasts as one more population, the last.

    They may lie further from their place than normal cells do, and anywhere in the antigens that
    treatment aims at. They may be any share of a specimen.
    """
    events = baseline.events.astype(np.float64)
    n_markers = len(reference.markers)
    usual = np.median([item.between for item in reference.populations], axis=0)
    between = _BLASTS_MOVE**2 * usual
    between[[reference.index(name) for name in antigens if name in reference.marker_names]] = 1.0
    covariance = np.cov(events.T) + 1e-4 * np.eye(n_markers)
    blasts = ReferencePopulation(
        name=BLAST,
        lineage="blast",
        stage=0,
        technical=False,
        shares=np.ones(1),
        means=events.mean(axis=0)[None],
        covariances=covariance[None],
        between=between,
        levels=("negative",) * n_markers,
        fraction=_BLAST_FRACTION,
        highest_fraction=1.0,
        n_events=len(events),
        n_specimens=1,
    )
    return replace(reference, populations=(*reference.populations, blasts))


def _holds_leukemia(tree: PopulationTree, setting: ClusteringSetting) -> bool:
    """Tell whether the gates find so many blasts that they may pass for exchanged channels."""
    if setting.residual is None:
        return False
    blasts = tree[setting.residual.baseline_population].count
    return blasts > _LEUKEMIA * tree[setting.parent].count


def summarise_baseline(
    placed: PlacedSpecimen,
    tree: PopulationTree,
    setting: ResidualSetting,
    reference: Reference,
    *,
    sample_id: str,
    file_sha256: str,
    seed: int,
) -> BaselineBlasts:
    """Return a patient's blasts, and cells that are surely normal, from the baseline specimen.

    The gate's blasts teach a density ratio against the reference; what that finds beside them is
    added, since a gate cuts off the part of the blasts that lies nearest to normal cells.
    """
    nothing = np.empty((0, len(reference.markers)), dtype=np.float32)
    found = BaselineBlasts(sample_id, file_sha256, nothing, nothing, reference.sha256)
    in_gate = np.isin(placed.rows, tree[setting.baseline_population].rows)
    blasts = in_gate & (placed.names.posterior > 0)
    everything = np.arange(len(reference.markers))
    blur = np.full(len(reference.markers), 0.02)
    scores = np.zeros(len(blasts), dtype=np.float32)
    for _ in range(_BASELINE_ROUNDS):
        if np.count_nonzero(blasts) < setting.least_baseline_events:
            break
        taken = _evenly(np.flatnonzero(blasts), _BASELINE_EVENTS)
        ratio = fit_ratio(reference.events, placed.values[taken], everything, blur, seed)
        scores = ratio.score(placed.values)
        blasts = scores > 0.0
    # Too few in the gate, or what it took for blasts looks as normal cells do.
    if np.count_nonzero(blasts) < setting.least_baseline_events:
        return replace(found, missing="BASELINE_WITHOUT_BLASTS")
    sure = (scores < -3.0) & (placed.names.populations >= 0) & ~in_gate
    sure &= placed.names.posterior > 0.9
    return replace(
        found,
        events=placed.values[_evenly(np.flatnonzero(blasts), _BASELINE_EVENTS)],
        normal_events=placed.values[_evenly(np.flatnonzero(sure), _BASELINE_NORMAL)],
    )


def label_events(
    placed: PlacedSpecimen,
    prepared: PreparedEvents,
    tree: PopulationTree,
    setting: ClusteringSetting,
    reference: Reference,
    baseline: BaselineBlasts | None,
    seed: int,
) -> ClusterLabels:
    """Give every event of the parent its label.

    Returns
    -------
    Labels are the reference's populations, ``unassigned``, and where the patient's baseline is
    known ``blast`` and ``between normal and blast``.
    """
    names = (*reference.names, UNASSIGNED, BLAST, AMBIGUOUS)
    codes = placed.names.populations.copy()
    codes[codes < 0] = names.index(UNASSIGNED)
    missing: dict[str, str] = {}
    false_positives: dict[str, FalsePositives] = {}
    confidence = _confidence(reference.names, placed)
    source = f"reference {reference.name} {reference.sha256[:12]}"
    residual = _residual(placed, tree, setting, reference, baseline, seed)
    if isinstance(residual, str):
        missing = {BLAST: residual, AMBIGUOUS: residual}
    else:
        assert baseline is not None
        codes[residual.blasts] = names.index(BLAST)
        codes[residual.ambiguous] = names.index(AMBIGUOUS)
        false_positives[BLAST] = residual.false_positives
        found = max(int(np.count_nonzero(residual.blasts)), 1)
        confidence[BLAST] = max(0.5, 1.0 - residual.false_positives.expected / found)
        source += f"; baseline {baseline.sample_id}"
    everywhere = np.full(len(prepared), -1, dtype=np.int16)
    everywhere[placed.rows] = codes
    clustering = (
        setting.clusterer.join(placed.nodes, placed.node_of)
        if isinstance(setting.clusterer, Nodes)
        else setting.clusterer.cluster(placed.values, seed)
    )
    own = codes[tree.kept[placed.rows]]
    unassigned = 100.0 * float(np.mean(own == names.index(UNASSIGNED)))
    flags = (
        *flag_hemodilution(setting.hemodilution, names, own),
        *placed.flags,
        *_flag_deviation(unassigned, setting, baseline),
    )
    if reference.simulated:
        flags = (*flags, "REFERENCE_SIMULATED")
    return ClusterLabels(
        parent=setting.parent,
        names=names,
        codes=everywhere,
        confidence=confidence,
        reason=f"named by {reference.name}, anchors {', '.join(placed.alignment.anchors)}",
        source=source,
        flags=flags,
        missing=missing,
        false_positives=false_positives,
        clusters=tuple(
            _clusters(clustering, names, codes, placed, prepared, reference.marker_names)
        ),
        fit=ReferenceFit(placed.alignment.anchors, *placed.fit, unassigned),
    )


def cluster_without_names(
    prepared: PreparedEvents, tree: PopulationTree, setting: ClusteringSetting, seed: int
) -> ClusterLabels:
    """Cluster the parent's events on the template's own scales; labels are ``cluster 1`` ….

    Raises
    ------
    ClusteringError
        More events than the method stands, or a marker is missing.
    """
    rows = tree[setting.parent].rows
    missing = [name for name in setting.markers if name not in prepared.columns]
    if missing or not rows.size:
        raise ClusteringError(
            f"no channel of {', '.join(missing)}" if missing else "no events", where="clustering"
        )
    values = np.column_stack(
        [prepared.scales[name].forward(prepared.values(name, rows)) for name in setting.markers]
    ).astype(np.float32)
    low, high = np.percentile(values, (1.0, 99.0), axis=0)
    values = (values - low) / np.maximum(high - low, 1e-6)
    clustering = setting.clusterer.cluster(values.astype(np.float32), seed)
    label = clustering.labels
    shown = clustering.groups[label] if len(clustering.groups) else label
    n_labels = int(shown.max(initial=-1)) + 1
    names = (*(f"cluster {number + 1}" for number in range(n_labels)), UNASSIGNED)
    codes = np.where(label == NOISE, n_labels, shown).astype(np.int16)
    everywhere = np.full(len(prepared), -1, dtype=np.int16)
    everywhere[rows] = codes
    return ClusterLabels(
        parent=setting.parent,
        names=names,
        codes=everywhere,
        confidence=dict.fromkeys(names, 1.0),
        reason=f"clustered by {setting.clusterer.method} on {', '.join(setting.markers)}",
        clusters=tuple(_clusters(clustering, names, codes, None, prepared, setting.markers, rows)),
    )


def _positions(prepared: PreparedEvents, rows: Rows, reference: Reference) -> Floats:
    positions: Floats = np.empty((rows.size, len(reference.markers)), dtype=np.float32)
    for column, item in enumerate(reference.markers):
        positions[:, column] = item.forward(prepared.values(item.marker, rows))
    # What is no number lies nowhere, and must not spoil its neighbours.
    np.nan_to_num(positions, copy=False, nan=-10.0, posinf=10.0, neginf=-10.0)
    return np.clip(positions, -10.0, 10.0, out=positions)


def _residual(
    placed: PlacedSpecimen,
    tree: PopulationTree,
    setting: ClusteringSetting,
    reference: Reference,
    baseline: BaselineBlasts | None,
    seed: int,
) -> Residual | str:
    """Find the patient's blasts, or return the flag that says why not."""
    if setting.residual is None or baseline is None:
        return "NO_BASELINE"
    if baseline.missing:
        return baseline.missing
    kept = tree.kept[placed.rows]
    n_normal = len(reference.populations)
    likeliest = placed.names.likeliest[kept]
    counts = np.bincount(likeliest[likeliest < n_normal], minlength=n_normal)
    learned = learn_residual(reference, baseline, setting.residual.antigens, seed)
    return find_residual(learned, reference, placed.values, counts, setting.residual.lod_events)


def _confidence(names: Sequence[str], placed: PlacedSpecimen) -> dict[str, float]:
    """Return how sure the name of each population is: the mean posterior of its events."""
    given = placed.names.populations
    return {
        name: float(placed.names.posterior[given == number].mean())
        if (given == number).any()
        else 1.0
        for number, name in enumerate(names)
    } | {UNASSIGNED: 1.0, AMBIGUOUS: 0.5}


def flag_hemodilution(
    setting: HemodilutionSetting | None, names: Sequence[str], codes: npt.NDArray[np.int16]
) -> tuple[str, ...]:
    """Flag a marrow whose granulocytes are nearly all mature, as in blood.

    Parameters
    ----------
    names, codes
        Labels, and the number of the label of each event, (n_events,).
    """
    if setting is None:
        return ()
    n_mature, n_immature = (
        int(np.isin(codes, [names.index(name) for name in labels if name in names]).sum())
        for labels in (setting.mature, setting.immature)
    )
    both = n_mature + n_immature
    if both >= setting.least_events and 100.0 * n_mature > setting.most_percent * both:
        return (HEMODILUTED,)
    return ()


def _flag_deviation(
    unassigned_percent: float, setting: ClusteringSetting, baseline: BaselineBlasts | None
) -> tuple[str, ...]:
    """Flag a specimen with more unknown events than normal ones have.

    Blasts that the baseline's accounts for have their own label by now; what is unknown beside them
    may be leukemia that changed. A baseline itself is expected to hold leukemia, which its gate
    counts.
    """
    if baseline is not None and baseline.missing == IS_BASELINE:
        return ()
    unknown = unassigned_percent > setting.most_unassigned_percent
    return (DEVIATES_FROM_NORMAL,) if unknown else ()


def _clusters(
    clustering: Clustering,
    names: Sequence[str],
    codes: npt.NDArray[np.int16],
    placed: PlacedSpecimen | None,
    prepared: PreparedEvents,
    markers: Sequence[str],
    rows: Rows | None = None,
) -> Iterator[Cluster]:
    """Summarise every cluster; one whose events have no common name is ``unassigned``."""
    if placed is not None:
        rows = placed.rows
    assert rows is not None
    order = np.argsort(clustering.labels, kind="stable")
    ordered = clustering.labels[order]
    starts = np.searchsorted(ordered, np.arange(clustering.n_clusters + 1))
    medians = _medians(order, starts, prepared, markers, rows)
    for number in range(clustering.n_clusters):
        own = order[starts[number] : starts[number + 1]]
        counts = np.bincount(codes[own], minlength=len(names))
        label = names[int(counts.argmax())] if 2 * counts.max() > own.size else UNASSIGNED
        yield Cluster(
            number=number + 1,
            metacluster=int(clustering.groups[number]) + 1 if len(clustering.groups) else 0,
            label=label,
            count=int(own.size),
            posterior=None if placed is None else float(placed.names.posterior[own].mean()),
            margin=None if placed is None else float(placed.names.margin[own].mean()),
            tail=None if placed is None else float(placed.names.tail[own].mean()),
            positions={marker: float(medians[marker][number]) for marker in markers},
        )


def _medians(
    order: Rows, starts: Rows, prepared: PreparedEvents, markers: Sequence[str], rows: Rows
) -> Mapping[str, Values]:
    """Median of each marker in each cluster, in data units, of at most a thousand events."""
    found = {}
    chosen = [_evenly(order[begin:end], 1000) for begin, end in pairwise(starts)]
    for marker in markers:
        found[marker] = np.array(
            [np.median(prepared.values(marker, np.sort(rows[own]))) for own in chosen]
        )
    return found


def _evenly(rows: Rows, most: int) -> Rows:
    if len(rows) <= most:
        return rows
    return rows[np.arange(most) * len(rows) // most]
