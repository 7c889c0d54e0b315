"""Single beads: where forward and side scatter are densest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, label

from cytoflow_car.model.events import Values

_BINS, _SMOOTH = 96, 1.5
# Events in bins of less than this share of the fullest are doublets, debris and air.
_LEAST_DENSITY = 0.1
# Strays at the ends of the scale must not stretch the grid.
_ENDS_PERCENT, _MARGIN = (1.0, 99.0), 0.1


def find_singlets(forward: Values, side: Values) -> npt.NDArray[np.bool_]:
    """Find the beads that are single: the region around the densest place of the scatter.

    The region is what hangs together with the densest bin and is at least a tenth as dense, in a
    smoothed histogram. The order of events does not matter, nor do gains.

    Parameters
    ----------
    forward, side
        (n_events,) values of forward and of side scatter.

    Returns
    -------
    (n_events,) mask; all events where neither scatter varies.
    """
    n_events = forward.size
    if not n_events:
        return np.zeros(0, dtype=np.bool_)
    places = np.column_stack([_bin(forward), _bin(side)])
    inside = ((places >= 0) & (places < _BINS)).all(axis=1)
    counts = np.zeros((_BINS, _BINS))
    np.add.at(counts, tuple(places[inside].T), 1.0)
    density = gaussian_filter(counts, _SMOOTH, mode="constant")
    regions, _ = label(density >= _LEAST_DENSITY * density.max())
    densest = np.unravel_index(int(density.argmax()), density.shape)
    region = regions == regions[densest]
    mask = np.zeros(n_events, dtype=np.bool_)
    mask[inside] = region[tuple(places[inside].T)]
    return mask


def _bin(values: Values) -> npt.NDArray[np.intp]:
    low, high = np.percentile(values, _ENDS_PERCENT)
    if low == high:
        return np.full(values.size, _BINS // 2)
    margin = _MARGIN * (high - low)
    share = (values - low + margin) / (high - low + 2 * margin)
    bins: npt.NDArray[np.intp] = np.floor(np.clip(share, -1, 2) * _BINS).astype(np.intp)
    return bins
