"""Tf-idf vectors of stemmed words and of character n-grams."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, DataError, InvalidArgumentError
from ktt_core.preprocessors.snowball import SnowballStemmerPreprocessor
from ktt_core.tfidf.batches import chunks, count_known
from ktt_core.tfidf.counting import TermCounter, TermTable
from ktt_core.tfidf.ngrams import Grams, char_grams, word_grams
from ktt_core.tfidf.rows import CsrRows

__all__ = ["TfidfVectorizer"]


Arrays = dict[str, NDArray[Any]]


class TfidfVectorizer:
    """Convert texts to sparse vectors: a block of words and a block of character n-grams.

    A block's entry for a term that occurs n times is ``(1 + ln n) * idf`` (`sublinear_tf`, else ``n
    * idf``) with ``idf = 1 + ln((1 + texts) / (1 + texts with the term))``. Each block is scaled to
    length 1, then by its share of `word_weight` and 1 (the characters), so that a row with both has
    length 1. With one block only, the features are those of scikit-learn's ``TfidfVectorizer`` with
    ``analyzer="word", token_pattern=r"\\w+"`` or ``analyzer="char_wb"``, with one exception: a
    combining mark belongs to the word it is written on.

    Of a text only the first `max_chars` characters count. Texts are lower-cased. Only words are
    stemmed, as character n-grams already match across endings.

    Parameters
    ----------
    word_ngrams : tuple of int, or None
        Smallest and largest number of words; None omits the block of words.
    char_ngrams : tuple of int, or None
        Smallest and largest number of characters, with a space before and after each word; None
        omits the block of characters.
    stem : str or None
        Snowball language for stemming the words (stop words stay as they are); None does not stem.
    min_df, char_min_df : int or float
        Terms (words; characters) in fewer texts are left out: a count if an int, a share of the
        texts if a float.
    max_df : float
        Terms in more than this share of the texts are left out.
    max_features : int or None
        Largest number of terms per block; those in the most texts are kept.
    sublinear_tf : bool
        Whether repetitions of a term count logarithmically.
    word_weight : float
        Weight of the words; that of the characters is 1.
    max_candidates : int
        Terms in memory while counting, per block (`TermCounter`): about 50 bytes each.
    max_chars : int
        Characters (code points) of a text that are read, from its beginning. Without a limit, one
        text of many megabytes needs gigabytes of memory.

    Raises
    ------
    InvalidArgumentError
        If a parameter is outside its range.
    """

    def __init__(
        self,
        word_ngrams: tuple[int, int] | None = (1, 2),
        char_ngrams: tuple[int, int] | None = (3, 6),
        *,
        stem: str | None = "english",
        min_df: int | float = 1,
        char_min_df: int | float = 2,
        max_df: float = 1.0,
        max_features: int | None = 300_000,
        sublinear_tf: bool = True,
        word_weight: float = 1.5,
        max_candidates: int = 4_000_000,
        max_chars: int = 100_000,
    ) -> None:
        self.word_ngrams = _ngram_range("word_ngrams", word_ngrams)
        self.char_ngrams = _ngram_range("char_ngrams", char_ngrams)
        if self.word_ngrams is None and self.char_ngrams is None:
            raise InvalidArgumentError("word_ngrams and char_ngrams cannot both be None")
        for name, value in (("min_df", min_df), ("char_min_df", char_min_df), ("max_df", max_df)):
            whole = isinstance(value, int) and not isinstance(value, bool) and name != "max_df"
            if not (value >= 1 if whole else 0 <= value <= 1):
                raise InvalidArgumentError(
                    f"{name} must be a share from 0.0 to 1.0"
                    + ("" if name == "max_df" else " or a whole number of texts from 1")
                    + f", not {value!r}"
                )
        if max_features is not None and max_features < 1:
            raise InvalidArgumentError(
                f"max_features must be at least 1 or None, not {max_features}"
            )
        if not 0 < word_weight <= sys.float_info.max:
            raise InvalidArgumentError(f"word_weight must be a positive number, not {word_weight}")
        if max_candidates < 1000:
            raise InvalidArgumentError(
                f"max_candidates must be at least 1000, not {max_candidates}"
            )
        if isinstance(max_chars, bool) or not isinstance(max_chars, int) or max_chars < 1:
            raise InvalidArgumentError(
                f"max_chars must be a whole number from 1, not {max_chars!r:.40}"
            )
        self.stem = stem
        self.min_df = min_df
        self.char_min_df = char_min_df
        self.max_df = max_df
        self.max_features = max_features
        self.sublinear_tf = sublinear_tf
        self.word_weight = word_weight
        self.max_candidates = max_candidates
        self.max_chars = max_chars
        self._stemmer = None if stem is None else SnowballStemmerPreprocessor(stem)
        self._tables: list[TermTable] = []
        #: Inverse document frequency per feature, shape (n_features,).
        self.idf: NDArray[np.float32] = np.zeros(0, dtype=np.float32)

    # -- fitting

    def fit(self, batches: Iterable[Sequence[str]]) -> TfidfVectorizer:
        """Learn the vocabulary in one pass.

        Parameters
        ----------
        batches : iterable of sequences of str
            Batches of texts; their sizes have no effect. For a plain list of texts: ``[texts]``.

        Raises
        ------
        DataError
            If there are no texts, or no term is frequent enough.
        """
        counters = [TermCounter(self.max_candidates) for _ in self._blocks()]
        n_texts = 0
        for chunk in chunks((text for batch in batches for text in batch), self.max_chars):
            n_texts += len(chunk)
            for counter, grams in zip(counters, self._grams(chunk), strict=True):
                counter.add(grams, len(chunk))
        if n_texts == 0:
            raise DataError("there are no texts to learn a vocabulary from")
        self._tables = [
            self._selected(counter.table(), n_texts, minimum)
            for counter, minimum in zip(counters, self._blocks().values(), strict=True)
        ]
        if self.n_features == 0:
            raise DataError(
                f"no term of the {n_texts:,} texts is in the vocabulary: lower min_df "
                f"({self.min_df}) or char_min_df ({self.char_min_df}), or raise max_df "
                f"({self.max_df})"
            )
        frequencies = np.concatenate([table.frequencies for table in self._tables])
        self.idf = (np.log((1 + n_texts) / (1 + frequencies)) + 1).astype(np.float32)
        return self

    def _blocks(self) -> dict[str, int | float]:
        """Minimum document frequency of the blocks in use, in the order of their features."""
        words = {"w": self.min_df} if self.word_ngrams else {}
        return words | ({"c": self.char_min_df} if self.char_ngrams else {})

    def _selected(self, table: TermTable, n_texts: int, minimum: int | float) -> TermTable:
        least = minimum if isinstance(minimum, int) else minimum * n_texts
        frequencies = table.frequencies
        kept = np.flatnonzero((frequencies >= least) & (frequencies <= self.max_df * n_texts))
        if self.max_features is not None and len(kept) > self.max_features:
            # A stable sort: of two equally frequent terms the one with the lower key is kept, in
            # every run.
            kept = kept[np.argsort(-frequencies[kept], kind="stable")[: self.max_features]]
        return table.take(np.sort(kept))

    def _grams(self, texts: Sequence[str]) -> Iterator[Grams]:
        if self.word_ngrams:
            words = texts if self._stemmer is None else self._stemmer(texts)["text"]
            yield word_grams(words, *self.word_ngrams)
        if self.char_ngrams:
            yield char_grams(texts, *self.char_ngrams)

    # -- vectors

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return sum(len(table.keys) for table in self._tables)

    def terms(self) -> list[str]:
        """Return each feature's term in feature order, prefixed by its block, ``w:`` or ``c:``."""
        return [
            f"{kind}:{term}"
            for kind, table in zip(self._blocks(), self._tables, strict=True)
            for term in table.strings()
        ]

    def transform(self, texts: Sequence[str]) -> CsrRows:
        """Return vectors of texts, shape (n, n_features), without unknown terms."""
        return self.transform_counted(texts)[0]

    def transform_counted(self, texts: Sequence[str]) -> tuple[CsrRows, NDArray[np.float32]]:
        """Return vectors of texts, and each text's share of unknown terms.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        rows : CsrRows
            Shape (n, n_features).
        unknown : ndarray of float32, shape (n,)
            Share of a text's n-grams (0 to 1) that are not in the vocabulary; 0 for an empty text.
        """
        if not self._tables:
            raise InvalidArgumentError("the vectorizer has no vocabulary yet: call fit first")
        parts: list[CsrRows] = []
        shares = [np.zeros(0, dtype=np.float32)]
        for chunk in chunks(iter(texts), self.max_chars):
            rows, share = self._transform_chunk(chunk)
            parts.append(rows)
            shares.append(share)
        return CsrRows.concatenate(parts, self.n_features), np.concatenate(shares)

    def _transform_chunk(self, texts: Sequence[str]) -> tuple[CsrRows, NDArray[np.float32]]:
        n, weights = len(texts), self._block_weights()
        counts = np.zeros((len(weights), n), dtype=np.int64)
        columns: list[NDArray[np.int64]] = []
        values: list[NDArray[np.float64]] = []
        owners: list[NDArray[np.int64]] = []
        total, known = np.zeros(n), np.zeros(n)
        offset = 0
        for block, (grams, table) in enumerate(zip(self._grams(texts), self._tables, strict=True)):
            row, column, count = count_known(grams, table, n)
            total += np.bincount(grams.rows, minlength=n)
            known += np.bincount(row, weights=count, minlength=n)
            value = 1 + np.log(count) if self.sublinear_tf else count.astype(np.float64)
            column = column + offset
            value *= self.idf[column]
            length = np.sqrt(np.bincount(row, weights=value * value, minlength=n))
            value *= weights[block] / length[row]
            counts[block] = np.bincount(row, minlength=n)
            columns.append(column)
            values.append(value)
            owners.append(row)
            offset += len(table.keys)
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(counts.sum(axis=0), out=indptr[1:])
        indices = np.empty(int(indptr[-1]), dtype=np.int32)
        data = np.empty(int(indptr[-1]), dtype=np.float32)
        begin = indptr[:-1].copy()
        for block, (row, column, value) in enumerate(zip(owners, columns, values, strict=True)):
            before = np.cumsum(counts[block]) - counts[block]
            place = np.arange(len(row)) + (begin - before)[row]
            indices[place] = column
            data[place] = value
            begin += counts[block]
        unknown = np.divide(total - known, total, out=np.zeros(n), where=total > 0)
        return CsrRows(indptr, indices, data, self.n_features), unknown.astype(np.float32)

    def _block_weights(self) -> NDArray[np.float64]:
        used = [self.word_weight] * bool(self.word_ngrams) + [1.0] * bool(self.char_ngrams)
        return np.array(used) / np.linalg.norm(used)

    # -- state

    def get_params(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON values."""
        return {
            "word_ngrams": list(self.word_ngrams) if self.word_ngrams else None,
            "char_ngrams": list(self.char_ngrams) if self.char_ngrams else None,
            "stem": self.stem,
            "min_df": self.min_df,
            "char_min_df": self.char_min_df,
            "max_df": self.max_df,
            "max_features": self.max_features,
            "sublinear_tf": self.sublinear_tf,
            "word_weight": self.word_weight,
            "max_candidates": self.max_candidates,
            "max_chars": self.max_chars,
        }

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the arguments of `from_state`: arrays, and JSON-compatible parameters."""
        arrays: Arrays = {"idf": self.idf}
        for kind, table in zip(self._blocks(), self._tables, strict=True):
            arrays[f"{kind}_keys"] = table.keys
            arrays[f"{kind}_codes"] = table.codes
            arrays[f"{kind}_lengths"] = table.lengths.astype(np.uint16)
        return arrays, self.get_params()

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, NDArray[Any]], params: Mapping[str, Any]
    ) -> TfidfVectorizer:
        """Rebuild a fitted vectorizer.

        Raises
        ------
        CheckpointError
            If arrays are missing or inconsistent.
        """
        try:
            vectorizer = cls(**params)
            for kind in vectorizer._blocks():
                keys = np.asarray(arrays[f"{kind}_keys"], dtype=np.uint64)
                lengths = np.asarray(arrays[f"{kind}_lengths"], dtype=np.int64)
                codes = np.asarray(arrays[f"{kind}_codes"], dtype=np.uint32)
                if not _are_terms(keys, lengths, codes):
                    raise ValueError(f"the vocabulary arrays {kind}_* do not fit together")
                frequencies = np.zeros(len(keys), dtype=np.int64)
                vectorizer._tables.append(TermTable(keys, frequencies, codes, lengths))
            vectorizer.idf = np.asarray(arrays["idf"], dtype=np.float32)
            if vectorizer.idf.shape != (vectorizer.n_features,):
                raise ValueError(f"{len(vectorizer.idf)} idf values, {vectorizer.n_features} terms")
            if not (np.isfinite(vectorizer.idf) & (vectorizer.idf > 0)).all():
                raise ValueError("not all idf values are finite numbers above 0")
        except (KeyError, TypeError, ValueError, InvalidArgumentError) as error:
            raise CheckpointError(f"the tf-idf vocabulary is damaged: {error}") from error
        return vectorizer


def _are_terms(keys: NDArray[Any], lengths: NDArray[Any], codes: NDArray[Any]) -> bool:
    """Tell whether arrays of a vocabulary fit together: unique keys, and a text for each."""
    return (
        keys.ndim == lengths.ndim == codes.ndim == 1
        and len(keys) == len(lengths)
        and bool(np.all(keys[1:] > keys[:-1]))
        # Each first, so that the sum cannot overflow.
        and bool(np.all((lengths >= 0) & (lengths <= len(codes))))
        and int(lengths.sum()) == len(codes)
        and int(codes.max(initial=0)) <= sys.maxunicode
    )


def _ngram_range(name: str, value: Sequence[int] | None) -> tuple[int, int] | None:
    if value is None:
        return None
    if len(value) != 2 or not 1 <= value[0] <= value[1] <= 20:
        raise InvalidArgumentError(
            f"{name} must be a shortest and a longest length from 1 to 20, such as (1, 2), "
            f"not {value!r}"
        )
    return int(value[0]), int(value[1])
