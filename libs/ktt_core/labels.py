"""The class paths of rows: the true ones, and those that a classifier answers with.

What a second path would change: `Labels` is the one place that says how rows hold their paths.
KTT's own code asks it questions and only passes arrays of codes on, with these exceptions, which
index them:

- Storage, which writes and checks them: `ktt_core.datasets`, and the cache of an encoder's inputs.
- Training, whose losses are about one path: the heads and `ktt_models.pytorch.balancing` on
  tensors, the solvers of `ktt_models.sklearn` on arrays, and `nodes_of` in `ktt_core.tfidf.weights`
  for them. A type around these would tell a reader nothing that the loss does not.
- `ktt_core.decoding` about its own results, until they are `Predictions`.

Models from outside take and return plain arrays: `ktt_core.batches.Batch.codes`, and the arguments
of observers, of metrics functions and of an estimator's ``fit``. `Labels.of` is that border.

The results of `Labels.leaves`, `Labels.leaf_values` and `Labels.classes` have one entry a row:
their callers would have to decide what they mean by several paths. "If a text had several paths" in
``docs/architecture.md`` names the other places.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy

__all__ = ["Labels"]


@dataclass(frozen=True, eq=False)
class Labels:
    """The path of every row of a block, from the first level to a leaf.

    Wraps an array without a copy or a check, and is meant for blocks of rows.

    Attributes
    ----------
    codes : ndarray of int32, shape (n, depth)
        Each row's class on every level, counted within its level: for storage, and for models from
        outside, whose own may be of another type of integer.
    """

    codes: NDArray[np.int32]

    @classmethod
    def of(cls, codes: Labels | NDArray[np.integer]) -> Labels:
        """Return labels as they are, and an array of codes as labels."""
        if isinstance(codes, Labels):
            return codes
        array: NDArray[Any] = np.asarray(codes)
        return cls(array)

    @classmethod
    def of_leaves(cls, leaves: NDArray[np.integer], taxonomy: Taxonomy) -> Labels:
        """Return the paths to leaves, shape (n,)."""
        return cls(taxonomy.leaf_codes[leaves])

    @classmethod
    def concatenate(cls, parts: Iterable[Labels]) -> Labels:
        """Return the rows of all parts, at least one, in order."""
        return cls(np.concatenate([part.codes for part in parts]))

    def __len__(self) -> int:
        return len(self.codes)

    def select(self, rows: slice | NDArray[Any]) -> Labels:
        """Return some of the rows: a slice of them, a mask, or their places."""
        return Labels(self.codes[rows])

    def checked(self, taxonomy: Taxonomy) -> Labels:
        """Return the labels if they are classes of a taxonomy.

        Raises
        ------
        InvalidArgumentError
            If they are not.
        """
        codes = self.codes
        if codes.ndim != 2 or codes.shape[1] != taxonomy.depth:
            raise InvalidArgumentError(
                f"codes need the shape (rows, {taxonomy.depth}), not {codes.shape}"
            )
        if not np.issubdtype(codes.dtype, np.integer):
            raise InvalidArgumentError(f"codes are whole numbers, not {codes.dtype}")
        if ((codes < 0) | (codes >= taxonomy.level_sizes)).any():
            raise InvalidArgumentError("codes hold a class that the taxonomy does not have")
        return self

    def leaves(self) -> NDArray[np.int32]:
        """Return each row's leaf, shape (n,)."""
        return self.codes[:, -1]

    def hit_by(self, leaves: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Tell whether leaves, one predicted for each row, are the rows' own; shape (n,)."""
        hits: NDArray[np.bool_] = self.leaves() == leaves
        return hits

    def leaf_values(self, table: NDArray[Any]) -> NDArray[Any]:
        """Return the values at the rows' leaves, shape (n,), of a table of shape (n, n_leaves)."""
        return table[np.arange(len(self)), self.leaves()]

    def classes(self, taxonomy: Taxonomy) -> NDArray[np.intp]:
        """Return each row's classes as indices into ``taxonomy.classes``, shape (n, depth).

        These are its leaf and all ancestors of it, padding classes included.
        """
        return self.codes.astype(np.intp) + taxonomy.level_offsets[:-1]

    def rows_per_class(self, taxonomy: Taxonomy) -> list[NDArray[np.int64]]:
        """Return the number of rows of every class, level by level, shape (n_h,) each."""
        return [
            np.bincount(column, minlength=size).astype(np.int64)
            for column, size in zip(self.codes.T, taxonomy.level_sizes.tolist(), strict=True)
        ]
