"""Metrics per level, per leaf and per frequency bucket of leaves, from counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.metrics.counts import ClassCounts

__all__ = [
    "FREQUENCY_EDGES",
    "FrequencyBucket",
    "LeafFigures",
    "LevelFigures",
    "frequency_buckets",
    "leaf_figures",
    "level_figures",
    "rarest_leaves",
    "worst_leaves",
]

Counts = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Lower bounds of the buckets, in training rows; the last bucket has no upper bound.
FREQUENCY_EDGES = (0, 1, 5, 10, 20, 50, 100, 500, 1000, 10_000)


@dataclass(frozen=True)
class LevelFigures:
    """Metrics of the predicted paths at one level.

    Attributes
    ----------
    level : int
        From 0.
    classes : int
        Number of real classes of the level.
    seen : int
        Number of classes that are true or predicted in at least one row.
    rows : int
        Rows whose true or predicted class at the level is real.
    accuracy : float
        Accuracy over these rows.
    precision, recall, f1 : float
        Means over the seen classes (macro); a class that is never predicted has precision 0, one
        that is never true has recall 0.
    first_wrong : int
        Rows whose path is right above this level and wrong at it.
    """

    level: int
    classes: int
    seen: int
    rows: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    first_wrong: int


@dataclass(frozen=True)
class LeafFigures:
    """Metrics of every leaf, each an array of shape (n_leaves,).

    Attributes
    ----------
    hits, predicted, support : ndarray of int64
        Rows both predicted and true, predicted, and true.
    precision, recall, f1 : ndarray of float64
        ``hits / predicted``, ``hits / support``, ``2 hits / (predicted + support)``; NaN where the
        denominator is 0.
    """

    hits: Counts
    predicted: Counts
    support: Counts
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


@dataclass(frozen=True)
class FrequencyBucket:
    """The leaves within a range of training rows.

    Attributes
    ----------
    low, high : int or None
        Bounds of the training rows, both inclusive; `high` is None for the last bucket.
    leaves : int
        Number of leaves.
    rows : int
        Rows of the split whose true leaf is one of these.
    accuracy : float or None
        Accuracy over these rows; None if there are none.
    macro_f1 : float or None
        Mean F1 of these leaves, where true or predicted in the split; None if there are none.
    """

    low: int
    high: int | None
    leaves: int
    rows: int
    accuracy: float | None
    macro_f1: float | None


def level_figures(counts: ClassCounts, first_wrong: NDArray[np.integer]) -> list[LevelFigures]:
    """Return the metrics of every level on which a row counts.

    Parameters
    ----------
    counts : ClassCounts
    first_wrong : ndarray of int, shape (depth,)
        For each level, the rows whose path is wrong from it on.
    """
    figures = []
    for level, rows in enumerate(counts.counted.tolist()):
        if not rows:
            continue
        hits, predicted, support = counts.level(level)
        seen = predicted + support > 0
        hits_seen, sums = hits[seen], (predicted + support)[seen]
        n_seen = int(seen.sum())
        figures.append(
            LevelFigures(
                level=level,
                classes=len(hits),
                seen=n_seen,
                rows=rows,
                accuracy=float(hits.sum() / rows),
                precision=float((hits_seen / np.maximum(predicted[seen], 1)).mean()),
                recall=float((hits_seen / np.maximum(support[seen], 1)).mean()),
                f1=float((2.0 * hits_seen / sums).mean()),
                first_wrong=int(first_wrong[level]),
            )
        )
    return figures


def leaf_figures(counts: ClassCounts) -> LeafFigures:
    """Return the metrics of every leaf.

    Raises
    ------
    DataError
        If there were no rows.
    """
    hits, predicted, support = counts.leaves()
    return LeafFigures(
        hits,
        predicted,
        support,
        _ratio(hits, predicted),
        _ratio(hits, support),
        _ratio(2 * hits, predicted + support),
    )


def worst_leaves(leaves: LeafFigures, k: int, min_rows: int = 1) -> list[int]:
    """Return the k leaves of the lowest F1 among those with at least `min_rows` rows in the split.

    Ties go to the leaf with more rows, then to the lower index.
    """
    tested = np.flatnonzero(leaves.support >= max(1, min_rows))
    order = np.lexsort((tested, -leaves.support[tested], leaves.f1[tested]))
    return tested[order][:k].tolist()


def rarest_leaves(train_rows: NDArray[np.integer], leaves: LeafFigures, k: int) -> list[int]:
    """Return the k leaves with the fewest training rows.

    Ties go to the leaf with more rows in the split, then to the lower index.
    """
    _check_train_rows(train_rows, leaves)
    order = np.lexsort((np.arange(len(train_rows)), -leaves.support, train_rows))
    return order[:k].tolist()


def frequency_buckets(
    train_rows: NDArray[np.integer],
    leaves: LeafFigures,
    edges: Sequence[int] = FREQUENCY_EDGES,
) -> list[FrequencyBucket]:
    """Return the buckets with at least one leaf, rarest leaves first.

    Parameters
    ----------
    train_rows : ndarray of int, shape (n_leaves,)
    leaves : LeafFigures
    edges : sequence of int
        Ascending from 0: bucket i has the leaves with edges[i] to edges[i + 1] - 1 training rows.
    """
    _check_train_rows(train_rows, leaves)
    which = np.searchsorted(np.asarray(edges), train_rows, side="right") - 1
    buckets = []
    for index, low in enumerate(edges):
        members = which == index
        if not members.any():
            continue
        rows, f1 = int(leaves.support[members].sum()), leaves.f1[members]
        seen = ~np.isnan(f1)
        buckets.append(
            FrequencyBucket(
                low=low,
                high=edges[index + 1] - 1 if index + 1 < len(edges) else None,
                leaves=int(members.sum()),
                rows=rows,
                accuracy=float(leaves.hits[members].sum() / rows) if rows else None,
                macro_f1=float(f1[seen].mean()) if seen.any() else None,
            )
        )
    return buckets


def _check_train_rows(train_rows: NDArray[np.integer], leaves: LeafFigures) -> None:
    if np.shape(train_rows) != leaves.support.shape:
        raise InvalidArgumentError(
            f"training rows have the shape {np.shape(train_rows)}, not {leaves.support.shape}"
        )


def _ratio(numerator: Counts, denominator: Counts) -> FloatArray:
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
