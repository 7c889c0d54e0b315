"""Over-clustering: many small nodes by k-means, and metaclusters of nodes by Ward's method.

References
----------
Sculley, Web-scale k-means clustering, WWW (2010) 1177-1178. Ward, Journal of the American
Statistical Association 58 (1963) 236-244.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoflow_car.clustering.components import Floats, blocks

Labels = npt.NDArray[np.int32]

#: Events that nodes are placed on, evenly spaced; all events are then assigned.
_PLACED_ON = 60_000
_BATCH = 4096
_PASSES = 12
# A node for at least so many events.
_EVENTS_A_NODE = 10


@dataclass(frozen=True, slots=True, eq=False)
class NodeSet:
    """Nodes of one specimen.

    Attributes
    ----------
    centers
        (n_nodes, n_markers).
    """

    centers: Floats

    def __len__(self) -> int:
        return len(self.centers)

    def assign(self, values: Floats) -> Labels:
        """Return the number of the nearest node of each event, (n_events,)."""
        nearest: Labels = np.empty(len(values), dtype=np.int32)
        halves = 0.5 * np.einsum("ij,ij->i", self.centers, self.centers)
        turned = np.ascontiguousarray(self.centers.T)
        for rows in blocks(len(values)):
            nearest[rows] = (values[rows] @ turned - halves).argmax(axis=1)
        return nearest


def place_nodes(values: Floats, n_nodes: int, seed: int) -> NodeSet:
    """Place nodes by mini-batch k-means.

    Parameters
    ----------
    values
        (n_events, n_markers), at least one event.
    n_nodes
        At most so many; fewer where there are few events.
    """
    from sklearn.cluster import MiniBatchKMeans

    step = max(1, len(values) // _PLACED_ON)
    taken = np.ascontiguousarray(values[::step])
    wanted = max(1, min(n_nodes, len(taken) // _EVENTS_A_NODE))
    fit = MiniBatchKMeans(
        wanted, batch_size=_BATCH, max_iter=_PASSES, n_init=1, random_state=seed
    ).fit(taken)
    return NodeSet(np.asarray(fit.cluster_centers_, dtype=np.float32))


def join_nodes(nodes: NodeSet, n_metaclusters: int) -> Labels:
    """Return the metacluster of each node, (n_nodes,), by Ward's method on the centers."""
    if len(nodes) <= n_metaclusters:
        return np.arange(len(nodes), dtype=np.int32)
    from sklearn.cluster import AgglomerativeClustering

    joined = AgglomerativeClustering(n_metaclusters, linkage="ward").fit_predict(nodes.centers)
    return np.asarray(joined, dtype=np.int32)
