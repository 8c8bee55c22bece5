"""One classifier over the children of every inner node, all trained together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.base import BlockSGDClassifier, EpochCallback
from ktt_models.sklearn.solvers.node_state import NodeState
from ktt_models.sklearn.solvers.state import TrainingState, as_rows

if TYPE_CHECKING:
    from ktt_models.sklearn.solvers.node_index import NodeIndex

__all__ = ["HierarchicalSGDClassifier"]

# Minimum number of rows for a joint lookup.
_FEW = 16


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
    default_epochs = 8
    plain_visits = 5_000
    plain_entries = 2_500_000

    def _start(
        self, rows: CsrRows, codes: NDArray[np.int32], row_weights: NDArray[np.float32]
    ) -> TrainingState:
        if self._compiles:
            from ktt_models.sklearn.solvers import compiled_loops

            return NodeState(self, rows, codes, row_weights, compiled_loops)
        from ktt_models.sklearn.solvers import plain_loops

        return NodeState(self, rows, codes, row_weights, plain_loops)

    def _use(self, weights: BlockWeights) -> None:
        super()._use(weights)
        scale = weights.pair_scale
        # Missing in checkpoints of release 0.1.0.
        self._pair_scale = np.ones(len(weights.pair_node), np.float32) if scale is None else scale
        # Created when needed: only best paths of many rows use it.
        self._index: NodeIndex | None = None

    def _make_scorer(self, weights: BlockWeights) -> HierarchicalScorer:
        return HierarchicalScorer(weights, self.loss, self._class_scores)

    def fit(
        self,
        rows: Any,
        codes: NDArray[np.int32],
        sample_weight: NDArray[np.float32] | None = None,
        on_epoch: EpochCallback | None = None,
    ) -> HierarchicalSGDClassifier:
        """Train; see `BlockSGDClassifier.fit`."""
        super().fit(rows, codes, sample_weight, on_epoch)
        if self._compiles:
            self._make_index()
        return self

    def _make_index(self) -> None:
        from ktt_models.sklearn.solvers.node_index import index_nodes

        self._index = index_nodes(self.weights_, self._pair_scale)

    def predict(self, rows: Any) -> NDArray[np.int32]:
        """Most probable path of each row in level-local classes, shape (n, depth)."""
        self._scorer()
        matrix = as_rows(rows)
        n_parts = max(1, min(self.n_threads, matrix.n_rows // _FEW))
        edges = np.linspace(0, matrix.n_rows, n_parts + 1).astype(int).tolist()
        if matrix.n_rows >= _FEW and self._index is None:
            self._make_index()
        leaves = self.in_threads(
            lambda part: self._leaves(matrix.take(edges[part], edges[part + 1])), n_parts
        )
        return self.taxonomy.leaf_codes[
            np.concatenate(leaves) - int(self.taxonomy.level_offsets[-2])
        ]

    def _leaves(self, rows: CsrRows) -> NDArray[np.int64]:
        """Return each row's most probable leaf, in indices over all levels' classes."""
        from ktt_models.sklearn.solvers.descent import descend
        from ktt_models.sklearn.solvers.path_kernel import best_leaves

        weights, layout = self.weights_, self.weights_.layout
        huber = self.loss == "modified_huber"
        best = np.full(rows.n_rows, -1, dtype=np.int64)
        unsure = np.arange(rows.n_rows)
        if rows.n_rows >= _FEW and self._index is not None:
            best, log_proba, passed = descend(weights, self._pair_scale, self._index, rows, huber)
            # No leaf is more probable than a class above it, so the other rows' paths are optimal.
            unsure = np.flatnonzero(log_proba <= passed)
        best_leaves(
            rows.indptr, rows.indices, rows.data, unsure,
            weights.feature_start, weights.pair_node, weights.pair_start, self._pair_scale,
            weights.stored, weights.bias, layout.child_start, layout.child_count, huber, best,
        )  # fmt: skip
        return best
