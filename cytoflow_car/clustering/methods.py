"""Ways to cluster events, each with the number of events that it stands.

References
----------
Campello, Moulavi & Sander, PAKDD (2013) 160-172, for HDBSCAN; McInnes, Healy & Astels, Journal of
Open Source Software 2 (2017) 205, for the library. Fraley & Raftery, Journal of the American
Statistical Association 97 (2002) 611-631, for normal mixtures chosen by BIC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.components import Floats
from cytoflow_car.clustering.mixtures import fit_mixture
from cytoflow_car.clustering.nodes import NodeSet, join_nodes, place_nodes
from cytoflow_car.errors import ClusteringError

Labels = npt.NDArray[np.int32]

#: Label of an event that belongs to no cluster.
NOISE = -1

# Added to each variance of a mixture, in squared units of the values.
_LEAST_VARIANCE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """Clusters of one specimen's events.

    Attributes
    ----------
    labels
        (n_events,) number of the cluster from 0, or `NOISE`; every cluster has events.
    groups
        (n_clusters,) number of the metacluster of each cluster from 0; empty where the method makes
        none.
    """

    labels: Labels
    groups: Labels

    @property
    def n_clusters(self) -> int:
        """Clusters, without noise."""
        return int(self.labels.max(initial=-1)) + 1


@dataclass(frozen=True, slots=True)
class Nodes:
    """Many small nodes by k-means, joined to metaclusters by Ward's method; any number of events.

    Attributes
    ----------
    nodes, metaclusters
        How many at most; fewer nodes where there are fewer than ten events for each.
    """

    method: Literal["nodes"]
    nodes: int = 400
    metaclusters: int = 40

    def cluster(self, values: Floats, seed: int) -> Clustering:
        """Cluster events, (n_events, n_markers)."""
        placed = place_nodes(values, self.nodes, seed)
        return self.join(placed, placed.assign(values))

    def join(self, placed: NodeSet, node_of: Labels) -> Clustering:
        """Make clusters of nodes that are placed already, and the node of each event."""
        # A node may be nobody's nearest.
        used, labels = np.unique(node_of, return_inverse=True)
        groups = join_nodes(NodeSet(placed.centers[used]), self.metaclusters)
        return Clustering(labels.astype(np.int32), groups)


@dataclass(frozen=True, slots=True)
class Hdbscan:
    """Clusters by density, with noise: for well-separated groups inside a gate.

    On ungated events it loses rare populations, and its time grows faster than the events.

    Attributes
    ----------
    min_cluster_size, min_samples
        Of the library.
    most_events
        More are refused.
    """

    method: Literal["hdbscan"]
    min_cluster_size: int = 50
    min_samples: int = 10
    most_events: int = 50_000

    def cluster(self, values: Floats, seed: int) -> Clustering:
        """Cluster events, (n_events, n_markers); nothing is drawn at random."""
        _refuse_too_many(self.method, len(values), self.most_events)
        if len(values) < max(self.min_cluster_size, self.min_samples + 1):
            return Clustering(np.full(len(values), NOISE, np.int32), np.empty(0, np.int32))
        import hdbscan

        fit = hdbscan.HDBSCAN(
            min_cluster_size=self.min_cluster_size,
            min_samples=self.min_samples,
            core_dist_n_jobs=1,
        )
        labels = fit.fit_predict(values.astype(np.float64))
        return Clustering(np.asarray(labels, dtype=np.int32), np.empty(0, np.int32))


@dataclass(frozen=True, slots=True)
class NormalMixture:
    """Normal components, their number chosen by BIC.

    Attributes
    ----------
    most_components
        At most so many.
    most_events
        More are refused.
    """

    method: Literal["mixture"]
    most_components: int = 8
    most_events: int = 200_000

    def cluster(self, values: Floats, seed: int) -> Clustering:
        """Cluster events, (n_events, n_markers)."""
        _refuse_too_many(self.method, len(values), self.most_events)
        if len(values) < 2:
            return Clustering(np.zeros(len(values), np.int32), np.empty(0, np.int32))
        most = max(1, min(self.most_components, len(values) // (10 * values.shape[1])))
        fit = fit_mixture(values, most, _LEAST_VARIANCE, seed)
        _, labels = np.unique(fit.predict(values), return_inverse=True)
        return Clustering(labels.astype(np.int32), np.empty(0, np.int32))


#: Methods by the name that templates use. To add one: a class and its line here and in `Clusterer`.
CLUSTERERS = {"nodes": Nodes, "hdbscan": Hdbscan, "mixture": NormalMixture}

Clusterer = Nodes | Hdbscan | NormalMixture


def _refuse_too_many(method: str, n_events: int, most: int) -> None:
    if n_events > most:
        raise ClusteringError(
            f"{n_events} events for {method}",
            where="clustering",
            expected=f"at most {most}",
            advice="Cluster a smaller population, or use nodes, which take any number",
        )
