"""Micro-averaged area under the precision-recall curve, over all (row, class) pairs of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError, InvalidArgumentError

__all__ = ["PairRanking"]

FloatArray = NDArray[np.float32]

#: Pairs held as they are: 128 MiB.
MAX_EXACT_PAIRS = 2**25

# Non-negative floats order as their bits do, up to those of 1.0. Without the last 7 they count 8.3
# million bins, 64 MiB of counts, each 2**-16 of its score wide.
_DROPPED_BITS = 7
_ONE = int(np.float32(1.0).view(np.int32))
_BINS = (_ONE >> _DROPPED_BITS) + 1


class PairRanking:
    """Average precision of a stream of scored pairs, in bounded memory.

    With the pairs ranked by score, P(s) and R(s) precision and recall of those with a score of at
    least s, and s running down over the distinct scores::

        AP = sum_s (R(s) - R(previous s)) P(s)

    which steps, and never interpolates; as scikit-learn's
    ``average_precision_score(average="micro")``. Equivalently the mean of P(score) over the
    positive pairs, which needs no more than the positives' scores and how many pairs reach each.

    Parameters
    ----------
    max_exact_pairs : int
        Up to so many pairs every score is held (4 bytes each) and the result is exact. A longer
        stream is counted into bins a 65,536th of their score wide (128 MiB in all, however long it
        is): the result is then the exact one for scores so rounded, equal scores being tied.
    """

    def __init__(self, max_exact_pairs: int = MAX_EXACT_PAIRS) -> None:
        self._max_exact_pairs = max_exact_pairs
        self._pairs: list[FloatArray] = []
        self._positives: list[FloatArray] = []
        self._held = 0
        self._pair_bins: NDArray[np.int64] | None = None
        self._positive_bins: NDArray[np.int64] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether no score has been rounded yet."""
        return self._pair_bins is None

    def update(self, scores: FloatArray, positives: FloatArray) -> None:
        """Add pairs.

        Parameters
        ----------
        scores : ndarray of float32, any shape
            The scores of all pairs, in [0, 1].
        positives : ndarray of float32, any shape
            Those of the pairs whose class is true: a part of `scores`, repeated here.
        """
        scores = np.asarray(scores, dtype=np.float32).ravel()
        positives = np.asarray(positives, dtype=np.float32).ravel()
        if scores.size and not (scores.min() >= 0.0 and scores.max() <= 1.0):
            raise InvalidArgumentError("scores of pairs lie between 0 and 1")
        if positives.size > scores.size:
            raise InvalidArgumentError("there are more positive pairs than pairs")
        if self._pair_bins is None or self._positive_bins is None:
            # Copies: the caller may reuse its block.
            self._pairs.append(scores.copy())
            self._positives.append(positives.copy())
            self._held += scores.size
            if self._held > self._max_exact_pairs:
                self._round_all()
        else:
            _count(self._pair_bins, scores)
            _count(self._positive_bins, positives)

    def _round_all(self) -> None:
        self._pair_bins = np.zeros(_BINS, dtype=np.int64)
        self._positive_bins = np.zeros(_BINS, dtype=np.int64)
        for scores in self._pairs:
            _count(self._pair_bins, scores)
        for scores in self._positives:
            _count(self._positive_bins, scores)
        self._pairs, self._positives, self._held = [], [], 0

    def average_precision(self) -> float:
        """Return the average precision of all pairs so far.

        Raises
        ------
        DataError
            If no pair is positive.
        """
        if self._pair_bins is None or self._positive_bins is None:
            positives = np.concatenate([np.zeros(0, np.float32), *self._positives])
            thresholds, hits = np.unique(positives, return_counts=True)
            reached = np.zeros(len(thresholds), dtype=np.int64)
            for scores in self._pairs:
                scores.sort()
                reached += scores.size - np.searchsorted(scores, thresholds, side="left")
        else:
            filled = np.flatnonzero(self._positive_bins)
            hits = self._positive_bins[filled]
            reached = self._pair_bins[::-1].cumsum()[::-1][filled]
        if not len(hits):
            raise DataError(
                "there are no rows to compute the area under the precision-recall curve over"
            )
        true_positives = hits[::-1].cumsum()[::-1]
        return float((hits * (true_positives / reached)).sum() / hits.sum())


def _count(bins: NDArray[np.int64], scores: FloatArray) -> None:
    # abs drops the sign of a negative zero.
    index = np.abs(scores).view(np.int32) >> _DROPPED_BITS
    # ufunc.at is fast for the platform's own index type alone.
    np.add.at(bins, index.astype(np.intp), 1)
