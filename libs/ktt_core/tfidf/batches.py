"""Chunks of texts, truncated, and lookup of a chunk's n-grams in a vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.counting import TermTable
from ktt_core.tfidf.ngrams import Grams, gram_keys

__all__ = ["chunks", "count_known", "counted_characters"]

# Code points per chunk: about 50 MB of working memory. Chunks depend on the texts only, not on the
# caller's batches, so that the vocabulary does not either.
_CHUNK = 1 << 18


def chunks(texts: Iterator[str], max_chars: int) -> Iterator[list[str]]:
    """Split texts into lists of about `_CHUNK` characters, independently of their batches.

    Of a text only the first `max_chars` characters go into its list.
    """
    chunk: list[str] = []
    size = 0
    for whole in texts:
        text = whole[:max_chars]
        chunk.append(text)
        size += len(text) + 1
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def counted_characters(
    texts: Sequence[str], max_chars: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many characters of each text `chunks` keeps, and how many it cuts."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    read = np.minimum(lengths, max_chars)
    return read, lengths - read


def count_known(
    grams: Grams, table: TermTable, n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and counts of the n-grams in the vocabulary, by row and then by column."""
    n_terms = len(table.keys)
    if n_terms == 0 or len(grams.starts) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    unique, inverse = np.unique(gram_keys(grams), return_inverse=True)
    place = np.minimum(np.searchsorted(table.keys, unique), n_terms - 1)
    column = np.where(table.keys[place] == unique, place, -1)[inverse.ravel()]
    known = column >= 0
    pairs = np.sort(grams.rows[known] * np.int64(n_terms) + column[known])
    first = np.ones(len(pairs), dtype=bool)
    first[1:] = pairs[1:] != pairs[:-1]
    begin = np.flatnonzero(first)
    row, column = np.divmod(pairs[begin], n_terms)
    return row, column, np.diff(np.append(begin, len(pairs)))
