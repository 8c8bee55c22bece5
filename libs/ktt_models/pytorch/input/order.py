"""Order of rows: a function of the lengths, the seed and the epoch only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["file_order", "shuffled_order", "sorted_order"]

Rows = NDArray[np.uint32]

#: Batches whose rows are sorted by length together: more need less padding, but mix rows less.
#: Small splits use fewer, so that batches differ between passes.
POOL_BATCHES = 64
_MOST_OF_A_PASS = 8


def shuffled_order(
    lengths: NDArray[np.integer] | None,
    n_rows: int,
    batch_size: int,
    seed: int,
    epoch: int,
    pool_batches: int = POOL_BATCHES,
) -> Rows:
    """Return the rows of an epoch, in batches of `batch_size` rows of similar length.

    All rows are shuffled, those of every `pool_batches` batches sorted by length and cut into
    batches, and the batches shuffled again. The last batch, if it is not full, has rows of any
    length.

    Parameters
    ----------
    lengths : ndarray of int, shape (n_rows,), or None
        None: rows are only shuffled.
    n_rows, batch_size, seed, epoch, pool_batches : int

    Returns
    -------
    ndarray of uint32, shape (n_rows,)
    """
    generator = np.random.default_rng([seed, epoch])
    order = np.arange(n_rows, dtype=np.uint32)
    generator.shuffle(order)
    if lengths is None:
        return order
    full = n_rows - n_rows % batch_size
    pool = batch_size * max(1, min(pool_batches, full // batch_size // _MOST_OF_A_PASS))
    # One pool at a time: the memory is that of the order itself.
    for start in range(0, full, pool):
        part = order[start : min(start + pool, full)]
        part[:] = part[np.argsort(lengths[part], kind="stable")]
    batches = order[:full].reshape(-1, batch_size)
    order[:full] = batches[generator.permutation(len(batches))].reshape(-1)
    return order


def sorted_order(lengths: NDArray[np.integer]) -> Rows:
    """Return the rows from the longest to the shortest; equal ones keep the file's order.

    So a lack of memory shows in the first batch.
    """
    return np.argsort(-lengths.astype(np.int32), kind="stable").astype(np.uint32)


def file_order(n_rows: int) -> Rows:
    """Return the rows in the file's order."""
    return np.arange(n_rows, dtype=np.uint32)
