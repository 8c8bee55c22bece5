"""Snowball stemming that keeps stop words unstemmed."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar

from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors.base import BasePreprocessor, check_texts
from ktt_core.preprocessors.stop_words import stop_words

__all__ = ["SnowballStemmerPreprocessor"]

# Size of the cache of stemmed words, in characters: at most about 100 MB.
_MAX_CACHED_CHARACTERS = 8_000_000


def _word_pattern() -> re.Pattern[str]:
    # Python's \w excludes combining marks, so it would split words of Hindi, Tamil or vocalised
    # Arabic at every vowel sign. Variation selectors are left out: they belong to emoji.
    marks: list[list[int]] = []
    for code in range(0x300, 0xFE00):
        if unicodedata.category(chr(code)) in ("Mn", "Mc"):
            if marks and marks[-1][1] == code - 1:
                marks[-1][1] = code
            else:
                marks.append([code, code])
    ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in marks)
    # The marks have a separate character class, as sre uses a bitmap only for classes without a
    # category such as \w.
    return re.compile(rf"(\w+(?:[{ranges}]+\w*)*)")


_WORD = _word_pattern()


class SnowballStemmerPreprocessor(BasePreprocessor):
    r"""Stem every word except stop words, which stay as they are.

    Text is lower-cased. A word is a run of letters, digits and underscores (``\w+``), with the
    combining marks of scripts that write vowels as marks. Characters between words are kept, as
    punctuation, currency signs and emoji carry meaning for character n-grams; runs of white space
    become one space.

    Parameters
    ----------
    language : str
        One of PyStemmer's languages ("english", "german", "russian" ...). A language without a
        stop-word list (`ktt_core.preprocessors.stop_words.LANGUAGES` has those with one) is stemmed
        without stop words.
    stem : bool
        False does not stem: only lower-casing and stop-word removal.
    remove_stop_words : bool
        True removes stop words instead of keeping them.

    Raises
    ------
    InvalidArgumentError
        If PyStemmer does not support the language, `remove_stop_words` is set for one without a
        list, or a flag is not a bool.

    Notes
    -----
    Each distinct word is stemmed once and cached, up to a fixed number of characters. Instances are
    thread-safe.
    """

    kind: ClassVar[str] = "snowball"

    def __init__(
        self, language: str = "english", stem: bool = True, remove_stop_words: bool = False
    ) -> None:
        # Imported here: a bundle of an encoder model has no PyStemmer.
        import Stemmer  # type: ignore[import-not-found]

        if language not in Stemmer.algorithms():
            known = ", ".join(sorted(Stemmer.algorithms()))
            raise InvalidArgumentError(
                f"there is no stemmer for {language!r:.80}; there are: {known}"
            )
        if not isinstance(stem, bool) or not isinstance(remove_stop_words, bool):
            raise InvalidArgumentError("stem and remove_stop_words are true or false")
        self.language = language
        self.stem = stem
        self.remove_stop_words = remove_stop_words
        self._stop_words = stop_words(language)
        if self.remove_stop_words and not self._stop_words:
            raise InvalidArgumentError(
                f"there is no stop-word list for {language!r}: use remove_stop_words=False"
            )
        # Without PyStemmer's cache, which is smaller and slower than ours.
        self._stemmer = Stemmer.Stemmer(language, 0)
        # A stemmer is not thread-safe.
        self._lock = threading.Lock()
        self._table: dict[str, str] = {}
        self._characters = 0

    def _fields(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "stem": self.stem,
            "remove_stop_words": self.remove_stop_words,
        }

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        """Stem a batch.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        dict
            ``{"text": [...]}``, length n: one string per text.
        """
        batch = check_texts(texts)
        if not batch:
            return {"text": []}
        # One string for the whole batch, joined by line breaks, which the texts no longer contain.
        joined = "\n".join([" ".join(text.split()) for text in batch]).lower()
        # With one group, split alternates between other characters (even) and words (odd).
        parts = _WORD.split(joined)
        words = parts[1::2]
        table = self._stemmed(set(words))
        parts[1::2] = [table[word] for word in words]
        results = "".join(parts).split("\n")
        if self.remove_stop_words:
            results = [" ".join(text.split()) for text in results]
        return {"text": results}

    def _stemmed(self, words: set[str]) -> dict[str, str]:
        """Return a table that contains at least `words`."""
        table = self._table
        missing = words.difference(table)
        if not missing:
            return table
        with self._lock:
            self._characters += sum(map(len, missing))
            if self._characters > _MAX_CACHED_CHARACTERS:
                # A new table instead of clearing: another thread may be reading the old one.
                table, missing = {}, words
                self._characters = sum(map(len, words))
            for word in sorted(missing):
                table[word] = self._convert(word)
            self._table = table
        return table

    def _convert(self, word: str) -> str:
        if word in self._stop_words:
            return "" if self.remove_stop_words else word
        if not self.stem:
            return word
        stemmed: str = self._stemmer.stemWord(word)
        return stemmed
