"""Features of a reference set and of monitoring rows: a tf-idf row in 26 numbers.

Means over alphabetically adjacent terms would be meaningless, so the row is projected onto random
directions with entries +1 or -1 (D. Achlioptas, "Database-friendly random projections", 2003). The
entries are not stored but hashed from the term's id, so they are the same in training and in
bundles, with any version of numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows

__all__ = [
    "N_PROJECTIONS",
    "N_REFERENCE_FEATURES",
    "REFERENCE_FEATURE_TITLES",
    "random_projections",
    "random_signs",
    "reference_features",
]

N_PROJECTIONS = 24
#: The projections, the text's length and its share of unknown terms.
N_REFERENCE_FEATURES = N_PROJECTIONS + 2
#: Readable names of the features.
REFERENCE_FEATURE_TITLES = (
    *(f"word mixture {number}" for number in range(N_PROJECTIONS)),
    "text length",
    "unknown words",
)

# Non-zero weights whose signs are computed at once: 24 float32 each.
_BLOCK_WEIGHTS = 2**18


def reference_features(
    rows: CsrRows, texts: Sequence[str], unknown: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the features of texts.

    Parameters
    ----------
    rows : CsrRows
        The texts' tf-idf rows.
    texts : sequence of str, length n
    unknown : ndarray, shape (n,)
        Share of each text's terms that are not in the vocabulary, in [0, 1].

    Returns
    -------
    ndarray of float32, shape (n, 26)
        24 random projections, the text's length in characters, the share of unknown terms.
    """
    features = np.empty((rows.n_rows, N_REFERENCE_FEATURES), dtype=np.float32)
    features[:, :N_PROJECTIONS] = random_projections(rows)
    features[:, N_PROJECTIONS] = [len(text) for text in texts]
    features[:, N_PROJECTIONS + 1] = unknown
    return features


def random_projections(rows: CsrRows) -> NDArray[np.float32]:
    """Return each row's products with 24 fixed random directions of +1 and -1, shape (n, 24).

    For rows of unit length, products have mean 0 and variance 1 over the choice of directions.
    """
    projected = np.zeros((rows.n_rows, N_PROJECTIONS), dtype=np.float32)
    indptr = np.asarray(rows.indptr, dtype=np.int64)
    start = 0
    while start < rows.n_rows:
        limit = indptr[start] + _BLOCK_WEIGHTS
        stop = max(start + 1, int(np.searchsorted(indptr, limit, side="right")) - 1)
        begin, end = int(indptr[start]), int(indptr[stop])
        products = random_signs(rows.indices[begin:end]) * rows.data[begin:end, None]
        # reduceat gives empty segments another segment's value: use rows with terms only.
        filled = np.flatnonzero(np.diff(indptr[start : stop + 1])) + start
        if len(filled):
            projected[filled] = np.add.reduceat(products, indptr[filled] - begin, axis=0)
        start = stop
    return projected


def random_signs(terms: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the entries of all directions for the given terms, shape (terms, 24)."""
    # SplitMix64 (Steele, Lea & Flood, 2014): 64 well mixed bits per term; 24 of them are the signs.
    mixed = (terms.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    bits = (mixed[:, None] >> np.arange(40, 40 + N_PROJECTIONS, dtype=np.uint64)) & np.uint64(1)
    return bits.astype(np.float32) * np.float32(2.0) - np.float32(1.0)
