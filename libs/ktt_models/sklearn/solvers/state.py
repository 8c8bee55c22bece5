"""Weights under way, and rows in the form the compiled loops take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights

__all__ = ["FIRST_BIAS_SQUARE", "FIRST_SQUARE", "TrainingState", "as_rows"]

#: Where the sums of squared gradients start: a first step as long as the learning rate would
#: overshoot.
FIRST_SQUARE = 3e-3
FIRST_BIAS_SQUARE = 0.1
# Weights averaged at a time, so that the average needs no third copy.
_AVERAGED = 1 << 20


class TrainingState(ABC):
    """Weights under way, their running mean, and how an epoch changes them."""

    def __init__(self) -> None:
        self._mean: list[NDArray[np.float32]] = []
        self._n_averaged = 0

    @abstractmethod
    def current(self) -> list[NDArray[np.float32]]:
        """Return the arrays that are averaged."""

    @abstractmethod
    def restart(self) -> None:
        """Forget the current weights, but not the mean."""

    @abstractmethod
    def run_epoch(self, order: NDArray[np.int32]) -> float:
        """Pass once over the rows in the given order; return the sum of their losses."""

    @abstractmethod
    def weights_of(self, arrays: list[NDArray[np.float32]]) -> BlockWeights:
        """Return the weights that arrays like `current`'s hold."""

    def average(self) -> None:
        """Take the current weights into the mean."""
        self._n_averaged += 1
        if not self._mean:
            self._mean = [array.copy() for array in self.current()]
            return
        share = np.float32(1 / self._n_averaged)
        for mean, current in zip(self._mean, self.current(), strict=True):
            for start in range(0, len(mean), _AVERAGED):
                part = slice(start, start + _AVERAGED)
                mean[part] += (current[part] - mean[part]) * share

    def finish(self) -> BlockWeights:
        """Return the mean weights."""
        return self.weights_of(self._mean)


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
