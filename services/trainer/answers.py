"""What a model answers to the rows of a split, seen while it is tested, and what that cost."""

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
    """Stands between a loader and a model's `test`, as its loader and as its observer.

    Parameters
    ----------
    loader : Loader
    model : Model

    Attributes
    ----------
    leaves : ndarray of int32, shape (n,)
        Of each row, in the split's order, the leaf that the model answers with.
    probabilities : ndarray of float32, shape (n,)
        Of these leaves' paths.
    true_leaves : ndarray of int32, shape (n,)
        What the loader said is right: if it is not what the split says, the loader has an order of
        its own and does not tell which.
    seconds : float
        That the answers took: reading and preprocessing the rows, their scores and their paths. The
        time in which metrics are computed is not in it.
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
        # What else a model may ask its loader.
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Batch]:
        done = 0
        batches = iter(self._loader)
        while True:
            self._started = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            # A loader that has an order of its own says where its rows stand in the split.
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
