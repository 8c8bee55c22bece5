"""Level scores -> leaf log-probabilities -> class probabilities.

With g_h(c) the score of class c at level h, a the ancestors of a leaf l and T the temperature::

    log p(l) = log_softmax over all leaves of (1 / T) * sum_h g_h(a_h(l))
    p(c)     = sum of p(l) over the leaves l below c

Children are adjacent and in the order of their parents, so going down a level is one ``repeat`` and
going up one ``reduceat``; nothing is quadratic in the number of classes. Rows are processed in
blocks that fit a core's second-level cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy

__all__ = ["LevelScores", "class_proba", "leaf_log_proba"]

FloatArray = NDArray[np.float32]

#: Return type of `ktt_core.model.Model.level_scores`: one array per level, or one of leaf scores.
LevelScores = Sequence[NDArray[np.floating]]

# Leaf scores per block: 1 MiB of float32.
_BLOCK_CELLS = 2**18
_MAX_BLOCK_ROWS = 4096

# Beyond this temperature, or below its inverse, float32 scores underflow or overflow.
_LARGEST = 1e6

# In this range exp neither overflows nor loses precision of a float32 sum.
_SAFE_EXPONENT = 40.0


def leaf_log_proba(levels: LevelScores, taxonomy: Taxonomy, temperature: float = 1.0) -> FloatArray:
    """Return the log-probability of every leaf.

    Parameters
    ----------
    levels : sequence of ndarray
        One array per level, shape (n, n_h), whose sums along a path are its log-score; or a single
        array of leaf log-scores, shape (n, n_leaves). ``-inf`` marks impossible classes.
    taxonomy : Taxonomy
    temperature : float
        T > 0; above 1 flattens the distribution, below 1 sharpens it.

    Returns
    -------
    ndarray of float32, shape (n, n_leaves)
        Rows sum to 1 after ``exp``.

    Raises
    ------
    InvalidArgumentError
        If the shapes do not match the taxonomy, the temperature is not a positive number, or a row
        holds NaN, ``+inf`` or only ``-inf``.
    """
    arrays = check_levels(levels, taxonomy)
    beta = inverse_temperature(temperature)
    n_rows = len(arrays[0])
    result = np.empty((n_rows, taxonomy.n_leaves), dtype=np.float32)
    for rows in row_blocks(n_rows, taxonomy.n_leaves):
        block = leaf_scores(arrays, rows, taxonomy, beta)
        largest = row_maxima(block, rows.start)
        _, log_sum = exponentials(block, largest)
        np.subtract(block, log_sum[:, None], out=result[rows])
    # Rounding can leave a leaf with all the mass slightly above log 1.
    np.minimum(result, 0.0, out=result)
    return result


def class_proba(log_proba: NDArray[np.floating], taxonomy: Taxonomy) -> FloatArray:
    """Return the probability of every class: the sum over the leaves below it.

    Never below a child's, in floating point too: sums go up level by level, and adding a number
    that is not negative never rounds down.

    Parameters
    ----------
    log_proba : ndarray, shape (n, n_leaves)
        Result of `leaf_log_proba`.
    taxonomy : Taxonomy

    Returns
    -------
    ndarray of float32, shape (n, C)
        Columns as in ``taxonomy.classes``, in [0, 1].

    Raises
    ------
    InvalidArgumentError
        If the shape does not match the taxonomy.
    """
    log_proba = np.asarray(log_proba)
    if log_proba.ndim != 2 or log_proba.shape[1] != taxonomy.n_leaves:
        raise InvalidArgumentError(
            f"leaf log-probabilities need the shape (rows, {taxonomy.n_leaves}), "
            f"not {log_proba.shape}"
        )
    result = np.empty((len(log_proba), taxonomy.n_classes), dtype=np.float32)
    for rows in row_blocks(len(log_proba), taxonomy.n_classes):
        fill_class_proba(np.exp(log_proba[rows], dtype=np.float32), taxonomy, result[rows])
    return result


# -- shared within the package --------------------------------------------------------------------


def check_levels(levels: LevelScores, taxonomy: Taxonomy) -> list[NDArray[np.floating]]:
    """Return the level arrays if their shapes match the taxonomy, else raise an error."""
    if isinstance(levels, np.ndarray):
        raise InvalidArgumentError(
            "level scores are a sequence of arrays, one per level: wrap leaf scores in a list"
        )
    try:
        arrays = [np.asarray(level) for level in levels]
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"level scores are not arrays: {error}") from error
    widths = [taxonomy.n_leaves] if len(arrays) == 1 else taxonomy.level_sizes.tolist()
    if len(arrays) != len(widths):
        raise InvalidArgumentError(
            f"got the scores of {len(arrays)} levels; this taxonomy needs {len(widths)}, or "
            "one array of leaf scores"
        )
    for level, (array, width) in enumerate(zip(arrays, widths, strict=True)):
        if array.ndim != 2 or array.shape != (len(arrays[0]), width):
            raise InvalidArgumentError(
                f"the scores of level {level} have the shape {array.shape}, not (rows, {width}) "
                "with the same rows at every level"
            )
        if not np.issubdtype(array.dtype, np.floating):
            raise InvalidArgumentError(
                f"the scores of level {level} are {array.dtype}, not floating-point numbers"
            )
    return arrays


def inverse_temperature(temperature: float) -> float:
    """Return 1 / T; raise InvalidArgumentError if T is not a number in the supported range."""
    if not (is_number(temperature) and 1.0 / _LARGEST <= temperature <= _LARGEST):
        raise InvalidArgumentError(
            f"a temperature is a number from {1 / _LARGEST:g} to {_LARGEST:g}, "
            f"not {temperature!r:.80}"
        )
    return 1.0 / float(temperature)


def is_number(value: object) -> bool:
    """Tell whether a value is a real number; a bool is not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def row_blocks(n_rows: int, width: int, block_rows: int | None = None) -> Iterator[slice]:
    """Yield slices of rows whose scores, `width` per row, fit the cache."""
    size = block_rows or max(1, min(_MAX_BLOCK_ROWS, _BLOCK_CELLS // max(1, width)))
    for start in range(0, n_rows, size):
        yield slice(start, min(n_rows, start + size))


def leaf_scores(
    arrays: Sequence[NDArray[np.floating]], rows: slice, taxonomy: Taxonomy, beta: float
) -> FloatArray:
    """Return beta times the sum of scores along each leaf's path: a new array, (rows, n_leaves)."""
    # `row_maxima` reports overflows and sums of opposite infinities.
    with np.errstate(invalid="ignore", over="ignore"):
        block = arrays[0][rows].astype(np.float32)
        for level in range(1, len(arrays)):
            block = np.repeat(block, np.diff(taxonomy.child_ranges[level - 1]), axis=1)
            block += arrays[level][rows]
        if beta != 1.0:
            block *= np.float32(beta)
    return block


def row_maxima(block: FloatArray, first_row: int) -> FloatArray:
    """Return each row's maximum, shape (rows,); raise InvalidArgumentError if it is not finite."""
    largest: FloatArray = block.max(axis=1)
    # The maximum of a row with NaN is NaN, so this checks every cell.
    if not np.isfinite(largest).all():
        row = int(np.flatnonzero(~np.isfinite(largest))[0])
        found = {
            np.inf: "an infinite score",
            -np.inf: "no possible path (every score is -inf)",
        }.get(float(largest[row]), "a score that is not a number")
        raise InvalidArgumentError(
            f"row {first_row + row} of the scores has {found}: the model diverged, or "
            "its weights are damaged"
        )
    return largest


def exponentials(block: FloatArray, largest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return exp(block - shift) and the rows' log-sum-exp.

    The shift is 0 where no row needs one, which saves a pass; so only the ratios of cells within a
    row of the first array are meaningful.
    """
    if np.abs(largest).max(initial=0.0) <= _SAFE_EXPONENT:
        powers = np.exp(block)
        return powers, np.log(powers.sum(axis=1))
    powers = np.subtract(block, largest[:, None])
    np.exp(powers, out=powers)
    return powers, largest + np.log(powers.sum(axis=1))


def fill_class_proba(leaves: FloatArray, taxonomy: Taxonomy, out: FloatArray) -> None:
    """Write the sums of leaf probabilities, shape (rows, n_leaves), into `out`, shape (rows, C)."""
    offsets = taxonomy.level_offsets
    below = leaves
    out[:, offsets[-2] :] = leaves
    for level in range(taxonomy.depth - 2, -1, -1):
        below = np.add.reduceat(below, taxonomy.child_ranges[level][:-1], axis=1)
        out[:, offsets[level] : offsets[level + 1]] = below
    np.minimum(out, 1.0, out=out)
