"""Parity of an exported model with its checkpoint: thresholds and measured differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError

__all__ = [
    "MAX_FEATURE_DIFFERENCE",
    "MAX_PROBABILITY_DIFFERENCE",
    "MIN_TOP_PATH_AGREEMENT",
    "ParityCounter",
    "ParityFigures",
]

#: Smallest share of rows with the same most probable path for an export to be published.
MIN_TOP_PATH_AGREEMENT = 0.999
#: Largest difference of a leaf's probability for an export to be published.
MAX_PROBABILITY_DIFFERENCE = 1e-4
#: Largest difference of a feature of a monitoring row for an export to be published, relative to
#: the column's mean absolute value. Rounding errors are a hundredth of it.
MAX_FEATURE_DIFFERENCE = 1e-3

# A column of values near 0 is scaled by this part of the other columns' size: the absolute error of
# a sum does not shrink with its result.
_SMALLEST_SCALE = 0.01
# A mean of values around 1 that cancel out, such as after a layer normalisation, is only rounding
# error: the scale of a column is at least this.
_ROUNDING_SCALE = 1e-3


@dataclass(frozen=True)
class ParityFigures:
    """The comparison of an exported model with its checkpoint.

    Attributes
    ----------
    rows : int
        Number of texts compared.
    top_path_agreement : float
        Share of rows, in [0, 1], with the same most probable path in both.
    max_probability_difference : float
        Largest difference of a leaf's probability, over all rows and leaves; NaN if an output of
        the exported model is not a number.
    max_feature_difference : float or None
        Largest difference of a feature of a monitoring row, relative to the mean absolute value of
        its column; None where the exported model has no features, or they were not compared.
    worst_feature : int or None
        Column of that difference.
    """

    rows: int
    top_path_agreement: float
    max_probability_difference: float
    max_feature_difference: float | None = None
    worst_feature: int | None = None

    @property
    def passed(self) -> bool:
        """Whether an export with these differences may be published."""
        return (
            self.top_path_agreement >= MIN_TOP_PATH_AGREEMENT
            and self.max_probability_difference <= MAX_PROBABILITY_DIFFERENCE
            and (
                self.max_feature_difference is None
                or self.max_feature_difference <= MAX_FEATURE_DIFFERENCE
            )
        )


class ParityCounter:
    """Compares columns of monitoring rows block by block, in bounded memory.

    The columns are the features, and the leaves' probabilities.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._same = 0
        self._largest = 0.0
        # For each feature, its largest difference and the sum of its absolute values.
        self._feature_rows = 0
        self._feature_gaps: NDArray[np.float64] | None = None
        self._feature_sizes: NDArray[np.float64] = np.zeros(0)

    def add(self, expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        """Compare the log-probabilities of a block of rows, both of shape (rows, leaves).

        Ties go to the lowest leaf, as in decoding.

        Raises
        ------
        DataError
            If the shapes differ, as the exported model has another taxonomy.
        """
        if expected.shape != found.shape:
            raise DataError(
                f"the exported model answers with the shape {found.shape}, its checkpoint with "
                f"{expected.shape}: they are not of one model"
            )
        if not len(expected):
            return
        self._rows += len(expected)
        self._same += int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
        difference = np.abs(np.exp(expected) - np.exp(found)).max()
        # Unlike max(), this propagates NaN.
        self._largest = float(np.maximum(self._largest, difference))

    def add_features(self, expected: NDArray[np.floating], found: NDArray[np.floating]) -> None:
        """Compare the features of a block of rows, both of shape (rows, k).

        Raises
        ------
        DataError
            If the shapes differ, as the exported model is another.
        """
        if expected.shape != found.shape:
            raise DataError(
                f"the exported model's features have the shape {found.shape}, its checkpoint's "
                f"{expected.shape}: they are not of one model"
            )
        if self._feature_gaps is None:
            self._feature_gaps = np.zeros(expected.shape[1])
            self._feature_sizes = np.zeros(expected.shape[1])
        if not len(expected):
            return
        gaps = np.abs(expected.astype(np.float64) - found).max(axis=0)
        # Unlike max(), this propagates NaN.
        self._feature_gaps = np.maximum(self._feature_gaps, gaps)
        self._feature_sizes += np.abs(expected).sum(axis=0, dtype=np.float64)
        self._feature_rows += len(expected)

    def figures(self) -> ParityFigures:
        """Return the differences over all blocks.

        Raises
        ------
        DataError
            If no row was compared.
        """
        if not self._rows:
            raise DataError("an export is compared with its checkpoint on rows, and there are none")
        largest, worst = self._worst_feature()
        return ParityFigures(self._rows, self._same / self._rows, self._largest, largest, worst)

    def _worst_feature(self) -> tuple[float | None, int | None]:
        gaps = self._feature_gaps
        if gaps is None or not len(gaps):
            return None, None
        sizes = self._feature_sizes / max(1, self._feature_rows)
        scales = np.maximum(sizes, max(_SMALLEST_SCALE * np.median(sizes), _ROUNDING_SCALE))
        parts = gaps / scales
        # NaN counts as the largest difference.
        worst = int(np.argmax(np.where(np.isnan(parts), np.inf, parts)))
        return float(parts[worst]), worst
