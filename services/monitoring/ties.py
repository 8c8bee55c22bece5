"""Merging of values that differ by rounding only.

The last digits of the same text's values depend on the processor, the runtime and the other texts
of the batch. Rank tests see only that two values differ, not by how much: where many rows share a
value (a score of 1, a feature of a frequent text), a change of 1e-7 in all of them looks like
drift. So values closer than the computation's accuracy are made equal.

Values are grouped by the gaps between neighbours among all rows of reference and window. They are
not rounded to a grid, because a shared value near the border of two grid cells would be split. The
groups do not depend on which rows are the window's, as a permutation test requires.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAR", "first_near_largest", "merge_near_ties"]

#: Neighbours are merged if they differ by at most this part of the larger ...
NEAR = 1e-5
# ... or this part of the column's interquartile range: a value near 0 may be a difference of larger
# ones, with their absolute error.
_NEAR_OF_SPREAD = 1e-4
# With very many rows there are no gaps: a group is at most this many tolerances wide.
_WIDEST_GROUP = 32


def merge_near_ties(
    reference: NDArray[np.floating], window: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Give values of a column that differ by rounding only one value, the lowest of them.

    Parameters
    ----------
    reference, window : ndarray, shapes (n, k) and (w, k)
        Finite numbers.

    Returns
    -------
    reference, window : ndarray
        New arrays; the order of values that are further apart is kept.
    """
    pooled = np.concatenate([reference, window])
    if not len(pooled):
        return reference.copy(), window.copy()
    merged = np.empty_like(pooled)
    # One column at a time, to bound the memory of the intermediate arrays.
    for place in range(pooled.shape[1]):
        merged[:, place] = _merge_column(pooled[:, place])
    return merged[: len(reference)], merged[len(reference) :]


def first_near_largest(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return each row's first position whose score equals the largest, up to rounding.

    Parameters
    ----------
    scores : ndarray, shape (n, k)

    Returns
    -------
    ndarray of int, shape (n,)
    """
    largest = scores.max(axis=1, keepdims=True)
    near: NDArray[np.intp] = np.argmax(scores >= largest - NEAR * np.abs(largest), axis=1)
    return near


def _merge_column(column: NDArray[np.floating]) -> NDArray[np.floating]:
    order = np.argsort(column, kind="stable")
    # Differences of 32-bit numbers are exact in 64 bits.
    values = column[order].astype(np.float64)
    low, high = np.quantile(values, [0.25, 0.75])
    near = np.maximum(NEAR * np.abs(values), _NEAR_OF_SPREAD * (high - low))
    starts = np.ones(len(values), dtype=bool)
    starts[1:] = np.diff(values) > np.maximum(near[1:], near[:-1])
    first = _first_of_group(starts)
    widths = _WIDEST_GROUP * near[first]
    offsets = values - values[first]
    pieces = np.floor(np.divide(offsets, widths, out=np.zeros_like(offsets), where=widths > 0))
    starts[1:] |= np.diff(pieces) != 0
    merged = np.empty_like(column)
    merged[order] = values[_first_of_group(starts)]
    return merged


def _first_of_group(starts: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each position that of the first in its group."""
    first: NDArray[np.intp] = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    return first
