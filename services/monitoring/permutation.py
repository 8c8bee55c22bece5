"""Permutation tests of a window against the reference.

Without drift, window and reference are rows of one source, so any other choice of as many rows from
both together is as likely to be the window. A test that compares the observed statistic with those
of random choices keeps its false alarm rate for any distribution, ties and correlations of the
columns, however few the rows and rare the classes (Good, "Permutation, Parametric and Bootstrap
Tests of Hypotheses", 2005; for the largest of several statistics: Westfall and Young,
"Resampling-Based Multiple Testing", 1993).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

__all__ = ["ROUNDS", "class_shift_p_value", "ks_threshold"]

#: Random choices that the observed statistic is compared with.
ROUNDS = 999

# Fixed, so that the same window and reference always give the same result.
_SEED = 20_260_131
# Cells of one block of choices; bounds the memory.
_CELLS_AT_ONCE = 2_000_000


def ks_threshold(
    reference: NDArray[np.floating], window: NDArray[np.floating], rate: float
) -> float:
    """Find the threshold for the smallest of the columns' p-values.

    Each column is compared by the two-sample Kolmogorov-Smirnov test. Without drift, the
    probability that any column's p-value is at most the threshold is at most `rate`: a family-wise
    error rate for the window, not one per column.

    Parameters
    ----------
    reference : ndarray, shape (n, k)
    window : ndarray, shape (w, k)
    rate : float
        In (0, 1).

    Returns
    -------
    float
        To be used as ``p <= threshold`` with the p-values of `scipy.stats.ks_2samp`.
    """
    pooled = np.concatenate([reference, window])
    n_window, n_columns = window.shape
    below, up_to = _pooled_ranks(pooled)
    largest = np.empty(ROUNDS)
    column_of = np.empty(ROUNDS, dtype=np.intp)
    chosen = np.empty((ROUNDS, n_window), dtype=np.int32)
    done = 0
    for choice in _choices(len(pooled), n_window, n_columns):
        distances = _distances(choice, below, up_to, len(reference))
        block = slice(done, done + len(choice))
        largest[block], column_of[block] = distances.max(axis=1), distances.argmax(axis=1)
        chosen[block] = choice
        done += len(choice)
    # An alarm is a distance that at most `allowed` choices reach: with the window's own, it is then
    # among the largest rate * (ROUNDS + 1) of ROUNDS + 1.
    allowed = max(0, int(np.floor(rate * (ROUNDS + 1) + 1e-9)) - 1)
    # So it exceeds the distance of the choice `limit`, and its p-value is below that choice's.
    limit = np.argsort(-largest, kind="stable")[allowed]
    column = pooled[:, column_of[limit]]
    is_window = np.zeros(len(pooled), dtype=bool)
    is_window[chosen[limit]] = True
    p_value = float(ks_2samp(column[~is_window], column[is_window]).pvalue)
    return p_value * (1 - 1e-9)


def class_shift_p_value(reference: NDArray[np.integer], window: NDArray[np.integer]) -> float:
    """Test whether a window's classes are distributed as the reference's.

    The statistic is the likelihood ratio (G) of the two-by-classes table; its p-value is the share
    of choices that reach it. Unlike the chi-square approximation it is valid where most classes
    have an expected count below 1 in a window.

    Parameters
    ----------
    reference : ndarray of int, shape (n,)
        Classes, from 0.
    window : ndarray of int, shape (w,)

    Returns
    -------
    float
        In [1 / (ROUNDS + 1), 1].
    """
    pooled = np.concatenate([reference, window]).astype(np.int64)
    n_window = len(window)
    counts = np.bincount(pooled)
    seen = _g_statistics(window[np.newaxis], counts)[0]
    reached = 0
    for choice in _choices(len(pooled), n_window, 1):
        reached += int(np.sum(_g_statistics(pooled[choice], counts) >= seen - 1e-9))
    return (reached + 1) / (ROUNDS + 1)


def _choices(n_pooled: int, n_window: int, n_columns: int) -> Iterator[NDArray[np.intp]]:
    """Draw windows from all rows: blocks of shape (b, n_window), `ROUNDS` rows in all."""
    rng = np.random.default_rng(_SEED)
    at_once = max(1, min(ROUNDS, _CELLS_AT_ONCE // (n_window * n_columns)))
    for start in range(0, ROUNDS, at_once):
        yield np.stack(
            [
                rng.choice(n_pooled, size=n_window, replace=False, shuffle=False)
                for _ in range(min(at_once, ROUNDS - start))
            ]
        )


def _pooled_ranks(pooled: NDArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count, for each cell, the values of its column below it and up to it; shapes (N, k)."""
    below = np.empty(pooled.shape, dtype=np.int32)
    up_to = np.empty(pooled.shape, dtype=np.int32)
    for column in range(pooled.shape[1]):
        _, places, counts = np.unique(pooled[:, column], return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        up_to[:, column] = ends[places]
        below[:, column] = (ends - counts)[places]
    return below, up_to


def _distances(
    choice: NDArray[np.intp], below: NDArray[np.int32], up_to: NDArray[np.int32], n_reference: int
) -> NDArray[np.float64]:
    """Give the Kolmogorov-Smirnov distance of each choice from the rest, by column.

    The choice's distribution function steps at its own values only, and that of the rest never
    falls, so the supremum is at one of the choice's values or just below one. Of equal values the
    last counts for the former and the first for the latter; the maximum over all includes both.
    """
    n_window = choice.shape[1]
    step = 1.0 / n_window + 1.0 / n_reference
    ranks = np.arange(n_window, dtype=np.float64)[:, np.newaxis]
    high = np.sort(up_to[choice], axis=1)
    low = np.sort(below[choice], axis=1)
    above = ((ranks + 1.0) * step - high / n_reference).max(axis=1)
    under = (low / n_reference - ranks * step).max(axis=1)
    return np.maximum(above, under)


def _g_statistics(windows: NDArray[np.integer], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the likelihood ratio of each window against the remaining rows.

    Parameters
    ----------
    windows : ndarray of int, shape (b, w)
    counts : ndarray of int
        Number of rows of each class, in window and reference together.
    """
    n_rounds, n_window = windows.shape
    n_pooled = counts.sum()
    n_rest = n_pooled - n_window
    keys = np.arange(n_rounds)[:, np.newaxis] * len(counts) + windows
    unique, seen = np.unique(keys, return_counts=True)
    rounds, classes = np.divmod(unique, len(counts))
    total = counts[classes]
    rest = total - seen
    terms = seen * np.log(seen * (n_pooled / n_window) / total)
    # A class without rows in the rest contributes 0.
    share = np.where(rest > 0, rest, 1) * (n_pooled / n_rest) / total
    terms += rest * np.log(share)
    # Classes that the window lacks are in the rest only.
    absent = n_pooled - np.bincount(rounds, weights=total, minlength=n_rounds)
    return np.bincount(rounds, weights=terms, minlength=n_rounds) + absent * np.log(
        n_pooled / n_rest
    )
