"""One level of the taxonomy, ready to be trained: its pairs, their groups, the rows' entries."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.weights import NodeLayout
from ktt_models.sklearn.solvers.state import Columns

__all__ = ["Level"]

# Of the arrays that `scan_level` fills for each group: node, begin, rows, size, squares, print.
_OF_GROUPS = (np.int32, np.int64, np.int32, np.int32, np.float32, np.int64)


class Level:
    """The nodes above one level's classes. Rows are sorted by path.

    Parameters
    ----------
    nodes : ndarray of int32, shape (n,)
        Each row's node, -1 where there is nothing to decide.
    children : ndarray of int64, shape (n,)
        Each row's class on the level, counted over all levels.
    row_weights : ndarray of float32, shape (n,)
    layout : NodeLayout
    balanced : bool
        Whether a node's classes are to weigh the same.
    loops : module
        As `ktt_models.sklearn.solvers.node_state.NodeState` takes it.

    Attributes
    ----------
    targets : ndarray of int32, shape (n,)
        Which child of its node a row is below.
    node_starts : ndarray of int32, shape (n,)
        The first of the rows of the row's node.
    pair_ends : ndarray of int64, shape (n_features + 1,)
        A feature's pairs are those from its number up to the next one.
    pair_node, pair_group : ndarray of int32, shape (pairs,)
    pair_value : ndarray of float32, shape (pairs,)
        A pair's weights are its group's times this over ``group_mean``.
    group_mean : ndarray of float32, shape (groups,)
    group_number : ndarray of int32, shape (groups,)
        The groups' numbers, node by node; what follows goes by them.
    node_first : ndarray of int64, shape (n_nodes + 1,)
        The number of each node's first group.
    node_block : ndarray of int64, shape (n_nodes + 1,)
        Where that one's block is, counted in fours of numbers.
    starts : ndarray of int64, shape (n + 1,)
        Row i's entries are ``[starts[i], starts[i + 1])``.
    entry_block, entry_value : ndarray of int32 and of float32, shape (entries, 2)
        Two views of one memory; see `ktt_models.sklearn.solvers.grouping.write_entries`.
    sizes, counts : ndarray of float32, shape (groups,)
        The number of each group's pairs, and of its rows.
    """

    def __init__(
        self,
        nodes: NDArray[np.int32],
        children: NDArray[np.int64],
        row_weights: NDArray[np.float32],
        layout: NodeLayout,
        balanced: bool,
        loops: ModuleType,
    ) -> None:
        self.nodes, self.layout, self.loops = nodes, layout, loops
        self.targets = (children - layout.child_start[nodes]).astype(np.int32)
        begins = np.append(True, nodes[1:] != nodes[:-1])
        first_rows = np.flatnonzero(begins)
        self.node_starts = first_rows[np.cumsum(begins) - 1].astype(np.int32)
        self.row_weights = row_weights
        if balanced:
            in_class = np.bincount(children, weights=row_weights)[children]
            in_node = np.bincount(nodes + 1, weights=row_weights)[nodes + 1]
            share = layout.child_count[nodes] * in_class
            balance = np.divide(in_node, share, out=np.zeros(len(nodes)), where=share > 0)
            self.row_weights = (row_weights * balance).astype(np.float32)

    def scan(self, columns: Columns, row_keys: NDArray[np.int64], least_rows: int = 1) -> None:
        """Find the pairs that are in so many rows, and their groups."""
        n_most = len(columns.rows) + 1
        self.pair_ends = np.zeros(len(columns.starts), dtype=np.int64)
        self.starts = np.zeros(len(self.nodes) + 1, dtype=np.int64)
        # What is not written to takes no memory.
        node, group, value = (np.empty(n_most, dtype) for dtype in (np.int32, np.int32, np.float32))
        groups = [np.empty(n_most, dtype) for dtype in _OF_GROUPS]
        n_pairs, n_groups = self.loops.scan_level(
            *columns, self.nodes, row_keys, least_rows, self.pair_ends[1:], node, group, value,
            *groups, self.starts[1:],
        )  # fmt: skip
        self.pair_node, self.pair_group = node[:n_pairs], group[:n_pairs]
        self.pair_value = value[:n_pairs]
        self._groups = [array[:n_groups] for array in groups]

    @property
    def n_weights(self) -> int:
        """How many weights the pairs have, those of one group counted each."""
        n_pairs = np.bincount(self.pair_node, minlength=self.layout.n_nodes)
        return int(n_pairs @ self.layout.child_count)

    def needs(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return in how many rows each pair is, and how many weights it has."""
        return self._groups[2][self.pair_group], self.layout.child_count[self.pair_node]

    def lay_out(self, columns: Columns) -> None:
        """Return the groups blocks, and the rows entries."""
        _, rows, values = columns
        node, begin, counts, sizes, squares, _ = self._groups
        del self._groups
        n_groups, n_nodes = len(node), self.layout.n_nodes
        n_in_nodes = np.bincount(node, minlength=n_nodes)
        # A block is AdaGrad's sum, then the weights, then nothing, up to a multiple of four.
        stride = (self.layout.child_count + 4) // 4
        self.node_first = np.append(0, np.cumsum(n_in_nodes))
        self.node_block = np.append(0, np.cumsum(n_in_nodes * stride))
        np.cumsum(self.starts, out=self.starts)
        self.group_number = np.empty(n_groups, dtype=np.int32)
        self.sizes = np.empty(n_groups, dtype=np.float32)
        self.counts = np.empty(n_groups, dtype=np.float32)
        self.loops.number_groups(
            node, counts, sizes, squares, n_nodes, self.group_number, self.sizes, self.counts,
        )  # fmt: skip
        self.group_mean = squares
        self.entry_block = np.empty((int(self.starts[-1]), 2), dtype=np.int32)
        self.entry_value = self.entry_block.view(np.float32)
        self.loops.write_entries(
            rows, values, node, begin, counts, sizes, self.group_mean, self.group_number,
            self.node_first, self.node_block, stride, self.starts[:-1].copy(),
            self.entry_block, self.entry_value,
        )  # fmt: skip

    @property
    def n_blocks(self) -> int:
        """Fours of numbers that all blocks take."""
        return int(self.node_block[-1])

    def parts(self, n_parts: int) -> list[tuple[int, int]]:
        """Cut the rows, between nodes, into ranges with about as many entries each."""
        edges = np.linspace(0, self.starts[-1], n_parts, endpoint=False)
        rows = np.minimum(np.searchsorted(self.starts, edges), len(self.nodes) - 1)
        first = self.node_starts[rows]
        bounds = np.unique(np.append(0, first)).tolist()
        return list(zip(bounds, [*bounds[1:], len(self.nodes)], strict=True))
