"""One classifier over the children of every inner node, all trained together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.node_kernels import (
    collect_blocks,
    count_rows,
    features_first,
    index_level,
    level_epoch,
)
from ktt_models.sklearn.solvers.pairs import affordable
from ktt_models.sklearn.solvers.path_kernel import best_leaves
from ktt_models.sklearn.solvers.state import (
    FIRST_BIAS_SQUARE,
    FIRST_SQUARE,
    TrainingState,
    as_rows,
)

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
        return _NodeState(self, rows, codes, row_weights)

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


class _Level:
    """One level's rows, and the pairs of their features and nodes."""

    def __init__(
        self,
        rows: CsrRows,
        nodes: NDArray[np.int32],
        children: NDArray[np.int64],
        row_weights: NDArray[np.float32],
        layout: NodeLayout,
        balanced: bool,
    ) -> None:
        """`children` are the rows' classes of this level, in indices over all levels."""
        self.nodes = nodes
        self.targets = (children - layout.child_start[nodes]).astype(np.int32)
        self.row_weights = row_weights
        if balanced:
            in_class = np.bincount(children, weights=row_weights)[children]
            in_node = np.bincount(nodes + 1, weights=row_weights)[nodes + 1]
            share = layout.child_count[nodes] * in_class
            balance = np.divide(in_node, share, out=np.zeros(len(nodes)), where=share > 0)
            self.row_weights = (row_weights * balance).astype(np.float32)
        self.first_order = self.ordered(np.arange(rows.n_rows, dtype=np.int32))
        self.entry_block = np.zeros(len(rows.indices), dtype=np.int32)
        self.pair_feature, self.pair_node, self.pair_block, self.n_blocks = index_level(
            rows.indptr, rows.indices, self.first_order, nodes, layout.child_count,
            rows.n_columns, self.entry_block,
        )  # fmt: skip
        self.blocks = np.zeros(0, dtype=np.float32)
        self.block_rows = np.zeros(0, dtype=np.int32)

    def keep(self, kept: NDArray[np.bool_], sizes: NDArray[np.int64]) -> None:
        """Drop the other pairs' blocks; `sizes` are the pairs' sizes in fours of numbers."""
        sizes = np.where(kept, sizes, 0)
        renumbered = np.full(self.n_blocks, -1, dtype=np.int32)
        renumbered[self.pair_block[kept]] = (np.cumsum(sizes) - sizes)[kept]
        self.entry_block = renumbered[self.entry_block]
        self.pair_block = renumbered[self.pair_block[kept]]
        self.pair_feature, self.pair_node = self.pair_feature[kept], self.pair_node[kept]
        self.n_blocks = int(sizes.sum())

    def ordered(self, order: NDArray[np.int32]) -> NDArray[np.int32]:
        """Sort rows by node, and leave out those with nothing to decide."""
        taken = order[self.nodes[order] >= 0]
        return taken[np.argsort(self.nodes[taken], kind="stable")]


class _NodeState(TrainingState):
    """Weights in blocks, node by node: a node's weights fit a cache that all weights do not."""

    def __init__(
        self,
        solver: HierarchicalSGDClassifier,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.solver, self.rows = solver, rows
        taxonomy = solver.taxonomy
        self.layout = NodeLayout(taxonomy)
        nodes = self.layout.nodes_of(codes)
        children = codes.astype(np.int64) + taxonomy.level_offsets[:-1]
        # With one node of one child there is nothing to decide on a level.
        used = [level for level in range(taxonomy.depth) if np.any(nodes[level] >= 0)]
        balanced = solver.class_weight == "balanced"
        self.levels: list[_Level] = solver.in_threads(
            lambda i: _Level(
                rows, nodes[used[i]], children[:, used[i]], row_weights, self.layout, balanced
            ),
            len(used),
        )
        self._drop_unaffordable()
        self.blocks = np.zeros(4 * sum(level.n_blocks for level in self.levels), np.float32)
        done = 0
        for level in self.levels:
            level.blocks = self.blocks[done : done + 4 * level.n_blocks]
            done += 4 * level.n_blocks
            if solver.alpha > 0:
                level.block_rows = self._rows_of_blocks(level)
        self.bias = np.zeros(taxonomy.n_classes, dtype=np.float32)
        self.bias_squares = np.empty(taxonomy.n_classes, dtype=np.float32)
        self.restart()

    def _rows_of_blocks(self, level: _Level) -> NDArray[np.int32]:
        counts: NDArray[np.int32] = count_rows(
            self.rows.indptr, level.first_order, level.entry_block, level.n_blocks
        )
        return counts

    def _drop_unaffordable(self) -> None:
        widths = [self.layout.child_count[level.pair_node] for level in self.levels]
        if sum(int(width.sum()) for width in widths) <= self.solver.max_weights:
            return
        counts = [self._rows_of_blocks(level)[level.pair_block] for level in self.levels]
        kept = affordable(np.concatenate(counts), np.concatenate(widths), self.solver.max_weights)
        done = 0
        for level, width in zip(self.levels, widths, strict=True):
            level.keep(kept[done : done + len(width)], (width + 4) // 4)
            done += len(width)

    def current(self) -> list[NDArray[np.float32]]:
        return [self.blocks, self.bias]

    def restart(self) -> None:
        self.blocks.fill(0)
        for level in self.levels:
            level.blocks[4 * level.pair_block.astype(np.int64)] = FIRST_SQUARE
        self.bias.fill(0)
        self.bias_squares.fill(FIRST_BIAS_SQUARE)

    def run_epoch(self, order: NDArray[np.int32]) -> float:
        rows, solver = self.rows, self.solver

        def run_level(position: int) -> float:
            level = self.levels[position]
            return level_epoch(
                rows.indptr, rows.data, level.ordered(order), level.nodes, level.targets,
                level.row_weights, level.entry_block, level.block_rows,
                self.layout.child_start, self.layout.child_count,
                level.blocks, self.bias, self.bias_squares,
                solver.step_size, solver.alpha, solver.loss == "modified_huber",
            )  # fmt: skip

        return float(sum(solver.in_threads(run_level, len(self.levels))))

    def weights_of(self, arrays: list[NDArray[np.float32]]) -> BlockWeights:
        blocks, bias = arrays
        none = np.zeros(0, dtype=np.int32)
        # Levels' nodes ascend, so sorting by feature alone sorts by feature and node.
        feature = np.concatenate([none, *(level.pair_feature for level in self.levels)])
        node = np.concatenate([none, *(level.pair_node for level in self.levels)])
        starts, done = [np.zeros(0, dtype=np.int64)], 0
        for level in self.levels:
            starts.append(4 * (level.pair_block.astype(np.int64) + done))
            done += level.n_blocks
        order, feature_start = features_first(feature, self.rows.n_columns)
        n_weights = int(self.layout.child_count[node].sum())
        weights = np.empty(n_weights, dtype=np.float32)
        block = BlockWeights(self.layout, feature_start, node[order], weights, bias)
        collect_blocks(blocks, np.concatenate(starts)[order], block.pair_offset, weights)
        return block
