"""The first pass of an import: validates every row and stages the texts of usable ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.datasets.chunks import Chunk, Source, only
from ktt_core.datasets.labels import INVALID_UTF8, REASONS, LabelEncoder
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import BadRows
from ktt_core.datasets.staging import StagedTexts
from ktt_core.datasets.texts import fingerprints, squash_all, valid_utf8
from ktt_core.errors import DataError
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Path

__all__ = ["EMPTY_TEXT", "UNKNOWN_SPLIT", "Collected", "collect"]

EMPTY_TEXT = "empty text"

# Missing values as some programs write them to text files. A class path is never just this.
_NAN = pa.array(["nan", "NaN"])
UNKNOWN_SPLIT = "unknown split"

#: Accepted values of a split column, in any letter case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}


@dataclass
class Collected:
    """Result of the first pass.

    Attributes
    ----------
    paths : list of tuple of str
        The distinct paths.
    leaves : ndarray of int32, shape (n,)
        Position in `paths` of each usable row's path.
    splits : ndarray of int8, shape (n,), or None
        0, 1, 2 for train, val, test; None without a split column.
    hashes : ndarray of int64, shape (n,), or None
        Hashes of the texts; None when duplicates are kept.
    bad : BadRows
    rows_read : int
        Usable and bad rows.
    numbers : ndarray of int64, shape (n,), or None
        Numbers of the usable rows in the source; None unless requested.
    """

    paths: list[Path]
    leaves: NDArray[np.int32]
    splits: NDArray[np.int8] | None
    hashes: NDArray[np.int64] | None
    bad: BadRows
    rows_read: int
    numbers: NDArray[np.int64] | None = None


def collect(
    source: Source,
    options: ImportOptions,
    staged: StagedTexts,
    name: str,
    progress: ProgressCallback,
    *,
    keep_numbers: bool = False,
    max_text_bytes: int | None = None,
) -> Collected:
    """Read the whole source.

    Parameters
    ----------
    source : Source
    options : ImportOptions
    staged : StagedTexts
        Receives the usable rows' texts.
    name : str
        Name of the source, for messages.
    progress : callable
    keep_numbers : bool
        Whether to keep the usable rows' numbers, at 8 bytes a row.
    max_text_bytes : int, optional
        Rows with a larger text are bad.

    Raises
    ------
    DataError
        If the source is truncated, has no row, or has bad rows and `options.on_error` is "stop".
    """
    encoder = LabelEncoder(options)
    bad = BadRows()
    leaves: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    splits: list[NDArray[np.int8]] = [np.empty(0, np.int8)]
    hashes: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    numbers: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    rows_read = 0
    for chunk in source.chunks:
        rows_read += len(chunk.rows) + len(chunk.broken)
        for row, reason in chunk.broken:
            bad.add(reason, [row])
        texts, chunk_leaves, chunk_splits, chunk_numbers = _usable(
            chunk, options, encoder, bad, max_text_bytes
        )
        if bad.total and options.on_error == "stop":
            # Continue, to report all bad rows; nothing will be written.
            staged.drop()
        else:
            staged.append(texts)
            leaves.append(chunk_leaves)
            splits.append(chunk_splits)
            if options.dedupe:
                hashes.append(fingerprints(texts))
            if keep_numbers:
                numbers.append(chunk_numbers)
        progress(Progress("import", chunk.done, source.total, source.unit))
    if bad.total and source.locate is not None:
        bad.lines = source.locate(row for rows in bad.first_rows.values() for row in rows)
    if bad.total and options.on_error == "stop":
        raise DataError(
            f"{bad.total:,} of {rows_read:,} rows of {name} cannot be used:\n{bad.describe()}\n"
            "Nothing was imported. Mend them, or leave them out with --on-error skip"
        )
    if not rows_read:
        raise DataError(f"{name} has no rows")
    return Collected(
        paths=encoder.paths,
        leaves=np.concatenate(leaves),
        splits=np.concatenate(splits) if options.split_column else None,
        hashes=np.concatenate(hashes) if options.dedupe else None,
        bad=bad,
        rows_read=rows_read,
        numbers=np.concatenate(numbers) if keep_numbers else None,
    )


def _usable(
    chunk: Chunk,
    options: ImportOptions,
    encoder: LabelEncoder,
    bad: BadRows,
    max_text_bytes: int | None,
) -> tuple[pa.Array, NDArray[np.int32], NDArray[np.int8], NDArray[np.int64]]:
    """Return the usable rows' texts, leaves, splits and numbers; count the others by reason."""
    rows = chunk.rows
    raw = chunk.columns[options.text]
    usable = valid_utf8(raw)
    bad.add(INVALID_UTF8, rows[~usable])
    if max_text_bytes is not None:
        sizes = pc.fill_null(pc.binary_length(raw), 0).to_numpy(zero_copy_only=False)
        large = usable & (sizes > max_text_bytes)
        bad.add(f"text of more than {max_text_bytes:,} bytes", rows[large])
        usable &= ~large
    texts = squash_all(only(raw, usable).cast(pa.string()))
    filled = usable.copy()
    empty = pc.or_(pc.equal(texts, ""), pc.is_in(texts, value_set=_NAN))
    filled[usable] = pc.invert(empty).to_numpy(zero_copy_only=False)
    bad.add(EMPTY_TEXT, rows[usable & ~filled])
    texts = only(texts, filled[usable])
    usable = filled

    leaves = encoder.encode(chunk.columns)
    for code, reason in REASONS.items():
        bad.add(reason, rows[usable & (leaves == code)])
    good = usable & (leaves >= 0)
    splits = np.zeros(len(rows), dtype=np.int8)
    if options.split_column:
        splits = _splits(chunk.columns[options.split_column])
        bad.add(UNKNOWN_SPLIT, rows[good & (splits < 0)])
        good &= splits >= 0
    return (
        only(texts, good[usable]),
        leaves[good],
        splits[good] if options.split_column else splits[:0],
        rows[good],
    )


def _splits(column: pa.Array) -> NDArray[np.int8]:
    encoded = pc.fill_null(column, b"").dictionary_encode()
    names = [
        name.decode("utf-8", "replace").strip().lower() for name in encoded.dictionary.to_pylist()
    ]
    codes = np.array([SPLIT_NAMES.get(name, -1) for name in names], dtype=np.int8)
    splits: NDArray[np.int8] = codes[np.asarray(encoded.indices)]
    return splits
