from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import DataError
from ktt_core.taxonomy import HIDDEN, MAX_NAME_LENGTH, Path, Taxonomy, check_class_name

# Few names, so that names often occur under several parents, and paths often extend one another.
_names = st.sampled_from(["a", "b", "c", "Zoë", "数学", "🎈 toys", "x > y", "' \"", "NaN", "0"])
_paths = st.lists(_names, min_size=1, max_size=5).map(tuple)
forests = st.lists(_paths, min_size=1, max_size=30)


@settings(deadline=None)
@given(forests)
def test_every_path_is_encoded_to_codes_and_decoded_back(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    for path in paths:
        codes = taxonomy.encode(path)
        assert len(codes) == taxonomy.depth
        assert taxonomy.leaf_paths[codes[-1]] == path
        assert taxonomy.path_of(taxonomy.depth - 1, codes[-1]) == path
        assert tuple(taxonomy.leaf_codes[codes[-1]].tolist()) == codes


@settings(deadline=None)
@given(forests)
def test_leaves_are_exactly_the_distinct_paths(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    assert sorted(taxonomy.leaf_paths) == sorted(set(paths))


@settings(deadline=None)
@given(forests, st.randoms())
def test_order_and_repeats_of_the_paths_do_not_matter(paths: list[Path], random: Any) -> None:
    shuffled = paths + paths[:3]
    random.shuffle(shuffled)
    assert Taxonomy.from_paths(shuffled) == Taxonomy.from_paths(paths)


@settings(deadline=None)
@given(forests)
def test_offsets_concatenate_the_levels(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    offsets = taxonomy.level_offsets.tolist()
    assert len(offsets) == taxonomy.depth + 1
    assert offsets[0] == 0 and offsets[-1] == taxonomy.n_classes == len(taxonomy.classes)
    assert np.diff(offsets).tolist() == taxonomy.level_sizes.tolist()
    for level in range(taxonomy.depth):
        for code in range(int(taxonomy.level_sizes[level])):
            shown = taxonomy.path_of(level, code)
            name = taxonomy.classes[offsets[level] + code]
            assert name in (HIDDEN, shown[-1])


@settings(deadline=None)
@given(forests)
def test_parents_are_the_class_one_level_up_the_path(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    assert taxonomy.parent_of[0].tolist() == list(range(int(taxonomy.level_sizes[0])))
    for path in paths:
        codes = taxonomy.encode(path)
        for level in range(1, taxonomy.depth):
            assert taxonomy.parent_of[level][codes[level]] == codes[level - 1]


@settings(deadline=None)
@given(forests)
def test_children_and_leaves_of_a_class_are_the_ranges(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    assert len(taxonomy.child_ranges) == taxonomy.depth - 1
    assert len(taxonomy.leaf_ranges) == taxonomy.depth
    for level in range(taxonomy.depth):
        leaves = taxonomy.leaf_ranges[level]
        for code in range(int(taxonomy.level_sizes[level])):
            below = np.flatnonzero(taxonomy.leaf_codes[:, level] == code)
            assert below.tolist() == list(range(leaves[code], leaves[code + 1]))
            assert len(below) > 0
            if level < taxonomy.depth - 1:
                children = taxonomy.child_ranges[level]
                found = np.flatnonzero(taxonomy.parent_of[level + 1] == code)
                assert found.tolist() == list(range(children[code], children[code + 1]))


@settings(deadline=None)
@given(forests)
def test_ancestor_matrix_marks_all_ancestors(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    matrix = taxonomy.ancestor_matrix()
    for level in range(taxonomy.depth):
        for code in range(int(taxonomy.level_sizes[level])):
            expected, above = set(), code
            for up in range(level, -1, -1):
                expected.add(int(taxonomy.level_offsets[up]) + above)
                above = int(taxonomy.parent_of[up][above])
            row = matrix[int(taxonomy.level_offsets[level]) + code]
            assert set(np.flatnonzero(row).tolist()) == expected


@settings(deadline=None)
@given(forests)
def test_leaf_matrix_is_the_leaves_part_of_the_ancestor_matrix(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    leaves = slice(int(taxonomy.level_offsets[-2]), int(taxonomy.level_offsets[-1]))
    assert np.array_equal(taxonomy.leaf_matrix(), taxonomy.ancestor_matrix()[leaves])
    assert np.all(taxonomy.leaf_matrix().sum(axis=1) == taxonomy.depth)


@settings(deadline=None)
@given(forests)
def test_leaf_ranges_are_the_columns_of_the_leaf_matrix(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    matrix = taxonomy.leaf_matrix()
    for level in range(taxonomy.depth):
        sizes = matrix[:, taxonomy.level_offsets[level] : taxonomy.level_offsets[level + 1]].sum(
            axis=0
        )
        assert np.array_equal(sizes, np.diff(taxonomy.leaf_ranges[level]))


@settings(deadline=None)
@given(forests)
def test_hidden_classes_only_pad_short_paths(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    for leaf, codes in enumerate(taxonomy.leaf_codes.tolist()):
        hidden = [
            bool(taxonomy.hidden[int(taxonomy.level_offsets[level]) + code])
            for level, code in enumerate(codes)
        ]
        length = len(taxonomy.leaf_paths[leaf])
        assert hidden == [False] * length + [True] * (taxonomy.depth - length)
    assert int((~taxonomy.hidden).sum()) == len({p[: i + 1] for p in paths for i in range(len(p))})


@settings(deadline=None)
@given(forests)
def test_json_round_trip(paths: list[Path]) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    again = Taxonomy.from_json(json.loads(json.dumps(taxonomy.to_json())))
    assert again == taxonomy
    assert hash(again) == hash(taxonomy)
    assert again.leaf_paths == taxonomy.leaf_paths


@settings(deadline=None)
@given(forests, st.integers(0, 3))
def test_a_greater_depth_pads_and_keeps_the_paths(paths: list[Path], more: int) -> None:
    plain = Taxonomy.from_paths(paths)
    padded = Taxonomy.from_paths(paths, plain.depth + more)
    assert padded.depth == plain.depth + more
    assert padded.leaf_paths == plain.leaf_paths


@settings(deadline=None)
@given(forests, _paths)
def test_an_unknown_path_raises_key_error(paths: list[Path], path: Path) -> None:
    taxonomy = Taxonomy.from_paths(paths)
    if path not in paths:
        with pytest.raises(KeyError):
            taxonomy.encode(path)


def test_same_name_under_two_parents_is_two_classes() -> None:
    taxonomy = Taxonomy.from_paths([("Bikes", "Accessories"), ("Phones", "Accessories")])
    assert taxonomy.level_sizes.tolist() == [2, 2]
    assert taxonomy.encode(("Bikes", "Accessories")) != taxonomy.encode(("Phones", "Accessories"))


def test_a_class_can_be_a_leaf_and_a_parent() -> None:
    taxonomy = Taxonomy.from_paths([("a",), ("a", "b")])
    assert taxonomy.leaf_paths == (("a",), ("a", "b"))
    assert taxonomy.classes == ("a", HIDDEN, "b")


@pytest.mark.parametrize(
    ("paths", "depth", "problem"),
    [
        ([], None, "at least one path"),
        ([()], None, "path is empty"),
        ([("a", "b", "c")], 2, "3 levels, more than the depth of 2"),
        ([("a", "", "c")], None, "class name is empty"),
        ([("a", "b"), ("a\nb",)], None, "control character or line break"),
        ([("a" * (MAX_NAME_LENGTH + 1),)], None, "513 characters"),
        ([("\ud800",)], None, "control character"),
    ],
)
def test_paths_that_cannot_be_classes_are_refused(
    paths: list[Path], depth: int | None, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        Taxonomy.from_paths(paths, depth)


@pytest.mark.parametrize("name", ["a", "é", "数学", "🎈", "a b", "x\xa0y", "z" * MAX_NAME_LENGTH])
def test_ordinary_names_are_valid(name: str) -> None:
    assert check_class_name(name) is None


@pytest.mark.parametrize(
    "name", [None, 1, float("nan"), "", "  ", "a\x00", "a\tb", "a\u2028b", "\udfff", "z" * 5000]
)
def test_other_names_are_invalid(name: object) -> None:
    assert check_class_name(name)


def _json(names: Any, parents: Any, version: Any = 1) -> dict[str, Any]:
    return {"format": version, "names": names, "parents": parents}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"format": 1},
        _json([["a"]], [[0]], version=2),
        _json([["a"]], [[0]], version=True),
        _json([], []),
        _json([[]], [[]]),
        _json([["a"]], [[0], [0]]),
        _json([["a"], ["b"]], [[0], [0, 0]]),
        _json([["a"]], [[0.5]]),
        _json([["a"]], [["0"]]),
        _json(["a"], [[0]]),
        _json([{"a": 1}], [[0]]),
        _json([["a"], ["b"]], [[0], 0]),
        _json([["a"], ["b"]], [[0], [True]]),
        _json([["a"], ["b"]], [[0], [[0]]]),
        _json([["a"], ["b"]], [[0], [None]]),
        _json([["a"], ["b"]], [[0], [1]]),
        _json([["a"], ["b"]], [[0], [-1]]),
        _json([["a"], ["b"]], [[0], [2**40]]),
        _json([["a"], ["b"]], [[1], [0]]),
        _json([["a", "b"], ["c"]], [[0, 1], [0]]),
        _json([["a", "b"], ["c", "d"]], [[0, 1], [1, 0]]),
        _json([["a", "a"], ["c", "d"]], [[0, 1], [0, 1]]),
        _json([["a"], ["b", "b"]], [[0], [0, 0]]),
        _json([["a"], [1]], [[0], [0]]),
        _json([["a"], [["b"]]], [[0], [0]]),
        _json([["a"], [None]], [[0], [0]]),
        _json([[""]], [[0]]),
        _json([["a"], [""], ["c"]], [[0], [0], [0]]),
        _json([["a"], ["b\x1b[2J"]], [[0], [0]]),
        _json([["a" * 5000]], [[0]]),
    ],
)
def test_json_of_an_invalid_forest_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        Taxonomy.from_json(value)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_anything = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(_anything, _anything)
def test_arbitrary_json_gives_a_taxonomy_or_a_data_error(names: Any, parents: Any) -> None:
    try:
        taxonomy = Taxonomy.from_json(_json(names, parents))
    except DataError:
        return
    assert Taxonomy.from_paths(taxonomy.leaf_paths, taxonomy.depth).n_classes == taxonomy.n_classes


def test_json_grows_linearly_in_the_classes() -> None:
    def size(leaves: int) -> int:
        paths = [(f"t{i % 10}", f"m{i % (leaves // 10):06}", f"l{i:06}") for i in range(leaves)]
        return len(json.dumps(Taxonomy.from_paths(paths).to_json()))

    assert size(8_000) < 1.2 * 8 * size(1_000)


def test_known_levels_counts_the_leading_names_that_are_classes() -> None:
    taxonomy = Taxonomy.from_paths([("a", "b", "c"), ("a", "d"), ("e",)])
    for path, known in (
        (("a", "b", "c"), 3),
        (("a", "b", "x"), 2),
        (("a", "b", "c", "x"), 3),
        (("a", "b"), 2),
        (("a", "d", "x"), 2),
        (("b", "c"), 0),
        (("e", ""), 1),
        ((), 0),
    ):
        assert taxonomy.known_levels(path) == known, path
