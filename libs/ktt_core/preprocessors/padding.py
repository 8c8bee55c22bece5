"""Rows of token ids, laid side by side as an encoder reads them."""

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
    """Return rows of one long array as a batch, padded to its longest row.

    Parameters
    ----------
    values : ndarray of int, shape (m,)
        The ids of all rows, one after the other; may be a mapped file.
    starts, lengths : ndarray of int, shape (n,)
        Where each row begins in `values`, and its ids.
    pad_id : int
        Fills ``input_ids`` where the mask is 0.

    Returns
    -------
    dict
        ``input_ids`` and ``attention_mask``, ndarray of int64, shape (n, longest row, at least 1).
    """
    # A text of no ids (empty, and a tokenizer without special tokens) still needs a column.
    places = np.arange(max(1, int(lengths.max(initial=0))))
    mask = places < lengths[:, None]
    input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
    input_ids[mask] = values[(starts[:, None] + places)[mask]]
    return {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}
