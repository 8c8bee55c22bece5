"""An index of pairs by node, for joint lookups of many rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["NodeIndex", "index_nodes"]


class NodeIndex(NamedTuple):
    """Positions of the weights of each node's features.

    Attributes
    ----------
    start : ndarray of int64, shape (n_nodes + 1,)
        A node's pairs are ``[start[node], start[node + 1])``, ascending by feature.
    feature : ndarray of int32, shape (pairs,)
    place : ndarray of int32 or int64, shape (pairs,)
        That of the pair's first number in `BlockWeights.stored`.
    scale : ndarray of float32, shape (pairs,)
        What its numbers are to be multiplied by.
    """

    start: NDArray[np.int64]
    feature: NDArray[np.int32]
    place: NDArray[np.integer[Any]]
    scale: NDArray[np.float32]


@compiled(nogil=True)
def _sort(
    feature_start: Any, pair_node: Any, pair_start: Any, pair_scale: Any, fill: Any,
    features: Any, places: Any, scales: Any,
) -> None:  # fmt: skip
    for feature in range(len(feature_start) - 1):
        for pair in range(feature_start[feature], feature_start[feature + 1]):
            to = fill[pair_node[pair]]
            features[to], places[to], scales[to] = feature, pair_start[pair], pair_scale[pair]
            fill[pair_node[pair]] = to + 1


def index_nodes(weights: BlockWeights, pair_scale: NDArray[np.float32]) -> NodeIndex:
    """Sort the pairs by node: 12 bytes and a few nanoseconds for each."""
    n_nodes = weights.layout.n_nodes
    start = np.zeros(n_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(weights.pair_node, minlength=n_nodes), out=start[1:])
    feature = np.empty(len(weights.pair_node), dtype=np.int32)
    place = np.empty_like(weights.pair_start)
    scale = np.empty(len(weights.pair_node), dtype=np.float32)
    _sort(
        weights.feature_start, weights.pair_node, weights.pair_start, pair_scale,
        start[:-1].copy(), feature, place, scale,
    )  # fmt: skip
    return NodeIndex(start, feature, place, scale)
