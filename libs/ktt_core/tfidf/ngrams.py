"""Word and character n-grams of a whole batch at once, identified by 64-bit hashes.

A batch becomes one array of code points. Every n-gram is a slice of it, so its hash is a difference
of two prefix sums, without a Python loop over characters, words or n-grams. Among m distinct
n-grams, the probability of a collision is about m^2 / 2^65: one in four million for three million
terms.
million terms.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grams", "char_grams", "gram_keys", "word_grams"]

_N_CODE_POINTS = 0x110000
_SPACE = 0x20
# Odd numbers have an inverse modulo 2^64. This one is 3 modulo 8, so that differences of its powers
# keep as many bits as possible.
_BASE = 0x9E3779B97F4A7C1B
_INVERSE = pow(_BASE, -1, 1 << 64)
_ODD = 0xD6E8FEB86659FD93
_MASK = (1 << 64) - 1


class Grams(NamedTuple):
    """N-grams as slices of one array of code points.

    Attributes
    ----------
    codes : ndarray of uint32
        Code points: the batch's words, separated by single spaces.
    starts, stops : ndarray of int64, shape (grams,)
        An n-gram is ``codes[start:stop]``.
    rows : ndarray of int64, shape (grams,)
        The text of each n-gram.
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    rows: NDArray[np.int64]


class _CharacterClass:
    """A lazily filled table of the code points that belong to a character class."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        # 0: not looked up yet, 1: no, 2: yes.
        self._table = np.zeros(_N_CODE_POINTS, dtype=np.uint8)

    def __call__(self, codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
        found = self._table[codes]
        if len(found) and not found.min():
            for code in np.unique(codes[found == 0]).tolist():
                self._table[code] = 2 if self._holds(chr(code)) else 1
            found = self._table[codes]
        return found == 2

    def _holds(self, character: str) -> bool:
        if self._kind == "space":
            return character.isspace()
        # Vowel signs of Hindi or Tamil are part of their word, though not in Python's \w. Variation
        # selectors (from U+FE00) belong to emoji.
        mark = ord(character) < 0xFE00 and unicodedata.category(character) in ("Mn", "Mc")
        return character.isalnum() or character == "_" or mark


_is_word = _CharacterClass("word")
_is_space = _CharacterClass("space")


class _Powers:
    """Powers of an odd number modulo 2^64, extended for longer texts."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._powers = np.ones(1, dtype=np.uint64)

    def __call__(self, n: int) -> NDArray[np.uint64]:
        # The array is replaced, never written to: another thread may be reading it.
        powers = self._powers
        while len(powers) < n:
            factor = np.array(pow(self._base, len(powers), 1 << 64), dtype=np.uint64)
            powers = np.concatenate([powers, powers * factor])
            self._powers = powers
        return powers[:n]


_powers = _Powers(_BASE)
_inverse_powers = _Powers(_INVERSE)


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64's finaliser (Steele, Lea & Flood, 2014): spreads every bit over all bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def gram_keys(grams: Grams) -> NDArray[np.uint64]:
    """Hash every n-gram: equal slices get equal hashes, shape (grams,)."""
    n = len(grams.codes)
    scrambled = _scramble((grams.codes.astype(np.uint64) + np.uint64(1)) * np.uint64(_ODD))
    sums = np.zeros(n + 1, dtype=np.uint64)
    np.cumsum(scrambled * _powers(n), out=sums[1:])
    polynomials = (sums[grams.stops] - sums[grams.starts]) * _inverse_powers(n + 1)[grams.starts]
    lengths = (grams.stops - grams.starts).astype(np.uint64)
    return _scramble(polynomials ^ (lengths * np.uint64(_ODD)))


def _code_points(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return lower-cased code points of all texts, each with a line break, and the texts' ends."""
    lowered = [text.lower() for text in texts]
    joined = "\n".join(lowered) + "\n"
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    ends = np.cumsum(np.fromiter(map(len, lowered), dtype=np.int64, count=len(lowered)) + 1)
    return codes, ends


def _tokens(
    texts: Sequence[str], word: bool
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split texts into words or runs without white space.

    Returns
    -------
    codes : ndarray of uint32
        A space, then every token followed by a space.
    starts, stops : ndarray of int64, shape (tokens,)
        Slices of `codes`.
    rows : ndarray of int64, shape (tokens,)
    """
    raw, ends = _code_points(texts)
    inside = _is_word(raw) if word else ~_is_space(raw)
    # The last character is a line break, so every token has an end and a following character, which
    # becomes its space.
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if len(inside) and inside[0]:
        edges = np.concatenate([np.zeros(1, np.int64), edges])
    first, behind = edges[0::2], edges[1::2]
    rows = np.searchsorted(ends, first, side="right")
    keep = inside.copy()
    keep[behind] = True
    packed = np.empty(int(keep.sum()) + 1, dtype=np.uint32)
    packed[0] = _SPACE
    packed[1:] = raw[keep]
    lengths = behind - first
    stops = np.cumsum(lengths + 1)
    packed[stops] = _SPACE
    return packed, stops - lengths, stops, rows


def word_grams(texts: Sequence[str], smallest: int, largest: int) -> Grams:
    r"""Find runs of `smallest` to `largest` words, ignoring characters between words.

    A word is a run of letters, digits, underscores (``\w``) and combining marks, of any length.
    """
    codes, starts, stops, rows = _tokens(texts, word=True)
    found: list[tuple[NDArray[np.int64], ...]] = []
    for n in range(smallest, min(largest, len(starts)) + 1):
        together = rows[n - 1 :] == rows[: len(rows) - n + 1]
        found.append(
            (
                starts[: len(starts) - n + 1][together],
                stops[n - 1 :][together],
                rows[n - 1 :][together],
            )
        )
    return _gather(codes, found)


def char_grams(texts: Sequence[str], smallest: int, largest: int) -> Grams:
    """Find runs of `smallest` to `largest` characters within words.

    As scikit-learn's ``char_wb``: words are separated by white space and surrounded by a space on
    each side, n-grams do not cross words, and a word shorter than an n-gram counts once, as a
    whole.
    """
    codes, starts, stops, rows = _tokens(texts, word=False)
    # Every position before the last space starts n-grams up to the closing space of its word.
    spans = stops - starts + 1
    left = np.repeat(stops + 1, spans) - np.arange(int(spans.sum()))
    position_rows = np.repeat(rows, spans)
    found: list[tuple[NDArray[np.int64], ...]] = []
    for n in range(smallest, largest + 1):
        begin = np.flatnonzero(left >= n)
        found.append((begin, begin + n, position_rows[begin]))
    if smallest == 1:
        # The closing space itself; above, it was the opening one of the next word.
        found.append((stops, stops + 1, rows))
    short = np.flatnonzero(spans + 1 < smallest)
    found.append((starts[short] - 1, stops[short] + 1, rows[short]))
    return _gather(codes, found)


def _gather(codes: NDArray[np.uint32], found: list[tuple[NDArray[np.int64], ...]]) -> Grams:
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return Grams(codes, empty, empty, empty)
    starts, stops, rows = (np.concatenate(part) for part in zip(*found, strict=True))
    return Grams(codes, starts, stops, rows)
