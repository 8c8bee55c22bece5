"""One classifier over the children of every inner node, all trained together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.kernels import level_epoch
from ktt_models.sklearn.solvers.state import TrainingState

__all__ = ["HierarchicalSGDClassifier"]


class HierarchicalSGDClassifier(BlockSGDClassifier):
    """The conditional softmax over the children of every inner node.

    ``p(child | parent) = softmax(W_parent x + b_parent)``, trained on the rows below the parent
    alone; a path's probability is the product along it. A node with one child has no classifier.
    One pass over the rows updates the node of each level on the row's path, so an epoch costs the
    same for any number of nodes. Levels share no weights and run in threads of their own.

    See `BlockSGDClassifier` for parameters and methods.
    """

    kind = "hierarchical"
    default_learning_rate = 0.8

    def _prepare(
        self,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
        state: TrainingState,
    ) -> Callable[[NDArray[np.int32]], float]:
        block, layout = state.block, state.block.layout
        nodes = layout.nodes_of(codes)
        # With one node of one child there is nothing to decide on a level.
        levels = [level for level in range(self.taxonomy.depth) if np.any(nodes[level] >= 0)]
        targets = {
            level: (
                codes[:, level]
                + int(self.taxonomy.level_offsets[level])
                - layout.child_start[nodes[level]]
            ).astype(np.int32)
            for level in levels
        }
        weights = {
            level: self._row_weights(codes, level, nodes[level], row_weights, block)
            for level in levels
        }
        huber = self.loss == "modified_huber"

        def run_epoch(order: NDArray[np.int32]) -> float:
            def run_level(position: int) -> float:
                level = levels[position]
                return level_epoch(
                    rows.indptr, rows.indices, rows.data, order, nodes[level], targets[level],
                    weights[level], block.feature_start, block.pair_node, block.pair_offset,
                    state.pair_rows, layout.child_start, layout.child_count, block.weights,
                    state.squares, block.bias, state.bias_squares, self._step_size(), self.alpha,
                    huber,
                )  # fmt: skip

            threads = max(1, min(self._n_threads(), len(levels)))
            return float(sum(self._in_threads(run_level, len(levels), threads)))

        return run_epoch

    def _row_weights(
        self,
        codes: NDArray[np.int32],
        level: int,
        nodes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
        block: BlockWeights,
    ) -> NDArray[np.float32]:
        if self.class_weight is None:
            return row_weights
        in_class = np.bincount(codes[:, level], weights=row_weights)[codes[:, level]]
        in_node = np.bincount(nodes + 1, weights=row_weights)[nodes + 1]
        children = block.layout.child_count[nodes]
        balance = np.divide(
            in_node, children * in_class, out=np.zeros(len(codes)), where=in_class > 0
        )
        return (row_weights * balance).astype(np.float32)

    def _make_scorer(self, weights: BlockWeights) -> HierarchicalScorer:
        return HierarchicalScorer(weights, self.loss, self._class_scores)
