"""Reference sets: a model's results on its test split, for monitoring to compare live traffic with.

Columns, in this order: ``targets`` (the true leaf, by its column's name), the pooled features named
"0".."k-1", then one column of probabilities per leaf.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.atomic import atomic_file
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_core.model import Loader, Model

__all__ = [
    "POOL_WIDTH",
    "TARGETS",
    "leaf_column_names",
    "pool_features",
    "reference_set",
    "reference_table",
    "write_reference",
]

#: The column of true leaves.
TARGETS = "targets"

#: Features averaged into one column.
POOL_WIDTH = 32

_SEPARATOR = " > "


def leaf_column_names(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Return a unique column name for every leaf.

    A leaf is named by its deepest real class. Where two leaves share a name, or it is "targets" or
    reads as a number, it is named by the shortest unique suffix of its path, joined by ``" > "``. A
    path without a unique suffix (a root class called "12", say) gets ``"> "`` as a prefix, repeated
    as often as needed.

    Parameters
    ----------
    taxonomy : Taxonomy

    Returns
    -------
    tuple of str, length n_leaves
        In leaf order.
    """
    paths = taxonomy.leaf_paths
    lengths = [1] * len(paths)
    names = [path[-1] for path in paths]
    while True:
        counts = Counter(names)
        clashing = [
            leaf for leaf, name in enumerate(names) if counts[name] > 1 or _is_reserved(name)
        ]
        if not clashing:
            return tuple(names)
        # Of two leaves that share a name, one may already have its whole path as name; then the
        # other's name is extended.
        growing = [leaf for leaf in clashing if lengths[leaf] < len(paths[leaf])]
        if growing:
            for leaf in growing:
                lengths[leaf] += 1
                names[leaf] = _SEPARATOR.join(paths[leaf][-lengths[leaf] :])
        else:
            seen: set[str] = set()
            for leaf in clashing:
                if names[leaf] in seen or _is_reserved(names[leaf]):
                    names[leaf] = f"> {names[leaf]}"
                seen.add(names[leaf])


def _is_reserved(name: str) -> bool:
    if name == TARGETS:
        return True
    try:
        float(name)
    except ValueError:
        return False
    return True


def pool_features(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Average adjacent features: kernel and stride 32, including the remainder.

    Parameters
    ----------
    features : ndarray, shape (n, d)

    Returns
    -------
    ndarray of float32, shape (n, ceil(d / 32))
    """
    features = np.asarray(features)
    if features.ndim != 2 or not features.shape[1]:
        raise InvalidArgumentError(f"features need the shape (rows, width), not {features.shape}")
    starts = np.arange(0, features.shape[1], POOL_WIDTH)
    widths = np.diff(np.append(starts, features.shape[1]))
    sums = np.add.reduceat(features, starts, axis=1, dtype=np.float32)
    return (sums / widths).astype(np.float32)


def reference_table(
    taxonomy: Taxonomy,
    codes: Labels | NDArray[np.integer],
    features: NDArray[np.floating],
    leaf_proba: NDArray[np.floating],
) -> pa.Table:
    """Build the table of a reference set.

    Parameters
    ----------
    taxonomy : Taxonomy
    codes : Labels, or ndarray of int, shape (n, depth)
        The true paths, level-local.
    features : ndarray, shape (n, k)
        Pooled features.
    leaf_proba : ndarray, shape (n, n_leaves)
        p(leaf), in [0, 1].

    Returns
    -------
    pyarrow.Table
        One string column, then ``k + n_leaves`` columns of float32.

    Raises
    ------
    InvalidArgumentError
        If the shapes are inconsistent, or a feature or probability is not finite.
    """
    import pyarrow as pa

    labels = Labels.of(codes).checked(taxonomy)
    features, leaf_proba = np.asarray(features), np.asarray(leaf_proba)
    n_rows = len(labels)
    if features.ndim != 2 or len(features) != n_rows:
        raise InvalidArgumentError(f"features need the shape ({n_rows}, k), not {features.shape}")
    if leaf_proba.shape != (n_rows, taxonomy.n_leaves):
        raise InvalidArgumentError(
            f"leaf probabilities need the shape ({n_rows}, {taxonomy.n_leaves}), "
            f"not {leaf_proba.shape}"
        )
    # Monitoring refuses values that are not finite: fail here rather than publish a set that it
    # cannot read.
    if not np.isfinite(features).all():
        raise InvalidArgumentError("a feature of the reference set is not a finite number")
    if not ((leaf_proba >= 0.0) & (leaf_proba <= 1.0)).all():
        raise InvalidArgumentError("a leaf probability of the reference set is not between 0 and 1")
    names = leaf_column_names(taxonomy)
    targets = pa.array(np.array(names, dtype=object)[labels.leaves()], type=pa.string())
    columns = [targets]
    # Copied by column, as the arrays are stored by row.
    for block in (features, leaf_proba):
        columns.extend(
            pa.array(column) for column in np.ascontiguousarray(block.T, dtype=np.float32)
        )
    numbers = tuple(str(number) for number in range(features.shape[1]))
    return pa.table(columns, names=[TARGETS, *numbers, *names])


def reference_set(model: Model, loader: Loader) -> pa.Table:
    """Return the reference set of a trained model on a split, in the format of `reference_table`.

    The features are those of its `scores_and_features`, if any. Rows are in the order of the split,
    not of the batches, which may be sorted by length: so the last rows, with which a window starts,
    are a sample of the split and not its shortest texts.

    Raises
    ------
    DataError
        If there are no rows.
    """
    if not loader.n_rows:
        raise DataError("a reference set needs rows, and this split has none")
    # By leaf, so that the table's columns need no copy.
    proba = np.empty((model.taxonomy.n_leaves, loader.n_rows), dtype=np.float32)
    labels, features, places, done = [], [], [], 0
    for batch in loader:
        levels, watched = model.scores_and_features(batch.inputs)
        rows = getattr(batch, "rows", None)
        if rows is None:
            rows = np.arange(done, done + len(batch.codes))
        log_proba = leaf_log_proba(levels, model.taxonomy, model.temperature)
        proba[:, rows] = np.exp(log_proba.T)
        done += len(rows)
        labels.append(batch.labels)
        features.append(np.empty((len(rows), 0), np.float32) if watched is None else watched)
        places.append(rows)
    order = np.argsort(np.concatenate(places))
    return reference_table(
        model.taxonomy,
        Labels.concatenate(labels).select(order),
        np.concatenate(features)[order],
        proba.T,
    )


def write_reference(table: pa.Table, path: Path) -> None:
    """Write a reference set as Parquet, atomically."""
    import pyarrow.parquet as pq

    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)
