"""Values that are equal but for rounding are made equal.

The same text is not computed to the same last digits everywhere: another processor, another runtime
or other texts beside it change them. Rank tests see no size of a difference, only that two values
are apart: where many rows share a value (a score of 1, a feature of a text that comes often), a
change of 1e-7 in all of them looks like drift. So values closer than any computation tells apart
are taken for one.

They are grouped by the gaps between neighbours among all rows, of reference and window, and not
rounded to a grid: a value that many rows share may lie on the border of two cells of a grid, and
its rows then fall into either. Which of the rows are the window's makes no difference to the
groups, as a test by reshuffling needs it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAR", "first_near_largest", "merge_near_ties"]

#: Neighbours are one if they differ by at most this part of the larger ...
NEAR = 1e-5
# ... or this part of the range of the column's middle half: a value near 0 may be the rest of a sum
# of larger ones, and has their error.
_NEAR_OF_SPREAD = 1e-4
# Very many rows leave no gaps: a group ends after so many times what is near.
_WIDEST_GROUP = 32


def merge_near_ties(
    reference: NDArray[np.floating], window: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Give values of a column that differ by rounding alone one value, the lowest of them.

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
    # One at a time: what it takes meanwhile is many times a column.
    for place in range(pooled.shape[1]):
        merged[:, place] = _merge_column(pooled[:, place])
    return merged[: len(reference)], merged[len(reference) :]


def first_near_largest(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return each row's first place whose score is the largest, but for rounding.

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
    """Return for each place that of its group's first."""
    first: NDArray[np.intp] = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    return first
