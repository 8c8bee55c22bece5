"""The most probable paths of the taxonomy, cut where their probability is too low."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding.results import Predictions
from ktt_core.decoding.scores import (
    LevelScores,
    check_levels,
    exponentials,
    fill_class_proba,
    inverse_temperature,
    is_number,
    leaf_scores,
    row_blocks,
    row_maxima,
)
from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy

__all__ = ["best_classes", "decode", "is_path", "top_leaves"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

# The search for a threshold stops at this number of maxima per row; more make it tighter.
_MIN_MAXIMA = 64


def decode(
    levels: LevelScores,
    taxonomy: Taxonomy,
    *,
    top_k: int = 1,
    min_confidence: float = 0.0,
    temperature: float = 1.0,
    decoding: Literal["path", "independent"] = "path",
    block_rows: int | None = None,
) -> Predictions:
    """Find the most probable paths for rows of scores.

    Parameters
    ----------
    levels : sequence of ndarray
        One array of scores per level, shape (n, n_h), or one of leaf scores, shape (n, n_leaves).
    taxonomy : Taxonomy
    top_k : int
        Paths per row, at most all leaves. Ties go to the lowest leaf index.
    min_confidence : float
        In [0, 1]. Each path is cut below its deepest class whose probability (the sum over its
        leaves) reaches this. With 0, all paths end in a leaf.
    temperature : float
        Divides the path scores before the softmax.
    decoding : {"path", "independent"}
        "path": the most probable root-to-leaf paths. "independent": the best class of each level
        separately, which need not form a path (see `Predictions.valid`); its probability is that
        of its class on the last level. It requires ``top_k=1`` and ``min_confidence=0``.
    block_rows : int, optional
        Rows processed at once; by default as many as fit the cache.

    Returns
    -------
    Predictions
        With k = min(top_k, n_leaves).

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, shapes do not match the taxonomy, or a row of scores holds
        NaN, ``+inf`` or only ``-inf``.

    Notes
    -----
    Time is linear in the number of scores, apart from the k results; temporary memory is a few
    blocks of 1 MiB.
    """
    _check_options(top_k, min_confidence, decoding, block_rows)
    arrays = check_levels(levels, taxonomy)
    beta = inverse_temperature(temperature)
    n_rows, depth = len(arrays[0]), taxonomy.depth
    k = min(top_k, taxonomy.n_leaves)
    codes = np.empty((n_rows, k, depth), dtype=np.int32)
    probabilities = np.empty((n_rows, k), dtype=np.float32)
    stops = np.empty((n_rows, k), dtype=np.int32)
    for rows in row_blocks(n_rows, taxonomy.n_leaves, block_rows):
        scores = leaf_scores(arrays, rows, taxonomy, beta)
        largest = row_maxima(scores, rows.start)
        powers, log_sum = exponentials(scores, largest)
        if decoding == "independent":
            codes[rows, 0] = _best_per_level(arrays, rows, powers, taxonomy)
            probabilities[rows, 0] = _leaf_proba(scores, log_sum, codes[rows, :, -1])[:, 0]
            stops[rows, 0] = depth - 1
            continue
        leaves = top_leaves(scores, k)
        codes[rows] = taxonomy.leaf_codes[leaves]
        probabilities[rows] = _leaf_proba(scores, log_sum, leaves)
        stops[rows] = _last_real_levels(codes[rows], taxonomy)
        if min_confidence > 0.0:
            powers /= powers.sum(axis=1)[:, None]
            _stop_early(
                powers, taxonomy, min_confidence, codes[rows], probabilities[rows], stops[rows]
            )
    return Predictions(taxonomy, codes, probabilities, stops, is_path(codes, taxonomy))


def top_leaves(scores: FloatArray, k: int) -> IntArray:
    """Return every row's k best columns, best first, ties to the lowest; shape (rows, k).

    A lower bound of the k-th best score is found without sorting: the k-th largest of the maxima of
    disjoint groups of columns, since k groups hold a score that high. Only the few scores that
    reach it are sorted.
    """
    n_rows, width = scores.shape
    if k == 1:
        return scores.argmax(axis=1).astype(np.int32)[:, None]
    maxima = scores
    while maxima.shape[1] >= 2 * max(_MIN_MAXIMA, 4 * k):
        half = maxima.shape[1] // 2
        # An odd last column may be left out: fewer groups only lower the bound.
        maxima = np.maximum(maxima[:, :half], maxima[:, half : 2 * half])
    count = maxima.shape[1]
    threshold = np.partition(maxima, count - k, axis=1)[:, count - k, None]
    found = np.flatnonzero(scores >= threshold)
    rows, columns = np.divmod(found, width)
    # A stable sort within rows: equal scores keep the order of their columns.
    order = np.lexsort((-scores.ravel()[found], rows))
    firsts = np.searchsorted(rows, np.arange(n_rows))
    return columns[order][firsts[:, None] + np.arange(k)].astype(np.int32)


def _check_options(
    top_k: int, min_confidence: float, decoding: str, block_rows: int | None
) -> None:
    if isinstance(top_k, bool) or not isinstance(top_k, (int, np.integer)) or top_k < 1:
        raise InvalidArgumentError(f"top_k is a whole number of at least 1, not {top_k!r}")
    if not (is_number(min_confidence) and 0.0 <= min_confidence <= 1.0):
        raise InvalidArgumentError(
            f"min_confidence is a number from 0 to 1, not {min_confidence!r}"
        )
    if block_rows is not None and not (is_number(block_rows) and block_rows >= 1):
        raise InvalidArgumentError(f"block_rows is at least 1, not {block_rows!r}")
    if decoding not in ("path", "independent"):
        raise InvalidArgumentError(f'decoding is "path" or "independent", not {decoding!r}')
    if decoding == "independent" and (top_k != 1 or min_confidence > 0.0):
        raise InvalidArgumentError(
            'decoding="independent" gives one path, down to the last level: use it with top_k=1 '
            "and min_confidence=0"
        )


def _last_real_levels(codes: IntArray, taxonomy: Taxonomy) -> IntArray:
    """Return the level of the deepest real class of paths, shape (..., depth) -> (...)."""
    real = ~taxonomy.hidden[taxonomy.level_offsets[:-1] + codes]
    # Padding classes are below real ones only.
    return (real.sum(axis=-1) - 1).astype(np.int32)


def _leaf_proba(scores: FloatArray, log_sum: FloatArray, leaves: IntArray) -> FloatArray:
    log_proba = np.take_along_axis(scores, leaves.astype(np.intp), axis=1) - log_sum[:, None]
    return np.minimum(np.exp(log_proba), np.float32(1.0))


def _stop_early(
    leaf_proba: FloatArray,
    taxonomy: Taxonomy,
    min_confidence: float,
    codes: IntArray,
    probabilities: FloatArray,
    stops: IntArray,
) -> None:
    """Cut the paths of a block where their probability falls below the minimum, in place."""
    proba = np.empty((len(leaf_proba), taxonomy.n_classes), dtype=np.float32)
    fill_class_proba(leaf_proba, taxonomy, proba)
    row = np.arange(len(proba))[:, None, None]
    along = proba[row, taxonomy.level_offsets[:-1] + codes]
    # Probabilities never rise along a path, so the classes that reach the minimum come first.
    reached = (along >= min_confidence).sum(axis=2).astype(np.int32) - 1
    cut = reached < taxonomy.depth - 1
    at = np.take_along_axis(along, np.maximum(reached, 0)[:, :, None].astype(np.intp), axis=2)[
        :, :, 0
    ]
    probabilities[...] = np.where(cut, np.where(reached < 0, 1.0, at), along[:, :, -1])
    np.minimum(stops, reached, out=stops)


def _best_per_level(
    arrays: list[NDArray[np.floating]], rows: slice, powers: FloatArray, taxonomy: Taxonomy
) -> IntArray:
    """Return the best class of each level separately, shape (rows, depth)."""
    if len(arrays) == taxonomy.depth:
        best = [array[rows].argmax(axis=1) for array in arrays]
    else:
        # With leaf scores only: by the sums of leaf probabilities.
        proba = np.empty((len(powers), taxonomy.n_classes), dtype=np.float32)
        fill_class_proba(powers / powers.sum(axis=1)[:, None], taxonomy, proba)
        best = best_classes(proba, taxonomy)
    return np.stack(best, axis=1).astype(np.int32)


def best_classes(proba: FloatArray, taxonomy: Taxonomy) -> list[NDArray[np.intp]]:
    """Return every level's most probable class, from class probabilities of shape (rows, C)."""
    offsets = taxonomy.level_offsets
    return [
        proba[:, offsets[level] : offsets[level + 1]].argmax(axis=1)
        for level in range(taxonomy.depth)
    ]


def is_path(codes: NDArray[np.integer], taxonomy: Taxonomy) -> BoolArray:
    """Tell which codes, shape (..., depth), form a path: each class is the parent of the next."""
    valid = np.ones(codes.shape[:-1], dtype=bool)
    for level in range(1, taxonomy.depth):
        valid &= taxonomy.parent_of[level][codes[..., level]] == codes[..., level - 1]
    return valid
