"""Linear weights of a whole taxonomy, stored only where training gave them a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows

__all__ = ["BlockWeights", "NodeLayout", "expand_ranges"]

# Weights gathered at a time: about 100 MB of working memory.
_GATHERED = 1 << 22


def expand_ranges(
    starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write out ranges: which range each element is of, and the element."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return owners, np.arange(len(owners)) + (starts - before)[owners]


class NodeLayout:
    """The inner nodes of a taxonomy: where a decision between children is made.

    Node 0 is the root; node ``1 + c`` is class c (on any level but the last). The children of a
    node are classes ``[child_start[node], child_start[node] + child_count[node])``, because a
    taxonomy keeps siblings together.

    Attributes
    ----------
    child_start, child_count : ndarray of int64, shape (n_nodes,)
        In indices over all levels' classes.
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        starts = [np.zeros(1, dtype=np.int64)]
        counts = [np.array([taxonomy.level_sizes[0]], dtype=np.int64)]
        for level, ranges in enumerate(taxonomy.child_ranges):
            starts.append(ranges[:-1].astype(np.int64) + int(taxonomy.level_offsets[level + 1]))
            counts.append(np.diff(ranges).astype(np.int64))
        self.taxonomy = taxonomy
        self.child_start: NDArray[np.int64] = np.concatenate(starts)
        self.child_count: NDArray[np.int64] = np.concatenate(counts)

    @property
    def n_nodes(self) -> int:
        """Number of inner nodes, the root included."""
        return len(self.child_start)

    def nodes_of(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Nodes on the paths of rows, -1 where a node has one child and nothing is to decide.

        Parameters
        ----------
        codes : ndarray of int32, shape (n, depth)
            Level-local classes.

        Returns
        -------
        ndarray of int32, shape (depth, n)
        """
        n, depth = codes.shape
        nodes = np.zeros((depth, n), dtype=np.int32)
        for level in range(1, depth):
            nodes[level] = codes[:, level - 1] + (1 + int(self.taxonomy.level_offsets[level - 1]))
        nodes[self.child_count[nodes] < 2] = -1
        return nodes


class BlockWeights:
    """Weights of (feature, node) pairs: for each stored pair one weight per child of the node.

    Attributes
    ----------
    layout : NodeLayout
    feature_start : ndarray of int64, shape (n_features + 1,)
        A feature's pairs are ``[feature_start[f], feature_start[f + 1])``, ascending by node.
    pair_node : ndarray of int32, shape (pairs,)
    pair_offset : ndarray of int64, shape (pairs + 1,)
        A pair's weights are ``weights[pair_offset[p]:pair_offset[p + 1]]``, one per child in class
        order.
    weights : ndarray of float32
    bias : ndarray of float32, shape (C,)
        One per class of any level.
    """

    def __init__(
        self,
        layout: NodeLayout,
        feature_start: NDArray[np.int64],
        pair_node: NDArray[np.int32],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> None:
        self.layout = layout
        self.feature_start = feature_start
        self.pair_node = pair_node
        self.pair_offset = np.zeros(len(pair_node) + 1, dtype=np.int64)
        np.cumsum(layout.child_count[pair_node], out=self.pair_offset[1:])
        self.weights = weights
        self.bias = bias
        self._pair_keys: NDArray[np.int64] | None = None

    @property
    def n_features(self) -> int:
        """Number of columns a row must have."""
        return len(self.feature_start) - 1

    @property
    def pair_keys(self) -> NDArray[np.int64]:
        """``feature * n_nodes + node`` of every pair, ascending."""
        if self._pair_keys is None:
            feature = np.repeat(np.arange(self.n_features), np.diff(self.feature_start))
            self._pair_keys = feature * np.int64(self.layout.n_nodes) + self.pair_node
        return self._pair_keys

    def class_scores(self, rows: CsrRows) -> NDArray[np.float32]:
        """Linear scores of rows for the classes of all levels, shape (n, C)."""
        n, n_classes = rows.n_rows, len(self.bias)
        scores = np.repeat(self.bias[None, :].astype(np.float64), n, axis=0)
        flat = scores.reshape(-1)
        owner = np.repeat(np.arange(n), np.diff(rows.indptr))
        first = self.feature_start[rows.indices]
        last = self.feature_start[rows.indices + 1]
        gathered = np.cumsum(self.pair_offset[last] - self.pair_offset[first])
        begin = 0
        while begin < len(owner):
            done = int(gathered[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(gathered, done + _GATHERED, side="right")))
            entry, pair = expand_ranges(first[begin:end], (last - first)[begin:end])
            start = self.pair_offset[pair]
            block, weight = expand_ranges(start, self.pair_offset[pair + 1] - start)
            position = (
                weight
                - start[block]
                + (
                    self.layout.child_start[self.pair_node[pair]]
                    + owner[begin:end][entry] * n_classes
                )[block]
            )
            value = self.weights[weight] * rows.data[begin:end][entry][block]
            low, high = int(owner[begin]) * n_classes, (int(owner[end - 1]) + 1) * n_classes
            flat[low:high] += np.bincount(position - low, weights=value, minlength=high - low)
            begin = end
        return scores.astype(np.float32)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the arrays `from_state` needs."""
        return {
            "feature_start": self.feature_start,
            "pair_node": self.pair_node,
            "weights": self.weights,
            "bias": self.bias,
        }

    @classmethod
    def from_state(cls, layout: NodeLayout, arrays: Mapping[str, NDArray[Any]]) -> BlockWeights:
        """Rebuild weights, checking that the arrays fit each other and the taxonomy.

        Raises
        ------
        CheckpointError
            If they do not.
        """
        try:
            starts = np.asarray(arrays["feature_start"], dtype=np.int64)
            nodes = np.asarray(arrays["pair_node"], dtype=np.int32)
            weights = np.asarray(arrays["weights"], dtype=np.float32)
            bias = np.asarray(arrays["bias"], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the classifier's weights are damaged: {error!r}") from error
        fits = (
            starts.ndim == nodes.ndim == weights.ndim == bias.ndim == 1
            and len(starts) > 0
            and starts[0] == 0
            and starts[-1] == len(nodes)
            and bool(np.all(starts[1:] >= starts[:-1]))
            and (len(nodes) == 0 or (nodes.min() >= 0 and nodes.max() < layout.n_nodes))
            and int(layout.child_count[nodes].sum()) == len(weights)
            and len(bias) == layout.taxonomy.n_classes
        )
        if not fits:
            raise CheckpointError(
                "the classifier's weights do not fit together or are of another taxonomy"
            )
        if not _ascend_within(starts, nodes):
            raise CheckpointError(
                "the classifier's weights are damaged: the nodes of a feature do not ascend"
            )
        if not (_all_finite(weights) and _all_finite(bias)):
            raise CheckpointError(
                "the classifier's weights are damaged: not all of them are finite numbers"
            )
        return cls(layout, starts, nodes, weights, bias)


def _ascend_within(starts: NDArray[np.int64], nodes: NDArray[np.int32]) -> bool:
    """Say whether each feature's nodes ascend, and so none occurs twice."""
    rises = nodes[1:] > nodes[:-1]
    rises[starts[(starts > 0) & (starts < len(nodes))] - 1] = True
    return bool(rises.all())


def _all_finite(values: NDArray[np.float32]) -> bool:
    # The extremes are NaN if any value is; there can be too many weights for an array of booleans.
    return bool(np.isfinite(values.min(initial=0)) and np.isfinite(values.max(initial=0)))
