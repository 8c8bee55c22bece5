"""Batches of a split, in file order or shuffled, through a model's preprocessor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ktt_core.datasets.dataset import Split
from ktt_core.errors import InvalidArgumentError
from ktt_core.model import Batch, Loader
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Taxonomy

__all__ = ["SplitLoader", "WatchedLoader"]

#: Text that a shuffling loader holds at once, in bytes before compression.
WINDOW_BYTES = 64 * 1024**2


class SplitLoader:
    """Iterates over a split any number of times.

    With a seed the rows come in a new order at each pass: the file's row groups are shuffled, then
    the rows of as many groups as fit `window_bytes`. A split smaller than the window is thus
    shuffled whole, and a larger one mixes rows from all over the file in bounded memory. The order
    depends on the seed and the pass alone, so a resumed run that sets `epoch` sees the rows it
    would have seen.

    Parameters
    ----------
    split : Split
    preprocessor : callable
        Texts to inputs.
    batch_rows : int
        Rows of a batch; the last one of a pass may be smaller.
    shuffle_seed : int, optional
        None keeps the file's order.
    window_bytes : int
        Bound of the text held for shuffling.

    Attributes
    ----------
    epoch : int
        The number of the next pass.

    Raises
    ------
    InvalidArgumentError
        If `batch_rows` is not positive.
    """

    def __init__(
        self,
        split: Split,
        preprocessor: Callable[[Sequence[str]], Mapping[str, Any]],
        batch_rows: int,
        shuffle_seed: int | None = None,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        if batch_rows < 1:
            raise InvalidArgumentError(f"a batch needs at least one row, not {batch_rows}")
        self.split = split
        self.preprocessor = preprocessor
        self.batch_rows = batch_rows
        self.shuffle_seed = shuffle_seed
        self.window_bytes = window_bytes
        self.epoch = 0

    @property
    def n_rows(self) -> int:
        """Rows of the split."""
        return self.split.n_rows

    @property
    def taxonomy(self) -> Taxonomy:
        """What the codes mean."""
        return self.split.taxonomy

    def __len__(self) -> int:
        """Batches of one pass."""
        return -(-self.n_rows // self.batch_rows)

    def __iter__(self) -> Iterator[Batch]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        if self.shuffle_seed is None:
            batches = self.split.iter_batches(self.batch_rows)
        else:
            batches = self._shuffled(np.random.default_rng([self.shuffle_seed, epoch]))
        for texts, codes in batches:
            yield Batch(self.preprocessor(texts), codes)

    def _shuffled(self, generator: np.random.Generator) -> Iterator[tuple[list[str], Any]]:
        left: list[str] = []
        left_codes = np.empty((0, self.split.taxonomy.depth), dtype=np.int32)
        for groups in self._windows(generator.permutation(len(self.split.group_rows))):
            texts, codes = self.split.read_groups(groups)
            order = generator.permutation(len(texts))
            # What did not fill a batch of the last window leads this one.
            texts = left + [texts[i] for i in order]
            codes = np.concatenate([left_codes, codes[order]])
            full = len(texts) - len(texts) % self.batch_rows
            for start in range(0, full, self.batch_rows):
                yield texts[start : start + self.batch_rows], codes[start : start + self.batch_rows]
            left, left_codes = texts[full:], codes[full:]
        if left:
            yield left, left_codes

    def _windows(self, groups: np.ndarray) -> Iterator[list[int]]:
        window: list[int] = []
        size = 0
        for group in groups.tolist():
            window.append(group)
            size += int(self.split.group_bytes[group])
            if size >= self.window_bytes:
                yield window
                window, size = [], 0
        if window:
            yield window


class WatchedLoader:
    """A loader that tells how far it has been read: for work that reports no progress itself.

    Parameters
    ----------
    loader : Loader
    phase : str
        Of the `Progress` events.
    progress : callable
    """

    def __init__(self, loader: Loader, phase: str, progress: ProgressCallback) -> None:
        self._loader = loader
        self._phase = phase
        self._progress = progress

    @property
    def n_rows(self) -> int:
        """Rows of the split."""
        return self._loader.n_rows

    def __getattr__(self, name: str) -> Any:
        # What else a model's own loader has.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Batch]:
        done = 0
        self._progress(Progress(self._phase, done, self.n_rows, "rows"))
        for batch in self._loader:
            yield batch
            done += len(batch.codes)
            self._progress(Progress(self._phase, done, self.n_rows, "rows"))
