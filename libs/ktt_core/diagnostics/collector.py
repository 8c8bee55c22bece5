"""The collector of all diagnostics of a split while a model is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding.scores import (
    check_levels,
    exponentials,
    fill_class_proba,
    inverse_temperature,
    leaf_scores,
    row_blocks,
    row_maxima,
)
from ktt_core.diagnostics.answers import AnswerCounts
from ktt_core.diagnostics.confusions import Confusions
from ktt_core.errors import InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.metrics import CalibrationBins, ClassCounts, Outcomes

if TYPE_CHECKING:
    from ktt_core.decoding.scores import LevelScores
    from ktt_core.taxonomy import Taxonomy

__all__ = ["SplitDiagnostics"]


class SplitDiagnostics:
    """Diagnostics of a split, in memory that does not grow with its rows.

    An instance is an observer for `ktt_core.model.Model.test`, called with each batch's level
    scores and codes. As in `ktt_core.metrics`, a row's prediction is its most probable path.

    Parameters
    ----------
    taxonomy : Taxonomy
    temperature : float
        The model's temperature.

    Attributes
    ----------
    counts : ClassCounts
    confusions : Confusions
        Confusions of leaves.
    calibration, raw_calibration : CalibrationBins
        Of the predicted path's probability, at the model's temperature and at 1.
    answers : AnswerCounts
    first_wrong : ndarray of int64, shape (depth,)
        For each level, the rows whose predicted path is right above it and wrong at it.
    """

    def __init__(self, taxonomy: Taxonomy, temperature: float = 1.0) -> None:
        self.taxonomy = taxonomy
        self.temperature = temperature
        self._beta = inverse_temperature(temperature)
        self.counts = ClassCounts.empty(taxonomy)
        self.confusions = Confusions(taxonomy.n_leaves)
        self.calibration = CalibrationBins()
        self.raw_calibration = CalibrationBins()
        self.answers = AnswerCounts(taxonomy.depth)
        self.first_wrong: NDArray[np.int64] = np.zeros(taxonomy.depth, dtype=np.int64)

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self.counts.rows

    def __call__(self, levels: LevelScores, codes: Labels | NDArray[np.integer]) -> None:
        """Add rows.

        Parameters
        ----------
        levels : sequence of ndarray
            Result of `ktt_core.model.Model.level_scores`.
        codes : Labels, or ndarray of int, shape (n, depth)
            The true paths, level-local.

        Raises
        ------
        InvalidArgumentError
            If shapes or codes do not match the taxonomy, or a row has no usable scores.
        """
        taxonomy = self.taxonomy
        arrays = check_levels(levels, taxonomy)
        labels = Labels.of(codes).checked(taxonomy)
        if len(arrays[0]) != len(labels):
            raise InvalidArgumentError(
                f"{len(arrays[0])} rows of level scores for {len(labels)} rows"
            )
        for rows in row_blocks(len(labels), taxonomy.n_classes):
            scores = leaf_scores(arrays, rows, taxonomy, 1.0)
            largest = row_maxima(scores, rows.start)
            _, log_sum = exponentials(scores, largest)
            raw = np.minimum(np.exp(largest - log_sum), 1.0)
            scores *= np.float32(self._beta)
            _, log_sum = exponentials(scores, row_maxima(scores, rows.start))
            scores -= log_sum[:, None]
            self._add(scores, raw, labels.select(rows))

    def _add(
        self,
        log_proba: NDArray[np.float32],
        raw: NDArray[np.float32],
        true: Labels,
    ) -> None:
        """Add a block of rows, given their leaf log-probabilities."""
        taxonomy = self.taxonomy
        top = log_proba.argmax(axis=1)
        predicted = Labels.of_leaves(top, taxonomy)
        outcomes = Outcomes(true, predicted, taxonomy)
        leaf_proba = np.minimum(np.exp(log_proba), np.float32(1.0))
        proba = np.empty((len(top), taxonomy.n_classes), dtype=np.float32)
        fill_class_proba(leaf_proba, taxonomy, proba)
        self.counts.add(outcomes)
        self.confusions.update(true.leaves(), top)
        self.calibration.update(predicted.leaf_values(leaf_proba), outcomes.right)
        self.raw_calibration.update(raw, outcomes.right)
        self.answers.update(outcomes.predicted_scores(proba), outcomes.hits)
        self.first_wrong += outcomes.first_wrong()
