"""Sparse rows without scipy, which bundles do not have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CsrRows"]


class CsrRows(NamedTuple):
    """Rows in compressed sparse row (CSR) format.

    Attributes
    ----------
    indptr : ndarray of int64, shape (n_rows + 1,)
        Row i's entries are ``indices[indptr[i]:indptr[i + 1]]`` and the same slice of `data`.
    indices : ndarray of int32, shape (entries,)
        Columns, ascending and unique within a row.
    data : ndarray of float32, shape (entries,)
    n_columns : int
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.float32]
    n_columns: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    def take(self, start: int, stop: int) -> CsrRows:
        """Rows ``[start, stop)``; their entries are views."""
        indptr = self.indptr[start : stop + 1]
        first, last = int(indptr[0]), int(indptr[-1])
        return CsrRows(
            indptr - first, self.indices[first:last], self.data[first:last], self.n_columns
        )

    def to_dense(self) -> NDArray[np.float32]:
        """Shape (n_rows, n_columns). For tests and small matrices."""
        dense = np.zeros((self.n_rows, self.n_columns), dtype=np.float32)
        dense[np.repeat(np.arange(self.n_rows), np.diff(self.indptr)), self.indices] = self.data
        return dense

    @classmethod
    def concatenate(cls, parts: list[CsrRows], n_columns: int) -> CsrRows:
        """Concatenate rows of equal width."""
        if len(parts) == 1:
            return parts[0]
        ends = np.cumsum([0] + [int(part.indptr[-1]) for part in parts])
        shifted = [part.indptr[1:] + end for part, end in zip(parts, ends[:-1], strict=True)]
        return cls(
            np.concatenate([np.zeros(1, np.int64), *shifted]).astype(np.int64),
            np.concatenate([np.zeros(0, np.int32), *(part.indices for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.data for part in parts)]),
            n_columns,
        )
