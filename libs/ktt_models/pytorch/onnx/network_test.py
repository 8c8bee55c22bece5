"""What a graph adds behind the head is what ktt_core computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.decoding import leaf_log_proba
from ktt_core.reference import pool_features
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.onnx.network import LeafLogProba, PooledFeatures

paths = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(tuple), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=50)
@given(paths, st.floats(0.05, 20), st.booleans(), st.integers(0, 9))
def test_decoding_is_that_of_the_core(tree, temperature, by_leaf, seed):
    taxonomy = Taxonomy.from_paths(tree)
    sizes = [taxonomy.n_leaves] if by_leaf else taxonomy.level_sizes.tolist()
    rng = np.random.default_rng(seed)
    levels = [rng.normal(scale=3, size=(4, size)).astype(np.float32) for size in sizes]
    expected = leaf_log_proba(levels, taxonomy, temperature)
    found = LeafLogProba(taxonomy, temperature)([torch.from_numpy(level) for level in levels])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (found <= 0).all()


def test_impossible_leaves_stay_impossible():
    taxonomy = Taxonomy.from_paths([("a", "b"), ("a", "c"), ("d",)])
    levels = [torch.tensor([[0.0, -torch.inf]]), torch.zeros(1, 3)]
    found = LeafLogProba(taxonomy, 0.5)(levels).exp()
    np.testing.assert_allclose(found.numpy(), [[0.5, 0.5, 0.0]], atol=1e-6)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 40, 64, 100, 384])
def test_features_are_pooled_as_reference_sets_have_them(width):
    features = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
    found = PooledFeatures(width)(torch.from_numpy(features))
    np.testing.assert_allclose(found.numpy(), pool_features(features), rtol=1e-5, atol=1e-6)
