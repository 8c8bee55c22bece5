"""How closely an exported model must answer as its checkpoint does, and the figures of a check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError

__all__ = [
    "MAX_PROBABILITY_DIFFERENCE",
    "MIN_TOP_PATH_AGREEMENT",
    "ParityCounter",
    "ParityFigures",
]

#: The least share of rows with the same most probable path that an export is published with.
MIN_TOP_PATH_AGREEMENT = 0.999
#: The largest difference of a leaf's probability that an export is published with.
MAX_PROBABILITY_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class ParityFigures:
    """The comparison of an exported model with its checkpoint.

    Attributes
    ----------
    rows : int
        The texts compared.
    top_path_agreement : float
        The share of them, in [0, 1], on which both have the same most probable path.
    max_probability_difference : float
        The largest difference of a leaf's probability, over all rows and leaves; NaN if the
        exported model answered with something that is no number.
    """

    rows: int
    top_path_agreement: float
    max_probability_difference: float

    @property
    def passed(self) -> bool:
        """Whether an export with these figures may be published."""
        return (
            self.top_path_agreement >= MIN_TOP_PATH_AGREEMENT
            and self.max_probability_difference <= MAX_PROBABILITY_DIFFERENCE
        )


class ParityCounter:
    """Compares leaf log-probabilities block by block: memory does not grow with the rows."""

    def __init__(self) -> None:
        self._rows = 0
        self._same = 0
        self._largest = 0.0

    def add(self, expected: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        """Compare the log-probabilities of a block of rows, both of shape (rows, leaves).

        Ties go to the lowest leaf, as in decoding.

        Raises
        ------
        DataError
            If the shapes differ: the exported model is of another taxonomy.
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
        # Unlike max(), this keeps a NaN.
        self._largest = float(np.maximum(self._largest, difference))

    def figures(self) -> ParityFigures:
        """Return the figures of all blocks.

        Raises
        ------
        DataError
            If no row was compared: an export is not to be trusted unseen.
        """
        if not self._rows:
            raise DataError("an export is compared with its checkpoint on rows, and there are none")
        return ParityFigures(self._rows, self._same / self._rows, self._largest)
