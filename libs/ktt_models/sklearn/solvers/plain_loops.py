"""The functions of `compiled_loops` in numpy alone, for few rows, where compiling takes longer.

Each function takes the arguments of the compiled one of its name, which documents them, and does
the same. What is counted and placed comes out the same to the bit; what is trained differs by
rounding, because compiled code adds in another order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import expand_ranges
from ktt_models.sklearn.solvers.state import BIAS_STEP, SMALL, Columns

__all__ = [
    "THREADED",
    "columns_of",
    "gradient_of",
    "level_epoch",
    "number_groups",
    "scan_level",
    "sort_rows",
    "write_entries",
    "write_pairs",
    "write_weights",
]

#: Whether the loops run side by side in threads: these hold the interpreter's lock.
THREADED = False


def columns_of(rows: CsrRows, order: NDArray[np.int64]) -> Columns:
    """See `ktt_models.sklearn.solvers.columns.columns_of`."""
    place = np.empty(rows.n_rows, dtype=np.int64)
    place[order] = np.arange(rows.n_rows)
    kept = rows.data != 0
    column = rows.indices[kept]
    row = np.repeat(place, np.diff(rows.indptr))[kept]
    by_column = np.lexsort((row, column))
    starts = np.zeros(rows.n_columns + 1, dtype=np.int64)
    np.cumsum(np.bincount(column, minlength=rows.n_columns), out=starts[1:])
    entries = np.zeros((len(column), 2), dtype=np.int32)
    values = entries.view(np.float32)
    entries[:, 0] = row[by_column]
    values[:, 1] = rows.data[kept][by_column]
    return Columns(starts, entries, values)


def scan_level(
    starts: Any, rows: Any, values: Any, nodes: Any, row_keys: Any, least_rows: int,
    feature_ends: Any, pair_node: Any, pair_group: Any, pair_value: Any,
    group_node: Any, group_begin: Any, group_rows: Any, group_size: Any, group_squares: Any,
    group_print: Any, row_entries: Any,
) -> tuple[int, int]:  # fmt: skip
    """See `ktt_models.sklearn.solvers.grouping.scan_level`."""
    feature_ends[:] = 0
    if not len(rows):
        return 0, 0
    entry_row, entry_value = rows[:, 0], values[:, 1]
    feature = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    node = nodes[entry_row]
    # A pair's entries are neighbours.
    is_first = np.append(True, (feature[1:] != feature[:-1]) | (node[1:] != node[:-1]))
    begin = np.flatnonzero(is_first)
    n_rows = np.diff(np.append(begin, len(entry_row)))
    inverse = 1 / entry_value[begin].astype(np.float64)
    ratio = (entry_value * np.repeat(inverse, n_rows)).astype(np.float32).view(np.int32)
    prints = np.add.reduceat(row_keys[entry_row] * ((ratio.astype(np.int64) + 2048) >> 12), begin)
    kept = (node[begin] >= 0) & (n_rows >= least_rows)
    begin, n_rows, prints = begin[kept], n_rows[kept], prints[kept]
    n_pairs = len(begin)
    np.cumsum(np.bincount(feature[begin], minlength=len(feature_ends)), out=feature_ends)
    its_node, value = node[begin], entry_value[begin]
    # What only one row has is one group for each row.
    lone = n_rows == 1
    of = np.where(lone, -1 - entry_row[begin].astype(np.int64), its_node)
    within = np.where(lone, 0, prints)
    order = np.lexsort((within, of))
    differs = (of[order][1:] != of[order][:-1]) | (within[order][1:] != within[order][:-1])
    group_in_order = np.cumsum(np.append(False, differs)) if n_pairs else np.zeros(0, np.int64)
    first = order[np.append(True, differs)] if n_pairs else order
    # Groups are numbered as their first pairs come.
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    group = np.empty(n_pairs, dtype=np.int64)
    group[order] = number[group_in_order]
    first = np.sort(first)
    n_groups = len(first)
    pair_node[:n_pairs], pair_group[:n_pairs], pair_value[:n_pairs] = its_node, group, value
    group_node[:n_groups], group_begin[:n_groups] = its_node[first], begin[first]
    group_rows[:n_groups], group_print[:n_groups] = n_rows[first], prints[first]
    group_size[:n_groups] = np.bincount(group, minlength=n_groups)
    group_squares[:n_groups] = 0
    np.add.at(group_squares, group, value * value)
    _, entry = expand_ranges(begin[first], n_rows[first])
    row_entries += np.bincount(entry_row[entry], minlength=len(row_entries))
    return n_pairs, n_groups


def number_groups(
    group_node: Any, group_rows: Any, group_size: Any, group_squares: Any, n_nodes: int,
    group_number: Any, sizes: Any, counts: Any,
) -> None:  # fmt: skip
    """See `ktt_models.sklearn.solvers.grouping.number_groups`."""
    by_node = np.argsort(group_node, kind="stable")
    group_number[by_node] = np.arange(len(by_node))
    sizes[:], counts[:] = group_size[by_node], group_rows[by_node]
    group_squares[:] = np.sqrt(group_squares / sizes[group_number])


def write_entries(
    rows: Any, values: Any, group_node: Any, group_begin: Any, group_rows: Any, group_size: Any,
    group_mean: Any, group_number: Any, node_first: Any, node_block: Any, node_stride: Any,
    next_entry: Any, entry_block: Any, entry_value: Any,
) -> None:  # fmt: skip
    """See `ktt_models.sklearn.solvers.grouping.write_entries`."""
    factor = group_size * group_mean.astype(np.float64) / values[group_begin, 1]
    in_node = group_number - node_first[group_node]
    block = node_block[group_node] + in_node * node_stride[group_node]
    group, entry = expand_ranges(group_begin, group_rows.astype(np.int64))
    row = rows[entry, 0]
    by_row = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=len(next_entry))
    _, place = expand_ranges(next_entry, counts)
    next_entry += counts
    entry_block[place, 0] = block[group[by_row]]
    entry_value[place, 1] = values[entry[by_row], 1] * factor[group[by_row]]


def sort_rows(order: Any, node_starts: Any, ordered: Any) -> None:
    """See `ktt_models.sklearn.solvers.node_kernels.sort_rows`."""
    ordered[:] = order[np.argsort(node_starts[order], kind="stable")]


def gradient_of(
    scores: NDArray[np.float32], target: int, huber: bool, weight: float
) -> tuple[NDArray[np.float32], float, float]:
    """Return the gradient of a row's loss, the gradient's squared length, and the loss."""
    if huber:
        sign = np.full(len(scores), -1, dtype=np.float32)
        sign[target] = 1
        margin = sign * scores
        gradient = np.where(margin >= -1, -2 * sign * (1 - margin), -4 * sign)
        gradient[margin >= 1] = 0
        gradient *= weight
        missing = np.maximum(1 - margin, 0)
        losses = np.where(margin >= -1, missing * missing, -4 * margin)
        return gradient, float(gradient @ gradient), float(losses.sum())
    largest = scores.max()
    loss = largest - scores[target]
    gradient = np.exp(scores - largest)
    total = gradient.sum()
    gradient /= total
    gradient[target] -= 1
    gradient *= weight
    return gradient, float(gradient @ gradient), float(loss) + math.log(total)


def level_epoch(
    starts: Any, entry_block: Any, entry_value: Any, ordered: Any, first_row: int, end_row: int,
    nodes: Any, targets: Any, row_weights: Any, resting: Any, node_first: Any, node_block: Any,
    sizes: Any, counts: Any, child_start: Any, child_count: Any,
    blocks: Any, total: Any, bias: Any, bias_squares: Any, bias_total: Any,
    learning_rate: float, alpha: float, huber: bool,
    first_square: float, first_bias_square: float, small: float, is_fresh: bool, n_summed: int,
) -> float:  # fmt: skip
    """See `ktt_models.sklearn.solvers.node_kernels.level_epoch`."""
    step_size, penalty = np.float32(learning_rate), np.float32(alpha)
    bias_step = np.float32(BIAS_STEP) * step_size
    total_loss = 0.0
    of_rows = nodes[ordered[first_row:end_row]]
    edges = np.flatnonzero(np.append(True, of_rows[1:] != of_rows[:-1])) + first_row
    for begin_row, last_row in zip(edges, [*edges[1:], end_row], strict=True):
        node = nodes[ordered[begin_row]]
        if node < 0:
            continue
        n_children = int(child_count[node])
        stride = (n_children + 4) // 4 * 4
        first_place, end_place = 4 * int(node_block[node]), 4 * int(node_block[node + 1])
        groups = slice(int(node_first[node]), int(node_first[node + 1]))
        children = slice(int(child_start[node]), int(child_start[node]) + n_children)
        block = blocks[first_place:end_place].reshape(-1, stride)
        node_bias, node_bias_squares = bias[children], bias_squares[children]
        if is_fresh:
            block[:] = 0
            block[:, 0] = first_square * sizes[groups] * sizes[groups]
            node_bias[:] = 0
            node_bias_squares[:] = first_bias_square
        # A node's rows are neighbours in any order.
        lowest = int(starts[begin_row])
        its_entries = slice(lowest, int(starts[last_row]))
        entry_group = (4 * entry_block[its_entries, 0].astype(np.int64) - first_place) // stride
        values = entry_value[its_entries, 1]
        shares = sizes[groups] / counts[groups] * penalty if penalty > 0 else None
        for row in ordered[begin_row:last_row].tolist():
            weight = row_weights[row]
            if resting[row] >= 0 and not is_fresh:
                total_loss += float(resting[row] * weight)
                resting[row] = -1
                continue
            entries = slice(int(starts[row]) - lowest, int(starts[row + 1]) - lowest)
            at, value = entry_group[entries], values[entries]
            own = block[at]
            scores = node_bias + (value @ own)[1 : 1 + n_children]
            gradient, squared, loss = gradient_of(scores, targets[row], huber, weight)
            total_loss += loss * float(weight)
            resting[row] = loss if squared < small else -1
            if squared < SMALL:
                continue
            node_bias_squares += gradient * gradient
            moved_bias = bias_step / np.sqrt(node_bias_squares) * gradient
            node_bias -= moved_bias
            sums = own[:, 0] + value * value * np.float32(squared)
            step = step_size / np.sqrt(sums)
            if shares is not None:
                shrink = 1 / (1 + step * shares[at])
                own *= shrink[:, None]
                step *= shrink
            step *= value
            own[:, 1 : 1 + n_children] -= step[:, None] * gradient
            own[:, 0] = sums
            block[at] = own
            after = scores - moved_bias - (step @ value) * gradient
            _, squared, loss = gradient_of(after, targets[row], huber, weight)
            resting[row] = loss if squared < small else -1
        if n_summed == 0:
            total[first_place:end_place] = blocks[first_place:end_place]
            bias_total[children] = node_bias
        elif n_summed > 0:
            total[first_place:end_place] += blocks[first_place:end_place]
            bias_total[children] += node_bias
    return total_loss


def write_weights(
    total: Any, n_summed: int, node_first: Any, node_block: Any, node_weight: Any,
    child_count: Any, weights: Any,
) -> None:  # fmt: skip
    """See `ktt_models.sklearn.solvers.node_kernels.write_weights`."""
    share = np.float32(1 / n_summed)
    for node in np.flatnonzero(np.diff(node_first)):
        n_children, to = int(child_count[node]), int(node_weight[node])
        block = total[4 * int(node_block[node]) : 4 * int(node_block[node + 1])]
        block = block.reshape(-1, (n_children + 4) // 4 * 4)
        # A copy first: both may be the same memory.
        mean = (block[:, 1 : 1 + n_children] * share).ravel()
        weights[to : to + len(mean)] = mean


def write_pairs(
    ends: Any, node: Any, group: Any, value: Any, group_mean: Any, group_number: Any,
    node_first: Any, node_weight: Any, child_count: Any,
    places: Any, pair_node: Any, pair_start: Any, pair_scale: Any,
) -> None:  # fmt: skip
    """See `ktt_models.sklearn.solvers.node_kernels.write_pairs`."""
    counts = np.diff(ends)
    _, place = expand_ranges(places, counts)
    in_node = group_number[group] - node_first[node]
    pair_node[place] = node
    pair_start[place] = node_weight[node] + in_node * child_count[node]
    pair_scale[place] = value / group_mean[group]
    places += counts
