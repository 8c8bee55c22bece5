"""Padding of rows of token ids to a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pad_rows"]


def pad_rows(
    values: NDArray[np.integer],
    starts: NDArray[np.integer],
    lengths: NDArray[np.integer],
    pad_id: int,
) -> dict[str, NDArray[np.int64]]:
    """Return rows of a flat array as a batch, padded to the longest row.

    Parameters
    ----------
    values : ndarray of int, shape (m,)
        The concatenated ids of all rows; may be a memory-mapped file.
    starts, lengths : ndarray of int, shape (n,)
        Each row's offset in `values`, and its number of ids.
    pad_id : int
        Value of ``input_ids`` where the mask is 0.

    Returns
    -------
    dict
        ``input_ids`` and ``attention_mask``, ndarray of int64, shape (n, longest row, at least 1).
    """
    # Rows without ids (empty texts, and no special tokens) still need a column.
    places = np.arange(max(1, int(lengths.max(initial=0))))
    mask = places < lengths[:, None]
    input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
    input_ids[mask] = values[(starts[:, None] + places)[mask]]
    return {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}
