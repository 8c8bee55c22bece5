"""Confidence interval of the difference of two classifiers on the same rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ktt_core.difference import Difference
from ktt_core.errors import DataError, InvalidArgumentError

__all__ = ["Difference", "bootstrap_difference"]

FloatArray = NDArray[np.float64]

#: Resamples: across seeds, interval bounds then vary by some hundredths of the interval's width.
DRAWS = 10_000

# Counts in memory at once: 32 MiB.
_BLOCK_CELLS = 2**22


def bootstrap_difference(
    ours: NDArray[np.number | np.bool_],
    theirs: NDArray[np.number | np.bool_],
    figure: Callable[[FloatArray], FloatArray] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Return the difference of a metric, with the percentile interval of the paired bootstrap.

    As many rows as there are are drawn with replacement, and both classifiers are evaluated on the
    same draw (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13). The interval
    covers the sampling of rows, but not the training seed.

    Parameters
    ----------
    ours, theirs : ndarray, shape (n,) or (n, k)
        Terms of each row; the same row at the same position in both.
    figure : callable, optional
        Maps sums over rows, shape (..., k), to the metric, shape (...). Default: the mean of the
        first column.
    draws : int
    seed : int
    confidence : float
        In (0, 1).

    Raises
    ------
    DataError
        If there are no rows.
    InvalidArgumentError
        If the shapes differ, or an argument is out of range.

    Notes
    -----
    Rows with equal terms are interchangeable in a sum. So the counts of distinct rows in a draw are
    multinomial, and the cost of a draw grows with the distinct rows only.
    """
    if ours.shape != theirs.shape or ours.ndim not in (1, 2):
        raise InvalidArgumentError(
            f"a paired bootstrap needs the same rows of both, not {ours.shape} and {theirs.shape}"
        )
    if draws < 1 or not 0.0 < confidence < 1.0:
        raise InvalidArgumentError("a bootstrap needs draws, and a confidence between 0 and 1")
    n_rows = len(ours)
    if not n_rows:
        raise DataError("there are no rows to compare on")
    pairs = np.column_stack([ours, theirs]).astype(np.float64)
    width = pairs.shape[1] // 2
    measure = figure or (lambda sums: sums[..., 0] / n_rows)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)

    def difference(sums: FloatArray) -> FloatArray:
        return measure(sums[..., :width]) - measure(sums[..., width:])

    generator = np.random.default_rng(seed)
    size = max(1, _BLOCK_CELLS // len(kinds))
    drawn = np.concatenate(
        [
            difference(
                generator.multinomial(n_rows, counts / n_rows, min(size, draws - start)) @ kinds
            )
            for start in range(0, draws, size)
        ]
    )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Difference(float(difference(counts @ kinds)), float(low), float(high))
