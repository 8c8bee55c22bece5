"""Metrics by names agree with the counts of classes, and also cover unknown classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.metrics import compute_metrics
from ktt_core.metrics.outcomes import Outcomes, compare_outcomes, path_outcomes
from ktt_core.taxonomy import Taxonomy


@st.composite
def predicted_rows(draw: st.DrawFn) -> tuple[Taxonomy, np.ndarray, np.ndarray]:
    """Draw a ragged forest, and the true and the predicted leaf of each of some rows."""
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=5)
    taxonomy = Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=20)))
    leaf = st.integers(0, taxonomy.n_leaves - 1)
    true, predicted = np.array(
        draw(st.lists(st.tuples(leaf, leaf), min_size=1, max_size=30)), dtype=np.int32
    ).T
    return taxonomy, true, predicted


@settings(deadline=None)
@given(predicted_rows())
def test_outcomes_are_those_of_sets_of_ancestors(
    rows: tuple[Taxonomy, np.ndarray, np.ndarray],
) -> None:
    taxonomy, true, predicted = rows
    outcomes = Outcomes(
        Labels.of_leaves(true, taxonomy), Labels.of_leaves(predicted, taxonomy), taxonomy
    )
    assert len(outcomes) == len(true)
    ancestors = taxonomy.ancestor_matrix()[taxonomy.level_offsets[-2] :]
    both = ancestors[true] & ancestors[predicted]
    assert outcomes.overlap().tolist() == np.nonzero(both)[1].tolist()
    assert outcomes.hits.sum(axis=1).tolist() == both.sum(axis=1).tolist()
    assert outcomes.right.tolist() == (true == predicted).tolist()
    real = (ancestors[true] | ancestors[predicted]) & ~taxonomy.hidden
    levels = np.split(real, taxonomy.level_offsets[1:-1], axis=1)
    assert outcomes.counted().tolist() == [level.any(axis=1).sum() for level in levels]
    wrong = [row.argmin() for row in outcomes.hits if not row.all()]
    expected = [wrong.count(level) for level in range(taxonomy.depth)]
    assert outcomes.first_wrong().tolist() == expected


@settings(deadline=None)
@given(predicted_rows())
def test_scores_of_true_and_predicted_classes_are_told_apart(
    rows: tuple[Taxonomy, np.ndarray, np.ndarray],
) -> None:
    taxonomy, true, predicted = rows
    outcomes = Outcomes(
        Labels.of_leaves(true, taxonomy), Labels.of_leaves(predicted, taxonomy), taxonomy
    )
    # A score that says which row and class it is of.
    scores = np.arange(len(true) * taxonomy.n_classes, dtype=np.float64).reshape(len(true), -1)
    ancestors = taxonomy.ancestor_matrix()[taxonomy.level_offsets[-2] :]
    real = scores[ancestors[true] & ~taxonomy.hidden]
    assert outcomes.true_scores(scores).tolist() == real.tolist()
    along = scores[ancestors[predicted]]
    assert outcomes.predicted_scores(scores).ravel().tolist() == along.tolist()


def test_outcomes_of_other_rows_are_refused() -> None:
    taxonomy = Taxonomy.from_paths(["a", "b"])
    true, predicted = (Labels.of_leaves(np.arange(n) % 2, taxonomy) for n in (3, 2))
    with pytest.raises(InvalidArgumentError, match="3 true paths"):
        Outcomes(true, predicted, taxonomy)


@settings(deadline=None)
@given(st.data())
def test_on_known_classes_the_metrics_equal_those_of_the_counts(data: st.DataObject) -> None:
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=5)
    taxonomy = Taxonomy.from_paths(data.draw(st.lists(path, min_size=1, max_size=20)))
    leaf = st.integers(0, taxonomy.n_leaves - 1)
    rows = data.draw(st.lists(st.tuples(leaf, leaf), min_size=1, max_size=30))
    true, predicted = np.array(rows).T
    log_proba = np.log(np.where(np.eye(taxonomy.n_leaves)[predicted] > 0, 1.0, 1e-30))
    expected = compute_metrics(log_proba, taxonomy.leaf_codes[true], taxonomy)
    paths = taxonomy.leaf_paths
    outcomes = path_outcomes(paths, true, paths, predicted)
    for name, figure in outcomes.figures().items():
        assert figure == pytest.approx(expected[name]), name
    np.testing.assert_array_equal(outcomes.right, true == predicted)


def test_the_parent_of_an_unknown_class_can_be_right() -> None:
    true = [("Food", "Pasta", "Gnocchi"), ("Bikes",), ("Food", "Pasta")]
    said = [("Food", "Pasta", "Long"), ("Food", "Bread")]
    outcomes = path_outcomes(true, np.array([0, 1, 2]), said, np.array([0, 1, 0]))
    # {Food, Pasta} of 3 and 3; nothing of 1 and 2; {Food, Pasta} of 2 and 3.
    assert outcomes.both.tolist() == [2, 0, 2]
    assert outcomes.right.tolist() == [False, False, False]
    assert outcomes.figures()["hierarchical_f1"] == pytest.approx(2 * 4 / (6 + 8))


def test_the_same_name_under_another_parent_is_not_the_same_class() -> None:
    outcomes = path_outcomes([("a", "x")], np.array([0]), [("b", "x")], np.array([0]))
    assert outcomes.both.tolist() == [0]


def test_the_comparison_is_ours_minus_theirs() -> None:
    paths = [("a", "x"), ("a", "y"), ("b", "z")]
    true = np.arange(300) % 3
    ours = path_outcomes(paths, true, paths, true)
    theirs = path_outcomes(paths, true, paths, np.zeros(300, int))
    found = compare_outcomes(ours, theirs, draws=1_000)
    assert found["leaf_accuracy"].value == pytest.approx(2 / 3)
    assert found["hierarchical_f1"].value == pytest.approx(1 - 0.5)
    assert all(difference.sign == 1 for difference in found.values())
    half = np.arange(300) < 150
    assert len(ours.take(half)) == 150


def test_no_rows_are_an_error() -> None:
    none = np.array([], int)
    with pytest.raises(DataError, match="no rows"):
        path_outcomes([("a",)], none, [("a",)], none).figures()
