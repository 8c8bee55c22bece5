from __future__ import annotations

import numpy as np
import pytest

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_serving import class_scores as module
from ktt_serving.class_scores import FeatureRows, fast_class_scores

N_FEATURES = 40


def make_weights(seed: int, share: float) -> BlockWeights:
    # Every node decides between several children, but for the one below "b".
    paths = [(top, mid, f"{leaf}") for top in "acd" for mid in "xyz" for leaf in range(7)]
    layout = NodeLayout(Taxonomy.from_paths([*paths, ("b", "only", "one")]))
    generator = np.random.default_rng(seed)
    deciding = np.flatnonzero(layout.child_count > 1)
    # Some features weigh everywhere, most in few places, the last nowhere.
    shares = np.where(np.arange(N_FEATURES) % 5 == 0, 1.0, share)
    shares[-1] = 0.0
    chosen = [deciding[generator.random(len(deciding)) < part] for part in shares]
    nodes = np.concatenate(chosen).astype(np.int32)
    return BlockWeights(
        layout,
        np.concatenate([[0], np.cumsum([len(part) for part in chosen])]).astype(np.int64),
        nodes,
        generator.normal(size=int(layout.child_count[nodes].sum())).astype(np.float32),
        generator.normal(size=layout.taxonomy.n_classes).astype(np.float32),
    )


def make_rows(n: int, seed: int) -> CsrRows:
    generator = np.random.default_rng(seed)
    dense = generator.normal(size=(n, N_FEATURES)) * (generator.random((n, N_FEATURES)) < 0.3)
    dense[0] = 0  # a text without a known term
    row, column = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum((dense != 0).sum(axis=1))]).astype(np.int64)
    return CsrRows(
        indptr, column.astype(np.int32), dense[row, column].astype(np.float32), N_FEATURES
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("n", [1, 2, 33])
def test_scores_are_those_of_the_weights(share: float, n: int) -> None:
    for seed in range(5):
        weights, rows = make_weights(seed, share), make_rows(n, seed)
        found = FeatureRows(weights)(rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, weights.class_scores(rows), rtol=1e-6, atol=2e-6)


def test_a_text_s_scores_do_not_depend_on_its_batch() -> None:
    scores, rows = FeatureRows(make_weights(0, 0.2)), make_rows(20, 0)
    alone = np.concatenate([scores(rows.take(row, row + 1)) for row in range(20)])
    np.testing.assert_array_equal(alone, scores(rows))


def test_weights_that_are_too_many_to_copy_are_used_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights, rows = make_weights(1, 0.5), make_rows(3, 1)
    assert isinstance(fast_class_scores(weights), FeatureRows)
    monkeypatch.setattr(module, "_MOST_WEIGHTS", 10)
    slow = fast_class_scores(weights)
    assert not isinstance(slow, FeatureRows)
    np.testing.assert_array_equal(slow(rows), weights.class_scores(rows))
