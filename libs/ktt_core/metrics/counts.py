"""Counts per class, and the flat metrics computed from them.

Padding classes never count:

- At a level, a row counts if its true or its predicted class there is real.
- A leaf represents its deepest real class, so a class that ends early is a leaf as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError
from ktt_core.labels import Labels
from ktt_core.metrics.outcomes import Outcomes
from ktt_core.taxonomy import Taxonomy

__all__ = [
    "ClassCounts",
    "count_classes",
    "leaf_accuracy",
    "leaf_macro_f1",
    "leaf_precision",
    "path_accuracy",
    "path_precision",
]

Counts = NDArray[np.int64]


@dataclass
class ClassCounts:
    """Counts of true and predicted classes, in memory linear in the taxonomy.

    Attributes
    ----------
    taxonomy : Taxonomy
    hits, predicted, support : ndarray of int64, shape (C,)
        Rows in which a class is both predicted and true, predicted, and true. Padding classes are
        counted here, and masked by the metrics.
    counted : ndarray of int64, shape (depth,)
        Rows with a real true or predicted class at a level.
    rows : int
    """

    taxonomy: Taxonomy
    hits: Counts
    predicted: Counts
    support: Counts
    counted: Counts
    rows: int = 0

    @classmethod
    def empty(cls, taxonomy: Taxonomy) -> ClassCounts:
        """Return counts of zero rows."""
        hits, predicted, support = np.zeros((3, taxonomy.n_classes), dtype=np.int64)
        return cls(taxonomy, hits, predicted, support, np.zeros(taxonomy.depth, dtype=np.int64))

    def update(
        self, true: Labels | NDArray[np.integer], predicted: Labels | NDArray[np.integer]
    ) -> None:
        """Count rows.

        Parameters
        ----------
        true, predicted : Labels, or ndarray of int, shape (n, depth)
            Level-local codes.
        """
        taxonomy = self.taxonomy
        self.add(
            Outcomes(
                Labels.of(true).checked(taxonomy), Labels.of(predicted).checked(taxonomy), taxonomy
            )
        )

    def add(self, outcomes: Outcomes) -> None:
        """Count rows, given their outcomes."""
        size = self.taxonomy.n_classes
        self.hits += np.bincount(outcomes.overlap(), minlength=size)
        self.predicted += np.bincount(outcomes.predicted_classes.ravel(), minlength=size)
        self.support += np.bincount(outcomes.true_classes.ravel(), minlength=size)
        self.counted += outcomes.counted()
        self.rows += len(outcomes)

    def level(self, level: int) -> tuple[Counts, Counts, Counts]:
        """Return hits, predicted and support of a level's real classes."""
        start, end = self.taxonomy.level_offsets[level : level + 2]
        real = ~self.taxonomy.hidden[start:end]
        return (
            self.hits[start:end][real],
            self.predicted[start:end][real],
            self.support[start:end][real],
        )

    def leaves(self) -> tuple[Counts, Counts, Counts]:
        """Return hits, predicted and support of the leaves."""
        if not self.rows:
            raise DataError("there are no rows to compute metrics over: the split is empty")
        start = self.taxonomy.level_offsets[-2]
        return self.hits[start:], self.predicted[start:], self.support[start:]


def count_classes(
    true: Labels | NDArray[np.integer],
    predicted: Labels | NDArray[np.integer],
    taxonomy: Taxonomy,
) -> ClassCounts:
    """Count all rows at once; see `ClassCounts.update`."""
    counts = ClassCounts.empty(taxonomy)
    counts.update(true, predicted)
    return counts


def leaf_accuracy(counts: ClassCounts) -> float:
    """Share of rows whose predicted leaf is the true one: ``hits / rows``.

    As scikit-learn's ``accuracy_score``.
    """
    hits, _, _ = counts.leaves()
    return float(hits.sum() / counts.rows)


def leaf_precision(counts: ClassCounts) -> float:
    """Precision of the leaves, weighted by their support.

    ``sum_l support_l / rows * hits_l / predicted_l``, 0 for a leaf that is never predicted. As
    scikit-learn's ``precision_score(average="weighted", zero_division=0)``.
    """
    return _weighted_precision(*counts.leaves())


def leaf_macro_f1(counts: ClassCounts) -> float:
    """Mean F1 over the leaves that are true or predicted in at least one row.

    ``F1_l = 2 hits_l / (support_l + predicted_l)``. As scikit-learn's
    ``f1_score(average="macro")``.
    """
    hits, predicted, support = counts.leaves()
    seen = support + predicted > 0
    return float(np.mean(2.0 * hits[seen] / (support + predicted)[seen]))


def path_accuracy(counts: ClassCounts) -> float:
    """Accuracy at every level, averaged over the levels.

    A level's accuracy is over the rows that count there; levels without such rows are left out.
    """
    counts.leaves()
    return float(
        np.mean(
            [
                counts.level(level)[0].sum() / rows
                for level, rows in enumerate(counts.counted.tolist())
                if rows
            ]
        )
    )


def path_precision(counts: ClassCounts) -> float:
    """Support-weighted precision over the real classes of every level, averaged over the levels.

    See `leaf_precision` and `path_accuracy`. A level with predicted real classes but only padding
    as true classes has precision 0.
    """
    counts.leaves()
    return float(
        np.mean(
            [
                _weighted_precision(*counts.level(level))
                for level, rows in enumerate(counts.counted.tolist())
                if rows
            ]
        )
    )


def _weighted_precision(hits: Counts, predicted: Counts, support: Counts) -> float:
    total = support.sum()
    if not total:
        return 0.0
    return float((support * (hits / np.maximum(predicted, 1))).sum() / total)
