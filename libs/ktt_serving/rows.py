"""Rows for the monitoring service, as JSON."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowBatch", "RowQueue", "post_body"]


@dataclass(frozen=True)
class RowBatch:
    """Rows of one call of the model.

    Attributes
    ----------
    ids : sequence of str, length n
        Ids for joining labels later: BentoML's ids of the requests, or those in the answer to a
        list of texts.
    features : ndarray of float32, shape (n, k)
    log_proba : ndarray of float32, shape (n, leaves)
    """

    ids: Sequence[str]
    features: NDArray[np.float32]
    log_proba: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_bytes(self) -> int:
        """Memory of the rows."""
        return self.features.nbytes + self.log_proba.nbytes

    def part(self, start: int, stop: int) -> RowBatch:
        """Return some of the rows."""
        return RowBatch(self.ids[start:stop], self.features[start:stop], self.log_proba[start:stop])


class RowQueue:
    """A bounded queue of batches of rows, which drops the oldest.

    A monitor needs the newest rows. Not thread-safe: callers hold a lock.

    Parameters
    ----------
    max_rows, max_bytes : int
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.max_rows, self.max_bytes = max_rows, max_bytes
        self.n_rows = self.n_bytes = 0
        self._batches: deque[RowBatch] = deque()

    def put(self, batch: RowBatch) -> int:
        """Add rows; return the number of dropped rows."""
        self._batches.append(batch)
        self.n_rows += len(batch)
        self.n_bytes += batch.n_bytes
        lost = 0
        while self._batches and (self.n_rows > self.max_rows or self.n_bytes > self.max_bytes):
            lost += len(self._pop())
        return lost

    def take(self, max_rows: int, max_cells: int) -> list[RowBatch]:
        """Remove and return batches of about so many rows and numbers, at least one row."""
        taken: list[RowBatch] = []
        rows = cells = 0
        while self._batches and rows < max_rows and cells < max_cells:
            batch = self._pop()
            width = batch.features.shape[1] + batch.log_proba.shape[1]
            room = max(1, min(max_rows - rows, (max_cells - cells) // width))
            if len(batch) > room:
                rest = batch.part(room, len(batch))
                self._batches.appendleft(rest)
                self.n_rows += len(rest)
                self.n_bytes += rest.n_bytes
                batch = batch.part(0, room)
            taken.append(batch)
            rows += len(batch)
            cells += len(batch) * width
        return taken

    def _pop(self) -> RowBatch:
        batch = self._batches.popleft()
        self.n_rows -= len(batch)
        self.n_bytes -= batch.n_bytes
        return batch


def post_body(batches: Sequence[RowBatch]) -> tuple[bytes, int]:
    """Return rows as JSON, and their number.

    Rows with non-finite numbers, which JSON cannot hold, are left out.
    """
    texts: list[str] = []
    ids: list[str] = []
    for batch in batches:
        cells = np.concatenate([batch.features, np.exp(batch.log_proba)], axis=1)
        finite = np.isfinite(cells).all(axis=1)
        # Nine digits represent 32-bit numbers exactly.
        template = "[null" + ",%.9g" * cells.shape[1] + "]"
        for number, row, fine in zip(batch.ids, cells, finite.tolist(), strict=True):
            if fine:
                texts.append(template % tuple(row.tolist()))
                ids.append(number)
    return f'{{"data": [{",".join(texts)}], "ids": {json.dumps(ids)}}}'.encode(), len(ids)
