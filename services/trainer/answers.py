"""Recording of a model's answers and of their cost during a test."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import decode
from ktt_core.labels import Labels
from ktt_core.model import Batch, Loader, Model

__all__ = ["AnswerRecorder"]


class AnswerRecorder:
    """Wraps a loader for a model's `test`, and observes its scores.

    Parameters
    ----------
    loader : Loader
    model : Model

    Attributes
    ----------
    leaves : ndarray of int32, shape (n,)
        Predicted leaf of each row, in the split's order.
    probabilities : ndarray of float32, shape (n,)
        Probabilities of these leaves' paths.
    true_leaves : ndarray of int32, shape (n,)
        Labels from the loader: if they differ from the split's, the loader has its own order and
        does not report it.
    seconds : float
        Time for the answers: reading and preprocessing the rows, their scores and their paths,
        without the metrics.
    """

    def __init__(self, loader: Loader, model: Model) -> None:
        self._loader = loader
        self._model = model
        self.leaves = np.full(loader.n_rows, -1, dtype=np.int32)
        self.true_leaves = np.full(loader.n_rows, -1, dtype=np.int32)
        self.probabilities = np.zeros(loader.n_rows, dtype=np.float32)
        self.seconds = 0.0
        self._started = 0.0
        self._places: deque[NDArray[np.integer]] = deque()

    @property
    def n_rows(self) -> int:
        """Rows of the split."""
        return self._loader.n_rows

    def __getattr__(self, name: str) -> Any:
        # Other attributes that a model may read.
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Batch]:
        done = 0
        batches = iter(self._loader)
        while True:
            self._started = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            # A loader with its own order reports the positions of its rows in the split.
            places = getattr(batch, "rows", None)
            self._places.append(
                np.arange(done, done + len(batch.codes)) if places is None else np.asarray(places)
            )
            done += len(batch.codes)
            yield batch

    def observe(self, levels: Sequence[NDArray[np.floating]], codes: NDArray[np.int32]) -> None:
        """Take a batch's level scores, as an `Observer`."""
        predictions = decode(levels, self._model.taxonomy, temperature=self._model.temperature)
        places = self._places.popleft()
        self.leaves[places] = predictions.best().leaves()
        self.probabilities[places] = predictions.probabilities[:, 0]
        self.seconds += time.perf_counter() - self._started
        self.true_leaves[places] = Labels.of(codes).leaves()
