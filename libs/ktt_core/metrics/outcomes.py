"""Rows scored by their paths' names: also those whose class a classifier does not know.

The figures are those of `ktt_core.metrics.counts` and `ktt_core.metrics.hierarchical`. As they
compare names, the true path need not be of the classifier's taxonomy: of a new class under a parent
that it knows, the parent can be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError
from ktt_core.metrics.bootstrap import DRAWS, Difference, bootstrap_difference
from ktt_core.taxonomy import Path

__all__ = ["PathOutcomes", "compare_outcomes", "path_outcomes"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PathOutcomes:
    """What became of each row.

    Attributes
    ----------
    true, predicted, both : ndarray of int64, shape (n,)
        Sizes of T (the true class and its ancestors), of P (those of the predicted class), and of
        what they share.
    """

    true: IntArray
    predicted: IntArray
    both: IntArray

    def __len__(self) -> int:
        return len(self.true)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the whole path is right, shape (n,)."""
        return (self.both == self.true) & (self.both == self.predicted)

    def take(self, rows: NDArray[np.bool_]) -> PathOutcomes:
        """Return those of some rows."""
        return PathOutcomes(self.true[rows], self.predicted[rows], self.both[rows])

    def figures(self) -> dict[str, float]:
        """Return `leaf_accuracy` and the hierarchical metrics.

        Raises
        ------
        DataError
            If there are no rows.
        """
        if not len(self):
            raise DataError("there are no rows to compute metrics over")
        both, true, predicted = (int(x.sum()) for x in (self.both, self.true, self.predicted))
        return {
            "leaf_accuracy": float(self.right.mean()),
            "hierarchical_precision": both / predicted,
            "hierarchical_recall": both / true,
            "hierarchical_f1": 2 * both / (predicted + true),
        }


def path_outcomes(
    true_paths: Sequence[Path],
    true: NDArray[np.integer],
    predicted_paths: Sequence[Path],
    predicted: NDArray[np.integer],
) -> PathOutcomes:
    """Compare each row's paths, name by name from the root.

    Parameters
    ----------
    true_paths, predicted_paths : sequence of tuple of str
        Without padding.
    true, predicted : ndarray of int, shape (n,)
        Each row's positions in them.
    """
    pairs = np.asarray(true, np.int64) * len(predicted_paths) + np.asarray(predicted, np.int64)
    kinds, which = np.unique(pairs, return_inverse=True)
    sizes = np.empty((len(kinds), 3), dtype=np.int64)
    for row, kind in enumerate(kinds.tolist()):
        one, other = (
            true_paths[kind // len(predicted_paths)],
            predicted_paths[kind % len(predicted_paths)],
        )
        both = 0
        while both < min(len(one), len(other)) and one[both] == other[both]:
            both += 1
        sizes[row] = len(one), len(other), both
    true_sizes, predicted_sizes, both_sizes = sizes[which.reshape(-1)].T
    return PathOutcomes(true_sizes, predicted_sizes, both_sizes)


def compare_outcomes(
    ours: PathOutcomes, theirs: PathOutcomes, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Difference]:
    """Return how much better ours are, in `hierarchical_f1` and `leaf_accuracy`.

    Parameters
    ----------
    ours, theirs : PathOutcomes
        Of the same rows.
    draws, seed : int
        As `bootstrap_difference` takes them, for its interval of 95 %.
    """

    def terms(outcomes: PathOutcomes) -> IntArray:
        return np.column_stack([2 * outcomes.both, outcomes.true + outcomes.predicted])

    f1 = bootstrap_difference(
        terms(ours),
        terms(theirs),
        lambda sums: sums[..., 0] / sums[..., 1],
        draws=draws,
        seed=seed,
    )
    accuracy = bootstrap_difference(ours.right, theirs.right, draws=draws, seed=seed)
    return {"hierarchical_f1": f1, "leaf_accuracy": accuracy}
