"""The pairs of each node together, so that many rows look a node's weights up at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["NodeIndex", "index_nodes"]


class NodeIndex(NamedTuple):
    """Where the weights of each node's features are.

    Attributes
    ----------
    start : ndarray of int64, shape (n_nodes + 1,)
        A node's pairs are ``[start[node], start[node + 1])``, ascending by feature.
    feature : ndarray of int32, shape (pairs,)
    offset : ndarray of int64, shape (pairs,)
        The place of the pair's first weight.
    """

    start: NDArray[np.int64]
    feature: NDArray[np.int32]
    offset: NDArray[np.int64]


@compiled(nogil=True)
def _sort(
    feature_start: Any, pair_node: Any, pair_offset: Any, fill: Any, features: Any, offsets: Any
) -> None:
    for feature in range(len(feature_start) - 1):
        for pair in range(feature_start[feature], feature_start[feature + 1]):
            place = fill[pair_node[pair]]
            features[place], offsets[place] = feature, pair_offset[pair]
            fill[pair_node[pair]] += 1


def index_nodes(weights: BlockWeights) -> NodeIndex:
    """Sort the pairs by node: 12 bytes and a few nanoseconds for each."""
    n_nodes = weights.layout.n_nodes
    start = np.zeros(n_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(weights.pair_node, minlength=n_nodes), out=start[1:])
    feature = np.empty(len(weights.pair_node), dtype=np.int32)
    offset = np.empty(len(weights.pair_node), dtype=np.int64)
    _sort(
        weights.feature_start, weights.pair_node, weights.pair_offset, start[:-1].copy(), feature,
        offset,
    )  # fmt: skip
    return NodeIndex(start, feature, offset)
