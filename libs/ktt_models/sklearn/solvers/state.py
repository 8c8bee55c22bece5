"""The weights under way, and rows in the form the compiled loops take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights

__all__ = ["TrainingState", "as_rows"]

# Where the sums of squared gradients start: a first step as long as the learning rate would
# overshoot.
_FIRST_SQUARE = 3e-3
_FIRST_BIAS_SQUARE = 0.1
# Weights averaged at a time, so that the average needs no third copy.
_AVERAGED = 1 << 20


class TrainingState:
    """Weights under way, and what an epoch needs beside them.

    Attributes
    ----------
    block : BlockWeights
        The current weights.
    pair_rows : ndarray of int32, shape (pairs,)
        Training rows of each pair.
    squares, bias_squares : ndarray of float32
        AdaGrad's sums of squared gradients, per pair and per class.
    """

    def __init__(self, block: BlockWeights, pair_rows: NDArray[np.int32]) -> None:
        self.block = block
        self.pair_rows = pair_rows
        self.squares = np.full(len(pair_rows), _FIRST_SQUARE, dtype=np.float32)
        self.bias_squares = np.full(len(block.bias), _FIRST_BIAS_SQUARE, dtype=np.float32)
        self._mean: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._n_averaged = 0

    def restart(self) -> None:
        """Forget the current weights, but not the mean."""
        for array in (self.block.weights, self.block.bias):
            array.fill(0)
        self.squares.fill(_FIRST_SQUARE)
        self.bias_squares.fill(_FIRST_BIAS_SQUARE)

    def average(self) -> None:
        """Take the current weights into the mean."""
        self._n_averaged += 1
        if self._mean is None:
            self._mean = (self.block.weights.copy(), self.block.bias.copy())
            return
        share = np.float32(1 / self._n_averaged)
        for mean, current in zip(self._mean, (self.block.weights, self.block.bias), strict=True):
            for start in range(0, len(mean), _AVERAGED):
                part = slice(start, start + _AVERAGED)
                mean[part] += (current[part] - mean[part]) * share

    def finish(self) -> BlockWeights:
        """Return the mean weights."""
        if self._mean is not None:
            self.block.weights, self.block.bias = self._mean
        return self.block


def as_rows(rows: Any) -> CsrRows:
    """Take a scipy matrix for what it is; leave `CsrRows` alone."""
    if isinstance(rows, CsrRows):
        return rows
    matrix = rows.tocsr()
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return CsrRows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data.astype(np.float32),
        int(matrix.shape[1]),
    )
