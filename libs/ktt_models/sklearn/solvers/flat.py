"""One linear classifier over all leaves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer
from ktt_core.tfidf.weights import BlockWeights
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.kernels import flat_epoch
from ktt_models.sklearn.solvers.pairs import find_runs
from ktt_models.sklearn.solvers.state import TrainingState

__all__ = ["FlatSGDClassifier"]


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

    def _prepare(
        self,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
        state: TrainingState,
    ) -> Callable[[NDArray[np.int32]], float]:
        block, layout, taxonomy = state.block, state.block.layout, self.taxonomy
        leaves = np.ascontiguousarray(codes[:, -1])
        if self.class_weight == "balanced":
            in_class = np.bincount(leaves, weights=row_weights)[leaves]
            total = row_weights.sum() / taxonomy.n_leaves
            balance = np.divide(total, in_class, out=np.zeros(len(leaves)), where=in_class > 0)
            row_weights = (row_weights * balance).astype(np.float32)
        offsets = taxonomy.level_offsets
        parent_of = np.concatenate(
            [
                parents + (int(offsets[level - 1]) if level else 0)
                for level, parents in enumerate(taxonomy.parent_of)
            ]
        ).astype(np.int64)
        run_start, runs = find_runs(block)
        huber = self.loss == "modified_huber"

        def run_epoch(order: NDArray[np.int32]) -> float:
            return float(
                flat_epoch(
                    rows.indptr,
                    rows.indices,
                    rows.data,
                    order,
                    leaves,
                    row_weights,
                    block.feature_start,
                    block.pair_node,
                    block.pair_offset,
                    state.pair_rows,
                    layout.child_start,
                    layout.child_count,
                    run_start,
                    runs,
                    parent_of,
                    int(offsets[-2]),
                    block.weights,
                    state.squares,
                    block.bias,
                    state.bias_squares,
                    self._step_size(),
                    self.alpha,
                    huber,
                )  # fmt: skip
            )

        return run_epoch

    def _make_scorer(self, weights: BlockWeights) -> FlatScorer:
        return FlatScorer(weights, self.loss, self._class_scores)
