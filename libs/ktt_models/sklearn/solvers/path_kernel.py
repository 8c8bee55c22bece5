"""The compiled search for a row's most probable path, without scoring the whole taxonomy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.lanes import add_lanes

__all__ = ["best_leaves"]

# As `ktt_core.tfidf.scorer.log_shares` has it.
_FLOOR = np.float32(1e-9)


@compiled(nogil=True, fastmath=True)
def _log_shares(scores: Any, huber: bool) -> None:
    """Overwrite the scores of siblings with the logs of their shares."""
    n = len(scores)
    total = np.float32(0.0)
    if huber:
        for c in range(n):
            share = min(max((scores[c] + 1) / 2, np.float32(0)), np.float32(1)) + _FLOOR
            total += share
            scores[c] = math.log(share)
        for c in range(n):
            scores[c] -= math.log(total)
        return
    largest = scores[0]
    for c in range(1, n):
        largest = max(largest, scores[c])
    for c in range(n):
        scores[c] -= largest
        total += math.exp(scores[c])
    for c in range(n):
        scores[c] -= math.log(total)


@compiled(nogil=True)
def _find(low: Any, high: Any, node: int, pair_node: Any, first: Any, left: Any) -> None:
    """Find the last of each feature's pairs whose node is not above this one.

    The features' searches go step by step together and without branches: what one waits for comes
    from memory while the others are looked at.
    """
    most = 1
    for entry in range(len(low)):
        first[entry], left[entry] = low[entry], high[entry] - low[entry]
        most = max(most, left[entry])
    while most > 1:
        for entry in range(len(low)):
            half = left[entry] >> 1
            place = first[entry]
            first[entry] = place + half * (pair_node[place + half] <= node)
            left[entry] -= half
        most -= most >> 1


@compiled(nogil=True, fastmath=True)
def _add_weights(
    low: Any, high: Any, values: Any, node: int, pair_node: Any, pair_offset: Any, weights: Any,
    width: int, first: Any, left: Any, found: Any, scores: Any,
) -> None:  # fmt: skip
    """Add what a row's features say of a node's children; `scores` has lanes to spare."""
    _find(low, high, node, pair_node, first, left)
    n_found = 0
    for entry in range(len(low)):
        left[n_found], found[n_found] = first[entry], values[entry]
        n_found += pair_node[first[entry]] == node
    for i in range(n_found):
        first[i] = pair_offset[left[i]]
    n_lanes = (width + 3) // 4 * 4
    half = len(scores) // 2
    last = len(weights) - n_lanes
    # Only the last pair's block may have no lanes behind it.
    tail = n_found
    while tail > 0 and first[tail - 1] > last:
        tail -= 1
    for i in range(tail, n_found):
        for c in range(width):
            scores[c] += found[i] * weights[first[i] + c]
    # Lanes behind the node's own become nonsense, which nobody reads. Neighbours go to two sums, so
    # that none waits for the other.
    for i in range(0, tail - 1, 2):
        add_lanes(scores, 0, weights, first[i], n_lanes, found[i])
        add_lanes(scores, half, weights, first[i + 1], n_lanes, found[i + 1])
    if tail % 2:
        add_lanes(scores, 0, weights, first[tail - 1], n_lanes, found[tail - 1])
    for c in range(width):
        scores[c] += scores[half + c]


@compiled(nogil=True, fastmath=True)
def best_leaves(
    indptr: Any, indices: Any, data: Any, feature_start: Any, pair_node: Any, pair_offset: Any,
    child_start: Any, child_count: Any, weights: Any, bias: Any, huber: bool, found: Any,
) -> None:  # fmt: skip
    """Write each row's most probable leaf, in indices over all levels' classes, to `found`.

    Best first: of all classes reached so far the most probable is opened next. No class below it is
    more probable than it is, so the first leaf to be opened is the answer.
    """
    n_classes, n_nodes = len(bias), len(child_start)
    reached = np.empty(n_classes + 1, np.int64)
    log_proba = np.empty(n_classes + 1, np.float32)
    half = (child_count.max() + 3) // 4 * 4
    scores = np.empty(2 * half, np.float32)
    longest = 0
    for row in range(len(indptr) - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
    low, high = np.empty(longest, np.int64), np.empty(longest, np.int64)
    first, left = np.empty(longest, np.int64), np.empty(longest, np.int64)
    values, kept = np.empty(longest, np.float32), np.empty(longest, np.float32)
    for row in range(len(indptr) - 1):
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
                found[row] = node - 1
                break
            n_reached -= 1
            reached[best], log_proba[best] = reached[n_reached], log_proba[n_reached]
            width, first_child = child_count[node], child_start[node]
            siblings = scores[:width]
            if width > 1:
                scores[:] = 0
                siblings[:] = bias[first_child : first_child + width]
                _add_weights(
                    low[:n_known], high[:n_known], values, node, pair_node, pair_offset, weights,
                    width, first, left, kept, scores,
                )  # fmt: skip
                _log_shares(siblings, huber)
            else:
                siblings[0] = 0
            for c in range(width):
                reached[n_reached] = first_child + c
                log_proba[n_reached] = so_far + siblings[c]
                n_reached += 1
