"""Compiled greedy descent of many rows through the taxonomy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.node_index import NodeIndex
from ktt_models.sklearn.solvers.node_scores import add_found, log_shares, search_node

__all__ = ["Descent", "descend"]

# A table of a node's features is written for its rows if it has fewer features than this times the
# rows' entries: writing one takes that much less than a search.
_TABLE = 4
# The bits of a table's entry that are the place of a weight; those above say of which node.
_PLACE_BITS = 40


class Descent(NamedTuple):
    """State of the descent.

    Attributes
    ----------
    best : ndarray of int64, shape (n,)
        The leaf in indices over all levels' classes.
    log_proba : ndarray of float32, shape (n,)
        Its log-probability.
    passed : ndarray of float32, shape (n,)
        Log-probability of the most probable class that was not entered; bounds all its leaves.
    """

    best: NDArray[np.int64]
    log_proba: NDArray[np.float32]
    passed: NDArray[np.float32]


@compiled(nogil=True, fastmath=True)
def _descend_a_level(
    indptr: Any, indices: Any, data: Any, rows: Any,
    feature_start: Any, pair_node: Any, pair_start: Any, pair_scale: Any, weights: Any, bias: Any,
    child_start: Any, child_count: Any, huber: bool,
    node_start: Any, node_feature: Any, node_place: Any, node_scale: Any,
    table: Any, scales: Any, stamp: int, best_class: Any, log_proba: Any, passed: Any,
) -> int:  # fmt: skip
    """Go from each row's class to its most probable child; `rows` are sorted by class.

    `table` holds zeros before the first level; `stamp` is 0 then, and afterwards what was returned.
    """
    scores = np.empty(2 * ((child_count.max() + 3) // 4 * 4), np.float32)
    longest = 0
    for row in rows:
        longest = max(longest, indptr[row + 1] - indptr[row])
    low, high = np.empty(longest, np.int64), np.empty(longest, np.int64)
    first, left = np.empty(longest, np.int64), np.empty(longest, np.int64)
    values, found = np.empty(longest, np.float32), np.empty(longest, np.float32)
    begin = 0
    while begin < len(rows):
        # A class's node comes one after it, because the root is the first.
        node = best_class[rows[begin]] + 1
        n_entries = 0
        end = begin
        while end < len(rows) and best_class[rows[end]] + 1 == node:
            n_entries += indptr[rows[end] + 1] - indptr[rows[end]]
            end += 1
        width, first_child = child_count[node], child_start[node]
        with_table = node_start[node + 1] - node_start[node] < _TABLE * n_entries
        stamp += 1
        mark = stamp << _PLACE_BITS
        if with_table and width > 1:
            for pair in range(node_start[node], node_start[node + 1]):
                table[node_feature[pair]] = mark | node_place[pair]
                scales[node_feature[pair]] = node_scale[pair]
        for i in range(begin, end):
            row = rows[i]
            if width == 1:
                best_class[row] = first_child
                continue
            n_found = 0
            if with_table:
                for entry in range(indptr[row], indptr[row + 1]):
                    place = table[indices[entry]] - mark
                    first[n_found] = place
                    found[n_found] = data[entry] * scales[indices[entry]]
                    # Less than 0 is of a node before.
                    n_found += place >= 0
            else:
                n_known = 0
                for entry in range(indptr[row], indptr[row + 1]):
                    feature = indices[entry]
                    low[n_known], high[n_known] = feature_start[feature], feature_start[feature + 1]
                    values[n_known] = data[entry]
                    n_known += low[n_known] < high[n_known]
                n_found = search_node(
                    low[:n_known], high[:n_known], values, node, pair_node, pair_start, pair_scale,
                    first, left, found,
                )  # fmt: skip
            scores[:] = 0
            siblings = scores[:width]
            siblings[:] = bias[first_child : first_child + width]
            add_found(first, found, n_found, weights, width, scores)
            log_shares(siblings, huber)
            best, second = 0, -np.float32(np.inf)
            for c in range(1, width):
                if siblings[c] > siblings[best]:
                    second = siblings[best]
                    best = c
                elif siblings[c] > second:
                    second = siblings[c]
            passed[row] = max(passed[row], log_proba[row] + second)
            log_proba[row] += siblings[best]
            best_class[row] = first_child + best
        begin = end
    return stamp


def descend(
    weights: BlockWeights, pair_scale: NDArray[np.float32], index: NodeIndex, rows: CsrRows,
    huber: bool,
) -> Descent:  # fmt: skip
    """Take every row to its most probable child until it is at a leaf."""
    layout = weights.layout
    found = Descent(
        np.full(rows.n_rows, -1, dtype=np.int64),
        np.zeros(rows.n_rows, dtype=np.float32),
        np.full(rows.n_rows, -np.inf, dtype=np.float32),
    )
    table, stamp = np.zeros(weights.n_features, dtype=np.int64), 0
    scales = np.zeros(weights.n_features, dtype=np.float32)
    for _ in range(layout.taxonomy.depth):
        stamp = _descend_a_level(
            rows.indptr, rows.indices, rows.data, np.argsort(found.best, kind="stable"),
            weights.feature_start, weights.pair_node, weights.pair_start, pair_scale,
            weights.stored, weights.bias, layout.child_start, layout.child_count, huber,
            *index, table, scales, stamp, *found,
        )  # fmt: skip
    return found
