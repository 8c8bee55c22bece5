"""A split's rows are gathered whole, and counted as they pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ktt_core.model import Batch
from ktt_core.progress import Progress
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.features import RowCounter, gather_rows


class Batches:
    """A loader over lists."""

    def __init__(self, texts: Sequence[str], size: int) -> None:
        self.texts, self.size = texts, size

    @property
    def n_rows(self) -> int:
        return len(self.texts)

    def __iter__(self):  # type: ignore[no-untyped-def]
        for start in range(0, len(self.texts), self.size):
            block = self.texts[start : start + self.size]
            codes = np.arange(start, start + len(block), dtype=np.int32)[:, None]
            yield Batch({"text": block}, codes)


def test_batches_make_no_difference() -> None:
    texts = [f"text number {number}" for number in range(7)]
    vectorizer = TfidfVectorizer().fit([texts])
    whole = vectorizer.transform(texts)
    for size in (1, 3, 7):
        rows, labels = gather_rows(Batches(texts, size), vectorizer.transform)
        np.testing.assert_array_equal(rows.indptr, whole.indptr)
        np.testing.assert_array_equal(rows.indices, whole.indices)
        np.testing.assert_array_equal(rows.data, whole.data)
        np.testing.assert_array_equal(labels.leaves(), np.arange(7))


def test_rows_are_counted_as_they_pass() -> None:
    seen: list[Progress] = []
    counter = RowCounter(seen.append, "test", 5)
    assert counter.count(["a", "b"]) == ["a", "b"]
    counter.count([1, 2, 3])
    assert [(event.phase, event.step, event.total) for event in seen] == [
        ("test", 2, 5),
        ("test", 5, 5),
    ]
