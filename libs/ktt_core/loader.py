"""Batches of a split, in file order, through a model's preprocessor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ktt_core.batches import Batch, Loader
from ktt_core.config import ModelConfig
from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors.base import check_made
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Taxonomy

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split

__all__ = ["SplitLoader", "WatchedLoader", "block_rows", "load_split"]

# Scores held at once, over all classes of a block of rows: 32 MiB of float32.
_BLOCK_CELLS = 2**23
_MAX_BLOCK_ROWS = 4096


def block_rows(taxonomy: Taxonomy) -> int:
    """Return how many rows' scores are worked on at once."""
    return max(1, min(_MAX_BLOCK_ROWS, _BLOCK_CELLS // taxonomy.n_classes))


def load_split(
    split: Split,
    preprocessor: Callable[[Sequence[str]], Mapping[str, Any]],
    config: ModelConfig,
    shuffle: bool = False,
) -> Loader:
    """Return a split in blocks: what `ktt_core.model.Model.get_dataloader_func` returns.

    The rows come in the file's order even if they are to be shuffled.
    """
    return SplitLoader(split, preprocessor, block_rows(split.taxonomy))


class SplitLoader:
    """Iterates over a split in file order, any number of times.

    Parameters
    ----------
    split : Split
    preprocessor : callable
        Texts to inputs.
    batch_rows : int
        Rows of a batch; the last one of a pass may be smaller.

    Raises
    ------
    InvalidArgumentError
        If `batch_rows` is not positive.
    UnsupportedError
        While iterating: if the preprocessor does not make one text of every text.
    """

    def __init__(
        self,
        split: Split,
        preprocessor: Callable[[Sequence[str]], Mapping[str, Any]],
        batch_rows: int,
    ) -> None:
        if batch_rows < 1:
            raise InvalidArgumentError(f"a batch needs at least one row, not {batch_rows}")
        self.split = split
        self.preprocessor = preprocessor
        self.batch_rows = batch_rows

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
        for texts, codes in self.split.iter_batches(self.batch_rows):
            inputs = self.preprocessor(texts)
            if "text" in inputs:
                check_made(self.preprocessor, texts, inputs["text"])
            yield Batch(inputs, codes)


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
