"""The compiled inner loops of the hierarchical model: node by node, each with its weights together.

Every pair of a feature and a node has one step size for all its children (AdaGrad by block): the
sum of its squared gradients over children and rows so far. It takes a fraction of the memory and
time of one per weight, keeps the gradient's direction among siblings, and measured better than one
per weight on every dataset tried. A pair's block is that sum, then its weights, then zeros up to a
multiple of four: one place in memory to go to, and whole vectors to work on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.lanes import add_lanes
from ktt_models.sklearn.solvers.losses import BIAS_STEP, SMALL, gradient_of

__all__ = ["count_weights", "level_epoch", "write_weights"]

# Pairs written at a time.
_TOGETHER = 256


@compiled(nogil=True, fastmath=True, inline="always")
def _add_entries(
    entry_block: Any, sums: Any, begin: int, end: int, blocks: Any, n_lanes: int,
    into: Any, other: Any,
) -> None:  # fmt: skip
    """Add up a row's scores; neighbours go to two sums, so that none waits for the other."""
    entry = begin
    while entry + 1 < end:
        add_lanes(into, 0, blocks, np.int64(entry_block[entry]) * 4, n_lanes, sums[entry])
        add_lanes(other, 0, blocks, np.int64(entry_block[entry + 1]) * 4, n_lanes, sums[entry + 1])
        entry += 2
    if entry < end:
        add_lanes(into, 0, blocks, np.int64(entry_block[entry]) * 4, n_lanes, sums[entry])
    for lane in range(n_lanes):
        into[lane] += other[lane]
        other[lane] = 0


@compiled(nogil=True, fastmath=True)
def level_epoch(
    indptr: Any, entry_block: Any, sums: Any, values: Any,
    order: Any, nodes: Any, targets: Any, row_weights: Any,
    block_rows: Any, child_start: Any, child_count: Any,
    blocks: Any, bias: Any, bias_squares: Any,
    learning_rate: float, alpha: float, huber: bool,
) -> float:  # fmt: skip
    """One pass over one level's rows, sorted by node; return the sum of their losses.

    Entries are those of `ktt_models.sklearn.solvers.grouping.group_entries`.
    """
    scores = np.zeros(child_count.max() + 8, np.float32)
    other = np.zeros(child_count.max() + 8, np.float32)
    total_loss = 0.0
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    for row in order:
        node = nodes[row]
        n_children, first_child = child_count[node], child_start[node]
        stride = (n_children + 4) // 4 * 4
        for c in range(n_children):
            scores[1 + c] = bias[first_child + c]
        begin, end = indptr[row], indptr[row + 1]
        if stride == 4:
            _add_entries(entry_block, sums, begin, end, blocks, 4, scores, other)
        elif stride == 8:
            _add_entries(entry_block, sums, begin, end, blocks, 8, scores, other)
        elif stride == 12:
            _add_entries(entry_block, sums, begin, end, blocks, 12, scores, other)
        else:
            _add_entries(entry_block, sums, begin, end, blocks, stride, scores, other)
        squared, loss = gradient_of(scores[1:], n_children, targets[row], huber, row_weights[row])
        total_loss += loss * row_weights[row]
        # The lanes before and behind the weights must not move.
        scores[0] = 0
        scores[1 + n_children : stride] = 0
        if squared < SMALL:
            continue
        for c in range(n_children):
            gradient = scores[1 + c]
            bias_squares[first_child + c] += gradient * gradient
            step = np.float32(BIAS_STEP) * step_size / np.sqrt(bias_squares[first_child + c])
            bias[first_child + c] -= step * gradient
        for entry in range(begin, end):
            start, value = np.int64(entry_block[entry]) * 4, values[entry]
            sum_of_squares = blocks[start] + value * value * squared
            step = step_size / np.sqrt(sum_of_squares)
            if penalty > 0:
                # The penalty's own step, taken implicitly: no step size makes it overshoot.
                shrink = 1 / (1 + step * penalty / block_rows[entry_block[entry]])
                block = blocks[start : start + stride]
                for c in range(len(block)):
                    block[c] *= shrink
                step *= shrink
            step *= -value
            add_lanes(blocks, start, scores, 0, stride, step)
            blocks[start] = sum_of_squares
    return total_loss


@compiled(nogil=True)
def count_weights(
    pair_feature: Any, pair_node: Any, child_count: Any, low: int, high: int, counts: Any
) -> None:
    """Add each feature's pairs and weights to `counts`, shape (n_features, 2).

    Only of the features from `low` up to, not including, `high`.
    """
    for pair in range(len(pair_feature)):
        feature = pair_feature[pair]
        if low <= feature < high:
            counts[feature, 0] += 1
            counts[feature, 1] += child_count[pair_node[pair]]


@compiled(nogil=True)
def write_weights(
    blocks: Any, pair_feature: Any, pair_node: Any, pair_block: Any, pair_scale: Any,
    child_count: Any, low: int, high: int, ends: Any, nodes: Any, weights: Any,
) -> float:  # fmt: skip
    """Write pairs' nodes and weights, their blocks' times their scales, feature by feature.

    Only those of the features from `low` up to, not including, `high`. `ends`, shape
    (n_features, 2), says where each feature's next go, and is moved on. What is returned means
    nothing.
    """
    touched = np.float32(0)
    pairs = np.empty(_TOGETHER, np.int64)
    places, firsts = np.empty(_TOGETHER, np.int64), np.empty(_TOGETHER, np.int64)
    pair, n_pairs = 0, len(pair_feature)
    while pair < n_pairs:
        n = 0
        while pair < n_pairs and n < _TOGETHER:
            pairs[n] = pair
            # Written always: whether it counts no processor foresees.
            n += low <= pair_feature[pair] < high
            pair += 1
        # The places are anywhere. Reading them first brings them from memory all at the same time.
        for i in range(n):
            feature = pair_feature[pairs[i]]
            places[i], firsts[i] = ends[feature, 0], ends[feature, 1]
            ends[feature, 0] += 1
            ends[feature, 1] += child_count[pair_node[pairs[i]]]
        for i in range(n):
            touched += nodes[places[i]] + weights[firsts[i]]
        for i in range(n):
            node, scale = pair_node[pairs[i]], pair_scale[pairs[i]]
            start, width = 4 * np.int64(pair_block[pairs[i]]) + 1, child_count[node]
            nodes[places[i]] = node
            into, block = weights[firsts[i] : firsts[i] + width], blocks[start : start + width]
            for c in range(len(into)):
                into[c] = block[c] * scale
    return float(touched)
