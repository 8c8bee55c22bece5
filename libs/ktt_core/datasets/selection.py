"""Between the passes of an import: selection of rows, their splits, and the taxonomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.datasets.collecting import Collected
from ktt_core.datasets.hierarchy import SPLITS
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.splitting import find_repeats, split_rows
from ktt_core.errors import DataError
from ktt_core.taxonomy import Taxonomy

__all__ = ["Selection", "select_rows"]

#: The split of a dropped row.
DROPPED = -1


@dataclass(frozen=True)
class Selection:
    """The split and leaf of every collected row.

    Attributes
    ----------
    taxonomy : Taxonomy
        Taxonomy of the rows that are kept.
    leaves : ndarray of int32, shape (n,)
        Leaf indices in `taxonomy`; meaningless for dropped rows.
    splits : ndarray of int8, shape (n,)
        0, 1, 2, or `DROPPED`.
    rows_per_leaf : ndarray of int64, shape (n_leaves,)
    duplicates, conflicting, rare_rows, rare_leaves : int
        See `ImportReport`.
    warnings : list of str
    """

    taxonomy: Taxonomy
    leaves: NDArray[np.int32]
    splits: NDArray[np.int8]
    rows_per_leaf: NDArray[np.int64]
    duplicates: int
    conflicting: int
    rare_rows: int
    rare_leaves: int
    warnings: list[str]


def select_rows(collected: Collected, options: ImportOptions) -> Selection:
    """Select the rows; takes over and empties the arrays of `collected`.

    Raises
    ------
    DataError
        If no row, no train row or only one leaf is left.
    """
    # Large arrays are released as soon as possible.
    leaves, collected.leaves = collected.leaves, np.empty(0, np.int32)
    keep = np.ones(len(leaves), dtype=bool)
    duplicates = conflicting = 0
    if collected.hashes is not None:
        repeated, in_conflict = find_repeats(collected.hashes, leaves)
        collected.hashes = None
        duplicates, conflicting = int(repeated.sum()), int(in_conflict.sum())
        keep &= ~(repeated | in_conflict)
    counts = np.bincount(leaves[keep], minlength=len(collected.paths))
    rare = (counts > 0) & (counts < options.min_rows_per_leaf)
    rare_rows = int(counts[rare].sum())
    keep &= ~rare[leaves]
    counts[rare] = 0
    _check_enough(collected, counts, duplicates + conflicting, rare_rows)

    taxonomy, renumbered = _taxonomy(collected, counts, options)
    leaves = renumbered[leaves]
    if collected.splits is None:
        splits = np.full(len(leaves), DROPPED, dtype=np.int8)
        splits[keep] = split_rows(
            leaves[keep], taxonomy.n_leaves, options.train_ratio, options.val_ratio, options.seed
        )
    else:
        splits = collected.splits
        splits[~keep] = DROPPED
    if not np.any(splits == 0):
        raise DataError("no row is in train: there is nothing to learn from")
    return Selection(
        taxonomy=taxonomy,
        leaves=leaves,
        splits=splits,
        rows_per_leaf=np.bincount(leaves[keep], minlength=taxonomy.n_leaves),
        duplicates=duplicates,
        conflicting=conflicting,
        rare_rows=rare_rows,
        rare_leaves=int(rare.sum()),
        warnings=_warnings(taxonomy, leaves, splits),
    )


def _check_enough(
    collected: Collected, counts: NDArray[np.int64], repeated: int, rare_rows: int
) -> None:
    leaves = int(np.count_nonzero(counts))
    if leaves >= 2:
        return
    why = f"{collected.rows_read:,} rows read, {collected.bad.total:,} bad"
    why += f", {repeated:,} repeated or conflicting" if repeated else ""
    why += f", {rare_rows:,} of rare leaves" if rare_rows else ""
    if not leaves:
        raise DataError(f"no usable row is left ({why})")
    only = " > ".join(collected.paths[int(np.argmax(counts))])
    raise DataError(
        f"there is nothing to learn: every usable row is of the class {only[:200]!r}, and a "
        f"classifier needs at least two leaf classes ({why})"
    )


def _taxonomy(
    collected: Collected, counts: NDArray[np.int64], options: ImportOptions
) -> tuple[Taxonomy, NDArray[np.int32]]:
    used = np.flatnonzero(counts)
    depth = None if options.depth == "max" else int(options.depth)
    taxonomy = Taxonomy.from_paths([collected.paths[i] for i in used], depth)
    index = {path: leaf for leaf, path in enumerate(taxonomy.leaf_paths)}
    renumbered = np.zeros(len(collected.paths), dtype=np.int32)
    renumbered[used] = [index[collected.paths[i]] for i in used]
    return taxonomy, renumbered


def _warnings(taxonomy: Taxonomy, leaves: NDArray[np.int32], splits: NDArray[np.int8]) -> list[str]:
    warnings = []
    in_train = np.zeros(taxonomy.n_leaves, dtype=bool)
    in_train[leaves[splits == 0]] = True
    for code, name in enumerate(SPLITS):
        rows = leaves[splits == code]
        if not len(rows):
            warnings.append(f"{name} has no rows")
        elif not in_train[rows].all():
            unseen = rows[~in_train[rows]]
            warnings.append(
                f"{len(np.unique(unseen)):,} leaf classes of {name} ({len(unseen):,} rows) "
                "have no row in train: no model can learn them"
            )
    for level in range(1, taxonomy.depth):
        if taxonomy.hidden[taxonomy.level_offsets[level] : taxonomy.level_offsets[level + 1]].all():
            warnings.append(f"no path has more than {level} levels: --depth {level} is enough")
            break
    return warnings
