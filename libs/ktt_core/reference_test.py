"""The reference set: column names, pooling and table."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.reference import (
    leaf_column_names,
    pool_features,
    reference_table,
    write_reference,
)
from ktt_core.taxonomy import Taxonomy


def names_of(*paths: tuple[str, ...]) -> dict[tuple[str, ...], str]:
    taxonomy = Taxonomy.from_paths(paths)
    return dict(zip(taxonomy.leaf_paths, leaf_column_names(taxonomy), strict=True))


def test_a_leaf_is_named_by_its_class():
    assert names_of(("Food", "Pasta"), ("Bikes", "Wheels")) == {
        ("Food", "Pasta"): "Pasta",
        ("Bikes", "Wheels"): "Wheels",
    }


def test_leaves_that_share_a_name_take_the_shortest_unique_suffix():
    names = names_of(
        ("Shop", "Bikes", "Accessories"),
        ("Shop", "Phones", "Accessories"),
        ("Rent", "Phones", "Accessories"),
        ("Rent", "Phones", "Cases"),
    )
    assert names[("Shop", "Bikes", "Accessories")] == "Bikes > Accessories"
    assert names[("Shop", "Phones", "Accessories")] == "Shop > Phones > Accessories"
    assert names[("Rent", "Phones", "Accessories")] == "Rent > Phones > Accessories"
    assert names[("Rent", "Phones", "Cases")] == "Cases"


@pytest.mark.parametrize("name", ["targets", "0", "23", "1e5", "-3.5", "nan"])
def test_a_name_that_is_reserved_or_a_number_gets_a_prefix(name):
    assert names_of(("Years", name), ("Years", "other"))[("Years", name)] == f"Years > {name}"
    assert names_of((name,), ("other",))[(name,)] == f"> {name}"


def test_a_hidden_leaf_is_named_by_its_deepest_real_ancestor():
    assert names_of(("Misc",), ("Food", "Pasta", "Long"))[("Misc",)] == "Misc"


def test_a_class_that_is_both_a_leaf_and_a_parent_keeps_its_name():
    assert names_of(("Food",), ("Food", "Pasta")) == {("Food",): "Food", ("Food", "Pasta"): "Pasta"}


def test_names_with_the_separator_are_unique():
    names = names_of(("A", "B"), ("A > B",), ("C", "B"), ("> A > B",), ("C > B",))
    assert len(set(names.values())) == 5


name = st.sampled_from(["a", "b", "0", "1", "targets", "a > b", "> 0", "> > 0", "> a"])


@settings(deadline=None)
@given(st.lists(st.lists(name, min_size=1, max_size=4), min_size=1, max_size=30))
def test_column_names_are_unique_and_never_a_number(paths):
    taxonomy = Taxonomy.from_paths(paths)
    names = leaf_column_names(taxonomy)
    assert len(set(names)) == taxonomy.n_leaves
    assert not any(column == "targets" or column.isdecimal() for column in names)


def test_pooling_averages_32_neighbours():
    features = np.arange(768, dtype=np.float32)[None, :].repeat(2, axis=0)
    pooled = pool_features(features)
    assert pooled.shape == (2, 24)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled[0], np.arange(24) * 32 + 15.5)


def test_pooling_includes_the_remainder():
    np.testing.assert_allclose(pool_features(np.array([[1.0] * 32 + [2.0, 4.0]])), [[1.0, 3.0]])


@pytest.fixture
def taxonomy() -> Taxonomy:
    return Taxonomy.from_paths([("Food", "Pasta"), ("Bikes", "Wheels"), ("Misc",)])


def test_a_table_has_targets_then_features_then_leaves(taxonomy, tmp_path):
    codes = taxonomy.leaf_codes[[2, 0]]
    features = np.array([[0.5, 1.5], [2.5, 3.5]])
    proba = np.array([[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])
    path = tmp_path / "weights" / "last_reference.parquet"
    write_reference(reference_table(taxonomy, codes, features, proba), path)
    table = pq.read_table(path)
    leaves = [path[-1] for path in taxonomy.leaf_paths]
    assert table.column_names == ["targets", "0", "1", *leaves]
    assert table["targets"].to_pylist() == [leaves[2], leaves[0]]
    assert table["1"].to_pylist() == [1.5, 3.5]
    assert table[leaves[2]].to_pylist() == [0.5, 0.0]
    assert {str(field.type) for field in table.schema} == {"string", "float"}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_table_without_rows_has_all_columns(taxonomy):
    table = reference_table(
        taxonomy, np.zeros((0, 2), np.int32), np.zeros((0, 24)), np.zeros((0, 3))
    )
    assert (table.num_rows, table.num_columns) == (0, 28)


@pytest.mark.parametrize(
    ("features", "proba"),
    [
        (np.array([[np.nan]]), np.full((1, 3), 0.1)),
        (np.zeros((1, 1)), np.array([[0.1, np.nan, 0.1]])),
        (np.zeros((1, 1)), np.array([[0.1, 1.5, 0.1]])),
        (np.zeros((2, 1)), np.full((1, 3), 0.1)),
        (np.zeros((1, 1)), np.full((1, 2), 0.1)),
    ],
)
def test_values_that_monitoring_cannot_read_are_refused(taxonomy, features, proba):
    with pytest.raises(InvalidArgumentError):
        reference_table(taxonomy, np.zeros((1, 2), np.int32), features, proba)
