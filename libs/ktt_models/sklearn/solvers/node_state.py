"""The hierarchical model's weights during training, by level and node."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.base import BlockSGDClassifier
from ktt_models.sklearn.solvers.node_level import Level
from ktt_models.sklearn.solvers.state import FIRST_BIAS_SQUARE, FIRST_SQUARE, TrainingState
from ktt_models.sklearn.solvers.weight_limit import least_rows

__all__ = ["NodeState"]


# The squared length of a row's gradient, after its own step, under which it rests for one pass:
# that of a right answer given 99.3 %. Half of the rows do, and hardly one of them would have moved.
_RESTING = 1e-4
# Parts of a level below the root: as many as keep some threads busy, for the root's is one.
_PARTS = 4


class NodeState(TrainingState):
    """Weights in blocks, node by node: a node's weights fit a cache that all weights do not.

    Rows are sorted by path: those of a node are neighbours.

    Parameters
    ----------
    solver : BlockSGDClassifier
    rows : CsrRows
    codes : ndarray of int32, shape (n, depth)
    row_weights : ndarray of float32, shape (n,)
    loops : module
        `ktt_models.sklearn.solvers.compiled_loops` or `ktt_models.sklearn.solvers.plain_loops`.
    """

    def __init__(
        self,
        solver: BlockSGDClassifier,
        rows: CsrRows,
        codes: NDArray[np.int32],
        row_weights: NDArray[np.float32],
        loops: ModuleType,
    ) -> None:
        self.solver, self.n_columns, self.loops = solver, rows.n_columns, loops
        taxonomy = solver.taxonomy
        self.layout = NodeLayout(taxonomy)
        by_path = np.argsort(codes[:, -1], kind="stable")
        self.place_of = np.empty(len(by_path), dtype=np.int32)
        self.place_of[by_path] = np.arange(len(by_path), dtype=np.int32)
        codes, row_weights = codes[by_path], row_weights[by_path]
        nodes = self.layout.nodes_of(codes)
        children = codes.astype(np.int64) + taxonomy.level_offsets[:-1]
        balanced = solver.class_weight == "balanced"
        self.levels = [
            Level(nodes[level], children[:, level], row_weights, self.layout, balanced, loops)
            for level in range(taxonomy.depth)
            # With one child there is nothing to decide, on a whole level perhaps.
            if nodes[level].max() >= 0
        ]
        self._index(rows, by_path)
        self.parts = [
            (i, *part) for i, level in enumerate(self.levels) for part in level.parts(_PARTS)
        ]
        self.blocks = [np.empty(4 * level.n_blocks, dtype=np.float32) for level in self.levels]
        edges = np.cumsum([0, *(4 * level.n_blocks for level in self.levels)])
        self.total = np.empty(int(edges[-1]), dtype=np.float32)
        self.totals = [self.total[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
        self.resting = [np.empty(len(codes), dtype=np.float32) for _ in self.levels]
        n_classes = taxonomy.n_classes
        self.bias = np.zeros(n_classes, dtype=np.float32)
        self.bias_squares = np.zeros(n_classes, dtype=np.float32)
        self.bias_total = np.zeros(n_classes, dtype=np.float32)
        self.n_summed = 0

    def _index(self, rows: CsrRows, by_path: NDArray[np.int64]) -> None:
        columns = self.loops.columns_of(rows, by_path)
        row_keys = np.random.default_rng(0).integers(1 << 62, size=rows.n_rows, dtype=np.int64)
        levels = self.levels
        self._each(lambda i: levels[i].scan(columns, row_keys), len(levels))
        limit = self.solver.max_weights
        if sum(level.n_weights for level in levels) > limit:
            counts, widths = zip(*(level.needs() for level in levels), strict=True)
            least = least_rows(np.concatenate(counts), np.concatenate(widths), limit)
            del counts, widths
            self._each(lambda i: levels[i].scan(columns, row_keys, least), len(levels))
        self._each(lambda i: levels[i].lay_out(columns), len(levels))

    def _each(self, run: Callable[[int], Any], n_parts: int) -> list[Any]:
        """Call ``run(0) .. run(n_parts - 1)``, side by side where that is quicker."""
        if self.loops.THREADED:
            return self.solver.in_threads(run, n_parts)
        return [run(part) for part in range(n_parts)]

    def run_epoch(self, order: NDArray[np.int32], is_fresh: bool, is_summed: bool) -> float:
        """See `TrainingState.run_epoch`; nodes start afresh and are summed one by one."""
        solver, layout = self.solver, self.layout
        order = self.place_of[order]
        ordered = [np.empty_like(order) for _ in self.levels]
        for level, its in zip(self.levels, ordered, strict=True):
            self.loops.sort_rows(order, level.node_starts, its)

        def run_part(position: int) -> float:
            i, first_row, end_row = self.parts[position]
            level = self.levels[i]
            loss: float = self.loops.level_epoch(
                level.starts, level.entry_block, level.entry_value, ordered[i], first_row, end_row,
                level.nodes, level.targets, level.row_weights, self.resting[i],
                level.node_first, level.node_block, level.sizes, level.counts,
                layout.child_start, layout.child_count,
                self.blocks[i], self.totals[i], self.bias, self.bias_squares, self.bias_total,
                solver.step_size, solver.alpha, solver.loss == "modified_huber",
                FIRST_SQUARE, FIRST_BIAS_SQUARE, 0.0 if solver.alpha > 0 else _RESTING,
                is_fresh, self.n_summed if is_summed else -1,
            )  # fmt: skip
            return loss

        loss = float(sum(self._each(run_part, len(self.parts))))
        self.n_summed += is_summed
        return loss

    def finish(self) -> BlockWeights:
        """Return the mean weights; pairs of one group share theirs."""
        child_count, levels = self.layout.child_count, self.levels
        del self.blocks
        n_weights = sum(np.diff(level.node_first) for level in levels) * child_count
        node_weight = np.append(0, np.cumsum(n_weights))
        # In place: fresh memory takes longer to get than to fill.
        weights = self.total[: int(node_weight[-1])]
        feature_start = np.zeros(self.n_columns + 1, dtype=np.int64)
        for level in levels:
            feature_start += level.pair_ends
        n_pairs, places = int(feature_start[-1]), feature_start[:-1].copy()
        pair_node = np.empty(n_pairs, dtype=np.int32)
        pair_scale = np.empty(n_pairs, dtype=np.float32)
        small = len(weights) <= np.iinfo(np.int32).max
        offset_type: type[np.integer[Any]] = np.int32 if small else np.int64
        pair_start: NDArray[np.integer[Any]] = np.empty(n_pairs, dtype=offset_type)
        for level, total in zip(levels, self.totals, strict=True):
            self.loops.write_weights(
                total, self.n_summed, level.node_first, level.node_block, node_weight, child_count,
                weights,
            )  # fmt: skip
            self.loops.write_pairs(
                level.pair_ends, level.pair_node, level.pair_group, level.pair_value,
                level.group_mean, level.group_number, level.node_first, node_weight,
                child_count, places, pair_node, pair_start,
                pair_scale,
            )  # fmt: skip
        bias = self.bias_total / np.float32(self.n_summed)
        return BlockWeights(
            self.layout, feature_start, pair_node, weights, bias, pair_start, pair_scale
        )
