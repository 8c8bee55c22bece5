"""Document frequencies of hashed n-grams, in bounded memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.ngrams import Grams, gram_keys

__all__ = ["MAX_TERM_LENGTH", "TermCounter", "TermTable", "gather_slices"]

#: In code points. A longer "word" (encoded data, a text without spaces) is never a term.
MAX_TERM_LENGTH = 256


class TermTable(NamedTuple):
    """Terms with their document frequencies, ascending by key.

    Attributes
    ----------
    keys : ndarray of uint64, shape (terms,)
        Unique hashes of `ktt_core.tfidf.ngrams.gram_keys`.
    frequencies : ndarray of int64, shape (terms,)
        Number of texts with each term.
    codes : ndarray of uint32
        The terms' concatenated code points.
    lengths : ndarray of int64, shape (terms,)
        Number of code points of each term.
    """

    keys: NDArray[np.uint64]
    frequencies: NDArray[np.int64]
    codes: NDArray[np.uint32]
    lengths: NDArray[np.int64]

    def take(self, order: NDArray[np.int64]) -> TermTable:
        """Return the terms at positions `order`, in that order."""
        starts = np.cumsum(self.lengths) - self.lengths
        return TermTable(
            self.keys[order],
            self.frequencies[order],
            gather_slices(self.codes, starts[order], self.lengths[order]),
            self.lengths[order],
        )

    def strings(self) -> list[str]:
        """Return the terms as strings."""
        joined = self.codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        stops = np.cumsum(self.lengths).tolist()
        return [joined[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def gather_slices(
    values: NDArray[np.uint32], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Concatenate ``values[start:start + length]`` over all slices."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return values[np.repeat(starts - (ends - lengths), lengths) + np.arange(total)]


def _merge(tables: list[TermTable]) -> TermTable:
    """Merge tables, adding the frequencies of equal terms."""
    keys = np.concatenate([table.keys for table in tables])
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    frequencies = np.concatenate([table.frequencies for table in tables])
    lengths = np.concatenate([table.lengths for table in tables])
    codes = np.concatenate([table.codes for table in tables])
    starts = np.cumsum(lengths) - lengths
    summed = np.bincount(inverse.ravel(), weights=frequencies, minlength=len(unique))
    return TermTable(
        unique,
        summed.astype(np.int64),
        gather_slices(codes, starts[first], lengths[first]),
        lengths[first],
    )


class TermCounter:
    """Counts the number of texts with each n-gram.

    Parameters
    ----------
    max_terms : int
        When there are more distinct terms than this, the rarest are dropped until at most half are
        left (lossy counting; Manku & Motwani, VLDB 2002). A dropped term that occurs again is
        counted from 0.
    """

    def __init__(self, max_terms: int) -> None:
        self._max_terms = max_terms
        empty = np.zeros(0, dtype=np.int64)
        self._table = TermTable(empty.astype(np.uint64), empty, np.zeros(0, dtype=np.uint32), empty)
        self._pending: list[TermTable] = []
        self._n_pending = 0

    def add(self, grams: Grams, n_rows: int) -> None:
        """Count a batch of `n_rows` new texts."""
        short = grams.stops - grams.starts <= MAX_TERM_LENGTH
        if not short.all():
            grams = Grams(grams.codes, grams.starts[short], grams.stops[short], grams.rows[short])
        keys = gram_keys(grams)
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        # One number per (term, text): sorting numbers is much faster than sorting pairs.
        pairs = np.sort(inverse.ravel() * np.int64(n_rows) + grams.rows)
        distinct = np.ones(len(pairs), dtype=bool)
        distinct[1:] = pairs[1:] != pairs[:-1]
        frequencies = np.bincount(pairs[distinct] // n_rows, minlength=len(unique))
        starts, lengths = grams.starts[first], (grams.stops - grams.starts)[first]
        codes = gather_slices(grams.codes, starts, lengths)
        self._pending.append(TermTable(unique, frequencies.astype(np.int64), codes, lengths))
        self._n_pending += len(unique)
        if self._n_pending > max(1 << 20, len(self._table.keys)):
            self._consolidate()

    def _consolidate(self) -> None:
        self._table = _merge([self._table, *self._pending])
        self._pending, self._n_pending = [], 0
        if len(self._table.keys) > self._max_terms:
            counts = np.bincount(self._table.frequencies)
            # The lowest frequency that at most half of the terms reach.
            left = np.cumsum(counts[::-1])[::-1]
            fitting = np.flatnonzero(left <= self._max_terms // 2)
            threshold = int(fitting[0]) if len(fitting) else len(counts)
            kept = np.flatnonzero(self._table.frequencies >= threshold)
            self._table = self._table.take(kept)

    def table(self) -> TermTable:
        """All terms counted so far."""
        self._consolidate()
        return self._table
