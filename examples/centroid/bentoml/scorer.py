"""The model as it is served: numpy and the taxonomy, and nothing of what trains it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import leaf_log_proba
from ktt_core.taxonomy import Taxonomy

__all__ = ["CentroidScorer", "text_lengths", "trigrams"]


def trigrams(texts: Sequence[str], buckets: int) -> NDArray[np.float32]:
    """Return how often each hash bucket's trigrams occur, as unit vectors, shape (n, buckets)."""
    features = np.zeros((len(texts), buckets), dtype=np.float32)
    for row, text in enumerate(texts):
        padded = f"  {text.lower()} ".encode()
        hashes = [zlib.crc32(padded[i : i + 3]) for i in range(len(padded) - 2)]
        np.add.at(features[row], np.array(hashes, dtype=np.int64) % buckets, 1.0)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def text_lengths(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the one feature that monitoring watches, shape (n, 1)."""
    return np.array([[len(text)] for text in texts], dtype=np.float32).reshape(-1, 1)


class CentroidScorer:
    """Reads the folder that `Centroid.export_artifacts` wrote.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        described = json.loads((folder / "centroid.json").read_text(encoding="utf-8"))
        self.taxonomy = Taxonomy.from_json(described["taxonomy"])
        self._sharpness = np.float32(described["sharpness"])
        self._temperature = float(described["temperature"])
        self._centroids = np.load(folder / "centroids.npy", allow_pickle=False)

    def log_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the leaves' calibrated log-probabilities, shape (n, leaves)."""
        similarity = trigrams(texts, self._centroids.shape[1]) @ self._centroids.T
        return leaf_log_proba([self._sharpness * similarity], self.taxonomy, self._temperature)
