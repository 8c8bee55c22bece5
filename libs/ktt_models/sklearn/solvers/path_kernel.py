"""The compiled search for a row's most probable paths, without scoring the whole taxonomy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.node_scores import add_found, log_shares, search_node

__all__ = ["best_leaves"]


@compiled(nogil=True, fastmath=True)
def best_leaves(
    indptr: Any, indices: Any, data: Any, rows: Any,
    feature_start: Any, pair_node: Any, pair_start: Any, pair_scale: Any, weights: Any, bias: Any,
    child_start: Any, child_count: Any, huber: bool, best_class: Any,
) -> None:  # fmt: skip
    """Write the most probable leaf of each of `rows`, in indices over all levels' classes.

    Best first: of all classes reached so far the most probable is opened next. No class below it is
    more probable than it is, so the first leaf to be opened is the answer.
    """
    n_classes, n_nodes = len(bias), len(child_start)
    reached = np.empty(n_classes + 1, np.int64)
    log_proba = np.empty(n_classes + 1, np.float32)
    half = (child_count.max() + 3) // 4 * 4
    scores = np.empty(2 * half, np.float32)
    longest = 0
    for row in rows:
        longest = max(longest, indptr[row + 1] - indptr[row])
    low, high = np.empty(longest, np.int64), np.empty(longest, np.int64)
    first, left = np.empty(longest, np.int64), np.empty(longest, np.int64)
    values, found = np.empty(longest, np.float32), np.empty(longest, np.float32)
    for row in rows:
        n_known = 0
        for entry in range(indptr[row], indptr[row + 1]):
            feature = indices[entry]
            low[n_known], high[n_known] = feature_start[feature], feature_start[feature + 1]
            values[n_known] = data[entry]
            n_known += low[n_known] < high[n_known]
        # The root, which is node 0, as the class before the first.
        n_reached = 1
        reached[0], log_proba[0] = -1, 0
        while True:
            best = 0
            for i in range(1, n_reached):
                above = log_proba[i] > log_proba[best]
                if above or (log_proba[i] == log_proba[best] and reached[i] < reached[best]):
                    best = i
            node, so_far = reached[best] + 1, log_proba[best]
            if node >= n_nodes:
                best_class[row] = node - 1
                break
            n_reached -= 1
            reached[best], log_proba[best] = reached[n_reached], log_proba[n_reached]
            width, first_child = child_count[node], child_start[node]
            siblings = scores[:width]
            if width > 1:
                scores[:] = 0
                siblings[:] = bias[first_child : first_child + width]
                n_found = search_node(
                    low[:n_known], high[:n_known], values, node, pair_node, pair_start, pair_scale,
                    first, left, found,
                )  # fmt: skip
                add_found(first, found, n_found, weights, width, scores)
                log_shares(siblings, huber)
            else:
                siblings[0] = 0
            for c in range(width):
                reached[n_reached] = first_child + c
                log_proba[n_reached] = so_far + siblings[c]
                n_reached += 1
