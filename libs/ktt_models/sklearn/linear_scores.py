"""Extraction of a trained scikit-learn classifier's weights and biases.

They are computed from its scores: the bias from a row of zeros, and the weights from rows with a
single 1. So names of attributes and wrappers of classifiers do not matter. The result is compared
with the classifier's own predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, eye_array, vstack

from ktt_core.errors import UnsupportedError
from ktt_core.tfidf.scorer import log_shares

__all__ = ["LinearScores", "linear_scores", "narrow"]

FloatArray = NDArray[np.float64]
Scores = Callable[[csr_matrix], FloatArray]

# Weights computed at a time: 32 MiB of float64.
_BLOCK_CELLS = 1 << 22
# Tolerance for rounding of scores (relative to the largest) and of probabilities.
_SCORE_TOLERANCE = 1e-4
_PROBABILITY_TOLERANCE = 1e-3
_SCALES = (1.0, 0.5, 0.1, 0.01)


@dataclass(frozen=True)
class LinearScores:
    """A trained classifier's scores, ``rows @ weights + bias``.

    Attributes
    ----------
    scores : callable
        Rows (a sparse matrix of float64) to scores, shape (n, n_classes).
    bias : ndarray of float64, shape (n_classes,)
    link : {"softmax", "logistic", "modified_huber"}
        Conversion of scores to probabilities; see `ktt_core.tfidf.scorer.log_shares`.
    """

    scores: Scores
    bias: FloatArray
    link: str

    def weight_blocks(self, n_features: int) -> Iterator[FloatArray]:
        """Yield the weights of consecutive features, shape (m, n_classes)."""
        step = max(1, _BLOCK_CELLS // len(self.bias))
        for first in range(0, n_features, step):
            m = min(step, n_features - first)
            ones = eye_array(m, n_features, k=first, format="csr")
            yield self.scores(narrow(ones)) - self.bias


def linear_scores(estimator: Any, sample: csr_matrix) -> LinearScores:
    """Determine how a trained classifier scores rows.

    If no known link maps its scores to its probabilities, the scores are used as log-probabilities:
    their order is right, and a temperature is fitted afterwards.

    Parameters
    ----------
    estimator
        A trained scikit-learn classifier of the classes 0, 1, ...
    sample : csr_matrix of float64
        Representative rows, at least one.

    Raises
    ------
    UnsupportedError
        If its scores are not linear in the features, or do not determine its predictions.
    """
    n_features = sample.shape[1]
    # For a confident classifier, only shorter rows show the link of its scores.
    shorter = [scale * sample for scale in _SCALES]
    rows = narrow(vstack([*shorter, csr_matrix((1, n_features))]))
    proba = None
    if hasattr(estimator, "predict_proba"):
        proba = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    predicted = np.asarray(estimator.predict(rows))
    best: tuple[float, LinearScores | None] = (_PROBABILITY_TOLERANCE, None)
    fallback = None
    why = not_linear = "does not score a text by a sum over its terms"
    for scores, link in _candidates(estimator):
        expected = scores(rows)
        if expected.shape != (len(predicted), len(estimator.classes_)):
            continue
        if not np.isfinite(expected).all():
            why = (
                f"{not_linear} (some scores are infinite or not numbers, as of naive Bayes without "
                "smoothing, or where training diverged)"
            )
            continue
        found = LinearScores(scores, expected[-1], link)
        if not _are_linear(found, rows, expected):
            continue
        if not _decide(expected, predicted):
            why = "does not decide for the class with the greatest of its scores"
            continue
        if proba is not None and (off := _difference(expected, link, proba)) < best[0]:
            best = off, found
        if link == "softmax":
            fallback = fallback or found
    chosen = best[1] or fallback
    if chosen is None:
        raise UnsupportedError(
            f"{type(estimator).__name__} {why}, so it cannot be stored: a checkpoint "
            "holds weights and biases, but no code. Take a linear classifier (LogisticRegression, "
            "SGDClassifier, LinearSVC, RidgeClassifier, MultinomialNB, ComplementNB ...), or write "
            "make_solver and restore_solver, which keep arrays of another one"
        )
    return chosen


def narrow(rows: Any) -> csr_matrix:
    """Return rows of float64 with indices of 32 bits: many estimators refuse those of 64."""
    matrix = csr_matrix(rows, dtype=np.float64)
    if matrix.nnz < 2**31:
        matrix.indices = matrix.indices.astype(np.int32, copy=False)
        matrix.indptr = matrix.indptr.astype(np.int32, copy=False)
    return matrix


def _candidates(estimator: Any) -> Iterator[tuple[Scores, str]]:
    """Yield possible pairs of scores and link."""
    if hasattr(estimator, "decision_function"):

        def decide(rows: csr_matrix) -> FloatArray:
            found = np.asarray(estimator.decision_function(rows), dtype=np.float64)
            if found.size > len(found):
                return found
            # With two classes, only the second is scored, against the first.
            found = found.ravel()
            return np.stack([np.zeros_like(found), found], axis=1)

        def decide_for_both(rows: csr_matrix) -> FloatArray:
            found = decide(rows)[:, 1]
            return np.stack([-found, found], axis=1)

        yield decide, "softmax"
        two = len(estimator.classes_) == 2
        for link in ("logistic", "modified_huber"):
            yield (decide_for_both if two else decide), link
    for name in ("predict_joint_log_proba", "predict_log_proba"):
        if hasattr(estimator, name):

            def ask(rows: csr_matrix, name: str = name) -> FloatArray:
                with np.errstate(divide="ignore", invalid="ignore"):
                    found = np.asarray(getattr(estimator, name)(rows), dtype=np.float64)
                    # A part that all classes share has no effect, and need not be linear.
                    return np.asarray(found - found[:, :1])

            yield ask, "softmax"


def _are_linear(found: LinearScores, rows: csr_matrix, expected: FloatArray) -> bool:
    """Compare sums over the rows' features with the classifier's scores."""
    used = np.unique(rows.indices)
    ones = csr_matrix(
        (np.ones(len(used)), (np.arange(len(used)), used)), (len(used), rows.shape[1])
    )
    sums = rows[:, used] @ (found.scores(narrow(ones)) - found.bias) + found.bias
    return bool(np.abs(sums - expected).max() <= _SCORE_TOLERANCE * (1 + np.abs(expected).max()))


def _decide(scores: FloatArray, predicted: NDArray[np.integer]) -> bool:
    """Return whether the predicted classes have the greatest scores."""
    of_predicted = np.take_along_axis(scores, predicted[:, None], axis=1)[:, 0]
    slack = _SCORE_TOLERANCE * (1 + np.abs(scores).max(axis=1))
    return bool((of_predicted >= scores.max(axis=1) - slack).all())


def _difference(scores: FloatArray, link: str, proba: FloatArray) -> float:
    found = np.exp(log_shares(scores, np.zeros(1, np.int64), link))
    # If all are 0, scikit-learn divides 0 by 0 or keeps zeros.
    told = proba.sum(axis=1) > 0
    return float(np.abs(found - proba)[told].max(initial=0))
