"""The graph of a tf-idf model: a row's terms in, log-probabilities of the leaves out.

Weights stay sparse. A term's weights are read as ranges, so the cost of a row depends on its own
terms, not on the vocabulary. The work per class is linear in the classes, with one operator for all
nodes of the taxonomy; only levels are unrolled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.reference_features import N_PROJECTIONS, random_signs
from ktt_core.tfidf.scorer import SHARE_FLOOR, LinearScorer
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.onnx.builder import GraphBuilder
from ktt_models.sklearn.onnx.ragged import Ranges, below_2_31, pick

__all__ = ["build_graph"]

_LOWEST = float(np.finfo(np.float32).min)


def build_graph(scorer: LinearScorer, temperature: float) -> GraphBuilder:
    """Write a fitted scorer as a graph.

    Inputs are tf-idf rows in compressed form, as `ktt_core.tfidf.rows.CsrRows` has them:

    - ``term_ids``: int64, shape (terms,); the columns of all rows, row after row;
    - ``term_weights``: float32, shape (terms,);
    - ``row_offsets``: int64, shape (batch + 1,); row i has the terms from its i-th number up to the
      next one. The first is 0, the last the number of terms.

    Outputs are

    - ``log_proba``: float32, shape (batch, leaves); `ktt_core.decoding.leaf_log_proba` at the
      temperature, so ``exp`` of it sums to 1;
    - ``scores``: float32; what `level_scores` returns, the levels side by side: per class of any
      level, (batch, classes), its log-probability given its parent, or, of the flat model, per
      leaf, (batch, leaves), its log-probability before calibration;
    - ``features``: float32, shape (batch, 24);
      `ktt_core.tfidf.reference_features.random_projections`.

    Parameters
    ----------
    scorer : HierarchicalScorer or FlatScorer
    temperature : float
        Becomes a constant of the graph.
    """
    graph = GraphBuilder()
    taxonomy, weights = scorer.taxonomy, scorer.weights
    terms = graph.input("term_ids", np.int64, ["terms"], "Columns of the rows, row after row.")
    values = graph.input("term_weights", np.float32, ["terms"], "The rows' tf-idf weights.")
    offsets = graph.input("row_offsets", np.int64, ["rows"], "Where rows begin; then the end.")
    one = graph.integers(1)
    begin = graph.op("Slice", offsets, graph.integers(0), graph.integers(-1))
    end = graph.op("Slice", offsets, one, graph.integers(np.iinfo(np.int64).max))
    n_rows = graph.op("Shape", begin)
    rows = Ranges(graph, graph.op("Sub", end, begin)).owners

    classes = _class_scores(graph, weights, terms, values, rows, n_rows)
    if scorer.kind == "hierarchical":
        scores = _among_siblings(graph, classes, scorer, n_rows)
        leaves, width = _along_paths(graph, scores, taxonomy, n_rows), taxonomy.n_classes
    else:
        linear = _along_paths(graph, classes, taxonomy, n_rows)
        leaves = scores = _among_all(graph, linear, scorer.loss)
        width = taxonomy.n_leaves
    if temperature != 1.0:
        beta = graph.constant(np.array(1.0 / temperature, dtype=np.float32))
        leaves = graph.op("Mul", leaves, beta)
    # Rounding can lift a leaf's log-probability slightly above 0.
    log_proba = graph.op(
        "Min", graph.op("LogSoftmax", leaves, axis=1), graph.constant(np.array(0, np.float32))
    )
    graph.output(
        log_proba, "log_proba", np.float32, ["batch", taxonomy.n_leaves],
        "Calibrated log-probabilities of the leaves.",
    )  # fmt: skip
    graph.output(
        scores, "scores", np.float32, ["batch", width], "The model's own log-probabilities."
    )
    graph.output(
        _projections(graph, weights.n_features, terms, values, rows, n_rows),
        "features", np.float32, ["batch", N_PROJECTIONS], "Random projections of the rows.",
    )  # fmt: skip
    return graph


def _class_scores(
    graph: GraphBuilder, weights: BlockWeights, terms: str, values: str, rows: str, n_rows: str
) -> str:
    """Linear scores for the classes of all levels, shape (batch, C).

    As `BlockWeights.class_scores`: terms are written out to their (term, node) pairs, those to
    their weights, and each weight is added to its cell of the result.
    """
    n_classes = len(weights.bias)
    one = graph.integers(1)
    starts = graph.constant(weights.feature_start, "feature_start")
    first = pick(graph, starts, terms)
    last = pick(graph, starts, graph.op("Add", terms, one))
    pairs = Ranges(graph, graph.op("Sub", last, first))
    pair = pairs.counted_from(first)

    offsets = graph.constant(_small(weights.pair_offset), "pair_offset")
    pair_class = graph.constant(_small(weights.layout.child_start[weights.pair_node]), "pair_class")
    offset = _pick_wide(graph, offsets, pair)
    width = graph.op("Sub", _pick_wide(graph, offsets, graph.op("Add", pair, one)), offset)
    row_cell = graph.op("Mul", rows, graph.integers(n_classes))
    cell = graph.op("Add", _pick_wide(graph, pair_class, pair), pairs.of_owner(row_cell))

    written = Ranges(graph, width, np.int32 if len(weights.weights) < 2**31 else np.int64)
    weight = pick(graph, graph.constant(weights.weights, "weights"), written.counted_from(offset))
    added = graph.op("Mul", weight, written.of_owner(pairs.of_owner(values)))
    shape = graph.op("Concat", n_rows, graph.integers(n_classes), axis=0)
    bias = graph.constant(weights.bias, "bias")
    flat = graph.op("Expand", bias, shape)
    n_cells = below_2_31(graph, graph.op("Mul", n_rows, graph.integers(n_classes)))
    flat = graph.op("Reshape", flat, n_cells)
    flat = graph.op(
        "ScatterElements", flat, written.counted_from(cell), added, axis=0, reduction="add"
    )
    return graph.op("Reshape", flat, shape, allowzero=1)


def _small(array: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.int32]:
    """Return the array in half the memory if its numbers allow."""
    return array.astype(np.int32) if array.max(initial=0) < 2**31 else array


def _pick_wide(graph: GraphBuilder, array: str, positions: str) -> str:
    return graph.op("Cast", pick(graph, array, positions), to=TensorProto.INT64)


def _columns(graph: GraphBuilder, columns: NDArray[np.integer], n_rows: str) -> str:
    """Return the same column numbers for every row, shape (batch, columns)."""
    width = graph.integers(len(columns))
    numbers = graph.constant(columns.astype(np.int64)[None, :])
    return graph.op("Expand", numbers, graph.op("Concat", n_rows, width, axis=0))


def _among_siblings(graph: GraphBuilder, scores: str, scorer: LinearScorer, n_rows: str) -> str:
    """`ktt_core.tfidf.scorer.log_shares` among the children of every node, shape (batch, C)."""
    layout = scorer.weights.layout
    parents = np.repeat(np.arange(layout.n_nodes), layout.child_count)
    parent = _columns(graph, parents, n_rows)
    shape = graph.op("Concat", n_rows, graph.integers(layout.n_nodes), axis=0)

    def of_parents(values: str, reduction: str, start: float) -> str:
        empty = graph.op(
            "ConstantOfShape",
            shape,
            value=helper.make_tensor("start", TensorProto.FLOAT, [1], [start]),
        )
        return graph.op("ScatterElements", empty, parent, values, axis=1, reduction=reduction)

    if scorer.loss != "modified_huber":
        scores = _linked(graph, scores, scorer.loss)
        largest = of_parents(scores, "max", _LOWEST)
        shifted = graph.op("Sub", scores, graph.op("GatherElements", largest, parent, axis=1))
        sums = graph.op("Log", of_parents(graph.op("Exp", shifted), "add", 0.0))
    else:
        shares = _shares(graph, scores)
        shifted = graph.op("Log", shares)
        sums = graph.op("Log", of_parents(shares, "add", 0.0))
    return graph.op("Sub", shifted, graph.op("GatherElements", sums, parent, axis=1))


def _among_all(graph: GraphBuilder, scores: str, loss: str) -> str:
    """`ktt_core.tfidf.scorer.log_shares` among all leaves, shape (batch, leaves)."""
    if loss != "modified_huber":
        return graph.op("LogSoftmax", _linked(graph, scores, loss), axis=1)
    shares = _shares(graph, scores)
    sums = graph.op("ReduceSum", shares, graph.integers(1), keepdims=1)
    return graph.op("Sub", graph.op("Log", shares), graph.op("Log", sums))


def _linked(graph: GraphBuilder, scores: str, loss: str) -> str:
    """Return the input of the softmax: for "logistic" the logarithms of the sigmoids."""
    if loss == "softmax":
        return scores
    return graph.op("Neg", graph.op("Softplus", graph.op("Neg", scores)))


def _shares(graph: GraphBuilder, scores: str) -> str:
    """Return the unnormalised shares of modified_huber."""
    one, half, zero, floor = (
        graph.constant(np.array(value, dtype=np.float32)) for value in (1, 0.5, 0, SHARE_FLOOR)
    )
    halved = graph.op("Mul", graph.op("Add", scores, one), half)
    return graph.op("Add", graph.op("Clip", halved, zero, one), floor)


def _along_paths(graph: GraphBuilder, scores: str, taxonomy: Taxonomy, n_rows: str) -> str:
    """Sum the classes' scores down to the leaves: (batch, C) to (batch, leaves)."""
    edges = taxonomy.level_offsets.tolist()
    axis = graph.integers(1)

    def level_of(level: int) -> str:
        first, last = graph.integers(edges[level]), graph.integers(edges[level + 1])
        return graph.op("Slice", scores, first, last, axis)

    total = level_of(0)
    for level in range(1, taxonomy.depth):
        parents = _columns(graph, taxonomy.parent_of[level], n_rows)
        above = graph.op("GatherElements", total, parents, axis=1)
        total = graph.op("Add", above, level_of(level))
    return total


def _projections(
    graph: GraphBuilder, n_features: int, terms: str, values: str, rows: str, n_rows: str
) -> str:
    """`random_projections`, shape (batch, 24), from one stored bit per term and direction."""
    bits = np.zeros(n_features, dtype=np.int32)
    for direction, signs in enumerate(random_signs(np.arange(n_features)).T):
        bits |= (signs > 0).astype(np.int32) << np.int32(direction)
    stored = _pick_wide(graph, graph.constant(bits, "projection_signs"), terms)
    column = graph.integers(1)
    powers = graph.constant(2 ** np.arange(N_PROJECTIONS, dtype=np.int64))
    shifted = graph.op("Div", graph.op("Unsqueeze", stored, column), powers)
    positive = graph.op("Mod", shifted, graph.integers(2))
    two, one = (graph.constant(np.array(value, dtype=np.float32)) for value in (2, 1))
    signs = graph.op("Cast", positive, to=TensorProto.FLOAT)
    signs = graph.op("Sub", graph.op("Mul", signs, two), one)
    products = graph.op("Mul", signs, graph.op("Unsqueeze", values, column))
    shape = graph.op("Concat", n_rows, graph.integers(N_PROJECTIONS), axis=0)
    empty = graph.op(
        "ConstantOfShape", shape, value=helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    )
    owners = graph.op("Expand", graph.op("Unsqueeze", rows, column), graph.op("Shape", products))
    return graph.op("ScatterElements", empty, owners, products, axis=0, reduction="add")
