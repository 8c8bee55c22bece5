"""What a minimal confidence costs and gains: coverage and accuracy at every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError

__all__ = ["THRESHOLDS", "AnswerCounts", "AnswerShares"]

#: Values of ``min_confidence`` counted: steps of a hundredth, and finer ones next to 1.
THRESHOLDS: NDArray[np.float32] = np.concatenate(
    [np.arange(100, dtype=np.float64) / 100, [0.995, 0.999]]
).astype(np.float32)


@dataclass(frozen=True)
class AnswerShares:
    """What predictions are at one minimal confidence.

    Attributes
    ----------
    min_confidence : float
    rows : int
        All rows.
    full_rows, full_right_rows : int
        Rows that get a whole path, and those whose whole path is right.
    part_rows, part_right_rows : int
        Rows whose path stops above its leaf, and those where the class it stops at is right.
    """

    min_confidence: float
    rows: int
    full_rows: int
    full_right_rows: int
    part_rows: int
    part_right_rows: int

    @property
    def full(self) -> float:
        """Share of the rows that get a whole path: the coverage."""
        return self.full_rows / self.rows

    @property
    def part(self) -> float:
        """Share of the rows whose path stops above its leaf."""
        return self.part_rows / self.rows

    @property
    def none(self) -> float:
        """Share of the rows that get no class at all."""
        return (self.rows - self.full_rows - self.part_rows) / self.rows

    @property
    def full_accuracy(self) -> float | None:
        """Share of the whole paths that are right; None if there are none."""
        return self.full_right_rows / self.full_rows if self.full_rows else None

    @property
    def part_accuracy(self) -> float | None:
        """Share of the shortened paths that are right; None if there are none."""
        return self.part_right_rows / self.part_rows if self.part_rows else None


class AnswerCounts:
    """Rows by the probabilities along their predicted path, against `THRESHOLDS`.

    At a minimal confidence t a path stops at its deepest class whose probability reaches t, as
    `ktt_core.decoding.decode` has it. Probabilities never rise along a path, so with ``reached(h)``
    the rows whose class at level h reaches t, those that stop at h are ``reached(h)`` less
    ``reached(h + 1)``.

    Parameters
    ----------
    depth : int
        Levels of the taxonomy.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.rows = 0
        shape = (depth, len(THRESHOLDS) + 1)
        # By level and number of thresholds reached: all rows, those right at that level, and those
        # right one level above.
        self._reached = np.zeros(shape, dtype=np.int64)
        self._right = np.zeros(shape, dtype=np.int64)
        self._right_above = np.zeros(shape, dtype=np.int64)

    def update(self, proba: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Count rows.

        Parameters
        ----------
        proba : ndarray of float, shape (n, depth)
            Of the predicted path's classes, root first.
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
