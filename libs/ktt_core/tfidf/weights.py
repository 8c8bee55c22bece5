"""Sparse linear weights for all classes of a taxonomy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows

__all__ = ["BlockWeights", "NodeLayout", "expand_ranges"]

# Weights gathered at once: about 100 MB of working memory.
_GATHERED = 1 << 22


def expand_ranges(
    starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Expand ranges: the range index and the value of each element."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum(lengths) - lengths
    return owners, np.arange(len(owners)) + (starts - before)[owners]


class NodeLayout:
    """The inner nodes of a taxonomy, at which a classifier chooses among the children.

    Node 0 is the root; node ``1 + c`` is class c (on any level but the last). The children of a
    node are classes ``[child_start[node], child_start[node] + child_count[node])``, because a
    taxonomy keeps siblings adjacent.

    Attributes
    ----------
    child_start, child_count : ndarray of int64, shape (n_nodes,)
        As indices over the classes of all levels.
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
        """Nodes on the paths of rows, -1 where a node has only one child.

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
    """Weights of (feature, node) pairs: one weight per pair and child of the node.

    Pairs whose weights differ only by a factor, as training cannot tell them apart, share storage.
    The words of a text and their n-grams are mostly such pairs, which saves most of the memory.

    Parameters
    ----------
    layout, feature_start, pair_node, bias
        See the attributes.
    weights : ndarray of float32
        The stored numbers.
    pair_start : ndarray of int32 or int64, shape (pairs,), optional
        Offset of each pair's numbers. None: pairs are stored consecutively.
    pair_scale : ndarray of float32, shape (pairs,), optional
        Factor of the stored numbers. None: 1.

    Attributes
    ----------
    layout : NodeLayout
    feature_start : ndarray of int64, shape (n_features + 1,)
        A feature's pairs are ``[feature_start[f], feature_start[f + 1])``, ascending by node.
    pair_node : ndarray of int32, shape (pairs,)
    stored : ndarray of float32
        A pair's numbers, one per child in class order, start at ``pair_start[p]``.
    pair_scale : ndarray of float32, shape (pairs,), or None
    bias : ndarray of float32, shape (C,)
        One per class of all levels.
    """

    def __init__(
        self,
        layout: NodeLayout,
        feature_start: NDArray[np.int64],
        pair_node: NDArray[np.int32],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        pair_start: NDArray[np.integer[Any]] | None = None,
        pair_scale: NDArray[np.float32] | None = None,
    ) -> None:
        self.layout = layout
        self.feature_start = feature_start
        self.pair_node = pair_node
        self.stored = weights
        self.bias = bias
        self.pair_scale = pair_scale
        self._pair_start = pair_start

    @property
    def pair_start(self) -> NDArray[np.integer[Any]]:
        """Offset of each pair's numbers in `stored`."""
        return self.pair_offset[:-1] if self._pair_start is None else self._pair_start

    @cached_property
    def pair_offset(self) -> NDArray[np.int64]:
        """Offset of each pair's weights in `weights`, and the end, shape (pairs + 1,)."""
        offset = np.zeros(len(self.pair_node) + 1, dtype=np.int64)
        np.cumsum(self.layout.child_count[self.pair_node], out=offset[1:])
        return offset

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """The weights of all pairs, concatenated; computed once, on first access."""
        if self._pair_start is None and self.pair_scale is None:
            return self.stored
        offset = self.pair_offset
        written = np.empty(int(offset[-1]), dtype=np.float32)
        begin = 0
        while begin < len(self.pair_node):
            done = int(offset[begin])
            end = int(np.searchsorted(offset, done + _GATHERED, side="right")) - 1
            end = min(max(begin + 1, end), len(self.pair_node))
            pair, place = self._expand(np.arange(begin, end))
            into = written[done : int(offset[end])]
            into[:] = self.stored[place]
            if self.pair_scale is not None:
                into *= self.pair_scale[begin:end][pair]
            begin = end
        return written

    def _expand(
        self, pair: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Expand pairs to their numbers: the pair of each, and its position in `stored`."""
        return expand_ranges(
            self.pair_start[pair].astype(np.int64), self.layout.child_count[self.pair_node[pair]]
        )

    def gather(
        self, pair: NDArray[np.integer[Any]], factor: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """Return the weights of pairs, multiplied by a factor per pair.

        Returns
        -------
        owner : ndarray of int64
            Position of each weight's pair among the given ones.
        child : ndarray of int64
            Child of the node, from 0, of each weight.
        value : ndarray
        """
        owner, place = self._expand(pair)
        if self.pair_scale is not None:
            factor = factor * self.pair_scale[pair]
        return owner, place - self.pair_start[pair][owner], self.stored[place] * factor[owner]

    @property
    def n_features(self) -> int:
        """Number of columns a row must have."""
        return len(self.feature_start) - 1

    @cached_property
    def pair_keys(self) -> NDArray[np.int64]:
        """``feature * n_nodes + node`` of every pair, ascending."""
        feature = np.repeat(np.arange(self.n_features), np.diff(self.feature_start))
        return feature * np.int64(self.layout.n_nodes) + self.pair_node

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
            block, child, value = self.gather(pair, rows.data[begin:end][entry])
            first_cell = self.layout.child_start[self.pair_node[pair]]
            first_cell += owner[begin:end][entry] * n_classes
            position = child + first_cell[block]
            low, high = int(owner[begin]) * n_classes, (int(owner[end - 1]) + 1) * n_classes
            flat[low:high] += np.bincount(position - low, weights=value, minlength=high - low)
            begin = end
        return scores.astype(np.float32)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the arrays for `from_state`."""
        arrays: dict[str, NDArray[Any]] = {
            "feature_start": self.feature_start,
            "pair_node": self.pair_node,
            "weights": self.stored,
            "bias": self.bias,
        }
        if self._pair_start is not None:
            arrays["pair_start"] = self._pair_start
        if self.pair_scale is not None:
            arrays["pair_scale"] = self.pair_scale
        return arrays

    @classmethod
    def from_state(cls, layout: NodeLayout, arrays: Mapping[str, NDArray[Any]]) -> BlockWeights:
        """Rebuild weights, and check that the arrays match each other and the taxonomy.

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
            begins = scale = None
            # Both are missing in checkpoints of release 0.1.0.
            if "pair_start" in arrays or "pair_scale" in arrays:
                begins = _whole_numbers(arrays["pair_start"])
                scale = np.asarray(arrays["pair_scale"], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the classifier's weights are damaged: {error!r}") from error
        fits = (
            starts.ndim == nodes.ndim == weights.ndim == bias.ndim == 1
            and len(starts) > 0
            and starts[0] == 0
            and starts[-1] == len(nodes)
            and bool(np.all(starts[1:] >= starts[:-1]))
            and (len(nodes) == 0 or (nodes.min() >= 0 and nodes.max() < layout.n_nodes))
            and _are_in_range(begins, layout.child_count[nodes], len(weights))
            and (scale is None or scale.shape == nodes.shape)
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
        if not all(_all_finite(a) for a in (weights, bias, scale) if a is not None):
            raise CheckpointError(
                "the classifier's weights are damaged: not all of them are finite numbers"
            )
        return cls(layout, starts, nodes, weights, bias, begins, scale)


def _whole_numbers(values: Any) -> NDArray[np.integer[Any]]:
    found = np.asarray(values)
    return found if found.dtype in (np.int32, np.int64) else found.astype(np.int64)


def _are_in_range(
    begins: NDArray[np.integer[Any]] | None, widths: NDArray[np.int64], n_weights: int
) -> bool:
    """Tell whether pairs of these widths lie within the weights and reach their end."""
    if begins is None:
        return int(widths.sum()) == n_weights
    if begins.shape != widths.shape:
        return False
    # The beginnings first, so that no end can overflow and seem to lie within.
    if int(begins.min(initial=0)) < 0 or int(begins.max(initial=0)) > n_weights:
        return False
    return (int((begins + widths).max()) if len(begins) else 0) == n_weights


def _ascend_within(starts: NDArray[np.int64], nodes: NDArray[np.int32]) -> bool:
    """Tell whether each feature's nodes ascend, and so are unique."""
    rises = nodes[1:] > nodes[:-1]
    rises[starts[(starts > 0) & (starts < len(nodes))] - 1] = True
    return bool(rises.all())


def _all_finite(values: NDArray[np.float32]) -> bool:
    # The extremes are NaN if any value is; unlike a boolean array, this needs no memory.
    return bool(np.isfinite(values.min(initial=0)) and np.isfinite(values.max(initial=0)))
