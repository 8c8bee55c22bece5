"""The compiled loops over all classes: an epoch of the flat model, and scores of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.lanes import add_lanes
from ktt_models.sklearn.solvers.losses import gradient_of
from ktt_models.sklearn.solvers.state import BIAS_STEP, INACTIVE, SMALL

__all__ = ["add_class_scores", "add_pair_scores", "flat_epoch"]


@compiled(nogil=True)
def _first_from(pair_node: Any, low: int, high: int, node: int) -> Any:
    """Return the first of a feature's pairs whose node is not below `node`."""
    # Double the step until it is passed: from one active node to the next it is near.
    step = 1
    while low + step < high and pair_node[low + step] < node:
        low += step
        step *= 2
    high = min(high, low + step + 1)
    while low < high:
        middle = (low + high) // 2
        if pair_node[middle] < node:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(nogil=True, fastmath=True)
def _add_feature(
    feature: int, value: float, run_start: Any, runs: Any, weights: Any, scores: Any
) -> None:
    for run in range(run_start[feature], run_start[feature + 1]):
        first, offset, width = runs[run, 0], runs[run, 1], runs[run, 2]
        into, added = scores[first : first + width], weights[offset : offset + width]
        for c in range(width):
            into[c] += value * added[c]


@compiled(nogil=True, fastmath=True)
def flat_epoch(
    indptr: Any, indices: Any, data: Any, order: Any, leaves: Any, row_weights: Any,
    feature_start: Any, pair_node: Any, pair_offset: Any, pair_rows: Any,
    child_start: Any, child_count: Any, run_start: Any, runs: Any, parent_of: Any, first_leaf: int,
    weights: Any, squares: Any, bias: Any, bias_squares: Any,
    learning_rate: float, alpha: float, huber: bool,
) -> float:  # fmt: skip
    """One pass of the softmax over all leaves, whose weights are sums over their ancestors'."""
    n_classes, n_nodes = len(bias), len(child_start)
    scores = np.empty(n_classes, np.float32)
    squared = np.zeros(n_nodes, np.float32)
    active = np.empty(n_nodes, np.int64)
    total_loss = 0.0
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    n_top = child_count[0]
    for row in order:
        # Number by number: assigning an array to a slice takes seconds to compile.
        for c in range(n_classes):
            scores[c] = bias[c]
        for entry in range(indptr[row], indptr[row + 1]):
            _add_feature(indices[entry], data[entry], run_start, runs, weights, scores)
        for c in range(n_top, n_classes):
            scores[c] += scores[parent_of[c]]
        length, loss = gradient_of(
            scores[first_leaf:], n_classes - first_leaf, leaves[row], huber, row_weights[row]
        )
        total_loss += loss * row_weights[row]
        if length < SMALL:
            continue
        # The gradient of an upper class is the sum of those of its leaves.
        scores[:first_leaf] = 0
        for c in range(n_classes - 1, n_top - 1, -1):
            scores[parent_of[c]] += scores[c]
        n_active = 0
        for node in range(n_nodes):
            squared[node] = 0
            if child_count[node] < 2:
                continue
            first_child = child_start[node]
            total = np.float32(0.0)
            for c in range(child_count[node]):
                total += scores[first_child + c] * scores[first_child + c]
            if total < INACTIVE:
                continue
            squared[node] = total
            active[n_active] = node
            n_active += 1
            for c in range(first_child, first_child + child_count[node]):
                bias_squares[c] += scores[c] * scores[c]
                bias[c] -= np.float32(BIAS_STEP) * step_size / np.sqrt(bias_squares[c]) * scores[c]
        for entry in range(indptr[row], indptr[row + 1]):
            value = data[entry]
            # Both lists ascend; usually few nodes are active, and a frequent feature has hundreds.
            pair, last = feature_start[indices[entry]], feature_start[indices[entry] + 1]
            for position in range(n_active):
                node = active[position]
                pair = _first_from(pair_node, pair, last, node)
                if pair == last:
                    break
                if pair_node[pair] != node:
                    continue
                offset, first_child = pair_offset[pair], child_start[node]
                squares[pair] += value * value * squared[node]
                step = step_size / np.sqrt(squares[pair])
                shrink = np.float32(1.0) / (np.float32(1.0) + step * penalty / pair_rows[pair])
                step *= value
                # Slices, because indexing with sums keeps the compiler from using vectors.
                width = child_count[node]
                gradient = scores[first_child : first_child + width]
                block = weights[offset : offset + width]
                for c in range(width):
                    block[c] = (block[c] - step * gradient[c]) * shrink
    return total_loss


@compiled(nogil=True, fastmath=True)
def add_class_scores(
    indptr: Any, indices: Any, data: Any, run_start: Any, runs: Any, weights: Any, scores: Any
) -> None:
    """Add rows' linear scores for the classes of all levels to `scores`, shape (rows, C)."""
    for row in range(len(indptr) - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            _add_feature(indices[entry], data[entry], run_start, runs, weights, scores[row])


@compiled(nogil=True, fastmath=True)
def add_pair_scores(
    indptr: Any, indices: Any, data: Any, feature_start: Any, pair_node: Any, pair_start: Any,
    pair_scale: Any, stored: Any, child_start: Any, child_count: Any, scores: Any,
) -> None:  # fmt: skip
    """Like `add_class_scores`, for pairs that share weights."""
    # Each node's children with room behind them, so that whole vectors can be added.
    lanes = (child_count + 3) // 4 * 4
    firsts = np.cumsum(lanes) - lanes
    roomy = np.empty(lanes.sum(), np.float32)
    for row in range(len(indptr) - 1):
        roomy[:] = 0
        for entry in range(indptr[row], indptr[row + 1]):
            feature = indices[entry]
            for pair in range(feature_start[feature], feature_start[feature + 1]):
                node, start = pair_node[pair], pair_start[pair]
                factor = data[entry] * pair_scale[pair]
                if start + lanes[node] <= len(stored):
                    add_lanes(roomy, firsts[node], stored, start, lanes[node], factor)
                else:
                    for c in range(child_count[node]):
                        roomy[firsts[node] + c] += factor * stored[start + c]
        for node in range(len(child_count)):
            for c in range(child_count[node]):
                scores[row, child_start[node] + c] += roomy[firsts[node] + c]
