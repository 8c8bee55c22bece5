"""Normalisation of the texts of a chunk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.preprocessors.cleaning import squash

__all__ = ["fingerprints", "squash", "squash_all", "valid_utf8"]

# Everything `squash` replaces, in the syntax of RE2, whose \s is ASCII only: white space,
# control characters, and leading, trailing and double spaces. Only matching texts are rewritten.
_SQUASHABLE = (
    r"[\x00-\x1f\x7f\x{80}-\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
    r"|  |^ | $"
)


def valid_utf8(column: pa.Array) -> NDArray[np.bool_]:
    """Tell which values of a binary column are valid UTF-8 (nulls are)."""
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return np.array([_decodes(value) for value in column.to_pylist()], dtype=bool)
    return np.ones(len(column), dtype=bool)


def _decodes(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def squash_all(column: pa.Array) -> pa.Array:
    """`squash` every text of a string column; nulls become ""."""
    column = pc.fill_null(column, "")
    untidy = pc.match_substring_regex(column, _SQUASHABLE)
    rows = np.flatnonzero(untidy.to_numpy(zero_copy_only=False))
    if not len(rows):
        return column
    tidied = pa.array(
        [squash(text) for text in column.take(pa.array(rows)).to_pylist()], pa.string()
    )
    return pc.replace_with_mask(column, untidy, tidied)


def fingerprints(column: pa.Array) -> NDArray[np.int64]:
    """Return a 64-bit hash of every case-folded text.

    Uses Python's keyed string hash: the probability of a collision among a million texts is 3e-8,
    and collisions cannot be crafted.
    """
    texts = column.to_numpy(zero_copy_only=False)
    return np.fromiter((hash(text.casefold()) for text in texts), np.int64, len(texts))
