"""Labels answer as a loop over paths of names would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.taxonomy import Taxonomy

FOREST = Taxonomy.from_paths([("a", "x", "1"), ("a", "x", "2"), ("a", "y"), ("b",)])


@st.composite
def labelled_rows(draw: st.DrawFn) -> tuple[Taxonomy, np.ndarray]:
    """Draw a ragged forest, and a leaf for each of some rows."""
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=5)
    taxonomy = Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=20)))
    leaf = st.integers(0, taxonomy.n_leaves - 1)
    return taxonomy, np.array(draw(st.lists(leaf, max_size=30)), dtype=np.int32)


@settings(deadline=None)
@given(labelled_rows())
def test_rows_know_their_leaf_and_all_classes_above_it(rows: tuple[Taxonomy, np.ndarray]) -> None:
    taxonomy, leaves = rows
    labels = Labels.of_leaves(leaves, taxonomy)
    assert labels.checked(taxonomy) is labels and len(labels) == len(leaves)
    assert labels.leaves().tolist() == leaves.tolist()
    above = taxonomy.ancestor_matrix()[taxonomy.level_offsets[-2] + leaves]
    for own, ancestors in zip(labels.classes(taxonomy), above, strict=True):
        assert own.tolist() == np.flatnonzero(ancestors).tolist()
    counts = np.concatenate(labels.rows_per_class(taxonomy))
    assert counts.tolist() == above.sum(axis=0).tolist()


@settings(deadline=None)
@given(labelled_rows(), st.integers(0, 100), st.data())
def test_values_and_hits_are_those_of_the_rows_leaves(
    rows: tuple[Taxonomy, np.ndarray], seed: int, data: st.DataObject
) -> None:
    taxonomy, leaves = rows
    labels = Labels.of_leaves(leaves, taxonomy)
    table = np.random.default_rng(seed).random((len(leaves), taxonomy.n_leaves))
    expected = [row[leaf] for row, leaf in zip(table, leaves, strict=True)]
    assert labels.leaf_values(table).tolist() == expected
    predicted = np.array(
        [data.draw(st.integers(0, taxonomy.n_leaves - 1)) for _ in leaves], dtype=np.int64
    )
    assert labels.hit_by(predicted).tolist() == [
        a == b for a, b in zip(leaves, predicted, strict=True)
    ]


@settings(deadline=None)
@given(labelled_rows(), st.integers(0, 30), st.integers(0, 100))
def test_parts_of_rows_make_the_whole(
    rows: tuple[Taxonomy, np.ndarray], cut: int, seed: int
) -> None:
    taxonomy, leaves = rows
    labels = Labels.of_leaves(leaves, taxonomy)
    parts = labels.select(slice(None, cut)), labels.select(slice(cut, None))
    whole = Labels.concatenate(parts)
    np.testing.assert_array_equal(whole.codes, labels.codes)
    order = np.random.default_rng(seed).permutation(len(leaves))
    assert labels.select(order).leaves().tolist() == leaves[order].tolist()
    mask = leaves == 0
    assert len(labels.select(mask)) == mask.sum()


def test_plain_arrays_become_labels_without_a_copy() -> None:
    codes = FOREST.leaf_codes[[2, 0]]
    labels = Labels.of(codes)
    assert Labels.of(labels) is labels
    for shared in (labels.codes, labels.leaves(), labels.select(slice(1, 2)).codes):
        assert np.shares_memory(shared, codes)


@pytest.mark.parametrize(
    "codes",
    [
        FOREST.leaf_codes[:1, :2],
        FOREST.leaf_codes[0],
        FOREST.leaf_codes[:1] + 10,
        FOREST.leaf_codes[:1] - 10,
        FOREST.leaf_codes[:1].astype(float),
    ],
)
def test_labels_of_other_classes_are_refused(codes: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="codes"):
        Labels.of(codes).checked(FOREST)
