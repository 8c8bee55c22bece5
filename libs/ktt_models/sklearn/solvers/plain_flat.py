"""Functions for training the flat model on few rows, in numpy alone; see `plain_loops`.

Each function takes the arguments of the compiled one of its name, in
`ktt_models.sklearn.solvers.kernels` and `ktt_models.sklearn.solvers.pairs`, and does the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout, expand_ranges
from ktt_models.sklearn.solvers.plain_loops import gradient_of
from ktt_models.sklearn.solvers.state import BIAS_STEP, INACTIVE, SMALL
from ktt_models.sklearn.solvers.weight_limit import least_rows

__all__ = ["find_pairs", "find_runs", "flat_epoch"]


def find_pairs(
    rows: CsrRows, nodes: NDArray[np.int32], layout: NodeLayout, max_weights: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """See `ktt_models.sklearn.solvers.pairs.find_pairs`."""
    of_entries = np.repeat(nodes, np.diff(rows.indptr), axis=1)
    keys = rows.indices * np.int64(layout.n_nodes) + of_entries
    found, counts = np.unique(keys[of_entries >= 0], return_counts=True)
    feature, pair_node = np.divmod(found, layout.n_nodes)
    kept = counts >= least_rows(counts, layout.child_count[pair_node], max_weights)
    starts = np.zeros(rows.n_columns + 1, dtype=np.int64)
    np.cumsum(np.bincount(feature[kept], minlength=rows.n_columns), out=starts[1:])
    return starts, pair_node[kept].astype(np.int32), counts[kept].astype(np.int32)


def find_runs(weights: BlockWeights) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return no runs: they are what the compiled loop adds at once, and `flat_epoch` needs none."""
    return np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64)


def flat_epoch(
    indptr: Any, indices: Any, data: Any, order: Any, leaves: Any, row_weights: Any,
    feature_start: Any, pair_node: Any, pair_offset: Any, pair_rows: Any,
    child_start: Any, child_count: Any, run_start: Any, runs: Any, parent_of: Any, first_leaf: int,
    weights: Any, squares: Any, bias: Any, bias_squares: Any,
    learning_rate: float, alpha: float, huber: bool,
) -> float:  # fmt: skip
    """See `ktt_models.sklearn.solvers.kernels.flat_epoch`."""
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    bias_step = np.float32(BIAS_STEP) * step_size
    n_classes = len(bias)
    # The classes of each level but the first, with their parents; siblings are neighbours.
    levels = _levels(parent_of, int(child_count[0]))
    # The class that each weight is of.
    _, class_of = expand_ranges(child_start[pair_node], child_count[pair_node])
    decides = child_count >= 2
    total_loss = 0.0
    for row in order.tolist():
        entries = slice(int(indptr[row]), int(indptr[row + 1]))
        feature, value = indices[entries], data[entries]
        entry, pair = expand_ranges(
            feature_start[feature], feature_start[feature + 1] - feature_start[feature]
        )
        pair_value, width = value[entry], child_count[pair_node[pair]]
        of_pair, weight = expand_ranges(pair_offset[pair], width)
        added = np.bincount(
            class_of[weight], weights=weights[weight] * pair_value[of_pair], minlength=n_classes
        )
        scores = bias + added.astype(np.float32)
        for classes, parents in levels:
            scores[classes] += scores[parents]
        gradient, length, loss = gradient_of(
            scores[first_leaf:], leaves[row], huber, row_weights[row]
        )
        total_loss += loss * float(row_weights[row])
        if length < SMALL:
            continue
        # The gradient of an upper class is the sum of those of its leaves.
        scores[:first_leaf] = 0
        scores[first_leaf:] = gradient
        for classes, parents in reversed(levels):
            scores[: classes.start] += np.bincount(
                parents, weights=scores[classes], minlength=classes.start
            )
        squared = np.add.reduceat(scores * scores, child_start)
        is_active = decides & (squared >= INACTIVE)
        _, moved = expand_ranges(child_start[is_active], child_count[is_active])
        bias_squares[moved] += scores[moved] * scores[moved]
        bias[moved] -= bias_step / np.sqrt(bias_squares[moved]) * scores[moved]
        kept = is_active[pair_node[pair]]
        weight = weight[np.repeat(kept, width)]
        pair, pair_value, width = pair[kept], pair_value[kept], width[kept]
        squares[pair] += pair_value * pair_value * squared[pair_node[pair]]
        step = step_size / np.sqrt(squares[pair])
        shrink = 1 / (1 + step * penalty / pair_rows[pair].astype(np.float32))
        step *= pair_value
        change = np.repeat(step, width) * scores[class_of[weight]]
        weights[weight] = (weights[weight] - change) * np.repeat(shrink, width)
    return total_loss


def _levels(parent_of: Any, n_top: int) -> list[tuple[slice, Any]]:
    """Return the classes of each level below the first, and their parents."""
    levels = []
    begin = n_top
    while begin < len(parent_of):
        end = int(np.searchsorted(parent_of[n_top:], begin)) + n_top
        levels.append((slice(begin, end), parent_of[begin:end]))
        begin = end
    return levels
