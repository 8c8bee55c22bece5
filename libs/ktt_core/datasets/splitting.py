"""Detection of duplicates, and the stratified split, on arrays of a few bytes a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_repeats", "split_rows"]

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]

TRAIN, VAL, TEST = 0, 1, 2

_PARTS = 16

# Allows 16 million leaves; the other bits order a leaf's rows.
_LEAF_BITS = 24


def find_repeats(
    hashes: NDArray[np.int64], leaves: Int32
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find duplicate and conflicting texts.

    Parameters
    ----------
    hashes : ndarray of int64, shape (n,)
        Hashes of the texts, uniformly distributed.
    leaves : ndarray of int32, shape (n,)

    Returns
    -------
    repeated : ndarray of bool, shape (n,)
        Rows after the first with the same text and leaf.
    conflicting : ndarray of bool, shape (n,)
        All rows of a text that occurs with two or more leaves; none of them is in `repeated`.
    """
    repeated = np.zeros(len(hashes), dtype=bool)
    conflicting = np.zeros(len(hashes), dtype=bool)
    # Equal hashes are in the same part; sorting one part at a time bounds the memory.
    parts = (hashes & (_PARTS - 1)).astype(np.uint8)
    for part in range(_PARTS):
        rows = np.flatnonzero(parts == part)
        if len(rows):
            repeated[rows], conflicting[rows] = _repeats(hashes[rows], leaves[rows])
    return repeated, conflicting


def _repeats(
    hashes: NDArray[np.int64], leaves: Int32
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    order = np.argsort(hashes, kind="stable")
    hashes, leaves = hashes[order], leaves[order]
    first = np.append(True, hashes[1:] != hashes[:-1])
    # In a sorted group of equal texts, two different leaves differ between neighbours.
    changes = np.append(False, leaves[1:] != leaves[:-1]) & ~first
    starts = np.flatnonzero(first)
    in_conflict = np.logical_or.reduceat(changes, starts)
    in_conflict = np.repeat(in_conflict, np.diff(starts, append=len(hashes)))
    repeated, conflicting = np.empty_like(first), np.empty_like(first)
    conflicting[order] = in_conflict
    repeated[order] = ~first & ~in_conflict
    return repeated, conflicting


def split_rows(
    leaves: Int32, n_leaves: int, train_ratio: float, val_ratio: float, seed: int
) -> Int8:
    """Assign rows to train (0), val (1) and test (2), leaf by leaf.

    A leaf of 1 or 2 rows is entirely in train. Of a larger one, val and test get their share,
    rounded down or up so that the shares hold over all leaves together, and train gets the rest, at
    least one row. The rows are drawn with `seed`; the result depends on nothing else, not even on
    NumPy's version (raw PCG64 output is stable).

    Parameters
    ----------
    leaves : ndarray of int32, shape (n,)
        Each row's leaf, in [0, n_leaves).
    n_leaves : int
        At most 2**24.
    train_ratio, val_ratio : float
        Shares of the rows; test gets the rest.
    seed : int

    Returns
    -------
    ndarray of int8, shape (n,)
    """
    counts = np.bincount(leaves, minlength=n_leaves)
    test_ratio = round(max(0.0, 1.0 - train_ratio - val_ratio), 12)
    divisible = np.where(counts >= 3, counts, 0)
    val = _shares(divisible, val_ratio, phase=0.5)
    # Another phase than val's, so that a small leaf with a row in val need not have one in test.
    test = _shares(divisible, test_ratio, phase=0.0)
    # Train keeps at least one row for any ratios.
    excess = np.maximum(val + test - np.maximum(divisible - 1, 0), 0)
    from_test = np.minimum(excess, test)
    test -= from_test
    val -= excess - from_test

    # Sort keys: the leaf in the high bits, random bits below, so rows of a leaf are shuffled.
    keys = np.random.PCG64(seed).random_raw(len(leaves))
    keys >>= np.uint64(_LEAF_BITS)
    high = leaves.astype(np.uint64)
    high <<= np.uint64(64 - _LEAF_BITS)
    keys |= high
    del high
    order = np.argsort(keys, kind="stable")
    parts = np.stack([val, test, counts - val - test], axis=1)
    split = np.empty(len(leaves), dtype=np.int8)
    split[order] = np.repeat(
        np.tile(np.array([VAL, TEST, TRAIN], np.int8), n_leaves), parts.ravel()
    )
    return split


def _shares(counts: NDArray[np.int64], ratio: float, phase: float) -> NDArray[np.int64]:
    # Rounding the cumulative sum instead of each count keeps the total exact. The epsilon is for
    # totals such as 10 * 0.09999999999999998.
    total = np.floor(np.cumsum(counts) * ratio + phase + 1e-9).astype(np.int64)
    shares: NDArray[np.int64] = np.diff(total, prepend=int(np.floor(phase + 1e-9)))
    return shares
