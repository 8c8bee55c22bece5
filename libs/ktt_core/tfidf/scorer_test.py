from __future__ import annotations

import json

import numpy as np
import pytest

from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf import weights as weights_module
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer, HierarchicalScorer, load_scorer, log_shares
from ktt_core.tfidf.weights import BlockWeights, NodeLayout

N_FEATURES = 17


def make_taxonomy() -> Taxonomy:
    # A level-0 class with one child, a node with one leaf, and ordinary ones.
    paths = [("a", "x", str(i)) for i in range(4)] + [("a", "y", "only")]
    paths += [("b", "z", str(i)) for i in range(3)] + [
        ("c", "u", "1"),
        ("c", "v", "1"),
        ("c", "v", "2"),
    ]
    return Taxonomy.from_paths(paths)


def make_weights(taxonomy: Taxonomy, seed: int = 0, share: float = 0.6) -> BlockWeights:
    generator = np.random.default_rng(seed)
    layout = NodeLayout(taxonomy)
    deciding = np.flatnonzero(layout.child_count > 1)
    chosen = [deciding[generator.random(len(deciding)) < share] for _ in range(N_FEATURES)]
    starts = np.concatenate([[0], np.cumsum([len(nodes) for nodes in chosen])]).astype(np.int64)
    nodes = np.concatenate(chosen).astype(np.int32)
    values = generator.normal(size=int(layout.child_count[nodes].sum())).astype(np.float32)
    bias = generator.normal(size=taxonomy.n_classes).astype(np.float32)
    return BlockWeights(layout, starts, nodes, values, bias)


def make_rows(n: int, seed: int = 1) -> CsrRows:
    generator = np.random.default_rng(seed)
    dense = generator.normal(size=(n, N_FEATURES)) * (generator.random((n, N_FEATURES)) < 0.4)
    dense[0] = 0  # a text without a known term
    row, column = np.nonzero(dense)
    indptr = np.concatenate([[0], np.cumsum((dense != 0).sum(axis=1))]).astype(np.int64)
    return CsrRows(
        indptr, column.astype(np.int32), dense[row, column].astype(np.float32), N_FEATURES
    )


def dense_scores(weights: BlockWeights, rows: CsrRows) -> np.ndarray:
    matrix = np.zeros((N_FEATURES, len(weights.bias)))
    for feature in range(N_FEATURES):
        for pair in range(weights.feature_start[feature], weights.feature_start[feature + 1]):
            first = weights.layout.child_start[weights.pair_node[pair]]
            block = weights.weights[weights.pair_offset[pair] : weights.pair_offset[pair + 1]]
            matrix[feature, first : first + len(block)] = block
    return rows.to_dense() @ matrix + weights.bias


def dense_leaves(levels: list[np.ndarray], taxonomy: Taxonomy) -> np.ndarray:
    total = np.zeros((len(levels[0]), taxonomy.n_leaves))
    for level, scores in enumerate(levels):
        total += scores[:, taxonomy.leaf_codes[:, level]]
    return total


@pytest.mark.parametrize("gathered", [1, 50, 1 << 22])
def test_class_scores_are_those_of_the_dense_product(gathered, monkeypatch):
    monkeypatch.setattr(weights_module, "_GATHERED", gathered)
    weights, rows = make_weights(make_taxonomy()), make_rows(9)
    np.testing.assert_allclose(weights.class_scores(rows), dense_scores(weights, rows), atol=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
def test_probabilities_of_children_sum_to_one(loss):
    taxonomy = make_taxonomy()
    levels = HierarchicalScorer(make_weights(taxonomy), loss).level_scores(make_rows(9))
    for level, scores in enumerate(levels):
        sums = np.exp(scores)
        if level:
            sums = np.add.reduceat(sums, taxonomy.child_ranges[level - 1][:-1], axis=1)
        else:
            sums = sums.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(sums, 1, atol=1e-5)
    only = taxonomy.encode(("a", "y", "only"))[-1]
    np.testing.assert_array_equal(levels[2][:, only], 0)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
def test_probabilities_of_flat_leaves_sum_to_one_and_add_weights_of_ancestors(loss):
    taxonomy, rows = make_taxonomy(), make_rows(9)
    weights = make_weights(taxonomy)
    (levels,) = FlatScorer(weights, loss).level_scores(rows)
    np.testing.assert_allclose(np.exp(levels).sum(axis=1), 1, atol=1e-5)
    scores = dense_scores(weights, rows)
    offsets = taxonomy.level_offsets
    per_level = [scores[:, offsets[level] : offsets[level + 1]] for level in range(taxonomy.depth)]
    leaves = dense_leaves(per_level, taxonomy)
    expected = log_shares(leaves, np.zeros(1, np.int64), loss)
    np.testing.assert_allclose(levels, expected, atol=1e-4)


def test_modified_huber_with_all_scores_zero_is_uniform():
    found = log_shares(np.full((1, 4), -3.0), np.array([0]), "modified_huber")
    np.testing.assert_allclose(np.exp(found), 0.25)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
@pytest.mark.parametrize("top_k", [1, 3, 100])
def test_the_exact_beam_equals_scoring_all_leaves(loss, top_k):
    taxonomy, rows = make_taxonomy(), make_rows(40)
    scorer = HierarchicalScorer(make_weights(taxonomy), loss)
    expected = dense_leaves(scorer.level_scores(rows), taxonomy)
    leaves, log_proba = scorer.beam(rows, top_k)
    k = min(top_k, taxonomy.n_leaves)
    assert leaves.shape == log_proba.shape == (40, k)
    np.testing.assert_allclose(log_proba, -np.sort(-expected, axis=1)[:, :k], atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(expected, leaves, axis=1), log_proba, atol=1e-4)


def test_a_beam_of_full_width_is_exact_and_a_narrow_one_never_better(monkeypatch):
    monkeypatch.setattr("ktt_core.tfidf.beam._LOOKUPS", 64)
    taxonomy, rows = make_taxonomy(), make_rows(40)
    scorer = HierarchicalScorer(make_weights(taxonomy), "softmax")
    expected = dense_leaves(scorer.level_scores(rows), taxonomy).max(axis=1)
    np.testing.assert_allclose(
        scorer.beam(rows, 1, width=taxonomy.n_leaves)[1][:, 0], expected, atol=1e-4
    )
    narrow = scorer.beam(rows, 1, width=1)[1][:, 0]
    assert np.all(narrow <= expected + 1e-4)


def test_a_model_without_weights_scores_with_its_biases():
    taxonomy = make_taxonomy()
    weights = make_weights(taxonomy, share=0.0)
    scorer = HierarchicalScorer(weights, "softmax")
    levels = scorer.level_scores(make_rows(3))
    np.testing.assert_array_equal(levels[0][0], levels[0][1])
    assert scorer.beam(make_rows(3))[0].shape == (3, 1)


@pytest.mark.parametrize("kind", ["hierarchical", "flat"])
def test_a_rebuilt_scorer_gives_the_same_scores(kind):
    taxonomy, rows = make_taxonomy(), make_rows(5)
    weights = make_weights(taxonomy)
    scorer = (HierarchicalScorer if kind == "hierarchical" else FlatScorer)(weights, "softmax")
    params = json.loads(json.dumps({"kind": kind, "loss": "softmax", "alpha": 0.0}))
    again = load_scorer(taxonomy, weights.state_dict(), params)
    for found, expected in zip(again.level_scores(rows), scorer.level_scores(rows), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_damaged_state_is_refused():
    taxonomy = make_taxonomy()
    state = make_weights(taxonomy).state_dict()
    params = {"kind": "flat", "loss": "softmax"}
    for name, array in (
        ("weights", state["weights"][:-1]),
        ("bias", state["bias"][:-1]),
        ("feature_start", state["feature_start"][::-1]),
        ("pair_node", state["pair_node"] + 1000),
        ("weights", np.array(["x"])),
    ):
        with pytest.raises(CheckpointError):
            load_scorer(taxonomy, {**state, name: array}, params)
    with pytest.raises(CheckpointError):
        load_scorer(taxonomy, {}, params)
    with pytest.raises(CheckpointError, match="kind"):
        load_scorer(taxonomy, state, {**params, "kind": "tree"})
    with pytest.raises(CheckpointError, match="loss"):
        load_scorer(taxonomy, state, {**params, "loss": "hinge"})
    with pytest.raises(CheckpointError, match="of the kind 'flat', not 'hierarchical'"):
        load_scorer(taxonomy, state, params, "hierarchical")


@pytest.mark.parametrize("begin", [-1, 2**31 - 1, 2**62, 2**63 - 1])
def test_pairs_that_do_not_lie_within_the_weights_are_refused(begin):
    taxonomy = make_taxonomy()
    whole = make_weights(taxonomy)
    state = whole.state_dict()
    state["pair_scale"] = np.ones(len(whole.pair_node), dtype=np.float32)
    state["pair_start"] = whole.pair_start.astype(np.int64)
    params = {"kind": "hierarchical", "loss": "softmax"}
    load_scorer(taxonomy, state, params)
    # The last pair still ends where the weights do. Compiled loops would read anywhere.
    state["pair_start"][0] = begin
    with pytest.raises(CheckpointError, match="fit together"):
        load_scorer(taxonomy, state, params)


@pytest.mark.parametrize("name", ["weights", "bias"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_state_with_a_number_that_is_not_finite_is_refused(name, value):
    taxonomy = make_taxonomy()
    state = make_weights(taxonomy).state_dict()
    state[name][-1] = value
    with pytest.raises(CheckpointError, match="finite"):
        load_scorer(taxonomy, state, {"kind": "flat", "loss": "softmax"})


def test_the_nodes_of_a_feature_ascend():
    taxonomy = make_taxonomy()
    layout, bias = NodeLayout(taxonomy), np.zeros(taxonomy.n_classes, dtype=np.float32)

    def load(starts, nodes):
        weights = np.zeros(int(layout.child_count[nodes].sum()), dtype=np.float32)
        arrays = {"feature_start": starts, "pair_node": nodes, "weights": weights, "bias": bias}
        return BlockWeights.from_state(layout, {k: np.array(v) for k, v in arrays.items()})

    for starts, nodes in (([0, 2, 2, 4, 4], [0, 1, 0, 2]), ([0, 0, 0], []), ([0, 1, 2], [1, 0])):
        load(starts, np.array(nodes, dtype=np.int32))
    for starts, nodes in (([0, 2], [1, 0]), ([0, 1, 3], [0, 1, 1]), ([0, 0, 2], [2, 1])):
        with pytest.raises(CheckpointError, match="ascend"):
            load(starts, np.array(nodes, dtype=np.int32))


def test_rows_of_another_width_are_refused():
    scorer = FlatScorer(make_weights(make_taxonomy()), "softmax")
    with pytest.raises(InvalidArgumentError, match="columns"):
        scorer.level_scores(make_rows(2)._replace(n_columns=3))


def test_a_beam_of_width_zero_is_refused():
    scorer = HierarchicalScorer(make_weights(make_taxonomy()), "softmax")
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        scorer.beam(make_rows(2), top_k=0)
