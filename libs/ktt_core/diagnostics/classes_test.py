"""Worst leaves, rarest leaves and frequency buckets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.diagnostics import frequency_buckets, leaf_figures, rarest_leaves, worst_leaves
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.metrics import ClassCounts, count_classes
from ktt_core.taxonomy import Taxonomy

FLAT = Taxonomy.from_paths([(name,) for name in "abcdef"])


def figures(true, predicted):
    return leaf_figures(count_classes(np.array([true]).T, np.array([predicted]).T, FLAT))


def test_metrics_of_a_leaf_are_undefined_only_without_rows():
    found = figures([0, 0, 1, 2], [0, 1, 1, 3])
    assert found.precision[:4] == pytest.approx([1.0, 0.5, np.nan, 0.0], nan_ok=True)
    assert found.recall[:4] == pytest.approx([0.5, 1.0, 0.0, np.nan], nan_ok=True)
    assert found.f1 == pytest.approx([2 / 3, 2 / 3, 0.0, 0.0, np.nan, np.nan], nan_ok=True)


def test_the_worst_leaves_have_enough_rows():
    found = figures([0, 0, 0, 1, 2, 2], [1, 1, 0, 1, 2, 2])
    assert worst_leaves(found, 9) == [0, 1, 2]
    assert worst_leaves(found, 9, min_rows=2) == [0, 2]
    assert worst_leaves(found, 1, min_rows=2) == [0]
    assert worst_leaves(found, 9, min_rows=100) == []


def test_among_equally_bad_leaves_the_one_with_more_rows_comes_first():
    found = figures([0, 1, 1, 2], [3, 3, 3, 3])
    assert worst_leaves(found, 9) == [1, 0, 2]


def test_the_rarest_leaves_are_ordered_by_training_rows():
    found = figures([0, 0, 1, 5], [0, 0, 1, 5])
    assert rarest_leaves(np.array([3, 1, 0, 9, 1, 1]), found, 4) == [2, 1, 5, 4]


@given(
    st.lists(st.integers(0, 30), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40),
)
def test_buckets_add_up_to_the_whole(train_rows, rows):
    true, predicted = zip(*rows, strict=True)
    found = figures(true, predicted)
    buckets = frequency_buckets(np.array(train_rows), found, edges=(0, 1, 5, 20))
    assert sum(bucket.leaves for bucket in buckets) == 6
    assert sum(bucket.rows for bucket in buckets) == len(rows)
    for bucket in buckets:
        members = [
            leaf
            for leaf, count in enumerate(train_rows)
            if count >= bucket.low and (bucket.high is None or count <= bucket.high)
        ]
        assert bucket.leaves == len(members)
        hits = [t == p for t, p in rows if t in members]
        assert bucket.accuracy == (pytest.approx(np.mean(hits)) if hits else None)
        f1 = [found.f1[leaf] for leaf in members if not np.isnan(found.f1[leaf])]
        assert bucket.macro_f1 == (pytest.approx(np.mean(f1)) if f1 else None)


def test_mismatched_arguments_are_refused():
    found = figures([0], [0])
    with pytest.raises(InvalidArgumentError):
        rarest_leaves(np.zeros(3, int), found, 1)
    with pytest.raises(InvalidArgumentError):
        frequency_buckets(np.zeros(3, int), found)
    with pytest.raises(DataError):
        leaf_figures(ClassCounts.empty(FLAT))
