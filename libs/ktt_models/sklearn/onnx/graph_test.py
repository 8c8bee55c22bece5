"""The graph answers as the scorer it was written from, on any weights, taxonomy and rows."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.decoding import leaf_log_proba
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.reference_features import random_projections
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer, HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.export.onnx_layout import EXTERNAL_DATA, OPSET
from ktt_models.sklearn.model import SklearnModel
from ktt_models.sklearn.onnx import builder
from ktt_models.sklearn.onnx.graph import build_graph
from ktt_models.sklearn.onnx.ragged import below_2_31

N_FEATURES = 30
RAGGED = Taxonomy.from_paths([("a", "b", "c"), ("a", "b", "d"), ("a", "e"), ("f",), ("g", "h")])


def random_weights(taxonomy, rng, n_features=N_FEATURES, share=0.5, scale=1.0):
    layout = NodeLayout(taxonomy)
    has_pair = rng.random((n_features, layout.n_nodes)) < share
    has_pair[: n_features // 3] = False
    feature, node = np.nonzero(has_pair)
    starts = np.searchsorted(feature, np.arange(n_features + 1)).astype(np.int64)
    weights = rng.normal(scale=scale, size=layout.child_count[node].sum()).astype(np.float32)
    bias = rng.normal(scale=scale, size=taxonomy.n_classes).astype(np.float32)
    return BlockWeights(layout, starts, node.astype(np.int32), weights, bias)


def random_rows(lengths, rng, n_features=N_FEATURES):
    indices = [np.sort(rng.permutation(n_features)[:length]) for length in lengths]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    joined = np.concatenate([np.zeros(0, np.int64), *indices]).astype(np.int32)
    data = rng.random(len(joined)).astype(np.float32)
    return CsrRows(indptr, joined, data, n_features)


def inputs_of(rows):
    return {
        "term_ids": rows.indices.astype(np.int64),
        "term_weights": rows.data,
        "row_offsets": rows.indptr,
    }


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


def assert_same(scorer, temperature, rows, folder):
    build_graph(scorer, temperature).write(folder / "model.onnx", "", {})
    names = ["log_proba", "scores", "features"]
    log_proba, scores, features = session_of(folder / "model.onnx").run(names, inputs_of(rows))
    levels = scorer.level_scores(rows)
    expected = leaf_log_proba(levels, scorer.taxonomy, temperature)
    assert log_proba.dtype == scores.dtype == features.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_proba), np.exp(expected), atol=2e-6)
    np.testing.assert_allclose(log_proba, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores, np.concatenate(levels, axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features, random_projections(rows), atol=1e-5)


forests = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), min_size=1, max_size=20
).map(Taxonomy.from_paths)


@settings(deadline=None, max_examples=60)
@given(
    forests,
    st.sampled_from([HierarchicalScorer, FlatScorer]),
    st.sampled_from(["softmax", "modified_huber"]),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.lists(st.integers(0, N_FEATURES), max_size=6),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_it_answers_as_the_scorer(folder, taxonomy, kind, loss, temperature, lengths, share, seed):
    rng = np.random.default_rng(seed)
    scorer = kind(random_weights(taxonomy, rng, share=share), loss)
    assert_same(scorer, temperature, random_rows(lengths, rng), folder)


@pytest.mark.parametrize("kind", [HierarchicalScorer, FlatScorer])
def test_large_weights_do_not_overflow(kind, folder):
    rng = np.random.default_rng(0)
    scorer = kind(random_weights(RAGGED, rng, scale=300.0), "softmax")
    rows = random_rows([N_FEATURES, 3, 0], rng)
    build_graph(scorer, 0.05).write(folder / "model.onnx", "", {})
    (log_proba,) = session_of(folder / "model.onnx").run(["log_proba"], inputs_of(rows))
    expected = leaf_log_proba(scorer.level_scores(rows), RAGGED, 0.05)
    assert np.isfinite(log_proba).all()
    np.testing.assert_allclose(np.exp(log_proba), np.exp(expected), atol=1e-4)


@pytest.mark.parametrize("kind", [HierarchicalScorer, FlatScorer])
def test_ten_thousand_leaves_take_what_their_terms_weigh(kind, folder):
    paths = [(f"{i // 500}", f"{i // 20}", f"{i}") for i in range(10_000)]
    taxonomy, rng = Taxonomy.from_paths(paths), np.random.default_rng(0)
    scorer = kind(random_weights(taxonomy, rng, n_features=2000, share=0.02), "softmax")
    rows = random_rows([50, 0, 100], rng, 2000)
    assert_same(scorer, 0.7, rows, folder)
    size = (folder / "model.onnx").stat().st_size
    assert size < 2 * scorer.weights.weights.nbytes + 2**20
    session, start = session_of(folder / "model.onnx"), time.perf_counter()
    session.run(None, inputs_of(rows))
    assert time.perf_counter() - start < 1.0


def test_rows_do_not_depend_on_their_batch(folder):
    rng = np.random.default_rng(1)
    scorer = HierarchicalScorer(random_weights(RAGGED, rng), "softmax")
    build_graph(scorer, 1.0).write(folder / "model.onnx", "", {})
    session, rows = session_of(folder / "model.onnx"), random_rows([5, 0, 9, 30, 1], rng)
    together = session.run(None, inputs_of(rows))
    for row in range(rows.n_rows):
        for whole, alone in zip(
            together, session.run(None, inputs_of(rows.take(row, row + 1))), strict=True
        ):
            np.testing.assert_allclose(alone[0], whole[row], atol=1e-6)


@pytest.mark.parametrize("wrong", [N_FEATURES, 10**12, -(10**12)])
def test_a_term_that_does_not_exist_is_an_error(wrong, folder):
    scorer = FlatScorer(random_weights(RAGGED, np.random.default_rng(0)), "softmax")
    build_graph(scorer, 1.0).write(folder / "model.onnx", "", {})
    inputs = {
        "term_ids": np.array([0, wrong], dtype=np.int64),
        "term_weights": np.ones(2, dtype=np.float32),
        "row_offsets": np.array([0, 2], dtype=np.int64),
    }
    with pytest.raises(Exception, match="(?i)out of .*bounds|within bounds|out of range"):
        session_of(folder / "model.onnx").run(None, inputs)


def test_what_int32_cannot_count_stops_the_graph(folder):
    graph = builder.GraphBuilder()
    number = graph.input("number", np.int64, [1], "")
    graph.output(below_2_31(graph, number), "same", np.int64, [1], "")
    graph.write(folder / "guard.onnx", "", {})
    session = session_of(folder / "guard.onnx")
    for value in (0, 2**31 - 1):
        assert session.run(None, {"number": np.array([value])})[0].tolist() == [value]
    for value in (2**31, 2**40):
        with pytest.raises(Exception, match="(?i)bounds|range"):
            session.run(None, {"number": np.array([value])})


def test_large_weights_stand_beside_the_graph(folder, monkeypatch):
    rng = np.random.default_rng(2)
    monkeypatch.setattr(builder, "MAX_FILE_BYTES", 1000)
    scorer = HierarchicalScorer(random_weights(RAGGED, rng, n_features=20_000), "softmax")
    assert_same(scorer, 0.5, random_rows([400, 0, 7], rng, 20_000), folder)
    beside = (folder / EXTERNAL_DATA).stat().st_size
    assert beside > scorer.weights.weights.nbytes
    assert (folder / "model.onnx").stat().st_size < 2**17


def test_the_graph_is_one_that_older_runtimes_read(folder):
    scorer = HierarchicalScorer(random_weights(RAGGED, np.random.default_rng(0)), "softmax")
    build_graph(scorer, 0.5).write(folder / "model.onnx", "what it is", {"model": "m"})
    model = onnx.load(folder / "model.onnx")
    # onnxruntime 1.17 reads format versions up to 9.
    assert model.ir_version <= 9
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    assert SklearnModel.onnx_opset == OPSET
    assert model.doc_string == "what it is"
    assert {item.key: item.value for item in model.metadata_props} == {"model": "m"}
    assert not {node.op_type for node in model.graph.node} & {"Loop", "Scan", "If", "MatMul"}


def test_the_graph_grows_with_the_levels_not_with_the_nodes(folder):
    sizes = []
    for n_classes in (3, 300):
        taxonomy = Taxonomy.from_paths([(f"{i // 3}", f"{i}") for i in range(n_classes)])
        scorer = HierarchicalScorer(random_weights(taxonomy, np.random.default_rng(0)), "softmax")
        build_graph(scorer, 0.5).write(folder / "model.onnx", "", {})
        sizes.append(len(onnx.load(folder / "model.onnx").graph.node))
    assert sizes[0] == sizes[1]


def test_the_same_weights_give_the_same_bytes(folder):
    contents = []
    for _ in range(2):
        scorer = FlatScorer(random_weights(RAGGED, np.random.default_rng(0)), "softmax")
        build_graph(scorer, 0.5).write(folder / "model.onnx", "", {"b": "1", "a": "2"})
        contents.append((folder / "model.onnx").read_bytes())
    assert contents[0] == contents[1]
