"""Expected calibration error: whether 80 % of predictions of probability 80 % are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding.scores import leaf_log_proba
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.labels import Labels

if TYPE_CHECKING:
    from ktt_core.decoding.scores import LevelScores
    from ktt_core.taxonomy import Taxonomy

__all__ = ["UNCALIBRATED", "VALIDATION_LOSS", "CalibrationBins", "LogLoss", "UncalibratedError"]

#: Name of `calibration_error` at temperature 1, for models that report it.
UNCALIBRATED = "calibration_error_uncalibrated"
#: Name of `LogLoss` over the validation rows, which breaks ties between equally good epochs.
VALIDATION_LOSS = "val_loss"

# Loss of an excluded class: JSON has no infinity.
_GREATEST_LOSS = 1e4


class CalibrationBins:
    """Row counts by the probability of the predicted path, in equal-width bins.

    Parameters
    ----------
    n_bins : int
        Bin b covers the probabilities in (b / n_bins, (b + 1) / n_bins]; 0 is in the first.
    """

    def __init__(self, n_bins: int = 15) -> None:
        self.n_bins = n_bins
        self.rows = np.zeros(n_bins, dtype=np.int64)
        self.hits = np.zeros(n_bins, dtype=np.int64)
        self.confidence = np.zeros(n_bins, dtype=np.float64)

    def update(self, probabilities: NDArray[np.floating], correct: NDArray[np.bool_]) -> None:
        """Count rows.

        Parameters
        ----------
        probabilities : ndarray, shape (n,)
            Probability of the predicted path, in [0, 1].
        correct : ndarray of bool, shape (n,)
            Whether the predicted path is the true one.
        """
        probabilities = np.asarray(probabilities, dtype=np.float64)
        if not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
            raise InvalidArgumentError("probabilities lie between 0 and 1")
        bins = np.ceil(probabilities * self.n_bins).astype(np.intp) - 1
        np.maximum(bins, 0, out=bins)
        self.rows += np.bincount(bins, minlength=self.n_bins)
        self.hits += np.bincount(bins[correct], minlength=self.n_bins)
        self.confidence += np.bincount(bins, weights=probabilities, minlength=self.n_bins)

    def error(self) -> float:
        """Return the expected calibration error.

        ``sum_b rows_b / rows * |hits_b / rows_b - mean probability_b|`` (Naeini, Cooper &
        Hauskrecht, AAAI 2015; Guo et al., ICML 2017).
        """
        if not self.rows.sum():
            raise DataError("there are no rows to compute the calibration error over")
        return float(np.abs(self.hits - self.confidence).sum() / self.rows.sum())


class UncalibratedError:
    """The calibration error at temperature 1; an observer of level scores.

    Parameters
    ----------
    taxonomy : Taxonomy
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.bins = CalibrationBins()

    def __call__(self, levels: LevelScores, codes: Labels | NDArray[np.integer]) -> None:
        """Count rows by their level scores and true paths."""
        log_proba = leaf_log_proba(levels, self.taxonomy)
        top = log_proba.argmax(axis=1)
        best = np.exp(log_proba[np.arange(len(top)), top])
        self.bins.update(np.minimum(best, 1.0), Labels.of(codes).hit_by(top))

    def error(self) -> float:
        """Return the error of the rows so far; see `CalibrationBins.error`."""
        return self.bins.error()


class LogLoss:
    """The mean of ``-log p(true leaf)`` over rows, which rewards accuracy and calibration.

    A leaf of probability 0 counts as 10,000, so that the mean is finite.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._rows = 0

    def update(
        self, leaf_log_proba: NDArray[np.floating], codes: Labels | NDArray[np.integer]
    ) -> None:
        """Add rows.

        Parameters
        ----------
        leaf_log_proba : ndarray, shape (n, n_leaves)
        codes : Labels, or ndarray of int, shape (n, depth)
            The true paths, level-local.
        """
        labels = Labels.of(codes)
        losses = -labels.leaf_values(np.asarray(leaf_log_proba)).astype(np.float64)
        self._sum += float(np.minimum(losses, _GREATEST_LOSS).sum())
        self._rows += len(labels)

    def mean(self) -> float:
        """Return the mean; raises DataError without rows."""
        if not self._rows:
            raise DataError("there are no rows to compute the loss over")
        return self._sum / self._rows
