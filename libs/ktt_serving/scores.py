"""The common interface of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import UnsupportedError
from ktt_core.taxonomy import Taxonomy

__all__ = ["Scorer", "Scores", "check_scorer"]


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


def check_scorer(scorer: Scorer, text: str) -> None:
    """Answer a text, and check that a service can use the answer.

    Parameters
    ----------
    scorer : Scorer
        Possibly of a model from outside, whose service no export has tried.
    text : str

    Raises
    ------
    UnsupportedError
        If the scorer has no taxonomy, or its answer is not that of one text.
    """
    name = type(scorer).__name__
    taxonomy = getattr(scorer, "taxonomy", None)
    if not isinstance(taxonomy, Taxonomy):
        raise UnsupportedError(
            f"make_scorer returned a {name} without a `taxonomy`; a scorer is a callable with the "
            "attribute `taxonomy`, the ktt_core.taxonomy.Taxonomy of its classes"
        )
    scores = scorer([text])
    if not isinstance(scores, Scores):
        raise UnsupportedError(
            f"the scorer {name} answers with a {type(scores).__name__}, not with "
            "ktt_serving.scores.Scores"
        )
    found, wanted = np.shape(scores.log_proba), (1, taxonomy.n_leaves)
    if found != wanted:
        raise UnsupportedError(
            f"the scorer {name} answers one text with log_proba of the shape {found}, not {wanted}"
        )
    found = np.shape(scores.features)
    if len(found) != 2 or found[0] != 1:
        raise UnsupportedError(
            f"the scorer {name} answers one text with features of the shape {found}, not (1, k)"
        )
