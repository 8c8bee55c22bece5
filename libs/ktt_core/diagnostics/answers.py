"""Coverage and accuracy as a function of the minimal confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError

__all__ = ["THRESHOLDS", "AnswerCounts", "AnswerShares"]

#: Evaluated values of ``min_confidence``: steps of 0.01, and finer ones next to 1.
THRESHOLDS: NDArray[np.float32] = np.concatenate(
    [np.arange(100, dtype=np.float64) / 100, [0.995, 0.999]]
).astype(np.float32)


@dataclass(frozen=True)
class AnswerShares:
    """Counts of full and partial paths at one minimal confidence.

    Attributes
    ----------
    min_confidence : float
    rows : int
        All rows.
    full_rows, full_right_rows : int
        Rows with a full path, and those of them with the right one.
    part_rows, part_right_rows : int
        Rows whose path ends above its leaf, and those of them whose last class is right.
    """

    min_confidence: float
    rows: int
    full_rows: int
    full_right_rows: int
    part_rows: int
    part_right_rows: int

    @property
    def full(self) -> float:
        """Share of the rows with a full path: the coverage."""
        return self.full_rows / self.rows

    @property
    def part(self) -> float:
        """Share of the rows whose path ends above its leaf."""
        return self.part_rows / self.rows

    @property
    def none(self) -> float:
        """Share of the rows without any class."""
        return (self.rows - self.full_rows - self.part_rows) / self.rows

    @property
    def full_accuracy(self) -> float | None:
        """Share of the full paths that are right; None if there are none."""
        return self.full_right_rows / self.full_rows if self.full_rows else None

    @property
    def part_accuracy(self) -> float | None:
        """Share of the partial paths that are right; None if there are none."""
        return self.part_right_rows / self.part_rows if self.part_rows else None


class AnswerCounts:
    """Row counts by the probabilities along the predicted path, relative to `THRESHOLDS`.

    At a minimal confidence t a path ends at its deepest class whose probability reaches t, as in
    `ktt_core.decoding.decode`. Probabilities never rise along a path, so with ``reached(h)`` the
    number of rows whose class at level h reaches t, those that end at h are ``reached(h)`` minus
    ``reached(h + 1)``.

    Parameters
    ----------
    depth : int
        Number of levels of the taxonomy.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.rows = 0
        shape = (depth, len(THRESHOLDS) + 1)
        # By level and number of thresholds reached: all rows, rows right at that level, and rows
        # right one level above.
        self._reached = np.zeros(shape, dtype=np.int64)
        self._right = np.zeros(shape, dtype=np.int64)
        self._right_above = np.zeros(shape, dtype=np.int64)

    def update(self, proba: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Count rows.

        Parameters
        ----------
        proba : ndarray of float, shape (n, depth)
            Probabilities of the predicted path's classes, root first.
        right : ndarray of bool, shape (n, depth)
            Whether each is the true class of its level.
        """
        if proba.shape != right.shape or proba.ndim != 2 or proba.shape[1] != self.depth:
            raise InvalidArgumentError(
                f"probabilities {proba.shape} and hits {right.shape} need the shape "
                f"(rows, {self.depth})"
            )
        size = len(THRESHOLDS) + 1
        for level in range(self.depth):
            reached = np.searchsorted(THRESHOLDS, proba[:, level].astype(np.float32), side="right")
            self._reached[level] += np.bincount(reached, minlength=size)
            self._right[level] += np.bincount(reached[right[:, level]], minlength=size)
            if level:
                above = right[:, level - 1]
                self._right_above[level] += np.bincount(reached[above], minlength=size)
        self.rows += len(proba)

    def shares(self) -> list[AnswerShares]:
        """Return the shares at each of `THRESHOLDS`; empty if there were no rows."""
        if not self.rows:
            return []
        reached, right, above = (
            counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
            for counts in (self._reached, self._right, self._right_above)
        )
        part = reached[0] - reached[-1]
        part_right = (right[:-1] - above[1:]).sum(axis=0)
        thresholds = THRESHOLDS.astype(np.float64).round(6).tolist()
        columns = (reached[-1], right[-1], part, part_right)
        return [
            AnswerShares(threshold, self.rows, *map(int, counts))
            for threshold, *counts in zip(thresholds, *columns, strict=True)
        ]
