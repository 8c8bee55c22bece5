from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ktt_core.datasets.collecting import Collected
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import BadRows
from ktt_core.datasets.selection import DROPPED, select_rows
from ktt_core.errors import DataError

N_ROWS = 400_000


def _collected(leaves: list[int], splits: list[int] | None = None) -> Collected:
    return Collected(
        paths=[("A",), ("A", "B"), ("C",), ("unused",)],
        leaves=np.array(leaves, dtype=np.int32),
        splits=None if splits is None else np.array(splits, dtype=np.int8),
        hashes=None,
        bad=BadRows(),
        rows_read=len(leaves),
    )


def test_leaves_are_renumbered_in_the_taxonomys_order() -> None:
    plan = select_rows(_collected([2, 1, 0, 1]), ImportOptions("text", "path"))
    assert plan.taxonomy.leaf_paths == (("A",), ("A", "B"), ("C",))
    assert plan.leaves.tolist() == [2, 1, 0, 1]
    assert plan.rows_per_leaf.tolist() == [1, 2, 1]


def test_dropped_rows_are_in_no_split() -> None:
    options = ImportOptions("text", "path", split_column="split", min_rows_per_leaf=2)
    plan = select_rows(_collected([0, 0, 1, 2, 2], [0, 1, 0, 2, 2]), options)
    assert plan.splits.tolist() == [0, 1, DROPPED, 2, 2]
    assert (plan.rare_leaves, plan.rare_rows) == (1, 1)


def test_a_dataset_without_train_rows_is_refused() -> None:
    options = ImportOptions("text", "path", split_column="split")
    with pytest.raises(DataError, match="no row is in train"):
        select_rows(_collected([0, 1, 2], [1, 2, 2]), options)


@pytest.mark.parametrize("split_column", [None, "split"])
@pytest.mark.parametrize("rare", [1, 5])
def test_selection_takes_at_most_32_bytes_a_row(split_column: str | None, rare: int) -> None:
    generator = np.random.default_rng(0)
    tracemalloc.start()
    try:
        collected = Collected(
            paths=[("A", str(leaf)) for leaf in range(1_000)],
            leaves=generator.integers(0, 1_000, N_ROWS, dtype=np.int32),
            splits=np.zeros(N_ROWS, np.int8) if split_column else None,
            hashes=generator.integers(0, N_ROWS * 100, N_ROWS),
            bad=BadRows(),
            rows_read=N_ROWS,
        )
        tracemalloc.reset_peak()
        options = ImportOptions(
            "text", "path", split_column=split_column, dedupe=True, min_rows_per_leaf=rare
        )
        plan = select_rows(collected, options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert plan.duplicates + plan.conflicting > 0
    # Without the memory of the taxonomy.
    assert (peak - 2**20) / N_ROWS <= 32
