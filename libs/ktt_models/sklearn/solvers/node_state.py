"""The hierarchical model's weights under way: level by level, each node's together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.grouping import (
    count_rows,
    group_entries,
    group_pairs,
    index_level,
)
from ktt_models.sklearn.solvers.node_kernels import count_weights, level_epoch, write_weights
from ktt_models.sklearn.solvers.pairs import affordable
from ktt_models.sklearn.solvers.state import FIRST_BIAS_SQUARE, FIRST_SQUARE, TrainingState

__all__ = ["NodeState"]


# Parts of a level below the root: as many as keep some threads busy, for the root's is one.
_PARTS = 4


class _Part:
    """Some nodes of one level: their rows, and the pairs of their features and nodes."""

    def __init__(
        self,
        rows: CsrRows,
        nodes: NDArray[np.int32],
        children: NDArray[np.int64],
        row_weights: NDArray[np.float32],
        layout: NodeLayout,
        balanced: bool,
    ) -> None:
        """`nodes` are -1 where rows are of other parts; `children` count over all levels."""
        self.nodes = nodes
        self.targets = (children - layout.child_start[nodes]).astype(np.int32)
        self.row_weights = row_weights
        if balanced:
            in_class = np.bincount(children, weights=row_weights)[children]
            in_node = np.bincount(nodes + 1, weights=row_weights)[nodes + 1]
            share = layout.child_count[nodes] * in_class
            balance = np.divide(in_node, share, out=np.zeros(len(nodes)), where=share > 0)
            self.row_weights = (row_weights * balance).astype(np.float32)
        row_keys = np.random.default_rng(0).integers(1 << 62, size=rows.n_rows, dtype=np.int64)
        self.entry_pair = np.empty(len(rows.indices), dtype=np.int32)
        self.pair_feature, self.pair_node, self.pair_value, self.pair_print = index_level(
            rows.indptr, rows.indices, rows.data,
            self.ordered(np.arange(rows.n_rows, dtype=np.int32)), nodes, row_keys,
            rows.n_columns, self.entry_pair,
        )  # fmt: skip

    def pair_rows(self, rows: CsrRows) -> NDArray[np.int32]:
        """Count in how many rows each pair occurs; not after `group`."""
        counts: NDArray[np.int32] = count_rows(
            rows.indptr, self.nodes, self.entry_pair, len(self.pair_node)
        )
        return counts

    def group(
        self, rows: CsrRows, layout: NodeLayout, kept: NDArray[np.bool_], penalised: bool
    ) -> None:
        """Lay out the blocks of the pairs that are kept."""
        pair_block, scale, leader_size, self.n_blocks = group_pairs(
            self.pair_node, self.pair_value, self.pair_print, kept, layout.child_count
        )
        self.starts, self.entry_block, self.sums, self.values = group_entries(
            rows.indptr, rows.data, self.nodes, self.entry_pair, pair_block, scale, leader_size
        )
        leaders = leader_size > 0
        self.first_places = 4 * pair_block[leaders].astype(np.int64)
        # Only a penalty needs them.
        self.block_rows = np.zeros(self.n_blocks if penalised else 0, dtype=np.int32)
        if penalised:
            self.block_rows[pair_block[leaders]] = self.pair_rows(rows)[leaders]
        if not kept.all():
            self.pair_feature, self.pair_node = self.pair_feature[kept], self.pair_node[kept]
            pair_block, scale = pair_block[kept], scale[kept]
        self.pair_block, self.pair_scale = pair_block, scale
        del self.entry_pair, self.pair_value, self.pair_print

    def ordered(self, order: NDArray[np.int32]) -> NDArray[np.int32]:
        """Sort rows by node, and leave out those with nothing to decide."""
        taken = order[self.nodes[order] >= 0]
        return taken[np.argsort(self.nodes[taken], kind="stable")]


class NodeState(TrainingState):
    """Weights in blocks, node by node: a node's weights fit a cache that all weights do not."""

    def __init__(
        self,
        solver: BlockSGDClassifier,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.solver, self.n_columns = solver, rows.n_columns
        taxonomy = solver.taxonomy
        self.layout = NodeLayout(taxonomy)
        nodes = self.layout.nodes_of(codes)
        children = codes.astype(np.int64) + taxonomy.level_offsets[:-1]
        balanced = solver.class_weight == "balanced"
        parts = [
            (part, children[:, level])
            for level in range(taxonomy.depth)
            for part in _parts_of(nodes[level])
        ]
        self.parts: list[_Part] = solver.in_threads(
            lambda i: _Part(rows, *parts[i], row_weights, self.layout, balanced), len(parts)
        )
        kept = self._affordable(rows)
        solver.in_threads(
            lambda i: self.parts[i].group(rows, self.layout, kept[i], solver.alpha > 0),
            len(parts),
        )
        self.blocks = np.empty(4 * sum(part.n_blocks for part in self.parts), np.float32)
        self.part_starts = np.cumsum([0, *(4 * part.n_blocks for part in self.parts)])
        self.bias = np.zeros(taxonomy.n_classes, dtype=np.float32)
        self.bias_squares = np.empty(taxonomy.n_classes, dtype=np.float32)
        self.restart()

    def _affordable(self, rows: CsrRows) -> list[NDArray[np.bool_]]:
        """Say of each part's pairs which are kept."""
        widths = [self.layout.child_count[part.pair_node] for part in self.parts]
        if sum(int(width.sum()) for width in widths) <= self.solver.max_weights:
            return [np.ones(len(width), dtype=bool) for width in widths]
        kept = affordable(
            np.concatenate([part.pair_rows(rows) for part in self.parts]),
            np.concatenate(widths),
            self.solver.max_weights,
        )
        return np.split(kept, np.cumsum([len(width) for width in widths])[:-1])

    def _blocks_of(self, position: int) -> NDArray[np.float32]:
        return self.blocks[self.part_starts[position] : self.part_starts[position + 1]]

    def current(self) -> list[NDArray[np.float32]]:
        """Return the blocks and the biases."""
        return [self.blocks, self.bias]

    def restart(self) -> None:
        """Forget the current weights, but not the mean."""
        self.blocks.fill(0)
        for position, part in enumerate(self.parts):
            self._blocks_of(position)[part.first_places] = FIRST_SQUARE
        self.bias.fill(0)
        self.bias_squares.fill(FIRST_BIAS_SQUARE)

    def run_epoch(self, order: NDArray[np.int32]) -> float:
        """Pass once over the rows, part by part; return the sum of their losses."""
        solver = self.solver

        def run_part(position: int) -> float:
            part = self.parts[position]
            return level_epoch(
                part.starts, part.entry_block, part.sums, part.values,
                part.ordered(order), part.nodes, part.targets, part.row_weights,
                part.block_rows, self.layout.child_start, self.layout.child_count,
                self._blocks_of(position), self.bias, self.bias_squares,
                solver.step_size, solver.alpha, solver.loss == "modified_huber",
            )  # fmt: skip

        return float(sum(solver.in_threads(run_part, len(self.parts))))

    def weights_of(self, arrays: list[NDArray[np.float32]]) -> BlockWeights:
        """Return the weights of all pairs, feature by feature; each thread writes some features."""
        blocks, bias = arrays
        child_count = self.layout.child_count
        counts = np.zeros((self.n_columns + 1, 2), dtype=np.int64)
        n_ranges = self.solver.n_threads
        edges = np.linspace(0, self.n_columns, n_ranges + 1).astype(int).tolist()

        def count(i: int) -> None:
            for part in self.parts:
                count_weights(
                    part.pair_feature, part.pair_node, child_count, *edges[i : i + 2], counts[1:]
                )

        self.solver.in_threads(count, n_ranges)
        starts = np.cumsum(counts, axis=0)
        feature_start = starts[:, 0].copy()
        nodes = np.full(int(starts[-1, 0]), -1, dtype=np.int32)
        weights = np.full(int(starts[-1, 1]), 0, dtype=np.float32)

        def write(i: int) -> None:
            # Parts' nodes ascend, so a feature's nodes do.
            for position, part in enumerate(self.parts):
                first, behind = self.part_starts[position : position + 2]
                write_weights(
                    blocks[first:behind], part.pair_feature, part.pair_node, part.pair_block,
                    part.pair_scale, child_count, *edges[i : i + 2], starts, nodes, weights,
                )  # fmt: skip

        self.solver.in_threads(write, n_ranges)
        return BlockWeights(self.layout, feature_start, nodes, weights, bias)


def _parts_of(nodes: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Divide a level's rows by node, about equally: where others decide, a row's node is -1."""
    # With one child there is nothing to decide, on a whole level perhaps.
    deciding = np.sort(nodes[nodes >= 0])
    if not len(deciding):
        return []
    edges = np.unique(deciding[np.linspace(0, len(deciding), _PARTS, endpoint=False).astype(int)])
    bounds = zip(edges, [*edges[1:], np.iinfo(np.int32).max], strict=True)
    return [np.where((nodes >= low) & (nodes < high), nodes, np.int32(-1)) for low, high in bounds]
