"""Decoding against its definition, row by row."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.decoding import class_proba, decode, leaf_log_proba
from ktt_core.decoding.paths import top_leaves
from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import HIDDEN, Taxonomy

FOREST = Taxonomy.from_paths(
    [("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Food", "Bread"), ("Bikes",)]
)


@st.composite
def forests(draw: st.DrawFn) -> Taxonomy:
    """Draw ragged forests of 1 to 6 levels; names repeat across branches and within paths."""
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)
    return Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=25)))


@st.composite
def scored_forests(draw: st.DrawFn) -> tuple[Taxonomy, list[np.ndarray]]:
    """Draw a forest, and scores that often tie, saturate, or exclude classes."""
    taxonomy = draw(forests())
    n_rows = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["normal", "tied", "saturated", "impossible"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels: list[np.ndarray] = []
    for size in taxonomy.level_sizes:
        scores = rng.normal(size=(n_rows, size))
        if kind == "tied":
            scores = np.round(scores)
        if kind == "saturated":
            scores *= 1e4
        if kind == "impossible":
            # One child of every parent stays possible, as with conditional probabilities.
            parents = taxonomy.parent_of[len(levels)]
            firsts = np.flatnonzero(np.diff(parents, prepend=-1))
            possible = rng.random(scores.shape) < 0.5
            possible[:, firsts if levels else [0]] = True
            scores[~possible] = -np.inf
        levels.append(scores.astype(np.float32))
    if draw(st.booleans()):
        levels = [sum_along_paths(levels, taxonomy)]
    return taxonomy, levels


def sum_along_paths(levels: list[np.ndarray], taxonomy: Taxonomy) -> np.ndarray:
    if len(levels) == 1 and levels[0].shape[1] == taxonomy.n_leaves:
        return levels[0]
    total = np.zeros((len(levels[0]), taxonomy.n_leaves), dtype=np.float32)
    for level, scores in enumerate(levels):
        total += scores[:, taxonomy.leaf_codes[:, level]]
    return total


def naive_proba(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores.astype(np.float64) - scores.max())
    return powers / powers.sum()


@settings(deadline=None)
@given(scored_forests(), st.integers(1, 30), st.sampled_from([0.1, 1.0, 7.0]))
def test_the_top_paths_are_those_of_a_full_sort(case, top_k, temperature):
    taxonomy, levels = case
    decoded = decode(levels, taxonomy, top_k=top_k, temperature=temperature)
    for row, scores in enumerate(sum_along_paths(levels, taxonomy)):
        scores = scores * np.float32(1.0 / temperature)
        expected = np.argsort(-scores, kind="stable")[:top_k]
        np.testing.assert_array_equal(decoded.leaves[row], expected)
        np.testing.assert_allclose(
            decoded.probabilities[row], naive_proba(scores)[expected], rtol=2e-3, atol=1e-6
        )
    assert decoded.valid.all()
    np.testing.assert_array_equal(decoded.codes, taxonomy.leaf_codes[decoded.leaves])


@settings(deadline=None)
@given(scored_forests())
def test_leaf_probabilities_sum_to_one_and_parents_are_never_below_children(case):
    taxonomy, levels = case
    log_proba = leaf_log_proba(levels, taxonomy)
    assert log_proba.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1.0, atol=1e-5)
    proba = class_proba(log_proba, taxonomy)
    reference = np.exp(log_proba) @ taxonomy.leaf_matrix()
    np.testing.assert_allclose(proba, np.minimum(reference, 1.0), atol=1e-5)
    assert ((proba >= 0) & (proba <= 1)).all()
    offsets = taxonomy.level_offsets
    for level in range(1, taxonomy.depth):
        children = proba[:, offsets[level] : offsets[level + 1]]
        assert (proba[:, offsets[level - 1] + taxonomy.parent_of[level]] >= children).all()


@settings(deadline=None)
@given(scored_forests(), st.integers(1, 6), st.floats(0.01, 1.0))
def test_a_path_stops_at_its_deepest_class_that_reaches_the_confidence(case, top_k, confidence):
    taxonomy, levels = case
    decoded = decode(levels, taxonomy, top_k=top_k, min_confidence=confidence)
    full = decode(levels, taxonomy, top_k=top_k)
    np.testing.assert_array_equal(decoded.codes, full.codes)
    proba = class_proba(leaf_log_proba(levels, taxonomy), taxonomy)
    offsets = taxonomy.level_offsets[:-1]
    for row, paths in enumerate(decoded.codes):
        for position, codes in enumerate(paths):
            along = proba[row, offsets + codes]
            if np.abs(along - confidence).min() < 1e-5:
                continue
            reached = [level for level in range(taxonomy.depth) if along[level] >= confidence]
            real = [
                level for level in reached if not taxonomy.hidden[offsets[level] + codes[level]]
            ]
            stop = max(real, default=-1)
            assert decoded.stop_levels[row, position] == stop
            if len(reached) == taxonomy.depth:
                expected = along[-1]
            else:
                expected = along[reached[-1]] if reached else 1.0
            np.testing.assert_allclose(decoded.probabilities[row, position], expected, atol=1e-5)


@settings(deadline=None)
@given(scored_forests())
def test_predictions_are_real_paths_without_hidden_classes(case):
    taxonomy, levels = case
    known = {()} | {path[:end] for path in taxonomy.leaf_paths for end in range(1, len(path) + 1)}
    for confidence in (0.0, 0.6):
        decoded = decode(levels, taxonomy, top_k=3, min_confidence=confidence)
        for predictions in decoded.predictions():
            paths = [prediction.path for prediction in predictions]
            assert HIDDEN not in [name for path in paths for name in path]
            assert known.issuperset(paths)
            assert all(len(prediction.path) == len(prediction.codes) for prediction in predictions)


@settings(deadline=None)
@given(scored_forests())
def test_independent_decoding_takes_the_best_class_of_every_level(case):
    taxonomy, levels = case
    decoded = decode(levels, taxonomy, decoding="independent")
    if len(levels) == taxonomy.depth:
        best = [scores.argmax(axis=1) for scores in levels]
    else:
        proba = class_proba(leaf_log_proba(levels, taxonomy), taxonomy)
        split = np.split(proba, taxonomy.level_offsets[1:-1], axis=1)
        chosen = decoded.codes[:, 0]
        for level, scores in enumerate(split):
            # Equal up to rounding.
            np.testing.assert_allclose(
                scores[np.arange(len(scores)), chosen[:, level]], scores.max(axis=1), atol=1e-5
            )
        best = list(chosen.T)
    np.testing.assert_array_equal(decoded.codes[:, 0], np.stack(best, axis=1))
    paths = set(map(tuple, taxonomy.leaf_codes.tolist()))
    for codes, valid in zip(decoded.codes[:, 0].tolist(), decoded.valid[:, 0], strict=True):
        assert valid == (tuple(codes) in paths)


def test_independent_decoding_may_leave_the_taxonomy_and_is_then_not_valid():
    taxonomy = Taxonomy.from_paths([("a", "b"), ("c", "d")])
    decoded = decode(
        [np.array([[1.0, 0.0]]), np.array([[0.0, 5.0]])], taxonomy, decoding="independent"
    )
    assert not decoded.valid[0, 0]
    assert decoded.predictions()[0][0].path == ("a", "d")


def test_a_padded_leaf_has_the_path_of_its_real_classes():
    scores = np.array([[5.0 if path == ("Bikes",) else 0.0 for path in FOREST.leaf_paths]])
    (prediction,) = decode([scores], FOREST).predictions()[0]
    assert prediction.path == ("Bikes",)
    assert prediction.codes == FOREST.encode(("Bikes",))[:1]


def test_paths_that_stop_at_one_class_are_listed_once():
    scores = np.log(np.array([[0.1, 0.3, 0.3, 0.3]]))
    order = [
        FOREST.leaf_paths.index(path)
        for path in [
            ("Bikes",),
            ("Food", "Bread"),
            ("Food", "Pasta", "Long"),
            ("Food", "Pasta", "Short"),
        ]
    ]
    shuffled = np.empty_like(scores)
    shuffled[:, order] = scores
    predictions = decode([shuffled], FOREST, top_k=4, min_confidence=0.5).predictions()[0]
    assert [prediction.path for prediction in predictions] == [("Food",), ("Food", "Pasta"), ()]
    assert predictions[0].probability == pytest.approx(0.9)
    assert predictions[-1].probability == 1.0


def test_a_certain_path_reaches_a_min_confidence_of_one():
    taxonomy = Taxonomy.from_paths([("only", "leaf")])
    levels = [np.array([[-3.0]]), np.array([[2.0]])]
    (prediction,) = decode(levels, taxonomy, top_k=5, min_confidence=1.0).predictions()[0]
    assert prediction.path == ("only", "leaf")
    assert prediction.probability == 1.0


@pytest.mark.parametrize("depth", range(1, 7))
def test_no_rows_give_no_paths(depth):
    taxonomy = Taxonomy.from_paths([tuple("abcdef"[:depth]), tuple("ghijkl"[:depth])])
    levels = [np.zeros((0, size), np.float32) for size in taxonomy.level_sizes]
    decoded = decode(levels, taxonomy, top_k=3, min_confidence=0.5)
    assert decoded.codes.shape == (0, 2, depth)
    assert decoded.predictions() == []
    assert len(decoded) == 0
    assert leaf_log_proba(levels, taxonomy).shape == (0, 2)


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "not a number"), (np.inf, "infinite")],
)
@pytest.mark.parametrize("level", [0, 2])
def test_scores_that_are_not_finite_are_an_error_that_names_the_row(value, said, level):
    levels = [np.zeros((3, size), np.float32) for size in FOREST.level_sizes]
    levels[level][2, 1] = value
    for call in (decode, leaf_log_proba):
        with pytest.raises(InvalidArgumentError, match=f"row 2 .*{said}"):
            call(levels, FOREST)
    with pytest.raises(InvalidArgumentError, match="row 2"):
        decode(levels, FOREST, decoding="independent", block_rows=1)


def test_a_row_without_a_possible_path_is_an_error():
    with pytest.raises(InvalidArgumentError, match="row 1 .*no possible path"):
        decode([np.array([[0.0, 0, 0, 0], [-np.inf] * 4])], FOREST)


def test_impossible_leaves_come_last_with_probability_zero():
    decoded = decode([np.array([[-np.inf, 1.0, -np.inf, 0.0]])], FOREST, top_k=4)
    assert decoded.leaves.tolist() == [[1, 3, 0, 2]]
    assert decoded.probabilities[0, 2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0},
        {"top_k": True},
        {"top_k": 1.5},
        {"min_confidence": -0.1},
        {"min_confidence": 1.1},
        {"min_confidence": float("nan")},
        {"temperature": 0.0},
        {"temperature": float("inf")},
        {"temperature": float("nan")},
        {"temperature": 1e-300},
        {"temperature": "1"},
        {"temperature": None},
        {"min_confidence": "0.5"},
        {"min_confidence": None},
        {"decoding": "beam"},
        {"decoding": "independent", "top_k": 2},
        {"decoding": "independent", "min_confidence": 0.5},
        {"block_rows": 0},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidArgumentError):
        decode([np.zeros((1, 4))], FOREST, **options)


@pytest.mark.parametrize(
    "levels",
    [
        [],
        [np.zeros((1, 3))],
        [np.zeros((1, 2)), np.zeros((1, 3))],
        [np.zeros((1, 2)), np.zeros((2, 3)), np.zeros((1, 4))],
        [np.zeros(4)],
        [np.zeros((1, 4), dtype=int)],
        [np.array([[None] * 4])],
        [[[0.0], [1.0, 2.0]]],
        None,
        np.zeros((1, 4)),
    ],
)
def test_scores_of_the_wrong_shape_are_refused(levels):
    with pytest.raises(InvalidArgumentError):
        decode(levels, FOREST)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_and_memory_order_gives_the_same_paths(dtype):
    rng = np.random.default_rng(0)
    levels = [rng.integers(-8, 8, (50, size)).astype(dtype) for size in FOREST.level_sizes]
    expected = decode([level.astype(np.float32) for level in levels], FOREST, top_k=3)
    for variant in (levels, [np.asfortranarray(level) for level in levels]):
        before = [level.copy() for level in variant]
        decoded = decode(variant, FOREST, top_k=3)
        np.testing.assert_array_equal(decoded.codes, expected.codes)
        for mine, theirs in zip(variant, before, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 63, 129, 513, 1027]), st.integers(1, 40))
def test_the_threshold_search_is_a_stable_sort(seed, width, k):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, rng.integers(1, 2000), (3, width)).astype(np.float32)
    k = min(k, width)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_leaves(scores, k), expected)


def test_results_do_not_depend_on_the_block_size():
    rng = np.random.default_rng(1)
    levels = [rng.normal(size=(37, size)).astype(np.float32) for size in FOREST.level_sizes]
    whole = decode(levels, FOREST, top_k=2, min_confidence=0.4)
    small = decode(levels, FOREST, top_k=2, min_confidence=0.4, block_rows=5)
    np.testing.assert_array_equal(whole.stop_levels, small.stop_levels)
    np.testing.assert_allclose(whole.probabilities, small.probabilities, rtol=1e-5)


def test_temporary_memory_is_bounded():
    taxonomy = Taxonomy.from_paths([(f"{i // 100}", f"{i}") for i in range(2000)])
    levels = [np.zeros((4000, size), np.float32) for size in taxonomy.level_sizes]
    decode(levels, taxonomy, top_k=5, min_confidence=0.5)
    tracemalloc.start()
    decode(levels, taxonomy, top_k=5, min_confidence=0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The scores are 32 MB; all are equal, which is the worst case of the search.
    assert peak < 24e6
