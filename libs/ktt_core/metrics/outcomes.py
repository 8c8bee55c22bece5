"""Predictions held against the true paths: by classes of one taxonomy, or by names.

As `PathOutcomes` are made of names, the true path need not be in the classifier's taxonomy: for a
new class under a known parent, the parent can still be right. Their formulas are those of
`ktt_core.metrics.counts` and `ktt_core.metrics.hierarchical`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.difference import Difference
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.metrics.bootstrap import DRAWS, bootstrap_difference
from ktt_core.taxonomy import Path, Taxonomy

__all__ = ["Outcomes", "PathOutcomes", "compare_outcomes", "path_outcomes"]

IntArray = NDArray[np.int64]


class Outcomes:
    """The predictions for a block of rows beside the true paths, level by level.

    Padding classes are among the classes here; each metric says how it treats them.

    Parameters
    ----------
    true, predicted : Labels
        Of the same rows, checked.
    taxonomy : Taxonomy

    Attributes
    ----------
    true_classes, predicted_classes : ndarray of int, shape (n, depth)
        The classes of the two, as indices into ``taxonomy.classes``.
    hits : ndarray of bool, shape (n, depth)
        Whether the class predicted on a level is true.
    right : ndarray of bool, shape (n,)
        Whether the whole path is.

    Raises
    ------
    InvalidArgumentError
        If the numbers of rows differ.
    """

    def __init__(self, true: Labels, predicted: Labels, taxonomy: Taxonomy) -> None:
        if len(true) != len(predicted):
            raise InvalidArgumentError(
                f"{len(true)} true paths, but {len(predicted)} predicted ones"
            )
        self.true, self.predicted, self.taxonomy = true, predicted, taxonomy
        self.true_classes = true.classes(taxonomy)
        self.predicted_classes = predicted.classes(taxonomy)
        self.hits: NDArray[np.bool_] = self.true_classes == self.predicted_classes
        self.right: NDArray[np.bool_] = self.hits[:, -1]

    def __len__(self) -> int:
        return len(self.true)

    def overlap(self) -> NDArray[np.intp]:
        """Return the classes both true and predicted of each row, of all rows one after another."""
        return self.true_classes[self.hits]

    def counted(self) -> NDArray[np.int64]:
        """Return the number of rows with a true or predicted class other than padding; (depth,)."""
        real = ~self.taxonomy.hidden
        return (real[self.true_classes] | real[self.predicted_classes]).sum(axis=0)

    def first_wrong(self) -> NDArray[np.int64]:
        """Return for each level the rows whose prediction is right above it and wrong at it."""
        # argmin finds the first False: the level at which a wrong path leaves the true one.
        levels = self.hits[~self.right].argmin(axis=1)
        return np.bincount(levels, minlength=self.taxonomy.depth)

    def true_scores(self, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the scores of all true classes but padding; of scores of shape (n, C)."""
        real = ~self.taxonomy.hidden[self.true_classes]
        return np.take_along_axis(scores, self.true_classes, axis=1)[real]

    def predicted_scores(self, scores: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the scores along the predicted paths, (n, depth); of scores of shape (n, C)."""
        return np.take_along_axis(scores, self.predicted_classes, axis=1)


@dataclass(frozen=True)
class PathOutcomes:
    """Correctness of each row.

    Attributes
    ----------
    true, predicted, both : ndarray of int64, shape (n,)
        Sizes of T (the true class and its ancestors), of P (the predicted class and its ancestors),
        and of their intersection.
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
        """Return the outcomes of some rows."""
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
        Distinct paths, without padding.
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
    """Return our differences from theirs in `hierarchical_f1` and `leaf_accuracy`.

    Parameters
    ----------
    ours, theirs : PathOutcomes
        Outcomes of the same rows.
    draws, seed : int
        Arguments of `bootstrap_difference`, for a 95 % interval.
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
