"""The compiled search for a row's most probable path, without scoring the whole taxonomy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled

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
    scores = np.empty(child_count.max(), np.float32)
    for row in range(len(indptr) - 1):
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
            siblings[:] = bias[first_child : first_child + width]
            if width > 1:
                for entry in range(indptr[row], indptr[row + 1]):
                    low, last = feature_start[indices[entry]], feature_start[indices[entry] + 1]
                    high = last
                    while low < high:
                        middle = (low + high) // 2
                        if pair_node[middle] < node:
                            low = middle + 1
                        else:
                            high = middle
                    if low < last and pair_node[low] == node:
                        block = weights[pair_offset[low] : pair_offset[low] + width]
                        value = data[entry]
                        for c in range(width):
                            siblings[c] += value * block[c]
                _log_shares(siblings, huber)
            else:
                siblings[0] = 0
            for c in range(width):
                reached[n_reached] = first_child + c
                log_proba[n_reached] = so_far + siblings[c]
                n_reached += 1
