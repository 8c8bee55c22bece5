"""Batches of a split for a model on an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.cut_texts import CutShares
from ktt_core.datasets.dataset import Split
from ktt_core.errors import InvalidArgumentError
from ktt_core.model import Batch
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.preprocessors.padding import pad_rows
from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders.tokenizer import with_tokenizer
from ktt_models.pytorch.input.order import shuffled_order, sorted_order
from ktt_models.pytorch.input.tables import TokenTable
from ktt_models.pytorch.input.tokens import TokenSource

__all__ = ["EncoderBatch", "EncoderLoader", "OrderedLoader", "load_split"]


@dataclass(frozen=True)
class EncoderBatch(Batch):
    """A batch of rows for a network.

    Attributes
    ----------
    rows : ndarray of int64, shape (rows,)
        Positions of the rows in the split: batches are not in the file's order.
    """

    rows: NDArray[np.int64]


class OrderedLoader(ABC):
    """Batches in a deterministic order: any number of passes, from any position.

    With a seed, the order of a pass depends on the seed and the pass's number only. Without a seed,
    all passes have the same order, which the subclass defines.

    Parameters
    ----------
    n_rows : int
        Rows of the split.
    batch_size : int
        Rows of a batch; the last one of a pass may be smaller.
    shuffle_seed : int, optional

    Attributes
    ----------
    epoch : int
        The number of the next pass.

    Raises
    ------
    InvalidArgumentError
        If `batch_size` is not positive.
    """

    def __init__(self, n_rows: int, batch_size: int, shuffle_seed: int | None = None) -> None:
        if batch_size < 1:
            raise InvalidArgumentError(f"a batch needs at least one row, not {batch_size}")
        self._n_rows = n_rows
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.epoch = 0
        self._first_batch = 0

    @property
    def n_rows(self) -> int:
        """Rows of the split."""
        return self._n_rows

    def __len__(self) -> int:
        """Batches of one pass."""
        return -(-self._n_rows // self.batch_size)

    def start_at(self, epoch: int, batch: int = 0) -> None:
        """Set the next pass to number `epoch`, starting at batch `batch`, both from 0.

        Raises
        ------
        InvalidArgumentError
            If a pass has no such batch.
        """
        if epoch < 0 or not 0 <= batch <= len(self):
            raise InvalidArgumentError(
                f"there is no batch {batch} of pass {epoch}: a pass has {len(self)}"
            )
        self.epoch, self._first_batch = epoch, batch

    def __iter__(self) -> Iterator[EncoderBatch]:
        epoch, first = self.epoch, self._first_batch
        self.epoch, self._first_batch = epoch + 1, 0
        return self._pass(epoch, first)

    def _pass(self, epoch: int, first: int) -> Iterator[EncoderBatch]:
        self.prepare()
        order = self._order(epoch)
        for batch in range(first, len(self)):
            start = batch * self.batch_size
            rows = order[start : start + self.batch_size]
            yield self._batch(rows.astype(np.int64))

    @property
    def codes(self) -> NDArray[np.int32]:
        """Codes of all rows in the file's order, shape (n_rows, depth); may be a mapped file."""
        self.prepare()
        return self._codes()

    @abstractmethod
    def prepare(self, progress: ProgressCallback = ignore_progress) -> None:
        """Create the input of batches if missing; otherwise the first pass does.

        Parameters
        ----------
        progress : callable
            Called with every block of rows; may raise to stop.
        """

    @abstractmethod
    def _order(self, epoch: int) -> NDArray[np.uint32]: ...

    @abstractmethod
    def _codes(self) -> NDArray[np.int32]: ...

    @abstractmethod
    def _batch(self, rows: NDArray[np.int64]) -> EncoderBatch: ...


class EncoderLoader(OrderedLoader):
    """Token ids of a split, in batches of similar length, each padded to its longest text.

    The ids are computed once and kept in the workspace's cache. Without a seed, batches are ordered
    from the longest texts to the shortest.

    Parameters
    ----------
    source : TokenSource
    batch_size : int
    shuffle_seed : int, optional

    Notes
    -----
    Memory: four bytes per row for the lengths, and four for the order during a pass.
    """

    def __init__(
        self, source: TokenSource, batch_size: int, shuffle_seed: int | None = None
    ) -> None:
        super().__init__(source.split.n_rows, batch_size, shuffle_seed)
        self.source = source

    @property
    def taxonomy(self) -> Taxonomy:
        """Taxonomy of the codes."""
        return self.source.split.taxonomy

    def prepare(self, progress: ProgressCallback = ignore_progress) -> None:
        """Tokenise the split, or find it in the cache.

        Raises
        ------
        DataError
            If the split is damaged.
        ResourceExhaustedError
            If there is room for the ids neither on disk nor in memory.
        """
        self.source.table(progress)

    def cut_shares(self, progress: ProgressCallback = ignore_progress) -> CutShares:
        """Return the shares of cut texts; tokenises the split if necessary.

        Raises
        ------
        DataError
            If the split is damaged.
        ResourceExhaustedError
            If there is room for the ids neither on disk nor in memory.
        """
        table = self.source.table(progress)
        return CutShares.of(table.lengths, table.cut, self.source.preprocessor.max_length)

    @property
    def _table(self) -> TokenTable:
        return self.source.table(ignore_progress)

    def _order(self, epoch: int) -> NDArray[np.uint32]:
        lengths = self._table.lengths
        if self.shuffle_seed is None:
            return sorted_order(lengths)
        return shuffled_order(lengths, self.n_rows, self.batch_size, self.shuffle_seed, epoch)

    def _codes(self) -> NDArray[np.int32]:
        return self._table.codes

    def _batch(self, rows: NDArray[np.int64]) -> EncoderBatch:
        return EncoderBatch(self.inputs(rows), self._table.codes[rows], rows)

    def inputs(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return ``input_ids`` and ``attention_mask`` of the given rows, in that order."""
        table = self._table
        pad_id = self.source.preprocessor.pad_id
        return pad_rows(table.values, table.offsets[rows], table.lengths[rows], pad_id)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Token ids of every row in the file's order, shape (n_rows,)."""
        return self._table.lengths


def load_split(
    split: Split,
    preprocessor: BasePreprocessor,
    config: EncoderConfig,
    shuffle: bool = False,
) -> EncoderLoader:
    """Return a split's loader; the function of an encoder model's `get_dataloader_func`.

    Parameters
    ----------
    split : Split
    preprocessor : BasePreprocessor
        One that changes texts is put before the encoder's tokenizer.
    config : EncoderConfig
        Its `batch_size` and `seed` if shuffled, else its `eval_batch_size`.
    shuffle : bool

    Raises
    ------
    KttError
        If the encoder is needed but cannot be used.
    """
    source = TokenSource(split, with_tokenizer(preprocessor, config))
    if shuffle:
        return EncoderLoader(source, config.batch_size, config.seed)
    return EncoderLoader(source, config.eval_batch_size)
