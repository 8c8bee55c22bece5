"""Which features weigh in at which node, and which of them training cannot tell apart.

Most pairs of a feature and a node are not alone: the n-grams of a word that only a few of the
node's rows have stand in the same rows, in the same proportion to each other from row to row. Their
gradients are then in that proportion too, and so stay their weights. Such pairs share one block of
weights, and a row has one entry for all of them: it takes a half to a third of the time, and a
fraction of the memory. What is shared too is AdaGrad's sum of squares, taken for the quadratic mean
of the pairs; with a sum of its own, a pair with a smaller value would step a little further.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["count_rows", "group_entries", "group_pairs", "index_level"]


@compiled(nogil=True)
def index_level(
    indptr: Any, indices: Any, data: Any, rows: Any, nodes: Any, row_keys: Any, n_features: int,
    entry_pair: Any,
) -> Any:  # fmt: skip
    """Give numbers to the (feature, node) pairs of one level, node by node.

    Parameters
    ----------
    rows : ndarray of int32
        The level's rows, sorted by node.
    nodes : ndarray of int32, shape (n,)
        Each row's node.
    row_keys : ndarray of int64, shape (n,)
        Random numbers.
    entry_pair : ndarray of int32, shape (entries,)
        Is overwritten: the pair of each entry of those rows.

    Returns
    -------
    pair_feature, pair_node : ndarray of int32, shape (pairs,)
    pair_value : ndarray of float32, shape (pairs,)
        The feature's value in the first of the node's rows that has it.
    pair_print : ndarray of int64, shape (pairs,)
        The same for two pairs of a node if their features are in the same rows and in the same
        proportion to each other in each; else different, but for one chance in 2^63.
    """
    n_entries = 1
    for row in rows:
        n_entries += indptr[row + 1] - indptr[row]
    pair_feature = np.empty(n_entries, np.int32)
    pair_node = np.empty(n_entries, np.int32)
    pair_value = np.empty(n_entries, np.float32)
    pair_print = np.empty(n_entries, np.int64)
    # What a value is multiplied by to have its proportion to the first; 0 if that is 0.
    inverse = np.empty(n_entries, np.float32)
    pair_of = np.full(n_features, -1, np.int32)
    n_pairs = 0
    node, first = -1, 0
    for row in rows:
        if nodes[row] != node:
            node, first = nodes[row], n_pairs
        key = row_keys[row]
        for entry in range(indptr[row], indptr[row + 1]):
            feature, value = indices[entry], data[entry]
            # What the pair would be if it were new; written always, for whether it is new no
            # processor foresees.
            pair_feature[n_pairs], pair_node[n_pairs] = feature, node
            pair_value[n_pairs], pair_print[n_pairs] = value, 0
            inverse[n_pairs] = 1 / value if value != 0 else value
            pair = pair_of[feature]
            # Pairs before the node's first are of nodes that are done.
            is_new = pair < first
            pair = n_pairs if is_new else pair
            n_pairs += is_new
            pair_of[feature] = pair
            entry_pair[entry] = pair
            # The proportion's upper bits, rounded: a relative precision of 2^-11.
            bits = np.int64(np.float32(value * inverse[pair]).view(np.int32))
            pair_print[pair] += key * ((bits + 2048) >> 12)
    # Views: what was not written to takes no memory.
    return (
        pair_feature[:n_pairs],
        pair_node[:n_pairs],
        pair_value[:n_pairs],
        pair_print[:n_pairs],
    )


@compiled(nogil=True)
def count_rows(indptr: Any, nodes: Any, entry_pair: Any, n_pairs: int) -> Any:
    """Count in how many rows each pair occurs, shape (n_pairs,)."""
    counts = np.zeros(n_pairs, np.int32)
    for row in range(len(nodes)):
        if nodes[row] < 0:
            continue
        for entry in range(indptr[row], indptr[row + 1]):
            counts[entry_pair[entry]] += 1
    return counts


@compiled(nogil=True)
def group_pairs(
    pair_node: Any, pair_value: Any, pair_print: Any, kept: Any, child_count: Any
) -> Any:
    """Let pairs that training cannot tell apart share one block of weights.

    Parameters
    ----------
    pair_node, pair_value, pair_print
        As `index_level` returns them.
    kept : ndarray of bool, shape (pairs,)
        False: the pair gets no weights.
    child_count : ndarray of int64, shape (n_nodes,)

    Returns
    -------
    pair_block : ndarray of int32, shape (pairs,)
        Where the block starts, counted in fours of numbers; -1 if not kept.
    pair_scale : ndarray of float32, shape (pairs,)
        A pair's weights are the block's times this.
    leader_size : ndarray of int32, shape (pairs,)
        Of one pair of each block, the leader: how many share it; else 0.
    n_blocks : int
        Fours of numbers that all blocks take.
    """
    n_pairs = len(pair_node)
    pair_block = np.full(n_pairs, -1, np.int32)
    pair_scale = np.ones(n_pairs, np.float32)
    leader_size = np.zeros(n_pairs, np.int32)
    pair_leader = np.empty(n_pairs, np.int32)
    squares = np.empty(n_pairs, np.float32)
    n_blocks = 0
    table = np.empty(0, np.int32)
    begin = 0
    while begin < n_pairs:
        node = pair_node[begin]
        end = begin + 1
        while end < n_pairs and pair_node[end] == node:
            end += 1
        size = (child_count[node] + 4) // 4
        # Leaders by print, with open addressing; never more than half full.
        bits = 1
        while (1 << bits) < 2 * (end - begin):
            bits += 1
        n_places = 1 << bits
        if len(table) < n_places:
            table = np.empty(n_places, np.int32)
        table[:n_places] = -1
        for pair in range(begin, end):
            if not kept[pair]:
                continue
            leader = pair
            value = pair_value[pair]
            if value != 0:
                # Knuth's multiplicative hashing.
                mixed = np.uint64(pair_print[pair]) * np.uint64(0x9E3779B97F4A7C15)
                place = np.int64(mixed >> np.uint64(64 - bits))
                while table[place] >= 0 and pair_print[table[place]] != pair_print[pair]:
                    place = (place + 1) & (n_places - 1)
                if table[place] < 0:
                    table[place] = pair
                leader = table[place]
            pair_leader[pair] = leader
            if leader == pair:
                pair_block[pair] = n_blocks
                n_blocks += size
                squares[pair] = 0
            pair_block[pair] = pair_block[leader]
            leader_size[leader] += 1
            squares[leader] += value * value
        for pair in range(begin, end):
            if kept[pair]:
                leader = pair_leader[pair]
                if leader_size[leader] > 1:
                    mean = np.sqrt(squares[leader] / leader_size[leader])
                    pair_scale[pair] = pair_value[pair] / mean
        begin = end
    return pair_block, pair_scale, leader_size, n_blocks


@compiled(nogil=True)
def group_entries(
    indptr: Any, data: Any, nodes: Any, entry_pair: Any,
    pair_block: Any, pair_scale: Any, leader_size: Any,
) -> Any:  # fmt: skip
    """Return rows' entries, one for all pairs that share a block.

    Returns
    -------
    starts : ndarray of int64, shape (n + 1,)
        Row i's entries are ``[starts[i], starts[i + 1])``.
    entry_block : ndarray of int32
    sums : ndarray of float32
        What the block's weights are to be multiplied by in the score: the sum over its pairs of
        value times scale.
    values : ndarray of float32
        The same over the number of pairs: what multiplies the gradient.
    """
    n_rows = len(nodes)
    starts = np.zeros(n_rows + 1, np.int64)
    entry_block = np.empty(len(data) + 1, np.int32)
    sums = np.empty(len(data) + 1, np.float32)
    values = np.empty(len(data) + 1, np.float32)
    # What is read of a pair lies together, and little of it: the places are anywhere.
    leader_block = np.where(leader_size > 0, pair_block, np.int32(-1))
    factors = np.empty((len(pair_block), 2), np.float32)
    for pair in range(len(pair_block)):
        factors[pair, 0] = 1 / pair_scale[pair]
        factors[pair, 1] = leader_size[pair] / pair_scale[pair]
    place = 0
    for row in range(n_rows):
        if nodes[row] >= 0:
            for entry in range(indptr[row], indptr[row + 1]):
                pair = entry_pair[entry]
                # Written always, as above.
                entry_block[place] = leader_block[pair]
                values[place] = data[entry] * factors[pair, 0]
                sums[place] = data[entry] * factors[pair, 1]
                place += leader_block[pair] >= 0
        starts[row + 1] = place
    # Views: what was not written to takes no memory.
    return starts, entry_block[:place], sums[:place], values[:place]
