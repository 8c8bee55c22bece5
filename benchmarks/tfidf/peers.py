"""The peers: scikit-learn's LinearSVC over all leaves, and HiClass' one SGDClassifier per node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from hiclass import LocalClassifierPerParentNode
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.svm import LinearSVC

__all__ = ["HiclassPeer", "PeerFeatures", "svc_leaves"]


class PeerFeatures:
    """Sublinear tf-idf of word 1-2-grams and, if asked, of character 2-5-grams within words."""

    def __init__(self, characters: bool) -> None:
        self.parts = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
        if characters:
            self.parts.append(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
            )

    def fit(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Learn the vocabulary, and return the rows."""
        return sp.hstack([part.fit_transform(texts) for part in self.parts]).tocsr()

    def transform(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Return the rows."""
        return sp.hstack([part.transform(texts) for part in self.parts]).tocsr()


def svc_leaves(
    train: sp.csr_matrix, leaves: NDArray[np.int32], test: sp.csr_matrix
) -> NDArray[np.int32]:
    """Predict leaves with LinearSVC's defaults."""
    predicted: NDArray[np.int32] = LinearSVC(random_state=0).fit(train, leaves).predict(test)
    return predicted


class HiclassPeer:
    """LocalClassifierPerParentNode over SGDClassifier's defaults, its labels as strings."""

    def __init__(self, n_jobs: int | None) -> None:
        # A path, as text, because HiClass tells classes of different parents apart by name alone.
        self.model: Any = LocalClassifierPerParentNode(SGDClassifier(random_state=0))
        if n_jobs is not None:
            self.model.set_params(n_jobs=n_jobs)

    @staticmethod
    def _labels(codes: NDArray[np.int32]) -> NDArray[Any]:
        return np.array(
            [["/".join(map(str, row[: level + 1])) for level in range(len(row))] for row in codes],
            dtype=object,
        ).astype(str)

    def fit(self, rows: sp.csr_matrix, codes: NDArray[np.int32]) -> HiclassPeer:
        """Train."""
        self.model.fit(rows, self._labels(codes))
        return self

    def predict(self, rows: sp.csr_matrix) -> NDArray[np.int32]:
        """Return paths, shape (n, depth)."""
        last = np.asarray(self.model.predict(rows))[:, -1]
        return np.array(
            [[int(code) for code in label.split("/")] for label in last], dtype=np.int32
        )
