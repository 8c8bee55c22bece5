"""A split's texts in blocks, with a count of what a tf-idf model does not read of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ktt_core.cut_texts import CutShares
from ktt_core.loader import SplitLoader, block_rows
from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_core.tfidf.batches import counted_characters
from ktt_models.sklearn.config import EstimatorConfig

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split

__all__ = ["TextLoader", "load_split"]


class TextLoader(SplitLoader):
    """Iterates over a split in file order.

    Parameters
    ----------
    split : Split
    preprocessor : callable
        Texts to ``{"text": [...]}``.
    batch_rows : int
    max_chars : int
        Characters of a text that the model reads.
    """

    def __init__(
        self,
        split: Split,
        preprocessor: Callable[[Sequence[str]], Mapping[str, Any]],
        batch_rows: int,
        max_chars: int,
    ) -> None:
        super().__init__(split, preprocessor, batch_rows)
        self.max_chars = max_chars

    def cut_shares(self, progress: ProgressCallback = ignore_progress) -> CutShares | None:
        """Return what is cut of the texts, by a pass over them; None if nothing is.

        There is no progress to report: the pass takes little of the time that the features do.

        Raises
        ------
        DataError
            If the split is damaged.
        """
        parts = [counted_characters(batch.inputs["text"], self.max_chars) for batch in self]
        read, cut = (np.concatenate(lengths) for lengths in zip(*parts, strict=True))
        return CutShares.of(read, cut, self.max_chars, "characters") if cut.any() else None


def load_split(
    split: Split,
    preprocessor: Callable[[Sequence[str]], Mapping[str, Any]],
    config: EstimatorConfig,
    shuffle: bool = False,
) -> TextLoader:
    """Return a split in blocks; the rows come in the file's order even if they are to be shuffled.

    Parameters
    ----------
    split : Split
    preprocessor : callable
    config : EstimatorConfig
    shuffle : bool
    """
    return TextLoader(split, preprocessor, block_rows(split.taxonomy), config.max_chars)
