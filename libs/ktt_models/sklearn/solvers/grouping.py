"""Pairs of features and nodes, grouped where training cannot distinguish them.

Most pairs of a feature and a node are not alone: the n-grams of a word that only a few of the
node's rows have stand in the same rows, in the same proportion to each other from row to row. Their
gradients are then in that proportion too, and so stay their weights. Such pairs are a group and
share one block of weights: it takes a half to a third of the time, and a fraction of the memory.
What is shared too is AdaGrad's sum of squares, taken for the quadratic mean of the pairs; with a
sum of its own, a pair with a smaller value would step a little further.

Rows are sorted by path here, so a feature's rows at a node are neighbours in its column, and the
pairs of a level come out feature by feature.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["number_groups", "scan_level", "write_entries"]

# Initial size of the table of groups: a power of two.
_PLACES = 1 << 12


@compiled(nogil=True, inline="always")
def _place(found: int, bits: int) -> Any:
    """Knuth's multiplicative hashing."""
    return np.int64((np.uint64(found) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits))


@compiled(nogil=True)
def _twice_as_large(table: Any, group_print: Any, bits: int) -> Any:
    larger = np.full(1 << bits, -1, np.int32)
    for group in table:
        if group >= 0:
            place = _place(group_print[group], bits)
            while larger[place] >= 0:
                place = (place + 1) & (len(larger) - 1)
            larger[place] = group
    return larger


@compiled(nogil=True)
def scan_level(
    starts: Any, rows: Any, values: Any, nodes: Any, row_keys: Any, least_rows: int,
    feature_ends: Any, pair_node: Any, pair_group: Any, pair_value: Any,
    group_node: Any, group_begin: Any, group_rows: Any, group_size: Any, group_squares: Any,
    group_print: Any, row_entries: Any,
) -> Any:  # fmt: skip
    """Find the (feature, node) pairs of one level, and which of them make a group.

    Parameters
    ----------
    starts, rows, values
        `ktt_models.sklearn.solvers.columns.Columns`.
    nodes : ndarray of int32, shape (n,)
        Each row's node, ascending but for -1, where there is nothing to decide.
    row_keys : ndarray of int64, shape (n,)
        Random numbers.
    least_rows : int
        Pairs in fewer rows are left out.
    feature_ends : ndarray of int64, shape (n_features,)
        Is overwritten, as the following are: the number of pairs up to each feature's last.
    pair_node, pair_group : ndarray of int32
    pair_value : ndarray of float32
        The feature's value in the first of the node's rows that has it.
    group_node, group_rows, group_size : ndarray of int32
        A group's node, how many rows it is in, and how many pairs it has.
    group_begin : ndarray of int64
        The place of the first of the entries of its first pair.
    group_squares : ndarray of float32
        The sum of the squares of its pairs' values.
    group_print : ndarray of int64
        The same for two pairs of a node if their features are in the same rows and in the same
        proportion to each other in each; else different, but for one chance in 2^63.
    row_entries : ndarray of int64, shape (n,)
        The groups that a row is in are added.

    Returns
    -------
    n_pairs, n_groups : int
    """
    n_pairs, n_groups, n_in_table = 0, 0, 0
    bits = 0
    while (1 << bits) < _PLACES:
        bits += 1
    table = np.full(_PLACES, -1, np.int32)
    # What only one row has is one group for each row, and needs no table.
    lone = np.full(len(nodes), -1, np.int32)
    for feature in range(len(starts) - 1):
        entry, end = starts[feature], starts[feature + 1]
        while entry < end:
            begin, first = entry, rows[entry, 0]
            node, value = nodes[first], values[entry, 1]
            inverse = 1 / value
            found = np.int64(0)
            while entry < end and nodes[rows[entry, 0]] == node:
                # The proportion's upper bits, rounded: a relative precision of 2^-11.
                ratio = np.int64(np.float32(values[entry, 1] * inverse).view(np.int32))
                found += row_keys[rows[entry, 0]] * ((ratio + 2048) >> 12)
                entry += 1
            n_rows = entry - begin
            if node < 0 or n_rows < least_rows:
                continue
            place = np.int64(-1)
            if n_rows == 1:
                group = lone[first]
            else:
                place = _place(found, bits)
                group = table[place]
                while group >= 0 and (group_print[group] != found or group_node[group] != node):
                    place = (place + 1) & (len(table) - 1)
                    group = table[place]
            if group < 0:
                group = n_groups
                n_groups += 1
                group_node[group], group_begin[group], group_rows[group] = node, begin, n_rows
                group_size[group], group_squares[group], group_print[group] = 0, 0, found
                for its in range(begin, entry):
                    row_entries[rows[its, 0]] += 1
                if place < 0:
                    lone[first] = group
                else:
                    table[place] = group
                    n_in_table += 1
                    if 2 * n_in_table > len(table):
                        bits += 1
                        table = _twice_as_large(table, group_print, bits)
            group_size[group] += 1
            group_squares[group] += value * value
            pair_node[n_pairs], pair_group[n_pairs], pair_value[n_pairs] = node, group, value
            n_pairs += 1
        feature_ends[feature] = n_pairs
    return n_pairs, n_groups


@compiled(nogil=True)
def number_groups(
    group_node: Any, group_rows: Any, group_size: Any, group_squares: Any, n_nodes: int,
    group_number: Any, sizes: Any, counts: Any,
) -> None:  # fmt: skip
    """Assign numbers to the groups, node by node.

    Parameters
    ----------
    group_squares : ndarray of float32, shape (groups,)
        Is overwritten with what a pair's value is divided by to have its scale: a pair's weights
        are the group's times the scale. It is the quadratic mean of the pairs' values.
    group_number : ndarray of int32, shape (groups,)
        Is overwritten: a group's new number.
    sizes, counts : ndarray of float32, shape (groups,)
        Are overwritten, by the new number: a group's pairs, and its rows.
    """
    next_number = np.zeros(n_nodes + 1, np.int64)
    for group in range(len(group_number)):
        next_number[group_node[group] + 1] += 1
    next_number = np.cumsum(next_number)
    for group in range(len(group_number)):
        number = next_number[group_node[group]]
        next_number[group_node[group]] = number + 1
        group_number[group] = number
        sizes[number], counts[number] = group_size[group], group_rows[group]
        group_squares[group] = np.sqrt(group_squares[group] / sizes[number])


@compiled(nogil=True)
def write_entries(
    rows: Any, values: Any, group_node: Any, group_begin: Any, group_rows: Any, group_size: Any,
    group_mean: Any, group_number: Any, node_first: Any, node_block: Any, node_stride: Any,
    next_entry: Any, entry_block: Any, entry_value: Any,
) -> None:  # fmt: skip
    """Write each row's entries, one for all pairs of a group.

    Parameters
    ----------
    group_mean : ndarray of float32, shape (groups,)
        What `number_groups` wrote to `group_squares`.
    node_first, node_block, node_stride : ndarray of int64, shape (n_nodes,)
        The number of a node's first group, where that one's block is, and from one to the next;
        these two counted in fours of numbers.
    next_entry : ndarray of int64, shape (n,)
        Where a row's entries begin; is counted on.
    entry_block : ndarray of int32, shape (entries, 2)
        Is overwritten, in the first column: the block's place, in fours.
    entry_value : ndarray of float32, shape (entries, 2)
        Is overwritten, in the second: the sum over the group's pairs of value times scale.
    """
    for group in range(len(group_number)):
        node, begin = group_node[group], group_begin[group]
        factor = group_size[group] * group_mean[group] / values[begin, 1]
        block = node_block[node] + (group_number[group] - node_first[node]) * node_stride[node]
        for entry in range(begin, begin + group_rows[group]):
            place = next_entry[rows[entry, 0]]
            next_entry[rows[entry, 0]] = place + 1
            entry_block[place, 0] = block
            entry_value[place, 1] = values[entry, 1] * factor
