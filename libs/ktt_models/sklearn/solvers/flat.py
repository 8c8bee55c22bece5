"""One linear classifier over all leaves."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.state import (
    FIRST_BIAS_SQUARE,
    FIRST_SQUARE,
    TrainingState,
)

__all__ = ["FlatSGDClassifier"]

# Weights averaged at a time, so that no third copy is needed.
_AVERAGED = 1 << 20


class FlatSGDClassifier(BlockSGDClassifier):
    """The softmax over all leaves.

    ``p(leaf) = softmax(W x + b)``: what is normalised and predicted is the leaf alone. A leaf's
    weights are kept as a sum, ``W[leaf] = sum of V[c] over the classes c on its path`` (the sharing
    of Cai & Hofmann, CIKM 2004). Any W can be written so, so the model is the flat one; but rows of
    siblings teach each other what their parent's words are, and a leaf stores nothing for words
    never seen near it. A dense W of 1,900 leaves and 100,000 terms would take 760 MB; this takes
    about 40.

    See `BlockSGDClassifier` for parameters and methods.
    """

    kind = "flat"
    default_learning_rate = 0.5
    default_epochs = 8
    plain_visits = 3_000
    plain_entries = 500_000

    def _start(
        self, rows: CsrRows, codes: NDArray[np.int32], row_weights: NDArray[np.float32]
    ) -> TrainingState:
        if self._compiles:
            from ktt_models.sklearn.solvers import compiled_flat

            return _FlatState(self, rows, codes, row_weights, compiled_flat)
        from ktt_models.sklearn.solvers import plain_flat

        return _FlatState(self, rows, codes, row_weights, plain_flat)

    def _make_scorer(self, weights: BlockWeights) -> FlatScorer:
        return FlatScorer(weights, self.loss, self._class_scores)


class _FlatState(TrainingState):
    """Weights in the order of features, as stored.

    `loops` is `ktt_models.sklearn.solvers.compiled_flat` or its `plain_flat`.
    """

    def __init__(
        self,
        solver: FlatSGDClassifier,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
        loops: ModuleType,
    ) -> None:
        self.solver, self.rows, self.loops = solver, rows, loops
        taxonomy = solver.taxonomy
        layout = NodeLayout(taxonomy)
        starts, pair_node, self.pair_rows = loops.find_pairs(
            rows, layout.nodes_of(codes), layout, solver.max_weights
        )
        n_weights = int(layout.child_count[pair_node].sum())
        bias = np.zeros(taxonomy.n_classes, dtype=np.float32)
        self.weights = np.zeros(n_weights, np.float32)
        self.block = BlockWeights(layout, starts, pair_node, self.weights, bias)
        self._mean: list[NDArray[np.float32]] = []
        self._n_averaged = 0
        self.runs = loops.find_runs(self.block)
        self.squares = np.full(len(pair_node), FIRST_SQUARE, dtype=np.float32)
        self.bias_squares = np.full(len(bias), FIRST_BIAS_SQUARE, dtype=np.float32)
        self.leaves = np.ascontiguousarray(codes[:, -1])
        if solver.class_weight == "balanced":
            in_class = np.bincount(self.leaves, weights=row_weights)[self.leaves]
            share = row_weights.sum() / taxonomy.n_leaves
            balance = np.divide(share, in_class, out=np.zeros(len(codes)), where=in_class > 0)
            row_weights = (row_weights * balance).astype(np.float32)
        self.row_weights = row_weights
        offsets = taxonomy.level_offsets.astype(np.int64)
        self.first_leaf = int(offsets[-2])
        self.parent_of = np.concatenate(
            [
                parents + (offsets[level - 1] if level else 0)
                for level, parents in enumerate(taxonomy.parent_of)
            ]
        ).astype(np.int64)

    def run_epoch(self, order: NDArray[np.int32], is_fresh: bool, is_summed: bool) -> float:
        rows, block, layout, solver = self.rows, self.block, self.block.layout, self.solver
        if is_fresh:
            self.weights.fill(0)
            block.bias.fill(0)
            self.squares.fill(FIRST_SQUARE)
            self.bias_squares.fill(FIRST_BIAS_SQUARE)
        loss = float(
            self.loops.flat_epoch(
                rows.indptr, rows.indices, rows.data, order, self.leaves, self.row_weights,
                block.feature_start, block.pair_node, block.pair_offset, self.pair_rows,
                layout.child_start, layout.child_count, *self.runs, self.parent_of, self.first_leaf,
                self.weights, self.squares, block.bias, self.bias_squares,
                solver.step_size, solver.alpha, solver.loss == "modified_huber",
            )
        )  # fmt: skip
        if is_summed:
            self._average()
        return loss

    def _average(self) -> None:
        """Add the weights to the mean."""
        self._n_averaged += 1
        current = [self.weights, self.block.bias]
        if not self._mean:
            self._mean = [array.copy() for array in current]
            return
        share = np.float32(1 / self._n_averaged)
        for mean, array in zip(self._mean, current, strict=True):
            for start in range(0, len(mean), _AVERAGED):
                part = slice(start, start + _AVERAGED)
                mean[part] += (array[part] - mean[part]) * share

    def finish(self) -> BlockWeights:
        weights, bias = self._mean
        block = self.block
        return BlockWeights(block.layout, block.feature_start, block.pair_node, weights, bias)
