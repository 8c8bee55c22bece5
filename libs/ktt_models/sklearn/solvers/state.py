"""Weights during training, and rows in the form of the compiled loops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights

__all__ = [
    "BIAS_STEP",
    "FIRST_BIAS_SQUARE",
    "FIRST_SQUARE",
    "INACTIVE",
    "SMALL",
    "Columns",
    "TrainingState",
    "as_rows",
]

#: Where the sums of squared gradients start: a first step as long as the learning rate would
#: overshoot.
FIRST_SQUARE = 3e-3
FIRST_BIAS_SQUARE = 0.1
#: The squared length of a row's gradient under which the row is taken for learned: that of a right
#: answer given 98 %. It saves half the time and, like a margin, some overfitting.
SMALL = 1e-3
#: Of one node in the flat model: the squared length of its gradient under which it is left.
INACTIVE = 1e-6
#: The biases' steps against the weights': a bias sees every row.
BIAS_STEP = 0.3


class Columns(NamedTuple):
    """A sparse matrix, column by column.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_columns + 1,)
        Column c's entries are ``[starts[c], starts[c + 1])``, ascending by row.
    rows : ndarray of int32, shape (entries, 2)
        The row of each entry in the first column. The other is not to be read: the values share
        this memory, because an entry is written and read at one place then.
    values : ndarray of float32, shape (entries, 2)
        The value of each entry in the second column. None is 0.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: NDArray[np.float32]


class TrainingState(ABC):
    """Weights during training, the sum over several epochs, and the update by an epoch."""

    @abstractmethod
    def run_epoch(self, order: NDArray[np.int32], is_fresh: bool, is_summed: bool) -> float:
        """Pass once over the rows.

        Parameters
        ----------
        order : ndarray of int32, shape (n,)
            All rows, each once.
        is_fresh : bool
            Whether to start from zero; of the first epoch always true.
        is_summed : bool
            Whether the weights at the end are one of those whose mean is wanted.

        Returns
        -------
        float
            The sum of the rows' losses.
        """

    @abstractmethod
    def finish(self) -> BlockWeights:
        """Return the mean weights."""


def as_rows(rows: Any) -> CsrRows:
    """Convert a scipy matrix to `CsrRows`."""
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
