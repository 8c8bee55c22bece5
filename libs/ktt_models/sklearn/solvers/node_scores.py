"""The scores of one node's children for one row, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.lanes import add_lanes

__all__ = ["add_found", "log_shares", "search_node"]

# As `ktt_core.tfidf.scorer.log_shares` has it.
_FLOOR = np.float32(1e-9)


@compiled(nogil=True, fastmath=True)
def log_shares(scores: Any, huber: bool) -> None:
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
def search_node(
    low: Any, high: Any, values: Any, node: int, pair_node: Any, pair_start: Any, pair_scale: Any,
    first: Any, left: Any, found: Any,
) -> int:  # fmt: skip
    """Find the weights that a row's features have at a node, by search.

    A feature's pairs are ``[low, high)``. Writes where the weights are to `first`, and the values
    of those features times the pairs' scales to `found`; returns how many. `left` is room to work
    in.

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
    n_found = 0
    for entry in range(len(low)):
        left[n_found], found[n_found] = first[entry], values[entry]
        n_found += pair_node[first[entry]] == node
    for i in range(n_found):
        first[i] = pair_start[left[i]]
        found[i] *= pair_scale[left[i]]
    return n_found


@compiled(nogil=True, fastmath=True)
def add_found(first: Any, found: Any, n_found: int, weights: Any, width: int, scores: Any) -> None:
    """Add weights, from where `first` says, times `found` to the scores of a node's children.

    `scores` has room for two times the most children of any node, rounded up to fours, and is zero
    but for the children's own.
    """
    n_lanes = (width + 3) // 4 * 4
    half = len(scores) // 2
    last = len(weights) - n_lanes
    # Lanes behind the node's own become nonsense, which nobody reads. Neighbours go to two sums, so
    # that none waits for the other.
    into = 0
    for i in range(n_found):
        if first[i] > last:
            # Only the last blocks may have no lanes behind them.
            for c in range(width):
                scores[c] += found[i] * weights[first[i] + c]
            continue
        add_lanes(scores, into, weights, first[i], n_lanes, found[i])
        into = half - into
    for c in range(width):
        scores[c] += scores[half + c]
