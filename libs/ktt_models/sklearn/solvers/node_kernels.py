"""The compiled inner loops of the hierarchical model: node by node, each with its weights together.

Every pair of a feature and a node has one step size for all its children (AdaGrad by block): the
sum of its squared gradients over children and rows so far. It takes a fraction of the memory and
time of one per weight, keeps the gradient's direction among siblings, and measured better than one
per weight on every dataset tried. A group's block is that sum, then its weights, then zeros up to a
multiple of four: one place in memory to go to, and whole vectors to work on.

An entry's value is that of all its group's pairs, k of them. A pair's own step is by 1/k of it, and
by AdaGrad's sum over such parts; that is the same as a step by the whole and by k^2 times the sum,
which is what a block holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.lanes import add_lanes, sum_entries
from ktt_models.sklearn.solvers.losses import gradient_of
from ktt_models.sklearn.solvers.state import BIAS_STEP, SMALL

__all__ = ["level_epoch", "sort_rows", "write_pairs", "write_weights"]


@compiled(nogil=True)
def sort_rows(order: Any, node_starts: Any, ordered: Any) -> None:
    """Write rows node by node, each node's in the given order.

    `node_starts` has for each row the first of its node's; the nodes' rows are neighbours.
    """
    places = np.arange(len(order)).astype(np.int32)
    for row in order:
        ordered[places[node_starts[row]]] = row
        places[node_starts[row]] += 1


@compiled(nogil=True)
def _reset(blocks: Any, stride: int, sizes: Any, first_square: float) -> None:
    """Set a node's weights to zero, and AdaGrad's sums to where they start."""
    blocks[:] = 0
    for group in range(len(sizes)):
        blocks[group * stride] = first_square * sizes[group] * sizes[group]


@compiled(nogil=True, fastmath=True)
def _accumulate(total: Any, added: Any, is_first: bool) -> None:
    # Number by number: assigning an array to a slice takes seconds to compile.
    if is_first:
        for i in range(len(total)):
            total[i] = added[i]
        return
    for i in range(len(total)):
        total[i] += added[i]


@compiled(nogil=True, fastmath=True)
def level_epoch(
    starts: Any, entry_block: Any, entry_value: Any, ordered: Any, first_row: int, end_row: int,
    nodes: Any, targets: Any, row_weights: Any, resting: Any, node_first: Any, node_block: Any,
    sizes: Any, counts: Any, child_start: Any, child_count: Any,
    blocks: Any, total: Any, bias: Any, bias_squares: Any, bias_total: Any,
    learning_rate: float, alpha: float, huber: bool,
    first_square: float, first_bias_square: float, small: float, is_fresh: bool, n_summed: int,
) -> float:  # fmt: skip
    """One pass over rows of one level; return the sum of their losses.

    Parameters
    ----------
    starts, entry_block, entry_value, nodes, targets, row_weights, node_first, node_block, sizes
        As `ktt_models.sklearn.solvers.node_level.Level` has them, and `counts`.
    ordered : ndarray of int32
        What `sort_rows` wrote.
    first_row, end_row : int
        The rows, all those of some nodes.
    resting : ndarray of float32, shape (n,)
        From 0: the loss of a row that this pass leaves out. Is overwritten.
    child_start, child_count
        As `ktt_core.tfidf.weights.NodeLayout` has them.
    blocks, total : ndarray of float32
        The level's weights, and the sum of those of several epochs.
    bias, bias_squares, bias_total : ndarray of float32
        The same of all classes' biases.
    small : float
        The squared length of a row's gradient under which the next pass leaves it out.
    is_fresh : bool
        Whether each node starts from zero: while its blocks are at hand.
    n_summed : int
        -1: the sum stays as it is; 0: these weights are the first in it.
    """
    scores = np.zeros(child_count.max() + 8, np.float32)
    after = np.zeros(child_count.max(), np.float32)
    total_loss = 0.0
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    begin_row = first_row
    while begin_row < end_row:
        node = nodes[ordered[begin_row]]
        last_row = begin_row + 1
        while last_row < end_row and nodes[ordered[last_row]] == node:
            last_row += 1
        if node < 0:
            begin_row = last_row
            continue
        n_children, first_child = child_count[node], child_start[node]
        stride = (n_children + 4) // 4 * 4
        first_place, end_place = 4 * node_block[node], 4 * node_block[node + 1]
        first_group, end_group = node_first[node], node_first[node + 1]
        children = slice(first_child, first_child + n_children)
        if is_fresh:
            _reset(
                blocks[first_place:end_place], stride, sizes[first_group:end_group], first_square
            )
            bias[children] = 0
            bias_squares[children] = first_bias_square
        for row in ordered[begin_row:last_row]:
            weight = row_weights[row]
            if resting[row] >= 0 and not is_fresh:
                total_loss += resting[row] * weight
                resting[row] = -1
                continue
            for c in range(n_children):
                scores[1 + c] = bias[first_child + c]
            begin, end = starts[row], starts[row + 1]
            sum_entries(entry_block, entry_value, begin, end, blocks, stride, scores)
            for c in range(n_children):
                after[c] = scores[1 + c]
            squared, loss = gradient_of(scores[1:], n_children, targets[row], huber, weight)
            total_loss += loss * weight
            # The lanes before and behind the weights must not move.
            scores[0] = 0
            scores[1 + n_children : stride] = 0
            resting[row] = loss if squared < small else -1
            if squared < SMALL:
                continue
            for c in range(n_children):
                gradient = scores[1 + c]
                bias_squares[first_child + c] += gradient * gradient
                step = np.float32(BIAS_STEP) * step_size / np.sqrt(bias_squares[first_child + c])
                bias[first_child + c] -= step * gradient
                after[c] -= step * gradient
            moved = np.float32(0)
            for entry in range(begin, end):
                place, value = 4 * np.int64(entry_block[entry, 0]), entry_value[entry, 1]
                sum_of_squares = blocks[place] + value * value * squared
                step = step_size / np.sqrt(sum_of_squares)
                if penalty > 0:
                    # The penalty's own step, taken implicitly: no step size makes it overshoot.
                    group = first_group + (place - first_place) // stride
                    shrink = 1 / (1 + step * penalty * sizes[group] / counts[group])
                    block = blocks[place : place + stride]
                    for c in range(len(block)):
                        block[c] *= shrink
                    step *= shrink
                step *= value
                moved += step * value
                add_lanes(blocks, place, scores, 0, stride, -step)
                blocks[place] = sum_of_squares
            # All blocks moved along the gradient, so what the row's scores are now is known.
            for c in range(n_children):
                after[c] -= moved * scores[1 + c]
            squared, loss = gradient_of(after, n_children, targets[row], huber, weight)
            resting[row] = loss if squared < small else -1
        if n_summed >= 0:
            # Here, too, while they are at hand.
            _accumulate(total[first_place:end_place], blocks[first_place:end_place], n_summed == 0)
            _accumulate(bias_total[children], bias[children], n_summed == 0)
        begin_row = last_row
    return total_loss


@compiled(nogil=True, fastmath=True)
def write_weights(
    total: Any, n_summed: int, node_first: Any, node_block: Any, node_weight: Any,
    child_count: Any, weights: Any,
) -> None:  # fmt: skip
    """Write blocks' mean weights, a level's, without gaps.

    `node_weight`, shape (n_nodes,), is where those of a node's first group go. `weights` may be the
    memory of `total`, up to the level's: what is written is never behind what is read.
    """
    share = np.float32(1 / n_summed)
    for node in range(len(child_count)):
        n_children = child_count[node]
        stride = (n_children + 4) // 4 * 4
        from_, to = 4 * node_block[node] + 1, node_weight[node]
        for _ in range(node_first[node], node_first[node + 1]):
            for c in range(n_children):
                weights[to + c] = total[from_ + c] * share
            from_ += stride
            to += n_children


@compiled(nogil=True)
def write_pairs(
    ends: Any, node: Any, group: Any, value: Any, group_mean: Any, group_number: Any,
    node_first: Any, node_weight: Any, child_count: Any,
    places: Any, pair_node: Any, pair_start: Any, pair_scale: Any,
) -> None:  # fmt: skip
    """Write a level's pairs behind those of the levels before, feature by feature.

    `places`, shape (n_features,), is where each feature's next pair goes, and is moved on.
    """
    for feature in range(len(ends) - 1):
        place = places[feature]
        for pair in range(ends[feature], ends[feature + 1]):
            at, number = node[pair], group_number[group[pair]]
            pair_node[place] = at
            pair_start[place] = node_weight[at] + (number - node_first[at]) * child_count[at]
            pair_scale[place] = value[pair] / group_mean[group[pair]]
            place += 1
        places[feature] = place
