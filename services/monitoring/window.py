"""A ring buffer of the newest rows, in arrays that are allocated once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Window"]


class Window:
    """The newest `size` rows.

    Parameters
    ----------
    size : int
        At least 1.
    dtype : numpy.dtype
        Type of a row.
    """

    def __init__(self, size: int, dtype: np.dtype) -> None:
        if size < 1:
            raise ValueError(f"a window needs at least one row, not {size}")
        self._rows = np.zeros(size, dtype=dtype)
        self._oldest = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Capacity in rows."""
        return len(self._rows)

    def leaving(self, rows: NDArray) -> NDArray:
        """Give a copy of the rows that adding `rows` would remove, oldest first."""
        n_out = max(0, self._count + len(rows) - self.size)
        n_own_out = min(n_out, self._count)
        return np.concatenate([self._rows[self._places(n_own_out)], rows[: n_out - n_own_out]])

    def push(self, rows: NDArray) -> None:
        """Add rows, oldest first; the oldest in the buffer are overwritten."""
        n_kept = min(len(rows), self.size)
        n_own_out = min(max(0, self._count + len(rows) - self.size), self._count)
        self._oldest = (self._oldest + n_own_out) % self.size
        self._count -= n_own_out
        places = (self._oldest + self._count + np.arange(n_kept)) % self.size
        self._rows[places] = rows[len(rows) - n_kept :]
        self._count += n_kept

    def rows(self) -> NDArray:
        """Return a copy of all rows, oldest first."""
        return self._rows[self._places(self._count)]

    def _places(self, count: int) -> NDArray[np.intp]:
        """Positions of the `count` oldest."""
        return (self._oldest + np.arange(count)) % self.size
