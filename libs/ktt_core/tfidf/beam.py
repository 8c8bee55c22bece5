"""Beam search in the taxonomy: a row's features are looked up only at nodes it may reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, expand_ranges

__all__ = ["beam_search"]

# (feature, node) pairs per lookup.
_LOOKUPS = 1 << 21

Normalise = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]
Beam = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def beam_search(
    weights: BlockWeights, normalise: Normalise, rows: CsrRows, top_k: int, width: int | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """See `ktt_core.tfidf.scorer.HierarchicalScorer.beam`.

    A path is never more probable than its first nodes. So the result is exact if no dropped node is
    more probable than the last returned leaf; other rows are searched again with a wider beam.
    """
    if top_k < 1 or (width is not None and width < 1):
        raise InvalidArgumentError(f"top_k ({top_k}) and width ({width}) must be at least 1")
    n_leaves = weights.layout.taxonomy.n_leaves
    top_k = min(top_k, n_leaves)
    leaves = np.zeros((rows.n_rows, top_k), dtype=np.int32)
    log_proba = np.full((rows.n_rows, top_k), -np.inf, dtype=np.float32)
    size = max(top_k, width if width is not None else max(4, 2 * top_k))
    todo = np.arange(rows.n_rows)
    while len(todo):
        entries = np.diff(rows.indptr)[todo]
        ends = np.cumsum((entries + 1) * size)
        begin, failed = 0, []
        while begin < len(todo):
            done = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + _LOOKUPS, side="right")))
            part = todo[begin:end]
            found, values, exact = _search(weights, normalise, rows, part, top_k, size)
            leaves[part], log_proba[part] = found, values
            failed.append(part[~exact])
            begin = end
        if width is not None or size >= n_leaves:
            break
        todo, size = np.concatenate(failed), size * 4
    return leaves, log_proba


def _search(
    weights: BlockWeights,
    normalise: Normalise,
    rows: CsrRows,
    part: NDArray[np.int64],
    top_k: int,
    size: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.bool_]]:
    """Search for the rows of `part`; also tell for each whether the result is exact."""
    taxonomy = weights.layout.taxonomy
    n = len(part)
    beam: Beam = (np.arange(n), np.zeros(n, dtype=np.int64), np.zeros(n))
    dropped = np.full(n, -np.inf)
    for level in range(taxonomy.depth):
        row, child, log_proba = _expand(weights, normalise, rows, part, beam)
        # Best first within each row; ties in the order of classes.
        order = np.lexsort((child, -log_proba, row))
        row, child, log_proba = row[order], child[order], log_proba[order]
        first = np.searchsorted(row, np.arange(n))
        rank = np.arange(len(row)) - first[row]
        keep = rank < (top_k if level == taxonomy.depth - 1 else size)
        if level < taxonomy.depth - 1:
            np.maximum.at(dropped, row[~keep], log_proba[~keep])
        beam = (row[keep], child[keep] + 1, log_proba[keep])
        rank = rank[keep]
    row, node, log_proba = beam
    leaves = np.zeros((n, top_k), dtype=np.int32)
    values = np.full((n, top_k), -np.inf, dtype=np.float32)
    leaves[row, rank] = node - 1 - int(taxonomy.level_offsets[-2])
    values[row, rank] = log_proba
    return leaves, values, values[:, -1] >= dropped


def _expand(
    weights: BlockWeights,
    normalise: Normalise,
    rows: CsrRows,
    part: NDArray[np.int64],
    beam: Beam,
) -> Beam:
    """All children of a beam's nodes: row, class, log-probability of the path so far."""
    layout = weights.layout
    row, node, log_proba = beam
    counts = layout.child_count[node]
    starts = np.cumsum(counts) - counts
    owner, child = expand_ranges(layout.child_start[node], counts)
    scores = weights.bias[child].astype(np.float64)
    deciding = np.flatnonzero(counts > 1)
    entry_start = rows.indptr[part[row[deciding]]]
    item, entry = expand_ranges(entry_start, rows.indptr[part[row[deciding]] + 1] - entry_start)
    item = deciding[item]
    keys = rows.indices[entry] * np.int64(layout.n_nodes) + node[item]
    if len(weights.pair_keys) and len(keys):
        place = np.minimum(np.searchsorted(weights.pair_keys, keys), len(weights.pair_keys) - 1)
        hit = weights.pair_keys[place] == keys
        item, entry, place = item[hit], entry[hit], place[hit]
        block, sibling, value = weights.gather(place, rows.data[entry])
        position = sibling + starts[item][block]
        scores += np.bincount(position, weights=value, minlength=len(scores))
    return row[owner], child, normalise(scores, starts) + log_proba[owner]
