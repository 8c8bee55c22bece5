"""Batches of labelled rows, and what a model reads them from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ktt_core.labels import Labels

__all__ = ["Batch", "Loader"]


@dataclass(frozen=True)
class Batch:
    """Rows on their way to a model.

    Attributes
    ----------
    inputs : mapping of str to sequence or array
        What the model's preprocessor made of the texts; always holds ``"text"`` unless the
        preprocessor says otherwise.
    codes : ndarray of int32, shape (rows, depth)
        The true paths, in level-local indices: `labels` as a plain array, which models and loaders
        from outside read and make.
    """

    inputs: Mapping[str, Any]
    codes: NDArray[np.int32]

    @property
    def labels(self) -> Labels:
        """The true paths."""
        return Labels(self.codes)


class Loader(Protocol):
    """Batches of one split; can be iterated any number of times.

    One that also has a `taxonomy` is refused by models of another one.
    One whose batches come in another order than the split's rows gives them `rows`, the rows'
    places in the split: else what a model got wrong cannot be told by row.
    """

    @property
    def n_rows(self) -> int:
        """Rows of the split."""

    def __iter__(self) -> Iterator[Batch]: ...
