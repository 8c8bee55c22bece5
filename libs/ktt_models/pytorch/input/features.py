"""A frozen encoder's features, computed once per text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.input.cache import Cache
from ktt_models.pytorch.input.loader import EncoderBatch, EncoderLoader, OrderedLoader
from ktt_models.pytorch.input.order import file_order, shuffled_order
from ktt_models.pytorch.input.spool import Spool
from ktt_models.pytorch.input.tables import FeatureTable

__all__ = ["Encode", "FeatureLoader"]

#: Maps ``input_ids`` and ``attention_mask`` (int64, shape (n, length)) to features, float32, shape
#: (n, width).
Encode = Callable[[Mapping[str, NDArray[np.int64]]], NDArray[np.float32]]

# Number of rows that are sorted by length together.
_BLOCK_ROWS = 8_192


class FeatureSource:
    """The features of a split, computed lazily by `table`.

    Parameters
    ----------
    tokens : EncoderLoader
        Of the same split.
    encode, fingerprint, width, encode_rows
        As in `FeatureLoader`.
    """

    def __init__(
        self, tokens: EncoderLoader, encode: Encode, fingerprint: str, width: int, encode_rows: int
    ) -> None:
        self._tokens = tokens
        self._encode = encode
        self._fingerprint = fingerprint
        self._width = width
        self._encode_rows = encode_rows
        self._table: FeatureTable | None = None

    @property
    def taxonomy(self) -> Taxonomy:
        """Taxonomy of the split's codes."""
        return self._tokens.taxonomy

    def table(self, progress: ProgressCallback) -> FeatureTable:
        """Return the features, from the cache if they are there."""
        if self._table is None:
            source = self._tokens.source
            about: dict[str, Any] = {**source.made_of, "encoder": self._fingerprint}
            cache = Cache(source.split.path, "features", source.content, about)
            total = self._tokens.n_rows
            self._table = cache.get(
                FeatureTable.of,
                lambda folder: self._make(folder, progress),
                FeatureTable.columns,
                lambda: progress(Progress("features", 0, total, "rows")),
            )
        return self._table

    def _make(self, folder: Path | None, progress: ProgressCallback) -> FeatureTable:
        self._tokens.prepare(progress)
        lengths, total = self._tokens.lengths, self._tokens.n_rows
        spool = Spool(folder, np.float32)
        progress(Progress("features", 0, total, "rows"))
        for start in range(0, total, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, total)
            block = np.empty((stop - start, self._width), dtype=np.float32)
            order = start + np.argsort(-lengths[start:stop], kind="stable")
            for first in range(0, len(order), self._encode_rows):
                rows = order[first : first + self._encode_rows]
                block[rows - start] = self._encode(self._tokens.inputs(rows))
                progress(Progress("features", start + first + len(rows), total, "rows"))
            spool.append(block)
        return FeatureTable(spool.array().reshape(-1, self._width), self._tokens.codes)


class FeatureLoader(OrderedLoader):
    """Features of a split in batches, kept in the workspace's cache.

    Rows, batch size and seed are those of a loader of token ids; batches hold
    ``inputs={"features"}``, float32, shape (n, width). Without a seed, batches are in the file's
    order.

    Parameters
    ----------
    tokens : EncoderLoader
    encode : callable
        The encoder, without dropout; see `Encode`.
    fingerprint : str
        Of the encoder; see `Encoder.fingerprint`.
    width : int
        Features per text.
    encode_rows : int
        Texts at once for `encode`.
    """

    def __init__(
        self,
        tokens: EncoderLoader,
        encode: Encode,
        fingerprint: str,
        width: int,
        encode_rows: int = 64,
    ) -> None:
        super().__init__(tokens.n_rows, tokens.batch_size, tokens.shuffle_seed)
        self.source = FeatureSource(tokens, encode, fingerprint, width, encode_rows)

    @property
    def taxonomy(self) -> Taxonomy:
        """Taxonomy of the codes."""
        return self.source.taxonomy

    def prepare(self, progress: ProgressCallback = ignore_progress) -> None:
        """Compute the features, or find them in the cache.

        Raises
        ------
        DataError
            If the split is damaged.
        ResourceExhaustedError
            If there is room for them neither on disk nor in memory.
        """
        self.source.table(progress)

    def _order(self, epoch: int) -> NDArray[np.uint32]:
        if self.shuffle_seed is None:
            return file_order(self.n_rows)
        return shuffled_order(None, self.n_rows, self.batch_size, self.shuffle_seed, epoch)

    def _codes(self) -> NDArray[np.int32]:
        return self.source.table(ignore_progress).codes

    def _batch(self, rows: NDArray[np.int64]) -> EncoderBatch:
        table = self.source.table(ignore_progress)
        return EncoderBatch({"features": table.features[rows]}, table.codes[rows], rows)
