"""The size of rows: one limit for every format, and the cutting of batches before they are decoded.

A few bytes of a compressed or dictionary-encoded file can stand for any number of bytes of text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.errors import DataError

__all__ = [
    "ELEMENT_BYTES",
    "INTEGER_BYTES",
    "MAX_ROW_BYTES",
    "MAX_ROW_VALUES",
    "cut_batch",
    "is_list",
    "list_offsets",
    "row_too_long",
]

#: The longest row, and the most that is decoded at once: a whole row of a text file, or the values
#: of the wanted columns of a columnar one.
MAX_ROW_BYTES = 16 * 1024**2

#: The most values of a row of JSON: as objects they take many times their bytes.
MAX_ROW_VALUES = 1_000_000

#: What an element of a list takes beside its text.
ELEMENT_BYTES = 4

#: The longest text of a whole number.
INTEGER_BYTES = 20


def row_too_long(where: str, row: str, hint: str = "Shorten it or leave it out") -> DataError:
    """Return the error for a row longer than `MAX_ROW_BYTES`.

    Parameters
    ----------
    where : str
        The file.
    row : str
        The row's place, as "line 3".
    hint : str
        What to do.
    """
    return DataError(
        f"{row} of {where} is longer than {MAX_ROW_BYTES // 1024**2} MiB, the most that one row "
        f"may have (the file may have any size). {hint}"
    )


def cut_batch(
    batch: pa.RecordBatch, max_rows: int, where: str, place: Callable[[int], str]
) -> Iterator[pa.RecordBatch]:
    """Cut a batch into parts of at most `MAX_ROW_BYTES`, without decoding it.

    Parameters
    ----------
    batch : pyarrow RecordBatch
        With the wanted columns only.
    max_rows : int
        The most rows of a part.
    where : str
        The file, for messages.
    place : callable
        Names the row at a position in the batch, as "row 3".

    Raises
    ------
    DataError
        If a row is longer.
    pyarrow.ArrowInvalid
        If the batch is damaged.
    """
    for column in batch.columns:
        column.validate()
    is_decoded = all(_is_decoded(column.type) for column in batch.columns)
    for start in range(0, batch.num_rows, max_rows):
        rows = batch.slice(start, max_rows)
        if is_decoded and rows.nbytes <= MAX_ROW_BYTES:
            yield rows
            continue
        # First by the number of elements: even the sizes of too many would not fit into memory.
        elements = sum((_elements(column) * ELEMENT_BYTES for column in rows.columns), np.int64(0))
        for begin, end in _cuts(elements, rows.num_rows, where, place, start):
            part = rows.slice(begin, end - begin)
            sizes = sum((_sizes(column) for column in part.columns), np.int64(0))
            for low, high in _cuts(sizes, part.num_rows, where, place, start + begin):
                yield part.slice(low, high - low)


def _cuts(
    sizes: NDArray[np.int64] | np.int64,
    rows: int,
    where: str,
    place: Callable[[int], str],
    first: int,
) -> Iterator[tuple[int, int]]:
    """Yield consecutive ranges of rows that are at most `MAX_ROW_BYTES` together."""
    ends = np.cumsum(np.broadcast_to(sizes, rows))
    if not rows or ends[-1] <= MAX_ROW_BYTES:
        yield 0, rows
        return
    longest = int(np.argmax(sizes))
    if np.broadcast_to(sizes, rows)[longest] > MAX_ROW_BYTES:
        raise row_too_long(where, place(first + longest))
    begin, before = 0, 0
    while begin < rows:
        end = max(begin + 1, int(np.searchsorted(ends, before + MAX_ROW_BYTES, side="right")))
        yield begin, end
        begin, before = end, int(ends[end - 1])


def list_offsets(column: pa.Array) -> NDArray[np.int64]:
    """Return where each list begins in ``column.values``, and where the last one ends."""
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        return (column.offset + np.arange(len(column) + 1, dtype=np.int64)) * width
    offsets = np.asarray(column.offsets).astype(np.int64)
    if (np.diff(offsets) < 0).any():
        raise pa.ArrowInvalid("the offsets of a list decrease")
    return offsets


def is_list(kind: pa.DataType) -> bool:
    """Tell whether a type is one of the lists that can be read."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_decoded(kind: pa.DataType) -> bool:
    """Tell whether values of a type take no more when they are decoded."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_decoded(kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    )


def _elements(column: pa.Array) -> NDArray[np.int64] | np.int64:
    return np.diff(list_offsets(column)) if is_list(column.type) else np.int64(0)


def _sizes(column: pa.Array) -> NDArray[np.int64] | np.int64:
    """Return the bytes of each value when decoded."""
    kind = column.type
    if is_list(kind):
        offsets = list_offsets(column)
        values = column.values.slice(offsets[0], offsets[-1] - offsets[0])
        sizes = np.broadcast_to(_sizes(values), len(values)) + ELEMENT_BYTES
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        return np.diff(ends[offsets - offsets[0]])
    if pa.types.is_dictionary(kind):
        return _sizes_of_encoded(column)
    if pa.types.is_integer(kind):
        return np.int64(INTEGER_BYTES)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # A view begins with the length of its text.
        views = np.frombuffer(column.buffers()[1], np.int32).reshape(-1, 4)
        lengths = views[column.offset : column.offset + len(column), 0]
        return np.where(column.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    if pa.types.is_null(kind):
        return np.int64(0)
    return np.asarray(pc.fill_null(pc.binary_length(column), 0))


def _sizes_of_encoded(column: pa.DictionaryArray) -> NDArray[np.int64] | np.int64:
    column.dictionary.validate()
    sizes = _sizes(column.dictionary)
    indices = np.asarray(pc.drop_null(column.indices))
    if not len(indices):
        return np.int64(0)
    if indices.min() < 0 or indices.max() >= len(column.dictionary):
        raise pa.ArrowInvalid("an index is outside of its dictionary")
    if np.ndim(sizes) == 0:
        return sizes
    found = np.zeros(len(column), np.int64)
    found[column.is_valid().to_numpy(zero_copy_only=False)] = np.asarray(sizes)[indices]
    return found
