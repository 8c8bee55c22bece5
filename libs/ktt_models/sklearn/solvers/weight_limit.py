"""Limit of the number of weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["least_rows"]


def least_rows(pair_rows: NDArray[np.int32], widths: NDArray[np.int64], max_weights: int) -> int:
    """Return the minimum number of rows per pair that keeps weights within `max_weights`.

    The pairs with the fewest rows go, all of one number of rows together.
    """
    if int(widths.sum()) <= max_weights:
        return 1
    needed = np.bincount(pair_rows, weights=widths)
    with_at_least = np.cumsum(needed[::-1])[::-1]
    fitting = np.flatnonzero(with_at_least <= max_weights)
    return int(fitting[0]) if len(fitting) else len(needed)
