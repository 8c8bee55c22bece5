"""Scorer of a tf-idf model, by its sparse weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import leaf_log_proba
from ktt_core.decoding.scores import inverse_temperature
from ktt_core.tfidf.batches import counted_characters
from ktt_core.tfidf.reference_features import reference_features
from ktt_core.tfidf.scorer import load_scorer
from ktt_core.tfidf.text_rows import TextRows, read_array_file
from ktt_serving.artifact_files import DESCRIPTION_NAME, read_json, read_taxonomy
from ktt_serving.class_scores import fast_class_scores
from ktt_serving.scores import Scores

__all__ = ["TfidfScorer"]


class TfidfScorer:
    """A folder of the kind "tfidf".

    Parameters
    ----------
    folder : Path

    Raises
    ------
    CheckpointError
        If files are damaged or do not match.
    """

    def __init__(self, folder: Path) -> None:
        self.taxonomy = read_taxonomy(folder)
        self._temperature = read_json(folder / DESCRIPTION_NAME)["temperature"]
        inverse_temperature(self._temperature)  # raises, now and not at each answer
        self._rows = TextRows(folder)
        #: Told of the characters of each text that are read, and of those that are cut.
        self.on_characters: Callable[[NDArray[np.int64], NDArray[np.int64]], None] | None = None
        arrays = read_array_file(folder / "weights.npz")
        read = load_scorer(self.taxonomy, arrays, read_json(folder / "weights.json"))
        fast = fast_class_scores(read.weights)
        self._scorer = type(read)(read.weights, read.loss, fast)

    def __call__(self, texts: Sequence[str]) -> Scores:
        """Answer texts."""
        prepared = self._rows.prepared(texts)
        vectorizer = self._rows.vectorizer
        if self.on_characters is not None:
            self.on_characters(*counted_characters(prepared, vectorizer.max_chars))
        rows, unknown = vectorizer.transform_counted(prepared)
        levels = self._scorer.level_scores(rows)
        log_proba = leaf_log_proba(levels, self.taxonomy, self._temperature)
        return Scores(log_proba, reference_features(rows, prepared, unknown))
