"""Reference features are reproducible and reflect differences between tf-idf rows."""

from __future__ import annotations

import numpy as np
import pytest

from ktt_core.tfidf import reference_features as module
from ktt_core.tfidf.reference_features import random_projections, reference_features
from ktt_core.tfidf.rows import CsrRows


def rows_of(dense: np.ndarray) -> CsrRows:
    filled = dense != 0
    indptr = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    return CsrRows(indptr, np.nonzero(filled)[1].astype(np.int32), dense[filled], dense.shape[1])


@pytest.fixture
def dense() -> np.ndarray:
    """Return 50 sparse rows over 400 terms, some of them empty."""
    generator = np.random.default_rng(0)
    dense = generator.random((50, 400), dtype=np.float32) * (generator.random((50, 400)) < 0.05)
    dense[[0, 7, 8, 49]] = 0
    return dense


def test_projections_are_products_with_signs(dense: np.ndarray) -> None:
    directions = random_projections(rows_of(np.eye(400, dtype=np.float32)))
    assert set(np.unique(directions)) == {-1.0, 1.0}
    np.testing.assert_allclose(random_projections(rows_of(dense)), dense @ directions, atol=1e-5)


def test_block_size_has_no_effect(dense: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = random_projections(rows_of(dense))
    for size in (1, 30, 10_000):
        monkeypatch.setattr(module, "_BLOCK_WEIGHTS", size)
        np.testing.assert_array_equal(random_projections(rows_of(dense)), whole)


def test_directions_are_balanced_and_uncorrelated() -> None:
    directions = random_projections(rows_of(np.eye(4096, dtype=np.float32)))
    assert np.abs(directions.mean(axis=0)).max() < 0.08
    correlations = directions.T @ directions / 4096
    assert np.abs(correlations - np.eye(24)).max() < 0.08


def test_directions_never_change() -> None:
    # Stored reference sets must stay comparable: these values must not change.
    first = random_projections(
        CsrRows(np.array([0, 3]), np.array([0, 1, 99_999]), np.ones(3, np.float32), 10**5)
    )
    assert first[0].tolist() == FIRST


def test_features_are_projections_length_and_unknown_share(dense: np.ndarray) -> None:
    texts = ["é" * number for number in range(50)]
    unknown = np.linspace(0, 1, 50)
    features = reference_features(rows_of(dense), texts, unknown)
    assert features.shape == (50, 26) and features.dtype == np.float32
    np.testing.assert_array_equal(features[:, 24], np.arange(50))
    np.testing.assert_allclose(features[:, 25], unknown, rtol=1e-6)
    assert np.all(features[0, :24] == 0)


def test_no_rows_have_no_features() -> None:
    rows = CsrRows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 5)
    assert reference_features(rows, [], np.zeros(0)).shape == (0, 26)


FIRST = [-3, 1, 1, 1, -1, -1, -3, 1, -3, -1, -1, 1, -1, 1, -1, -3, -3, 1, -1, -1, -1, 3, 3, 1]
