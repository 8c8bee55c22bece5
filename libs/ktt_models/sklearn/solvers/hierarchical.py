"""One classifier over the children of every inner node, all trained together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.node_state import NodeState
from ktt_models.sklearn.solvers.path_kernel import best_leaves
from ktt_models.sklearn.solvers.state import TrainingState, as_rows

__all__ = ["HierarchicalSGDClassifier"]


class HierarchicalSGDClassifier(BlockSGDClassifier):
    """The conditional softmax over the children of every inner node.

    ``p(child | parent) = softmax(W_parent x + b_parent)``, trained on the rows below the parent
    alone; a path's probability is the product along it. A node with one child has no classifier.
    An epoch visits each row once per level, at the node on its path, so it costs the same for any
    number of nodes. Levels share no weights and run in threads of their own.

    See `BlockSGDClassifier` for parameters and methods.
    """

    kind = "hierarchical"
    default_learning_rate = 0.8
    default_epochs = 4

    def _start(
        self, rows: CsrRows, codes: NDArray[np.int32], row_weights: NDArray[np.float32]
    ) -> TrainingState:
        return NodeState(self, rows, codes, row_weights)

    def _make_scorer(self, weights: BlockWeights) -> HierarchicalScorer:
        return HierarchicalScorer(weights, self.loss, self._class_scores)

    def predict(self, rows: Any) -> NDArray[np.int32]:
        """Most probable path of each row in level-local classes, shape (n, depth)."""
        self._scorer()
        matrix, weights = as_rows(rows), self.weights_
        leaves = np.empty(matrix.n_rows, dtype=np.int64)
        n_parts = max(1, min(self._n_threads(), matrix.n_rows // 16))
        edges = np.linspace(0, matrix.n_rows, n_parts + 1).astype(int).tolist()

        def run(part: int) -> None:
            block = matrix.take(edges[part], edges[part + 1])
            best_leaves(
                block.indptr, block.indices, block.data,
                weights.feature_start, weights.pair_node, weights.pair_offset,
                weights.layout.child_start, weights.layout.child_count,
                weights.weights, weights.bias, self.loss == "modified_huber",
                leaves[edges[part] : edges[part + 1]],
            )  # fmt: skip

        self.in_threads(run, n_parts)
        return self.taxonomy.leaf_codes[leaves - int(self.taxonomy.level_offsets[-2])]
