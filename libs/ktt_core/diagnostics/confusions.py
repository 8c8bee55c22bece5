"""Sparse confusion counts of leaves: only pairs that occur take memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy

__all__ = ["ConfusedPair", "Confusions", "end_parents", "top_pairs"]

Indices = NDArray[np.int64]

#: Largest number of pairs in memory, 16 bytes each.
MAX_PAIRS = 2**20

# Number of buffered pairs at which they are merged into the counts.
_BUFFERED = 2**16


class Confusions:
    """Counts of (true leaf, predicted leaf) pairs that differ.

    Memory grows with the distinct pairs, not with the square of the classes, and is bounded: beyond
    the bound the rarest pairs are dropped, and `is_exact` becomes false.

    Parameters
    ----------
    n_leaves : int
    max_pairs : int
        Largest number of distinct pairs.
    """

    def __init__(self, n_leaves: int, max_pairs: int = MAX_PAIRS) -> None:
        if max_pairs < 2:
            raise InvalidArgumentError(f"max_pairs is at least 2, not {max_pairs}")
        self.n_leaves = n_leaves
        self.rows = 0
        #: Whether no pair was dropped; otherwise every count is a lower bound.
        self.is_exact = True
        self._max_pairs = max_pairs
        self._keys: Indices = np.zeros(0, dtype=np.int64)
        self._counts: Indices = np.zeros(0, dtype=np.int64)
        self._waiting: list[Indices] = []
        self._n_waiting = 0

    def update(self, true: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Count rows.

        Parameters
        ----------
        true, predicted : ndarray of int, shape (n,)
            Leaf indices; rows where they are equal are ignored.
        """
        wrong = np.asarray(true) != np.asarray(predicted)
        keys = np.asarray(true)[wrong].astype(np.int64) * self.n_leaves
        keys += np.asarray(predicted)[wrong]
        self.rows += len(keys)
        self._waiting.append(keys)
        self._n_waiting += len(keys)
        if self._n_waiting >= min(_BUFFERED, self._max_pairs):
            self._merge()

    def pairs(self) -> tuple[Indices, Indices, Indices]:
        """Return true leaves, predicted leaves and counts, each of shape (pairs,), by true leaf."""
        self._merge()
        true, predicted = np.divmod(self._keys, self.n_leaves)
        return true, predicted, self._counts.copy()

    def _merge(self) -> None:
        new = np.concatenate([self._keys, *self._waiting])
        weights = np.ones(len(new), dtype=np.int64)
        weights[: len(self._counts)] = self._counts
        self._waiting, self._n_waiting = [], 0
        self._keys, inverse = np.unique(new, return_inverse=True)
        self._counts = np.zeros(len(self._keys), dtype=np.int64)
        np.add.at(self._counts, inverse, weights)
        if len(self._keys) > self._max_pairs:
            # Keep half of them, so that the next new pairs do not trigger this again at once.
            kept = np.sort(np.argsort(-self._counts, kind="stable")[: self._max_pairs // 2])
            self._keys, self._counts = self._keys[kept], self._counts[kept]
            self.is_exact = False


@dataclass(frozen=True)
class ConfusedPair:
    """Two leaves and how often each was predicted for the other.

    Attributes
    ----------
    first, second : int
        Leaf indices; `forward` is at least `backward`.
    forward, backward : int
        Rows of `first` predicted as `second`, and rows of `second` predicted as `first`.
    siblings : bool
        Whether both end below the same parent (or both on the first level).
    """

    first: int
    second: int
    forward: int
    backward: int
    siblings: bool

    @property
    def rows(self) -> int:
        """Rows confused, in both directions."""
        return self.forward + self.backward


def top_pairs(
    confusions: Confusions, taxonomy: Taxonomy, k: int, *, siblings: bool
) -> list[ConfusedPair]:
    """Return the k most often confused pairs of leaves.

    Parameters
    ----------
    confusions : Confusions
    taxonomy : Taxonomy
    k : int
    siblings : bool
        Whether to return pairs with the same parent, or those with different ones.

    Returns
    -------
    list of ConfusedPair
        Most rows first; ties go to the lower leaf indices.
    """
    true, predicted, counts = confusions.pairs()
    parents = end_parents(taxonomy)
    chosen = (parents[true] == parents[predicted]) == siblings
    true, predicted, counts = true[chosen], predicted[chosen], counts[chosen]
    low, high = np.minimum(true, predicted), np.maximum(true, predicted)
    keys, inverse = np.unique(low * taxonomy.n_leaves + high, return_inverse=True)
    both = np.zeros((2, len(keys)), dtype=np.int64)
    np.add.at(both, ((true > predicted).astype(np.int64), inverse), counts)
    best = np.argsort(-both.sum(axis=0), kind="stable")[:k]
    pairs = []
    for key, up, down in zip(keys[best].tolist(), *both[:, best].tolist(), strict=True):
        lower, higher = divmod(key, taxonomy.n_leaves)
        if down > up:
            pairs.append(ConfusedPair(higher, lower, down, up, siblings))
        else:
            pairs.append(ConfusedPair(lower, higher, up, down, siblings))
    return pairs


def end_parents(taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Return the parent of each leaf's last real class, shape (n_leaves,).

    An index into ``taxonomy.classes``; -1 where the class is on the first level.
    """
    classes = taxonomy.leaf_codes.astype(np.int64) + taxonomy.level_offsets[:-1]
    ends = (~taxonomy.hidden[classes]).sum(axis=1) - 1
    rows = np.arange(taxonomy.n_leaves)
    return np.where(ends > 0, classes[rows, np.maximum(ends - 1, 0)], -1)
