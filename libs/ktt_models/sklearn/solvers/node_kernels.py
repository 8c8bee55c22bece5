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
from ktt_models.sklearn.solvers.losses import BIAS_STEP, SMALL, gradient_of

__all__ = ["collect_blocks", "count_rows", "features_first", "index_level", "level_epoch"]


@compiled(nogil=True)
def index_level(
    indptr: Any, indices: Any, rows: Any, nodes: Any, child_count: Any, n_features: int,
    entry_block: Any,
) -> Any:  # fmt: skip
    """Give every (feature, node) pair of one level a block, node by node.

    Parameters
    ----------
    rows : ndarray of int32
        The level's rows, sorted by node.
    nodes : ndarray of int32, shape (n,)
        Each row's node.
    child_count : ndarray of int64, shape (n_nodes,)
    entry_block : ndarray of int32, shape (entries,)
        Is overwritten: the block of each entry of those rows, counted in fours of numbers.

    Returns
    -------
    pair_feature, pair_node, pair_block : ndarray of int32, shape (pairs,)
        In the order of the blocks.
    n_blocks : int
        Fours of numbers that all blocks take.
    """
    n_entries = 0
    for row in rows:
        n_entries += indptr[row + 1] - indptr[row]
    pair_feature = np.empty(n_entries, np.int32)
    pair_node = np.empty(n_entries, np.int32)
    pair_block = np.empty(n_entries, np.int32)
    block_of = np.full(n_features, -1, np.int32)
    n_pairs, n_blocks = 0, 0
    node, first, size = -1, 0, 0
    for row in rows:
        if nodes[row] != node:
            node, first = nodes[row], n_blocks
            size = (child_count[node] + 4) // 4
        for entry in range(indptr[row], indptr[row + 1]):
            feature = indices[entry]
            block = block_of[feature]
            # Blocks before the node's first are of nodes that are done.
            if block < first:
                block = n_blocks
                block_of[feature] = block
                pair_feature[n_pairs] = feature
                pair_node[n_pairs] = node
                pair_block[n_pairs] = block
                n_pairs += 1
                n_blocks += size
            entry_block[entry] = block
    return (
        pair_feature[:n_pairs].copy(),
        pair_node[:n_pairs].copy(),
        pair_block[:n_pairs].copy(),
        n_blocks,
    )


@compiled(nogil=True)
def count_rows(indptr: Any, rows: Any, entry_block: Any, n_blocks: int) -> Any:
    """Count in how many rows each block is used, shape (n_blocks,)."""
    counts = np.zeros(n_blocks, np.int32)
    for row in rows:
        for entry in range(indptr[row], indptr[row + 1]):
            if entry_block[entry] >= 0:
                counts[entry_block[entry]] += 1
    return counts


@compiled(nogil=True)
def features_first(pair_feature: Any, n_features: int) -> Any:
    """Sort pairs by feature, leaving their order otherwise; return order and features' starts."""
    starts = np.zeros(n_features + 1, np.int64)
    for feature in pair_feature:
        starts[feature + 1] += 1
    for feature in range(n_features):
        starts[feature + 1] += starts[feature]
    fill = starts[:-1].copy()
    order = np.empty(len(pair_feature), np.int64)
    for pair in range(len(pair_feature)):
        order[fill[pair_feature[pair]]] = pair
        fill[pair_feature[pair]] += 1
    return order, starts


@compiled(nogil=True, fastmath=True)
def level_epoch(
    indptr: Any, data: Any, order: Any, nodes: Any, targets: Any, row_weights: Any,
    entry_block: Any, block_rows: Any, child_start: Any, child_count: Any,
    blocks: Any, bias: Any, bias_squares: Any,
    learning_rate: float, alpha: float, huber: bool,
) -> float:  # fmt: skip
    """One pass over one level's rows, sorted by node; return the sum of their losses."""
    scores = np.zeros(child_count.max() + 8, np.float32)
    total_loss = 0.0
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    for row in order:
        node = nodes[row]
        n_children, first_child = child_count[node], child_start[node]
        stride = (n_children + 4) // 4 * 4
        lanes = scores[:stride]
        for c in range(n_children):
            scores[1 + c] = bias[first_child + c]
        begin, end = indptr[row], indptr[row + 1]
        for entry in range(begin, end):
            start, value = np.int64(entry_block[entry]) * 4, data[entry]
            if start < 0:
                continue
            block = blocks[start : start + stride]
            for c in range(len(lanes)):
                lanes[c] += value * block[c]
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
            start, value = np.int64(entry_block[entry]) * 4, data[entry]
            if start < 0:
                continue
            sum_of_squares = blocks[start] + value * value * squared
            step = step_size / np.sqrt(sum_of_squares)
            shrink = np.float32(1.0)
            if penalty > 0:
                # The penalty's own step, taken implicitly: no step size makes it overshoot.
                shrink /= shrink + step * penalty / block_rows[entry_block[entry]]
            step *= value * shrink
            block = blocks[start : start + stride]
            for c in range(len(lanes)):
                block[c] = block[c] * shrink - step * lanes[c]
            blocks[start] = sum_of_squares
    return total_loss


@compiled(nogil=True)
def collect_blocks(blocks: Any, block_start: Any, pair_offset: Any, weights: Any) -> None:
    """Copy the weights of blocks, in the order of `block_start`, into one array without gaps."""
    for pair in range(len(block_start)):
        first, behind = pair_offset[pair], pair_offset[pair + 1]
        into = weights[first:behind]
        block = blocks[block_start[pair] + 1 : block_start[pair] + 1 + behind - first]
        for c in range(len(into)):
            into[c] = block[c]
