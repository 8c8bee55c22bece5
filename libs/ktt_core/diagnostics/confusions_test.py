"""Sparse confusions, also beyond their bound."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.diagnostics.confusions import Confusions, end_parents, top_pairs
from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy


@given(st.lists(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30), max_size=5))
def test_counts_are_exact_below_the_bound(batches):
    confusions = Confusions(9)
    for batch in batches:
        true, predicted = np.array(batch, dtype=int).reshape(-1, 2).T
        confusions.update(true, predicted)
    expected = Counter(pair for batch in batches for pair in batch if pair[0] != pair[1])
    true, predicted, counts = confusions.pairs()
    assert list(zip(true, predicted, counts, strict=True)) == [
        (*pair, count) for pair, count in sorted(expected.items())
    ]
    assert confusions.is_exact


def test_beyond_the_bound_frequent_pairs_stay_and_counts_are_lower_bounds():
    rng = np.random.default_rng(0)
    confusions = Confusions(10_000, max_pairs=500)
    expected: Counter[tuple[int, int]] = Counter()
    for _ in range(50):
        true, predicted = rng.integers(0, 10_000, (2, 200))
        true[:60], predicted[:60] = 7, 8
        confusions.update(true, predicted)
        expected.update(zip(true.tolist(), predicted.tolist(), strict=True))
    true, predicted, counts = confusions.pairs()
    assert len(counts) <= 500 and not confusions.is_exact
    found = dict(zip(zip(true.tolist(), predicted.tolist(), strict=True), counts, strict=True))
    assert all(count <= expected[pair] for pair, count in found.items())
    assert found[7, 8] == expected[7, 8] == 3000
    assert max(found, key=lambda pair: found[pair]) == (7, 8)


def test_siblings_share_the_parent_of_the_class_they_end_in():
    taxonomy = Taxonomy.from_paths(
        [("Food", "Bread"), ("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Bikes",)]
        + [("Toys",), ("Food", "Rice")]
    )
    leaf = {path: index for index, path in enumerate(taxonomy.leaf_paths)}
    parents = end_parents(taxonomy)
    for first, one in leaf.items():
        for second, other in leaf.items():
            assert (parents[one] == parents[other]) == (first[:-1] == second[:-1])


def test_equally_frequent_pairs_are_ordered_by_their_classes():
    taxonomy = Taxonomy.from_paths([(name,) for name in "abcd"])
    confusions = Confusions(4)
    confusions.update(np.array([3, 0, 2, 1]), np.array([2, 1, 3, 0]))
    pairs = top_pairs(confusions, taxonomy, 5, siblings=True)
    assert [(p.first, p.second, p.forward, p.backward) for p in pairs] == [
        (0, 1, 1, 1),
        (2, 3, 1, 1),
    ]
    assert top_pairs(confusions, taxonomy, 5, siblings=False) == []


def test_a_bound_below_two_pairs_is_refused():
    with pytest.raises(InvalidArgumentError):
        Confusions(5, max_pairs=1)
