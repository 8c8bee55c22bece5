"""Micro-averaged area under the precision-recall curve, over all (row, class) pairs of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError, InvalidArgumentError

__all__ = ["PairRanking"]

FloatArray = NDArray[np.float32]

#: Pairs whose exact scores are kept: 128 MiB.
MAX_EXACT_PAIRS = 2**25

# Non-negative floats have the order of their bits. Without the last 7 bits, those up to 1.0 have
# 8.3 million bins, 64 MiB of counts, each 2**-16 of its score wide.
_DROPPED_BITS = 7
_ONE = int(np.float32(1.0).view(np.int32))
_BINS = (_ONE >> _DROPPED_BITS) + 1


class PairRanking:
    """Average precision of a stream of scored pairs, in bounded memory.

    With the pairs ranked by score, P(s) and R(s) the precision and recall of the pairs with a score
    of at least s, and s descending over the distinct scores::

        AP = sum_s (R(s) - R(previous s)) P(s)

    which is a step function without interpolation, as in scikit-learn's
    ``average_precision_score(average="micro")``. Equivalently, it is the mean of P(score) over the
    positive pairs, which requires only their scores and the number of pairs that reach each.

    Parameters
    ----------
    max_exact_pairs : int
        Up to this number of pairs, every score is kept (4 bytes each) and the result is exact.
        Longer streams are counted in bins of relative width 1/65,536 (128 MiB in all, for any
        length): the result is then exact for the rounded scores, with equal ones tied.
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
        """Whether no score has been rounded so far."""
        return self._pair_bins is None

    def update(self, scores: FloatArray, positives: FloatArray) -> None:
        """Add pairs.

        Parameters
        ----------
        scores : ndarray of float32, any shape
            The scores of all pairs, in [0, 1].
        positives : ndarray of float32, any shape
            Scores of the pairs whose class is true; they are part of `scores` too.
        """
        scores = np.asarray(scores, dtype=np.float32).ravel()
        positives = np.asarray(positives, dtype=np.float32).ravel()
        if scores.size and not (scores.min() >= 0.0 and scores.max() <= 1.0):
            raise InvalidArgumentError("scores of pairs lie between 0 and 1")
        if positives.size > scores.size:
            raise InvalidArgumentError("there are more positive pairs than pairs")
        if self._pair_bins is None or self._positive_bins is None:
            # Copies, as the caller may reuse the array.
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
    # abs clears the sign bit of negative zeros.
    index = np.abs(scores).view(np.int32) >> _DROPPED_BITS
    # ufunc.at is fast for intp only.
    np.add.at(bins, index.astype(np.intp), 1)
