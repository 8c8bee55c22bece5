"""Every metric against scikit-learn or its definition on sets, on random forests."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_score

from ktt_core.decoding import class_proba, decode, leaf_log_proba
from ktt_core.errors import DataError, InvalidArgumentError, KttError
from ktt_core.metrics import METRIC_NAMES, LogLoss, MetricsAccumulator, compute_metrics
from ktt_core.taxonomy import HIDDEN, Taxonomy

FOREST = Taxonomy.from_paths(
    [("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Food", "Bread"), ("Bikes",)]
)


@st.composite
def scored_rows(draw: st.DrawFn):
    """Draw a ragged forest, level or leaf scores that may tie, and true paths."""
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=5)
    taxonomy = Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=20)))
    n_rows = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = taxonomy.level_sizes if draw(st.booleans()) else [taxonomy.n_leaves]
    levels = [(2 * rng.normal(size=(n_rows, size))).astype(np.float32) for size in sizes]
    if draw(st.booleans()):
        levels = [np.round(level) for level in levels]
    log_proba = leaf_log_proba(levels, taxonomy)
    leaves = rng.integers(0, taxonomy.n_leaves, n_rows)
    right = rng.random(n_rows) < draw(st.sampled_from([0.0, 0.6, 1.0]))
    leaves[right] = log_proba.argmax(axis=1)[right]
    return taxonomy, levels, log_proba, taxonomy.leaf_codes[leaves]


def naive_hierarchical(true_paths, predicted_paths):
    """Sum the sets as Kiritchenko et al. define them."""
    both = predicted = true = 0
    for true_path, predicted_path in zip(true_paths, predicted_paths, strict=True):
        true_set = {true_path[:end] for end in range(1, len(true_path) + 1)}
        predicted_set = {predicted_path[:end] for end in range(1, len(predicted_path) + 1)}
        both += len(true_set & predicted_set)
        predicted += len(predicted_set)
        true += len(true_set)
    precision, recall = both / predicted, both / true
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def naive_levels(taxonomy, true, predicted):
    """Score each level with scikit-learn over the rows and classes that count on it."""
    accuracies, precisions = [], []
    for level in range(taxonomy.depth):
        names = taxonomy.classes[taxonomy.level_offsets[level] : taxonomy.level_offsets[level + 1]]
        real = [code for code, name in enumerate(names) if name != HIDDEN]
        at, said = true[:, level], predicted[:, level]
        counts = np.isin(at, real) | np.isin(said, real)
        if not counts.any():
            continue
        accuracies.append(accuracy_score(at[counts], said[counts]))
        precisions.append(
            precision_score(
                at[counts], said[counts], labels=real, average="weighted", zero_division=0
            )
        )
    return np.mean(accuracies), np.mean(precisions)


def naive_calibration(confidence, correct):
    error = 0.0
    for edge in range(15):
        inside = (confidence > edge / 15) & (confidence <= (edge + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


@settings(deadline=None)
@given(scored_rows())
def test_every_metric_agrees_with_its_definition(case):
    taxonomy, levels, log_proba, codes = case
    metrics = compute_metrics(log_proba, codes, taxonomy, levels)
    assert tuple(metrics) == METRIC_NAMES

    decoded = decode([log_proba], taxonomy)
    true, said = codes[:, -1], decoded.leaves[:, 0]
    expected = {
        "leaf_accuracy": accuracy_score(true, said),
        "leaf_precision": precision_score(true, said, average="weighted", zero_division=0),
        "leaf_macro_f1": f1_score(true, said, average="macro", zero_division=0),
    }
    expected["path_accuracy"], expected["path_precision"] = naive_levels(
        taxonomy, codes, decoded.codes[:, 0]
    )
    paths = taxonomy.leaf_paths
    names = ("hierarchical_precision", "hierarchical_recall", "hierarchical_f1")
    values = naive_hierarchical([paths[leaf] for leaf in true], [paths[leaf] for leaf in said])
    expected.update(zip(names, values, strict=True))

    proba = class_proba(log_proba, taxonomy)
    truth = taxonomy.leaf_matrix()[true]
    real = ~taxonomy.hidden
    expected["auprc_micro"] = average_precision_score(
        truth[:, real].ravel(), proba[:, real].ravel()
    )
    independent = decode(levels, taxonomy, decoding="independent")
    expected["valid_paths"] = independent.valid.mean()
    top = np.minimum(np.exp(log_proba.max(axis=1)), 1.0)
    expected["calibration_error"] = naive_calibration(top.astype(np.float64), true == said)
    for name, value in expected.items():
        if name == "valid_paths" and len(levels) != taxonomy.depth:
            # Sums of equal leaves may round differently in another order.
            continue
        assert metrics[name] == pytest.approx(value, abs=1e-6), name


@settings(deadline=None)
@given(scored_rows(), st.integers(1, 7))
def test_metrics_do_not_depend_on_the_blocks(case, size):
    taxonomy, levels, log_proba, codes = case
    accumulator = MetricsAccumulator(taxonomy)
    for start in range(0, len(codes), size):
        rows = slice(start, start + size)
        accumulator.update(log_proba[rows], codes[rows], [level[rows] for level in levels])
    assert accumulator.compute() == pytest.approx(
        compute_metrics(log_proba, codes, taxonomy, levels)
    )


def test_perfect_predictions_score_one():
    taxonomy = FOREST
    log_proba = leaf_log_proba([50.0 * np.eye(taxonomy.n_leaves)], taxonomy)
    metrics = compute_metrics(log_proba, taxonomy.leaf_codes, taxonomy)
    assert metrics.pop("calibration_error") == pytest.approx(0.0, abs=1e-6)
    assert set(metrics.values()) == {1.0}


def test_padding_counts_neither_as_correct_nor_as_wrong():
    # Both paths are short: below "Bread" and "Bikes" there is only padding.
    leaves = [FOREST.leaf_paths.index(path) for path in [("Food", "Bread"), ("Bikes",)]]
    scores = np.zeros((2, FOREST.n_leaves))
    scores[0, leaves[0]] = 9.0  # right: three levels, one of them padding
    scores[1, FOREST.leaf_paths.index(("Food", "Pasta", "Long"))] = 9.0  # wrong everywhere
    codes = FOREST.leaf_codes[leaves]
    metrics = compute_metrics(leaf_log_proba([scores], FOREST), codes, FOREST)
    # Levels: 1 of 2; 1 of 2 ("Pasta" against padding counts); 0 of 1 ("Long"; the correct row has
    # only padding).
    assert metrics["path_accuracy"] == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    # Sets: {Food, Bread} of {Food, Bread}, nothing of {Food, Pasta, Long} against {Bikes}.
    assert metrics["hierarchical_precision"] == pytest.approx(2 / 5)
    assert metrics["hierarchical_recall"] == pytest.approx(2 / 3)
    assert metrics["leaf_accuracy"] == 0.5


def test_no_rows_are_an_error():
    accumulator = MetricsAccumulator(FOREST)
    accumulator.update(np.zeros((0, 4)), np.zeros((0, 3), np.int32))
    with pytest.raises(DataError):
        accumulator.compute()


@pytest.mark.parametrize(
    ("log_proba", "codes"),
    [
        (np.full((1, 4), np.nan), FOREST.leaf_codes[:1]),
        (np.zeros((1, 3)), FOREST.leaf_codes[:1]),
        (np.zeros((2, 4)), FOREST.leaf_codes[:1]),
        (np.zeros((1, 4)), FOREST.leaf_codes[:1, :2]),
        (np.zeros((1, 4)), FOREST.leaf_codes[:1] + 10),
        (np.zeros((1, 4)), FOREST.leaf_codes[:1] - 10),
        (np.zeros((1, 4)), FOREST.leaf_codes[:1].astype(float)),
        (np.full((1, 4), 1.0), FOREST.leaf_codes[:1]),
        (np.full((1, 4), -9.0), FOREST.leaf_codes[:1]),
    ],
)
def test_rows_that_do_not_match_are_refused(log_proba, codes):
    with pytest.raises(InvalidArgumentError):
        compute_metrics(log_proba, codes, FOREST)


def test_level_scores_of_other_rows_are_refused():
    levels = [np.zeros((2, size)) for size in FOREST.level_sizes]
    with pytest.raises(KttError):
        compute_metrics(np.zeros((1, 4)), FOREST.leaf_codes[:1], FOREST, levels)


def test_memory_does_not_grow_with_the_rows():
    taxonomy = Taxonomy.from_paths([(f"{i // 50}", f"{i}") for i in range(1000)])
    rng = np.random.default_rng(0)
    log_proba = leaf_log_proba([rng.normal(size=(500, 1000))], taxonomy)
    codes = taxonomy.leaf_codes[rng.integers(0, 1000, 500)]
    accumulator = MetricsAccumulator(taxonomy)
    accumulator.ranking._max_exact_pairs = 10**6
    accumulator.update(log_proba, codes)
    accumulator.update(log_proba, codes)
    tracemalloc.start()
    for _ in range(4):
        accumulator.update(log_proba, codes)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert not accumulator.ranking.is_exact
    assert kept < 1e6


def test_the_log_loss_is_finite_with_excluded_leaves() -> None:
    loss = LogLoss()
    with pytest.raises(DataError, match="no rows"):
        loss.mean()
    log_proba = np.log(np.array([[0.5, 0.5], [0.25, 0.75]], dtype=np.float32))
    loss.update(log_proba[:1], np.array([[0, 0]]))
    loss.update(log_proba[1:], np.array([[0, 1]]))
    assert loss.mean() == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
    loss.update(np.array([[-np.inf, 0.0]], dtype=np.float32), np.array([[0, 0]]))
    assert np.isfinite(loss.mean()) and loss.mean() > 1000
