from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

from ktt_core.errors import CheckpointError, DataError, InvalidArgumentError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import load_scorer
from ktt_models.sklearn.solvers import (
    FlatSGDClassifier,
    HierarchicalSGDClassifier,
    compiled_loops,
    plain_loops,
)
from ktt_models.sklearn.solvers.node_state import NodeState
from ktt_models.sklearn.solvers.pairs import find_pairs
from ktt_models.sklearn.solvers.state import as_rows

SOLVERS = [HierarchicalSGDClassifier, FlatSGDClassifier]
N_FEATURES = 60
LOOPS = {"plain": plain_loops, "compiled": compiled_loops}


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def road(request, monkeypatch):
    """Train in both ways, whatever the size."""
    for solver in SOLVERS:
        monkeypatch.setattr(solver, "plain_visits", 1 << 40 if request.param == "plain" else 0)
        monkeypatch.setattr(solver, "plain_entries", 1 << 40)
    return request.param


def make_problem(n: int = 300, seed: int = 0) -> tuple[Taxonomy, CsrRows, np.ndarray]:
    """Each class of any level has words of its own, among noise."""
    paths = [(a, f"{a}{b}", f"{a}{b}{c}") for a in "xyz" for b in "12" for c in "pq"]
    paths += [("w", "single", "only")]
    taxonomy = Taxonomy.from_paths(paths)
    generator = np.random.default_rng(seed)
    leaves = np.concatenate(
        [
            np.arange(taxonomy.n_leaves),
            generator.integers(taxonomy.n_leaves, size=n - taxonomy.n_leaves),
        ]
    )
    codes = taxonomy.leaf_codes[leaves]
    dense = (generator.random((n, N_FEATURES)) < 0.1).astype(float)
    dense[:, : taxonomy.n_classes] = 0
    for level in range(3):
        dense[np.arange(n), taxonomy.level_offsets[level] + codes[:, level]] = 1
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    return taxonomy, as_rows(scipy.sparse.csr_matrix(dense)), codes


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_it_learns(solver, loss, class_weight):
    taxonomy, rows, codes = make_problem()
    _, test_rows, test_codes = make_problem(seed=1)
    model = solver(taxonomy, loss=loss, class_weight=class_weight, n_jobs=1).fit(rows, codes)
    assert model.score(test_rows, test_codes) > 0.95
    np.testing.assert_allclose(model.predict_proba(test_rows).sum(axis=1), 1, atol=1e-4)
    assert model.predict(test_rows).shape == test_codes.shape


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_seed_decides_everything_and_the_threads_nothing(solver):
    taxonomy, rows, codes = make_problem()
    first = solver(taxonomy, seed=5, n_jobs=1).fit(rows, codes).weights_
    second = solver(taxonomy, seed=5, n_jobs=3).fit(rows, codes).weights_
    other = solver(taxonomy, seed=6, n_jobs=1).fit(rows, codes).weights_
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)
    assert not np.array_equal(first.weights, other.weights)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
def test_the_best_path_is_that_of_all_scores(loss):
    taxonomy, rows, codes = make_problem()
    test_rows = make_problem(300, seed=1)[1]
    model = HierarchicalSGDClassifier(taxonomy, loss=loss, epochs=2).fit(rows, codes)
    log_proba = model.leaf_log_proba(test_rows)
    found = model.predict(test_rows)[:, -1]
    np.testing.assert_allclose(
        log_proba[np.arange(len(found)), found], log_proba.max(axis=1), atol=1e-4
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_scores_are_the_scorers_after_a_round_trip(solver):
    taxonomy, rows, codes = make_problem()
    model = solver(taxonomy).fit(rows, codes)
    arrays, params = model.state_dict()
    params = json.loads(json.dumps(params))
    scorer = load_scorer(taxonomy, arrays, params)
    again = solver.from_state(taxonomy, arrays, params)
    for found, plain, restored in zip(
        model.level_scores(rows), scorer.level_scores(rows), again.level_scores(rows), strict=True
    ):
        np.testing.assert_allclose(found, plain, atol=1e-4)
        np.testing.assert_allclose(found, restored, atol=1e-4)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
def test_weights_written_out_as_in_release_0_1_0_give_the_same_answers(loss):
    taxonomy, rows, codes = make_problem()
    dense = rows.to_dense()
    rows = as_rows(scipy.sparse.csr_matrix(np.concatenate([dense, 0.5 * dense], axis=1)))
    model = HierarchicalSGDClassifier(taxonomy, loss=loss, epochs=2).fit(rows, codes)
    arrays, params = model.state_dict()
    assert len(arrays["weights"]) < len(model.weights_.weights)
    written = {name: arrays[name] for name in ("feature_start", "pair_node", "bias")}
    written["weights"] = model.weights_.weights
    old = HierarchicalSGDClassifier.from_state(taxonomy, written, params)
    np.testing.assert_array_equal(old.predict(rows), model.predict(rows))
    for scorer in (old, load_scorer(taxonomy, arrays, params)):
        for found, expected in zip(
            scorer.level_scores(rows), model.level_scores(rows), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_shared_weights_that_do_not_fit_are_refused():
    taxonomy, rows, codes = make_problem()
    arrays, params = HierarchicalSGDClassifier(taxonomy, epochs=1).fit(rows, codes).state_dict()
    start, scale = arrays["pair_start"], arrays["pair_scale"]
    for wrong in (
        {"pair_start": start + 1},
        {"pair_start": start - 1},
        {"pair_start": start.astype(np.float32) * np.nan},
        {"pair_scale": scale * np.inf},
        {"pair_scale": scale[:-1]},
    ):
        with pytest.raises(CheckpointError), np.errstate(invalid="ignore"):
            HierarchicalSGDClassifier.from_state(taxonomy, {**arrays, **wrong}, params)


def test_few_weights_are_those_of_the_most_frequent_features():
    taxonomy, rows, codes = make_problem()
    every = HierarchicalSGDClassifier(taxonomy, epochs=2).fit(rows, codes).weights_
    limit = len(every.weights) // 2
    model = HierarchicalSGDClassifier(taxonomy, epochs=2, max_weights=limit).fit(rows, codes)
    assert 0 < len(model.weights_.weights) <= limit
    assert model.score(rows, codes) > 0.8


def test_a_lone_decision_is_scikit_learns_logistic_regression(monkeypatch):
    monkeypatch.setattr(HierarchicalSGDClassifier, "plain_visits", 5_000)
    linear_model = pytest.importorskip("sklearn.linear_model")
    taxonomy = Taxonomy.from_paths([("a",), ("b",), ("c",)])
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(400, 8))
    leaves = (dense[:, :3] + generator.normal(size=(400, 3))).argmax(axis=1).astype(np.int32)
    reference = linear_model.LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(dense, leaves)
    model = HierarchicalSGDClassifier(
        taxonomy, alpha=2.0, epochs=200, learning_rate=0.2, restart_every=None
    )
    model.fit(scipy.sparse.csr_matrix(dense), leaves[:, None])
    found = model.predict_proba(scipy.sparse.csr_matrix(dense))
    np.testing.assert_allclose(found, reference.predict_proba(dense), atol=0.03)


def test_flat_and_hierarchical_are_one_model_on_one_level():
    taxonomy = Taxonomy.from_paths([(str(i),) for i in range(13)])
    _, rows, codes = make_problem()
    leaves = codes[:, -1:]
    flat = FlatSGDClassifier(taxonomy, learning_rate=0.5, epochs=4).fit(rows, leaves)
    hierarchical = HierarchicalSGDClassifier(taxonomy, learning_rate=0.5, epochs=4).fit(
        rows, leaves
    )
    np.testing.assert_allclose(
        flat.leaf_log_proba(rows), hierarchical.leaf_log_proba(rows), atol=0.05
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_exist_only_where_a_feature_was_seen(solver):
    taxonomy, rows, codes = make_problem()
    weights = solver(taxonomy, epochs=1).fit(rows, codes).weights_
    nodes = weights.layout.nodes_of(codes)
    dense = rows.to_dense() > 0
    for feature in range(N_FEATURES):
        seen = np.unique(nodes[:, dense[:, feature]])
        stored = weights.pair_node[
            weights.feature_start[feature] : weights.feature_start[feature + 1]
        ]
        assert stored.tolist() == seen[seen >= 0].tolist()


def test_the_rarest_pairs_go_when_there_are_too_many():
    taxonomy, rows, codes = make_problem()
    layout = HierarchicalSGDClassifier(taxonomy, epochs=1).fit(rows, codes).weights_.layout
    nodes = layout.nodes_of(codes)
    _, every_node, every_rows = find_pairs(rows, nodes, layout, 1 << 40)
    limit = int(layout.child_count[every_node].sum()) // 2
    starts, pair_node, pair_rows = find_pairs(rows, nodes, layout, limit)
    assert int(layout.child_count[pair_node].sum()) <= limit
    assert starts[-1] == len(pair_node) > 0
    assert pair_rows.min() > every_rows.min()
    capped = FlatSGDClassifier(taxonomy, max_weights=limit).fit(rows, codes)
    assert capped.score(rows, codes) > 0.8


@pytest.mark.parametrize("solver", SOLVERS)
def test_restarts_make_the_answer_depend_less_on_the_order_of_the_rows(solver):
    taxonomy, rows, codes = make_problem(120)
    test_rows = make_problem(300, seed=1)[1]

    def spread(epochs: int) -> float:
        answers = [
            solver(taxonomy, epochs=epochs, restart_every=2, seed=seed)
            .fit(rows, codes)
            .leaf_log_proba(test_rows)
            for seed in range(4)
        ]
        return float(np.std(answers, axis=0).mean())

    assert spread(16) < 0.6 * spread(2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_progress_tells_every_epoch(solver):
    taxonomy, rows, codes = make_problem()
    seen: list[tuple[int, int, dict[str, float]]] = []
    solver(taxonomy, epochs=4, restart_every=None).fit(
        rows, codes, on_epoch=lambda *event: seen.append(event)
    )
    assert [(epoch, epochs) for epoch, epochs, _ in seen] == [(i, 4) for i in range(1, 5)]
    losses = [metrics["train_loss"] for _, _, metrics in seen]
    assert losses[-1] < losses[0]
    assert [metrics["pass"] for _, _, metrics in seen] == [1, 2, 3, 4]
    seen.clear()
    solver(taxonomy, epochs=4).fit(rows, codes, on_epoch=lambda *event: seen.append(event))
    assert [metrics["pass"] for _, _, metrics in seen] == [1, 2, 1, 2]


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_row_of_weight_zero_teaches_nothing(solver):
    taxonomy, rows, codes = make_problem()
    wrong = np.roll(codes, 1, axis=0)
    doubled = CsrRows.concatenate([rows, rows], rows.n_columns)
    weights = np.repeat([1.0, 0.0], rows.n_rows)
    model = solver(taxonomy).fit(doubled, np.concatenate([codes, wrong]), sample_weight=weights)
    assert model.score(rows, codes) > 0.95


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_without_features_and_a_class_without_rows_are_fine(solver):
    taxonomy, rows, codes = make_problem()
    kept = codes[:, -1] != 0
    matrix = scipy.sparse.csr_matrix(rows.to_dense()[kept])
    empty = scipy.sparse.csr_matrix((3, N_FEATURES))
    model = solver(taxonomy, class_weight="balanced").fit(matrix, codes[kept])
    assert np.isfinite(model.leaf_log_proba(empty)).all()
    assert model.fit(empty, codes[:3]).predict(matrix).shape == (int(kept.sum()), 3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_it_is_a_scikit_learn_estimator(solver):
    taxonomy = make_problem()[0]
    model = solver(taxonomy, epochs=3, alpha=0.5)
    copy = clone(model)
    assert copy.get_params()["epochs"] == 3
    assert copy.set_params(alpha=0.25).alpha == 0.25


@pytest.mark.parametrize(
    "params",
    [
        {"loss": "hinge"},
        {"class_weight": "heavy"},
        {"alpha": -1.0},
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"n_jobs": 0},
        {"restart_every": 0},
    ],
)
def test_bad_parameters_are_refused(params):
    taxonomy, rows, codes = make_problem(20)
    with pytest.raises(InvalidArgumentError):
        HierarchicalSGDClassifier(taxonomy, **params).fit(rows, codes)


def test_codes_that_are_no_path_are_refused():
    taxonomy, rows, codes = make_problem()
    model = HierarchicalSGDClassifier(taxonomy)
    with pytest.raises(DataError, match="path"):
        model.fit(rows, np.concatenate([np.roll(codes[:, :1], 1), codes[:, 1:]], axis=1))
    with pytest.raises(DataError, match="levels"):
        model.fit(rows, codes[:, :2])
    with pytest.raises(DataError, match="leaf"):
        model.fit(rows, codes + 100)
    with pytest.raises(DataError, match="no rows"):
        model.fit(rows.take(0, 0), codes[:0])


def test_a_state_of_the_other_kind_or_taxonomy_is_refused():
    taxonomy, rows, codes = make_problem()
    arrays, params = FlatSGDClassifier(taxonomy, epochs=1).fit(rows, codes).state_dict()
    with pytest.raises(CheckpointError, match="hierarchical"):
        HierarchicalSGDClassifier.from_state(taxonomy, arrays, params)
    with pytest.raises(CheckpointError):
        FlatSGDClassifier.from_state(Taxonomy.from_paths([("a",), ("b",)]), arrays, params)
    with pytest.raises(CheckpointError):
        FlatSGDClassifier.from_state(taxonomy, arrays, {**params, "surprise": 1})


def test_an_untrained_solver_says_so():
    taxonomy, rows, _ = make_problem()
    with pytest.raises(InvalidArgumentError, match="fit first"):
        FlatSGDClassifier(taxonomy).predict(rows)


def test_features_in_the_same_rows_in_proportion_are_trained_as_one(road):
    taxonomy, rows, codes = make_problem()
    dense = rows.to_dense()
    doubled = as_rows(scipy.sparse.csr_matrix(np.concatenate([dense, 0.5 * dense], axis=1)))
    solver, row_weights = HierarchicalSGDClassifier(taxonomy), np.ones(300, np.float32)
    state = NodeState(solver, doubled, codes, row_weights, LOOPS[road])
    one = NodeState(solver, rows, codes, row_weights, LOOPS[road])
    assert len(state.total) == len(one.total)
    weights = HierarchicalSGDClassifier(taxonomy, epochs=2).fit(doubled, codes).weights_
    first, second = weights.feature_start[[N_FEATURES, 2 * N_FEATURES]]
    assert second == 2 * first
    middle = len(weights.weights) // 2
    np.testing.assert_allclose(0.5 * weights.weights[:middle], weights.weights[middle:], rtol=1e-5)


def test_features_in_the_same_rows_but_not_in_proportion_are_not_one(road):
    taxonomy = Taxonomy.from_paths([("a",), ("b",)])
    codes = np.array([[0], [1]], dtype=np.int32)
    weights = np.ones(2, np.float32)
    solver = HierarchicalSGDClassifier(taxonomy)
    for second, n_blocks in (([1.0, 2.0], 1), ([2.0, 4.0], 1), ([1.0, 3.0], 2), ([1.0, 0.0], 2)):
        rows = as_rows(scipy.sparse.csr_matrix(np.array([[1.0, 2.0], second]).T))
        state = NodeState(solver, rows, codes, weights, LOOPS[road])
        assert len(state.total) == 4 * n_blocks, second


@pytest.mark.parametrize("n_rows", [1, 300])
def test_few_rows_and_many_get_the_same_paths(n_rows):
    taxonomy, rows, codes = make_problem()
    model = HierarchicalSGDClassifier(taxonomy, epochs=1).fit(rows, codes)
    expected = model.leaf_log_proba(rows).max(axis=1)
    for start in range(0, rows.n_rows, n_rows):
        part = rows.take(start, start + n_rows)
        found = model.predict(part)[:, -1]
        log_proba = model.leaf_log_proba(part)[np.arange(n_rows), found]
        np.testing.assert_allclose(log_proba, expected[start : start + n_rows], atol=1e-4)
