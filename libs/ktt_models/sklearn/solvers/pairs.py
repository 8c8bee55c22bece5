"""Which (feature, node) pairs get weights: those that occur in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.weight_limit import least_rows

__all__ = ["find_pairs", "find_runs"]


@compiled(nogil=True)
def _transpose(indptr: Any, indices: Any, n_columns: int) -> Any:
    """For each column the rows it occurs in, ascending."""
    starts = np.zeros(n_columns + 1, np.int64)
    for entry in range(len(indices)):
        starts[indices[entry] + 1] += 1
    for column in range(n_columns):
        starts[column + 1] += starts[column]
    fill = starts[:-1].copy()
    rows = np.empty(len(indices), np.int32)
    for row in range(len(indptr) - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            column = indices[entry]
            rows[fill[column]] = row
            fill[column] += 1
    return starts, rows


@compiled(nogil=True)
def _scan(starts: Any, rows: Any, nodes: Any, n_nodes: int, pair_node: Any, pair_rows: Any) -> Any:
    """Write each feature's nodes and their rows with the feature; empty arrays: count only."""
    n_features = len(starts) - 1
    depth = nodes.shape[0]
    write = len(pair_node) > 0
    counts = np.zeros(n_nodes, np.int32)
    touched = np.empty(n_nodes, np.int32)
    ends = np.zeros(n_features + 1, np.int64)
    total = 0
    for feature in range(n_features):
        n_touched = 0
        for entry in range(starts[feature], starts[feature + 1]):
            for level in range(depth):
                node = nodes[level, rows[entry]]
                if node < 0:
                    continue
                if counts[node] == 0:
                    touched[n_touched] = node
                    n_touched += 1
                counts[node] += 1
        found = touched[:n_touched]
        if write:
            found.sort()
        for i in range(n_touched):
            if write:
                pair_node[total + i] = found[i]
                pair_rows[total + i] = counts[found[i]]
            counts[found[i]] = 0
        total += n_touched
        ends[feature + 1] = total
    return ends


def find_pairs(
    rows: CsrRows, nodes: NDArray[np.int32], layout: NodeLayout, max_weights: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Find the pairs of a feature and a node with the feature in the node's training rows.

    Parameters
    ----------
    rows : CsrRows, shape (n, n_features)
    nodes : ndarray of int32, shape (depth, n)
        `NodeLayout.nodes_of` the rows.
    layout : NodeLayout
    max_weights : int
        If the pairs need more weights than this, the pairs with the fewest rows go, all of one
        number of rows together.

    Returns
    -------
    feature_start : ndarray of int64, shape (n_features + 1,)
    pair_node : ndarray of int32, shape (pairs,)
        Ascending within a feature.
    pair_rows : ndarray of int32, shape (pairs,)
        How many rows each pair was seen in.
    """
    starts, row_of = _transpose(rows.indptr, rows.indices, rows.n_columns)
    nothing = np.zeros(0, dtype=np.int32)
    ends = _scan(starts, row_of, nodes, layout.n_nodes, nothing, nothing)
    pair_node = np.empty(int(ends[-1]), dtype=np.int32)
    pair_rows = np.empty(int(ends[-1]), dtype=np.int32)
    if len(pair_node):
        _scan(starts, row_of, nodes, layout.n_nodes, pair_node, pair_rows)
    kept = pair_rows >= least_rows(pair_rows, layout.child_count[pair_node], max_weights)
    if not kept.all():
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[ends]
        pair_node, pair_rows = pair_node[kept], pair_rows[kept]
    return ends, pair_node, pair_rows


@compiled(nogil=True)
def _merge(
    feature_start: Any, pair_node: Any, pair_offset: Any, child_start: Any, runs: Any, count: Any
) -> None:
    total = 0
    count[0] = 0
    for feature in range(len(feature_start) - 1):
        behind = -1
        for pair in range(feature_start[feature], feature_start[feature + 1]):
            first_class = child_start[pair_node[pair]]
            width = pair_offset[pair + 1] - pair_offset[pair]
            if first_class == behind:
                runs[total - 1, 2] += width
            else:
                runs[total, 0] = first_class
                runs[total, 1] = pair_offset[pair]
                runs[total, 2] = width
                total += 1
            behind = first_class + width
        count[feature + 1] = total


def find_runs(weights: BlockWeights) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge neighbouring pairs of a feature whose children stand side by side.

    A frequent feature has weights at nearly every node, and so for long runs of classes: adding a
    run is one vector operation.

    Returns
    -------
    run_start : ndarray of int64, shape (n_features + 1,)
        A feature's runs are ``[run_start[f], run_start[f + 1])``.
    runs : ndarray of int64, shape (runs, 3)
        First class, offset of its weight, number of classes.
    """
    runs = np.empty((len(weights.pair_node), 3), dtype=np.int64)
    run_start = np.zeros(weights.n_features + 1, dtype=np.int64)
    _merge(
        weights.feature_start,
        weights.pair_node,
        weights.pair_offset,
        weights.layout.child_start,
        runs,
        run_start,
    )
    return run_start, runs[: run_start[-1]].copy()
