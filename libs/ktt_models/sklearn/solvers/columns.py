"""Rows by feature, for building the index of all levels in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_models.sklearn.solvers.compiling import compiled
from ktt_models.sklearn.solvers.state import Columns

__all__ = ["columns_of"]


@compiled(nogil=True)
def _count(indices: Any, data: Any, counts: Any) -> None:
    for entry in range(len(indices)):
        counts[indices[entry]] += data[entry] != 0


@compiled(nogil=True)
def _fill(
    indptr: Any, indices: Any, data: Any, order: Any, places: Any, rows: Any, values: Any
) -> None:
    for i in range(len(order)):
        row = order[i]
        for entry in range(indptr[row], indptr[row + 1]):
            if data[entry] != 0:
                place = places[indices[entry]]
                places[indices[entry]] = place + 1
                rows[place, 0] = i
                values[place, 1] = data[entry]


def columns_of(rows: CsrRows, order: NDArray[np.int64]) -> Columns:
    """Turn rows into columns, without the entries that are 0.

    Parameters
    ----------
    rows : CsrRows
    order : ndarray of int64
        Row i of the columns is row ``order[i]`` of `rows`.
    """
    starts = np.zeros(rows.n_columns + 1, dtype=np.int64)
    _count(rows.indices, rows.data, starts[1:])
    np.cumsum(starts, out=starts)
    # numpy asks the system for large pages, which compiled code does not.
    entries = np.empty((int(starts[-1]), 2), dtype=np.int32)
    values = entries.view(np.float32)
    _fill(rows.indptr, rows.indices, rows.data, order, starts[:-1].copy(), entries, values)
    return Columns(starts, entries, values)
