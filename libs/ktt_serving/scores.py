"""The common interface of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ktt_core.taxonomy import Taxonomy

__all__ = ["Scorer", "Scores"]


class Scores(NamedTuple):
    """A model's scores of n texts.

    Attributes
    ----------
    log_proba : ndarray of float32, shape (n, leaves)
        Calibrated log-probabilities.
    features : ndarray of float32, shape (n, k)
        As in the reference set.
    """

    log_proba: NDArray[np.float32]
    features: NDArray[np.float32]


class Scorer(Protocol):
    """A model, read from a folder of artifacts."""

    taxonomy: Taxonomy

    def __call__(self, texts: Sequence[str]) -> Scores:
        """Answer texts."""
